/* SPDX-License-Identifier: MIT */
/* A chained hash map with power-of-two tables. */
#include "base/map.h"

#include <assert.h>
#include <string.h>

enum { INLINE_BITS = 3 };

/* Fibonacci hashing: stream ids are all even or all odd, so the low bits alone would not do. */
static size_t slot(const struct map *m, uint32_t key)
{
    return (uint32_t)(key * 2654435769u) >> (32 - m->bits);
}

static void use_inline(struct map *m)
{
    memset(m->inline_table, 0, sizeof m->inline_table);
    m->table = m->inline_table;
    m->bits = INLINE_BITS;
}

void map_init(struct map *m, const struct alloc *alloc)
{
    m->count = 0;
    m->alloc = alloc;
    use_inline(m);
}

void map_fini(struct map *m)
{
    if (m->table != m->inline_table)
        alloc_put(m->alloc, m->table);
    use_inline(m);
    m->count = 0;
}

struct map_node *map_get(const struct map *m, uint32_t key)
{
    struct map_node *n = m->table[slot(m, key)];
    while (n && n->key != key)
        n = n->next;
    return n;
}

struct map_node *map_next(const struct map_node *n)
{
    struct map_node *o = n->next;
    while (o && o->key != n->key)
        o = o->next;
    return o;
}

static void link_in(struct map *m, struct map_node *n)
{
    struct map_node **at = &m->table[slot(m, n->key)];
    n->next = *at;
    *at = n;
}

static void grow(struct map *m)
{
    size_t old_size = (size_t)1 << m->bits;
    struct map_node **old = m->table;
    if (m->bits >= 28)
        return;
    struct map_node **table = alloc_get(m->alloc, 2 * old_size * sizeof *table);
    if (!table)
        return;
    memset(table, 0, 2 * old_size * sizeof *table);
    m->table = table;
    m->bits++;
    for (size_t i = 0; i < old_size; i++) {
        for (struct map_node *n = old[i], *next; n; n = next) {
            next = n->next;
            link_in(m, n);
        }
    }
    if (old != m->inline_table)
        alloc_put(m->alloc, old);
}

void map_put(struct map *m, struct map_node *n)
{
    if (m->count >= (size_t)1 << m->bits)
        grow(m);
    link_in(m, n);
    m->count++;
}

void map_del(struct map *m, struct map_node *n)
{
    struct map_node **at = &m->table[slot(m, n->key)];
    while (*at != n) {
        assert(*at); /* n is in the map */
        at = &(*at)->next;
    }
    *at = n->next;
    if (--m->count == 0)
        map_fini(m);
}

struct map_node *map_any(const struct map *m, size_t *cursor)
{
    for (; m->count > 0 && *cursor < (size_t)1 << m->bits; ++*cursor)
        if (m->table[*cursor])
            return m->table[*cursor];
    return NULL;
}

size_t map_count(const struct map *m)
{
    return m->count;
}
