/* SPDX-License-Identifier: MIT */
/* What a reload changes: whom the client trusts, and the options. */
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/trust_path.h"
#include "client/internal.h"
#include "net/tls_ctx.h"

/* ---- the options ---- */

/* The file may name any other target later: also beside -local-target, which is of one tunnel; the file may
   come to have several. */
bool client_may_change_target(const struct client *c)
{
    return *c->opt->common.config && !snapshot_is_given(c->options, "forward");
}

/* Sessions that are there keep the options they began with. */
static bool apply_options(void *ctx, const struct reload_plan *plan)
{
    struct client *c = ctx;
    if (plan->is == plan->was)
        return false;
    snapshot_unref(c->options);
    c->options = snapshot_ref(plan->is);
    c->opt = snapshot_client(c->options);
    backoff_limit(&c->backoff, c->opt->max_retry_ns / 1000000);
    signals_set_drain(&c->signals, c->opt->common.drain_ns / 1000000);
    if (options_have(&client_mode, plan->diff.live, "log-level"))
        log_set_level((enum log_level)c->opt->common.log_level);
    return false; /* what changed stands in the diff */
}

/* ---- the CA ---- */

/* Without a file the cage has no reason to let us read again (reload_cage()). */
static int prepare_ca(void *ctx, const struct reload_plan *plan, struct errmsg *why)
{
    struct client *c = ctx;
    if (plan->is == plan->was || c->opt->has_join)
        return 0;
    return client_load_ca(c, &c->coming.tls, why);
}

static bool trust_the_same(SSL_CTX *a, SSL_CTX *b)
{
    for (unsigned i = 0;; i++) {
        X509 *one = tls_trusted_ca(a, i), *other = tls_trusted_ca(b, i);
        if (!one || !other)
            return one == other;
        if (X509_cmp(one, other) != 0)
            return false;
    }
}

static bool apply_ca(void *ctx, const struct reload_plan *plan)
{
    struct client *c = ctx;
    (void)plan;
    if (!c->coming.tls)
        return false;
    bool is_another = !trust_the_same(c->tls, c->coming.tls);
    SSL_CTX_free(c->tls);
    c->tls = c->coming.tls;
    c->coming.tls = NULL;
    return is_another;
}

/* The path itself counts at the next start; what lies there counts now. */
static const struct reload_part parts[] = {
    {"options", NULL, apply_options, NULL},
    {"tunnels", tunnels_reload_prepare, tunnels_reload_apply, tunnels_reload_drop},
    {"certificates", prepare_ca, apply_ca, NULL},
};

void client_reload(struct client *c, struct reload_result *ret)
{
    if (c->ended || signals_stop_asked(&c->signals))
        reload_refuse(ret, _("the program is stopping"));
    else
        (void)reload_run(c->options, parts, ARRAY_LEN(parts), c, ret);
    c->history.reloads += ret->errors_count == 0;
    c->history.reloads_failed += ret->errors_count > 0;
    reload_tell(ret);
}

static void ask_reload(void *ctx, struct reload_result *ret)
{
    client_reload(ctx, ret);
}

static unsigned ask_connections(void *ctx)
{
    return ((struct client *)ctx)->relays.count;
}

const struct ctl_ops client_ctl_ops = {
    .reload = ask_reload, .connections = ask_connections, .census = client_census};

void client_on_reload(void *ctx)
{
    struct reload_result result;
    client_reload(ctx, &result);
    reload_result_fini(&result);
}
