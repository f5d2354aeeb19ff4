/* SPDX-License-Identifier: MIT */
/* base/columns: cells of a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/columns.h"

static void wide_and_narrow(void **state)
{
    (void)state;
    assert_int_equal(columns_of(""), 0);
    assert_int_equal(columns_of("up 12 s"), 7);
    assert_int_equal(columns_of("目标拒绝连接"), 12);
    assert_int_equal(columns_of("等待，12"), 8);           /* the comma is wide, too */
    assert_int_equal(columns_of("e\xcc\x81t\xc3\xa9"), 3); /* an accent of its own takes none */
    assert_int_equal(columns_of("▏█"), 2);
    assert_int_equal(columns_of("\xff\xe7"), 2); /* none of ours */
    assert_int_equal(columns_of("a\tb"), 2);
}

static void a_cut_is_never_inside_a_character(void **state)
{
    (void)state;
    assert_int_equal(columns_cut("abc", 5), 3);
    assert_int_equal(columns_cut("abc", 2), 2);
    assert_int_equal(columns_cut("a目标", 2), 1);
    assert_int_equal(columns_cut("a目标", 3), 4);
    assert_int_equal(columns_cut("a目标", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_and_narrow),
        cmocka_unit_test(a_cut_is_never_inside_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
