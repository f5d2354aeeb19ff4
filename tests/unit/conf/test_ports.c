/* SPDX-License-Identifier: MIT */
#include "conf/ports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void lists_and_what_is_in_them(void **state)
{
    (void)state;
    struct ports p;
    assert_int_equal(ports_parse("443,8000-8999,80,8500-9100,9101,0", &p), 0);
    for (int64_t port = -10; port < 70000; port++) {
        bool in = port == 0 || port == 80 || port == 443 || (port >= 8000 && port <= 9101);
        assert_int_equal(ports_contain(&p, port), in);
    }
    assert_int_equal(p.count, 4); /* merged */
    assert_int_equal(ports_parse("0-65535", &p), 0);
    assert_true(ports_contain(&p, 65535));
    assert_false(ports_contain(&p, 65536));
    assert_false(ports_contain(&p, (int64_t)1 << 40));
}

static void what_is_not_a_list(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"", ERR_INVAL},
        {",", ERR_INVAL},
        {"80,", ERR_INVAL},
        {",80", ERR_INVAL},
        {"80,,81", ERR_INVAL},
        {"a", ERR_INVAL},
        {"80-", ERR_INVAL},
        {"-80", ERR_INVAL},
        {"8 0", ERR_INVAL},
        {"1-2-3", ERR_INVAL},
        {"65536", ERR_RANGE},
        {"90-80", ERR_RANGE},
        {"99999999999999999999999", ERR_RANGE},
        {"0x50", ERR_INVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ports p = {.count = 77};
        assert_int_equal(ports_parse(rows[i].text, &p), rows[i].err);
        assert_int_equal(p.count, 77); /* written on success only */
    }
}

static void the_number_of_ranges_is_bounded(void **state)
{
    (void)state;
    char text[1024] = "";
    struct ports p;
    for (int i = 0; i < PORTS_MAX_RANGES; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? "," : "",
                       2 * i);
    assert_int_equal(ports_parse(text, &p), 0);
    assert_int_equal(p.count, PORTS_MAX_RANGES);
    strcat(text, ",60000");
    assert_int_equal(ports_parse(text, &p), ERR_LIMIT);
}

static void sets_are_added(void **state)
{
    (void)state;
    struct ports p, more, none = {.count = 0};
    char text[1024] = "";
    assert_int_equal(ports_parse("80,100-200", &p), 0);
    assert_int_equal(ports_parse("81,150-300,0", &more), 0);
    assert_int_equal(ports_add(&p, &more), 0);
    assert_int_equal(p.count, 3); /* 0, 80-81, 100-300 */
    assert_true(ports_contain(&p, 300) && ports_contain(&p, 0) && !ports_contain(&p, 82));
    assert_int_equal(ports_add(&p, &none), 0);
    assert_int_equal(p.count, 3);
    assert_int_equal(ports_add(&none, &none), 0);
    assert_int_equal(none.count, 0);
    for (int i = 0; i < PORTS_MAX_RANGES; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? "," : "",
                       1000 + 2 * i);
    assert_int_equal(ports_parse(text, &more), 0);
    assert_int_equal(ports_add(&p, &more), ERR_LIMIT);
    assert_int_equal(p.count, 3);
}

static void a_set_has_a_text(void **state)
{
    (void)state;
    struct ports p = {.count = 0};
    char text[PORTS_BUF], small[4];
    assert_int_equal(ports_text(text, sizeof text, &p), 0);
    assert_string_equal(text, "");
    assert_int_equal(ports_parse("9,8000-8999,10,65535,0", &p), 0);
    assert_int_equal(ports_text(text, sizeof text, &p), strlen("0,9-10,8000-8999,65535"));
    assert_string_equal(text, "0,9-10,8000-8999,65535");
    assert_int_equal(ports_text(small, sizeof small, &p), strlen(text));
    assert_string_equal(small, "0,9");
    assert_int_equal(ports_text(NULL, 0, &p), strlen(text));
    p.count = PORTS_MAX_RANGES;
    for (int i = 0; i < PORTS_MAX_RANGES; i++)
        p.ranges[i] = (struct ports_range){(uint16_t)(60000 + 3 * i), (uint16_t)(60001 + 3 * i)};
    assert_int_equal(ports_text(text, sizeof text, &p), PORTS_BUF - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_what_is_in_them),
        cmocka_unit_test(what_is_not_a_list),
        cmocka_unit_test(the_number_of_ranges_is_bounded),
        cmocka_unit_test(sets_are_added),
        cmocka_unit_test(a_set_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
