/* SPDX-License-Identifier: MIT */
/* What makes two addresses one. */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void every_field_counts(void **state)
{
    (void)state;
    const struct address a = {ADDRESS_IPV6, 7000, 2, {0xfe, 0x80}};
    struct address b = a;
    assert_true(address_equal(&a, &b));
    assert_true(address_same_host(&a, &b));
    b.port = 7001;
    assert_false(address_equal(&a, &b));
    assert_true(address_same_host(&a, &b));
    b = a;
    b.scope = 3;
    assert_false(address_equal(&a, &b));
    assert_false(address_same_host(&a, &b));
    for (unsigned i = 0; i < sizeof a.ip; i++) {
        b = a;
        b.ip[i] ^= 1;
        assert_false(address_equal(&a, &b));
        assert_false(address_same_host(&a, &b));
    }
    b = a;
    b.family = ADDRESS_IPV4;
    assert_false(address_equal(&a, &b));
}

static void what_is_not_known_equals_nothing(void **state)
{
    (void)state;
    const struct address none = {0}, other = {0};
    assert_int_equal(none.family, ADDRESS_NONE);
    assert_false(address_equal(&none, &other));
    assert_false(address_same_host(&none, &none));
}

static void text_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct address a;
    } rows[] = {
        {"192.0.2.1", {ADDRESS_IPV4, 0, 0, {192, 0, 2, 1}}},
        {"255.255.255.255", {ADDRESS_IPV4, 0, 0, {255, 255, 255, 255}}},
        {"::", {ADDRESS_IPV6, 0, 0, {0}}},
        {"2001:DB8::1", {ADDRESS_IPV6, 0, 0, {0x20, 1, 0x0d, 0xb8, [15] = 1}}},
        {"::ffff:192.0.2.1", {ADDRESS_IPV4, 0, 0, {192, 0, 2, 1}}},
        {"::ffff:c000:201", {ADDRESS_IPV4, 0, 0, {192, 0, 2, 1}}},
        {"0000:0000:0000:0000:0000:ffff:192.168.100.228",
         {ADDRESS_IPV4, 0, 0, {192, 168, 100, 228}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a;
        memset(&a, 7, sizeof a);
        assert_true(address_from_text(&a, rows[i].text, strlen(rows[i].text)));
        assert_true(address_equal(&a, &rows[i].a));
    }
    struct address a;
    assert_true(address_from_text(&a, "192.0.2.12", 9)); /* no more than n bytes */
    assert_int_equal(a.ip[3], 1);
}

static void what_is_no_address_is_not_read(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " 192.0.2.1",
        "192.0.2.1 ",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.256",
        "0xc0000201",
        "3221225985",
        "[::1]",
        "::1%lo",
        "fe80::1%1",
        "1:2:3",
        "localhost",
        "192.0.2.1/24",
        "192.0.2.1:80",
        ":::",
        "::g",
        "1::2::3",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct address a = {.port = 77};
        assert_false(address_from_text(&a, rows[i], strlen(rows[i])));
        assert_int_equal(a.port, 77);
    }
    struct address a;
    assert_false(address_from_text(&a, "192.0.2.1\0 ", 11));
}

static void bytes_become_addresses(void **state)
{
    (void)state;
    const uint8_t v6[16] = {0x20, 1, [15] = 9}, mapped[16] = {[10] = 255, 255, 192, 0, 2, 9};
    const struct address four = {ADDRESS_IPV4, 80, 0, {192, 0, 2, 9}};
    struct address six = {ADDRESS_IPV6, 80, 0, {0}};
    memcpy(six.ip, v6, sizeof v6);
    struct address a = address_ipv4(mapped + 12, 80);
    assert_true(address_equal(&a, &four));
    a = address_ipv6(mapped, 80);
    assert_true(address_equal(&a, &four));
    a = address_ipv6(v6, 80);
    assert_true(address_equal(&a, &six));
}

static void a_host_is_written_in_digits(void **state)
{
    static const char *const rows[] = {"192.0.2.1", "2001:db8::1",
                                       "::", "2001:db8:1111:2222:3333:4444:5555:6666"};
    char out[ADDRESS_HOST_BUF];
    struct address a = {.family = ADDRESS_NONE};
    (void)state;
    assert_string_equal(address_host_text(out, &a), "-");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(address_from_text(&a, rows[i], strlen(rows[i])));
        assert_string_equal(address_host_text(out, &a), rows[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(what_is_not_known_equals_nothing),
        cmocka_unit_test(text_is_read),
        cmocka_unit_test(what_is_no_address_is_not_read),
        cmocka_unit_test(bytes_become_addresses),
        cmocka_unit_test(a_host_is_written_in_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
