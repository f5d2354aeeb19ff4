/* SPDX-License-Identifier: MIT */
/*
 * The control stream: the first stream of a session, opened by the client. One JSON request, one
 * JSON answer, FIN both ways (docs/protocol.md 1.3). What either side sends on it later is ignored.
 */
#include "tunnel/internal.h"

#include <string.h>

#include "base/i18n.h"

/* Sends text on the control stream. A new stream has credit and room for it; if not, the peer is
   broken. */
static bool say(struct link *l, const char *text, size_t n)
{
    while (n > 0) {
        uint8_t *p;
        size_t room;
        if (smux_stream_reserve(l->control_st, &p, &room) < 0)
            return false;
        size_t part = n < room ? n : room;
        memcpy(p, text, part);
        smux_stream_commit(l->control_st, part);
        text += part;
        n -= part;
    }
    link_wake(l);
    return true;
}

static struct link *link_of(struct stream_owner *o)
{
    return CONTAINER_OF(o, struct link, control);
}

static void end_control(struct link *l)
{
    if (l->control_st)
        smux_stream_close(l->control_st, loop_now(l->cfg.loop));
    l->control_st = NULL;
    link_wake(l);
}

static void on_request(struct link *l, int r)
{
    struct control_request req;
    if (r >= 0)
        r = control_request_get(&l->control_in, &req);
    link_set_deadline(l, MTIME_NEVER);
    l->cfg.ops->on_control(l->cfg.ctx, r < 0 ? 0 : req.remote_port, r < 0 ? r : 0);
}

static void on_response(struct link *l, int r)
{
    struct control_response res;
    struct errmsg why;
    if (r >= 0)
        r = control_response_get(&l->control_in, &res);
    if (r < 0) {
        errmsg_set(&why, ERR_PROTO, "%s", _("the server's answer is not understood"));
        link_close(l, LINK_END_REFUSED, &why);
        return;
    }
    if (!res.ok) {
        errmsg_set(&why, ERR_REFUSED, "%s", res.message);
        link_close(l, LINK_END_REFUSED, &why);
        return;
    }
    l->state = LINK_UP;
    link_set_deadline(l, MTIME_NEVER);
    end_control(l);
    l->cfg.ops->on_up(l->cfg.ctx, NULL, res.message);
}

static void on_data(struct stream_owner *o, const uint8_t *p, size_t n)
{
    struct link *l = link_of(o);
    smux_stream_consumed(l->control_st, n, loop_now(l->cfg.loop));
    link_wake(l);
    if (l->state != LINK_CONTROL || l->answer_sent)
        return;
    size_t used;
    int r = control_reader_feed(&l->control_in, p, n, &used);
    if (r == ERR_AGAIN)
        return;
    if (l->cfg.is_server)
        on_request(l, r);
    else
        on_response(l, r);
}

/* The stream ended, in order or not. A message that was cut short gets the answer of any other that
   is not understood. */
static void on_fin(struct stream_owner *o)
{
    struct link *l = link_of(o);
    if (l->state != LINK_CONTROL || l->answer_sent)
        end_control(l);
    else if (l->cfg.is_server)
        on_request(l, ERR_PROTO);
    else
        on_response(l, ERR_PROTO);
}

static void on_credit(struct stream_owner *o)
{
    (void)o; /* the few bytes sent here never wait for credit */
}

static void on_reset(struct stream_owner *o, uint32_t code)
{
    (void)code;
    on_fin(o);
}

static const struct stream_owner_ops control_ops = {on_data, on_fin, on_reset, on_credit};

static void own(struct link *l, struct smux_stream *st)
{
    l->control.ops = &control_ops;
    l->control_st = st;
    control_reader_init(&l->control_in);
    smux_stream_set_user(st, &l->control);
}

void control_begin(struct link *l)
{
    struct smux_stream *st;
    char text[CONTROL_REQUEST_BUF];
    size_t n = control_request_put(text, l->cfg.remote_port);
    if (smux_stream_open(l->mux, NULL, &st) < 0) {
        link_close(l, LINK_END_LOCAL, NULL);
        return;
    }
    own(l, st);
    link_set_deadline(l, loop_now(l->cfg.loop) + LINK_CONTROL_MS);
    if (!say(l, text, n))
        link_close(l, LINK_END_LOCAL, NULL);
}

void control_opened(struct link *l, struct smux_stream *st)
{
    if (l->state == LINK_CONTROL && !l->control_st && !l->answer_sent) {
        own(l, st);
        return;
    }
    /* A second stream from a client has no meaning. A few are closed; many are an attack. */
    smux_stream_close(st, loop_now(l->cfg.loop));
    link_wake(l);
    if (++l->extra_streams > LINK_EXTRA_STREAMS)
        link_close(l, LINK_END_PROTOCOL, NULL);
}

void link_control_answer(struct link *l, bool ok, const char *message)
{
    char text[CONTROL_ANSWER_BUF];
    if (l->state != LINK_CONTROL || !l->control_st)
        return;
    size_t n = control_response_put(text, sizeof text, ok, message);
    if (!say(l, text, n)) {
        link_close(l, LINK_END_PROTOCOL, NULL);
        return;
    }
    smux_stream_finish(l->control_st, loop_now(l->cfg.loop));
    l->answer_sent = true;
    if (ok) {
        l->state = LINK_UP;
        return;
    }
    struct errmsg why;
    errmsg_set(&why, ERR_REFUSED, "%s", message);
    link_close(l, LINK_END_REFUSED, &why); /* sends what is staged first */
}
