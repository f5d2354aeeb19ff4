/* SPDX-License-Identifier: MIT */
/*
 * Whose handshake begins next, and when. TLS with a stranger is the dearest thing that anybody can
 * ask of us (a signature and a key exchange), so there is a budget: so many a second in all, and so
 * many of one source. Who finds none left waits in a queue.
 *
 * Sources that have authenticated before ("known") have no limit of their own, and go first: while
 * any of them waits it has three of four turns, so that a guesser behind a known address does not
 * keep strangers out. Among the sources of a kind the turn goes to the one that has used least, and of
 * those to who has waited longest: each has a fair share, however many connections it opens.
 *
 * What a source has used is kept as the time at which its allowance is full again ("paid_at", as in
 * GCRA): 1/rate s further with each handshake, and a stranger's may lie up to a second ahead. The table
 * is of a fixed size. In a full set a new source takes the place of the one that is paid first and
 * goes on from there, as in proto/penalty.h: nobody ever has more than his share, and which sources
 * share a set nobody can know, as the hash has a key.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/mtime.h"

enum {
    HANDSHAKES_SETS = 512,
    HANDSHAKES_WAYS = 8,
    /* Begun at once after a rest: a tenth of a second's worth, at least one. */
    HANDSHAKES_BURST_PART = 10,
    HANDSHAKES_SOURCE_BURST_MS = 1000, /* a source's allowance: a second's worth */
    HANDSHAKES_KNOWN_RUN = 3,          /* turns of known sources in a row while a stranger waits */
};

/* Embedded in what waits; zeroed means "does not wait". */
struct handshakes_entry {
    /* private */
    struct list node; /* in the queue */
    uint64_t source;  /* hash */
    bool is_known, waits;
    bool is_held;
};

struct handshakes_source {
    uint64_t source; /* hash */
    int64_t paid_at; /* microseconds; in the past: nothing to remember */
};

struct handshakes {
    /* private */
    uint64_t key;
    int64_t step_us, source_step_us; /* one handshake's share of a second: in all, of a source */
    int64_t burst_us, paid_at;       /* the same account for all sources together */
    struct list queue;               /* by arrival */
    unsigned count, known_run;
    struct handshakes_source table[HANDSHAKES_SETS * HANDSHAKES_WAYS];
};

/* rate and source_rate: handshakes a second, 1 to 1,000,000. key: random. h must not move. */
void handshakes_init(struct handshakes *h, uint32_t rate, uint32_t source_rate, uint64_t key);

/* Other rates, from the next turn on: what was used stays used. */
void handshakes_limit(struct handshakes *h, uint32_t rate, uint32_t source_rate);

/* e, which does not wait, waits from now on, behind whoever waits. source is any text that stands for
   "the same peer"; is_known: it has authenticated. How many may wait is the caller's to bound: each
   turn looks at all of them. */
void handshakes_wait(struct handshakes *h, struct handshakes_entry *e, const char *source,
                     bool is_known);

/* It waits no more, and has used nothing. Harmless if it does not wait. */
void handshakes_leave(struct handshakes *h, struct handshakes_entry *e);

/* The turn that e had just now was not used: it counts for nobody. */
void handshakes_return(struct handshakes *h, const struct handshakes_entry *e);

/* It has no turn while it is held, as one that is known may be: there is no place for it beyond. */
void handshakes_hold(struct handshakes_entry *e, bool is_held);

/* The one whose handshake begins at now: taken out of the queue, and paid for. NULL: nobody's, yet.
   now must not go back. */
struct handshakes_entry *handshakes_next(struct handshakes *h, mtime_ms now) MUST_USE;

/* When the budget of all has room for one more, whoever waits. */
mtime_ms handshakes_free_at(const struct handshakes *h);

/* When handshakes_next() has somebody, if nobody comes or leaves until then: now at the earliest. -1:
   nobody waits who is not held. */
mtime_ms handshakes_due(const struct handshakes *h, mtime_ms now);
