/* SPDX-License-Identifier: MIT */
/* The ration of verdicts: who is compared, who waits, who is turned away. */
#include "proto/verdicts.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

int verdicts_init(struct verdicts *v, const uint8_t key[KEYED_HASH_KEY_BYTES])
{
    memset(v, 0, sizeof *v);
    list_init(&v->held);
    list_init(&v->waiting);
    list_init(&v->compared);
    verdicts_limit(v, VERDICTS_WAIT_ALL + VERDICTS_IDS);
    return penalties_init(&v->penalties, key);
}

void verdicts_limit(struct verdicts *v, unsigned waiting)
{
    unsigned ids = waiting / 2, others = waiting - ids;
    v->wait_all = others < VERDICTS_WAIT_ALL ? others : VERDICTS_WAIT_ALL;
    v->ids = ids < VERDICTS_IDS ? ids : VERDICTS_IDS;
}

void verdicts_fini(struct verdicts *v)
{
    penalties_fini(&v->penalties);
}

static struct verdict_entry *entry_of(struct list *node)
{
    return LIST_ENTRY(node, struct verdict_entry, node);
}

/* Whose ration e shares; NULL: it is free. */
static struct penalty_record *ration_of(const struct verdicts *v, const struct verdict_entry *e,
                                        mtime_ms now)
{
    return penalties_find(&v->penalties, &e->source, e->is_known, now);
}

/* ---- one entry ---- */

static void move(struct verdict_entry *e, struct list *to, enum verdict_state state)
{
    list_move(to, &e->node);
    e->state = state;
}

static void leave_place(struct verdict_entry *e)
{
    if (e->place)
        e->place->is_taken = false;
    e->place = NULL;
}

static void leave(struct verdict_entry *e)
{
    leave_place(e);
    list_del(&e->node);
    e->state = VERDICT_IDLE;
}

static void compare(struct verdicts *v, struct verdict_entry *e, bool is_paid)
{
    leave_place(e);
    e->is_paid = is_paid;
    move(e, &v->compared, VERDICT_COMPARED);
}

void verdicts_ask(struct verdicts *v, struct verdict_entry *e, const struct address *from,
                  bool is_known, uint64_t id)
{
    assert(e->state == VERDICT_IDLE);
    *e = (struct verdict_entry){.state = VERDICT_HELD,
                                .source = penalties_source(&v->penalties, from),
                                .is_known = is_known,
                                .id = id};
    list_init(&e->node);
    list_push(&v->held, &e->node);
}

/* ---- who is held ---- */

/* Each that is compared may fail. */
static bool may_be_compared(const struct verdicts *v, const struct verdict_entry *e, mtime_ms now)
{
    unsigned left = penalties_left(&v->penalties, &e->source, now);
    list_foreach (n, &v->compared) {
        const struct verdict_entry *o = entry_of(n);
        if (left > 0 && !o->is_paid && o->source.keys[0] == e->source.keys[0])
            left--;
    }
    return left > 0;
}

/* A place of its own for e's id, or NULL. */
static struct verdict_place *place_of_id(struct verdicts *v, const struct verdict_entry *e,
                                         mtime_ms now)
{
    struct verdict_place *unused = NULL;
    unsigned of_source = 0;
    if (e->id == 0)
        return NULL;
    for (struct verdict_place *p = v->places; p < v->places + v->ids; p++) {
        bool is_used = p->is_taken || p->at > now;
        if (is_used && p->id == e->id)
            return p->is_taken ? NULL : p;
        if (is_used)
            of_source += p->source == e->source.keys[0];
        else
            unused = p;
    }
    if (of_source >= VERDICTS_IDS_SOURCE || !unused)
        return NULL;
    *unused = (struct verdict_place){.id = e->id, .source = e->source.keys[0]};
    return unused;
}

/* Those who wait without a place of their own, and whose ration each shares. */
struct shared {
    struct verdict_entry *entries[VERDICTS_WAIT_ALL];
    const struct penalty_record *rations[VERDICTS_WAIT_ALL];
    unsigned n;
};

static struct shared who_shares(const struct verdicts *v, mtime_ms now)
{
    struct shared s = {.n = 0};
    list_foreach (n, &v->waiting) {
        struct verdict_entry *e = entry_of(n);
        if (e->place)
            continue;
        assert(s.n < VERDICTS_WAIT_ALL);
        s.entries[s.n] = e;
        s.rations[s.n++] = ration_of(v, e, now);
    }
    return s;
}

static unsigned count_of(const struct shared *s, const struct penalty_record *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++)
        n += s->rations[i] == r;
    return n;
}

/* One of the ration that has most, each as likely, if that is two more than `theirs` or more; NULL:
   nobody. */
static struct verdict_entry *who_gives_way(const struct shared *s, unsigned theirs, struct rng *rng)
{
    const struct penalty_record *most = NULL;
    struct verdict_entry *drawn = NULL;
    unsigned n_most = theirs + 1;
    for (unsigned i = 0; i < s->n; i++) {
        unsigned n = count_of(s, s->rations[i]);
        if (n > n_most) {
            most = s->rations[i];
            n_most = n;
        }
    }
    uint32_t lots = 0;
    for (unsigned i = 0; i < s->n && most; i++)
        if (s->rations[i] == most && rng_below(rng, ++lots) == 0)
            drawn = s->entries[i];
    return drawn;
}

static struct verdict_entry *put_off(struct verdict_entry *e, enum verdict *ret)
{
    leave(e);
    *ret = VERDICT_BUSY;
    return e;
}

static struct verdict_entry *wait_for_it(struct verdicts *v, struct verdict_entry *e, mtime_ms now,
                                         enum verdict *ret)
{
    e->since = now;
    move(e, &v->waiting, VERDICT_WAITING);
    *ret = VERDICT_WAITS;
    return e;
}

/* Who shares ration r: it waits, or is put off; or first another is, whose place it takes. */
static struct verdict_entry *find_room(struct verdicts *v, struct verdict_entry *e,
                                       const struct penalty_record *r, mtime_ms now,
                                       struct rng *rng, enum verdict *ret)
{
    struct shared s = who_shares(v, now);
    unsigned theirs = count_of(&s, r);
    if (theirs >= VERDICTS_WAIT_SOURCE)
        return put_off(e, ret);
    if (s.n < v->wait_all)
        return wait_for_it(v, e, now, ret);
    struct verdict_entry *other = who_gives_way(&s, theirs, rng);
    return put_off(other ? other : e, ret);
}

/* Whom to tell *ret, because e is there; NULL: nobody. */
static struct verdict_entry *decide(struct verdicts *v, struct verdict_entry *e, mtime_ms now,
                                    struct rng *rng, enum verdict *ret)
{
    const struct penalty_record *r = ration_of(v, e, now);
    if (!r) {
        if (!may_be_compared(v, e, now))
            return NULL;
        compare(v, e, false);
        *ret = VERDICT_COMPARE;
        return e;
    }
    e->place = place_of_id(v, e, now);
    if (!e->place)
        return find_room(v, e, r, now, rng, ret);
    e->place->is_taken = true;
    return wait_for_it(v, e, now, ret);
}

/* ---- who waits ---- */

/* Its penalty is over while it waited: as one that has just come. */
static void hold_again(struct verdicts *v, struct verdict_entry *e)
{
    leave_place(e);
    move(e, &v->held, VERDICT_HELD);
}

static void free_the_forgiven(struct verdicts *v, mtime_ms now)
{
    for (struct list *n = v->waiting.next, *next; n != &v->waiting; n = next) {
        next = n->next;
        if (!ration_of(v, entry_of(n), now))
            hold_again(v, entry_of(n));
    }
}

static struct verdict_entry *who_waited_too_long(struct verdicts *v, mtime_ms now)
{
    list_foreach (n, &v->waiting)
        if (now - entry_of(n)->since >= VERDICTS_WAIT_MS)
            return entry_of(n);
    return NULL;
}

static struct verdict_entry *whose_place_is_due(struct verdicts *v, mtime_ms now)
{
    list_foreach (n, &v->waiting) {
        struct verdict_entry *e = entry_of(n);
        if (e->place && e->place->at <= now) {
            e->place->at = now + VERDICTS_ID_PACE_MS;
            return e;
        }
    }
    return NULL;
}

/* Of those who share the first ration that is due, each as likely. */
static struct verdict_entry *draw(struct verdicts *v, mtime_ms now, struct rng *rng)
{
    struct penalty_record *due = NULL;
    struct verdict_entry *drawn = NULL;
    uint32_t count = 0;
    list_foreach (n, &v->waiting) {
        struct verdict_entry *e = entry_of(n);
        if (e->place)
            continue;
        struct penalty_record *r = ration_of(v, e, now);
        if (r->verdict_at > now || (due && r != due))
            continue;
        due = r;
        if (rng_below(rng, ++count) == 0)
            drawn = e;
    }
    if (drawn)
        penalty_pay(due, now);
    return drawn;
}

struct verdict_entry *verdicts_next(struct verdicts *v, mtime_ms now, struct rng *rng,
                                    enum verdict *ret)
{
    free_the_forgiven(v, now);
    struct verdict_entry *e = who_waited_too_long(v, now);
    if (e)
        return put_off(e, ret);
    e = whose_place_is_due(v, now);
    if (!e)
        e = draw(v, now, rng);
    if (e) {
        compare(v, e, true);
        *ret = VERDICT_COMPARE;
        return e;
    }
    list_foreach (n, &v->held) {
        e = decide(v, entry_of(n), now, rng, ret);
        if (e)
            return e;
    }
    return NULL;
}

mtime_ms verdicts_deadline(const struct verdicts *v, mtime_ms now)
{
    mtime_ms at = MTIME_NEVER;
    list_foreach (n, &v->waiting) {
        const struct verdict_entry *e = entry_of(n);
        const struct penalty_record *r = ration_of(v, e, now);
        mtime_ms due = e->place ? e->place->at : r ? r->verdict_at : now;
        mtime_ms latest = e->since + VERDICTS_WAIT_MS;
        due = due < latest ? due : latest;
        at = at < due ? at : due;
    }
    return at;
}

/* ---- the end ---- */

bool verdicts_over(struct verdicts *v, struct verdict_entry *e, enum verdict_end how, mtime_ms now)
{
    if (e->state == VERDICT_IDLE)
        return false;
    /* who waited in vain has had no verdict of the ration, and owes none */
    bool is_paid = e->is_paid || e->state == VERDICT_WAITING;
    leave(e);
    if (how == VERDICT_RIGHT || how == VERDICT_DROPPED)
        return false;
    return penalties_failure(&v->penalties, &e->source, is_paid, now);
}

bool verdicts_may_pass(struct verdicts *v, const struct address *from, bool is_known, mtime_ms now,
                       struct rng *rng)
{
    if (is_known)
        return true;
    struct penalty_source s = penalties_source(&v->penalties, from);
    struct penalty_record *r = penalties_find(&v->penalties, &s, false, now);
    if (!r)
        return true;
    if (now < r->pass_at)
        return false;
    r->pass_at = now + VERDICTS_PASS_MIN_MS +
                 rng_below(rng, VERDICTS_PASS_MAX_MS - VERDICTS_PASS_MIN_MS + 1);
    return true;
}
