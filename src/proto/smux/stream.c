/* SPDX-License-Identifier: MIT */
/*
 * One stream: credit in both directions, the two half-machines, and the waits a Go peer makes
 * necessary (settling after SYN, holding a FIN, lingering for the peer's FIN).
 */
#include "proto/smux/internal.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

enum {
    /* A held FIN is looked at this often, and follows one step after the peer has consumed enough:
       smux 1.5.28-1.5.53 lost nothing then (docs/protocol.md D3). */
    HOLD_STEP_MS = 200,
    HOLD_STEPS_MAX = 25, /* 5 s without progress: the end matters more than the tail */
};

/* ---- life ---- */

struct smux_stream *stream_new(struct smux_session *s, uint32_t sid, void *user)
{
    struct smux_stream *st = alloc_get(s->cfg.alloc, sizeof *st);
    if (!st)
        return NULL;
    memset(st, 0, sizeof *st);
    st->node.key = sid;
    st->session = s;
    st->user = user;
    st->peer_window = SMUX_START_WINDOW;
    st->limit = s->cfg.recv_window;
    if (is_v2(s))
        st->flags = ST_ROOMY | ST_UPD_SEEN; /* none of the care for Go peers */
    list_init(&st->due);
    list_init(&st->wait);
    map_put(&s->streams, &st->node);
    return st;
}

/* True if what is in flight may fill a Go peer's bucket. After its FIN it has forgotten the stream,
   and what still comes for it costs nothing. */
static bool is_in_bucket(const struct smux_stream *st)
{
    return !(st->flags & ST_ROOMY) && st->recv == HALF_OPEN;
}

/* What st adds to session->excess. */
static uint32_t excess_of(const struct smux_stream *st)
{
    uint32_t inflight = st->sent - st->peer_consumed;
    if (!is_in_bucket(st) || inflight <= SMUX_GO_FREE)
        return 0;
    return inflight - SMUX_GO_FREE;
}

/*
 * Streams that only the session's budget kept from sending get another chance when it falls: as
 * many as can send a frame each, not all that wait. None depends on it: a starved stream has
 * SMUX_GO_FREE in flight, so the UPD that wakes it comes when its peer reads.
 */
static void wake_starved(struct smux_session *s)
{
    int64_t budget = (int64_t)s->cfg.peer_excess_max - s->excess;
    for (struct list *n; budget > 0 && (n = list_first(&s->starved)); budget -= SMUX_FRAME_PAYLOAD)
        list_move(&s->credit, n);
}

/* Accounts for a change of st's excess from `before` to what it is now. */
static void excess_changed(struct smux_stream *st, uint32_t before)
{
    struct smux_session *s = st->session;
    s->excess = s->excess - before + excess_of(st);
    wake_starved(s);
}

void stream_free(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    s->excess -= excess_of(st);
    wake_starved(s);
    window_end(st);
    services_forget_open(st);
    if (s->cur == st)
        s->cur = NULL;
    list_del(&st->due);
    list_del(&st->wait);
    map_del(&s->streams, &st->node);
    alloc_put(s->cfg.alloc, st);
}

static void linger(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    st->wait_until = s->now + s->cfg.linger_ms;
    list_move(&s->lingering, &st->wait);
    if (++s->lingering_count > s->cfg.linger_max) {
        s->lingering_count--;
        stream_free(LIST_ENTRY(s->lingering.next, struct smux_stream, wait));
    }
}

static bool is_lingering(const struct smux_stream *st)
{
    return st->flags & ST_RELEASED && st->send == HALF_CLOSED && !list_empty(&st->wait);
}

void stream_end_check(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    if (!(st->flags & ST_RELEASED) || st->send != HALF_CLOSED)
        return;
    if (st->recv == HALF_CLOSED) {
        if (is_lingering(st))
            s->lingering_count--;
        stream_free(st);
    } else if (!is_lingering(st)) {
        linger(st);
    }
}

/* ---- credit towards the peer ---- */

int64_t stream_credit(const struct smux_stream *st, bool *ret_starved)
{
    const struct smux_session *s = st->session;
    int64_t inflight = (int32_t)(st->sent - st->peer_consumed);
    int64_t window = (int32_t)st->peer_window;

    *ret_starved = false;
    if (!(st->flags & ST_UPD_SEEN))
        window = SMUX_GO_WINDOW; /* of the 256 KiB to start with: 16 stalled users would freeze a Go
                                    peer */
    int64_t room = window - inflight;
    if (!is_in_bucket(st) || room <= 0)
        return room;
    int64_t free = inflight < SMUX_GO_FREE ? SMUX_GO_FREE - inflight : 0;
    int64_t budget = (int64_t)s->cfg.peer_excess_max - s->excess;
    int64_t most = free + (budget > 0 ? budget : 0);
    *ret_starved = most <= 0;
    return room < most ? room : most;
}

bool stream_upd(struct smux_stream *st, struct smux_upd upd)
{
    if ((int32_t)(st->sent - upd.consumed) < 0)
        return true;
    uint32_t before = excess_of(st);
    if ((int32_t)(upd.consumed - st->peer_consumed) > 0) {
        st->peer_consumed = upd.consumed;
        st->held_steps = 0;
    }
    st->peer_window = upd.window;
    st->flags |= ST_UPD_SEEN;
    if (upd.window > SMUX_GO_WINDOW && (int32_t)upd.window > 0)
        st->flags |= ST_ROOMY;
    excess_changed(st, before);
    return false;
}

void stream_fin_seen(struct smux_stream *st)
{
    uint32_t before = excess_of(st);
    st->recv = HALF_CLOSED;
    window_rest(st);
    excess_changed(st, before);
    stream_wake(st);
}

void stream_wake(struct smux_stream *st)
{
    bool starved;
    if (!(st->flags & ST_BLOCKED) || st->flags & (ST_SETTLING | ST_RELEASED))
        return;
    if (stream_credit(st, &starved) > 0)
        list_move(&st->session->credit, &st->wait);
    else if (starved)
        list_move(&st->session->starved, &st->wait);
}

void stream_settled(struct smux_stream *st)
{
    if (!(st->flags & ST_SETTLING))
        return;
    st->flags &= ~ST_SETTLING;
    list_del(&st->wait);
    if (st->flags & (ST_UPD_DUE | ST_FIN_DUE | ST_RST_DUE))
        stream_due(st, 0);
    stream_wake(st);
}

void stream_due(struct smux_stream *st, unsigned flags)
{
    st->flags |= flags;
    if (!(st->flags & ST_SETTLING) && list_empty(&st->due))
        list_push(&st->session->due, &st->due);
}

/* ---- FIN ---- */

/* True if the peer is sending at the same time, as far as can be seen: its data came within the
   last window of what we sent, or it has used up its window and waits for more. */
static bool peer_is_sending(const struct smux_stream *st)
{
    if (st->received - st->announced >= stream_window(st))
        return true;
    return st->sent_at_rx > 0 && st->sent - st->sent_at_rx <= SMUX_GO_WINDOW;
}

/* True if FIN now could make a Go peer of 1.5.28-1.5.53, or one of 1.5.27 and earlier that waits
   for window, drop bytes it has received. */
static bool fin_must_wait(const struct smux_stream *st)
{
    return !(st->flags & (ST_ROOMY | ST_BROKEN)) && st->recv == HALF_OPEN &&
           st->sent != st->peer_consumed && peer_is_sending(st);
}

/* The peer has consumed all but what it need not announce: one more step for the rest. */
static bool hold_is_acked(const struct smux_stream *st)
{
    return st->sent - st->peer_consumed <= SMUX_GO_UNANNOUNCED;
}

static void hold_again(struct smux_stream *st)
{
    st->wait_until = st->session->now + HOLD_STEP_MS;
    list_move(&st->session->held, &st->wait);
}

void stream_hold_step(struct smux_stream *st)
{
    list_del(&st->wait);
    if (st->flags & ST_HOLD_ACKED || st->recv != HALF_OPEN) {
        stream_due(st, ST_FIN_DUE);
        return;
    }
    if (hold_is_acked(st))
        st->flags |= ST_HOLD_ACKED;
    else if (++st->held_steps > HOLD_STEPS_MAX) {
        stream_due(st, ST_FIN_DUE);
        return;
    }
    hold_again(st);
}

void smux_stream_finish(struct smux_stream *st, mtime_ms now)
{
    assert(st != st->session->control);
    st->session->now = now;
    if (st->send != HALF_OPEN)
        return;
    st->send = HALF_FINISHING;
    st->flags &= ~ST_BLOCKED;
    if (st->flags & ST_SETTLING) {
        st->flags |= ST_FIN_DUE;
        return;
    }
    list_del(&st->wait);
    if (fin_must_wait(st)) {
        if (hold_is_acked(st))
            st->flags |= ST_HOLD_ACKED;
        hold_again(st);
    } else {
        stream_due(st, ST_FIN_DUE);
    }
}

void stream_release(struct smux_stream *st)
{
    st->flags |= ST_RELEASED;
    st->user = NULL;
    smux_stream_consumed(st, st->received - st->consumed, st->session->now);
    window_end(st);
}

void smux_stream_close(struct smux_stream *st, mtime_ms now)
{
    if (is_v2(st->session) && st->recv == HALF_OPEN) {
        smux_stream_reset(st, SMUX_RST_UNSPECIFIED, now);
        return;
    }
    smux_stream_finish(st, now);
    stream_release(st);
    stream_end_check(st);
}

void smux_stream_reset(struct smux_stream *st, enum smux_reset_code code, mtime_ms now)
{
    assert(st != st->session->control);
    st->session->now = now;
    if (is_v2(st->session)) {
        v2_reset(st, code);
        return;
    }
    if (st->send != HALF_CLOSED) {
        st->send = HALF_FINISHING;
        if (!(st->flags & ST_SETTLING))
            list_del(&st->wait); /* a FIN that was held waits no longer */
        st->flags &= ~ST_BLOCKED;
    }
    stream_due(st, ST_RST_DUE);
    stream_release(st);
}

/* ---- data ---- */

_Static_assert(SMUX_FRAME_BYTES == SMUX_HEADER_BYTES + SMUX_FRAME_PAYLOAD, "session.h says 8");

/* Bytes of so many frames that hold n. */
static size_t payload_of(size_t frames, size_t n)
{
    size_t most = frames * SMUX_FRAME_PAYLOAD;
    return n < most ? n : most;
}

int smux_stream_reserve_frames(struct smux_stream *st, size_t most, uint8_t **ret_p,
                               size_t *ret_room)
{
    struct smux_session *s = st->session;
    if (s->dead || st->send != HALF_OPEN || st->flags & ST_BROKEN)
        return ERR_BADSTATE;
    if (s->replay.detached)
        return ERR_LIMIT;
    bool starved = false;
    int64_t room = st->flags & ST_SETTLING ? 0 : stream_credit(st, &starved);
    if (room <= 0) {
        st->flags |= ST_BLOCKED;
        if (starved && list_empty(&st->wait))
            list_push(&s->starved, &st->wait);
        return ERR_AGAIN;
    }
    output_control(s); /* SYN, and other streams' control frames, go ahead of data */
    if (st->flags & ST_SYN_DUE || !output_make_room(s))
        return ERR_LIMIT;
    size_t n = (uint64_t)room < most ? (size_t)room : most, frames = 1;
    while (payload_of(frames, n) < n && output_has_frame_room(s, frames))
        frames++;
    n = payload_of(frames, n);
    uint8_t *p = ring_reserve(&s->out, frames * SMUX_HEADER_BYTES + n);
    if (!p)
        return ERR_LIMIT;
    *ret_p = p + SMUX_HEADER_BYTES;
    *ret_room = n;
    return 0;
}

int smux_stream_reserve(struct smux_stream *st, uint8_t **ret_p, size_t *ret_room)
{
    return smux_stream_reserve_frames(st, SMUX_FRAME_PAYLOAD, ret_p, ret_room);
}

void smux_stream_commit(struct smux_stream *st, size_t n)
{
    struct smux_session *s = st->session;
    assert(n > 0 && st->send == HALF_OPEN);
    uint32_t before = excess_of(st);
    for (size_t left = n; left > 0;) {
        size_t part = payload_of(1, left);
        uint8_t *p = ring_reserve(&s->out, SMUX_HEADER_BYTES + part);
        assert(p);
        smux_header_put(p, s->cfg.version, SMUX_PSH, (uint16_t)part, st->node.key);
        ring_commit(&s->out, SMUX_HEADER_BYTES + part);
        left -= part;
    }
    replay_waits(s);
    st->sent += (uint32_t)n;
    s->excess += excess_of(st) - before;
}

int smux_stream_write(struct smux_stream *st, const void *p, size_t n, size_t *ret_n)
{
    for (*ret_n = 0; *ret_n < n;) {
        uint8_t *to;
        size_t room, left = n - *ret_n;
        int r = smux_stream_reserve(st, &to, &room);
        if (r < 0)
            return r;
        room = room < left ? room : left;
        memcpy(to, (const uint8_t *)p + *ret_n, room);
        smux_stream_commit(st, room);
        *ret_n += room;
    }
    return 0;
}

void smux_stream_consumed(struct smux_stream *st, size_t n, mtime_ms now)
{
    assert(n <= st->received - st->consumed);
    st->session->now = now;
    st->consumed += (uint32_t)n;
    if (st->recv != HALF_OPEN)
        window_rest(st);
    else if (st->consumed - st->announced >= stream_window(st) / SMUX_ANNOUNCE_PART)
        stream_due(st, ST_UPD_DUE);
}

bool smux_stream_peer_gone(const struct smux_stream *st)
{
    bool starved;
    return st->recv == HALF_CLOSED && !(st->flags & ST_ROOMY) && stream_credit(st, &starved) <= 0;
}

void smux_stream_set_user(struct smux_stream *st, void *user)
{
    st->user = user;
}

uint32_t smux_stream_id(const struct smux_stream *st)
{
    return st->node.key;
}
