/* SPDX-License-Identifier: MIT */
/*
 * A listening TCP socket on the loop. Accepts in batches of LISTENER_BATCH per turn, or fewer, so that
 * a flood on one port cannot starve the rest of the loop. When the process has no descriptor left, or
 * accept() fails otherwise, it pauses for LISTENER_PAUSE_MS instead of spinning, tells once through
 * on_pause, and goes on by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"

enum {
    LISTENER_BATCH = 64,
    LISTENER_PAUSE_MS = 100,
    LISTENER_SERIES_MS = 1000,
    LISTENER_BACKLOG = 4096,
};

struct listener;

struct listener_events {
    /* A new connection: non-blocking, close-on-exec, TCP_NODELAY set. fd belongs to the callee. */
    void (*on_accept)(void *ctx, int fd, const struct sockaddr *peer);
    /* Accepting stopped because of err (ERR_LIMIT: descriptors, ERR_NOMEM, ERR_IO); called at the
       first failure of a series only, that is of failures less than LISTENER_SERIES_MS apart. It
       resumes by itself. May be NULL. */
    void (*on_pause)(void *ctx, int err);
    /* Asked before each accept(), also when nobody may wait (listener_has_waiting()): 0, or for how
       many ms all wait in the kernel's backlog, until it is asked again. NULL: 0. */
    mtime_ms (*wait_before)(void *ctx);
};

struct listener_config {
    /* NULL or "": all addresses, dual-stack, IPv4 alone where IPv6 is off; else a numeric address or
       a name that resolves locally (blocking look-up: start-up only) */
    const char *host;
    int port;           /* 0..65535; 0: the system chooses */
    int defer_accept_s; /* TCP_DEFER_ACCEPT; 0 leaves it off */
    int batch;          /* connections accepted in a turn; 0: LISTENER_BATCH */
    int backlog;        /* connections that wait in the kernel; 0: LISTENER_BACKLOG */
    bool for_users;     /* accepted sockets have sock_keepalive() and are sock_abortive(); who is
                           sock_is_dead() already is closed, and on_accept does not hear of it */
    size_t unsent_max;  /* sock_unsent_max() of accepted sockets; 0 leaves it */
};

/* Binds (SO_REUSEADDR) and listens. A port of the system's choice is one of all that it may choose. 0; ERR_INUSE,
   ERR_PERM, ERR_RANGE (port), ERR_RESOLVE, ERR_IO with the operating system's words in why. on_* handlers may call
   listener_close(). */
int listener_open(struct loop *loop, const struct listener_config *cfg,
                  const struct listener_events *ev, void *ctx, struct listener **ret,
                  struct errmsg *why) MUST_USE;

/* The same with fd, which somebody else has bound and made to listen, as it is: of cfg the address
   is not looked at. fd is the listener's, unless ERR_INVAL: it is not a listening TCP socket. Or
   ERR_IO, ERR_NOMEM. */
int listener_adopt(struct loop *loop, int fd, const struct listener_config *cfg,
                   const struct listener_events *ev, void *ctx, struct listener **ret,
                   struct errmsg *why) MUST_USE;

/* Stops (true) or resumes accepting; users then wait in the kernel's backlog. */
void listener_pause(struct listener *l, bool paused);

/* Does anybody wait in the kernel's backlog? Costs a system call. */
bool listener_has_waiting(const struct listener *l);

/* The bound address as the original prints it: "[::]:8080" if dual-stack, or "0.0.0.0:8080". */
const char *listener_address(const struct listener *l);
int listener_port(const struct listener *l);

/* The port is free when this returns; memory goes in libuv's close callback. NULL is fine. */
void listener_close(struct listener *l);
