/* SPDX-License-Identifier: MIT */
/*
 * The folder where a client keeps what outlives it: $STATE_DIRECTORY (of a service manager; the
 * first of several), else $XDG_STATE_HOME/gotunnel, else $HOME/.local/state/gotunnel.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

struct state_folder {
    int fd;
    char path[PATH_MAX];
    struct errmsg doubt; /* "", or what is doubtful about it, but no reason not to use it */
};

/* Opens the folder, and makes it where it is missing. 0: the caller closes ret->fd. Otherwise a
   negative error with a sentence: there is none, or it is not to be trusted (base/trust.h). */
int state_open(struct state_folder *ret, struct errmsg *why) MUST_USE;

/* The folder of the client's files, there or not. False: nothing names one. */
bool state_path(char ret[PATH_MAX]);
