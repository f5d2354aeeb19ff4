/* SPDX-License-Identifier: MIT */
/* What a client would do. The values themselves were judged when they were read. */
#include "client/check.h"

#include <openssl/ssl.h>

#include "base/hex.h"
#include "base/i18n.h"
#include "base/trust_path.h"
#include "net/tls_ctx.h"

static void check_ca(struct check *c, const char *ca)
{
    struct errmsg why;
    SSL_CTX *tls = NULL;
    char fingerprint[TLS_FINGERPRINT_MAX];
    int err = trust_path(ca, TRUST_FILE, true, &why);
    if (err == 0 && *why.text)
        config_file_say(c->file, "%s", why.text);
    if (err == 0)
        err = tls_client_ctx_new(ca, NULL, &tls, &why);
    if (err < 0) {
        check_wrong(c, "%s", why.text);
        return;
    }
    tls_fingerprint(tls_trusted_ca(tls, 0), fingerprint);
    check_tell(_("trusts the CA in %s, SHA-256 %s"), ca, fingerprint);
    SSL_CTX_free(tls);
}

static void tell_tunnel(const char *name, long long port, const char *target)
{
    if (port == 0)
        check_tell(_("forwards a public port that the server chooses to %s (tunnel %s)"), target,
                   name);
    else
        check_tell(_("forwards the public port %lld to %s (tunnel %s)"), port, target, name);
}

static void tell_tunnels(const struct check *c, const struct client_options *o)
{
    if (o->tunnels.count == 0)
        tell_tunnel(*c->tunnel ? c->tunnel : "-", o->remote_port, o->local_target);
    for (uint32_t i = 0; i < o->tunnels.count; i++)
        tell_tunnel(o->tunnels.at[i].name, o->tunnels.at[i].port, o->tunnels.at[i].target);
}

/* What a join string says. One that the standard input has is left for the program itself. */
static void tell_join(const struct client_options *o)
{
    char pin[2 * JOIN_PIN_BYTES + 1] = "";
    hex_put(pin, o->join.pin, sizeof o->join.pin);
    if (*o->server)
        check_tell(_("connects to %s"), o->server);
    if (o->has_join)
        check_tell(_("trusts the CA with the pin %s, as client %s, by the join string"), pin,
                   o->join.name);
    else
        check_tell("%s", _("takes the join string from the standard input"));
}

void client_check(struct check *c, const struct client_options *o)
{
    if (o->has_join || *o->join_file) {
        tell_join(o);
    } else {
        if (*o->server)
            check_tell(_("connects to %s"), o->server);
        else
            check_wrong(c, "%s", _("'server' is missing"));
        check_secret(c, &o->common);
        check_ca(c, o->ca);
    }
    tell_tunnels(c, o);
}
