/* SPDX-License-Identifier: MIT */
/* See carry.h. End 0 is the server, end 1 the client. */
#include "sim/carry.h"

#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/hello.h"
#include "proto/smux/internal.h"
#include "sim/bytes.h"

enum {
    WIRE = 1 << 14,    /* what a direction of the link holds */
    LINES = 1 << 18,   /* of the control stream, waiting at one end: not read, or not written */
    RING = 64 << 10,   /* the least: cuts come where it is full */
    SMALL = 60,        /* bytes of a stream's direction: below */
    BIG = 100000,      /* now and then */
    ROUNDS_MAX = 4000, /* of settling */
    NOBODY = 1 << 30,  /* added to a number: never one */
};

/* One end of one stream. */
struct end {
    struct smux_stream *st; /* NULL: not there yet, or let go */
    uint32_t to_write, written, seen, unread;
    bool fin_sent, fin_seen, blocked, done;
    bool reset, broken; /* by us, by the other one */
    bool ready_said, ready_heard;
    uint32_t code, heard; /* why we reset it; what came */
};

struct visitor {
    struct list node;
    uint32_t serial;
    void *service; /* NULL: of none */
    char name[HELLO_ID_MAX + 1];
    bool wants_ready;
    bool is_unknown; /* the client has said so */
    struct end ends[2];
};

struct lines {
    size_t from, to;
    uint8_t bytes[LINES];
};

/* One end of the link. */
struct side {
    struct smux_session *s;
    struct smux_stream *control;
    struct lines in, out;
    bool blocked; /* the control stream has no credit */
    uint8_t wire[WIRE];
    size_t len;
    bool lost; /* what is sent from here goes nowhere */
};

struct carry {
    const struct carry_ops *ops;
    void *ctx;
    struct rng *rng;
    struct carry_seen *seen;
    struct side sides[2];
    struct list visitors;
    uint32_t serial;
    mtime_ms now;
    bool cut, deaf, quiet; /* deaf: the server waits on another connection */
};

static uint32_t pick(struct carry *c, uint32_t n)
{
    return rng_below(c->rng, n);
}

static bool rarely(struct carry *c, uint32_t one_in)
{
    return !c->quiet && pick(c, one_in) == 0;
}

/* From 1 to most; small ones often. */
static size_t part_of(struct carry *c, size_t most)
{
    if (c->quiet)
        return most;
    return 1 + pick(c, (uint32_t)(most > 24 && pick(c, 3) == 0 ? 24 : most));
}

/* ---- lines ---- */

static void lines_put(struct lines *l, const void *p, size_t n)
{
    memmove(l->bytes, l->bytes + l->from, l->to - l->from);
    l->to -= l->from;
    l->from = 0;
    assert(l->to + n <= LINES);
    memcpy(l->bytes + l->to, p, n);
    l->to += n;
}

void carry_say(struct carry *c, bool from_server, const void *p, size_t n)
{
    lines_put(&c->sides[!from_server].out, p, n);
}

/* Writes what the stream takes, reads what the owner takes. */
static void control_step(struct carry *c, int me)
{
    struct side *sd = &c->sides[me];
    size_t n = sd->out.to - sd->out.from, wrote;
    if (n > 0 && !sd->blocked) {
        int err =
            smux_stream_write(sd->control, sd->out.bytes + sd->out.from, part_of(c, n), &wrote);
        assert(err == 0 || err == ERR_AGAIN || err == ERR_LIMIT);
        sd->blocked = err == ERR_AGAIN;
        sd->out.from += wrote;
    }
    n = sd->in.to - sd->in.from;
    if (n == 0)
        return;
    size_t took = c->ops->on_control(c->ctx, me == 0, sd->in.bytes + sd->in.from, n);
    sd->in.from += took;
    smux_stream_consumed(sd->control, took, c->now);
}

static bool control_waits(const struct side *sd)
{
    return sd->out.to > sd->out.from || sd->in.to > sd->in.from;
}

/* ---- visitors ---- */

static void let_go(struct carry *c, struct visitor *v, int me)
{
    v->ends[me].st = NULL;
    v->ends[me].done = true;
    if (me == 0 && v->service)
        c->ops->on_over(c->ctx, v->service);
}

static void end_reset(struct carry *c, struct visitor *v, int me, uint32_t code)
{
    struct end *e = &v->ends[me];
    if (e->st->flags & ST_SYN_DUE)
        v->ends[!me].done = true; /* never known there */
    e->reset = true;
    e->code = code;
    smux_stream_reset(e->st, (enum smux_reset_code)code, c->now);
    c->seen->resets++;
    let_go(c, v, me);
}

static void end_write(struct carry *c, struct visitor *v, int me)
{
    struct end *e = &v->ends[me];
    uint8_t *p;
    size_t room;
    if (e->written == e->to_write || e->blocked)
        return;
    int err = smux_stream_reserve(e->st, &p, &room);
    assert(err == 0 || err == ERR_AGAIN || err == ERR_LIMIT);
    e->blocked = err == ERR_AGAIN;
    if (err < 0)
        return;
    uint32_t left = e->to_write - e->written;
    size_t n = part_of(c, room < left ? room : left);
    for (size_t i = 0; i < n; i++)
        p[i] = byte_of(v->serial, me, e->written + (uint32_t)i);
    smux_stream_commit(e->st, n);
    e->written += (uint32_t)n;
}

static void end_step(struct carry *c, struct visitor *v, int me)
{
    struct end *e = &v->ends[me];
    if (!e->st)
        return;
    if (e->broken) {
        smux_stream_close(e->st, c->now);
        let_go(c, v, me);
        return;
    }
    if (me == 1 && v->wants_ready && !e->ready_said && (c->quiet || pick(c, 3) == 0)) {
        smux_stream_ready(e->st);
        e->ready_said = true;
    }
    if (me == 0 || !v->wants_ready || e->ready_said)
        end_write(c, v, me);
    if (e->unread > 0) {
        size_t n = part_of(c, e->unread);
        smux_stream_consumed(e->st, n, c->now);
        e->unread -= (uint32_t)n;
    }
    if (e->written == e->to_write && !e->fin_sent && (c->quiet || pick(c, 8) == 0)) {
        smux_stream_finish(e->st, c->now);
        e->fin_sent = true;
    }
    if (e->fin_sent && e->fin_seen && e->unread == 0) {
        smux_stream_close(e->st, c->now);
        let_go(c, v, me);
    } else if (rarely(c, 300)) {
        end_reset(c, v, me, SMUX_RST_PEER_RESET);
    }
}

/* Both ends have said the same. */
static void visitor_free(struct visitor *v)
{
    for (int me = 0; me < 2; me++) {
        const struct end *e = &v->ends[me], *o = &v->ends[!me];
        assert(e->seen <= o->written);
        if (!e->reset && !e->broken && !o->reset)
            assert(e->fin_seen && e->seen == o->to_write);
        if (e->broken)
            assert(o->reset && o->code == e->heard);
    }
    list_del(&v->node);
    free(v);
}

void carry_visit(struct carry *c, void *service, uint32_t svc, const char *name)
{
    struct visitor *v = calloc(1, sizeof *v);
    assert(v);
    v->serial = ++c->serial;
    v->service = service;
    (void)snprintf(v->name, sizeof v->name, "%s", name);
    v->wants_ready = pick(c, 2);
    for (int me = 0; me < 2; me++)
        v->ends[me].to_write = pick(c, pick(c, 30) || c->quiet ? SMALL : BIG);
    struct smux_open open = {.service = service ? svc : svc % NOBODY + NOBODY,
                             .want_ready = v->wants_ready,
                             .has_trace = true,
                             .name = v->name,
                             .name_len = strlen(v->name)};
    memcpy(open.trace, &v->serial, sizeof v->serial);
    int err = smux_stream_open_service(c->sides[0].s, &open, v, &v->ends[0].st);
    assert(err == 0);
    list_push(&c->visitors, &v->node);
    c->seen->streams++;
}

unsigned carry_reset_all(struct carry *c, const void *service)
{
    unsigned n = 0;
    list_foreach (i, &c->visitors) {
        struct visitor *v = LIST_ENTRY(i, struct visitor, node);
        if (v->service != service || !v->ends[0].st)
            continue;
        end_reset(c, v, 0, SMUX_RST_SHUTDOWN);
        n++;
    }
    return n;
}

/* Frees who is through at both ends. */
static void visitors_sweep(struct carry *c)
{
    struct list *next;
    for (struct list *i = c->visitors.next; i != &c->visitors; i = next) {
        struct visitor *v = LIST_ENTRY(i, struct visitor, node);
        next = i->next;
        if (v->ends[0].done && v->ends[1].done)
            visitor_free(v);
    }
}

/* ---- events ---- */

static struct visitor *visitor_of(struct carry *c, const struct smux_open *open)
{
    uint32_t serial;
    memcpy(&serial, open->trace, sizeof serial);
    list_foreach (i, &c->visitors) {
        struct visitor *v = LIST_ENTRY(i, struct visitor, node);
        if (v->serial == serial)
            return v;
    }
    return NULL;
}

static void on_opened(struct carry *c, const struct smux_event *ev)
{
    struct smux_open open = smux_event_open(ev);
    struct visitor *v = visitor_of(c, &open);
    assert(open.has_trace && v && !v->ends[1].st && !v->ends[1].done);
    assert(open.name_len == strlen(v->name) && memcmp(open.name, v->name, open.name_len) == 0);
    v->ends[1].st = ev->stream;
    smux_stream_set_user(ev->stream, v);
    const char *name = c->ops->name_of(c->ctx, open.service);
    if (!name) {
        /* an OPEN goes ahead of what is said after it, so also of `closed` */
        assert(!v->service || v->ends[0].done);
        c->seen->unknown++;
        v->is_unknown = true;
        end_reset(c, v, 1, SMUX_RST_NO_SERVICE);
        return;
    }
    assert(v->service && strcmp(name, v->name) == 0);
}

static void on_data(struct carry *c, struct visitor *v, int me, const struct smux_event *ev)
{
    struct end *e = &v->ends[me], *o = &v->ends[!me];
    assert(!e->fin_seen && !e->broken && e->seen + ev->len <= o->written);
    assert(me == 1 || !v->wants_ready || e->ready_heard);
    for (size_t i = 0; i < ev->len; i++)
        assert(ev->data[i] == byte_of(v->serial, !me, e->seen + (uint32_t)i));
    e->seen += (uint32_t)ev->len;
    e->unread += (uint32_t)ev->len;
    c->seen->bytes += ev->len;
}

static void on_reset(struct visitor *v, int me, uint32_t code)
{
    struct end *e = &v->ends[me];
    const struct end *o = &v->ends[!me];
    assert(o->reset && o->code == code && !e->broken);
    assert((code == SMUX_RST_NO_SERVICE) == v->is_unknown);
    e->broken = true;
    e->heard = code;
}

static void on_event(struct carry *c, int me, const struct smux_event *ev)
{
    struct side *sd = &c->sides[me];
    if (ev->type == SMUX_EV_OPENED) {
        assert(me == 1);
        on_opened(c, ev);
        return;
    }
    if (ev->stream == sd->control) {
        if (ev->type == SMUX_EV_DATA)
            lines_put(&sd->in, ev->data, ev->len);
        else
            assert(ev->type == SMUX_EV_CREDIT && sd->blocked);
        sd->blocked = ev->type == SMUX_EV_CREDIT ? false : sd->blocked;
        return;
    }
    struct visitor *v = ev->user;
    struct end *e = &v->ends[me];
    assert(e->st == ev->stream);
    switch (ev->type) {
    case SMUX_EV_DATA:
        on_data(c, v, me, ev);
        break;
    case SMUX_EV_FIN:
        assert(!e->fin_seen && v->ends[!me].fin_sent && e->seen == v->ends[!me].written);
        e->fin_seen = true;
        break;
    case SMUX_EV_READY:
        assert(me == 0 && v->wants_ready && v->ends[1].ready_said && !e->ready_heard &&
               e->seen == 0);
        e->ready_heard = true;
        c->seen->readies++;
        break;
    case SMUX_EV_CREDIT:
        assert(e->blocked);
        e->blocked = false;
        break;
    default:
        assert(ev->type == SMUX_EV_RESET && ev->err == ERR_RESET);
        on_reset(v, me, ev->code);
    }
}

/* ---- the link ---- */

static void transmit(struct carry *c, int from)
{
    struct side *sd = &c->sides[from];
    size_t n;
    const uint8_t *p = smux_session_output(sd->s, &n);
    size_t room = sd->lost ? n : WIRE - sd->len;
    n = n < room ? n : room;
    if (n == 0)
        return;
    n = part_of(c, n);
    if (!sd->lost) {
        memcpy(sd->wire + sd->len, p, n);
        sd->len += n;
    }
    smux_session_sent(sd->s, n);
}

static void arrive(struct carry *c, int from, size_t n)
{
    struct side *sd = &c->sides[from];
    struct smux_session *to = c->sides[!from].s;
    struct smux_input in = {sd->wire, n};
    struct smux_event ev;
    int r;
    while ((r = smux_session_feed(to, &in, c->now, &ev)) > 0)
        on_event(c, !from, &ev);
    assert(r == 0 && in.n == 0);
    memmove(sd->wire, sd->wire + n, sd->len - n);
    sd->len -= n;
}

static bool may_arrive(const struct carry *c, int from)
{
    int to = !from;
    return c->sides[from].len > 0 && !c->sides[to].s->replay.detached && !(to == 0 && c->deaf);
}

static void tick(struct carry *c)
{
    for (int me = 0; me < 2; me++) {
        struct side *sd = &c->sides[me];
        struct smux_event ev;
        int r;
        while ((r = smux_session_tick(sd->s, c->now, &ev)) > 0)
            on_event(c, me, &ev);
        if (r == 0)
            continue;
        assert(r == ERR_TIMEOUT && !c->quiet);
        smux_session_detach(sd->s); /* time went by faster than bytes */
        c->cut = true;
        c->sides[0].lost = c->sides[1].lost = true;
    }
}

/* Both directions at once, or one before the other; an end may notice, or not yet. */
static void cut_somehow(struct carry *c)
{
    uint32_t how = pick(c, 4);
    c->cut = true;
    c->seen->cuts++;
    for (int me = 0; me < 2; me++) {
        struct side *sd = &c->sides[me];
        if (how == (uint32_t)me)
            continue; /* this direction still works */
        sd->lost = true;
        if (sd->len > 0 && pick(c, 2))
            sd->len = pick(c, (uint32_t)sd->len);
    }
    if (how == 3)
        smux_session_detach(c->sides[pick(c, 2)].s);
}

/* As docs/protocol.md has it: the server goes over first, the client when it has the answer, which may get
   lost: then it reads its old connection on. */
static void resume(struct carry *c)
{
    struct side *server = &c->sides[0], *client = &c->sides[1];
    uint64_t at = smux_session_received(client->s);
    int err = smux_session_resume(server->s, at, c->now);
    assert(err == 0);
    client->len = 0;
    if (rarely(c, 4)) {
        c->deaf = server->lost = client->lost = true;
        c->seen->lost_answers++;
        return;
    }
    err = smux_session_resume(client->s, smux_session_received(server->s), c->now);
    assert(err == 0);
    server->len = 0;
    c->cut = c->deaf = server->lost = client->lost = false;
    c->seen->resumes++;
}

/* ---- the whole ---- */

static struct visitor *any_visitor(struct carry *c)
{
    uint32_t n = 0;
    struct visitor *v = NULL;
    list_foreach (i, &c->visitors) {
        if (pick(c, ++n) == 0)
            v = LIST_ENTRY(i, struct visitor, node);
    }
    return v;
}

void carry_step(struct carry *c, mtime_ms now)
{
    uint32_t what = pick(c, 16);
    int me = (int)(what & 1);
    struct visitor *v;
    c->now = now;
    if (!c->cut && pick(c, 150) == 0)
        cut_somehow(c);
    else if (c->cut && pick(c, 30) == 0)
        resume(c);
    else if (c->cut && pick(c, 60) == 0)
        smux_session_detach(c->sides[me].s);
    if (what < 4) {
        v = any_visitor(c);
        if (v)
            end_step(c, v, me);
    } else if (what < 7) {
        control_step(c, me);
    } else if (what < 11) {
        transmit(c, me);
    } else if (may_arrive(c, me)) {
        arrive(c, me, part_of(c, c->sides[me].len));
    }
    tick(c);
    visitors_sweep(c);
}

/* Visitors and lines get as far as they can. */
static void everybody_steps(struct carry *c)
{
    for (int me = 0; me < 2; me++) {
        control_step(c, me);
        list_foreach (i, &c->visitors)
            end_step(c, LIST_ENTRY(i, struct visitor, node), me);
    }
    visitors_sweep(c);
    tick(c);
}

bool carry_byte(struct carry *c, mtime_ms now)
{
    c->now = now;
    c->quiet = true;
    everybody_steps(c);
    for (int from = 1; from >= 0; from--) {
        transmit(c, from);
        if (!may_arrive(c, from))
            continue;
        arrive(c, from, 1);
        everybody_steps(c);
        return true;
    }
    return false;
}

void carry_cut(struct carry *c, mtime_ms now)
{
    c->now = now;
    c->cut = c->quiet = true;
    c->seen->cuts++;
    for (int me = 0; me < 2; me++) {
        c->sides[me].len = 0;
        smux_session_detach(c->sides[me].s);
    }
    resume(c);
}

static bool has_work(const struct carry *c)
{
    bool works = !list_empty(&c->visitors);
    for (int me = 0; me < 2; me++) {
        const struct side *sd = &c->sides[me];
        works |= control_waits(sd) || sd->len > 0;
        works |= smux_session_received(c->sides[!me].s) != sd->s->out.staged;
    }
    return works;
}

bool carry_settle(struct carry *c, mtime_ms now)
{
    bool moved = false;
    int rounds = 0;
    c->now = now;
    tick(c);
    c->quiet = true;
    if (c->cut)
        resume(c);
    everybody_steps(c);
    while (has_work(c) && rounds++ < ROUNDS_MAX) {
        bool moves = false;
        for (int from = 0; from < 2; from++) {
            transmit(c, from);
            if (!may_arrive(c, from))
                continue;
            arrive(c, from, c->sides[from].len);
            moves = true;
        }
        everybody_steps(c);
        moved |= moves;
        if (!moves && !c->sides[0].len && !c->sides[1].len)
            break; /* a line waits for its time */
    }
    assert(rounds < ROUNDS_MAX);
    c->quiet = false;
    return moved;
}

bool carry_is_over(const struct carry *c)
{
    return list_empty(&c->visitors) && !control_waits(&c->sides[0]) && !control_waits(&c->sides[1]);
}

static void side_init(struct carry *c, int me)
{
    struct side *sd = &c->sides[me];
    struct smux_config cfg = smux_config_default(me == 1, SMUX_WIRE_GOTUNNEL2);
    cfg.ring_bytes = (size_t)RING << pick(c, 3);
    cfg.ring_max = cfg.ring_bytes << pick(c, 3);
    cfg.refuse_syn = me == 0;
    cfg.caps = SMUX_CAP_SERVICES | SMUX_CAP_READY;
    int err = smux_session_new(&cfg, c->now, &sd->s);
    assert(err == 0);
    sd->control = smux_session_control(sd->s);
}

struct carry *carry_new(const struct carry_ops *ops, void *ctx, struct rng *rng, mtime_ms now,
                        struct carry_seen *seen)
{
    struct carry *c = calloc(1, sizeof *c);
    assert(c);
    c->ops = ops;
    c->ctx = ctx;
    c->rng = rng;
    c->now = now;
    c->seen = seen;
    list_init(&c->visitors);
    side_init(c, 0);
    side_init(c, 1);
    return c;
}

void carry_free(struct carry *c)
{
    if (!c)
        return;
    for (struct list *i; (i = list_first(&c->visitors));) {
        list_del(i);
        free(LIST_ENTRY(i, struct visitor, node));
    }
    smux_session_free(c->sides[0].s);
    smux_session_free(c->sides[1].s);
    free(c);
}
