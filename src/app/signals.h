/* SPDX-License-Identifier: MIT */
/*
 * What signals mean to either program. One table (signals.c) has them all:
 *
 *   SIGINT, SIGTERM   the orderly end: stop taking new work, let running connections finish for up
 *                     to the time of -drain. A second one, or the time being up: end now.
 *   SIGHUP            `reload`. If the terminal that is stdin or stderr is gone, the same as SIGTERM,
 *                     once. Left ignored where it was when we were started (nohup).
 *   SIGUSR1           the lines of `status`
 *   SIGUSR2, SIGPIPE  nothing
 *
 * None of them kills, from the first moment on: signals_hold() keeps back those that would until
 * signals_init() can act on them.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/attr.h"
#include "net/loop.h"

enum {
    SIGNALS_COUNT = 5,
    /* A shell may pass SIGHUP on shortly before it is over and the terminal with it: so long after
       one, the terminal is looked at again. */
    SIGNALS_LOOK_AGAIN_MS = 1000,
};

struct signals_ops {
    void (*drain)(void *ctx);  /* once: let finish what runs, take nothing new */
    void (*end)(void *ctx);    /* now; may come again, and without drain */
    void (*status)(void *ctx); /* log a line for each session, and the totals */
    void (*reload)(void *ctx); /* read the configuration file, and the certificates, again */
};

/* A descriptor that was a terminal when we were started. */
struct signals_terminal {
    int fd;
    bool is_one;
    bool has_group; /* it was our controlling one */
};

struct signals {
    /* private */
    uv_signal_t handles[SIGNALS_COUNT];
    uv_timer_t timer; /* of the drain */
    uv_timer_t look;  /* at the terminals again */
    struct signals_terminal terminals[2];
    bool stop_asked;
    mtime_ms drain_ms;
    const struct signals_ops *ops;
    void *ctx;
};

/* Before anything else: no signal of the table that would kill by default, the orderly ones left
   out, does so any more. */
void signals_hold(void);

/* ops must outlive s. 0 or ERR_IO. */
int signals_init(struct signals *s, struct loop *loop, mtime_ms drain_ms,
                 const struct signals_ops *ops, void *ctx) MUST_USE;

/* True from the first request to stop on. */
bool signals_stop_asked(const struct signals *s);

/* As the first SIGTERM. False: that has been asked for already. */
bool signals_stop(struct signals *s);

/* The time of -drain, for a stop that has not been asked for yet. */
void signals_set_drain(struct signals *s, mtime_ms drain_ms);

/* How long running connections have then, for people to read. */
double signals_drain_seconds(const struct signals *s);

/* Closes its handles. The program ends, and no signal of the table changes how any more: they are
   ignored from here on. */
void signals_fini(struct signals *s);
