/* SPDX-License-Identifier: MIT */
/*
 * Intrusive hash map from a 32-bit key. Entries embed a struct map_node and belong to the caller.
 * The table starts inline (an idle map holds no memory), doubles as it fills and returns to the
 * inline table when the last entry goes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"
#include "base/attr.h"

struct map_node {
    struct map_node *next;
    uint32_t key;
};

enum { MAP_INLINE = 8 };

struct map {
    struct map_node **table;
    size_t count;
    uint32_t bits; /* log2 of the table's size */
    const struct alloc *alloc;
    struct map_node *inline_table[MAP_INLINE];
};

/* m must not move in memory afterwards. alloc may be NULL (malloc) and must outlive the map. */
void map_init(struct map *m, const struct alloc *alloc);

/* Frees the table; the entries are the caller's. */
void map_fini(struct map *m);

/* The entry with this key, or NULL; of several any. */
struct map_node *map_get(const struct map *m, uint32_t key);

/* Behind map_get(): another entry with the key of n, or NULL when all were seen. */
struct map_node *map_next(const struct map_node *n);

/* Adds n under n->key. Never fails: without memory the table just stays small. Several may have one
   key, if they are few: they are looked through one by one. */
void map_put(struct map *m, struct map_node *n);

/* Takes n, which must be in the map, out of it. */
void map_del(struct map *m, struct map_node *n);

/* An entry at or after *cursor (0 at first), or NULL: to empty a map, deleting each entry it
   returns. */
struct map_node *map_any(const struct map *m, size_t *cursor);

size_t map_count(const struct map *m);
