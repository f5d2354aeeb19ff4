/* SPDX-License-Identifier: MIT */
/*
 * Target: known_file_parse() and known_file_write(), the file of who is known.
 *
 * The first byte of the input says where the clock is beside the writing, and how the rest becomes
 * the file: as it is, or with a beginning and a mark that are right, so that the fuzzer gets past
 * them; or with numbers of entries that fit its length as well.
 *
 *   - bytes are taken or refused; refused ones leave the table as it was;
 *   - what is taken is in bounds, ends within a day from now, and comes back the same from what is
 *     written of it.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <string.h>

#include "base/endian.h"
#include "proto/known_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1000000, WRITTEN_AT = 24, SOURCES_AT = 32, IDS_AT = 36, DAY = KNOWN_MS / 1000 };
enum { RAW, SIGNED, FITTING, WAYS };

static const int64_t clocks[] = {0,       1,  -1, 3600, -KNOWN_FILE_SKEW_S, -KNOWN_FILE_SKEW_S - 1,
                                 DAY - 1, DAY};

static uint8_t file[KNOWN_FILE_MAX + 64];

static size_t make_file(const uint8_t *p, size_t n, int way)
{
    n = n < sizeof file ? n : sizeof file;
    memcpy(file, p, n);
    if (way == RAW || n < KNOWN_FILE_HEAD + KNOWN_FILE_MARK)
        return n;
    memcpy(file, "GTKNOWN1", 8);
    size_t end = n - KNOWN_FILE_MARK;
    if (way == FITTING) {
        uint32_t count = (uint32_t)((end - KNOWN_FILE_HEAD) / KNOWN_FILE_ENTRY);
        uint32_t sources = get_le32(file + SOURCES_AT) % (count + 1);
        end = KNOWN_FILE_HEAD + (size_t)count * KNOWN_FILE_ENTRY;
        put_le32(file + SOURCES_AT, sources);
        put_le32(file + IDS_AT, count - sources);
    }
    if (!HMAC(EVP_sha256(), file + 8, KEYED_HASH_KEY_BYTES, file, end, file + end, NULL))
        return 0;
    return end + KNOWN_FILE_MARK;
}

static void check_entries(const struct known_entry *table, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (table[i].hash == 0) {
            assert(table[i].source == 0 && table[i].before == 0);
            continue;
        }
        assert(table[i].source != 0);
        assert(table[i].before > NOW && table[i].before <= NOW + KNOWN_MS);
    }
}

/* What is taken can be written, and says the same again, key and order included. */
static void check_again(const struct known *k, uint64_t wall)
{
    static struct known again;
    static uint8_t out[KNOWN_FILE_MAX];
    size_t n = known_file_write(k, NOW, wall, out);
    assert(n >= KNOWN_FILE_HEAD + KNOWN_FILE_MARK);
    memset(&again, 0xa5, sizeof again);
    assert(known_file_parse(&again, out, n, NOW, wall) == KNOWN_FILE_OK);
    assert(memcmp(&again, k, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct known k, before;
    if (size == 0)
        return 0;
    size_t n = make_file(data + 1, size - 1, data[0] % WAYS);
    int64_t clock = clocks[data[0] / WAYS % (sizeof clocks / sizeof *clocks)];
    uint64_t written = n >= KNOWN_FILE_HEAD ? get_le64(file + WRITTEN_AT) : 0;
    uint64_t wall = written + (uint64_t)clock;
    memset(&before, 0x5a, sizeof before);
    memset(&k, 0x5a, sizeof k);
    if (known_file_parse(&k, file, n, NOW, wall) != KNOWN_FILE_OK) {
        assert(memcmp(&k, &before, sizeof k) == 0);
        return 0;
    }
    assert(k.next_source < KNOWN_SOURCES && k.next_id < KNOWN_IDS);
    check_entries(k.sources, KNOWN_SOURCES);
    check_entries(k.ids, KNOWN_IDS);
    check_again(&k, wall);
    return 0;
}
