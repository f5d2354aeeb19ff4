/* SPDX-License-Identifier: MIT */
/*
 * Which sources have failed so often that their verdicts are rationed (docs/protocol.md 1.2).
 *
 * A source is an IPv4 address or an IPv6 /64. It is penalised from the 5th failure in a minute on,
 * and until fewer than 5 are in the last one. Since IPv6 networks are large, a /56 and a /48 are
 * penalised too: from the 20th and the 80th failure in a minute, of which each /64 in it counts
 * for 5 at the most. So 4 penalised /64 penalise their /56 and 16 their /48, however their failures
 * lie; one guesser never does; and many /64 that fail four times each do not slip through. Once
 * penalised, such a network stays so until fewer than 5 are in the last minute.
 *
 * Who is penalised shares verdicts at a pace of PENALTY_PACE_MS: the record's verdict_at is the
 * moment of the next. Failures before the penalty count too, so that in no minute one source learns
 * more than PENALTY_VERDICTS.
 *
 * Memory is fixed. In a full set of a table a new key takes the place of the record with the fewest
 * failures and *keeps these* (the Space-Saving rule of heavy-hitter counting): nobody's count is
 * ever below what it truly had, so a flood of other sources cannot reset a guesser. The price:
 * during such a flood a newcomer's first failure may penalise it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "base/mtime.h"
#include "proto/keyed_hash.h"

enum {
    PENALTY_FAILURES = 5, /* in a minute: of one source */
    PENALTY_NET56_FAILURES = 4 * PENALTY_FAILURES,
    PENALTY_NET48_FAILURES = 16 * PENALTY_FAILURES,
    PENALTY_MINUTE_MS = 60000,
    PENALTY_VERDICTS = 20, /* a minute */
    PENALTY_PACE_MS = PENALTY_MINUTE_MS / PENALTY_VERDICTS,
    PENALTY_DEBT_MS = PENALTY_FAILURES * PENALTY_PACE_MS, /* the longest wait without others */
    PENALTY_WAYS = 8,
    PENALTY_SOURCE_SETS = 1024, /* 8,192 sources: 1 MB, touched as it is needed */
    PENALTY_NET_SETS = 32,      /* 256 /56 and as many /48: 0.5 MB */
    PENALTY_LEVELS = 3,         /* source, /56, /48 */
};

/* Who came, as keys of the tables; 0: there is no such network. */
struct penalty_source {
    uint64_t keys[PENALTY_LEVELS];
};

/* One penalised source or network. */
struct penalty_record {
    mtime_ms verdict_at; /* its next verdict, not before */
    mtime_ms pass_at;    /* before TLS: its next connection passes, not before */
    /* private */
    uint64_t key;
    bool is_penalised; /* at the last failure */
    struct penalty_failure {
        uint64_t who; /* key of the source */
        mtime_ms at;  /* 0: none */
    } failures[];     /* of the last minute; so many as its level counts */
};

struct penalties {
    /* private */
    uint8_t key[KEYED_HASH_KEY_BYTES];
    uint8_t *tables[PENALTY_LEVELS];
};

/* 0, or ERR_NOMEM. key: random bytes that nobody else knows. */
int penalties_init(struct penalties *p, const uint8_t key[KEYED_HASH_KEY_BYTES]) MUST_USE;

/* Harmless on a zeroed or already finished one. */
void penalties_fini(struct penalties *p);

struct penalty_source penalties_source(const struct penalties *p, const struct address *from);

/* A failure of the source at now, which is > 0 and does not go back. is_paid: it was a verdict of
   the ration, or none. True: with it a penalty begins. */
bool penalties_failure(struct penalties *p, const struct penalty_source *s, bool is_paid,
                       mtime_ms now);

/* The record whose ration the source shares at now: of its largest network that is penalised; with
   own_only (who is known answers for itself alone) its own. NULL: it is free. Valid until the next
   failure. */
struct penalty_record *penalties_find(const struct penalties *p, const struct penalty_source *s,
                                      bool own_only, mtime_ms now);

/* How many failures the source has left in this minute before it is penalised. */
unsigned penalties_left(const struct penalties *p, const struct penalty_source *s, mtime_ms now);

/* One verdict of its ration is given. */
void penalty_pay(struct penalty_record *r, mtime_ms now);
