/* SPDX-License-Identifier: MIT */
#include "conf/hostport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *text;
    int err;
    const char *host;
    int port;
    const char *service;
};

static const struct row dial[] = {
    {"1.2.3.4:7000", 0, "1.2.3.4", 7000, ""},
    {"my.server.com:7000", 0, "my.server.com", 7000, ""},
    {"[::1]:7000", 0, "::1", 7000, ""},
    {"[fe80::1%eth0]:1", 0, "fe80::1%eth0", 1, ""},
    {":7000", 0, "localhost", 7000, ""},
    {"h:65535", 0, "h", 65535, ""},
    {"h:http", 0, "h", -1, "http"},
    {"h:00080", 0, "h", 80, ""},
    {"h:0", ERR_RANGE, NULL, 0, NULL},
    {"h:65536", ERR_RANGE, NULL, 0, NULL},
    {"h:99999999999999999999", ERR_RANGE, NULL, 0, NULL},
    {"h", ERR_INVAL, NULL, 0, NULL},
    {"", ERR_INVAL, NULL, 0, NULL},
    {"7000", ERR_INVAL, NULL, 0, NULL},
    {"h:", ERR_INVAL, NULL, 0, NULL},
    {"h:-1", 0, "h", -1, "-1"}, /* looks like a service; the look-up says no */
    {"h:8 0", ERR_INVAL, NULL, 0, NULL},
    {"::1:7000", ERR_INVAL, NULL, 0, NULL},
    {"[::1]", ERR_INVAL, NULL, 0, NULL},
    {"[::1", ERR_INVAL, NULL, 0, NULL},
    {"[::1]x:7", ERR_INVAL, NULL, 0, NULL},
    {"h:abcdefghijklmnop", ERR_INVAL, NULL, 0, NULL},
    {"http://h", ERR_INVAL, NULL, 0, NULL},
    {"h h:80", ERR_INVAL, NULL, 0, NULL},
    {" h:80", ERR_INVAL, NULL, 0, NULL},
    {"h:80\n", ERR_INVAL, NULL, 0, NULL},
    {"h:80/", ERR_INVAL, NULL, 0, NULL},
    {"h/x:80", ERR_INVAL, NULL, 0, NULL},
    {"h\uff1a80", ERR_INVAL, NULL, 0, NULL},
};

static const struct row listen_at[] = {
    {"7000", 0, "", 7000, ""},
    {":7000", 0, "", 7000, ""},
    {"0", 0, "", 0, ""},
    {":0", 0, "", 0, ""},
    {"host:7000", 0, "host", 7000, ""},
    {"[::1]:7000", 0, "::1", 7000, ""},
    {"http", 0, "", -1, "http"},
    {"127.0.0.1:0", 0, "127.0.0.1", 0, ""},
    {"70000", ERR_RANGE, NULL, 0, NULL},
    {"", ERR_INVAL, NULL, 0, NULL},
    {"a b", ERR_INVAL, NULL, 0, NULL},
    {"::1", ERR_INVAL, NULL, 0, NULL},
};

static void check(const struct row *row,
                  int (*parse)(const char *, struct hostport *, struct errmsg *))
{
    struct hostport hp;
    struct errmsg why = {""};
    memset(&hp, 0x55, sizeof hp);
    assert_int_equal(parse(row->text, &hp, &why), row->err);
    if (row->err < 0) {
        assert_true(strlen(why.text) > 5);
        assert_int_equal(hp.host[0], 0x55); /* written on success only */
        return;
    }
    assert_string_equal(hp.host, row->host);
    assert_int_equal(hp.port, row->port);
    assert_string_equal(hp.service, row->service);
}

static void addresses_to_dial(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dial); i++)
        check(&dial[i], hostport_parse);
}

static void addresses_to_listen_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(listen_at); i++)
        check(&listen_at[i], hostport_parse_listen);
}

static void a_name_of_the_greatest_length(void **state)
{
    (void)state;
    char text[300];
    struct hostport hp;
    struct errmsg why;
    memset(text, 'h', sizeof text);
    memcpy(text + HOSTPORT_HOST_MAX, ":80", 4);
    assert_int_equal(hostport_parse(text, &hp, &why), 0);
    assert_int_equal(strlen(hp.host), HOSTPORT_HOST_MAX);
    memset(text, 'h', sizeof text);
    memcpy(text + HOSTPORT_HOST_MAX + 1, ":80", 4);
    assert_int_equal(hostport_parse(text, &hp, &why), ERR_INVAL);
}

/* It has two colons, as an IPv6 address has. */
static void a_url_is_called_one(void **state)
{
    (void)state;
    struct hostport hp;
    struct errmsg why;
    assert_int_equal(hostport_parse("http://127.0.0.1:3000", &hp, &why), ERR_INVAL);
    assert_string_equal(why.text, "it is a URL: write only host:port, without 'http://'");
    assert_int_equal(hostport_parse_listen("https://[::1]:7000", &hp, &why), ERR_INVAL);
    assert_non_null(strstr(why.text, "it is a URL: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_to_dial),
        cmocka_unit_test(addresses_to_listen_at),
        cmocka_unit_test(a_name_of_the_greatest_length),
        cmocka_unit_test(a_url_is_called_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
