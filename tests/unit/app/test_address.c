/* SPDX-License-Identifier: MIT */
/* What is taken for an IP address, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/address.h"
#include "base/err.h"

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
    } good[] = {
        {"", ""},
        {"127.0.0.1", "127.0.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"::", "::"},
        {"::1", "::1"},
        {"[::1]", "::1"},
        {"2001:db8::1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"fe80::1%eth0", "fe80::1%eth0"},
        {"[fe80::1%eth0]", "fe80::1%eth0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char host[SOCK_NAME_MAX];
        struct errmsg why;
        assert_int_equal(address_parse_ip(good[i].text, host, &why), 0);
        assert_string_equal(host, good[i].host);
    }
}

static void test_what_is_none(void **state)
{
    (void)state;
    char long_one[200];
    memset(long_one, '1', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    const char *const bad[] = {
        "localhost", "8080",     "127.1", "1.2.3.4:80", "[::1]:80", "[1.2.3.4]", "[]",
        "[",         "]",        "::1]",  "[::1",       "*",        "1.2.3.256", " ::1",
        "::1 ",      "fe80::1%", "%eth0", "0x7f.0.0.1", "01.2.3.4", long_one,    "1.2.3.4%lo",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char host[SOCK_NAME_MAX];
        struct errmsg why = {""};
        if (address_parse_ip(bad[i], host, &why) != ERR_INVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_string_not_equal(why.text, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
