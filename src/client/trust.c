/* SPDX-License-Identifier: MIT */
/* Which server is believed, and who says so. */
#include <limits.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/hex.h"
#include "base/trust_path.h"
#include "client/internal.h"
#include "net/tls_ctx.h"

_Static_assert(sizeof(struct tls_pin){0}.key == sizeof(struct join){0}.pin, "pin");
_Static_assert((int)CLIENT_KEY_T_BYTES == (int)JOIN_T_BYTES, "T");

/* Lines about those in the -ca file; more than two, while one follows the other, make little sense. */
enum { CAS_TOLD = 4 };

/* What a join string says of the server and of us. */
static int trust_pin(struct client *c, struct errmsg *why)
{
    const struct join *j = &c->opt->join;
    c->pin.server = c->opt->server;
    memcpy(c->pin.key, j->pin, sizeof c->pin.key);
    (void)snprintf(c->own.name, sizeof c->own.name, "%s", j->name); /* fits */
    c->credential = &c->own;
    int err = client_secret_init(&c->own.secret, j->t);
    return err < 0 ? errmsg_set(why, err, "%s", err_text(err))
                   : tls_client_ctx_pinned(&c->pin, c->alpn, &c->tls, why);
}

/* Whoever can write the file could put a server of their own in place of ours. */
int client_load_ca(const struct client *c, SSL_CTX **ret, struct errmsg *why)
{
    struct errmsg doubt;
    int err = tls_library_check(why);
    if (err == 0)
        err = trust_path(c->opt->ca, TRUST_FILE, true, why);
    doubt = *why;
    if (err == 0)
        err = tls_client_ctx_new(c->opt->ca, c->alpn, ret, why);
    if (err == 0 && *doubt.text)
        event_place_doubtful(doubt.text);
    return err;
}

int client_trust(struct client *c, struct errmsg *why)
{
    if (!c->opt->has_join)
        return client_load_ca(c, &c->tls, why);
    int err = tls_library_check(why);
    return err < 0 ? err : trust_pin(c, why);
}

static void tell_pin(const struct client *c)
{
    char pin[2 * TLS_PIN_BYTES + 1] = "";
    hex_put(pin, c->pin.key, sizeof c->pin.key);
    event_ca_pinned(pin, c->opt->join.name);
}

void client_tell_trust(const struct client *c)
{
    if (c->opt->has_join) {
        tell_pin(c);
        return;
    }
    char path[PATH_MAX], fingerprint[TLS_FINGERPRINT_MAX];
    const char *name = realpath(c->opt->ca, path) ? path : c->opt->ca;
    X509 *ca;
    for (unsigned i = 0; i < CAS_TOLD && (ca = tls_trusted_ca(c->tls, i)); i++) {
        tls_fingerprint(ca, fingerprint);
        event_ca_trusted(name, fingerprint);
    }
}
