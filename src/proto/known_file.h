/* SPDX-License-Identifier: MIT */
/*
 * The table of who is known, as bytes that can be kept over a restart. They hold the table's key:
 * who reads them can tell whether an address is in it, so they are for our eyes alone.
 *
 * Little-endian: "GTKNOWN1", key, wall seconds of writing (8), number of sources (4) and of ids (4);
 * each entry 8 bytes of hash, of source and of the wall second when it ends, the one made first
 * first; at the end the HMAC-SHA256 of all that under the key, against torn and damaged files.
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
};

enum known_file_result {
    KNOWN_FILE_OK,
    KNOWN_FILE_DAMAGED,
    KNOWN_FILE_FUTURE, /* written later than now: a clock was set back */
};

/* Writes what is known at now, which is wall seconds since 1970; the size, or 0 without memory. */
size_t known_file_write(const struct known *k, mtime_ms now, uint64_t wall,
                        uint8_t out[KNOWN_FILE_MAX]);

/* Fills k with what n bytes hold; nothing is known longer than the file says, nor than KNOWN_MS.
   Unless KNOWN_FILE_OK, k stays as it was. */
enum known_file_result known_file_parse(struct known *k, const uint8_t *p, size_t n, mtime_ms now,
                                        uint64_t wall);
