/* SPDX-License-Identifier: MIT */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int kit_setup(void **state)
{
    struct kit *k = calloc(1, sizeof *k);
    if (!k)
        return -1;
    k->began = kit_clock();
    *state = k;
    return loop_init(&k->loop);
}

static void on_walk(uv_handle_t *h, void *arg)
{
    if (!uv_is_closing(h))
        ++*(unsigned *)arg;
}

int kit_teardown(void **state)
{
    struct kit *k = *state;
    unsigned open = 0;
    uv_walk(&k->loop.uv, on_walk, &open);
    if (open != LOOP_OWN_HANDLES) {
        print_error("%u handles are still open, %d of them the loop's own\n", open,
                    LOOP_OWN_HANDLES);
        return -1; /* loop_fini() would wait for ever */
    }
    if (k->loop.poller.sources != 0) {
        print_error("%u sockets are still watched\n", k->loop.poller.sources);
        return -1;
    }
    loop_fini(&k->loop);
    free(k);
    return 0;
}

mtime_ms kit_clock(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (mtime_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void kit_turn(struct kit *k)
{
    static const struct timespec nap = {.tv_nsec = 200000};
    (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT);
    (void)nanosleep(&nap, NULL);
    if (kit_clock() - k->began > KIT_LIMIT_MS)
        fail_msg("the watchdog barked");
}

void kit_pass(struct kit *k, int ms)
{
    mtime_ms until = kit_clock() + ms;
    k->began = kit_clock();
    while (kit_clock() < until)
        kit_turn(k);
}

void kit_close(struct kit *k, uv_handle_t *h)
{
    uv_close(h, NULL);
    (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT);
}

static void on_stop(uv_timer_t *t)
{
    uv_stop(t->loop);
}

static void on_turn(uv_prepare_t *p)
{
    ++*(unsigned *)p->data;
}

unsigned kit_run_counting(struct kit *k, int ms)
{
    unsigned turns = 0;
    uv_timer_t stop;
    uv_prepare_t count;
    uv_timer_init(&k->loop.uv, &stop);
    uv_prepare_init(&k->loop.uv, &count);
    count.data = &turns;
    uv_update_time(&k->loop.uv);
    uv_timer_start(&stop, on_stop, (uint64_t)ms, 0);
    uv_prepare_start(&count, on_turn);
    uv_unref((uv_handle_t *)&count);
    loop_run(&k->loop);
    kit_close(k, (uv_handle_t *)&stop);
    kit_close(k, (uv_handle_t *)&count);
    return turns;
}

int kit_listen(int backlog, int *ret_port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *ret_port = ntohs(in.sin_port);
    return fd;
}

int kit_connect(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&in, sizeof in) == 0)
        return fd;
    int errnum = errno;
    (void)close(fd);
    return -errnum;
}

void kit_tcp_pair(int fd[2])
{
    int port, one = 1;
    int l = kit_listen(1, &port);
    fd[0] = kit_connect(port);
    assert_true(fd[0] >= 0);
    fd[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd[1] >= 0);
    assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    (void)close(l);
    (void)setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* as all we talk with */
    (void)setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void kit_child(struct kit *k, int (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(KIT_LIMIT_MS / 1000);
        _exit(uv_loop_fork(&k->loop.uv) < 0 ? 1 : fn(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == KIT_CHILD_SKIP)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int kit_complain(const char *file, int line, const char *cond)
{
    (void)fprintf(stderr, "%s:%d: in the child: %s\n", file, line, cond);
    return 1;
}

bool kit_own_network(void)
{
    struct ifreq lo = {.ifr_name = "lo"};
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    int r = ioctl(fd, SIOCSIFFLAGS, &lo);
    (void)close(fd);
    return r == 0;
}

bool kit_own_hosts(const char *text)
{
    char path[] = "/tmp/kit-hosts-XXXXXX";
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    int fd = mkstemp(path);
    if (fd < 0)
        return false;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, 0644) == 0 &&
              mount(path, "/etc/hosts", NULL, MS_BIND, NULL) == 0;
    (void)close(fd);
    (void)unlink(path);
    return ok;
}

bool kit_write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return false;
    bool ok = fputs(text, f) >= 0;
    return fclose(f) == 0 && ok;
}
