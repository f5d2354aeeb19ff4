/* SPDX-License-Identifier: MIT */
/* `gotunnel check` of a server's file. */
#pragma once

#include "app/check.h"

/* Looks at what the options name, and says what a server with them would do. */
void server_check(struct check *c, const struct server_options *o);
