/* SPDX-License-Identifier: MIT */
/* Visits: their lines, and how many there are. */
#include "tunnel/visit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/lines.h"

static void a_visit_has_one_line(void **state)
{
    struct visit_lines lines = {0};
    struct user_visit *v = visit_new("192.0.2.1:5 nas", "web", "198.51.100.7:9", 1000);
    (void)state;
    v->received = 5;
    v->sent = 7;
    v->end = VISIT_HALF_CLOSED;
    visit_over(v, &lines, 3500);
    visit_over(NULL, &lines, 3500); /* who has none */
    assert_string_equal(lines_seen,
                        "[192.0.2.1:5 nas] tunnel 'web': 198.51.100.7:9 was connected for 2.5 s, "
                        "5 B received, 7 B sent: half_closed\n");
    *lines_seen = '\0';
}

static void a_flood_has_bounded_lines(void **state)
{
    struct visit_lines lines = {0};
    (void)state;
    for (int i = 0; i < 2 * VISIT_LINES_BURST; i++)
        visit_over(visit_new("a", "b", "c", 1000), &lines, 1000);
    assert_int_equal(lines_count("was connected"), VISIT_LINES_BURST);
    *lines_seen = '\0';
    for (int i = 0; i < 2 * VISIT_LINES_PER_S; i++)
        visit_over(visit_new("a", "b", "c", 1000), &lines, 2000);
    assert_int_equal(lines_count("was connected"), VISIT_LINES_PER_S);
    assert_int_equal(lines_count("1000 lines about connections of users were left out"), 1);
}

static void each_end_has_a_word(void **state)
{
    (void)state;
    for (int i = 0; i < VISIT_ENDS; i++) {
        const char *word = visit_end_word(i);
        assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz_"), strlen(word));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_visit_has_one_line),
        cmocka_unit_test(a_flood_has_bounded_lines),
        cmocka_unit_test(each_end_has_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
