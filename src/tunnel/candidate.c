/* SPDX-License-Identifier: MIT */
/*
 * A client's attempt to go on with its session over a new connection: TLS, the resume line, the
 * answer. One at a time, beside the connection in use if there is one. How long it may take is
 * life's business (proto/session/life.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/secure.h"
#include "tunnel/internal.h"
#include "tunnel/relay.h"

struct candidate {
    struct session *session; /* NULL: closed; memory goes at the end of the turn */
    struct transport *tp;
    struct loop_job reaper;
    struct hello_reader reader;
    char *said; /* the line that went, without LF */
    uint8_t exporter[HELLO_EXPORTER_BYTES];
    uint64_t epoch, peer_rx;
};

static void candidate_reap(struct loop_job *job)
{
    struct candidate *c = CONTAINER_OF(job, struct candidate, reaper);
    free(c->said);
    free(c);
}

void candidate_close(struct candidate *c)
{
    if (!c)
        return;
    struct loop *loop = c->session->cfg.loop;
    transport_close(c->tp);
    c->tp = NULL;
    secure_zero(c->exporter, sizeof c->exporter);
    c->session = NULL;
    loop_defer(loop, &c->reaper);
}

struct transport *candidate_take(struct candidate *c, uint64_t *ret_peer_rx)
{
    struct transport *tp = c->tp;
    *ret_peer_rx = c->peer_rx;
    c->tp = NULL;
    candidate_close(c);
    return tp;
}

/* Whoever is busy, or has seen a newer attempt, does have the session. */
static bool candidate_speaks_against_address(enum life_answer a)
{
    return a == LIFE_ANSWER_FAILED || a == LIFE_ANSWER_UNKNOWN || a == LIFE_ANSWER_DRAINING;
}

/* Accepted: life switches to it. Otherwise it is closed. */
static void candidate_over(struct candidate *c, enum life_answer answer, const struct errmsg *why)
{
    static const struct errmsg none = {""};
    struct session *s = c->session;
    s->lost_why = why ? *why : none;
    if (answer != LIFE_ANSWER_ACCEPTED) {
        if (candidate_speaks_against_address(answer))
            s->ops->on_address_failed(s->ctx);
        s->candidate = NULL;
        candidate_close(c);
    }
    session_count_streams(s);
    if (answer == LIFE_ANSWER_ACCEPTED && s->candidate != c)
        return; /* that was the end */
    life_answered(&s->life, answer, c->peer_rx, loop_now(s->cfg.loop));
    session_act(s);
}

/* There is nothing to resume: it has shown where the server is. */
static void candidate_found(struct candidate *c)
{
    struct session *s = c->session;
    bool elsewhere = !address_equal(transport_peer_address(c->tp), &s->address) ||
                     (s->tp && transport_route_changed(s->tp));
    s->candidate = NULL;
    candidate_close(c);
    s->lost_reason = END_SILENT;
    s->lost_why = (struct errmsg){""};
    life_found(&s->life, elsewhere, loop_now(s->cfg.loop));
    session_act(s);
    session_wake(s); /* there may be no action: it sets the clock */
}

static void candidate_on_ready(void *ctx)
{
    struct candidate *c = ctx;
    if (!c->session)
        return;
    struct session *s = c->session;
    if (!transport_speaks(c->tp, HELLO_ALPN) ||
        transport_export(c->tp, HELLO_EXPORTER_LABEL, c->exporter, sizeof c->exporter) < 0) {
        candidate_over(c, LIFE_ANSWER_UNKNOWN, NULL); /* an original, or without our secret */
        return;
    }
    if (s->cfg.window_ms == 0) {
        candidate_found(c);
        return;
    }
    life_secured(&s->life, loop_now(s->cfg.loop));
    session_act(s);
    session_wake(s); /* there may be no action: it sets the clock */
}

void candidate_ask(struct candidate *c, uint64_t epoch)
{
    struct session *s = c->session;
    char line[HELLO_MAX];
    struct hello_request q = {
        .op = HELLO_RESUME, .epoch = epoch, .rx = smux_session_received(s->mux)};
    memcpy(q.sid, s->cfg.sid, sizeof q.sid);
    c->epoch = epoch;
    int n = hello_resume_write(line, &q, s->cfg.resume_key, c->exporter);
    c->said = n < 0 ? NULL : strndup(line, (size_t)n - 1);
    if (c->said && transport_write(c->tp, line, (size_t)n) > 0)
        transport_flush(c->tp);
    /* A failure shows as its error, or as no answer. */
}

static enum life_answer life_answer_of(enum hello_error e)
{
    switch (e) {
    case HELLO_ERR_UNKNOWN:
        return LIFE_ANSWER_UNKNOWN;
    case HELLO_ERR_STALE:
        return LIFE_ANSWER_STALE;
    case HELLO_ERR_RANGE:
        return LIFE_ANSWER_RANGE;
    case HELLO_ERR_DRAINING:
        return LIFE_ANSWER_DRAINING;
    case HELLO_ERR_BUSY:
        return LIFE_ANSWER_BUSY;
    case HELLO_OK:
    case HELLO_ERR_AUTH:
    case HELLO_ERR_TAKEN:
    case HELLO_ERR_MESSAGE:
    case HELLO_ERRORS:
        break;
    }
    return LIFE_ANSWER_FAILED;
}

static enum life_answer candidate_judge(struct candidate *c)
{
    struct session *s = c->session;
    struct hello_text line = hello_reader_line(&c->reader);
    struct hello_text said = {c->said, c->said ? strlen(c->said) : 0};
    struct hello_answer a;
    if (!c->said || hello_answer_get(line, HELLO_RESUME, &a) < 0)
        return LIFE_ANSWER_FAILED;
    if (a.has_mac && !hello_resumed_verify(line, said, s->cfg.resume_key, c->exporter))
        return LIFE_ANSWER_FAILED;
    if (a.error == HELLO_ERR_DRAINING && !a.has_mac)
        return LIFE_ANSWER_BUSY; /* anybody may have said so: it delays, and ends nothing */
    if (a.error != HELLO_OK)
        return life_answer_of(a.error);
    if (a.epoch != c->epoch || !smux_session_can_resume(s->mux, a.rx))
        return LIFE_ANSWER_RANGE;
    c->peer_rx = a.rx;
    return LIFE_ANSWER_ACCEPTED;
}

static void candidate_on_readable(void *ctx)
{
    struct candidate *c = ctx;
    struct errmsg why = {""};
    while (c->session && c->tp) {
        struct session *s = c->session;
        uint8_t *buf = s->cfg.relays->scratch;
        ssize_t n = transport_read(c->tp, buf, HELLO_MAX, &why);
        size_t used = 0;
        if (n == ERR_AGAIN)
            return;
        int r = n < 0 ? (int)n : hello_reader_feed(&c->reader, buf, (size_t)n, &used);
        if (r == ERR_AGAIN)
            continue;
        if (r < 0) {
            candidate_over(c, LIFE_ANSWER_FAILED, &why);
            return;
        }
        enum life_answer answer = candidate_judge(c);
        candidate_over(c, answer, NULL);
        if (answer != LIFE_ANSWER_ACCEPTED || s->closed)
            return;
        session_feed(s, buf + used, (size_t)n - used);
        session_read_later(s);
        return;
    }
}

static void candidate_on_writable(void *ctx)
{
    (void)ctx; /* one line is all that is written */
}

static void candidate_on_error(void *ctx, int err, const struct errmsg *why)
{
    struct candidate *c = ctx;
    (void)err;
    if (c->session)
        candidate_over(c, LIFE_ANSWER_FAILED, why);
}

int candidate_new(struct session *s, int fd, struct candidate **ret)
{
    static const struct transport_events events = {candidate_on_ready, candidate_on_readable,
                                                   candidate_on_writable, candidate_on_error};
    struct candidate *c = calloc(1, sizeof *c);
    if (!c) {
        sock_close_reset(fd);
        return ERR_NOMEM;
    }
    c->session = s;
    loop_job_init(&c->reaper, candidate_reap);
    hello_reader_init(&c->reader);
    int err = transport_new(s->cfg.loop, fd, s->cfg.tls, false, &events, c, &c->tp);
    if (err < 0) {
        free(c);
        return err;
    }
    *ret = c;
    return 0;
}
