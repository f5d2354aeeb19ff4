/* SPDX-License-Identifier: MIT */
/* A public port: what becomes of users who come, and when the port is closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "kit.h"
#include "proto/hash.h"

static bool silent; /* the answer of agent_may_tell() is no */

/* ---- stubs ---- */

void worker_full(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("full");
}

bool agent_may_tell(const struct agent *who, enum told_kind kind)
{
    assert_non_null(who);
    assert_int_equal(kind, TOLD_USERS);
    return !silent;
}

/* ---- the bench ---- */

static struct agent *a;

static int setup(void **state)
{
    (void)kit_setup(state);
    silent = false;
    a = kit_agent('a', "192.0.2.1:4711");
    endpoints_init(a);
    a->work.tally = tally_new(0);
    assert_non_null(a->work.tally);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_forget(a);
    tally_give(a->work.tally);
    free(a);
    return 0;
}

/* Listens, with a session. */
static void open_port(void)
{
    struct errmsg why;
    assert_int_equal(endpoint_open(&a->work.endpoint, 8080, &why), 0);
    KIT_DID("listen:8080 ");
    a->work.session = &kit.session;
}

/* A user is accepted. */
static void user(int fd)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    kit.listener.ev->on_accept(kit.listener.ctx, fd, (struct sockaddr *)&from);
}

/* ---- who is served ---- */

static void users_wait_until_they_are_admitted(void **state)
{
    (void)state;
    open_port();
    assert_true(kit.listener.cfg.for_users);
    assert_int_equal(kit.listener.cfg.unsent_max, UNSENT_FIRST);
    assert_false(kit.unsent_bound);
    assert_true(kit.listener.paused); /* the client does not know of its port yet */
    endpoints_users(a, SESSION_USERS_ADMIT);
    assert_false(kit.listener.paused);
    user(50);
    KIT_DID("stream relay:50 ");
    assert_int_equal(kit.source, hash_text("0.0.0.0"));
    assert_true(kit.unsent_bound);
    KIT_LINES("");
}

static void users_are_held(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    endpoints_users(a, SESSION_USERS_HOLD);
    assert_true(kit.listener.paused);
    user(50); /* accepted before: the stream waits with the session */
    KIT_DID("stream relay:50 ");
    endpoints_users(a, SESSION_USERS_ADMIT);
    assert_false(kit.listener.paused);
}

static void users_are_refused(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_HOLD);
    endpoints_users(a, SESSION_USERS_REFUSE);
    assert_false(kit.listener.paused); /* who has waited is told so */
    user(50);
    KIT_DID("reset:50 ");
    endpoints_users(a, SESSION_USERS_ADMIT);
    user(51);
    KIT_DID("stream relay:51 ");
}

static void without_a_session_nobody_is_served(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    a->work.session = NULL;
    user(50);
    KIT_DID("reset:50 ");
}

static void who_cannot_be_served_is_reset(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    kit.stream_err = ERR_LIMIT;
    user(50);
    KIT_DID("stream reset:50 ");
    assert_int_equal(kit_count("[192.0.2.1:4711] cannot open a new stream"), 1);
    kit.stream_err = 0;
    kit.no_relay = true;
    user(51);
    KIT_DID("stream stream-close reset:51 "); /* the stream is nobody's */
    assert_int_equal(kit_count(err_text(ERR_NOMEM)), 1);
    *kit.lines = '\0';
    silent = true;
    user(52);
    KIT_LINES("");
    KIT_DID("stream stream-close reset:52 ");
}

/* ---- the quota ---- */

static void the_last_one_closes_the_door(void **state)
{
    (void)state;
    quota_init(&kit.srv.connections, 2);
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    user(50);
    KIT_DID("stream relay:50 ");
    user(51);
    KIT_DID("stream relay:51 full ");
}

static bool may_come(uint32_t of_client, uint32_t of_source)
{
    kit.session.streams = of_client;
    quota_init(&kit.crowd.users, UINT32_MAX);
    while (quota_used(&kit.crowd.users) < of_source)
        quota_take(&kit.crowd.users);
    mtime_ms wait = kit.listener.ev->wait_before(kit.listener.ctx);
    assert_true(wait == 0 || wait == LISTENER_PAUSE_MS);
    return wait == 0;
}

/* Of 100 connections 12 are left to who has fewer than 3. */
static void one_client_leaves_users_to_others(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    assert_true(may_come(0, 0));
    while (quota_used(&kit.srv.connections) < 88)
        quota_take(&kit.srv.connections);
    assert_true(may_come(2, 2));
    KIT_LINES("");
    assert_false(may_come(88, 88));
    assert_int_equal(kit_count("[192.0.2.1:4711] has 88 connections, and all clients of its "
                               "source 88: some are left to others"),
                     1);
    *kit.lines = '\0';
    assert_false(may_come(2, 88)); /* by its other sessions */
    KIT_LINES("");                 /* once a minute */
    kit.now += TELL_FULL_MS;
    assert_false(may_come(3, 3));
    assert_int_equal(kit_count("has 3 connections"), 1);
    (void)quota_give(&kit.srv.connections);
    assert_true(may_come(87, 87));
    while (!quota_is_full(&kit.srv.connections))
        quota_take(&kit.srv.connections);
    assert_false(may_come(0, 0));
    endpoints_users(a, SESSION_USERS_REFUSE);
    assert_true(may_come(88, 88)); /* nothing is kept of them */
}

static mtime_ms wait_of_users(void)
{
    return kit.listener.ev->wait_before(kit.listener.ctx);
}

/* 50 a second: 5 at once after a rest, then one each 20 ms, and never more than 55 in a second. */
static void a_client_has_so_many_new_users_a_second(void **state)
{
    (void)state;
    kit.opt.client_rate = 50;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wait_of_users(), 0);
        user(50 + i);
    }
    assert_int_equal(wait_of_users(), 20);
    KIT_LINES(""); /* nobody waits */
    kit.listener.has_waiting = true;
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_of_users(), 20); /* asking costs nothing */
    KIT_LINES("[192.0.2.1:4711] more users come than -client-rate allows (50/s): its new users "
              "wait\n");
    unsigned came = 5;
    mtime_ms begin = kit.now;
    for (mtime_ms wait; (wait = wait_of_users()) + kit.now < begin + 1000;) {
        kit.now += wait;
        assert_int_equal(wait_of_users(), 0);
        user(60);
        *kit.did = '\0';
        came++;
    }
    assert_int_equal(came, 54); /* one each 20 ms */
    KIT_LINES("");              /* told once a minute */
    kit.now += TELL_FULL_MS;
    for (int i = 0; i < 5; i++)
        user(70);
    assert_int_equal(wait_of_users(), 20);
    assert_int_equal(kit_count("-client-rate"), 1);
    endpoints_users(a, SESSION_USERS_REFUSE);
    assert_int_equal(wait_of_users(), 0); /* nothing is kept of them */
}

static void a_rate_below_ten_has_one_at_once(void **state)
{
    (void)state;
    kit.opt.client_rate = 3;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    assert_int_equal(wait_of_users(), 0);
    user(50);
    assert_int_equal(wait_of_users(), 334);
    kit.opt.client_rate = 0; /* no limit */
    for (int i = 0; i < 20; i++) {
        user(51);
        *kit.did = '\0';
    }
    assert_int_equal(wait_of_users(), 0);
}

static void a_full_worker_lets_users_wait(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_ADMIT);
    endpoints_pause(a, true);
    assert_true(kit.listener.paused);
    endpoints_pause(a, false);
    assert_false(kit.listener.paused);
}

/* Two reasons to wait: both have to end. */
static void room_does_not_admit_who_is_held(void **state)
{
    (void)state;
    open_port();
    endpoints_users(a, SESSION_USERS_HOLD);
    endpoints_pause(a, true);
    endpoints_pause(a, false);
    assert_true(kit.listener.paused);
    kit.worker.full = true;
    endpoints_users(a, SESSION_USERS_ADMIT);
    assert_true(kit.listener.paused);
    endpoints_users(a, SESSION_USERS_REFUSE);
    assert_true(kit.listener.paused); /* to refuse one takes a descriptor too */
    kit.worker.full = false;
    endpoints_pause(a, false);
    assert_false(kit.listener.paused);
}

/* ---- the port ---- */

static void the_port_is_free_when_it_is_closed(void **state)
{
    (void)state;
    open_port();
    endpoint_close(&a->work.endpoint);
    KIT_DID("unlisten ");
    assert_true(kit.listener.closed);
    assert_null(a->work.endpoint.listener);
    endpoint_close(&a->work.endpoint); /* harmless, and so is what comes late */
    endpoints_users(a, SESSION_USERS_ADMIT);
    endpoints_pause(a, true);
    KIT_DID("");
}

static void it_listens_where_it_is_told(void **state)
{
    (void)state;
    (void)strcpy(kit.srv.public_host, "192.0.2.200");
    open_port();
    assert_string_equal(kit.listener.cfg.host, "192.0.2.200");
    assert_int_equal(kit.listener.cfg.port, 8080);
}

static void a_port_that_cannot_be_had(void **state)
{
    struct errmsg why = {""};
    (void)state;
    kit.listen_err = ERR_INUSE;
    assert_int_equal(endpoint_open(&a->work.endpoint, 8080, &why), ERR_INUSE);
    assert_string_equal(why.text, "stub");
    assert_null(a->work.endpoint.listener);
    endpoint_close(&a->work.endpoint);
    KIT_DID("listen:8080 ");
}

static void a_pause_is_told(void **state)
{
    (void)state;
    open_port();
    kit.listener.ev->on_pause(kit.listener.ctx, ERR_LIMIT);
    assert_int_equal(kit_count("[192.0.2.1:4711] accepting public connections pauses: "), 1);
    assert_int_equal(kit_count(err_text(ERR_LIMIT)), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(users_wait_until_they_are_admitted),
        T(users_are_held),
        T(users_are_refused),
        T(without_a_session_nobody_is_served),
        T(who_cannot_be_served_is_reset),
        T(the_last_one_closes_the_door),
        T(one_client_leaves_users_to_others),
        T(a_client_has_so_many_new_users_a_second),
        T(a_rate_below_ten_has_one_at_once),
        T(a_full_worker_lets_users_wait),
        T(room_does_not_admit_who_is_held),
        T(the_port_is_free_when_it_is_closed),
        T(it_listens_where_it_is_told),
        T(a_port_that_cannot_be_had),
        T(a_pause_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
