/* SPDX-License-Identifier: MIT */
/* The count of connections that have not authenticated, and whom a newcomer replaces. */
#include "proto/admission.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "proto/hash.h"

void admission_init(struct admission *a, struct rng *rng)
{
    memset(a, 0, sizeof *a);
    a->rng = rng;
    list_init(&a->all);
    for (size_t i = 0; i < ARRAY_LEN(a->groups); i++)
        list_init(&a->groups[i].entries);
    admission_limit(a, ADMISSION_MAX, ADMISSION_SOURCE_MAX);
}

void admission_limit(struct admission *a, uint32_t max, uint32_t source_max)
{
    a->max = max < ADMISSION_MAX ? max : ADMISSION_MAX;
    a->source_max = source_max;
}

static struct admission_entry *oldest_of(const struct admission_group *g)
{
    return LIST_ENTRY(g->entries.next, struct admission_entry, node);
}

void admission_remove(struct admission *a, struct admission_entry *e)
{
    struct admission_group *g = e->group;
    if (!g)
        return;
    list_del(&e->node);
    list_del(&e->by_age);
    e->group = NULL;
    a->count--;
    if (--g->count == 0)
        g->source = NULL;
    else /* the text of an entry that has gone may go with it */
        g->source = LIST_ENTRY(g->entries.prev, struct admission_entry, node)->source;
}

/* The source's group, or NULL; *ret_free is a group nobody uses, or NULL. */
static struct admission_group *find(struct admission *a, const char *source, uint64_t key,
                                    struct admission_group **ret_free)
{
    *ret_free = NULL;
    for (size_t i = 0; i < ARRAY_LEN(a->groups); i++) {
        struct admission_group *g = &a->groups[i];
        if (!g->source)
            *ret_free = g;
        else if (g->key == key && strcmp(g->source, source) == 0)
            return g;
    }
    return NULL;
}

/* How many connections the sources with the most have, and how many such sources there are. */
static uint32_t most_of_one(const struct admission *a, uint32_t *ret_sources)
{
    uint32_t most = 0;
    *ret_sources = 0;
    for (size_t i = 0; i < ARRAY_LEN(a->groups); i++) {
        uint32_t count = a->groups[i].count;
        if (count > most)
            *ret_sources = 0;
        most = count > most ? count : most;
        *ret_sources += count == most;
    }
    return most;
}

/* Of the oldest connections of the sources that have the most, one of the older half. At least one
   is counted. */
static struct admission_entry *victim_of_all(struct admission *a)
{
    uint32_t sources, most = most_of_one(a, &sources);
    uint32_t older =
        a->rng ? rng_below(a->rng, (sources + 1) / 2) : 0; /* so many are older still */
    struct admission_entry *e = NULL;
    list_foreach (n, &a->all) {
        e = LIST_ENTRY(n, struct admission_entry, by_age);
        if (e->group->count == most && oldest_of(e->group) == e && older-- == 0)
            break;
    }
    return e;
}

/* Whether somebody has to go for one more: surely at the bound, by chance from half of it on. */
static bool is_crowded(struct admission *a)
{
    uint32_t half = a->max / 2;
    if (!a->rng || a->count <= half || a->count >= a->max)
        return a->count >= a->max;
    return rng_below(a->rng, a->max - half) < a->count - half;
}

void admission_spare(struct admission_entry *e, mtime_ms until)
{
    e->spared_until = until;
}

mtime_ms admission_room_at(struct admission *a, const char *source)
{
    if (a->count < a->max && a->count < a->source_max)
        return 0;
    struct admission_group *unused, *g = find(a, source, hash_text(source), &unused);
    const struct admission_entry *victim = NULL;
    uint32_t own = g ? g->count : 0;
    if (own >= a->source_max)
        victim = oldest_of(g);
    else if (a->count >= a->max)
        victim = victim_of_all(a);
    return victim && victim->group->count <= 2 * (own + 1) ? victim->spared_until : 0;
}

struct admission_entry *admission_add(struct admission *a, struct admission_entry *e,
                                      const char *source)
{
    uint64_t key = hash_text(source);
    struct admission_group *unused, *g = find(a, source, key, &unused);
    struct admission_entry *victim = NULL;

    if (g && g->count >= a->source_max)
        victim = oldest_of(g);
    else if (is_crowded(a))
        victim = victim_of_all(a);
    if (victim) {
        struct admission_group *freed = victim->group;
        admission_remove(a, victim);
        if (!freed->source) {
            unused = freed;
            g = g == freed ? NULL : g;
        }
    }
    if (!g) {
        g = unused; /* there is one: every group in use has an entry, and fewer are counted */
        g->key = key;
    }
    g->source = e->source = source;
    e->spared_until = 0;
    g->count++;
    e->group = g;
    list_push(&g->entries, &e->node);
    list_push(&a->all, &e->by_age);
    a->count++;
    return victim;
}
