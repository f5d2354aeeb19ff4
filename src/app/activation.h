/* SPDX-License-Identifier: MIT */
/* A listening socket that a service manager has opened for us: LISTEN_FDS and LISTEN_PID, as in
   sd_listen_fds(3). */
#pragma once

#include "base/attr.h"
#include "base/err.h"

/* The first descriptor that is handed over, whatever it is: listener_adopt() finds out. */
enum { ACTIVATION_FD = 3 };

/*
 * Takes the one socket that was handed over to this process, and the variables out of the
 * environment. 0: *ret is its descriptor, close-on-exec and the caller's, or -1: there is none.
 * ERR_INVAL with a sentence: more than one, or a variable that makes no sense. Once, at start-up.
 */
int activation_take(int *ret, struct errmsg *why) MUST_USE;
