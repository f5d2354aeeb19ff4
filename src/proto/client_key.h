/* SPDX-License-Identifier: MIT */
/*
 * The secret of one client, and what the server keeps of it (docs/protocol.md 5.3). From T, random
 * bytes that the client alone has, come two things (HKDF-SHA256, RFC 5869): the seed of an Ed25519
 * key, which signs, and A, which takes the place of the shared secret in proofs. The server keeps
 * A and the public key: so what lies on its disk lets nobody in.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/base32.h"

enum {
    CLIENT_KEY_T_BYTES = 16,
    CLIENT_KEY_A_BYTES = 32,
    CLIENT_KEY_SEED_BYTES = 32,
    CLIENT_KEY_PUBLIC_BYTES = 32,
};

/* What a client has. Its owner wipes it. */
struct client_secret {
    uint8_t seed[CLIENT_KEY_SEED_BYTES];
    uint8_t a[CLIENT_KEY_A_BYTES];
};

/* What the server has. A is no secret of the client's, but with it and the server's TLS key one could
   pose as the server: wipe it, too. */
struct client_key {
    uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES]; /* of the seed */
    uint8_t a[CLIENT_KEY_A_BYTES];
};

/* What comes of T. 0; ERR_NOMEM: *ret is zero. */
int client_secret_init(struct client_secret *ret, const uint8_t t[CLIENT_KEY_T_BYTES]) MUST_USE;

/* The server's part of it. 0; ERR_NOMEM: *ret is zero. */
int client_key_init(struct client_key *ret, const struct client_secret *s) MUST_USE;

/* ---- a key as text, for files ---- */

/* gk1_ and, in base32: a byte 1, the public key, A, the first 4 bytes of SHA-256 of all before. */
#define CLIENT_KEY_PREFIX "gk1_"
enum {
    CLIENT_KEY_PREFIX_LEN = 4,
    CLIENT_KEY_BYTES = 1 + CLIENT_KEY_PUBLIC_BYTES + CLIENT_KEY_A_BYTES + 4,
    CLIENT_KEY_LEN = CLIENT_KEY_PREFIX_LEN + BASE32_LEN(CLIENT_KEY_BYTES),
    CLIENT_KEY_BUF = CLIENT_KEY_LEN + 1,
};

/* Writes CLIENT_KEY_LEN characters and a NUL. 0; ERR_NOMEM: text is empty. */
int client_key_put(char text[CLIENT_KEY_BUF], const struct client_key *k) MUST_USE;

/*
 * The key that the n characters at text say, all of them. ERR_INVAL: no key's text: it does not begin
 * with gk1_, or is shorter, longer, or of other characters (upper case is another). ERR_PROTO: a
 * later version's. ERR_RANGE: a character is wrong (the check). ERR_NOMEM. *ret is set only on success.
 */
int client_key_get(struct client_key *ret, const char *text, size_t n) MUST_USE;
