/* SPDX-License-Identifier: MIT */
/*
 * What a reload changes at the server: the options, which every worker gets by a message, and the
 * certificates.
 */
#include <limits.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "net/tls_ctx.h"
#include "server/clients.h"
#include "server/internal.h"

/* ---- the options ---- */

/* As at a start: clients with keys of their own are enough. */
static int check_start(const struct reload_plan *plan, struct errmsg *why)
{
    const struct server_options *is = snapshot_server(plan->is);
    char place[PATH_MAX];
    if (!plan->lacks_secret || clients_place(is, place))
        return 0;
    return errmsg_set(why, ERR_INVAL, "%s: %s", is->common.config,
                      _("the secret is missing: 'secret-file' gives it, or GOTUNNEL_SECRET in "
                        "the environment"));
}

static int prepare_options(void *ctx, const struct reload_plan *plan, struct errmsg *why)
{
    struct server *srv = ctx;
    const struct server_options *is = snapshot_server(plan->is);
    int err = check_start(plan, why);
    if (err < 0)
        return err;
    if (is->common.legacy == LEGACY_NEVER && *is->common.secret &&
        !hello_secret_is_long_enough(is->common.secret))
        return errmsg_set(why, ERR_INVAL,
                          _("the secret has less than %d bytes, and -legacy never needs more: "
                            "'gotunnel genkey' makes one"),
                          HELLO_SECRET_MIN);
    if (is->trusted_proxy.count == 0 || srv->proxy_gate)
        return 0;
    return server_open_proxy_gate(srv, &srv->coming.proxy_gate);
}

static void drop_options(void *ctx)
{
    struct server *srv = ctx;
    proxy_gate_close(srv->coming.proxy_gate);
    srv->coming.proxy_gate = NULL;
}

/* At most one message a worker is on its way: who is behind gets the newest with the next one. */
static void post_options(struct server *srv, struct worker *w)
{
    w->is_behind = w->takes_options;
    if (w->takes_options)
        return;
    w->takes_options = true;
    w->next_options = snapshot_ref(srv->options);
    mailbox_post(&w->in, &w->use_options);
}

void server_worker_uses_options(struct worker *w)
{
    w->takes_options = false;
    if (w->is_behind && !w->srv->ended)
        post_options(w->srv, w);
}

static bool apply_options(void *ctx, const struct reload_plan *plan)
{
    struct server *srv = ctx;
    if (plan->is == plan->was)
        return false;
    snapshot_unref(srv->options);
    srv->options = snapshot_ref(plan->is);
    srv->opt = snapshot_server(srv->options);
    if (srv->coming.proxy_gate)
        srv->proxy_gate = srv->coming.proxy_gate;
    srv->coming.proxy_gate = NULL;
    server_limit_gates(srv);
    signals_set_drain(&srv->signals, srv->opt->common.drain_ns / 1000000);
    if (options_have(snapshot_mode(srv->options), plan->diff.live, "log-level"))
        log_set_level((enum log_level)srv->opt->common.log_level);
    for (unsigned i = 0; i < srv->workers_count; i++)
        post_options(srv, &srv->workers[i]);
    return false; /* what changed stands in the diff */
}

/* ---- clients with a key ---- */

static int prepare_clients(void *ctx, const struct reload_plan *plan, struct errmsg *why)
{
    struct server *srv = ctx;
    char place[PATH_MAX];
    (void)plan;
    if (!srv->has_clients) { /* the cage was made without their folder */
        if (clients_place(srv->opt, place))
            event_reload_waits("clients");
        return 0;
    }
    int err = clients_take(srv->opt, srv->keys, &srv->clients);
    return err < 0 ? errmsg_set(why, err, "%s", _("the clients cannot be loaded")) : 0;
}

static void drop_clients(void *ctx)
{
    struct server *srv = ctx;
    credentials_unref(srv->clients);
    srv->clients = NULL;
}

/* Whose key is good no more is ended. A folder that is gone changes nothing. */
static bool apply_clients(void *ctx, const struct reload_plan *plan)
{
    struct server *srv = ctx;
    (void)plan;
    bool was_read = srv->clients != NULL;
    if (was_read)
        (void)keys_use(srv, srv->clients, NULL);
    srv->clients = NULL;
    return was_read; /* nobody compares files: the line of clients_take() says how many there are */
}

/* ---- the certificates ---- */

/* Last of all parts: from a directory that was read there is no way back. */
static int prepare_certificates(void *ctx, const struct reload_plan *plan, struct errmsg *why)
{
    struct server *srv = ctx;
    X509 *was = pki_cert(srv->identity);
    (void)plan;
    X509_up_ref(was);
    int err = pki_renew(srv->identity, time(NULL), why);
    if (err == 0)
        err = tls_server_ctx_new(pki_cert(srv->identity), pki_key(srv->identity),
                                 pki_ca(srv->identity), srv->alpn, &srv->coming.tls, why);
    srv->coming.other_certificate = err == 0 && X509_cmp(was, pki_cert(srv->identity)) != 0;
    X509_free(was);
    return err;
}

static bool apply_certificates(void *ctx, const struct reload_plan *plan)
{
    struct server *srv = ctx;
    (void)plan;
    SSL_CTX_free(srv->tls);
    srv->tls = srv->coming.tls;
    srv->coming.tls = NULL;
    return srv->coming.other_certificate;
}

static const struct reload_part parts[] = {
    {"options", prepare_options, apply_options, drop_options},
    {"clients", prepare_clients, apply_clients, drop_clients},
    {"certificates", prepare_certificates, apply_certificates, NULL},
};

void server_reload(struct server *srv, struct reload_result *ret)
{
    if (srv->draining || srv->ended)
        reload_refuse(ret, _("the program is stopping"));
    else
        (void)reload_run(srv->options, parts, ARRAY_LEN(parts), srv, ret);
    srv->census.reloads += ret->errors_count == 0;
    srv->census.reloads_failed += ret->errors_count > 0;
    reload_tell(ret);
}
