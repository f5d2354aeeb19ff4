/* SPDX-License-Identifier: MIT */
/*
 * The worker's side of one connected client: its link, and the public port it was given. The port
 * lives exactly as long as the link: closing the one closes the other in the same turn of the loop.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/i18n.h"
#include "base/log.h"
#include "net/sock.h"
#include "proto/auth.h"
#include "proto/control.h"
#include "proto/smux/session.h"
#include "server/internal.h"

/* ---- users ---- */

static void on_user(void *ctx, int fd, const struct sockaddr *addr)
{
    struct agent *a = ctx;
    struct worker *w = a->worker;
    struct smux_stream *st;
    char user[SOCK_NAME_MAX];

    if (link_is_detached(a->link)) {
        sock_close_reset(fd); /* nobody knows when, or whether, the client resumes */
        return;
    }
    int err = link_open_stream(a->link, &st);
    struct relay *r = err < 0 ? NULL : relay_new(&w->relays, a->link, st);
    if (!r) {
        if (err == 0)
            smux_stream_close(st, loop_now(w->loop));
        log_warn(_("[%s] cannot open a new stream in the smux session: %s"), a->peer,
                 err_text(err < 0 ? err : ERR_NOMEM));
        sock_close_reset(fd);
        return;
    }
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_debug(_("[%s] user %s connected"), a->peer, sock_name(user, addr));
    relay_attach(r, fd);
    if (quota_is_full(w->relays.quota))
        worker_full(w);
}

static void on_user_pause(void *ctx, int err)
{
    struct agent *a = ctx;
    log_warn(_("[%s] accepting public connections pauses: %s"), a->peer, err_text(err));
}

void agent_pause(struct agent *a, bool paused)
{
    if (a->port)
        listener_pause(a->port, paused || a->holding);
}

/* ---- authentication ---- */

static void authenticated(struct agent *a)
{
    a->authenticated = true;
    log_info(_("client %s passed PSK authentication"), a->peer);
    log_debug("[%s] %s, worker %u", a->peer, link_tls_info(a->link), a->worker->index + 1);
}

static void on_auth_failed(void *ctx)
{
    struct agent *a = ctx;
    mailbox_post(&a->worker->srv->in, &a->auth_failed);
}

static void on_secret(void *ctx, const struct auth_line *line)
{
    struct agent *a = ctx;
    struct server *srv = a->worker->srv;
    if (!auth_line_matches(line, srv->opt->common.secret)) {
        on_auth_failed(a);
        return;
    }
    mailbox_post(&srv->in, &a->auth_ok);
    authenticated(a);
    log_info(_("[%s] waiting for the client's control message..."), a->peer);
    link_secret_accept(a->link);
}

static void on_reject(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reject);
    if (a->link)
        link_secret_reject(a->link, a->delay_ms);
}

/* Too many that have not authenticated. This one may have ended, or authenticated, meanwhile. */
static void on_drop(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, drop);
    struct errmsg why;
    if (!a->link || a->authenticated)
        return;
    errmsg_set(&why, ERR_LIMIT, "%s", _("too many connections that have not authenticated"));
    link_close(a->link, LINK_END_LOCAL, &why);
}

/* ---- the port ---- */

static enum control_failure failure_of(int err)
{
    switch (err) {
    case ERR_RANGE:
        return CONTROL_INVALID_PORT;
    case ERR_PERM:
        return CONTROL_PERMISSION_DENIED;
    case ERR_INUSE:
        return CONTROL_ADDRESS_IN_USE;
    default:
        return CONTROL_OTHER_FAILURE;
    }
}

static bool port_is_allowed(const struct agent *a, int64_t port)
{
    const struct ports *allowed = &a->worker->srv->opt->allow_ports;
    return allowed->count == 0 || ports_contain(allowed, port);
}

static int open_port(struct agent *a, int64_t port, struct errmsg *why)
{
    static const struct listener_events events = {on_user, on_user_pause};
    if (port < 0 || port > 65535)
        return ERR_RANGE;
    if (!port_is_allowed(a, port))
        return errmsg_set(why, ERR_PERM, "%s", "not in -allow-ports");
    struct listener_config cfg = {
        .host = a->worker->srv->public_host, .port = (int)port, .for_users = true};
    return listener_open(a->worker->loop, &cfg, &events, a, &a->port, why);
}

/* Opens the port, with the lines about it. */
static int serve_port(struct agent *a, int64_t port, struct errmsg *why)
{
    *why->text = '\0';
    log_info(_("[%s] control message: forward public port :%lld"), a->peer, (long long)port);
    int err = open_port(a, port, why);
    if (err < 0) {
        log_warn(_("[%s] cannot listen on public port :%lld: %s"), a->peer, (long long)port,
                 err_text(err));
        log_debug("[%s] %s", a->peer, why->text);
    }
    return err;
}

static void accepting(struct agent *a)
{
    log_info(_("[%s] listening on %s, ready to forward"), a->peer, listener_address(a->port));
    log_info(_("[%s] accepting public connections on %s..."), a->peer, listener_address(a->port));
    if (quota_is_full(a->worker->relays.quota))
        worker_full(a->worker);
}

static void on_control(void *ctx, int64_t port, int err)
{
    struct agent *a = ctx;
    struct errmsg why;
    char message[CONTROL_MESSAGE_BUF];

    if (err < 0) {
        log_warn(_("[%s] the control message is not understood: %s"), a->peer, err_text(err));
        link_control_answer(a->link, false, control_invalid_message());
        return;
    }
    err = serve_port(a, port, &why);
    if (err < 0) {
        control_failure_message(message, port, failure_of(err));
        link_control_answer(a->link, false, message);
        return;
    }
    control_success_message(message, listener_address(a->port));
    link_control_answer(a->link, true, message);
    accepting(a);
}

/* ---- gotunnel/2 ---- */

static void on_open(void *ctx, const struct hello_request *open)
{
    struct agent *a = ctx;
    authenticated(a);
    a->awaiting_grant = true;
    a->wanted_port = open->port;
    memcpy(a->id, open->id, sizeof a->id);
    memcpy(a->nc, open->nonce, sizeof a->nc);
    memcpy(a->sid, link_sid(a->link), sizeof a->sid);
    log_info(_("[%s] waiting for the client's control message..."), a->peer); /* sent already */
    mailbox_post(&a->worker->srv->in, &a->session_opened);
}

/* The system's word for why a port cannot be had; EPERM is -allow-ports. The client makes the
   sentence. */
static const char *errno_word(const struct agent *a, int err)
{
    switch (err) {
    case ERR_RANGE:
        return "ERANGE";
    case ERR_PERM:
        return port_is_allowed(a, a->wanted_port) ? "EACCES" : "EPERM";
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
    struct hello_answer no = {
        .error = HELLO_ERR_PORT, .has_refused_port = true, .refused_port = a->wanted_port};
    (void)snprintf(no.errno_word, sizeof no.errno_word, "%s", errno_word(a, err));
    if (err == ERR_INUSE) /* all clients have the same secret: each may know of the others */
        (void)snprintf(no.by, sizeof no.by, "%.*s", HELLO_WORD_BUF - 1, a->port_holder);
    link_open_refuse(a->link, &no);
}

/* No older session has the id: its port, if it had one, is free by now. */
static void on_grant(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, grant);
    struct errmsg why;
    if (!a->link || !a->awaiting_grant)
        return;
    a->awaiting_grant = false;
    int err = serve_port(a, a->wanted_port, &why);
    if (err < 0) {
        refuse_port(a, err);
        return;
    }
    link_open_grant(a->link, listener_address(a->port), listener_port(a->port));
    accepting(a);
}

static void on_evict(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, evict);
    if (a->link)
        link_close(a->link, LINK_END_REPLACED, NULL);
}

static void on_resume_request(void *ctx, const struct hello_request *resume)
{
    struct agent *a = ctx;
    (void)resume;
    link_hand_over(a->link, &a->handover); /* continues in on_closed() */
}

/* In the target's worker, or in a's own if there is no such session. */
static void on_attach(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, attach);
    struct agent *t = a->target;
    struct loop *loop = t ? t->worker->loop : a->worker->loop;
    a->handover_error =
        t && t->link ? link_attach(t->link, &a->handover) : link_refuse(loop, &a->handover);
    mailbox_post(&a->worker->srv->in, &a->ended);
}

static void uncount_detached(struct agent *a)
{
    if (list_empty(&a->of_detached))
        return;
    list_del(&a->of_detached);
    (void)quota_give(&a->worker->srv->detached); /* nobody waits for room */
}

/* At the limit the session that has been detached longest ends, to make room. */
static void count_detached(struct agent *a)
{
    struct worker *w = a->worker;
    struct list *n = list_first(&w->detached);
    if (n && quota_is_full(&w->srv->detached)) {
        struct agent *oldest = LIST_ENTRY(n, struct agent, of_detached);
        struct errmsg why;
        errmsg_set(&why, ERR_LIMIT, "%s", _("too many sessions wait for their clients"));
        uncount_detached(oldest);
        link_close(oldest->link, LINK_END_EXPIRED, &why);
    }
    list_push(&w->detached, &a->of_detached);
    quota_take(&w->srv->detached);
}

/* New users wait in the listen queue: until on_resumed(), on_recovered() or on_held(). */
static void hold(struct agent *a)
{
    a->holding = true;
    agent_pause(a, true);
}

static void let_in(struct agent *a)
{
    a->holding = false;
    agent_pause(a, a->worker->full);
}

static void on_detached(void *ctx, enum link_reason reason, const struct errmsg *why,
                        mtime_ms window)
{
    struct agent *a = ctx;
    char text[ESCAPE_BUF];
    const char *words = link_end_text(text, reason, why);
    log_warn(_("[%s] the connection broke: %s; its users wait for up to %d seconds"), a->peer,
             words, (int)(window / 1000));
    hold(a);
    count_detached(a);
}

static void on_suspect(void *ctx)
{
    struct agent *a = ctx;
    log_info(_("[%s] has not answered for 3 seconds: new users wait"), a->peer);
    hold(a);
}

static void on_recovered(void *ctx)
{
    struct agent *a = ctx;
    log_info(_("[%s] answers again"), a->peer);
    let_in(a);
}

static void on_held(void *ctx)
{
    let_in(ctx); /* stop holding: from now on new users are accepted and reset, by on_user() */
}

static void on_resumed(void *ctx, mtime_ms gap, const char *peer)
{
    struct agent *a = ctx;
    log_info(_("[%s] the session goes on from %s after %.1f seconds"), a->peer, peer,
             (double)gap / 1000);
    let_in(a);
    uncount_detached(a);
}

/* ---- life ---- */

/* The main thread logs the end of those who have not authenticated. */
static void log_end(const struct agent *a, enum link_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    if (!a->authenticated || reason == LINK_END_REFUSED)
        return; /* has its line already */
    const char *words = link_end_text(text, reason, why);
    log_info(_("[%s] session ended: %s"), a->peer, words);
    if (a->port)
        log_info(_("[%s] the smux session is closed, closing the public listener %s"), a->peer,
                 listener_address(a->port));
}

static void agent_ended(struct agent *a, enum link_reason reason, const struct errmsg *why)
{
    a->link = NULL;
    a->reason = reason;
    a->why = *why;
    /* A connection that resumes a session ends once it was handed to it: on_attach(). */
    mailbox_post(&a->worker->srv->in, reason == LINK_END_MOVED ? &a->resume : &a->ended);
}

static void on_closed(void *ctx, enum link_reason reason, const struct errmsg *why)
{
    struct agent *a = ctx;
    log_end(a, reason, why);
    uncount_detached(a);
    listener_close(a->port);
    a->port = NULL;
    agent_ended(a, reason, why);
}

static void on_begin(struct message *m)
{
    static const struct link_ops ops = {
        .on_secret = on_secret,
        .on_control = on_control,
        .on_open = on_open,
        .on_auth_failed = on_auth_failed,
        .on_resume = on_resume_request,
        .on_detached = on_detached,
        .on_held = on_held,
        .on_suspect = on_suspect,
        .on_recovered = on_recovered,
        .on_resumed = on_resumed,
        .on_closed = on_closed,
    };
    struct agent *a = CONTAINER_OF(m, struct agent, begin);
    struct worker *w = a->worker;
    const struct common_options *opt = &w->srv->opt->common;
    struct link_config cfg = {
        .loop = w->loop,
        .relays = &w->relays,
        .tls = a->tls,
        .is_server = true,
        .secret = opt->secret,
        .legacy_refused = opt->legacy == LEGACY_NEVER,
        .window_ms = opt->resume_window_ns / 1000000,
        .ops = &ops,
        .ctx = a,
    };
    list_push(&w->agents, &a->node);
    int err = link_new(&cfg, a->fd, &a->link);
    SSL_CTX_free(a->tls); /* the link has its own */
    if (err < 0)
        agent_ended(a, LINK_END_LOCAL, &(struct errmsg){""});
}

/* The main thread has no reference to it any more, and posts nothing more. */
static void on_forgotten(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, forgotten);
    struct worker *w = a->worker;
    list_del(&a->node);
    free(a);
    worker_agent_gone(w);
}

void agent_init(struct agent *a)
{
    list_init(&a->node);
    message_init(&a->begin, on_begin);
    message_init(&a->drop, on_drop);
    message_init(&a->reject, on_reject);
    message_init(&a->forgotten, on_forgotten);
    message_init(&a->grant, on_grant);
    message_init(&a->evict, on_evict);
    message_init(&a->attach, on_attach);
    list_init(&a->of_session);
    list_init(&a->of_detached);
}

static const char *state_of(const struct agent *a)
{
    if (link_is_detached(a->link))
        return _("waits for its client to come back");
    if (!link_is_up(a->link))
        return _("opening");
    return a->holding ? _("does not answer") : _("up");
}

void agent_tell(const struct agent *a)
{
    if (!a->link || !a->authenticated)
        return; /* strangers are no sessions */
    log_asked(_("status: client %s, id %s: %s, %u connections, %s"), a->peer, *a->id ? a->id : "-",
              state_of(a), link_connections(a->link), a->port ? listener_address(a->port) : "-");
}

void agent_stop_listening(struct agent *a)
{
    listener_close(a->port);
    a->port = NULL;
    /* Not up: it could only ask for a port, or try to resume through a closed one. End it. */
    if (a->link && !link_is_up(a->link))
        link_close(a->link, LINK_END_SHUTDOWN, NULL);
}

void agent_close(struct agent *a)
{
    if (a->link)
        link_close(a->link, LINK_END_SHUTDOWN, NULL);
}
