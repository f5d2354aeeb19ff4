/* SPDX-License-Identifier: MIT */
/*
 * The main thread's side of clients: who is let in, which worker serves it, how late a wrong secret
 * is answered, and the lines about strangers. All of it is known in one place because it bounds
 * what strangers can do to the whole program, however many workers there are.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/i18n.h"
#include "base/log.h"
#include "server/internal.h"

/* ---- users ---- */

void reception_full(struct server *srv)
{
    mtime_ms now = loop_now(&srv->loop);
    if (now < srv->tell_full_at)
        return;
    srv->tell_full_at = now + TELL_FULL_MS;
    log_warn(_("%u connections are open, as many as the descriptor limit allows: new users wait"),
             srv->connections.max);
}

void reception_room(struct server *srv)
{
    if (srv->draining || srv->ended)
        return;
    for (unsigned i = 0; i < srv->workers_count; i++)
        mailbox_post(&srv->workers[i].in, &srv->workers[i].maybe_room);
}

/* ---- strangers ---- */

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

static void reception_auth_failed(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, auth_failed);
    struct server *srv = a->worker->srv;
    struct ratelimit_verdict v = ratelimit_failure(&srv->guesses, a->source, loop_now(&srv->loop));
    if (v.suppressed > 0)
        log_warn(_("authentication of %s failed: %u more lines were left out"), a->source,
                 v.suppressed);
    if (v.log)
        log_warn(_("authentication of %s failed: wrong secret"), a->peer);
    a->delay_ms = v.delay_ms;
    mailbox_post(&a->worker->in, &a->reject);
}

static void reception_auth_ok(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, auth_ok);
    admission_remove(&a->worker->srv->admission, &a->admission);
    a->worker->trusted++;
}

/* ---- sessions of gotunnel/2 ---- */

/* The session before a that has its id, from the newest on; NULL: none. */
static struct agent *older_namesake(const struct agent *a)
{
    for (struct list *n = a->of_session.prev; n != &a->worker->srv->sessions; n = n->prev) {
        struct agent *o = LIST_ENTRY(n, struct agent, of_session);
        if (strcmp(o->id, a->id) == 0)
            return o;
    }
    return NULL;
}

/* The address of a client with another id that has the port a wants, "" if there is none. */
static const char *port_holder(const struct agent *a)
{
    list_foreach (n, &a->worker->srv->sessions) {
        const struct agent *o = LIST_ENTRY(n, struct agent, of_session);
        if (o != a && o->granted && o->wanted_port == a->wanted_port)
            return o->peer;
    }
    return "";
}

/* Grants a its port, unless an older session must end first: grant_next() comes here again then. */
static void grant(struct agent *a)
{
    struct agent *older = older_namesake(a);
    if (older) {
        mailbox_post(&older->worker->in, &older->evict);
    } else if (!a->granted) {
        a->granted = true;
        (void)snprintf(a->port_holder, sizeof a->port_holder, "%s", port_holder(a));
        mailbox_post(&a->worker->in, &a->grant);
    }
}

static void reception_session_opened(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, session_opened);
    reception_auth_ok(&a->auth_ok);
    list_push(&a->worker->srv->sessions, &a->of_session);
    grant(a);
}

/* The next one with the id of a session that has ended. */
static void grant_next(struct agent *gone)
{
    struct server *srv = gone->worker->srv;
    list_foreach (n, &srv->sessions) {
        struct agent *a = LIST_ENTRY(n, struct agent, of_session);
        if (strcmp(a->id, gone->id) == 0)
            grant(a);
    }
}

static struct agent *find_session(struct server *srv, const uint8_t *sid)
{
    list_foreach (n, &srv->sessions) {
        struct agent *a = LIST_ENTRY(n, struct agent, of_session);
        if (memcmp(a->sid, sid, sizeof a->sid) == 0)
            return a;
    }
    return NULL;
}

/* Passes it to the worker that has the session. The target lives until that worker receives
   forgotten, which can only be posted after this. */
static void reception_resume(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, resume);
    a->target = find_session(a->worker->srv, a->handover.request.sid);
    struct worker *w = a->target ? a->target->worker : a->worker;
    mailbox_post(&w->in, &a->attach);
}

/* Its proof was wrong, or the session has ended; nobody can tell which, so it counts as a wrong
   secret does. The answer has been sent. */
static void on_unknown(const struct agent *a)
{
    struct server *srv = a->worker->srv;
    struct ratelimit_verdict v = ratelimit_failure(&srv->guesses, a->source, loop_now(&srv->loop));
    if (v.log)
        log_info(_("%s wants to resume a session that is not here"), a->peer);
}

/* Logs the end of a client that has not authenticated; for the others the worker has done it. */
static void log_end_of_stranger(const struct agent *a)
{
    char text[ESCAPE_BUF];
    if (a->reason == LINK_END_AUTH || a->reason == LINK_END_SHUTDOWN)
        return; /* logged already; our own shutdown */
    if (a->reason == LINK_END_MOVED) {
        if (a->handover_error == HELLO_ERR_UNKNOWN)
            on_unknown(a);
        return;
    }
    const char *words = link_end_text(text, a->reason, &a->why);
    if (may_tell_of_stranger(a->worker->srv))
        log_warn(_("authentication of %s failed: cannot read the secret: %s"), a->peer, words);
}

static void reception_ended(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, ended);
    struct worker *w = a->worker;
    if (a->authenticated)
        w->trusted--;
    else
        log_end_of_stranger(a);
    w->sessions--;
    admission_remove(&w->srv->admission, &a->admission);
    if (!list_empty(&a->of_session)) {
        list_del(&a->of_session);
        grant_next(a);
    }
    mailbox_post(&w->in, &a->forgotten); /* the worker frees it */
}

/* ---- new connections ---- */

static bool has_less_to_do(const struct worker *a, const struct worker *b)
{
    if (a->sessions != b->sessions)
        return a->sessions < b->sessions;
    return a->trusted < b->trusted; /* most of the others will not stay */
}

/* The one with the fewest clients, of several the first. */
static struct worker *choose_worker(struct server *srv)
{
    struct worker *best = &srv->workers[0];
    for (unsigned i = 1; i < srv->workers_count; i++)
        if (has_less_to_do(&srv->workers[i], best))
            best = &srv->workers[i];
    return best;
}

static struct agent *new_agent(struct server *srv, int fd, const struct sockaddr *peer)
{
    struct agent *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->worker = choose_worker(srv);
    a->fd = fd;
    a->tls = srv->tls;
    SSL_CTX_up_ref(a->tls);
    sock_name(a->peer, peer);
    sock_source(a->source, peer);
    agent_init(a);
    message_init(&a->auth_failed, reception_auth_failed);
    message_init(&a->auth_ok, reception_auth_ok);
    message_init(&a->ended, reception_ended);
    message_init(&a->session_opened, reception_session_opened);
    message_init(&a->resume, reception_resume);
    return a;
}

void reception_accept(struct server *srv, int fd, const struct sockaddr *peer)
{
    struct agent *a = new_agent(srv, fd, peer);
    if (!a) {
        sock_close_reset(fd);
        return;
    }
    if (may_tell_of_stranger(srv))
        log_info(_("new TLS connection from %s, PSK authentication follows..."), a->peer);
    a->worker->sessions++;
    struct admission_entry *victim = admission_add(&srv->admission, &a->admission, a->source);
    mailbox_post(&a->worker->in, &a->begin);
    if (victim) {
        struct agent *v = CONTAINER_OF(victim, struct agent, admission);
        mailbox_post(&v->worker->in, &v->drop);
    }
}
