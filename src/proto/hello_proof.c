/* SPDX-License-Identifier: MIT */
/*
 * Keys and proofs of a gotunnel/2 hello (docs/protocol.md, "gotunnel/2"). Everything is
 * HMAC-SHA256, but for the signature of a client with a key of its own; the key derivation is HKDF
 * (RFC 5869) with outputs of one block.
 *
 * A MAC covers a label that ends with NUL and is no other's beginning, and lines as they were sent,
 * which have no NUL. Labels differ, so no MAC can be taken for one of another kind.
 */
#include "proto/hello.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "base/secure.h"
#include "proto/ed25519.h"
#include "proto/hello_line.h"
#include "proto/hmac.h"

/* ---- HKDF ---- */

/* What a MAC is made of. Large enough for the longest: an answer and the request it answers. */
struct transcript {
    size_t n;
    uint8_t bytes[2 * HELLO_MAX + 64];
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

/* HKDF-Expand to one block; info is what the transcript has. Wipes it. */
static int expand(uint8_t ret[HMAC_BYTES], const uint8_t key[HMAC_BYTES], struct transcript *info)
{
    add(info, "\1", 1);
    int err = hmac_sha256(ret, key, HMAC_BYTES, info->bytes, info->n);
    secure_zero(info, sizeof *info);
    return err;
}

static int expand_label(uint8_t ret[HMAC_BYTES], const uint8_t key[HMAC_BYTES], const char *label)
{
    struct transcript info = {0};
    add_label(&info, label);
    return expand(ret, key, &info);
}

int hello_keys_init(struct hello_keys *ret, const void *secret, size_t n,
                    const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    secure_zero(ret, sizeof *ret);
    if (n < HELLO_SECRET_MIN)
        return ERR_RANGE;
    int err = hmac_sha256(ret->base, exporter, HELLO_EXPORTER_BYTES, secret, n);
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

/* ---- transcripts: all but what the line itself adds ---- */

static void begin_sig(struct transcript *t, const uint8_t *exporter)
{
    t->n = 0;
    add_label(t, "gotunnel/2 client");
    add(t, exporter, HELLO_EXPORTER_BYTES);
}

static void begin_open(struct transcript *t)
{
    t->n = 0;
    add_label(t, "open");
}

static void begin_answer(struct transcript *t, struct hello_text open)
{
    t->n = 0;
    add_label(t, "answer");
    add(t, open.p, open.n);
    add(t, "", 1);
}

static void begin_resume(struct transcript *t, const uint8_t *exporter)
{
    t->n = 0;
    add_label(t, "resume");
    add(t, exporter, HELLO_EXPORTER_BYTES);
}

static void begin_resumed(struct transcript *t, struct hello_text resume, const uint8_t *exporter)
{
    t->n = 0;
    add_label(t, "resumed");
    add(t, exporter, HELLO_EXPORTER_BYTES);
    add(t, resume.p, resume.n);
    add(t, "", 1);
}

/* ---- signing and verifying ---- */

/* buf holds what is covered, n bytes. */
static int seal(char buf[HELLO_MAX], size_t n, struct transcript *t, const uint8_t *key)
{
    uint8_t mac[HELLO_MAC_BYTES];
    char digits[2 * HELLO_MAC_BYTES];
    add(t, buf, n);
    if (hmac_sha256(mac, key, HMAC_BYTES, t->bytes, t->n) < 0) {
        buf[0] = '\0';
        return ERR_NOMEM;
    }
    hex_put(digits, mac, sizeof mac);
    return (int)n +
           snprintf(buf + n, HELLO_MAX - n, ",\"mac\":\"%.*s\"}\n", (int)sizeof digits, digits);
}

static bool verify(struct hello_text line, struct transcript *t, const uint8_t *key)
{
    uint8_t right[HMAC_BYTES], mac[HELLO_MAC_BYTES];
    if (line.n >= HELLO_MAX || !hello_is_sealed(line))
        return false;
    (void)hex_get(mac, line.p + line.n - 2 - 2 * sizeof mac, sizeof mac); /* it is sealed */
    add(t, line.p, line.n - HELLO_SEAL_LEN);
    int err = hmac_sha256(right, key, HMAC_BYTES, t->bytes, t->n);
    bool equal = secure_equal(right, sizeof right, mac, sizeof mac);
    secure_zero(right, sizeof right); /* the right MAC of a forged message */
    return err == 0 && equal;
}

/* Adds the signature to the n bytes in buf: the length with it, or ERR_NOMEM. */
static int sign(char buf[HELLO_MAX], size_t n, const struct hello_signer *s)
{
    struct transcript t;
    uint8_t sig[HELLO_SIG_BYTES];
    char digits[2 * HELLO_SIG_BYTES];
    begin_sig(&t, s->exporter);
    add(&t, buf, n);
    if (ed25519_sign(sig, s->seed, t.bytes, t.n) < 0) {
        buf[0] = '\0';
        return ERR_NOMEM;
    }
    hex_put(digits, sig, sizeof sig);
    return (int)n +
           snprintf(buf + n, HELLO_MAX - n, ",\"sig\":\"%.*s\"", (int)sizeof digits, digits);
}

int hello_open_write(char buf[HELLO_MAX], const struct hello_request *open,
                     const struct hello_keys *k, const struct hello_signer *signer)
{
    struct transcript t;
    assert(!signer == !*open->key);
    int n = (int)hello_request_put(buf, open, HELLO_OPEN);
    if (signer)
        n = sign(buf, (size_t)n, signer);
    begin_open(&t);
    return n < 0 ? n : seal(buf, (size_t)n, &t, k->client);
}

bool hello_open_verify_sig(struct hello_text open, const uint8_t key[CLIENT_KEY_PUBLIC_BYTES],
                           const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t;
    uint8_t sig[HELLO_SIG_BYTES];
    if (open.n >= HELLO_MAX || !hello_has_sig(open))
        return false;
    const char *end = open.p + open.n - HELLO_SEAL_LEN;
    (void)hex_get(sig, end - 1 - 2 * sizeof sig, sizeof sig); /* it has one */
    begin_sig(&t, exporter);
    add(&t, open.p, open.n - HELLO_SEAL_LEN - HELLO_SIG_LEN);
    return ed25519_verify(key, t.bytes, t.n, sig);
}

bool hello_open_verify(struct hello_text open, const struct hello_keys *k)
{
    struct transcript t;
    begin_open(&t);
    return verify(open, &t, k->client);
}

int hello_answer_write(char buf[HELLO_MAX], const struct hello_answer *a, struct hello_text open,
                       const struct hello_keys *k)
{
    struct transcript t;
    assert(hello_error_mac(a->error) != HELLO_MAC_NEVER);
    begin_answer(&t, open);
    return seal(buf, hello_answer_put(buf, a, HELLO_OPEN), &t, k->server);
}

bool hello_answer_verify(struct hello_text answer, struct hello_text open,
                         const struct hello_keys *k)
{
    struct transcript t;
    begin_answer(&t, open);
    return verify(answer, &t, k->server);
}

int hello_resume_write(char buf[HELLO_MAX], const struct hello_request *resume,
                       const uint8_t key[32], const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t;
    begin_resume(&t, exporter);
    return seal(buf, hello_request_put(buf, resume, HELLO_RESUME), &t, key);
}

bool hello_resume_verify(struct hello_text resume, const uint8_t key[32],
                         const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t;
    begin_resume(&t, exporter);
    return verify(resume, &t, key);
}

int hello_resumed_write(char buf[HELLO_MAX], const struct hello_answer *a, struct hello_text resume,
                        const uint8_t key[32], const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t;
    assert(hello_error_mac(a->error) != HELLO_MAC_NEVER);
    begin_resumed(&t, resume, exporter);
    return seal(buf, hello_answer_put(buf, a, HELLO_RESUME), &t, key);
}

bool hello_resumed_verify(struct hello_text answer, struct hello_text resume, const uint8_t key[32],
                          const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    struct transcript t;
    begin_resumed(&t, resume, exporter);
    return verify(answer, &t, key);
}

size_t hello_refusal_write(char buf[HELLO_MAX], const struct hello_answer *a)
{
    assert(a->error != HELLO_OK && hello_error_mac(a->error) != HELLO_MAC_ALWAYS);
    size_t n = hello_answer_put(buf, a, HELLO_OPEN);
    return n + (size_t)snprintf(buf + n, HELLO_MAX - n, "}\n");
}
