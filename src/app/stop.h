/* SPDX-License-Identifier: MIT */
/*
 * The orderly end of either program. First SIGINT or SIGTERM: stop taking new work, let running
 * connections finish for up to STOP_DRAIN_MS. A second signal, or the time being up: end now.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "net/loop.h"

enum { STOP_DRAIN_MS = 30000 };

struct stop {
    uv_signal_t on_int, on_term;
    uv_timer_t timer;
    bool asked;
    void (*drain)(void *ctx);
    void (*end)(void *ctx);
    void *ctx;
};

/* drain is called once, at the first signal; end at the second signal or when the time is up. Also
   ignores SIGPIPE. 0 or ERR_IO. */
int stop_init(struct stop *s, struct loop *loop, void (*drain)(void *ctx), void (*end)(void *ctx),
              void *ctx) MUST_USE;

/* True from the first signal on. */
bool stop_asked(const struct stop *s);

/* Closes its handles. */
void stop_fini(struct stop *s);
