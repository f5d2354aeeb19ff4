/* SPDX-License-Identifier: MIT */
/* HMAC-SHA256 (RFC 2104), for keys and proofs. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { HMAC_BYTES = 32 };

/* HMAC(key, n bytes at p); key_len at most INT32_MAX. ret may be the key itself. 0; ERR_NOMEM: ret
   is zero. */
int hmac_sha256(uint8_t ret[HMAC_BYTES], const void *key, size_t key_len, const void *p,
                size_t n) MUST_USE;
