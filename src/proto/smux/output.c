/* SPDX-License-Identifier: MIT */
/*
 * What goes out. Data frames are staged by their streams; control frames are marks on streams until
 * there is room for them in the ring, so they never queue up beyond one of each kind per stream.
 */
#include "proto/smux/internal.h"

#include "base/err.h"

/* Ring room that data leaves alone: a burst of control frames of some hundred streams. The rest
   waits as marks, so the figure is for speed, not for safety. */
enum { CONTROL_RESERVE = 16 << 10 };

uint8_t *output_frame(struct smux_session *s, enum smux_cmd cmd, uint16_t len, uint32_t sid)
{
    uint8_t *p = ring_reserve(&s->out, SMUX_HEADER_BYTES + len);
    smux_header_put(p, s->cfg.version, cmd, len, sid);
    ring_commit(&s->out, SMUX_HEADER_BYTES + len);
    if (cmd != SMUX_ACK)
        replay_waits(s);
    return p + SMUX_HEADER_BYTES;
}

static void put_plain(struct smux_session *s, enum smux_cmd cmd, uint32_t sid)
{
    (void)output_frame(s, cmd, 0, sid);
}

static void put_syn(struct smux_stream *st)
{
    if (st->flags & ST_HAS_OPEN)
        services_put_open(st);
    else
        put_plain(st->session, SMUX_SYN, st->node.key);
}

static void put_upd(struct smux_stream *st, uint32_t window)
{
    smux_upd_put(output_frame(st->session, SMUX_UPD, SMUX_UPD_BYTES, st->node.key),
                 (struct smux_upd){.consumed = st->consumed, .window = window});
    st->announced = st->consumed;
}

/* SYN, UPD, FIN and a last UPD; with services OPEN or READY, UPD, FIN: the most one stream can have
   due. */
enum {
    DUE_BYTES_MAX = 4 * SMUX_HEADER_BYTES + 2 * SMUX_UPD_BYTES,
    DUE_BYTES_SERVICES = DUE_BYTES_MAX + SMUX_OPEN_MAX,
};

/* Writes what is due on st, in the order the peer must see it. st may be gone afterwards. */
static void put_due(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    unsigned due = st->flags;
    st->flags &= ~ST_DUE;
    list_del(&st->due);
    if (due & ST_RST_DUE && is_v2(s)) {
        v2_put_rst(st);
        return;
    }

    bool fin = due & (ST_FIN_DUE | ST_RST_DUE) && st->send != HALF_CLOSED;
    if (due & ST_SYN_DUE)
        put_syn(st);
    if (due & ST_READY_DUE)
        put_plain(s, SMUX_READY, st->node.key);
    if (due & ST_RST_DUE)
        put_upd(st, SMUX_RESET_WINDOW);
    else if (due & ST_UPD_DUE && st->recv == HALF_OPEN)
        put_upd(st, window_announce(st));
    if (fin) {
        put_plain(s, SMUX_FIN, st->node.key);
        s->replay.late_frames_to = s->out.staged;
        st->send = HALF_CLOSED;
    }
    if (due & ST_RST_DUE)
        put_upd(st, window_announce(st)); /* frees a Go writer (1.5.54+) that waits for window */
    stream_end_check(st);
}

/* Room the control frames of one stream need. */
static size_t due_room(const struct smux_session *s)
{
    if (has_services(s))
        return DUE_BYTES_SERVICES + REPLAY_RESERVE;
    return DUE_BYTES_MAX + (is_v2(s) ? REPLAY_RESERVE : 0);
}

static bool has_due_room(struct smux_session *s)
{
    return ring_room(&s->out) >= due_room(s) || ring_grow(s);
}

void output_control(struct smux_session *s)
{
    if (is_v2(s))
        liveness_control(s);
    if (s->nop_due && ring_room(&s->out) >= SMUX_HEADER_BYTES) {
        put_plain(s, SMUX_NOP, 0);
        s->nop_due = false;
    }
    for (struct list *n; (n = list_first(&s->due)) && has_due_room(s);)
        put_due(LIST_ENTRY(n, struct smux_stream, due));
}

/* Nothing is sent while detached, and only a GOAWAY after an error. */
const uint8_t *smux_session_output(struct smux_session *s, size_t *ret_n)
{
    if (s->replay.detached) {
        *ret_n = 0;
        return s->out.base;
    }
    if (!s->dead)
        output_control(s);
    else if (is_v2(s))
        liveness_control(s);
    return ring_unsent(&s->out, ret_n);
}

void smux_session_sent(struct smux_session *s, size_t n)
{
    if (is_v2(s)) {
        replay_sent(s, n);
        return;
    }
    ring_advance(&s->out, n);
    ring_release(&s->out, s->out.sent); /* the legacy wire acknowledges nothing */
}

void smux_session_trim(struct smux_session *s)
{
    if (is_v2(s))
        ring_gauge_trim(s);
    ring_trim(&s->out);
}

/* For a frame of data behind so many that are reserved already. */
static bool has_ring_room(const struct smux_session *s, size_t frames)
{
    size_t reserve = CONTROL_RESERVE + (is_v2(s) ? REPLAY_RESERVE : 0);
    return smux_session_held(s) + (frames + 1) * SMUX_FRAME_BYTES + reserve <=
           s->replay.gauge.limit;
}

static bool has_stage_room(const struct smux_session *s, size_t frames)
{
    return s->out.staged - s->out.sent + frames * SMUX_FRAME_BYTES < s->stage;
}

bool output_has_data_room(const struct smux_session *s)
{
    return has_ring_room(s, 0);
}

bool output_has_frame_room(const struct smux_session *s, size_t frames)
{
    return has_stage_room(s, frames) && has_ring_room(s, frames);
}

void smux_session_set_stage(struct smux_session *s, uint32_t bytes)
{
    uint32_t least = s->cfg.stage_max < SMUX_STAGE_MIN ? s->cfg.stage_max : SMUX_STAGE_MIN;
    s->stage = bytes < least ? least : bytes < s->cfg.stage_max ? bytes : s->cfg.stage_max;
}

bool smux_session_can_stage(const struct smux_session *s)
{
    return !s->replay.detached && has_stage_room(s, 0) &&
           (output_has_data_room(s) || ring_can_grow(s));
}

bool output_make_room(struct smux_session *s)
{
    return has_stage_room(s, 0) && (output_has_data_room(s) || ring_grow(s));
}
