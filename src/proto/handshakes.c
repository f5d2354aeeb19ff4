/* SPDX-License-Identifier: MIT */
/* The budget of handshakes: two accounts for each, the source's and that of all. */
#include "proto/handshakes.h"

#include "base/memory.h"
#include "proto/hash.h"

enum { US = 1000000 };

/* ---- accounts ---- */

void handshakes_init(struct handshakes *h, uint32_t rate, uint32_t source_rate, uint64_t key)
{
    memory_zero(h, sizeof *h); /* its table is used page by page */
    list_init(&h->queue);
    h->key = key;
    handshakes_limit(h, rate, source_rate);
}

void handshakes_limit(struct handshakes *h, uint32_t rate, uint32_t source_rate)
{
    h->step_us = US / (int64_t)rate;
    h->source_step_us = US / (int64_t)source_rate;
    h->burst_us = US / HANDSHAKES_BURST_PART;
    if (h->burst_us < h->step_us)
        h->burst_us = h->step_us; /* one at the least */
}

static uint64_t hash_of(const struct handshakes *h, const char *source)
{
    uint64_t x = (hash_text(source) ^ h->key) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static const struct handshakes_source *set_of(const struct handshakes *h, uint64_t source)
{
    return &h->table[source % HANDSHAKES_SETS * HANDSHAKES_WAYS];
}

/* The source's account, or the one it would take over. */
static const struct handshakes_source *account_of(const struct handshakes *h, uint64_t source)
{
    const struct handshakes_source *set = set_of(h, source), *first = set;
    for (const struct handshakes_source *s = set; s < set + HANDSHAKES_WAYS; s++) {
        if (s->source == source)
            return s;
        if (s->paid_at < first->paid_at)
            first = s;
    }
    return first;
}

static int64_t paid_at(const struct handshakes *h, uint64_t source)
{
    return account_of(h, source)->paid_at;
}

/* From when on an account that is paid at a time has room for one more step. */
static int64_t free_at(int64_t paid, int64_t step, int64_t burst)
{
    return paid + step - burst;
}

static int64_t advanced(int64_t paid, int64_t now, int64_t step)
{
    return (paid > now ? paid : now) + step;
}

static void pay(struct handshakes *h, const struct handshakes_entry *e, int64_t now)
{
    struct handshakes_source *s = &h->table[account_of(h, e->source) - h->table];
    int64_t most =
        now + HANDSHAKES_SOURCE_BURST_MS * 1000; /* of a known source, which has no limit */
    s->source = e->source;
    s->paid_at = advanced(s->paid_at, now, h->source_step_us);
    if (e->is_known && s->paid_at > most)
        s->paid_at = most;
    h->paid_at = advanced(h->paid_at, now, h->step_us);
}

void handshakes_return(struct handshakes *h, const struct handshakes_entry *e)
{
    struct handshakes_source *s = &h->table[account_of(h, e->source) - h->table];
    if (s->source == e->source)
        s->paid_at -= h->source_step_us;
    h->paid_at -= h->step_us;
}

/* ---- the queue ---- */

void handshakes_wait(struct handshakes *h, struct handshakes_entry *e, const char *source,
                     bool is_known)
{
    *e = (struct handshakes_entry){
        .source = hash_of(h, source), .is_known = is_known, .waits = true};
    list_init(&e->node);
    list_push(&h->queue, &e->node);
    h->count++;
}

void handshakes_leave(struct handshakes *h, struct handshakes_entry *e)
{
    if (!e->waits)
        return;
    list_del(&e->node);
    e->waits = false;
    h->count--;
}

void handshakes_hold(struct handshakes_entry *e, bool is_held)
{
    e->is_held = is_held;
}

/* When the entry's source has an allowance. */
static int64_t entry_free_at(const struct handshakes *h, const struct handshakes_entry *e)
{
    if (e->is_known)
        return INT64_MIN;
    return free_at(paid_at(h, e->source), h->source_step_us, HANDSHAKES_SOURCE_BURST_MS * 1000);
}

/* Of the known ones, or of the strangers, the one whose turn it is; NULL: none has one. */
static struct handshakes_entry *first_of(const struct handshakes *h, bool is_known, int64_t now)
{
    struct handshakes_entry *best = NULL;
    int64_t least = 0;
    list_foreach (n, &h->queue) {
        struct handshakes_entry *e = LIST_ENTRY(n, struct handshakes_entry, node);
        if (e->is_held || e->is_known != is_known || entry_free_at(h, e) > now)
            continue;
        int64_t used = paid_at(h, e->source);
        if (used < now)
            used = now;
        if (!best || used < least) {
            best = e;
            least = used;
        }
    }
    return best;
}

struct handshakes_entry *handshakes_next(struct handshakes *h, mtime_ms now_ms)
{
    int64_t now = now_ms * 1000;
    if (h->count == 0 || free_at(h->paid_at, h->step_us, h->burst_us) > now)
        return NULL;
    struct handshakes_entry *known = first_of(h, true, now), *e = known;
    if (!known || h->known_run >= HANDSHAKES_KNOWN_RUN) {
        struct handshakes_entry *stranger = first_of(h, false, now);
        e = stranger ? stranger : known;
    }
    if (!e)
        return NULL;
    h->known_run = e->is_known ? h->known_run + 1 : 0;
    handshakes_leave(h, e);
    pay(h, e, now);
    return e;
}

mtime_ms handshakes_free_at(const struct handshakes *h)
{
    return (free_at(h->paid_at, h->step_us, h->burst_us) + 999) / 1000; /* not before */
}

mtime_ms handshakes_due(const struct handshakes *h, mtime_ms now_ms)
{
    if (h->count == 0)
        return -1;
    int64_t all = free_at(h->paid_at, h->step_us, h->burst_us), first = INT64_MAX;
    list_foreach (n, &h->queue) {
        const struct handshakes_entry *e = LIST_ENTRY(n, struct handshakes_entry, node);
        int64_t at = entry_free_at(h, e);
        if (!e->is_held && at < first)
            first = at;
    }
    if (first == INT64_MAX)
        return -1;
    if (first < all)
        first = all;
    mtime_ms due = (first + 999) / 1000; /* not before */
    return due > now_ms ? due : now_ms;
}
