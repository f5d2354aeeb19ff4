/* SPDX-License-Identifier: MIT */
/*
 * The session: set-up, the parser of received bytes, and the clock.
 *
 * The parser has three states, told by two counts: collecting a head (header, plus payload for
 * UPD), and inside the payload of a PSH whose stream is known (cur) or not (dropped).
 */
#include "proto/smux/internal.h"

#include <string.h>

#include "base/err.h"

struct smux_config smux_config_default(bool is_client)
{
    return (struct smux_config){
        .is_client = is_client,
        .recv_window = SMUX_START_WINDOW,
        .recv_window_max = 16 << 20,
        .max_streams = 131072,
        .stage_max = 64 << 10,
        .ring_bytes = 256 << 10,
        .peer_excess_max = 1 << 20,
        .linger_max = 4096,
        .nop_ms = 10000,
        .dead_ms = 30000,
        .settle_ms = 20,
        .linger_ms = 60000,
    };
}

static bool config_is_valid(const struct smux_config *c)
{
    return c->recv_window >= SMUX_START_WINDOW && c->recv_window <= INT32_MAX &&
           c->recv_window_max <= INT32_MAX && c->ring_bytes >= (size_t)c->stage_max + (64 << 10) &&
           c->nop_ms > 0 && c->dead_ms > 0;
}

int smux_session_new(const struct smux_config *cfg, mtime_ms now, struct smux_session **ret)
{
    if (!config_is_valid(cfg))
        return ERR_INVAL;
    struct smux_session *s = alloc_get(cfg->alloc, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    memset(s, 0, sizeof *s);
    s->cfg = *cfg;
    if (ring_init(&s->out, cfg->ring_bytes) < 0) {
        alloc_put(cfg->alloc, s);
        return ERR_NOMEM;
    }
    map_init(&s->streams, cfg->alloc);
    struct list *const lists[] = {&s->due,     &s->settling, &s->held,  &s->lingering,
                                  &s->starved, &s->credit,   &s->gauges};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    s->next_sid = cfg->is_client ? 3 : 2;
    s->now = s->last_rx = now;
    s->nop_at = now + cfg->nop_ms;
    *ret = s;
    return 0;
}

void smux_session_free(struct smux_session *s)
{
    if (!s)
        return;
    size_t cursor = 0;
    for (struct map_node *n; (n = map_any(&s->streams, &cursor));)
        stream_free(CONTAINER_OF(n, struct smux_stream, node));
    map_fini(&s->streams);
    ring_fini(&s->out);
    alloc_put(s->cfg.alloc, s);
}

uint32_t smux_session_streams(const struct smux_session *s)
{
    return (uint32_t)map_count(&s->streams);
}

static struct smux_stream *find(struct smux_session *s, uint32_t sid)
{
    struct map_node *n = map_get(&s->streams, sid);
    return n ? CONTAINER_OF(n, struct smux_stream, node) : NULL;
}

/* After 2^31 - 1 streams the ids begin again; those still in use are passed over. */
static uint32_t take_sid(struct smux_session *s)
{
    uint32_t sid;
    do {
        sid = s->next_sid;
        s->next_sid += 2;
        if (s->next_sid < 2)
            s->next_sid += 2; /* 0 and 1 are never used */
    } while (map_get(&s->streams, sid));
    return sid;
}

int smux_stream_open(struct smux_session *s, void *user, struct smux_stream **ret)
{
    if (s->dead)
        return ERR_BADSTATE;
    if (map_count(&s->streams) >= s->cfg.max_streams)
        return ERR_LIMIT;
    struct smux_stream *st = stream_new(s, take_sid(s), user);
    if (!st)
        return ERR_NOMEM;
    /* The early UPD tells a peer of our kind to use the whole window; a Go peer takes it too. */
    stream_due(st, ST_SYN_DUE | ST_UPD_DUE);
    *ret = st;
    return 0;
}

/* ---- receiving ---- */

static int event(struct smux_event *ev, enum smux_event_type type, struct smux_stream *st)
{
    *ev = (struct smux_event){.type = type, .stream = st, .user = st->user};
    return 1;
}

/* A stream error: reported once, unless the owner has gone. */
static int broken(struct smux_event *ev, struct smux_stream *st, int err)
{
    if (st->flags & (ST_RELEASED | ST_BROKEN))
        return 0;
    st->flags |= ST_BROKEN;
    st->flags &= ~ST_BLOCKED;
    event(ev, SMUX_EV_RESET, st);
    ev->err = err;
    return 1;
}

static int on_syn(struct smux_session *s, uint32_t sid, struct smux_event *ev)
{
    if (find(s, sid))
        return 0; /* as smux: the old stream goes on */
    if (map_count(&s->streams) >= s->cfg.max_streams)
        return ERR_LIMIT;
    struct smux_stream *st = stream_new(s, sid, NULL);
    if (!st)
        return ERR_NOMEM;
    st->flags = ST_SETTLING | ST_UPD_DUE;
    st->wait_until = s->now + s->cfg.settle_ms;
    list_push(&s->settling, &st->wait);
    return event(ev, SMUX_EV_OPENED, st);
}

static int on_fin(struct smux_session *s, uint32_t sid, struct smux_event *ev)
{
    struct smux_stream *st = find(s, sid);
    if (!st || st->recv != HALF_OPEN)
        return 0;
    stream_fin_seen(st);
    stream_settled(st);
    if (st->flags & ST_RELEASED) {
        stream_end_check(st);
        return 0;
    }
    return st->flags & ST_BROKEN ? 0 : event(ev, SMUX_EV_FIN, st);
}

static int on_upd(struct smux_session *s, uint32_t sid, struct smux_upd upd, struct smux_event *ev)
{
    struct smux_stream *st = find(s, sid);
    if (!st)
        return 0;
    stream_settled(st); /* so does this: the peer has the stream in its table */
    if (upd.window == SMUX_RESET_WINDOW)
        return broken(ev, st, ERR_RESET);
    if (stream_upd(st, upd))
        return broken(ev, st, ERR_PROTO);
    stream_wake(st);
    return 0;
}

/* Nobody reads what comes on st: it is acknowledged and dropped. */
static bool is_dropped(const struct smux_stream *st)
{
    return st->flags & (ST_RELEASED | ST_BROKEN);
}

/* How much more may come on st: what was ever announced, and what the reader has made room for. */
static int64_t allowance(const struct smux_stream *st)
{
    int64_t announced = (int32_t)(st->limit - st->received);
    int64_t room = (int64_t)stream_window(st) - (st->received - st->consumed);
    return announced > room ? announced : room;
}

/* A frame beyond that ends the session, before any of its payload. */
static int on_psh(struct smux_session *s, const struct smux_header *h)
{
    struct smux_stream *st = find(s, h->sid);
    s->cur = st;
    s->cur_left = h->len;
    if (!st || st->recv != HALF_OPEN || is_dropped(st))
        return 0;
    return h->len > allowance(st) ? ERR_PROTO : 0;
}

/* A whole head is there. */
static int on_frame(struct smux_session *s, const struct smux_header *h, struct smux_event *ev)
{
    switch (h->cmd) {
    case SMUX_SYN:
        return on_syn(s, h->sid, ev);
    case SMUX_FIN:
        return on_fin(s, h->sid, ev);
    case SMUX_PSH:
        return on_psh(s, h);
    case SMUX_NOP:
        return 0;
    case SMUX_UPD:
        return on_upd(s, h->sid, smux_upd_get(s->head + SMUX_HEADER_BYTES), ev);
    }
    return ERR_PROTO; /* not reached: smux_header_get() checks */
}

static size_t take(struct smux_input *in, size_t want)
{
    size_t n = in->n < want ? in->n : want;
    in->p += n;
    in->n -= n;
    return n;
}

/* Collects a head across any split. 1 complete, 0 needs more, or ERR_PROTO. */
static int collect_head(struct smux_session *s, struct smux_input *in, struct smux_header *ret)
{
    size_t want = SMUX_HEADER_BYTES;
    for (;;) {
        const uint8_t *from = in->p;
        size_t n = s->head_len < want ? take(in, want - s->head_len) : 0;
        memcpy(s->head + s->head_len, from, n);
        s->head_len += n;
        if (s->head_len < want)
            return 0;
        int r = smux_header_get(s->head, ret);
        if (r < 0)
            return r;
        size_t all = SMUX_HEADER_BYTES + (ret->cmd == SMUX_UPD ? SMUX_UPD_BYTES : 0);
        if (want == all)
            break;
        want = all;
    }
    s->head_len = 0;
    return 1;
}

/* Payload of a PSH: DATA for the owner, or dropped. */
static int on_payload(struct smux_session *s, struct smux_input *in, struct smux_event *ev)
{
    struct smux_stream *st = s->cur;
    const uint8_t *p = in->p;
    size_t n = take(in, s->cur_left);
    s->cur_left -= (uint32_t)n;
    if (!st || st->recv != HALF_OPEN)
        return 0;
    st->received += (uint32_t)n;
    st->sent_at_rx = st->sent;
    window_received(st);
    stream_settled(st); /* data proves that the peer has the stream in its table */
    if (is_dropped(st)) {
        smux_stream_consumed(st, n, s->now);
        return 0;
    }
    event(ev, SMUX_EV_DATA, st);
    ev->data = p;
    ev->len = n;
    return 1;
}

/* A stream whose owner waits for credit and has some now. */
static int next_credit(struct smux_session *s, struct smux_event *ev)
{
    for (struct list *n; (n = list_first(&s->credit));) {
        struct smux_stream *st = LIST_ENTRY(n, struct smux_stream, wait);
        list_del(n);
        if (!(st->flags & ST_BLOCKED))
            continue;
        st->flags &= ~ST_BLOCKED;
        return event(ev, SMUX_EV_CREDIT, st);
    }
    return 0;
}

static int parse(struct smux_session *s, struct smux_input *in, struct smux_event *ev)
{
    for (;;) {
        int r = next_credit(s, ev);
        if (r != 0 || in->n == 0)
            return r;
        if (s->cur_left > 0) {
            r = on_payload(s, in, ev);
        } else {
            struct smux_header h;
            r = collect_head(s, in, &h);
            if (r > 0)
                r = on_frame(s, &h, ev);
        }
        if (r != 0)
            return r;
    }
}

int smux_session_feed(struct smux_session *s, struct smux_input *in, mtime_ms now,
                      struct smux_event *ev)
{
    if (s->dead)
        return s->dead;
    s->now = now;
    if (in->n > 0)
        s->last_rx = now;
    int r = parse(s, in, ev);
    if (r < 0)
        s->dead = r;
    return r;
}

/* ---- time ---- */

/* The first stream of a list ordered by wait_until, if its time has come. */
static struct smux_stream *expired(const struct smux_session *s, const struct list *l)
{
    struct list *n = list_first(l);
    if (!n)
        return NULL;
    struct smux_stream *st = LIST_ENTRY(n, struct smux_stream, wait);
    return st->wait_until <= s->now ? st : NULL;
}

int smux_session_tick(struct smux_session *s, mtime_ms now, struct smux_event *ev)
{
    if (s->dead)
        return s->dead;
    s->now = now;
    if (now - s->last_rx >= s->cfg.dead_ms)
        return s->dead = ERR_TIMEOUT;
    if (now >= s->nop_at) {
        s->nop_due = true;
        s->nop_at = now + s->cfg.nop_ms;
    }
    for (struct smux_stream *st; (st = expired(s, &s->settling));)
        stream_settled(st);
    for (struct smux_stream *st; (st = expired(s, &s->held));)
        stream_hold_step(st);
    for (struct smux_stream *st; (st = expired(s, &s->lingering));) {
        s->lingering_count--;
        stream_free(st);
    }
    window_tick(s);
    return next_credit(s, ev);
}

static mtime_ms earlier(mtime_ms at, const struct list *l)
{
    struct list *n = list_first(l);
    if (!n)
        return at;
    const struct smux_stream *st = LIST_ENTRY(n, struct smux_stream, wait);
    return st->wait_until < at ? st->wait_until : at;
}

mtime_ms smux_session_deadline(const struct smux_session *s)
{
    mtime_ms at = s->last_rx + s->cfg.dead_ms;
    if (s->nop_at < at)
        at = s->nop_at;
    if (window_deadline(s) < at)
        at = window_deadline(s);
    if (!list_empty(&s->credit))
        return s->now;
    return earlier(earlier(earlier(at, &s->settling), &s->held), &s->lingering);
}
