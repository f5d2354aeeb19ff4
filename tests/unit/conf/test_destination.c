/* SPDX-License-Identifier: MIT */
/* What is taken for a target, and what is said of the rest. */
#include "conf/destination.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEN "0123456789"

static int port_of(const char *service)
{
    return strcmp(service, "http") == 0 ? 80 : ERR_NOTFOUND;
}

/* All of them as text, with a blank between. */
static void check_read(const char *text, const char *want)
{
    char all[DESTINATIONS_MAX * (DESTINATION_TEXT_BUF + 1)] = "", one[DESTINATION_TEXT_BUF];
    struct destinations *to = NULL;
    struct errmsg why = {""};
    if (destinations_new(text, port_of, &to, &why) != 0)
        fail_msg("'%s' was not taken: %s", text, why.text);
    for (unsigned i = 0; i < to->count; i++)
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i > 0 ? " " : "",
                       destination_text(one, &to->at[i]));
    assert_string_equal(all, want);
    free(to);
}

static void what_is_taken(void **state)
{
    static const char *const rows[][2] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {":80", "localhost:80"},
        {"[::1]:http", "[::1]:80"},
        {"nas.local:http", "nas.local:80"},
        {"unix:/run/web.sock", "unix:/run/web.sock"},
        {"unix:///var/run/docker.sock", "unix:///var/run/docker.sock"},
        {"unix:/a b@80:=\"\xc3\xa4", "unix:/a b@80:=\"\xc3\xa4"},
        {"10.0.0.1:80,10.0.0.2:81", "10.0.0.1:80 10.0.0.2:81"},
        {":1,:2,:3,:4,:5,:6,:7,:8", "localhost:1 localhost:2 localhost:3 localhost:4 localhost:5 "
                                    "localhost:6 localhost:7 localhost:8"},
        {"unix:/a,[::1]:1,unix:/b", "unix:/a [::1]:1 unix:/b"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_read(rows[i][0], rows[i][1]);
}

static void what_is_not(void **state)
{
    static const struct {
        const char *text;
        int err;
        const char *why;
    } rows[] = {
        {"", ERR_INVAL, "it has no port: write host:port, as in 192.0.2.1:7000"},
        {",", ERR_INVAL, "it has a comma too many: between two commas stands an address"},
        {"a:1,", ERR_INVAL, "it has a comma too many: between two commas stands an address"},
        {",a:1", ERR_INVAL, "it has a comma too many: between two commas stands an address"},
        {"a:1,,b:1", ERR_INVAL, "it has a comma too many: between two commas stands an address"},
        {"a:1,b", ERR_INVAL, "\"b\": it has no port: write host:port, as in 192.0.2.1:7000"},
        {"a:1,b:0", ERR_RANGE, "\"b:0\": nothing can listen on port 0"},
        {"a:1, b:1", ERR_INVAL, "\" b:1\": it has a blank in it: write host:port without one"},
        {"a:gopher", ERR_NOTFOUND, "its port 'gopher' is neither a number nor a known service"},
        {"unix:", ERR_INVAL, "a unix socket needs its whole path, like unix:/run/web.sock"},
        {"unix:web.sock", ERR_INVAL, "a unix socket needs its whole path, like unix:/run/web.sock"},
        {"unix:@web", ERR_INVAL, "a unix socket needs its whole path, like unix:/run/web.sock"},
        {"unix:/a\nb", ERR_INVAL, "it has a control character in it"},
        {"unix:/\x7f", ERR_INVAL, "it has a control character in it"},
        {"/run/web.sock", ERR_INVAL, "it is a path: for a unix socket write unix: before it"},
        {"Unix:/run/web.sock", ERR_INVAL,
         "it has a slash in it: write only host:port, without a path"},
        {":1,:2,:3,:4,:5,:6,:7,:8,:9", ERR_LIMIT, "it has more than 8 addresses"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct destinations *to = NULL;
        struct errmsg why = {""};
        int err = destinations_new(rows[i].text, port_of, &to, &why);
        assert_string_equal(why.text, rows[i].why);
        assert_int_equal(err, rows[i].err);
        assert_null(to);
    }
}

/* 107 bytes of a path fit into the kernel's 108. */
static void a_path_at_its_longest(void **state)
{
    char text[] = "unix:/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "1234567";
    struct destinations *to;
    struct errmsg why;
    (void)state;
    assert_int_equal(destinations_new(text, NULL, &to, &why), ERR_INVAL);
    assert_string_equal(why.text, "the path of a unix socket has more than 107 bytes");
    text[sizeof text - 2] = '\0';
    assert_int_equal(strlen(text) - strlen(DESTINATION_UNIX), DESTINATION_PATH_MAX);
    check_read(text, text);
}

static void a_text_at_its_longest(void **state)
{
    char text[DESTINATIONS_TEXT_MAX + 2] = "";
    struct destinations *to;
    struct errmsg why;
    (void)state;
    memset(text, 'a', sizeof text - 1);
    for (int i = 1; i <= 8; i++) /* hosts of 125 to 148 bytes */
        memcpy(text + i * 125, i < 8 ? ":1," : "", i < 8 ? 3 : 0);
    memcpy(text + DESTINATIONS_TEXT_MAX - 2, ":22", 3);
    assert_int_equal(destinations_new(text, NULL, &to, &why), ERR_LIMIT);
    assert_string_equal(why.text, "it has more than 1023 bytes");
    text[DESTINATIONS_TEXT_MAX] = '\0';
    assert_int_equal(destinations_new(text, NULL, &to, &why), 0);
    assert_int_equal(to->count, DESTINATIONS_MAX);
    assert_int_equal(to->at[7].port, 2);
    free(to);
}

static void a_service_nobody_looks_up(void **state)
{
    struct destinations *to;
    struct errmsg why;
    (void)state;
    assert_int_equal(destinations_new("a:gopher", NULL, &to, &why), 0);
    assert_int_equal(to->at[0].port, -1);
    free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken),
        cmocka_unit_test(what_is_not),
        cmocka_unit_test(a_path_at_its_longest),
        cmocka_unit_test(a_text_at_its_longest),
        cmocka_unit_test(a_service_nobody_looks_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
