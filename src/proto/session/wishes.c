/* SPDX-License-Identifier: MIT */
/*
 * What a client wants: see wishes.h. Inputs change states and mark what is to be told or sent. What
 * is to be asked for is decided in one place only, when actions are pulled: so an open always goes
 * behind the closes of the same flight, and no path forgets a rule.
 */
#include "proto/session/wishes.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

/* What waits to be pulled of a wish, in this order. */
enum pending {
    PENDING_TELL = 1u << 0,
    PENDING_CHANGE = 1u << 1,
    PENDING_CLOSE = 1u << 2,
    PENDING_FREE = 1u << 3,
};

/* ---- the table of states ---- */

enum { I = 1u << WISH_IDLE, A = 1u << WISH_ASKED, O = 1u << WISH_OPEN };
enum { R = 1u << WISH_REFUSED, C = 1u << WISH_CLOSING, G = 1u << WISH_GONE };

static const uint8_t may_become[WISH_STATES] = {
    [WISH_IDLE] = A | G,         [WISH_ASKED] = I | O | R | C | G,
    [WISH_OPEN] = I | R | C | G, [WISH_REFUSED] = I | G,
    [WISH_CLOSING] = G,          [WISH_GONE] = 0,
};

const char *wish_state_word(enum wish_state s)
{
    static const char *const words[] = {"idle", "asked", "open", "refused", "closing", "gone"};
    return words[s];
}

/* It counts at the server. */
static bool is_live(const struct wish *w)
{
    return w->state == WISH_ASKED || w->state == WISH_OPEN;
}

static void become(struct wishes *ws, struct wish *w, enum wish_state s)
{
    assert(may_become[w->state] & 1u << s);
    ws->live -= is_live(w);
    ws->closing -= w->state == WISH_CLOSING;
    w->state = s;
    ws->live += is_live(w);
    ws->closing += w->state == WISH_CLOSING;
}

/* ---- marking ---- */

static void mark(struct wishes *ws, struct wish *w, enum pending what)
{
    w->pending |= (uint8_t)what;
    if (list_empty(&w->out))
        list_push(&ws->out, &w->out);
}

static void tell(struct wishes *ws, struct wish *w, enum wish_tell what, bool again)
{
    w->tell = what;
    w->tell_again = again;
    mark(ws, w, PENDING_TELL);
}

/* Its pair goes its own way from now on. */
static void part(struct wish *w)
{
    if (w->replaces)
        w->replaces->replaced_by = NULL;
    if (w->replaced_by)
        w->replaced_by->replaces = NULL;
    w->replaces = w->replaced_by = NULL;
}

/* No line of it is owed to the server. */
static void go(struct wishes *ws, struct wish *w)
{
    part(w);
    w->pending &= PENDING_TELL;
    become(ws, w, WISH_GONE);
    list_del(&w->node);
    mark(ws, w, PENDING_FREE);
}

/* Not wanted any more, whatever its state. */
static void close_wish(struct wishes *ws, struct wish *w)
{
    if (!is_live(w)) {
        go(ws, w);
        return;
    }
    part(w);
    w->owes_answer = w->state == WISH_ASKED;
    become(ws, w, WISH_CLOSING);
    mark(ws, w, PENDING_CLOSE);
}

/* ---- asking ---- */

/* The two cannot be had at once. Addresses are not compared: "" and "::" are nearly all of them. */
static bool is_same_place(const struct wish *a, const struct wish *b)
{
    return a->wanted.kind == b->wanted.kind && a->wanted.port == b->wanted.port &&
           a->wanted.port != 0;
}

static bool has_room(const struct wishes *ws)
{
    return ws->live < ws->max;
}

/* One that will be replaced, and has to go before w can be asked for; NULL: none. */
static struct wish *in_the_way(const struct wishes *ws, const struct wish *w)
{
    list_foreach (n, &ws->all) {
        struct wish *v = LIST_ENTRY(n, struct wish, node);
        if (v->replaced_by && is_same_place(v, w))
            return v;
    }
    if (w->needs_place)
        return w->replaces;
    /* one that was refused does not cost its older one the place */
    return has_room(ws) || w->told != SERVICE_OK ? NULL : w->replaces;
}

struct wish *wishes_find(const struct wishes *ws, uint32_t svc)
{
    list_foreach (n, &ws->all) {
        struct wish *w = LIST_ENTRY(n, struct wish, node);
        if (svc != 0 && (w->svc == svc || w->svc_before == svc))
            return w;
    }
    return NULL;
}

static uint32_t new_number(struct wishes *ws)
{
    uint32_t svc;
    do {
        svc = ws->next_svc++;
    } while (svc == 0 || wishes_find(ws, svc));
    return svc;
}

static struct wish *first_idle(const struct wishes *ws)
{
    list_foreach (n, &ws->all) {
        struct wish *w = LIST_ENTRY(n, struct wish, node);
        if (w->state == WISH_IDLE)
            return w;
    }
    return NULL;
}

/* ---- pulling ---- */

static void take_line(struct wish_action *ret, struct wish *w, enum service_op op)
{
    ret->kind = WISH_SEND;
    ret->line = (struct service_line){.op = op, .svc = w->svc};
    if (op == SERVICE_CLOSE) {
        ret->line.drain_ms = w->drain_ms;
    } else {
        ret->line.change.has_ready = true;
        ret->line.change.ready = w->wanted.ready;
    }
}

static void take_pending(struct wish *w, struct wish_action *ret)
{
    uint8_t first = w->pending & -w->pending;
    w->pending &= ~first;
    *ret = (struct wish_action){.wish = w};
    switch ((enum pending)first) {
    case PENDING_TELL:
        ret->kind = WISH_TELL;
        ret->tell = (enum wish_tell)w->tell;
        ret->again = w->tell_again;
        break;
    case PENDING_CHANGE:
        take_line(ret, w, SERVICE_CHANGE);
        break;
    case PENDING_CLOSE:
        take_line(ret, w, SERVICE_CLOSE);
        break;
    case PENDING_FREE:
        ret->kind = WISH_FREE;
        break;
    }
    if (w->pending == 0)
        list_del(&w->out);
}

/* The next wish that can be asked for, as an action: its open, or first the close of what is in its
   way. */
static bool ask_next(struct wishes *ws, struct wish_action *ret)
{
    struct wish *w = ws->has_session ? first_idle(ws) : NULL;
    if (!w || ws->closing >= WISHES_CLOSING_MAX)
        return false;
    struct wish *older = in_the_way(ws, w);
    if (older) {
        close_wish(ws, older);
        take_pending(older, ret);
        return true;
    }
    if (!has_room(ws))
        return false;
    w->svc = new_number(ws);
    become(ws, w, WISH_ASKED);
    *ret = (struct wish_action){
        .kind = WISH_SEND,
        .wish = w,
        .line = {.op = SERVICE_OPEN, .svc = w->svc, .wanted = w->wanted},
    };
    return true;
}

bool wishes_next(struct wishes *ws, struct wish_action *ret)
{
    struct list *n = list_first(&ws->out);
    if (!n)
        return ask_next(ws, ret);
    take_pending(LIST_ENTRY(n, struct wish, out), ret);
    return true;
}

/* ---- time ---- */

mtime_ms wishes_deadline(const struct wishes *ws)
{
    mtime_ms at = MTIME_NEVER;
    list_foreach (n, &ws->all) {
        const struct wish *w = LIST_ENTRY(n, struct wish, node);
        if (w->state == WISH_REFUSED && w->retry_at < at)
            at = w->retry_at;
    }
    return at;
}

void wishes_tick(struct wishes *ws, mtime_ms now)
{
    list_foreach (n, &ws->all) {
        struct wish *w = LIST_ENTRY(n, struct wish, node);
        if (w->state == WISH_REFUSED && w->retry_at <= now)
            become(ws, w, WISH_IDLE);
    }
}

/* ---- what the user wants ---- */

void wishes_init(struct wishes *ws, uint32_t max, mtime_ms retry_max_ms, uint64_t seed)
{
    assert(max > 0);
    *ws = (struct wishes){.max = max, .retry_max_ms = retry_max_ms, .next_svc = 1};
    list_init(&ws->all);
    list_init(&ws->out);
    rng_seed(&ws->rng, seed);
}

/* A new one, before the node `next`. */
static void enter(struct wishes *ws, struct wish *w, struct list *next)
{
    *w = (struct wish){.wanted = w->wanted};
    list_init(&w->node);
    list_init(&w->out);
    backoff_init(&w->backoff, ws->retry_max_ms);
    list_push(next, &w->node);
}

void wishes_add(struct wishes *ws, struct wish *w)
{
    enter(ws, w, &ws->all);
}

void wishes_replace(struct wishes *ws, struct wish *older, struct wish *w, uint32_t drain_ms)
{
    assert(!older->replaced_by && older->state <= WISH_REFUSED);
    enter(ws, w, &older->node);
    if (older->state == WISH_OPEN) {
        older->drain_ms = drain_ms;
        older->replaced_by = w;
        w->replaces = older;
        return;
    }
    /* it does not serve: what it was to replace goes on until this one is open */
    struct wish *open = older->replaces;
    older->drain_ms = 0;
    close_wish(ws, older);
    w->replaces = open;
    if (open)
        open->replaced_by = w;
}

void wishes_last(struct wishes *ws, struct wish *w)
{
    list_move(&ws->all, &w->node);
}

struct wish *wishes_replaced(const struct wish *w)
{
    return w->replaces;
}

void wishes_undo(struct wishes *ws, struct wish *w)
{
    assert(w->replaces);
    w->drain_ms = 0;
    close_wish(ws, w);
}

void wishes_remove(struct wishes *ws, struct wish *w, uint32_t drain_ms)
{
    assert(!w->replaced_by && w->state <= WISH_REFUSED);
    struct wish *open = w->replaces;
    if (open) {
        open->drain_ms = drain_ms;
        close_wish(ws, open);
    }
    w->drain_ms = drain_ms;
    close_wish(ws, w);
}

void wishes_change(struct wishes *ws, struct wish *w, bool ready)
{
    assert(w->state <= WISH_REFUSED);
    if (w->wanted.ready == ready)
        return;
    w->wanted.ready = ready;
    if (is_live(w))
        mark(ws, w, PENDING_CHANGE);
}

/* ---- facts of the session ---- */

void wishes_begun(struct wishes *ws)
{
    assert(!ws->has_session);
    ws->has_session = true;
}

static void forget_number(struct wish *w)
{
    w->svc = 0;
    w->port = 0;
    w->address[0] = '\0';
}

/* Its lines have nowhere to go any more. */
static void forget_session(struct wishes *ws, struct wish *w, mtime_ms now)
{
    w->pending &= ~(PENDING_CHANGE | PENDING_CLOSE);
    if (w->pending == 0)
        list_del(&w->out);
    if (w->state == WISH_OPEN)
        backoff_down(&w->backoff, now);
    w->svc_before = w->svc;
    forget_number(w);
    if (w->state == WISH_CLOSING || w->replaced_by)
        go(ws, w);
    else if (w->state != WISH_IDLE)
        become(ws, w, WISH_IDLE);
}

void wishes_lost(struct wishes *ws, mtime_ms now)
{
    if (!ws->has_session)
        return;
    ws->has_session = false;
    for (struct list *n = ws->all.next, *next; n != &ws->all; n = next) {
        next = n->next;
        forget_session(ws, LIST_ENTRY(n, struct wish, node), now);
    }
}

static int on_opened(struct wishes *ws, struct wish *w, const struct service_line *line,
                     mtime_ms now)
{
    int32_t port = line->opened.port;
    if (port == 0 || (w->wanted.port != 0 && port != w->wanted.port))
        return ERR_PROTO; /* nothing listens there, or not what was asked for */
    if (w->state == WISH_CLOSING && w->owes_answer) {
        w->owes_answer = false; /* it has crossed our close */
        return 0;
    }
    if (w->state != WISH_ASKED)
        return ERR_PROTO;
    become(ws, w, WISH_OPEN);
    memcpy(w->address, line->opened.address, sizeof w->address);
    w->port = line->opened.port;
    w->told = SERVICE_OK;
    backoff_up(&w->backoff, now);
    tell(ws, w, WISH_TELL_OPENED, false);
    if (w->replaces)
        close_wish(ws, w->replaces);
    return 0;
}

/* How a refusal may pass. */
static enum backoff_kind backoff_kind(enum service_error e)
{
    bool held = e == SERVICE_ERR_PORT || e == SERVICE_ERR_TAKEN;
    return held ? BACKOFF_HELD : BACKOFF_REJECTED;
}

/* The server says no, or not any more. */
static void refuse(struct wishes *ws, struct wish *w, enum wish_tell what,
                   const struct service_why *why, mtime_ms now)
{
    bool again = w->told != SERVICE_OK && w->told == why->error &&
                 strcmp(w->told_errno, why->errno_word) == 0;
    forget_number(w);
    w->why = *why;
    if (w->replaced_by) { /* the newer one asks for itself */
        go(ws, w);
        return;
    }
    w->pending &= ~PENDING_CHANGE;
    become(ws, w, WISH_REFUSED);
    /* its older one's place will do; unless others drain there, which may be why */
    if (why->error == SERVICE_ERR_LIMIT && w->replaces && ws->closing == 0) {
        w->needs_place = true;
        become(ws, w, WISH_IDLE);
        return;
    }
    w->retry_at = now + backoff_next(&w->backoff, backoff_kind(why->error), now, &ws->rng);
    w->told = why->error;
    memcpy(w->told_errno, why->errno_word, sizeof w->told_errno);
    tell(ws, w, what, again);
}

static int on_refused(struct wishes *ws, struct wish *w, const struct service_line *line,
                      mtime_ms now)
{
    if (w->state == WISH_CLOSING && w->owes_answer) {
        go(ws, w);
        return 0;
    }
    if (w->state != WISH_ASKED)
        return ERR_PROTO;
    refuse(ws, w, WISH_TELL_REFUSED, &line->why, now);
    return 0;
}

static int on_closed(struct wishes *ws, struct wish *w, const struct service_line *line,
                     mtime_ms now)
{
    if (w->state == WISH_CLOSING) {
        go(ws, w);
        return 0;
    }
    if (w->state != WISH_OPEN)
        return ERR_PROTO;
    backoff_down(&w->backoff, now);
    refuse(ws, w, WISH_TELL_CLOSED, &line->why, now);
    return 0;
}

int wishes_line(struct wishes *ws, const struct service_line *line, mtime_ms now)
{
    assert(ws->has_session);
    if (line->op == SERVICE_NOTICE)
        return 0;
    assert(line->op >= SERVICE_OPENED); /* a server's */
    struct wish *w = wishes_find(ws, line->svc);
    if (!w || w->svc != line->svc)
        return ERR_PROTO;
    if (line->op == SERVICE_OPENED)
        return on_opened(ws, w, line, now);
    return line->op == SERVICE_REFUSED ? on_refused(ws, w, line, now) : on_closed(ws, w, line, now);
}
