/* SPDX-License-Identifier: MIT */
/* Two processes and a word: what the first prints, and its exit status. */
#include "app/background.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char printed[2 * BACKGROUND_WORD_MAX];

/* What the second process does. */
typedef void second_fn(int fd);

/* Starts the two with a pipe as stdout; what the first came to, as waitpid() has it. */
static int start(second_fn *work)
{
    int out[2], status;
    size_t n = 0;
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = -1;
        (void)dup2(out[1], STDOUT_FILENO);
        (void)close(out[0]);
        (void)close(out[1]);
        if (background_begin(&fd) == 0)
            work(fd);
        _exit(99); /* it did not return in the first */
    }
    (void)close(out[1]);
    for (ssize_t got; (got = read(out[0], printed + n, sizeof printed - 1 - n)) > 0;)
        n += (size_t)got;
    printed[n] = '\0';
    (void)close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void says_a_line(int fd)
{
    _exit(background_say(&fd, "vps.example.com:20022\n") && fd == -1 ? 0 : 98);
}

static void says_the_longest_line(int fd)
{
    char line[BACKGROUND_WORD_MAX + 1];
    memset(line, 'x', sizeof line);
    line[BACKGROUND_WORD_MAX - 1] = '\n';
    line[BACKGROUND_WORD_MAX] = '\0';
    _exit(background_say(&fd, line) ? 0 : 98);
}

static void the_word_is_printed(void **state)
{
    (void)state;
    int status = start(says_a_line);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(printed, "vps.example.com:20022\n");
    status = start(says_the_longest_line);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(strlen(printed), BACKGROUND_WORD_MAX);
}

static void ends_with_77(int fd)
{
    (void)fd;
    _exit(77);
}

static void ends_with_0(int fd)
{
    (void)fd;
    _exit(0);
}

static void is_killed(int fd)
{
    (void)fd;
    (void)raise(SIGKILL);
}

/* 0 without a word would be a tunnel that is not there. */
static void without_a_word_its_status_counts(void **state)
{
    (void)state;
    static const struct {
        second_fn *work;
        int status;
    } rows[] = {{ends_with_77, 77}, {ends_with_0, 1}, {is_killed, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = start(rows[i].work);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), rows[i].status);
        assert_string_equal(printed, "");
    }
}

static void stops_the_first(int fd)
{
    (void)fd;
    (void)kill(getppid(), SIGTERM);
    for (;;)
        (void)pause(); /* until it is passed on */
}

static void a_signal_ends_both(void **state)
{
    (void)state;
    int status = start(stops_the_first);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* The reading end is closed. */
static void nobody_waits(void **state)
{
    int ends[2];
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    (void)close(ends[0]);
    assert_false(background_say(&ends[1], "x\n"));
    assert_int_equal(ends[1], -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_is_printed),
        cmocka_unit_test(without_a_word_its_status_counts),
        cmocka_unit_test(a_signal_ends_both),
        cmocka_unit_test(nobody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
