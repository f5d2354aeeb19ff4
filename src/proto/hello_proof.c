/* SPDX-License-Identifier: MIT */
/*
 * Keys and proofs of a gotunnel/2 hello (docs/protocol.md, "gotunnel/2"). Everything is
 * HMAC-SHA256; the key derivation is HKDF (RFC 5869) with outputs of one block.
 *
 * What a MAC covers is not the line but its meaning, in one unambiguous form: a label that ends
 * with NUL and is no other's beginning, numbers of fixed width (little-endian), and strings after
 * their length. Labels differ, so no MAC can be taken for one of another kind.
 */
#include "proto/hello.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/err.h"
#include "base/secure.h"
#include "base/utf8.h"

enum { HASH_BYTES = 32 };

/* ---- HMAC and HKDF ---- */

/* ret may be the key itself. On failure (of an allocation) ret is zero. */
static int hmac(uint8_t ret[HASH_BYTES], const void *key, size_t key_len, const void *p, size_t n)
{
    uint8_t out[HASH_BYTES] = {0};
    assert(key_len <= INT32_MAX);
    int err = HMAC(EVP_sha256(), key, (int)key_len, p, n, out, NULL) ? 0 : ERR_NOMEM;
    memcpy(ret, out, sizeof out);
    secure_zero(out, sizeof out);
    return err;
}

/* What a MAC is made of. Large enough for the longest: a refusal and the request it answers. */
struct transcript {
    size_t n;
    uint8_t bytes[768];
};

static void add(struct transcript *t, const void *p, size_t n)
{
    assert(n <= sizeof t->bytes - t->n);
    memcpy(t->bytes + t->n, p, n);
    t->n += n;
}

static void add_label(struct transcript *t, const char *label)
{
    add(t, label, strlen(label) + 1);
}

static void add_number(struct transcript *t, uint64_t v, size_t bytes)
{
    uint8_t le[8];
    for (size_t i = 0; i < bytes; i++)
        le[i] = (uint8_t)(v >> 8 * i);
    add(t, le, bytes);
}

/* At most 255 bytes, as all of ours are. */
static void add_string(struct transcript *t, const char *s)
{
    size_t n = strlen(s);
    assert(n <= UINT8_MAX);
    add_number(t, n, 1);
    add(t, s, n);
}

/* HKDF-Expand to one block; info is what the transcript has. Wipes it. */
static int expand(uint8_t ret[HASH_BYTES], const uint8_t key[HASH_BYTES], struct transcript *info)
{
    add_number(info, 1, 1);
    int err = hmac(ret, key, HASH_BYTES, info->bytes, info->n);
    secure_zero(info, sizeof *info);
    return err;
}

static int expand_label(uint8_t ret[HASH_BYTES], const uint8_t key[HASH_BYTES], const char *label)
{
    struct transcript info = {0};
    add_label(&info, label);
    return expand(ret, key, &info);
}

int hello_keys_init(struct hello_keys *ret, const char *secret,
                    const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    secure_zero(ret, sizeof *ret);
    if (!hello_secret_is_long_enough(secret))
        return ERR_RANGE;
    int err = hmac(ret->base, exporter, HELLO_EXPORTER_BYTES, secret, strlen(secret));
    if (err == 0)
        err = expand_label(ret->client, ret->base, "gotunnel/2 client");
    if (err == 0)
        err = expand_label(ret->server, ret->base, "gotunnel/2 server");
    if (err < 0)
        secure_zero(ret, sizeof *ret);
    return err;
}

int hello_resume_key(uint8_t ret[32], const struct hello_keys *k,
                     const uint8_t sid[HELLO_SID_BYTES], const uint8_t nc[HELLO_NONCE_BYTES],
                     const uint8_t ns[HELLO_NONCE_BYTES])
{
    struct transcript info = {0};
    add_label(&info, "gotunnel/2 resume");
    add(&info, sid, HELLO_SID_BYTES);
    add(&info, nc, HELLO_NONCE_BYTES);
    add(&info, ns, HELLO_NONCE_BYTES);
    return expand(ret, k->base, &info);
}

/* ---- transcripts ---- */

static void add_open(struct transcript *t, const struct hello_request *r)
{
    add_label(t, "open");
    add(t, r->nonce, HELLO_NONCE_BYTES);
    add_number(t, (uint64_t)r->port, 8);
    add_number(t, r->window_ms, 4);
    add_string(t, r->id);
}

static void add_resume(struct transcript *t, const struct hello_request *r, const uint8_t *exporter)
{
    add_label(t, "resume");
    add(t, exporter, HELLO_EXPORTER_BYTES);
    add(t, r->sid, HELLO_SID_BYTES);
    add_number(t, r->epoch, 8);
    add_number(t, r->rx, 8);
}

static void add_refusal(struct transcript *t, const struct hello_answer *a)
{
    add_label(t, "refused");
    add_string(t, hello_error_word(a->error));
    add_string(t, a->message);
}

/* After the request's. */
static void add_opened(struct transcript *t, const struct hello_answer *a)
{
    if (a->error != HELLO_OK) {
        add_refusal(t, a);
        return;
    }
    add_label(t, "opened");
    add(t, a->sid, HELLO_SID_BYTES);
    add(t, a->nonce, HELLO_NONCE_BYTES);
    add_number(t, a->window_ms, 4);
    add_number(t, (uint64_t)a->port, 4);
    add_string(t, a->address);
}

static void add_resumed(struct transcript *t, const struct hello_answer *a)
{
    if (a->error != HELLO_OK) {
        add_refusal(t, a);
        return;
    }
    add_label(t, "resumed");
    add_number(t, a->epoch, 8);
    add_number(t, a->rx, 8);
}

/* ---- signing and verifying ---- */

static int sign(uint8_t mac[HELLO_MAC_BYTES], const struct transcript *t, const uint8_t *key)
{
    return hmac(mac, key, HASH_BYTES, t->bytes, t->n);
}

static bool verify(const uint8_t mac[HELLO_MAC_BYTES], const struct transcript *t,
                   const uint8_t *key)
{
    uint8_t right[HASH_BYTES];
    int err = sign(right, t, key);
    bool equal = secure_equal(right, sizeof right, mac, HELLO_MAC_BYTES);
    secure_zero(right, sizeof right); /* the right MAC of a forged message */
    return err == 0 && equal;
}

int hello_open_sign(struct hello_request *r, const struct hello_keys *k)
{
    struct transcript t = {0};
    add_open(&t, r);
    return sign(r->mac, &t, k->client);
}

bool hello_open_verify(const struct hello_request *r, const struct hello_keys *k)
{
    struct transcript t = {0};
    add_open(&t, r);
    return verify(r->mac, &t, k->client) && r->op == HELLO_OPEN;
}

int hello_resume_sign(struct hello_request *r, const uint8_t key[32],
                      const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t = {0};
    add_resume(&t, r, exporter);
    return sign(r->mac, &t, key);
}

bool hello_resume_verify(const struct hello_request *r, const uint8_t key[32],
                         const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t = {0};
    add_resume(&t, r, exporter);
    return verify(r->mac, &t, key) && r->op == HELLO_RESUME;
}

/* What the writer would put as U+FFFD must not differ between what is signed and what is read. */
static void prepare_answer(struct hello_answer *a, enum hello_op op)
{
    a->message[sizeof a->message - 1] = '\0';
    for (char *s = a->message; *s;) {
        uint32_t c;
        size_t n = utf8_get(&c, s, strnlen(s, 4));
        if (n == 0)
            *s = '?';
        s += n ? n : 1;
    }
    a->op = op;
    a->has_mac = true;
}

int hello_answer_sign(struct hello_answer *a, const struct hello_request *open,
                      const struct hello_keys *k)
{
    struct transcript t = {0};
    prepare_answer(a, HELLO_OPEN);
    add_open(&t, open);
    add_opened(&t, a);
    return sign(a->mac, &t, k->server);
}

bool hello_answer_verify(const struct hello_answer *a, const struct hello_request *open,
                         const struct hello_keys *k)
{
    struct transcript t = {0};
    add_open(&t, open);
    add_opened(&t, a);
    bool fits = a->error != HELLO_OK || a->op == HELLO_OPEN;
    return verify(a->mac, &t, k->server) && a->has_mac && fits;
}

int hello_resumed_sign(struct hello_answer *a, const struct hello_request *resume,
                       const uint8_t key[32], const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t = {0};
    prepare_answer(a, HELLO_RESUME);
    add_resume(&t, resume, exporter);
    add_resumed(&t, a);
    return sign(a->mac, &t, key);
}

bool hello_resumed_verify(const struct hello_answer *a, const struct hello_request *resume,
                          const uint8_t key[32], const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t = {0};
    add_resume(&t, resume, exporter);
    add_resumed(&t, a);
    bool fits = a->error != HELLO_OK || (a->op == HELLO_RESUME && a->epoch == resume->epoch);
    return verify(a->mac, &t, key) && a->has_mac && fits;
}
