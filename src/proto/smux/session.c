/* SPDX-License-Identifier: MIT */
/*
 * The session: set-up, the parser of received bytes, and the clock.
 *
 * The parser has three states, told by two counts: collecting a head (header, plus payload for
 * UPD), and inside the payload of a PSH whose stream is known (cur) or not (dropped).
 */
#include "proto/smux/internal.h"

#include <string.h>

#include "base/endian.h"
#include "base/err.h"

struct smux_config smux_config_default(bool is_client, uint8_t version)
{
    bool v2 = version == SMUX_WIRE_GOTUNNEL2;
    return (struct smux_config){
        .version = version,
        .is_client = is_client,
        .recv_window = SMUX_START_WINDOW,
        .recv_window_max = 16 << 20,
        .max_streams = 131072,
        .stage_max = 64 << 10,
        .ring_bytes = v2 ? 1 << 20 : 256 << 10,
        .ring_max = 16 << 20,
        .peer_excess_max = 1 << 20,
        .linger_max = 4096,
        .nop_ms = 10000,
        .dead_ms = v2 ? 15000 : 30000,
        .ping_ms = 5000,
        .refuse_syn = v2 && !is_client,
        .settle_ms = 20,
        .linger_ms = 60000,
    };
}

static bool config_is_valid(const struct smux_config *c)
{
    if (c->caps & ~(unsigned)(SMUX_CAP_SERVICES | SMUX_CAP_READY))
        return false;
    if (c->caps && c->version != SMUX_WIRE_GOTUNNEL2)
        return false;
    return c->recv_window >= SMUX_START_WINDOW && c->recv_window <= INT32_MAX &&
           c->recv_window_max <= INT32_MAX && c->nop_ms > 0 && c->dead_ms > 0;
}

/* A ring of gotunnel/2 holds what was sent too, so one frame and the reserves are enough. */
static bool ring_is_valid(const struct smux_config *c)
{
    if (c->version == SMUX_WIRE_LEGACY)
        return c->ring_bytes >= (size_t)c->stage_max + (64 << 10);
    return c->version == SMUX_WIRE_GOTUNNEL2 && c->ring_bytes >= 64 << 10 &&
           c->ring_max >= c->ring_bytes && c->ring_max <= 1 << 30 && c->stage_max > 0 &&
           c->ping_ms > 0;
}

/* The commands that the peer may say: enum smux_known. */
static uint8_t known_to(const struct smux_config *c)
{
    if (c->version == SMUX_WIRE_LEGACY)
        return SMUX_KNOWS_LEGACY;
    uint8_t known = SMUX_KNOWS_GOTUNNEL2;
    if (!c->refuse_syn)
        known |= c->caps & SMUX_CAP_SERVICES ? SMUX_KNOWS_OPEN : SMUX_KNOWS_SYN;
    if (c->caps & SMUX_CAP_READY)
        known |= SMUX_KNOWS_READY;
    return known;
}

/* The longest that is collected: 376 bytes more for who takes OPEN, a client. */
static size_t head_bytes(uint8_t known)
{
    return SMUX_HEADER_BYTES + (known & SMUX_KNOWS_OPEN ? SMUX_OPEN_MAX : SMUX_FIXED_BYTES);
}

int smux_session_new(const struct smux_config *cfg, mtime_ms now, struct smux_session **ret)
{
    if (!config_is_valid(cfg) || !ring_is_valid(cfg))
        return ERR_INVAL;
    uint8_t known = known_to(cfg);
    struct smux_session *s = alloc_get(cfg->alloc, sizeof *s + head_bytes(known));
    if (!s)
        return ERR_NOMEM;
    memset(s, 0, sizeof *s);
    s->cfg = *cfg;
    s->known = known;
    if (ring_init(&s->out, cfg->ring_bytes) < 0) {
        alloc_put(cfg->alloc, s);
        return ERR_NOMEM;
    }
    map_init(&s->streams, cfg->alloc);
    struct list *const lists[] = {&s->due,     &s->settling, &s->held,  &s->lingering,
                                  &s->starved, &s->credit,   &s->gauges};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    s->stage = cfg->stage_max;
    s->next_sid = cfg->is_client ? 3 : 2;
    s->now = s->last_rx = now;
    s->stage = cfg->stage_max;
    s->nop_at = is_v2(s) ? MTIME_NEVER : now + cfg->nop_ms;
    replay_init(s);
    liveness_init(s);
    if (services_init(s) < 0) {
        smux_session_free(s);
        return ERR_NOMEM;
    }
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
    ring_gauge_end(s);
    ring_fini(&s->out);
    alloc_put(s->cfg.alloc, s);
}

uint32_t smux_session_open_streams(const struct smux_session *s)
{
    return session_streams(s) - s->lingering_count;
}

mtime_ms smux_session_heard_at(const struct smux_session *s)
{
    return s->last_rx;
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

/* The early UPD tells a peer of our kind to use the whole window; a Go peer takes it too. In
   gotunnel/2 it is for another window than every stream begins with. */
unsigned session_first_upd(const struct smux_session *s)
{
    return is_v2(s) && s->cfg.recv_window == SMUX_START_WINDOW ? 0 : ST_UPD_DUE;
}

int session_open_next(struct smux_session *s, void *user, struct smux_stream **ret)
{
    if (s->dead || is_going_away(s))
        return ERR_BADSTATE;
    if (session_streams(s) >= s->cfg.max_streams)
        return ERR_LIMIT;
    struct smux_stream *st = stream_new(s, take_sid(s), user);
    if (!st)
        return ERR_NOMEM;
    stream_due(st, ST_SYN_DUE | session_first_upd(s));
    *ret = st;
    return 0;
}

int smux_stream_open(struct smux_session *s, void *user, struct smux_stream **ret)
{
    return has_services(s) ? ERR_INVAL : session_open_next(s, user, ret);
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
    if (session_streams(s) >= s->cfg.max_streams)
        return ERR_LIMIT;
    struct smux_stream *st = stream_new(s, sid, NULL);
    if (!st)
        return ERR_NOMEM;
    if (s->live.goaway_said) { /* the peer had not heard it */
        v2_reset(st, SMUX_RST_SHUTDOWN);
        return 0;
    }
    if (is_v2(s)) {
        if (session_first_upd(s))
            stream_due(st, ST_UPD_DUE);
        return event(ev, SMUX_EV_OPENED, st);
    }
    st->flags = ST_SETTLING | ST_UPD_DUE;
    st->wait_until = s->now + s->cfg.settle_ms;
    list_push(&s->settling, &st->wait);
    return event(ev, SMUX_EV_OPENED, st);
}

static int on_open(struct smux_session *s, const struct smux_header *h, struct smux_event *ev)
{
    unsigned flags = 0;
    int r = services_on_open(s, h->len, &flags);
    if (r == 0)
        r = on_syn(s, h->sid, ev);
    if (r <= 0)
        return r;
    ev->stream->flags |= flags;
    ev->data = s->head + SMUX_HEADER_BYTES;
    ev->len = h->len;
    return r;
}

static int on_fin(struct smux_stream *st, struct smux_event *ev)
{
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

static int on_upd(struct smux_stream *st, struct smux_upd upd, struct smux_event *ev)
{
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

static int on_rst(struct smux_stream *st, uint32_t code, struct smux_event *ev)
{
    if (!st || !v2_reset_seen(st))
        return 0;
    int r = broken(ev, st, ERR_RESET);
    ev->code = code;
    return r;
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
static int on_psh(struct smux_session *s, struct smux_stream *st, const struct smux_header *h)
{
    s->cur = st;
    s->cur_left = h->len;
    if (!st || st->recv != HALF_OPEN || is_dropped(st))
        return 0;
    return h->len > allowance(st) ? ERR_PROTO : 0;
}

/* A whole head is there. */
static int on_frame(struct smux_session *s, const struct smux_header *h, struct smux_event *ev)
{
    const uint8_t *p = s->head + SMUX_HEADER_BYTES;
    struct smux_stream *st = find(s, h->sid);
    if (is_v2(s)) {
        int r = v2_check(s, st, h);
        if (r < 0)
            return r;
        if (h->cmd != SMUX_ACK)
            replay_ack_wanted(s);
    }
    switch (h->cmd) {
    case SMUX_SYN:
        return st ? 0 : on_syn(s, h->sid, ev); /* as smux: the old stream goes on */
    case SMUX_FIN:
        return on_fin(st, ev);
    case SMUX_PSH:
        return on_psh(s, st, h);
    case SMUX_NOP:
        return 0;
    case SMUX_UPD:
        return on_upd(st, smux_upd_get(p), ev);
    case SMUX_RST:
        return on_rst(st, get_le32(p), ev);
    case SMUX_ACK:
        return replay_acked(s, get_le64(p));
    case SMUX_PING:
        return liveness_on_ping(s, get_le64(p));
    case SMUX_PONG:
        return liveness_on_pong(s, get_le64(p));
    case SMUX_GOAWAY:
        return liveness_on_goaway(s, p, ev);
    case SMUX_OPEN:
        return on_open(s, h, ev);
    case SMUX_READY:
        return st && services_on_ready(st) ? event(ev, SMUX_EV_READY, st) : 0;
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
        int r = smux_header_get(s->head, s->cfg.version, s->known, ret);
        if (r < 0)
            return r;
        size_t all = SMUX_HEADER_BYTES + (ret->cmd == SMUX_PSH ? 0 : ret->len);
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
    replay_ack_wanted(s);
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
    if (s->replay.detached)
        return ERR_BADSTATE;
    s->now = now;
    if (in->n > 0)
        s->last_rx = now;
    size_t before = in->n;
    int r = parse(s, in, ev);
    s->replay.received += before - in->n;
    replay_heard(s, before - in->n);
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

void smux_session_clock(struct smux_session *s, mtime_ms now)
{
    s->now = now;
}

/* Keepalive of the legacy wire. 0 or ERR_TIMEOUT. */
static int keepalive_tick(struct smux_session *s)
{
    if (s->now - s->last_rx >= s->cfg.dead_ms)
        return s->dead = ERR_TIMEOUT;
    if (s->now >= s->nop_at) {
        s->nop_due = true;
        s->nop_at = s->now + s->cfg.nop_ms;
    }
    return 0;
}

static mtime_ms keepalive_deadline(const struct smux_session *s)
{
    mtime_ms at = s->last_rx + s->cfg.dead_ms;
    return s->nop_at < at ? s->nop_at : at;
}

int smux_session_tick(struct smux_session *s, mtime_ms now, struct smux_event *ev)
{
    if (s->dead)
        return s->dead;
    if (s->replay.detached)
        return 0;
    s->now = now;
    int r = is_v2(s) ? liveness_tick(s) : keepalive_tick(s);
    if (r < 0)
        return r;
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
    if (s->replay.detached)
        return MTIME_NEVER;
    mtime_ms at = is_v2(s) ? liveness_deadline(s) : keepalive_deadline(s);
    if (window_deadline(s) < at)
        at = window_deadline(s);
    if (!list_empty(&s->credit))
        return s->now;
    return earlier(earlier(earlier(at, &s->settling), &s->held), &s->lingering);
}
