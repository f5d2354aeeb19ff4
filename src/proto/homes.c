/* SPDX-License-Identifier: MIT */
/* Sources of sessions, each with a list of who is there. */
#include "proto/homes.h"

#include <string.h>

#include "base/attr.h"

void homes_init(struct homes *h, const uint8_t key[KEYED_HASH_KEY_BYTES])
{
    memcpy(h->key, key, sizeof h->key);
    map_init(&h->sources, NULL);
}

static uint32_t number_of(const struct homes *h, const char *source)
{
    return (uint32_t)keyed_hash(h->key, source, strlen(source));
}

void homes_enter(struct homes *h, struct home *e, const char *source)
{
    homes_leave(h, e);
    list_init(&e->others);
    e->node.key = number_of(h, source);
    struct map_node *first = map_get(&h->sources, e->node.key);
    if (first)
        list_push(&CONTAINER_OF(first, struct home, node)->others, &e->others);
    else
        map_put(&h->sources, &e->node);
}

void homes_leave(struct homes *h, struct home *e)
{
    if (!e->others.next)
        return;
    struct list *next = list_first(&e->others);
    list_del(&e->others);
    e->others.next = NULL;
    if (map_get(&h->sources, e->node.key) != &e->node)
        return; /* another stands for all */
    map_del(&h->sources, &e->node);
    if (next)
        map_put(&h->sources, &LIST_ENTRY(next, struct home, others)->node);
}

bool homes_has(const struct homes *h, const char *source)
{
    return map_get(&h->sources, number_of(h, source)) != NULL;
}
