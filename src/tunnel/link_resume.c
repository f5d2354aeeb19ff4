/* SPDX-License-Identifier: MIT */
/*
 * A session that outlives its connection (gotunnel/2).
 *
 *   UP --the connection fails--> DETACHED --resume accepted--> UP
 *                                         --window over--> CLOSED, EXPIRED
 *
 * Both sides resume alike: stop reading the old connection, say how much has been received, let the
 * session send again what the other side has not, and go on. The client proposes (a candidate
 * connection beside the old one, if there is one), the server checks everything before it touches
 * the session. docs/resumption.md; docs/protocol.md has the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/secure.h"
#include "net/sock.h"
#include "tunnel/internal.h"

/* ---- the session stays ---- */

bool resume_begin(struct link *l, const struct hello_answer *open)
{
    struct resumption *a = &l->resume;
    a->window = open->window_ms;
    a->possible = a->window > 0;
    a->held_until = MTIME_NEVER;
    memcpy(a->sid, open->sid, sizeof a->sid);
    int err = hello_resume_key(a->key, &l->keys, open->sid, l->request.nonce, open->nonce);
    secure_zero(&l->keys, sizeof l->keys);
    transport_user_timeout(l->tp, LINK_USER_TIMEOUT_MS);
    if (err < 0)
        link_close(l, LINK_END_LOCAL, NULL);
    return err == 0;
}

static enum link_reason reason_of_break(int err)
{
    return err == ERR_TIMEOUT ? LINK_END_DEAD : LINK_END_PEER;
}

bool resume_detach(struct link *l, int err, const struct errmsg *why)
{
    static const struct errmsg none = {""};
    struct resumption *a = &l->resume;
    mtime_ms now = loop_now(l->cfg.loop);
    mtime_ms window = a->window;
    if (err == ERR_EOF && window > LINK_FIN_WINDOW_MS)
        window = LINK_FIN_WINDOW_MS;
    transport_close(l->tp);
    l->tp = NULL;
    l->state = LINK_DETACHED;
    smux_session_detach(l->mux);
    a->frozen = false;
    if (!link_is_suspected(l))
        a->since = now;
    a->suspected = false;
    a->doubted_until = 0;
    a->expires = now + window;
    a->held_until = now + LINK_HOLD_MS;
    link_wake(l);
    l->cfg.ops->on_detached(l->cfg.ctx, reason_of_break(err), why ? why : &none, window);
    return true;
}

/* Resumes over tp, which is ours now. The caller has checked smux_session_can_resume(). */
static void attach(struct link *l, struct transport *tp, uint64_t peer_rx)
{
    struct resumption *a = &l->resume;
    mtime_ms now = loop_now(l->cfg.loop);
    mtime_ms gap = l->state == LINK_DETACHED || link_is_suspected(l) ? now - a->since : 0;
    transport_close(l->tp); /* if it was alive: it is not read any more from here on */
    l->tp = tp;
    l->state = LINK_UP;
    a->frozen = a->suspected = false;
    a->doubted_until = 0;
    a->held_until = MTIME_NEVER;
    transport_trust(tp);
    transport_user_timeout(tp, LINK_USER_TIMEOUT_MS);
    l->stall_since = now;
    if (smux_session_resume(l->mux, peer_rx, now) < 0) {
        link_close(l, LINK_END_PROTOCOL, NULL); /* not reached */
        return;
    }
    link_wake(l);
    l->cfg.ops->on_resumed(l->cfg.ctx, gap, transport_peer(tp));
}

/* ---- server ---- */

void link_hand_over(struct link *l, struct link_handover *h)
{
    struct hello_text line = hello_reader_line(&l->hello);
    *h = (struct link_handover){.request = l->request, .line = strndup(line.p, line.n)};
    if (!h->line) {
        link_close(l, LINK_END_LOCAL, NULL);
        return;
    }
    memcpy(h->exporter, l->exporter, sizeof h->exporter);
    l->moving = h;
    link_close(l, LINK_END_MOVED, NULL);
}

static struct hello_text line_of(const struct link_handover *h)
{
    return (struct hello_text){h->line, strlen(h->line)};
}

static enum hello_error judge(const struct link *l, const struct link_handover *h)
{
    const struct hello_request *q = &h->request;
    if (!l->resume.possible || !link_is_established(l))
        return HELLO_ERR_UNKNOWN;
    if (!hello_resume_verify(line_of(h), l->resume.key, h->exporter))
        return HELLO_ERR_UNKNOWN; /* as if there were no such session */
    if (q->epoch <= l->resume.epoch)
        return HELLO_ERR_STALE;
    if (!smux_session_can_resume(l->mux, q->rx))
        return HELLO_ERR_RANGE;
    return HELLO_OK;
}

static void drop_handover(struct link_handover *h)
{
    transport_close(h->tp);
    h->tp = NULL;
    free(h->line);
    h->line = NULL;
}

/* Not adopted yet: send the refusal and close. key: the session's, or NULL where nothing has been
   proved. */
static void turn_away(struct loop *loop, struct link_handover *h, enum hello_error error,
                      const uint8_t *key)
{
    static const struct transport_events deaf = {NULL, NULL, NULL, NULL};
    const struct hello_answer a = {.error = error};
    char line[HELLO_MAX];
    int n = key ? hello_resumed_write(line, &a, line_of(h), key, h->exporter)
                : (int)hello_refusal_write(line, &a);
    if (n > 0 && transport_adopt(h->tp, loop, &deaf, NULL) == 0 &&
        transport_write(h->tp, line, (size_t)n) > 0)
        transport_flush(h->tp);
    drop_handover(h);
}

enum hello_error link_refuse(struct loop *loop, struct link_handover *h)
{
    static const uint8_t no_key[HELLO_MAC_BYTES];
    (void)hello_resume_verify(line_of(h), no_key, h->exporter);
    turn_away(loop, h, HELLO_ERR_UNKNOWN, NULL);
    return HELLO_ERR_UNKNOWN;
}

enum hello_error link_attach(struct link *l, struct link_handover *h)
{
    char line[HELLO_MAX];
    enum hello_error error = judge(l, h);
    if (error != HELLO_OK) {
        turn_away(l->cfg.loop, h, error, error == HELLO_ERR_UNKNOWN ? NULL : l->resume.key);
        return error;
    }
    l->resume.epoch = h->request.epoch;
    struct hello_answer a = {
        .error = HELLO_OK, .epoch = h->request.epoch, .rx = smux_session_received(l->mux)};
    int n = hello_resumed_write(line, &a, line_of(h), l->resume.key, h->exporter);
    if (n < 0) {
        turn_away(l->cfg.loop, h, HELLO_ERR_BUSY, NULL);
        return HELLO_ERR_BUSY;
    }
    if (transport_adopt(h->tp, l->cfg.loop, &link_events, l) < 0 ||
        transport_write(h->tp, line, (size_t)n) != n) {
        drop_handover(h); /* the new connection has failed: the client tries again */
        return HELLO_ERR_BUSY;
    }
    attach(l, h->tp, h->request.rx);
    h->tp = NULL;
    drop_handover(h);
    return HELLO_OK;
}

/* ---- client ---- */

static void drop_candidate(struct link *l)
{
    transport_close(l->resume.candidate);
    l->resume.candidate = NULL;
    if (!l->resume.frozen)
        return;
    l->resume.frozen = false;
    if (l->tp)
        transport_read_later(l->tp); /* the old connection may still be good */
}

static void candidate_failed(struct link *l, int err, const struct errmsg *why)
{
    static const struct errmsg none = {""};
    drop_candidate(l);
    link_wake(l);
    l->cfg.ops->on_resume_failed(l->cfg.ctx, err, why ? why : &none);
}

static void on_candidate_ready(void *ctx)
{
    struct link *l = ctx;
    struct resumption *a = &l->resume;
    char line[HELLO_MAX];
    if (l->state == LINK_CLOSED)
        return;
    if (!transport_speaks(a->candidate, HELLO_ALPN) ||
        transport_export(a->candidate, HELLO_EXPORTER_LABEL, l->exporter, sizeof l->exporter) < 0) {
        candidate_failed(l, HELLO_ERR_UNKNOWN, NULL);
        return;
    }
    a->frozen = true; /* what the old connection brings from here on would be sent again */
    l->request = (struct hello_request){
        .op = HELLO_RESUME, .epoch = ++a->epoch, .rx = smux_session_received(l->mux)};
    memcpy(l->request.sid, a->sid, sizeof a->sid);
    hello_reader_init(&l->hello);
    int n = hello_resume_write(line, &l->request, a->key, l->exporter);
    if (n < 0 || !hello_keep(l, line, (size_t)n - 1)) {
        candidate_failed(l, ERR_NOMEM, NULL);
        return;
    }
    if (transport_write(a->candidate, line, (size_t)n) <= 0)
        return; /* on_candidate_error() follows */
    transport_flush(a->candidate);
}

/* The answer has been received; p[0..n) came after it. */
static void on_resume_answer(struct link *l, const uint8_t *p, size_t n)
{
    struct resumption *a = &l->resume;
    struct hello_answer res;
    struct hello_text line = hello_reader_line(&l->hello);
    if (hello_answer_get(line, HELLO_RESUME, &res) < 0) {
        candidate_failed(l, ERR_PROTO, NULL);
        return;
    }
    if (res.has_mac && !hello_resumed_verify(line, hello_kept(l), a->key, l->exporter)) {
        candidate_failed(l, ERR_AUTH, NULL);
        return;
    }
    if (res.error != HELLO_OK) {
        candidate_failed(l, (int)res.error, NULL);
        return;
    }
    if (res.epoch != a->epoch || !smux_session_can_resume(l->mux, res.rx)) {
        candidate_failed(l, HELLO_ERR_RANGE, NULL);
        return;
    }
    struct transport *tp = a->candidate;
    a->candidate = NULL;
    transport_set_owner(tp, &link_events, l);
    attach(l, tp, res.rx);
    if (l->state == LINK_UP && n > 0)
        link_feed(l, p, n);
    if (l->tp == tp)
        transport_read_later(tp);
}

static void on_candidate_readable(void *ctx)
{
    struct link *l = ctx;
    struct errmsg why = {""};
    uint8_t *buf = l->cfg.relays->scratch;
    ssize_t n;
    while (l->state != LINK_CLOSED && l->resume.candidate &&
           (n = transport_read(l->resume.candidate, buf, HELLO_MAX, &why)) != ERR_AGAIN) {
        size_t used = 0;
        int r = n < 0 ? (int)n : hello_reader_feed(&l->hello, buf, (size_t)n, &used);
        if (r == 0) {
            on_resume_answer(l, buf + used, (size_t)n - used);
            return;
        }
        if (r != ERR_AGAIN) {
            candidate_failed(l, r, &why);
            return;
        }
    }
}

static void on_candidate_writable(void *ctx)
{
    (void)ctx; /* one line is all that is written */
}

static void on_candidate_error(void *ctx, int err, const struct errmsg *why)
{
    struct link *l = ctx;
    if (l->state != LINK_CLOSED)
        candidate_failed(l, err, why);
}

int link_resume(struct link *l, int fd)
{
    static const struct transport_events events = {on_candidate_ready, on_candidate_readable,
                                                   on_candidate_writable, on_candidate_error};
    struct resumption *a = &l->resume;
    if (!a->possible || a->candidate || !link_is_established(l)) {
        sock_close_reset(fd);
        return ERR_BADSTATE;
    }
    hello_reader_init(&l->hello);
    int err = transport_new(l->cfg.loop, fd, l->cfg.tls, false, &events, l, &a->candidate);
    if (err < 0)
        return err;
    a->candidate_deadline =
        loop_now(l->cfg.loop) + LINK_TRY_MS + 8 * (mtime_ms)link_rtt_us(l) / 1000;
    link_wake(l);
    return 0;
}

bool link_is_resuming(const struct link *l)
{
    return l->resume.candidate != NULL;
}

bool link_is_suspected(const struct link *l)
{
    return l->resume.suspected || l->resume.doubted_until;
}

bool link_network_changed(struct link *l, bool woke)
{
    struct resumption *a = &l->resume;
    if (!a->possible || !link_is_established(l))
        return false;
    if (l->state == LINK_DETACHED)
        return true;
    if (!woke && !transport_route_changed(l->tp))
        return false;
    mtime_ms now = loop_now(l->cfg.loop);
    if (!link_is_suspected(l))
        a->since = now;
    a->doubted_until = now + LINK_DOUBT_MS;
    link_wake(l);
    return true;
}

/* ---- the clock ---- */

/* When the connection is suspected; MTIME_NEVER: there is no reason. */
static mtime_ms suspect_at(const struct link *l)
{
    if (l->state != LINK_UP)
        return MTIME_NEVER;
    mtime_ms since = smux_session_waiting_since(l->mux);
    return since == MTIME_NEVER ? MTIME_NEVER : since + LINK_SUSPECT_MS;
}

mtime_ms resume_deadline(const struct link *l)
{
    const struct resumption *a = &l->resume;
    mtime_ms at = a->candidate ? a->candidate_deadline : MTIME_NEVER;
    if (l->state == LINK_DETACHED) {
        at = a->expires < at ? a->expires : at;
        return a->held_until < at ? a->held_until : at;
    }
    if (a->doubted_until && a->doubted_until < at)
        at = a->doubted_until;
    mtime_ms suspect = a->suspected ? MTIME_NEVER : suspect_at(l);
    return suspect < at ? suspect : at;
}

void resume_look(struct link *l, mtime_ms now)
{
    struct resumption *a = &l->resume;
    mtime_ms at = suspect_at(l);
    if (a->doubted_until && now >= a->doubted_until)
        a->doubted_until = 0;
    if (at > now && a->suspected) {
        a->suspected = false;
        if (l->cfg.ops->on_recovered)
            l->cfg.ops->on_recovered(l->cfg.ctx);
    } else if (at > now) {
        return;
    } else if (!a->suspected) {
        a->suspected = true;
        a->since = at - LINK_SUSPECT_MS;
        l->cfg.ops->on_suspect(l->cfg.ctx);
    }
}

void resume_tick(struct link *l, mtime_ms now)
{
    struct resumption *a = &l->resume;
    if (a->candidate && now >= a->candidate_deadline)
        candidate_failed(l, ERR_TIMEOUT, NULL);
    if (l->state == LINK_UP)
        resume_look(l, now);
    if (l->state != LINK_DETACHED)
        return;
    if (now >= a->expires) {
        link_close(l, LINK_END_EXPIRED, NULL);
    } else if (now >= a->held_until) {
        a->held_until = MTIME_NEVER;
        if (l->cfg.ops->on_held)
            l->cfg.ops->on_held(l->cfg.ctx);
    }
}

void resume_end(struct link *l)
{
    transport_close(l->resume.candidate);
    l->resume.candidate = NULL;
    secure_zero(l->resume.key, sizeof l->resume.key);
    free(l->said);
    l->said = NULL;
}
