/* SPDX-License-Identifier: MIT */
/* Where -save writes, and what of a command line a file can say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "client/save.h"

static struct saver s;
static struct errmsg why;
static char folder[] = "/tmp/test-save-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static int prepare(const char *path, const char *join_file)
{
    memset(&s, 0, sizeof s);
    why.text[0] = '\0';
    (void)snprintf(s.path, sizeof s.path, "%s", path);
    return save_prepare(&s, join_file, &why);
}

static void touch(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
}

static void the_string_is_beside_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *path, *join;
    } rows[] = {
        {"client.yaml", "client.join"}, {"a.yml", "a.join"},     {"./b.json", "./b.join"},
        {"client", "client.join"},      {".yaml", ".yaml.join"}, {"a.yaml.x", "a.yaml.x.join"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(prepare(rows[i].path, i % 2 ? "-" : ""), 0);
        assert_string_equal(s.join_path, rows[i].join);
        assert_false(s.has_join_file);
    }
}

static void what_is_there_is_not_written_over(void **state)
{
    (void)state;
    char real[PATH_MAX];
    touch("old.yaml");
    touch("new.join");
    assert_int_equal(symlink("nowhere", "link.yaml"), 0);
    assert_int_equal(prepare("old.yaml", ""), ERR_INUSE);
    assert_non_null(strstr(why.text, "old.yaml is there already"));
    assert_int_equal(prepare("new.yaml", ""), ERR_INUSE);
    assert_non_null(strstr(why.text, "new.join is there already"));
    assert_int_equal(prepare("link.yaml", ""), ERR_INUSE); /* where it leads to does not matter */
    assert_int_equal(prepare("new.yaml", "new.join"), 0);  /* that one is the string's */
    assert_true(s.has_join_file);
    assert_non_null(realpath("new.join", real));
    assert_string_equal(s.join_path, real);
    assert_int_equal(prepare("new.yaml", "missing.join"), ERR_NOTFOUND);
    assert_int_equal(prepare("missing/new.yaml", ""), ERR_NOTFOUND);
    assert_int_equal(prepare("old.yaml/new.yaml", ""), ERR_IO); /* no folder */
    assert_int_equal(prepare("folder/", ""), ERR_INVAL);
    assert_int_equal(prepare("", ""), ERR_INVAL);
    assert_int_equal(unlink("old.yaml") + unlink("new.join") + unlink("link.yaml"), 0);
}

/* What others may change is not read afterwards, and the string would be theirs. */
static void nothing_is_saved_where_nothing_is_trusted(void **state)
{
    (void)state;
    assert_int_equal(mkdir("others", 0700), 0);
    assert_int_equal(prepare("others/a.yaml", ""), 0);
    assert_int_equal(chmod("others", 0777), 0);
    assert_int_equal(prepare("others/a.yaml", ""), ERR_PERM);
    assert_non_null(strstr(why.text, "others can be written by other users (mode 0777)"));
    assert_int_equal(symlink("others", "link"), 0);
    assert_int_equal(prepare("link/a.yaml", ""), ERR_PERM);
    assert_int_equal(chmod("others", 0700), 0);
    if (geteuid() == 0) { /* only root can give it away */
        assert_int_equal(chown("others", 1234, 1234), 0);
        assert_int_equal(prepare("others/a.yaml", ""), ERR_PERM);
        assert_non_null(strstr(why.text, "others belongs to another user (uid 1234)"));
    }
    assert_int_equal(unlink("link") + rmdir("others"), 0);
}

static void a_path_that_is_too_long(void **state)
{
    (void)state;
    char path[PATH_MAX];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_true(prepare(path, "") < 0);
    assert_string_not_equal(why.text, "");
}

/* The lines for these words, separated by blanks. */
static const char *lines(const char *words)
{
    static char text[256];
    char *argv[16];
    int argc = 0, err;
    memset(&s, 0, sizeof s);
    (void)snprintf(text, sizeof text, "%s", words);
    for (char *save = NULL, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    for (int i = 0; i < argc; i += save_flag(&s, argc - i, argv + i, &err))
        continue;
    assert_int_equal(err, 0);
    return s.flags;
}

static void flags_become_keys(void **state)
{
    (void)state;
    char expected[PATH_MAX + 64], cwd[PATH_MAX];
    assert_string_equal(lines("-drain 3s --log-level=debug -sandbox off"),
                        "drain: \"3s\"\nlog-level: \"debug\"\nsandbox: \"off\"\n");
    /* these are no keys, or have lines of their own; their values are none either */
    assert_string_equal(lines("-once -remote-port 80 -join-file drain -server x -id drain -wait"),
                        "");
    assert_string_equal(lines("-unknown -drain 1s"), "drain: \"1s\"\n");
    assert_string_equal(lines("-control /a\"b"), "control: \"/a\\\"b\"\n");
    assert_string_equal(lines("-drain 1s -log-level info --drain=2s -control /c -log-level debug"),
                        "drain: \"2s\"\ncontrol: \"/c\"\nlog-level: \"debug\"\n");
    assert_non_null(getcwd(cwd, sizeof cwd));
    (void)snprintf(expected, sizeof expected, "control: \"%s/c\"\n", cwd);
    assert_string_equal(lines("-control c"), expected);
}

static void flags_have_a_bound(void **state)
{
    (void)state;
    static char flags[][16] = {"-control", "-log-level", "-drain"}, value[PATH_MAX];
    int err = 0, n = 0;
    memset(&s, 0, sizeof s);
    memset(value, 'x', sizeof value - 1);
    value[0] = '/';
    for (; err == 0 && n < (int)ARRAY_LEN(flags); n++) {
        char *argv[] = {flags[n], value};
        assert_int_equal(save_flag(&s, 2, argv, &err), 2);
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_in_range(n, 2, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_string_is_beside_the_file),
        cmocka_unit_test(what_is_there_is_not_written_over),
        cmocka_unit_test(nothing_is_saved_where_nothing_is_trusted),
        cmocka_unit_test(a_path_that_is_too_long),
        cmocka_unit_test(flags_become_keys),
        cmocka_unit_test(flags_have_a_bound),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
