/* SPDX-License-Identifier: MIT */
/* A table of text for a terminal: columns as wide as their widest cell, also in Chinese. Private to `gotunnel status`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    TABLE_COLUMNS = 12,
    TABLE_CELL_MAX = 512, /* bytes of a cell; the rest is cut */
};

struct table {
    unsigned columns;
    bool is_right[TABLE_COLUMNS]; /* numbers */
    /* private */
    char **cells;
    size_t count, room;
    size_t widths[TABLE_COLUMNS];
    bool has_text[TABLE_COLUMNS]; /* below the heading */
    bool lacks;                   /* memory */
};

/* The next cell, from left to right; the first row is the heading. text is copied, and escaped before. */
void table_put(struct table *t, const char *text);

/* Prints what is there; columns without any text below their heading are left out. False: memory did not suffice for
   all of it. */
bool table_print(const struct table *t, FILE *out);

void table_fini(struct table *t);
