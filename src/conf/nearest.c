/* SPDX-License-Identifier: MIT */
/* Edit distance, with neighbours that change places (optimal string alignment). */
#include "conf/nearest.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Both at most NEAREST_MAX bytes. Three rows of the usual table: this one, the last, the one before. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned rows[3][NEAREST_MAX + 1];
    for (unsigned j = 0; j <= m; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= m; j++) {
            row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void nearest_try(struct nearest *n, const char *typed, const char *known)
{
    size_t len = strlen(typed), known_len = strlen(known);
    if (len == 0 || len > NEAREST_MAX || known_len > NEAREST_MAX)
        return;
    unsigned d = distance(typed, len, known, known_len);
    unsigned most = len <= 3 || known_len <= 3 ? 1 : 2;
    if (d <= most && (!n->word || d < n->distance))
        *n = (struct nearest){known, d};
}
