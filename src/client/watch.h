/* SPDX-License-Identifier: MIT */
/*
 * Who watches a client come up: told what its uplinks and tunnels come to, step by step, as it happens.
 * `gotunnel join` does (steps.h). A client without one is the same in all else.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "net/dialer.h"
#include "tunnel/reason.h"

struct client;
struct service;
struct session;
struct smux_open;
struct smux_stream;
struct tunnel;
struct uplink;

/* All are there, and must not end an uplink. ctx is the client's watch_ctx. */
struct client_watch {
    /* It is a visit: the same client may run beside it. So it has an id of its own, no control socket, no
       command for what happens, and no word for a service manager; and its first attempt stands for all, but one that
       large packets seem to have failed, which is made again with small ones. */
    bool is_visit;
    /* Its loop is there, and nothing was tried; the last word: what uses the loop must go now. */
    void (*begun)(void *ctx, struct client *c);
    void (*ended)(void *ctx);
    /* Of the uplink that is to serve: the server's name has these addresses */
    void (*resolved)(void *ctx, const struct address *all, unsigned n);
    /* ... the dial is over; why: of a failure, as in the log. */
    void (*dialled)(void *ctx, const struct dial_result *r, const char *why);
    /* ... TLS stands; the server has taken us; it has come to nothing, as words say. */
    void (*secure)(void *ctx, const struct uplink *u);
    void (*accepted)(void *ctx, const struct uplink *u);
    void (*lost)(void *ctx, const struct uplink *u, enum end_reason reason, const char *words);
    /* A tunnel was opened, or refused; again: for the same cause as before. */
    void (*answered)(void *ctx, const struct tunnel *t, bool again);
    /* A user has come for this service. True: it was the watcher himself, who has taken or reset the stream. */
    bool (*visited)(void *ctx, const struct service *s, struct session *session,
                    struct smux_stream *st, const struct smux_open *open);
};

/* Calls c->watch->what(c->watch_ctx, ...), if there is one. */
#define CLIENT_WATCH(c, what, ...)                                                                 \
    do {                                                                                           \
        if ((c)->watch)                                                                            \
            (c)->watch->what((c)->watch_ctx, __VA_ARGS__);                                         \
    } while (0)
