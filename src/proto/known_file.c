/* SPDX-License-Identifier: MIT */
/* Who is known, as bytes. */
#include "proto/known_file.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/endian.h"

enum { DAY = KNOWN_MS / 1000, KEY_AT = 8, WRITTEN_AT = 24, SOURCES_AT = 32, IDS_AT = 36 };

static const char magic[] = "GTKNOWN1";

static bool mark_of(const uint8_t *p, size_t n, uint8_t mark[KNOWN_FILE_MARK])
{
    return HMAC(EVP_sha256(), p + KEY_AT, KEYED_HASH_KEY_BYTES, p, n, mark, NULL) != NULL;
}

/* Writes the entries that still stand, from the one made first on; their number. */
static uint32_t write_entries(const struct known_entry *table, unsigned count, unsigned first,
                              mtime_ms now, uint64_t wall, uint8_t *out)
{
    uint32_t written = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct known_entry *e = &table[(first + i) % count];
        if (e->hash == 0 || e->before - now < 1000)
            continue;
        put_le64(out, e->hash);
        put_le64(out + 8, e->source);
        put_le64(out + 16, wall + (uint64_t)(e->before - now) / 1000);
        out += KNOWN_FILE_ENTRY;
        written++;
    }
    return written;
}

size_t known_file_write(const struct known *k, mtime_ms now, uint64_t wall,
                        uint8_t out[KNOWN_FILE_MAX])
{
    size_t n = KNOWN_FILE_HEAD;
    memcpy(out, magic, KEY_AT);
    memcpy(out + KEY_AT, k->key, sizeof k->key);
    put_le64(out + WRITTEN_AT, wall);
    uint32_t sources = write_entries(k->sources, KNOWN_SOURCES, k->next_source, now, wall, out + n);
    n += (size_t)sources * KNOWN_FILE_ENTRY;
    uint32_t ids = write_entries(k->ids, KNOWN_IDS, k->next_id, now, wall, out + n);
    n += (size_t)ids * KNOWN_FILE_ENTRY;
    put_le32(out + SOURCES_AT, sources);
    put_le32(out + IDS_AT, ids);
    return mark_of(out, n, out + n) ? n + KNOWN_FILE_MARK : 0;
}

static bool whole(const uint8_t *p, size_t n)
{
    uint8_t mark[KNOWN_FILE_MARK];
    if (n < KNOWN_FILE_HEAD + KNOWN_FILE_MARK || memcmp(p, magic, KEY_AT) != 0)
        return false;
    uint32_t sources = get_le32(p + SOURCES_AT), ids = get_le32(p + IDS_AT);
    if (sources > KNOWN_SOURCES || ids > KNOWN_IDS)
        return false;
    size_t end = KNOWN_FILE_HEAD + (size_t)(sources + ids) * KNOWN_FILE_ENTRY;
    return n == end + KNOWN_FILE_MARK && mark_of(p, end, mark) &&
           memcmp(mark, p + end, sizeof mark) == 0;
}

/* Reads count entries into table; *used: those that still stand. False: one cannot be right. */
static bool read_entries(struct known_entry *table, const uint8_t *p, uint32_t count,
                         uint64_t written, mtime_ms now, uint64_t wall, unsigned *used)
{
    for (; count > 0; count--, p += KNOWN_FILE_ENTRY) {
        struct known_entry e = {.hash = get_le64(p), .source = get_le64(p + 8)};
        uint64_t end = get_le64(p + 16);
        if (e.hash == 0 || e.source == 0 || end <= written || end - written > DAY)
            return false;
        if (end <= wall)
            continue;
        e.before = now + (mtime_ms)(end - wall) * 1000;
        table[(*used)++] = e;
    }
    return true;
}

enum known_file_result known_file_parse(struct known *k, const uint8_t *p, size_t n, mtime_ms now,
                                        uint64_t wall)
{
    static _Thread_local struct known t; /* 48 KB: not for a stack */
    if (!whole(p, n))
        return KNOWN_FILE_DAMAGED;
    uint64_t written = get_le64(p + WRITTEN_AT);
    if (written > wall)
        return KNOWN_FILE_FUTURE;
    uint32_t sources = get_le32(p + SOURCES_AT), ids = get_le32(p + IDS_AT);
    const uint8_t *entries = p + KNOWN_FILE_HEAD;
    known_init(&t, p + KEY_AT);
    if (!read_entries(t.sources, entries, sources, written, now, wall, &t.next_source) ||
        !read_entries(t.ids, entries + (size_t)sources * KNOWN_FILE_ENTRY, ids, written, now, wall,
                      &t.next_id))
        return KNOWN_FILE_DAMAGED;
    t.next_source %= KNOWN_SOURCES;
    t.next_id %= KNOWN_IDS;
    *k = t;
    return KNOWN_FILE_OK;
}
