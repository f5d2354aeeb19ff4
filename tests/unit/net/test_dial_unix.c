/* SPDX-License-Identifier: MIT */
/* Dials to unix sockets: what comes of them, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kit.h"
#include "net/dialer.h"

enum { LONG_MS = 10000, SHORT_MS = 150, FILLERS = 8 };

static char folder[64], path[80];

/* What a dial has brought. */
static struct {
    int calls, fd, err, errnum;
    char words[256];
} got;

static void on_done(void *ctx, struct dial_result *r)
{
    struct errmsg why = {""};
    (void)ctx;
    got.calls++;
    got.err = r->err;
    got.errnum = r->errnum;
    got.fd = r->err == 0 ? dial_take_fd(r) : -1;
    if (r->err < 0)
        (void)dial_text(&why, r, NULL);
    (void)strcpy(got.words, why.text);
}

static struct dial *start(struct kit *k, const char *to, mtime_ms patience)
{
    struct dial_config cfg = {.unix_path = to, .patience_ms = patience};
    struct dial *d = NULL;
    memset(&got, 0, sizeof got);
    uv_update_time(&k->loop.uv);
    assert_int_equal(dial_start(&k->loop, &cfg, on_done, NULL, &d), 0);
    assert_int_equal(got.calls, 0); /* never from inside */
    return d;
}

static void dial(struct kit *k, const char *to, mtime_ms patience)
{
    (void)start(k, to, patience);
    KIT_UNTIL(k, got.calls > 0);
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    assert_int_equal(got.calls, 1);
}

static int setup(void **state)
{
    (void)strcpy(folder, "/tmp/test-dial-unix-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/sock", folder);
    return kit_setup(state);
}

static int teardown(void **state)
{
    (void)unlink(path);
    (void)rmdir(folder);
    return kit_teardown(state);
}

static int unix_socket(int type)
{
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static struct sockaddr_un at_path(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)strcpy(at.sun_path, path);
    return at;
}

static int listen_there(int type, int backlog)
{
    const struct sockaddr_un at = at_path();
    int fd = unix_socket(type);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void a_connection(void **state)
{
    int l = listen_there(SOCK_STREAM, 1);
    char byte = 0;
    dial(*state, path, LONG_MS);
    assert_int_equal(got.err, 0);
    assert_true(fcntl(got.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(got.fd, F_GETFD) & FD_CLOEXEC);
    int other = accept(l, NULL, NULL);
    assert_true(other >= 0);
    assert_int_equal(send(got.fd, "x", 1, 0), 1);
    assert_int_equal(recv(other, &byte, 1, 0), 1);
    (void)close(got.fd), (void)close(other), (void)close(l);
}

static void check_failed(struct kit *k, const char *to, int err, int errnum, const char *words)
{
    char want[256];
    dial(k, to, SHORT_MS);
    (void)snprintf(want, sizeof want, "unix:%s: %s (%s)", to, words, strerror(errnum));
    assert_string_equal(got.words, want);
    assert_int_equal(got.err, err);
    assert_int_equal(got.errnum, errnum);
}

static void nobody_is_there(void **state)
{
    char under[96];
    check_failed(*state, path, ERR_NOTFOUND, ENOENT,
                 "there is no such socket: does its program run, and is the path right?");
    (void)close(listen_there(SOCK_STREAM, 1)); /* its program is gone */
    check_failed(*state, path, ERR_REFUSED, ECONNREFUSED,
                 "nothing listens on it: does its program run?");
    (void)snprintf(under, sizeof under, "%s/x", path);
    check_failed(*state, under, ERR_IO, ENOTDIR, "there is no such socket: is the path right?");
    (void)unlink(path);
    int l = listen_there(SOCK_DGRAM, 0);
    check_failed(*state, path, ERR_IO, EPROTOTYPE, "it is no stream socket");
    (void)close(l);
}

static void words_of_its_own(void **state)
{
    const struct dial_result r = {
        .err = ERR_PERM, .errnum = EACCES, .host = "/run/x", .is_unix = true};
    struct errmsg why;
    (void)state;
    assert_string_equal(dial_text(&why, &r, "unix:/run/x"), /* the line has named it */
                        "this program may not use it: its user needs to write to the socket, and "
                        "to pass through all folders above (Permission denied)");
    assert_memory_equal(dial_text(&why, &r, "unix:/run/y"), "unix:/run/x: this", 17);
    assert_memory_equal(dial_text(&why, &r, "/run/x"), "unix:/run/x: this", 17);
}

/* Fills the queue of a socket; how many have a place. */
static unsigned fill(int fillers[FILLERS])
{
    const struct sockaddr_un at = at_path();
    unsigned n = 0;
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = unix_socket(SOCK_STREAM);
        n += connect(fillers[i], (const struct sockaddr *)&at, sizeof at) == 0;
    }
    assert_true(n >= 1 && n < FILLERS);
    return n;
}

/* The kernel says at once that there is no room; users of a small queue come in bursts. */
static void a_full_queue_is_waited_for(void **state)
{
    struct kit *k = *state;
    int fillers[FILLERS], l = listen_there(SOCK_STREAM, 1);
    (void)fill(fillers);
    (void)start(k, path, LONG_MS);
    kit_pass(k, 3 * DIAL_UNIX_AGAIN_MS);
    assert_int_equal(got.calls, 0);
    (void)close(accept(l, NULL, NULL)); /* one of them */
    KIT_UNTIL(k, got.calls > 0);
    assert_int_equal(got.err, 0);
    (void)close(got.fd);

    int one_more = unix_socket(SOCK_STREAM);
    const struct sockaddr_un at = at_path();
    (void)connect(one_more, (const struct sockaddr *)&at, sizeof at);
    dial(k, path, SHORT_MS);
    assert_int_equal(got.err, ERR_TIMEOUT);
    assert_int_equal(got.errnum, EAGAIN);
    assert_non_null(strstr(got.words, "its queue is full, and nobody was taken from it: is its "
                                      "program busy? (Resource temporarily unavailable)"));
    for (int i = 0; i < FILLERS; i++)
        (void)close(fillers[i]);
    (void)close(one_more), (void)close(l);
}

static void cancelled(void **state)
{
    struct kit *k = *state;
    int fillers[FILLERS], l = listen_there(SOCK_STREAM, 1);
    dial_cancel(start(k, path, LONG_MS)); /* before it has begun */
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    assert_int_equal(got.calls, 0);
    (void)fill(fillers);
    struct dial *d = start(k, path, LONG_MS);
    kit_pass(k, 2 * DIAL_UNIX_AGAIN_MS);
    dial_cancel(d); /* while it waits */
    KIT_UNTIL(k, !uv_loop_alive(&k->loop.uv));
    assert_int_equal(got.calls, 0);
    for (int i = 0; i < FILLERS; i++)
        (void)close(fillers[i]);
    (void)close(l);
}

static void a_path_is_never_cut(void **state)
{
    char to[120];
    memset(to, 'a', sizeof to);
    to[0] = '/';
    to[108] = '\0';
    dial(*state, to, SHORT_MS);
    assert_int_equal(got.errnum, ENAMETOOLONG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection),     TEST(nobody_is_there),
        TEST(words_of_its_own), TEST(a_full_queue_is_waited_for),
        TEST(cancelled),        TEST(a_path_is_never_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
