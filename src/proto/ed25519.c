/* SPDX-License-Identifier: MIT */
/* Ed25519 by libcrypto. What it notes about a failure is taken out of its queue again: whoever looks
   at that next, a TLS connection, would take it for its own. */
#include "proto/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/err.h"

int ed25519_public(uint8_t ret[ED25519_PUBLIC_BYTES], const uint8_t seed[ED25519_SEED_BYTES])
{
    size_t n = ED25519_PUBLIC_BYTES;
    memset(ret, 0, ED25519_PUBLIC_BYTES);
    ERR_set_mark();
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_BYTES);
    bool good = key && EVP_PKEY_get_raw_public_key(key, ret, &n) == 1;
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return good ? 0 : ERR_NOMEM;
}

int ed25519_sign(uint8_t ret[ED25519_SIG_BYTES], const uint8_t seed[ED25519_SEED_BYTES],
                 const void *p, size_t n)
{
    size_t len = ED25519_SIG_BYTES;
    ERR_set_mark();
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestSign(ctx, ret, &len, p, n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    if (!good)
        memset(ret, 0, ED25519_SIG_BYTES);
    return good ? 0 : ERR_NOMEM;
}

bool ed25519_verify(const uint8_t key[ED25519_PUBLIC_BYTES], const void *p, size_t n,
                    const uint8_t sig[ED25519_SIG_BYTES])
{
    ERR_set_mark();
    EVP_PKEY *public =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_PUBLIC_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = public && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public) == 1 &&
                EVP_DigestVerify(ctx, sig, ED25519_SIG_BYTES, p, n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(public);
    ERR_pop_to_mark();
    return good;
}
