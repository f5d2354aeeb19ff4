/* SPDX-License-Identifier: MIT */
/* Budgets of log lines by who causes them. */
#include "server/told.h"

#include <stdio.h>
#include <string.h>

enum { WHO_MAX = 128 }; /* a key's name, or an address */

/* A key that is called like an address is not that address. */
static uint64_t hash_who(const struct told *t, const char *key, const char *source)
{
    char who[WHO_MAX];
    (void)snprintf(who, sizeof who, "%c%s", *key ? 'k' : 's', *key ? key : source);
    return keyed_hash(t->key, who, strlen(who));
}

/* Its slot, or the first that nobody needs, or the last one, as it is. With the lock. */
static struct told_slot *told_slot(struct told *t, uint64_t who, mtime_ms now)
{
    struct told_slot *unused = NULL;
    for (unsigned i = 0; i < TOLD_SLOTS; i++) {
        struct told_slot *s = &t->slots[i];
        if (s->who == who)
            return s;
        if (!unused && (s->who == 0 || now - s->used_at >= TOLD_REST_MS))
            unused = s;
    }
    if (!unused)
        return &t->slots[TOLD_SLOTS - 1];
    *unused = (struct told_slot){.who = who};
    return unused;
}

void told_init(struct told *t, struct rng *rng)
{
    *t = (struct told){.lock = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < sizeof t->key; i++)
        t->key[i] = (uint8_t)rng->next(rng);
}

bool told_take(struct told *t, const char *key, const char *source, enum told_kind kind,
               mtime_ms now, unsigned *ret_left_out)
{
    uint64_t who = hash_who(t, key, source);
    pthread_mutex_lock(&t->lock);
    struct told_slot *s = told_slot(t, who, now);
    s->used_at = now;
    bool may = log_budget_take(&s->of[kind], now, ret_left_out);
    pthread_mutex_unlock(&t->lock);
    return may;
}

unsigned told_left_out(struct told *t, const char *key, const char *source, mtime_ms now)
{
    uint64_t who = hash_who(t, key, source);
    pthread_mutex_lock(&t->lock);
    struct told_slot *s = told_slot(t, who, now);
    unsigned n = log_budget_left_out(&s->of[TOLD_LIFE]) + log_budget_left_out(&s->of[TOLD_USERS]);
    pthread_mutex_unlock(&t->lock);
    return n;
}
