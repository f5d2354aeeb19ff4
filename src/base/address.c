/* SPDX-License-Identifier: MIT */
/* Addresses as data. */
#include "base/address.h"

#include <string.h>

bool address_same_host(const struct address *a, const struct address *b)
{
    return a->family != ADDRESS_NONE && a->family == b->family && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return address_same_host(a, b) && a->port == b->port;
}
