/* SPDX-License-Identifier: MIT */
/*
 * gotunnel/2: what the session says for itself, and how it knows that the peer is there.
 *
 * PING goes after a time without received bytes, and once at the beginning and after each resume;
 * its PONG tells the round trip. All of this has the last room of the ring (REPLAY_RESERVE), and of
 * each kind there is at most one waiting, so a peer cannot make us queue.
 *
 * Frames that are of no use (empty PSH, NOP, unknown streams, UPD without news ...) cost nothing
 * but time: a peer that sends too many of them is a flood, and ends.
 */
#include "proto/smux/internal.h"

#include "base/endian.h"
#include "base/err.h"

enum {
    /* HAProxy counts the like ("glitches") and advises hundreds to thousands. */
    GLITCHES_MAX = 10000,
    GLITCHES_MS = 10000,
    RTT_LEAST_US = 500, /* the clock counts milliseconds: stands for less than one */
};

void liveness_init(struct smux_session *s)
{
    s->live.ping_at = s->now;
    s->live.ping_due = is_v2(s);
    s->live.glitches_at = s->now;
}

/* ---- the clock ---- */

static mtime_ms next_ping(const struct smux_session *s)
{
    mtime_ms from = s->last_rx > s->live.ping_at ? s->last_rx : s->live.ping_at;
    return from + s->cfg.ping_ms;
}

/* When the peer is given up: it has been silent, or has taken nothing or next to nothing, for too
   long. */
static mtime_ms dead_at(const struct smux_session *s)
{
    mtime_ms since = s->last_rx < s->replay.waiting_since ? s->last_rx : s->replay.waiting_since;
    mtime_ms pace = replay_pace_ends(s);
    return since + s->cfg.dead_ms < pace ? since + s->cfg.dead_ms : pace;
}

int liveness_tick(struct smux_session *s)
{
    if (s->now >= dead_at(s))
        return ERR_TIMEOUT;
    if (s->now >= next_ping(s)) {
        s->live.ping_due = true;
        s->live.ping_at = s->now;
    }
    return 0;
}

/* An ACK whose time has come is written with the next output. */
mtime_ms liveness_deadline(const struct smux_session *s)
{
    mtime_ms at = dead_at(s);
    if (next_ping(s) < at)
        at = next_ping(s);
    if (s->replay.ack_due_at > s->now && s->replay.ack_due_at < at)
        at = s->replay.ack_due_at;
    return at;
}

void liveness_resumed(struct smux_session *s)
{
    s->live.ping_due = true;
    s->live.ping_open = false; /* its PONG would tell of the way through the old connection */
    s->live.ping_at = s->now;
}

uint32_t smux_session_rtt_us(const struct smux_session *s)
{
    return s->live.rtt_us;
}

/* ---- sending ---- */

static bool has_room(const struct smux_session *s)
{
    return ring_room(&s->out) >= REPLAY_FRAME_BYTES;
}

/* True if something else is sent at this moment, so that an ACK costs no record of its own. */
static bool is_sending(const struct smux_session *s)
{
    return s->live.ping_due || s->live.pong_due || !list_empty(&s->due) ||
           s->out.staged != s->out.sent;
}

static bool ack_is_due(const struct smux_session *s)
{
    if (s->live.pong_due && s->replay.received != s->replay.acked_to_peer)
        return true; /* so that a PING needs one answer, not two */
    return replay_ack_is_due(s, is_sending(s));
}

static void put_goaway(struct smux_session *s)
{
    uint8_t *p = output_frame(s, SMUX_GOAWAY, SMUX_WORD_BYTES, 0);
    put_le32(p, s->live.goaway_code);
    put_le32(p + 4, s->live.goaway_ms);
    s->live.goaway_due = false;
    if (s->live.goaway_to == 0)
        s->live.goaway_to = s->out.staged;
}

static void put_pong(struct smux_session *s)
{
    put_le64(output_frame(s, SMUX_PONG, SMUX_WORD_BYTES, 0), s->live.pong_word);
    s->live.pong_due = false;
}

static void put_ping(struct smux_session *s)
{
    put_le64(output_frame(s, SMUX_PING, SMUX_WORD_BYTES, 0), ++s->live.ping_word);
    s->live.ping_due = false;
    s->live.ping_open = true;
    s->live.ping_at = s->now;
}

void liveness_control(struct smux_session *s)
{
    if (s->live.goaway_due && has_room(s))
        put_goaway(s);
    if (s->dead)
        return;
    if (ack_is_due(s) && has_room(s))
        replay_put_ack(s);
    if (s->live.pong_due && has_room(s))
        put_pong(s);
    if (s->live.ping_due && has_room(s))
        put_ping(s);
}

void smux_session_goaway(struct smux_session *s, enum smux_goaway_code code, uint32_t ms)
{
    if (!is_v2(s))
        return;
    s->live.goaway_due = s->live.goaway_said = true;
    s->live.goaway_code = code;
    s->live.goaway_ms = ms;
}

/* ---- receiving ---- */

int liveness_glitch(struct smux_session *s)
{
    if (s->now - s->live.glitches_at >= GLITCHES_MS) {
        s->live.glitches = 0;
        s->live.glitches_at = s->now;
    }
    return ++s->live.glitches > GLITCHES_MAX ? ERR_LIMIT : 0;
}

/* Of several PINGs the last is answered. */
int liveness_on_ping(struct smux_session *s, uint64_t word)
{
    bool again = s->live.pong_due;
    s->live.pong_due = true;
    s->live.pong_word = word;
    return again ? liveness_glitch(s) : 0;
}

int liveness_on_pong(struct smux_session *s, uint64_t word)
{
    if (!s->live.ping_open || word != s->live.ping_word)
        return liveness_glitch(s); /* after a resume there may be a few */
    mtime_ms took = s->now - s->live.ping_at;
    s->live.ping_open = false;
    s->live.rtt_us = took > 0 ? (uint32_t)took * 1000 : RTT_LEAST_US;
    return 0;
}

/* A later one may change the code, and bring the end nearer. */
int liveness_on_goaway(struct smux_session *s, const uint8_t *p, struct smux_event *ev)
{
    struct liveness *live = &s->live;
    mtime_ms at = s->now + get_le32(p + 4);
    if (live->goaway_heard && liveness_glitch(s) < 0)
        return ERR_LIMIT;
    if (!live->goaway_heard || at < live->goaway_ends_at)
        live->goaway_ends_at = at;
    live->goaway_heard = true;
    mtime_ms left = live->goaway_ends_at > s->now ? live->goaway_ends_at - s->now : 0;
    *ev = (struct smux_event){.type = SMUX_EV_GOAWAY, .code = get_le32(p), .ms = (uint32_t)left};
    return 1;
}
