/* SPDX-License-Identifier: MIT */
/* HMAC-SHA256 by libcrypto. */
#include "proto/hmac.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/err.h"
#include "base/secure.h"

int hmac_sha256(uint8_t ret[HMAC_BYTES], const void *key, size_t key_len, const void *p, size_t n)
{
    uint8_t out[HMAC_BYTES] = {0};
    assert(key_len <= INT32_MAX);
    int err = HMAC(EVP_sha256(), key, (int)key_len, p, n, out, NULL) ? 0 : ERR_NOMEM;
    memcpy(ret, out, sizeof out);
    secure_zero(out, sizeof out);
    return err;
}
