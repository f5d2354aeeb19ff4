/* SPDX-License-Identifier: MIT */
/*
 * The .mo format: a header of seven words, then two tables of {length, offset}, sorted by original
 * text, and the texts, each with a NUL behind. The hash table is optional; binary search does. A text
 * with plural forms is its forms with a NUL between each two: as a C string it is its first form.
 */
#include "base/mo.h"

#include <string.h>

#include "base/endian.h"
#include "base/err.h"

enum { HEADER_BYTES = 28, ROW_BYTES = 8 };

#define MO_MAGIC 0x950412deu

static int table_fits(const struct mo *mo, uint32_t offset)
{
    return offset <= mo->size && mo->count <= (mo->size - offset) / ROW_BYTES;
}

int mo_open(struct mo *mo, const void *data, size_t size)
{
    const uint8_t *p = data;
    *mo = (struct mo){.data = p, .size = size};
    if (size < HEADER_BYTES || get_le32(p) != MO_MAGIC || get_le32(p + 4) >> 16 != 0)
        return ERR_INVAL;
    mo->count = get_le32(p + 8);
    mo->originals = get_le32(p + 12);
    mo->translations = get_le32(p + 16);
    if (table_fits(mo, mo->originals) && table_fits(mo, mo->translations))
        return 0;
    mo->count = 0;
    return ERR_INVAL;
}

/* The i-th text of a table; NULL if it is not inside the data with its NUL. */
static const char *text_at(const struct mo *mo, uint32_t table, uint32_t i)
{
    const uint8_t *row = mo->data + table + (size_t)i * ROW_BYTES;
    size_t len = get_le32(row);
    size_t at = get_le32(row + 4);
    if (at >= mo->size || len >= mo->size - at || mo->data[at + len] != '\0')
        return NULL;
    return (const char *)mo->data + at;
}

const char *mo_find(const struct mo *mo, const char *msgid)
{
    uint32_t low = 0, high = mo->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const char *have = text_at(mo, mo->originals, mid);
        if (!have)
            return NULL;
        int order = strcmp(msgid, have);
        if (order == 0) {
            const char *text = text_at(mo, mo->translations, mid);
            return text && *text ? text : NULL;
        }
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}
