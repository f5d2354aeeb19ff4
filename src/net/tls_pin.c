/* SPDX-License-Identifier: MIT */
/* Trust in one key of a CA. */
#include "net/tls_pin.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/i18n.h"

int tls_pin_of(X509 *cert, uint8_t ret[TLS_PIN_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool done = n > 0 && EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    if (!done) {
        ERR_clear_error();
        return ERR_NOMEM;
    }
    memcpy(ret, digest, TLS_PIN_BYTES);
    return 0;
}

/* The CA's among those that were shown, in any place. NULL: it is not there. */
static X509 *find(const STACK_OF(X509) * shown, const struct tls_pin *pin)
{
    for (int i = 0; i < sk_X509_num(shown); i++) {
        uint8_t key[TLS_PIN_BYTES];
        X509 *cert = sk_X509_value(shown, i);
        if (tls_pin_of(cert, key) == 0 && memcmp(key, pin->key, sizeof key) == 0 &&
            X509_check_ca(cert) > 0)
            return cert;
    }
    return NULL;
}

/* In place of the usual way, which would look for a CA in a store. */
static int on_verify(X509_STORE_CTX *chain, void *arg)
{
    const struct tls_pin *pin = arg;
    X509 *ca = find(X509_STORE_CTX_get0_untrusted(chain), pin);
    if (!ca) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_UNTRUSTED);
        return 0;
    }
    STACK_OF(X509) *trusted = sk_X509_new_null();
    bool is_ready = trusted && sk_X509_push(trusted, ca) > 0;
    if (is_ready)
        X509_STORE_CTX_set0_trusted_stack(chain, trusted);
    else
        X509_STORE_CTX_set_error(chain, X509_V_ERR_OUT_OF_MEM);
    bool is_good = is_ready && X509_verify_cert(chain) == 1;
    X509_STORE_CTX_set0_trusted_stack(chain, NULL);
    sk_X509_free(trusted); /* the certificates are the chain's */
    return is_good;
}

bool tls_pin_use(SSL_CTX *ctx, const struct tls_pin *pin)
{
    void *arg = (void *)(uintptr_t)pin;
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, arg);
    return SSL_CTX_set_app_data(ctx, arg) == 1;
}

bool tls_pin_text(const SSL *ssl, long code, struct errmsg *ret)
{
    const struct tls_pin *pin = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (!pin)
        return false;
    switch (code) {
    case X509_V_ERR_CERT_UNTRUSTED:
        (void)errmsg_set(ret, 0,
                         _("the server at %s shows another CA than the join string: wrong host, or "
                           "somebody in between"),
                         pin->server);
        return true;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        (void)errmsg_set(ret, 0,
                         _("the server at %s shows the CA of the join string, but its certificate "
                           "is another CA's: somebody in between"),
                         pin->server);
        return true;
    default:
        return false;
    }
}
