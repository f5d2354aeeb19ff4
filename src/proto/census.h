/* SPDX-License-Identifier: MIT */
/*
 * A census: how a program, its clients and their tunnels are at one moment. Whoever has them fills it in, a part
 * a thread; whoever wants to know (the control socket, a page, a monitor) reads it. No I/O, no clock.
 *
 *   census_new() --> census_part_new() a thread, filled there --> census_add() --> read --> census_unref()
 *
 * It has numbers, words for programs and text of others, but no sentence: those are made by who shows it, in the
 * language of who looks. Text is never NULL, and may come from a peer: escape it before printing. Ages are of the
 * moment of the census, in ms; -1: never. A census does not change once it is read, so it may be shared.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "proto/histogram.h"

enum {
    CENSUS_PROOF_MS = 15000, /* up is where a byte went round in the last so many */
    CENSUS_REASONS_MAX = 16, /* kinds that are counted by one list */
};

/* How a session, or a tunnel, is. */
enum census_state {
    CENSUS_CONNECTING, /* client: there is no session yet, or no more: it dials, opens, or waits to */
    CENSUS_REFUSED,    /* the same, and the server has said no the last time */
    CENSUS_UP, /* a byte went round in the last CENSUS_PROOF_MS; of a tunnel: and its port is open */
    CENSUS_SUSPECT,      /* the connection is there, and nothing has proved it lately */
    CENSUS_WAITING,      /* it is lost; the session waits for the next one */
    CENSUS_DRAINING,     /* it takes no new connections; those that run may finish */
    CENSUS_OPENING,      /* a tunnel: its port is asked for */
    CENSUS_PORT_REFUSED, /* a tunnel: the server has said no, or has taken its port */
    CENSUS_TARGET_REFUSES, /* a tunnel: its port is open, and the last connection was refused by the target */
    CENSUS_TARGET_FAILS, /* the same, for any other reason of the target's: no answer, no such name */
    CENSUS_STATES,
};

/* "up", "target-refuses": for programs. Static. */
const char *census_state_word(enum census_state s);

/* CENSUS_STATES: no state has this word. */
enum census_state census_state_find(const char *word);

struct census_tunnel {
    const char *name;    /* "": it is the only one of its session */
    const char *address; /* that listens, as its server has it; "": none does */
    const char *target;  /* of a client; "": a server does not know */
    enum census_state state;
    int64_t port;         /* that was asked for; 0: any */
    uint64_t connections; /* that run */
    uint64_t all, failed; /* that ever were; that did not come to their target */
    uint64_t in, out;     /* bytes: to the target, from it; of those that run, too */
    const char *error;    /* word of what went wrong last; "": nothing has */
    const char *detail;   /* what belongs to it: a word of the system, an address; "": nothing */
    int64_t error_ms;
    /* private */
    struct list node;
};

struct census_client {
    const char *name;    /* of its key; "": it has none */
    const char *id;      /* "": the legacy wire */
    const char *address; /* server: where its client is; client: of the server, as it was dialled */
    bool is_legacy;
    enum census_state state;
    int64_t state_ms;  /* it is so for so long */
    int64_t proof_ms;  /* since a byte went round; -1: there is no session */
    int64_t window_ms; /* how long it waits at most; 0: it cannot be resumed */
    int64_t next_ms;   /* client, without a session: until the next attempt; -1: one runs */
    int64_t rtt_us;    /* -1: not known */
    uint64_t resumes;
    const char *broke; /* word of how its connection, or the session before, was lost; "": never */
    int64_t broke_ms;
    int64_t gap_ms; /* so long users stood still then; -1: they still do */
    int64_t
        idle_cut_ms; /* something on the way cuts what is idle for so long; -1: nothing was seen */
    const char *error; /* word of why the last attempt to have a session failed; "": it did not */
    int64_t error_ms;
    uint64_t held; /* bytes kept for the other end */
    unsigned tunnels_count;
    /* private */
    struct list tunnels, node;
};

/* One thread of the program. */
struct census_worker {
    bool is_silent; /* it has not answered in time: it is not in the sums, nor are its clients */
    int64_t lag_us; /* until its loop came to the question; -1: not known */
    uint64_t sessions, connections;
    uint64_t in, out;
    uint64_t window_bytes, replay_bytes; /* beyond what all begin with */
    uint64_t late_bytes;                 /* for readers that stand still */
};

/* So many of each kind, with the word of it. */
struct census_reasons {
    const char *words[CENSUS_REASONS_MAX]; /* static */
    uint64_t counts[CENSUS_REASONS_MAX];
    unsigned n;
};

/* Visitors who were not served. */
enum census_refusal {
    CENSUS_NOBODY_THERE, /* their client is away */
    CENSUS_NO_ROOM,      /* no memory, no stream */
    CENSUS_STOPPING,
    CENSUS_NO_TUNNEL, /* client: it has no such tunnel any more */
    CENSUS_REFUSALS,
};

struct census_process {
    const char *mode; /* "server", "client" */
    const char *version;
    const char *address; /* server: that listens for clients; client: its server, as given */
    bool is_stopping;
    const char *trouble; /* word of why no client can come; "": they can */
    int64_t pid;
    int64_t now_s, begun_s; /* seconds since 1970 */
    uint64_t connections, connections_max;
    uint64_t unauthenticated; /* tunnel connections that have not proved themselves yet */
    struct census_reasons auth_failures; /* of them, that ended before they had */
    struct census_reasons refused;       /* visitors */
    uint64_t reloads, reloads_failed;
    struct histogram gaps, dials; /* of sessions that were resumed; client: to targets */
};

/* What one thread has filled in. */
struct census_part {
    struct census_worker worker;
    uint64_t refused[CENSUS_REFUSALS];
    struct histogram gaps;
    unsigned clients_count;
    /* private */
    struct list clients, node;
    struct census_text *texts;
};

struct census {
    struct census_process process;
    unsigned parts_count;
    /* private */
    struct list parts;
    unsigned refs;
    struct census_text *texts;
};

/* ---- filling ---- */

/* With one reference. NULL without memory. */
struct census *census_new(void) MUST_USE;
struct census_part *census_part_new(void) MUST_USE;

/* p is c's from now on, and its numbers are in c->process. */
void census_add(struct census *c, struct census_part *p);

/* One that is in no census. NULL is fine. */
void census_part_free(struct census_part *p);

/* Zeroed, but for ages that are -1 and text that is "". NULL without memory: then it is left out. */
struct census_client *census_client_new(struct census_part *p);
struct census_tunnel *census_tunnel_new(struct census_client *c);

/* A copy that lives as long as the part, or the census; "" without memory. */
const char *census_text(struct census_part *p, const char *text);
const char *census_own_text(struct census *c, const char *text);

void census_count(struct census_reasons *r, const char *word, uint64_t count);

/* ---- reading ---- */

struct census *census_ref(struct census *c);
void census_unref(struct census *c); /* NULL is fine */

/* The one behind `last`, which is NULL for the first; NULL: that was the last. */
const struct census_part *census_next_part(const struct census *c, const struct census_part *last);
const struct census_client *census_next_client(const struct census_part *p,
                                               const struct census_client *last);
const struct census_tunnel *census_next_tunnel(const struct census_client *c,
                                               const struct census_tunnel *last);

/* Of a tunnel whose session is so: its own state, or that of the session if that is not up. */
enum census_state census_tunnel_state(enum census_state session, enum census_state own);
