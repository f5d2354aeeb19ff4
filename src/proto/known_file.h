/* SPDX-License-Identifier: MIT */
/*
 * The table of who is known, as bytes that can be kept over a restart. No address and no name is in
 * them, but the table's key is: who reads them can try whether an address is in it, and so they are
 * for our eyes alone.
 *
 * Little-endian: "GTKNOWN1" (the digit is the version), key, wall seconds of writing (8), number of sources (4) and of ids (4);
 * each entry 8 bytes of hash, of source and of the wall second when it ends, the one made first
 * first; at the end the HMAC-SHA256 of all that under the key, against torn and damaged files.
 *
 * Wall clocks are set and run wrong. An entry never counts for longer than is left of its day, by
 * the clock from writing to reading and by ours from there on. Who reads with a clock that is behind
 * the writing by a little takes it that no time has passed, by more: that the file says nothing.
 */
#pragma once

#include <stddef.h>

#include "proto/known.h"

enum {
    KNOWN_FILE_HEAD = 8 + KEYED_HASH_KEY_BYTES + 8 + 4 + 4,
    KNOWN_FILE_ENTRY = 24,
    KNOWN_FILE_MARK = 32,
    KNOWN_FILE_MAX =
        KNOWN_FILE_HEAD + (KNOWN_SOURCES + KNOWN_IDS) * KNOWN_FILE_ENTRY + KNOWN_FILE_MARK,
    KNOWN_FILE_SKEW_S = 300, /* clocks are stepped so far back at a start */
};

enum known_file_result {
    KNOWN_FILE_OK,
    KNOWN_FILE_DAMAGED, /* or never one of ours */
    KNOWN_FILE_VERSION, /* of another version */
    KNOWN_FILE_FUTURE,  /* written later than now: a clock was set back */
};

/* Writes what is known at now, which is wall seconds since 1970; the size, or 0 without memory. */
size_t known_file_write(const struct known *k, mtime_ms now, uint64_t wall,
                        uint8_t out[KNOWN_FILE_MAX]);

/* Fills k, its key included, with what n bytes hold and still stands at now, which is wall seconds
   since 1970. Unless KNOWN_FILE_OK, k stays as it was. */
enum known_file_result known_file_parse(struct known *k, const uint8_t *p, size_t n, mtime_ms now,
                                        uint64_t wall);
