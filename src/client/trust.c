/* SPDX-License-Identifier: MIT */
/* Which server is believed, and who says so. */
#include <limits.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/event.h"
#include "base/trust_path.h"
#include "client/internal.h"
#include "net/tls_ctx.h"

/* Lines about those in the -ca file; more than two, while one follows the other, make little sense. */
enum { CAS_TOLD = 4 };

/* Whoever can write the file could put a server of their own in place of ours. */
int client_trust(struct client *c, const char *alpn, struct errmsg *why)
{
    struct errmsg doubt;
    int err = tls_library_check(why);
    if (err == 0)
        err = trust_path(c->opt->ca, TRUST_FILE, true, why);
    doubt = *why;
    if (err == 0)
        err = tls_client_ctx_new(c->opt->ca, alpn, &c->tls, why);
    if (err == 0 && *doubt.text)
        event_place_doubtful(doubt.text);
    return err;
}

void client_tell_trust(const struct client *c)
{
    char path[PATH_MAX], fingerprint[TLS_FINGERPRINT_MAX];
    const char *name = realpath(c->opt->ca, path) ? path : c->opt->ca;
    X509 *ca;
    for (unsigned i = 0; i < CAS_TOLD && (ca = tls_trusted_ca(c->tls, i)); i++) {
        tls_fingerprint(ca, fingerprint);
        event_ca_trusted(name, fingerprint);
    }
}
