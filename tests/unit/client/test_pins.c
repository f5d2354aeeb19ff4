/* SPDX-License-Identifier: MIT */
/* Servers that have spoken gotunnel/2: what is remembered, in which file, and what a spoiled one does. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/pins.h"

#define FILE_PATH "state/gotunnel/servers"

enum { LINE = 2 * PIN_BYTES + 1 };

static char place[64];
static struct errmsg why;
static struct pins pins;

static int setup(void **state)
{
    (void)state;
    (void)strcpy(place, "/tmp/gotunnel-pins-XXXXXX");
    if (!mkdtemp(place) || chdir(place) < 0)
        return -1;
    char xdg[128];
    (void)snprintf(xdg, sizeof xdg, "%s/state", place);
    (void)unsetenv("STATE_DIRECTORY");
    return setenv("XDG_STATE_HOME", xdg, 1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    return chdir("/") < 0 ? -1 : nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const uint8_t *key(uint8_t n)
{
    static uint8_t all[256][PIN_BYTES];
    memset(all[n], n, PIN_BYTES);
    return all[n];
}

static long size(void)
{
    struct stat st;
    return stat(FILE_PATH, &st) == 0 ? (long)st.st_size : -1;
}

/* The next run of the program. */
static void again(void)
{
    pins_fini(&pins);
    pins_init(&pins);
}

static void add(uint8_t n)
{
    assert_int_equal(pins_add(&pins, key(n), &why), 0);
    assert_true(pins_has(&pins, key(n)));
}

static void write_file(const char *text, size_t n)
{
    int fd = open(FILE_PATH, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n && close(fd) == 0);
}

static void what_was_added_is_known_in_the_next_run(void **state)
{
    (void)state;
    pins_init(&pins);
    assert_false(pins_has(&pins, key(1)));
    add(1);
    add(1); /* once in the file */
    add(2);
    assert_int_equal(size(), 2 * LINE);
    again();
    assert_true(pins_has(&pins, key(1)) && pins_has(&pins, key(2)));
    assert_false(pins_has(&pins, key(3)));
    add(1); /* of an earlier run */
    assert_int_equal(size(), 2 * LINE);
    pins_fini(&pins);
}

static void another_client_of_the_same_user(void **state)
{
    (void)state;
    struct pins other;
    pins_init(&pins);
    pins_init(&other);
    assert_int_equal(pins_add(&other, key(1), &why), 0);
    assert_true(pins_has(&pins, key(1)));
    pins_fini(&other);
    pins_fini(&pins);
}

static void many_servers_of_one_run(void **state)
{
    (void)state;
    pins_init(&pins);
    for (uint8_t n = 0; n < 3 * PINS_RUN_MAX; n++)
        add(n);
    for (uint8_t n = 0; n < 3 * PINS_RUN_MAX; n++)
        assert_true(pins_has(&pins, key(n)));
    pins_fini(&pins);
}

static void lines_that_are_none(void **state)
{
    (void)state;
    char half[LINE + 20];
    pins_init(&pins);
    add(1);
    again();
    memset(half, '2', sizeof half); /* longer than a line; and the last one was never finished */
    half[LINE + 10] = '\n';
    write_file(half, sizeof half);
    assert_false(pins_has(&pins, key(0x22)));
    add(0x33);
    again();
    assert_true(pins_has(&pins, key(0x33)));
    pins_fini(&pins);
}

static void a_full_file(void **state)
{
    (void)state;
    char *text = malloc(PINS_FILE_MAX);
    assert_non_null(text);
    memset(text, '\n', PINS_FILE_MAX);
    pins_init(&pins);
    write_file(text, PINS_FILE_MAX - LINE);
    add(1);
    assert_int_equal(pins_add(&pins, key(2), &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "remove it"));
    assert_true(pins_has(&pins, key(2))); /* of this run */
    again();
    assert_true(pins_has(&pins, key(1)));
    assert_false(pins_has(&pins, key(2)));
    pins_fini(&pins);
    free(text);
}

static void without_a_file_they_are_of_this_run(void **state)
{
    (void)state;
    assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
    (void)unsetenv("HOME");
    pins_init(&pins);
    assert_int_equal(pins_add(&pins, key(1), &why), ERR_NOTFOUND);
    assert_non_null(strstr(why.text, "STATE_DIRECTORY"));
    assert_int_equal(pins_add(&pins, key(1), &why), 0); /* told once */
    assert_true(pins_has(&pins, key(1)));
    again();
    assert_false(pins_has(&pins, key(1)));
    pins_fini(&pins);
}

static void a_file_that_others_can_write_is_not_trusted(void **state)
{
    (void)state;
    pins_init(&pins);
    add(1);
    assert_int_equal(chmod(FILE_PATH, 0602), 0);
    again();
    assert_false(pins_has(&pins, key(1)));
    assert_int_equal(pins_add(&pins, key(2), &why), ERR_NOTFOUND);
    assert_non_null(strstr(why.text, "servers can be written by other users"));
    pins_fini(&pins);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_added_is_known_in_the_next_run),
        TEST(another_client_of_the_same_user),
        TEST(many_servers_of_one_run),
        TEST(lines_that_are_none),
        TEST(a_full_file),
        TEST(without_a_file_they_are_of_this_run),
        TEST(a_file_that_others_can_write_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
