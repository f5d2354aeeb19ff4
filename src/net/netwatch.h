/* SPDX-License-Identifier: MIT */
/*
 * Tells when this machine's network may have changed: an address, a route or a link came or went
 * (rtnetlink), or the machine was asleep. What it means for a connection is the owner's to find out
 * (sock_route_source()). Where the system gives none of it, nothing is ever told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"

struct netwatch {
    /* private */
    struct loop *loop;
    struct poller_source changes, clock;
    int64_t asleep_ms; /* in all, as far as is known */
    void (*on_change)(void *ctx, bool woke);
    void *ctx;
};

/* woke: the machine was asleep, so what it was connected to has heard nothing for a while.
   nw must not move until netwatch_stop(), nor be freed in the turn of that. Many changes at once
   are told once. */
void netwatch_start(struct netwatch *nw, struct loop *loop, void (*on_change)(void *ctx, bool woke),
                    void *ctx);

/* Harmless on a zeroed or already stopped one. */
void netwatch_stop(struct netwatch *nw);
