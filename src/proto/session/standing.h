/* SPDX-License-Identifier: MIT */
/*
 * What a client says of itself in an open: `take` and `mine` (docs/protocol.md 5.2). Pure.
 *
 * take: true until this process has had its first accepted answer, and never after: a new process
 * takes the place of whatever has its id, once.
 *
 * mine: nonces of this process's own opens, the newest first: the accepted ones, and those whose
 * answer never came; so nobody waits for his own ghost. They are named until their server has said
 * that they are over, also when a later one was accepted: that may have been another server, or
 * the earlier one may still be on its way. A session that is still being resumed is not named: the
 * open would end it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "proto/hello.h"

struct standing {
    /* private */
    bool accepted; /* one open of this process, ever */
    unsigned count;
    struct standing_entry {
        uint8_t nonce[HELLO_NONCE_BYTES];
        bool accepted, resuming;
    } entries[HELLO_MINE_MAX]; /* the newest first. When it is full the oldest is forgotten, but
                                  neither the latest accepted one nor one that is being resumed:
                                  opens that go into the void must not push out the session that
                                  waits at the server */
};

/* No open went out yet. */
void standing_init(struct standing *s);

/* What the next open says. */
void standing_say(const struct standing *s, bool *ret_take, struct hello_nonces *ret_mine);

/* An open with this nonce goes out. */
void standing_asked(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES]);

/* Its answer: accepted, or refused (there is no such session). */
void standing_accepted(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES]);
void standing_refused(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES]);

/* The session of that open is being resumed, or is one to be kept beside; or that is over. */
void standing_resuming(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES], bool resuming);

/* The session of that open is over at both ends: its server said so. */
void standing_over(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES]);
