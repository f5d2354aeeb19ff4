/* SPDX-License-Identifier: MIT */
/* Failures of the last minute, per source and network, in tables of fixed size. */
#include "proto/penalty.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static const struct level {
    unsigned sets, failures, v6_bytes; /* of an IPv6 address, that name it */
} levels[PENALTY_LEVELS] = {
    {PENALTY_SOURCE_SETS, PENALTY_FAILURES, 8},
    {PENALTY_NET_SETS, PENALTY_NET56_FAILURES, 7},
    {PENALTY_NET_SETS, PENALTY_NET48_FAILURES, 6},
};

static size_t record_bytes(unsigned level)
{
    return sizeof(struct penalty_record) + levels[level].failures * sizeof(struct penalty_failure);
}

int penalties_init(struct penalties *p, const uint8_t key[KEYED_HASH_KEY_BYTES])
{
    memset(p, 0, sizeof *p);
    memcpy(p->key, key, sizeof p->key);
    for (unsigned i = 0; i < PENALTY_LEVELS; i++) {
        p->tables[i] = calloc((size_t)levels[i].sets * PENALTY_WAYS, record_bytes(i));
        if (!p->tables[i]) {
            penalties_fini(p);
            return ERR_NOMEM;
        }
    }
    return 0;
}

void penalties_fini(struct penalties *p)
{
    for (unsigned i = 0; i < PENALTY_LEVELS; i++) {
        free(p->tables[i]);
        p->tables[i] = NULL;
    }
}

struct penalty_source penalties_source(const struct penalties *p, const struct address *from)
{
    struct penalty_source s = {{0}};
    uint8_t text[1 + sizeof from->ip] = {(uint8_t)from->family};
    for (unsigned i = 0; i < PENALTY_LEVELS; i++) {
        bool is_v6 = from->family == ADDRESS_IPV6;
        size_t n = is_v6 ? levels[i].v6_bytes : 4;
        if (i > 0 && !is_v6)
            break;
        memcpy(text + 1, from->ip, n);
        s.keys[i] = keyed_hash(p->key, text, 1 + n);
    }
    return s;
}

/* ---- one record ---- */

static bool is_fresh(const struct penalty_failure *f, mtime_ms now)
{
    return f->at > 0 && now - f->at < PENALTY_MINUTE_MS;
}

static unsigned count(const struct penalty_record *r, unsigned level, mtime_ms now)
{
    unsigned n = 0;
    for (unsigned i = 0; i < levels[level].failures; i++)
        n += is_fresh(&r->failures[i], now);
    return n;
}

static bool is_penalised(const struct penalty_record *r, unsigned level, mtime_ms now)
{
    unsigned n = count(r, level, now);
    return n >= levels[level].failures || (r->is_penalised && n >= PENALTY_FAILURES);
}

/* Where a failure of who is noted: over its own oldest if it has its share of the record, else over
   the oldest of all. */
static struct penalty_failure *place_for(struct penalty_record *r, unsigned level, uint64_t who,
                                         mtime_ms now)
{
    struct penalty_failure *oldest = &r->failures[0], *own = NULL;
    unsigned share = 0;
    for (unsigned i = 0; i < levels[level].failures; i++) {
        struct penalty_failure *f = &r->failures[i];
        if (f->at < oldest->at)
            oldest = f;
        if (f->who != who || !is_fresh(f, now))
            continue;
        share++;
        if (!own || f->at < own->at)
            own = f;
    }
    return share >= PENALTY_FAILURES ? own : oldest;
}

/* At most as late as the failures that make a penalty come to. */
static void owe(struct penalty_record *r, mtime_ms now)
{
    penalty_pay(r, now);
    if (r->verdict_at > now + PENALTY_DEBT_MS)
        r->verdict_at = now + PENALTY_DEBT_MS;
}

/* True: with it the penalty begins. */
static bool fail(struct penalty_record *r, unsigned level, uint64_t who, bool is_paid, mtime_ms now)
{
    bool was = is_penalised(r, level, now);
    *place_for(r, level, who, now) = (struct penalty_failure){who, now};
    if (!is_paid)
        owe(r, now);
    r->is_penalised = was;
    r->is_penalised = is_penalised(r, level, now);
    return r->is_penalised && !was;
}

void penalty_pay(struct penalty_record *r, mtime_ms now)
{
    r->verdict_at = (r->verdict_at > now ? r->verdict_at : now) + PENALTY_PACE_MS;
}

/* ---- the tables ---- */

static struct penalty_record *record_at(const struct penalties *p, unsigned level, uint64_t key,
                                        unsigned way)
{
    size_t at = (size_t)(key % levels[level].sets) * PENALTY_WAYS + way;
    return (struct penalty_record *)(void *)(p->tables[level] + at * record_bytes(level));
}

static struct penalty_record *find(const struct penalties *p, unsigned level, uint64_t key)
{
    for (unsigned i = 0; i < PENALTY_WAYS && key != 0; i++) {
        struct penalty_record *r = record_at(p, level, key, i);
        if (r->key == key)
            return r;
    }
    return NULL;
}

/* The key's record, or the one it takes over. */
static struct penalty_record *take(struct penalties *p, unsigned level, uint64_t key, mtime_ms now)
{
    struct penalty_record *r = find(p, level, key);
    if (r)
        return r;
    r = record_at(p, level, key, 0);
    for (unsigned i = 1; i < PENALTY_WAYS; i++) {
        struct penalty_record *other = record_at(p, level, key, i);
        if (count(other, level, now) < count(r, level, now))
            r = other;
    }
    r->key = key; /* and goes on from its failures */
    return r;
}

bool penalties_failure(struct penalties *p, const struct penalty_source *s, bool is_paid,
                       mtime_ms now)
{
    bool begins = false;
    for (unsigned i = 0; i < PENALTY_LEVELS && s->keys[i] != 0; i++)
        begins |= fail(take(p, i, s->keys[i], now), i, s->keys[0], is_paid, now);
    return begins;
}

struct penalty_record *penalties_find(const struct penalties *p, const struct penalty_source *s,
                                      bool own_only, mtime_ms now)
{
    for (unsigned i = own_only ? 1 : PENALTY_LEVELS; i-- > 0;) {
        struct penalty_record *r = find(p, i, s->keys[i]);
        if (r && is_penalised(r, i, now))
            return r;
    }
    return NULL;
}

unsigned penalties_left(const struct penalties *p, const struct penalty_source *s, mtime_ms now)
{
    const struct penalty_record *r = find(p, 0, s->keys[0]);
    unsigned n = r ? count(r, 0, now) : 0;
    return n < PENALTY_FAILURES ? PENALTY_FAILURES - n : 0;
}
