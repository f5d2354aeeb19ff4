/* SPDX-License-Identifier: MIT */
/* The bench for sessions: see kit.h. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/endian.h"
#include "base/err.h"

struct kit *kit_new(bool is_client, const struct smux_config *cfg)
{
    struct smux_config defaults = smux_config_default(is_client, SMUX_WIRE_LEGACY);
    struct kit *k = calloc(1, sizeof *k);
    assert_non_null(k);
    k->now = 1000;
    assert_int_equal(smux_session_new(cfg ? cfg : &defaults, k->now, &k->s), 0);
    k->in.version = k->s->cfg.version;
    return k;
}

struct kit *kit_new_v2(bool is_client)
{
    struct smux_config cfg = smux_config_default(is_client, SMUX_WIRE_GOTUNNEL2);
    return kit_new(is_client, &cfg);
}

struct smux_open kit_an_open(bool want_ready)
{
    static const uint8_t visitor[4] = {192, 0, 2, 7}, local[4] = {203, 0, 113, 5};
    return (struct smux_open){
        .service = 7,
        .want_ready = want_ready,
        .visitor = address_ipv4(visitor, 50122),
        .local = address_ipv4(local, 443),
        .name = "a.example.com",
        .name_len = 13,
    };
}

void kit_free(struct kit *k)
{
    kit_check(k->s);
    smux_session_free(k->s);
    free(k->in.p);
    free(k);
}

/* ---- frames ---- */

void wire_raw(struct wire *w, const void *p, size_t n)
{
    if (w->cap - w->n < n) {
        w->cap = (w->n + n) * 2;
        w->p = realloc(w->p, w->cap);
        assert_non_null(w->p);
    }
    if (n > 0)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

void wire_header(struct wire *w, uint8_t version, uint8_t cmd, uint16_t len, uint32_t sid)
{
    const uint8_t h[] = {version,
                         cmd,
                         (uint8_t)len,
                         (uint8_t)(len >> 8),
                         (uint8_t)sid,
                         (uint8_t)(sid >> 8),
                         (uint8_t)(sid >> 16),
                         (uint8_t)(sid >> 24)};
    wire_raw(w, h, sizeof h);
}

static uint8_t version_of(const struct wire *w)
{
    return w->version ? w->version : SMUX_WIRE_LEGACY;
}

void wire_plain(struct wire *w, enum smux_cmd cmd, uint32_t sid)
{
    wire_header(w, version_of(w), (uint8_t)cmd, 0, sid);
}

void wire_psh(struct wire *w, uint32_t sid, size_t len)
{
    uint8_t body[32768];
    do {
        size_t n = len < sizeof body ? len : sizeof body;
        for (size_t i = 0; i < n; i++)
            body[i] = (uint8_t)((w->n + i) * 7 + sid);
        wire_header(w, version_of(w), SMUX_PSH, (uint16_t)n, sid);
        wire_raw(w, body, n);
        len -= n;
    } while (len > 0);
}

void wire_upd(struct wire *w, uint32_t sid, uint32_t consumed, uint32_t window)
{
    wire_header(w, version_of(w), SMUX_UPD, 8, sid);
    wire_header(w, (uint8_t)consumed, (uint8_t)(consumed >> 8), (uint16_t)(consumed >> 16), window);
}

void wire_rst(struct wire *w, uint32_t sid, uint32_t code)
{
    uint8_t p[4];
    put_le32(p, code);
    wire_header(w, version_of(w), SMUX_RST, sizeof p, sid);
    wire_raw(w, p, sizeof p);
}

void wire_open(struct wire *w, uint32_t sid, const struct smux_open *open)
{
    uint8_t p[SMUX_OPEN_MAX];
    int n = smux_open_put(p, open);
    assert_true(n > 0);
    wire_header(w, version_of(w), SMUX_OPEN, (uint16_t)n, sid);
    wire_raw(w, p, (size_t)n);
}

void wire_word(struct wire *w, enum smux_cmd cmd, uint64_t word)
{
    uint8_t p[8];
    put_le64(p, word);
    wire_header(w, version_of(w), (uint8_t)cmd, sizeof p, 0);
    wire_raw(w, p, sizeof p);
}

void wire_goaway(struct wire *w, uint32_t code, uint32_t ms)
{
    wire_word(w, SMUX_GOAWAY, code | (uint64_t)ms << 32);
}

/* ---- events ---- */

static void remember(struct kit *k, const struct smux_event *ev)
{
    uint32_t sid = ev->stream ? smux_stream_id(ev->stream) : 0;
    struct kit_event *last = k->count > 0 ? &k->events[k->count - 1] : NULL;
    bool joins = ev->type == SMUX_EV_DATA && last && last->type == SMUX_EV_DATA && last->sid == sid;
    if (!joins) {
        assert_true(k->count < KIT_EVENTS);
        last = &k->events[k->count++];
        *last =
            (struct kit_event){.type = ev->type, .sid = sid, .err = ev->err, .hash = 1469598103};
    }
    last->code = ev->code;
    last->ms = ev->ms;
    last->len += ev->len;
    for (size_t i = 0; i < ev->len; i++)
        last->hash = (last->hash ^ ev->data[i]) * 1099511628211u;
    if (sid < KIT_STREAMS)
        k->streams[sid] = ev->stream;
    if (ev->type == SMUX_EV_OPENED)
        ev->stream->sent = k->pretend;
    if (ev->type == SMUX_EV_DATA && k->eager)
        smux_stream_consumed(ev->stream, ev->len, k->now);
}

int kit_feed(struct kit *k, const uint8_t *p, size_t n)
{
    /* A copy of its own size lets the address sanitizer see any read beyond it. */
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, p, n);
    struct smux_input in = {.p = copy, .n = n};
    struct smux_event ev;
    int r;
    while ((r = smux_session_feed(k->s, &in, k->now, &ev)) > 0)
        remember(k, &ev);
    if (r == 0)
        assert_int_equal(in.n, 0);
    free(copy);
    return k->code = r;
}

const char *kit_text(struct kit *k)
{
    static const char *const names[] = {"OPENED", "DATA",   "FIN",  "RESET",
                                        "CREDIT", "GOAWAY", "READY"};
    size_t at = 0;
    k->text[0] = '\0';
    for (size_t i = 0; i < k->count; i++) {
        const struct kit_event *e = &k->events[i];
        at += (size_t)snprintf(k->text + at, KIT_TEXT - at, "%s%s:%u", i ? " " : "", names[e->type],
                               e->sid);
        if (e->type == SMUX_EV_DATA)
            at +=
                (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%llu", (unsigned long long)e->len);
        if (e->err)
            at += (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%s", err_name(e->err));
        if (e->code || e->ms)
            at += (size_t)snprintf(k->text + at, KIT_TEXT - at, "/%u/%u", e->code, e->ms);
        assert_true(at < KIT_TEXT);
    }
    if (k->code < 0)
        (void)snprintf(k->text + at, KIT_TEXT - at, "%s!%s", at ? " " : "", err_name(k->code));
    return k->text;
}

void kit_clear(struct kit *k)
{
    k->count = 0;
    k->code = 0;
}

const char *fed(struct kit *k)
{
    kit_clear(k);
    (void)kit_feed(k, k->in.p, k->in.n);
    k->in.n = 0;
    kit_check(k->s);
    return kit_text(k);
}

const char *ticked(struct kit *k, mtime_ms now)
{
    struct smux_event ev;
    kit_clear(k);
    k->now = now;
    while ((k->code = smux_session_tick(k->s, now, &ev)) > 0)
        remember(k, &ev);
    if (k->code == 0)
        assert_true(smux_session_deadline(k->s) > now); /* else a loop would spin */
    kit_check(k->s);
    return kit_text(k);
}

/* ---- output ---- */

static size_t frame_text(struct kit *k, const uint8_t *p, size_t at)
{
    static const char *const names[] = {"SYN",  "FIN",  "PSH",    "NOP",  "UPD", "RST",  "ACK",
                                        "PING", "PONG", "GOAWAY", "OPEN", "",    "READY"};
    struct smux_header h;
    unsigned known = k->s->known;
    if (known & SMUX_KNOWS_GOTUNNEL2) /* what we say, whatever we would take */
        known |= has_services(k->s) ? SMUX_KNOWS_OPEN | SMUX_KNOWS_READY : SMUX_KNOWS_SYN;
    assert_int_equal(smux_header_get(p, k->s->cfg.version, known, &h), 0);
    at += (size_t)snprintf(k->text + at, KIT_TEXT - at, "%s%s:%u", at ? " " : "", names[h.cmd],
                           h.sid);
    if (h.cmd == SMUX_PSH)
        at += (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%u", h.len);
    if (h.cmd == SMUX_UPD) {
        struct smux_upd u = smux_upd_get(p + SMUX_HEADER_BYTES);
        at += (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%u/%u", u.consumed, u.window);
    }
    if (h.cmd == SMUX_RST)
        at += (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%u", get_le32(p + SMUX_HEADER_BYTES));
    if (h.cmd == SMUX_OPEN)
        at += (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%u/%u",
                               get_le32(p + SMUX_HEADER_BYTES), h.len);
    if (h.cmd >= SMUX_ACK && h.cmd <= SMUX_GOAWAY)
        at += (size_t)snprintf(k->text + at, KIT_TEXT - at, ":%llu",
                               (unsigned long long)get_le64(p + SMUX_HEADER_BYTES));
    assert_true(at < KIT_TEXT);
    return at;
}

const char *sent(struct kit *k)
{
    size_t n, text = 0;
    k->text[0] = '\0';
    k->sink = 0;
    for (const uint8_t *p; (void)(p = smux_session_output(k->s, &n)), n > 0;) {
        size_t at = 0;
        while (at < n) {
            size_t len = (size_t)(p[at + 2] | p[at + 3] << 8);
            assert_true(at + SMUX_HEADER_BYTES + len <= n); /* whole frames only */
            text = frame_text(k, p + at, text);
            if (p[at + 1] == SMUX_PSH) {
                k->sink += len;
                k->frame_max = len > k->frame_max ? len : k->frame_max;
            }
            at += SMUX_HEADER_BYTES + len;
        }
        smux_session_sent(k->s, n);
    }
    kit_check(k->s);
    return k->text;
}

struct smux_stream *kit_open(struct kit *k)
{
    struct smux_stream *st;
    assert_int_equal(smux_stream_open(k->s, k, &st), 0);
    if (smux_stream_id(st) < KIT_STREAMS)
        k->streams[smux_stream_id(st)] = st;
    return st;
}

size_t kit_write(struct kit *k, struct smux_stream *st, size_t n, int *ret_err)
{
    size_t done = 0;
    *ret_err = 0;
    while (done < n) {
        uint8_t *p;
        size_t room;
        int r = smux_stream_reserve(st, &p, &room);
        if (r == ERR_LIMIT) {
            (void)sent(k);
            continue;
        }
        if (r < 0) {
            *ret_err = r;
            break;
        }
        assert_in_range(room, 1, SMUX_FRAME_PAYLOAD);
        room = room < n - done ? room : n - done;
        memset(p, (int)smux_stream_id(st), room);
        smux_stream_commit(st, room);
        done += room;
    }
    return done;
}

/* ---- the inner books ---- */

static size_t list_len(const struct list *l)
{
    size_t n = 0;
    list_foreach (it, l)
        n++;
    return n;
}

static bool is_in(const struct list *l, const struct list *n)
{
    list_foreach (it, l)
        if (it == n)
            return true;
    return false;
}

/* The window, and what it is charged for. */
static uint32_t check_window(const struct smux_session *s, const struct smux_stream *st)
{
    const struct smux_gauge *g = st->gauge;
    uint32_t start = s->cfg.recv_window, most = s->cfg.recv_window_max;
    assert_int_equal(stream_window(st), g ? g->window : start);
    /* what the reader has before it was either announced or is within the window */
    if ((int32_t)(st->limit - st->received) < 0 && !(st->flags & ST_RELEASED))
        assert_in_range(st->received - st->consumed, 0, stream_window(st));
    if (!g)
        return 0;
    assert_ptr_equal(g->stream, st);
    assert_true(is_in(&s->gauges, &g->node));
    assert_in_range(g->window, start, most > start ? most : start);
    return g->window - start;
}

static void check_stream(const struct smux_session *s, const struct smux_stream *st,
                         uint32_t *excess)
{
    uint32_t inflight = st->sent - st->peer_consumed;
    if (!(st->flags & ST_ROOMY) && st->recv == HALF_OPEN && inflight > SMUX_GO_FREE)
        *excess += inflight - SMUX_GO_FREE;
    unsigned due = st->flags & ST_DUE;
    if (st->flags & ST_HAS_OPEN)
        assert_true(st->flags & ST_SYN_DUE && st->open);
    if (!(st->flags & ST_SETTLING))
        assert_int_equal(due != 0, is_in(&s->due, &st->due));
    else
        assert_true(is_in(&s->settling, &st->wait) && list_empty(&st->due));
    /* nothing that is over may be kept: both halves closed and no owner */
    assert_false(st->flags & ST_RELEASED && st->send == HALF_CLOSED && st->recv == HALF_CLOSED &&
                 list_empty(&st->due));
    /* what only waits for the peer's FIN lingers, and waits for nothing else */
    bool lingers = st->flags & ST_RELEASED && st->send == HALF_CLOSED && st->recv == HALF_OPEN;
    assert_int_equal(is_in(&s->lingering, &st->wait), lingers);
    if (is_in(&s->held, &st->wait))
        assert_true(st->send == HALF_FINISHING && !(st->flags & (ST_FIN_DUE | ST_RST_DUE)));
}

void kit_check(const struct smux_session *s)
{
    uint32_t excess = 0, count = 0;
    uint64_t beyond = 0;
    size_t gauges = 0;
    for (size_t i = 0; i < (size_t)1 << s->streams.bits; i++) {
        for (struct map_node *n = s->streams.table[i]; n; n = n->next, count++) {
            const struct smux_stream *st = CONTAINER_OF(n, struct smux_stream, node);
            check_stream(s, st, &excess);
            beyond += check_window(s, st);
            gauges += st->gauge != NULL;
        }
    }
    assert_int_equal(gauges, list_len(&s->gauges));
    if (s->cfg.budget) /* which other sessions may share */
        assert_in_range(beyond, 0, s->cfg.budget->used);
    assert_int_equal(count, session_streams(s) + has_services(s));
    assert_int_equal(excess, s->excess);
    assert_true(s->excess <= s->cfg.peer_excess_max);
    assert_int_equal(list_len(&s->lingering), s->lingering_count);
    assert_true(s->lingering_count <= s->cfg.linger_max);
}
