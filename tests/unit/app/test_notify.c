/* SPDX-License-Identifier: MIT */
/* What a service manager is told, and what becomes of it when it does not listen. */
#include "app/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/event.h"
#include "base/log.h"

/* A manager's socket in the abstract space, and what it has got last. */
struct manager {
    int fd;
    char name[64];
    char got[4096];
};

static void manager_open(struct manager *m)
{
    static unsigned count;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int n = snprintf(m->name, sizeof m->name, "@gotunnel-test-%d-%u", (int)getpid(), count++);
    memcpy(to.sun_path + 1, m->name + 1, (size_t)n - 1);
    m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(m->fd, (struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", m->name, 1), 0);
}

/* The next datagram, "" without any. */
static const char *manager_get(struct manager *m)
{
    ssize_t n = recv(m->fd, m->got, sizeof m->got - 1, 0);
    m->got[n > 0 ? n : 0] = '\0';
    return m->got;
}

static void manager_close(struct manager *m)
{
    (void)close(m->fd);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

static void without_a_manager_nothing_happens(void **state)
{
    struct notify n;
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_false(notify_is_wanted());
    notify_init(&n);
    notify_status(&n, "%s", "text");
    notify_ready(&n);
    notify_alive(&n);
    notify_stopping(&n, 0);
    notify_end(&n);
    notify_fini(&n);
    assert_int_equal(event_count(EVENT_manager_unreachable), 0);
}

static void each_datagram_has_the_whole_state(void **state)
{
    struct manager m;
    struct notify n;
    (void)state;
    manager_open(&m);
    assert_true(notify_is_wanted());
    notify_init(&n);
    notify_status(&n, "%s", "connecting");
    assert_string_equal(manager_get(&m), "STATUS=connecting\n");
    notify_status(&n, "%s", "connecting");
    assert_string_equal(manager_get(&m), ""); /* nothing new */
    notify_ready(&n);
    assert_string_equal(manager_get(&m), "READY=1\nSTATUS=connecting\n");
    notify_ready(&n);
    assert_string_equal(manager_get(&m), "");
    notify_alive(&n);
    assert_string_equal(manager_get(&m), ""); /* no watchdog */
    notify_stopping(&n, 3000);
    assert_string_equal(manager_get(&m), "READY=1\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=13000000\n"
                                         "STATUS=connecting\n");
    notify_fini(&n);
    manager_close(&m);
}

static void a_status_is_one_line_of_whole_characters(void **state)
{
    struct manager m;
    struct notify n;
    char text[2 * NOTIFY_STATUS_MAX + 1] = "";
    (void)state;
    manager_open(&m);
    notify_init(&n);
    notify_status(&n, "%s", "two\nlines\tREADY=1");
    assert_string_equal(manager_get(&m), "STATUS=two lines READY=1\n");
    for (int i = 0; i < NOTIFY_STATUS_MAX; i++)
        strcat(text, i == 0 ? "a" : "\xc3\xa9");
    notify_status(&n, "%s", text);
    size_t len = strlen(manager_get(&m));
    assert_int_equal(len, strlen("STATUS=\n") + NOTIFY_STATUS_MAX - 1);
    assert_memory_equal(m.got + len - 3, "\xc3\xa9\n", 3);
    notify_status(&n, "a%s", text); /* now the end is in the middle of one */
    len = strlen(manager_get(&m));
    assert_int_equal(len, strlen("STATUS=\n") + NOTIFY_STATUS_MAX - 2);
    assert_memory_equal(m.got + len - 3, "\xc3\xa9\n", 3);
    notify_fini(&n);
    manager_close(&m);
}

static void the_watchdog_is_for_the_process_that_it_names(void **state)
{
    static const struct {
        const char *us, *pid;
        bool wanted;
    } rows[] = {
        {"30000000", NULL, true}, {"30000000", "self", true}, {"30000000", "1", false},
        {"0", NULL, false},       {"", NULL, false},          {"30s", NULL, false},
        {"-5", NULL, false},      {NULL, NULL, false},        {"30000000", "x", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct manager m;
        struct notify n;
        char self[16];
        (void)snprintf(self, sizeof self, "%d", (int)getpid());
        manager_open(&m);
        if (rows[i].us)
            assert_int_equal(setenv("WATCHDOG_USEC", rows[i].us, 1), 0);
        if (rows[i].pid)
            assert_int_equal(
                setenv("WATCHDOG_PID", strcmp(rows[i].pid, "self") ? rows[i].pid : self, 1), 0);
        notify_init(&n);
        notify_alive(&n);
        assert_string_equal(manager_get(&m), rows[i].wanted ? "WATCHDOG=1\n" : "");
        notify_fini(&n);
        manager_close(&m);
    }
}

/* A manager that is re-executed takes nothing for a moment. */
static void what_was_not_taken_is_sent_again(void **state)
{
    struct manager m;
    struct notify n;
    uint64_t lines = event_count(EVENT_manager_unreachable);
    (void)state;
    manager_open(&m);
    notify_init(&n);
    for (int i = 0; i < 10000 && !n.unsent; i++) /* more than its queue holds */
        notify_status(&n, "%d", i);
    assert_true(n.unsent);
    notify_ready(&n);
    notify_alive(&n);
    assert_int_equal(event_count(EVENT_manager_unreachable), lines + 1); /* once */
    while (*manager_get(&m))
        assert_null(strstr(m.got, "READY"));
    notify_alive(&n);
    assert_ptr_equal(strstr(manager_get(&m), "READY=1\nSTATUS="), m.got);
    assert_false(n.unsent);
    notify_fini(&n);
    manager_close(&m);
}

static void an_address_that_cannot_be_is_a_warning(void **state)
{
    char path[200];
    const char *const rows[] = {"vsock:2:1234", "relative", "@", "/", "/none", path};
    uint64_t lines = event_count(EVENT_manager_unreachable);
    (void)state;
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct notify n;
        assert_int_equal(setenv("NOTIFY_SOCKET", rows[i], 1), 0);
        notify_init(&n);
        assert_int_equal(event_count(EVENT_manager_unreachable), lines + i + 1);
        notify_ready(&n);
        notify_fini(&n);
    }
    (void)unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_manager_nothing_happens),
        cmocka_unit_test(each_datagram_has_the_whole_state),
        cmocka_unit_test(a_status_is_one_line_of_whole_characters),
        cmocka_unit_test(the_watchdog_is_for_the_process_that_it_names),
        cmocka_unit_test(what_was_not_taken_is_sent_again),
        cmocka_unit_test(an_address_that_cannot_be_is_a_warning),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
