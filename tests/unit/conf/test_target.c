/* SPDX-License-Identifier: MIT */
/* What `gotunnel join` forwards, word by word. */
#include "conf/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void words_that_are_taken(void **state)
{
    static const struct {
        const char *text;
        struct target want;
    } rows[] = {
        {"22", {.address = "127.0.0.1:22"}},
        {"http", {.address = "127.0.0.1:http"}},
        {":22", {.address = ":22"}},
        {"nas.local:445", {.address = "nas.local:445"}},
        {"[::1]:22", {.address = "[::1]:22"}},
        {"[fe80::1%eth0]:22@0", {.address = "[fe80::1%eth0]:22"}},
        {"22@2222", {.address = "127.0.0.1:22", .port = 2222}},
        {"ssh=22", {.name = "ssh", .address = "127.0.0.1:22"}},
        {"web=127.0.0.1:3000@8080", {.name = "web", .address = "127.0.0.1:3000", .port = 8080}},
        {"unix:/run/web.sock", {.address = "unix:/run/web.sock"}},
        {"unix:/run/web.sock@8080", {.address = "unix:/run/web.sock", .port = 8080}},
        {"w=unix:/a=b", {.name = "w", .address = "unix:/a=b"}},
        {"unix:/a=b@1", {.address = "unix:/a=b", .port = 1}}, /* no name has a colon */
        {"unix:/run/a@b", {.address = "unix:/run/a@b"}},
        {"unix:/run/a@80@0", {.address = "unix:/run/a@80"}},
        {"unix:/run/a@80b@81", {.address = "unix:/run/a@80b", .port = 81}},
        {"3000,h:3001@80", {.address = "127.0.0.1:3000,h:3001", .port = 80}},
        {"db=unix:/a,5432", {.name = "db", .address = "unix:/a,127.0.0.1:5432"}},
        {"a.B_-9=h:1@65535", {.name = "a.B_-9", .address = "h:1", .port = 65535}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errmsg why;
        struct target t;
        memset(&t, 0, sizeof t);
        assert_int_equal(target_parse(rows[i].text, &t, &why), 0);
        assert_string_equal(t.name, rows[i].want.name);
        assert_string_equal(t.address, rows[i].want.address);
        assert_int_equal(t.port, rows[i].want.port);
    }
}

static void words_that_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"", "\"\": it has no target: write a port, or host:port"},
        {"web=", "\"web=\": it has no target: write a port, or host:port"},
        {"web=@80", "\"web=@80\": it has no target: write a port, or host:port"},
        {"=22", "\"=22\": the name of a tunnel is 1 to 64 of A-Z a-z 0-9 . _ -"},
        {"a b=22", "\"a b=22\": the name of a tunnel is 1 to 64 of A-Z a-z 0-9 . _ -"},
        {"22@", "\"22@\": the public port behind @ is 0 to 65535"},
        {"22@x", "\"22@x\": the public port behind @ is 0 to 65535"},
        {"22@65536", "\"22@65536\": the public port behind @ is 0 to 65535"},
        {"22@+80", "\"22@+80\": the public port behind @ is 0 to 65535"},
        {"70000", "\"70000\": its port 70000 is not between 0 and 65535"},
        {"h:0", "\"h:0\": nothing can listen on port 0"},
        {"::1:22",
         "\"::1:22\": it has more than one colon: write an IPv6 address in brackets, like "
         "[::1]:7000"},
        {"http://h:80", "\"http://h:80\": it is a URL: write only host:port, without 'http://'"},
        {"22,", "\"22,\": it has a comma too many: between two commas stands an address"},
        {",22", "\",22\": it has a comma too many: between two commas stands an address"},
        {"1,2,3,4,5,6,7,8,9", "\"1,2,3,4,5,6,7,8,9\": it has more than 8 addresses"},
        {"/run/a", "\"/run/a\": it is a path: for a unix socket write unix: before it"},
        {"unix:a", "\"unix:a\": a unix socket needs its whole path, like unix:/run/web.sock"},
        {"unix:@a", "\"unix:@a\": a unix socket needs its whole path, like unix:/run/web.sock"},
        {"unix:/a@", "\"unix:/a@\": the public port behind @ is 0 to 65535"},
        {"unix:/a@65536", "\"unix:/a@65536\": the public port behind @ is 0 to 65535"},
        {"unix:@80", "\"unix:@80\": a unix socket needs its whole path, like unix:/run/web.sock"},
        {"3000:8080",
         "\"3000:8080\": no host stands before the colon; a public port stands behind @, "
         "as 3000@8080"},
        {"web=h:1,80:81@82", "\"web=h:1,80:81@82\": no host stands before the colon; a public port "
                             "stands behind @, as 3000@8080"},
        {"gt1_aeaaeyzr", "the join string stands first, and the services behind it"},
        {"GT1_AEAAEYZR", "the join string stands first, and the services behind it"},
        {"h/x", "\"h/x\": it has a slash in it: write only host:port, without a path"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errmsg why = {""};
        struct target t = {.port = 7};
        assert_true(target_parse(rows[i][0], &t, &why) < 0);
        assert_string_equal(why.text, rows[i][1]);
        assert_int_equal(t.port, 7);
    }
}

static void a_word_at_its_longest(void **state)
{
    struct errmsg why;
    struct target t;
    char word[DESTINATIONS_TEXT_MAX + 8];
    (void)state;
    memset(word, '1', sizeof word); /* with 127.0.0.1: before it */
    word[DESTINATIONS_TEXT_MAX - 9] = '\0';
    assert_int_equal(target_parse(word, &t, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, ": it is too long"));
    word[DESTINATIONS_TEXT_MAX - 10] = '\0';
    assert_int_equal(target_parse(word, &t, &why), ERR_RANGE); /* as a port */
}

static int parse(size_t n, const char *const *words, struct errmsg *why)
{
    static struct target all[TARGETS_MAX];
    why->text[0] = '\0';
    return targets_parse(words, n, all, why);
}

static void several(void **state)
{
    (void)state;
    struct errmsg why;
    const char *good[] = {"22", "web=3000@8080", "80", "db=h:5432", "81@0"};
    const char *names[] = {"a=22", "b=23", "a=24"}, *ports[] = {"22@80", "23", "24@80"};
    const char *many[TARGETS_MAX + 1];
    assert_int_equal(parse(0, good, &why), 0);
    assert_int_equal(parse(ARRAY_LEN(good), good, &why), 0);
    assert_int_equal(parse(3, names, &why), ERR_INVAL);
    assert_string_equal(why.text, "\"a=24\": another tunnel has the same name");
    assert_int_equal(parse(3, ports, &why), ERR_INVAL);
    assert_string_equal(why.text, "\"24@80\": another tunnel has the same public port");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "22";
    assert_int_equal(parse(TARGETS_MAX, many, &why), 0);
    assert_int_equal(parse(TARGETS_MAX + 1, many, &why), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_that_are_taken),
        cmocka_unit_test(words_that_are_refused),
        cmocka_unit_test(a_word_at_its_longest),
        cmocka_unit_test(several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
