/* SPDX-License-Identifier: MIT */
/*
 * The main thread's side of clients: who is let in, which worker serves it, whose secret is
 * compared when, and the lines about strangers. All of it is known in one place because it bounds
 * what strangers can do to the whole program, however many workers there are.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/escape.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/rng.h"
#include "server/internal.h"

/* From the turn of a known source on: so long nobody drops it for another one's. A round trip and a lost
   packet; who is slower may still come through, but whoever says nothing keeps others waiting no longer. */
enum { KNOWN_SPARE_MS = 2000 };

/* ---- users ---- */

void reception_full(struct server *srv)
{
    mtime_ms now = loop_now(&srv->loop);
    if (now < srv->tell_full_at)
        return;
    srv->tell_full_at = now + TELL_FULL_MS;
    event_users_wait(quota_max(&srv->connections));
}

void reception_room(struct server *srv)
{
    if (srv->draining || srv->ended)
        return;
    for (unsigned i = 0; i < srv->workers_count; i++)
        mailbox_post(&srv->workers[i].in, &srv->workers[i].maybe_room);
}

/* ---- strangers ---- */

static void sum_up(struct server *srv)
{
    char kinds[STRANGERS_SUM_BUF];
    uint32_t lines = strangers_sum_up(&srv->strangers, kinds);
    if (lines > 0)
        event_stranger_left_out("-", lines, kinds);
}

static void reception_on_sum(uv_timer_t *t)
{
    sum_up(t->data);
}

/* Whether a line may be written; if not, a sum will be within a minute. */
static bool may_tell(struct server *srv, enum stranger_kind kind, const char *source)
{
    if (strangers_may_tell(&srv->strangers, kind, source, loop_now(&srv->loop)))
        return true;
    if (!uv_is_active((uv_handle_t *)&srv->strangers_sum))
        uv_timer_start(&srv->strangers_sum, reception_on_sum, STRANGERS_MINUTE_MS, 0);
    return false;
}

/* Who has not authenticated, for a line. */
struct stranger {
    const char *host, *peer, *source;
};

static struct stranger stranger_of(const struct agent *a)
{
    return (struct stranger){a->host, a->peer, a->source};
}

static void tell(struct server *srv, enum stranger_kind kind, const struct stranger *s,
                 const char *why)
{
    srv->census.failures[kind]++;
    if (!may_tell(srv, kind, s->source))
        return;
    switch (kind) {
    case STRANGER_CONNECTED:
        event_stranger_connected(s->host, s->peer);
        break;
    case STRANGER_TLS_NOT:
        event_stranger_tls_not(s->host, s->peer);
        break;
    case STRANGER_TLS_FAILED:
        event_stranger_tls_failed(s->host, s->peer, why);
        break;
    case STRANGER_SECRET_NOT:
        event_stranger_secret_not(s->host, s->peer, why);
        break;
    case STRANGER_AUTH_FAILED:
        event_stranger_auth_failed(s->host, s->peer);
        break;
    case STRANGER_TIMEOUT:
        event_stranger_timeout(s->host, s->peer);
        break;
    case STRANGER_LIMIT:
        event_stranger_limit(s->host, s->peer);
        break;
    case STRANGER_PENALTY:
        event_stranger_penalty(s->host, s->peer);
        break;
    case STRANGER_LEGACY:
        event_stranger_legacy(s->host, s->peer);
        break;
    case STRANGER_LEFT:
        event_stranger_left(s->host, s->peer, why);
        break;
    case STRANGER_UNKNOWN:
        event_stranger_unknown(s->host, s->peer);
        break;
    case STRANGER_KEY_OFF:
        event_stranger_key_off(s->host, s->peer, why);
        break;
    case STRANGER_PROXY_NOT:
        event_stranger_proxy_not(s->host, s->peer, why);
        break;
    case STRANGER_KINDS:
        break; /* none */
    }
}

/* ---- balancers ---- */

bool reception_is_proxy(const struct server *srv, const struct sockaddr *peer)
{
    struct address a = sock_address(peer);
    return cidrs_contain(&srv->opt->trusted_proxy, &a);
}

/* What a line names as its src: the host, "-" for a balancer, whose connection may be anybody's
   (LOCAL, UNKNOWN): nobody is to ban it for what others do. Returns out. */
static const char *stranger_host(const struct server *srv, char out[SOCK_NAME_MAX],
                                 const struct sockaddr *peer)
{
    if (!reception_is_proxy(srv, peer))
        return sock_host(out, peer);
    (void)snprintf(out, SOCK_NAME_MAX, "-");
    return out;
}

/* One that leaves before its header, as a health check does, is no line. */
void reception_not_proxied(struct server *srv, enum proxy_gate_end why,
                           const struct sockaddr *balancer)
{
    static const char *const words[] = {
        [PROXY_GATE_NOT] = N_("it does not begin with a PROXY header"),
        [PROXY_GATE_BROKEN] = N_("its PROXY header is broken"),
        [PROXY_GATE_LATE] = N_("its PROXY header did not come in time"),
        [PROXY_GATE_CROWDED] = N_("too many wait for their PROXY header"),
    };
    char name[SOCK_NAME_MAX], host[SOCK_NAME_MAX], source[SOCK_NAME_MAX];
    struct stranger s = {sock_host(host, balancer), sock_name(name, balancer),
                         sock_source(source, balancer)};
    if (why == PROXY_GATE_LEFT)
        log_debug("a connection from %s ended before its PROXY header", name);
    else
        tell(srv, STRANGER_PROXY_NOT, &s, _(words[why]));
}

/* ---- who has proved himself once ---- */

static bool is_known(const struct server *srv, const char *source)
{
    return known_source(&srv->known, source, loop_now(&srv->loop));
}

bool reception_knows(struct server *srv, const struct sockaddr *peer)
{
    char source[SOCK_NAME_MAX];
    return is_known(srv, sock_source(source, peer));
}

static void make_known(struct server *srv, const char *source, const char *id)
{
    keeper_changed(srv, known_add(&srv->known, source, id, loop_now(&srv->loop)));
}

/* The client with a key that a is of is here, or was until now. */
void reception_saw(struct agent *a)
{
    struct server *srv = a->worker->srv;
    if (*a->who.key)
        keeper_changed(srv, last_seen_note(&srv->last_seen, a->who.key, (int64_t)time(NULL)));
}

/* Where its client was last. */
static const char *home_of(const struct agent *a)
{
    return *a->main.seen_at ? a->main.seen_at : a->source;
}

void reception_keep_known(struct server *srv)
{
    list_foreach (n, &srv->agents) {
        struct agent *a = LIST_ENTRY(n, struct agent, main.of_server);
        if (!a->main.is_trusted)
            continue;
        make_known(srv, home_of(a), a->who.id);
        if (!a->main.is_away)
            reception_saw(a);
    }
}

/* Known, or the source of a session that is there, or waits. Asked for each connection of a source
   that has failed too often. */
static bool is_at_home(const struct server *srv, const char *source)
{
    return homes_has(&srv->homes, source) || is_known(srv, source);
}

/* ---- places ---- */

void reception_leave_place(struct agent *a)
{
    struct server *srv = a->worker->srv;
    admission_remove(a->main.places, &a->main.admission);
    if (srv->gate && a->main.places == &srv->known_places)
        gate_look_again(srv->gate);
}

mtime_ms reception_room_at(struct server *srv, const char *source)
{
    return admission_room_at(&srv->known_places, source);
}

/* ---- verdicts ---- */

/* A place of their own: those who wait are few (proto/verdicts), and no flood may drop them. */
static void tell_verdict(struct agent *a, enum verdict what)
{
    switch (what) {
    case VERDICT_COMPARE:
        keys_lend(a);
        mailbox_post(&a->worker->in, &a->orders.judge);
        break;
    case VERDICT_WAITS:
        reception_leave_place(a);
        break;
    case VERDICT_BUSY:
        mailbox_post(&a->worker->in, &a->orders.turn_away);
        break;
    }
}

static void reception_on_verdicts_due(uv_timer_t *t);

static void tell_verdicts(struct server *srv)
{
    enum verdict what;
    struct verdict_entry *e;
    mtime_ms now = loop_now(&srv->loop);
    while ((e = verdicts_next(&srv->verdicts, now, &srv->rng, &what)))
        tell_verdict(CONTAINER_OF(e, struct agent, main.verdict), what);
    mtime_ms at = verdicts_deadline(&srv->verdicts, now);
    if (at != MTIME_NEVER)
        uv_timer_start(&srv->verdicts_due, reception_on_verdicts_due,
                       at > now ? (uint64_t)(at - now) : 0, 0);
}

static void reception_on_verdicts_due(uv_timer_t *t)
{
    tell_verdicts(t->data);
}

static void reception_on_line(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.line);
    struct server *srv = a->worker->srv;
    uint64_t id = known_id(&srv->known, a->source, a->line_id, loop_now(&srv->loop));
    verdicts_ask(&srv->verdicts, &a->main.verdict, &a->address, is_at_home(srv, a->source), id);
    tell_verdicts(srv);
}

static void verdict_over(struct agent *a, enum verdict_end how)
{
    struct server *srv = a->worker->srv;
    struct stranger s = stranger_of(a);
    keys_give_back(a);
    if (verdicts_over(&srv->verdicts, &a->main.verdict, how, loop_now(&srv->loop)))
        tell(srv, STRANGER_PENALTY, &s, "");
    tell_verdicts(srv);
}

/* Its client's key is known and not taken: a fault of ours, or of nobody, for which nobody else at its
   source is to pay. It was told what a guesser is told. */
static void barred(struct agent *a)
{
    struct errmsg why = {""};
    struct stranger s = stranger_of(a);
    switch (a->barred) {
    case CREDENTIALS_OLD:
        (void)errmsg_set(&why, 0, _("the key of client %s was replaced"), a->who.key);
        break;
    case CREDENTIALS_DISABLED:
        (void)errmsg_set(&why, 0, _("client %s is disabled"), a->who.key);
        break;
    case CREDENTIALS_EXPIRED:
        (void)errmsg_set(&why, 0, _("the rights of client %s have expired"), a->who.key);
        break;
    case CREDENTIALS_SOURCE:
        (void)errmsg_set(&why, 0, _("client %s may not come from there"), a->who.key);
        break;
    default: /* cannot be */
        break;
    }
    tell(a->worker->srv, STRANGER_KEY_OFF, &s, why.text);
    verdict_over(a, VERDICT_RIGHT);
}

static void reception_on_auth_failed(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.auth_failed);
    struct stranger s = stranger_of(a);
    if (a->barred != CREDENTIALS_RIGHT) {
        barred(a);
        return;
    }
    tell(a->worker->srv, STRANGER_AUTH_FAILED, &s, "");
    verdict_over(a, VERDICT_WRONG);
}

/* Who leaves before his verdict has failed; whom we end has not. */
static enum verdict_end end_of(const struct agent *a)
{
    bool is_ours = a->work.reason == END_LOCAL || a->work.reason == END_SHUTDOWN ||
                   a->work.reason == END_DEADLINE;
    return is_ours ? VERDICT_DROPPED : VERDICT_LEFT;
}

static void reception_on_auth_ok(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.auth_ok);
    struct server *srv = a->worker->srv;
    make_known(srv, a->source, a->who.id);
    reception_saw(a);
    a->worker->trusted++;
    a->main.is_trusted = true;
    homes_enter(&srv->homes, &a->main.home, home_of(a));
    verdict_over(a, VERDICT_RIGHT);
}

/* To the worker that has the session. The target is there until that worker is told to forget it,
   which can only be after this. */
static void reception_on_resume(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.resume);
    a->main.target = owners_find(a->worker->srv, a->handover.sid);
    if (a->main.target && !keys_may_come(a->main.target, &a->address))
        a->main.target = NULL;
    struct worker *w = a->main.target ? a->main.target->worker : a->worker;
    mailbox_post(&w->in, &a->orders.attach);
}

/* What an opening that ended so was; STRANGER_KINDS: its line is written already, or nobody has heard
   of it. */
static enum stranger_kind kind_of(enum end_reason reason)
{
    switch (reason) {
    case END_AUTH:
    case END_PUT_OFF: /* the penalty has its line */
    case END_SHUTDOWN:
        return STRANGER_KINDS;
    case END_TLS:
    case END_CERT:
    case END_CERT_TIME:
        return STRANGER_TLS_FAILED;
    case END_PROTOCOL:
        return STRANGER_SECRET_NOT;
    case END_DEADLINE:
        return STRANGER_TIMEOUT;
    case END_LOCAL:
        return STRANGER_LIMIT;
    case END_LEGACY:
        return STRANGER_LEGACY;
    default:
        return STRANGER_LEFT;
    }
}

/* It has resumed a session, or was refused by one: its proof was right, and its client is there. */
static void resumed(struct agent *a)
{
    struct server *srv = a->worker->srv;
    struct agent *t = owners_find(srv, a->handover.sid); /* not a->target, which may be gone */
    make_known(srv, a->source, t ? t->who.id : "");
    if (!t || a->handover_error != HELLO_OK)
        return;
    memcpy(t->main.seen_at, a->source, sizeof t->main.seen_at);
    t->main.at = a->address;
    homes_enter(&srv->homes, &t->main.home, home_of(t));
    reception_saw(t);
}

/* What a client of ours that gives an attempt up never is: a person has to mend it, known or not. */
static bool is_for_a_person(enum end_reason reason)
{
    return reason == END_CERT || reason == END_CERT_TIME || reason == END_LEGACY;
}

/* The line for the end of somebody who has not authenticated; the others' worker has written it.
   A client of ours that gives an attempt up is no stranger, and a session that is over no guess. */
static void log_end_of_stranger(struct agent *a)
{
    char text[ESCAPE_BUF];
    struct server *srv = a->worker->srv;
    struct stranger s = stranger_of(a);
    enum stranger_kind kind = kind_of(a->work.reason);
    if (kind == STRANGER_KINDS)
        return;
    if (a->work.reason == END_MOVED) {
        if (a->handover_error != HELLO_ERR_UNKNOWN)
            resumed(a);
        else
            tell(srv, STRANGER_UNKNOWN, &s, "");
        return;
    }
    const char *words = end_text(text, a->work.reason, &a->work.why);
    bool is_guess = is_known(srv, a->source) && !is_for_a_person(a->work.reason);
    srv->census.failures[kind] += is_guess; /* the others are counted with their line */
    if (is_guess)
        log_debug("a connection from %s ended before it said what for: %s", a->peer, words);
    else
        tell(srv, kind, &s, words);
}

/* A peer that leaves before it has said anything whole (a health check, one address of several that
   were tried at once) is no line; and the penalty of who is refused has one. */
void reception_gone(struct server *srv, enum gate_end why, const struct sockaddr *peer)
{
    static const enum stranger_kind kinds[] = {
        [GATE_NOT_TLS] = STRANGER_TLS_NOT,
        [GATE_LATE] = STRANGER_TIMEOUT,
        [GATE_CROWDED] = STRANGER_LIMIT,
    };
    char name[SOCK_NAME_MAX], host[SOCK_NAME_MAX], source[SOCK_NAME_MAX];
    struct stranger s = {stranger_host(srv, host, peer), sock_name(name, peer),
                         sock_source(source, peer)};
    if (why == GATE_REFUSED)
        log_debug("a connection from %s is refused: too many of its source have failed", name);
    else if (why == GATE_LEFT || is_known(srv, source))
        log_debug("a connection from %s ended before its ClientHello", name);
    else
        tell(srv, kinds[why], &s, "");
}

static void reception_on_ended(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, reports.ended);
    struct worker *w = a->worker;
    if (a->main.is_trusted) {
        w->trusted--;
        make_known(w->srv, home_of(a), a->who.id); /* it was until now */
        if (!a->main.is_away)
            reception_saw(a);
    } else {
        log_end_of_stranger(a);
        verdict_over(a, end_of(a));
    }
    homes_leave(&w->srv->homes, &a->main.home);
    keys_ended(a);
    w->sessions--;
    reception_leave_place(a);
    list_del(&a->main.of_server);
    owners_gone(a);
    struct server *srv = w->srv;
    mailbox_post(&w->in, &a->orders.forgotten); /* the worker's again, which frees it */
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
    a->work.fd = fd;
    a->work.tls = srv->tls;
    SSL_CTX_up_ref(a->work.tls);
    a->address = a->main.at = sock_address(peer);
    sock_name(a->peer, peer);
    stranger_host(srv, a->host, peer);
    sock_source(a->source, peer);
    (void)snprintf(a->name, sizeof a->name, "%s", a->peer);
    agent_init(a);
    owners_init_agent(a);
    message_init(&a->reports.line, reception_on_line);
    message_init(&a->reports.auth_failed, reception_on_auth_failed);
    message_init(&a->reports.auth_ok, reception_on_auth_ok);
    message_init(&a->reports.resume, reception_on_resume);
    message_init(&a->reports.ended, reception_on_ended);
    list_init(&a->main.of_server);
    list_push(&srv->agents, &a->main.of_server);
    return a;
}

bool reception_may_pass(struct server *srv, const struct sockaddr *peer)
{
    char source[SOCK_NAME_MAX];
    struct address from = sock_address(peer);
    return verdicts_may_pass(&srv->verdicts, &from, false, loop_now(&srv->loop), &srv->rng) ||
           is_at_home(srv, sock_source(source, peer));
}

void reception_accept(struct server *srv, int fd, const struct sockaddr *peer, mtime_ms waited_ms)
{
    struct agent *a = new_agent(srv, fd, peer);
    if (!a) {
        sock_close_reset(fd);
        return;
    }
    a->waited_ms = waited_ms;
    struct stranger s = stranger_of(a);
    tell(srv, STRANGER_CONNECTED, &s, "");
    a->worker->sessions++;
    a->main.places = is_known(srv, a->source) ? &srv->known_places : &srv->admission;
    struct admission_entry *victim = admission_add(a->main.places, &a->main.admission, a->source);
    admission_spare(&a->main.admission, loop_now(&srv->loop) + KNOWN_SPARE_MS);
    mailbox_post(&a->worker->in, &a->orders.begin);
    if (victim) {
        struct agent *v = CONTAINER_OF(victim, struct agent, main.admission);
        mailbox_post(&v->worker->in, &v->orders.drop);
    }
}

/* ---- life ---- */

static void make_key(struct rng *rng, uint8_t ret[KEYED_HASH_KEY_BYTES])
{
    for (size_t i = 0; i < KEYED_HASH_KEY_BYTES; i++)
        ret[i] = (uint8_t)rng->next(rng);
}

int reception_init(struct server *srv)
{
    uint8_t key[KEYED_HASH_KEY_BYTES];
    rng_system(&srv->rng);
    told_init(&srv->told, &srv->rng);
    make_key(&srv->rng, key);
    int err = keys_init(srv);
    if (err < 0)
        return err;
    err = verdicts_init(&srv->verdicts, key);
    if (err < 0) {
        keys_fini(srv);
        return err;
    }
    make_key(&srv->rng, key);
    homes_init(&srv->homes, key);
    make_key(&srv->rng, key); /* another one: this goes to the disk */
    known_init(&srv->known, key);
    keeper_begin(srv); /* its key counts, if there is a file */
    uv_timer_init(&srv->loop.uv, &srv->verdicts_due);
    srv->verdicts_due.data = srv;
    uv_timer_init(&srv->loop.uv, &srv->strangers_sum);
    srv->strangers_sum.data = srv;
    const struct account *a = &srv->account;
    verdicts_limit(&srv->verdicts, a->waiting);
    admission_init(&srv->admission, &srv->rng);
    admission_limit(&srv->admission, a->strangers - a->known, account_strangers_of_source(a));
    admission_init(&srv->known_places, NULL);
    admission_limit(&srv->known_places, a->known, a->known);
    return 0;
}

void reception_fini(struct server *srv)
{
    uv_close((uv_handle_t *)&srv->verdicts_due, NULL);
    uv_close((uv_handle_t *)&srv->strangers_sum, NULL);
    keeper_end(srv);
    sum_up(srv);
    keys_fini(srv);
    last_seen_fini(&srv->last_seen);
}
