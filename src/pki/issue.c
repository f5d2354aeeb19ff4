/* SPDX-License-Identifier: MIT */
/*
 * New keys and certificates. Every field follows the original's certificates (docs/protocol.md),
 * in its order, but for two: they are valid from a day before (clients whose clock is behind), and
 * the server certificate lives a year (pki.h says why).
 */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "pki/internal.h"
#include "pki/pki.h"

enum {
    DAY_S = 24 * 3600,
    BACKDATE_S = DAY_S,
    CA_YEARS = 10,
    LEAF_DAYS = 365,
    SERIAL_BITS = 127, /* positive and 16 bytes; newer Go demands at most 20 */
};

struct extension {
    int nid;
    const char *value; /* in the language of openssl.cnf */
};

static const struct extension ca_extensions[] = {
    {NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_basic_constraints, "critical,CA:TRUE"},
    {NID_subject_key_identifier, "hash"},
};

static const struct extension leaf_extensions[] = {
    {NID_key_usage, "critical,digitalSignature,keyEncipherment"},
    {NID_ext_key_usage, "serverAuth"},
    {NID_authority_key_identifier, "keyid"},
    {NID_subject_alt_name, "DNS:" PKI_SERVER_NAME},
};

static bool set_extensions(X509 *cert, X509 *issuer, const struct extension *rows, size_t n)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].nid == NID_authority_key_identifier && !X509_get0_subject_key_id(issuer))
            continue; /* a CA made by other hands */
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, rows[i].nid, rows[i].value);
        bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
        X509_EXTENSION_free(ext);
        if (!ok)
            return false;
    }
    return true;
}

static bool set_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    bool ok = n && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok;
}

static bool set_validity(X509 *cert, time_t from, time_t until)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), from) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), until);
}

/* Names are PrintableString, as Go writes them. */
static bool set_subject(X509 *cert, const char *cn)
{
    return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName,
                                      V_ASN1_PRINTABLESTRING, (const unsigned char *)cn, -1, -1,
                                      0) == 1;
}

/* A certificate for key with the fields that both kinds have. NULL on failure. */
static X509 *new_cert(const char *cn, EVP_PKEY *key, time_t from, time_t until)
{
    X509 *cert = X509_new();
    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
        set_subject(cert, cn) && set_validity(cert, from, until) && X509_set_pubkey(cert, key) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool sign(X509 *cert, EVP_PKEY *ca_key)
{
    char name[16];
    const EVP_MD *md = EVP_sha256();
    if (EVP_PKEY_get_default_digest_name(ca_key, name, sizeof name) == 2 &&
        strcmp(name, "UNDEF") == 0)
        md = NULL; /* Ed25519 and its like */
    return X509_sign(cert, ca_key, md) > 0;
}

static int failed(X509 *cert)
{
    X509_free(cert);
    ERR_clear_error();
    return ERR_TLS;
}

static time_t years_later(time_t t, int years)
{
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return t;
    tm.tm_year += years;
    return timegm(&tm);
}

static int issue_ca(EVP_PKEY *key, time_t now, X509 **ret)
{
    X509 *ca = new_cert("GoTunnel CA", key, now - BACKDATE_S, years_later(now, CA_YEARS));
    if (!ca || X509_set_issuer_name(ca, X509_get_subject_name(ca)) != 1 ||
        !set_extensions(ca, ca, ca_extensions, ARRAY_LEN(ca_extensions)) || !sign(ca, key))
        return failed(ca);
    *ret = ca;
    return 0;
}

time_t pki_issue_leaf_until(time_t ca_until, time_t now)
{
    time_t until = now + (time_t)LEAF_DAYS * DAY_S;
    return until < ca_until ? until : ca_until;
}

int pki_issue_leaf(const struct pki_set *s, time_t now, X509 **ret)
{
    time_t until = pki_issue_leaf_until(pki_cert_until(s->ca), now);
    X509 *cert = new_cert(PKI_SERVER_NAME, s->key, now - BACKDATE_S, until);
    if (!cert || X509_set_issuer_name(cert, X509_get_subject_name(s->ca)) != 1 ||
        !set_extensions(cert, s->ca, leaf_extensions, ARRAY_LEN(leaf_extensions)) ||
        !sign(cert, s->ca_key))
        return failed(cert);
    *ret = cert;
    return 0;
}

int pki_issue_key(EVP_PKEY **ret)
{
    *ret = EVP_EC_gen("P-256");
    ERR_clear_error();
    return *ret ? 0 : ERR_TLS;
}

int pki_issue_set(time_t now, struct pki_set *ret)
{
    struct pki_set s = {.ca_key = EVP_EC_gen("P-256"), .key = EVP_EC_gen("P-256")};
    int err = s.ca_key && s.key ? issue_ca(s.ca_key, now, &s.ca) : ERR_TLS;
    if (err == 0)
        err = pki_issue_leaf(&s, now, &s.cert);
    ERR_clear_error();
    if (err < 0) {
        pki_set_fini(&s);
        return err;
    }
    *ret = s;
    return 0;
}
