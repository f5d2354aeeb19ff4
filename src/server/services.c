/* SPDX-License-Identifier: MIT */
/*
 * The services of one session, in its worker: carries out what proto/session/leases decides. Ports
 * are asked for at the main thread (registry.c), one message a step, each embedded in its service.
 *
 *   open --asked--> registry --open_port--> listener --opened--> registry
 *     \                 \--refuse                                  |
 *      +--> over --gone--> main thread --forgotten--> freed <-------+
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/log.h"
#include "server/internal.h"
#include "tunnel/refusal.h"

static void service_post(struct service *v, struct message *m)
{
    if (!v->over)
        mailbox_post(&v->agent->worker->srv->in, m);
}

static mtime_ms now_of(const struct agent *a)
{
    return loop_now(a->worker->loop);
}

/* What is said about it goes by its client's budget: who opens in a loop fills no log. */
static bool may_tell(const struct service *v)
{
    return !v->agent->work.is_quiet && agent_may_tell(v->agent, TOLD_LIFE);
}

static void tell_refused(const struct service *v, const struct service_why *why)
{
    char text[REFUSAL_TEXT_MAX];
    if (may_tell(v))
        event_service_refused(v->agent->name, v->lease.wanted.name, v->lease.wanted.port,
                              refusal_service_text(text, why, v->lease.wanted.port));
}

/* ---- what leases decide ---- */

/* Its memory stays until the main thread has forgotten it. */
static void service_over(struct service *v)
{
    endpoint_close(&v->endpoint);
    list_del(&v->of_agent);
    service_post(v, &v->reports.gone);
    v->over = true;
}

/* A port is the main thread's to give, what may be asked for at all is known here. */
static void ask(struct services *ss, struct service *v)
{
    const struct service_wanted *w = &v->lease.wanted;
    struct service_why no = {.error = SERVICE_OK};
    if (w->kind != SERVICE_KIND_TCP)
        no.error = SERVICE_ERR_KIND;
    else if (session_service(ss->agent->work.session) != LIFE_SERVING)
        no.error = SERVICE_ERR_SHUTDOWN; /* it has crossed our GOAWAY: nobody would be served */
    else if (*w->bind || !agent_may_have_port(ss->agent, w->port))
        no.error = SERVICE_ERR_RIGHT; /* where ports listen is -public-bind's to say */
    if (no.error != SERVICE_OK) {
        leases_refused(&ss->leases, &v->lease, &no);
        return;
    }
    v->claim.wanted = w->port;
    service_post(v, &v->reports.asked);
}

static void listen_for(struct services *ss, struct service *v)
{
    struct agent *a = ss->agent;
    struct errmsg why = {""};
    int64_t port = v->lease.wanted.port;
    v->opened_port = 0;
    int err = endpoint_open(&v->endpoint, (int)port, &why);
    if (err < 0) {
        log_debug("[%s] %s", a->name, why.text);
        leases_failed(&ss->leases, &v->lease, agent_errno_word(a, port, err));
    } else {
        const struct listener *l = v->endpoint.listener;
        v->opened_port = listener_port(l);
        leases_listening(&ss->leases, &v->lease, listener_address(l), v->opened_port);
        if (may_tell(v))
            event_service_open(a->name, v->lease.wanted.name, listener_address(l));
    }
    service_post(v, &v->reports.opened);
}

static void stop_listening(struct service *v)
{
    const struct listener *l = v->endpoint.listener;
    if (l && may_tell(v))
        event_service_closed(v->agent->name, v->lease.wanted.name, listener_address(l));
    endpoint_close(&v->endpoint);
}

static void say(const struct agent *a, const struct service_line *line)
{
    char text[HELLO_MAX];
    size_t n = service_line_put(text, line);
    if (session_say(a->work.session, text, n) < 0)
        session_close(a->work.session, END_LOCAL, NULL);
}

static void carry_out(struct services *ss, const struct lease_action *act)
{
    struct service *v = CONTAINER_OF(act->lease, struct service, lease);
    switch (act->kind) {
    case LEASE_ASK:
        ask(ss, v);
        break;
    case LEASE_LISTEN:
        listen_for(ss, v);
        break;
    case LEASE_STOP:
        stop_listening(v);
        break;
    case LEASE_RELEASE:
        service_post(v, &v->reports.released);
        break;
    case LEASE_CHANGED:
        break; /* of use when several share a port */
    case LEASE_CUT:
        relays_cut_service(ss->agent->work.session, v->key, SMUX_RST_SHUTDOWN);
        break;
    case LEASE_SEND:
        if (act->line.op == SERVICE_REFUSED)
            tell_refused(v, &act->line.why);
        say(ss->agent, &act->line);
        break;
    case LEASE_FREE:
        service_over(v);
        break;
    }
}

static void on_timer(uv_timer_t *t);

/* After each input to the leases. */
static void services_act(struct services *ss)
{
    struct lease_action act;
    mtime_ms now = now_of(ss->agent);
    while (leases_next(&ss->leases, &act))
        carry_out(ss, &act);
    mtime_ms at = leases_deadline(&ss->leases), read_at = leases_read_at(&ss->leases, now);
    if (ss->reads_later && read_at < at) /* also one that is due, and has not rung yet */
        at = read_at;
    if (at == MTIME_NEVER)
        uv_timer_stop(&ss->timer);
    else
        uv_timer_start(&ss->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void on_timer(uv_timer_t *t)
{
    struct services *ss = t->data;
    mtime_ms now = now_of(ss->agent);
    bool may_read = ss->reads_later && leases_read_at(&ss->leases, now) <= now;
    ss->reads_later = ss->reads_later && !may_read;
    leases_tick(&ss->leases, now);
    services_act(ss);
    if (may_read)
        session_read_lines(ss->agent->work.session);
}

/* ---- orders of the main thread ---- */

/* Why it may not have its port any more, which is said in the same words at both ends; NULL: it may. */
static const char *lost_right(const struct service *v)
{
    if (!agent_may_have_port(v->agent, v->lease.wanted.port))
        return "EPERM";
    return agent_has_right(v->agent, v->lease.wanted.port) ? NULL : REFUSAL_RIGHT;
}

/* The services that v is one of; NULL: the session is over. */
static struct services *services_of(const struct service *v)
{
    return v->over ? NULL : v->agent->work.services;
}

static void service_on_open_port(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, orders.open_port);
    struct services *ss = services_of(v);
    struct service_why no = {.error = SERVICE_ERR_RIGHT};
    const char *word = ss ? lost_right(v) : NULL; /* while it waited for another's port */
    if (!ss)
        return;
    if (word) {
        (void)snprintf(no.errno_word, sizeof no.errno_word, "%s", word);
        leases_refused(&ss->leases, &v->lease, &no);
    } else {
        leases_granted(&ss->leases, &v->lease);
    }
    services_act(ss);
}

static void service_on_refuse(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, orders.refuse);
    struct services *ss = services_of(v);
    if (!ss)
        return;
    leases_refused(&ss->leases, &v->lease, &v->why);
    services_act(ss);
}

static void service_on_yield(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, orders.yield);
    struct services *ss = services_of(v);
    struct service_why why = {.error = SERVICE_ERR_TAKEN};
    v->yields = ss && v->lease.state == LEASE_OPEN && session_may_lose_port(v->agent->work.session);
    if (v->yields)
        stop_listening(v);
    service_post(v, &v->reports.yielded); /* the port is free; gone may be next */
    if (v->yields) {
        leases_end(&ss->leases, &v->lease, &why, UINT32_MAX, now_of(v->agent));
        services_act(ss);
    }
}

static void service_free(struct service *v)
{
    tally_give(v->tally);
    free(v);
}

static void service_on_forgotten(struct message *m)
{
    service_free(CONTAINER_OF(m, struct service, orders.forgotten));
}

static struct service *service_new(struct services *ss)
{
    struct service *v = calloc(1, sizeof *v);
    if (!v || !(v->tally = tally_new(ss->last_key + 1))) {
        free(v);
        return NULL;
    }
    v->agent = ss->agent;
    v->key = ++ss->last_key;
    v->claim.is_tunnel = true;
    v->claim.who = &ss->agent->who; /* which is there until this is gone */
    list_init(&v->of_agent);
    endpoint_init(&v->endpoint, ss->agent);
    v->endpoint.service = v;
    message_init(&v->orders.open_port, service_on_open_port);
    message_init(&v->orders.refuse, service_on_refuse);
    message_init(&v->orders.yield, service_on_yield);
    message_init(&v->orders.forgotten, service_on_forgotten);
    owners_init_service(v);
    list_push(&ss->all, &v->of_agent);
    return v;
}

/* ---- the session ---- */

/* An open that is none ends the session, and what was made for it goes with that. */
static bool open_one(struct services *ss, const struct service_line *line)
{
    struct service *v = service_new(ss);
    if (!v) {
        session_close(ss->agent->work.session, END_LOCAL, NULL);
        return false;
    }
    if (leases_open(&ss->leases, line, &v->lease, now_of(ss->agent)) == 0)
        return true;
    list_del(&v->of_agent);
    service_free(v);
    session_close(ss->agent->work.session, END_PROTOCOL, NULL);
    return false;
}

bool services_on_line(struct agent *a, struct hello_text text)
{
    struct services *ss = a->work.services;
    struct service_line line;
    mtime_ms now = now_of(a);
    int err = service_line_get(text, SERVICE_CLIENT, &line);
    if (err == ERR_NOTFOUND) {
        session_line_is_useless(a->work.session);
        return true;
    }
    if (err < 0) {
        session_close(a->work.session, err == ERR_NOMEM ? END_LOCAL : END_PROTOCOL, NULL);
        return false;
    }
    if (line.op != SERVICE_OPEN)
        leases_line(&ss->leases, &line, now);
    else if (!open_one(ss, &line))
        return false;
    ss->reads_later = leases_read_at(&ss->leases, now) > now;
    services_act(ss);
    return !ss->reads_later;
}

void services_look_at_ports(struct agent *a)
{
    struct services *ss = a->work.services;
    struct service_why why = {.error = SERVICE_ERR_RIGHT};
    char text[REFUSAL_TEXT_MAX];
    if (!ss)
        return;
    list_foreach (n, &ss->all) {
        struct service *v = LIST_ENTRY(n, struct service, of_agent);
        const char *word = v->lease.state == LEASE_OPEN ? lost_right(v) : NULL;
        if (!word)
            continue;
        (void)snprintf(why.errno_word, sizeof why.errno_word, "%s", word);
        event_service_lost(a->name, v->lease.wanted.name, v->lease.wanted.port,
                           refusal_service_text(text, &why, v->lease.wanted.port));
        leases_end(&ss->leases, &v->lease, &why,
                   (uint32_t)(a->worker->opt->common.drain_ns / 1000000), now_of(a));
    }
    services_act(ss);
}

void services_count(struct service *v)
{
    leases_streams(&v->agent->work.services->leases, &v->lease, ++v->streams);
}

void services_on_relay_over(struct agent *a, uint32_t key)
{
    struct services *ss = a->work.services;
    if (!ss)
        return; /* the session is over */
    list_foreach (n, &ss->all) {
        struct service *v = LIST_ENTRY(n, struct service, of_agent);
        if (v->key != key)
            continue;
        leases_streams(&ss->leases, &v->lease, --v->streams);
        services_act(ss);
        return;
    }
}

void services_stop(struct agent *a)
{
    struct services *ss = a->work.services;
    struct service_why why = {.error = SERVICE_ERR_SHUTDOWN};
    if (!ss)
        return;
    leases_end_all(&ss->leases, &why, UINT32_MAX, now_of(a)); /* the session's drain cuts them */
    services_act(ss);
}

int services_new(struct agent *a)
{
    struct services *ss = calloc(1, sizeof *ss);
    if (!ss)
        return ERR_NOMEM;
    ss->agent = a;
    leases_init(&ss->leases, LEASES_MAX);
    list_init(&ss->all);
    uv_timer_init(&a->worker->loop->uv, &ss->timer);
    ss->timer.data = ss;
    a->work.services = ss;
    return 0;
}

void services_allow(struct agent *a, int tunnels)
{
    uint32_t max = tunnels > LEASES_MAX ? (uint32_t)tunnels : LEASES_MAX;
    if (a->work.services)
        leases_set_max(&a->work.services->leases, max < LEASES_MOST ? max : LEASES_MOST);
}

static void on_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

void services_end(struct agent *a)
{
    struct services *ss = a->work.services;
    if (!ss)
        return;
    a->work.services = NULL;
    while (leases_take(&ss->leases))
        continue;
    for (struct list *n; (n = list_first(&ss->all));) {
        struct service *v = LIST_ENTRY(n, struct service, of_agent);
        stop_listening(v); /* with its line */
        service_over(v);
    }
    uv_close((uv_handle_t *)&ss->timer, on_timer_closed);
}

const struct listener *services_listener(const struct agent *a)
{
    const struct services *ss = a->work.services;
    struct list *first = ss ? list_first(&ss->all) : NULL;
    bool is_only = first && first->next == &ss->all;
    return is_only ? LIST_ENTRY(first, struct service, of_agent)->endpoint.listener : NULL;
}

void services_tell(const struct agent *a)
{
    if (!a->work.services)
        return;
    list_foreach (n, &a->work.services->all) {
        const struct service *v = LIST_ENTRY(n, struct service, of_agent);
        const struct listener *l = v->endpoint.listener;
        event_service_status(a->name, v->lease.wanted.name, l ? listener_address(l) : "-",
                             v->streams);
    }
}
