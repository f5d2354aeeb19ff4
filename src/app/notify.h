/* SPDX-License-Identifier: MIT */
/*
 * What the program tells its service manager, by the protocol of sd_notify(3): one datagram of
 * lines to the socket that NOTIFY_SOCKET names. Without that variable all of this does nothing.
 *
 *   READY=1       the start is over: users are served from now on
 *   STATUS=...    one line for people: what is going on
 *   WATCHDOG=1    every loop of the program runs
 *   STOPPING=1    the end has begun
 *
 * Nothing here waits. What the socket does not take is sent again with the next beat. Loop thread.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/attr.h"
#include "net/loop.h"

enum {
    NOTIFY_STATUS_MAX = 384,   /* bytes of a status and its NUL; longer ones are cut */
    NOTIFY_BEAT_MS = 10000,    /* between two beats, unless the watchdog wants them sooner */
    NOTIFY_BEATS_PER_TIME = 3, /* beats in the time the watchdog allows: one may be late */
};

struct notify {
    /* private */
    int fd;               /* -1: there is nobody to tell */
    mtime_ms watchdog_ms; /* 0: none */
    bool is_ready, is_stopping, is_beating;
    bool unsent; /* the last datagram was not taken */
    mtime_ms stop_ms;
    char status[NOTIFY_STATUS_MAX];
    uv_timer_t beat;
    void (*on_beat)(void *ctx);
    void *ctx;
};

/* True when a service manager has started us and listens (NOTIFY_SOCKET). */
bool notify_is_wanted(void);

/* Reads the environment and connects the socket; a path that cannot be used is one warning, and
   nobody is told then. */
void notify_init(struct notify *n);

/* Whoever listens, nobody is told. In place of notify_init(). */
void notify_init_silent(struct notify *n);

/* From now on on_beat is called again and again, so that notify_alive() is in time for the
   watchdog. The timer keeps the loop running until notify_end(). */
void notify_begin(struct notify *n, struct loop *loop, void (*on_beat)(void *ctx), void *ctx);

/* The status: text of one line, in UTF-8. The same one again is not sent. */
void notify_status(struct notify *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Once: further calls do nothing. */
void notify_ready(struct notify *n);

/* All loops have been seen to run. */
void notify_alive(struct notify *n);

/* The end may take stop_ms, and the manager shall not lose its patience before. Once. */
void notify_stopping(struct notify *n, mtime_ms stop_ms);

/* No more beats. More than once is fine. */
void notify_end(struct notify *n);

/* When its loop has run to the end, or never began. */
void notify_fini(struct notify *n);
