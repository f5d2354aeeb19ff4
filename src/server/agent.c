/* SPDX-License-Identifier: MIT */
/*
 * The worker's side of one connected client: its link, and the public port it was given. The port
 * lives exactly as long as the link: closing the one closes the other in the same turn of the loop.
 */
#include <openssl/ssl.h>
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
        listener_pause(a->port, paused);
}

/* ---- authentication ---- */

static void on_secret(void *ctx, const struct auth_line *line)
{
    struct agent *a = ctx;
    struct server *srv = a->worker->srv;
    if (!auth_line_matches(line, srv->opt->common.secret)) {
        mailbox_post(&srv->in, &a->guess);
        return;
    }
    a->authenticated = true;
    mailbox_post(&srv->in, &a->passed);
    log_info(_("client %s passed PSK authentication"), a->peer);
    log_debug("[%s] %s, worker %u", a->peer, link_describe(a->link), a->worker->index + 1);
    log_info(_("[%s] waiting for the client's control message..."), a->peer);
    link_secret_accept(a->link);
}

static void on_reject(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reject);
    if (a->link)
        link_secret_reject(a->link, a->delay_ms);
}

/* Too many strangers. It may have ended, or proved itself, while the message was on its way. */
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

static int open_port(struct agent *a, int64_t port, struct errmsg *why)
{
    static const struct listener_events events = {on_user, on_user_pause};
    const struct ports *allowed = &a->worker->srv->opt->allow_ports;
    if (port < 0 || port > 65535)
        return ERR_RANGE;
    if (allowed->count > 0 && !ports_contain(allowed, port))
        return errmsg_set(why, ERR_PERM, "%s", "not in -allow-ports");
    struct listener_config cfg = {.port = (int)port, .keepalive = true};
    return listener_open(a->worker->loop, &cfg, &events, a, &a->port, why);
}

static void on_control(void *ctx, int64_t port, int err)
{
    struct agent *a = ctx;
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
    if (quota_is_full(a->worker->relays.quota))
        worker_full(a->worker);
}

/* ---- life ---- */

/* Of a stranger the main thread tells. */
static void log_end(const struct agent *a, enum link_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    if (!a->authenticated || reason == LINK_END_REFUSED)
        return; /* has its line already */
    const char *words =
        *why->text ? escape_text(text, why->text, strlen(why->text)) : link_reason_text(reason);
    log_info(_("[%s] session ended: %s"), a->peer, words);
    if (a->port)
        log_info(_("[%s] the smux session is closed, closing the public listener %s"), a->peer,
                 listener_address(a->port));
}

static void over(struct agent *a, enum link_reason reason, const struct errmsg *why)
{
    a->link = NULL;
    a->reason = reason;
    a->why = *why;
    mailbox_post(&a->worker->srv->in, &a->over);
}

static void on_closed(void *ctx, enum link_reason reason, const struct errmsg *why)
{
    struct agent *a = ctx;
    log_end(a, reason, why);
    listener_close(a->port);
    a->port = NULL;
    over(a, reason, why);
}

static void on_begin(struct message *m)
{
    static const struct link_ops ops = {
        .on_secret = on_secret,
        .on_control = on_control,
        .on_closed = on_closed,
    };
    struct agent *a = CONTAINER_OF(m, struct agent, begin);
    struct worker *w = a->worker;
    struct link_config cfg = {
        .loop = w->loop,
        .relays = &w->relays,
        .tls = a->tls,
        .is_server = true,
        .ops = &ops,
        .ctx = a,
    };
    list_push(&w->agents, &a->node);
    int err = link_new(&cfg, a->fd, &a->link);
    SSL_CTX_free(a->tls); /* the link has its own */
    if (err < 0)
        over(a, LINK_END_LOCAL, &(struct errmsg){""});
}

/* The main thread knows of it no more, and sends nothing more. */
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
}

void agent_stop_listening(struct agent *a)
{
    listener_close(a->port);
    a->port = NULL;
    if (a->link && !link_is_up(a->link))
        link_close(a->link, LINK_END_SHUTDOWN, NULL); /* it would ask for a port */
}

void agent_close(struct agent *a)
{
    if (a->link)
        link_close(a->link, LINK_END_SHUTDOWN, NULL);
}
