/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is to send: who has something to say, in which order, and how much at a time. No
 * sockets and no bytes here, so that a test can drive it.
 *
 * Each has a share of TURN_SHARE bytes in a round, on a fast link of up to TURN_SHARE_MAX. Those
 * that have just begun to have something to say, and have not used their share of this round up,
 * are `fresh`: they go first, one after the other. A share that is used up is passed on to the next
 * one: behind all others, as one `later`. When nobody fresh is left, those go in the order in which
 * they came. The round is over when all of them have had their share: then everybody has a new one.
 * So a keystroke waits for nobody's bulk but what has been sent already; and one that is fresh
 * again and again gets no more than its share before the others get theirs.
 *
 *   ready: --share left--> fresh --used up--> later      later's first one, its share used up in
 *          --none left---> later                         this round: the next round begins
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum {
    /* More makes one bulk stream wait for another, less costs processor time: what is in one piece
       the peer passes on with one system call (docs/design.md). */
    TURN_SHARE = 64 << 10,
    TURN_SHARE_MAX = 128 << 10,
    /* With less than this left the turn is passed on: a full frame is 16,376 bytes. */
    TURN_LEAST = 16376,
};

/* Embed in whoever takes turns. */
struct turn_node {
    struct list node; /* in no list: has nothing to say */
    /* private */
    int32_t left;   /* of its share in `round` */
    uint32_t round; /* the last one that it had a share of */
};

struct turn {
    /* private */
    struct list fresh, later;
    uint32_t round;
    int32_t share; /* of those who get one now */
};

void turn_init(struct turn *t);
void turn_node_init(struct turn_node *n);

/* The shares given out from now on: TURN_SHARE .. TURN_SHARE_MAX, what is beyond is taken as the
   nearest. For an owner that sees how fast its link is. */
void turn_set_share(struct turn *t, size_t bytes);

/* n has something to say. Harmless if that is known. */
void turn_ready(struct turn *t, struct turn_node *n);

/* n has nothing to say, for now or for good. Harmless if it had not. */
void turn_idle(struct turn_node *n);

/* Whose turn it is, NULL: nobody has anything to say. It stays the same one's until turn_spend()
   passes it on, turn_idle() takes it out, or somebody fresh comes. */
struct turn_node *turn_next(struct turn *t);

/* The one whose turn would come last, NULL: nobody has anything to say; and the one before n, NULL: n
   is the first. Good until the turns change. */
struct turn_node *turn_last(const struct turn *t);
struct turn_node *turn_before(const struct turn *t, const struct turn_node *n);

/* True if n, that turn_next() has returned, may go on: its share is not used up. */
static inline bool turn_has_share(const struct turn_node *n)
{
    return n->left >= TURN_LEAST;
}

/* What is left of its share, in whole frames. */
static inline size_t turn_frames_left(const struct turn_node *n)
{
    return (size_t)n->left / TURN_LEAST;
}

/* n, that turn_next() has returned, has sent so many bytes; if its share is used up and it still
   has something to say (it was not taken out), the turn is passed on. */
void turn_spend(struct turn *t, struct turn_node *n, size_t bytes);

/* True if nobody has anything to say. */
bool turn_is_over(const struct turn *t);
