/* SPDX-License-Identifier: MIT */
/*
 * The client: one supervisor of uplinks.
 *
 *   no session --open--> current --lost--> no session --time--> open ...
 *                          |
 *                          +--drains, unknown--> kept beside; the next one at once
 *
 * It comes back for ever; how soon is the backoff's business (proto/backoff.h), which is told why
 * the last attempt came to nothing.
 */
#include "client/client.h"

#include <limits.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "app/address.h"
#include "app/background.h"
#include "app/cli.h"
#include "app/join.h"
#include "app/limits.h"
#include "app/notify_command.h"
#include "app/sandbox.h"
#include "app/secret.h"
#include "app/wire.h"
#include "base/escape.h"
#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "base/trust_path.h"
#include "client/identity.h"
#include "client/internal.h"
#include "client/state.h"
#include "net/dialer.h"
#include "net/sock.h"
#include "tunnel/relay.h"

/* ---- the end ---- */

static void client_close_handles(struct client *c)
{
    relays_cut_orphans(&c->relays);
    relays_fini(&c->relays);
    netwatch_stop(&c->network);
    notify_end(&c->notify);
    uv_close((uv_handle_t *)&c->retry, NULL);
    tunnels_close_timer(c);
    unanswered_close(c);
    if (c->watch)
        c->watch->ended(c->watch_ctx);
    census_desk_close(&c->desk);
    ctl_close(&c->ctl);
    signals_fini(&c->signals);
}

/* Calls fn for each uplink, which may leave the list by that. */
static void for_each_uplink(struct client *c, void (*fn)(struct uplink *u, mtime_ms arg),
                            mtime_ms arg)
{
    struct list all;
    list_init(&all);
    list_splice(&all, &c->uplinks);
    for (struct list *n; (n = list_first(&all));) {
        list_move(&c->uplinks, n);
        fn(LIST_ENTRY(n, struct uplink, node), arg);
    }
}

static void close_one(struct uplink *u, mtime_ms arg)
{
    (void)arg;
    uplink_close(u);
}

/* Asked by a signal, or as -once says. */
static bool stops(const struct client *c)
{
    return c->ended || signals_stop_asked(&c->signals);
}

/* Everything is over once the last uplink has said so. */
static void client_check_end(struct client *c)
{
    if (!stops(c) || !list_empty(&c->uplinks) || c->closing)
        return;
    if (c->ended || c->relays.count == 0) {
        c->closing = true;
        client_close_handles(c);
    }
}

void client_end(void *ctx)
{
    struct client *c = ctx;
    if (c->ended)
        return;
    c->ended = true;
    notify_stopping(&c->notify, 0);
    uv_timer_stop(&c->retry);
    for_each_uplink(c, close_one, 0);
    client_check_end(c);
}

static void client_drain(void *ctx)
{
    struct client *c = ctx;
    mtime_ms drain_ms = c->opt->common.drain_ns / 1000000;
    uint32_t streams = c->relays.count;
    if (streams == 0)
        event_stopping();
    else
        event_draining(streams, signals_drain_seconds(&c->signals));
    notify_stopping(&c->notify, drain_ms);
    uv_timer_stop(&c->retry);
    c->current = NULL;
    tunnels_session_down(c);
    for_each_uplink(c, uplink_stop, drain_ms);
    client_check_end(c);
}

static void client_on_relays_empty(void *ctx)
{
    client_check_end(ctx);
}

/* ---- the next session ---- */

static void client_retry(struct client *c, enum backoff_kind kind);

static void client_open(struct client *c)
{
    if (stops(c) || c->current)
        return;
    c->is_quiet = c->rejections > 0;
    event_connecting(c->is_quiet, c->opt->server);
    c->current = uplink_new(c);
    if (!c->current)
        client_retry(c, BACKOFF_OUTAGE);
}

static void stop_if_back(const struct client *c, const struct uplink *u);

static void client_on_retry(uv_timer_t *t)
{
    struct client *c = t->data;
    client_open(c);
    list_foreach (n, &c->uplinks)
        stop_if_back(c, LIST_ENTRY(n, struct uplink, node));
}

static void client_wait(struct client *c, mtime_ms wait)
{
    event_retry_planned(c->is_quiet, (double)wait / 1000);
    uv_timer_start(&c->retry, client_on_retry, (uint64_t)wait, 0);
}

static void client_retry(struct client *c, enum backoff_kind kind)
{
    client_wait(c, backoff_next(&c->backoff, kind, loop_now(&c->loop), &c->rng));
}

/* The server is there. Not from inside the call of a session, or of its uplink. */
static void client_open_at_once(struct client *c)
{
    mtime_ms wait = backoff_at_once(&c->backoff, loop_now(&c->loop), &c->rng);
    if (wait > 0)
        client_wait(c, wait);
    else
        uv_timer_start(&c->retry, client_on_retry, 0, 0);
}

/* True while a session of ours still ends beside: its port is, or will be, free at its server. */
static bool one_ends_beside(const struct client *c)
{
    return !list_empty(&c->uplinks);
}

/* How soon to ask again. */
enum backoff_kind client_backoff_kind(const struct client *c, enum end_reason reason,
                                      const struct hello_answer *refusal)
{
    if (c->rejections > 0)
        return BACKOFF_SECRET;
    if (reason == END_REFUSED && refusal && refusal->error == HELLO_ERR_TAKEN)
        return one_ends_beside(c) ? BACKOFF_HELD : BACKOFF_TAKEN;
    if (reason == END_REFUSED && c->was_up) /* an old server may hold the port for a minute */
        return BACKOFF_HELD;
    enum backoff_kind kind = client_end_outcome(reason).wait;
    return kind == BACKOFF_OUTAGE && one_ends_beside(c) ? BACKOFF_BESIDE : kind;
}

void client_note_refusal(struct client *c, unsigned long long times, const char *words)
{
    (void)errmsg_set(&c->trouble, 0,
                     P_("the server refuses (%llu time so far): %s",
                        "the server refuses (%llu times so far): %s", times),
                     times, words);
}

/* For the service manager, until a session is up. A wrong secret stays wrong while we are put off. */
static void note_trouble(struct client *c, enum end_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    const char *words = end_text(text, reason, why);
    unsigned long long times = 0;
    if (c->rejections > 0 && reason != END_AUTH)
        return;
    if (reason == END_AUTH)
        times = event_count(EVENT_auth_refused);
    else if (reason == END_REFUSED)
        times = event_count(EVENT_open_refused);
    if (times > 0)
        client_note_refusal(c, times, words);
    else
        (void)errmsg_set(&c->trouble, 0, _("no tunnel: %s"), words);
    client_tell_manager(c);
}

/* The line for the end of what was to serve, by how far it had come. */
static void log_loss(const struct uplink *u, enum end_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    const char *words = end_text(text, reason, why);
    CLIENT_WATCH(u->client, lost, u, reason, words);
    if (reason == END_AUTH)
        client_tell_rejection(u->client, words);
    else if (u->client->rejections > 0)
        log_debug("after a rejection: %s", words);
    else if (reason == END_REFUSED)
        event_open_refused(false, words);
    else if (reason == END_CERT || reason == END_CERT_TIME)
        event_tls_untrusted(words);
    else if (reason == END_REPLACED)
        event_uplink_replaced(words);
    else if (u->was_live) {
        event_uplink_broken(words);
        event_uplink_lost();
    } else if (u->is_authenticated)
        event_open_broken(words);
    else if (u->is_secure)
        event_auth_broken(words);
    else if (u->at.family == ADDRESS_NONE)
        event_server_unreachable(words);
    else
        event_tls_failed(words);
}

/* A session that was given up for new users, and is back, drains: the current one serves them. */
static void stop_if_back(const struct client *c, const struct uplink *u)
{
    if (u != c->current && u->session && session_service(u->session) == LIFE_SERVING &&
        session_state(u->session) == LIFE_UP)
        session_stop(u->session, c->opt->common.drain_ns / 1000000);
}

void client_uplink_back(struct client *c, struct uplink *u)
{
    if (c->current == u || stops(c) || session_service(u->session) != LIFE_SERVING)
        return;
    if ((c->current && c->current->session) || c->asked != u) {
        uv_timer_start(&c->retry, client_on_retry, 0, 0); /* not from inside the session's call */
        return;
    }
    struct uplink *idle = c->current;
    c->current = u;
    uv_timer_stop(&c->retry);
    standing_resuming(&c->standing, u->nonce, false);
    if (idle)
        uplink_close(idle);
}

void client_uplink_up(struct client *c, struct uplink *u)
{
    list_foreach (n, &c->uplinks)
        stop_if_back(c, LIST_ENTRY(n, struct uplink, node));
    c->tls_failures = 0;
    c->rejections = 0;
    c->was_up = true;
    *c->trouble.text = '\0';
    backoff_up(&c->backoff, loop_now(&c->loop));
    if (session_has_services(u->session)) {
        tunnels_session_up(c, u);
        client_tell_manager(c);
        return;
    }
    char address[CLIENT_ADDRESS_MAX], line[CLIENT_ADDRESS_MAX + 1];
    client_public_address(address, c, u->port);
    (void)snprintf(line, sizeof line, "%s\n", address);
    client_tunnel_opened(c);
    client_tell_script(c, line);
}

/* The oldest of the others ends when there are UPLINKS_MAX. */
static void client_make_room(struct client *c, const struct uplink *u)
{
    struct uplink *oldest = NULL;
    unsigned count = 0;
    list_foreach (n, &c->uplinks) {
        struct uplink *o = LIST_ENTRY(n, struct uplink, node);
        count++;
        if (!oldest && o != u)
            oldest = o;
    }
    if (count >= UPLINKS_MAX)
        uplink_close(oldest);
}

void client_open_beside(struct client *c, struct uplink *u)
{
    if (c->current != u || stops(c))
        return;
    c->current = NULL;
    if (session_service(u->session) != LIFE_SERVING) /* else it may come back with its tunnels */
        tunnels_session_down(c);
    backoff_down(&c->backoff, loop_now(&c->loop));
    client_make_room(c, u);
    client_open_at_once(c);
}

/* Small packets have come through, and then nothing: larger ones may get lost on the way. */
static bool is_about_size(const struct uplink *u, enum end_reason reason)
{
    return u->at.family != ADDRESS_NONE && !u->was_live && !u->is_secure &&
           (reason == END_DEADLINE || reason == END_SILENT);
}

void client_uplink_over(struct client *c, struct uplink *u, enum end_reason reason,
                        const struct hello_answer *refusal, const struct errmsg *why)
{
    bool was_current = c->current == u;
    client_note_end(c, u, reason, refusal);
    if (was_current)
        c->current = NULL;
    if (c->asked == u)
        tunnels_session_down(c);
    if (stops(c)) {
        client_check_end(c);
        return;
    }
    if (!was_current) {
        char text[ESCAPE_BUF];
        event_uplink_beside_over(end_text(text, reason, why));
        return;
    }
    if (!u->was_live && !u->is_secure)
        c->tls_failures++;
    c->tries_small = !c->tries_small && is_about_size(u, reason);
    backoff_down(&c->backoff, loop_now(&c->loop));
    client_note_rejection(c, u, reason);
    log_loss(u, reason, why);
    note_trouble(c, reason, why);
    if (client_once_is_over(c, reason))
        client_end(c);
    else if (reason == END_UNKNOWN)
        client_open_at_once(c);
    else
        client_retry(c, client_backoff_kind(c, reason, refusal));
}

static void client_on_network_change(void *ctx, bool woke)
{
    struct client *c = ctx;
    log_debug("the network has changed");
    list_foreach (n, &c->uplinks)
        uplink_network_changed(LIST_ENTRY(n, struct uplink, node), woke);
}

/* ---- services ---- */

static void client_drop_services(struct client *c)
{
    for (struct list *n; (n = list_first(&c->services));)
        service_free(LIST_ENTRY(n, struct service, node));
}

void client_tunnel_opened(struct client *c)
{
    c->was_open = true;
    *c->trouble.text = '\0';
    client_tell_manager(c);
    notify_ready(&c->notify);
}

bool client_tunnel_refused(struct client *c)
{
    if (c->was_open || !c->opt->common.once || !tunnels_all_refused(c) || client_is_visit(c))
        return false;
    c->status = EXIT_STATUS_REJECTED;
    event_once_over(c->status);
    client_end(c);
    return true;
}

/* ---- start-up ---- */

/* What can never succeed fails here, before anything is running. */
static int prepare(struct client *c)
{
    struct errmsg why;
    char state[PATH_MAX];
    if (state_path(state))
        trust_become_owner(state);
    if (address_parse(c->opt->server, &c->server, &why) < 0) {
        event_server_malformed(c->opt->server, why.text);
        return cli_hopeless(EXIT_STATUS_FAILED);
    }
    if (target_read(c->opt, c->opt->local_target, &c->local, &why) < 0) {
        event_target_malformed(c->opt->local_target, why.text);
        return cli_hopeless(EXIT_STATUS_FAILED);
    }
    if (tunnels_prepare(c) < 0)
        return cli_hopeless(EXIT_STATUS_FAILED);
    if (c->opt->remote_port < 0 || c->opt->remote_port > 65535) {
        event_port_out_of_range(c->opt->remote_port);
        return cli_hopeless(EXIT_STATUS_FAILED);
    }
    if (wire_choose(&c->opt->common, &c->alpn) < 0)
        return cli_hopeless(EXIT_STATUS_USAGE);
    /* The legacy wire has no ids; but one that was given must be one. */
    int err = c->alpn || *c->opt->id ? identity_get(c->id, c->opt, &why) : 0;
    if (err < 0) {
        event_id_failed(why.text);
        return err == ERR_INVAL ? cli_hopeless(EXIT_STATUS_USAGE) : cli_failed(err);
    }
    if (client_is_visit(c) && (err = identity_of_visit(c->id, c->opt, &why)) < 0) {
        event_id_failed(why.text);
        return cli_failed(err);
    }
    err = client_trust(c, &why);
    if (err < 0) {
        event_client_tls_failed(why.text);
        return cli_failed(err);
    }
    return EXIT_STATUS_OK;
}

static bool is_name(const struct hostport *at)
{
    return !sock_numeric(at->host, at->port, &(struct address){0});
}

/* Before there are threads. What takes a file of its own is done. */
static int enter_cage(const struct client *c)
{
    char state[PATH_MAX];
    bool any = client_may_change_target(c);
    struct sandbox_config cage = {.choice = c->opt->common.sandbox,
                                  .state = state_path(state) ? state : NULL,
                                  .resolves = any || is_name(&c->server),
                                  .dials = {c->server.port},
                                  .dials_count = 1,
                                  .dials_any = any || c->watch, /* who tries public ports */
                                  .dials_unix = any || client_is_visit(c)};
    struct destinations *const *targets = c->opt->tunnels.count > 0 ? c->targets : &c->local;
    unsigned count = c->opt->tunnels.count > 0 ? c->opt->tunnels.count : 1;
    for (unsigned i = 0; i < count; i++)
        target_cage(targets[i], &cage);
    cage.pairs = c->watch; /* who visits himself */
    cage.control = *c->ctl.path ? c->ctl.path : NULL;
    reload_cage(c->options, &cage);
    int err = client_is_visit(c) ? 0 : notify_command_begin(&c->opt->common, "client", cage.state);
    return err < 0 ? err : sandbox_enter(&cage);
}

/* What comes before the cage, and that. */
static int confine(struct client *c)
{
    uint64_t descriptors = limits_raise();
    if (!account_of_client(&c->account, descriptors))
        return cli_cannot_start(ERR_LIMIT);
    event_descriptor_limit(descriptors, c->account.connections);
    int err = client_is_visit(c) ? 0 : ctl_bind(&c->ctl, &c->opt->common);
    if (err < 0)
        return cli_failed(err);
    tcp_memory_open(&c->tcp_memory, TCP_MEMORY_FILE);
    if (enter_cage(c) == 0)
        return EXIT_STATUS_OK;
    ctl_close(&c->ctl);
    return EXIT_STATUS_FAILED; /* it has said why */
}

static int begin(struct client *c)
{
    static const struct signals_ops ops = {.drain = client_drain,
                                           .end = client_end,
                                           .status = client_status,
                                           .reload = client_on_reload};
    uint64_t memory = limits_memory(c->opt->common.memory);
    int status = confine(c);
    if (status != EXIT_STATUS_OK)
        return status;
    int err = loop_init(&c->loop);
    if (err < 0)
        goto no_loop;
    quota_init(&c->connections, c->account.connections);
    list_init(&c->uplinks);
    list_init(&c->services);
    list_init(&c->tunnels);
    list_init(&c->leaving);
    list_init(&c->dials.hungry);
    c->dials.max = c->account.dials;
    standing_init(&c->standing);
    err = relays_init(&c->relays, &c->loop, &c->connections);
    if (err < 0)
        goto no_relays;
    relays_memory(&c->relays, memory, &c->tcp_memory);
    rng_system(&c->rng);
    err = tunnels_begin(c);
    if (err < 0)
        goto no_stop;
    err = signals_init(&c->signals, &c->loop, c->opt->common.drain_ns / 1000000, &ops, c);
    if (err < 0)
        goto no_stop;
    c->relays.on_empty = client_on_relays_empty;
    c->relays.ctx = c;
    uv_timer_init(&c->loop.uv, &c->retry);
    c->retry.data = c;
    tunnels_init_timer(c);
    unanswered_init(c);
    backoff_init(&c->backoff, c->opt->max_retry_ns / 1000000);
    if (c->opt->max_retry_ns / 1000000 < BACKOFF_MAX_FLOOR_MS)
        event_retry_too_short();
    if (c->opt->common.threads > 1)
        event_threads_unused(c->opt->common.threads);
    client_census_init(c);
    netwatch_start(&c->network, &c->loop, client_on_network_change, c);
    notify_begin(&c->notify, &c->loop, client_on_beat, c);
    return EXIT_STATUS_OK;

no_stop:
    tunnels_free(c);
    client_drop_services(c);
    relays_fini(&c->relays);
no_relays:
    loop_fini(&c->loop);
no_loop:
    ctl_close(&c->ctl);
    return cli_cannot_start(err);
}

static int run(struct client *c)
{
    event_client_start(c->opt->server);
    if (c->opt->tunnels.count == 0)
        event_client_forwards(c->opt->remote_port, c->opt->local_target);
    for (uint32_t i = 0; i < c->opt->tunnels.count; i++)
        event_client_forwards(c->opt->tunnels.at[i].port, c->opt->tunnels.at[i].target);
    client_tell_trust(c);
    wire_warn(&c->opt->common);
    secret_warn(&c->opt->common);
    join_warn(c->opt);
    CLIENT_WATCH(c, begun, c);
    ctl_begin(&c->ctl, &c->loop, client_mode.name, &c->signals, &client_ctl_ops, c);
    client_open(c);
    loop_run(&c->loop);
    tunnels_free(c);
    client_drop_services(c);
    loop_fini(&c->loop);
    return c->status;
}

int client_main(struct snapshot *options)
{
    return client_main_watched(options, NULL, NULL);
}

int client_main_watched(struct snapshot *options, const struct client_watch *watch, void *ctx)
{
    struct client c = {.options = snapshot_ref(options),
                       .watch = watch,
                       .watch_ctx = ctx,
                       .opt = snapshot_client(options),
                       .pins = {.fd = -1},
                       .script_fd = -1};
    if (client_is_visit(&c))
        notify_init_silent(&c.notify);
    else
        notify_init(&c.notify);
    int err = c.opt->common.wait ? background_begin(&c.script_fd) : 0; /* no thread yet, no file */
    int status = err < 0 ? cli_cannot_start(err) : prepare(&c);
    if (status == EXIT_STATUS_OK && c.opt->common.legacy == LEGACY_AUTO)
        pins_init(&c.pins); /* a file: before the cage */
    if (status == EXIT_STATUS_OK && (status = begin(&c)) == EXIT_STATUS_OK)
        status = run(&c);
    targets_drop(&c);
    tcp_memory_close(&c.tcp_memory);
    pins_fini(&c.pins);
    SSL_CTX_free(c.tls);
    secure_zero(&c.own, sizeof c.own);
    notify_fini(&c.notify);
    snapshot_unref(c.options);
    return status;
}
