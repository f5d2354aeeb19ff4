/* SPDX-License-Identifier: MIT */
/* Ed25519 signatures (RFC 8032), which need no random numbers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    ED25519_SEED_BYTES = 32, /* the private key */
    ED25519_PUBLIC_BYTES = 32,
    ED25519_SIG_BYTES = 64,
};

/* The public key of a seed. 0; ERR_NOMEM: ret is zero. */
int ed25519_public(uint8_t ret[ED25519_PUBLIC_BYTES],
                   const uint8_t seed[ED25519_SEED_BYTES]) MUST_USE;

/* Signs the n bytes at p. 0; ERR_NOMEM: ret is zero. */
int ed25519_sign(uint8_t ret[ED25519_SIG_BYTES], const uint8_t seed[ED25519_SEED_BYTES],
                 const void *p, size_t n) MUST_USE;

/* Whether sig is the signature of the n bytes at p. How long it takes depends on what is public: key,
   signature, n. False also without memory, and for a key that is none. */
bool ed25519_verify(const uint8_t key[ED25519_PUBLIC_BYTES], const void *p, size_t n,
                    const uint8_t sig[ED25519_SIG_BYTES]);
