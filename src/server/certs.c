/* SPDX-License-Identifier: MIT */
/* The server's certificates: found or made at the start, and renewed while it runs. What happens is logged. */
#include "server/certs.h"

#include <limits.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/event.h"
#include "base/trust_path.h"
#include "net/tls_ctx.h"
#include "server/internal.h"
#include "server/server.h"

/* Whoever starts a server in the wrong directory sees it here, and who copies ca.crt which one it
   is. */
static void tell_place(const struct server *srv, bool is_new)
{
    char path[PATH_MAX], fingerprint[TLS_FINGERPRINT_MAX];
    tls_fingerprint(pki_ca(srv->identity), fingerprint);
    if (srv->guide)
        srv->guide->on_identity(srv->guide_ctx, fingerprint, is_new);
    event_certificates_place(realpath(srv->opt->certs, path) ? path : srv->opt->certs, fingerprint);
}

/* The original knows one place only. */
static int check_place(const struct server *srv, struct errmsg *doubt, struct errmsg *why)
{
    trust_become_owner(srv->opt->certs);
    int err = pki_check_place(srv->opt->certs, strcmp(srv->opt->certs, "certs") == 0, why);
    if (err == 0) {
        *doubt = *why;
        why->text[0] = '\0';
    }
    return err;
}

int certs_load(struct server *srv)
{
    struct errmsg why = {""}, doubt = {""};
    enum pki_outcome outcome;
    int err = tls_library_check(&why);
    if (err == 0)
        err = check_place(srv, &doubt, &why);
    if (err == 0)
        err = pki_open(srv->opt->certs, time(NULL), &srv->identity, &outcome, &why);
    if (err == 0)
        err = tls_server_ctx_new(pki_cert(srv->identity), pki_key(srv->identity),
                                 pki_ca(srv->identity), srv->alpn, &srv->tls, &why);
    if (err < 0) {
        event_server_tls_failed(why.text);
        return err;
    }
    switch (outcome) {
    case PKI_CREATED:
        event_certificates_missing();
        event_certificates_made();
        break;
    case PKI_LOADED:
        event_certificates_loaded();
        break;
    case PKI_RENEWED:
        event_certificates_loaded();
        event_certificate_renewed();
        break;
    }
    if (*doubt.text)
        event_place_doubtful(doubt.text);
    tell_place(srv, outcome == PKI_CREATED);
    if (*why.text)
        event_certificates_doubtful(why.text);
    return 0;
}

/* From the next connection on: sessions keep theirs. */
static void use_renewed(struct server *srv)
{
    struct errmsg why;
    SSL_CTX *tls;
    if (tls_server_ctx_new(pki_cert(srv->identity), pki_key(srv->identity), pki_ca(srv->identity),
                           srv->alpn, &tls, &why) < 0) {
        event_certificate_renewal_failed(why.text);
        return; /* the next connection tries again */
    }
    SSL_CTX_free(srv->tls);
    srv->tls = tls;
    event_certificate_renewed();
}

/* A server runs for years, and its clock may be set while it does: whoever connects gets a
   certificate that is valid then. */
void certs_keep(struct server *srv)
{
    struct errmsg why = {""};
    enum pki_news news = pki_keep(srv->identity, time(NULL), &why);
    if (SSL_CTX_get0_certificate(srv->tls) != pki_cert(srv->identity))
        use_renewed(srv);
    switch (news) {
    case PKI_NEWS_NONE:
        break;
    case PKI_NEWS_RENEWED:
        if (*why.text)
            event_certificate_not_saved(why.text);
        break;
    case PKI_NEWS_FAILED:
        event_certificate_renewal_failed(why.text);
        break;
    case PKI_NEWS_CA:
        event_ca_invalid(why.text);
        srv->trouble = why;
        break;
    case PKI_NEWS_VALID:
        event_ca_valid();
        *srv->trouble.text = '\0';
        break;
    }
}
