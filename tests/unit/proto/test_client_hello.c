/* SPDX-License-Identifier: MIT */
/* The beginning of TLS: recorded ones at every split and in other records, and what is none. */
#include "proto/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

enum { HEADER = 5 };

static uint8_t hello[2 * CLIENT_HELLO_MAX];

/* ---- what is recorded ---- */

static FILE *open_vectors(void)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/client-hello/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

/* The next one into hello; its length, 0: there is none. */
static size_t next_vector(FILE *f)
{
    static char hex[8192];
    if (fscanf(f, "%*63s %8191s", hex) != 1)
        return 0;
    size_t n = strlen(hex) / 2;
    assert_true(hex_get(hello, hex, n));
    return n;
}

static void assert_whole_at(size_t n)
{
    for (size_t part = 0; part < n; part++) {
        struct client_hello_look look = client_hello_look(hello, part);
        assert_int_equal(look.verdict, CLIENT_HELLO_MORE);
        assert_true(look.need > part && look.need <= n);
    }
    for (size_t more = 0; more < 100; more++) /* what follows it is not looked at */
        assert_int_equal(client_hello_look(hello, n + more).verdict, CLIENT_HELLO_WHOLE);
}

static void every_recorded_one_at_every_split(void **state)
{
    (void)state;
    unsigned count = 0;
    FILE *f = open_vectors();
    for (size_t n; (n = next_vector(f)) > 0; count++)
        assert_whole_at(n);
    (void)fclose(f);
    assert_true(count >= 9);
}

/* The message of the n bytes of hello, one record, in records of `part` bytes. The new length. */
static size_t in_records(size_t n, size_t part)
{
    static uint8_t message[CLIENT_HELLO_MAX];
    size_t to = 0;
    memcpy(message, hello + HEADER, n - HEADER);
    for (size_t at = 0; at < n - HEADER; at += part) {
        size_t len = n - HEADER - at < part ? n - HEADER - at : part;
        memcpy(hello + to, (uint8_t[]){22, 3, 1, (uint8_t)(len >> 8), (uint8_t)len}, HEADER);
        memcpy(hello + to + HEADER, message + at, len);
        to += HEADER + len;
    }
    return to;
}

static void in_several_records_at_every_split(void **state)
{
    (void)state;
    FILE *f = open_vectors();
    for (size_t n; (n = next_vector(f)) > 0;) {
        size_t parts[] = {(n - HEADER + CLIENT_HELLO_RECORDS - 1) / CLIENT_HELLO_RECORDS, 200, 512};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            rewind(f);
            while (next_vector(f) != n)
                continue;
            if (parts[i] * CLIENT_HELLO_RECORDS >= n - HEADER)
                assert_whole_at(in_records(n, parts[i]));
        }
    }
    (void)fclose(f);
}

/* Whoever looks when told, not at each byte, looks once for a header and once for the rest. */
static void few_looks_are_enough(void **state)
{
    (void)state;
    FILE *f = open_vectors();
    size_t n = next_vector(f);
    (void)fclose(f);
    n = in_records(n, 512);
    struct client_hello_look look = {CLIENT_HELLO_MORE, 0};
    unsigned looks = 0;
    for (; look.verdict == CLIENT_HELLO_MORE; looks++)
        look = client_hello_look(hello, look.need);
    assert_int_equal(look.verdict, CLIENT_HELLO_WHOLE);
    assert_int_equal(looks, 1 + 2 * ((n + 511) / 512));
}

/* ---- limits ---- */

/* A hello whose message has `total` bytes, in one record of `record` bytes. */
static void make_hello(size_t total, size_t record)
{
    memset(hello, 0, sizeof hello);
    memcpy(hello, (uint8_t[]){22, 3, 1, (uint8_t)(record >> 8), (uint8_t)record, 1}, 6);
    hello[7] = (uint8_t)((total - 4) >> 8);
    hello[8] = (uint8_t)(total - 4);
    hello[9] = hello[10] = 3;
}

static enum client_hello_verdict verdict(size_t n)
{
    return client_hello_look(hello, n).verdict;
}

static void the_least_and_the_most(void **state)
{
    (void)state;
    make_hello(45, 45);
    assert_whole_at(HEADER + 45);
    make_hello(44, 44);
    assert_int_equal(verdict(8), CLIENT_HELLO_MORE);
    assert_int_equal(verdict(9), CLIENT_HELLO_NOT);
    make_hello(CLIENT_HELLO_MAX - HEADER, CLIENT_HELLO_MAX - HEADER);
    assert_int_equal(client_hello_look(hello, 100).need, CLIENT_HELLO_MAX);
    assert_whole_at(CLIENT_HELLO_MAX);
    make_hello(CLIENT_HELLO_MAX - HEADER + 1, CLIENT_HELLO_MAX - HEADER + 1);
    assert_int_equal(verdict(4), CLIENT_HELLO_MORE);
    assert_int_equal(verdict(5), CLIENT_HELLO_NOT);
    make_hello(CLIENT_HELLO_MAX + 1, 100);
    assert_int_equal(verdict(9), CLIENT_HELLO_NOT); /* it says so itself */
    make_hello(1000, 1000);
    hello[6] = 1;
    assert_int_equal(verdict(9), CLIENT_HELLO_NOT);
}

static void a_record_ends_with_the_message(void **state)
{
    (void)state;
    make_hello(100, 101);
    assert_int_equal(verdict(9), CLIENT_HELLO_NOT);
    make_hello(100, 99); /* and the next one has two bytes of it */
    memcpy(hello + HEADER + 99, (uint8_t[]){22, 3, 1, 0, 2}, HEADER);
    assert_int_equal(verdict(HEADER + 99 + 4), CLIENT_HELLO_MORE);
    assert_int_equal(verdict(HEADER + 99 + 5), CLIENT_HELLO_NOT);
}

static void an_empty_record_is_none(void **state)
{
    (void)state;
    make_hello(100, 0);
    assert_int_equal(verdict(4), CLIENT_HELLO_MORE);
    assert_int_equal(verdict(5), CLIENT_HELLO_NOT);
}

static void so_many_records_and_no_more(void **state)
{
    (void)state;
    make_hello(15 * CLIENT_HELLO_RECORDS, 15 * CLIENT_HELLO_RECORDS);
    assert_whole_at(in_records(HEADER + 15 * CLIENT_HELLO_RECORDS, 15));
    make_hello(15 * CLIENT_HELLO_RECORDS + 1, 15 * CLIENT_HELLO_RECORDS + 1);
    size_t n = in_records(HEADER + 15 * CLIENT_HELLO_RECORDS + 1, 15);
    assert_int_equal(verdict(CLIENT_HELLO_RECORDS * 20 - 1), CLIENT_HELLO_MORE);
    assert_int_equal(verdict(n), CLIENT_HELLO_NOT);
}

/* Only whole headers count: the bound on all bytes is kept when a record ends right before it. */
static void no_header_beyond_the_limit(void **state)
{
    (void)state;
    for (size_t left = 1; left <= 6; left++) {
        size_t record = CLIENT_HELLO_MAX - HEADER - left;
        make_hello(CLIENT_HELLO_MAX, record);
        struct client_hello_look look = client_hello_look(hello, HEADER + record);
        assert_int_equal(look.verdict, left > HEADER ? CLIENT_HELLO_MORE : CLIENT_HELLO_NOT);
        assert_true(look.need <= CLIENT_HELLO_MAX);
    }
}

/* ---- what is none ---- */

static void others_are_known_by_their_first_wrong_byte(void **state)
{
    static const struct {
        const char *text;
        size_t n; /* known as none from here on */
    } cases[] = {
        {"GET / HTTP/1.1\r\n", 1},       {"SSH-2.0-OpenSSH_9.2\r\n", 1},
        {"\x15\x03\x01\x00\x02", 1},     {"\x80\x2e\x01\x00\x02", 1}, /* an alert; SSL 2 */
        {"\x17\x03\x03\x00\x20", 1},     {"PROXY TCP4 192.0.2.1", 1},
        {"\x16\x02\x01\x00\xa5\x01", 2}, {"\x16\x04\x01\x00\xa5\x01", 2},
        {"\x16\x16\x16\x16\x16", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint8_t *p = (const uint8_t *)cases[i].text;
        for (size_t n = 0; n < 5; n++)
            assert_int_equal(client_hello_look(p, n).verdict,
                             n < cases[i].n ? CLIENT_HELLO_MORE : CLIENT_HELLO_NOT);
    }
}

/* All that is looked at, changed one by one: the types, the versions, the length. */
static void each_byte_of_the_head_counts(void **state)
{
    static const int fixed[] = {0, 1, 5, 6, 9};
    (void)state;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        for (int value = 0; value < 256; value++) {
            make_hello(300, 300);
            bool same = hello[fixed[i]] == value;
            hello[fixed[i]] = (uint8_t)value;
            assert_int_equal(verdict(HEADER + 300), same ? CLIENT_HELLO_WHOLE : CLIENT_HELLO_NOT);
            assert_int_equal(verdict((size_t)fixed[i]), CLIENT_HELLO_MORE);
            if (fixed[i] != 6) /* the length is known with its last byte */
                assert_int_equal(verdict((size_t)fixed[i] + 1),
                                 same ? CLIENT_HELLO_MORE : CLIENT_HELLO_NOT);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_one_at_every_split),
        cmocka_unit_test(in_several_records_at_every_split),
        cmocka_unit_test(few_looks_are_enough),
        cmocka_unit_test(the_least_and_the_most),
        cmocka_unit_test(a_record_ends_with_the_message),
        cmocka_unit_test(an_empty_record_is_none),
        cmocka_unit_test(so_many_records_and_no_more),
        cmocka_unit_test(no_header_beyond_the_limit),
        cmocka_unit_test(others_are_known_by_their_first_wrong_byte),
        cmocka_unit_test(each_byte_of_the_head_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
