/* SPDX-License-Identifier: MIT */
/*
 * How many lines a client may put into the log, whatever it does: not by its session, since who is let
 * in may open as many as he likes one after the other, but by who he is: his key, or without one his
 * source. Of who has been quiet for TOLD_REST_MS nothing is left to know, and his slot is the next
 * one's; while all are taken, whoever comes shares the last. So all together are bounded, too. One
 * table for all workers, behind a lock.
 */
#pragma once

#include <pthread.h>

#include "base/attr.h"
#include "base/log_budget.h"
#include "base/rng.h"
#include "proto/keyed_hash.h"

enum { TOLD_SLOTS = 256, TOLD_REST_MS = LOG_BUDGET_BURST * LOG_BUDGET_EVERY_MS };

/* Each has a budget (base/log_budget.h) of its own, so that none hides another. */
enum told_kind {
    TOLD_SESSION, /* a session that has its lines: at most a dozen, each of them once */
    TOLD_LATER,   /* a later line of one that has not: it may have lasted for long */
    TOLD_LIFE,    /* what happens in sessions again and again: breaks, tunnels */
    TOLD_USERS,   /* users who are not served, or wait */
    TOLD_KINDS,
};

struct told_slot {
    uint64_t who;     /* a hash that nobody can aim at; 0: nobody */
    mtime_ms used_at; /* last */
    struct log_budget of[TOLD_KINDS];
};

/* All zero is a fresh one, without a secret in its hash. */
struct told {
    /* private */
    pthread_mutex_t lock;
    uint8_t key[KEYED_HASH_KEY_BYTES];
    struct told_slot slots[TOLD_SLOTS];
};

void told_init(struct told *t, struct rng *rng);

/* Whether one more may be written at now; then *ret_left_out is how many could not since the last that
   could. key: "" for none; then source, which is any text that stands for the same peer. */
bool told_take(struct told *t, const char *key, const char *source, enum told_kind kind,
               mtime_ms now, unsigned *ret_left_out) MUST_USE;

/* How many could not be written, of TOLD_LIFE and TOLD_USERS: from now on none. */
unsigned told_left_out(struct told *t, const char *key, const char *source, mtime_ms now) MUST_USE;
