/* SPDX-License-Identifier: MIT */
/*
 * Connects to host:port: resolves off the loop (numeric addresses at once), tries each address in
 * turn, each with a fair share of what is left of the time. Results come by callback, never from
 * inside dial_start().
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"

enum { DIAL_MAX_ADDRS = 8 };

struct dial;

/* fd >= 0: connected, non-blocking, close-on-exec, TCP_NODELAY; the callee's. Otherwise a negative
   ERR_* (ERR_RESOLVE, ERR_REFUSED, ERR_TIMEOUT, ERR_LIMIT: no descriptors, ERR_IO) and its
   sentence. The dial is over when this is called and frees itself. */
typedef void (*dial_done_fn)(void *ctx, int fd_or_err, const struct errmsg *why);

/* 0, or ERR_NOMEM. host without brackets; timeout_ms for everything together. */
int dial_start(struct loop *loop, const char *host, int port, int timeout_ms, dial_done_fn done,
               void *ctx, struct dial **ret) MUST_USE;

/* Gives up; done is not called. NULL is fine. */
void dial_cancel(struct dial *d);
