/* SPDX-License-Identifier: MIT */
/*
 * gotunnel/2: how large the outgoing ring is.
 *
 * What is sent stays in the ring for a round trip, so over a distance its size limits the rate. It
 * begins small, for the cache's sake, and becomes twice as large when data had to wait for ACKs and
 * all of this holds:
 *
 *   - the least time that a full ring took to turn over, in the last seconds, lets less pass than
 *     RATE_ENOUGH. The least, for a busy machine makes turnovers long, but not every one;
 *   - that, and the round trip of the last PING, are as long as a distance makes them (FAR_MS); or
 *     it has been so for a whole look;
 *   - the last growth paid: a ring that takes twice as long when it is twice as large is held up by
 *     the rate of the path, or of the reader, not by its size.
 *
 * It becomes half as large when the last growth did not pay, when the least turnover of a look
 * would be enough of much less, or when two looks have not used the other half. As it may be full
 * all the time, it first takes no more data than the half (limit), and shrinks when ACKs have made
 * it so empty.
 *
 * Where the path's rate holds it up, what the ring holds is a queue somewhere on the path, and a
 * keystroke waits behind it. So when growing has not paid, or turns take twice as long as the last
 * PING, and BOUND_MS, it becomes half as large, down to half of the first size, and stays so if
 * that costs no rate: then more does not pay either.
 */
#include "proto/smux/internal.h"

enum {
    RATE_ENOUGH = 256 << 10, /* bytes per millisecond */
    FAR_MS = 32,             /* longer than a busy machine makes a process wait, mostly */
    LOOK_MS = 2000,
    TURNOVERS_MIN = 3, /* of a ring that has grown, before it is judged that it did not pay */
    /* A growth that did not pay is not tried again for so long: the path may have changed. */
    NO_GROWTH_MS = 30000,
    SPARE = 64 << 10, /* more than data leaves alone, and a frame */
    /* Half of the first size takes FAR_MS then; a faster path has no queue worth it. */
    BOUND_MS = 2 * FAR_MS,
    HALF_MIN = 256 << 10, /* two ACKs (replay.c): less would stand still between them */
    NO_HALF_MS = 30000,   /* a half that cost rate is not tried again for so long */
};

static void look_anew(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    g->limit = s->out.size;
    g->turnover_to = 0;
    g->least_ms = g->last_least_ms = MTIME_NEVER;
    g->held_max = g->last_held_max = 0;
    g->look_since = s->now;
    g->looks = g->turnovers = 0;
}

void ring_gauge_init(struct smux_session *s)
{
    look_anew(s);
    s->replay.gauge.smaller_ms = s->replay.gauge.larger_ms = MTIME_NEVER;
}

/* The size becomes another one for a reason of its own: what was compared says nothing any more. */
static void forget_sizes(struct ring_gauge *g)
{
    g->smaller_ms = g->larger_ms = MTIME_NEVER;
}

static mtime_ms earlier(mtime_ms a, mtime_ms b)
{
    return a < b ? a : b;
}

static mtime_ms least_turnover(const struct ring_gauge *g)
{
    return earlier(g->least_ms, g->last_least_ms);
}

/* ---- the budget ---- */

/* What the ring has beyond its first size is the budget's. */
static void charge(struct smux_session *s)
{
    struct smux_budget *b = s->cfg.replay;
    uint64_t extra = s->out.size > s->cfg.ring_bytes ? s->out.size - s->cfg.ring_bytes : 0;
    if (!b)
        return;
    b->used = b->used - s->replay.charged + extra;
    s->replay.charged = extra;
}

static bool is_affordable(const struct smux_session *s, size_t size)
{
    const struct smux_budget *b = s->cfg.replay;
    uint64_t extra = size > s->cfg.ring_bytes ? size - s->cfg.ring_bytes : 0;
    return !b || b->used - s->replay.charged + extra <= b->max;
}

void ring_gauge_end(struct smux_session *s)
{
    if (s->cfg.replay)
        s->cfg.replay->used -= s->replay.charged;
}

/* False: without memory; nothing has changed, but that a smaller size is not tried any more. */
static bool resize(struct smux_session *s, size_t size)
{
    bool done = ring_resize(&s->out, size) == 0;
    charge(s);
    look_anew(s);
    return done;
}

void ring_gauge_resumed(struct smux_session *s)
{
    look_anew(s);
    s->replay.gauge.mark[0] = s->replay.gauge.mark[1] = (struct ring_mark){s->out.sent, s->now};
    s->replay.gauge.cannot_grow = false;
    forget_sizes(&s->replay.gauge);
    s->replay.gauge.no_growth_until = s->replay.gauge.no_half_until = 0;
    if (s->out.size < s->cfg.ring_bytes)
        (void)resize(s, s->cfg.ring_bytes); /* else it grows later */
}

/* ---- growing ---- */

/* So many milliseconds for a turn of the ring let less pass than is enough. */
static bool is_slow(mtime_ms turnover, size_t size)
{
    return turnover != MTIME_NEVER && (uint64_t)turnover * RATE_ENOUGH > size;
}

static bool is_far(const struct smux_session *s)
{
    const struct ring_gauge *g = &s->replay.gauge;
    mtime_ms ping = s->live.rtt_us > 0 ? (mtime_ms)(s->live.rtt_us / 1000) : MTIME_NEVER;
    return earlier(least_turnover(g), ping) >= FAR_MS || g->last_least_ms != MTIME_NEVER;
}

/* A ring of twice the size takes twice the time: its size is not what holds it up. */
static bool is_held_up(mtime_ms larger, mtime_ms smaller)
{
    return larger * 10 >= smaller * 19;
}

static bool has_paid(const struct ring_gauge *g)
{
    mtime_ms least = least_turnover(g);
    return g->smaller_ms == MTIME_NEVER || least == MTIME_NEVER ||
           !is_held_up(least, g->smaller_ms);
}

bool ring_can_grow(const struct smux_session *s)
{
    const struct ring_gauge *g = &s->replay.gauge;
    size_t size = s->out.size;
    return is_v2(s) && !g->cannot_grow && size < s->cfg.ring_max && g->limit == size &&
           s->now >= g->no_growth_until && is_slow(least_turnover(g), size) && is_far(s) &&
           has_paid(g);
}

bool ring_grow(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    if (!ring_can_grow(s))
        return false;
    size_t size = s->out.size * 2 < s->cfg.ring_max ? s->out.size * 2 : s->cfg.ring_max;
    mtime_ms before = least_turnover(g);
    g->cannot_grow = !is_affordable(s, size) || !resize(s, size);
    if (!g->cannot_grow) {
        g->smaller_ms = before;
        g->larger_ms = MTIME_NEVER;
    }
    return !g->cannot_grow;
}

/* ---- shrinking ---- */

/* Not below the first size. */
static size_t half_of(const struct smux_session *s)
{
    size_t half = s->out.size / 2, least = s->cfg.ring_bytes;
    if (s->out.size <= least)
        return s->out.size;
    return half > least ? half : least;
}

/* Half of what the ring began with, if an ACK leaves room in that. */
static size_t least_size(const struct smux_session *s)
{
    size_t half = s->cfg.ring_bytes / 2;
    return half >= HALF_MIN ? half : s->cfg.ring_bytes;
}

/* Tries half the ring, which turns over in this time. */
static void try_half(struct smux_session *s, mtime_ms turnover)
{
    struct ring_gauge *g = &s->replay.gauge;
    if (turnover == MTIME_NEVER || turnover < BOUND_MS || s->now < g->no_half_until ||
        g->limit != s->out.size || s->out.size / 2 < least_size(s))
        return;
    g->limit = s->out.size / 2;
    g->smaller_ms = MTIME_NEVER;
    g->larger_ms = turnover;
}

/* A growth did not pay: it is taken back, and not tried again for a while. */
static void take_back(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    if (s->out.size / 2 >= least_size(s))
        g->limit = s->out.size / 2;
    g->smaller_ms = MTIME_NEVER;
    g->no_growth_until = s->now + NO_GROWTH_MS;
}

/* A look is over. */
static void judge(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    uint64_t held = g->held_max > g->last_held_max ? g->held_max : g->last_held_max;
    mtime_ms least = g->last_least_ms;
    bool unused = g->looks >= 2 && held + SPARE <= s->out.size / 2;
    bool near = least != MTIME_NEVER && !is_slow(least, s->out.size / 8 * 3);
    if ((unused || near) && half_of(s) < s->out.size) {
        g->limit = half_of(s);
        forget_sizes(g);
    }
}

/* The two looks of which is known are full ones, and the last ones. */
static void next_look(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    if (s->now - g->look_since < LOOK_MS)
        return;
    bool gap = s->now - g->look_since >= 2 * LOOK_MS;
    g->last_least_ms = gap ? MTIME_NEVER : g->least_ms;
    g->looks++;
    if (g->limit == s->out.size)
        judge(s);
    g->last_held_max = g->held_max;
    g->least_ms = MTIME_NEVER;
    g->held_max = smux_session_held(s);
    g->look_since = s->now;
}

/* A ring that has grown just now was filled while the half was on its way: too short for how long
   it takes, unless it is as short as before. */
static bool is_of_filling(const struct ring_gauge *g, mtime_ms took)
{
    return g->turnovers == 0 && g->smaller_ms != MTIME_NEVER && took * 4 > g->smaller_ms * 5;
}

/* A ring that was twice as large has turned over some times. It stays so if that costs no rate. */
static void judge_half(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    mtime_ms least = least_turnover(g);
    if (is_held_up(g->larger_ms, least)) {
        g->larger_ms = MTIME_NEVER;
        if (g->no_growth_until < s->now)
            g->no_growth_until = s->now + NO_GROWTH_MS;
    } else if (is_affordable(s, s->out.size * 2) && resize(s, s->out.size * 2)) {
        /* without memory: again after some turns */
        g->larger_ms = MTIME_NEVER;
        g->smaller_ms = least;
        g->no_half_until = s->now + NO_HALF_MS;
    }
}

/* Turns take much longer than the path is far. */
static bool is_queue(const struct smux_session *s)
{
    mtime_ms ping = (mtime_ms)(s->live.rtt_us / 1000);
    return s->live.rtt_us > 0 && ping * 2 < least_turnover(&s->replay.gauge);
}

static void judge_turns(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    if (!has_paid(g)) {
        take_back(s);
    } else if (g->larger_ms != MTIME_NEVER && g->limit == s->out.size) {
        judge_half(s);
    } else if (s->out.size < s->cfg.ring_bytes && least_turnover(g) < FAR_MS) {
        (void)resize(s, s->cfg.ring_bytes); /* the path has become faster */
    } else if (s->now < g->no_growth_until || is_queue(s)) {
        try_half(s, least_turnover(g));
    }
}

static void turned_over(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    mtime_ms took = s->now - g->turnover_since;
    g->turnover_to = 0;
    if (!is_of_filling(g, took))
        g->least_ms = earlier(g->least_ms, took);
    if (++g->turnovers >= TURNOVERS_MIN)
        judge_turns(s);
}

/* Remembers when bytes were sent: those of mark[1] have so many behind them that the peer
   acknowledges them at once. (The last ones it may keep back for REPLAY_ACK_MS.) */
static void mark(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    uint64_t enough = replay_ack_bytes(s), news = s->out.sent - g->mark[0].to;
    if (news < enough)
        return;
    g->mark[1] = news < 2 * enough ? g->mark[0] : (struct ring_mark){s->out.sent - enough, s->now};
    g->mark[0] = (struct ring_mark){s->out.sent, s->now};
}

void ring_gauge_sent(struct smux_session *s)
{
    struct ring_gauge *g = &s->replay.gauge;
    uint64_t held = smux_session_held(s);
    if (held > g->held_max)
        g->held_max = held;
    mark(s);
    if (g->turnover_to == 0 && g->mark[1].to > s->out.released && !output_has_data_room(s)) {
        g->turnover_to = g->mark[1].to;
        g->turnover_since = g->mark[1].at;
    }
}

void ring_gauge_acked(struct smux_session *s, uint64_t count)
{
    struct ring_gauge *g = &s->replay.gauge;
    g->cannot_grow = false;
    if (g->turnover_to > 0 && count >= g->turnover_to)
        turned_over(s);
    next_look(s);
    bool fits = smux_session_held(s) + REPLAY_RESERVE <= g->limit;
    if (g->limit < s->out.size && fits && !resize(s, g->limit))
        forget_sizes(g);
}

void ring_gauge_trim(struct smux_session *s)
{
    if (s->out.size <= s->cfg.ring_bytes || smux_session_held(s) > RING_TRIM_MAX)
        return;
    forget_sizes(&s->replay.gauge);
    (void)resize(s, s->cfg.ring_bytes); /* else it stays as it is */
}
