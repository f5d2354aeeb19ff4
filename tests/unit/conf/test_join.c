/* SPDX-License-Identifier: MIT */
/* Join strings: against what a second implementation makes of the document, and every slip of a hand. */
#include "conf/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/hex.h"
#include "proto/sha256.h"

static int decode(struct join *ret, const char *text, size_t n)
{
    struct errmsg why = {""};
    int err = join_decode(ret, text, n, sha256, &why);
    assert_true(!*why.text == (err == 0));
    return err;
}

/* ---- vectors ---- */

struct vector {
    char kind[8];
    char text[4096]; /* as it is */
    size_t n;
    struct join says; /* of those that are taken */
};

/* What the columns behind the text say. */
static void read_says(FILE *f, struct join *j)
{
    char pin[2 * JOIN_PIN_BYTES + 1], t[2 * JOIN_T_BYTES + 1];
    unsigned port;
    assert_int_equal(fscanf(f, "%64s %253s %u %40s %32s", j->name, j->host, &port, pin, t), 5);
    j->port = (uint16_t)port;
    assert_true(hex_get(j->pin, pin, sizeof j->pin) && hex_get(j->t, t, sizeof j->t));
}

/* The next line of tests/vectors/join/vectors.txt. False: there is none. */
static bool next(FILE *f, struct vector *v)
{
    memset(v, 0, sizeof *v);
    if (fscanf(f, "%7s %4095s", v->kind, v->text) != 2)
        return false;
    bool is_good = strcmp(v->kind, "good") == 0;
    v->n = strlen(v->text);
    if (!is_good) {
        v->n = strcmp(v->text, "-") == 0 ? 0 : v->n / 2;
        assert_true(hex_get(v->text, v->text, v->n));
    }
    if (is_good || strcmp(v->kind, "taken") == 0)
        read_says(f, &v->says);
    return true;
}

static FILE *open_vectors(void)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/join/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

static int expected(const char *kind)
{
    static const struct {
        const char *kind;
        int err;
    } kinds[] = {{"good", 0},
                 {"taken", 0},
                 {"inval", ERR_INVAL},
                 {"range", ERR_RANGE},
                 {"proto", ERR_PROTO}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kind, kinds[i].kind) == 0)
            return kinds[i].err;
    fail_msg("%s", kind);
    return 0;
}

static void the_same_as_another_implementation(void **state)
{
    (void)state;
    static struct vector v;
    FILE *f = open_vectors();
    unsigned count = 0;
    for (; next(f, &v); count++) {
        struct join j = {0};
        char text[JOIN_BUF];
        int err = decode(&j, v.text, v.n);
        if (err != expected(v.kind))
            fail_msg("%s %u: %d", v.kind, count, err);
        assert_memory_equal(&j, &v.says, sizeof j); /* all zero where it is refused */
        if (strcmp(v.kind, "good") == 0) {
            assert_int_equal(join_encode(text, &j, sha256), 0);
            assert_string_equal(text, v.text);
        }
    }
    assert_int_equal(count, 64);
    (void)fclose(f); /* only read */
}

/* ---- slips ---- */

static const struct join usual = {
    .name = "laptop",
    .host = "vps.example.com",
    .port = 7000,
    .pin = {1, 2, 3},
    .t = {0xff, 0xfe},
};

static size_t write_usual(char text[JOIN_BUF])
{
    assert_int_equal(join_encode(text, &usual, sha256), 0);
    return strlen(text);
}

/* One of each length that a last group of five bytes can have. */
static size_t write_longer(char text[JOIN_BUF], size_t more)
{
    struct join j = usual;
    memset(j.name + strlen(j.name), 'x', more);
    assert_int_equal(join_encode(text, &j, sha256), 0);
    return strlen(text);
}

static void the_usual_length(void **state)
{
    (void)state;
    char text[JOIN_BUF];
    assert_in_range(write_usual(text), 100, 116);
}

static void check_truncations(const char *text, size_t len)
{
    struct join j;
    for (size_t n = 0; n < len; n++) {
        int want = n < 4 ? ERR_INVAL : ERR_RANGE;
        assert_int_equal(decode(&j, text, n), want);
        if (n > 0)
            assert_int_equal(decode(&j, text + n, len - n), ERR_INVAL); /* its beginning is lost */
    }
    assert_int_equal(decode(&j, text, len), 0);
}

static void every_truncation_is_found(void **state)
{
    (void)state;
    for (size_t more = 0; more < 5; more++) {
        char text[JOIN_BUF];
        size_t len = write_longer(text, more);
        check_truncations(text, len);
    }
}

static bool is_blank(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Each character by each byte, left out, and twice. */
static void check_wrong_characters(const char *text, size_t len)
{
    char bent[JOIN_BUF + 1];
    struct join j;
    for (size_t at = 0; at < len; at++) {
        memcpy(bent, text, len);
        for (int c = 0; c < 256; c++) {
            bent[at] = (char)c;
            bool is_same = c == text[at] || (c >= 'A' && c <= 'Z' && c + 32 == text[at]);
            int err = decode(&j, bent, len);
            assert_int_equal(err == 0, is_same);
            if (at >= 4 && !is_same)
                assert_int_equal(err, ERR_RANGE);
        }
        memcpy(bent + at, text + at + 1, len - at - 1);
        assert_true(decode(&j, bent, len - 1) < 0);
        memcpy(bent, text, at + 1);
        memcpy(bent + at + 1, text + at, len - at);
        assert_true(decode(&j, bent, len + 1) < 0);
    }
}

static void every_wrong_character_is_found(void **state)
{
    (void)state;
    for (size_t more = 0; more < 5; more++) {
        char text[JOIN_BUF];
        size_t len = write_longer(text, more);
        check_wrong_characters(text, len);
    }
}

/* A character behind the end, which belongs to no byte or to half of one. */
static void one_character_more_is_found(void **state)
{
    (void)state;
    for (size_t more = 0; more < 5; more++)
        for (int c = 1; c < 256; c++) {
            char text[JOIN_BUF];
            struct join j;
            size_t len = write_longer(text, more);
            text[len] = (char)c;
            assert_int_equal(decode(&j, text, len + 1), is_blank(c) ? 0 : ERR_RANGE);
        }
}

static void two_neighbours_that_change_places_are_found(void **state)
{
    (void)state;
    char text[JOIN_BUF];
    struct join j;
    size_t len = write_usual(text);
    for (size_t at = 0; at + 1 < len; at++) {
        char c = text[at];
        bool is_same = c == text[at + 1];
        text[at] = text[at + 1];
        text[at + 1] = c;
        assert_int_equal(decode(&j, text, len) == 0, is_same);
        text[at + 1] = text[at];
        text[at] = c;
    }
}

static void blanks_are_passed_over_wherever_they_are(void **state)
{
    (void)state;
    char text[JOIN_BUF], bent[JOIN_BUF + 1];
    size_t len = write_usual(text);
    for (size_t at = 0; at <= len; at++)
        for (int c = 0; c < 256; c++) {
            struct join j;
            if (!is_blank(c))
                continue;
            memcpy(bent, text, at);
            bent[at] = (char)c;
            memcpy(bent + at + 1, text + at, len - at);
            assert_int_equal(decode(&j, bent, len + 1), 0);
            assert_memory_equal(&j, &usual, sizeof j);
        }
}

/* ---- the rest ---- */

static void what_cannot_be_said_is_not_written(void **state)
{
    (void)state;
    static const struct join rows[] = {
        {.name = "", .host = "h", .port = 1},    {.name = "a b", .host = "h", .port = 1},
        {.name = "a/b", .host = "h", .port = 1}, {.name = "a", .host = "", .port = 1},
        {.name = "a", .host = "h h", .port = 1}, {.name = "a", .host = "[::1]", .port = 1},
        {.name = "a", .host = "h", .port = 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[JOIN_BUF] = "x";
        assert_int_equal(join_encode(text, &rows[i], sha256), ERR_INVAL);
        assert_string_equal(text, "");
    }
}

static int no_memory(uint8_t ret[32], const void *p, size_t n)
{
    (void)ret, (void)p, (void)n;
    return ERR_NOMEM;
}

static void without_memory_nothing_is_said(void **state)
{
    (void)state;
    char text[JOIN_BUF], none[JOIN_BUF] = "x";
    struct errmsg why;
    struct join j;
    size_t len = write_usual(text);
    assert_int_equal(join_encode(none, &usual, no_memory), ERR_NOMEM);
    assert_string_equal(none, "");
    assert_int_equal(join_decode(&j, text, len, no_memory, &why), ERR_NOMEM);
}

static void where_the_server_is(void **state)
{
    (void)state;
    char text[JOIN_SERVER_BUF];
    struct join j = usual;
    join_server(text, &j);
    assert_string_equal(text, "vps.example.com:7000");
    strcpy(j.host, "2001:db8::1");
    join_server(text, &j);
    assert_string_equal(text, "[2001:db8::1]:7000");
    memset(j.host, ':', JOIN_HOST_MAX);
    j.port = 65535;
    join_server(text, &j);
    assert_int_equal(strlen(text), JOIN_SERVER_BUF - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_as_another_implementation),
        cmocka_unit_test(the_usual_length),
        cmocka_unit_test(every_truncation_is_found),
        cmocka_unit_test(every_wrong_character_is_found),
        cmocka_unit_test(one_character_more_is_found),
        cmocka_unit_test(two_neighbours_that_change_places_are_found),
        cmocka_unit_test(blanks_are_passed_over_wherever_they_are),
        cmocka_unit_test(what_cannot_be_said_is_not_written),
        cmocka_unit_test(without_memory_nothing_is_said),
        cmocka_unit_test(where_the_server_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
