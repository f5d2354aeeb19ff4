/* SPDX-License-Identifier: MIT */
/* proto/last_seen: the table and its text. */
#include "proto/last_seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void the_newest_time_counts(void **state)
{
    struct last_seen t = {0};
    (void)state;
    assert_int_equal(last_seen_at(&t, "nas"), -1);
    assert_true(last_seen_note(&t, "nas", 100));
    assert_false(last_seen_note(&t, "nas", 200));
    assert_false(last_seen_note(&t, "nas", 150));
    assert_int_equal(last_seen_at(&t, "nas"), 200);
    assert_int_equal(last_seen_at(&t, "na"), -1);
    last_seen_fini(&t);
}

static void beyond_the_bound_the_oldest_goes(void **state)
{
    struct last_seen t = {0};
    char name[16];
    (void)state;
    for (int i = 0; i < LAST_SEEN_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_true(last_seen_note(&t, name, i == 77 ? 1 : 1000 + i));
    }
    assert_true(last_seen_note(&t, "one-more", 5000));
    assert_int_equal(t.count, LAST_SEEN_MAX);
    assert_int_equal(last_seen_at(&t, "n77"), -1);
    assert_int_equal(last_seen_at(&t, "n76"), 1076);
    assert_int_equal(last_seen_at(&t, "one-more"), 5000);
    for (int i = 0; i < 2 * LAST_SEEN_MAX;
         i++) { /* each has the place of the one before it in time */
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_true(last_seen_note(&t, name, 10000 + i));
        assert_int_equal(last_seen_at(&t, name), 10000 + i);
    }
    for (int i = 0; i < 2 * LAST_SEEN_MAX; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(last_seen_at(&t, name), i < LAST_SEEN_MAX ? -1 : 10000 + i);
    }
    assert_int_equal(last_seen_at(&t, "one-more"), -1);
    assert_int_equal(t.count, LAST_SEEN_MAX);
    last_seen_fini(&t);
}

static void what_is_written_is_read(void **state)
{
    struct last_seen t = {0}, back = {0};
    char name[HELLO_ID_MAX + 1];
    size_t n;
    (void)state;
    for (int i = 0; i < LAST_SEEN_MAX; i++) { /* the longest file */
        (void)snprintf(name, sizeof name, "%0*d", HELLO_ID_MAX, i);
        assert_true(last_seen_note(&t, name, LAST_SEEN_AT_MAX));
    }
    char *text = last_seen_write(&t, &n);
    assert_non_null(text);
    assert_in_range(n, 1, LAST_SEEN_FILE_MAX);
    assert_int_equal(last_seen_parse(&back, text, n), 0);
    assert_int_equal(back.count, LAST_SEEN_MAX);
    assert_int_equal(last_seen_at(&back, name), LAST_SEEN_AT_MAX);
    free(text);
    last_seen_fini(&t);
    last_seen_fini(&back);
}

static void a_damaged_one_changes_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        "gotunnel last-seen 1",
        "gotunnel last-seen 2\nnas 7\n",
        "gotunnel last-seen 1\nnas 7\nlaptop 8", /* cut */
        "gotunnel last-seen 1\nnas 7\nlaptop \n",
        "gotunnel last-seen 1\nnas 7\nlaptop -8\n",
        "gotunnel last-seen 1\nnas 7\nlap top 8\n",
        "gotunnel last-seen 1\nnas 7\n 8\n",
        "gotunnel last-seen 1\nnas 7\n\n",
        "gotunnel last-seen 1\nnas 7\n../x 8\n",
        "gotunnel last-seen 1\nnas 7\nlaptop 9999999999999999999\n",
        "gotunnel last-seen 1\nnas 7\nlaptop 999999999999999999\n", /* no moment that can be shown */
        "gotunnel last-seen 1\nnas 7\nlaptop 253402300800\n",
    };
    static const char nul[] = "gotunnel last-seen 1\nna\0s 7\n";
    struct last_seen with_nul = {0};
    (void)state;
    assert_int_equal(last_seen_parse(&with_nul, nul, sizeof nul - 1), ERR_INVAL);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct last_seen t = {0};
        assert_int_equal(last_seen_parse(&t, texts[i], strlen(texts[i])), ERR_INVAL);
        assert_int_equal(t.count, 0);
        last_seen_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_time_counts),
        cmocka_unit_test(beyond_the_bound_the_oldest_goes),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_damaged_one_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
