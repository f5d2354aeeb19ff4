/* SPDX-License-Identifier: MIT */
/* Counting wrong secrets in a table of fixed size. */
#include "proto/ratelimit.h"

#include <stdlib.h>

#include "base/err.h"
#include "proto/hash.h"

struct ratelimit_source {
    uint64_t key;   /* hash of the source; two sources with one hash share a count */
    mtime_ms since; /* when its minute began */
    uint32_t count; /* failures in it, and half of the former ones; 0: nothing to remember */
};

int ratelimit_init(struct ratelimit *rl)
{
    rl->table = calloc((size_t)RATELIMIT_SETS * RATELIMIT_WAYS, sizeof *rl->table);
    return rl->table ? 0 : ERR_NOMEM;
}

void ratelimit_fini(struct ratelimit *rl)
{
    free(rl->table);
    rl->table = NULL;
}

/* What is left of a count after a number of whole minutes. */
static uint32_t decayed(uint32_t count, mtime_ms minutes)
{
    for (; minutes > 0 && count > 0; minutes--)
        count = count > RATELIMIT_FREE ? count / 2 : 0;
    return count;
}

/* Ends the source's minute if it is over. */
static void roll(struct ratelimit_source *s, mtime_ms now)
{
    mtime_ms age = now - s->since;
    if (s->count > 0 && age < RATELIMIT_WINDOW_MS)
        return;
    s->count = decayed(s->count, age / RATELIMIT_WINDOW_MS);
    s->since = now;
}

static uint32_t count_at(const struct ratelimit_source *s, mtime_ms now)
{
    return decayed(s->count, (now - s->since) / RATELIMIT_WINDOW_MS);
}

/* The source's place, or the one it takes over. */
static struct ratelimit_source *find(struct ratelimit *rl, uint64_t key, mtime_ms now)
{
    struct ratelimit_source *set = &rl->table[key % RATELIMIT_SETS * RATELIMIT_WAYS];
    struct ratelimit_source *least = set;
    for (struct ratelimit_source *s = set; s < set + RATELIMIT_WAYS; s++) {
        if (s->count > 0 && s->key == key)
            return s;
        if (count_at(s, now) < count_at(least, now))
            least = s;
    }
    least->key = key; /* and goes on from its count */
    return least;
}

static uint32_t delay_of(uint32_t count)
{
    if (count <= RATELIMIT_FREE)
        return 0;
    uint32_t ms = (count - RATELIMIT_FREE) * RATELIMIT_STEP_MS;
    return ms < RATELIMIT_DELAY_MAX ? ms : RATELIMIT_DELAY_MAX;
}

struct ratelimit_verdict ratelimit_failure(struct ratelimit *rl, const char *source, mtime_ms now)
{
    struct ratelimit_source *s = find(rl, hash_text(source), now);
    struct ratelimit_verdict v = {0};
    roll(s, now);
    if (s->count < RATELIMIT_COUNT_MAX)
        s->count++;
    v.delay_ms = delay_of(s->count);
    v.begins = s->count == RATELIMIT_FREE + 1;
    return v;
}
