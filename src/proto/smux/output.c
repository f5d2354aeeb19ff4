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

static void put_plain(struct smux_session *s, enum smux_cmd cmd, uint32_t sid)
{
    smux_header_put(ring_reserve(&s->out, SMUX_HEADER_BYTES), cmd, 0, sid);
    ring_commit(&s->out, SMUX_HEADER_BYTES);
}

static void put_upd(struct smux_stream *st, uint32_t window)
{
    struct ring *out = &st->session->out;
    uint8_t *p = ring_reserve(out, SMUX_HEADER_BYTES + SMUX_UPD_BYTES);
    smux_header_put(p, SMUX_UPD, SMUX_UPD_BYTES, st->node.key);
    smux_upd_put(p + SMUX_HEADER_BYTES,
                 (struct smux_upd){.consumed = st->consumed, .window = window});
    ring_commit(out, SMUX_HEADER_BYTES + SMUX_UPD_BYTES);
    st->announced = st->consumed;
}

/* SYN, UPD, FIN and a last UPD: the most one stream can have due. */
enum { DUE_BYTES_MAX = 4 * SMUX_HEADER_BYTES + 2 * SMUX_UPD_BYTES };

/* Writes what is due on st, in the order the peer must see it. st may be gone afterwards. */
static void put_due(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    unsigned due = st->flags;
    st->flags &= ~(ST_SYN_DUE | ST_UPD_DUE | ST_FIN_DUE | ST_RST_DUE);
    list_del(&st->due);

    bool fin = due & (ST_FIN_DUE | ST_RST_DUE) && st->send != HALF_CLOSED;
    if (due & ST_SYN_DUE)
        put_plain(s, SMUX_SYN, st->node.key);
    if (due & ST_RST_DUE)
        put_upd(st, SMUX_RESET_WINDOW);
    else if (due & ST_UPD_DUE && st->recv == HALF_OPEN)
        put_upd(st, window_announce(st));
    if (fin) {
        put_plain(s, SMUX_FIN, st->node.key);
        st->send = HALF_CLOSED;
    }
    if (due & ST_RST_DUE)
        put_upd(st, window_announce(st)); /* frees a Go writer (1.5.54+) that waits for window */
    stream_end_check(st);
}

void output_control(struct smux_session *s)
{
    if (s->nop_due && ring_room(&s->out) >= SMUX_HEADER_BYTES) {
        put_plain(s, SMUX_NOP, 0);
        s->nop_due = false;
    }
    for (struct list *n; ring_room(&s->out) >= DUE_BYTES_MAX && (n = list_first(&s->due));)
        put_due(LIST_ENTRY(n, struct smux_stream, due));
}

const uint8_t *smux_session_output(struct smux_session *s, size_t *ret_n)
{
    if (!s->dead)
        output_control(s);
    return ring_unsent(&s->out, ret_n);
}

void smux_session_sent(struct smux_session *s, size_t n)
{
    ring_advance(&s->out, n);
    ring_release(&s->out, s->out.sent); /* the legacy wire acknowledges nothing */
}

void smux_session_trim(struct smux_session *s)
{
    ring_trim(&s->out);
}

bool smux_session_has_output(const struct smux_session *s)
{
    return s->out.staged != s->out.sent || (!s->dead && (s->nop_due || !list_empty(&s->due)));
}

bool smux_session_can_stage(const struct smux_session *s)
{
    size_t frame = SMUX_HEADER_BYTES + SMUX_FRAME_PAYLOAD;
    return s->out.staged - s->out.sent < s->cfg.stage_max &&
           ring_room(&s->out) >= frame + CONTROL_RESERVE;
}
