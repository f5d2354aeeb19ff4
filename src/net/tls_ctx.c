/* SPDX-License-Identifier: MIT */
/* TLS settings, and the translation of OpenSSL's errors into sentences. */
#include "net/tls_ctx.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hex.h"
#include "base/i18n.h"
#include "base/key_pool.h"
#include "net/ca_file.h"

enum { PEER_CERTS_MAX = 8 << 10 }; /* bytes of a peer's certificate list; one of ours is 500 */

static void *library_alloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return key_pool_alloc(n);
}

static void *library_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return key_pool_realloc(p, n);
}

static void library_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    key_pool_free(p);
}

void tls_library_begin(void)
{
    key_pool_init();
    (void)CRYPTO_set_mem_functions(library_alloc, library_realloc, library_free); /* in time */
}

int tls_library_check(struct errmsg *why)
{
    unsigned long have = OpenSSL_version_num();
    if (have >= 0x300000e0L) /* 3.0.14: CVE-2024-2511 and earlier are fixed */
        return 0;
    return errmsg_set(why, ERR_TLS, _("%s is too old: at least OpenSSL 3.0.14 is needed"),
                      OpenSSL_version(OPENSSL_VERSION));
}

/* ---- errors ---- */

/* The day on this machine's clock, as the person in front of it reads it. */
static const char *today(char ret[sizeof "2006-01-02"])
{
    struct tm tm;
    time_t now = time(NULL);
    if (!localtime_r(&now, &tm) || strftime(ret, sizeof "2006-01-02", "%Y-%m-%d", &tm) == 0)
        strcpy(ret, "?");
    return ret;
}

/* What OpenSSL's word for a certificate means here. */
static void verify_text(long code, struct errmsg *ret)
{
    char day[sizeof "2006-01-02"];
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)errmsg_set(ret, 0,
                         _("the server's certificate has expired, or the clock of this machine is "
                           "wrong: it says %s"),
                         today(day));
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)errmsg_set(ret, 0,
                         _("the server's certificate is not yet valid: is the clock of this "
                           "machine right? it says %s"),
                         today(day));
        return;
    case X509_V_ERR_HOSTNAME_MISMATCH:
        (void)errmsg_set(ret, 0, _("the server's certificate is not for %s"), TLS_SERVER_NAME);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        (void)errmsg_set(ret, 0, "%s",
                         _("the server's certificate is not signed by the CA in the -ca file: copy "
                           "ca.crt from the server again"));
        return;
    default:
        (void)errmsg_set(ret, 0, "%s", _("the server's certificate is not accepted"));
    }
}

static int verify_error(SSL *ssl, long code, struct errmsg *why)
{
    struct errmsg text;
    bool is_time = code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;
    if (!tls_pin_text(ssl, code, &text))
        verify_text(code, &text);
    return errmsg_set(why, is_time ? ERR_CERT_TIME : ERR_CERT, _("%s (%s)"), text.text,
                      X509_verify_cert_error_string(code));
}

/* The peer's alert about a certificate of ours. */
static bool is_cert_alert(int reason)
{
    switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR: /* signed by another CA of the same name */
        return true;
    default:
        return false;
    }
}

/* OpenSSL's own words have no text for errors of the operating system. */
static const char *words_of(unsigned long code)
{
    return ERR_SYSTEM_ERROR(code) ? errno_text(ERR_GET_REASON(code))
                                  : ERR_reason_error_string(code);
}

int tls_take_error(SSL *ssl, int fallback_err, struct errmsg *why)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *words = words_of(code);
    bool is_client = ssl && !SSL_is_server(ssl);
    ERR_clear_error();
    if (is_client && SSL_get_verify_result(ssl) != X509_V_OK)
        return verify_error(ssl, SSL_get_verify_result(ssl), why);
    if (!code)
        return errmsg_set(why, fallback_err, "%s", err_text(fallback_err));
    if (!is_client && ERR_GET_LIB(code) == ERR_LIB_SSL && is_cert_alert(reason))
        return errmsg_set(why, ERR_CERT, _("the client does not accept our certificate (%s)"),
                          words ? words : "alert");
    if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
        (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST))
        return errmsg_set(why, ERR_TLS, "%s", _("the other side does not speak TLS"));
    if (ERR_SYSTEM_ERROR(code) || !words)
        return errmsg_set(why, fallback_err, "%s", words ? words : err_text(fallback_err));
    return errmsg_set(why, fallback_err, _("%s (%s)"), err_text(fallback_err), words);
}

/* ---- contexts ---- */

static bool set_groups(SSL_CTX *ctx)
{
    char all[] = "X25519MLKEM768:X25519:P-256",
         old[] = "X25519:P-256"; /* the macro wants no const */
    if (SSL_CTX_set1_groups_list(ctx, all) == 1)
        return true;
    ERR_clear_error(); /* a library without the first one */
    return SSL_CTX_set1_groups_list(ctx, old) == 1;
}

/* The bits libcrypto itself goes by: for AES, and for the multiplication in GCM. */
bool tls_has_aes(const char *cpu)
{
    static const struct {
        const char *name;
        unsigned long long bits;
    } kinds[] = {
        {"OPENSSL_ia32cap=", 1ull << 57 | 1ull << 33}, /* OPENSSL_ia32cap(3) */
        {"OPENSSL_armcap=", 1ull << 2 | 1ull << 5},    /* ARMV8_AES, ARMV8_PMULL */
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds) && cpu; i++) {
        size_t n = strlen(kinds[i].name);
        if (strncmp(cpu, kinds[i].name, n) == 0)
            return (strtoull(cpu + n, NULL, 16) & kinds[i].bits) == kinds[i].bits;
    }
#if defined __s390x__ || defined __powerpc64__
    return true; /* all that run a library as new as ours */
#else
    return false;
#endif
}

int tls_prefer(SSL_CTX *ctx, bool has_aes)
{
    const char *suites = has_aes ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                   "TLS_CHACHA20_POLY1305_SHA256"
                                 : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
                                   "TLS_AES_256_GCM_SHA384";
    const char *old = has_aes ? "ECDHE+AESGCM:ECDHE+CHACHA20" : "ECDHE+CHACHA20:ECDHE+AESGCM";
    if (SSL_CTX_set_ciphersuites(ctx, suites) != 1 || SSL_CTX_set_cipher_list(ctx, old) != 1)
        return ERR_TLS;
    if (has_aes)
        SSL_CTX_clear_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    else
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE); /* a client has no use for it */
    return 0;
}

/* What both sides have in common. NULL without memory. */
static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        tls_prefer(ctx, tls_has_aes(OPENSSL_info(OPENSSL_INFO_CPU_SETTINGS))) < 0 ||
        !set_groups(ctx)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_max_cert_list(ctx, PEER_CERTS_MAX);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

static int no_ctx(SSL_CTX *ctx, struct errmsg *why)
{
    SSL_CTX_free(ctx);
    return tls_take_error(NULL, ERR_TLS, why);
}

/* Selects ours (arg, or NULL) from the client's list of strings with a length before each. If it is
   not there: go on without, as Go does. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
                   const unsigned char *in, unsigned int inlen, void *arg)
{
    const char *ours = arg;
    size_t n = ours ? strlen(ours) : 0;
    (void)ssl;
    for (unsigned i = 0; n > 0 && i + 1 + n <= inlen; i += 1 + in[i]) {
        if (in[i] != n || memcmp(in + i + 1, ours, n) != 0)
            continue;
        *out = in + i + 1;
        *outlen = in[i];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* True if it cannot be offered, for lack of memory. */
static bool offer_alpn(SSL_CTX *ctx, const char *alpn)
{
    unsigned char list[32];
    size_t n = strlen(alpn);
    assert(n < sizeof list);
    list[0] = (unsigned char)n;
    memcpy(list + 1, alpn, n);
    return SSL_CTX_set_alpn_protos(ctx, list, (unsigned)n + 1) != 0; /* 0 is success, here */
}

/* The CA lies in the store of a server's settings, where nothing else is. */
static int on_cert(SSL *ssl, void *arg)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *ca = tls_trusted_ca(SSL_get_SSL_CTX(ssl), 0);
    (void)arg;
    if (!ca || !name || strcmp(name, TLS_PINNED_NAME) != 0)
        return 1;
    return SSL_add1_chain_cert(ssl, ca) == 1;
}

int tls_server_ctx_new(X509 *cert, EVP_PKEY *key, X509 *ca, const char *alpn, SSL_CTX **ret,
                       struct errmsg *why)
{
    SSL_CTX *ctx = new_ctx(TLS_server_method());
    if (!ctx || SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1 ||
        (ca && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) != 1))
        return no_ctx(ctx, why);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN); /* what was said, and no more */
    SSL_CTX_set_cert_cb(ctx, on_cert, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, (void *)(uintptr_t)alpn);
    *ret = ctx;
    return 0;
}

const char *tls_sni(SSL_CTX *ctx)
{
    return SSL_CTX_get_app_data(ctx) ? TLS_PINNED_NAME : TLS_SERVER_NAME; /* tls_pin_use() */
}

void tls_fingerprint(X509 *cert, char ret[TLS_FINGERPRINT_MAX])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(cert, EVP_sha256(), hash, &n) != 1 || 2 * n + 1 != TLS_FINGERPRINT_MAX) {
        ERR_clear_error();
        strcpy(ret, "?");
        return;
    }
    hex_put(ret, hash, n);
    ret[2 * n] = '\0';
}

X509 *tls_trusted_ca(SSL_CTX *ctx, unsigned i)
{
    const STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));
    for (int k = 0; k < sk_X509_OBJECT_num(all); k++) {
        X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, k));
        if (cert && X509_check_ca(cert) > 0 && i-- == 0)
            return cert;
    }
    return NULL;
}

/* What all clients demand of a certificate, whichever way they trust. */
static bool demand_name(SSL_CTX *ctx)
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return X509_VERIFY_PARAM_set1_host(param, TLS_SERVER_NAME, 0) == 1;
}

int tls_client_ctx_pinned(const struct tls_pin *pin, const char *alpn, SSL_CTX **ret,
                          struct errmsg *why)
{
    SSL_CTX *ctx = new_ctx(TLS_client_method());
    if (!ctx || (alpn && offer_alpn(ctx, alpn)) || !demand_name(ctx) || !tls_pin_use(ctx, pin))
        return no_ctx(ctx, why);
    *ret = ctx;
    return 0;
}

int tls_client_ctx_new(const char *ca_file, const char *alpn, SSL_CTX **ret, struct errmsg *why)
{
    SSL_CTX *ctx = new_ctx(TLS_client_method());
    if (!ctx || (alpn && offer_alpn(ctx, alpn)))
        return no_ctx(ctx, why);
    if (SSL_CTX_load_verify_file(ctx, ca_file) != 1) {
        const char *words = words_of(ERR_peek_error());
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return ca_file_fault(ca_file, words ? words : err_text(ERR_CERT), why);
    }
    if (!tls_trusted_ca(ctx, 0)) {
        SSL_CTX_free(ctx);
        return errmsg_set(why, ERR_CERT,
                          _("%s holds a server's certificate and not a CA's: give the server's "
                            "file ca.crt"),
                          ca_file);
    }
    if (!demand_name(ctx))
        return no_ctx(ctx, why);
    *ret = ctx;
    return 0;
}
