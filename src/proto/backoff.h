/* SPDX-License-Identifier: MIT */
/*
 * How soon a client comes back (docs/protocol.md 4; D15, D16). It does so for ever; two things are
 * told apart:
 *
 *   outage     the server is away. The first wait is 100-200 ms, each next one is about twice as
 *              long, but under 2 s in the first minute; then on to the maximum.
 *   beside     the server is away, and a session of ours ends meanwhile: it is restarting. As an
 *              outage, but under 1 s in the first minute: its successor is found at once.
 *   held       the port is in use: by what was ours, at an old server for up to 61 s after a loss;
 *              by a session that is still being resumed; by somebody else, who may be away.
 *              2.5-5 s in the first two minutes, then as a rejection.
 *   taken      another client has our id: 5-10 s in the first minute, then as a rejection. Asking
 *              takes nothing away from it.
 *   rejection  the server is there and says no (port, certificate). 2.5-5 s, then about
 *              twice as long each time, to the maximum.
 *   secret     the rejection of a secret, which a person has to mend: 5-10 s, then likewise, to a
 *              minute at least: a shorter maximum would have its address penalised.
 *
 * And `at once`: a server that is there has no session of ours for new users any more. That may be
 * so again and again, so only the first open in BACKOFF_LASTED_MS does not wait.
 *
 * Every wait is drawn from the upper half of its bound, [bound / 2, bound), so that the clients of
 * one server do not return together. Waits grow until a session has lasted BACKOFF_LASTED_MS.
 */
#pragma once

#include <stdbool.h>

#include "base/mtime.h"
#include "base/rng.h"

enum {
    BACKOFF_OUTAGE_MS = 200,    /* bound of the first wait in an outage */
    BACKOFF_EARLY_MS = 2000,    /* bound of the waits in the first minute of an outage ... */
    BACKOFF_EARLY_FOR = 60000,  /* ... which is this long */
    BACKOFF_BESIDE_MS = 1000,   /* the same while a session of ours ends */
    BACKOFF_HELD_MS = 5000,     /* bound of each wait for a port that is held ... */
    BACKOFF_HELD_FOR = 120000,  /* ... for so long: an old server holds it 30 to 61 s */
    BACKOFF_TAKEN_MS = 10000,   /* bound of each wait for an id that another has ... */
    BACKOFF_TAKEN_FOR = 60000,  /* ... for so long */
    BACKOFF_REJECTED_MS = 5000, /* bound of the first wait after a rejection */
    /* The same, if it is the secret, and the least maximum then. So one client is wrong at 0, then not
       before 5, 15, 35 and 65 s, then once in 30 s at most: 4 times in any minute, and not the 5 from
       which on its address is penalised (proto/penalty). */
    BACKOFF_SECRET_MS = 10000,
    BACKOFF_SECRET_MAX_MS = 60000,
    BACKOFF_LASTED_MS = 10000,   /* a shorter session changes nothing: a server that accepts and
                                    falls over is not dialled in a loop */
    BACKOFF_MAX_FLOOR_MS = 1000, /* a smaller maximum (or 0, or a negative one) is a busy loop with
                                    the original: 10,000 attempts in 4 s (D16) */
    BACKOFF_MAX_CEILING_MS = 7 * 24 * 3600 * 1000, /* keeps sums and draws within 32 bits */
};

enum backoff_kind {
    BACKOFF_OUTAGE,
    BACKOFF_BESIDE,
    BACKOFF_REJECTED,
    BACKOFF_SECRET,
    BACKOFF_HELD,
    BACKOFF_TAKEN,
};

struct backoff {
    /* private */
    mtime_ms max;
    mtime_ms outage_bound;   /* of the next wait in the present outage; 0: there is none */
    mtime_ms outage_since;   /* when it began */
    mtime_ms rejected_bound; /* of the next wait after a rejection */
    mtime_ms held_since;     /* when HELD or TAKEN began; 0: it has not */
    mtime_ms up_at;          /* when the present session came up */
    mtime_ms at_once_from;   /* the next open that does not wait */
    bool is_up;
};

/* max_ms is the longest wait; brought between the floor and the ceiling above. */
void backoff_init(struct backoff *b, mtime_ms max_ms);

/* Another longest wait, from the next one on. */
void backoff_limit(struct backoff *b, mtime_ms max_ms);

/* An attempt has failed, or a session has ended, at now: the time to wait, below the maximum; for a
   secret below BACKOFF_SECRET_MAX_MS, if that is longer. */
mtime_ms backoff_next(struct backoff *b, enum backoff_kind kind, mtime_ms now, struct rng *r);

/* The server is there, and said that a session is over, or drains: the time to wait at now. 0, unless
   that was so less than BACKOFF_LASTED_MS ago as well; then as BACKOFF_BESIDE, or a server that says
   it at once each time would be dialled in a loop. */
mtime_ms backoff_at_once(struct backoff *b, mtime_ms now, struct rng *r);

/* A session is up: authenticated, and its port is open. */
void backoff_up(struct backoff *b, mtime_ms now);

/* A connection is gone, up or not: call before backoff_next(). Forgets all earlier failures if the
   session lasted. */
void backoff_down(struct backoff *b, mtime_ms now);
