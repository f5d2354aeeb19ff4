/* SPDX-License-Identifier: MIT */
/* -forward, and the list that it and a file make. */
#include "conf/tunnels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/err.h"

#define N64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void what_is_taken(void **state)
{
    static const struct {
        const char *text;
        int err;
        const char *name;
        int port;
        const char *target;
    } rows[] = {
        {"8080=127.0.0.1:3000", 0, "8080", 8080, "127.0.0.1:3000"},
        {"web=8080=[::1]:22", 0, "web", 8080, "[::1]:22"},
        {"0=:22", 0, "any-1", 0, ":22"},
        {"A-z._9=65535=unix", 0, "A-z._9", 65535, "unix"},
        {N64 "=1=a:1", 0, N64, 1, "a:1"},
        {"80=unix:/a=b", 0, "80", 80, "unix:/a=b"}, /* a = behind a colon is the target's */
        {"w=80=unix:/a=b=c", 0, "w", 80, "unix:/a=b=c"},
        {"80=a:1,unix:/a=b", 0, "80", 80, "a:1,unix:/a=b"},
        {"w:x=80=a:1", ERR_INVAL, NULL, 0, NULL},
        {"1=a=b", ERR_INVAL, NULL, 0, NULL}, /* the port of a tunnel '1' would be 'a' */
        {N64 "x=1=a:1", ERR_INVAL, NULL, 0, NULL},
        {"=1=a:1", ERR_INVAL, NULL, 0, NULL},
        {"a b=1=a:1", ERR_INVAL, NULL, 0, NULL},
        {"8080", ERR_INVAL, NULL, 0, NULL},
        {"", ERR_INVAL, NULL, 0, NULL},
        {"=a:1", ERR_INVAL, NULL, 0, NULL},
        {"8080=", ERR_INVAL, NULL, 0, NULL},
        {"web=8080=", ERR_INVAL, NULL, 0, NULL},
        {"-1=a:1", ERR_INVAL, NULL, 0, NULL},
        {"65536=a:1", ERR_RANGE, NULL, 0, NULL},
        {"99999999999999999999=a:1", ERR_RANGE, NULL, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tunnels ts = {0};
        assert_int_equal(tunnels_parse(rows[i].text, &ts), rows[i].err);
        assert_int_equal(ts.count, rows[i].err == 0);
        if (rows[i].err < 0)
            continue;
        assert_string_equal(ts.at[0].name, rows[i].name);
        assert_int_equal(ts.at[0].port, rows[i].port);
        assert_string_equal(ts.at[0].target, rows[i].target);
        tunnels_fini(&ts);
    }
}

static void names_are_unique(void **state)
{
    struct tunnels ts = {0};
    (void)state;
    assert_int_equal(tunnels_add(&ts, "", 80, "a:1"), 0);
    assert_int_equal(tunnels_add(&ts, "80", 81, "a:1"), ERR_EXISTS); /* the first is called so */
    assert_int_equal(tunnels_add(&ts, "", 0, "a:1"), 0);
    assert_int_equal(tunnels_add(&ts, "", 0, "a:1"), 0); /* any two ports */
    assert_int_equal(ts.count, 3);
    assert_ptr_equal(tunnels_find(&ts, "any-3"), &ts.at[2]);
    assert_null(tunnels_find(&ts, "any-4"));
    tunnels_fini(&ts);
}

/* The server would refuse the second, again and again. */
static void a_public_port_is_one_tunnel_s(void **state)
{
    struct tunnels ts = {0};
    (void)state;
    assert_int_equal(tunnels_add(&ts, "a", 80, "a:1"), 0);
    assert_int_equal(tunnels_add(&ts, "b", 80, "a:1"), ERR_INUSE);
    assert_int_equal(tunnels_parse("80=a:1", &ts), ERR_INUSE);
    assert_int_equal(tunnels_add(&ts, "b", 0, "a:1"), 0); /* the server chooses, each time */
    assert_int_equal(tunnels_add(&ts, "c", 0, "a:1"), 0);
    assert_int_equal(ts.count, 3);
    assert_ptr_equal(tunnels_at_port(&ts, 80), &ts.at[0]);
    assert_null(tunnels_at_port(&ts, 0));
    tunnels_fini(&ts);
}

static void no_more_than_there_may_be(void **state)
{
    struct tunnels ts = {0};
    char name[16];
    (void)state;
    for (int i = 0; i < TUNNELS_MAX; i++) {
        (void)snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(tunnels_add(&ts, name, i + 1, "a:1"), 0);
    }
    assert_int_equal(tunnels_add(&ts, "more", 0, "a:1"), ERR_LIMIT);
    assert_int_equal(ts.count, TUNNELS_MAX);
    tunnels_fini(&ts);
    assert_int_equal(ts.count, 0);
}

/* What is added to a view leaves the list it is one of alone. */
static void a_view_and_a_copy(void **state)
{
    struct tunnels ts = {0}, copy;
    (void)state;
    assert_int_equal(tunnels_copy(&ts, &copy), 0);
    assert_int_equal(copy.count, 0);
    assert_int_equal(tunnels_add(&ts, "a", 80, "a:1"), 0);
    struct tunnels view = tunnels_view(&ts);
    assert_ptr_equal(view.at, ts.at);
    assert_int_equal(tunnels_add(&view, "b", 81, "b:1"), 0);
    assert_ptr_not_equal(view.at, ts.at);
    assert_int_equal(ts.count, 1);
    assert_int_equal(tunnels_copy(&view, &copy), 0);
    assert_ptr_not_equal(copy.at, view.at);
    assert_int_equal(copy.count, 2);
    assert_string_equal(copy.at[1].name, "b");
    assert_ptr_equal(copy.at[1].target, view.at[1].target);
    tunnels_fini(&copy);
    tunnels_fini(&view);
    view = tunnels_view(&ts);
    tunnels_fini(&view); /* frees nothing */
    assert_string_equal(ts.at[0].name, "a");
    tunnels_fini(&ts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(a_public_port_is_one_tunnel_s),
        cmocka_unit_test(no_more_than_there_may_be),
        cmocka_unit_test(a_view_and_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
