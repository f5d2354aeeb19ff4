/* SPDX-License-Identifier: MIT */
/* Where others find this machine, as far as it knows by itself: nobody outside is asked. */
#pragma once

#include <stdbool.h>

#include "base/address.h"

/* Is the address one of the internet: neither of a private network nor of this machine or link, nor for
   documents, tests, or many at once? Pure. */
bool public_address_is(const struct address *a);

/* The first one that an interface of this machine has, IPv4 before IPv6. False: none has. */
bool public_address_find(struct address *ret);
