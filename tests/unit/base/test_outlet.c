/* SPDX-License-Identifier: MIT */
/* Outlets over pipes that block, refuse and break. Each test has an outlet of its own: none ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/outlet.h"

enum { PATIENCE_MS = 20000 };

static size_t lost_line(char *out, size_t room, unsigned lost)
{
    return (size_t)snprintf(out, room, "%u lost\n", lost);
}

/* An outlet is of static storage, all zero but for what its owner says. */
static struct outlet *outlet_on(int fd)
{
    static struct outlet outlets[16];
    static const struct outlet fresh = OUTLET_INIT(-1, "outlet", lost_line);
    static size_t used;
    assert_true(used < ARRAY_LEN(outlets));
    struct outlet *o = &outlets[used++];
    *o = fresh;
    o->fd = fd;
    return o;
}

/* A pipe of one page; both ends of it. */
static void small_pipe(int p[2])
{
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    assert_true(fcntl(p[1], F_SETPIPE_SZ, 4096) > 0);
}

static void put(struct outlet *o, const char *text)
{
    outlet_put(o, text, strlen(text));
}

static void put_number(struct outlet *o, unsigned n)
{
    char line[32];
    (void)snprintf(line, sizeof line, "%u\n", n);
    put(o, line);
}

/* Fills the pipe and the queue behind it; how many lines were put. */
static unsigned put_until_lost(struct outlet *o)
{
    unsigned n = 0;
    for (bool lost = false; !lost; n++) {
        assert_true(n < 1000000);
        put_number(o, n);
        pthread_mutex_lock(&o->lock);
        lost = o->lost > 0;
        pthread_mutex_unlock(&o->lock);
    }
    return n;
}

struct reading {
    int fd;
    char *text;
    size_t n;
};

static void *read_to_the_end(void *arg)
{
    struct reading *r = arg;
    r->text = malloc(4 << 20);
    for (ssize_t got; (got = read(r->fd, r->text + r->n, (4 << 20) - 1 - r->n)) > 0;)
        r->n += (size_t)got;
    r->text[r->n] = '\0';
    return NULL;
}

/* Text of lines "0\n" "1\n" ... from *p on, below n; *p moves behind them. */
static void expect_numbers(const char **p, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        char line[32];
        int n = snprintf(line, sizeof line, "%u\n", i);
        if (strncmp(*p, line, (size_t)n) != 0)
            fail_msg("expected %u, found %.20s", i, *p);
        *p += n;
    }
}

static void test_order_and_flush(void **state)
{
    (void)state;
    int p[2];
    struct outlet *o;
    char got[64];
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    o = outlet_on(p[1]);
    assert_true(outlet_flush(o, 0)); /* nothing was ever put */
    errno = EXDEV;
    for (unsigned i = 0; i < 10; i++)
        put_number(o, i);
    assert_int_equal(errno, EXDEV);
    assert_true(outlet_flush(o, PATIENCE_MS));
    ssize_t n = read(p[0], got, sizeof got - 1);
    got[n] = '\0';
    const char *at = got;
    expect_numbers(&at, 0, 10);
    assert_int_equal(*at, '\0');
}

static void test_nobody_waits_and_the_lost_are_counted(void **state)
{
    (void)state;
    int p[2];
    pthread_t thread;
    small_pipe(p);
    struct outlet *o = outlet_on(p[1]);
    unsigned first = put_until_lost(o);
    for (unsigned i = 0; i < 4; i++)
        put_number(o, 1000000);        /* lost, too: none slips in between */
    assert_false(outlet_flush(o, 50)); /* and it does not wait for ever */
    pthread_mutex_lock(&o->lock);
    size_t waiting = o->bytes;
    pthread_mutex_unlock(&o->lock);
    assert_true(waiting <= OUTLET_MAX_BYTES && waiting > OUTLET_MAX_BYTES / 2);

    struct reading r = {.fd = p[0]};
    assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, &r), 0);
    assert_true(outlet_flush(o, PATIENCE_MS));
    put(o, "after\n");
    assert_true(outlet_flush(o, PATIENCE_MS));
    close(p[1]);
    pthread_join(thread, NULL);

    const char *at = r.text;
    expect_numbers(&at, 0, first - 1);
    assert_string_equal(at, "5 lost\nafter\n");
    free(r.text);
}

/* What would still fit must wait for the line that says what is missing before it. */
static void test_nothing_slips_in_behind_what_was_lost(void **state)
{
    (void)state;
    int p[2];
    pthread_t thread;
    char big[40000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\n';
    small_pipe(p);
    struct outlet *o = outlet_on(p[1]);
    for (int i = 0; i < 20; i++)
        outlet_put(o, big, sizeof big);
    put(o, "small\n");
    struct reading r = {.fd = p[0]};
    assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, &r), 0);
    assert_true(outlet_flush(o, PATIENCE_MS));
    close(p[1]);
    pthread_join(thread, NULL);
    unsigned written = (unsigned)(r.n / sizeof big);
    char last[32];
    (void)snprintf(last, sizeof last, "%u lost\n", 21 - written);
    assert_string_equal(r.text + written * sizeof big, last);
    free(r.text);
}

/* Somebody who shares the terminal or the pipe has made it non-blocking. */
static void test_a_descriptor_that_would_block(void **state)
{
    (void)state;
    int p[2];
    pthread_t thread;
    small_pipe(p);
    assert_int_equal(fcntl(p[1], F_SETFL, O_NONBLOCK), 0);
    struct outlet *o = outlet_on(p[1]);
    for (unsigned i = 0; i < 3000; i++)
        put_number(o, i);
    assert_false(outlet_flush(o, 50));
    struct reading r = {.fd = p[0]};
    assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, &r), 0);
    assert_true(outlet_flush(o, PATIENCE_MS));
    close(p[1]);
    pthread_join(thread, NULL);
    const char *at = r.text;
    expect_numbers(&at, 0, 3000);
    assert_int_equal(*at, '\0');
    free(r.text);
}

/* No SIGPIPE: it would end this test. */
static void test_a_reader_that_is_gone(void **state)
{
    (void)state;
    int p[2];
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    struct outlet *o = outlet_on(p[1]);
    close(p[0]);
    for (int i = 0; i < 5; i++) {
        put(o, "x\n");
        assert_true(outlet_flush(o, PATIENCE_MS));
    }
    assert_int_equal(o->lost, 5);
}

static void test_a_closed_descriptor(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct outlet *o = outlet_on(fd);
    close(fd);
    put(o, "x\n");
    assert_true(outlet_flush(o, PATIENCE_MS));
    assert_int_equal(o->lost, 1);
}

/* What a full disk has not taken is said when there is room again. */
static void test_a_full_disk(void **state)
{
    (void)state;
    int p[2];
    char got[64];
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct outlet *o = outlet_on(fd);
    for (int i = 0; i < 3; i++) {
        put(o, "x\n");
        assert_true(outlet_flush(o, PATIENCE_MS));
    }
    assert_true(dup2(p[1], fd) >= 0);
    put(o, "room\n");
    assert_true(outlet_flush(o, PATIENCE_MS));
    ssize_t n = read(p[0], got, sizeof got - 1);
    got[n] = '\0';
    assert_string_equal(got, "3 lost\nroom\n");
}

/* A text that broke off in the middle must not run into the next one. */
static void test_a_torn_text(void **state)
{
    (void)state;
    int p[2];
    char file[] = "/tmp/gotunnel-outlet-XXXXXX", got[64] = "";
    int fd = mkstemp(file);
    struct outlet *o = outlet_on(fd);
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    o->torn = true; /* as after a write() of which the disk took a part */
    put(o, "next\n");
    assert_true(outlet_flush(o, PATIENCE_MS));
    assert_int_equal(pread(fd, got, sizeof got, 0), 6);
    assert_string_equal(got, "\nnext\n");
    unlink(file);
}

enum { PUTTERS = 4, EACH = 200 };

static void *put_many(void *arg)
{
    for (unsigned i = 0; i < EACH; i++)
        put_number(arg, i);
    return NULL;
}

static void test_from_many_threads(void **state)
{
    (void)state;
    int p[2];
    pthread_t threads[PUTTERS], reader;
    unsigned count[EACH] = {0};
    small_pipe(p);
    struct outlet *o = outlet_on(p[1]);
    struct reading r = {.fd = p[0]};
    assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, &r), 0);
    for (int i = 0; i < PUTTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, o), 0);
    for (int i = 0; i < PUTTERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(outlet_flush(o, PATIENCE_MS));
    close(p[1]);
    pthread_join(reader, NULL);
    for (char *at = r.text; *at; at++)
        count[strtoul(at, &at, 10)]++;
    for (int i = 0; i < EACH; i++)
        assert_int_equal(count[i], PUTTERS);
    free(r.text);
}

/* Its thread must leave signals to the main one. */
static void test_no_signal_is_taken(void **state)
{
    (void)state;
    int p[2];
    char path[64], line[256];
    unsigned others = 0;
    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    struct outlet *o = outlet_on(p[1]);
    o->name = "the one";
    put(o, "x\n");
    assert_true(outlet_flush(o, PATIENCE_MS));
    for (int tid = getpid(); tid < getpid() + 4000; tid++) {
        (void)snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
        FILE *f = fopen(path, "re");
        bool is_it = false;
        while (f && fgets(line, sizeof line, f)) {
            is_it = is_it || strcmp(line, "Name:\tthe one\n") == 0;
            if (!is_it || strncmp(line, "SigBlk:", 7) != 0)
                continue;
            unsigned long long blocked = strtoull(line + 7, NULL, 16);
            for (int s = SIGHUP; s <= SIGTERM; s++)
                if (s == SIGHUP || s == SIGINT || s == SIGTERM || s == SIGUSR1 || s == SIGUSR2 ||
                    s == SIGPIPE)
                    assert_true(blocked >> (s - 1) & 1);
            others++;
        }
        if (f)
            fclose(f);
    }
    assert_int_equal(others, 1);
}

static unsigned threads_of_this_process(void)
{
    char line[256];
    unsigned n = 0;
    FILE *f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        (void)sscanf(line, "Threads: %u", &n);
    fclose(f);
    return n;
}

/* A program that starts has one thread, and what it says comes at once, if it can. */
static void test_a_held_outlet_has_no_thread(void **state)
{
    (void)state;
    int p[2];
    char got[4096];
    unsigned threads = threads_of_this_process(), n = 1;
    small_pipe(p);
    struct outlet *o = outlet_on(p[1]);
    outlet_hold(o);
    put_number(o, 0);
    assert_int_equal(read(p[0], got, sizeof got), 2);
    assert_memory_equal(got, "0\n", 2);
    while (list_empty(&o->waiting)) /* fills the pipe, and never waits for it */
        put_number(o, n++);
    put_number(o, n++);
    assert_int_equal(threads_of_this_process(), threads);

    struct reading r = {.fd = p[0]};
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, &r), 0);
    outlet_release(o);
    put_number(o, n);
    assert_true(outlet_flush(o, PATIENCE_MS));
    close(p[1]);
    pthread_join(reader, NULL);
    const char *at = r.text;
    expect_numbers(&at, 1, n + 1);
    assert_int_equal(*at, '\0');
    free(r.text);
}

/* The program ends before it would have had one. */
static void test_flushing_releases(void **state)
{
    (void)state;
    int p[2];
    char got[64] = "";
    small_pipe(p);
    struct outlet *o = outlet_on(p[1]);
    outlet_hold(o);
    for (int i = 0; i < 4000; i++) /* more than the pipe takes */
        put_number(o, 1);
    assert_false(outlet_flush(o, 50));
    for (ssize_t n = 1; n > 0 && !outlet_flush(o, 0);)
        n = read(p[0], got, sizeof got);
    assert_true(outlet_flush(o, PATIENCE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_flush),
        cmocka_unit_test(test_nobody_waits_and_the_lost_are_counted),
        cmocka_unit_test(test_nothing_slips_in_behind_what_was_lost),
        cmocka_unit_test(test_a_descriptor_that_would_block),
        cmocka_unit_test(test_a_reader_that_is_gone),
        cmocka_unit_test(test_a_closed_descriptor),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_a_torn_text),
        cmocka_unit_test(test_from_many_threads),
        cmocka_unit_test(test_no_signal_is_taken),
        cmocka_unit_test(test_a_held_outlet_has_no_thread),
        cmocka_unit_test(test_flushing_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
