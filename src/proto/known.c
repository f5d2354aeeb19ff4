/* SPDX-License-Identifier: MIT */
/* Sources and ids that have proved themselves. */
#include "proto/known.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/memory.h"

enum { TEXT_MAX = 256 }; /* a source and an id; what is longer counts by its beginning */

void known_init(struct known *k, const uint8_t key[KEYED_HASH_KEY_BYTES])
{
    memory_zero(k, sizeof *k); /* its table is used page by page */
    memcpy(k->key, key, sizeof k->key);
}

static uint64_t hash_of(const struct known *k, const char *source, const char *id)
{
    char text[TEXT_MAX];
    int n = snprintf(text, sizeof text, "%s %s", source, id); /* no source has a blank */
    return keyed_hash(k->key, text, n < TEXT_MAX ? (size_t)n : TEXT_MAX - 1);
}

/* Where the entry with this hash is, also an old one; count: there is none. */
static unsigned find(const struct known_entry *table, unsigned count, uint64_t hash)
{
    unsigned i = 0;
    while (i < count && table[i].hash != hash)
        i++;
    return i;
}

static bool is_known(const struct known_entry *table, unsigned count, uint64_t hash, mtime_ms now)
{
    unsigned i = find(table, count, hash);
    return i < count && now < table[i].before;
}

static struct known_entry *next_of(struct known_entry *table, unsigned count, unsigned *next)
{
    struct known_entry *e = &table[*next];
    *next = (*next + 1) % count;
    return e;
}

static struct known_entry *source_entry(struct known *k, uint64_t source)
{
    unsigned i = find(k->sources, KNOWN_SOURCES, source);
    return i < KNOWN_SOURCES ? &k->sources[i] : next_of(k->sources, KNOWN_SOURCES, &k->next_source);
}

static struct known_entry *id_entry(struct known *k, uint64_t source, uint64_t hash)
{
    struct known_entry *oldest = NULL;
    unsigned count = 0, i = find(k->ids, KNOWN_IDS, hash);
    if (i < KNOWN_IDS)
        return &k->ids[i];
    for (struct known_entry *e = k->ids; e < k->ids + KNOWN_IDS; e++) {
        if (e->hash == 0 || e->source != source)
            continue;
        count++;
        if (!oldest || e->before < oldest->before)
            oldest = e;
    }
    if (count >= KNOWN_IDS_OF_SOURCE)
        return oldest;
    return next_of(k->ids, KNOWN_IDS, &k->next_id);
}

/* Fills e, the place of hash, from now on; whether hash was not known before. */
static bool renew(struct known_entry *e, uint64_t hash, uint64_t source, mtime_ms now)
{
    bool is_new = e->hash != hash || e->before <= now;
    *e = (struct known_entry){hash, source, now + KNOWN_MS};
    return is_new;
}

bool known_add(struct known *k, const char *source, const char *id, mtime_ms now)
{
    uint64_t at = hash_of(k, source, "");
    bool is_new = renew(source_entry(k, at), at, at, now);
    if (!*id)
        return is_new;
    uint64_t hash = hash_of(k, source, id);
    return renew(id_entry(k, at, hash), hash, at, now) || is_new;
}

bool known_source(const struct known *k, const char *source, mtime_ms now)
{
    return is_known(k->sources, KNOWN_SOURCES, hash_of(k, source, ""), now);
}

uint64_t known_id(const struct known *k, const char *source, const char *id, mtime_ms now)
{
    if (!*id)
        return 0;
    uint64_t hash = hash_of(k, source, id);
    return is_known(k->ids, KNOWN_IDS, hash, now) ? hash : 0;
}
