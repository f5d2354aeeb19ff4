/* SPDX-License-Identifier: MIT */
/* The lines of a gotunnel/2 hello: collecting, reading, writing. The proofs: test_hello_proof.c. */
#include "proto/hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"

#define M32 "00112233445566778899aabbccddeeff"
#define M64 M32 M32

#define MAC ",\"mac\":\"" M64 "\"}"

static const char open_line[] =
    "{\"v\":2,\"op\":\"open\",\"id\":\"a.B-9_\",\"nc\":\"" M32
    "\",\"window_ms\":60000,\"caps\":[\"a-1\",\"z\"],\"take\":true,\"mine\":[\"" M32 "\"]" MAC "\n";
#define SIG ",\"sig\":\"" M64 M64 "\""

static const char key_line[] =
    "{\"v\":2,\"op\":\"open\",\"id\":\"lap.1\",\"nc\":\"" M32
    "\",\"window_ms\":60000,\"caps\":[],\"take\":true,\"mine\":[],\"key\":\"lap\"" SIG MAC "\n";
static const char resume_line[] =
    "{\"v\":2,\"op\":\"resume\",\"sid\":\"" M32
    "\",\"epoch\":\"0000000000000001\",\"rx\":\"fedcba9876543210\"" MAC "\n";
static const char opened_line[] =
    "{\"v\":2,\"ok\":true,\"op\":\"open\",\"sid\":\"" M32 "\",\"ns\":\"" M32
    "\",\"window_ms\":4294967295,\"caps\":[]" MAC "\n";
static const char resumed_line[] = "{\"v\":2,\"ok\":true,\"op\":\"resume\",\"epoch\":"
                                   "\"ffffffffffffffff\",\"rx\":\"0000000000000000\"" MAC "\n";
static const char refused_line[] =
    "{\"v\":2,\"ok\":false,\"error\":\"taken\",\"by\":\"[::1]:9\"" MAC "\n";
static const char bare_line[] = "{\"v\":2,\"ok\":false,\"error\":\"auth\"}\n";

/* ---- collecting ---- */

/* Feeds in pieces of `step`, as far as the reader takes it. */
static int feed(struct hello_reader *r, const char *text, size_t n, size_t step, size_t *ret_used)
{
    int err = ERR_AGAIN;
    *ret_used = 0;
    hello_reader_init(r);
    while (err == ERR_AGAIN && *ret_used < n) {
        size_t part = n - *ret_used < step ? n - *ret_used : step, used = 0;
        err = hello_reader_feed(r, (const uint8_t *)text + *ret_used, part, &used);
        assert_true(used <= part);
        *ret_used += used;
    }
    return err;
}

static void a_line_in_any_pieces(void **state)
{
    (void)state;
    char in[sizeof open_line + 4];
    size_t n = sizeof open_line - 1, used;
    memcpy(in, open_line, n);
    memcpy(in + n, "\3\0{\n", 5);
    for (size_t step = 1; step <= n + 5; step++) {
        struct hello_reader r;
        assert_int_equal(feed(&r, in, n + 5, step, &used), 0);
        assert_int_equal(used, n); /* what follows belongs to the session */
        assert_int_equal(hello_reader_line(&r).n, n - 1);
        assert_memory_equal(hello_reader_line(&r).p, open_line, n - 1);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)"{", 1, &used), 0);
        assert_int_equal(used, 0);
    }
}

static void a_line_cut_at_every_byte(void **state)
{
    (void)state;
    size_t n = sizeof open_line - 1, used;
    for (size_t at = 0; at < n; at++) {
        struct hello_reader r;
        hello_reader_init(&r);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)open_line, at, &used), ERR_AGAIN);
        assert_int_equal(used, at);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)open_line + at, n - at, &used), 0);
        assert_int_equal(used, n - at);
        assert_string_equal(hello_reader_line(&r).p + n - 3, "\"}");
    }
}

static void the_longest_line(void **state)
{
    (void)state;
    char in[HELLO_MAX + 1];
    for (size_t step = 1; step < 5000; step = step * 7 + 1) {
        struct hello_reader r;
        size_t used;
        memset(in, 'x', sizeof in);
        in[0] = '{';
        in[HELLO_MAX - 1] = '\n';
        assert_int_equal(feed(&r, in, HELLO_MAX, step, &used), 0);
        assert_int_equal(hello_reader_line(&r).n, HELLO_MAX - 1);
        in[HELLO_MAX - 1] = 'x';
        in[HELLO_MAX] = '\n';
        assert_int_equal(feed(&r, in, HELLO_MAX + 1, step, &used), ERR_LIMIT);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)"\n", 1, &used), ERR_LIMIT);
    }
}

static void what_can_not_be_a_hello_is_seen_at_once(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\n", "s", "\x16", " {", "{\t", "{}\r", "{\"\x1f", "{\x01"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct hello_reader r;
        size_t used;
        assert_int_equal(feed(&r, wrong[i], strlen(wrong[i]), 1, &used), ERR_PROTO);
        assert_int_equal(hello_reader_feed(&r, (const uint8_t *)"{}\n", 3, &used), ERR_PROTO);
        assert_int_equal(used, 0);
    }
    struct hello_reader r;
    size_t used;
    assert_int_equal(feed(&r, "{\0", 2, 2, &used), ERR_PROTO);
}

/* ---- round trips ---- */

static struct hello_text text_of(const char *line)
{
    return (struct hello_text){line, strcspn(line, "\n")};
}

static int get_request(const char *line, struct hello_request *ret)
{
    return hello_request_get(text_of(line), ret);
}

/* Of an open, or of a resume where the line says so. */
static int get_answer(const char *line, struct hello_answer *ret)
{
    return hello_answer_get(text_of(line), strstr(line, "\"resume\"") ? HELLO_RESUME : HELLO_OPEN,
                            ret);
}

/* What is written is what was read, but for the MAC. */
static void assert_covered(const char *got, int n, const char *line)
{
    assert_int_equal(n, strlen(line));
    assert_int_equal(strlen(got), n);
    assert_memory_equal(got, line, strlen(line) - HELLO_SEAL_LEN - 1 + sizeof ",\"mac\":\"" - 1);
    assert_string_equal(got + n - 3, "\"}\n");
}

static const struct hello_keys keys;
static const uint8_t key[32], exporter[32];
static const struct hello_signer signer = {key, exporter};
static const struct hello_text asked = {"{}", 2};

static void requests_are_read_and_written(void **state)
{
    (void)state;
    struct hello_request r;
    char out[HELLO_MAX];
    assert_int_equal(get_request(open_line, &r), 0);
    assert_int_equal(r.op, HELLO_OPEN);
    assert_string_equal(r.id, "a.B-9_");
    assert_int_equal(r.nonce[15], 0xff);
    assert_int_equal(r.window_ms, 60000);
    assert_int_equal(r.caps.count, 2);
    assert_string_equal(r.caps.names[0], "a-1");
    assert_string_equal(r.caps.names[1], "z");
    assert_true(r.take);
    assert_int_equal(r.mine.count, 1);
    assert_int_equal(r.mine.nonces[0][14], 0xee);
    assert_int_equal(r.epoch, 0);
    assert_string_equal(r.key, "");
    assert_covered(out, hello_open_write(out, &r, &keys, NULL), open_line);

    assert_int_equal(get_request(key_line, &r), 0);
    assert_string_equal(r.id, "lap.1");
    assert_string_equal(r.key, "lap");
    int n = hello_open_write(out, &r, &keys, &signer);
    assert_int_equal(n, strlen(key_line));
    assert_memory_equal(out, key_line, n - HELLO_SIG_LEN - HELLO_SEAL_LEN - 1 + 8);
    assert_int_equal(get_request(out, &r), 0);

    assert_int_equal(get_request(resume_line, &r), 0);
    assert_int_equal(r.op, HELLO_RESUME);
    assert_int_equal(r.sid[1], 0x11);
    assert_true(r.epoch == 1 && r.rx == 0xfedcba9876543210u);
    assert_string_equal(r.id, "");
    assert_false(r.take);
    assert_covered(out, hello_resume_write(out, &r, key, exporter), resume_line);
}

/* The line with the first `from` replaced by `to`; static storage. */
static const char *changed(const char *line, const char *from, const char *to)
{
    static char out[2 * HELLO_MAX];
    const char *at = strstr(line, from);
    assert_non_null(at);
    (void)snprintf(out, sizeof out, "%.*s%s%s", (int)(at - line), line, to, at + strlen(from));
    return out;
}

static void answers_are_read_and_written(void **state)
{
    (void)state;
    struct hello_answer a;
    char out[HELLO_MAX];
    assert_int_equal(get_answer(opened_line, &a), 0);
    assert_true(a.error == HELLO_OK && a.has_mac);
    assert_true(a.window_ms == UINT32_MAX && a.caps.count == 0);
    assert_covered(out, hello_answer_write(out, &a, asked, &keys), opened_line);

    assert_int_equal(get_answer(resumed_line, &a), 0);
    assert_true(a.error == HELLO_OK && a.has_mac && a.epoch == UINT64_MAX && a.rx == 0);
    assert_covered(out, hello_resumed_write(out, &a, asked, key, exporter), resumed_line);

    assert_int_equal(get_answer(refused_line, &a), 0);
    assert_true(a.error == HELLO_ERR_TAKEN && a.has_mac);
    assert_string_equal(a.by, "[::1]:9");
    assert_covered(out, hello_answer_write(out, &a, asked, &keys), refused_line);

    assert_int_equal(get_answer(bare_line, &a), 0);
    assert_true(a.error == HELLO_ERR_AUTH && !a.has_mac);
    assert_string_equal(a.by, "");
    assert_int_equal(hello_refusal_write(out, &a), strlen(bare_line));
    assert_string_equal(out, bare_line);
}

/* Which have a MAC, which have none, and which may do either: docs/protocol.md 5.2. */
static void every_error_has_its_word_and_its_rule(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        bool bare, signed_;
    } rules[] = {
        [HELLO_ERR_AUTH] = {"auth", true, false},
        [HELLO_ERR_TAKEN] = {"taken", false, true},
        [HELLO_ERR_UNKNOWN] = {"unknown", true, false},
        [HELLO_ERR_STALE] = {"stale", false, true},
        [HELLO_ERR_RANGE] = {"range", false, true},
        [HELLO_ERR_BUSY] = {"busy", true, true},
        [HELLO_ERR_DRAINING] = {"draining", true, true},
        [HELLO_ERR_MESSAGE] = {"message", true, false},
    };
    assert_int_equal(ARRAY_LEN(rules), HELLO_ERRORS);
    for (int e = HELLO_OK + 1; e < HELLO_ERRORS; e++) {
        char line[256];
        struct hello_answer a;
        assert_string_equal(hello_error_word((enum hello_error)e), rules[e].word);
        for (int has_mac = 0; has_mac <= 1; has_mac++) {
            (void)snprintf(line, sizeof line, "{\"v\":2,\"ok\":false,\"error\":\"%s\"%s",
                           rules[e].word, has_mac ? MAC : "}");
            bool good = has_mac ? rules[e].signed_ : rules[e].bare;
            if (get_answer(line, &a) != (good ? 0 : ERR_PROTO))
                fail_msg("%s", line);
            assert_true(!good || ((int)a.error == e && a.has_mac == has_mac));
        }
    }
}

static void a_later_error_is_one_that_passes(void **state)
{
    (void)state;
    static const char *const words[] = {"moved", "port", "", "AUTH", "Busy", "!#$~"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        char line[256];
        struct hello_answer a;
        (void)snprintf(line, sizeof line, "{\"v\":2,\"ok\":false,\"error\":\"%s\"}", words[i]);
        assert_int_equal(get_answer(line, &a), 0);
        assert_int_equal(a.error, HELLO_ERR_BUSY);
    }
}

static void the_longest_lines_fit(void **state)
{
    (void)state;
    struct hello_answer a = {.error = HELLO_ERR_TAKEN}, b;
    struct hello_request r = {.window_ms = UINT32_MAX}, s;
    char out[HELLO_MAX];
    memset(a.by, '!', HELLO_WORD_BUF - 1);
    assert_true(hello_answer_write(out, &a, asked, &keys) > 0);
    assert_int_equal(get_answer(out, &b), 0);
    assert_string_equal(b.by, a.by);

    memset(r.id, 'x', HELLO_ID_MAX);
    r.caps.count = HELLO_CAPS_MAX;
    r.mine.count = HELLO_MINE_MAX;
    memset(r.mine.nonces, 0xa5, sizeof r.mine.nonces);
    for (size_t i = 0; i < HELLO_CAPS_MAX; i++)
        memset(r.caps.names[i], 'a' + (int)i, HELLO_CAP_MAX);
    memset(r.key, 'x', HELLO_ID_MAX);
    int n = hello_open_write(out, &r, &keys, &signer);
    assert_true(n > 0 && n < HELLO_MAX / 3);
    assert_int_equal(get_request(out, &s), 0);
    assert_memory_equal(&s.caps, &r.caps, sizeof s.caps);
    assert_memory_equal(&s.mine, &r.mine, sizeof s.mine);
    assert_string_equal(s.key, r.key);

    memset(&a, 0, sizeof a);
    a.caps = r.caps;
    assert_true(hello_answer_write(out, &a, asked, &keys) > 0);
    assert_int_equal(get_answer(out, &b), 0);
    assert_memory_equal(&b.caps, &a.caps, sizeof b.caps);
}

/* ---- what an end can do ---- */

static void what_both_can(void **state)
{
    (void)state;
    struct hello_caps none = {0}, both;
    struct hello_caps a = {3, {"one", "two", "one"}}, b = {2, {"three", "one"}};
    hello_caps_common(&both, &a, &b);
    assert_int_equal(both.count, 1);
    assert_string_equal(both.names[0], "one");
    assert_true(hello_caps_have(&both, "one") && !hello_caps_have(&both, "two"));
    hello_caps_common(&both, &a, &none);
    assert_int_equal(both.count, 0);
    hello_caps_common(&both, &none, &a);
    assert_int_equal(both.count, 0);
    hello_caps_common(&b, &a, &b); /* ret may be one of them */
    assert_int_equal(b.count, 1);
}

/* ---- what is refused ---- */

struct variant {
    const char *line, *from, *to;
    int err;
};

#define MINE7 "\"" M32 "\",\"" M32 "\",\"" M32 "\",\"" M32 "\",\"" M32 "\",\"" M32 "\",\"" M32 "\""

static const struct variant variants[] = {
    /* accepted: fields of other names, at the allowed depth; blanks */
    {open_line, "\"v\"", "\"slot\":[\"a\",{}],\"v\"", 0},
    {open_line, "\"v\"", "\"x\":{\"mac\":1},\"v\"", 0}, /* not the line's */
    {open_line, "\"v\":2", " \"v\" : 2 ", 0},
    {open_line, "\"v\"", "\"x\":[[]],\"v\"", 0},
    {open_line, "\"v\"", "\"x\":\"[[[[\\\"[\",\"v\"", 0},
    {open_line, "\"v\"", "\"sid\":1,\"v\"", 0}, /* of the other operation */
    {open_line, "\"a.B-9_\"", "\"\\u0061\"", 0},
    /* depth; what looks like a bracket, a quote or an escape and is none */
    {open_line, "\"v\"", "\"x\":\"\\\"[[[[\",\"v\"", 0},
    {open_line, "\"v\"", "\"x\":\"\\\\\",\"y\":\"[[[[\",\"v\"", 0},
    {open_line, "\"v\"", "\"x\":\"\\\"\",\"y\":[[[]]],\"v\"", ERR_PROTO},
    {open_line, "\"v\"", "\"x\":\"\\\\\",\"y\":[[[]]],\"v\"", ERR_PROTO},
    {open_line, "\"v\"", "\"x\":\"]]]]\",\"y\":[[[]]],\"v\"", ERR_PROTO},
    {open_line, "\"v\"", "\"x\":[[[]]],\"v\"", ERR_PROTO},
    {open_line, "\"v\"", "\"x\":{\"y\":{\"z\":{}}},\"v\"", ERR_PROTO},
    /* not one object */
    {open_line, "{", "", ERR_PROTO},
    {open_line, "}", "", ERR_PROTO},
    {open_line, "}", "} x", ERR_PROTO},
    {open_line, "}", "}{}", ERR_PROTO},
    {open_line, "{", "[{", ERR_PROTO},
    /* version and operation */
    {open_line, "\"v\":2", "\"v\":3", ERR_PROTO},
    {open_line, "\"v\":2", "\"v\":\"2\"", ERR_PROTO},
    {open_line, "\"v\":2", "\"v\":2.0", ERR_PROTO},
    {open_line, "\"v\":2,", "", ERR_PROTO},
    {open_line, "\"open\"", "\"Open\"", ERR_PROTO},
    {open_line, "\"open\"", "1", ERR_PROTO},
    {open_line, "\"open\"", "\"resume\"", ERR_PROTO},
    {open_line, "\"op\":\"open\",", "", ERR_PROTO},
    /* repeated */
    {open_line, "\"v\":2", "\"v\":2,\"v\":2", ERR_PROTO},
    {open_line, "\"id\"", "\"id\":\"x\",\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"mac\":\"" M64 "\",\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"x\":1,\"x\":1,\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"\\u0078\":1,\"x\":1,\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"x\":[{\"y\":1,\"\\u0079\":1}],\"id\"", ERR_PROTO},
    {open_line, "\"id\"", "\"m\\u0061c\":1,\"id\"", ERR_PROTO},
    /* id */
    {open_line, "\"a.B-9_\"", "\"\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"a b\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"a/b\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"a\\u0000b\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"\xc3\xa4\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"\xff\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"" M64 "0\"", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "\"" M64 "\"", 0},
    {open_line, "\"a.B-9_\"", "7", ERR_PROTO},
    {open_line, "\"a.B-9_\"", "null", ERR_PROTO},
    {open_line, "\"id\":\"a.B-9_\",", "", ERR_PROTO},
    /* numbers */
    {open_line, "\"nc\"", "\"port\":\"80\",\"nc\"", 0}, /* no field of ours: passed over */
    {open_line, "60000", "4294967296", ERR_PROTO},
    {open_line, "60000", "-1", ERR_PROTO},
    {open_line, "60000", "6e4", ERR_PROTO},
    {open_line, "60000", "\"60000\"", ERR_PROTO},
    {open_line, "\"window_ms\":60000,", "", ERR_PROTO},
    /* bytes */
    {open_line, "\"" M32 "\"", "\"" M32 "00\"", ERR_PROTO},
    {open_line, "\"" M32 "\"", "\"\"", ERR_PROTO},
    {open_line, "\"" M32 "\"", "17", ERR_PROTO},
    {open_line, "\"0011", "\"001", ERR_PROTO},
    {open_line, "\"0011", "\"g011", ERR_PROTO},
    {open_line, "aabb", "AABB", ERR_PROTO},
    {open_line, "\"nc\":\"" M32 "\",", "", ERR_PROTO},
    /* caps, take, mine */
    {open_line, "\"caps\":[\"a-1\",\"z\"],", "", ERR_PROTO},
    {open_line, "[\"a-1\",\"z\"]", "[]", 0},
    {open_line, "[\"a-1\",\"z\"]", "{}", ERR_PROTO},
    {open_line, "[\"a-1\",\"z\"]", "\"a-1\"", ERR_PROTO},
    {open_line, "[\"a-1\",\"z\"]", "[\"a\",1]", ERR_PROTO},
    {open_line, "\"z\"", "\"\"", ERR_PROTO},
    {open_line, "\"z\"", "\"Z\"", ERR_PROTO},
    {open_line, "\"z\"", "\"_\"", ERR_PROTO},
    {open_line, "\"z\"", "\"abcdefghijklmno9\"", 0},
    {open_line, "\"z\"", "\"abcdefghijklmno90\"", ERR_PROTO},
    {open_line, "\"z\"", "\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"", 0},
    {open_line, "\"z\"", "\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"", ERR_PROTO},
    {open_line, "\"take\":true,", "", ERR_PROTO},
    {open_line, "true", "false", 0},
    {open_line, "true", "1", ERR_PROTO},
    {open_line, "true", "\"true\"", ERR_PROTO},
    {open_line, "true", "null", ERR_PROTO},
    {open_line, ",\"mine\":[\"" M32 "\"]", "", ERR_PROTO},
    {open_line, "[\"" M32 "\"]", "[]", 0},
    {open_line, "[\"" M32 "\"]", "\"" M32 "\"", ERR_PROTO},
    {open_line, "[\"" M32 "\"]", "[\"" M32 "0\"]", ERR_PROTO},
    {open_line, "[\"" M32 "\"]", "[\"\"]", ERR_PROTO},
    {open_line, "[\"" M32 "\"]", "[null]", ERR_PROTO},
    {open_line, "[\"0011", "[\"X011", ERR_PROTO},
    {open_line, "[\"" M32 "\"]", "[" MINE7 ",\"" M32 "\"]", 0},
    {open_line, "[\"" M32 "\"]", "[" MINE7 ",\"" M32 "\",\"" M32 "\"]", ERR_PROTO},
    /* the MAC, and where it stands */
    {open_line, M64, M32, ERR_PROTO},
    {open_line, M64, M64 "0", ERR_PROTO},
    {open_line, "\"mac\":\"0", "\"mac\":\"G", ERR_PROTO},
    {open_line, "\"mac\":\"00", "\"mac\":\"0A", ERR_PROTO},
    {open_line, "\"mac\"", "\"\\u006dac\"", ERR_PROTO},
    {open_line, "\"mac\"", " \"mac\"", ERR_PROTO},
    {open_line, "\"mac\":", "\"mac\" :", ERR_PROTO},
    {open_line, "\"mac\":", "\"mac\": ", ERR_PROTO},
    {open_line, ",\"mac\"", " ,\"mac\"", 0}, /* that blank is covered */
    {open_line, MAC, ",\"mac\":\"" M64 "\" }", ERR_PROTO},
    {open_line, MAC, MAC " ", ERR_PROTO},
    {open_line, MAC, ",\"mac\":\"" M64 "\",\"x\":1}", ERR_PROTO},
    {open_line, MAC, ",\"x\":{\"y\":1" MAC "}", ERR_PROTO},
    {open_line, MAC, ",\"x\":{\"y\":1" MAC MAC, 0},
    {open_line, ",\"mac\":\"" M64 "\"", "", ERR_PROTO},
    /* a key and its signature */
    {key_line, "\"lap\"", "\"lap.1\"", 0},
    {key_line, "\"lap\"", "\"l\\u0061p\"", 0},
    {key_line, "\"lap\"", "\"la\"", ERR_PROTO},
    {key_line, "\"lap\"", "\"lap.\"", ERR_PROTO},
    {key_line, "\"lap\"", "\"lap.1.\"", ERR_PROTO},
    {key_line, "\"lap\"", "\"Lap\"", ERR_PROTO},
    {key_line, "\"lap\"", "\"\"", ERR_PROTO},
    {key_line, "\"lap\"", "null", ERR_PROTO},
    {key_line, "\"lap\"", "1", ERR_PROTO},
    {key_line, "\"lap\"", "[\"lap\"]", ERR_PROTO},
    {key_line, "lap.1", "lapx", ERR_PROTO},
    {key_line, "lap.1", "lap.", 0},
    {key_line, ",\"key\":\"lap\"", "", ERR_PROTO},
    {key_line, ",\"key\"", ",\"key\":\"lap\",\"key\"", ERR_PROTO},
    {key_line, SIG, "", ERR_PROTO},
    {key_line, SIG, ",\"x\":1" SIG, 0},
    {key_line, SIG, SIG ",\"x\":1", ERR_PROTO},
    {key_line, SIG, SIG " ", ERR_PROTO},
    {key_line, SIG, " " SIG, 0}, /* that blank is covered */
    {key_line, SIG, SIG SIG, ERR_PROTO},
    {key_line, SIG, ",\"x\":{\"y\":1" SIG "}", ERR_PROTO},
    {key_line, SIG, ",\"x\":{\"sig\":1}" SIG, 0},
    {key_line, SIG, ",\"sig\":null", ERR_PROTO},
    {key_line, SIG, ",\"sig\":\"\"", ERR_PROTO},
    {key_line, "\"sig\"", "\"s\\u0069g\"", ERR_PROTO},
    {key_line, "\"sig\":", "\"sig\": ", ERR_PROTO},
    {key_line, "\"sig\":\"00", "\"sig\":\"0", ERR_PROTO},
    {key_line, "\"sig\":\"00", "\"sig\":\"000", ERR_PROTO},
    {key_line, "\"sig\":\"00", "\"sig\":\"0A", ERR_PROTO},
    {open_line, MAC, SIG MAC, ERR_PROTO},
    {open_line, MAC, ",\"key\":\"a\"" MAC, ERR_PROTO},
    {open_line, MAC, ",\"key\":\"a\"" SIG MAC, 0},
    {open_line, MAC, ",\"key\":\"a.B\"" SIG MAC, ERR_PROTO},
    /* of other lines they are fields of other names */
    {resume_line, MAC, SIG MAC, 0},
    {resume_line, MAC, ",\"key\":1" MAC, 0},
    /* resume */
    {resume_line, "\"sid\":\"" M32 "\",", "", ERR_PROTO},
    {resume_line, M32, M64, ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "1", ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "\"1\"", ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "\"00000000000000001\"", ERR_PROTO},
    {resume_line, "\"0000000000000001\"", "\"0x00000000000001\"", ERR_PROTO},
    {resume_line, "\"epoch\":\"0000000000000001\",", "", ERR_PROTO},
    {resume_line, "fedcba9876543210", "FEDCBA9876543210", ERR_PROTO},
    {resume_line, "\"fedcba9876543210\"", "null", ERR_PROTO},
    {resume_line, "\"rx\":\"fedcba9876543210\",", "", ERR_PROTO},
    {resume_line, "\"mac\":\"" M64 "\"", "\"x\":1", ERR_PROTO},
    {resume_line, "\"resume\"", "\"open\"", ERR_PROTO},
};

static void what_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        const struct variant *v = &variants[i];
        struct hello_request r, before;
        memset(&before, 0x5a, sizeof before);
        r = before;
        const char *line = changed(v->line, v->from, v->to);
        int err = get_request(line, &r);
        if (err != v->err)
            fail_msg("%s: %d", line, err);
        if (err < 0)
            assert_memory_equal(&r, &before, sizeof r);
    }
}

static const struct variant answer_variants[] = {
    {opened_line, "\"v\"", "\"x\":[{}],\"v\"", 0},
    {bare_line, "}", ",\"mac\":null}", ERR_PROTO},
    {bare_line, "}", MAC, ERR_PROTO},
    {bare_line, "}", ",\"x\":{\"mac\":1}}", 0},
    {bare_line, "}", ",\"message\":1}", 0}, /* there is no such field any more */
    {bare_line, "\"auth\"", "\"a b\"", ERR_PROTO},
    {bare_line, "\"auth\"", "\"" M64 "\"", ERR_PROTO},
    {bare_line, "\"auth\"", "\"" M32 "0123456789abcdefghijklmnopqrstu\"", 0},
    {bare_line, "\"auth\"", "1", ERR_PROTO},
    {bare_line, ",\"error\":\"auth\"", "", ERR_PROTO},
    {refused_line, MAC, "}", ERR_PROTO},
    {refused_line, "[::1]:9", M32 "0123456789abcdefghijklmnopqrstu", 0},
    {refused_line, "[::1]:9", M64, ERR_PROTO},
    {refused_line, "[::1]:9", "!#[]^~", 0},
    {refused_line, "[::1]:9", "a b", ERR_PROTO},
    {refused_line, "[::1]:9", "a\\\"b", ERR_PROTO},
    {refused_line, "[::1]:9", "a\\\\b", ERR_PROTO},
    {refused_line, "[::1]:9", "a\x7f", ERR_PROTO},
    {refused_line, "[::1]:9", "a\\u001b", ERR_PROTO},
    {refused_line, "[::1]:9", "\xe7\xab\xaf", ERR_PROTO},
    {refused_line, ",\"by\":\"[::1]:9\"", "", 0},
    {bare_line, "false", "true", ERR_PROTO},
    {bare_line, "false", "0", ERR_PROTO},
    {bare_line, "\"ok\":false,", "", ERR_PROTO},
    {bare_line, "\"v\":2,", "", ERR_PROTO},
    {opened_line, "true", "1", ERR_PROTO},
    {opened_line, "true", "false", ERR_PROTO},
    {opened_line, "\"op\":\"open\",", "", ERR_PROTO},
    {opened_line, "\"open\"", "\"resume\"", ERR_PROTO},
    {opened_line, "4294967295", "4294967296", ERR_PROTO},
    {opened_line, "\"caps\":[]", "\"caps\":[\"x\"]", 0},
    {opened_line, "\"caps\":[]", "\"caps\":[\"X\"]", ERR_PROTO},
    {opened_line, ",\"caps\":[]", "", ERR_PROTO},
    {opened_line, "\"ns\":\"" M32 "\",", "", ERR_PROTO},
    {opened_line, "\"sid\":\"" M32 "\",", "", ERR_PROTO},
    {opened_line, ",\"mac\":\"" M64 "\"", "", ERR_PROTO},
    {opened_line, "\"sid\"", "\"sid\":\"\",\"sid\"", ERR_PROTO},
    {resumed_line, "\"resume\"", "\"open\"", ERR_PROTO},
    {resumed_line, "\"ffffffffffffffff\"", "18446744073709551615", ERR_PROTO},
    {resumed_line, ",\"mac\":\"" M64 "\"", "", ERR_PROTO},
};

static void what_answers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answer_variants); i++) {
        const struct variant *v = &answer_variants[i];
        struct hello_answer a, before;
        memset(&before, 0x5a, sizeof before);
        a = before;
        const char *line = changed(v->line, v->from, v->to);
        int err = get_answer(line, &a);
        if (err != v->err)
            fail_msg("%s: %d", line, err);
        if (err < 0)
            assert_memory_equal(&a, &before, sizeof a);
    }
}

/* An answer of the other kind is none, whatever else it says. */
static void an_answer_answers_what_was_asked(void **state)
{
    (void)state;
    struct hello_answer a;
    assert_int_equal(hello_answer_get(text_of(opened_line), HELLO_OPEN, &a), 0);
    assert_int_equal(hello_answer_get(text_of(opened_line), HELLO_RESUME, &a), ERR_PROTO);
    assert_int_equal(hello_answer_get(text_of(resumed_line), HELLO_RESUME, &a), 0);
    assert_int_equal(hello_answer_get(text_of(resumed_line), HELLO_OPEN, &a), ERR_PROTO);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {open_line, key_line, resume_line, opened_line,
                                        refused_line};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        for (size_t n = 0; n + 2 < strlen(lines[i]); n++) {
            struct hello_request r;
            struct hello_answer a;
            char *cut = malloc(n + 1); /* of its own size, for the address sanitizer */
            memcpy(cut, lines[i], n);
            struct hello_text line = {cut, n};
            assert_int_equal(hello_request_get(line, &r), ERR_PROTO);
            assert_int_equal(hello_answer_get(line, HELLO_OPEN, &a), ERR_PROTO);
            assert_int_equal(hello_answer_get(line, HELLO_RESUME, &a), ERR_PROTO);
            free(cut);
        }
}

static void a_zero_byte_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof open_line - 2; i++) {
        char line[sizeof open_line];
        struct hello_request r;
        memcpy(line, open_line, sizeof line);
        line[i] = '\0';
        assert_int_equal(hello_request_get((struct hello_text){line, sizeof line - 2}, &r),
                         ERR_PROTO);
    }
}

static void a_line_that_is_too_long(void **state)
{
    (void)state;
    static char line[HELLO_MAX + 1];
    struct hello_request r;
    size_t n = sizeof open_line - 2;
    for (size_t len = HELLO_MAX - 1; len <= HELLO_MAX; len++) {
        memset(line, ' ', sizeof line); /* behind the first brace */
        line[0] = '{';
        memcpy(line + len - (n - 1), open_line + 1, n - 1);
        assert_int_equal(hello_request_get((struct hello_text){line, len}, &r),
                         len < HELLO_MAX ? 0 : ERR_PROTO);
    }
}

static void secrets_and_ids(void **state)
{
    (void)state;
    assert_false(hello_secret_is_long_enough(""));
    assert_false(hello_secret_is_long_enough("123456789012345"));
    assert_true(hello_secret_is_long_enough("1234567890123456"));
    assert_true(hello_secret_is_long_enough("12345678901234567"));
    assert_true(hello_id_is_valid("A-Za_z0.9"));
    assert_true(hello_id_is_valid(M64));
    assert_false(hello_id_is_valid(M64 "0"));
    assert_false(hello_id_is_valid(""));
    for (int c = 1; c < 256; c++) {
        char id[] = {'x', (char)c, '\0'};
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
        assert_int_equal(hello_id_is_valid(id), good);
    }
}

/* ---- no memory ---- */

static int calls, fail_at;

static void *failing_malloc(size_t n)
{
    return calls++ == fail_at ? NULL : malloc(n);
}

/* jansson does not always tell that from a wrong text. */
static void assert_failed(int err)
{
    assert_true(err == ERR_NOMEM || err == ERR_PROTO);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct hello_request r;
    struct hello_answer a;
    int err = -1;
    json_set_alloc_funcs(failing_malloc, free);
    for (fail_at = 0; err < 0; fail_at++) {
        calls = 0;
        err = get_request(open_line, &r);
        if (err < 0)
            assert_failed(err);
    }
    assert_true(fail_at > 5);
    err = -1;
    for (fail_at = 0; err < 0; fail_at++) {
        calls = 0;
        err = get_answer(opened_line, &a);
        if (err < 0)
            assert_failed(err);
    }
    assert_true(fail_at > 5);
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_in_any_pieces),
        cmocka_unit_test(a_line_cut_at_every_byte),
        cmocka_unit_test(the_longest_line),
        cmocka_unit_test(what_can_not_be_a_hello_is_seen_at_once),
        cmocka_unit_test(requests_are_read_and_written),
        cmocka_unit_test(answers_are_read_and_written),
        cmocka_unit_test(every_error_has_its_word_and_its_rule),
        cmocka_unit_test(a_later_error_is_one_that_passes),
        cmocka_unit_test(the_longest_lines_fit),
        cmocka_unit_test(what_both_can),
        cmocka_unit_test(what_requests_are_refused),
        cmocka_unit_test(what_answers_are_refused),
        cmocka_unit_test(an_answer_answers_what_was_asked),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(a_zero_byte_anywhere_is_refused),
        cmocka_unit_test(a_line_that_is_too_long),
        cmocka_unit_test(secrets_and_ids),
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
