/* SPDX-License-Identifier: MIT */
/* The server: start-up, the tunnel port, certificate renewal, and the orderly end. */
#include "server/server.h"

#include <openssl/ssl.h>
#include <string.h>
#include <time.h>

#include "app/address.h"
#include "app/cli.h"
#include "app/limits.h"
#include "base/i18n.h"
#include "base/log.h"
#include "net/tls_ctx.h"
#include "server/internal.h"

enum {
    RENEWAL_CHECK_MS = 3600 * 1000,
    DEFER_ACCEPT_S = 5, /* the kernel keeps connections that say nothing to itself */
};

/* ---- the end ---- */

static void close_handles(struct server *srv)
{
    relays_cut_orphans(&srv->relays);
    relays_fini(&srv->relays);
    listener_close(srv->tunnel_port);
    srv->tunnel_port = NULL;
    uv_close((uv_handle_t *)&srv->renewal, NULL);
    stop_fini(&srv->stop);
}

void server_agents_gone(struct server *srv)
{
    if (srv->ended)
        close_handles(srv);
}

static void end(void *ctx)
{
    struct server *srv = ctx;
    if (srv->ended)
        return;
    srv->ended = true;
    agents_close(srv);
}

static void drain(void *ctx)
{
    struct server *srv = ctx;
    listener_close(srv->tunnel_port);
    srv->tunnel_port = NULL;
    agents_stop_listening(srv);
    if (srv->relays.count == 0) {
        log_info(_("stopping"));
        end(srv);
        return;
    }
    log_info(
        _("stopping: %u connections may finish, for up to %d seconds; a second signal ends now"),
        srv->relays.count, STOP_DRAIN_MS / 1000);
}

static void on_empty(void *ctx)
{
    struct server *srv = ctx;
    if (stop_asked(&srv->stop))
        end(srv);
}

static void on_room(void *ctx)
{
    struct server *srv = ctx;
    if (!stop_asked(&srv->stop))
        agents_pause(srv, false);
}

/* ---- certificates ---- */

static int load_identity(struct server *srv)
{
    struct errmsg why = {""};
    enum pki_outcome outcome;
    int err = tls_library_check(&why);
    if (err == 0)
        err = pki_open(srv->opt->certs, time(NULL), &srv->identity, &outcome, &why);
    if (err == 0)
        err = tls_server_ctx_new(pki_cert(srv->identity), pki_key(srv->identity), &srv->tls, &why);
    if (err < 0) {
        log_error(_("cannot set up TLS: %s"), why.text);
        return err;
    }
    switch (outcome) {
    case PKI_CREATED:
        log_info(_("no CA certificate found, making a new CA and server certificate..."));
        log_info(_("the new certificates are made."));
        break;
    case PKI_LOADED:
        log_info(_("existing certificates found, loading them."));
        break;
    case PKI_RENEWED:
        log_info(_("existing certificates found, loading them."));
        log_info(_("the server certificate was renewed."));
        break;
    }
    if (*why.text)
        log_warn("%s", why.text);
    return 0;
}

/* A server runs for years: its certificate is renewed while it does. Sessions keep theirs. */
static void on_renewal(uv_timer_t *t)
{
    struct server *srv = t->data;
    struct errmsg why = {""};
    SSL_CTX *tls;
    if (!pki_renew_due(srv->identity, time(NULL)))
        return;
    if (pki_renew(srv->identity, time(NULL), &why) < 0 ||
        tls_server_ctx_new(pki_cert(srv->identity), pki_key(srv->identity), &tls, &why) < 0) {
        log_error(_("the server certificate cannot be renewed: %s"), why.text);
        return;
    }
    SSL_CTX_free(srv->tls);
    srv->tls = tls;
    log_info(_("the server certificate was renewed."));
    if (*why.text)
        log_warn("%s", why.text); /* it could not be saved */
}

/* ---- start-up ---- */

static void on_tunnel(void *ctx, int fd, const struct sockaddr *peer)
{
    agent_accept(ctx, fd, peer);
}

static void on_tunnel_pause(void *ctx, int err)
{
    (void)ctx;
    log_warn(_("accepting TLS connections failed: %s"), err_text(err));
}

static int listen_for_tunnels(struct server *srv)
{
    static const struct listener_events events = {on_tunnel, on_tunnel_pause};
    struct hostport at;
    struct errmsg why;
    int err = address_parse_listen(srv->opt->listen, &at, &why);
    if (err == 0) {
        struct listener_config cfg = {
            .host = at.host, .port = at.port, .defer_accept_s = DEFER_ACCEPT_S};
        err = listener_open(&srv->loop, &cfg, &events, srv, &srv->tunnel_port, &why);
    }
    if (err < 0)
        log_error(_("cannot listen on TLS address %s: %s"), srv->opt->listen, why.text);
    return err;
}

static int begin(struct server *srv)
{
    uint32_t most = limits_apply();
    int err = most == 0 ? ERR_LIMIT : loop_init(&srv->loop);
    if (err < 0)
        goto no_loop;
    err = relays_init(&srv->relays, &srv->loop, most);
    if (err < 0)
        goto no_relays;
    err = ratelimit_init(&srv->guesses);
    if (err == 0)
        err = stop_init(&srv->stop, &srv->loop, drain, end, srv);
    if (err < 0)
        goto no_stop;
    srv->relays.on_empty = on_empty;
    srv->relays.on_room = on_room;
    srv->relays.ctx = srv;
    list_init(&srv->agents);
    admission_init(&srv->admission);
    uv_timer_init(&srv->loop.uv, &srv->renewal);
    srv->renewal.data = srv;
    uv_timer_start(&srv->renewal, on_renewal, RENEWAL_CHECK_MS, RENEWAL_CHECK_MS);
    return 0;

no_stop:
    relays_fini(&srv->relays);
no_relays:
    loop_fini(&srv->loop);
no_loop:
    (void)cli_cannot_start(err); /* the caller knows the status */
    return err;
}

static void finish(struct server *srv)
{
    ratelimit_fini(&srv->guesses);
    SSL_CTX_free(srv->tls);
    pki_free(srv->identity);
}

int server_main(const struct server_options *opt)
{
    struct server srv = {.opt = opt};
    int status = EXIT_STATUS_OK;
    if (load_identity(&srv) < 0 || begin(&srv) < 0) {
        finish(&srv);
        return EXIT_STATUS_FAILED;
    }
    if (listen_for_tunnels(&srv) < 0) {
        status = EXIT_STATUS_FAILED;
        end(&srv);
    } else {
        log_info(_("server mode: the tunnel listens on %s"), listener_address(srv.tunnel_port));
        banner_print(&srv);
    }
    loop_run(&srv.loop);
    loop_fini(&srv.loop);
    finish(&srv);
    return status;
}
