/* SPDX-License-Identifier: MIT */
#include "net/poller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "kit.h"
#include "net/sock.h"

int __wrap_epoll_ctl(int set, int op, int fd, struct epoll_event *event);
int __real_epoll_ctl(int set, int op, int fd, struct epoll_event *event);
static int pretended_errno; /* 0: the kernel's own answer */

int __wrap_epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    if (pretended_errno == 0)
        return __real_epoll_ctl(set, op, fd, event);
    errno = pretended_errno;
    return -1;
}

/* A watched socket that counts what it is told. */
struct watched {
    struct poller_source src;
    struct kit *k;
    int told;
    unsigned events; /* all of them together */
    struct watched *forgets;
};

static void on_ready(struct poller_source *src, unsigned events)
{
    struct watched *w = CONTAINER_OF(src, struct watched, src);
    w->told++;
    w->events |= events;
    if (w->forgets)
        poller_remove(&w->k->loop, &w->forgets->src);
}

static struct watched watched(struct kit *k)
{
    return (struct watched){.src = {on_ready, -1}, .k = k};
}

static void add(struct watched *w, int fd)
{
    assert_int_equal(poller_add(&w->k->loop, &w->src, fd), 0);
}

/* Ends the watch, and both ends of the connection. */
static void finish(struct watched *w, const int fd[2])
{
    poller_remove(&w->k->loop, &w->src);
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void what_is_ready_at_first_is_told(void **state)
{
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    assert_int_equal(send(fd[1], "a", 1, 0), 1);
    add(&w, fd[0]);
    KIT_UNTIL(w.k, w.events & POLLER_IN);
    assert_true(w.events & POLLER_OUT);
    assert_false(w.events & (POLLER_HUP | POLLER_ERROR));
    finish(&w, fd);
}

/* Once told, never again until something changes; then again, whether it was read or not. */
static void an_edge_is_told_once(void **state)
{
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    assert_int_equal(send(fd[1], "a", 1, 0), 1);
    add(&w, fd[0]);
    KIT_UNTIL(w.k, w.events & POLLER_IN);
    int before = w.told;
    kit_pass(w.k, 30);
    assert_int_equal(w.told, before);
    assert_int_equal(send(fd[1], "b", 1, 0), 1);
    KIT_UNTIL(w.k, w.told > before);
    finish(&w, fd);
}

static void an_end_of_file_is_a_hangup(void **state)
{
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    add(&w, fd[0]);
    (void)close(fd[1]);
    KIT_UNTIL(w.k, w.events & POLLER_HUP);
    assert_true(w.events & POLLER_IN);
    assert_false(w.events & POLLER_ERROR);
    poller_forget(&w.k->loop, &w.src);
    (void)close(fd[0]);
}

static void a_reset_is_an_error(void **state)
{
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    add(&w, fd[0]);
    sock_close_reset(fd[1]);
    KIT_UNTIL(w.k, w.events & POLLER_ERROR);
    assert_true(w.events & POLLER_IN);
    poller_forget(&w.k->loop, &w.src);
    (void)close(fd[0]);
}

/* A full socket says so once it can be written again. */
static void room_is_told(void **state)
{
    static char block[1 << 16];
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    while (send(fd[0], block, sizeof block, MSG_DONTWAIT) > 0)
        ;
    add(&w, fd[0]);
    kit_pass(w.k, 20);
    assert_false(w.events & POLLER_OUT);
    while (!(w.events & POLLER_OUT)) {
        (void)!recv(fd[1], block, sizeof block, MSG_DONTWAIT);
        kit_turn(w.k);
    }
    finish(&w, fd);
}

/* Both are ready in the same turn: the one the other's handler forgets is not called. */
static void nothing_comes_after_it_was_removed(void **state)
{
    struct watched a = watched(*state), b = watched(*state);
    int fd[2], other[2];
    kit_tcp_pair(fd);
    kit_tcp_pair(other);
    add(&a, fd[0]);
    add(&b, other[0]);
    a.forgets = &b;
    b.forgets = &a;
    KIT_UNTIL(a.k, a.told + b.told > 0);
    kit_pass(a.k, 20);
    assert_int_equal(a.told + b.told, 1);
    poller_remove(&a.k->loop, &a.src);
    poller_remove(&a.k->loop, &b.src);
    for (int i = 0; i < 2; i++) {
        (void)close(fd[i]);
        (void)close(other[i]);
    }
}

/* The descriptor lives on and finds a new owner. */
static void a_removed_socket_can_be_added_again(void **state)
{
    struct watched a = watched(*state), b = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    add(&a, fd[0]);
    poller_remove(&a.k->loop, &a.src);
    poller_remove(&a.k->loop, &a.src); /* harmless */
    add(&b, fd[0]);
    KIT_UNTIL(a.k, b.told > 0);
    assert_int_equal(a.told, 0);
    finish(&b, fd);
}

/* From owner to owner in one step, with what is ready and what is still to come. */
static void a_socket_is_passed_on(void **state)
{
    struct watched a = watched(*state), b = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    add(&a, fd[0]);
    KIT_UNTIL(a.k, a.told > 0);
    int before = a.told;
    assert_int_equal(poller_pass(&a.k->loop, &a.src, &b.src), 0);
    assert_int_equal(a.src.fd, -1);
    assert_int_equal(b.src.fd, fd[0]);
    assert_int_equal(a.k->loop.poller.sources, 1);
    KIT_UNTIL(a.k, b.events & POLLER_OUT); /* as it was: told again */
    assert_false(b.events & POLLER_IN);
    assert_int_equal(send(fd[1], "a", 1, 0), 1);
    KIT_UNTIL(a.k, b.events & POLLER_IN);
    (void)close(fd[1]);
    KIT_UNTIL(a.k, b.events & POLLER_HUP);
    assert_int_equal(a.told, before);
    poller_remove(&b.k->loop, &b.src);
    assert_int_equal(poller_pass(&a.k->loop, &b.src, &a.src), ERR_IO); /* it watches nothing */
    (void)close(fd[0]);
}

/* What had come before is not lost, also if its event was collected and not told. */
static void what_was_ready_is_told_to_the_new_owner(void **state)
{
    struct watched a = watched(*state), b = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    add(&a, fd[0]);
    assert_int_equal(send(fd[1], "a", 1, 0), 1);
    (void)close(fd[1]);
    KIT_UNTIL(a.k, a.events & POLLER_HUP);
    assert_int_equal(poller_pass(&a.k->loop, &a.src, &b.src), 0);
    KIT_UNTIL(a.k, b.events & POLLER_HUP);
    assert_true(b.events & POLLER_IN);
    poller_forget(&b.k->loop, &b.src);
    (void)close(fd[0]);
}

/* More than one batch: each is served in the end. */
static void many_are_all_served(void **state)
{
    enum { MANY = POLLER_BATCH + 40 };
    static struct watched w[MANY];
    struct kit *k = *state;
    int fd[2], n = 0;
    kit_tcp_pair(fd);
    for (; n < MANY; n++) {
        w[n] = watched(k);
        add(&w[n], dup(fd[0]));
    }
    for (int told = 0; told < MANY; kit_turn(k)) {
        told = 0;
        for (int i = 0; i < MANY; i++)
            told += w[i].told > 0;
    }
    for (int i = 0; i < MANY; i++) {
        int copy = w[i].src.fd;
        poller_remove(&k->loop, &w[i].src);
        (void)close(copy);
    }
    (void)close(fd[0]);
    (void)close(fd[1]);
}

/* A source keeps the loop running, its end lets it end. */
static void sources_keep_the_loop_alive(void **state)
{
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    assert_false(uv_loop_alive(&w.k->loop.uv));
    add(&w, fd[0]);
    assert_true(uv_loop_alive(&w.k->loop.uv));
    poller_forget(&w.k->loop, &w.src);
    assert_false(uv_loop_alive(&w.k->loop.uv));
    (void)close(fd[0]);
    (void)close(fd[1]);
}

/* fs.epoll.max_user_watches is used up, which is a limit, not a full disk. */
static void the_limit_of_watches(void **state)
{
    static const struct {
        int errnum, err;
    } rows[] = {{ENOSPC, ERR_LIMIT}, {ENOMEM, ERR_NOMEM}};
    struct watched w = watched(*state);
    int fd[2];
    kit_tcp_pair(fd);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pretended_errno = rows[i].errnum;
        int err = poller_add(&w.k->loop, &w.src, fd[0]);
        pretended_errno = 0;
        assert_int_equal(err, rows[i].err);
        assert_int_equal(w.src.fd, -1);
        assert_false(uv_loop_alive(&w.k->loop.uv));
    }
    add(&w, fd[0]); /* there is room again */
    finish(&w, fd);
}

static void not_a_socket(void **state)
{
    struct watched w = watched(*state);
    assert_int_equal(poller_add(&w.k->loop, &w.src, -1), ERR_IO);
    assert_int_equal(w.src.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_ready_at_first_is_told, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(an_edge_is_told_once, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(an_end_of_file_is_a_hangup, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_reset_is_an_error, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(room_is_told, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(nothing_comes_after_it_was_removed, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(a_removed_socket_can_be_added_again, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(a_socket_is_passed_on, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(what_was_ready_is_told_to_the_new_owner, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(many_are_all_served, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(sources_keep_the_loop_alive, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_limit_of_watches, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(not_a_socket, kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
