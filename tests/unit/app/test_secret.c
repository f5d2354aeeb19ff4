/* SPDX-License-Identifier: MIT */
/* Where the secret comes from (D13): files of every kind, the environment, and who wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/secret.h"

static char path[] = "/tmp/secret-XXXXXX";
static struct common_options opt;
static struct errmsg why;

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void fill(const void *text, size_t n, mode_t mode)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* As after a command line without -secret. */
static int find_in(const char *file)
{
    memset(&opt, 0, sizeof opt);
    memset(&why, 0, sizeof why);
    opt.secret_file = file;
    return secret_find(&opt, &why);
}

static void a_byte_order_mark_is_refused(void **state)
{
    (void)state;
    fill("\xef\xbb\xbfsecret\n", 10, 0600);
    assert_int_equal(find_in(path), ERR_INVAL);
    assert_non_null(strstr(why.text, " begins with a byte order mark (EF BB BF): "));
    assert_string_equal(opt.secret, "");
    fill("\xff\xfes\0e\0", 6, 0600);
    assert_int_equal(find_in(path), ERR_INVAL);
    assert_non_null(strstr(why.text, " is saved as UTF-16: "));
    fill("\xfe\xff\0s", 4, 0600);
    assert_int_equal(find_in(path), ERR_INVAL);
    assert_non_null(strstr(why.text, " is saved as UTF-16: "));
    fill("s\xef\xbb\xbf", 4, 0600); /* elsewhere it is a part of it */
    assert_int_equal(find_in(path), 0);
    assert_string_equal(opt.secret, "s\xef\xbb\xbf");
}

static void one_line_end_is_not_part_of_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secret;
    } rows[] = {
        {"abc", "abc"},       {"abc\n", "abc"}, {"abc\r\n", "abc"},
        {" a b \n", " a b "}, {"a\rb", "a\rb"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fill(rows[i].text, strlen(rows[i].text), 0600);
        assert_int_equal(find_in(path), 0);
        assert_string_equal(opt.secret, rows[i].secret);
    }
}

static void contents_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        int err;
    } rows[] = {
        {"", 0, ERR_INVAL},       {"\n", 1, ERR_INVAL},    {"\r\n", 2, ERR_INVAL},
        {"a\nb", 3, ERR_INVAL},   {"a\n\n", 3, ERR_INVAL}, {"\na\n", 3, ERR_INVAL},
        {"a\0b\n", 4, ERR_INVAL}, {"\0", 1, ERR_INVAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fill(rows[i].text, rows[i].n, 0600);
        assert_int_equal(find_in(path), rows[i].err);
        assert_true(*why.text && !strchr(why.text, '\n'));
    }
}

static void the_longest_secret_d12(void **state)
{
    (void)state;
    static const char *const ends[] = {"", "\n", "\r\n"};
    char text[2 * OPTION_SECRET_MAX];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        memcpy(text + OPTION_SECRET_MAX, ends[i], strlen(ends[i]));
        fill(text, OPTION_SECRET_MAX + strlen(ends[i]), 0600);
        assert_int_equal(find_in(path), 0);
        assert_int_equal(strlen(opt.secret), OPTION_SECRET_MAX);
    }
    memset(text, 'x', sizeof text);
    for (size_t n = OPTION_SECRET_MAX + 1; n <= OPTION_SECRET_MAX + 4; n++) {
        fill(text, n, 0600);
        assert_int_equal(find_in(path), ERR_LIMIT);
    }
    for (size_t i = 1; i < ARRAY_LEN(ends); i++) { /* more behind what fits */
        memcpy(text + OPTION_SECRET_MAX, ends[i], strlen(ends[i]));
        fill(text, sizeof text, 0600);
        assert_int_equal(find_in(path), ERR_LIMIT);
    }
    assert_non_null(strstr(why.text, "4095"));
}

static void modes_of_files(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 077; bits++) {
        fill("abc\n", 4, 0600 | bits);
        bool fine = (bits & 027) == 0; /* a service manager lets its group read */
        assert_int_equal(find_in(path), fine ? 0 : ERR_PERM);
        if (!fine) {
            assert_string_equal(opt.secret, "");
            assert_non_null(strstr(why.text, path));
            assert_non_null(strstr(why.text, "chmod 600"));
        }
    }
}

static void files_that_are_none(void **state)
{
    (void)state;
    assert_int_equal(find_in("/nonexistent/file"), ERR_NOTFOUND);
    assert_non_null(strstr(why.text, "/nonexistent/file"));
    assert_int_equal(find_in("/"), ERR_INVAL);
    assert_int_equal(find_in("/dev/null"), ERR_INVAL); /* empty */
}

static void the_environment_is_wiped_whoever_wins_d13(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        bool file;
        const char *secret;
    } rows[] = {
        {"", false, "of-the-environment"},
        {"", true, "of-the-file"},
        {"of-the-flag", true, "of-the-flag"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char variable[] = "GOTUNNEL_SECRET=of-the-environment";
        fill("of-the-file\n", 12, 0600);
        assert_int_equal(putenv(variable), 0); /* the memory of this very array */
        memset(&opt, 0, sizeof opt);
        opt.secret_file = rows[i].file ? path : "";
        (void)snprintf(opt.secret, sizeof opt.secret, "%s", rows[i].flag);
        assert_int_equal(secret_find(&opt, &why), 0);
        assert_string_equal(opt.secret, rows[i].secret);
        assert_null(getenv("GOTUNNEL_SECRET"));
        static const char zeros[sizeof "of-the-environment"];
        assert_memory_equal(variable + strlen("GOTUNNEL_SECRET="), zeros, sizeof zeros);
    }
}

/* It is not warned of as one that other users could have seen. */
static void of_a_configuration_file(void **state)
{
    (void)state;
    for (int in_config = 0; in_config <= 1; in_config++) {
        memset(&opt, 0, sizeof opt);
        opt.secret_file = "";
        opt.secret_in_config = in_config;
        memcpy(opt.secret, "abc", 4);
        assert_int_equal(setenv("GOTUNNEL_SECRET", "of-the-environment", 1), 0);
        assert_int_equal(secret_find(&opt, &why), 0);
        assert_string_equal(opt.secret, "abc");
        assert_int_equal(opt.secret_in_argv, !in_config);
        assert_null(getenv("GOTUNNEL_SECRET"));
    }
}

static void no_secret_anywhere(void **state)
{
    (void)state;
    assert_int_equal(find_in(""), 0);
    assert_string_equal(opt.secret, "");
    assert_int_equal(setenv("GOTUNNEL_SECRET", "", 1), 0); /* as if it were not set */
    assert_int_equal(find_in(""), 0);
    assert_string_equal(opt.secret, "");
}

static void a_line_feed_can_never_be_sent_d11(void **state)
{
    (void)state;
    memset(&opt, 0, sizeof opt);
    opt.secret_file = "";
    memcpy(opt.secret, "a\nb", 4); /* from -secret */
    assert_int_equal(secret_find(&opt, &why), ERR_INVAL);
    assert_int_equal(setenv("GOTUNNEL_SECRET", "a\nb", 1), 0);
    assert_int_equal(find_in(""), ERR_INVAL);
    assert_null(getenv("GOTUNNEL_SECRET"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_order_mark_is_refused),
        cmocka_unit_test(one_line_end_is_not_part_of_it),
        cmocka_unit_test(contents_that_are_refused),
        cmocka_unit_test(the_longest_secret_d12),
        cmocka_unit_test(modes_of_files),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(the_environment_is_wiped_whoever_wins_d13),
        cmocka_unit_test(of_a_configuration_file),
        cmocka_unit_test(no_secret_anywhere),
        cmocka_unit_test(a_line_feed_can_never_be_sent_d11),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
