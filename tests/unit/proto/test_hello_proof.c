/* SPDX-License-Identifier: MIT */
/* Lines and their proofs: against what a second implementation makes of the document, and what must
   be refused. */
#include "proto/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/hex.h"
#include "unit/no_memory.h"

static const uint8_t zero[sizeof(struct hello_keys)];

/* ---- vectors ---- */

static FILE *open_vectors(void)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/hello/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

/* The next line of the file: its name, and its bytes with a NUL behind. False: there is none. */
static bool next_vector(FILE *f, char name[64], char bytes[HELLO_MAX], size_t *ret_n)
{
    static char hex[2 * HELLO_MAX];
    if (fscanf(f, "%63s %8191s", name, hex) != 2)
        return false;
    *ret_n = strlen(hex) / 2;
    assert_true(*ret_n < HELLO_MAX && hex_get(bytes, hex, *ret_n));
    bytes[*ret_n] = '\0';
    return true;
}

/* The bytes of one line of tests/vectors/hello/vectors.txt; static. */
static struct hello_text vector(const char *name)
{
    static char bytes[4][HELLO_MAX];
    static size_t turn;
    char word[64] = "", *to = bytes[turn++ % ARRAY_LEN(bytes)];
    size_t n = 0;
    FILE *f = open_vectors();
    while (strcmp(word, name) != 0)
        assert_true(next_vector(f, word, to, &n));
    (void)fclose(f); /* only read */
    return (struct hello_text){to, n};
}

static void input(const char *name, uint8_t *to, size_t n)
{
    struct hello_text v = vector(name);
    assert_int_equal(v.n, n);
    memcpy(to, v.p, n);
}

static void assert_vector(const uint8_t *got, const char *name)
{
    assert_int_equal(vector(name).n, 32);
    assert_memory_equal(got, vector(name).p, 32);
}

static void assert_line(struct hello_text line, const char *name)
{
    struct hello_text want = vector(name);
    assert_string_equal(line.p, want.p); /* ours have a NUL in place of the LF */
    assert_int_equal(line.n, want.n);
}

/* One opened and one resumed session: all inputs of the vectors, and the four lines. */
struct scene {
    char secret[64];
    uint8_t exporter[32], exporter2[32];
    struct hello_keys keys;
    struct hello_request open, resume;
    struct hello_answer opened, resumed;
    uint8_t key[32];
    char text[4][HELLO_MAX];
    struct hello_text open_line, opened_line, resume_line, resumed_line;
    /* the same open, of a client with a key of its own */
    struct client_secret own;
    struct client_key stored;
    struct hello_signer signer;
    struct hello_keys own_keys;
    struct hello_request keyed;
    char keyed_text[HELLO_MAX];
    struct hello_text keyed_line;
};

/* What was written, without its LF. */
static struct hello_text written(char *buf, int n)
{
    assert_true(n > 0 && (size_t)n == strlen(buf) && buf[n - 1] == '\n');
    buf[n - 1] = '\0';
    return (struct hello_text){buf, (size_t)n - 1};
}

static void write_all(struct scene *s)
{
    s->open_line = written(s->text[0], hello_open_write(s->text[0], &s->open, &s->keys, NULL));
    s->opened_line =
        written(s->text[1], hello_answer_write(s->text[1], &s->opened, s->open_line, &s->keys));
    s->resume_line =
        written(s->text[2], hello_resume_write(s->text[2], &s->resume, s->key, s->exporter2));
    s->resumed_line =
        written(s->text[3],
                hello_resumed_write(s->text[3], &s->resumed, s->resume_line, s->key, s->exporter2));
}

static void write_keyed(struct scene *s)
{
    uint8_t t[CLIENT_KEY_T_BYTES];
    input("t", t, sizeof t);
    assert_int_equal(client_secret_init(&s->own, t), 0);
    assert_int_equal(client_key_init(&s->stored, &s->own), 0);
    assert_int_equal(hello_keys_init(&s->own_keys, s->own.a, sizeof s->own.a, s->exporter), 0);
    s->signer = (struct hello_signer){s->own.seed, s->exporter};
    s->keyed = s->open;
    (void)snprintf(s->keyed.key, sizeof s->keyed.key, "laptop");
    s->keyed_line = written(s->keyed_text,
                            hello_open_write(s->keyed_text, &s->keyed, &s->own_keys, &s->signer));
}

static struct scene *scene(void)
{
    static struct scene s;
    s = (struct scene){
        .open = {.op = HELLO_OPEN,
                 .id = "laptop.local-1",
                 .window_ms = 60000,
                 .caps = {1, {"services"}},
                 .take = true},
        .resume = {.op = HELLO_RESUME, .epoch = 3, .rx = 0x123456789},
        .opened = {.window_ms = 45000, .caps = {1, {"services"}}},
        .resumed = {.epoch = 3, .rx = 0xfedcba9876543210},
    };
    (void)snprintf(s.secret, sizeof s.secret, "%s", vector("secret").p);
    input("exporter", s.exporter, 32);
    input("exporter2", s.exporter2, 32);
    input("nc", s.open.nonce, 16);
    input("ns", s.opened.nonce, 16);
    input("sid", s.opened.sid, 16);
    memcpy(s.resume.sid, s.opened.sid, 16);
    assert_int_equal(hello_keys_init(&s.keys, s.secret, strlen(s.secret), s.exporter), 0);
    assert_int_equal(hello_resume_key(s.key, &s.keys, s.opened.sid, s.open.nonce, s.opened.nonce),
                     0);
    write_all(&s);
    write_keyed(&s);
    return &s;
}

static void the_same_keys_as_another_implementation(void **state)
{
    (void)state;
    const struct scene *s = scene();
    assert_vector(s->keys.base, "base");
    assert_vector(s->keys.client, "client");
    assert_vector(s->keys.server, "server");
    assert_vector(s->key, "resume_key");
    uint8_t key[32];
    assert_vector(s->own_keys.base, "key_base");
    assert_vector(s->own_keys.client, "key_client");
    assert_vector(s->own_keys.server, "key_server");
    assert_int_equal(
        hello_resume_key(key, &s->own_keys, s->opened.sid, s->open.nonce, s->opened.nonce), 0);
    assert_vector(key, "key_resume_key");
}

static void the_same_lines(void **state)
{
    (void)state;
    struct scene *s = scene();
    char buf[HELLO_MAX];
    assert_line(s->open_line, "open_line");
    assert_line(s->opened_line, "opened_line");
    assert_line(s->resume_line, "resume_line");
    assert_line(s->resumed_line, "resumed_line");

    assert_line(s->keyed_line, "open_key_line");
    assert_line(written(buf, hello_answer_write(buf, &s->opened, s->keyed_line, &s->own_keys)),
                "opened_key_line");

    struct hello_answer no = {.error = HELLO_ERR_TAKEN, .by = "192.0.2.7:50122"};
    assert_line(written(buf, hello_answer_write(buf, &no, s->open_line, &s->keys)),
                "opened_refused_line");
    struct hello_answer far = {.error = HELLO_ERR_RANGE};
    assert_line(written(buf, hello_resumed_write(buf, &far, s->resume_line, s->key, s->exporter2)),
                "resumed_refused_line");
    struct hello_answer wrong = {.error = HELLO_ERR_AUTH};
    assert_line(written(buf, (int)hello_refusal_write(buf, &wrong)), "opened_auth_line");

    struct hello_request full = s->open;
    full.caps = (struct hello_caps){2, {"services", "a-16-character-n"}};
    full.take = false;
    full.mine.count = 2;
    memcpy(full.mine.nonces[0], s->open.nonce, 16);
    memcpy(full.mine.nonces[1], s->opened.nonce, 16);
    assert_line(written(buf, hello_open_write(buf, &full, &s->keys, NULL)), "open_full");
}

/* Reads a vector as what its name says it is; what the reading says, and whether it is proved. */
static int read_vector(const struct scene *s, const char *name, struct hello_text line,
                       bool *proved)
{
    struct hello_request q;
    struct hello_answer a;
    bool is_of_key = strstr(name, "_key_") != NULL;
    const struct hello_keys *keys = is_of_key ? &s->own_keys : &s->keys;
    if (strncmp(name, "opened_", 7) == 0) {
        *proved = hello_answer_verify(line, is_of_key ? s->keyed_line : s->open_line, keys);
        int err = hello_answer_get(line, HELLO_OPEN, &a);
        *proved = *proved || (err == 0 && !a.has_mac);
        return err;
    }
    if (strncmp(name, "resumed_", 8) == 0) {
        *proved = hello_resumed_verify(line, s->resume_line, s->key, s->exporter2);
        return hello_answer_get(line, HELLO_RESUME, &a);
    }
    bool is_resume = strncmp(name, "resume_", 7) == 0;
    *proved =
        is_resume ? hello_resume_verify(line, s->key, s->exporter2) : hello_open_verify(line, keys);
    if (is_of_key)
        *proved = *proved && hello_open_verify_sig(line, s->stored.public_key, s->exporter);
    int err = hello_request_get(line, &q);
    assert_true(err < 0 || q.op == (is_resume ? HELLO_RESUME : HELLO_OPEN));
    assert_true(err < 0 || is_of_key == (*q.key != '\0'));
    return err;
}

/* Also lines of later versions, with fields and blanks of their own: all of it is proved. And lines
   that are none, though most are signed. */
static void what_another_implementation_takes_and_does_not(void **state)
{
    (void)state;
    const struct scene *s = scene();
    char name[64], bytes[HELLO_MAX];
    size_t n, lines = 0, none = 0;
    FILE *f = open_vectors();
    while (next_vector(f, name, bytes, &n)) {
        bool proved = false, is_none = strncmp(name, "no_", 3) == 0;
        if (bytes[0] != '{' || strcmp(name, "resume_key") == 0)
            continue;
        int err = read_vector(s, is_none ? name + 3 : name, (struct hello_text){bytes, n}, &proved);
        if (err != (is_none ? ERR_PROTO : 0) || (!is_none && !proved))
            fail_msg("%s: %d, %s", name, err, proved ? "proved" : "not proved");
        lines += !is_none;
        none += is_none;
    }
    (void)fclose(f); /* only read */
    assert_true(lines >= 25 && none >= 130);
}

/* ---- what is true ---- */

static void all_of_it_is_true(void **state)
{
    (void)state;
    const struct scene *s = scene();
    assert_true(hello_open_verify(s->open_line, &s->keys));
    assert_true(hello_answer_verify(s->opened_line, s->open_line, &s->keys));
    assert_true(hello_resume_verify(s->resume_line, s->key, s->exporter2));
    assert_true(hello_resumed_verify(s->resumed_line, s->resume_line, s->key, s->exporter2));
}

static void a_refusal_without_mac_proves_nothing(void **state)
{
    (void)state;
    const struct scene *s = scene();
    char buf[HELLO_MAX];
    const struct hello_answer a = {.error = HELLO_ERR_BUSY};
    struct hello_text line = written(buf, (int)hello_refusal_write(buf, &a));
    assert_null(strstr(buf, "mac"));
    assert_false(hello_answer_verify(line, s->open_line, &s->keys));
    assert_false(hello_resumed_verify(line, s->resume_line, s->key, s->exporter2));
}

/* ---- what is not ---- */

static bool open_is_true(const struct scene *s)
{
    return hello_open_verify(s->open_line, &s->keys);
}

static bool opened_is_true(const struct scene *s)
{
    return hello_answer_verify(s->opened_line, s->open_line, &s->keys);
}

static bool resume_is_true(const struct scene *s)
{
    return hello_resume_verify(s->resume_line, s->key, s->exporter2);
}

static bool resumed_is_true(const struct scene *s)
{
    return hello_resumed_verify(s->resumed_line, s->resume_line, s->key, s->exporter2);
}

static bool keyed_is_true(const struct scene *s)
{
    return hello_open_verify(s->keyed_line, &s->own_keys);
}

static bool sig_is_true(const struct scene *s)
{
    return hello_open_verify_sig(s->keyed_line, s->stored.public_key, s->exporter);
}

/* Each bit of the n bytes at p in turn; none of it may be true. */
static void every_bit_counts(void *p, size_t n, const struct scene *s,
                             bool (*is_true)(const struct scene *s))
{
    uint8_t *bytes = p;
    assert_true(is_true(s));
    for (size_t i = 0; i < 8 * n; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        if (is_true(s))
            fail_msg("bit %zu does not count", i);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
}

static void every_bit_of_every_line_counts(void **state)
{
    (void)state;
    struct scene *s = scene();
    every_bit_counts(s->text[0], s->open_line.n, s, open_is_true);
    every_bit_counts(s->text[1], s->opened_line.n, s, opened_is_true);
    every_bit_counts(s->text[2], s->resume_line.n, s, resume_is_true);
    every_bit_counts(s->text[3], s->resumed_line.n, s, resumed_is_true);
    /* an answer belongs to one request: to each byte of it, and to its MAC */
    every_bit_counts(s->text[0], s->open_line.n, s, opened_is_true);
    every_bit_counts(s->text[2], s->resume_line.n, s, resumed_is_true);
}

/* The MAC covers the signature too; the signature covers all before itself. */
static void every_bit_of_a_signed_line_counts(void **state)
{
    (void)state;
    struct scene *s = scene();
    size_t signed_ = s->keyed_line.n - HELLO_SEAL_LEN;
    every_bit_counts(s->keyed_text, s->keyed_line.n, s, keyed_is_true);
    every_bit_counts(s->keyed_text, signed_, s, sig_is_true);
    every_bit_counts(s->stored.public_key, 32, s, sig_is_true);
    every_bit_counts(s->exporter, 32, s, sig_is_true);
}

/* Who has only A, from a file of the server's, makes no signature; who has only the seed, no MAC. */
static void one_proof_is_not_the_other(void **state)
{
    (void)state;
    struct scene *s = scene();
    struct client_secret other;
    struct hello_keys other_keys;
    uint8_t t[CLIENT_KEY_T_BYTES] = {1};
    char buf[HELLO_MAX];
    assert_int_equal(client_secret_init(&other, t), 0);
    assert_int_equal(hello_keys_init(&other_keys, other.a, sizeof other.a, s->exporter), 0);
    struct hello_signer signer = {other.seed, s->exporter};
    struct hello_text line = written(buf, hello_open_write(buf, &s->keyed, &s->own_keys, &signer));
    assert_true(hello_open_verify(line, &s->own_keys));
    assert_false(hello_open_verify_sig(line, s->stored.public_key, s->exporter));
    line = written(buf, hello_open_write(buf, &s->keyed, &other_keys, &s->signer));
    assert_false(hello_open_verify(line, &s->own_keys));
    assert_true(hello_open_verify_sig(line, s->stored.public_key, s->exporter));
    signer.exporter = s->exporter2; /* one that was heard on another connection */
    signer.seed = s->own.seed;
    line = written(buf, hello_open_write(buf, &s->keyed, &s->own_keys, &signer));
    assert_false(hello_open_verify_sig(line, s->stored.public_key, s->exporter));
}

/* A line without signature has none, at any length. */
static void no_signature_is_none(void **state)
{
    (void)state;
    struct scene *s = scene();
    assert_false(hello_open_verify_sig(s->open_line, s->stored.public_key, s->exporter));
    for (size_t n = 0; n < s->keyed_line.n; n++) {
        char *cut = malloc(n + 1); /* of its own size, for the address sanitizer */
        memcpy(cut, s->keyed_text + s->keyed_line.n - n, n);
        assert_false(
            hello_open_verify_sig((struct hello_text){cut, n}, s->stored.public_key, s->exporter));
        free(cut);
    }
}

static void every_bit_of_key_and_exporter_counts(void **state)
{
    (void)state;
    struct scene *s = scene();
    every_bit_counts(s->keys.client, 32, s, open_is_true);
    every_bit_counts(s->keys.server, 32, s, opened_is_true);
    every_bit_counts(s->key, 32, s, resume_is_true);
    every_bit_counts(s->exporter2, 32, s, resume_is_true);
    every_bit_counts(s->key, 32, s, resumed_is_true);
    every_bit_counts(s->exporter2, 32, s, resumed_is_true);
}

/* Every byte replaced by every other, where the MAC begins and ends. */
static void the_seal_is_exact(void **state)
{
    (void)state;
    struct scene *s = scene();
    char *seal = s->text[0] + s->open_line.n - HELLO_SEAL_LEN;
    for (size_t at = 0; at < HELLO_SEAL_LEN; at++) {
        char was = seal[at];
        for (int c = 0; c < 256; c++) {
            seal[at] = (char)c;
            assert_int_equal(open_is_true(s), seal[at] == was);
        }
        seal[at] = was;
    }
}

/* A byte more or less anywhere, and every part of it. */
static void no_other_length_is_true(void **state)
{
    (void)state;
    struct scene *s = scene();
    char other[HELLO_MAX];
    const char *line = s->text[0];
    size_t n = s->open_line.n;
    for (size_t at = 0; at <= n; at++) {
        struct hello_text part = {line, at};
        assert_int_equal(hello_open_verify(part, &s->keys), at == n);
        part = (struct hello_text){line + n - at, at};
        assert_int_equal(hello_open_verify(part, &s->keys), at == n);
        memcpy(other, line, at);
        other[at] = ' ';
        memcpy(other + at + 1, line + at, n - at);
        assert_false(hello_open_verify((struct hello_text){other, n + 1}, &s->keys));
        if (at < n) {
            memcpy(other + at, line + at + 1, n - at - 1);
            assert_false(hello_open_verify((struct hello_text){other, n - 1}, &s->keys));
        }
    }
}

/* No reader gives such a line; it must not be copied for all that. */
static void a_line_that_is_too_long_is_not_true(void **state)
{
    (void)state;
    struct scene *s = scene();
    static char line[4 * HELLO_MAX];
    memset(line, ' ', sizeof line);
    memcpy(line + sizeof line - HELLO_SEAL_LEN, s->text[0] + s->open_line.n - HELLO_SEAL_LEN,
           HELLO_SEAL_LEN);
    assert_false(hello_open_verify((struct hello_text){line, sizeof line}, &s->keys));
}

/* A field that this version does not know is covered like any other. */
static void what_is_added_on_the_way_is_seen(void **state)
{
    (void)state;
    const struct scene *s = scene();
    char line[HELLO_MAX];
    struct hello_request r;
    int n = snprintf(line, sizeof line, "{\"slot\":1,%s", s->text[0] + 1);
    struct hello_text changed = {line, (size_t)n};
    assert_int_equal(hello_request_get(changed, &r), 0);
    assert_false(hello_open_verify(changed, &s->keys));
    n = snprintf(line, sizeof line, "{\"slot\":1,%s", s->text[1] + 1);
    assert_false(hello_answer_verify((struct hello_text){line, (size_t)n}, s->open_line, &s->keys));
}

/* ---- other secrets, other channels ---- */

static void another_secret_or_channel_gives_other_keys(void **state)
{
    (void)state;
    const struct scene *s = scene();
    struct hello_keys other;
    assert_int_equal(hello_keys_init(&other, "correct horse battery stapl", 27, s->exporter), 0);
    assert_false(hello_open_verify(s->open_line, &other));
    assert_false(hello_answer_verify(s->opened_line, s->open_line, &other));
    assert_int_equal(hello_keys_init(&other, s->secret, strlen(s->secret), s->exporter2), 0);
    assert_false(hello_open_verify(s->open_line, &other));
    assert_false(hello_answer_verify(s->opened_line, s->open_line, &other));
}

static void no_key_is_another(void **state)
{
    (void)state;
    const struct scene *s = scene();
    const uint8_t *all[] = {s->keys.base, s->keys.client, s->keys.server, s->key};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(all[i], all[j], 32);
}

/* A client that knows the secret, and has seen sid and nonces, but made its own connection. */
static void the_resume_key_belongs_to_one_session(void **state)
{
    (void)state;
    struct scene *s = scene();
    struct hello_keys other;
    uint8_t key[32];
    assert_int_equal(hello_keys_init(&other, s->secret, strlen(s->secret), s->exporter2), 0);
    assert_int_equal(hello_resume_key(key, &other, s->opened.sid, s->open.nonce, s->opened.nonce),
                     0);
    assert_memory_not_equal(key, s->key, 32);
    uint8_t *parts[] = {s->opened.sid, s->open.nonce, s->opened.nonce};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        parts[i][15] ^= 1;
        assert_int_equal(
            hello_resume_key(key, &s->keys, s->opened.sid, s->open.nonce, s->opened.nonce), 0);
        assert_memory_not_equal(key, s->key, 32);
        parts[i][15] ^= 1;
    }
}

/* A line is proof of its own kind only, even where one key is used for several. */
static void no_line_is_proof_of_another_kind(void **state)
{
    (void)state;
    struct scene *s = scene();
    struct hello_text lines[] = {s->open_line, s->opened_line, s->resume_line, s->resumed_line};
    memcpy(s->keys.client, s->key, 32); /* as if all keys were one */
    memcpy(s->keys.server, s->key, 32);
    write_all(s);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_int_equal(hello_open_verify(lines[i], &s->keys), i == 0);
        assert_int_equal(hello_answer_verify(lines[i], s->open_line, &s->keys), i == 1);
        assert_int_equal(hello_resume_verify(lines[i], s->key, s->exporter2), i == 2);
        assert_int_equal(hello_resumed_verify(lines[i], s->resume_line, s->key, s->exporter2),
                         i == 3);
    }
}

static void a_short_secret_makes_no_keys(void **state)
{
    (void)state;
    struct scene *s = scene();
    assert_int_equal(hello_keys_init(&s->keys, "fifteen letters", 15, s->exporter), ERR_RANGE);
    assert_memory_equal(&s->keys, zero, sizeof zero);
    assert_int_equal(hello_keys_init(&s->keys, "sixteen letters.", 16, s->exporter), 0);
}

/* ---- no memory ---- */

/* Without memory nothing is proved: writing says so, and leaves no line. */
static int write_without_memory(const struct scene *s)
{
    char buf[HELLO_MAX];
    int n = hello_open_write(buf, &s->open, &s->keys, NULL);
    assert_true(n > 0 || (n == ERR_NOMEM && buf[0] == '\0'));
    return n;
}

static int sign_without_memory(const struct scene *s)
{
    char buf[HELLO_MAX];
    int n = hello_open_write(buf, &s->keyed, &s->own_keys, &s->signer);
    assert_true(n > 0 || (n == ERR_NOMEM && buf[0] == '\0'));
    return n;
}

static int keys_without_memory(const struct scene *s)
{
    struct hello_keys k;
    int err = hello_keys_init(&k, s->secret, strlen(s->secret), s->exporter);
    assert_true(err == 0 || (err == ERR_NOMEM && memcmp(&k, zero, sizeof k) == 0));
    return err;
}

static int verify_without_memory(struct scene *s)
{
    char *mac = s->text[0] + s->open_line.n - 66, was[64];
    memcpy(was, mac, sizeof was);
    memset(mac, '0', sizeof was); /* what a buffer that was never written may hold */
    assert_false(hello_open_verify(s->open_line, &s->keys));
    memcpy(mac, was, sizeof was);
    return 0;
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct scene *s = scene();
    int failures = 0;
    WITHOUT_EACH(failures += write_without_memory(s) < 0);
    assert_true(failures > 0);
    failures = 0;
    WITHOUT_EACH(failures += keys_without_memory(s) < 0);
    assert_true(failures > 0);
    failures = 0;
    WITHOUT_EACH(failures += !hello_open_verify(s->open_line, &s->keys));
    assert_true(failures > 0);
    WITHOUT_EACH(failures += verify_without_memory(s));
    failures = 0;
    WITHOUT_EACH(failures += sign_without_memory(s) < 0);
    assert_true(failures > 0);
    assert_true(hello_open_verify(s->open_line, &s->keys));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_keys_as_another_implementation),
        cmocka_unit_test(the_same_lines),
        cmocka_unit_test(what_another_implementation_takes_and_does_not),
        cmocka_unit_test(all_of_it_is_true),
        cmocka_unit_test(a_refusal_without_mac_proves_nothing),
        cmocka_unit_test(every_bit_of_every_line_counts),
        cmocka_unit_test(every_bit_of_a_signed_line_counts),
        cmocka_unit_test(one_proof_is_not_the_other),
        cmocka_unit_test(no_signature_is_none),
        cmocka_unit_test(every_bit_of_key_and_exporter_counts),
        cmocka_unit_test(the_seal_is_exact),
        cmocka_unit_test(no_other_length_is_true),
        cmocka_unit_test(a_line_that_is_too_long_is_not_true),
        cmocka_unit_test(what_is_added_on_the_way_is_seen),
        cmocka_unit_test(another_secret_or_channel_gives_other_keys),
        cmocka_unit_test(no_key_is_another),
        cmocka_unit_test(the_resume_key_belongs_to_one_session),
        cmocka_unit_test(no_line_is_proof_of_another_kind),
        cmocka_unit_test(a_short_secret_makes_no_keys),
        cmocka_unit_test(any_allocation_may_fail),
    };
    /* Before the library has asked for any memory. */
    if (!no_memory_init())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
