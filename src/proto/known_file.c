/* SPDX-License-Identifier: MIT */
/* Who is known, as bytes. */
#include "proto/known_file.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/endian.h"

enum { VERSION_AT = 7, KEY_AT = 8, WRITTEN_AT = 24, SOURCES_AT = 32, IDS_AT = 36 };

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

static enum known_file_result judge_head(const uint8_t *p, size_t n)
{
    if (n < KEY_AT || memcmp(p, magic, VERSION_AT) != 0)
        return KNOWN_FILE_DAMAGED;
    return p[VERSION_AT] == magic[VERSION_AT] ? KNOWN_FILE_OK : KNOWN_FILE_VERSION;
}

/* As long as its numbers say, and as it was written. */
static bool is_whole(const uint8_t *p, size_t n)
{
    uint8_t mark[KNOWN_FILE_MARK];
    if (n < KNOWN_FILE_HEAD + KNOWN_FILE_MARK)
        return false;
    uint32_t sources = get_le32(p + SOURCES_AT), ids = get_le32(p + IDS_AT);
    if (sources > KNOWN_SOURCES || ids > KNOWN_IDS)
        return false;
    size_t end = KNOWN_FILE_HEAD + (size_t)(sources + ids) * KNOWN_FILE_ENTRY;
    return n == end + KNOWN_FILE_MARK && mark_of(p, end, mark) &&
           memcmp(mark, p + end, sizeof mark) == 0;
}

/* KNOWN_MS from the writing at the most, and not before it; a source stands for itself. */
static bool can_be(const uint8_t *entry, bool is_source, uint64_t written)
{
    uint64_t hash = get_le64(entry), source = get_le64(entry + 8);
    uint64_t lasts = get_le64(entry + 16) - written; /* huge if it ended before */
    return hash != 0 && source != 0 && (!is_source || hash == source) && lasts <= KNOWN_MS / 1000;
}

static bool are_possible(const uint8_t *p, uint32_t sources, uint32_t ids, uint64_t written)
{
    for (uint32_t i = 0; i < sources + ids; i++)
        if (!can_be(p + (size_t)i * KNOWN_FILE_ENTRY, i < sources, written))
            return false;
    return true;
}

/* The entries that still stand at wall, into an empty table; how many. */
static unsigned read_entries(struct known_entry *table, const uint8_t *p, uint32_t count,
                             mtime_ms now, uint64_t wall)
{
    unsigned used = 0;
    for (; count > 0; count--, p += KNOWN_FILE_ENTRY) {
        uint64_t end = get_le64(p + 16);
        if (end > wall)
            table[used++] = (struct known_entry){get_le64(p), get_le64(p + 8),
                                                 now + (mtime_ms)(end - wall) * 1000};
    }
    return used;
}

enum known_file_result known_file_parse(struct known *k, const uint8_t *p, size_t n, mtime_ms now,
                                        uint64_t wall)
{
    enum known_file_result head = judge_head(p, n);
    if (head != KNOWN_FILE_OK)
        return head;
    if (!is_whole(p, n))
        return KNOWN_FILE_DAMAGED;
    uint64_t written = get_le64(p + WRITTEN_AT);
    uint32_t sources = get_le32(p + SOURCES_AT), ids = get_le32(p + IDS_AT);
    const uint8_t *of_sources = p + KNOWN_FILE_HEAD;
    const uint8_t *of_ids = of_sources + (size_t)sources * KNOWN_FILE_ENTRY;
    if (!are_possible(of_sources, sources, ids, written))
        return KNOWN_FILE_DAMAGED;
    if (written > wall && written - wall > KNOWN_FILE_SKEW_S)
        return KNOWN_FILE_FUTURE;
    wall = written > wall ? written : wall; /* as if no time had passed */
    known_init(k, p + KEY_AT);
    k->next_source = read_entries(k->sources, of_sources, sources, now, wall) % KNOWN_SOURCES;
    k->next_id = read_entries(k->ids, of_ids, ids, now, wall) % KNOWN_IDS;
    return KNOWN_FILE_OK;
}
