/* SPDX-License-Identifier: MIT */
/*
 * The tunnels of a client that are opened in its session: carries out what proto/session/wishes
 * decides. What the session serves is asked for anew in each one; across cuts nothing changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/background.h"
#include "base/escape.h"
#include "base/event.h"
#include "base/i18n.h"
#include "client/internal.h"
#include "conf/client_tunnels.h"
#include "tunnel/refusal.h"

/* ---- what wishes decide ---- */

/* After a reload: the former service goes on, as the new one is refused. */
static void tell_kept(const struct tunnel *t, bool again)
{
    char address[CLIENT_ADDRESS_MAX];
    const struct wish *older = wishes_replaced(&t->wish);
    if (!older || again)
        return;
    client_public_address(address, t->client, older->port);
    event_tunnel_kept(t->wish.wanted.name, address);
}

/* The last line, for who has typed one himself: where his service is to be found. */
static void tell_public(const struct tunnel *t, const char *address)
{
    char text[512];
    (void)snprintf(text, sizeof text, "tcp://%s -> %s", address,
                   t->service->name); /* cut on purpose */
    event_tunnel_public(text);
}

static void tell_opened(struct tunnel *t)
{
    struct client *c = t->client;
    const struct wish *w = &t->wish;
    char address[CLIENT_ADDRESS_MAX];
    client_public_address(address, c, w->port);
    if (!c->asked->has_told_up)
        event_tunnel_up();
    c->asked->has_told_up = true;
    if (t->is_sole) {
        event_open_accepted(w->address); /* a word */
        event_tunnel_route(w->port, c->server.host, t->service->name);
        event_tunnel_ready();
        if (c->opt->has_join)
            tell_public(t, address);
    } else {
        event_tunnel_opened(w->wanted.name, address, t->service->name);
    }
    client_tunnel_opened(c);
}

/* It is asked for again in the same session, which is up. */
static void tell_refused(struct tunnel *t, bool again)
{
    struct client *c = t->client;
    const struct wish *w = &t->wish;
    char text[REFUSAL_TEXT_MAX];
    struct errmsg why;
    if (!t->is_sole || wishes_replaced(w)) {
        event_tunnel_refused(again, w->wanted.name, w->wanted.port,
                             refusal_service_text(text, &w->why, w->wanted.port));
        tell_kept(t, again);
        (void)client_tunnel_refused(c);
        return;
    }
    refusal_sole_text(&why, &w->why, w->wanted.port);
    event_open_refused(again, why.text);
    client_note_refusal(c, event_count(EVENT_open_refused), why.text);
    if (!client_tunnel_refused(c))
        event_retry_planned(again,
                            (double)(wishes_deadline(&c->wishes) - loop_now(&c->loop)) / 1000);
}

static void tell_closed(const struct tunnel *t, bool again)
{
    const struct wish *w = &t->wish;
    char why[REFUSAL_TEXT_MAX];
    const struct session *s = t->client->asked->session;
    if (t->is_sole && w->why.error == SERVICE_ERR_TAKEN)
        event_uplink_port_lost(w->wanted.port, session_streams(s));
    else if (t->is_sole)
        event_uplink_port_closed(again, w->wanted.port,
                                 refusal_service_text(why, &w->why, w->wanted.port));
    else
        event_tunnel_closed(again, w->wanted.name,
                            refusal_service_text(why, &w->why, w->wanted.port));
}

static void tell(struct tunnel *t, enum wish_tell what, bool again)
{
    if (what != WISH_TELL_OPENED)
        t->refused_at = loop_now(&t->client->loop);
    if (what != WISH_TELL_CLOSED) /* first: the client may end by it */
        CLIENT_WATCH(t->client, answered, t, again);
    switch (what) {
    case WISH_TELL_OPENED:
        tell_opened(t);
        break;
    case WISH_TELL_REFUSED:
        tell_refused(t, again);
        break;
    case WISH_TELL_CLOSED:
        tell_closed(t, again);
        break;
    }
    client_tell_manager(t->client);
}

static void say(const struct client *c, const struct service_line *line)
{
    char text[HELLO_MAX];
    size_t n = service_line_put(text, line);
    struct session *s = c->asked ? c->asked->session : NULL;
    if (s && session_say(s, text, n) < 0)
        session_close(s, END_LOCAL, NULL);
}

static bool all_have_an_answer(const struct client *c)
{
    list_foreach (i, &c->tunnels) {
        enum wish_state is = LIST_ENTRY(i, struct tunnel, node)->wish.state;
        if (is == WISH_IDLE || is == WISH_ASKED)
            return false;
    }
    return true;
}

/* With -wait, once each has its answer: a line for each, "-" for one that is not open. Lines that find no
   room, behind names of hosts as long as can be, are left out. */
static void tell_script(struct client *c)
{
    char lines[BACKGROUND_WORD_MAX + 1] = "", address[CLIENT_ADDRESS_MAX];
    size_t n = 0;
    if (c->script_fd < 0 || !c->was_open || !all_have_an_answer(c))
        return;
    list_foreach (i, &c->tunnels) {
        const struct tunnel *t = LIST_ENTRY(i, struct tunnel, node);
        client_public_address(address, c, t->wish.port);
        const char *line = t->wish.state == WISH_OPEN ? address : "-";
        if (n + strlen(line) + 1 > BACKGROUND_WORD_MAX)
            break;
        n += (size_t)snprintf(lines + n, sizeof lines - n, "%s\n", line);
    }
    client_tell_script(c, lines);
}

static void on_due(uv_timer_t *t);

/* After each input to the wishes. */
void tunnels_act(struct client *c)
{
    struct wish_action a;
    mtime_ms now = loop_now(&c->loop);
    while (wishes_next(&c->wishes, &a)) {
        struct tunnel *t = CONTAINER_OF(a.wish, struct tunnel, wish);
        switch (a.kind) {
        case WISH_TELL:
            tell(t, a.tell, a.again);
            break;
        case WISH_SEND:
            say(c, &a.line);
            break;
        case WISH_FREE:
            tunnel_free(t);
            break;
        }
    }
    tell_script(c);
    mtime_ms at = wishes_deadline(&c->wishes);
    if (at == MTIME_NEVER)
        uv_timer_stop(&c->wishes_due);
    else
        uv_timer_start(&c->wishes_due, on_due, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void on_due(uv_timer_t *t)
{
    struct client *c = t->data;
    wishes_tick(&c->wishes, loop_now(&c->loop));
    tunnels_act(c);
}

/* ---- the session ---- */

void tunnels_session_up(struct client *c, struct uplink *u)
{
    tunnels_session_down(c);
    c->asked = u;
    wishes_begun(&c->wishes);
    tunnels_act(c);
}

void tunnels_session_down(struct client *c)
{
    c->asked = NULL;
    wishes_lost(&c->wishes, loop_now(&c->loop));
    tunnels_act(c);
}

/* By a budget: a server that talks in a loop fills no log. */
static void tell_notice(struct client *c, const char *message)
{
    char shown[ESCAPE_BUF];
    unsigned left_out;
    if (!log_budget_take(&c->notices, loop_now(&c->loop), &left_out))
        return;
    if (left_out > 0)
        event_session_left_out(c->server.host, left_out);
    event_server_notice(escape_text(shown, message, strlen(message)));
}

bool tunnels_on_line(struct uplink *u, struct hello_text text)
{
    struct client *c = u->client;
    struct service_line line;
    int err = service_line_get(text, SERVICE_SERVER, &line);
    if (err == ERR_NOTFOUND) {
        session_line_is_useless(u->session);
        return true;
    }
    if (err == 0 && line.op == SERVICE_NOTICE)
        tell_notice(c, line.message);
    else if (err == 0 && u == c->asked) /* another drains: nothing is asked of it */
        err = wishes_line(&c->wishes, &line, loop_now(&c->loop));
    if (err < 0) {
        session_close(u->session, err == ERR_NOMEM ? END_LOCAL : END_PROTOCOL, NULL);
        return false;
    }
    tunnels_act(c);
    return true;
}

struct service *tunnels_service(const struct client *c, uint32_t svc)
{
    struct wish *w = wishes_find(&c->wishes, svc);
    return w ? CONTAINER_OF(w, struct tunnel, wish)->service : NULL;
}

/* ---- questions ---- */

/* Where a session has one port a stream does not say what it is for: the first. */
struct service *client_service_of(const struct client *c, const struct smux_open *open)
{
    if (open->service != 0)
        return tunnels_service(c, open->service);
    if (!list_empty(&c->tunnels))
        return LIST_ENTRY(list_first(&c->tunnels), struct tunnel, node)->service;
    return LIST_ENTRY(list_first(&c->services), struct service, node);
}

bool tunnels_all_refused(const struct client *c)
{
    list_foreach (i, &c->tunnels)
        if (LIST_ENTRY(i, struct tunnel, node)->wish.state != WISH_REFUSED)
            return false;
    return true;
}

/* That of it which serves: its own, or while that is asked for, the one that it replaces. NULL: neither. */
static const struct wish *serving(const struct tunnel *t)
{
    return t->wish.state == WISH_OPEN ? &t->wish : wishes_replaced(&t->wish);
}

int32_t tunnel_port(const struct tunnel *t)
{
    const struct wish *w = serving(t);
    return w ? w->port : 0;
}

unsigned tunnels_open(const struct client *c)
{
    unsigned n = 0;
    list_foreach (i, &c->tunnels)
        n += serving(LIST_ENTRY(i, struct tunnel, node)) != NULL;
    return n;
}

const struct tunnel *tunnels_sole(const struct client *c)
{
    list_foreach (i, &c->tunnels) {
        const struct tunnel *t = LIST_ENTRY(i, struct tunnel, node);
        return t->is_sole ? t : NULL;
    }
    return NULL;
}

const char *tunnel_shown_name(const struct tunnel *t)
{
    return t->is_sole ? "" : t->wish.wanted.name;
}

void tunnels_tell(const struct client *c)
{
    char address[CLIENT_ADDRESS_MAX];
    list_foreach (i, &c->tunnels) {
        const struct tunnel *t = LIST_ENTRY(i, struct tunnel, node);
        const struct wish *w = serving(t);
        client_public_address(address, t->client, w ? w->port : 0);
        event_tunnel_status(t->wish.wanted.name, w ? address : _("not open"), t->service->name);
    }
}

/* ---- begin and end ---- */

int tunnels_prepare(struct client *c)
{
    struct errmsg why;
    for (uint32_t i = 0; i < c->opt->tunnels.count; i++) {
        const char *target = c->opt->tunnels.at[i].target;
        int err = target_read(c->opt, target, &c->targets[i], &why);
        if (err < 0) {
            event_target_malformed(target, why.text);
            return err;
        }
    }
    return 0;
}

/* Dials at once are shared, so that no target that does not answer takes all of them. */
static unsigned dials_of_each(const struct client *c, uint32_t count)
{
    unsigned dials = count > 0 ? c->account.dials / count : 0;
    return dials > 0 ? dials : 1;
}

struct tunnel *tunnel_new(struct client *c, const struct tunnel_option *o, struct service *service)
{
    struct tunnel *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->client = c;
    t->service = service ? service_ref(service) : NULL;
    list_init(&t->node);
    t->wish.wanted.kind = SERVICE_KIND_TCP;
    t->wish.wanted.port = o->port;
    t->wish.wanted.ready = true;
    (void)snprintf(t->wish.wanted.name, sizeof t->wish.wanted.name, "%s", o->name);
    return t;
}

struct tunnel *tunnel_new_to(struct client *c, const struct tunnel_option *o,
                             struct destinations **target)
{
    const struct service_config cfg = {
        .id = o->name,
        .name = o->target,
        .to = *target,
        .limits = {.dials = 1, .dial_ms = SERVICE_DIAL_MS}, /* until tunnels_share_dials() */
        .shared = &c->dials,
    };
    struct tunnel *t = tunnel_new(c, o, NULL);
    if (t && !(t->service = service_new(&c->loop, &c->relays, &cfg))) {
        free(t);
        t = NULL;
    }
    if (!t)
        return NULL;
    *target = NULL; /* the service's */
    list_push(&c->services, &t->service->node);
    return t;
}

void tunnel_free(struct tunnel *t)
{
    if (!t)
        return;
    list_del(&t->node);
    service_leave(t->service);
    free(t);
}

void tunnels_share_dials(struct client *c)
{
    uint32_t count = 0;
    list_foreach (n, &c->tunnels)
        count++;
    list_foreach (n, &c->tunnels)
        LIST_ENTRY(n, struct tunnel, node)->service->limits.dials = dials_of_each(c, count);
}

int tunnels_begin(struct client *c)
{
    const struct client_options *opt = c->opt;
    struct tunnel_option one;
    struct tunnels ts = client_tunnels(opt, &one);
    bool is_sole = client_has_sole(opt);
    uint64_t seed = (uint64_t)rng_below(&c->rng, UINT32_MAX) << 32 | rng_below(&c->rng, UINT32_MAX);
    wishes_init(&c->wishes, WISHES_MAX, opt->max_retry_ns / 1000000, seed);
    for (uint32_t i = 0; i < ts.count; i++) {
        struct tunnel *t = tunnel_new_to(c, &ts.at[i], is_sole ? &c->local : &c->targets[i]);
        if (!t)
            return ERR_NOMEM;
        t->is_sole = is_sole;
        list_push(&c->tunnels, &t->node);
        wishes_add(&c->wishes, &t->wish);
    }
    tunnels_share_dials(c);
    return 0;
}

void tunnels_init_timer(struct client *c)
{
    uv_timer_init(&c->loop.uv, &c->wishes_due);
    c->wishes_due.data = c;
}

void tunnels_close_timer(struct client *c)
{
    uv_close((uv_handle_t *)&c->wishes_due, NULL);
}

void tunnels_free(struct client *c)
{
    list_splice(&c->tunnels, &c->leaving);
    for (struct list *n; (n = list_first(&c->tunnels));) {
        list_del(n);
        free(LIST_ENTRY(n, struct tunnel, node));
    }
}
