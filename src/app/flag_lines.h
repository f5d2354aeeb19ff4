/* SPDX-License-Identifier: MIT */
/* Flags of a command line as lines of a configuration file. */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "conf/options.h"

/*
 * Adds what argv[0], and perhaps argv[1], says to lines, a string in size bytes: `key: "value"` and a line feed, relative
 * paths made whole. Nothing for what is no row of m, cannot stand at a file's top, or is one of `but`, which ends
 * in NULL. Of one that is given twice the last one counts. Returns how many of the argc arguments were looked at: 1 or
 * 2; *ret_err: 0, or ERR_LIMIT: no room, or a value of more than 8 KB.
 */
int flag_line(char *lines, size_t size, const struct mode *m, const char *const *but, int argc,
              char **argv, int *ret_err);
