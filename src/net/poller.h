/* SPDX-License-Identifier: MIT */
/*
 * Readiness of sockets, edge-triggered: one epoll set a loop, itself watched by libuv.
 *
 * uv_poll_t is level-triggered, and each change of what it watches costs two system calls, six over
 * the life of a short connection (libuv 1.44). Here a socket is entered once and forgotten with its
 * descriptor: a source that is not read, or not written, costs nothing. The price is the rule of
 * edges: an event says that something has changed; whoever does not read to the end (a short read,
 * or EAGAIN) must remember that there is more and come back by itself.
 *
 * Linux only; another system needs another poller.c (kqueue's EV_CLEAR has the same rule).
 */
#pragma once

#include <stdint.h>
#include <uv.h>

#include "base/attr.h"

struct loop;

/* Events taken from the kernel in one turn; the rest waits for the next one, so that jobs and
   timers have their chance. */
enum { POLLER_BATCH = 256 };

enum poller_event {
    POLLER_IN = 1u << 0,    /* bytes, or the end of file, may be read */
    POLLER_OUT = 1u << 1,   /* may be written (again) */
    POLLER_HUP = 1u << 2,   /* the peer has closed its direction, or both: with POLLER_IN. After
                               this a short read does not mean that nothing is left */
    POLLER_ERROR = 1u << 3, /* the connection has failed (reset, timeout): with POLLER_IN, as what
                               came before can still be read */
};

/* Embed in the object that owns the socket. */
struct poller_source {
    void (*on_ready)(struct poller_source *src, unsigned events); /* enum poller_event */
    int fd;                                                       /* -1: not watched */
};

struct poller {
    /* private */
    int fd;
    uint32_t sources;
    uv_poll_t poll;
};

/* Part of loop_init(). 0, ERR_LIMIT (descriptors), ERR_NOMEM. */
int poller_init(struct loop *l) MUST_USE;

/* Begins to close; part of loop_fini(). */
void poller_fini(struct loop *l);

/*
 * Watches fd for everything in enum poller_event until poller_remove(). What is ready already is
 * told in one of the next turns. 0, ERR_NOMEM, ERR_LIMIT (fs.epoll.max_user_watches).
 */
int poller_add(struct loop *l, struct poller_source *src, int fd) MUST_USE;

/*
 * No more events, also none that were collected already; harmless if src is not watched. The memory
 * of src must stay until the turn is over (free it from a loop job). poller_remove() takes the
 * descriptor out of the set, for one that lives on; poller_forget() is for one that is closed right
 * after, which takes it out as well.
 */
void poller_remove(struct loop *l, struct poller_source *src);
void poller_forget(struct loop *l, struct poller_source *src);

/*
 * The descriptor of `from`, which stops watching it, is watched by `to` from here on: one system
 * call in place of the two of removing and adding. What is ready is told (again). Only within one
 * loop. 0; on failure (ERR_NOMEM, ERR_IO) `from` still watches.
 */
int poller_pass(struct loop *l, struct poller_source *from, struct poller_source *to) MUST_USE;
