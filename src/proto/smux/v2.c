/* SPDX-License-Identifier: MIT */
/*
 * gotunnel/2: streams end exactly.
 *
 * FIN ends one direction, behind all its data; the other one goes on. RST ends both at once and
 * says why. A stream is gone when both halves are closed and its owner has let go, or when its RST
 * is written. As nothing lingers, frames for a stream that is gone are under way for a while; until
 * the peer has acknowledged the FIN or RST that ended it they are no fault of the peer, afterwards
 * none can come: its ACK is behind all it had written before it knew.
 */
#include "proto/smux/internal.h"

#include "base/endian.h"
#include "base/err.h"

/* ---- what the peer may send ---- */

/* Also of an OPEN. After our GOAWAY it is answered with RST; once the peer has acknowledged that, it is useless. */
static int check_syn(struct smux_session *s, const struct smux_stream *st, uint32_t sid)
{
    bool peers = sid > 1 && sid % 2 == (s->cfg.is_client ? 0 : 1);
    if (st || !peers)
        return ERR_PROTO;
    bool knows = s->live.goaway_to > 0 && s->out.released >= s->live.goaway_to;
    return knows ? liveness_glitch(s) : 0;
}

/* Consumed lies between what it was and what was sent; windows are positive. */
static int check_upd(struct smux_session *s, const struct smux_stream *st)
{
    struct smux_upd upd = smux_upd_get(s->head + SMUX_HEADER_BYTES);
    uint32_t news = upd.consumed - st->peer_consumed;
    if (news > st->sent - st->peer_consumed || upd.window > INT32_MAX)
        return ERR_PROTO;
    return news == 0 && upd.window == st->peer_window ? liveness_glitch(s) : 0;
}

/* Once, from the acceptor, before its FIN; it may have crossed our RST. */
static int check_ready(struct smux_session *s, const struct smux_stream *st)
{
    bool of_use = st->flags & ST_WANTS_READY && st->recv == HALF_OPEN;
    return of_use ? 0 : liveness_glitch(s);
}

static int check_known(struct smux_session *s, const struct smux_stream *st,
                       const struct smux_header *h)
{
    if (st->flags & (ST_SYN_DUE | ST_BROKEN))
        return ERR_PROTO; /* the peer cannot know it yet, or has ended it */
    if (h->cmd == SMUX_UPD)
        return check_upd(s, st);
    if (h->cmd == SMUX_RST)
        return 0;
    if (st->recv != HALF_OPEN && h->cmd != SMUX_READY)
        return ERR_PROTO; /* data or FIN after FIN */
    if (h->len > 0)
        return 0;
    if (h->cmd == SMUX_READY)
        return check_ready(s, st);
    return h->cmd == SMUX_PSH ? liveness_glitch(s) : 0;
}

/* A frame of a stream, other than the one that opens it. */
static int check_of_stream(struct smux_session *s, const struct smux_stream *st,
                           const struct smux_header *h)
{
    if (st)
        return check_known(s, st, h);
    return s->out.released >= s->replay.late_frames_to ? liveness_glitch(s) : 0;
}

int v2_check(struct smux_session *s, const struct smux_stream *st, const struct smux_header *h)
{
    switch (h->cmd) {
    case SMUX_SYN:
    case SMUX_OPEN:
        return check_syn(s, st, h->sid);
    case SMUX_NOP:
        return liveness_glitch(s);
    case SMUX_FIN:
    case SMUX_RST:
    case SMUX_READY:
        if (st && st == s->control)
            return ERR_PROTO; /* it neither begins nor ends */
        return check_of_stream(s, st, h);
    case SMUX_PSH:
    case SMUX_UPD:
        return check_of_stream(s, st, h);
    case SMUX_ACK:
    case SMUX_PING:
    case SMUX_PONG:
    case SMUX_GOAWAY:
        return 0;
    }
    return ERR_PROTO; /* not reached: smux_header_get() checks */
}

/* ---- RST ---- */

bool v2_reset_seen(struct smux_stream *st)
{
    st->flags &= ~(ST_DUE | ST_BLOCKED);
    list_del(&st->due);
    list_del(&st->wait);
    stream_fin_seen(st);
    st->send = HALF_CLOSED;
    if (!(st->flags & ST_RELEASED))
        return true;
    stream_end_check(st);
    return false;
}

void v2_reset(struct smux_stream *st, enum smux_reset_code code)
{
    stream_release(st);
    bool unknown = st->flags & ST_SYN_DUE; /* to the peer, and stays it */
    bool over = st->send == HALF_CLOSED && st->recv == HALF_CLOSED;
    if (unknown || over) {
        stream_free(st);
        return;
    }
    if (st->send == HALF_OPEN)
        st->send = HALF_FINISHING;
    st->flags &= ~ST_BLOCKED;
    list_del(&st->wait);
    st->rst_code = (uint8_t)code;
    stream_due(st, ST_RST_DUE);
}

void v2_put_rst(struct smux_stream *st)
{
    struct smux_session *s = st->session;
    put_le32(output_frame(s, SMUX_RST, SMUX_RST_BYTES, st->node.key), st->rst_code);
    s->replay.late_frames_to = s->out.staged;
    stream_free(st);
}
