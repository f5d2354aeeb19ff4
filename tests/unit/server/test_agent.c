/* SPDX-License-Identifier: MIT */
/* One client at its worker: the messages of the main thread, what its opening and its session tell,
 * in any order, and what comes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

/* ---- stubs ---- */

void worker_full(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("full");
}

void worker_agent_gone(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("gone");
}

/* ---- the way to a session ---- */

static struct agent *come(char letter)
{
    struct agent *a = kit_agent(letter, "192.0.2.1:4711");
    agent_init(a);
    kit_run(&a->begin);
    return a;
}

/* The opening tells what the client asks for. */
static void ask(struct agent *a, const char *id, int64_t port)
{
    static struct hello_request open;
    static const uint8_t sid[HELLO_SID_BYTES] = {7};
    struct opening_ask asked = {.is_v2 = true, .port = port, .sid = sid, .open = &open};
    open = (struct hello_request){.take = true};
    (void)strncpy(open.id, id, sizeof open.id - 1);
    a->opening->cfg.ops->on_asked(a, &asked);
}

static struct agent *serve(void)
{
    struct agent *a = come('a');
    ask(a, "nas", 8080);
    kit_run(&a->open_port);
    kit_run(&a->accept);
    assert_ptr_equal(a->session, &kit.session);
    *kit.did = *kit.lines = '\0';
    return a;
}

/* The session is over: told by the loop. */
static void over(struct agent *a, enum end_reason reason)
{
    a->session->ops->on_closed(a, reason, &(struct errmsg){""});
}

/* The main thread has forgotten it. */
static void forget(struct agent *a)
{
    kit_run(&a->forgotten);
    kit_forget(a);
}

static void tell(struct agent *a, struct life_action what)
{
    what.kind = LIFE_TELL;
    a->session->ops->on_tell(a, &what, &(struct errmsg){""});
}

/* ---- what a session's life may put into the log ---- */

static void cut_and_resume(struct agent *a)
{
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_DETACHED, .ms = 60000}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED, .ms = 100}});
}

static void a_client_that_cuts_in_a_loop_fills_no_disk(void **state)
{
    struct agent *a = serve();
    (void)state;
    for (int i = 0; i < 1000; i++)
        cut_and_resume(a);
    assert_int_equal(kit_count(""), LOG_BUDGET_BURST);
    assert_int_equal(kit_count("the connection broke"), LOG_BUDGET_BURST / 2); /* the first ones */
    *kit.lines = '\0';
    kit.now += LOG_BUDGET_EVERY_MS;
    cut_and_resume(a);
    KIT_LINES("[192.0.2.1:4711 nas] 1940 more lines were left out\n"
              "[192.0.2.1:4711 nas] the connection broke: the connection was closed by the other "
              "side; its users wait for up to 60 seconds\n");
    over(a, END_PEER);
    KIT_LINES("[192.0.2.1:4711 nas] 1 more lines were left out\n"
              "[192.0.2.1:4711 nas] session ended: the connection was closed by the other side\n"
              "[192.0.2.1:4711 nas] the smux session is closed, closing the public listener "
              "[::]:8080\n");
    forget(a);
}

/* What a session says once is said, however much was left out before it. */
static void what_is_said_once_needs_no_room(void **state)
{
    struct agent *a = serve();
    (void)state;
    for (int i = 0; i < 100; i++)
        cut_and_resume(a);
    *kit.lines = '\0';
    a->session->streams = 2;
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_MTU}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_IDLE_CUT, .ms = 3000}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_DRAINING, .ms = 29001}});
    KIT_LINES("[192.0.2.1:4711 nas] small packets pass, large ones do not: MTU?\n"
              "[192.0.2.1:4711 nas] something on the way cuts connections that are idle for 3 "
              "seconds\n"
              "[192.0.2.1:4711 nas] stops: 2 connections may finish, for up to 30 seconds\n");
    over(a, END_PEER);
    forget(a);
}

/* What is said again goes to the debug log, and costs nothing here. */
static void repeats_cost_nothing(void **state)
{
    struct agent *a = serve();
    (void)state;
    for (int i = 0; i < 1000; i++)
        tell(a, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED, .again = true}});
    KIT_LINES("");
    cut_and_resume(a);
    assert_int_equal(kit_count(""), 2);
    over(a, END_PEER);
    forget(a);
}

static void users_who_are_not_served_fill_no_disk(void **state)
{
    struct agent *a = serve();
    (void)state;
    kit.stream_err = ERR_LIMIT;
    for (int i = 0; i < 1000; i++)
        kit.listener.ev->on_accept(a, 50, NULL);
    assert_int_equal(kit_count("cannot open a new stream"), LOG_BUDGET_BURST);
    *kit.lines = '\0';
    cut_and_resume(a); /* they take no room from the session's own lines */
    assert_int_equal(kit_count(""), 2);
    over(a, END_PEER);
    assert_int_equal(kit_count("940 more lines were left out"), 1);
    forget(a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, kit_setup)
    const struct CMUnitTest tests[] = {
        T(a_client_that_cuts_in_a_loop_fills_no_disk),
        T(what_is_said_once_needs_no_room),
        T(repeats_cost_nothing),
        T(users_who_are_not_served_fill_no_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
