/* SPDX-License-Identifier: MIT */
/* Hashes that nobody else can compute. */
#include "proto/keyed_hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

uint64_t keyed_hash(const uint8_t key[KEYED_HASH_KEY_BYTES], const void *p, size_t n)
{
    uint8_t digest[32] = {0};
    uint64_t hash;
    (void)HMAC(EVP_sha256(), key, KEYED_HASH_KEY_BYTES, p, n, digest, NULL);
    memcpy(&hash, digest, sizeof hash);
    return hash ? hash : 1;
}
