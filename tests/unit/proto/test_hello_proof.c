/* SPDX-License-Identifier: MIT */
/* Keys and proofs of a hello: against what Python's hmac computes, and what they must refuse. */
#include "proto/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

#include "base/err.h"
#include "base/secure.h"

static const uint8_t zero[sizeof(struct hello_keys)];

/* ---- vectors ---- */

/* The bytes of one line of tests/vectors/hello/vectors.txt; *ret_n of them, then a NUL. */
static uint8_t *vector(const char *name, size_t *ret_n)
{
    static uint8_t bytes[512];
    char path[4096], word[32], hex[1024];
    (void)snprintf(path, sizeof path, "%s/hello/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    *ret_n = 0;
    while (fscanf(f, "%31s %1023s", word, hex) == 2 && strcmp(word, name) != 0)
        hex[0] = '\0';
    (void)fclose(f); /* only read */
    assert_string_equal(word, name);
    for (size_t i = 0; hex[i]; i += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex + i, "%2x", &byte), 1);
        bytes[(*ret_n)++] = (uint8_t)byte;
    }
    bytes[*ret_n] = 0;
    return bytes;
}

static void input(const char *name, uint8_t *to, size_t n)
{
    size_t have;
    memcpy(to, vector(name, &have), n);
    assert_int_equal(have, n);
}

static void assert_vector(const uint8_t *got, const char *name)
{
    size_t n;
    assert_memory_equal(got, vector(name, &n), 32);
    assert_int_equal(n, 32);
}

/* One opened and one resumed session: all inputs of the vectors. */
struct scene {
    char secret[64];
    uint8_t exporter[32], exporter2[32];
    struct hello_keys keys;
    struct hello_request open, resume;
    struct hello_answer opened, resumed;
    uint8_t key[32];
};

static void sign_all(struct scene *s)
{
    assert_int_equal(hello_keys_init(&s->keys, s->secret, s->exporter), 0);
    assert_int_equal(hello_open_sign(&s->open, &s->keys), 0);
    assert_int_equal(hello_answer_sign(&s->opened, &s->open, &s->keys), 0);
    assert_int_equal(
        hello_resume_key(s->key, &s->keys, s->opened.sid, s->open.nonce, s->opened.nonce), 0);
    assert_int_equal(hello_resume_sign(&s->resume, s->key, s->exporter2), 0);
    assert_int_equal(hello_resumed_sign(&s->resumed, &s->resume, s->key, s->exporter2), 0);
}

static struct scene scene(void)
{
    struct scene s = {
        .open = {.op = HELLO_OPEN, .id = "laptop.local-1", .port = 8080, .window_ms = 60000},
        .resume = {.op = HELLO_RESUME, .epoch = 3, .rx = 0x123456789},
        .opened = {.window_ms = 45000, .port = 8080, .address = "0.0.0.0:8080"},
        .resumed = {.epoch = 3, .rx = 0xfedcba9876543210},
    };
    size_t n;
    (void)snprintf(s.secret, sizeof s.secret, "%s", (const char *)vector("secret", &n));
    input("exporter", s.exporter, 32);
    input("exporter2", s.exporter2, 32);
    input("nc", s.open.nonce, 16);
    input("ns", s.opened.nonce, 16);
    input("sid", s.opened.sid, 16);
    memcpy(s.resume.sid, s.opened.sid, 16);
    sign_all(&s);
    return s;
}

static void the_same_as_another_implementation(void **state)
{
    (void)state;
    struct scene s = scene();
    assert_vector(s.keys.base, "base");
    assert_vector(s.keys.client, "client");
    assert_vector(s.keys.server, "server");
    assert_vector(s.open.mac, "open");
    assert_vector(s.opened.mac, "opened");
    assert_vector(s.key, "resume_key");
    assert_vector(s.resume.mac, "resume");
    assert_vector(s.resumed.mac, "resumed");

    struct hello_answer no = {.error = HELLO_ERR_PORT,
                              .message = "cannot listen on port 8080: 端口"};
    assert_int_equal(hello_answer_sign(&no, &s.open, &s.keys), 0);
    assert_vector(no.mac, "refused");
    struct hello_answer far = {.error = HELLO_ERR_RANGE};
    assert_int_equal(hello_resumed_sign(&far, &s.resume, s.key, s.exporter2), 0);
    assert_vector(far.mac, "resume_refused");
}

static void assert_line(const char *line, const char *name)
{
    size_t n;
    assert_string_equal(line, (const char *)vector(name, &n));
}

static void the_lines_too(void **state)
{
    (void)state;
    struct scene s = scene();
    char line[HELLO_MAX];
    (void)hello_request_put(line, &s.open);
    assert_line(line, "open_line");
    (void)hello_answer_put(line, &s.opened);
    assert_line(line, "opened_line");
    (void)hello_request_put(line, &s.resume);
    assert_line(line, "resume_line");
    (void)hello_answer_put(line, &s.resumed);
    assert_line(line, "resumed_line");
}

/* ---- what is true ---- */

static void all_of_it_is_true(void **state)
{
    (void)state;
    struct scene s = scene();
    assert_true(hello_open_verify(&s.open, &s.keys));
    assert_true(hello_answer_verify(&s.opened, &s.open, &s.keys));
    assert_true(hello_resume_verify(&s.resume, s.key, s.exporter2));
    assert_true(hello_resumed_verify(&s.resumed, &s.resume, s.key, s.exporter2));
}

/* Signed, written, read, verified: nothing that is signed gets lost on the way. */
static void through_the_line(void **state)
{
    (void)state;
    struct scene s = scene();
    char line[HELLO_MAX];
    struct hello_request r;
    struct hello_answer a;
    size_t n = hello_request_put(line, &s.open);
    assert_int_equal(hello_request_get(line, n - 1, &r), 0);
    assert_true(hello_open_verify(&r, &s.keys));
    n = hello_answer_put(line, &s.opened);
    assert_int_equal(hello_answer_get(line, n - 1, &a), 0);
    assert_true(hello_answer_verify(&a, &r, &s.keys));
    n = hello_request_put(line, &s.resume);
    assert_int_equal(hello_request_get(line, n - 1, &r), 0);
    assert_true(hello_resume_verify(&r, s.key, s.exporter2));
    n = hello_answer_put(line, &s.resumed);
    assert_int_equal(hello_answer_get(line, n - 1, &a), 0);
    assert_true(hello_resumed_verify(&a, &r, s.key, s.exporter2));
}

static void refusals_through_the_line(void **state)
{
    (void)state;
    struct scene s = scene();
    static const char *const messages[] = {"", "端口", "cut \xe7\xab", "\xff<&>\"\\\n\x01\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        char line[HELLO_MAX];
        struct hello_answer a = {.error = HELLO_ERR_PORT, .sid = {1}}, b;
        (void)snprintf(a.message, sizeof a.message, "%s", messages[i]);
        assert_int_equal(hello_answer_sign(&a, &s.open, &s.keys), 0);
        size_t n = hello_answer_put(line, &a);
        assert_int_equal(hello_answer_get(line, n - 1, &b), 0);
        assert_string_equal(a.message, b.message);
        assert_true(hello_answer_verify(&b, &s.open, &s.keys));
        b.error = HELLO_ERR_BUSY;
        assert_false(hello_answer_verify(&b, &s.open, &s.keys));
        b.error = HELLO_ERR_PORT;
        b.message[0] ^= 1;
        assert_false(hello_answer_verify(&b, &s.open, &s.keys));
    }
}

static void a_refusal_without_mac_proves_nothing(void **state)
{
    (void)state;
    struct scene s = scene();
    char line[HELLO_MAX];
    struct hello_answer a = {.error = HELLO_ERR_AUTH}, b;
    size_t n = hello_answer_put(line, &a);
    assert_null(strstr(line, "mac"));
    assert_int_equal(hello_answer_get(line, n - 1, &b), 0);
    assert_false(b.has_mac);
    assert_false(hello_answer_verify(&b, &s.open, &s.keys));
    assert_false(hello_resumed_verify(&b, &s.resume, s.key, s.exporter2));
}

/* ---- what is not ---- */

/* Flips each bit of n bytes at p in turn; none of it may be true. */
#define EVERY_BIT(p, n, verify)                                                                    \
    for (size_t i_ = 0; i_ < 8 * (n); i_++) {                                                      \
        ((uint8_t *)(p))[i_ / 8] ^= (uint8_t)(1u << i_ % 8);                                       \
        assert_false(verify);                                                                      \
        ((uint8_t *)(p))[i_ / 8] ^= (uint8_t)(1u << i_ % 8);                                       \
    }                                                                                              \
    assert_true(verify)

static void every_bit_of_an_open_counts(void **state)
{
    (void)state;
    struct scene s = scene();
    struct hello_request *r = &s.open;
    EVERY_BIT(r->mac, 32, hello_open_verify(r, &s.keys));
    EVERY_BIT(r->nonce, 16, hello_open_verify(r, &s.keys));
    EVERY_BIT(&r->port, 8, hello_open_verify(r, &s.keys));
    EVERY_BIT(&r->window_ms, 4, hello_open_verify(r, &s.keys));
    EVERY_BIT(r->id, strlen(r->id), hello_open_verify(r, &s.keys));
    EVERY_BIT(s.keys.client, 32, hello_open_verify(r, &s.keys));
    r->id[strlen(r->id) - 1] = '\0';
    assert_false(hello_open_verify(r, &s.keys));
    s = scene();
    r->op = HELLO_RESUME;
    assert_false(hello_open_verify(r, &s.keys));
}

static void every_bit_of_an_answer_counts(void **state)
{
    (void)state;
    struct scene s = scene();
    struct hello_answer *a = &s.opened;
    EVERY_BIT(a->mac, 32, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(a->sid, 16, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(a->nonce, 16, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(&a->window_ms, 4, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(&a->port, 4, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(a->address, strlen(a->address), hello_answer_verify(a, &s.open, &s.keys));
    /* and of the request it answers */
    EVERY_BIT(s.open.nonce, 16, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(&s.open.port, 8, hello_answer_verify(a, &s.open, &s.keys));
    EVERY_BIT(s.open.id, strlen(s.open.id), hello_answer_verify(a, &s.open, &s.keys));
    a->error = HELLO_ERR_BUSY; /* an acceptance is no refusal */
    assert_false(hello_answer_verify(a, &s.open, &s.keys));
    a->error = HELLO_OK;
    a->op = HELLO_RESUME;
    assert_false(hello_answer_verify(a, &s.open, &s.keys));
}

static void every_bit_of_a_resume_counts(void **state)
{
    (void)state;
    struct scene s = scene();
    struct hello_request *r = &s.resume;
    EVERY_BIT(r->mac, 32, hello_resume_verify(r, s.key, s.exporter2));
    EVERY_BIT(r->sid, 16, hello_resume_verify(r, s.key, s.exporter2));
    EVERY_BIT(&r->epoch, 8, hello_resume_verify(r, s.key, s.exporter2));
    EVERY_BIT(&r->rx, 8, hello_resume_verify(r, s.key, s.exporter2));
    EVERY_BIT(s.key, 32, hello_resume_verify(r, s.key, s.exporter2));
    EVERY_BIT(s.exporter2, 32, hello_resume_verify(r, s.key, s.exporter2));
    r->op = HELLO_OPEN;
    assert_false(hello_resume_verify(r, s.key, s.exporter2));
}

static void every_bit_of_a_resumed_counts(void **state)
{
    (void)state;
    struct scene s = scene();
    struct hello_answer *a = &s.resumed;
    EVERY_BIT(a->mac, 32, hello_resumed_verify(a, &s.resume, s.key, s.exporter2));
    EVERY_BIT(&a->epoch, 8, hello_resumed_verify(a, &s.resume, s.key, s.exporter2));
    EVERY_BIT(&a->rx, 8, hello_resumed_verify(a, &s.resume, s.key, s.exporter2));
    EVERY_BIT(s.exporter2, 32, hello_resumed_verify(a, &s.resume, s.key, s.exporter2));
    EVERY_BIT(&s.resume.rx, 8, hello_resumed_verify(a, &s.resume, s.key, s.exporter2));
    a->op = HELLO_OPEN;
    assert_false(hello_resumed_verify(a, &s.resume, s.key, s.exporter2));
}

/* A server that names another epoch, with a MAC that is right. */
static void an_answer_to_another_attempt(void **state)
{
    (void)state;
    struct scene s = scene();
    s.resumed.epoch = 2;
    assert_int_equal(hello_resumed_sign(&s.resumed, &s.resume, s.key, s.exporter2), 0);
    assert_false(hello_resumed_verify(&s.resumed, &s.resume, s.key, s.exporter2));
}

/* ---- other secrets, other channels ---- */

static void another_secret_or_channel_gives_other_keys(void **state)
{
    (void)state;
    struct scene s = scene();
    struct hello_keys other;
    assert_int_equal(hello_keys_init(&other, "correct horse battery stapl", s.exporter), 0);
    assert_false(hello_open_verify(&s.open, &other));
    assert_false(hello_answer_verify(&s.opened, &s.open, &other));
    assert_int_equal(hello_keys_init(&other, s.secret, s.exporter2), 0);
    assert_false(hello_open_verify(&s.open, &other));
    assert_false(hello_answer_verify(&s.opened, &s.open, &other));
}

/* All keys and MACs of one session differ: none can stand for another. */
static void no_key_is_another(void **state)
{
    (void)state;
    struct scene s = scene();
    const uint8_t *all[] = {s.keys.base, s.keys.client, s.keys.server, s.key,
                            s.open.mac,  s.opened.mac,  s.resume.mac,  s.resumed.mac};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(all[i], all[j], 32);
}

/* A client that knows the secret, and has seen sid and nonces, but made its own connection. */
static void the_resume_key_belongs_to_one_session(void **state)
{
    (void)state;
    struct scene s = scene();
    struct hello_keys other;
    uint8_t key[32];
    assert_int_equal(hello_keys_init(&other, s.secret, s.exporter2), 0);
    assert_int_equal(hello_resume_key(key, &other, s.opened.sid, s.open.nonce, s.opened.nonce), 0);
    assert_memory_not_equal(key, s.key, 32);
    uint8_t *parts[] = {s.opened.sid, s.open.nonce, s.opened.nonce};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i][15] ^= 1;
        assert_int_equal(hello_resume_key(key, &s.keys, s.opened.sid, s.open.nonce, s.opened.nonce),
                         0);
        assert_memory_not_equal(key, s.key, 32);
        parts[i][15] ^= 1;
    }
}

/* A server's answer sent back as a client's request, and a request as an answer. */
static void nothing_can_be_reflected(void **state)
{
    (void)state;
    struct scene s = scene();
    memcpy(s.open.mac, s.opened.mac, 32);
    memcpy(s.resume.mac, s.resumed.mac, 32);
    assert_false(hello_open_verify(&s.open, &s.keys));
    assert_false(hello_resume_verify(&s.resume, s.key, s.exporter2));
    s = scene();
    memcpy(s.opened.mac, s.open.mac, 32);
    memcpy(s.resumed.mac, s.resume.mac, 32);
    assert_false(hello_answer_verify(&s.opened, &s.open, &s.keys));
    assert_false(hello_resumed_verify(&s.resumed, &s.resume, s.key, s.exporter2));
}

static void a_short_secret_makes_no_keys(void **state)
{
    (void)state;
    struct scene s = scene();
    assert_int_equal(hello_keys_init(&s.keys, "fifteen letters", s.exporter), ERR_RANGE);
    assert_memory_equal(&s.keys, zero, sizeof zero);
    assert_int_equal(hello_keys_init(&s.keys, "sixteen letters.", s.exporter), 0);
}

/* ---- no memory ---- */

static int calls, fail_at = -1;

static void *failing_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return calls++ == fail_at ? NULL : malloc(n);
}

static void *failing_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return calls++ == fail_at ? NULL : realloc(p, n);
}

static void put_back(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* Runs the line with the n-th allocation failing, for every n it makes. */
#define WITHOUT_EACH(line)                                                                         \
    for (int n_ = 0; n_ == 0 || calls >= n_; n_++) {                                               \
        calls = 0;                                                                                 \
        fail_at = n_;                                                                              \
        line;                                                                                      \
        fail_at = -1;                                                                              \
    }

/* Without memory nothing is proved: signing says so and leaves zeros, which no one takes. */
static int sign_without_memory(const struct scene *s)
{
    struct hello_request r = s->open;
    int err = hello_open_sign(&r, &s->keys);
    assert_true(err == 0 || (err == ERR_NOMEM && memcmp(r.mac, zero, 32) == 0));
    return err;
}

static int keys_without_memory(const struct scene *s)
{
    struct hello_keys k;
    int err = hello_keys_init(&k, s->secret, s->exporter);
    assert_true(err == 0 || (err == ERR_NOMEM && memcmp(&k, zero, sizeof k) == 0));
    return err;
}

static int verify_without_memory(const struct scene *s)
{
    struct hello_request forged = s->open;
    memset(forged.mac, 0, sizeof forged.mac);
    assert_false(hello_open_verify(&forged, &s->keys));
    return 0;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct scene s = scene();
    int failures = 0;
    WITHOUT_EACH(failures += sign_without_memory(&s) < 0);
    assert_true(failures > 0);
    failures = 0;
    WITHOUT_EACH(failures += keys_without_memory(&s) < 0);
    assert_true(failures > 0);
    failures = 0;
    WITHOUT_EACH(failures += !hello_open_verify(&s.open, &s.keys));
    assert_true(failures > 0);
    WITHOUT_EACH(failures += verify_without_memory(&s));
    assert_true(hello_open_verify(&s.open, &s.keys));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_as_another_implementation),
        cmocka_unit_test(the_lines_too),
        cmocka_unit_test(all_of_it_is_true),
        cmocka_unit_test(through_the_line),
        cmocka_unit_test(refusals_through_the_line),
        cmocka_unit_test(a_refusal_without_mac_proves_nothing),
        cmocka_unit_test(every_bit_of_an_open_counts),
        cmocka_unit_test(every_bit_of_an_answer_counts),
        cmocka_unit_test(every_bit_of_a_resume_counts),
        cmocka_unit_test(every_bit_of_a_resumed_counts),
        cmocka_unit_test(an_answer_to_another_attempt),
        cmocka_unit_test(another_secret_or_channel_gives_other_keys),
        cmocka_unit_test(no_key_is_another),
        cmocka_unit_test(the_resume_key_belongs_to_one_session),
        cmocka_unit_test(nothing_can_be_reflected),
        cmocka_unit_test(a_short_secret_makes_no_keys),
        cmocka_unit_test(any_allocation_may_fail),
    };
    /* Before the library has asked for any memory. */
    if (!CRYPTO_set_mem_functions(failing_malloc, failing_realloc, put_back))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
