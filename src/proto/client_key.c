/* SPDX-License-Identifier: MIT */
/* A client's secret, the server's part of it, and its text. */
#include "proto/client_key.h"

#include <string.h>

#include "base/err.h"
#include "base/secure.h"
#include "proto/ed25519.h"
#include "proto/hmac.h"
#include "proto/sha256.h"

enum { VERSION = 1, CHECK_BYTES = 4, COVERED = CLIENT_KEY_BYTES - CHECK_BYTES };

_Static_assert((int)CLIENT_KEY_SEED_BYTES == (int)ED25519_SEED_BYTES, "seed");
_Static_assert((int)CLIENT_KEY_PUBLIC_BYTES == (int)ED25519_PUBLIC_BYTES, "public key");
_Static_assert((int)CLIENT_KEY_A_BYTES == (int)HMAC_BYTES, "A");
_Static_assert(sizeof CLIENT_KEY_PREFIX - 1 == CLIENT_KEY_PREFIX_LEN, "prefix");

/* ---- from T ---- */

int client_secret_init(struct client_secret *ret, const uint8_t t[CLIENT_KEY_T_BYTES])
{
    static const char salt[] = "gotunnel/2 key", sign[] = "sign\1", mac[] = "mac\1";
    uint8_t key[HMAC_BYTES];
    int err = hmac_sha256(key, salt, sizeof salt - 1, t, CLIENT_KEY_T_BYTES); /* HKDF-Extract */
    if (err == 0)
        err = hmac_sha256(ret->seed, key, sizeof key, sign, sizeof sign - 1); /* HKDF-Expand */
    if (err == 0)
        err = hmac_sha256(ret->a, key, sizeof key, mac, sizeof mac - 1);
    secure_zero(key, sizeof key);
    if (err < 0)
        secure_zero(ret, sizeof *ret);
    return err;
}

int client_key_init(struct client_key *ret, const struct client_secret *s)
{
    int err = ed25519_public(ret->public_key, s->seed);
    if (err < 0)
        secure_zero(ret, sizeof *ret);
    else
        memcpy(ret->a, s->a, sizeof ret->a);
    return err;
}

/* ---- text ---- */

static int check_of(uint8_t ret[CHECK_BYTES], const uint8_t bytes[COVERED])
{
    uint8_t digest[SHA256_BYTES];
    int err = sha256(digest, bytes, COVERED);
    memcpy(ret, digest, CHECK_BYTES);
    return err;
}

int client_key_put(char text[CLIENT_KEY_BUF], const struct client_key *k)
{
    uint8_t bytes[CLIENT_KEY_BYTES] = {VERSION};
    memcpy(bytes + 1, k->public_key, sizeof k->public_key);
    memcpy(bytes + 1 + sizeof k->public_key, k->a, sizeof k->a);
    int err = check_of(bytes + COVERED, bytes);
    memset(text, 0, CLIENT_KEY_BUF);
    if (err == 0) {
        memcpy(text, CLIENT_KEY_PREFIX, CLIENT_KEY_PREFIX_LEN);
        base32_put(text + CLIENT_KEY_PREFIX_LEN, bytes, sizeof bytes);
    }
    secure_zero(bytes, sizeof bytes);
    return err;
}

/* Version and check of what the text says. */
static int look_at(const uint8_t bytes[CLIENT_KEY_BYTES])
{
    uint8_t check[CHECK_BYTES];
    if (check_of(check, bytes) < 0)
        return ERR_NOMEM;
    if (memcmp(check, bytes + COVERED, sizeof check) != 0)
        return ERR_RANGE;
    return bytes[0] == VERSION ? 0 : ERR_PROTO;
}

int client_key_get(struct client_key *ret, const char *text, size_t n)
{
    uint8_t bytes[CLIENT_KEY_BYTES];
    if (n != CLIENT_KEY_LEN || memcmp(text, CLIENT_KEY_PREFIX, CLIENT_KEY_PREFIX_LEN) != 0 ||
        !base32_get(bytes, text + CLIENT_KEY_PREFIX_LEN, sizeof bytes))
        return ERR_INVAL;
    int err = look_at(bytes);
    if (err == 0) {
        memcpy(ret->public_key, bytes + 1, sizeof ret->public_key);
        memcpy(ret->a, bytes + 1 + sizeof ret->public_key, sizeof ret->a);
    }
    secure_zero(bytes, sizeof bytes);
    return err;
}
