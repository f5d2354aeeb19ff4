/* SPDX-License-Identifier: MIT */
/*
 * The outgoing byte ring of a session, with three marks:
 *
 *     | free ... | sent, not released | staged, not sent | free ... |
 *                ^ released           ^ sent             ^ staged
 *
 * Marks are cumulative byte counts from 0 that only grow. On the legacy wire a byte is released as
 * it is sent; a protocol with acknowledgements releases later, and may set `sent` back to
 * `released` to send again. The memory is mapped twice in a row, so any reserved or unsent span is
 * one piece although it wraps. An empty ring starts again at its beginning, to stay in the cache.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { RING_TRIM_MAX = 1024 };

struct ring {
    uint8_t *base; /* mapped twice: base[i] and base[i + size] are the same byte */
    size_t size;
    uint64_t released, sent, staged;
    uint64_t origin; /* the count that stands at base[0] */
};

/* size is rounded up to whole pages. 0, or ERR_NOMEM. */
int ring_init(struct ring *r, size_t size) MUST_USE;

/* Unmaps. Harmless on a zeroed or already finished ring. */
void ring_fini(struct ring *r);

/* Bytes that can still be reserved. */
size_t ring_room(const struct ring *r);

/* Where the next n staged bytes go; NULL if there is less room. Valid until the next commit. */
uint8_t *ring_reserve(struct ring *r, size_t n);

/* n reserved and filled bytes are now staged. */
void ring_commit(struct ring *r, size_t n);

/* The staged, unsent bytes in one piece; *ret_n is 0 when there are none. */
const uint8_t *ring_unsent(const struct ring *r, size_t *ret_n);

/* n of the unsent bytes have been sent. */
void ring_advance(struct ring *r, size_t n);

/* Everything before the count upto (released <= upto <= sent) is not needed any more. */
void ring_release(struct ring *r, uint64_t upto);

/* Back to the count upto (released <= upto <= staged): what is before it is released, what is from
   there on is unsent, whatever was sent already. */
void ring_rewind(struct ring *r, uint64_t upto);

/* Moves what is in the ring to a new one of this size (rounded up), which must hold it. 0, or
   ERR_NOMEM: nothing has changed. */
int ring_resize(struct ring *r, size_t size) MUST_USE;

/* Gives the memory of a ring with next to nothing in it (RING_TRIM_MAX) back to the system; it
   comes back as it is used. Otherwise nothing happens. What is in the ring moves. */
void ring_trim(struct ring *r);
