/* SPDX-License-Identifier: MIT */
/*
 * The search for a way. An address is an entry of a table, its two sockets are slots 2i (patient)
 * and 2i + 1 (fresh):
 *
 *   known --start--> tried: patient is live --1 s--> fresh is live --1 s--> fresh again ...
 *
 * A slot whose connect failed is free; the next renewal of the address takes it again, the patient
 * one first. But an address that has failed is no reason to go on: when all have, the search ends.
 * path_next() does one thing at a time, so that a caller who finds that a start has failed says so
 * before the next decision.
 */
#include "proto/path.h"

#include <string.h>

#include "base/attr.h"

/* ---- memory ---- */

/* Where among the failures a is; m->nfailed: nowhere. */
static unsigned failure_of(const struct path_memory *m, const struct address *a)
{
    unsigned i = 0;
    while (i < m->nfailed && !address_equal(&m->failed[i].address, a))
        i++;
    return i;
}

/* Returns how often it was wrong. */
static unsigned forget_failure(struct path_memory *m, const struct address *a)
{
    unsigned i = failure_of(m, a);
    if (i == m->nfailed)
        return 0;
    unsigned wrong = m->failed[i].wrong;
    memmove(&m->failed[i], &m->failed[i + 1], (--m->nfailed - i) * sizeof m->failed[0]);
    return wrong;
}

static void remember_failure(struct path_memory *m, const struct address *a, unsigned wrong)
{
    wrong += forget_failure(m, a);
    if (m->nfailed == PATH_ADDRESSES)
        (void)forget_failure(m, &m->failed[0].address);
    if (wrong > PATH_WRONG_MOST)
        wrong = PATH_WRONG_MOST;
    m->failed[m->nfailed++] = (struct path_failure){*a, wrong};
}

void path_good(struct path_memory *m, const struct address *a)
{
    (void)forget_failure(m, a);
    m->good = *a;
}

void path_failed(struct path_memory *m, const struct address *a)
{
    remember_failure(m, a, 1);
}

mtime_ms path_patience(unsigned attempt)
{
    return attempt < 4 ? (mtime_ms)1000 << attempt : PATH_PATIENCE_MAX_MS;
}

/* ---- addresses ---- */

static void sooner(mtime_ms *at, mtime_ms other)
{
    if (other < *at)
        *at = other;
}

void path_begin(struct path *p, const struct path_config *cfg, mtime_ms now)
{
    memset(p, 0, sizeof *p);
    p->cfg = *cfg;
    p->begin = p->next_start = p->resolve_at = now;
    p->end = now + cfg->patience_ms;
    if (cfg->last_start <= now)
        p->cfg.last_start = MTIME_NEVER;
    p->hurry_at = p->cfg.last_start;
}

static struct path_address *find(struct path *p, const struct address *a)
{
    for (unsigned i = 0; i < PATH_ADDRESSES; i++)
        if (p->addresses[i].known && address_equal(&p->addresses[i].address, a))
            return &p->addresses[i];
    return NULL;
}

static bool is_live(const struct path_address *e)
{
    return e->live[0] || e->live[1];
}

/* Is b better than e to make room for a new address? An address the name has no more; rather one
   without a socket. */
static bool is_better_victim(const struct path_address *b, const struct path_address *e)
{
    if (b->given || b->named)
        return false;
    return !e || (is_live(e) && !is_live(b));
}

/* An entry for a new address: a free one, or that of an address nobody names any more. NULL: all
   are wanted. */
static struct path_address *make_room(struct path *p)
{
    struct path_address *victim = NULL;
    for (unsigned i = 0; i < PATH_ADDRESSES; i++) {
        struct path_address *e = &p->addresses[i];
        if (!e->known)
            return e;
        if (is_better_victim(e, victim))
            victim = e;
    }
    if (victim) {
        unsigned slot = 2 * (unsigned)(victim - p->addresses);
        p->drops |= (uint32_t)victim->live[0] << slot | (uint32_t)victim->live[1] << (slot + 1);
    }
    return victim;
}

static struct path_address *enter(struct path *p, const struct address *a)
{
    struct path_address *e = find(p, a);
    if (e)
        return e;
    e = a->family == ADDRESS_NONE ? NULL : make_room(p);
    if (e)
        *e = (struct path_address){.address = *a, .known = true};
    return e;
}

void path_add(struct path *p, const struct address *a)
{
    struct path_address *e = enter(p, a);
    if (e)
        e->given = true;
}

void path_resolved(struct path *p, const struct address *list, unsigned n)
{
    p->resolving = false;
    if (n == 0)
        return; /* what was known is still the best that is known */
    for (unsigned i = 0; i < PATH_ADDRESSES; i++)
        p->addresses[i].named = false;
    for (unsigned i = 0; i < n; i++) { /* first those that are here, lest they make room */
        struct path_address *e = find(p, &list[i]);
        if (e)
            e->named = true;
    }
    for (unsigned i = 0; i < n; i++) {
        struct path_address *e = enter(p, &list[i]);
        if (!e)
            continue;
        e->named = true;
        e->position = i;
    }
    for (unsigned i = 0; i < PATH_ADDRESSES; i++) {
        struct path_address *e = &p->addresses[i];
        if (!e->named && !e->given && !e->tried)
            e->known = false;
    }
}

void path_lost(struct path *p, unsigned slot, mtime_ms now)
{
    struct path_address *e = &p->addresses[slot / 2];
    if (!e->live[slot % 2])
        return;
    e->live[slot % 2] = false;
    e->failed = true;
    remember_failure(p->cfg.memory, &e->address, 0);
    p->next_start = now;
}

void path_hurry(struct path *p, mtime_ms at)
{
    p->hurry_at = at;
    sooner(&p->hurry_at, p->cfg.last_start);
}

const struct address *path_address_of(const struct path *p, unsigned slot)
{
    return &p->addresses[slot / 2].address;
}

/* ---- order ---- */

static void later(mtime_ms *at, mtime_ms other)
{
    if (other > *at)
        *at = other;
}

/* 0: it worked last; 1: nothing is held against it; 2 ...: it has failed, the oldest first. */
static unsigned rank(const struct path_memory *m, const struct address *a)
{
    unsigned i = failure_of(m, a);
    if (i < m->nfailed)
        return 2 + i;
    return address_equal(&m->good, a) ? 0 : 1;
}

/* The family whose turn it is; ADDRESS_NONE: as the resolver says. */
static enum address_family family_in_turn(const struct path *p)
{
    const struct path_memory *m = p->cfg.memory;
    if (p->last_family == ADDRESS_NONE)
        return rank(m, &m->good) == 0 ? m->good.family : ADDRESS_NONE;
    return p->last_family == ADDRESS_IPV4 ? ADDRESS_IPV6 : ADDRESS_IPV4;
}

/* Both wait for their first start, and both might start now: does a come before b? */
static bool is_before(const struct path *p, const struct path_address *a,
                      const struct path_address *b)
{
    unsigned ra = rank(p->cfg.memory, &a->address), rb = rank(p->cfg.memory, &b->address);
    if (ra != rb)
        return ra < rb;
    if (a->given != b->given)
        return a->given;
    enum address_family turn = family_in_turn(p);
    if ((a->address.family == turn) != (b->address.family == turn))
        return a->address.family == turn;
    return a->position < b->position;
}

/* How long an address lets others go first: those that are tried already, or those the resolver may
   know. */
static mtime_ms handicap(const struct path *p, const struct path_address *e, bool others)
{
    const struct path_memory *m = p->cfg.memory;
    unsigned i = failure_of(m, &e->address);
    unsigned wrong = i < m->nfailed ? m->failed[i].wrong : 0;
    mtime_ms ms = wrong ? (mtime_ms)PATH_STAGGER_MS << wrong : 0;
    return others || ms < PATH_HOLD_MS ? ms : PATH_HOLD_MS;
}

/* An address that was tried may still answer. */
static bool has_hope(const struct path *p)
{
    for (unsigned i = 0; i < PATH_ADDRESSES; i++)
        if (is_live(&p->addresses[i]) && !p->addresses[i].failed)
            return true;
    return false;
}

/* The address to try for the first time, and when; NULL: there is none. */
static struct path_address *first_start(struct path *p, mtime_ms now, mtime_ms *ret_at)
{
    struct path_address *best = NULL;
    mtime_ms best_at = MTIME_NEVER;
    bool others = has_hope(p);
    bool alone = !p->resolving && !others; /* nothing else is to be waited for */
    for (unsigned i = 0; i < PATH_ADDRESSES; i++) {
        struct path_address *e = &p->addresses[i];
        if (!e->known || e->tried)
            continue;
        mtime_ms at = now;
        if (!alone) {
            later(&at, p->next_start);
            later(&at, p->begin + handicap(p, e, others));
        }
        if (!best || at < best_at || (at == best_at && is_before(p, e, best))) {
            best = e;
            best_at = at;
        }
    }
    *ret_at = best_at;
    return best;
}

/* ---- what to do ---- */

/* Starts a socket of e; if both are there, the fresh one has to go first. */
static void start(struct path *p, struct path_address *e, mtime_ms now, struct path_step *ret)
{
    unsigned which = e->live[0] ? 1 : 0;
    ret->slot = 2 * (unsigned)(e - p->addresses) + which;
    ret->address = e->address;
    if (e->live[which]) {
        e->live[which] = false; /* comes back here for its start */
        ret->what = PATH_DROP;
        return;
    }
    if (!e->tried) {
        p->last_family = e->address.family;
        p->next_start = now + PATH_STAGGER_MS;
    }
    e->tried = e->live[which] = true;
    e->started = now;
    ret->what = PATH_START;
}

static bool drop_displaced(struct path *p, struct path_step *ret)
{
    if (!p->drops)
        return false;
    while (!(p->drops & 1u << ret->slot))
        ret->slot++;
    p->drops &= ~(1u << ret->slot);
    ret->what = PATH_DROP;
    return true;
}

/* At its time: each address once. */
static bool hurry(struct path *p, mtime_ms now, struct path_step *ret)
{
    if (now < p->hurry_at)
        return false;
    for (unsigned i = 0; i < PATH_ADDRESSES; i++) {
        struct path_address *e = &p->addresses[i];
        if (e->known && (!e->tried || e->started < p->hurry_at)) {
            e->failed = false; /* that was then */
            start(p, e, now, ret);
            return true;
        }
    }
    if (p->cfg.last_start <= now)
        p->cfg.last_start = MTIME_NEVER; /* that was it */
    p->hurry_at = p->cfg.last_start;
    p->resolve_at = now;
    return false;
}

static mtime_ms renewal(const struct path *p, const struct path_address *e)
{
    if (!p->cfg.renew || !e->known || !e->tried)
        return MTIME_NEVER;
    return e->started + PATH_RENEW_MS + 4 * (mtime_ms)p->cfg.rtt_ms;
}

void path_next(struct path *p, mtime_ms now, struct path_step *ret)
{
    mtime_ms at;
    *ret = (struct path_step){.what = PATH_GIVE_UP};
    if (drop_displaced(p, ret) || now >= p->end || hurry(p, now, ret))
        return;

    if (p->cfg.resolve && !p->resolving && now >= p->resolve_at) {
        p->resolving = true;
        p->resolve_at = now + PATH_RESOLVE_MS;
        ret->what = PATH_RESOLVE;
        return;
    }
    struct path_address *e = first_start(p, now, &at);
    if (e && at <= now) {
        start(p, e, now, ret);
        return;
    }
    if (!e && !p->resolving && !has_hope(p))
        return;

    for (unsigned i = 0; i < PATH_ADDRESSES; i++) {
        mtime_ms due = renewal(p, &p->addresses[i]);
        if (due <= now) {
            start(p, &p->addresses[i], now, ret);
            return;
        }
        sooner(&at, due);
    }
    sooner(&at, p->end);
    sooner(&at, p->hurry_at);
    if (p->cfg.resolve && !p->resolving)
        sooner(&at, p->resolve_at);
    ret->what = PATH_WAIT;
    ret->at = at;
}
