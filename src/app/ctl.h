/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a running program: a local stream socket, over which root and the user who runs the
 * program may ask for what proto/ctl.h has. One request a connection.
 *
 *   ctl_bind()  --> the socket lies in the file system: before the cage, by who we are
 *   ctl_begin() --> it is served, on the loop
 *   ctl_close() --> it is gone
 *
 * The file has mode 0660, and its folder must not be writable by all. Who connects is known by the kernel
 * (SO_PEERCRED). A file that a dead process has left is replaced, one that somebody answers at is not.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "app/census_desk.h"
#include "app/reload.h"
#include "app/signals.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log_budget.h"
#include "conf/options.h"
#include "net/loop.h"
#include "proto/ctl.h"

/* The folder of the server's socket under our unit; that of the folders of clients'. */
#define CTL_SERVERS     "/run/gotunnel-server"
#define CTL_CLIENTS_RUN "/run/gotunnel-client"

enum {
    CTL_CONNECTIONS = 16,   /* at once; more wait in the kernel */
    CTL_PATIENCE_MS = 5000, /* for a request, and for who does not read the answer */
    CTL_PAUSE_MS = 200,     /* after an accept() that failed */
    CTL_PATH_MAX = 108,     /* bytes of its path, with the NUL: as the kernel's */
    /* Bytes of a piece of an answer that comes in pieces: the next is made when they are out. */
    CTL_PIECE_MAX = 64 << 10,
};

/* Somebody who waits for his answer. */
struct ctl_later;

struct ctl_ops {
    void (*reload)(void *ctx, struct reload_result *ret); /* and logs what came of it */
    unsigned (*connections)(void *ctx);                   /* of users, that run */
    /* Of a server; NULL: there are no clients. The file of the client of that name counts as it is now: a is
       the answer, or ctl_later() says that it follows. And a line for each that is there. */
    void (*client)(void *ctx, const char *name, struct ctl_answer *a);
    void (*clients)(void *ctx, struct ctl_answer *a);
    /* As census_ask(). */
    void (*census)(void *ctx, struct census_ask *a);
};

struct ctl {
    char path[CTL_PATH_MAX]; /* "": there is none, and nothing here does anything */
    /* private */
    int fd, dirfd;
    ino_t inode;
    bool is_begun, is_closed;
    struct loop *loop;
    uv_poll_t accepting;
    uv_timer_t pause;
    struct list connections;
    unsigned count;
    struct log_budget refused;
    const char *mode;
    struct signals *signals;
    const struct ctl_ops *ops;
    void *ctx;
};

/* Where the options of m want it, into ret: -control, or else `control` in the folder that a service manager
   has made for us (RUNTIME_DIRECTORY), *ret_asked says which. "": nowhere. A longer path is cut. */
void ctl_path(char ret[CTL_PATH_MAX + 1], const struct common_options *o, bool *ret_asked);

/* Whether a program with these options has its control socket at path, which may lead there by links. Asks
   the file system. */
bool ctl_is_at(const struct common_options *o, const char *path) MUST_USE;

/* Whether path, which may lead there by links, is one of the places where programs of gotunnel have their control
   sockets without being told: of our units, and of `gotunnel up` in the folder of its certificates. Asks the file
   system; a place that cannot be looked into is none. */
bool ctl_is_usual(const char *path) MUST_USE;

/* Makes the socket at the path of o, if there is to be one. 0; or an error that has been logged, and the program must not
   start: only where it was asked for. c must not move from now on. One thread only. */
int ctl_bind(struct ctl *c, const struct common_options *o) MUST_USE;

/* Serves it. ops outlive c. */
void ctl_begin(struct ctl *c, struct loop *loop, const char *mode, struct signals *signals,
               const struct ctl_ops *ops, void *ctx);

/* In a command, of its answer: it is not there yet. To be ended by ctl_later_end(), once, which sends what has
   been put into ctl_later_answer() until then. Both may come when who asked, or the socket, has gone. */
struct ctl_later *ctl_later(struct ctl_answer *a);
struct ctl_answer *ctl_later_answer(struct ctl_later *l);
void ctl_later_end(struct ctl_later *l);

/* Where an answer comes from that is too long to be made at once. */
struct ctl_source {
    /* Puts some more lines into a, which is empty, up to CTL_PIECE_MAX bytes or one line more. False: with them
       it is whole. */
    bool (*more)(struct ctl_source *s, struct ctl_answer *a);
    /* No more is asked for. */
    void (*over)(struct ctl_source *s);
};

/* Instead of ctl_later_end(): what has been put is followed by what s has, as fast as who asked reads it. */
void ctl_later_stream(struct ctl_later *l, struct ctl_source *s);

/* Nobody is served any more, and the file is removed, if it is still ours and we may. Its handles are
   closing. Harmless if there is none, or it is closed. */
void ctl_close(struct ctl *c);
