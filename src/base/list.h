/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked list. A node that is in no list points to itself, so that removal is
 * idempotent and "is it queued" is one comparison.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct list {
    struct list *next, *prev;
};

/* Makes l an empty list, or a node that is in no list. */
static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

/* True for an empty list; for a node: true when it is in no list. */
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* Takes n out of whatever list it is in; harmless if it is in none. */
static inline void list_del(struct list *n)
{
    n->next->prev = n->prev;
    n->prev->next = n->next;
    list_init(n);
}

/* Puts n, which must be in no list, at the end of l. */
static inline void list_push(struct list *l, struct list *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}

/* Moves n to the end of l, out of whatever list it was in. */
static inline void list_move(struct list *l, struct list *n)
{
    list_del(n);
    list_push(l, n);
}

/* Moves all nodes of src to the end of dst; src is empty afterwards. */
static inline void list_splice(struct list *dst, struct list *src)
{
    if (list_empty(src))
        return;
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    list_init(src);
}

/* First node, or NULL. */
static inline struct list *list_first(const struct list *l)
{
    return list_empty(l) ? NULL : l->next;
}

/* The struct of type t whose member m is node n. */
#define LIST_ENTRY(n, t, m) CONTAINER_OF(n, t, m)

#define list_foreach(it, l) for (struct list *it = (l)->next; it != (l); it = it->next)
