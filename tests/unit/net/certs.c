/* SPDX-License-Identifier: MIT */
#include "certs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { HOUR = 3600 };

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

static void set_serial(X509 *x)
{
    uint64_t serial;
    assert_int_equal(RAND_bytes((unsigned char *)&serial, sizeof serial), 1);
    assert_int_equal(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial), 1);
}

struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer)
{
    struct cert c = {X509_new(), EVP_EC_gen("P-256")};
    const struct cert *by = issuer ? issuer : &c;
    assert_non_null(c.x);
    assert_non_null(c.key);
    assert_int_equal(X509_set_version(c.x, X509_VERSION_3), 1);
    set_serial(c.x);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(c.x), spec->from_s ? spec->from_s : -HOUR));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(c.x), spec->till_s ? spec->till_s : HOUR));
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(c.x), "CN", MBSTRING_ASC,
                                                (const unsigned char *)spec->cn, -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(c.x, X509_get_subject_name(by->x)), 1);
    assert_int_equal(X509_set_pubkey(c.x, c.key), 1);
    add_ext(c.x, by->x, NID_key_usage,
            spec->is_ca ? "critical,digitalSignature,keyEncipherment,keyCertSign"
                        : "critical,digitalSignature,keyEncipherment");
    if (spec->usage)
        add_ext(c.x, by->x, NID_ext_key_usage, spec->usage);
    if (spec->is_ca) {
        add_ext(c.x, by->x, NID_basic_constraints, "critical,CA:TRUE");
        add_ext(c.x, by->x, NID_subject_key_identifier, "hash");
    } else if (issuer && X509_get0_subject_key_id(issuer->x)) {
        add_ext(c.x, by->x, NID_authority_key_identifier, "keyid");
    }
    if (spec->dns) {
        char san[128];
        (void)snprintf(san, sizeof san, "DNS:%s", spec->dns);
        add_ext(c.x, by->x, NID_subject_alt_name, san);
    }
    assert_true(X509_sign(c.x, by->key, EVP_sha256()) > 0);
    return c;
}

void cert_free(struct cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
}

void cert_append(const struct cert *c, const char *path)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, c->x), 1);
    assert_int_equal(fclose(f), 0);
}

struct cert cert_ca(void)
{
    struct cert_spec spec = {.cn = "GoTunnel CA", .usage = "serverAuth", .is_ca = true};
    return cert_make(&spec, NULL);
}

struct cert cert_server(const struct cert *ca)
{
    struct cert_spec spec = {
        .cn = "gotunnel.internal", .dns = "gotunnel.internal", .usage = "serverAuth"};
    return cert_make(&spec, ca);
}
