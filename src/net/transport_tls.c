/* SPDX-License-Identifier: MIT */
/* What both ends of a transport agreed on when it became ready. */
#include "net/transport_tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "net/transport.h"

bool transport_speaks(const struct transport *t, const char *alpn)
{
    SSL *ssl = transport_ready_ssl(t);
    const unsigned char *name = NULL;
    unsigned n = 0;
    if (ssl)
        SSL_get0_alpn_selected(ssl, &name, &n);
    return name && n == strlen(alpn) && memcmp(name, alpn, n) == 0;
}

int transport_export(const struct transport *t, const char *label, uint8_t *ret, size_t n)
{
    SSL *ssl = transport_ready_ssl(t);
    if (!ssl)
        return ERR_TLS;
    /* TLS 1.2 without extended master secret gives material that a man in the middle can make equal
       on two connections (RFC 9266, 4.2). */
    if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
        return ERR_TLS;
    int r = SSL_export_keying_material(ssl, ret, n, label, strlen(label), NULL, 0, 0);
    return r == 1 ? 0 : ERR_TLS;
}

int transport_ca_key(const struct transport *t, uint8_t ret[TRANSPORT_CA_BYTES])
{
    SSL *ssl = transport_ready_ssl(t);
    STACK_OF(X509) *chain = ssl ? SSL_get0_verified_chain(ssl) : NULL;
    if (!chain || SSL_get_verify_result(ssl) != X509_V_OK)
        return ERR_TLS;
    unsigned n = 0;
    X509 *ca = sk_X509_value(chain, sk_X509_num(chain) - 1);
    bool done = ca && X509_pubkey_digest(ca, EVP_sha256(), ret, &n) == 1;
    return done && n == TRANSPORT_CA_BYTES ? 0 : ERR_TLS;
}
