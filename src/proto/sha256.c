/* SPDX-License-Identifier: MIT */
/* OpenSSL's. */
#include "proto/sha256.h"

#include <openssl/evp.h>

#include "base/err.h"
#include "base/secure.h"

int sha256(uint8_t ret[SHA256_BYTES], const void *p, size_t n)
{
    if (EVP_Digest(p, n, ret, NULL, EVP_sha256(), NULL) == 1)
        return 0;
    secure_zero(ret, SHA256_BYTES);
    return ERR_NOMEM;
}
