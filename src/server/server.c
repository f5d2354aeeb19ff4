/* SPDX-License-Identifier: MIT */
/*
 * The server's main thread: start-up, workers, the tunnel port, certificate renewal, and the
 * orderly end. What it decides about clients is in reception.c.
 *
 *   RUNNING --signal--> DRAINING --second signal, time, or nothing left--> ended
 *
 * Each step is a message to every worker, and the next one follows when all have answered.
 */
#include "server/server.h"

#include <limits.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "app/activation.h"
#include "app/address.h"
#include "app/cli.h"
#include "app/limits.h"
#include "app/notify_command.h"
#include "app/sandbox.h"
#include "app/secret.h"
#include "app/wire.h"
#include "base/event.h"
#include "server/banner.h"
#include "server/certs.h"
#include "server/clients.h"
#include "server/internal.h"

enum {
    RENEWAL_CHECK_MS = 3600 * 1000,
    PROXY_SHARE = 4,  /* of the gate's places a quarter, where balancers are trusted */
    PROXY_MS = 3000,  /* for a PROXY header; the time for the ClientHello begins behind it */
    TUNNEL_BATCH = 4, /* connections accepted in a turn: more wait in the kernel, not sessions */
    /* Who waits in the kernel for longer than a client is patient has left when his turn comes: so a late
       server would serve nobody. Beyond it clients send their SYN again, which costs it nothing. */
    TUNNEL_BACKLOG = 512,
    DEFER_ACCEPT_S = 5, /* the kernel keeps connections that say nothing to itself */
};

/* ---- the end ---- */

static void close_tunnel_port(struct server *srv)
{
    listener_close(srv->tunnel_port);
    proxy_gate_close(srv->proxy_gate);
    gate_close(srv->gate);
    srv->tunnel_port = NULL;
    srv->proxy_gate = NULL;
    srv->gate = NULL;
}

static void close_handles(struct server *srv)
{
    mailbox_close(&srv->in);
    uv_close((uv_handle_t *)&srv->renewal, NULL);
    notify_end(&srv->notify);
    reception_fini(srv);
    census_desk_close(&srv->census.desk);
    ctl_close(&srv->ctl);
    signals_fini(&srv->signals);
}

static void server_end(void *ctx)
{
    struct server *srv = ctx;
    if (srv->ended)
        return;
    srv->ended = true;
    notify_stopping(&srv->notify, 0);
    notify_end(&srv->notify); /* workers take no pings any more */
    close_tunnel_port(srv);
    srv->workers_working = srv->workers_count;
    for (unsigned i = 0; i < srv->workers_count; i++)
        mailbox_post(&srv->workers[i].in, &srv->workers[i].end);
    if (srv->workers_count == 0)
        close_handles(srv);
}

void server_worker_gone(struct server *srv)
{
    if (--srv->workers_working == 0)
        close_handles(srv);
}

static void server_drain(void *ctx)
{
    struct server *srv = ctx;
    if (srv->ended)
        return;
    srv->draining = true;
    notify_stopping(&srv->notify, srv->opt->common.drain_ns / 1000000);
    close_tunnel_port(srv);
    srv->workers_working = srv->workers_count;
    for (unsigned i = 0; i < srv->workers_count; i++)
        mailbox_post(&srv->workers[i].in, &srv->workers[i].stop_listening);
}

static void server_check_end(struct server *srv)
{
    bool busy = srv->workers_working > 0 || quota_used(&srv->connections) > 0;
    for (unsigned i = 0; i < srv->workers_count && !busy; i++)
        busy = srv->workers[i].sessions > 0; /* its last words may still be on their way */
    if (srv->draining && !busy)
        server_end(srv);
}

void server_worker_stopped(struct server *srv)
{
    if (srv->ended || --srv->workers_working > 0)
        return;
    uint32_t open = quota_used(&srv->connections);
    if (open == 0) {
        event_stopping();
        server_check_end(srv);
        return;
    }
    event_draining(open, signals_drain_seconds(&srv->signals));
}

/* The last connections of several workers end in any order: whoever is last finds none. */
void server_worker_empty(struct server *srv)
{
    server_check_end(srv);
}

void server_session_gone(struct server *srv)
{
    server_check_end(srv);
}

/* ---- status ---- */

static void server_status(void *ctx)
{
    struct server *srv = ctx;
    if (srv->ended || srv->workers_telling > 0)
        return; /* it is under way */
    srv->workers_telling = srv->workers_count;
    for (unsigned i = 0; i < srv->workers_count; i++)
        mailbox_post(&srv->workers[i].in, &srv->workers[i].status);
}

/* The totals, below the lines of all workers. */
void server_worker_told(struct server *srv)
{
    unsigned sessions = 0;
    uint64_t received = 0, sent = 0;
    if (--srv->workers_telling > 0)
        return;
    for (unsigned i = 0; i < srv->workers_count; i++) {
        sessions += srv->workers[i].trusted;
        received += srv->workers[i].received;
        sent += srv->workers[i].sent;
    }
    event_status_totals(sessions, quota_used(&srv->connections), quota_max(&srv->connections),
                        received, sent);
}

static void ask_reload(void *ctx, struct reload_result *ret)
{
    server_reload(ctx, ret);
}

static unsigned ask_connections(void *ctx)
{
    return quota_used(&((struct server *)ctx)->connections);
}

static const struct ctl_ops ctl_ops = {.reload = ask_reload,
                                       .connections = ask_connections,
                                       .client = server_client,
                                       .clients = server_clients,
                                       .census = server_census};

static void on_reload(void *ctx)
{
    struct reload_result result;
    server_reload(ctx, &result);
    reload_result_fini(&result);
}

/* ---- certificates ---- */

/* Where nobody connects for long: the file on disk stays fresh all the same, and so does who is
   known. */
static void on_renewal(uv_timer_t *t)
{
    certs_keep(t->data);
    reception_keep_known(t->data);
}

/* ---- start-up ---- */

static void on_tunnel(void *ctx, int fd, const struct sockaddr *peer)
{
    struct server *srv = ctx;
    if (srv->proxy_gate && reception_is_proxy(srv, peer))
        proxy_gate_enter(srv->proxy_gate, fd, peer);
    else
        gate_enter(srv->gate, fd, peer);
}

static void on_proxied(void *ctx, int fd, const struct sockaddr *peer)
{
    struct server *srv = ctx;
    gate_enter(srv->gate, fd, peer);
}

static void on_not_proxied(void *ctx, enum proxy_gate_end why, const struct sockaddr *balancer)
{
    reception_not_proxied(ctx, why, balancer);
}

static void on_hello(void *ctx, int fd, const struct sockaddr *peer, mtime_ms waited_ms)
{
    certs_keep(ctx);
    reception_accept(ctx, fd, peer, waited_ms);
}

static void on_gone(void *ctx, enum gate_end why, const struct sockaddr *peer)
{
    reception_gone(ctx, why, peer);
}

static bool is_known(void *ctx, const struct sockaddr *peer)
{
    return reception_knows(ctx, peer);
}

static bool may_pass(void *ctx, const struct sockaddr *peer)
{
    return reception_may_pass(ctx, peer);
}

static mtime_ms room_at(void *ctx, const char *source)
{
    return reception_room_at(ctx, source);
}

static void on_tunnel_pause(void *ctx, int err)
{
    (void)ctx;
    event_server_accept_paused(err_text(err));
}

/* At the socket that a service manager has handed over. */
static int adopt_for_tunnels(struct server *srv)
{
    static const struct listener_events events = {.on_accept = on_tunnel,
                                                  .on_pause = on_tunnel_pause};
    struct listener_config cfg = {.batch = TUNNEL_BATCH, .defer_accept_s = DEFER_ACCEPT_S};
    struct errmsg why;
    int err =
        listener_adopt(&srv->loop, srv->handed_fd, &cfg, &events, srv, &srv->tunnel_port, &why);
    if (err < 0)
        event_server_adopt_failed(why.text);
    return err;
}

static int listen_at(struct server *srv)
{
    static const struct listener_events events = {.on_accept = on_tunnel,
                                                  .on_pause = on_tunnel_pause};
    struct hostport at;
    struct errmsg why;
    int err = address_parse_listen(srv->opt->listen, &at, &why);
    if (err == 0) {
        struct listener_config cfg = {.host = at.host,
                                      .port = at.port,
                                      .batch = TUNNEL_BATCH,
                                      .backlog = TUNNEL_BACKLOG,
                                      .defer_accept_s = DEFER_ACCEPT_S};
        err = listener_open(&srv->loop, &cfg, &events, srv, &srv->tunnel_port, &why);
    }
    if (err < 0)
        event_server_listen_failed(srv->opt->listen, why.text);
    return err;
}

/* Who waits for a PROXY header and who waits at the gate share its places. */
static struct gate_config gate_limits(const struct server *srv)
{
    unsigned share = srv->opt->trusted_proxy.count > 0 ? srv->account.gate / PROXY_SHARE : 0;
    return (struct gate_config){.max = srv->account.gate - share,
                                .patience_ms = OPENING_AUTH_MS,
                                .rate = (uint32_t)srv->opt->handshakes.all,
                                .source_rate = (uint32_t)srv->opt->handshakes.source};
}

void server_limit_gates(struct server *srv)
{
    const struct gate_config cfg = gate_limits(srv);
    gate_limit(srv->gate, &cfg);
}

int server_open_proxy_gate(struct server *srv, struct proxy_gate **ret)
{
    static const struct proxy_gate_events events = {on_proxied, on_not_proxied};
    const struct proxy_gate_config cfg = {.max = srv->account.gate / PROXY_SHARE,
                                          .patience_ms = PROXY_MS};
    return proxy_gate_open(&srv->loop, &cfg, &events, srv, ret);
}

static int open_gates(struct server *srv)
{
    static const struct gate_events events = {on_hello, on_gone, is_known, may_pass, room_at};
    const struct gate_config cfg = gate_limits(srv);
    int err = gate_open(&srv->loop, &cfg, &events, srv, &srv->gate);
    if (err < 0 || srv->opt->trusted_proxy.count == 0)
        return err;
    return server_open_proxy_gate(srv, &srv->proxy_gate);
}

static int listen_for_tunnels(struct server *srv)
{
    int err = open_gates(srv);
    if (err < 0) {
        (void)cli_cannot_start(err); /* the caller knows the status */
        return err;
    }
    return srv->handed_fd >= 0 ? adopt_for_tunnels(srv) : listen_at(srv);
}

/* It may become ours later (a floating address), so this is only a warning. */
static void try_public_host(struct server *srv)
{
    static const struct listener_events events = {.on_accept = on_tunnel,
                                                  .on_pause = on_tunnel_pause};
    struct listener_config cfg = {.host = srv->public_host};
    struct listener *l;
    struct errmsg why;
    if (!*srv->public_host)
        return;
    if (listener_open(&srv->loop, &cfg, &events, srv, &l, &why) < 0)
        event_public_bind_absent(srv->public_host, why.text);
    else
        listener_close(l);
}

/* The file may allow any other port later; what a flag says stays. */
static bool may_change_ports(const struct server *srv)
{
    return *srv->opt->common.config && !snapshot_is_given(srv->options, "allow-ports");
}

/* Before there are threads, and after what takes a file, a name or a port of its own. */
static int enter_cage(struct server *srv)
{
    struct sandbox_config cage = {.choice = srv->opt->common.sandbox,
                                  .state = srv->opt->certs,
                                  .listens = true,
                                  .bind = may_change_ports(srv) ? NULL : &srv->opt->allow_ports};
    cage.control = *srv->ctl.path ? srv->ctl.path : NULL;
    reload_cage(srv->options, &cage);
    char clients[PATH_MAX];
    srv->has_clients = clients_place(srv->opt, clients);
    cage.lists = srv->has_clients ? clients : NULL;
    return sandbox_enter(&cage);
}

/* One after the other; those that run when one fails are ended by server_end(). */
static int start_workers(struct server *srv, unsigned count)
{
    struct errmsg why = {""};
    srv->workers = calloc(count, sizeof *srv->workers);
    int err = srv->workers ? 0 : errmsg_set(&why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    for (unsigned i = 0; i < count && err == 0; i++) {
        err = worker_start(&srv->workers[i], srv, i, count > 1 ? NULL : &srv->loop, &why);
        srv->workers_count += err == 0;
    }
    if (err < 0)
        event_worker_failed(srv->workers_count + 1, count, why.text);
    return err;
}

/* The main loop and what runs on it. */
static int begin(struct server *srv, uint64_t descriptors, unsigned workers)
{
    static const struct signals_ops ops = {
        .drain = server_drain, .end = server_end, .status = server_status, .reload = on_reload};
    bool enough = account_of_server(&srv->account, descriptors, workers > 1 ? workers + 1 : 1);
    sandbox_begin(srv->opt->common.sandbox);
    int err = enough ? loop_init(&srv->loop) : ERR_LIMIT;
    if (err < 0)
        goto no_loop;
    event_descriptor_limit(descriptors, account_users(&srv->account, 0));
    quota_init(&srv->connections, account_users(&srv->account, 0));
    err = mailbox_init(&srv->in, &srv->loop);
    if (err < 0)
        goto no_mailbox;
    err = reception_init(srv);
    if (err < 0)
        goto no_reception;
    err = signals_init(&srv->signals, &srv->loop, srv->opt->common.drain_ns / 1000000, &ops, srv);
    if (err < 0)
        goto no_stop;
    srv->memory = limits_memory(srv->opt->common.memory) / workers;
    list_init(&srv->agents);
    owners_init(srv);
    census_init(srv);
    uv_timer_init(&srv->loop.uv, &srv->renewal);
    srv->renewal.data = srv;
    uv_timer_start(&srv->renewal, on_renewal, RENEWAL_CHECK_MS, RENEWAL_CHECK_MS);
    return 0;

no_stop:
    reception_fini(srv);
no_reception:
    mailbox_close(&srv->in);
no_mailbox:
    loop_fini(&srv->loop);
no_loop:
    (void)cli_cannot_start(err); /* the caller knows the status */
    return err;
}

/* When the loop has ended, or never began. */
static void finish(struct server *srv)
{
    free(srv->workers);
    owners_fini(srv); /* the workers count in them */
    tcp_memory_close(&srv->tcp_memory);
    notify_fini(&srv->notify);
    verdicts_fini(&srv->verdicts);
    SSL_CTX_free(srv->tls);
    credentials_unref(srv->clients);
    pki_free(srv->identity);
}

/* Nobody is here yet. */
static int take_clients(struct server *srv)
{
    int err = clients_take(srv->opt, NULL, &srv->clients);
    if (err == 0 && srv->clients)
        (void)keys_use(srv, srv->clients, NULL); /* nobody is here yet */
    srv->clients = NULL;
    return err;
}

/* What needs rights that the cage takes, when the port is ours. */
static int prepare(struct server *srv)
{
    int err = ctl_bind(&srv->ctl, &srv->opt->common);
    if (err == 0 && srv->guide)
        err = srv->guide->on_listening(srv->guide_ctx, listener_address(srv->tunnel_port),
                                       listener_port(srv->tunnel_port));
    return err == 0 ? take_clients(srv) : err;
}

static void tell_ready(struct server *srv)
{
    event_server_ready(listener_address(srv->tunnel_port));
    wire_warn(&srv->opt->common);
    secret_warn(&srv->opt->common);
    if (!*srv->opt->common.secret)
        event_clients_only();
    if (!srv->guide)
        banner_print(srv);
}

static int run(struct server *srv, unsigned workers)
{
    int result = EXIT_STATUS_OK;
    int err = listen_for_tunnels(srv);
    if (err == 0) {
        try_public_host(srv);
        err = prepare(srv);
    }
    if (err == 0) {
        tcp_memory_open(&srv->tcp_memory, TCP_MEMORY_FILE);
        err = enter_cage(srv);
    }
    if (err == 0)
        err = start_workers(srv, workers);
    if (err < 0) {
        result = cli_failed(err);
        server_end(srv);
    } else {
        tell_ready(srv);
        ctl_begin(&srv->ctl, &srv->loop, server_mode.name, &srv->signals, &ctl_ops, srv);
        watchdog_begin(srv);
        if (srv->guide)
            srv->guide->on_ready(srv->guide_ctx);
    }
    loop_run(&srv->loop);
    loop_fini(&srv->loop);
    for (unsigned i = 0; i < srv->workers_count; i++)
        worker_fini(&srv->workers[i]);
    mailbox_fini(&srv->in);
    return result;
}

static int server_serve(struct server *srv)
{
    const struct common_options *opt = &srv->opt->common;
    struct errmsg why;
    if (address_parse_ip(srv->opt->public_bind, srv->public_host, &why) < 0) {
        event_public_bind_malformed(srv->opt->public_bind, why.text);
        return cli_hopeless(EXIT_STATUS_USAGE);
    }
    if (activation_take(&srv->handed_fd, &why) < 0) {
        event_server_adopt_failed(why.text);
        return cli_hopeless(EXIT_STATUS_FAILED);
    }
    if (wire_choose(opt, &srv->alpn) < 0)
        return cli_hopeless(EXIT_STATUS_USAGE);
    uint64_t descriptors = limits_raise();
    unsigned workers = limits_threads(opt->threads, descriptors);
    int err = certs_load(srv);
    if (err ==
        0) /* before sandbox_begin(), or its commands would have no_new_privs and a filter, too */
        err = notify_command_begin(opt, "server", srv->opt->certs);
    if (err < 0)
        return cli_failed(err);
    if (begin(srv, descriptors, workers) < 0)
        return EXIT_STATUS_FAILED;
    return run(srv, workers);
}

int server_main(struct snapshot *options, const struct server_guide *guide, void *ctx)
{
    struct server *srv =
        calloc(1, sizeof *srv); /* 200 KB of it are accounts (proto/session/waiting) */
    if (!srv)
        return cli_cannot_start(ERR_NOMEM);
    srv->options = snapshot_ref(options);
    srv->opt = snapshot_server(options);
    srv->guide = guide;
    srv->guide_ctx = ctx;
    notify_init(&srv->notify);
    int result = server_serve(srv);
    finish(srv);
    snapshot_unref(srv->options);
    free(srv);
    return result;
}
