/* SPDX-License-Identifier: MIT */
/*
 * Bytes that wait, first in, first out: a ring that exists only while there are any. How many there
 * may be is the caller's business (a stream's window bounds a relay's). Bytes are copied once when
 * they come and never moved but when the ring grows: what waits may be megabytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/attr.h"

/* Zeroed is empty. */
struct backlog {
    uint8_t *buf; /* the bytes begin at off, and go on at the beginning of buf */
    uint32_t off, len, cap;
};

/* Appends a copy of n bytes. 0, or ERR_NOMEM (also beyond 2 GiB) and nothing has changed. */
int backlog_put(struct backlog *b, const void *p, size_t n) MUST_USE;

/* All bytes in order, in one or two pieces; 0 when there are none. Valid until the next call that
   changes b. */
int backlog_pieces(const struct backlog *b, struct iovec ret[2]);

/* Removes the first n bytes (n <= len); the memory goes with the last one. */
void backlog_drop(struct backlog *b, size_t n);

/* Removes all. */
void backlog_clear(struct backlog *b);
