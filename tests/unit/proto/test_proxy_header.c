/* SPDX-License-Identifier: MIT */
/* PROXY headers: recorded ones at every split, the limits of both versions, and what is none. */
#include "proto/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

static uint8_t buf[PROXY_HEADER_MAX + 64];

static struct proxy_header_look look(const char *text)
{
    return proxy_header_look((const uint8_t *)text, strlen(text));
}

/* The n bytes of buf are one from this source; not before the last of them, and whatever follows. */
static void assert_whole(size_t n, const struct address *source)
{
    for (size_t part = 0; part < n; part++) {
        struct proxy_header_look l = proxy_header_look(buf, part);
        assert_int_equal(l.verdict, PROXY_HEADER_MORE);
        assert_true(l.need > part && l.need <= n);
    }
    for (size_t more = 0; more < 40 && n + more <= sizeof buf; more++) {
        struct proxy_header_look l = proxy_header_look(buf, n + more);
        assert_int_equal(l.verdict, PROXY_HEADER_WHOLE);
        assert_int_equal(l.length, n);
        assert_int_equal(l.source.family, source->family);
        if (source->family != ADDRESS_NONE)
            assert_true(address_equal(&l.source, source));
    }
}

/* ---- what is recorded ---- */

static const struct address nobody = {.family = ADDRESS_NONE};

/* What the recorded ones say, but for the port. */
static struct address recorded_source(const char *name)
{
    struct address a = {.family = ADDRESS_IPV4, .ip = {127, 0, 0, 9}};
    if (strstr(name, "unix") || strcmp(name, "haproxy-v2-check") == 0)
        return nobody;
    if (strcmp(name, "haproxy-v1-check") == 0)
        a.ip[3] = 1; /* the balancer itself */
    if (strstr(name, "tcp6"))
        a = (struct address){.family = ADDRESS_IPV6, .ip = {[15] = 1}};
    return a;
}

static void every_recorded_one_at_every_split(void **state)
{
    (void)state;
    char path[4096], name[64], hex[1024];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "%s/proxy-header/vectors.txt", getenv("GOTUNNEL_VECTORS"));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (; fscanf(f, "%63s %1023s", name, hex) == 2; count++) {
        size_t n = strlen(hex) / 2;
        memset(buf, 0x16, sizeof buf);
        assert_true(hex_get(buf, hex, n));
        struct address source = recorded_source(name);
        struct address told = proxy_header_look(buf, n).source;
        source.port = told.port;
        assert_true(source.family == ADDRESS_NONE || told.port > 1024);
        assert_whole(n, &source);
    }
    (void)fclose(f);
    assert_true(count >= 15);
}

/* ---- version 1 ---- */

static void lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct address source;
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.2 1 65535\r\n", {ADDRESS_IPV4, 1, 0, {192, 0, 2, 1}}},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", {ADDRESS_IPV4, 0, 0, {0}}},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
         {ADDRESS_IPV4, 65535, 0, {255, 255, 255, 255}}},
        {"PROXY TCP6 2001:db8::7 ::1 443 7000\r\n",
         {ADDRESS_IPV6, 443, 0, {0x20, 1, 0x0d, 0xb8, [15] = 7}}},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         {ADDRESS_IPV6,
          65535,
          0,
          {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}}},
        {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 443 7000\r\n",
         {ADDRESS_IPV4, 443, 0, {192, 0, 2, 1}}},
        {"PROXY UNKNOWN\r\n", {0}},
        {"PROXY UNKNOWN \r\n", {0}},
        {"PROXY UNKNOWN ffff::1 what ever 70000 \r\n", {0}},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         {0}}, /* the longest */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memset(buf, 'x', sizeof buf);
        memcpy(buf, rows[i].text, strlen(rows[i].text));
        assert_whole(strlen(rows[i].text), &rows[i].source);
    }
    assert_int_equal(strlen(rows[9].text), PROXY_HEADER_V1_MAX);
}

static void lines_that_are_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "PROXY\r\nPROXY UNKNOWN\r\n",
        "PROXY \r\n             ",
        "PROXY  UNKNOWN\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY unknown\r\n",
        "proxy UNKNOWN\r\n",
        "PROXY UNKNOWN\n               ",
        "PROXY UNKNOWN\r             ",
        "PROXY UNKNOWN \r\r\n",
        "PROXY UNKNOWN \t\r\n",
        "PROXY UNKNOWN \x80\r\n",
        "PROXY UNKNOWN \x7f\r\n",
        "PROXY TCP4\r\n           ",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1  2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 00 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 4294967297\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 x 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 localhost 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
        "PROXY TCP6 ::1 192.0.2.1 1 2\r\n",
        "PROXY TCP6 ::1%lo ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows - 1; i++)
        assert_int_equal(look(rows[i]).verdict, PROXY_HEADER_NOT);
    assert_int_equal(look(rows[sizeof rows / sizeof *rows - 1]).verdict, PROXY_HEADER_MORE);
}

/* The 107th byte is the last that may be its end. */
static void a_line_ends_in_time(void **state)
{
    (void)state;
    memset(buf, 'x', sizeof buf);
    memcpy(buf, "PROXY UNKNOWN ", 14);
    for (size_t n = 14; n < PROXY_HEADER_V1_MAX; n++)
        assert_int_equal(proxy_header_look(buf, n).need, n < 15 ? 15 : n + 1);
    assert_int_equal(proxy_header_look(buf, PROXY_HEADER_V1_MAX).verdict, PROXY_HEADER_NOT);
    memcpy(buf + PROXY_HEADER_V1_MAX - 1, "\r\n", 2);
    assert_int_equal(proxy_header_look(buf, PROXY_HEADER_V1_MAX).verdict, PROXY_HEADER_NOT);
    assert_int_equal(proxy_header_look(buf, PROXY_HEADER_V1_MAX + 1).verdict, PROXY_HEADER_NOT);
    memcpy(buf + PROXY_HEADER_V1_MAX - 2, "\r\n", 2);
    assert_whole(PROXY_HEADER_V1_MAX, &nobody);
}

/* ---- version 2 ---- */

/* A header with this command, family and body. Its length. */
static size_t binary(uint8_t command, uint8_t family, const void *body, size_t n)
{
    memset(buf, 0, sizeof buf);
    memcpy(buf, "\r\n\r\n\0\r\nQUIT\n", 12);
    buf[12] = command;
    buf[13] = family;
    buf[14] = (uint8_t)(n >> 8);
    buf[15] = (uint8_t)n;
    if (body)
        memcpy(buf + 16, body, n);
    return 16 + n;
}

static enum proxy_header_verdict verdict(size_t n)
{
    return proxy_header_look(buf, n).verdict;
}

static void addresses_of_the_binary_one(void **state)
{
    (void)state;
    const uint8_t four[] = {192, 0, 2, 9, 198, 51, 100, 1, 0x12, 0x67, 0, 80};
    const uint8_t six[36] = {0x20, 1, [15] = 9, [16] = 0xfe, 0x80, [32] = 0xff, 0xfe, 0, 80};
    const uint8_t mapped[36] = {[10] = 255, 255, 192, 0, 2, 9, [32] = 0x12, 0x67};
    const struct address from_four = {ADDRESS_IPV4, 4711, 0, {192, 0, 2, 9}};
    const struct address from_six = {ADDRESS_IPV6, 65534, 0, {0x20, 1, [15] = 9}};
    assert_whole(binary(0x21, 0x11, four, sizeof four), &from_four);
    assert_whole(binary(0x21, 0x21, six, sizeof six), &from_six);
    assert_whole(binary(0x21, 0x21, mapped, sizeof mapped), &from_four);
    for (size_t n = 0; n < 60; n++) { /* the least there must be, and what is appended */
        size_t all = binary(0x21, 0x11, NULL, n);
        assert_int_equal(verdict(all), n < 12 ? PROXY_HEADER_NOT : PROXY_HEADER_WHOLE);
        all = binary(0x21, 0x21, NULL, n);
        assert_int_equal(verdict(all), n < 36 ? PROXY_HEADER_NOT : PROXY_HEADER_WHOLE);
    }
}

static void every_command_and_family(void **state)
{
    (void)state;
    for (unsigned command = 0; command < 256; command++)
        for (unsigned family = 0; family < 256; family++) {
            bool is_valid = (family >> 4) <= 3 && (family & 15) <= 2 &&
                            (family == 0 || ((family >> 4) > 0 && (family & 15) > 0));
            size_t n = binary((uint8_t)command, (uint8_t)family, NULL, 216);
            bool is_one = command == 0x20 || (command == 0x21 && is_valid);
            assert_int_equal(verdict(n), is_one ? PROXY_HEADER_WHOLE : PROXY_HEADER_NOT);
            if (is_one && !(command == 0x21 && (family == 0x11 || family == 0x21)))
                assert_int_equal(proxy_header_look(buf, n).source.family, ADDRESS_NONE);
        }
}

static void the_shortest_and_the_longest(void **state)
{
    (void)state;
    assert_whole(binary(0x20, 0, NULL, 0), &nobody);
    assert_whole(binary(0x21, 0, NULL, 0), &nobody);
    assert_whole(binary(0x20, 0, NULL, PROXY_HEADER_MAX - 16), &nobody);
    (void)binary(0x20, 0, NULL, PROXY_HEADER_MAX - 15);
    assert_int_equal(verdict(15), PROXY_HEADER_MORE);
    assert_int_equal(verdict(16), PROXY_HEADER_NOT);
    (void)binary(0x20, 0, NULL, 0);
    buf[14] = buf[15] = 255;
    assert_int_equal(verdict(16), PROXY_HEADER_NOT);
}

/* In the beginning, at the first byte, the head, the end. */
static void few_looks_are_enough(void **state)
{
    (void)state;
    struct proxy_header_look l = {PROXY_HEADER_MORE, .need = 0};
    unsigned looks = 0;
    (void)binary(0x20, 0, NULL, 500);
    for (; l.verdict == PROXY_HEADER_MORE; looks++)
        l = proxy_header_look(buf, l.need);
    assert_int_equal(l.length, 516);
    assert_int_equal(looks, 4);
}

/* ---- what is none ---- */

static void each_byte_of_the_beginning_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < 13; i++) {
        (void)binary(0x20, 0, NULL, 0);
        buf[i] ^= 0x41;
        assert_int_equal(verdict(16), PROXY_HEADER_NOT);
        assert_int_equal(verdict(i + 1), PROXY_HEADER_NOT); /* known at once */
        assert_int_equal(verdict(i), PROXY_HEADER_MORE);
    }
    static const char *const others[] = {"\x16\x03\x01\x02", "GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n",
                                         "POST /"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(look(others[i]).verdict, PROXY_HEADER_NOT);
    assert_int_equal(look("P").verdict, PROXY_HEADER_MORE);
    assert_int_equal(look("PO").verdict, PROXY_HEADER_NOT);
}

static void a_broken_one_is_told_from_none(void **state)
{
    static const uint8_t v2[] = "\r\n\r\n\0\r\nQUIT\n\x31";
    (void)state;
    assert_true(proxy_header_is_begun((const uint8_t *)"PROXY TCP4 999 x\r\n", 18));
    assert_true(proxy_header_is_begun(v2, sizeof v2 - 1));
    assert_false(proxy_header_is_begun((const uint8_t *)"PROX\r\n", 6));
    assert_false(proxy_header_is_begun((const uint8_t *)"PROXY", 5));
    assert_false(proxy_header_is_begun(v2, 11));
    assert_false(proxy_header_is_begun((const uint8_t *)"GET / HTTP/1.1\r\n", 16));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_one_is_told_from_none),
        cmocka_unit_test(every_recorded_one_at_every_split),
        cmocka_unit_test(lines),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(a_line_ends_in_time),
        cmocka_unit_test(addresses_of_the_binary_one),
        cmocka_unit_test(every_command_and_family),
        cmocka_unit_test(the_shortest_and_the_longest),
        cmocka_unit_test(few_looks_are_enough),
        cmocka_unit_test(each_byte_of_the_beginning_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
