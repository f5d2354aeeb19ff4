/* SPDX-License-Identifier: MIT */
/* What becomes of signals once nobody acts on them any more; the rest is in tests/e2e. */
#include "app/signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void nothing(void *ctx)
{
    (void)ctx;
}

/* The handles are closed, and the program is about to say its last words. */
static int end_and_raise(int signum)
{
    static const struct signals_ops ops = {nothing, nothing, nothing, nothing};
    struct loop loop;
    struct signals s;
    if (loop_init(&loop) < 0 || signals_init(&s, &loop, 0, &ops, NULL) < 0)
        return 1;
    signals_fini(&s);
    (void)raise(signum);
    loop_run(&loop);
    (void)raise(signum);
    loop_fini(&loop);
    (void)raise(signum);
    return 0;
}

static void none_kills_at_the_end(void **state)
{
    static const int signums[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            _exit(end_and_raise(signums[i]));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_kills_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
