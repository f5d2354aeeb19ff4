/* SPDX-License-Identifier: MIT */
/*
 * One connected client: its link, and the public port it was given. The port lives exactly as long
 * as the link: closing the one closes the other in the same turn of the loop.
 */
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

struct agent {
    struct list node; /* in server->agents */
    struct server *srv;
    struct link *link;
    struct listener *port;
    struct admission_entry admission; /* while not authenticated */
    bool authenticated;
    char peer[SOCK_NAME_MAX];
    char source[SOCK_NAME_MAX];
};

/* ---- users ---- */

static void on_user(void *ctx, int fd, const struct sockaddr *addr)
{
    struct agent *a = ctx;
    struct server *srv = a->srv;
    struct smux_stream *st;
    char user[SOCK_NAME_MAX];

    int err = link_open_stream(a->link, &st);
    struct relay *r = err < 0 ? NULL : relay_new(&srv->relays, a->link, st);
    if (!r) {
        if (err == 0)
            smux_stream_close(st, loop_now(&srv->loop));
        log_warn(_("[%s] cannot open a new stream in the smux session: %s"), a->peer,
                 err_text(err < 0 ? err : ERR_NOMEM));
        sock_close_reset(fd);
        return;
    }
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_debug(_("[%s] user %s connected"), a->peer, sock_name(user, addr));
    relay_attach(r, fd);
    if (srv->relays.count >= srv->relays.max)
        agents_pause(srv, true);
}

static void on_user_pause(void *ctx, int err)
{
    struct agent *a = ctx;
    log_warn(_("[%s] accepting public connections pauses: %s"), a->peer, err_text(err));
}

void agents_pause(struct server *srv, bool paused)
{
    if (paused && loop_now(&srv->loop) >= srv->tell_full_at) {
        srv->tell_full_at = loop_now(&srv->loop) + TELL_FULL_MS;
        log_warn(
            _("%u connections are open, as many as the descriptor limit allows: new users wait"),
            srv->relays.count);
    }
    list_foreach (n, &srv->agents) {
        struct agent *a = LIST_ENTRY(n, struct agent, node);
        if (a->port)
            listener_pause(a->port, paused);
    }
}

/* ---- authentication ---- */

/* Whether a line about somebody who has not authenticated may be written. */
static bool may_tell_of_stranger(struct server *srv)
{
    unsigned left_out;
    if (!log_budget_take(&srv->strangers, loop_now(&srv->loop), &left_out))
        return false;
    if (left_out > 0)
        log_warn(_("%u lines about connections that have not authenticated were left out"),
                 left_out);
    return true;
}

static void on_secret(void *ctx, const struct auth_line *line)
{
    struct agent *a = ctx;
    struct server *srv = a->srv;
    if (auth_line_matches(line, srv->opt->common.secret)) {
        admission_remove(&srv->admission, &a->admission);
        a->authenticated = true;
        log_info(_("client %s passed PSK authentication"), a->peer);
        log_debug("[%s] %s", a->peer, link_describe(a->link));
        log_info(_("[%s] waiting for the client's control message..."), a->peer);
        link_secret_accept(a->link);
        return;
    }
    struct ratelimit_verdict v = ratelimit_failure(&srv->guesses, a->source, loop_now(&srv->loop));
    if (v.suppressed > 0)
        log_warn(_("authentication of %s failed: %u more lines were left out"), a->source,
                 v.suppressed);
    if (v.log)
        log_warn(_("authentication of %s failed: wrong secret"), a->peer);
    link_secret_reject(a->link, v.delay_ms);
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

static int open_port(struct agent *a, int64_t port, struct errmsg *why)
{
    static const struct listener_events events = {on_user, on_user_pause};
    const struct ports *allowed = &a->srv->opt->allow_ports;
    if (port < 0 || port > 65535)
        return ERR_RANGE;
    if (allowed->count > 0 && !ports_contain(allowed, port))
        return errmsg_set(why, ERR_PERM, "%s", "not in -allow-ports");
    struct listener_config cfg = {.port = (int)port};
    return listener_open(&a->srv->loop, &cfg, &events, a, &a->port, why);
}

static void on_control(void *ctx, int64_t port, int err)
{
    struct agent *a = ctx;
    struct server *srv = a->srv;
    char message[CONTROL_MESSAGE_BUF];
    struct errmsg why = {""};

    if (err < 0) {
        log_warn(_("[%s] the control message is not understood: %s"), a->peer, err_text(err));
        link_control_answer(a->link, false, control_invalid_message());
        return;
    }
    log_info(_("[%s] control message: forward public port :%lld"), a->peer, (long long)port);
    err = open_port(a, port, &why);
    if (err < 0) {
        log_warn(_("[%s] cannot listen on public port :%lld: %s"), a->peer, (long long)port,
                 err_text(err));
        log_debug("[%s] %s", a->peer, why.text);
        control_failure_message(message, port, failure_of(err));
        link_control_answer(a->link, false, message);
        return;
    }
    control_success_message(message, listener_address(a->port));
    link_control_answer(a->link, true, message);
    log_info(_("[%s] listening on %s, ready to forward"), a->peer, listener_address(a->port));
    log_info(_("[%s] accepting public connections on %s..."), a->peer, listener_address(a->port));
    if (srv->relays.count >= srv->relays.max)
        listener_pause(a->port, true);
}

/* ---- life ---- */

static void log_end(const struct agent *a, enum link_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    if (reason == LINK_END_AUTH || reason == LINK_END_REFUSED)
        return; /* has its line already */
    if (reason == LINK_END_SHUTDOWN && !a->authenticated)
        return; /* nobody has heard of it */
    const char *words =
        *why->text ? escape_text(text, why->text, strlen(why->text)) : link_reason_text(reason);
    if (!a->authenticated) {
        if (may_tell_of_stranger(a->srv))
            log_warn(_("authentication of %s failed: cannot read the secret: %s"), a->peer, words);
        return;
    }
    log_info(_("[%s] session ended: %s"), a->peer, words);
    if (a->port)
        log_info(_("[%s] the smux session is closed, closing the public listener %s"), a->peer,
                 listener_address(a->port));
}

static void on_closed(void *ctx, enum link_reason reason, const struct errmsg *why)
{
    struct agent *a = ctx;
    struct server *srv = a->srv;
    log_end(a, reason, why);
    listener_close(a->port);
    admission_remove(&srv->admission, &a->admission);
    list_del(&a->node);
    free(a);
    if (list_empty(&srv->agents))
        server_agents_gone(srv);
}

void agent_accept(struct server *srv, int fd, const struct sockaddr *peer)
{
    static const struct link_ops ops = {
        .on_secret = on_secret,
        .on_control = on_control,
        .on_closed = on_closed,
    };
    struct agent *a = calloc(1, sizeof *a);
    if (!a) {
        sock_close_reset(fd);
        return;
    }
    a->srv = srv;
    sock_name(a->peer, peer);
    sock_source(a->source, peer);
    list_init(&a->node);
    struct link_config cfg = {
        .loop = &srv->loop,
        .relays = &srv->relays,
        .tls = srv->tls,
        .is_server = true,
        .ops = &ops,
        .ctx = a,
    };
    if (link_new(&cfg, fd, &a->link) < 0) {
        free(a);
        return;
    }
    list_push(&srv->agents, &a->node);
    if (may_tell_of_stranger(srv))
        log_info(_("new TLS connection from %s, PSK authentication follows..."), a->peer);
    struct admission_entry *victim = admission_add(&srv->admission, &a->admission, a->source);
    if (victim) {
        struct agent *v = CONTAINER_OF(victim, struct agent, admission);
        struct errmsg why;
        errmsg_set(&why, ERR_LIMIT, "%s", _("too many connections that have not authenticated"));
        link_close(v->link, LINK_END_LOCAL, &why);
    }
}

void agents_stop_listening(struct server *srv)
{
    list_foreach (n, &srv->agents) {
        struct agent *a = LIST_ENTRY(n, struct agent, node);
        listener_close(a->port);
        a->port = NULL;
        if (!link_is_up(a->link))
            link_close(a->link, LINK_END_SHUTDOWN, NULL); /* it would ask for a port */
    }
}

void agents_close(struct server *srv)
{
    if (list_empty(&srv->agents)) {
        server_agents_gone(srv);
        return;
    }
    list_foreach (n, &srv->agents)
        link_close(LIST_ENTRY(n, struct agent, node)->link, LINK_END_SHUTDOWN, NULL);
}
