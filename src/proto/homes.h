/* SPDX-License-Identifier: MIT */
/*
 * Where clients with a session are at home: the sources (proto/known.h) from which they came last.
 * known forgets beyond its 1,024 sources; this counts every one that is there, and is asked for each
 * connection that would be refused, so nothing here looks at all of them.
 *
 * A source is a keyed number of 32 bits: of strangers one in 4 billion for each home is taken for it,
 * and nobody can look for such a source.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "proto/keyed_hash.h"

/* Embedded in what the owner keeps for a session; zeroed: at home nowhere. */
struct home {
    /* private */
    struct map_node node; /* in sources: of those at one source, one stands for all */
    struct list others;   /* at the same source; next is NULL: nowhere */
};

struct homes {
    /* private */
    uint8_t key[KEYED_HASH_KEY_BYTES];
    struct map sources; /* no memory of its own while it is empty */
};

/* Empty; h must not move. key: random bytes that nobody else knows. */
void homes_init(struct homes *h, const uint8_t key[KEYED_HASH_KEY_BYTES]);

/* e is at home at source (any text that stands for "the same peer") from now on, and nowhere else. Never
   fails. */
void homes_enter(struct homes *h, struct home *e, const char *source);

/* e is at home nowhere. Harmless if it was not. */
void homes_leave(struct homes *h, struct home *e);

bool homes_has(const struct homes *h, const char *source);
