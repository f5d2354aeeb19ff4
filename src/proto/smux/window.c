/* SPDX-License-Identifier: MIT */
/*
 * Receive windows that tune themselves.
 *
 * A window must hold what the reader consumes in one round trip, or the sender waits. How long a
 * round trip takes is read from our own announcements: a byte beyond the limit announced before
 * cannot have left the peer until it had the new one. From announcement to that byte is a lap; a
 * sender that has nothing to say makes it longer, never shorter, so the shortest lap of the session
 * is its round trip. All streams share it.
 *
 * At the first announcement after a lap the stream's own rate, taken over the lap, times that round
 * trip is what it needs; it is given twice that. A sender held back by its window fills it once a
 * round trip and so nearly doubles it; one that is limited by anything else (its source, the path,
 * our reader) takes longer laps and keeps what it has. A reader that does not consume makes no
 * announcement, thus no lap.
 *
 * Where there is never an idle sender, the shortest lap may be the time a whole start window takes
 * rather than the round trip; the error is bounded by that: such a stream ends at twice the start.
 */
#include "proto/smux/internal.h"

#include <string.h>

enum {
    /* The clock counts milliseconds: shorter laps are measured several in a row. */
    LAPS_MIN_MS = 8,
    /* A lap as long as this is a pause of the sender, not a round trip. */
    LAP_MAX_MS = 3000,
    /* A round trip is believed for so long; then paths may have changed (Linux keeps its least
       round trip as long: net.ipv4.tcp_min_rtt_wlen). */
    RTT_AGE_MS = 300000,
    /* Less is believed of no lap: the loop looks at many events at once, by a coarse clock. */
    RTT_MIN_US = 250,
    /* A window holds this many times what a round trip needs: round trips vary, and what is
       consumed is announced in portions. */
    ROUND_TRIPS = 2,
    /* Windows grow in multiples of this. */
    STEP = 64 << 10,
};

static struct smux_gauge *gauge_of(struct list *n)
{
    return LIST_ENTRY(n, struct smux_gauge, node);
}

/* ---- the budget ---- */

/* What a stream may have that has `own` by now: as much as it then leaves free. So whatever the
   number of streams that want all they can get, they end with equal shares, and one more finds
   one. */
static uint32_t fair_share(const struct smux_budget *b, uint32_t own)
{
    uint64_t unused = b->max > b->used ? b->max - b->used : 0;
    uint64_t share = (unused + own) / 2;
    return share < INT32_MAX ? (uint32_t)share : INT32_MAX;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Sets the window to what is wanted, as far as the budget goes. It is never less than what the
   reader has before it, for that memory is in use. */
static void set_window(struct smux_gauge *g, uint32_t want)
{
    const struct smux_stream *st = g->stream;
    const struct smux_config *cfg = &st->session->cfg;
    uint32_t own = g->window - cfg->recv_window;
    uint32_t most = cfg->recv_window + fair_share(cfg->budget, own);
    uint32_t held = smaller(st->received - st->consumed, g->window);
    uint32_t window = larger(smaller(smaller(want, most), cfg->recv_window_max), held);
    cfg->budget->used += window - cfg->recv_window;
    cfg->budget->used -= own;
    g->window = window;
}

/* ---- gauges come and go ---- */

uint32_t stream_window(const struct smux_stream *st)
{
    return st->gauge ? st->gauge->window : st->session->cfg.recv_window;
}

/* A gauge for a stream that is about to announce what has been consumed: not before an eighth of
   the window, so those that say little never have one; nor the control stream, whose lines are short
   and must not take from the users' budget. Without memory the window stays. */
static void begin(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    const struct smux_config *cfg = &s->cfg;
    if (!cfg->budget || cfg->recv_window_max <= cfg->recv_window || st->recv != HALF_OPEN ||
        st == s->control || st->flags & (ST_RELEASED | ST_BROKEN) ||
        st->consumed - st->announced < cfg->recv_window / SMUX_ANNOUNCE_PART)
        return;
    struct smux_gauge *g = alloc_get(cfg->alloc, sizeof *g);
    if (!g)
        return;
    memset(g, 0, sizeof *g);
    g->stream = st;
    g->window = g->want = cfg->recv_window;
    list_init(&g->node);
    st->gauge = g;
}

void window_end(struct smux_stream *st)
{
    struct smux_gauge *g = st->gauge;
    if (!g)
        return;
    const struct smux_config *cfg = &st->session->cfg;
    cfg->budget->used -= g->window - cfg->recv_window;
    list_del(&g->node);
    alloc_put(cfg->alloc, g);
    st->gauge = NULL;
}

void window_rest(struct smux_stream *st)
{
    struct smux_gauge *g = st->gauge;
    if (!g)
        return;
    set_window(g, st->session->cfg.recv_window);
    g->want = g->window;
    if (g->window == st->session->cfg.recv_window)
        window_end(st);
}

void window_tick(struct smux_session *s)
{
    for (struct list *n; (n = list_first(&s->gauges)) && gauge_of(n)->idle_at <= s->now;) {
        struct smux_stream *st = gauge_of(n)->stream;
        uint32_t before = stream_window(st);
        gauge_of(n)->idle_at = s->now + SMUX_WINDOW_IDLE_MS;
        list_move(&s->gauges, n);
        window_rest(st);
        if (stream_window(st) != before && st->recv == HALF_OPEN)
            stream_due(st, ST_UPD_DUE);
    }
}

mtime_ms window_deadline(const struct smux_session *s)
{
    struct list *n = list_first(&s->gauges);
    return n ? gauge_of(n)->idle_at : MTIME_NEVER;
}

/* ---- laps ---- */

void window_lap(struct smux_stream *st)
{
    struct smux_gauge *g = st->gauge;
    g->running = false;
    g->laps++;
    g->laps_ms += st->session->now - g->lap_at;
}

/* `before` is the limit the peer knew until now. If it was told of a higher one once, and then of a
   smaller window, it may not have heard of that yet: the lap may seem shorter than it is. */
static void lap_begin(struct smux_gauge *g, uint32_t before)
{
    const struct smux_stream *st = g->stream;
    mtime_ms now = st->session->now;
    if (g->laps == 0) {
        g->first_at = now;
        g->first_consumed = st->consumed;
        g->laps_ms = 0;
        g->sure = true;
    }
    g->sure = g->sure && before == st->limit;
    g->running = true;
    g->lap_at = now;
    g->lap_limit = before;
}

static void take_sample(struct smux_session *s, uint32_t us)
{
    us = larger(us, RTT_MIN_US);
    if (s->rtt_us == 0 || us <= s->rtt_us || s->now - s->rtt_at >= RTT_AGE_MS) {
        s->rtt_us = us;
        s->rtt_at = s->now;
    }
}

/* A lap is over, and the reader has consumed since. */
static void judge(struct smux_gauge *g)
{
    const struct smux_stream *st = g->stream;
    struct smux_session *s = st->session;
    mtime_ms took = s->now - g->first_at;
    if (took < LAPS_MIN_MS)
        return;
    mtime_ms mean_us = g->laps_ms * 1000 / g->laps;
    g->laps = 0;
    if (mean_us >= LAP_MAX_MS * 1000)
        return;
    if (g->sure)
        take_sample(s, (uint32_t)mean_us);
    uint64_t consumed = st->consumed - g->first_consumed;
    uint64_t want = ROUND_TRIPS * consumed * s->rtt_us / ((uint64_t)took * 1000);
    want = (want + STEP - 1) / STEP * STEP;
    if (want > g->window)
        g->want = want < s->cfg.recv_window_max ? (uint32_t)want : s->cfg.recv_window_max;
}

uint32_t window_announce(struct smux_stream *st)
{
    uint32_t before = st->announced + stream_window(st);
    if (!st->gauge)
        begin(st);
    struct smux_gauge *g = st->gauge;
    if (g) {
        if (!g->running && g->laps > 0)
            judge(g);
        set_window(g, g->want);
        g->idle_at = st->session->now + SMUX_WINDOW_IDLE_MS;
        list_move(&st->session->gauges, &g->node);
    }
    uint32_t limit = st->consumed + stream_window(st);
    if (g && !g->running)
        lap_begin(g, before);
    if ((int32_t)(limit - st->limit) > 0)
        st->limit = limit;
    return stream_window(st);
}
