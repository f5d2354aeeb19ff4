/* SPDX-License-Identifier: MIT */
/* server/public_address: which addresses are the internet's, at the edges of what is not. */
#include "server/public_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static bool is_public(const char *text)
{
    struct address a;
    assert_true(address_from_text(&a, text, strlen(text)));
    return public_address_is(&a);
}

static void addresses_of_the_internet(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.0.0.0",     "9.255.255.255",         "11.0.0.0",       "100.63.255.255",
        "100.128.0.0", "172.15.255.255",        "172.32.0.0",     "192.167.255.255",
        "192.169.0.0", "223.255.255.255",       "::ffff:8.8.8.8", "2001:200::1",
        "2001:db9::1", "2a00:1450:4001:800::1", "3ffe::1"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_true(is_public(texts[i]));
}

static void addresses_of_nobody_else(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0.0.0.0",     "10.0.0.0",     "10.255.255.255",  "100.64.0.1",  "127.0.0.1",
        "169.254.1.1", "172.16.0.1",   "172.31.255.255",  "192.0.2.1",   "192.168.1.1",
        "198.18.0.1",  "198.51.100.1", "203.0.113.1",     "224.0.0.1",   "255.255.255.255",
        "::",          "::1",          "::ffff:10.0.0.1", "fe80::1",     "fd00::1",
        "fc00::1",     "ff02::1",      "2001:db8::1",     "2002:a00::1", "2001::1",
        "3fff::1",     "64:ff9b::1"};
    const struct address none = {.family = ADDRESS_NONE};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(is_public(texts[i]));
    assert_false(public_address_is(&none));
}

static void what_is_found_is_one(void **state)
{
    (void)state;
    struct address a;
    assert_true(!public_address_find(&a) || public_address_is(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_the_internet),
        cmocka_unit_test(addresses_of_nobody_else),
        cmocka_unit_test(what_is_found_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
