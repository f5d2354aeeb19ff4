/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the fleet share: many clients of one server in one process. Each is a member,
 * with an id of its own, a session of gotunnel/2 and its tunnels; the libraries are those of the
 * program, so keepalive, resumption and waits are a client's. fleet.c explains what it prints.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/quota.h"
#include "base/rng.h"
#include "net/loop.h"
#include "proto/backoff.h"
#include "proto/session/standing.h"
#include "proto/session/wishes.h"
#include "tunnel/opening.h"
#include "tunnel/relay.h"
#include "tunnel/session.h"

enum {
    FLEET_TUNNELS_MAX = WISHES_MAX, /* of one member */
    FLEET_DIAL_MS = 10000,          /* TCP to the server, or to the service */
    FLEET_TLS_MS = 60000, /* a place in the server's queue of handshakes may be so long in coming */
};

struct fleet_options {
    int port;           /* -p: of the server, on the loopback */
    const char *ca;     /* -a */
    const char *secret; /* -s */
    int members;        /* -n */
    int tunnels;        /* -k: of each */
    const char *prefix; /* -i: the member number 7 has the id PREFIX-7 */
    int target;         /* -t: port of the service, an echo (bench/load sink) */
    int source;         /* -o: connections come from 127.0.SOURCE.1 */
    double rate;        /* -r: first opens a second */
    int retry_ms;       /* -m: the longest wait between two opens */
};

struct fleet {
    const struct fleet_options *opt;
    struct loop loop;
    struct quota connections;
    struct relays relays;
    SSL_CTX *tls;
    struct rng rng;
    struct member *members;
    int begun; /* have asked once */
    /* since the start */
    uint64_t accepted, refused, failed, lost, resumed, detached, visitors;
    uint64_t ends[END_REASONS]; /* how openings have failed, and sessions ended */
};

/* ---- fleet_dial.c ---- */

/* A connection to the loopback that is under way. */
struct fleet_dial;

/* fd is the callee's, or negative: ERR_*. The dial is over. Never from inside fleet_dial_start(). */
typedef void (*fleet_dial_done)(void *ctx, int fd);

/* source: 0, or see fleet_options. 0 or a negative error. */
int fleet_dial_start(struct loop *loop, int port, int source, mtime_ms patience_ms,
                     fleet_dial_done done, void *ctx, struct fleet_dial **ret) MUST_USE;

/* Nothing is called any more. NULL is fine. */
void fleet_dial_cancel(struct fleet_dial *d);

/* ---- fleet_member.c ---- */

struct member {
    struct fleet *fleet;
    int number;
    char id[HELLO_ID_MAX + 1];
    struct standing standing;
    struct backoff backoff;
    struct fleet_dial *dial;
    struct opening *opening;
    struct session *session;
    uint8_t nonce[HELLO_NONCE_BYTES];
    bool opens_beside; /* the session ends, because another is to be opened at once */
    bool was_up;
    uv_timer_t retry, due;
    struct wishes wishes;
    struct wish *tunnels; /* opt->tunnels of them */
};

/* On fleet->loop; it asks for nothing yet. 0 or ERR_NOMEM. */
int member_init(struct member *m, struct fleet *f, int number) MUST_USE;

/* Asks for its session, and keeps it from then on. */
void member_begin(struct member *m);

/* Has it a session over a connection, which answers? */
bool member_is_up(const struct member *m);

/* How many of its tunnels are open. */
int member_tunnels(const struct member *m);
