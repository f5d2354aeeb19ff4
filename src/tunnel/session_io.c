/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a session: users' sockets to the ring, the ring to the connection, and back. What
 * many events of a turn bring is served at its end, once.
 */
#include <string.h>

#include "proto/smux/session.h"
#include "tunnel/internal.h"
#include "tunnel/relay.h"

enum {
    READ_ROUNDS = 4, /* receive buffers one tunnel may fill in a turn before others get theirs */
    TURN_OUT_BYTES = 128 << 10, /* the same for sending, before others are heard ... */
    TURN_SHARES = 2,            /* ... and shares of users that are used up */
    QUIET_MS = 5000,            /* without data for so long, buffers are trimmed */
    LOOK_BYTES = 8 << 10,       /* so much is sent between two looks at what waits ... */
    LOOK_PART = 2,              /* ... or this part of what may wait, if that is more */
    KEEPALIVE_BYTES = 64,       /* less than this at a time is not data */
};

/* ---- sending ---- */

void session_wake(struct session *s)
{
    loop_defer(s->cfg.loop, &s->turn);
}

bool session_is_detached(const struct session *s)
{
    return !s->tp;
}

bool session_is_blocked(const struct session *s)
{
    return !s->tp || s->is_crowded || !transport_writable(s->tp) || !smux_session_can_stage(s->mux);
}

/* Looks at what waits for the network, and sets how much more may be staged. */
static void look_at_queue(struct session *s)
{
    mtime_ms now = loop_now(s->cfg.loop);
    struct transport_queue q = transport_queue(s->tp);
    if (s->stage_of != s->tp) { /* another path may be slower */
        stage_init(&s->stage, q.sent, now);
        s->stage_of = s->tp;
    }
    stage_count(&s->stage, q.sent, q.waiting, now);
    size_t bound = stage_bound(&s->stage);
    transport_set_unsent_max(s->tp, bound / 2);
    transport_set_record_max(s->tp, stage_record(&s->stage));
    turn_set_share(&s->readers, bound / 2); /* one that the link takes in a few milliseconds */
    smux_session_set_stage(s->mux, (uint32_t)(bound > q.waiting ? bound - q.waiting : 0));
    s->is_crowded = !stage_has_room(&s->stage, q.waiting);
    s->sent_unseen = 0;
}

/* Enough was sent since the last look for another one, which is a system call. */
static bool is_unseen(const struct session *s)
{
    size_t part = stage_bound(&s->stage) / LOOK_PART;
    return s->sent_unseen >= (part > LOOK_BYTES ? part : LOOK_BYTES);
}

size_t session_output(struct session *s)
{
    size_t total = 0;
    if (s->tp && s->stage_of != s->tp)
        look_at_queue(s);
    while (s->tp) {
        size_t n;
        const uint8_t *p = smux_session_output(s->mux, &n);
        ssize_t taken = n > 0 ? transport_write(s->tp, p, n) : 0;
        if (taken <= 0)
            break; /* an error comes through on_error */
        smux_session_sent(s->mux, (size_t)taken);
        total += (size_t)taken;
        s->had_data = s->had_data || taken > KEEPALIVE_BYTES;
        transport_flush(s->tp);
    }
    s->sent_unseen += total;
    if (s->tp && is_unseen(s))
        look_at_queue(s);
    return total;
}

void session_serve_readers(struct session *s)
{
    size_t sent = 0;
    int shares = 0;
    struct turn_node *reader;
    relay_short_look(s->cfg.relays, &s->readers);
    if (turn_is_over(&s->readers))
        return;
    if (s->tp && (s->is_crowded || s->stage_of != s->tp))
        look_at_queue(s);
    while (!s->is_crowded && sent < TURN_OUT_BYTES && shares < TURN_SHARES &&
           (reader = turn_next(&s->readers))) {
        enum relay_progress p = relay_read(reader);
        shares += p == RELAY_MORE;
        if (p != RELAY_FULL)
            continue;
        size_t taken =
            session_output(s); /* then it is this one's turn still, but for who is fresh */
        sent += taken;
        if (taken == 0 || session_is_blocked(s))
            break;
    }
}

void session_ask_turn(struct session *s, bool lines_wait)
{
    if (s->closed || (turn_is_over(&s->readers) && !lines_wait))
        return;
    if (!session_is_blocked(s))
        loop_defer(s->cfg.loop, &s->turn);
    else if (s->tp && s->is_crowded)
        transport_tell_sent(s->tp);
}

/* ---- what time brings ---- */

void session_check_stall(struct session *s, mtime_ms now)
{
    if (s->cfg.is_v2 || !s->tp || s->closed)
        return;
    struct transport_queue q = transport_queue(s->tp);
    if (q.waiting == 0 || q.sent != s->stall_sent) {
        s->stall_sent = q.sent;
        s->stall_since = now;
    } else if (now - s->stall_since >= SESSION_STALL_MS) {
        session_close(s, END_STALLED, NULL);
    }
}

void session_trim_idle(struct session *s, mtime_ms now)
{
    if (now < s->trim_at)
        return;
    s->trim_at = now + QUIET_MS;
    if (!s->had_data) {
        smux_session_trim(s->mux);
        if (s->tp)
            transport_idle(s->tp);
    }
    s->had_data = false;
}

/* ---- receiving ---- */

void stream_event(const struct smux_event *ev)
{
    struct stream_owner *o = ev->user;
    switch (ev->type) {
    case SMUX_EV_DATA:
        o->ops->on_data(o, ev->data, ev->len);
        break;
    case SMUX_EV_FIN:
        o->ops->on_fin(o);
        break;
    case SMUX_EV_RESET:
        o->ops->on_reset(o, ev->code);
        break;
    case SMUX_EV_CREDIT:
        o->ops->on_credit(o);
        break;
    case SMUX_EV_OPENED:
    case SMUX_EV_GOAWAY:
        break; /* not of a stream that has an owner */
    case SMUX_EV_READY:
        break; /* nobody asks for it yet */
    }
}

static void on_opened(struct session *s, const struct smux_event *ev)
{
    struct smux_stream *st = ev->stream;
    if (!s->cfg.is_server) {
        struct smux_open open = smux_event_open(ev);
        s->ops->on_stream(s->ctx, st, &open);
        return;
    }
    /* Legacy: streams from a client mean nothing after the first one. A few are closed; many are an
       attack. */
    smux_stream_close(st, loop_now(s->cfg.loop));
    if (++s->extra_streams > OPENING_EXTRA_STREAMS)
        session_close(s, END_PROTOCOL, NULL);
}

void session_dispatch(struct session *s, const struct smux_event *ev)
{
    if (ev->type == SMUX_EV_GOAWAY) {
        session_count_streams(s);
        life_goaway(&s->life, ev->code, ev->ms, loop_now(s->cfg.loop));
        session_act(s);
    } else if (ev->type == SMUX_EV_OPENED) {
        on_opened(s, ev);
    } else {
        if (ev->type == SMUX_EV_DATA && ev->stream != smux_session_control(s->mux)) {
            s->received += ev->len;
            s->cfg.relays->received += ev->len;
        }
        stream_event(ev);
    }
}

void session_feed(struct session *s, const uint8_t *p, size_t n)
{
    struct smux_input in = {p, n};
    struct smux_event ev;
    int r = 0;
    s->had_data = s->had_data || n > KEEPALIVE_BYTES;
    while (!s->closed && (r = smux_session_feed(s->mux, &in, loop_now(s->cfg.loop), &ev)) > 0)
        session_dispatch(s, &ev);
    relay_flush_gathered(s);
    if (r < 0)
        session_close(s, end_reason_of_error(r, false), NULL);
    session_tell_life(s);
    session_wake(s);
}

/* Fills the loop's receive buffer. Bytes, and the error that stopped it in *ret_err (0: none). */
static size_t fill(struct session *s, int *ret_err, struct errmsg *why)
{
    size_t n = 0;
    *ret_err = 0;
    while (n < RELAYS_SCRATCH_BYTES) {
        ssize_t r =
            transport_read(s->tp, s->cfg.relays->scratch + n, RELAYS_SCRATCH_BYTES - n, why);
        if (r < 0) {
            *ret_err = (int)r;
            break;
        }
        n += (size_t)r;
    }
    return n;
}

static void session_on_readable(void *ctx)
{
    struct session *s = ctx;
    if (s->closed || s->frozen)
        return;
    for (int i = 0; i < READ_ROUNDS; i++) {
        struct errmsg why = {""};
        struct transport *tp = s->tp;
        int err;
        size_t n = fill(s, &err, &why);
        /* Round trips are measured by when bytes have come. What came late in a long turn must not
           seem to have come at its beginning: a round trip that looks too short stays so for
           minutes, and keeps windows small. */
        loop_update(s->cfg.loop);
        if (n > 0)
            session_feed(s, s->cfg.relays->scratch, n);
        if (err == ERR_AGAIN || s->closed || s->tp != tp)
            return;
        if (err < 0) {
            session_lost(s, err, &why);
            return;
        }
        if (s->frozen)
            return; /* what came was the moment to ask: the rest would come twice */
    }
    transport_read_later(s->tp);
}

static void session_on_writable(void *ctx)
{
    session_wake(ctx);
}

static void session_on_error(void *ctx, int err, const struct errmsg *why)
{
    session_lost(ctx, err, why);
}

static void session_on_ready(void *ctx)
{
    (void)ctx; /* its connections are ready when it gets them */
}

const struct transport_events session_events = {session_on_ready, session_on_readable,
                                                session_on_writable, session_on_error};
