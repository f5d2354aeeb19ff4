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
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "proto/hash.h"
#include "server/internal.h"

/* ---- users ---- */

void reception_full(struct server *srv)
{
    mtime_ms now = loop_now(&srv->loop);
    if (now < srv->tell_full_at)
        return;
    srv->tell_full_at = now + TELL_FULL_MS;
    event_users_wait(srv->connections.max);
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
        event_strangers_left_out(left_out);
    return true;
}

/* ---- who has proved himself once ---- */

static bool is_known(const struct server *srv, const char *source)
{
    uint64_t hash = hash_text(source);
    for (unsigned i = 0; i < KNOWN_SOURCES; i++)
        if (srv->known[i] == hash)
            return true;
    return false;
}

static void make_known(struct server *srv, const char *source)
{
    if (is_known(srv, source))
        return;
    srv->known[srv->known_next] = hash_text(source);
    srv->known_next = (srv->known_next + 1) % KNOWN_SOURCES;
}

static void reception_on_auth_failed(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, auth_failed);
    struct server *srv = a->worker->srv;
    struct ratelimit_verdict v = ratelimit_failure(&srv->guesses, a->source, loop_now(&srv->loop));
    if (v.suppressed > 0)
        event_refusals_left_out(a->source, v.suppressed);
    if (v.log)
        event_stranger_refused(a->peer);
    a->delay_ms = v.delay_ms;
    mailbox_post(&a->worker->in, &a->reject);
}

static void reception_on_auth_ok(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, auth_ok);
    struct server *srv = a->worker->srv;
    admission_remove(&srv->admission, &a->admission);
    make_known(srv, a->source);
    a->worker->trusted++;
    a->is_trusted = true;
}

/* To the worker that has the session. The target is there until that worker is told to forget it,
   which can only be after this. */
static void reception_on_resume(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, resume);
    a->target = owners_find(a->worker->srv, a->handover.sid);
    struct worker *w = a->target ? a->target->worker : a->worker;
    mailbox_post(&w->in, &a->attach);
}

/* The line for the end of somebody who has not authenticated; the others' worker has written it.
   A client of ours that gives an attempt up is no stranger, and a session that is over no guess. */
static void log_end_of_stranger(struct agent *a)
{
    char text[ESCAPE_BUF];
    struct server *srv = a->worker->srv;
    if (a->reason == END_AUTH || a->reason == END_SHUTDOWN)
        return; /* has its line already; nobody has heard of it */
    if (a->reason == END_MOVED) {
        if (a->handover_error != HELLO_ERR_UNKNOWN)
            make_known(srv, a->source); /* its proof was right */
        else if (may_tell_of_stranger(srv))
            event_resume_unknown(a->peer);
        return;
    }
    const char *words = end_text(text, a->reason, &a->why);
    if (is_known(srv, a->source))
        log_debug("a connection from %s ended before it said what for: %s", a->peer, words);
    else if (may_tell_of_stranger(srv))
        event_stranger_broken(a->peer, words);
}

/* A peer that leaves before it has said anything whole (a health check, one address of several that
   were tried at once) is no line. */
static void log_gone(struct server *srv, enum gate_end why, const char *source, const char *name)
{
    static const char *const words[] = {
        [GATE_NOT_TLS] = N_("the other side does not speak TLS"),
        [GATE_LATE] = N_("the other side took too long"),
        [GATE_CROWDED] = N_("too many connections that have not authenticated"),
        [GATE_LEFT] = "",
    };
    if (why == GATE_LEFT || is_known(srv, source))
        log_debug("a connection from %s ended before its ClientHello", name);
    else if (may_tell_of_stranger(srv))
        event_stranger_broken(name, _(words[why]));
}

void reception_gone(struct server *srv, enum gate_end why, const struct sockaddr *peer)
{
    char name[SOCK_NAME_MAX], source[SOCK_NAME_MAX];
    log_gone(srv, why, sock_source(source, peer), sock_name(name, peer));
}

static void reception_on_ended(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, ended);
    struct worker *w = a->worker;
    if (a->is_trusted)
        w->trusted--;
    else
        log_end_of_stranger(a);
    w->sessions--;
    admission_remove(&w->srv->admission, &a->admission);
    list_del(&a->of_server);
    owners_gone(a);
    struct server *srv = w->srv;
    mailbox_post(&w->in, &a->forgotten); /* the worker's again, which frees it */
    server_session_gone(srv);
}

/* ---- coming ---- */

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
    (void)snprintf(a->name, sizeof a->name, "%s", a->peer);
    agent_init(a);
    owners_init_agent(a);
    message_init(&a->auth_failed, reception_on_auth_failed);
    message_init(&a->auth_ok, reception_on_auth_ok);
    message_init(&a->resume, reception_on_resume);
    message_init(&a->ended, reception_on_ended);
    list_init(&a->of_server);
    list_push(&srv->agents, &a->of_server);
    return a;
}

void reception_accept(struct server *srv, int fd, const struct sockaddr *peer, mtime_ms waited_ms)
{
    struct agent *a = new_agent(srv, fd, peer);
    if (!a) {
        sock_close_reset(fd);
        return;
    }
    a->waited_ms = waited_ms;
    if (may_tell_of_stranger(srv))
        event_stranger_connected(a->peer);
    a->worker->sessions++;
    struct admission_entry *victim = admission_add(&srv->admission, &a->admission, a->source);
    mailbox_post(&a->worker->in, &a->begin);
    if (victim) {
        struct agent *v = CONTAINER_OF(victim, struct agent, admission);
        mailbox_post(&v->worker->in, &v->drop);
    }
}
