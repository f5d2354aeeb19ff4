/* SPDX-License-Identifier: MIT */
/*
 * The session: joins transport, mux, relays and life, and drives them from the loop.
 *
 * Life decides, this file carries out: session_act() pulls what it has decided after each fact it
 * was told. An end is marked and carried out at the end of the turn, so no caller ever loses an
 * object it still holds.
 */
#include "tunnel/session.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/secure.h"
#include "net/sock.h"
#include "tunnel/internal.h"
#include "tunnel/relay.h"

static const struct session_ops no_owner;

/* Connections that run; and while the session drains one more as long as what they said is not
   out: its end comes behind that. */
static uint32_t running(const struct session *s, bool drains)
{
    if (s->relay_count > 0 || !drains || !s->tp)
        return s->relay_count;
    return s->cfg.is_v2 ? smux_session_waiting_since(s->mux) != MTIME_NEVER
                        : transport_queue(s->tp).waiting > 0;
}

/* Life hears of them before whatever it decides by them. */
void session_count_streams(struct session *s)
{
    life_streams(&s->life, running(s, s->life.service == LIFE_DRAINING), loop_now(s->cfg.loop));
    session_act(s);
}

/* ---- the end ---- */

/* The last words, where the wire has them. An end that life has decided was said by it, or heard. */
static void say_goodbye(struct session *s)
{
    static const struct {
        enum end_reason reason;
        enum smux_goaway_code code;
    } words[] = {{END_SHUTDOWN, SMUX_GOAWAY_SHUTDOWN},
                 {END_REPLACED, SMUX_GOAWAY_REPLACED},
                 {END_PROTOCOL, SMUX_GOAWAY_PROTOCOL},
                 {END_EXPIRED, SMUX_GOAWAY_EXPIRED},
                 {END_REVOKED, SMUX_GOAWAY_SECRET_CHANGED}};
    for (size_t i = 0; s->cfg.is_v2 && i < ARRAY_LEN(words); i++)
        if (words[i].reason == s->reason)
            smux_session_goaway(s->mux, words[i].code, 0);
}

void session_close(struct session *s, enum end_reason reason, const struct errmsg *why)
{
    if (s->closed)
        return;
    s->closed = true;
    s->reason = reason;
    if (why)
        s->why = *why;
    life_close(&s->life, loop_now(s->cfg.loop));
    session_act(s); /* nothing but the end itself is left in it */
    say_goodbye(s);
    if (reason == END_SHUTDOWN)
        session_note_drained(s);
    session_wake(s);
}

/* The connection in use has failed: the session waits, or is over. */
void session_lost(struct session *s, int err, const struct errmsg *why)
{
    enum life_loss loss = err == ERR_EOF       ? LIFE_LOSS_FIN
                          : err == ERR_RESET   ? LIFE_LOSS_RESET
                          : err == ERR_TIMEOUT ? LIFE_LOSS_SILENT
                                               : LIFE_LOSS_ERROR;
    if (s->closed)
        return;
    s->lost_why = why ? *why : (struct errmsg){""};
    s->lost_reason = end_reason_of_error(err, false);
    session_count_streams(s);
    life_lost(&s->life, loss, loop_now(s->cfg.loop));
    session_act(s);
}

/* ---- what life has decided ---- */

/* What it holds does not change while it waits: nothing is staged without a connection. */
static void session_tell_waiting(struct session *s, bool waits)
{
    bool with_streams = waits && s->relay_count > 0;
    if (!s->cfg.is_server || (waits == s->waits && with_streams == s->waits_with_streams))
        return;
    s->waits = waits;
    s->waits_with_streams = with_streams;
    s->ops->on_waiting(s->ctx, waits, waits ? session_held(s) : 0);
}

static void session_detach(struct session *s)
{
    transport_close(s->tp);
    s->tp = s->stage_of = NULL; /* the next one may lie where this one did */
    s->frozen = false;
    smux_session_detach(s->mux);
    session_tell_waiting(s, true);
}

/* Where it is, also once the connection is gone. */
static void session_note_peer(struct session *s, const struct transport *tp)
{
    (void)snprintf(s->peer, sizeof s->peer, "%s", transport_peer(tp));
    s->address = *transport_peer_address(tp);
}

/* Goes on over tp, whose peer has received peer_rx bytes. */
static void session_switch(struct session *s, struct transport *tp, uint64_t peer_rx)
{
    mtime_ms now = loop_now(s->cfg.loop);
    transport_close(s->tp); /* of a live one: this end is not read any more from here on */
    s->tp = tp;
    s->frozen = false;
    s->stall_since = now;
    session_note_peer(s, tp);
    transport_trust(tp);
    transport_user_timeout(tp, SESSION_USER_TIMEOUT_MS);
    if (smux_session_resume(s->mux, peer_rx, now) < 0)
        session_close(s, END_PROTOCOL, NULL); /* not reached: it was asked before */
    session_tell_waiting(s, false);
}

static void act_switch(struct session *s)
{
    uint64_t peer_rx = s->incoming_rx;
    struct transport *tp = s->incoming;
    s->incoming = NULL;
    if (!s->cfg.is_server) {
        tp = candidate_take(s->candidate, &peer_rx);
        s->candidate = NULL;
        transport_set_owner(tp, &session_events, s);
    }
    session_switch(s, tp, peer_rx);
}

static void act_cancel(struct session *s, bool timed_out)
{
    if (s->candidate && timed_out)
        s->ops->on_address_failed(s->ctx);
    candidate_close(s->candidate);
    s->candidate = NULL;
    s->lost_why = (struct errmsg){""}; /* it did not fail: its time was over */
    s->ops->on_dial_cancel(s->ctx);
}

static void act_unfreeze(struct session *s)
{
    s->frozen = false;
    if (s->tp)
        transport_read_later(s->tp); /* it may still be good */
}

static void act_close(struct session *s, enum life_end end)
{
    if (s->closed)
        return;
    s->closed = true;
    bool lost = end == LIFE_END_LOST, gone = lost || end == LIFE_END_PEER;
    s->reason = lost ? s->lost_reason : end_reason_of_life(end);
    if (gone || s->reason == END_DRAINED)
        session_note_drained(s); /* both ends wanted it */
    if (lost && s->reason != END_DRAINED)
        s->why = s->lost_why;
    session_wake(s);
}

static void carry_out(struct session *s, const struct life_action *a)
{
    switch (a->kind) {
    case LIFE_DIAL:
        s->ops->on_dial(s->ctx, a->dial.patience_ms, a->dial.last_start, a->dial.small_segments);
        break;
    case LIFE_HURRY:
        s->ops->on_dial_hurry(s->ctx, a->at);
        break;
    case LIFE_CANCEL:
        act_cancel(s, a->timed_out);
        break;
    case LIFE_ASK:
        s->frozen = s->tp != NULL; /* what is received from here on would come twice */
        candidate_ask(s->candidate, a->epoch);
        break;
    case LIFE_UNFREEZE:
        act_unfreeze(s);
        break;
    case LIFE_OPEN_BESIDE:
        s->ops->on_open_beside(s->ctx);
        break;
    case LIFE_SWITCH:
        act_switch(s);
        break;
    case LIFE_DETACH:
        session_detach(s);
        break;
    case LIFE_GOAWAY:
        if (s->cfg.is_v2)
            smux_session_goaway(s->mux, a->goaway.code, a->goaway.ms);
        break;
    case LIFE_CLOSE:
        act_close(s, a->end);
        break;
    case LIFE_TELL:
        session_note(s, a);
        s->ops->on_tell(s->ctx, a, &s->lost_why);
        break;
    case LIFE_HOLD:
        s->ops->on_users(s->ctx, SESSION_USERS_HOLD);
        break;
    case LIFE_REFUSE:
        s->ops->on_users(s->ctx, SESSION_USERS_REFUSE);
        break;
    case LIFE_ADMIT:
        s->ops->on_users(s->ctx, SESSION_USERS_ADMIT);
        break;
    case LIFE_CLOSE_PORTS:
        s->ops->on_close_ports(s->ctx);
        break;
    }
}

void session_act(struct session *s)
{
    struct life_action a;
    while (life_next(&s->life, &a)) {
        if (!s->closed || a.kind == LIFE_CANCEL)
            carry_out(s, &a);
        session_wake(s); /* the clock may have to be set anew, if nothing else */
    }
}

/* Life hears what the mux knows. */
void session_tell_life(struct session *s)
{
    mtime_ms now = loop_now(s->cfg.loop);
    if (!s->cfg.is_v2 || s->closed)
        return;
    life_rtt(&s->life, smux_session_rtt_us(s->mux) / 1000);
    life_progress(&s->life, smux_session_heard_at(s->mux), smux_session_waiting_since(s->mux),
                  smux_session_acked(s->mux), now);
    if (life_deadline(&s->life) <= now)
        life_tick(&s->life, now);
    session_act(s);
}

/* ---- the clock ---- */

static void session_on_timer(uv_timer_t *t);

static void arm_timer(struct session *s)
{
    mtime_ms now = loop_now(s->cfg.loop);
    mtime_ms mux = smux_session_deadline(s->mux), life = life_deadline(&s->life);
    mtime_ms at = mux < life ? mux : life;
    if (at >= s->timer_at)
        return; /* it fires early enough and looks again */
    s->timer_at = at;
    uv_timer_start(&s->timer, session_on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void session_on_timer(uv_timer_t *t)
{
    struct session *s = t->data;
    mtime_ms now = loop_now(s->cfg.loop);
    struct smux_event ev;
    int r;
    s->timer_at = MTIME_NEVER;
    if (s->closed)
        return;
    session_tell_life(s);
    while ((r = smux_session_tick(s->mux, now, &ev)) > 0)
        session_dispatch(s, &ev);
    if (r < 0)
        session_lost(s, r, NULL);
    session_check_stall(s, now);
    session_trim_idle(s, now);
    life_tick(&s->life, now);
    session_act(s);
    session_wake(s); /* an ACK or a PING may be due, and the clock is set anew */
}

/* ---- life and death ---- */

static void session_on_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

/* Carries out the end that was marked. */
static void session_end(struct session *s)
{
    for (struct list *n; (n = list_first(&s->relays));)
        relay_orphan(relay_of_session_node(n));
    (void)session_output(s); /* the last words with it */
    session_tell_waiting(s, false);
    candidate_close(s->candidate);
    transport_close(s->tp);
    s->tp = NULL;
    session_control_free(s->control);
    s->control = NULL;
    smux_session_free(s->mux);
    s->mux = NULL;
    secure_zero(s->cfg.resume_key, sizeof s->cfg.resume_key);
    SSL_CTX_free(s->cfg.tls);
    loop_cancel(&s->turn); /* the relays' ends have deferred it again */
    s->ops->on_closed(s->ctx, s->reason, &s->why);
    uv_close((uv_handle_t *)&s->timer, session_on_timer_closed);
}

static void session_turn(struct loop_job *job)
{
    struct session *s = CONTAINER_OF(job, struct session, turn);
    if (!s->closed) {
        smux_session_clock(s->mux, loop_now(s->cfg.loop));
        bool more = session_control_write(s); /* before users' bytes */
        session_serve_readers(s);
        (void)session_output(s);
        session_ask_turn(s, more);
        session_count_streams(s);
        session_tell_life(
            s); /* of what waits since now, or its deadline would be the next PING's */
        if (s->waits && !s->closed)
            session_tell_waiting(s, true); /* its connections may have ended */
        arm_timer(s);
    }
    if (s->closed)
        session_end(s);
}

int session_new(const struct session_config *cfg, struct transport *tp, struct smux_session *mux,
                struct session **ret)
{
    mtime_ms now = loop_now(cfg->loop);
    struct session *s = calloc(1, sizeof *s);
    struct smux_config mux_cfg =
        smux_config_default(!cfg->is_server, cfg->is_v2 ? SMUX_WIRE_GOTUNNEL2 : SMUX_WIRE_LEGACY);
    mux_cfg.budget = &cfg->relays->windows;
    mux_cfg.replay = &cfg->relays->replay;
    mux_cfg.caps = cfg->has_services ? SMUX_CAP_SERVICES : 0;
    if (s) {
        s->cfg = *cfg;
        s->mux = mux;
    }
    if (!s || (!mux && smux_session_new(&mux_cfg, now, &s->mux) < 0) ||
        (cfg->has_services && session_control_new(s) < 0)) {
        smux_session_free(s ? s->mux : mux);
        transport_close(tp);
        free(s);
        return ERR_NOMEM;
    }
    s->ops = &no_owner;
    s->tp = tp;
    list_init(&s->relays);
    turn_init(&s->readers);
    loop_job_init(&s->turn, session_turn);
    uv_timer_init(&cfg->loop->uv, &s->timer);
    s->timer.data = s;
    s->timer_at = MTIME_NEVER;
    s->stall_since = s->history.up_at = s->history.drains_at = now;
    session_note_peer(s, tp);
    if (s->cfg.tls)
        SSL_CTX_up_ref(s->cfg.tls);
    struct life_config life = {.is_client = !cfg->is_server,
                               .window_ms = cfg->is_v2 ? cfg->window_ms : 0};
    life_init(&s->life, &life, now, get_le64(cfg->sid));
    transport_set_owner(tp, &session_events, s);
    transport_trust(tp);
    if (cfg->is_v2)
        transport_user_timeout(tp, SESSION_USER_TIMEOUT_MS);
    session_wake(s);
    *ret = s;
    return 0;
}

void session_set_owner(struct session *s, const struct session_ops *ops, void *ctx)
{
    s->ops = ops;
    s->ctx = ctx;
}

/* ---- what owners ask for ---- */

void session_stop(struct session *s, mtime_ms drain_ms)
{
    mtime_ms now = loop_now(s->cfg.loop);
    if (s->closed)
        return;
    life_streams(&s->life, running(s, true), now);
    life_stop(&s->life, drain_ms, now);
    session_act(s);
}

void session_dialled(struct session *s, int fd_or_err, mtime_ms connect_ms,
                     const struct errmsg *why)
{
    mtime_ms now = loop_now(s->cfg.loop);
    if (s->closed || s->candidate) {
        if (fd_or_err >= 0)
            sock_close_reset(fd_or_err);
        return;
    }
    if (fd_or_err >= 0)
        fd_or_err = candidate_new(s, fd_or_err, &s->candidate);
    else if (why)
        s->lost_why = *why;
    life_dialled(&s->life, fd_or_err >= 0, connect_ms, now);
    session_act(s);
    session_wake(s); /* a failure only sets the clock: no action wakes us for it */
}

void session_network_changed(struct session *s, bool woke)
{
    if (s->closed || !s->cfg.is_v2)
        return;
    life_network_changed(&s->life, woke || (s->tp && transport_route_changed(s->tp)),
                         loop_now(s->cfg.loop));
    session_act(s);
    session_wake(s);
}

void session_taken(struct session *s)
{
    if (s->closed || !s->cfg.is_v2)
        return;
    life_taken(&s->life, loop_now(s->cfg.loop));
    session_act(s);
    session_wake(s);
}

static struct life_ask ask_of(const struct session *s, const struct handover *h)
{
    return (struct life_ask){h->epoch, h->rx, smux_session_can_resume(s->mux, h->rx)};
}

/* What of a resume is wrong; HELLO_OK: nothing. The proof first, and before anything is touched. */
static enum hello_error judge_resume(const struct session *s, struct handover *h)
{
    struct hello_text line = {h->line, strlen(h->line)};
    if (s->closed || !s->cfg.is_v2 || s->cfg.window_ms == 0)
        return HELLO_ERR_UNKNOWN;
    h->is_tried = true;
    if (!hello_resume_verify(line, s->cfg.resume_key, h->exporter))
        return HELLO_ERR_UNKNOWN; /* as if there were no such session */
    struct life_ask ask = ask_of(s, h);
    switch (life_judge_resume(&s->life, &ask)) {
    case LIFE_ANSWER_ACCEPTED:
        return HELLO_OK;
    case LIFE_ANSWER_STALE:
        return HELLO_ERR_STALE;
    case LIFE_ANSWER_RANGE:
        return HELLO_ERR_RANGE;
    case LIFE_ANSWER_DRAINING:
        return HELLO_ERR_DRAINING; /* it came before the tunnel port was closed */
    case LIFE_ANSWER_UNKNOWN:
    case LIFE_ANSWER_BUSY:
    case LIFE_ANSWER_FAILED:
        break;
    }
    return HELLO_ERR_UNKNOWN;
}

enum hello_error session_resume(struct session *s, struct handover *h)
{
    char line[HELLO_MAX];
    enum life_answer refusal;
    enum hello_error error = judge_resume(s, h);
    if (error != HELLO_OK) {
        handover_refuse(s->cfg.loop, h, error,
                        error == HELLO_ERR_UNKNOWN ? NULL : s->cfg.resume_key);
        return error;
    }
    struct life_ask ask = ask_of(s, h);
    struct hello_answer a = {.epoch = h->epoch, .rx = smux_session_received(s->mux)};
    int n = hello_resumed_write(line, &a, (struct hello_text){h->line, strlen(h->line)},
                                s->cfg.resume_key, h->exporter);
    struct transport *tp = h->tp;
    h->tp = NULL;
    free(h->line);
    h->line = NULL;
    if (n < 0 || transport_adopt(tp, s->cfg.loop, &session_events, s) < 0 ||
        transport_write(tp, line, (size_t)n) != n) {
        transport_close(tp); /* it broke on the way: the client comes back */
        return HELLO_ERR_BUSY;
    }
    if (!life_resume_asked(&s->life, &ask, &refusal, loop_now(s->cfg.loop))) {
        transport_close(tp); /* not reached: judged above */
        return HELLO_ERR_UNKNOWN;
    }
    s->incoming = tp;
    s->incoming_rx = h->rx;
    session_act(s);
    return HELLO_OK;
}

void session_read_later(struct session *s)
{
    if (s->tp)
        transport_read_later(s->tp);
}

/* ---- questions ---- */

const struct address *session_address(const struct session *s)
{
    return s->tp ? transport_peer_address(s->tp) : &s->address;
}

void session_set_name(struct session *s, const char *name)
{
    s->name = name;
}

void session_set_client(struct session *s, uint64_t client)
{
    s->client = client;
}

const char *session_name(const struct session *s)
{
    return s->name ? s->name : session_peer(s);
}

const char *session_peer(const struct session *s)
{
    return s->tp ? transport_peer(s->tp) : s->peer;
}

enum life_state session_state(const struct session *s)
{
    return s->life.state;
}

enum life_service session_service(const struct session *s)
{
    return s->life.service;
}

bool session_is_v2(const struct session *s)
{
    return s->cfg.is_v2;
}

const uint8_t *session_sid(const struct session *s)
{
    return s->cfg.sid;
}

const uint8_t *session_nonce(const struct session *s)
{
    return s->cfg.nonce;
}

void session_count_at(struct session *s, struct quota *q)
{
    assert(s->relay_count == 0);
    s->counted_at = q;
}

uint32_t session_streams(const struct session *s)
{
    return s->relay_count;
}

uint64_t session_held(const struct session *s)
{
    return s->mux ? smux_session_held(s->mux) : 0;
}

uint32_t session_window_ms(const struct session *s)
{
    return s->cfg.window_ms;
}

uint32_t session_rtt_us(const struct session *s)
{
    return s->mux ? smux_session_rtt_us(s->mux) : 0;
}

uint64_t session_received(const struct session *s)
{
    return s->received;
}

uint64_t session_sent(const struct session *s)
{
    return s->sent;
}
