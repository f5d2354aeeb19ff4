/* SPDX-License-Identifier: MIT */
/*
 * gotunnel/2 with services: the control stream, OPEN and READY.
 *
 * The control stream is a stream like others, but that it neither begins nor ends: it is in the
 * table when the session is made, and no frame and no call takes it out. So its windows, its waiting
 * for room and its place in what is sent again are those of all streams.
 *
 * An OPEN is longer than the marks that other control frames wait as: what it says is kept with its
 * stream until the ring has room. So at most one waits for each stream.
 */
#include "proto/smux/internal.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"

/* ---- the control stream ---- */

int services_init(struct smux_session *s)
{
    if (!(s->cfg.caps & SMUX_CAP_SERVICES))
        return 0;
    struct smux_stream *st = stream_new(s, SMUX_CONTROL_SID, NULL);
    if (!st)
        return ERR_NOMEM;
    s->control = st;
    if (session_first_upd(s))
        stream_due(st, ST_UPD_DUE);
    return 0;
}

struct smux_stream *smux_session_control(struct smux_session *s)
{
    return s->control;
}

int smux_session_count_useless(struct smux_session *s)
{
    if (!s->dead && liveness_glitch(s) < 0)
        s->dead = ERR_LIMIT;
    return s->dead;
}

/* ---- OPEN ---- */

/* True if READY is to be said on a stream that is opened so. */
static bool wants_ready(const struct smux_session *s, const struct smux_open *open)
{
    return open->want_ready && s->cfg.caps & SMUX_CAP_READY;
}

/* The payload of an OPEN, on the heap. 0, ERR_INVAL, ERR_NOMEM. */
static int keep(const struct smux_session *s, const struct smux_open *open,
                struct smux_kept_open **ret)
{
    uint8_t p[SMUX_OPEN_MAX];
    struct smux_open said = *open;
    said.want_ready = wants_ready(s, open);
    int n = smux_open_put(p, &said);
    if (n < 0)
        return n;
    struct smux_kept_open *k = alloc_get(s->cfg.alloc, sizeof *k + (size_t)n);
    if (!k)
        return ERR_NOMEM;
    k->len = (uint16_t)n;
    memcpy(k->p, p, (size_t)n);
    *ret = k;
    return 0;
}

int smux_stream_open_service(struct smux_session *s, const struct smux_open *open, void *user,
                             struct smux_stream **ret)
{
    if (!has_services(s))
        return session_open_next(s, user, ret);
    struct smux_kept_open *kept;
    int r = keep(s, open, &kept);
    if (r < 0)
        return r;
    r = session_open_next(s, user, ret);
    if (r < 0) {
        alloc_put(s->cfg.alloc, kept);
        return r;
    }
    (*ret)->open = kept;
    (*ret)->flags |= ST_HAS_OPEN | (wants_ready(s, open) ? ST_WANTS_READY : 0);
    return 0;
}

void services_forget_open(struct smux_stream *st)
{
    if (!(st->flags & ST_HAS_OPEN))
        return;
    alloc_put(st->session->cfg.alloc, st->open);
    st->open = NULL;
    st->flags &= ~ST_HAS_OPEN;
}

void services_put_open(struct smux_stream *st)
{
    const struct smux_kept_open *k = st->open;
    memcpy(output_frame(st->session, SMUX_OPEN, k->len, st->node.key), k->p, k->len);
    services_forget_open(st);
}

int services_on_open(const struct smux_session *s, size_t n, unsigned *ret_flags)
{
    struct smux_open open;
    int r = smux_open_get(s->head + SMUX_HEADER_BYTES, n, &open);
    if (r < 0)
        return r;
    *ret_flags = wants_ready(s, &open) ? ST_OWES_READY : 0;
    return 0;
}

struct smux_open smux_event_open(const struct smux_event *ev)
{
    struct smux_open open = {0};
    assert(ev->type == SMUX_EV_OPENED);
    int r = ev->len > 0 ? smux_open_get(ev->data, ev->len, &open) : 0;
    assert(r == 0); /* it was read before the event was made */
    (void)r;
    return open;
}

/* ---- READY ---- */

void smux_stream_ready(struct smux_stream *st)
{
    if (!(st->flags & ST_OWES_READY) || st->send != HALF_OPEN)
        return;
    st->flags &= ~ST_OWES_READY;
    stream_due(st, ST_READY_DUE);
}

bool services_on_ready(struct smux_stream *st)
{
    bool news = st->flags & ST_WANTS_READY && st->recv == HALF_OPEN;
    st->flags &= ~ST_WANTS_READY;
    return news && !(st->flags & ST_RELEASED);
}
