/* SPDX-License-Identifier: MIT */
/* Writing to the end whatever the descriptor does, and a rename that replaces nothing. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

#include "base/file.h"

enum { BYTES = 1 << 20 };

static enum { REAL, BY_ONE, INTERRUPTED, NOTHING } manner;

ssize_t __real_write(int fd, const void *data, size_t n);
ssize_t __wrap_write(int fd, const void *data, size_t n);

ssize_t __wrap_write(int fd, const void *data, size_t n)
{
    static unsigned calls;
    switch (manner) {
    case REAL:
        break;
    case BY_ONE:
        return __real_write(fd, data, n > 0 ? 1 : 0);
    case INTERRUPTED:
        if (++calls % 2) {
            errno = EINTR;
            return -1;
        }
        break;
    case NOTHING:
        return 0;
    }
    return __real_write(fd, data, n);
}

static char *read_slowly(int fd)
{
    char *got = malloc(BYTES + 1);
    size_t n = 0;
    ssize_t r;
    while ((r = read(fd, got + n, BYTES + 1 - n)) > 0)
        n += (size_t)r;
    got[n] = '\0';
    return got;
}

static void *reader(void *arg)
{
    (void)usleep(20000); /* until the pipe is full */
    return read_slowly(*(int *)arg);
}

static void to_a_pipe_that_fills(int flags)
{
    int p[2];
    pthread_t thread;
    void *got;
    char *data = malloc(BYTES);
    for (int i = 0; i < BYTES; i++)
        data[i] = (char)('a' + i % 23);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(fcntl(p[1], F_SETFL, flags), 0);
    assert_int_equal(pthread_create(&thread, NULL, reader, &p[0]), 0);
    assert_int_equal(file_write_all(p[1], data, BYTES), BYTES);
    close(p[1]);
    assert_int_equal(pthread_join(thread, &got), 0);
    assert_int_equal(strlen(got), BYTES);
    assert_memory_equal(got, data, BYTES);
    free(got);
    free(data);
    close(p[0]);
}

static void test_blocking_pipe(void **state)
{
    (void)state;
    to_a_pipe_that_fills(0);
}

static void test_pipe_that_would_block(void **state)
{
    (void)state;
    to_a_pipe_that_fills(O_NONBLOCK);
}

static void short_and_interrupted(int how)
{
    int p[2];
    char got[8] = "";
    assert_int_equal(pipe(p), 0);
    manner = how;
    assert_int_equal(file_write_all(p[1], "seven..", 7), 7);
    manner = REAL;
    assert_int_equal(read(p[0], got, sizeof got), 7);
    assert_string_equal(got, "seven..");
    close(p[0]);
    close(p[1]);
}

static void test_parts_and_signals(void **state)
{
    (void)state;
    short_and_interrupted(BY_ONE);
    short_and_interrupted(INTERRUPTED);
}

static void test_errors(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(file_write_all(full, "x", 1), 0);
    assert_int_equal(errno, ENOSPC);
    close(full);
    assert_int_equal(file_write_all(full, "x", 1), 0);
    assert_int_equal(errno, EBADF);
    manner = NOTHING;
    assert_int_equal(file_write_all(1, "x", 1), 0);
    manner = REAL;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(file_write_all(-1, "", 0), 0);
}

static void test_rename_replaces_nothing(void **state)
{
    (void)state;
    char dir[] = "/tmp/gotunnel-file-XXXXXX", a[64], b[64];
    struct stat st;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(a, sizeof a, "%s/a", dir);
    (void)snprintf(b, sizeof b, "%s/b", dir);
    close(open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    int r = file_rename_new(AT_FDCWD, a, AT_FDCWD, b);
    if (r < 0) {
        assert_true(errno == EINVAL || errno == ENOSYS || errno == ENOTSUP);
        unlink(a);
        rmdir(dir);
        skip();
    }
    assert_int_equal(stat(a, &st), -1);
    close(open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(file_rename_new(AT_FDCWD, a, AT_FDCWD, b), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(stat(a, &st), 0);
    unlink(a);
    unlink(b);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocking_pipe),
        cmocka_unit_test(test_pipe_that_would_block),
        cmocka_unit_test(test_parts_and_signals),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_rename_replaces_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
