/* SPDX-License-Identifier: MIT */
/*
 * The fields of the certificates we make, against those of the original (the Go fixture) and what
 * strict verifiers demand. D25: valid from a day before.
 */
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pki/internal.h"
#include "pki/pki.h"
#include "place.h"

struct both {
    struct pki_set ours, original;
};

static void both_init(struct both *b)
{
    struct errmsg why;
    place_go_certs();
    struct pki_blob files[PKI_FILES];
    for (int f = 0; f < PKI_FILES; f++) {
        char path[64];
        (void)snprintf(path, sizeof path, "certs/%s", pki_file_name[f]);
        files[f] = place_read(path);
    }
    assert_int_equal(pki_set_parse(files, "certs", TODAY, &b->original, &why), 0);
    for (int f = 0; f < PKI_FILES; f++)
        pki_blob_fini(&files[f]);
    assert_int_equal(pki_issue_set(TODAY, &b->ours), 0);
}

static void both_fini(struct both *b)
{
    pki_set_fini(&b->ours);
    pki_set_fini(&b->original);
}

static void assert_same_name(const X509_NAME *a, const X509_NAME *b)
{
    const unsigned char *da, *db;
    size_t na, nb;
    assert_int_equal(X509_NAME_get0_der(a, &da, &na), 1);
    assert_int_equal(X509_NAME_get0_der(b, &db, &nb), 1);
    assert_int_equal(na, nb);
    assert_memory_equal(da, db, na);
}

/* Same kind, criticality and bytes; key identifiers differ with the key. */
static void assert_same_extension(X509_EXTENSION *a, X509_EXTENSION *b)
{
    int nid = OBJ_obj2nid(X509_EXTENSION_get_object(a));
    assert_int_equal(nid, OBJ_obj2nid(X509_EXTENSION_get_object(b)));
    assert_int_equal(X509_EXTENSION_get_critical(a), X509_EXTENSION_get_critical(b));
    const ASN1_OCTET_STRING *da = X509_EXTENSION_get_data(a), *db = X509_EXTENSION_get_data(b);
    assert_int_equal(ASN1_STRING_length(da), ASN1_STRING_length(db));
    if (nid != NID_subject_key_identifier && nid != NID_authority_key_identifier)
        assert_int_equal(ASN1_OCTET_STRING_cmp(da, db), 0);
}

static void assert_same_shape(const X509 *a, const X509 *b)
{
    assert_int_equal(X509_get_version(a), X509_get_version(b));
    assert_int_equal(X509_get_signature_nid(a), X509_get_signature_nid(b));
    assert_same_name(X509_get_subject_name(a), X509_get_subject_name(b));
    assert_same_name(X509_get_issuer_name(a), X509_get_issuer_name(b));
    assert_int_equal(X509_get_ext_count(a), X509_get_ext_count(b));
    for (int i = 0; i < X509_get_ext_count(a); i++)
        assert_same_extension(X509_get_ext(a, i), X509_get_ext(b, i));
}

static void fields_are_the_originals(void **state)
{
    (void)state;
    struct both b;
    both_init(&b);
    assert_same_shape(b.ours.ca, b.original.ca);
    assert_same_shape(b.ours.cert, b.original.cert);
    both_fini(&b);
}

/* Not only as the fixture: the table of the protocol, in its order. */
static void extensions_in_the_order_of_the_table(void **state)
{
    (void)state;
    static const int ca[] = {NID_key_usage, NID_ext_key_usage, NID_basic_constraints,
                             NID_subject_key_identifier};
    static const int leaf[] = {NID_key_usage, NID_ext_key_usage, NID_authority_key_identifier,
                               NID_subject_alt_name};
    struct pki_set s;
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    assert_int_equal(X509_get_ext_count(s.ca), ARRAY_LEN(ca));
    assert_int_equal(X509_get_ext_count(s.cert), ARRAY_LEN(leaf));
    for (int i = 0; i < (int)ARRAY_LEN(ca); i++) {
        assert_int_equal(OBJ_obj2nid(X509_EXTENSION_get_object(X509_get_ext(s.ca, i))), ca[i]);
        assert_int_equal(OBJ_obj2nid(X509_EXTENSION_get_object(X509_get_ext(s.cert, i))), leaf[i]);
    }
    assert_int_equal(
        ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(s.ca), X509_get0_authority_key_id(s.cert)),
        0);
    pki_set_fini(&s);
}

static void the_key_id_is_the_hash_go_makes(void **state)
{
    (void)state;
    struct both b;
    both_init(&b);
    const X509 *all[] = {b.ours.ca, b.original.ca};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        unsigned char hash[EVP_MAX_MD_SIZE];
        unsigned n;
        assert_int_equal(X509_pubkey_digest(all[i], EVP_sha1(), hash, &n), 1);
        const ASN1_OCTET_STRING *id = X509_get0_subject_key_id((X509 *)(uintptr_t)all[i]);
        assert_int_equal(ASN1_STRING_length(id), n);
        assert_memory_equal(ASN1_STRING_get0_data(id), hash, n);
    }
    both_fini(&b);
}

static void keys_are_p256_and_differ(void **state)
{
    (void)state;
    struct pki_set s;
    char group[32];
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    assert_int_equal(EVP_PKEY_get_group_name(s.key, group, sizeof group, NULL), 1);
    assert_string_equal(group, "prime256v1");
    assert_int_equal(EVP_PKEY_get_group_name(s.ca_key, group, sizeof group, NULL), 1);
    assert_string_equal(group, "prime256v1");
    assert_int_not_equal(EVP_PKEY_eq(s.key, s.ca_key), 1);
    pki_set_fini(&s);
}

static void serials_are_positive_short_and_differ(void **state)
{
    (void)state;
    struct pki_set s;
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    const ASN1_INTEGER *all[] = {X509_get0_serialNumber(s.ca), X509_get0_serialNumber(s.cert)};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        BIGNUM *n = ASN1_INTEGER_to_BN(all[i], NULL);
        assert_false(BN_is_negative(n) || BN_is_zero(n));
        assert_in_range(i2d_ASN1_INTEGER(all[i], NULL), 2 + 8, 2 + 20); /* tag, length, bytes */
        BN_free(n);
    }
    assert_int_not_equal(ASN1_INTEGER_cmp(all[0], all[1]), 0);
    pki_set_fini(&s);
}

static time_t utc(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return timegm(&tm);
}

static void d25_valid_from_a_day_before(void **state)
{
    (void)state;
    struct pki_set s;
    time_t now = utc(2028, 2, 29) + 3661;
    assert_int_equal(pki_issue_set(now, &s), 0);
    assert_int_equal(pki_set_dates(&s).ca_from, now - DAY);
    assert_int_equal(pki_set_dates(&s).from, now - DAY);
    assert_int_equal(pki_cert_until(s.ca), utc(2038, 3, 1) + 3661); /* as Go's AddDate */
    assert_int_equal(pki_cert_until(s.cert), now + 365 * DAY);
    pki_set_fini(&s);
}

/* From 2050 on X.509 wants another form of the date. */
static void dates_beyond_2050(void **state)
{
    (void)state;
    struct pki_set s;
    time_t now = utc(2045, 6, 1);
    assert_int_equal(pki_issue_set(now, &s), 0);
    assert_int_equal(pki_cert_until(s.ca), utc(2055, 6, 1));
    assert_int_equal(ASN1_STRING_type(X509_get0_notAfter(s.ca)), V_ASN1_GENERALIZEDTIME);
    assert_int_equal(ASN1_STRING_type(X509_get0_notAfter(s.cert)), V_ASN1_UTCTIME);
    pki_set_fini(&s);
}

static void the_ca_limits_the_server_certificate(void **state)
{
    (void)state;
    struct pki_set s;
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    time_t end = pki_cert_until(s.ca), late = end - 30 * DAY;
    X509 *cert;
    assert_int_equal(pki_issue_leaf(&s, late, &cert), 0);
    assert_int_equal(pki_cert_until(cert), end);
    X509_free(s.cert);
    s.cert = cert;
    assert_int_equal(pki_set_dates(&s).from, late - DAY);
    pki_set_fini(&s);
}

/* `openssl verify -x509_strict -purpose sslserver -verify_hostname`, trusting the CA alone. */
static int strict_verdict(const struct pki_set *s, time_t at)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, s->ca), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, s->cert, NULL), 1);
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    X509_VERIFY_PARAM_set_auth_level(p, 2);
    X509_VERIFY_PARAM_set_time(p, at);
    assert_int_equal(X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER), 1);
    assert_int_equal(X509_VERIFY_PARAM_set1_host(p, PKI_SERVER_NAME, 0), 1);
    (void)X509_verify_cert(ctx); /* the code says it */
    int code = X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return code;
}

static void a_strict_verifier_accepts_them(void **state)
{
    (void)state;
    struct both b;
    both_init(&b);
    assert_int_equal(strict_verdict(&b.ours, TODAY), X509_V_OK);
    assert_int_equal(strict_verdict(&b.ours, TODAY - DAY), X509_V_OK);
    assert_int_equal(strict_verdict(&b.ours, TODAY - DAY - 1), X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(strict_verdict(&b.ours, TODAY + 365 * DAY + 1), X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(strict_verdict(&b.original, TODAY), X509_V_OK);
    X509_free(b.ours.cert); /* renewed by the original's CA, and for its key */
    assert_int_equal(pki_issue_leaf(&b.original, TODAY, &b.ours.cert), 0);
    X509_free(b.ours.ca);
    b.ours.ca = b.original.ca;
    assert_int_equal(strict_verdict(&b.ours, TODAY), X509_V_OK);
    b.ours.ca = NULL;
    both_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_are_the_originals, place_setup, place_teardown),
        cmocka_unit_test(extensions_in_the_order_of_the_table),
        cmocka_unit_test_setup_teardown(the_key_id_is_the_hash_go_makes, place_setup,
                                        place_teardown),
        cmocka_unit_test(keys_are_p256_and_differ),
        cmocka_unit_test(serials_are_positive_short_and_differ),
        cmocka_unit_test(d25_valid_from_a_day_before),
        cmocka_unit_test(dates_beyond_2050),
        cmocka_unit_test(the_ca_limits_the_server_certificate),
        cmocka_unit_test_setup_teardown(a_strict_verifier_accepts_them, place_setup,
                                        place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
