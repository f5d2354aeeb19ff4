/* SPDX-License-Identifier: MIT */
/*
 * What a server has let to one client: see leases.h. A lease goes through its states once, so what
 * it has to do is a set, and the order of doing it that of the bits below.
 */
#include "proto/session/leases.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* What waits to be pulled of a lease, in this order. */
enum pending {
    PENDING_ASK = 1u << 0,
    PENDING_LISTEN = 1u << 1,
    PENDING_OPENED = 1u << 2,
    PENDING_CHANGED = 1u << 3,
    PENDING_STOP = 1u << 4,
    PENDING_RELEASE = 1u << 5,
    PENDING_LAST_LINE = 1u << 6,
    PENDING_CUT = 1u << 7,
    PENDING_FREE = 1u << 8,
};

enum { OPEN_COST_MS = 1000 / LEASES_OPENS_A_SECOND };

/* ---- the table of states ---- */

enum {
    G = 1u << LEASE_GRANTED,
    O = 1u << LEASE_OPEN,
    D = 1u << LEASE_DRAINING,
    E = 1u << LEASE_OVER,
};

static const uint8_t may_become[LEASE_STATES] = {
    [LEASE_ASKED] = G | E, [LEASE_GRANTED] = O | E, [LEASE_OPEN] = D | E,
    [LEASE_DRAINING] = E,  [LEASE_OVER] = 0,
};

const char *lease_state_word(enum lease_state s)
{
    static const char *const words[] = {"asked", "granted", "open", "draining", "over"};
    return words[s];
}

static void become(struct leases *ls, struct lease *l, enum lease_state s)
{
    assert(may_become[l->state] & 1u << s);
    if (l->state < LEASE_DRAINING && s >= LEASE_DRAINING)
        ls->live--;
    if (s == LEASE_DRAINING)
        ls->draining++;
    if (l->state == LEASE_DRAINING)
        ls->draining--;
    l->state = s;
}

/* ---- marking ---- */

static void mark(struct leases *ls, struct lease *l, enum pending what)
{
    l->pending |= (uint16_t)what;
    if (list_empty(&l->out))
        list_push(&ls->out, &l->out);
}

static bool unmark(struct lease *l, enum pending what)
{
    bool was = l->pending & what;
    l->pending &= (uint16_t)~what;
    return was;
}

/* Its last line: the number is the client's again when that is read. */
static void answer_last(struct leases *ls, struct lease *l, enum service_op op,
                        const struct service_why *why)
{
    if (l->svc == 0)
        return; /* it was said */
    map_del(&ls->by_svc, &l->by_svc);
    l->svc = 0;
    l->last_line = op;
    l->why = *why;
    mark(ls, l, PENDING_LAST_LINE);
}

static void be_over(struct leases *ls, struct lease *l)
{
    become(ls, l, LEASE_OVER);
    list_del(&l->node);
    mark(ls, l, PENDING_FREE);
}

static const struct service_why no_reason = {.error = SERVICE_OK};

/* ---- the end of a lease ---- */

/* It has, and asks for, nothing any more; what was not begun yet is left out. */
static void give_back(struct leases *ls, struct lease *l)
{
    bool listens = l->state >= LEASE_GRANTED && !unmark(l, PENDING_LISTEN);
    if (listens)
        mark(ls, l, PENDING_STOP);
    if (!unmark(l, PENDING_ASK))
        mark(ls, l, PENDING_RELEASE);
}

/* Before it is open there is nobody to wait for. */
static void withdraw(struct leases *ls, struct lease *l, enum service_op op,
                     const struct service_why *why)
{
    give_back(ls, l);
    answer_last(ls, l, op, why);
    be_over(ls, l);
}

static void drain(struct leases *ls, struct lease *l, uint32_t drain_ms, mtime_ms now)
{
    give_back(ls, l);
    become(ls, l, LEASE_DRAINING);
    l->cut_at = drain_ms == UINT32_MAX ? MTIME_NEVER : now + drain_ms;
}

static void drain_sooner(struct lease *l, uint32_t drain_ms, mtime_ms now)
{
    if (drain_ms != UINT32_MAX && now + drain_ms < l->cut_at)
        l->cut_at = now + drain_ms;
}

/* Goes on with one that drains: over, or cut. */
static void look_at_drain(struct leases *ls, struct lease *l, mtime_ms now)
{
    if (l->streams == 0) {
        unmark(l, PENDING_CUT);
        answer_last(ls, l, SERVICE_CLOSED, &no_reason);
        be_over(ls, l);
    } else if (l->cut_at <= now) {
        l->cut_at = MTIME_NEVER;
        mark(ls, l, PENDING_CUT);
    }
}

/* ---- pulling ---- */

static void take_line(const struct lease *l, uint32_t svc, enum service_op op,
                      struct lease_action *ret)
{
    ret->kind = LEASE_SEND;
    ret->line = (struct service_line){.op = op, .svc = svc};
    if (op == SERVICE_OPENED) {
        memcpy(ret->line.opened.address, l->opened.address, sizeof l->opened.address);
        ret->line.opened.port = l->opened.port;
    } else {
        ret->line.why = l->why;
    }
}

static void take_pending(struct lease *l, struct lease_action *ret)
{
    static const enum lease_action_kind kinds[] = {
        LEASE_ASK,     LEASE_LISTEN, LEASE_SEND, LEASE_CHANGED, LEASE_STOP,
        LEASE_RELEASE, LEASE_SEND,   LEASE_CUT,  LEASE_FREE,
    };
    unsigned bit = 0;
    while (!(l->pending & 1u << bit))
        bit++;
    unmark(l, (enum pending)(1u << bit));
    *ret = (struct lease_action){.kind = kinds[bit], .lease = l};
    if (1u << bit == PENDING_OPENED)
        take_line(l, l->by_svc.key, SERVICE_OPENED, ret);
    else if (1u << bit == PENDING_LAST_LINE)
        take_line(l, l->by_svc.key, (enum service_op)l->last_line, ret);
    if (l->pending == 0)
        list_del(&l->out);
}

bool leases_next(struct leases *ls, struct lease_action *ret)
{
    struct list *n = list_first(&ls->out);
    if (!n)
        return false;
    take_pending(LIST_ENTRY(n, struct lease, out), ret);
    return true;
}

/* ---- the table ---- */

void leases_init(struct leases *ls, uint32_t max)
{
    assert(max > 0);
    *ls = (struct leases){.max = max};
    list_init(&ls->all);
    list_init(&ls->out);
    map_init(&ls->by_svc, NULL);
}

void leases_set_max(struct leases *ls, uint32_t max)
{
    assert(max > 0 && max <= LEASES_MOST);
    ls->max = max;
}

struct lease *leases_take(struct leases *ls)
{
    struct list *n = list_first(&ls->all), *waiting = list_first(&ls->out);
    struct lease *l = n         ? LIST_ENTRY(n, struct lease, node)
                      : waiting ? LIST_ENTRY(waiting, struct lease, out)
                                : NULL;
    if (!l) {
        map_fini(&ls->by_svc);
        return NULL;
    }
    if (l->svc != 0)
        map_del(&ls->by_svc, &l->by_svc);
    l->svc = 0;
    list_del(&l->out);
    list_del(&l->node);
    if (l->state != LEASE_OVER)
        become(ls, l, LEASE_OVER);
    return l;
}

struct lease *leases_find(const struct leases *ls, uint32_t svc)
{
    struct map_node *n = map_get(&ls->by_svc, svc);
    return n ? CONTAINER_OF(n, struct lease, by_svc) : NULL;
}

/* ---- time ---- */

mtime_ms leases_deadline(const struct leases *ls)
{
    mtime_ms at = MTIME_NEVER;
    list_foreach (n, &ls->all) {
        const struct lease *l = LIST_ENTRY(n, struct lease, node);
        if (l->state == LEASE_DRAINING && l->cut_at < at)
            at = l->cut_at;
    }
    return at;
}

void leases_tick(struct leases *ls, mtime_ms now)
{
    for (struct list *n = ls->all.next, *next; n != &ls->all; n = next) {
        next = n->next;
        struct lease *l = LIST_ENTRY(n, struct lease, node);
        if (l->state == LEASE_DRAINING)
            look_at_drain(ls, l, now);
    }
}

/* ---- lines of the client ---- */

mtime_ms leases_read_at(const struct leases *ls, mtime_ms now)
{
    mtime_ms at = ls->opens_paid_to + OPEN_COST_MS - 1000;
    return at > now ? at : now;
}

static void pay_open(struct leases *ls, mtime_ms now)
{
    if (ls->opens_paid_to < now)
        ls->opens_paid_to = now;
    ls->opens_paid_to += OPEN_COST_MS;
}

/* Why an open is refused before anybody is asked. */
static enum service_error judge(const struct leases *ls, const struct service_wanted *wanted)
{
    if (wanted->kind == SERVICE_KIND_OTHER)
        return SERVICE_ERR_KIND;
    return ls->live >= ls->max || ls->draining >= ls->max ? SERVICE_ERR_LIMIT : SERVICE_OK;
}

int leases_open(struct leases *ls, const struct service_line *line, struct lease *fresh,
                mtime_ms now)
{
    assert(line->op == SERVICE_OPEN);
    if (leases_find(ls, line->svc))
        return ERR_PROTO;
    struct service_why why = {.error = judge(ls, &line->wanted)};
    *fresh = (struct lease){.state = LEASE_ASKED, .svc = line->svc, .wanted = line->wanted};
    fresh->by_svc.key = line->svc;
    fresh->cut_at = MTIME_NEVER;
    list_init(&fresh->out);
    list_init(&fresh->node);
    list_push(&ls->all, &fresh->node);
    map_put(&ls->by_svc, &fresh->by_svc);
    ls->live++;
    pay_open(ls, now);
    mark(ls, fresh, PENDING_ASK);
    if (why.error != SERVICE_OK)
        withdraw(ls, fresh, SERVICE_REFUSED, &why);
    return 0;
}

static void on_close(struct leases *ls, struct lease *l, uint32_t drain_ms, mtime_ms now)
{
    if (l->state < LEASE_OPEN) {
        withdraw(ls, l, SERVICE_CLOSED, &no_reason);
        return;
    }
    if (l->state == LEASE_OPEN)
        drain(ls, l, drain_ms, now);
    else
        drain_sooner(l, drain_ms, now);
    look_at_drain(ls, l, now);
}

static void on_change(struct leases *ls, struct lease *l, const struct service_line *line)
{
    if (l->state > LEASE_OPEN || !line->change.has_ready || l->wanted.ready == line->change.ready)
        return;
    l->wanted.ready = line->change.ready;
    mark(ls, l, PENDING_CHANGED);
}

void leases_line(struct leases *ls, const struct service_line *line, mtime_ms now)
{
    assert(line->op == SERVICE_CHANGE || line->op == SERVICE_CLOSE);
    struct lease *l = leases_find(ls, line->svc);
    if (!l)
        return;
    if (line->op == SERVICE_CLOSE)
        on_close(ls, l, line->drain_ms, now);
    else
        on_change(ls, l, line);
}

/* ---- answers ---- */

void leases_granted(struct leases *ls, struct lease *l)
{
    if (l->state == LEASE_OVER)
        return;
    become(ls, l, LEASE_GRANTED);
    mark(ls, l, PENDING_LISTEN);
}

void leases_refused(struct leases *ls, struct lease *l, const struct service_why *why)
{
    assert(why->error != SERVICE_OK);
    if (l->state == LEASE_OVER)
        return;
    assert(l->state == LEASE_ASKED);
    answer_last(ls, l, SERVICE_REFUSED, why);
    be_over(ls, l);
}

void leases_listening(struct leases *ls, struct lease *l, const char *address, int32_t port)
{
    if (l->state == LEASE_OVER)
        return;
    become(ls, l, LEASE_OPEN);
    (void)snprintf(l->opened.address, sizeof l->opened.address, "%s", address);
    l->opened.port = port;
    mark(ls, l, PENDING_OPENED);
}

void leases_failed(struct leases *ls, struct lease *l, const char *errno_word)
{
    struct service_why why = {.error = SERVICE_ERR_PORT};
    if (l->state == LEASE_OVER)
        return;
    assert(l->state == LEASE_GRANTED);
    (void)snprintf(why.errno_word, sizeof why.errno_word, "%s", errno_word);
    mark(ls, l, PENDING_RELEASE);
    answer_last(ls, l, SERVICE_REFUSED, &why);
    be_over(ls, l);
}

/* ---- facts ---- */

void leases_streams(struct leases *ls, struct lease *l, uint32_t n)
{
    l->streams = n;
    if (l->state == LEASE_DRAINING && n == 0)
        look_at_drain(ls, l, 0);
}

void leases_end(struct leases *ls, struct lease *l, const struct service_why *why,
                uint32_t drain_ms, mtime_ms now)
{
    assert(why->error != SERVICE_OK);
    if (l->state == LEASE_OVER)
        return;
    if (l->state < LEASE_OPEN) {
        withdraw(ls, l, SERVICE_REFUSED, why);
        return;
    }
    if (l->state == LEASE_OPEN) {
        drain(ls, l, drain_ms, now);
        answer_last(ls, l, SERVICE_CLOSED, why);
    } else {
        drain_sooner(l, drain_ms, now);
    }
    look_at_drain(ls, l, now);
}

void leases_end_all(struct leases *ls, const struct service_why *why, uint32_t drain_ms,
                    mtime_ms now)
{
    for (struct list *n = ls->all.next, *next; n != &ls->all; n = next) {
        next = n->next;
        leases_end(ls, LIST_ENTRY(n, struct lease, node), why, drain_ms, now);
    }
}
