/* SPDX-License-Identifier: MIT */
/* Where a join string comes from, who wins, and what it does not go with. */
#include "app/join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/secret.h"
#include "conf/flags.h"
#include "proto/sha256.h"

static char path[] = "/tmp/join-XXXXXX";
static char in_argv[JOIN_BUF], in_file[JOIN_BUF], in_env[JOIN_BUF];
static struct client_options opt;
static struct errmsg why;

static void write_string(char ret[JOIN_BUF], const char *name)
{
    struct join j = {.host = "vps.example.com", .port = 7000, .t = {1, 2, 3}};
    (void)snprintf(j.name, sizeof j.name, "%s", name);
    assert_int_equal(join_encode(ret, &j, sha256), 0);
}

static void fill(const char *text, mode_t mode)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int begin(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    write_string(in_argv, "argv");
    write_string(in_file, "file");
    write_string(in_env, "env");
    fill(in_file, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
    (void)state;
    return unlink(path);
}

/* A client of this command line. */
static int find(const char *a, const char *b, const char *c, const char *d)
{
    const char *words[] = {a, b, c, d};
    static char copies[ARRAY_LEN(words)][JOIN_BUF]; /* opt points into them */
    char *argv[ARRAY_LEN(words)];
    struct flags_error error;
    int argc = 0, rest;
    memset(&opt, 0, sizeof opt);
    memset(&why, 'x', sizeof why);
    flags_defaults(&client_mode, &opt);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (words[i])
            argv[argc] = strcpy(copies[argc], words[i]), argc++;
    assert_int_equal(flags_parse(&client_mode, argc, argv, &opt, &rest, &error), FLAGS_OK);
    int err = join_find(&opt, &why);
    assert_null(getenv(JOIN_VARIABLE));
    assert_string_equal(opt.join_text, "");
    assert_true(err == 0 || (!opt.has_join && *why.text));
    return err;
}

static void a_string_says_it_all(void **state)
{
    (void)state;
    assert_int_equal(find("-join", in_argv, NULL, NULL), 0);
    assert_true(opt.has_join && opt.common.has_own_key && opt.join_in_argv);
    assert_string_equal(opt.join.name, "argv");
    assert_string_equal(opt.server, "vps.example.com:7000");
    assert_int_equal(opt.common.legacy, LEGACY_NEVER);
    assert_string_equal(why.text, "");
    assert_int_equal(find("-join", in_argv, "-server", "192.0.2.1:1"), 0);
    assert_string_equal(opt.server, "192.0.2.1:1");
}

static void without_one_nothing_changes(void **state)
{
    (void)state;
    assert_int_equal(find("-server", "h:1", NULL, NULL), 0);
    assert_false(opt.has_join || opt.common.has_own_key || opt.join_in_argv);
    assert_int_equal(opt.common.legacy, LEGACY_AUTO);
    assert_string_equal(opt.server, "h:1");
}

static void who_wins(void **state)
{
    (void)state;
    assert_int_equal(setenv(JOIN_VARIABLE, in_env, 1), 0);
    assert_int_equal(find("-join", in_argv, "-join-file", path), 0);
    assert_string_equal(opt.join.name, "argv");
    assert_int_equal(setenv(JOIN_VARIABLE, in_env, 1), 0);
    assert_int_equal(find("-join-file", path, NULL, NULL), 0);
    assert_string_equal(opt.join.name, "file");
    assert_false(opt.join_in_argv);
    assert_int_equal(setenv(JOIN_VARIABLE, in_env, 1), 0);
    assert_int_equal(find(NULL, NULL, NULL, NULL), 0);
    assert_string_equal(opt.join.name, "env");
    assert_int_equal(setenv(JOIN_VARIABLE, in_env, 1), 0);
    assert_int_equal(find("-secret", "a secret of its own", NULL, NULL), 0);
    assert_false(opt.has_join); /* what is given is what is meant */
    assert_int_equal(setenv(JOIN_VARIABLE, in_env, 1), 0);
    assert_int_equal(setenv(SECRET_VARIABLE, "x", 1), 0);
    assert_int_equal(find("-join", in_argv, NULL, NULL), 0); /* as with secrets */
    assert_int_equal(secret_find(&opt.common, &why), 0);
    assert_string_equal(opt.common.secret, "");
    assert_null(getenv(SECRET_VARIABLE));
}

static void a_file_may_have_line_breaks(void **state)
{
    (void)state;
    char text[2 * JOIN_BUF];
    (void)snprintf(text, sizeof text, " %.20s\r\n%s\n\n", in_file, in_file + 20);
    fill(text, 0600);
    assert_int_equal(find("-join-file", path, NULL, NULL), 0);
    assert_string_equal(opt.join.name, "file");
    fill(in_file, 0644);
    assert_int_equal(find("-join-file", path, NULL, NULL), ERR_PERM);
    fill("\n", 0600);
    assert_int_equal(find("-join-file", path, NULL, NULL), ERR_INVAL);
    fill("secret", 0600);
    assert_int_equal(find("-join-file", path, NULL, NULL), ERR_INVAL);
    assert_string_equal(why.text, "this is no join string (it begins with gt1_)");
    fill(in_file, 0600);
}

static void what_does_not_go_with_it(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"-secret", "x", "-secret-file"},
        {"-secret-file", "x", "-secret-file"},
        {"-ca", "ca.crt", "leave out -ca"}, /* as it is if it is not given */
        {"-legacy", "allow", "-legacy allow"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(find("-join", in_argv, rows[i][0], rows[i][1]), ERR_INVAL);
        assert_non_null(strstr(why.text, rows[i][2]));
    }
    assert_int_equal(find("-join", in_argv, "-legacy", "auto"), 0);
    assert_int_equal(find("-join", in_argv, "-legacy", "never"), 0);
    assert_int_equal(setenv(JOIN_VARIABLE, in_env, 1), 0);
    assert_int_equal(setenv(SECRET_VARIABLE, "x", 1), 0);
    memset(&opt, 0, sizeof opt);
    flags_defaults(&client_mode, &opt);
    assert_int_equal(join_find(&opt, &why), ERR_INVAL);
    assert_non_null(strstr(why.text, "unset one"));
    assert_null(getenv(JOIN_VARIABLE));
    assert_int_equal(unsetenv(SECRET_VARIABLE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_says_it_all),
        cmocka_unit_test(without_one_nothing_changes),
        cmocka_unit_test(who_wins),
        cmocka_unit_test(a_file_may_have_line_breaks),
        cmocka_unit_test(what_does_not_go_with_it),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
