/* SPDX-License-Identifier: MIT */
/*
 * Bytes that wait, first in, first out: an array that exists only while there are any. How many
 * there may be is the caller's business (a stream's window bounds a relay's).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Zeroed is empty. The bytes are at buf[off .. off + len), for reading only, until the next call.
 */
struct backlog {
    uint8_t *buf;
    uint32_t off, len, cap;
};

/* Appends a copy of n bytes. 0, or ERR_NOMEM (also beyond 2 GiB) and nothing has changed. */
int backlog_put(struct backlog *b, const void *p, size_t n) MUST_USE;

/* Removes the first n bytes (n <= len); the memory goes with the last one. */
void backlog_drop(struct backlog *b, size_t n);

/* Removes all. */
void backlog_clear(struct backlog *b);
