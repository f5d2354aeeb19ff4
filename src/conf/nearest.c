/* SPDX-License-Identifier: MIT */
/* The optimal string alignment distance, in three rows of its table. */
#include "conf/nearest.h"

#include <string.h>

void nearest_init(struct nearest *n, const char *word, size_t len)
{
    *n = (struct nearest){.word = word, .len = len, .edits = NEAREST_EDITS + 1};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Both at most NEAREST_WORD_MAX long. */
static size_t edits_between(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;

    for (size_t i = 1; i <= a_len; i++) {
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(changed, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[b_len];
}

void nearest_try(struct nearest *n, const char *name)
{
    size_t len = strlen(name);
    size_t longer = len > n->len ? len : n->len;
    if (longer > NEAREST_WORD_MAX)
        return;
    size_t edits = edits_between(n->word, n->len, name, len);
    if (edits < n->edits && 2 * edits < longer) {
        n->edits = edits;
        n->name = name;
    }
}

const char *nearest_name(const struct nearest *n)
{
    return n->name;
}
