/* SPDX-License-Identifier: MIT */
/*
 * The search for a way to a host with several addresses: which one to try next, when, and how
 * patiently. No I/O and no clock: net/dialer.c does what path_next() says and tells what came of
 * it. "Happy eyeballs" (RFC 8305), and two things that a tunnel needs beyond it:
 *
 *   - Each address has two sockets. A patient one lives as long as the search: a path with a round
 *     trip of 3 s needs it. A fresh one is renewed every second (and four round trips), because
 *     most kernels repeat a lost SYN after 1, 3, 7 s only (Linux from 6.5 on after 1, 2, 3, 4, 6),
 *     and a path that is back should be noticed within a second.
 *   - The name is resolved again every 2 s while nothing has connected: a server that has moved is
 *     found by the search that is running.
 *
 * Order: the address that worked last; then those nothing is held against, families alternating,
 * each family as the resolver has sorted it; then those that failed, the one whose failure is the
 * oldest first. The next one starts after 250 ms, or at once when one fails. An address that took
 * the connection and then was not the right one (TLS or the answer failed) lets the others go first
 * by 0.5 s, then 1, 2, 4 s: it may be somebody else's machine by now, and nearer than ours.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/mtime.h"

enum {
    /* Addresses of one search, and of which failures are remembered: a name with a thousand of
       them must not make us open a thousand sockets. */
    PATH_ADDRESSES = 8,
    PATH_SOCKETS = 2 * PATH_ADDRESSES,
    PATH_STAGGER_MS = 250,        /* between the starts of two addresses (RFC 8305, 5) */
    PATH_RENEW_MS = 1000,         /* life of a fresh socket, and four round trips */
    PATH_RESOLVE_MS = 2000,       /* between two lookups of the name */
    PATH_PATIENCE_MAX_MS = 10000, /* the longest patience that path_patience() has */
    PATH_WRONG_MOST = 4,          /* an address that is not ours waits up to 250 ms << 4 ... */
    PATH_HOLD_MS = 1000,          /* ... but not so long for a resolver that does not answer */
};

/* What stays from search to search. {0} knows nothing. */
struct path_memory {
    /* private */
    struct address good; /* that worked last */
    struct path_failure {
        struct address address;
        unsigned wrong;       /* how often it connected, and failed afterwards */
    } failed[PATH_ADDRESSES]; /* the oldest first */
    unsigned nfailed;
};

/* What was asked for worked at a: TLS and the answer, not only TCP. */
void path_good(struct path_memory *m, const struct address *a);

/* a took the connection, but then TLS or the answer failed. */
void path_failed(struct path_memory *m, const struct address *a);

/* Patience of the nth attempt in a row without success (0, 1, ...) for what cannot be tried twice
   at a time: TLS, the answer. 1, 2, 4, 8, 10, 10 ... seconds. */
mtime_ms path_patience(unsigned attempt);

struct path_config {
    struct path_memory *memory; /* outlives the search */
    mtime_ms patience_ms;       /* after that the search is over */
    bool resolve;               /* there is a name */
    bool renew;                 /* fresh sockets beside the patient ones */
    uint32_t rtt_ms;            /* as last measured, 0: unknown */
    mtime_ms last_start;        /* as path_hurry(), and other calls do not replace it; 0: none */
};

enum path_do {
    PATH_WAIT,    /* until `at`, or until something has happened */
    PATH_START,   /* connect `slot` to `address` */
    PATH_DROP,    /* close `slot` */
    PATH_RESOLVE, /* look the name up: path_resolved() tells what came of it */
    PATH_GIVE_UP, /* the time is over, or all addresses have failed */
};

struct path_step {
    enum path_do what;
    unsigned slot; /* < PATH_SOCKETS */
    struct address address;
    mtime_ms at;
};

struct path {
    /* private */
    struct path_config cfg;
    struct path_address {
        struct address address;
        mtime_ms started;  /* last start of one of its sockets */
        unsigned position; /* in the newest list of the resolver */
        bool known;        /* this entry is in use */
        bool given;        /* by the caller: whatever the resolver says */
        bool named;        /* in the newest list of the resolver */
        bool tried;        /* started once at least */
        bool failed;       /* ... and failed: tried again, but not waited for */
        bool live[2];      /* patient, fresh */
    } addresses[PATH_ADDRESSES];
    mtime_ms begin, end;
    mtime_ms next_start; /* of an address that was not tried yet, not before */
    mtime_ms resolve_at;
    mtime_ms hurry_at;
    uint32_t drops; /* slots whose address made room for another one */
    enum address_family last_family;
    bool resolving;
};

/* A search begins at now. */
void path_begin(struct path *p, const struct path_config *cfg, mtime_ms now);

/* The caller knows an address, e.g. the one its session is at: tried at once, before the name is
   resolved, and whether or not the name has it. Beyond PATH_ADDRESSES it is left out. */
void path_add(struct path *p, const struct address *a);

/* The resolver has answered; n = 0: it has failed. Addresses that are new join the search, those
   that are gone and were not tried yet leave it. */
void path_resolved(struct path *p, const struct address *list, unsigned n);

/* The socket of this slot could not connect, and is closed. */
void path_lost(struct path *p, unsigned slot, mtime_ms now);

/* At this time each address gets a fresh socket, exactly then, and the name is looked up: the last
   moment before a session expires, or (now) the network has changed. Of this and the config's
   last_start the sooner one is next; then last_start. MTIME_NEVER: only that. */
void path_hurry(struct path *p, mtime_ms at);

/* What to do now: call until it is PATH_WAIT, or PATH_GIVE_UP. */
void path_next(struct path *p, mtime_ms now, struct path_step *ret);

/* The address of a slot that was started. */
const struct address *path_address_of(const struct path *p, unsigned slot);
