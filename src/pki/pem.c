/* SPDX-License-Identifier: MIT */
/*
 * PEM text in memory to OpenSSL objects and back. Which blocks are taken follows Go's crypto/tls:
 * the first of the wanted type, whatever stands before it (EC PARAMETERS, comments). Nothing here
 * ever asks for a passphrase.
 */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "pki/internal.h"

/* One decoded block; all strings are OpenSSL's. */
struct block {
    char *type;
    char *header; /* "Proc-Type: 4,ENCRYPTED" and the like */
    unsigned char *der;
    long len;
};

static void block_fini(struct block *b)
{
    OPENSSL_free(b->type);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->der, b->len > 0 ? (size_t)b->len : 0);
    *b = (struct block){0};
}

static bool is_cert(const char *type)
{
    return strcmp(type, PEM_STRING_X509) == 0;
}

static bool is_key(const char *type)
{
    static const char end[] = "PRIVATE KEY";
    size_t n = strlen(type);
    return n >= sizeof end - 1 && strcmp(type + n - (sizeof end - 1), end) == 0;
}

/* The first block of a wanted type. */
static int find_block(const struct pki_blob *b, bool (*wanted)(const char *), struct block *ret)
{
    BIO *in = BIO_new_mem_buf(b->data, (int)b->len);
    int err = in ? ERR_AGAIN : ERR_NOMEM;
    while (err == ERR_AGAIN) {
        struct block k = {0};
        if (PEM_read_bio(in, &k.type, &k.header, &k.der, &k.len) != 1) {
            int reason = ERR_GET_REASON(ERR_peek_last_error());
            err = reason == PEM_R_NO_START_LINE ? ERR_NOTFOUND : ERR_CERT;
        } else if (wanted(k.type)) {
            *ret = k;
            err = 0;
        } else {
            block_fini(&k);
        }
    }
    BIO_free(in);
    ERR_clear_error();
    return err;
}

int pki_pem_cert(const struct pki_blob *b, X509 **ret)
{
    struct block k;
    int err = find_block(b, is_cert, &k);
    if (err < 0)
        return err;
    const unsigned char *p = k.der;
    X509 *cert = d2i_X509(NULL, &p, k.len);
    bool whole = cert && p == k.der + k.len;
    block_fini(&k);
    ERR_clear_error();
    if (!whole || !X509_get0_pubkey(cert)) {
        X509_free(cert);
        ERR_clear_error();
        return ERR_CERT;
    }
    *ret = cert;
    return 0;
}

/* Does the private part belong to the public part next to it? */
static bool is_consistent(EVP_PKEY *key)
{
    if (EVP_PKEY_get_bits(key) > PKI_KEY_BITS_MAX)
        return false;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = ctx && EVP_PKEY_pairwise_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

static int parse_key(const struct block *k, EVP_PKEY **ret)
{
    if (strcmp(k->type, PEM_STRING_PKCS8) == 0 || strstr(k->header, "ENCRYPTED"))
        return ERR_PERM;
    const unsigned char *p = k->der;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, k->len);
    if (!key || p != k->der + k->len || !is_consistent(key)) {
        EVP_PKEY_free(key);
        return ERR_CERT;
    }
    *ret = key;
    return 0;
}

int pki_pem_key(const struct pki_blob *b, EVP_PKEY **ret)
{
    struct block k;
    int err = find_block(b, is_key, &k);
    if (err < 0)
        return err;
    err = parse_key(&k, ret);
    block_fini(&k);
    ERR_clear_error();
    return err;
}

/* Takes what was written to out, and frees out. */
static int take_text(BIO *out, bool written, struct pki_blob *ret)
{
    char *text;
    long len = written ? BIO_get_mem_data(out, &text) : 0;
    uint8_t *copy = len > 0 ? malloc((size_t)len) : NULL;
    if (copy) {
        memcpy(copy, text, (size_t)len);
        *ret = (struct pki_blob){copy, (size_t)len};
    }
    BIO_free(out);
    ERR_clear_error();
    return copy ? 0 : ERR_NOMEM;
}

int pki_pem_put_cert(X509 *cert, struct pki_blob *ret)
{
    BIO *out = BIO_new(BIO_s_mem());
    return take_text(out, out && PEM_write_bio_X509(out, cert) == 1, ret);
}

int pki_pem_put_key(EVP_PKEY *key, struct pki_blob *ret)
{
    BIO *out = BIO_new(BIO_s_secmem()); /* wiped when freed */
    bool ok = out && PEM_write_bio_PrivateKey_traditional(out, key, NULL, NULL, 0, NULL, NULL) == 1;
    return take_text(out, ok, ret);
}
