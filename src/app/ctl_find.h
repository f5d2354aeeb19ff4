/* SPDX-License-Identifier: MIT */
/* Which running program a command means that asks one. */
#pragma once

#include <stdbool.h>

#include "app/ctl.h"
#include "base/attr.h"
#include "base/err.h"

/* The socket at `given`; if that is "", the one that a program of ours with our environment would have, or the only
   one there is: of our units, or of `gotunnel up`. False: there is none, or several, with a sentence. */
bool ctl_find_socket(const char *given, char ret[CTL_PATH_MAX + 1], struct errmsg *why) MUST_USE;
