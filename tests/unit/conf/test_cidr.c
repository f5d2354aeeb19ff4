/* SPDX-License-Identifier: MIT */
/* Lists of networks: what is in them, and what is none. */
#include "conf/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

/* Whether an address, as text, is in the list, as text. */
static bool in(const char *list, const char *text)
{
    struct cidrs c;
    struct address a;
    assert_int_equal(cidrs_parse(list, &c), 0);
    assert_true(address_from_text(&a, text, strlen(text)));
    a.port = 4711;
    return cidrs_contain(&c, &a);
}

static void addresses_and_networks(void **state)
{
    (void)state;
    assert_true(in("192.0.2.1", "192.0.2.1"));
    assert_false(in("192.0.2.1", "192.0.2.2"));
    assert_true(in("10.0.0.0/8", "10.255.255.255"));
    assert_false(in("10.0.0.0/8", "11.0.0.0"));
    assert_true(in("0.0.0.0/0", "203.0.113.9"));
    assert_false(in("0.0.0.0/0", "2001:db8::1"));
    assert_false(in("::/0", "203.0.113.9"));
    assert_true(in("::/0", "fe80::1"));
    assert_true(in("2001:db8::/32", "2001:db8:ffff::1"));
    assert_false(in("2001:db8::/32", "2001:db9::"));
    assert_true(in("10.0.0.0/8,2001:db8::7,192.0.2.0/24", "2001:db8::7"));
    assert_true(in("10.0.0.0/8,2001:db8::7,192.0.2.0/24", "192.0.2.255"));
    assert_false(in("10.0.0.0/8,2001:db8::7,192.0.2.0/24", "192.0.3.0"));
}

/* An IPv4 peer of an IPv6 socket is written either way, and so is its network. */
static void mapped_ones_are_ipv4(void **state)
{
    (void)state;
    assert_true(in("192.0.2.1", "::ffff:192.0.2.1"));
    assert_true(in("::ffff:192.0.2.1", "192.0.2.1"));
    assert_true(in("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert_false(in("::ffff:10.0.0.0/104", "11.0.0.0"));
    assert_true(in("::ffff:0:0/96", "203.0.113.9"));
}

/* Each length, with the last address in the network and the first one behind it. */
static void every_prefix_of_either_family(void **state)
{
    (void)state;
    for (unsigned family = ADDRESS_IPV4; family <= ADDRESS_IPV6; family++) {
        unsigned all = family == ADDRESS_IPV4 ? 32 : 128;
        for (unsigned bits = 0; bits <= all; bits++) {
            struct cidrs c = {.count = 1};
            struct cidr *n = &c.list[0];
            n->net.family = (enum address_family)family;
            n->bits = bits;
            for (unsigned i = 0; i < bits; i++)
                n->net.ip[i / 8] |= (uint8_t)(0x80 >> i % 8);
            struct address a = n->net;
            for (unsigned i = bits; i < all; i++)
                a.ip[i / 8] |= (uint8_t)(0x80 >> i % 8);
            assert_true(cidrs_contain(&c, &a));
            for (unsigned i = 0; i < all; i++) {
                struct address b = a;
                b.ip[i / 8] ^= (uint8_t)(0x80 >> i % 8);
                assert_int_equal(cidrs_contain(&c, &b), i >= bits);
            }
        }
    }
}

static void what_is_no_list(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"", ERR_INVAL},
        {",", ERR_INVAL},
        {"10.0.0.1,", ERR_INVAL},
        {",10.0.0.1", ERR_INVAL},
        {"10.0.0.1,,10.0.0.2", ERR_INVAL},
        {"10.0.0.1, 10.0.0.2", ERR_INVAL},
        {"10.0.0.1 ", ERR_INVAL},
        {"10.0.0.0/", ERR_INVAL},
        {"10.0.0.0/08", ERR_INVAL},
        {"10.0.0.0/+8", ERR_INVAL},
        {"10.0.0.0/8/8", ERR_INVAL},
        {"10.0.0.0/8x", ERR_INVAL},
        {"/8", ERR_INVAL},
        {"10/8", ERR_INVAL},
        {"localhost", ERR_INVAL},
        {"fe80::1%lo", ERR_INVAL},
        {"10.0.0.0/33", ERR_RANGE},
        {"10.0.0.0/99999999999999999999", ERR_RANGE},
        {"::/129", ERR_RANGE},
        {"::ffff:10.0.0.0/129", ERR_RANGE},
        {"::ffff:10.0.0.0/95", ERR_INVAL},
        {"10.0.0.1/8", ERR_INVAL},
        {"10.0.0.0/6", ERR_INVAL},
        {"10.128.0.0/8", ERR_INVAL},
        {"192.0.2.1/31", ERR_INVAL},
        {"0.0.0.1/0", ERR_INVAL},
        {"2001:db8::1/64", ERR_INVAL},
        {"2001:db8::/28", ERR_INVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cidrs c = {.count = 77};
        assert_int_equal(cidrs_parse(rows[i].text, &c), rows[i].err);
        assert_int_equal(c.count, 77); /* written on success only */
    }
}

static void the_number_is_bounded(void **state)
{
    (void)state;
    char text[1024] = "";
    struct cidrs c;
    for (int i = 0; i < CIDRS_MAX; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s10.%d.0.0/16",
                       i ? "," : "", i);
    assert_int_equal(cidrs_parse(text, &c), 0);
    assert_int_equal(c.count, CIDRS_MAX);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), ",::1");
    assert_int_equal(cidrs_parse(text, &c), ERR_LIMIT);
}

static void what_is_not_known_is_in_none(void **state)
{
    (void)state;
    struct cidrs c;
    const struct address none = {.family = ADDRESS_NONE}, some = {.family = ADDRESS_IPV4};
    assert_int_equal(cidrs_parse("0.0.0.0/0,::/0", &c), 0);
    assert_false(cidrs_contain(&c, &none));
    assert_true(cidrs_contain(&c, &some));
    c.count = 0;
    assert_false(cidrs_contain(&c, &some));
}

static void lists_are_added_and_have_a_text(void **state)
{
    (void)state;
    struct cidrs c, more;
    char text[CIDRS_BUF], small[6];
    c.count = 0;
    assert_int_equal(cidrs_text(text, sizeof text, &c), 0);
    assert_string_equal(text, "");
    assert_int_equal(cidrs_parse("10.0.0.0/8,::ffff:192.0.2.1", &c), 0);
    assert_int_equal(cidrs_parse("2001:db8::/32,::1", &more), 0);
    assert_int_equal(cidrs_add(&c, &more), 0);
    assert_int_equal(cidrs_text(text, sizeof text, &c),
                     strlen("10.0.0.0/8,192.0.2.1,2001:db8::/32,::1"));
    assert_string_equal(text, "10.0.0.0/8,192.0.2.1,2001:db8::/32,::1");
    assert_int_equal(cidrs_text(small, sizeof small, &c), strlen(text));
    assert_string_equal(small, "10.0.");
    more.count = CIDRS_MAX - 3;
    assert_int_equal(cidrs_add(&c, &more), ERR_LIMIT);
    assert_int_equal(c.count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_networks),
        cmocka_unit_test(mapped_ones_are_ipv4),
        cmocka_unit_test(every_prefix_of_either_family),
        cmocka_unit_test(what_is_no_list),
        cmocka_unit_test(the_number_is_bounded),
        cmocka_unit_test(what_is_not_known_is_in_none),
        cmocka_unit_test(lists_are_added_and_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
