/* SPDX-License-Identifier: MIT */
/* TLS settings: who is accepted, who is refused, and in which words. In memory, no sockets. */
#include "net/tls_ctx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "certs.h"

/* One handshake: the two ends, the result of each (1: done, else negative ERR_*), their words. */
struct shake {
    SSL *client, *server;
    int client_result, server_result;
    struct errmsg client_why, server_why;
};

static char ca_path[] = "/tmp/test-tls-ctx-XXXXXX";
static struct cert ca, server_cert;

static int group_setup(void **state)
{
    (void)state;
    int fd = mkstemp(ca_path);
    ca = cert_ca();
    server_cert = cert_server(&ca);
    cert_append(&ca, ca_path);
    return fd < 0 ? -1 : close(fd);
}

static int group_teardown(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&server_cert);
    return unlink(ca_path);
}

static SSL_CTX *server_ctx(const struct cert *c)
{
    SSL_CTX *ctx;
    struct errmsg why;
    assert_int_equal(tls_server_ctx_new(c->x, c->key, NULL, NULL, &ctx, &why), 0);
    return ctx;
}

static SSL_CTX *client_ctx(void)
{
    SSL_CTX *ctx;
    struct errmsg why;
    assert_int_equal(tls_client_ctx_new(ca_path, NULL, &ctx, &why), 0);
    return ctx;
}

static SSL *end_of(SSL_CTX *ctx)
{
    SSL *ssl = SSL_new(ctx);
    assert_non_null(ssl);
    return ssl;
}

static void join(SSL *a, SSL *b)
{
    BIO *x, *y;
    assert_int_equal(BIO_new_bio_pair(&x, 1 << 16, &y, 1 << 16), 1);
    SSL_set_bio(a, x, x);
    SSL_set_bio(b, y, y);
}

/* Takes both contexts. */
static struct shake shake_new(SSL_CTX *client, SSL_CTX *server)
{
    struct shake h = {.client = end_of(client), .server = end_of(server)};
    assert_int_equal(SSL_set_tlsext_host_name(h.client, (void *)(uintptr_t)tls_sni(client)), 1);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    SSL_set_connect_state(h.client);
    SSL_set_accept_state(h.server);
    join(h.client, h.server);
    return h;
}

static int step(SSL *ssl, struct errmsg *why)
{
    ERR_clear_error();
    int r = SSL_do_handshake(ssl);
    if (r == 1 || SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ)
        return r == 1;
    return tls_take_error(ssl, ERR_TLS, why);
}

static void shake_run(struct shake *h)
{
    for (int i = 0; i < 10; i++) {
        if (h->client_result == 0)
            h->client_result = step(h->client, &h->client_why);
        if (h->server_result == 0)
            h->server_result = step(h->server, &h->server_why);
    }
    char byte; /* TLS 1.3: what the client thinks of the certificate shows here */
    ERR_clear_error();
    if (h->server_result == 1 && SSL_read(h->server, &byte, 1) <= 0 && ERR_peek_error())
        h->server_result = tls_take_error(h->server, ERR_TLS, &h->server_why);
}

static void shake_free(struct shake *h)
{
    SSL_free(h->client);
    SSL_free(h->server);
}

static void check_ok(struct shake *h)
{
    shake_run(h);
    assert_int_equal(h->client_result, 1);
    assert_int_equal(h->server_result, 1);
    shake_free(h);
}

/* ---- certificates ---- */

static void the_right_ca(void **state)
{
    (void)state;
    struct shake h = shake_new(client_ctx(), server_ctx(&server_cert));
    shake_run(&h);
    assert_int_equal(h.client_result, 1);
    assert_string_equal(SSL_get_version(h.client), "TLSv1.3");
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(h.client)), 1); /* the leaf alone */
    shake_free(&h);
}

static SSL_CTX *showing_ctx(const struct cert *c, const struct cert *first,
                            const struct cert *second);

/* A server that has its CA shows it to who asks for it alone: its flight then is small. */
static void the_ca_is_for_who_asks_for_it(void **state)
{
    (void)state;
    struct shake h = shake_new(client_ctx(), showing_ctx(&server_cert, &ca, NULL));
    shake_run(&h);
    assert_int_equal(h.client_result, 1);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(h.client)), 1);
    shake_free(&h);
    h = shake_new(client_ctx(), showing_ctx(&server_cert, &ca, NULL));
    char name[] = TLS_PINNED_NAME;
    assert_int_equal(SSL_set_tlsext_host_name(h.client, name), 1);
    shake_run(&h);
    assert_int_equal(h.client_result, 1);
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(h.client)), 2);
    shake_free(&h);
}

/* What a Go client takes as well. */
static void other_good_certificates(void **state)
{
    static const struct cert_spec specs[] = {
        {.cn = "x", .dns = "gotunnel.internal"},
        {.cn = "x", .dns = "GoTunnel.Internal"},
        {.cn = "x", .dns = "gotunnel.internal", .usage = "clientAuth,serverAuth"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct cert c = cert_make(&specs[i], &ca);
        struct shake h = shake_new(client_ctx(), server_ctx(&c));
        shake_run(&h);
        if (h.client_result != 1)
            fail_msg("%zu: %s", i, h.client_why.text);
        shake_free(&h);
        cert_free(&c);
    }
}

/* The error that comes with these words. */
static int refusal_of(const char *words)
{
    bool is_time =
        strstr(words, "expired") || strstr(words, "yet valid") || strstr(words, "it says");
    return is_time ? ERR_CERT_TIME : ERR_CERT;
}

static void check_refused(const struct cert *c, const char *words)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx = client_ctx();
        assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
        struct shake h = shake_new(ctx, server_ctx(c));
        shake_run(&h);
        assert_int_equal(h.client_result, refusal_of(words));
        if (!strstr(h.client_why.text, words))
            fail_msg("%s", h.client_why.text);
        assert_int_equal(h.server_result, ERR_CERT);
        assert_non_null(strstr(h.server_why.text, "does not accept our certificate"));
        shake_free(&h);
    }
}

static void bad_certificates(void **state)
{
    char clock[] = "it says 2006-01-02 (certificate ";
    time_t now = time(NULL);
    assert_true(strftime(clock, sizeof clock, "it says %Y-%m-%d (certificate ", localtime(&now)) >
                0);
    const struct {
        struct cert_spec spec;
        const char *words;
    } rows[] = {
        {{.cn = "x", .dns = "other.internal"}, "is not for gotunnel.internal"},
        {{.cn = "gotunnel.internal"}, "is not for gotunnel.internal"},
        {{.cn = "x", .dns = "gotunnel.internal", .from_s = -7200, .till_s = -60}, "has expired"},
        {{.cn = "x", .dns = "gotunnel.internal", .from_s = -7200, .till_s = -60}, clock},
        {{.cn = "x", .dns = "gotunnel.internal", .from_s = 600}, "not yet valid"},
        {{.cn = "x", .dns = "gotunnel.internal", .from_s = 600}, clock},
        {{.cn = "x", .dns = "gotunnel.internal", .usage = "clientAuth"}, "purpose"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cert c = cert_make(&rows[i].spec, &ca);
        check_refused(&c, rows[i].words);
        cert_free(&c);
    }
}

/* Of the same name, which proves nothing. And nobody's, and a CA that is none. */
static void another_ca(void **state)
{
    (void)state;
    struct cert other_ca = cert_ca(), other = cert_server(&other_ca), alone = cert_server(NULL);
    struct cert below = cert_server(&server_cert);
    check_refused(&other, "not signed by the CA in the -ca file");
    check_refused(&alone, "not signed by the CA in the -ca file");
    check_refused(&below, "not signed by the CA in the -ca file");
    cert_free(&other_ca);
    cert_free(&other);
    cert_free(&alone);
    cert_free(&below);
}

static void an_expired_ca(void **state)
{
    (void)state;
    struct cert_spec spec = {.cn = "Old CA", .from_s = -7200, .till_s = -60, .is_ca = true};
    struct cert old = cert_make(&spec, NULL), c = cert_server(&old);
    struct errmsg why;
    SSL_CTX *ctx;
    char path[] = "/tmp/test-tls-ctx-XXXXXX";
    assert_int_equal(close(mkstemp(path)), 0);
    cert_append(&old, path);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), 0);
    struct shake h = shake_new(ctx, server_ctx(&c));
    shake_run(&h);
    assert_int_equal(h.client_result, ERR_CERT_TIME);
    assert_non_null(strstr(h.client_why.text, "has expired"));
    shake_free(&h);
    cert_free(&old);
    cert_free(&c);
    (void)unlink(path);
}

/* ---- the -ca file ---- */

/* Other blocks, the old CA beside the new one, the server's own certificate: as Go takes them. */
static void what_a_ca_file_may_hold(void **state)
{
    (void)state;
    char path[] = "/tmp/test-tls-ctx-XXXXXX";
    struct errmsg why;
    SSL_CTX *ctx;
    assert_int_equal(close(mkstemp(path)), 0);
    struct cert other = cert_ca();
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("some words\n-----BEGIN GARBAGE-----\nAAAA\n-----END GARBAGE-----\n", f);
    (void)fclose(f);
    cert_append(&other, path);
    cert_append(&server_cert, path);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), 0);
    struct shake h = shake_new(ctx, server_ctx(&server_cert));
    check_ok(&h);
    struct cert renewed = cert_server(&other);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), 0);
    h = shake_new(ctx, server_ctx(&renewed));
    check_ok(&h);
    cert_free(&other);
    cert_free(&renewed);
    (void)unlink(path);
}

/* It would work, until the server renews it. */
static void a_leaf_is_no_ca(void **state)
{
    (void)state;
    char path[] = "/tmp/test-tls-ctx-XXXXXX", want[256], print[TLS_FINGERPRINT_MAX];
    struct errmsg why;
    SSL_CTX *ctx = NULL;
    assert_int_equal(close(mkstemp(path)), 0);
    cert_append(&server_cert, path);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), ERR_CERT);
    (void)snprintf(want, sizeof want,
                   "%s holds a server's certificate and not a CA's: give the server's file ca.crt",
                   path);
    assert_string_equal(why.text, want);
    assert_null(ctx);
    cert_append(&ca, path);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), 0);
    assert_int_equal(X509_cmp(tls_trusted_ca(ctx, 0), ca.x), 0);
    assert_null(tls_trusted_ca(ctx, 1));
    tls_fingerprint(ca.x, print);
    assert_int_equal(strlen(print), TLS_FINGERPRINT_MAX - 1);
    assert_int_equal(strspn(print, "0123456789abcdef"), TLS_FINGERPRINT_MAX - 1);
    SSL_CTX_free(ctx);
    (void)unlink(path);
}

static void unusable_ca_files(void **state)
{
    (void)state;
    char path[] = "/tmp/test-tls-ctx-XXXXXX";
    struct errmsg why;
    SSL_CTX *ctx = NULL;
    assert_int_equal(close(mkstemp(path)), 0);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), ERR_CERT); /* empty */
    assert_non_null(strstr(why.text, path));
    FILE *f = fopen(path, "w");
    (void)fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", f);
    (void)fclose(f);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), ERR_CERT);
    assert_non_null(strstr(why.text, path));
    (void)unlink(path);
    assert_int_equal(tls_client_ctx_new(path, NULL, &ctx, &why), ERR_CERT); /* none */
    assert_non_null(strstr(why.text, path));
    assert_non_null(strstr(why.text, strerror(ENOENT)));
    assert_non_null(strstr(why.text, "copy ca.crt from the server")); /* what to do */
    assert_int_equal(tls_client_ctx_new("/", NULL, &ctx, &why), ERR_CERT);
    assert_non_null(strstr(why.text, " / is a directory: "));
    assert_null(ctx);
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_key_that_does_not_fit(void **state)
{
    (void)state;
    SSL_CTX *ctx = NULL;
    struct errmsg why = {""};
    assert_int_equal(tls_server_ctx_new(server_cert.x, ca.key, NULL, NULL, &ctx, &why), ERR_TLS);
    assert_non_null(strstr(why.text, "mismatch"));
    assert_null(ctx);
}

/* ---- the pin ---- */

static struct tls_pin pin_of(const struct cert *c)
{
    struct tls_pin pin = {.server = "vps.example.com:7000"};
    assert_int_equal(tls_pin_of(c->x, pin.key), 0);
    return pin;
}

static SSL_CTX *pinned_ctx(const struct tls_pin *pin, int version)
{
    SSL_CTX *ctx;
    struct errmsg why;
    assert_int_equal(tls_client_ctx_pinned(pin, NULL, &ctx, &why), 0);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    return ctx;
}

/* A server that shows these behind its own. */
static SSL_CTX *showing_ctx(const struct cert *c, const struct cert *first,
                            const struct cert *second)
{
    SSL_CTX *ctx;
    struct errmsg why;
    assert_int_equal(tls_server_ctx_new(c->x, c->key, first ? first->x : NULL, NULL, &ctx, &why),
                     0);
    if (second)
        assert_int_equal(SSL_CTX_add1_chain_cert(ctx, second->x), 1);
    return ctx;
}

/* The words of the client's refusal; "": it accepts. Of both versions of TLS the same. */
static void check_pinned(const struct tls_pin *pin, const struct cert *c, const struct cert *first,
                         const struct cert *second, const char *words)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct shake h = shake_new(pinned_ctx(pin, version), showing_ctx(c, first, second));
        shake_run(&h);
        assert_int_equal(h.client_result, *words ? refusal_of(words) : 1);
        assert_int_equal(h.server_result, *words ? ERR_CERT : 1);
        if (!strstr(h.client_why.text, words))
            fail_msg("%s", h.client_why.text);
        shake_free(&h);
    }
}

/* Computed with: openssl x509 -pubkey | openssl pkey -pubin -outform der | sha256sum */
static void a_pin_is_a_hash_of_the_key_as_it_is_in_the_certificate(void **state)
{
    (void)state;
    unsigned char der[256], *at = der, want[EVP_MAX_MD_SIZE];
    struct tls_pin pin = pin_of(&ca);
    int n = i2d_PUBKEY(ca.key, NULL);
    assert_in_range(n, 1, sizeof der);
    assert_int_equal(i2d_PUBKEY(ca.key, &at), n);
    assert_int_equal(EVP_Digest(der, (size_t)n, want, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(pin.key, want, TLS_PIN_BYTES);
}

static void the_pinned_ca(void **state)
{
    (void)state;
    struct tls_pin pin = pin_of(&ca);
    struct cert other = cert_ca(), renewed = cert_server(&ca);
    check_pinned(&pin, &server_cert, &ca, NULL, "");
    check_pinned(&pin, &renewed, &ca, NULL, "");
    check_pinned(&pin, &server_cert, &other, &ca, ""); /* in any place */
    cert_free(&other);
    cert_free(&renewed);
}

#define ANOTHER                                                                                    \
    "the server at vps.example.com:7000 shows another CA than the join string: wrong host, or "    \
    "somebody in between ("
#define THROWN_IN                                                                                  \
    "the server at vps.example.com:7000 shows the CA of the join string, but its certificate is "  \
    "another CA's: somebody in between ("

static void another_ca_than_the_pinned_one(void **state)
{
    (void)state;
    struct cert other_ca = cert_ca(), other = cert_server(&other_ca), alone = cert_server(NULL);
    struct cert below = cert_server(&server_cert);
    struct tls_pin pin = pin_of(&ca), leaf = pin_of(&server_cert), near = pin;
    near.key[TLS_PIN_BYTES - 1] ^= 1;
    check_pinned(&pin, &other, &other_ca, NULL, ANOTHER);
    check_pinned(&pin, &other, NULL, NULL, ANOTHER);
    check_pinned(&pin, &server_cert, NULL, NULL, ANOTHER); /* it does not show its CA */
    check_pinned(&near, &server_cert, &ca, NULL, ANOTHER);
    check_pinned(&leaf, &server_cert, &ca, NULL, ANOTHER); /* a key that is no CA's */
    check_pinned(&pin, &other, &ca, NULL, THROWN_IN);
    check_pinned(&pin, &other, &other_ca, &ca, THROWN_IN);
    check_pinned(&pin, &alone, &ca, NULL, THROWN_IN);
    check_pinned(&pin, &below, &server_cert, &ca, THROWN_IN);
    cert_free(&other_ca);
    cert_free(&other);
    cert_free(&alone);
    cert_free(&below);
}

/* All else is looked at as with a -ca file. */
static void a_pin_does_not_make_a_bad_certificate_good(void **state)
{
    static const struct {
        struct cert_spec spec;
        const char *words;
    } rows[] = {
        {{.cn = "x", .dns = "other.internal"}, "is not for gotunnel.internal"},
        {{.cn = "gotunnel.internal"}, "is not for gotunnel.internal"},
        {{.cn = "x", .dns = "gotunnel.internal", .from_s = -7200, .till_s = -60}, "has expired"},
        {{.cn = "x", .dns = "gotunnel.internal", .from_s = 600}, "not yet valid"},
        {{.cn = "x", .dns = "gotunnel.internal", .usage = "clientAuth"}, "purpose"},
    };
    (void)state;
    struct tls_pin pin = pin_of(&ca);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cert c = cert_make(&rows[i].spec, &ca);
        check_pinned(&pin, &c, &ca, NULL, rows[i].words);
        cert_free(&c);
    }
    struct cert_spec spec = {.cn = "Old CA", .from_s = -7200, .till_s = -60, .is_ca = true};
    struct cert old = cert_make(&spec, NULL), c = cert_server(&old);
    pin = pin_of(&old);
    check_pinned(&pin, &c, &old, NULL, "has expired");
    cert_free(&old);
    cert_free(&c);
}

/* Who trusts by a file passes over it. */
static void a_ca_that_is_shown_is_not_trusted_by_that(void **state)
{
    (void)state;
    struct cert other_ca = cert_ca(), other = cert_server(&other_ca);
    struct shake h = shake_new(client_ctx(), showing_ctx(&server_cert, &ca, NULL));
    check_ok(&h);
    h = shake_new(client_ctx(), showing_ctx(&other, &other_ca, NULL));
    shake_run(&h);
    assert_int_equal(h.client_result, ERR_CERT);
    assert_non_null(strstr(h.client_why.text, "not signed by the CA in the -ca file"));
    shake_free(&h);
    cert_free(&other_ca);
    cert_free(&other);
}

/* ---- versions and algorithms ---- */

/* A peer of any sort, with everything switched on. */
static SSL_CTX *lax(const SSL_METHOD *method, const struct cert *c)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, 0), 1);
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0"), 1);
    if (c) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, c->x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, c->key), 1);
    }
    return ctx;
}

static void old_versions_are_refused(void **state)
{
    static const int old[] = {TLS1_VERSION, TLS1_1_VERSION};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(old); i++) {
        SSL_CTX *client = lax(TLS_client_method(), NULL);
        assert_int_equal(SSL_CTX_set_max_proto_version(client, old[i]), 1);
        struct shake h = shake_new(client, server_ctx(&server_cert));
        shake_run(&h);
        assert_int_equal(h.server_result, ERR_TLS);
        assert_int_equal(h.client_result, ERR_TLS);
        assert_non_null(strstr(h.client_why.text, "protocol version")); /* the alert */
        shake_free(&h);

        SSL_CTX *server = lax(TLS_server_method(), &server_cert);
        assert_int_equal(SSL_CTX_set_max_proto_version(server, old[i]), 1);
        h = shake_new(client_ctx(), server);
        shake_run(&h);
        assert_int_equal(h.client_result, ERR_TLS);
        shake_free(&h);
    }
}

static void both_new_versions(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = client_ctx();
        assert_int_equal(SSL_CTX_set_max_proto_version(client, version), 1);
        struct shake h = shake_new(client, server_ctx(&server_cert));
        check_ok(&h);
    }
}

/* The suites that a Go peer without AEAD would offer, RSA key exchange, and those we do speak. */
static void suites_of_tls_1_2(void **state)
{
    static const struct {
        const char *suite;
        bool ok;
    } rows[] = {
        {"ECDHE-ECDSA-AES128-GCM-SHA256", true}, {"ECDHE-ECDSA-AES256-GCM-SHA384", true},
        {"ECDHE-ECDSA-CHACHA20-POLY1305", true}, {"ECDHE-ECDSA-AES128-SHA", false},
        {"ECDHE-ECDSA-AES256-SHA384", false},    {"AES128-GCM-SHA256", false},
        {"ECDHE-ECDSA-AES128-CCM", false},       {"AECDH-AES128-SHA", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        SSL_CTX *client = lax(TLS_client_method(), NULL);
        assert_int_equal(SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION), 1);
        SSL_CTX_set_security_level(client, 0);
        assert_int_equal(SSL_CTX_set_cipher_list(client, rows[i].suite), 1);
        struct shake h = shake_new(client, server_ctx(&server_cert));
        shake_run(&h);
        assert_int_equal(h.server_result, rows[i].ok ? 1 : ERR_TLS);
        shake_free(&h);
    }
}

/* ---- which suite two of ours agree on ---- */

static SSL_CTX *preferring(SSL_CTX *ctx, bool has_aes)
{
    assert_int_equal(tls_prefer(ctx, has_aes), 0);
    return ctx;
}

static void check_suite(SSL_CTX *client, SSL_CTX *server, int version, const char *suite)
{
    assert_int_equal(SSL_CTX_set_max_proto_version(client, version), 1);
    struct shake h = shake_new(client, server);
    shake_run(&h);
    assert_int_equal(h.client_result, 1);
    assert_string_equal(SSL_get_cipher_name(h.client), suite);
    shake_free(&h);
}

/* One end without AES is enough for ChaCha20. */
static void the_processor_decides_the_suite(void **state)
{
    static const char chacha[] = "TLS_CHACHA20_POLY1305_SHA256",
                      old_chacha[] = "ECDHE-ECDSA-CHACHA20-POLY1305";
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool c = i & 1, s = i & 2, both = c && s;
        check_suite(preferring(client_ctx(), c), preferring(server_ctx(&server_cert), s),
                    TLS1_3_VERSION, both ? "TLS_AES_128_GCM_SHA256" : chacha);
        check_suite(preferring(client_ctx(), c), preferring(server_ctx(&server_cert), s),
                    TLS1_2_VERSION, both ? "ECDHE-ECDSA-AES256-GCM-SHA384" : old_chacha);
    }
}

/* What is not changed by a test: this machine's. */
static void a_fresh_context_is_of_this_machine(void **state)
{
    (void)state;
    bool has_aes = tls_has_aes(OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS));
    check_suite(client_ctx(), server_ctx(&server_cert), TLS1_3_VERSION,
                has_aes ? "TLS_AES_128_GCM_SHA256" : "TLS_CHACHA20_POLY1305_SHA256");
}

/* Others' order is theirs: Go puts ChaCha20 first where it has no AES, OpenSSL AES-256. */
static void other_clients_choose_themselves(void **state)
{
    static const char *const orders[] = {
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
        "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        SSL_CTX *client = client_ctx();
        char first[64];
        (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(orders[i], ":"), orders[i]);
        assert_int_equal(SSL_CTX_set_ciphersuites(client, orders[i]), 1);
        check_suite(client, preferring(server_ctx(&server_cert), true), TLS1_3_VERSION, first);
    }
}

static void what_the_processor_can(void **state)
{
    static const struct {
        const char *cpu;
        bool has_aes;
    } rows[] = {
        {"OPENSSL_ia32cap=0xfffab2235f8bffff:0x405f46f1bf27ab", true},
        {"OPENSSL_ia32cap=0x200000200000000:0x0", true},
        {"OPENSSL_ia32cap=0x200000000000000:0x0", false}, /* no PCLMULQDQ */
        {"OPENSSL_ia32cap=0x200000000:0x200000200000000", false},
        {"OPENSSL_ia32cap=0x0:0x0 env:~0x200000000000000", false},
        {"OPENSSL_armcap=0x3d", true}, /* ARMv8 with the crypto extension */
        {"OPENSSL_armcap=0x24", true},
        {"OPENSSL_armcap=0x1", false}, /* a Raspberry Pi 4 */
        {"OPENSSL_armcap=", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (tls_has_aes(rows[i].cpu) != rows[i].has_aes)
            fail_msg("%s", rows[i].cpu);
    }
    assert_int_equal(tls_has_aes(NULL), tls_has_aes("OPENSSL_othercap=0xffffffffffffffff"));
}

static void groups(void **state)
{
    static const struct {
        char groups[16];
        bool ok;
    } rows[] = {{"X25519", true}, {"P-256", true}, {"P-384:P-256", true}, {"P-384", false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        SSL_CTX *client = lax(TLS_client_method(), NULL);
        char list[16];
        strcpy(list, rows[i].groups);
        assert_int_equal(SSL_CTX_set1_groups_list(client, list), 1);
        struct shake h = shake_new(client, server_ctx(&server_cert));
        shake_run(&h);
        assert_int_equal(h.server_result, rows[i].ok ? 1 : ERR_TLS);
        shake_free(&h);
    }
}

/* ---- what is off ---- */

static void an_unknown_alpn_is_answered_without(void **state)
{
    static const unsigned char offer[] = "\x02h2\x0agotunnel/9";
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *client = client_ctx();
        const unsigned char *chosen;
        unsigned len = 99;
        assert_int_equal(SSL_CTX_set_max_proto_version(client, version), 1);
        assert_int_equal(SSL_CTX_set_alpn_protos(client, offer, sizeof offer - 1), 0);
        struct shake h = shake_new(client, server_ctx(&server_cert));
        shake_run(&h);
        assert_int_equal(h.client_result, 1);
        SSL_get0_alpn_selected(h.client, &chosen, &len);
        assert_int_equal(len, 0);
        shake_free(&h);
    }
}

static int sessions;

static int on_session(SSL *ssl, SSL_SESSION *s)
{
    (void)ssl, (void)s;
    sessions++;
    return 0;
}

/* No ticket comes, and what a client offers to resume is not resumed. */
static void no_tickets_no_resumption(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *server = server_ctx(&server_cert), *client = lax(TLS_client_method(), NULL);
        char byte;
        sessions = 0;
        assert_int_equal(SSL_CTX_set_max_proto_version(client, version), 1);
        SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(client, on_session);
        assert_int_equal(SSL_CTX_up_ref(server), 1);
        assert_int_equal(SSL_CTX_up_ref(client), 1);
        struct shake h = shake_new(client, server);
        shake_run(&h);
        assert_true(SSL_read(h.client, &byte, 1) <= 0);
        SSL_SESSION *s = SSL_get1_session(h.client);
        assert_false(SSL_SESSION_has_ticket(s));
        assert_int_equal(SSL_CTX_sess_number(server), 0);
        if (version == TLS1_3_VERSION)
            assert_int_equal(sessions, 0);
        shake_free(&h);

        h = shake_new(client, server);
        (void)SSL_set_session(h.client, s);
        shake_run(&h);
        assert_int_equal(h.server_result, 1);
        assert_false(SSL_session_reused(h.server));
        SSL_SESSION_free(s);
        shake_free(&h);
    }
}

/* asks begins a new handshake on the old connection; the other one, ours, refuses. */
static void check_no_renegotiation(SSL_CTX *client, SSL_CTX *server, bool client_asks)
{
    char byte;
    struct shake h = shake_new(client, server);
    shake_run(&h);
    assert_int_equal(h.client_result, 1);
    SSL *asks = client_asks ? h.client : h.server, *ours = client_asks ? h.server : h.client;
    assert_int_equal(SSL_renegotiate(asks), 1);
    (void)SSL_do_handshake(asks); /* a server's request is sent without waiting for the answer */
    ERR_clear_error();
    assert_true(SSL_read(ours, &byte, 1) <= 0);
    ERR_clear_error();
    assert_true(SSL_read(asks, &byte, 1) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    shake_free(&h);
}

static void no_renegotiation(void **state)
{
    (void)state;
    SSL_CTX *client = lax(TLS_client_method(), NULL);
    assert_int_equal(SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION), 1);
    check_no_renegotiation(client, server_ctx(&server_cert), true);
    SSL_CTX *server = lax(TLS_server_method(), &server_cert);
    assert_int_equal(SSL_CTX_set_max_proto_version(server, TLS1_2_VERSION), 1);
    check_no_renegotiation(client_ctx(), server, false);
}

static void nothing_early_and_nothing_compressed(void **state)
{
    (void)state;
    SSL_CTX *all[] = {server_ctx(&server_cert), client_ctx()};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_int_equal(SSL_CTX_get_max_early_data(all[i]), 0);
        assert_int_equal(SSL_CTX_get_num_tickets(all[i]), 0);
        assert_int_equal(SSL_CTX_get_security_level(all[i]), 2);
        assert_int_equal(SSL_CTX_get_max_cert_list(all[i]), 8192);
        assert_true(SSL_CTX_get_options(all[i]) & SSL_OP_NO_COMPRESSION);
        SSL_CTX_free(all[i]);
    }
}

/* ---- errors ---- */

static void the_library_is_new_enough(void **state)
{
    (void)state;
    struct errmsg why = {""};
    assert_int_equal(tls_library_check(&why), 0);
    assert_string_equal(why.text, "");
}

/* Nothing that is bounded in the library may be kept by a connection: a server has thousands. */
static void a_connection_takes_nothing_that_runs_out(void **state)
{
    (void)state;
    enum { CONNECTIONS = 1200 };
    SSL_CTX *client = client_ctx(), *server = server_ctx(&server_cert);
    SSL **kept = calloc(CONNECTIONS, sizeof(SSL *));
    assert_non_null(kept);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        SSL_CTX_up_ref(client);
        SSL_CTX_up_ref(server);
        struct shake h = shake_new(client, server);
        shake_run(&h);
        assert_int_equal(h.client_result, 1);
        assert_int_equal(h.server_result, 1);
        SSL_free(h.client);
        SSL_set_bio(h.server, NULL, NULL); /* 128 KB each */
        kept[i] = h.server;
    }
    for (size_t i = 0; i < CONNECTIONS; i++)
        SSL_free(kept[i]);
    free(kept);
    SSL_CTX_free(client);
    SSL_CTX_free(server);
}

static void errors_without_words(void **state)
{
    (void)state;
    struct errmsg why;
    ERR_clear_error();
    assert_int_equal(tls_take_error(NULL, ERR_IO, &why), ERR_IO);
    assert_string_equal(why.text, err_name(ERR_IO));
    ERR_raise(ERR_LIB_SYS, EACCES);
    assert_int_equal(tls_take_error(NULL, ERR_IO, &why), ERR_IO);
    assert_string_equal(why.text, strerror(EACCES));
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ca_is_for_who_asks_for_it),
        cmocka_unit_test(the_right_ca),
        cmocka_unit_test(other_good_certificates),
        cmocka_unit_test(bad_certificates),
        cmocka_unit_test(another_ca),
        cmocka_unit_test(an_expired_ca),
        cmocka_unit_test(what_a_ca_file_may_hold),
        cmocka_unit_test(a_leaf_is_no_ca),
        cmocka_unit_test(unusable_ca_files),
        cmocka_unit_test(a_key_that_does_not_fit),
        cmocka_unit_test(a_pin_is_a_hash_of_the_key_as_it_is_in_the_certificate),
        cmocka_unit_test(the_pinned_ca),
        cmocka_unit_test(another_ca_than_the_pinned_one),
        cmocka_unit_test(a_pin_does_not_make_a_bad_certificate_good),
        cmocka_unit_test(a_ca_that_is_shown_is_not_trusted_by_that),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(both_new_versions),
        cmocka_unit_test(suites_of_tls_1_2),
        cmocka_unit_test(the_processor_decides_the_suite),
        cmocka_unit_test(a_fresh_context_is_of_this_machine),
        cmocka_unit_test(other_clients_choose_themselves),
        cmocka_unit_test(what_the_processor_can),
        cmocka_unit_test(groups),
        cmocka_unit_test(an_unknown_alpn_is_answered_without),
        cmocka_unit_test(no_tickets_no_resumption),
        cmocka_unit_test(no_renegotiation),
        cmocka_unit_test(nothing_early_and_nothing_compressed),
        cmocka_unit_test(the_library_is_new_enough),
        cmocka_unit_test(errors_without_words),
        cmocka_unit_test(a_connection_takes_nothing_that_runs_out),
    };
    tls_library_begin(); /* as the program does, before anything else */
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
