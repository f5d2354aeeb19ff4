/* SPDX-License-Identifier: MIT */
/*
 * gotunnel/2: what makes a session outlive its connection.
 *
 * Every byte of the mux has a number, counted from 0 in each direction; nothing goes outside of
 * that count. The outgoing ring is the replay buffer: a byte stays until the peer says with ACK, or
 * in a resume, that it has received it ("parsed into the memory of its session", not "delivered":
 * slow users do not hold the ring). After a resume the ring goes back to what the peer has and
 * sends on from there. As the peer's parser lives in its session too, that may be the middle of a
 * frame, and no frame is ever seen twice.
 *
 * ACK must not ask for ACK, or two idle ends would talk for ever. So it is written
 *   - when an eighth of a MiB has come since the last one, whatever it was;
 *   - 100 ms after any frame but ACK;
 *   - together with anything else, once 16 KiB have come.
 * It is a mark until there is room for it, and always says the newest count.
 *
 * The ACK for what we send stands behind everything the peer had staged, in its socket and on the
 * way when it received that: on a slow link that both ends saturate this takes longer than any
 * patience. So bytes that keep coming are progress as well, within bounds that tell a slow link
 * from one that carries one way only, see replay_heard().
 */
#include "proto/smux/internal.h"

#include "base/endian.h"
#include "base/err.h"

enum {
    ACK_BYTES =
        128 << 10, /* an eighth of the ring that a peer begins with, a quarter of the least */
    ACK_ANYWAY = 16 << 10, /* a record is under way anyway: 16 bytes more cost nothing */
    /* What may stand in front of an ACK: what the peer has staged, its socket's buffer (Linux: up
       to 4 MB) and a queue on the way. When more has come and still no ACK, it does not come. */
    AHEAD_MAX = 4 << 20,
    /* The slowest link that counts as saturated, in bytes per millisecond: 8 kbit/s. What comes
       more slowly is said now and then, and would have let an ACK through. */
    AHEAD_RATE_MIN = 1,
    /* Less says nothing of the pace: right after a resume comes a PING and an ACK or two, also where
       nothing larger passes. */
    AHEAD_LEAST = 256,
};

void replay_init(struct smux_session *s)
{
    s->replay.ack_due_at = s->replay.waiting_since = MTIME_NEVER;
    ring_gauge_init(s);
}

/* ---- receiving ---- */

/* Small rings, as in tests, need ACKs sooner; ours tells how big the peer's is. */
uint64_t replay_ack_bytes(const struct smux_session *s)
{
    return s->cfg.ring_bytes / 4 < ACK_BYTES ? s->cfg.ring_bytes / 4 : ACK_BYTES;
}

bool replay_ack_is_due(const struct smux_session *s, bool anyway)
{
    uint64_t news = s->replay.received - s->replay.acked_to_peer;
    if (news >= replay_ack_bytes(s) || s->now >= s->replay.ack_due_at)
        return true;
    return anyway && news >= ACK_ANYWAY;
}

void replay_put_ack(struct smux_session *s)
{
    put_le64(output_frame(s, SMUX_ACK, SMUX_WORD_BYTES, 0), s->replay.received);
    s->replay.acked_to_peer = s->replay.received;
    s->replay.ack_due_at = MTIME_NEVER;
}

uint64_t smux_session_received(const struct smux_session *s)
{
    return s->replay.received;
}

/* ---- the ring ---- */

void replay_sent(struct smux_session *s, size_t n)
{
    uint64_t to = s->out.sent + n;
    if (to > s->replay.sent_max)
        s->replay.sent_max = to;
    if (s->replay.detached)
        return; /* what has arrived is decided by the resume */
    ring_advance(&s->out, n);
    ring_gauge_sent(s);
}

/* What is before `count` has arrived. */
static void progress(struct smux_session *s, uint64_t count)
{
    struct replay *r = &s->replay;
    r->waiting_since = r->unacked_to > count ? s->now : MTIME_NEVER;
    r->acked_at = s->now;
    r->heard = 0;
    if (count >= r->pace_from + REPLAY_PACE_BYTES || s->out.staged < count + REPLAY_PACE_BYTES)
        replay_pace_anew(s);
}

mtime_ms replay_pace_ends(const struct smux_session *s)
{
    const struct replay *r = &s->replay;
    bool waits =
        r->waiting_since != MTIME_NEVER && r->unacked_to >= s->out.released + REPLAY_PACE_BYTES;
    return waits ? r->pace_at + REPLAY_PACE_MS : MTIME_NEVER;
}

void replay_heard(struct smux_session *s, size_t n)
{
    struct replay *r = &s->replay;
    r->heard += n;
    if (r->waiting_since == MTIME_NEVER || r->heard < AHEAD_LEAST || r->heard > AHEAD_MAX)
        return;
    if (r->heard < (uint64_t)(s->now - r->acked_at) * AHEAD_RATE_MIN)
        return;
    r->waiting_since = s->now;
    replay_pace_anew(s);
}

int replay_acked(struct smux_session *s, uint64_t count)
{
    if (count > s->out.sent)
        return ERR_PROTO;
    if (count <= s->out.released)
        return count > s->replay.old_acks_to ? liveness_glitch(s) : 0;
    ring_release(&s->out, count);
    progress(s, count);
    ring_gauge_acked(s, count);
    return 0;
}

mtime_ms smux_session_waiting_since(const struct smux_session *s)
{
    return is_v2(s) ? s->replay.waiting_since : MTIME_NEVER;
}

uint64_t smux_session_held(const struct smux_session *s)
{
    return s->out.staged - s->out.released;
}

/* ---- connections come and go ---- */

void smux_session_detach(struct smux_session *s)
{
    s->replay.detached = true;
}

bool smux_session_can_resume(const struct smux_session *s, uint64_t peer_rx)
{
    return is_v2(s) && !s->dead && peer_rx >= s->out.released && peer_rx <= s->replay.sent_max;
}

int smux_session_resume(struct smux_session *s, uint64_t peer_rx, mtime_ms now)
{
    struct replay *r = &s->replay;
    if (!smux_session_can_resume(s, peer_rx))
        return ERR_RANGE;
    s->now = s->last_rx = now;
    ring_rewind(&s->out, peer_rx);
    progress(s, peer_rx);
    replay_pace_anew(s);
    r->old_acks_to = peer_rx;
    /* The PING to come: until it is acknowledged the peer may send what it had written before. */
    r->late_frames_to = s->out.staged + 1;
    r->acked_to_peer = r->received; /* the resume told it */
    r->ack_due_at = MTIME_NEVER;
    ring_gauge_resumed(s);
    r->detached = false;
    liveness_resumed(s);
    return 0;
}

uint64_t smux_session_acked(const struct smux_session *s)
{
    return s->out.released;
}
