/* SPDX-License-Identifier: MIT */
/* PEM text: the shapes that Go accepts, what is refused and how, every truncation. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pki/internal.h"
#include "place.h"

/* Two texts, one behind the other. The caller's. */
static struct pki_blob join(const char *first, const struct pki_blob *second)
{
    size_t n = strlen(first);
    struct pki_blob b = {malloc(n + second->len), n + second->len};
    assert_non_null(b.data);
    memcpy(b.data, first, n);
    memcpy(b.data + n, second->data, second->len);
    return b;
}

static int key_error(const char *text)
{
    struct pki_blob b = join(text, &(struct pki_blob){(uint8_t[1]){0}, 0});
    EVP_PKEY *key;
    int err = pki_pem_key(&b, &key);
    pki_blob_fini(&b);
    if (err == 0)
        EVP_PKEY_free(key);
    return err;
}

static int cert_error(const char *text)
{
    struct pki_blob b = join(text, &(struct pki_blob){(uint8_t[1]){0}, 0});
    X509 *cert;
    int err = pki_pem_cert(&b, &cert);
    pki_blob_fini(&b);
    if (err == 0)
        X509_free(cert);
    return err;
}

static void assert_key(const struct pki_blob *b, const EVP_PKEY *want)
{
    EVP_PKEY *got;
    assert_int_equal(pki_pem_key(b, &got), 0);
    assert_int_equal(EVP_PKEY_eq(got, want), 1);
    EVP_PKEY_free(got);
}

static struct pki_blob pkcs8(EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    char *text;
    BIO *out = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, cipher, "pass", 4, NULL, NULL), 1);
    long len = BIO_get_mem_data(out, &text);
    struct pki_blob b = {malloc((size_t)len), (size_t)len};
    assert_non_null(b.data);
    memcpy(b.data, text, (size_t)len);
    BIO_free(out);
    return b;
}

static void an_ec_key_is_sec1_and_comes_back(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct pki_blob b;
    assert_int_equal(pki_pem_put_key(key, &b), 0);
    assert_memory_equal(b.data, "-----BEGIN EC PRIVATE KEY-----\n", 31);
    assert_key(&b, key);
    pki_blob_fini(&b);
    EVP_PKEY_free(key);
}

static void other_shapes_of_keys(void **state)
{
    (void)state;
    EVP_PKEY *ec = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048);
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    EVP_PKEY *all[] = {ec, rsa, ed};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct pki_blob b = pkcs8(all[i], NULL);
        assert_key(&b, all[i]);
        pki_blob_fini(&b);
    }
    struct pki_blob pkcs1;
    assert_int_equal(pki_pem_put_key(rsa, &pkcs1), 0);
    assert_memory_equal(pkcs1.data, "-----BEGIN RSA PRIVATE KEY-----\n", 32);
    assert_key(&pkcs1, rsa);
    pki_blob_fini(&pkcs1);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        EVP_PKEY_free(all[i]);
}

static void blocks_before_it_are_skipped(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct pki_blob b;
    assert_int_equal(pki_pem_put_key(key, &b), 0);
    struct pki_blob both = join("a comment\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                                "-----END EC PARAMETERS-----\n",
                                &b);
    assert_key(&both, key);
    pki_blob_fini(&both);
    pki_blob_fini(&b);
    EVP_PKEY_free(key);
}

static void encrypted_keys_are_told_apart(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *got;
    struct pki_blob b = pkcs8(key, EVP_aes_128_cbc());
    assert_int_equal(pki_pem_key(&b, &got), ERR_PERM);
    pki_blob_fini(&b);
    EVP_PKEY_free(key);
    assert_int_equal(key_error("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                               "DEK-Info: AES-128-CBC,5D9C2F0C1B6A4E8F9D0A1B2C3D4E5F60\n\n"
                               "AAAA\n-----END EC PRIVATE KEY-----\n"),
                     ERR_PERM);
}

static void what_is_no_key(void **state)
{
    (void)state;
    assert_int_equal(key_error(""), ERR_NOTFOUND);
    assert_int_equal(key_error("hello"), ERR_NOTFOUND);
    assert_int_equal(key_error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                     ERR_NOTFOUND);
    assert_int_equal(key_error("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                     ERR_CERT);
    assert_int_equal(key_error("-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n"),
                     ERR_CERT);
    assert_int_equal(key_error("-----BEGIN PRIVATE KEY-----\nAAAA\n"), ERR_CERT);
    assert_int_equal(
        key_error("-----BEGIN XPRIVATE KEYS-----\nAAAA\n-----END XPRIVATE KEYS-----\n"),
        ERR_NOTFOUND);
}

static void what_is_no_certificate(void **state)
{
    (void)state;
    assert_int_equal(cert_error(""), ERR_NOTFOUND);
    assert_int_equal(cert_error("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                     ERR_NOTFOUND);
    assert_int_equal(cert_error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                     ERR_CERT);
    assert_int_equal(cert_error("-----BEGIN CERTIFICATE-----\nAAAA\n"), ERR_CERT);
}

/* A SEC1 key whose private number is not the one of the public point beside it. */
static void a_key_at_odds_with_itself_is_damaged(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *got;
    unsigned char *der = NULL;
    int len = i2d_PrivateKey(key, &der);
    assert_true(len > 40);
    der[20] ^= 1; /* within the 32 bytes of the private number */
    BIO *out = BIO_new(BIO_s_mem());
    assert_true(PEM_write_bio(out, "EC PRIVATE KEY", "", der, len) > 0);
    char *text;
    long n = BIO_get_mem_data(out, &text);
    assert_int_equal(pki_pem_key(&(struct pki_blob){(uint8_t *)text, (size_t)n}, &got), ERR_CERT);
    BIO_free(out);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

/* Cut anywhere it is refused, except where only the last line feed is missing. */
static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct pki_set s;
    assert_int_equal(pki_issue_set(TODAY, &s), 0);
    struct pki_blob key, cert;
    assert_int_equal(pki_pem_put_key(s.key, &key), 0);
    assert_int_equal(pki_pem_put_cert(s.cert, &cert), 0);
    for (size_t n = 0; n + 1 < key.len; n++) {
        EVP_PKEY *got;
        if (pki_pem_key(&(struct pki_blob){key.data, n}, &got) == 0)
            fail_msg("%zu bytes of a key of %zu were accepted", n, key.len);
    }
    for (size_t n = 0; n + 1 < cert.len; n++) {
        X509 *got;
        if (pki_pem_cert(&(struct pki_blob){cert.data, n}, &got) == 0)
            fail_msg("%zu bytes of a certificate of %zu were accepted", n, cert.len);
    }
    pki_blob_fini(&key);
    pki_blob_fini(&cert);
    pki_set_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ec_key_is_sec1_and_comes_back),
        cmocka_unit_test(other_shapes_of_keys),
        cmocka_unit_test(blocks_before_it_are_skipped),
        cmocka_unit_test(encrypted_keys_are_told_apart),
        cmocka_unit_test(what_is_no_key),
        cmocka_unit_test(what_is_no_certificate),
        cmocka_unit_test(a_key_at_odds_with_itself_is_damaged),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
