/* SPDX-License-Identifier: MIT */
/* What makes two addresses one. */
#include "base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(what_is_not_known_equals_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
