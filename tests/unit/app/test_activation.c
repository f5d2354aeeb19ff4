/* SPDX-License-Identifier: MIT */
/* Which socket is handed over: the variables in every state. */
#include "app/activation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

enum { SELF = -1, NO_PID = 0 };

static void set(const char *fds, int pid)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%d", pid == SELF ? (int)getpid() : pid);
    (void)unsetenv("LISTEN_PID");
    if (pid != NO_PID)
        assert_int_equal(setenv("LISTEN_PID", text, 1), 0);
    if (fds)
        assert_int_equal(setenv("LISTEN_FDS", fds, 1), 0);
    assert_int_equal(setenv("LISTEN_FDNAMES", "x", 1), 0);
}

static void the_variables_say_it(void **state)
{
    static const struct {
        const char *fds;
        int pid, err, fd;
        const char *why;
    } rows[] = {
        {NULL, NO_PID, 0, -1, ""},
        {"1", SELF, 0, ACTIVATION_FD, ""},
        {"0", SELF, 0, -1, ""},
        {"1", NO_PID, 0, -1, ""},
        {"1", 1, 0, -1, ""}, /* another process was meant */
        {"many", 1, 0, -1, ""},
        {"2", SELF, ERR_INVAL, -1,
         "the service manager has handed over 2 sockets, and the tunnel port is one"},
        {"many", SELF, ERR_INVAL, -1, "the variable LISTEN_FDS has no number of sockets in it"},
        {"", SELF, ERR_INVAL, -1, "the variable LISTEN_FDS has no number of sockets in it"},
        {"-1", SELF, ERR_INVAL, -1, "the variable LISTEN_FDS has no number of sockets in it"},
        {"99999999999999999999", SELF, ERR_INVAL, -1,
         "the variable LISTEN_FDS has no number of sockets in it"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errmsg why = {""};
        int fd = 0;
        set(rows[i].fds, rows[i].pid);
        assert_int_equal(activation_take(&fd, &why), rows[i].err);
        assert_int_equal(fd, rows[i].fd);
        assert_string_equal(why.text, rows[i].why);
        assert_null(getenv("LISTEN_FDS"));
        assert_null(getenv("LISTEN_PID"));
        assert_null(getenv("LISTEN_FDNAMES"));
    }
}

static void programs_that_we_start_do_not_get_it(void **state)
{
    struct errmsg why;
    int fd, held = dup(ACTIVATION_FD);
    (void)state;
    assert_int_equal(dup2(STDIN_FILENO, ACTIVATION_FD), ACTIVATION_FD);
    set("1", SELF);
    assert_int_equal(activation_take(&fd, &why), 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    if (held >= 0) {
        assert_int_equal(dup2(held, ACTIVATION_FD), ACTIVATION_FD);
        (void)close(held);
    } else
        (void)close(ACTIVATION_FD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variables_say_it),
        cmocka_unit_test(programs_that_we_start_do_not_get_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
