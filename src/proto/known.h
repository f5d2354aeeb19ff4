/* SPDX-License-Identifier: MIT */
/*
 * Who has proved itself in the last 24 hours: sources (an IPv4 address, an IPv6 /64), and which ids
 * came from them. So a client of ours is told from a stranger before it has said a word, and keeps
 * what a flood of strangers, or a guesser behind the same address, would take from it.
 *
 * Two tables of fixed size with keyed hashes, no addresses and no names. A new entry takes the
 * place of the one that was made first; of the ids of one source, beyond KNOWN_IDS_OF_SOURCE, of
 * that source's own oldest: a source with many names forgets nobody else's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/mtime.h"
#include "proto/keyed_hash.h"

enum {
    KNOWN_SOURCES = 1024,
    KNOWN_IDS = 1024,
    KNOWN_IDS_OF_SOURCE = 64, /* clients behind one address */
    KNOWN_MS = 24 * 3600 * 1000,
};

struct known_entry {
    uint64_t hash;   /* of a source, or of a source and an id; 0: unused */
    uint64_t source; /* hash of the source alone */
    mtime_ms before; /* not known any more */
};

struct known {
    /* private */
    uint8_t key[KEYED_HASH_KEY_BYTES];
    struct known_entry sources[KNOWN_SOURCES], ids[KNOWN_IDS];
    unsigned next_source, next_id;
};

/* Empty; key: random bytes that nobody else knows. */
void known_init(struct known *k, const uint8_t key[KEYED_HASH_KEY_BYTES]);

/* source (any text that stands for "the same peer") has proved itself at now, as id; "": it has
   none. True: source, or id there, was not known before; else only their day begins anew. */
bool known_add(struct known *k, const char *source, const char *id, mtime_ms now);

bool known_source(const struct known *k, const char *source, mtime_ms now);

/* A number for id at source, never 0, if it is known; else 0, also for "". */
uint64_t known_id(const struct known *k, const char *source, const char *id, mtime_ms now);
