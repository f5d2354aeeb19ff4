/* SPDX-License-Identifier: MIT */
/*
 * The worker's side of one connected client: its opening, its session and its public port. What is
 * decided about ids and ports comes from the main thread (registry.c), one message a step.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "proto/hash.h"
#include "server/internal.h"
#include "tunnel/refusal.h"

/* After ended the main thread may forget it at any moment, so nothing is said any more. */
static void agent_post(struct agent *a, struct message *m)
{
    if (!a->work.over)
        mailbox_post(&a->worker->srv->in, m);
}

/* ---- lines that others can cause ---- */

static bool agent_take(const struct agent *a, enum told_kind kind, unsigned *ret_left_out)
{
    return told_take(&a->worker->srv->told, a->who.key, a->source, kind, loop_now(a->worker->loop),
                     ret_left_out);
}

bool agent_may_tell(const struct agent *a, enum told_kind kind)
{
    unsigned left_out;
    if (!agent_take(a, kind, &left_out))
        return false;
    if (left_out > 0)
        event_session_left_out(a->name, left_out);
    return true;
}

/* Whether one more session has its lines: who opens and closes sessions in a loop has a burst of
   them, then one a second. */
static bool agent_may_tell_session(const struct agent *a)
{
    unsigned left_out;
    if (!agent_take(a, TOLD_SESSION, &left_out))
        return false;
    if (left_out > 0)
        event_sessions_left_out(a->name, left_out);
    return true;
}

/* The later lines of one that began without: it may have lasted for long. */
static bool agent_may_tell_later(const struct agent *a)
{
    unsigned left_out; /* counted where they began */
    return !a->work.is_quiet || agent_take(a, TOLD_LATER, &left_out);
}

/* The same as agent_may_tell() where no line may follow that could say it. */
static void tell_left_out(const struct agent *a)
{
    unsigned left_out =
        told_left_out(&a->worker->srv->told, a->who.key, a->source, loop_now(a->worker->loop));
    if (left_out > 0)
        event_session_left_out(a->name, left_out);
}

/* ---- the end ---- */

/* Of a stranger the main thread tells. */
static void log_end(struct agent *a, enum end_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    if (!a->work.authenticated || reason == END_REFUSED)
        return; /* has its line already */
    if (!agent_may_tell_later(a))
        return;
    tell_left_out(a);
    const char *words = end_text(text, reason, why);
    event_session_ended(a->name, words);
    if (a->work.endpoint.listener)
        event_port_closed(a->name, listener_address(a->work.endpoint.listener));
}

static void agent_ended(struct agent *a, enum end_reason reason, const struct errmsg *why)
{
    log_end(a, reason, why);
    services_end(a);
    endpoints_close(a);
    a->work.opening = NULL;
    a->work.session = NULL;
    a->work.reason = reason;
    a->work.why = *why;
    agent_post(a, &a->reports.ended);
    a->work.over = true;
}

/* ---- authentication ---- */

static void agent_on_auth_failed(void *ctx, const struct opening_barred *barred)
{
    struct agent *a = ctx;
    a->barred = barred ? barred->cause : CREDENTIALS_RIGHT;
    if (barred)
        (void)snprintf(a->who.key, sizeof a->who.key, "%s", barred->name);
    agent_post(a, &a->reports.auth_failed);
}

static void agent_on_line(void *ctx, const char *id)
{
    struct agent *a = ctx;
    (void)snprintf(a->line_id, sizeof a->line_id, "%s", id);
    agent_post(a, &a->reports.line);
}

static void agent_on_judge(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.judge);
    if (a->work.opening)
        opening_judge(a->work.opening, a->keys, a->judged_at_s);
}

static void agent_on_turn_away(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.turn_away);
    if (a->work.opening)
        opening_turn_away(a->work.opening);
}

static void agent_on_authenticated(void *ctx)
{
    struct agent *a = ctx;
    a->work.authenticated = true;
    a->work.is_quiet = !agent_may_tell_session(a);
    agent_post(a, &a->reports.auth_ok);
    log_debug("[%s] %s, worker %u", a->name, opening_tls_info(a->work.opening),
              a->worker->index + 1);
    if (a->work.is_quiet)
        return;
    event_client_authenticated(a->name);
    if (!a->is_v2)
        event_open_awaited(a->name);
}

/* Too many strangers, and who has proved itself and asks for nothing is one of them: on the
   original's wire that are two messages. It may have ended, or asked, while this was on its way. */
static void agent_on_drop(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.drop);
    struct errmsg why;
    if (!a->work.opening || a->work.has_asked)
        return;
    errmsg_set(&why, ERR_LIMIT, "%s",
               a->work.authenticated ? _("too many connections that have asked for nothing yet")
                                     : _("too many connections that have not authenticated"));
    opening_close(a->work.opening);
    agent_ended(a, END_LOCAL, &why);
}

/* ---- the port of the legacy wire ---- */

bool agent_may_have_port(const struct agent *a, int64_t port)
{
    const struct ports *allowed = &a->worker->opt->allow_ports;
    return allowed->count == 0 || ports_contain(allowed, port);
}

/* The client makes the sentence. */
const char *agent_errno_word(const struct agent *a, int64_t port, int err)
{
    switch (err) {
    case ERR_RANGE:
        return "ERANGE";
    case ERR_PERM:
        return agent_may_have_port(a, port) ? "EACCES" : "EPERM";
    case ERR_INUSE:
        return "EADDRINUSE";
    case ERR_LIMIT:
        return "EMFILE";
    case ERR_NOMEM:
        return "ENOMEM";
    default:
        return "EIO";
    }
}

static void refuse_port(struct agent *a, int err)
{
    const struct opening_refusal no = {.err = err, .port = a->claim.wanted};
    if (!a->work.is_quiet)
        event_port_failed(
            a->name, a->claim.wanted,
            refusal_port_text(agent_errno_word(a, a->claim.wanted, err), a->claim.wanted));
    opening_refuse(a->work.opening, &no);
}

static void agent_on_asked(void *ctx, const struct opening_ask *ask)
{
    struct agent *a = ctx;
    struct claimant *who = &a->who;
    a->work.has_asked = true;
    a->is_v2 = ask->is_v2;
    a->claim.wanted = ask->is_v2 ? CLAIM_NO_PORT : ask->port;
    if (ask->is_v2) {
        const struct hello_request *open = ask->open;
        memcpy(who->id, open->id, sizeof who->id);
        memcpy(who->key, open->key, sizeof who->key);
        if (ask->public_key)
            memcpy(a->public_key, ask->public_key, sizeof a->public_key);
        memcpy(who->nonce, open->nonce, sizeof who->nonce);
        who->take = open->take;
        who->mine = open->mine;
        memcpy(a->sid, ask->sid, sizeof a->sid);
        (void)snprintf(a->name, sizeof a->name, "%s %s", a->peer, who->id);
        agent_on_authenticated(a);
        agent_post(a, &a->reports.asked);
        return;
    }
    if (ask->err < 0) {
        if (!a->work.is_quiet)
            event_open_malformed(a->name, err_text(ask->err));
        opening_refuse(a->work.opening, &(struct opening_refusal){.err = ERR_PROTO});
        return;
    }
    if (!a->work.is_quiet)
        event_open_received(a->name, ask->port);
    if (ask->port < 0 || ask->port > 65535)
        refuse_port(a, ERR_RANGE);
    else if (!agent_may_have_port(a, ask->port))
        refuse_port(a, ERR_PERM);
    else
        agent_post(a, &a->reports.asked);
}

static void agent_on_open_port(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.open_port);
    struct errmsg why = {""};
    a->work.opened_port = 0;
    if (a->work.opening) {
        int err = agent_may_have_port(a, a->claim.wanted) /* still */
                      ? endpoint_open(&a->work.endpoint, (int)a->claim.wanted, &why)
                      : ERR_PERM;
        if (err == 0)
            a->work.opened_port = listener_port(a->work.endpoint.listener);
        else
            refuse_port(a, err);
        if (*why.text)
            log_debug("[%s] %s", a->name, why.text);
    }
    agent_post(a, &a->reports.opened);
}

static void agent_on_refuse(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.refuse);
    endpoint_close(&a->work.endpoint);
    if (!a->work.opening)
        return;
    if (a->work.is_quiet)
        log_debug("[%s] refused", a->name);
    else if (a->main.refusal.answer.error == HELLO_ERR_TAKEN)
        event_id_refused(a->name, a->main.refused_by);
    else if (a->main.refusal.answer.error != HELLO_ERR_BUSY) /* that has its line */
        event_port_refused(a->name, a->claim.wanted, a->main.refused_by);
    opening_refuse(a->work.opening, &a->main.refusal);
}

/* ---- the session ---- */

static void agent_on_users(void *ctx, enum session_users what)
{
    endpoints_users(ctx, what);
}

static void agent_on_close_ports(void *ctx)
{
    struct agent *a = ctx;
    endpoint_close(&a->work.endpoint);
    services_stop(a);
    agent_post(a, &a->reports.released);
}

static bool agent_on_session_line(void *ctx, struct hello_text line)
{
    return services_on_line(ctx, line);
}

static void agent_on_relay_over(void *ctx, uint32_t svc)
{
    services_on_relay_over(ctx, svc);
}

static void agent_on_waiting(void *ctx, bool waits, uint64_t bytes)
{
    struct agent *a = ctx;
    atomic_store(&a->work.waiting_streams, session_streams(a->work.session));
    atomic_store(&a->work.waiting_bytes, waits ? bytes + 1 : 0);
    agent_post(a, &a->reports.waits);
}

/* A client that cuts and resumes makes these as often as it likes; the others come once a session.
   What is said again is for the debug log, and free. */
static bool has_budget(const struct life_action *act)
{
    switch (act->tell.what) {
    case LIFE_TELL_SUSPECTED:
    case LIFE_TELL_RECOVERED:
    case LIFE_TELL_DETACHED:
    case LIFE_TELL_RESUMED:
        return !act->tell.again;
    case LIFE_TELL_MTU:
    case LIFE_TELL_IDLE_CUT:
    case LIFE_TELL_DRAINING:
    case LIFE_TELL_ATTEMPT:
    case LIFE_TELL_CUT:
        break;
    }
    return false;
}

static void agent_on_tell(void *ctx, const struct life_action *act, const struct errmsg *why)
{
    struct agent *a = ctx;
    char text[ESCAPE_BUF];
    bool again = act->tell.again; /* the same as before, and told */
    unsigned streams = session_streams(a->work.session);
    if (!agent_may_tell_later(a) || (has_budget(act) && !agent_may_tell(a, TOLD_LIFE)))
        return;
    switch (act->tell.what) {
    case LIFE_TELL_SUSPECTED:
        event_session_suspected(again, a->name, (double)act->tell.ms / 1000);
        break;
    case LIFE_TELL_RECOVERED:
        event_session_recovered(again, a->name);
        break;
    case LIFE_TELL_DETACHED:
        event_session_detached(
            again, a->name,
            end_text(text, act->tell.loss == LIFE_LOSS_SILENT ? END_SILENT : END_PEER, why),
            (int)(act->tell.ms / 1000));
        break;
    case LIFE_TELL_RESUMED:
        event_session_resumed(again, a->name, session_peer(a->work.session),
                              (double)act->tell.ms / 1000);
        break;
    case LIFE_TELL_MTU:
        event_session_mtu(a->name);
        break;
    case LIFE_TELL_IDLE_CUT:
        event_session_idle_cut(a->name, (int)(act->tell.ms / 1000));
        break;
    case LIFE_TELL_DRAINING:
        if (streams > 0)
            event_session_draining(a->name, streams,
                                   (int)((act->tell.ms + 999) / 1000)); /* never up to 0 */
        break;
    case LIFE_TELL_CUT:
        event_session_cut(a->name, streams);
        break;
    case LIFE_TELL_ATTEMPT:
        break; /* a server attempts nothing */
    }
}

static void agent_on_closed(void *ctx, enum end_reason reason, const struct errmsg *why)
{
    agent_ended(ctx, reason, why);
}

static void agent_on_accept(struct message *m)
{
    static const struct session_ops ops = {
        .on_line = agent_on_session_line,
        .on_relay_over = agent_on_relay_over,
        .on_users = agent_on_users,
        .on_close_ports = agent_on_close_ports,
        .on_waiting = agent_on_waiting,
        .on_tell = agent_on_tell,
        .on_closed = agent_on_closed,
    };
    struct agent *a = CONTAINER_OF(m, struct agent, orders.accept);
    struct listener *l = a->work.endpoint.listener;
    struct session *s = NULL;
    bool has_port = !a->is_v2;
    if (!a->work.opening || (has_port && !l))
        return;
    opening_accept(a->work.opening, has_port ? listener_address(l) : "", &s);
    if (!s)
        return; /* agent_on_failed() follows */
    a->work.opening = NULL;
    a->work.session = s;
    session_set_owner(s, &ops, a);
    session_set_name(s, a->name);
    session_set_client(s, hash_text(a->source));
    session_count_at(s, &a->main.crowd->users);
    if (has_port && !a->work.is_quiet) {
        event_port_open(a->name, listener_address(l));
        event_port_accepting(a->name, listener_address(l));
    }
    endpoints_users(a, SESSION_USERS_ADMIT);
    a->work.tally = has_port ? tally_new(0) : NULL;
    if (has_port ? !a->work.tally : services_new(a) < 0)
        session_close(s, END_LOCAL, NULL);
    if (quota_is_full(a->worker->relays.quota))
        worker_full(a->worker);
    agent_use_rights(a); /* a reload may have come while it was opened */
}

void agent_look_at_port(struct agent *a)
{
    services_look_at_ports(a);
    if (!a->work.session || !a->work.endpoint.listener || agent_may_have_port(a, a->claim.wanted))
        return;
    event_port_revoked(a->name, listener_address(a->work.endpoint.listener));
    session_stop(a->work.session, a->worker->opt->common.drain_ns / 1000000);
}

static void agent_on_evict(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.evict);
    if (a->work.session)
        session_close(a->work.session, END_REPLACED, NULL);
}

static void agent_on_revoke(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.revoke);
    if (a->work.session) {
        a->work.cut_users = session_streams(a->work.session);
        session_close(a->work.session, END_REVOKED, NULL);
    } else if (a->work.opening) {
        opening_close(a->work.opening);
        agent_ended(a, END_REVOKED, &(struct errmsg){""});
    }
}

static void agent_on_expire(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.expire);
    struct errmsg why;
    if (!a->work.session || session_state(a->work.session) != LIFE_DETACHED)
        return; /* it is back */
    errmsg_set(&why, ERR_LIMIT, "%s", _("too much waits for clients that are away"));
    session_close(a->work.session, END_EXPIRED, &why);
}

/* ---- a connection for a session ---- */

static void agent_on_resume(void *ctx, const struct handover *h)
{
    struct agent *a = ctx;
    a->work.opening = NULL;
    a->handover = *h;
    agent_post(a, &a->reports.resume);
    a->work.over = true; /* ended comes from where the session is */
}

/* In the target's worker, or in a's own if there is no such session. */
static void agent_on_attach(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.attach);
    struct agent *t = a->main.target;
    if (t && t->work.session) {
        a->handover_error = session_resume(t->work.session, &a->handover);
    } else {
        a->handover_error = HELLO_ERR_UNKNOWN;
        handover_refuse(t ? t->worker->loop : a->worker->loop, &a->handover, HELLO_ERR_UNKNOWN,
                        NULL);
    }
    a->work.reason = END_MOVED;
    mailbox_post(&a->worker->srv->in, &a->reports.ended); /* it is over in its own worker already */
}

/* ---- life ---- */

static void agent_on_failed(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                            const struct errmsg *why)
{
    (void)refusal;
    agent_ended(ctx, reason, why);
}

static void agent_on_begin(struct message *m)
{
    static const struct opening_ops ops = {
        .on_asked = agent_on_asked,
        .on_authenticated = agent_on_authenticated,
        .on_line = agent_on_line,
        .on_auth_failed = agent_on_auth_failed,
        .on_resume = agent_on_resume,
        .on_failed = agent_on_failed,
    };
    struct agent *a = CONTAINER_OF(m, struct agent, orders.begin);
    struct worker *w = a->worker;
    const struct common_options *opt = &w->opt->common;
    struct opening_config cfg = {
        .loop = w->loop,
        .relays = &w->relays,
        .tls = a->work.tls,
        .is_server = true,
        .secret = *opt->secret ? opt->secret : NULL,
        .waited_ms = a->waited_ms,
        .peer = a->address,
        .legacy_refused = opt->legacy == LEGACY_NEVER,
        .window_ms = (uint32_t)(opt->resume_window_ns / 1000000),
        .ops = &ops,
        .ctx = a,
    };
    list_push(&w->agents, &a->work.node);
    a->work.options = snapshot_ref(w->options);
    int err = opening_new(&cfg, a->work.fd, &a->work.opening);
    SSL_CTX_free(a->work.tls); /* the transport has its own */
    if (err < 0)
        agent_ended(a, END_LOCAL, &(struct errmsg){""});
}

/* The main thread knows of it no more, and sends nothing more. */
static void agent_on_forgotten(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.forgotten);
    struct worker *w = a->worker;
    list_del(&a->work.node);
    snapshot_unref(a->work.options);
    tally_give(a->work.tally);
    free(a);
    worker_agent_gone(w);
}

void agent_init(struct agent *a)
{
    list_init(&a->work.node);
    endpoints_init(a);
    message_init(&a->orders.begin, agent_on_begin);
    message_init(&a->orders.drop, agent_on_drop);
    message_init(&a->orders.judge, agent_on_judge);
    message_init(&a->orders.turn_away, agent_on_turn_away);
    message_init(&a->orders.open_port, agent_on_open_port);
    message_init(&a->orders.accept, agent_on_accept);
    message_init(&a->orders.refuse, agent_on_refuse);
    message_init(&a->orders.evict, agent_on_evict);
    message_init(&a->orders.revoke, agent_on_revoke);
    message_init(&a->orders.expire, agent_on_expire);
    message_init(&a->orders.attach, agent_on_attach);
    message_init(&a->orders.forgotten, agent_on_forgotten);
}

void agent_stop(struct agent *a, mtime_ms drain_ms)
{
    if (a->work.session)
        session_stop(a->work.session, drain_ms); /* the port goes with it: agent_on_close_ports() */
    else
        agent_close(a);
}

void agent_close(struct agent *a)
{
    if (a->work.session) {
        session_close(a->work.session, END_SHUTDOWN, NULL);
    } else if (a->work.opening) {
        opening_close(a->work.opening);
        agent_ended(a, END_SHUTDOWN, &(struct errmsg){""});
    }
}

static const char *agent_state(const struct agent *a)
{
    if (!a->work.session)
        return _("opening");
    return status_text(session_state(a->work.session), session_service(a->work.session),
                       _("waits for its client to come back"));
}

void agent_tell(const struct agent *a)
{
    const struct listener *l = a->is_v2 ? services_listener(a) : a->work.endpoint.listener;
    if (!a->work.authenticated || a->work.over)
        return; /* strangers are no sessions */
    event_session_status(a->peer, *a->who.id ? a->who.id : "-", agent_state(a),
                         a->work.session ? session_streams(a->work.session) : 0,
                         l ? listener_address(l) : "-",
                         a->work.session ? session_received(a->work.session) : 0,
                         a->work.session ? session_sent(a->work.session) : 0);
    services_tell(a);
}
