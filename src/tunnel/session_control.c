/* SPDX-License-Identifier: MIT */
/*
 * The control stream of a session with services: lines to the owner, and lines of the owner's to the
 * peer. What the lines mean is the owner's.
 *
 * A line that waits to be read stays here, and its bytes are given no credit for: so the window of
 * the stream is all that a peer can make us hold.
 */
#include <stdlib.h>
#include <string.h>

#include "base/backlog.h"
#include "base/log.h"
#include "proto/service_line.h"
#include "tunnel/internal.h"

struct session_control {
    struct stream_owner owner;
    struct session *s;
    struct smux_stream *st;
    struct service_reader reader;
    struct backlog in;  /* not read yet: the owner wants no line, or our own wait */
    struct backlog out; /* not written yet */
    bool is_paused;     /* by the owner */
    bool is_reading;    /* not to begin again from inside on_line */
    bool has_no_credit; /* until CREDIT comes */
};

/* ---- reading ---- */

static bool may_read(const struct session_control *c)
{
    return !c->s->closed && !c->is_paused && c->out.len < SESSION_SAY_MAX;
}

/* Reads lines as far as the owner wants them. Bytes that were taken. */
static size_t read_lines(struct session_control *c, const uint8_t *p, size_t n)
{
    size_t taken = 0;
    c->is_reading = true;
    while (taken < n && may_read(c)) {
        size_t used;
        int err = service_reader_feed(&c->reader, p + taken, n - taken, &used);
        taken += used;
        if (err == 0)
            c->is_paused = !c->s->ops->on_line(c->s->ctx, service_reader_line(&c->reader));
        else if (err != ERR_AGAIN)
            session_close(c->s, end_reason_of_error(err, false), NULL);
    }
    c->is_reading = false;
    if (taken > 0)
        smux_stream_consumed(c->st, taken, loop_now(c->s->cfg.loop));
    return taken;
}

/* What has waited. */
static void read_waiting(struct session_control *c)
{
    struct iovec pieces[2];
    while (c->in.len > 0 && may_read(c)) {
        (void)backlog_pieces(&c->in, pieces);
        backlog_drop(&c->in, read_lines(c, pieces[0].iov_base, pieces[0].iov_len));
    }
}

static void control_on_data(struct stream_owner *o, const uint8_t *p, size_t n)
{
    struct session_control *c = CONTAINER_OF(o, struct session_control, owner);
    size_t taken = c->in.len > 0 ? 0 : read_lines(c, p, n);
    if (taken < n && !c->s->closed && backlog_put(&c->in, p + taken, n - taken) < 0)
        session_close(c->s, END_LOCAL, NULL);
}

void session_read_lines(struct session *s)
{
    struct session_control *c = s->control;
    if (!c || s->closed)
        return;
    c->is_paused = false;
    if (!c->is_reading)
        read_waiting(c);
    session_wake(s);
}

void session_line_is_useless(struct session *s)
{
    log_debug("[%s] a line of the control stream is not known here", session_name(s));
    if (!s->closed && smux_session_count_useless(s->mux) < 0)
        session_close(s, END_PROTOCOL, NULL);
}

/* ---- writing ---- */

int session_say(struct session *s, const char *line, size_t n)
{
    struct session_control *c = s->control;
    if (!c || s->closed)
        return 0;
    session_wake(s);
    return backlog_put(&c->out, line, n);
}

bool session_control_write(struct session *s)
{
    struct session_control *c = s->control;
    struct iovec pieces[2];
    size_t wrote = 1;
    if (!c || s->closed)
        return false;
    while (c->out.len > 0 && !c->has_no_credit && wrote > 0) {
        (void)backlog_pieces(&c->out, pieces);
        int err = smux_stream_write(c->st, pieces[0].iov_base, pieces[0].iov_len, &wrote);
        c->has_no_credit = err == ERR_AGAIN;
        backlog_drop(&c->out, wrote);
    }
    read_waiting(c); /* our own lines are out */
    return c->out.len > 0 && !c->has_no_credit;
}

static void control_on_credit(struct stream_owner *o)
{
    struct session_control *c = CONTAINER_OF(o, struct session_control, owner);
    c->has_no_credit = false;
    session_wake(c->s);
}

/* ---- services of a session ---- */

int session_open_stream(struct session *s, const struct smux_open *open, struct smux_stream **ret)
{
    if (s->closed || s->life.service != LIFE_SERVING)
        return ERR_BADSTATE;
    session_wake(s);
    return smux_stream_open_service(s->mux, open, NULL, ret);
}

bool session_may_lose_port(const struct session *s)
{
    return s->closed || life_may_lose_port(&s->life, loop_now(s->cfg.loop));
}

bool session_has_services(const struct session *s)
{
    return s->cfg.has_services;
}

/* ---- life ---- */

/* The mux ends the session where these could come. */
static void control_on_fin(struct stream_owner *o)
{
    (void)o;
}

static void control_on_reset(struct stream_owner *o, uint32_t code)
{
    (void)o;
    (void)code;
}

int session_control_new(struct session *s)
{
    static const struct stream_owner_ops ops = {.on_data = control_on_data,
                                                .on_fin = control_on_fin,
                                                .on_reset = control_on_reset,
                                                .on_credit = control_on_credit};
    struct session_control *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->owner.ops = &ops;
    c->s = s;
    c->st = smux_session_control(s->mux);
    service_reader_init(&c->reader);
    smux_stream_set_user(c->st, &c->owner);
    s->control = c;
    return 0;
}

void session_control_free(struct session_control *c)
{
    if (!c)
        return;
    service_reader_fini(&c->reader);
    backlog_clear(&c->in);
    backlog_clear(&c->out);
    free(c);
}
