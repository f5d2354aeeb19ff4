/* SPDX-License-Identifier: MIT */
/*
 * The client: one supervisor.
 *
 *   DIALLING --TCP--> LINKED --up--> serving --lost--> WAITING --time--> DIALLING ...
 *
 * It reconnects for ever; how soon is the backoff's business (proto/backoff.h), which is told
 * whether the server could not be reached or has rejected the client.
 */
#include "client/client.h"

#include <openssl/ssl.h>
#include <string.h>

#include "app/address.h"
#include "app/cli.h"
#include "app/limits.h"
#include "app/signals.h"
#include "app/wire.h"
#include "base/escape.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/quota.h"
#include "client/identity.h"
#include "client/target.h"
#include "conf/hostport.h"
#include "conf/options.h"
#include "net/dialer.h"
#include "net/netwatch.h"
#include "net/tls_ctx.h"
#include "proto/backoff.h"
#include "proto/smux/session.h"
#include "tunnel/link.h"

enum {
    CONNECT_MS = 10000,   /* TCP and TLS together, as the original */
    RESUME_FIRST_MS = 50, /* the first wait between two attempts, doubled each time ... */
    LAST_START_MS =
        100, /* TCP, TLS and the answer, and four round trips: the last attempt is made so
                             long before the window ends */
    RESUME_MOST_MS = 1000, /* ... up to this: how late a heal is noticed at most */
};

/* How far the connection has come. */
enum stage {
    STAGE_TLS,     /* TCP stands */
    STAGE_AUTH,    /* TLS stands */
    STAGE_CONTROL, /* the secret was accepted */
    STAGE_UP,      /* the port was given */
};

struct client {
    const struct client_options *opt;
    struct hostport server, local;
    struct loop loop;
    struct quota connections;
    struct relays relays;
    struct target target;
    struct netwatch network;
    struct signals signals;
    struct backoff backoff;
    struct rng rng;
    uv_timer_t retry;
    char id[HELLO_ID_MAX + 1];
    struct path_memory path;   /* which of the server's addresses are good */
    struct address session_at; /* where the session is: tried whatever the name says */
    struct address trying;     /* where the connection of the present attempt leads */
    mtime_ms last_start;  /* when a resume can still succeed before the window is over; 0: none */
    mtime_ms resume_wait; /* before the next attempt to resume */
    SSL_CTX *tls;
    struct dial *dial;
    struct link *link;
    enum stage stage;
    mtime_ms dialled_at;
    bool ended;
};

static void dial_server(struct client *c);
static void dial_again(struct client *c);

/* ---- the end ---- */

static void close_handles(struct client *c)
{
    relays_cut_orphans(&c->relays);
    relays_fini(&c->relays);
    netwatch_stop(&c->network);
    uv_close((uv_handle_t *)&c->retry, NULL);
    signals_fini(&c->signals);
}

static void client_end(void *ctx)
{
    struct client *c = ctx;
    if (c->ended)
        return;
    c->ended = true;
    dial_cancel(c->dial);
    c->dial = NULL;
    if (c->link)
        link_close(c->link, LINK_END_SHUTDOWN, NULL); /* goes on in on_closed() */
    else
        close_handles(c);
}

static void client_drain(void *ctx)
{
    struct client *c = ctx;
    if (c->relays.count == 0) {
        log_info(_("stopping"));
        client_end(c);
        return;
    }
    if (!c->link || !link_is_established(c->link)) {
        uv_timer_stop(&c->retry);
        dial_cancel(c->dial);
        c->dial = NULL;
    }
    if (c->link && !link_is_established(c->link))
        link_close(c->link, LINK_END_SHUTDOWN, NULL); /* connections of an earlier session */
    log_info(
        _("stopping: %u connections may finish, for up to %g seconds; a second signal ends now"),
        c->relays.count, signals_drain_seconds(&c->signals));
}

static void on_empty(void *ctx)
{
    struct client *c = ctx;
    if (!signals_stop_asked(&c->signals) || c->ended)
        return;
    log_info(_("all streams are done, closing the session."));
    client_end(c);
}

/* ---- reconnecting ---- */

static void on_retry(uv_timer_t *t)
{
    struct client *c = t->data;
    if (c->link)
        dial_again(c);
    else
        dial_server(c);
}

static void retry_later(struct client *c, enum backoff_kind kind)
{
    if (signals_stop_asked(&c->signals)) {
        if (c->relays.count == 0)
            client_end(c);
        return;
    }
    mtime_ms wait = backoff_next(&c->backoff, kind, loop_now(&c->loop), &c->rng);
    log_info(_("retrying in %.1f seconds..."), (double)wait / 1000);
    uv_timer_start(&c->retry, on_retry, (uint64_t)wait, 0);
}

/* ---- the link ---- */

static void on_secure(void *ctx)
{
    struct client *c = ctx;
    c->stage = STAGE_AUTH;
    log_info(_("TLS connection established, PSK authentication follows..."));
}

static void on_authenticated(void *ctx)
{
    struct client *c = ctx;
    c->stage = STAGE_CONTROL;
    log_debug("%s", link_tls_info(c->link));
    log_info(_("opening the control stream to ask for the port..."));
}

/* The port at the end of the address in the server's words, 0 if there is none. */
static unsigned port_in(const char *message)
{
    unsigned port = 0;
    for (const char *p = message; (p = strchr(p, ':')); p++) {
        unsigned n = 0;
        const char *d = p + 1;
        for (; *d >= '0' && *d <= '9' && n <= 65535; d++)
            n = n * 10 + (unsigned)(*d - '0');
        if (d > p + 1 && n <= 65535)
            port = n;
    }
    return port;
}

/* What an old server says of it is passed on as it is, in whatever language; the sentence for what
   a new one says is made here. */
static void on_up(void *ctx, const char *address, const char *message)
{
    struct client *c = ctx;
    char text[ESCAPE_BUF];
    c->stage = STAGE_UP;
    backoff_up(&c->backoff, loop_now(&c->loop));
    c->session_at = *link_peer_address(c->link);
    path_good(&c->path, &c->session_at);
    log_info(_("PSK authentication succeeded, the tunnel is up."));
    if (address)
        log_info(_("the server listens on %s, ready to forward"), address);
    else
        log_info(_("the server answered: %s"), escape_text(text, message, strlen(message)));
    log_info(_("public port %u of %s -> local target %s"), port_in(address ? address : message),
             c->server.host, c->opt->local_target);
    log_info(_("control message sent, accepting streams and forwarding..."));
}

static void on_stream(void *ctx, struct smux_stream *st)
{
    struct client *c = ctx;
    if (signals_stop_asked(&c->signals))
        smux_stream_reset(st, SMUX_RST_SHUTDOWN, loop_now(&c->loop));
    else
        target_serve(&c->target, c->link, st);
}

/* ---- resuming ---- */

static void resume_at_once(struct client *c)
{
    c->resume_wait = 0;
    if (c->dial)
        dial_hurry(c->dial, loop_now(&c->loop));
    else if (!link_is_resuming(c->link))
        uv_timer_start(&c->retry, on_retry, 0, 0);
}

static void on_detached(void *ctx, enum link_reason reason, const struct errmsg *why,
                        mtime_ms window)
{
    struct client *c = ctx;
    char text[ESCAPE_BUF];
    const char *words = link_end_text(text, reason, why);
    log_warn(_("the connection to the server broke: %s; %u connections wait for up to %d seconds"),
             words, c->relays.count, (int)(window / 1000));
    c->last_start = loop_now(&c->loop) + window - LAST_START_MS - 4 * link_rtt_us(c->link) / 1000;
    dial_cancel(c->dial); /* the next one knows of the last moment */
    c->dial = NULL;
    resume_at_once(c);
}

static void on_suspect(void *ctx)
{
    struct client *c = ctx;
    log_info(_("the server has not answered for 3 seconds: trying another connection"));
    resume_at_once(c);
}

static void on_network_change(void *ctx, bool woke)
{
    struct client *c = ctx;
    if (!c->link || !link_network_changed(c->link, woke))
        return;
    log_debug("the network has changed");
    resume_at_once(c);
}

static void on_resumed(void *ctx, mtime_ms gap, const char *peer)
{
    struct client *c = ctx;
    (void)peer; /* as text */
    c->last_start = 0;
    c->session_at = *link_peer_address(c->link);
    path_good(&c->path, &c->session_at);
    log_info(_("the session goes on after %.1f seconds, with %u connections"), (double)gap / 1000,
             c->relays.count);
    uv_timer_stop(&c->retry);
    dial_cancel(c->dial);
    c->dial = NULL;
}

/* Another attempt, a little later after the last one each time. */
static void resume_later(struct client *c)
{
    mtime_ms wait = c->resume_wait;
    c->resume_wait = wait == 0 ? RESUME_FIRST_MS : wait * 2;
    if (c->resume_wait > RESUME_MOST_MS)
        c->resume_wait = RESUME_MOST_MS;
    wait += rng_below(&c->rng, (uint32_t)(wait / 2 + 1)) - wait / 4;
    mtime_ms now = loop_now(&c->loop);
    wait -= now - c->dialled_at; /* what the attempt itself took is part of it */
    if (c->last_start > now && wait > c->last_start - now)
        wait = c->last_start - now;
    uv_timer_start(&c->retry, on_retry, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void on_resume_failed(void *ctx, int err, const struct errmsg *why)
{
    struct client *c = ctx;
    log_debug("resuming failed: %d %s", err, why->text);
    if (err < 0)
        path_failed(&c->path, &c->trying);
    if (err == HELLO_ERR_UNKNOWN || err == HELLO_ERR_RANGE)
        link_close(c->link, LINK_END_LOST, NULL);
    else
        resume_later(c);
}

static void on_dialled_again(void *ctx, struct dial_result *result)
{
    struct client *c = ctx;
    c->dial = NULL;
    c->trying = result->address;
    if (result->err < 0 || link_resume(c->link, dial_take_fd(result)) < 0)
        resume_later(c);
}

/* 0, or ERR_NOMEM. */
static int dial(struct client *c, const struct address *session_at, uint32_t rtt_ms,
                dial_done_fn done)
{
    struct dial_config cfg = {
        .host = c->server.host,
        .port = c->server.port,
        .extra = session_at,
        .n_extra = session_at ? 1 : 0,
        .memory = &c->path,
        .patience_ms = CONNECT_MS,
        .renew = true,
        .rtt_ms = rtt_ms,
        .last_start = session_at ? c->last_start : 0,
    };
    c->dialled_at = loop_now(&c->loop);
    return dial_start(&c->loop, &cfg, done, c, &c->dial);
}

/* The session is where it was, or where the server's name leads by now. */
static void dial_again(struct client *c)
{
    if (link_is_up(c->link) && !link_is_suspected(c->link))
        return; /* the connection works after all */
    if (c->dial || link_is_resuming(c->link))
        return;
    if (dial(c, &c->session_at, link_rtt_us(c->link) / 1000, on_dialled_again) < 0)
        resume_later(c);
}

/* Logs an end that was not intended, by how far the connection had come. */
static void log_loss(enum stage stage, const char *words)
{
    switch (stage) {
    case STAGE_TLS:
        log_warn(_("TLS connection failed: %s"), words);
        break;
    case STAGE_AUTH:
        log_warn(_("authentication failed: %s"), words);
        break;
    case STAGE_CONTROL:
        log_warn(_("asking for the port failed: %s"), words);
        break;
    case STAGE_UP:
        log_warn(_("cannot accept new streams: %s"), words);
        log_info(_("the connection to the server is lost, reconnecting..."));
        break;
    }
}

static void log_end(enum stage stage, enum link_reason reason, const struct errmsg *why)
{
    char text[ESCAPE_BUF];
    const char *words = link_end_text(text, reason, why);
    if (reason == LINK_END_AUTH)
        log_error(_("authentication failed, the server answered: %s"), words);
    else if (reason == LINK_END_REFUSED)
        log_error(_("the server refused to forward the port: %s"), words);
    else if (reason == LINK_END_UNPROVEN)
        log_error(_("authentication failed: %s"), words);
    else if (reason == LINK_END_PUT_OFF)
        log_warn(_("the server wants us to come later: %s"), words);
    else if (reason == LINK_END_CERT)
        log_error(_("TLS connection failed: %s"), words);
    else if (reason == LINK_END_REPLACED)
        log_error(_("%s: if both are wanted, give each its own -id"), words);
    else
        log_loss(stage, words);
}

static enum backoff_kind backoff_kind_of(enum link_reason reason)
{
    switch (reason) {
    case LINK_END_AUTH:
    case LINK_END_UNPROVEN:
    case LINK_END_REFUSED:
    case LINK_END_CERT:
    case LINK_END_LEGACY:
        return BACKOFF_REJECTED;
    case LINK_END_REPLACED:
        return BACKOFF_REPLACED;
    default:
        return BACKOFF_OUTAGE;
    }
}

static void on_closed(void *ctx, enum link_reason reason, const struct errmsg *why)
{
    struct client *c = ctx;
    c->link = NULL;
    backoff_down(&c->backoff, loop_now(&c->loop));
    if (c->ended) {
        close_handles(c);
        return;
    }
    dial_cancel(c->dial); /* it was to resume this session */
    c->dial = NULL;
    if (c->stage != STAGE_UP && reason != LINK_END_REFUSED)
        path_failed(&c->path, &c->trying);
    log_end(c->stage, reason, why);
    if (reason == LINK_END_LOST && !signals_stop_asked(&c->signals))
        dial_server(c); /* at once: the server answers, it only has no such session */
    else
        retry_later(c, backoff_kind_of(reason));
}

static void on_dialled(void *ctx, struct dial_result *result)
{
    static const struct link_ops ops = {
        .on_secure = on_secure,
        .on_authenticated = on_authenticated,
        .on_up = on_up,
        .on_stream = on_stream,
        .on_detached = on_detached,
        .on_suspect = on_suspect,
        .on_resumed = on_resumed,
        .on_resume_failed = on_resume_failed,
        .on_closed = on_closed,
    };
    struct client *c = ctx;
    c->dial = NULL;
    c->stage = STAGE_TLS;
    c->trying = result->address;
    if (result->err < 0) {
        struct errmsg why;
        log_warn(_("TLS connection failed: %s"), dial_text(&why, result));
        retry_later(c, BACKOFF_OUTAGE);
        return;
    }
    mtime_ms left = c->dialled_at + CONNECT_MS - loop_now(&c->loop);
    struct link_config cfg = {
        .loop = &c->loop,
        .relays = &c->relays,
        .tls = c->tls,
        .secret = c->opt->common.secret,
        .id = c->id,
        .legacy_refused = c->opt->common.legacy == LEGACY_NEVER,
        .window_ms = c->opt->common.resume_window_ns / 1000000,
        .remote_port = c->opt->remote_port,
        .handshake_ms = left > 0 ? left : 1,
        .ops = &ops,
        .ctx = c,
    };
    if (link_new(&cfg, dial_take_fd(result), &c->link) < 0) {
        log_error(_("cannot begin a connection: %s"), err_text(ERR_NOMEM));
        retry_later(c, BACKOFF_OUTAGE);
        return;
    }
}

static void dial_server(struct client *c)
{
    log_info(_("connecting to server %s by TLS..."), c->opt->server);
    if (dial(c, NULL, 0, on_dialled) < 0)
        retry_later(c, BACKOFF_OUTAGE);
}

/* ---- status ---- */

static const char *state_of(const struct client *c)
{
    if (!c->link)
        return c->dial ? _("connecting") : _("waits before it connects again");
    if (link_is_detached(c->link))
        return _("broken, to be resumed");
    if (!link_is_up(c->link))
        return _("opening");
    return link_is_suspected(c->link) ? _("does not answer") : _("up");
}

/* For a person who has asked by a signal. */
static void client_status(void *ctx)
{
    struct client *c = ctx;
    log_asked(_("status: server %s, id %s: %s, %u connections"), c->opt->server,
              *c->id ? c->id : "-", state_of(c), c->link ? link_connections(c->link) : 0);
    log_asked(_("status: %u sessions, %u of at most %u connections"),
              c->link && link_is_established(c->link) ? 1U : 0U, quota_used(&c->connections),
              c->connections.max);
}

/* ---- start-up ---- */

/* What can never succeed fails here, before anything is running. */
static int prepare(struct client *c)
{
    struct errmsg why;
    const char *alpn;
    if (address_parse(c->opt->server, &c->server, &why) < 0) {
        log_error("-server %s: %s", c->opt->server, why.text);
        return EXIT_STATUS_FAILED;
    }
    if (address_parse(c->opt->local_target, &c->local, &why) < 0) {
        log_error("-local-target %s: %s", c->opt->local_target, why.text);
        return EXIT_STATUS_FAILED;
    }
    if (c->opt->remote_port < 0 || c->opt->remote_port > 65535) {
        log_error(_("-remote-port %lld is not between 0 and 65535"),
                  (long long)c->opt->remote_port);
        return EXIT_STATUS_FAILED;
    }
    if (wire_choose(&c->opt->common, &alpn) < 0)
        return EXIT_STATUS_USAGE;
    if (alpn && identity_get(c->id, c->opt, &why) < 0) {
        log_error("%s", why.text);
        return EXIT_STATUS_FAILED;
    }
    if (tls_library_check(&why) < 0 || tls_client_ctx_new(c->opt->ca, alpn, &c->tls, &why) < 0) {
        log_error(_("cannot set up the client's TLS: %s"), why.text);
        return EXIT_STATUS_FAILED;
    }
    return EXIT_STATUS_OK;
}

static int begin(struct client *c)
{
    static const struct signals_ops ops = {
        .drain = client_drain, .end = client_end, .status = client_status};
    uint32_t most = limits_connections(limits_raise(), 1);
    int err = most == 0 ? ERR_LIMIT : loop_init(&c->loop);
    if (err < 0)
        goto no_loop;
    quota_init(&c->connections, most);
    err = relays_init(&c->relays, &c->loop, &c->connections);
    if (err < 0)
        goto no_relays;
    err = signals_init(&c->signals, &c->loop, c->opt->common.drain_ns / 1000000, &ops, c);
    if (err < 0)
        goto no_stop;
    c->relays.on_empty = on_empty;
    c->relays.ctx = c;
    uv_timer_init(&c->loop.uv, &c->retry);
    c->retry.data = c;
    rng_system(&c->rng);
    backoff_init(&c->backoff, c->opt->max_retry_ns / 1000000);
    if (c->opt->max_retry_ns / 1000000 < BACKOFF_MAX_FLOOR_MS)
        log_warn(_("-max-retry-interval is below one second: one second is used"));
    if (c->opt->common.threads > 1)
        log_warn(_("-threads %d: a client uses one"), c->opt->common.threads);
    netwatch_start(&c->network, &c->loop, on_network_change, c);
    target_init(&c->target, &c->loop, &c->relays, c->opt->local_target, c->local.host,
                c->local.port);
    return EXIT_STATUS_OK;

no_stop:
    relays_fini(&c->relays);
no_relays:
    loop_fini(&c->loop);
no_loop:
    return cli_cannot_start(err);
}

int client_main(const struct client_options *opt)
{
    struct client c = {.opt = opt};
    int status = prepare(&c);
    if (status == EXIT_STATUS_OK)
        status = begin(&c);
    if (status != EXIT_STATUS_OK) {
        SSL_CTX_free(c.tls);
        return status;
    }
    log_info(_("client mode: server %s (secure)"), opt->server);
    log_info(_("-> remote port :%lld -> local target %s"), (long long)opt->remote_port,
             opt->local_target);
    wire_warn(&opt->common);
    dial_server(&c);
    loop_run(&c.loop);
    loop_fini(&c.loop);
    SSL_CTX_free(c.tls);
    return EXIT_STATUS_OK;
}
