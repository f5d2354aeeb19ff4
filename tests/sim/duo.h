/* SPDX-License-Identifier: MIT */
/*
 * Two sessions of gotunnel/2, joined by a link that can be cut: the whole machine in virtual time,
 * driven by choices from outside (a seeded generator, or a fuzzer's input). It checks itself at
 * every step and aborts with a line on stderr; what it promises:
 *
 *   - what one end wrote the other one reads, byte for byte and in order, whatever was cut;
 *   - FIN comes behind all data; a reset is seen with its reason, unless all was over;
 *   - after GOAWAY nothing is opened, what crosses it is refused, and all that was open goes on;
 *   - with services, what is said on the control stream comes in the same way; an OPEN says at the
 *     other end what it said at the first; a READY is told once, ahead of the data written after it;
 *   - no window is overrun, nothing that is sent is a protocol error;
 *   - it comes to an end, and then nothing is left.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/smux/session.h"

struct duo_config {
    size_t ring_bytes[2], ring_max[2];
    uint32_t stage_max;
    uint64_t replay;     /* the budget of what rings grow by, each end */
    uint64_t budget;     /* of receive windows, each end */
    uint32_t streams[2]; /* opened by each end */
    uint32_t small, big; /* bytes of a stream's direction: below; and now and then */
    size_t link_bytes;   /* what a direction of the link holds */
    uint32_t cut_one_in; /* steps; 0: never cut */
    bool resets, stalls; /* ends reset and close early; readers stand still */
    bool goaways;        /* ends say GOAWAY: what is open goes on, nothing is opened any more */
    bool services;       /* streams are of services, and both ends speak on the control stream */
};

struct duo;

/* Below `below` (> 0). */
typedef uint32_t duo_pick(void *ctx, uint32_t below);

/* label: printed with a failure. NULL without memory. */
struct duo *duo_new(const struct duo_config *cfg, duo_pick *pick, void *ctx, uint64_t label);
void duo_free(struct duo *d);

/* All streams are opened at once, both ends send what they may, and nothing arrives yet: the rings
   are full, also of control frames. */
void duo_crowd(struct duo *d);

/* Does one thing. */
void duo_step(struct duo *d);

/* All streams were opened and are over at both ends. */
bool duo_is_over(const struct duo *d);

/* Heals the link and lets everything come to its end, without choices; checks that it does. */
void duo_drain(struct duo *d);

/* So far. */
struct duo_count {
    uint64_t bytes, cuts, replayed;
    uint64_t control, opens, readies; /* bytes; frames that were heard */
    size_t reserve_most;              /* bytes of the reserve ever in use */
    uint64_t grown;                   /* how often a ring was larger than before */
};
struct duo_count duo_counted(const struct duo *d);
