/* SPDX-License-Identifier: MIT */
/*
 * A service: one target behind this client, with an id, its destinations and limits. One connection is
 * dialled for each stream that the server opens for it. At most limits.dials at once (a burst of
 * users must not exhaust descriptors or the service's backlog); further ones wait in their order.
 * Each has limits.dial_ms from its stream's opening; refused or too late, the user's connection is
 * cut at once. How many wait is bounded by the quota of relays: each has one.
 *
 * Of several destinations the one that worked last is dialled first, then the others in their order,
 * round from it. Each has an equal part of the time that is left, the last one all of it.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/list.h"
#include "conf/destination.h"
#include "net/loop.h"
#include "proto/histogram.h"
#include "proto/path.h"
#include "proto/tally.h"
#include "tunnel/relay.h"

enum {
    SERVICE_ID_MAX = 64, /* bytes, as of a client's id */
    /* Dials that begin in one turn of the loop. A user who resets at once costs a socket, and thousands
       a second of them would fill turns of 100 ms, in which others' data moves once. */
    SERVICE_DIALS_A_TURN = 16,
    SERVICE_DIAL_MS = 5000,     /* limits.dial_ms unless somebody says otherwise */
    SERVICE_COMPLAIN_MS = 1000, /* failures are one line in so long */
};

/* What all services of a client share: so many dials at once, however many services there are. Zeroed,
   but for max, and hungry by list_init(). */
struct service_dials {
    unsigned max, now;
    struct histogram took; /* those that came to their target */
    struct list hungry;    /* services that wait for one to end, in their order */
};

struct service_limits {
    unsigned dials; /* at once; at least 1 (proto/account.h) */
    mtime_ms dial_ms;
};

struct service_config {
    const char *id;   /* 1 to SERVICE_ID_MAX bytes */
    const char *name; /* its target as the user gave it, for messages */
    struct destinations *to;
    struct service_limits limits;
    struct service_dials *shared; /* outlives the service; NULL: nothing is */
};

struct service {
    char id[SERVICE_ID_MAX + 1];
    char *name;
    struct destinations *to;
    struct service_limits limits;
    struct list node; /* the owner's */
    struct tally *tally;
    /* private */
    unsigned owners;
    struct service_dials *shared;
    struct list hungry;
    struct loop *loop;
    struct relays *relays;
    struct loop_job start; /* of the dials that wait */
    unsigned first;        /* of its destinations: that worked last */
    unsigned dialing;
    unsigned moves; /* how often it had another target */
    struct list waiting;
    struct path_memory path; /* which of their addresses is alive */
    mtime_ms complained;     /* when a failure was last logged; 0: never */
    unsigned said;           /* the destination that is in use, as the log has it ... */
    mtime_ms told;           /* ... since then; 0: from the start */
};

/* cfg is copied, with its strings; cfg->to becomes the service's, which frees it. loop and relays outlive
   the service. NULL without memory: then cfg->to is the caller's. */
struct service *service_new(struct loop *loop, struct relays *relays,
                            const struct service_config *cfg);

/* Another target, for dials that begin from now on; name and to become the service's, which frees them. */
void service_move(struct service *s, char *name, struct destinations *to);

/* One owner more; there is one at first. Returns s. */
struct service *service_ref(struct service *s);

/* One owner less. After the last one's call it serves nobody new, and goes by itself, from its list too,
   once nobody waits for a dial of it. */
void service_leave(struct service *s);

/* No relay of it may be left without a connection. Whatever owners it has. NULL is fine. */
void service_free(struct service *s);

/* Makes a relay of st and dials. Without memory or beyond the quota the stream is reset. */
void service_serve(struct service *s, struct session *session, struct smux_stream *st);
