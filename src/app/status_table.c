/* SPDX-License-Identifier: MIT */
#include "app/status_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/columns.h"

static bool make_room(struct table *t)
{
    if (t->count < t->room)
        return true;
    size_t room = t->room > 0 ? 2 * t->room : 64;
    char **cells = realloc(t->cells, room * sizeof *cells);
    if (!cells)
        return false;
    t->cells = cells;
    t->room = room;
    return true;
}

void table_put(struct table *t, const char *text)
{
    char *copy = strndup(text, TABLE_CELL_MAX);
    if (!copy || t->lacks || !make_room(t)) {
        free(copy);
        t->lacks = true; /* nothing more goes into it: rows stay whole */
        return;
    }
    unsigned column = (unsigned)(t->count % t->columns);
    size_t width = columns_of(copy);
    if (width > t->widths[column])
        t->widths[column] = width;
    if (t->count >= t->columns && *copy)
        t->has_text[column] = true;
    t->cells[t->count++] = copy;
}

static void pad(FILE *out, size_t n)
{
    (void)fprintf(out, "%*s", (int)n, "");
}

/* The last column of a row that is shown is not filled up. */
static void print_row(const struct table *t, size_t row, unsigned last, FILE *out)
{
    for (unsigned i = 0; i <= last; i++) {
        const char *cell = t->cells[row * t->columns + i];
        size_t rest = t->widths[i] - columns_of(cell);
        if (!t->has_text[i])
            continue;
        if (t->is_right[i])
            pad(out, rest);
        (void)fputs(cell, out);
        if (i < last)
            pad(out, (t->is_right[i] ? 0 : rest) + 2);
    }
    (void)fputc('\n', out);
}

bool table_print(const struct table *t, FILE *out)
{
    unsigned last = t->columns;
    while (last > 0 && !t->has_text[last - 1])
        last--;
    for (size_t row = 0; last > 0 && row < t->count / t->columns; row++)
        print_row(t, row, last - 1, out);
    return !t->lacks;
}

void table_fini(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    t->cells = NULL;
    t->count = t->room = 0;
}
