/* SPDX-License-Identifier: MIT */
/*
 * Our session against the model of a Go peer, over a seeded link in virtual time: nothing that
 * protocol.md says can be saved is lost (D1, D3, D4, D5), stalled users stop nobody (D18), and at
 * the end neither side holds a stream. In one schedule of eight an allocation fails.
 *
 *   test_gopeer [FIRST_SEED [COUNT]]    one schedule a seed; a failure names its seed
 */
#include "gopeer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "proto/smux/internal.h"

enum {
    SCHEDULES = 600,
    LINK_BYTES = 200000,
    STALLED = 64, /* of the schedules about D18 */
    LIVE_MS = 30000,
    HANG_MS = 40000,
    TIME_MS = 150000,
};

enum kind {
    DOWNLOAD,    /* we send and finish; the Go side only reads */
    UPLOAD,      /* the Go side sends and closes */
    HALF_CLOSE,  /* D1: we finish at once; what the Go side wrote before its FIN must come */
    DUPLEX,      /* D3: we finish while the Go side goes on sending */
    BLOCKED_UP,  /* D3: we finish while the Go side waits for our window */
    ABANDON,     /* D4: we let go while the Go side waits for our window */
    RESET,       /* we reset at some moment */
    QUICK_REPLY, /* D5: we answer its SYN at once, and finish */
    REFUSAL,     /* D5: we close it at once */
    KINDS,
    STALLED_USER /* D18: the Go side's user takes nothing, and hangs up in the end */
};

/* Our end of a stream. */
struct end {
    enum kind kind;
    uint32_t sid;
    struct smux_stream *st; /* NULL: not there yet, or let go */
    uint64_t to_write, written, seen, unread;
    mtime_ms open_at, write_at, write_pace, read_from, leave_at;
    bool fin_sent, fin_seen, blocked, answered, done;
};

struct link {
    uint8_t buf[LINK_BYTES];
    size_t len;
    mtime_ms arrives;
};

static uint64_t seed;
static struct rng rng;
static mtime_ms now;
static struct go_peer go;
static struct smux_session *s;
static struct end ends[GO_STREAMS];
static struct go_user users[GO_STREAMS];
static size_t count;
static struct link to_go, from_go;
static mtime_ms delay;
static struct smux_budget windows;
static bool over; /* an allocation failed and ended the session */
static struct {
    struct alloc alloc;
    unsigned calls, fail_at, live;
} meter;

/* What a failure leaves to look at. */
static void show(const char *what, int line)
{
    (void)fprintf(stderr, "seed %llu, generation %d, at %lld ms, line %d: %s\n",
                  (unsigned long long)seed, (int)go.gen, (long long)now, line, what);
    for (size_t i = 0; i < count; i++) {
        const struct end *e = &ends[i];
        const struct go_stream *g = go_find(&go, e->sid);
        (void)fprintf(
            stderr,
            "  kind %d sid %u done %d: wrote %llu/%llu fin %d, seen %llu fin %d | %s took "
            "%llu wrote %u/%llu\n",
            (int)e->kind, e->sid, e->done, (unsigned long long)e->written,
            (unsigned long long)e->to_write, e->fin_sent, (unsigned long long)e->seen, e->fin_seen,
            g && g->open ? "open" : "closed", g ? (unsigned long long)g->got : 0,
            g ? g->num_written : 0, g ? (unsigned long long)g->user.to_send : 0);
    }
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            show(#what, __LINE__);                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint32_t below(uint32_t n)
{
    return rng_below(&rng, n);
}

static void *meter_get(const struct alloc *a, size_t n)
{
    (void)a;
    if (++meter.calls == meter.fail_at)
        return NULL;
    meter.live++;
    return malloc(n);
}

static void meter_put(const struct alloc *a, void *p)
{
    (void)a;
    meter.live -= p != NULL;
    free(p);
}

/* ---- what happens on each stream ---- */

static void plan(struct end *e, struct go_user *u, enum kind kind)
{
    *e = (struct end){.kind = kind, .open_at = 1000 + below(500), .leave_at = MTIME_NEVER};
    *u = (struct go_user){.send_max = 1 + below(32768),
                          .read_max = 16384,
                          .send_pace = below(10),
                          .read_pace = below(10),
                          .hang_at = MTIME_NEVER};
    uint32_t some = below(4) ? below(5000) : below(400000);
    e->write_pace = below(10);
    switch (kind) {
    case DOWNLOAD:
        e->to_write = some;
        u->read_from = below(3) ? 0 : 1000 + below(8000);
        break;
    case UPLOAD:
        u->to_send = some;
        u->eof = true;
        e->read_from = below(3) ? 0 : 1000 + below(8000);
        break;
    case HALF_CLOSE:
        e->to_write = below(3000);
        u->to_send = some;
        break;
    case DUPLEX:
        /* Of a reader that is late it is known only if more than 32,767 bytes are in flight. */
        e->to_write = below(2) ? 40000 + below(25000) : 1 + below(200000);
        u->read_from = e->to_write >= 40000 && e->to_write <= 65000 && below(2) ? 3000 : 0;
        u->to_send = UINT32_MAX / 2;
        u->send_max = 1 + below(500);
        break;
    case BLOCKED_UP:
        e->to_write = 20000 + below(200000);
        e->read_from = MTIME_NEVER;
        u->to_send = 1 << 20;
        u->send_max = 32768;
        break;
    case ABANDON:
        e->read_from = MTIME_NEVER;
        e->leave_at = 4000 + below(1000);
        u->to_send = 1 << 20;
        u->send_max = 32768;
        break;
    case RESET:
        e->to_write = u->to_send = some;
        e->leave_at = e->open_at + below(2000);
        break;
    case QUICK_REPLY:
        e->to_write = 1 + below(60000);
        break;
    case STALLED_USER:
        e->to_write = 300000;
        u->read_from = MTIME_NEVER;
        u->hang_at = HANG_MS;
        break;
    case REFUSAL:
    case KINDS:
        break;
    }
}

static void write_some(struct end *e)
{
    uint8_t *p;
    size_t room;
    if (e->written == e->to_write || e->blocked || now < e->write_at)
        return;
    int err = smux_stream_reserve(e->st, &p, &room);
    e->blocked = err == ERR_AGAIN;
    if (err < 0)
        return;
    room = room < 8000 ? room : 8000;
    room = room < e->to_write - e->written ? room : (size_t)(e->to_write - e->written);
    for (size_t i = 0; i < room; i++)
        p[i] = go_byte(false, e->sid, e->written + i);
    smux_stream_commit(e->st, room);
    e->written += room;
    e->write_at = now + e->write_pace;
}

static void take_some(struct end *e)
{
    if (e->unread == 0 || now < e->read_from)
        return;
    uint64_t n = 1 + below((uint32_t)e->unread);
    smux_stream_consumed(e->st, n, now);
    e->unread -= n;
}

static bool may_finish(const struct end *e)
{
    switch (e->kind) {
    case UPLOAD:
        return e->fin_seen;
    case DUPLEX:
        return e->answered; /* only then can we know that the peer is sending */
    case BLOCKED_UP:
        return e->unread == SMUX_START_WINDOW; /* its reader takes nothing: no growth */
    case ABANDON:
    case RESET:
        return false;
    default:
        return true;
    }
}

static void leave(struct end *e)
{
    if (e->kind == RESET || (e->kind == ABANDON && below(2)))
        smux_stream_reset(e->st, SMUX_RST_UNSPECIFIED, now);
    else
        smux_stream_close(e->st, now);
    e->st = NULL;
    e->done = true;
}

static void live(struct end *e)
{
    if (!e->st)
        return;
    write_some(e);
    take_some(e);
    if (e->fin_seen && e->blocked && smux_stream_peer_gone(e->st))
        e->to_write = e->written; /* as a relay, which then reads its socket to the end */
    if (e->fin_seen)
        e->read_from = 0;
    bool written = e->written == e->to_write && (may_finish(e) || e->fin_seen);
    if (written && !e->fin_sent && e->kind != RESET) {
        smux_stream_finish(e->st, now);
        e->fin_sent = true;
        if (e->kind == BLOCKED_UP)
            e->read_from = now + 8000; /* our reader goes on when the FIN has long gone */
    }
    if (now >= e->leave_at || (e->fin_sent && e->fin_seen && e->unread == 0))
        leave(e);
}

/* ---- our session ---- */

static struct end *end_of(uint32_t sid)
{
    return &ends[sid / 2 - 1];
}

static void on_opened(struct smux_stream *st)
{
    struct end *e = end_of(smux_stream_id(st));
    CHECK(!e->st && !e->done);
    e->sid = smux_stream_id(st);
    e->st = st;
    e->open_at = now;
    smux_stream_set_user(st, e);
    if (e->kind == REFUSAL)
        leave(e);
}

static void on_event(const struct smux_event *ev)
{
    struct end *e = ev->user;
    if (ev->type == SMUX_EV_OPENED) {
        on_opened(ev->stream);
        return;
    }
    CHECK(e && e->st == ev->stream);
    CHECK(ev->type != SMUX_EV_RESET);
    if (ev->type == SMUX_EV_DATA) {
        for (size_t i = 0; i < ev->len; i++)
            CHECK(ev->data[i] == go_byte(true, e->sid, e->seen + i));
        e->seen += ev->len;
        e->unread += ev->len;
        e->answered = e->answered || e->written > 0;
    } else if (ev->type == SMUX_EV_FIN) {
        e->fin_seen = true;
    } else {
        e->blocked = false;
    }
}

/* False when an allocation failed: the session is over then. */
static bool is_alive(int r)
{
    CHECK(r == 0 || (r == ERR_NOMEM && meter.fail_at > 0));
    over = over || r < 0;
    return r == 0;
}

static void tick(void)
{
    struct smux_event ev;
    int r;
    while ((r = smux_session_tick(s, now, &ev)) > 0)
        on_event(&ev);
    (void)is_alive(r);
}

/* ---- the link ---- */

static void carry(struct link *l, const uint8_t *p, size_t n)
{
    if (n == 0)
        return;
    if (l->len == 0)
        l->arrives = now + below((uint32_t)delay + 1);
    memcpy(l->buf + l->len, p, n);
    l->len += n;
}

static void arrived(struct link *l, size_t n)
{
    memmove(l->buf, l->buf + n, l->len - n);
    l->len -= n;
    if (n > 0)
        l->arrives = now + below((uint32_t)delay + 1);
}

static size_t chunk(const struct link *l)
{
    size_t n = 1 + below(below(8) ? 65536 : 20);
    return n < l->len ? n : l->len;
}

static bool move_bytes(void)
{
    size_t n, room = LINK_BYTES - to_go.len;
    const uint8_t *p = smux_session_output(s, &n);
    n = n < room ? n : room;
    carry(&to_go, p, n);
    smux_session_sent(s, n);
    bool moved = n > 0;
    if (to_go.len > 0 && to_go.arrives <= now)
        arrived(&to_go, go_feed(&go, to_go.buf, chunk(&to_go), now));
    n = go.out_len < LINK_BYTES - from_go.len ? go.out_len : LINK_BYTES - from_go.len;
    carry(&from_go, go.out, n);
    if (n < go.out_len)
        memmove(go.out, go.out + n, go.out_len - n);
    go.out_len -= n;
    if (from_go.len > 0 && from_go.arrives <= now) {
        struct smux_event ev;
        size_t part = chunk(&from_go);
        struct smux_input in = {from_go.buf, part};
        int r;
        while ((r = smux_session_feed(s, &in, now, &ev)) > 0)
            on_event(&ev);
        if (is_alive(r))
            arrived(&from_go, part);
    }
    return moved || to_go.len > 0 || from_go.len > 0;
}

/* ---- a schedule ---- */

static void begin(void)
{
    now = 1000;
    over = false;
    rng_seed(&rng, seed);
    bool d18 = seed % 20 == 0, we_are_client = below(2);
    go_init(&go, (enum go_gen)below(3), !we_are_client, now);
    go.users = users;
    to_go.len = from_go.len = 0;
    delay = (mtime_ms)below(3) * 5;
    memset(&meter, 0, sizeof meter);
    meter.alloc = (struct alloc){meter_get, meter_put, NULL};
    meter.fail_at = seed % 8 == 7 ? 2 + below(20) : 0;
    count = d18 ? STALLED + 6 : 1 + below(8);
    for (size_t i = 0; i < count; i++) {
        enum kind kind = (enum kind)below(we_are_client ? KINDS : QUICK_REPLY);
        if (d18)
            kind = i < STALLED ? STALLED_USER : i % 2 ? DOWNLOAD : UPLOAD;
        plan(&ends[i], &users[i], kind);
        if (d18 && i >= STALLED) {
            ends[i].open_at = 3000; /* when the others have long been stalled */
            users[i].read_from = ends[i].read_from = 0;
        }
    }
    struct smux_config cfg = smux_config_default(we_are_client, SMUX_WIRE_LEGACY);
    cfg.alloc = &meter.alloc;
    windows = (struct smux_budget){.max = below(2) ? 64 << 20 : below(1 << 20)};
    cfg.budget = &windows;
    CHECK(smux_session_new(&cfg, now, &s) == 0);
}

static void open_due(void)
{
    for (size_t i = 0; i < count; i++) {
        struct end *e = &ends[i];
        if (e->st || e->done || e->sid || e->open_at > now)
            continue;
        if (!go.is_client) { /* the Go side opens, in the order of the table */
            if (i == go.count)
                go_open(&go, &users[i], now);
            continue;
        }
        if (i > 0 && !ends[i - 1].sid)
            continue;
        int r = smux_stream_open(s, e, &e->st);
        CHECK(r == 0 || (r == ERR_NOMEM && meter.fail_at > 0));
        over = r < 0; /* its number would shift all others: end here */
        if (over)
            return;
        e->sid = smux_stream_id(e->st);
        CHECK(end_of(e->sid) == e);
    }
}

static bool all_done(void)
{
    for (size_t i = 0; i < count; i++)
        if (!ends[i].done)
            return false;
    return session_streams(s) == 0 && go_open_streams(&go) == 0 && go.out_len == 0;
}

static void verify(void)
{
    for (size_t i = 0; i < count; i++) {
        const struct end *e = &ends[i];
        const struct go_stream *g = go_find(&go, e->sid);
        CHECK(g && !g->open);
        if (e->kind <= BLOCKED_UP) /* what it wrote before its FIN has come */
            CHECK(e->fin_seen && e->seen == g->num_written);
        if (e->kind == DOWNLOAD || e->kind == DUPLEX || e->kind == BLOCKED_UP ||
            e->kind == QUICK_REPLY)
            CHECK(g->got == e->to_write);
        if (e->kind == UPLOAD)
            CHECK(e->seen == g->user.to_send);
    }
    CHECK(go.bucket == GO_BUCKET);
}

static void live_ones_are_through(void)
{
    for (size_t i = STALLED; i < count; i++)
        CHECK(ends[i].done); /* D18 */
}

static void schedule(void)
{
    begin();
    while (!over && !all_done()) {
        CHECK(now < TIME_MS); /* a stall, or a stream that leaks */
        bool moved = go_run(&go, now);
        CHECK(!go.failed && go.wrong_consumed == 0);
        open_due();
        for (size_t i = 0; i < count; i++)
            live(&ends[i]);
        tick();
        moved |= !over && move_bytes();
        now += moved ? 1 : 5;
        if (count > STALLED && now >= LIVE_MS && now < LIVE_MS + 5)
            live_ones_are_through();
    }
    if (!over)
        verify();
    smux_session_free(s);
    CHECK(meter.live == 0 && windows.used == 0);
    go_fini(&go);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SCHEDULES;
    for (seed = first; seed < first + n; seed++)
        schedule();
    printf("%llu schedules\n", (unsigned long long)n);
    return 0;
}
