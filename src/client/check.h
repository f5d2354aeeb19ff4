/* SPDX-License-Identifier: MIT */
/* `gotunnel check` of a client's file. */
#pragma once

#include "app/check.h"

/* Looks at what the options name, and says what a client with them would do. */
void client_check(struct check *c, const struct client_options *o);
