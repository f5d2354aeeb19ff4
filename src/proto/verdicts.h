/* SPDX-License-Identifier: MIT */
/*
 * Who may hear now whether his secret is right (docs/protocol.md 1.2). A connection that has said a
 * whole line asks for its verdict before anything is compared; a resume does not ask.
 *
 *   ask --> HELD --free source--> COMPARE ----------------------------------> over
 *             \--penalised source--> WAITS --drawn at random, its pace--> COMPARE --> over
 *              \--no place, or 30 s--> BUSY (over)
 *
 * Of a free source as many are compared at once as it has failures left until it is penalised; the
 * others are held until one of these is over, which takes no time. Of a penalised one (proto/penalty)
 * at most VERDICTS_WAIT_SOURCE wait; whenever its pace allows a verdict one of them is drawn. Where
 * all places are taken, one that shares a ration with fewer takes the place of one of the ration with
 * most, drawn too, who is BUSY: so a few sources do not keep others from any verdict. The price: where
 * none has two more than the newcomer's, as when VERDICTS_WAIT_ALL have one each, it is he who is BUSY.
 *
 * An id that is known at its source has one place, and a slower pace, of its own: whoever fails there
 * can neither take its turn nor crowd it out, unless he names it. A source has VERDICTS_IDS_SOURCE of
 * these places, and who has had his verdict leaves his only when its pace allows the next: else each id
 * that is named once more, or the next one, would have a verdict at once. So whoever names as many
 * known ids leaves the others there only what all of the source share.
 *
 * Nobody learns by how it ends what he would not have learnt by waiting: an entry that goes before
 * its verdict was told is a failure (VERDICT_LEFT).
 *
 * Pure: time and chance are arguments. Bounded: entries are the caller's; what waits is counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/mtime.h"
#include "base/rng.h"
#include "proto/penalty.h"

enum {
    VERDICTS_WAIT_SOURCE = 8,    /* of one penalised source or network, without places of ids */
    VERDICTS_WAIT_ALL = 32,      /* of all together: each holds a TLS state of some 50 KB, */
    VERDICTS_IDS = 32,           /* places of ids, of all sources; and each a descriptor */
    VERDICTS_IDS_SOURCE = 8,     /* of one */
    VERDICTS_ID_PACE_MS = 12000, /* 5 a minute */
    VERDICTS_WAIT_MS = 30000,    /* then it is BUSY */
    /* Before TLS: the next connection of a penalised source passes so much after the last, drawn
       anew each time; one a second. */
    VERDICTS_PASS_MIN_MS = 500,
    VERDICTS_PASS_MAX_MS = 1500,
};

/* What the caller does with an entry. */
enum verdict {
    VERDICT_COMPARE, /* now; verdicts_over() follows */
    VERDICT_WAITS,   /* for up to VERDICTS_WAIT_MS; it will be told */
    VERDICT_BUSY,    /* turn it away without a look at what it said; it is over */
};

enum verdict_end {
    VERDICT_RIGHT, /* whether or not it lets its sender in */
    VERDICT_WRONG,
    VERDICT_LEFT,    /* the sender went before he was told */
    VERDICT_DROPPED, /* we ended it: no failure */
};

enum verdict_state {
    VERDICT_IDLE,
    VERDICT_HELD,
    VERDICT_WAITING,
    VERDICT_COMPARED,
};

/* Of an id that is known at its source; unused when nobody waits in it and its time has come. */
struct verdict_place {
    uint64_t id, source;
    mtime_ms at; /* its next verdict, not before */
    bool is_taken;
};

/* Embedded in what the caller keeps for a connection; zeroed means that it does not ask. */
struct verdict_entry {
    /* private */
    struct list node;
    enum verdict_state state;
    struct penalty_source source;
    bool is_known;               /* the source is: it answers for itself alone */
    uint64_t id;                 /* known_id(), 0: none */
    bool is_paid;                /* by a ration */
    struct verdict_place *place; /* WAITING: its own; NULL: with all others of its source */
    mtime_ms since;
};

struct verdicts {
    struct penalties penalties;
    /* private */
    struct list held, waiting, compared;
    struct verdict_place places[VERDICTS_IDS];
    unsigned wait_all, ids; /* as VERDICTS_WAIT_ALL and VERDICTS_IDS, or fewer */
};

/* v must not move. 0, or ERR_NOMEM; key: random bytes that nobody else knows. */
int verdicts_init(struct verdicts *v, const uint8_t key[KEYED_HASH_KEY_BYTES]) MUST_USE;

/* Fewer may wait at once: `waiting`, of these half in places of ids. With 0 who is penalised is BUSY at
   once. Right after verdicts_init(). */
void verdicts_limit(struct verdicts *v, unsigned waiting);

/* Harmless on a zeroed or already finished one. Entries are forgotten. */
void verdicts_fini(struct verdicts *v);

/* e, which does not ask yet, asks for its verdict. is_known: its source has a session or has
   authenticated in the last 24 h; id: known_id() of the id it names, or 0. */
void verdicts_ask(struct verdicts *v, struct verdict_entry *e, const struct address *from,
                  bool is_known, uint64_t id);

/* Whom to tell what at now: call until NULL, after anything was asked or is over, and at
   verdicts_deadline(). */
struct verdict_entry *verdicts_next(struct verdicts *v, mtime_ms now, struct rng *rng,
                                    enum verdict *ret) MUST_USE;

/* When verdicts_next() may have something to tell though nothing happens; MTIME_NEVER: never. */
mtime_ms verdicts_deadline(const struct verdicts *v, mtime_ms now);

/* How it ended with e. Harmless, and no failure, for one that does not ask (any more). True: a
   penalty begins. */
bool verdicts_over(struct verdicts *v, struct verdict_entry *e, enum verdict_end how, mtime_ms now);

/* Before TLS: may a connection from there go on? Who is known always may. */
bool verdicts_may_pass(struct verdicts *v, const struct address *from, bool is_known, mtime_ms now,
                       struct rng *rng);
