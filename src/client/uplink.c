/* SPDX-License-Identifier: MIT */
/*
 * One uplink: dial, open, serve, end.
 *
 *   DIALLING --TCP--> OPENING --accepted--> LIVE --over--> OVER
 *
 * A session that has lost its connection dials again by itself (on_dial): the name is resolved
 * anew each time, and the address the session is at is tried besides.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "client/internal.h"
#include "net/dialer.h"
#include "proto/control.h"
#include "proto/hash.h"
#include "proto/smux/session.h"
#include "tunnel/relay.h"

/* ---- the end ---- */

static void uplink_reap(struct loop_job *job)
{
    struct uplink *u = CONTAINER_OF(job, struct uplink, reaper);
    snapshot_unref(u->options);
    free(u);
}

static void uplink_over(struct uplink *u, enum end_reason reason,
                        const struct hello_answer *refusal, const struct errmsg *why)
{
    struct client *c = u->client;
    unanswered_end(u);
    u->state = UPLINK_OVER;
    dial_cancel(u->dial);
    u->dial = NULL;
    list_del(&u->node);
    loop_defer(&c->loop, &u->reaper);
    client_uplink_over(c, u, reason, refusal, why);
}

/* ---- the session ---- */

static void uplink_on_stream(void *ctx, struct smux_stream *st, const struct smux_open *open)
{
    struct uplink *u = ctx;
    struct client *c = u->client;
    struct service *s = client_service_of(c, open);
    if (signals_stop_asked(&c->signals)) {
        c->history.refused[CENSUS_STOPPING]++;
        smux_stream_reset(st, SMUX_RST_SHUTDOWN, loop_now(&c->loop));
    } else if (!s) {
        c->history.refused[CENSUS_NO_TUNNEL]++;
        smux_stream_reset(st, SMUX_RST_NO_SERVICE, loop_now(&c->loop));
    } else if (!c->watch || !c->watch->visited(c->watch_ctx, s, u->session, st, open)) {
        service_serve(s, u->session, st);
    }
}

static bool uplink_on_line(void *ctx, struct hello_text line)
{
    return tunnels_on_line(ctx, line);
}

/* One line for each new reason while users wait; hash collisions only leave one out. */
static void tell_reason(struct uplink *u, const char *text)
{
    uint64_t hash = hash_text(text);
    bool is_new = session_streams(u->session) > 0;
    for (unsigned i = 0; i < u->n_reasons; i++)
        is_new = is_new && u->reasons[i] != hash;
    if (!is_new || u->n_reasons == UPLINK_REASONS_MAX) {
        log_debug("not resumed yet: %s", text);
        return;
    }
    u->reasons[u->n_reasons++] = hash;
    if (session_window_ms(u->session) > 0)
        event_uplink_not_resumed(text);
    else
        event_uplink_not_replaced(text);
}

/* The dial goes on. */
static void uplink_on_dial_note(void *ctx, const struct dial_result *so_far)
{
    struct errmsg why = {""};
    tell_reason(ctx, dial_text(&why, so_far, NULL));
}

static void uplink_on_redialled(void *ctx, struct dial_result *r)
{
    struct uplink *u = ctx;
    struct errmsg why = {""};
    u->dial = NULL;
    if (r->err == 0)
        u->at = r->address;
    else
        tell_reason(u, dial_text(&why, r, NULL));
    int fd = r->err == 0 ? dial_take_fd(r) : r->err;
    session_dialled(u->session, fd, r->connect_ms, &why);
}

static void uplink_on_dial(void *ctx, mtime_ms patience_ms, mtime_ms last_start,
                           bool small_segments)
{
    struct uplink *u = ctx;
    struct client *c = u->client;
    const struct address *at = session_address(u->session);
    struct dial_config cfg = {
        .host = c->server.host,
        .port = c->server.port,
        .extra = at,
        .n_extra = at->family != ADDRESS_NONE,
        .memory = &c->paths,
        .patience_ms = patience_ms,
        .renew = true,
        .small_mss = small_segments,
        .rtt_ms = session_rtt_us(u->session) / 1000,
        .last_start = last_start == MTIME_NEVER ? 0 : last_start,
        .note = uplink_on_dial_note,
    };
    dial_cancel(u->dial);
    u->dial = NULL;
    if (dial_start(&c->loop, &cfg, uplink_on_redialled, u, &u->dial) < 0)
        session_dialled(u->session, ERR_NOMEM, 0, NULL);
}

static void uplink_on_dial_cancel(void *ctx)
{
    struct uplink *u = ctx;
    dial_cancel(u->dial);
    u->dial = NULL;
}

static void uplink_on_dial_hurry(void *ctx, mtime_ms at)
{
    struct uplink *u = ctx;
    if (u->dial)
        dial_hurry(u->dial, at);
}

static void uplink_on_address_failed(void *ctx)
{
    struct uplink *u = ctx;
    path_failed(&u->client->paths, &u->at);
}

static void uplink_on_open_beside(void *ctx)
{
    struct uplink *u = ctx;
    if (u->has_nonce)
        standing_resuming(&u->client->standing, u->nonce, true);
    client_open_beside(u->client, u);
}

/* Why an attempt to resume does not succeed. */
static const char *answer_text(enum life_answer a, const struct errmsg *why, char out[ESCAPE_BUF])
{
    switch (a) {
    case LIFE_ANSWER_UNKNOWN:
        return _("the server there does not know the session");
    case LIFE_ANSWER_DRAINING:
        return _("the server there is stopping");
    case LIFE_ANSWER_BUSY:
        return _("the server there has no room now");
    case LIFE_ANSWER_STALE:
        return _("the server there has seen a newer attempt");
    case LIFE_ANSWER_RANGE:
        return _("the server there does not keep what was missed any more");
    case LIFE_ANSWER_ACCEPTED:
    case LIFE_ANSWER_FAILED:
        break;
    }
    return *why->text ? escape_text(out, why->text, strlen(why->text)) : _("no answer in time");
}

static void uplink_on_tell(void *ctx, const struct life_action *a, const struct errmsg *why)
{
    struct uplink *u = ctx;
    struct client *c = u->client;
    char text[ESCAPE_BUF];
    bool again = a->tell.again; /* the same as before, and told */
    unsigned streams = session_streams(u->session);
    switch (a->tell.what) {
    case LIFE_TELL_SUSPECTED:
        if (a->tell.ms == 0)
            event_network_changed();
        else
            event_uplink_suspected(again, (double)a->tell.ms / 1000);
        break;
    case LIFE_TELL_RECOVERED:
        u->n_reasons = 0;
        log_debug("the server answers again");
        break;
    case LIFE_TELL_DETACHED:
        event_uplink_detached(
            again, end_text(text, a->tell.loss == LIFE_LOSS_SILENT ? END_SILENT : END_PEER, why),
            streams, (int)(a->tell.ms / 1000));
        break;
    case LIFE_TELL_RESUMED:
        u->n_reasons = 0;
        c->history.resumes++;
        path_good(&c->paths, &u->at);
        event_uplink_resumed(again, (double)a->tell.ms / 1000, streams);
        client_uplink_back(c, u);
        break;
    case LIFE_TELL_ATTEMPT:
        tell_reason(u, answer_text(a->tell.answer, why, text));
        break;
    case LIFE_TELL_MTU:
        event_uplink_mtu();
        break;
    case LIFE_TELL_IDLE_CUT:
        event_uplink_idle_cut((int)(a->tell.ms / 1000));
        break;
    case LIFE_TELL_DRAINING:
        event_uplink_draining(streams, (int)((a->tell.ms + 999) / 1000)); /* never up to 0 */
        break;
    case LIFE_TELL_CUT:
        event_uplink_cut(streams);
        break;
    }
}

static void uplink_on_closed(void *ctx, enum end_reason reason, const struct errmsg *why)
{
    struct uplink *u = ctx;
    struct client *c = u->client;
    u->session = NULL;
    if (u->has_nonce) {
        standing_resuming(&c->standing, u->nonce, false);
        if (reason == END_REPLACED || reason == END_DRAINED) /* END_PEER: a cut as well */
            standing_over(&c->standing, u->nonce);
    }
    uplink_over(u, reason, NULL, why);
}

/* ---- opening ---- */

static void uplink_on_secure(void *ctx)
{
    struct uplink *u = ctx;
    u->is_secure = true;
    CLIENT_WATCH(u->client, secure, u);
    event_tls_established(u->client->is_quiet);
}

/* Before the secret is sent: is that what this server used to ask for? */
static const char *uplink_on_server(void *ctx, bool is_v2, const uint8_t ca_key[TRANSPORT_CA_BYTES])
{
    struct uplink *u = ctx;
    struct client *c = u->client;
    memcpy(u->ca_key, ca_key, sizeof u->ca_key);
    if (!is_v2 && c->credential)
        return _("this server knows only the old protocol, which a client with a join string never "
                 "speaks: update gotunnel there");
    if (is_v2 || u->opt->common.legacy != LEGACY_AUTO)
        return NULL;
    bool is_long_enough = hello_secret_is_long_enough(u->opt->common.secret);
    if (pins_has(&c->pins, ca_key) && !is_long_enough) /* gotunnel/2 was not offered */
        return _(
            "the secret is too short for gotunnel/2, which this server has spoken before, and "
            "would be sent itself: take a longer one at both ends ('gotunnel genkey' makes one), "
            "or start with -legacy allow");
    if (pins_has(&c->pins, ca_key))
        return _(
            "this server knew gotunnel/2 before, and now only the old protocol, in which the "
            "secret itself is sent: somebody may pose as it; if it was replaced by an old one, "
            "start with -legacy allow");
    if (!c->fell_back && is_long_enough)
        event_legacy_fallback();
    c->fell_back = true;
    return NULL;
}

/* It has proved itself on gotunnel/2: from now on it has to. */
static void pin_server(struct uplink *u)
{
    struct client *c = u->client;
    struct errmsg why;
    if (u->opt->common.legacy == LEGACY_AUTO && pins_add(&c->pins, u->ca_key, &why) < 0)
        event_server_not_kept(why.text);
}

static void uplink_on_authenticated(void *ctx)
{
    struct uplink *u = ctx;
    u->is_authenticated = true;
    event_open_sent(u->client->is_quiet);
    log_debug("%s", opening_tls_info(u->opening));
}

static void uplink_on_open_sent(void *ctx, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    struct uplink *u = ctx;
    memcpy(u->nonce, nonce, sizeof u->nonce);
    u->has_nonce = true;
    standing_asked(&u->client->standing, nonce);
    event_open_sent(u->client->is_quiet);
    unanswered_begin(u);
}

/* A server that knows only the old wire has one port for a client. */
void uplink_tell_unserved(const struct uplink *u)
{
    const struct client *c = u->client;
    if (!u->session || session_has_services(u->session))
        return;
    for (uint32_t i = 1; i < c->opt->tunnels.count; i++)
        event_tunnel_unserved(c->opt->tunnels.at[i].name);
}

/* The legacy wire: the session and its port are one. */
static void log_old(const struct uplink *u, const char *message)
{
    const struct client *c = u->client;
    const struct tunnels *ts = &u->opt->tunnels;
    char text[ESCAPE_BUF], old[CONTROL_MESSAGE_BUF];
    event_tunnel_up();
    uplink_tell_unserved(u);
    if (control_success_get(message, old))
        event_open_accepted(escape_text(text, old, strlen(old)));
    else
        event_open_answered(escape_text(text, message, strlen(message)));
    event_tunnel_route(u->port, c->server.host,
                       ts->count > 0 ? ts->at[0].target : u->opt->local_target);
    event_tunnel_ready();
}

static void uplink_on_accepted(void *ctx, struct session *s, const char *message)
{
    static const struct session_ops ops = {
        .on_stream = uplink_on_stream,
        .on_line = uplink_on_line,
        .on_dial = uplink_on_dial,
        .on_dial_cancel = uplink_on_dial_cancel,
        .on_dial_hurry = uplink_on_dial_hurry,
        .on_address_failed = uplink_on_address_failed,
        .on_open_beside = uplink_on_open_beside,
        .on_tell = uplink_on_tell,
        .on_closed = uplink_on_closed,
    };
    struct uplink *u = ctx;
    struct client *c = u->client;
    unanswered_end(u);
    u->opening = NULL;
    u->session = s;
    u->state = UPLINK_LIVE;
    u->was_live = true;
    session_set_owner(s, &ops, u);
    path_good(&c->paths, &u->at);
    if (u->has_nonce) {
        standing_accepted(&c->standing, u->nonce);
        pin_server(u);
    }
    if (message) {
        u->port = control_message_port(message);
        log_old(u, message);
    }
    CLIENT_WATCH(c, accepted, u);
    client_uplink_up(c, u);
}

/* There is our own session, if it is being resumed. */
static void uplink_taken(struct uplink *u)
{
    struct client *c = u->client;
    path_good(&c->paths, &u->at);
    list_foreach (n, &c->uplinks) {
        struct uplink *o = LIST_ENTRY(n, struct uplink, node);
        if (o->session)
            session_taken(o->session);
    }
}

static void uplink_on_failed(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                             const struct errmsg *why)
{
    struct uplink *u = ctx;
    struct client *c = u->client;
    u->opening = NULL;
    if (refusal && u->has_nonce)
        standing_refused(&c->standing, u->nonce);
    if (refusal && refusal->error == HELLO_ERR_TAKEN)
        uplink_taken(u);
    else if (!refusal && reason != END_AUTH && reason != END_REFUSED)
        path_failed(&c->paths, &u->at);
    uplink_over(u, reason, refusal, why);
}

static void uplink_on_dialled(void *ctx, struct dial_result *r)
{
    static const struct opening_ops ops = {
        .on_secure = uplink_on_secure,
        .on_server = uplink_on_server,
        .on_authenticated = uplink_on_authenticated,
        .on_open_sent = uplink_on_open_sent,
        .on_accepted = uplink_on_accepted,
        .on_failed = uplink_on_failed,
    };
    struct uplink *u = ctx;
    struct client *c = u->client;
    struct errmsg why = {""};
    u->dial = NULL;
    if (r->err < 0)
        dial_text(&why, r, NULL);
    CLIENT_WATCH(c, dialled, r, why.text);
    if (r->err < 0) {
        uplink_over(u, END_PEER, NULL, &why);
        return;
    }
    u->at = r->address;
    u->state = UPLINK_OPENING;
    mtime_ms patience = (mtime_ms)TLS_MS << (c->tls_failures < 3 ? c->tls_failures : 3);
    patience += 4 * r->connect_ms;
    struct opening_config cfg = {
        .loop = &c->loop,
        .relays = &c->relays,
        .tls = c->tls,
        .secret = c->credential ? NULL : u->opt->common.secret,
        .credential = c->credential,
        .legacy_refused = u->opt->common.legacy == LEGACY_NEVER,
        .window_ms = (uint32_t)(u->opt->common.resume_window_ns / 1000000),
        .id = c->id,
        .port = u->opt->tunnels.count > 0 ? u->opt->tunnels.at[0].port : u->opt->remote_port,
        .handshake_ms = patience < TLS_MOST_MS ? patience : TLS_MOST_MS,
        .ops = &ops,
        .ctx = u,
    };
    standing_say(&c->standing, &cfg.take, &cfg.mine);
    int err = opening_new(&cfg, dial_take_fd(r), &u->opening);
    if (err < 0)
        uplink_over(u, END_LOCAL, NULL, &why);
}

static void uplink_on_resolved(void *ctx, const struct address *all, unsigned n)
{
    const struct uplink *u = ctx;
    CLIENT_WATCH(u->client, resolved, all, n);
}

/* ---- what the client asks for ---- */

struct uplink *uplink_new(struct client *c)
{
    struct uplink *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->client = c;
    u->options = snapshot_ref(c->options);
    u->opt = snapshot_client(u->options);
    loop_job_init(&u->reaper, uplink_reap);
    struct dial_config cfg = {.host = c->server.host,
                              .port = c->server.port,
                              .memory = &c->paths,
                              .patience_ms = CONNECT_MS,
                              .resolved = uplink_on_resolved,
                              .small_mss = c->tries_small,
                              .renew = true};
    u->is_small = c->tries_small;
    if (dial_start(&c->loop, &cfg, uplink_on_dialled, u, &u->dial) < 0) {
        uplink_reap(&u->reaper);
        return NULL;
    }
    list_push(&c->uplinks, &u->node);
    return u;
}

void uplink_close(struct uplink *u)
{
    if (u->session) {
        session_close(u->session, END_SHUTDOWN, NULL); /* goes on in uplink_on_closed() */
        return;
    }
    opening_close(u->opening);
    u->opening = NULL;
    uplink_over(u, END_SHUTDOWN, NULL, &(struct errmsg){""});
}

void uplink_stop(struct uplink *u, mtime_ms drain_ms)
{
    if (u->session)
        session_stop(u->session, drain_ms);
    else
        uplink_close(u);
}

void uplink_network_changed(struct uplink *u, bool woke)
{
    if (u->session)
        session_network_changed(u->session, woke);
    else if (u->dial)
        dial_hurry(u->dial, loop_now(&u->client->loop));
}

const char *uplink_state(const struct uplink *u)
{
    if (!u->session)
        return u->state == UPLINK_DIALLING ? _("connecting") : _("opening");
    return status_text(session_state(u->session), session_service(u->session),
                       _("broken, to be resumed"));
}

void uplink_tell(const struct uplink *u)
{
    const struct client *c = u->client;
    event_uplink_status(u->opt->server, *c->id ? c->id : "-", uplink_state(u),
                        u->session ? session_streams(u->session) : 0,
                        u->session ? session_received(u->session) : 0,
                        u->session ? session_sent(u->session) : 0);
}
