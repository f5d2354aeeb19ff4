/* SPDX-License-Identifier: MIT */
/*
 * What is counted of one tunnel: its connections, their bytes, and what became of the last ones. Plain numbers
 * of the thread whose connections they are. Each connection holds its tally, so it may outlive the tunnel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mtime.h"

/* What became of a connection that did not come to its target. */
enum tally_error {
    TALLY_OK,
    TALLY_REFUSED,     /* the target refused it */
    TALLY_TIMEOUT,     /* the target did not answer in time */
    TALLY_RESET,       /* the target accepted, and reset at once */
    TALLY_UNKNOWN,     /* the target's name is not known */
    TALLY_UNREACHABLE, /* anything else that its machine or the way there says */
    TALLY_BUSY,        /* a limit here, or at the client: not the target's fault */
    TALLY_NO_SERVICE,  /* the client has no such tunnel any more */
    TALLY_ERRORS,
};

struct tally {
    uint32_t key;            /* the owner's; 0: none */
    uint64_t received, sent; /* bytes: from the peer of the session, to it */
    uint64_t all, failed;    /* connections that ever were; that did not come to their target */
    enum tally_error error;  /* of the last that failed; TALLY_OK: none ever has */
    mtime_ms failed_at;      /* then */
    bool is_bad;             /* the last of which one knows has failed, and by the target */
    /* private */
    uint32_t refs;
};

/* With one reference, the caller's. NULL without memory. */
struct tally *tally_new(uint32_t key) MUST_USE;

/* One connection more, which gives its reference back at its end. Returns t. */
struct tally *tally_take(struct tally *t);

/* One reference less: of a connection, or the owner's. The last one frees. NULL is fine. */
void tally_give(struct tally *t);

/* Connections that run, while the owner has its reference. */
uint32_t tally_running(const struct tally *t);

/* One came to its target. */
static inline void tally_good(struct tally *t)
{
    t->is_bad = false;
}

/* One that was taken did not. error is not TALLY_OK. */
void tally_bad(struct tally *t, enum tally_error error, mtime_ms now);

/* The same of one that was not taken: it counts among all, too. */
void tally_turned_away(struct tally *t, enum tally_error error, mtime_ms now);

/* "refused"; "" of TALLY_OK. Static. */
const char *tally_word(enum tally_error error);
