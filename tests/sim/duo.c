/* SPDX-License-Identifier: MIT */
/* The two-ended machine: see duo.h. End 0 is the server, end 1 the client. */
#include "duo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bytes.h"
#include "proto/smux/internal.h"

enum {
    ROUNDS_MAX = 20000,     /* of draining */
    QUIET_ROUNDS = 300,     /* 15 s: PINGs come and go, and ACK what is left */
    CODES = 9,              /* enum smux_reset_code */
    CONTROL = 1 << 30,      /* as an index, of the control stream */
    RTT_MAX_US = 120000000, /* virtual clocks, but they do not run away */
};

/* One end of one stream: what it will write, what it has seen. */
struct end {
    struct smux_stream *st; /* NULL: not there yet, or let go */
    uint64_t to_write, written, seen, unread;
    bool fin_sent, fin_seen, stalled, blocked, done;
    bool reset;  /* by us, with code */
    bool broken; /* by the peer, with code */
    uint32_t code;
    bool ready_said, ready_heard;
    uint64_t ready_at; /* written when it was said */
};

/* One end of the link. */
struct side {
    struct smux_session *s;
    struct end *ends;
    struct end control; /* with services */
    uint32_t opened;    /* by us */
    uint8_t *wire;      /* bytes on their way from here */
    size_t len;
    size_t ring;      /* its size when last looked at */
    bool lost;        /* what is sent from here goes nowhere */
    bool said, heard; /* GOAWAY */
    struct smux_budget budget, replay;
};

struct duo {
    struct duo_config cfg;
    duo_pick *pick;
    void *ctx;
    uint64_t label;
    struct side sides[2];
    uint32_t over; /* ends that are done */
    mtime_ms now;
    bool cut;   /* since when bytes get lost */
    bool deaf;  /* the server reads nothing: it waits on another connection */
    bool quiet; /* draining: nothing happens that was not under way */
    struct duo_count count;
};

static const struct duo *current; /* of the check that fails */

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "duo %llu, %s:%d: %s\n", (unsigned long long)current->label,     \
                          __FILE__, __LINE__, #what);                                              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t pick(struct duo *d, uint32_t below)
{
    return d->pick(d->ctx, below);
}

static bool rarely(struct duo *d, uint32_t one_in)
{
    return !d->quiet && pick(d, one_in) == 0;
}

/* From 1 to most. */
static size_t part_of(struct duo *d, size_t most)
{
    if (d->quiet)
        return most;
    uint32_t limit = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    if (pick(d, 4) == 0 && limit > 24)
        limit = 24; /* ends inside of heads */
    return 1 + pick(d, limit);
}

static size_t index_of(const struct side *sd, const struct end *e)
{
    return e == &sd->control ? CONTROL : (size_t)(e - sd->ends);
}

/* The other end of an end of `me`. */
static struct end *other_end(struct duo *d, int me, const struct end *e)
{
    struct side *mine = &d->sides[me], *other = &d->sides[!me];
    return e == &mine->control ? &other->control : &other->ends[index_of(mine, e)];
}

/* The server's streams 2, 4 .. have even indices, the client's 3, 5 .. odd ones. */
static size_t index_of_sid(uint32_t sid)
{
    return sid - 2;
}

static uint32_t total(const struct duo *d)
{
    return d->cfg.streams[0] + d->cfg.streams[1];
}

static bool is_used(const struct duo *d, size_t i)
{
    return i / 2 < d->cfg.streams[i % 2];
}

/* Indices of streams are below this. */
static uint32_t indices(const struct duo *d)
{
    const uint32_t *n = d->cfg.streams;
    return 2 * (n[0] > n[1] ? n[0] : n[1]);
}

/* ---- services ---- */

static bool wants_ready(size_t i)
{
    return i % 3 != 0;
}

static struct address address_of(size_t i, uint8_t host)
{
    uint8_t ip[16] = {0x20, host, [15] = (uint8_t)i};
    return i % 4 == 1 ? address_ipv4(ip, (uint16_t)i) : address_ipv6(ip, (uint16_t)i);
}

/* What the OPEN of a stream says: the same at both ends, another one for each index. */
static struct smux_open open_of(size_t i)
{
    static char name[SMUX_OPEN_NAME_MAX];
    struct smux_open o = {.service = (uint32_t)i + 1, .want_ready = wants_ready(i), .name = name};
    if (i % 4 != 0) {
        o.visitor = address_of(i, 1);
        o.local = address_of(i, 2);
    }
    if (i % 5 == 0)
        o.origin = address_of(i / 5, 3);
    o.name_len = i * 37 % (SMUX_OPEN_NAME_MAX + 1);
    memset(name, 'a' + (int)(i % 26), sizeof name);
    o.has_trace = i % 7 == 0;
    memset(o.trace, o.has_trace ? (int)i : 0, sizeof o.trace);
    return o;
}

/* What was heard is what was said. */
static void check_open(struct duo *d, const struct smux_event *ev, size_t i)
{
    uint8_t said[SMUX_OPEN_MAX], heard[SMUX_OPEN_MAX];
    struct smux_open open = open_of(i), got = smux_event_open(ev);
    int n = smux_open_put(said, &open);
    CHECK(n > 0 && smux_open_put(heard, &got) == n && memcmp(said, heard, (size_t)n) == 0);
    d->count.opens++;
}

/* An acceptor says it, now and then more than once. */
static void end_ready(struct duo *d, int me, struct end *e)
{
    size_t i = index_of(&d->sides[me], e);
    if (!d->cfg.services || i == CONTROL || i % 2 == (size_t)me || !(d->quiet || rarely(d, 6)))
        return;
    smux_stream_ready(e->st);
    if (e->ready_said || e->fin_sent || !wants_ready(i))
        return;
    e->ready_said = true;
    e->ready_at = e->written;
}

static void on_ready(struct duo *d, int me, struct end *e, const struct end *peer)
{
    CHECK(wants_ready(index_of(&d->sides[me], e)) && peer->ready_said && !e->ready_heard);
    CHECK(!e->fin_seen && e->seen <= peer->ready_at);
    e->ready_heard = true;
    d->count.readies++;
}

static bool control_is_over(const struct duo *d)
{
    for (int me = 0; me < 2; me++) {
        const struct end *e = &d->sides[me].control, *peer = &d->sides[!me].control;
        if (e->written < e->to_write || e->seen < peer->to_write || e->unread > 0)
            return false;
    }
    return true;
}

/* ---- life of a stream's end ---- */

static void let_go(struct duo *d, struct end *e)
{
    e->st = NULL;
    e->done = true;
    d->over++;
}

static void end_close(struct duo *d, struct end *e)
{
    smux_stream_close(e->st, d->now);
    let_go(d, e);
}

/* Reset before its SYN went, a stream stays unknown to the peer. */
static void never_known(struct duo *d, struct end *peer)
{
    peer->reset = peer->done = true;
    d->over++;
}

static void end_reset(struct duo *d, int me, struct end *e)
{
    if (e->st->flags & ST_SYN_DUE)
        never_known(d, &d->sides[!me].ends[index_of(&d->sides[me], e)]);
    e->reset = true;
    e->code = pick(d, CODES);
    if (e->code == SMUX_RST_UNSPECIFIED && !e->fin_seen)
        smux_stream_close(e->st, d->now); /* the same, if nothing was said before */
    else
        smux_stream_reset(e->st, (enum smux_reset_code)e->code, d->now);
    let_go(d, e);
}

static void end_write(struct duo *d, int me, struct end *e)
{
    uint8_t *p;
    size_t room;
    if (e->written == e->to_write || e->blocked || e->fin_sent)
        return;
    int err = smux_stream_reserve(e->st, &p, &room);
    CHECK(err == 0 || err == ERR_AGAIN || err == ERR_LIMIT);
    e->blocked = err == ERR_AGAIN;
    if (err < 0)
        return;
    uint64_t left = e->to_write - e->written;
    size_t n = part_of(d, room < left ? room : (size_t)left);
    size_t i = index_of(&d->sides[me], e);
    for (size_t k = 0; k < n; k++)
        p[k] = byte_of(i, me, e->written + k);
    smux_stream_commit(e->st, n);
    e->written += n;
}

static void end_take(struct duo *d, struct end *e)
{
    if (e->unread == 0 || (e->stalled && !d->quiet && !rarely(d, 100)))
        return;
    size_t n = part_of(d, (size_t)e->unread);
    smux_stream_consumed(e->st, n, d->now);
    e->unread -= n;
}

static void end_step(struct duo *d, int me, struct end *e)
{
    if (!e->st)
        return;
    if (e->broken) {
        end_close(d, e);
        return;
    }
    end_ready(d, me, e);
    end_write(d, me, e);
    end_take(d, e);
    if (e->written == e->to_write && !e->fin_sent && (d->quiet || rarely(d, 3))) {
        smux_stream_finish(e->st, d->now);
        e->fin_sent = true;
    }
    if (e->fin_sent && e->fin_seen && e->unread == 0)
        end_close(d, e);
    else if (d->cfg.resets && rarely(d, 400))
        end_reset(d, me, e);
}

static void control_step(struct duo *d, int me)
{
    struct end *e = &d->sides[me].control;
    if (!d->cfg.services)
        return;
    end_write(d, me, e);
    end_take(d, e);
}

static int open_stream(struct duo *d, struct side *sd, struct end *e)
{
    if (!d->cfg.services)
        return smux_stream_open(sd->s, e, &e->st);
    struct smux_open open = open_of(index_of(sd, e));
    return smux_stream_open_service(sd->s, &open, e, &e->st);
}

static void end_open(struct duo *d, int me)
{
    struct side *sd = &d->sides[me];
    if (sd->opened == d->cfg.streams[me])
        return;
    struct end *e = &sd->ends[2 * sd->opened++ + (uint32_t)me];
    int err = open_stream(d, sd, e);
    CHECK(err == (sd->said || sd->heard ? ERR_BADSTATE : 0));
    if (err < 0) {
        never_known(d, e);
        never_known(d, &d->sides[!me].ends[index_of(sd, e)]);
        return;
    }
    CHECK(index_of_sid(smux_stream_id(e->st)) == index_of(sd, e));
}

/* ---- GOAWAY ---- */

static void say_goaway(struct duo *d, int me)
{
    smux_session_goaway(d->sides[me].s, SMUX_GOAWAY_SHUTDOWN, pick(d, 100000));
    d->sides[me].said = true;
}

/* The end of `me` was opened by the other one too late, and nobody has told me. */
static bool is_refused(const struct duo *d, int me, size_t i)
{
    const struct end *e = &d->sides[me].ends[i];
    return d->sides[me].said && i % 2 != (size_t)me && !e->st && !e->done;
}

/* Refused ends whose other end is done. */
static uint32_t refused(const struct duo *d)
{
    uint32_t n = 0;
    for (int me = 0; me < 2; me++)
        for (size_t i = 0; d->sides[me].said && i < indices(d); i++)
            n += is_used(d, i) && is_refused(d, me, i) && d->sides[!me].ends[i].done;
    return n;
}

/* ---- events ---- */

static void on_event(struct duo *d, int me, const struct smux_event *ev)
{
    struct side *sd = &d->sides[me];
    struct end *e = ev->user;
    if (ev->type == SMUX_EV_GOAWAY) {
        CHECK(!ev->stream && d->sides[!me].said);
        sd->heard = true;
        return;
    }
    if (ev->type == SMUX_EV_OPENED) {
        size_t i = index_of_sid(smux_stream_id(ev->stream));
        CHECK(!sd->said);
        CHECK(is_used(d, i) && i % 2 != (size_t)me && !sd->ends[i].st && !sd->ends[i].done);
        sd->ends[i].st = ev->stream;
        smux_stream_set_user(ev->stream, &sd->ends[i]);
        if (d->cfg.services)
            check_open(d, ev, i);
        return;
    }
    CHECK(e && e->st == ev->stream && !e->broken);
    struct end *peer = other_end(d, me, e);
    if (ev->type == SMUX_EV_DATA) {
        CHECK(!e->fin_seen && e->seen + ev->len <= peer->written);
        for (size_t k = 0; k < ev->len; k++)
            CHECK(ev->data[k] == byte_of(index_of(sd, e), !me, e->seen + k));
        e->seen += ev->len;
        e->unread += ev->len;
        d->count.bytes += ev->len;
        d->count.control += e == &sd->control ? ev->len : 0;
        CHECK(e->unread <= SMUX_START_WINDOW + (e == &sd->control ? 0 : d->cfg.budget));
        CHECK(e->ready_heard || !peer->ready_said || e->seen <= peer->ready_at);
    } else if (ev->type == SMUX_EV_FIN) {
        CHECK(!e->fin_seen && peer->fin_sent && e->seen == peer->written);
        CHECK(e->ready_heard == peer->ready_said);
        e->fin_seen = true;
    } else if (ev->type == SMUX_EV_READY) {
        on_ready(d, me, e, peer);
    } else if (ev->type == SMUX_EV_CREDIT) {
        CHECK(e->blocked);
        e->blocked = false;
    } else {
        CHECK(ev->type == SMUX_EV_RESET && ev->err == ERR_RESET);
        if (is_refused(d, !me, index_of(sd, e))) {
            never_known(d, peer);
            peer->code = SMUX_RST_SHUTDOWN;
        }
        CHECK(peer->reset && ev->code == peer->code);
        e->broken = true;
        e->code = ev->code;
    }
}

/* ---- the link ---- */

/* n of the bytes from `from` arrive. */
static void arrive(struct duo *d, int from, size_t n)
{
    struct side *a = &d->sides[from];
    struct smux_session *to = d->sides[!from].s;
    struct smux_event ev;
    uint64_t before = smux_session_received(to);
    struct smux_input in = {a->wire, n};
    int r;
    while ((r = smux_session_feed(to, &in, d->now, &ev)) > 0)
        on_event(d, !from, &ev);
    CHECK(r == 0 && in.n == 0);
    CHECK(smux_session_received(to) == before + n);
    memmove(a->wire, a->wire + n, a->len - n);
    a->len -= n;
}

static bool is_deaf(const struct duo *d, int me)
{
    return d->sides[me].s->replay.detached || (me == 0 && d->deaf);
}

static void deliver(struct duo *d, int from)
{
    if (d->sides[from].len > 0 && !is_deaf(d, !from))
        arrive(d, from, part_of(d, d->sides[from].len));
}

/* How far this end's ring has gone into the reserve. */
static void watch_reserve(struct duo *d, const struct smux_session *s)
{
    size_t room = s->out.size - (size_t)smux_session_held(s);
    if (room < REPLAY_RESERVE && REPLAY_RESERVE - room > d->count.reserve_most)
        d->count.reserve_most = REPLAY_RESERVE - room;
}

static void transmit(struct duo *d, int from)
{
    struct side *sd = &d->sides[from];
    size_t n, room = sd->lost ? d->cfg.link_bytes : d->cfg.link_bytes - sd->len;
    const uint8_t *p = smux_session_output(sd->s, &n);
    watch_reserve(d, sd->s);
    d->count.grown += sd->ring > 0 && sd->s->out.size > sd->ring;
    sd->ring = sd->s->out.size;
    CHECK(sd->replay.used <= sd->replay.max);
    n = n < room ? n : room;
    if (n == 0)
        return;
    n = part_of(d, n);
    if (!sd->lost) {
        memcpy(sd->wire + sd->len, p, n);
        sd->len += n;
    }
    smux_session_sent(sd->s, n);
}

/* Both directions at once, or one before the other; an end may notice, or not yet. */
static void cut(struct duo *d)
{
    d->cut = true;
    d->count.cuts++;
    uint32_t how = pick(d, 4);
    for (int me = 0; me < 2; me++) {
        struct side *sd = &d->sides[me];
        if (how == (uint32_t)me)
            continue; /* this direction still works */
        sd->lost = true;
        if (sd->len > 0 && pick(d, 2))
            sd->len = pick(d, (uint32_t)sd->len);
    }
    if (how == 3)
        smux_session_detach(d->sides[pick(d, 2)].s);
}

/* The server goes over to a new connection; its answer may get lost: then the client reads its old
   one on. */
static bool server_resumes(struct duo *d)
{
    struct side *server = &d->sides[0], *client = &d->sides[1];
    uint64_t sent = server->s->out.sent, at = smux_session_received(client->s);
    client->len = 0;
    CHECK(smux_session_can_resume(server->s, at));
    CHECK(smux_session_resume(server->s, at, d->now) == 0);
    d->count.replayed += sent > at ? sent - at : 0;
    return !rarely(d, 4);
}

static void resume(struct duo *d)
{
    struct side *server = &d->sides[0], *client = &d->sides[1];
    if (!server_resumes(d)) {
        d->deaf = server->lost = client->lost = true;
        return;
    }
    CHECK(smux_session_resume(client->s, smux_session_received(server->s), d->now) == 0);
    server->len = 0;
    d->cut = d->deaf = server->lost = client->lost = false;
}

static void mend(struct duo *d)
{
    if (rarely(d, 3))
        smux_session_detach(d->sides[pick(d, 2)].s);
    else if (rarely(d, 3))
        d->now += pick(d, 20000);
    else
        resume(d);
}

static void tick(struct duo *d, int me)
{
    struct smux_session *s = d->sides[me].s;
    struct smux_event ev;
    int r;
    while ((r = smux_session_tick(s, d->now, &ev)) > 0)
        on_event(d, me, &ev);
    CHECK(smux_session_rtt_us(s) < RTT_MAX_US);
    if (r == 0)
        return;
    CHECK(r == ERR_TIMEOUT && d->cut); /* nobody is given up whose link works */
    smux_session_detach(s);
}

/* ---- the whole ---- */

/* A stream's end that lives, if there is one. */
static void any_end_steps(struct duo *d)
{
    int me = (int)pick(d, 2);
    uint32_t first = pick(d, indices(d));
    for (uint32_t i = 0; i < indices(d); i++) {
        struct end *e = &d->sides[me].ends[(first + i) % indices(d)];
        if (e->st) {
            end_step(d, me, e);
            return;
        }
    }
}

void duo_crowd(struct duo *d)
{
    current = d;
    for (int me = 0; me < 2; me++) {
        struct side *sd = &d->sides[me];
        while (sd->opened < d->cfg.streams[me]) {
            end_open(d, me);
            end_write(d, me, &sd->ends[2 * (sd->opened - 1) + (uint32_t)me]);
        }
        for (uint64_t before = UINT64_MAX; before != sd->s->out.sent;) {
            before = sd->s->out.sent;
            transmit(d, me);
        }
    }
}

void duo_step(struct duo *d)
{
    current = d;
    uint32_t what = pick(d, 16);
    int me = (int)(what & 1);
    if (d->cfg.cut_one_in > 0 && pick(d, d->cut ? 40 : d->cfg.cut_one_in) == 0) {
        if (d->cut)
            mend(d);
        else
            cut(d);
    }
    if (d->cfg.goaways && rarely(d, 2000))
        say_goaway(d, me);
    if (d->cfg.services && rarely(d, 4))
        control_step(d, me);
    if (what < 6)
        any_end_steps(d);
    else if (what < 8)
        end_open(d, me);
    else if (what < 11)
        transmit(d, me);
    else if (what < 14)
        deliver(d, me);
    else
        d->now += pick(d, 12);
    tick(d, me);
}

bool duo_is_over(const struct duo *d)
{
    return d->over + refused(d) == 2 * total(d) && control_is_over(d);
}

/* What the two ends of one stream have to say in the end. */
static void compare(const struct end *a, const struct end *b)
{
    CHECK(a->seen <= b->written);
    if (!a->reset && !b->reset)
        CHECK(a->fin_seen && b->fin_seen && a->seen == b->to_write);
    if (a->broken)
        CHECK(b->reset && a->code == b->code);
    if (b->reset && !a->reset && !a->broken)
        CHECK(a->fin_seen && a->fin_sent); /* it was over before the reset came */
}

static void drain_round(struct duo *d)
{
    d->now += 50;
    for (int me = 0; me < 2; me++) {
        end_open(d, me);
        control_step(d, me);
        for (size_t i = 0; i < indices(d) && !duo_is_over(d); i++)
            end_step(d, me, &d->sides[me].ends[i]);
        tick(d, me);
        transmit(d, me);
        deliver(d, me);
    }
}

/* Each side has received all that the other one has staged. */
static bool is_carried(const struct duo *d)
{
    return smux_session_received(d->sides[0].s) == d->sides[1].s->out.staged &&
           smux_session_received(d->sides[1].s) == d->sides[0].s->out.staged;
}

void duo_drain(struct duo *d)
{
    current = d;
    d->quiet = true;
    if (d->cut)
        resume(d);
    for (int i = 0; i < ROUNDS_MAX && !duo_is_over(d); i++)
        drain_round(d);
    CHECK(duo_is_over(d));
    for (int i = 0; i < ROUNDS_MAX && !is_carried(d); i++) /* a narrow link takes its time */
        drain_round(d);
    for (int i = 0; i < QUIET_ROUNDS; i++)
        drain_round(d);
    for (size_t i = 0; i < indices(d); i++) {
        for (int me = 0; me < 2; me++)
            d->sides[me].ends[i].reset |= is_refused(d, me, i);
        if (is_used(d, i)) {
            compare(&d->sides[0].ends[i], &d->sides[1].ends[i]);
            compare(&d->sides[1].ends[i], &d->sides[0].ends[i]);
        }
    }
    for (int me = 0; me < 2; me++) {
        struct smux_session *s = d->sides[me].s;
        CHECK(session_streams(s) == 0 && d->sides[me].budget.used == 0);
        CHECK(smux_session_received(s) == d->sides[!me].s->out.staged);
        CHECK(smux_session_held(s) < 256); /* ACKs */
        CHECK(smux_session_rtt_us(s) > 0);
    }
}

static bool side_new(struct duo *d, int me)
{
    struct side *sd = &d->sides[me];
    struct smux_config cfg = smux_config_default(me == 1, SMUX_WIRE_GOTUNNEL2);
    cfg.ring_bytes = d->cfg.ring_bytes[me];
    cfg.ring_max = d->cfg.ring_max[me];
    cfg.stage_max = d->cfg.stage_max;
    cfg.refuse_syn = d->cfg.streams[!me] == 0;
    cfg.caps = d->cfg.services ? SMUX_CAP_SERVICES | SMUX_CAP_READY : 0;
    sd->budget.max = d->cfg.budget;
    cfg.budget = &sd->budget;
    sd->replay.max = d->cfg.replay;
    cfg.replay = &sd->replay;
    sd->ends = calloc(indices(d), sizeof *sd->ends);
    sd->wire = malloc(d->cfg.link_bytes);
    if (!sd->ends || !sd->wire || smux_session_new(&cfg, d->now, &sd->s) < 0)
        return false;
    if (d->cfg.services) {
        sd->control =
            (struct end){.st = smux_session_control(sd->s), .to_write = pick(d, d->cfg.big)};
        smux_stream_set_user(sd->control.st, &sd->control);
    }
    for (size_t i = 0; i < indices(d); i++) {
        if (!is_used(d, i))
            continue;
        struct end *e = &sd->ends[i];
        e->to_write = pick(d, 16) ? pick(d, d->cfg.small) : pick(d, d->cfg.big);
        e->stalled = d->cfg.stalls && pick(d, 6) == 0;
    }
    return true;
}

struct duo *duo_new(const struct duo_config *cfg, duo_pick *choose, void *ctx, uint64_t label)
{
    struct duo *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->cfg = *cfg;
    d->pick = choose;
    d->ctx = ctx;
    d->label = label;
    d->now = 1000;
    if (side_new(d, 0) && side_new(d, 1))
        return d;
    duo_free(d);
    return NULL;
}

void duo_free(struct duo *d)
{
    for (int me = 0; d && me < 2; me++) {
        smux_session_free(d->sides[me].s);
        current = d;
        CHECK(d->sides[me].replay.used == 0);
        free(d->sides[me].ends);
        free(d->sides[me].wire);
    }
    free(d);
}

struct duo_count duo_counted(const struct duo *d)
{
    return d->count;
}
