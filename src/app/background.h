/* SPDX-License-Identifier: MIT */
/*
 * A program that goes on in the background once it has something to say, for -wait. The process that a
 * script has started waits for that word, prints it and exits; another one, in a session of its own and
 * without a terminal, does the work.
 *
 *   script --starts--> first process --splits--> second process --word--> goes on
 *      ^                    |                        |
 *      +---- exits: 0 and the word, or the status <--+ exits without one
 *
 * A SIGINT, SIGTERM or SIGHUP to the first is a SIGTERM to the second, and ends both. stderr is the
 * same for both, as it was given, as with `ssh -f`.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

enum {
    BACKGROUND_WORD_MAX = 64 << 10
}; /* lines, with their ends: what a pipe holds at once. An address for each of 1,024 tunnels */

/* Splits the process, which has one thread. Returns in the second one only: 0, and *ret_fd is for
   background_say(); or ERR_IO, ERR_NOMEM, ERR_LIMIT in the first: it was not split. */
int background_begin(int *ret_fd) MUST_USE;

/* In the second: the line, with its end, for the first to print; *fd is closed, and is -1. False:
   nobody waits for it any more. */
bool background_say(int *fd, const char *line) MUST_USE;
