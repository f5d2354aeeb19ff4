/* SPDX-License-Identifier: MIT */
/* The supervisor of uplinks: which one serves, when the next one is opened, how all of it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "app/cli.h"
#include "stub.h"

#define RUN(words, script) assert_int_equal(stub_run(words, script), EXIT_STATUS_OK)

static struct uplink *current(void)
{
    return stub.client->current;
}

static unsigned uplinks(void)
{
    unsigned n = 0;
    list_foreach (node, &stub.client->uplinks)
        n++;
    return n;
}

/* All that keeps the program running is closed. */
static bool is_ending(void)
{
    return stub.client->closing;
}

/* The next wait is drawn from [least, beyond). */
static void expect_wait(mtime_ms least, mtime_ms beyond)
{
    assert_true(stub.armed);
    assert_in_range(stub.wait, least, beyond - 1);
}

/* A session with users whose connection is broken: it stays beside. */
static struct session *broken(uint8_t nonce)
{
    struct session *s = stub_up(nonce);
    s->state = LIFE_DETACHED;
    s->streams = 1;
    return s;
}

/* ---- when it opens ---- */

static void after_an_end(void)
{
    static const struct {
        enum end_reason reason;
        mtime_ms least, beyond;
    } rows[] = {
        {END_PEER, 100, 200},      {END_SILENT, 100, 200},      {END_EXPIRED, 100, 200},
        {END_DRAINED, 100, 200},   {END_REPLACED, 5000, 10000}, {END_AUTH, 5000, 10000},
        {END_REFUSED, 2500, 5000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct session *s = stub_up(1);
        stub.now += BACKOFF_LASTED_MS; /* what was before is forgotten */
        stub_over(s, rows[i].reason);
        assert_null(current());
        expect_wait(rows[i].least, rows[i].beyond);
        stub_wait();
        assert_int_equal(current()->state, UPLINK_DIALLING);
        assert_int_equal(uplinks(), 1);
    }
}

static void an_end_says_how_soon_the_next_one_is_opened(void **state)
{
    (void)state;
    RUN("", after_an_end);
}

static void outage(void)
{
    static const mtime_ms bounds[] = {200, 400, 800, 1600, 2000, 2000};
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        stub_dial_failed(stub_dial(), ERR_REFUSED);
        expect_wait(bounds[i] / 2, bounds[i]);
        stub_wait();
    }
    stub_over(stub_up(1), END_PEER); /* it fell over at once: the waits go on */
    expect_wait(1000, 2000);
    stub_wait();
    struct session *s = stub_up(2);
    stub.now += BACKOFF_LASTED_MS;
    stub_over(s, END_PEER);
    expect_wait(100, 200);
}

static void outage_beside(void)
{
    static const mtime_ms bounds[] = {200, 400, 800, 1000, 1000};
    (void)broken(1);
    stub_beside(stub_session());
    stub_wait();
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) { /* a successor is about to come */
        stub_dial_failed(stub_dial(), ERR_REFUSED);
        expect_wait(bounds[i] / 2, bounds[i]);
        stub_wait();
    }
}

static void waits_grow_until_a_session_lasts(void **state)
{
    (void)state;
    RUN("", outage);
    RUN("", outage_beside);
}

static void refused(const struct hello_answer *refusal, enum end_reason reason)
{
    stub_connected(stub_dial(), 1);
    stub_asks(stub_opening(), 1);
    stub_failed(stub_opening(), reason, refusal);
}

static void refused_from_the_start(void)
{
    refused(NULL, END_REFUSED);
    expect_wait(2500, 5000);
    stub_wait();
    refused(NULL, END_REFUSED);
    expect_wait(5000, 10000);
    stub_wait();
    refused(NULL, END_AUTH);
    expect_wait(10000, 20000);
}

static void refused_what_was_ours(void)
{
    struct session *s = stub_up(1);
    stub.now += BACKOFF_LASTED_MS;
    stub_over(s, END_PEER);
    for (int i = 0; i < 4; i++) { /* the server holds it for a while */
        stub_wait();
        refused(NULL, END_REFUSED);
        expect_wait(2500, 5000);
    }
}

static void refused_by_name(void)
{
    const struct hello_answer taken = {.error = HELLO_ERR_TAKEN};
    refused(&taken, END_REFUSED);
    expect_wait(5000, 10000);
    stub_wait();
    refused(&taken, END_REFUSED);
    expect_wait(5000, 10000);
}

static void a_refusal_is_asked_again_by_what_it_says(void **state)
{
    (void)state;
    RUN("", refused_from_the_start);
    RUN("", refused_what_was_ours);
    RUN("", refused_by_name);
}

static void unknown(void)
{
    stub_over(stub_up(1), END_UNKNOWN);
    expect_wait(0, 1); /* the server is there */
    stub_wait();
    stub_over(stub_up(2), END_UNKNOWN); /* and says so again at once */
    expect_wait(100, 200);
}

static void an_unknown_session_is_replaced_at_once(void **state)
{
    (void)state;
    RUN("", unknown);
}

/* ---- beside ---- */

static void beside(void)
{
    struct session *old = broken(1);
    stub_beside(old);
    assert_null(current());
    expect_wait(0, 1);
    assert_int_equal(stub_dials(), 0); /* not from inside the session's call */
    stub_wait();
    assert_int_equal(uplinks(), 2);
    struct session *next = stub_up(2);
    assert_ptr_equal(current()->session, next);
    stub_beside(old); /* not the one that serves: nothing */
    assert_ptr_equal(current()->session, next);
    assert_false(stub.armed);
    (void)stub_lines("");
    stub_over(old, END_EXPIRED);
    assert_int_equal(stub_lines("the session beside is over: it was not resumed in time"), 1);
    assert_false(stub.armed); /* somebody serves */
    assert_int_equal(uplinks(), 1);
    assert_ptr_equal(current()->session, next);
}

static void beside_again_and_again(void)
{
    stub_beside(broken(1));
    expect_wait(0, 1);
    stub_wait();
    stub_beside(broken(2)); /* a server that says GOAWAY at once each time */
    expect_wait(100, 200);
    stub_wait();
    struct session *s = broken(3);
    stub.now += BACKOFF_LASTED_MS;
    stub_beside(s);
    expect_wait(0, 1);
}

static void one_that_serves_no_more_has_another_beside_it(void **state)
{
    (void)state;
    RUN("", beside);
    RUN("", beside_again_and_again);
}

static void too_many(void)
{
    struct session *all[UPLINKS_MAX + 2];
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = broken((uint8_t)(i + 1));
        assert_in_range(uplinks(), 1, UPLINKS_MAX);
        stub_beside(all[i]);
        unsigned ended = i + 1 < UPLINKS_MAX ? 0 : i + 2 - UPLINKS_MAX;
        for (unsigned k = 0; k <= i; k++) /* the oldest first, one for each that comes */
            assert_int_equal(all[k]->is_over, k < ended);
        stub_wait();
    }
    assert_int_equal(all[0]->reason, END_SHUTDOWN);
}

static void the_oldest_ends_when_there_are_too_many(void **state)
{
    (void)state;
    RUN("", too_many);
}

/* ---- one that is back ---- */

static void comes_back(struct session *s)
{
    s->state = LIFE_UP;
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED}});
}

static void back_while_waiting(void)
{
    struct session *s = broken(1);
    stub_beside(s);
    comes_back(s);
    assert_ptr_equal(current()->session, s);
    assert_false(stub.armed); /* it serves again: no other one is wanted */
    assert_int_equal(s->stops, 0);
    stub_over(s, END_PEER);
    assert_true(stub.armed); /* as any that served */
}

static void back_while_dialling(void)
{
    struct session *s = broken(1);
    stub_beside(s);
    stub_wait();
    struct dial *d = stub_dial();
    comes_back(s);
    assert_true(d->cancelled);
    assert_ptr_equal(current()->session, s);
    assert_int_equal(uplinks(), 1);
    assert_false(stub.armed);
}

static void back_while_opening(void)
{
    struct session *s = broken(1);
    stub_beside(s);
    stub_wait();
    stub_connected(stub_dial(), 1);
    struct opening *o = stub_opening();
    comes_back(s);
    assert_true(o->closed);
    assert_ptr_equal(current()->session, s);
    assert_int_equal(uplinks(), 1);
}

/* Another one serves by now: the old one lets its connections finish. */
static void back_too_late(void)
{
    struct session *s = broken(1);
    stub_beside(s);
    stub_wait();
    struct session *next = stub_up(2);
    assert_int_equal(s->stops, 0); /* it is not back yet */
    comes_back(s);
    assert_int_equal(s->stops, 0); /* not from inside its call */
    expect_wait(0, 1);
    stub_wait();
    assert_int_equal(s->stops, 1);
    assert_int_equal(s->drain_ms, 7000);
    assert_ptr_equal(current()->session, next);
    assert_int_equal(next->stops, 0);
    assert_int_equal(stub_dials(), 0);
    stub_over(s, END_DRAINED);
    assert_ptr_equal(current()->session, next);
}

/* It was back before the other one had its port. */
static void up_beside_one_that_is_back(void)
{
    struct session *s = broken(1);
    stub_beside(s);
    stub_wait();
    stub_connected(stub_dial(), 1);
    stub_asks(stub_opening(), 2);
    s->state = LIFE_UP; /* what it tells comes later in this turn */
    struct session *next = stub_accepted(stub_opening());
    assert_int_equal(s->stops, 1);
    assert_int_equal(next->stops, 0);
}

static void back_but_draining(void)
{
    struct session *s = broken(1);
    s->service = LIFE_DRAINING;
    stub_beside(s);
    comes_back(s);
    assert_null(current());
    expect_wait(0, 1);
}

static void back_while_stopping(void)
{
    struct session *s = broken(1);
    stub_beside(s);
    stub_sigterm();
    s->service = LIFE_SERVING; /* however it stands */
    comes_back(s);
    assert_null(current());
}

static void one_that_is_back_serves_or_drains(void **state)
{
    (void)state;
    RUN("", back_while_waiting);
    RUN("", back_while_dialling);
    RUN("", back_while_opening);
    RUN("-drain 7s", back_too_late);
    RUN("", up_beside_one_that_is_back);
    RUN("", back_but_draining);
    RUN("", back_while_stopping);
}

/* ---- the end, in each state ---- */

static void reach_dialling(void)
{
}

static void reach_opening(void)
{
    stub_connected(stub_dial(), 1);
}

static void reach_asked(void)
{
    reach_opening();
    stub_asks(stub_opening(), 1);
}

static void reach_live(void)
{
    (void)stub_up(1);
}

static void reach_users(void)
{
    stub_up(1)->streams = 2;
}

static void reach_redialling(void)
{
    struct session *s = broken(1);
    s->ops->on_dial(s->ctx, 1000, MTIME_NEVER, false);
}

static void reach_waiting(void)
{
    stub_dial_failed(stub_dial(), ERR_REFUSED);
}

static void reach_at_once(void)
{
    stub_beside(broken(1));
}

static void reach_dialling_beside(void)
{
    reach_at_once();
    stub_wait();
}

static void reach_opening_beside(void)
{
    reach_dialling_beside();
    stub_connected(stub_dial(), 1);
}

static void reach_live_beside(void)
{
    reach_dialling_beside();
    stub_up(2)->streams = 1;
}

static const struct {
    void (*reach)(void);
    unsigned draining; /* sessions that may finish, after the first SIGTERM */
} states[] = {
    {reach_dialling, 0},       {reach_opening, 0},     {reach_asked, 0},
    {reach_live, 0},           {reach_users, 1},       {reach_redialling, 1},
    {reach_waiting, 0},        {reach_at_once, 1},     {reach_dialling_beside, 1},
    {reach_opening_beside, 1}, {reach_live_beside, 2},
};
static size_t state_now;

static void ends_in_this_state(void)
{
    states[state_now].reach();
    stub_sigterm();
    assert_null(current());
    assert_false(stub.armed);
    assert_int_equal(stub_openings(), 0);
    assert_int_equal(uplinks(), states[state_now].draining);
    assert_int_equal(stub_sessions(), states[state_now].draining);
    for (const struct session *s = stub.sessions; s; s = s->next) {
        assert_int_equal(s->stops, 1);
        assert_int_equal(s->drain_ms, 7000);
    }
    assert_int_equal(is_ending(), states[state_now].draining == 0);
    if (is_ending())
        return;
    stub_network_changed(true); /* harmless */
    stub_sigterm();
    assert_true(is_ending());
    assert_int_equal(uplinks(), 0);
}

/* The drain's time is over, or the program is to end without one: the table of signals says end. */
static void ends_when_all_have_finished(void)
{
    states[state_now].reach();
    stub_sigterm();
    for (struct session *s; (s = stub_session());)
        stub_over(s, END_DRAINED);
    assert_true(is_ending());
    assert_false(stub.armed);
}

static void a_stop_ends_every_state(void **state)
{
    (void)state;
    for (state_now = 0; state_now < ARRAY_LEN(states); state_now++) {
        RUN("-drain 7s", ends_in_this_state);
        RUN("-drain 7s", ends_when_all_have_finished);
    }
}

/* A connection that outlives its session has received all, and may deliver it. */
static void relays_finish(void)
{
    struct smux_stream st = {false};
    struct session *s = stub_up(1);
    stub_stream(s, &st);
    stub_connected(stub_dial(), 9);
    stub_sigterm();
    assert_int_equal(stub_lines("1 connection "), 1);
    assert_int_equal(uplinks(), 0);
    assert_false(is_ending());
    stub_relay_over(stub.relays);
    assert_true(is_ending());
}

static void relays_are_cut(void)
{
    struct smux_stream st = {false};
    stub_stream(stub_up(1), &st);
    stub_connected(stub_dial(), 9);
    stub_sigterm();
    stub_sigterm();
    assert_true(is_ending());
    assert_true(stub.relays->is_reset);
}

static void relays_that_dial_are_cut(void)
{
    struct smux_stream st = {false};
    stub_stream(stub_up(1), &st);
    stub_sigterm();
    struct dial *d = stub_dial();
    stub_sigterm();
    assert_true(d->cancelled);
    assert_true(is_ending());
}

static void connections_finish_or_are_cut(void **state)
{
    (void)state;
    RUN("", relays_finish);
    RUN("", relays_are_cut);
    RUN("", relays_that_dial_are_cut);
}

/* ---- start-up ---- */

static void never(void)
{
    fail();
}

static void what_cannot_succeed_does_not_begin(void **state)
{
    (void)state;
    assert_int_equal(stub_run("-server nowhere", never), EXIT_STATUS_FAILED);
    assert_int_equal(stub_lines("-server 'nowhere': "), 1);
    assert_int_equal(stub_run("-local-target 80:80:80", never), EXIT_STATUS_FAILED);
    assert_int_equal(stub_lines("-local-target '80:80:80': "), 1);
    assert_int_equal(stub_run("-remote-port 65536", never), EXIT_STATUS_FAILED);
    assert_int_equal(stub_run("-remote-port -1", never), EXIT_STATUS_FAILED);
    assert_int_equal(stub_lines("-remote-port -1 is not between 0 and 65535"), 1);
}

/* Its own flags are looked at as the grammar is; what the original takes, and cannot use, fails. */
static void a_bad_id_is_an_error_of_the_command_line(void **state)
{
    static const char *const words[] = {"-id a", "-id a -secret short", ""};
    static const struct {
        int err, status[ARRAY_LEN(words)];
    } rows[] = {
        {ERR_INVAL, {EXIT_STATUS_USAGE, EXIT_STATUS_USAGE, EXIT_STATUS_USAGE}},
        {ERR_IO, {EXIT_STATUS_FAILED, EXIT_STATUS_FAILED, EXIT_STATUS_FAILED}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(words); k++) {
            stub_reset();
            stub.identity_err = rows[i].err;
            assert_int_equal(stub_again(words[k], never), rows[i].status[k]);
            assert_int_equal(stub_lines("no id"), 1);
        }
    }
}

static void nothing(void)
{
}

static void an_old_wire_needs_no_id(void **state)
{
    (void)state;
    stub_reset();
    stub.identity_err = ERR_IO;
    assert_int_equal(stub_again("-secret short", nothing), EXIT_STATUS_OK);
}

static void whatever_a_client_needs_may_fail(void **state)
{
    (void)state;
    stub_reset();
    stub.relays_err = ERR_NOMEM;
    assert_int_equal(stub_again("", never), EXIT_STATUS_FAILED);
    stub_reset();
    stub.signals_err = ERR_IO;
    assert_int_equal(stub_again("", never), EXIT_STATUS_FAILED);
    stub_reset();
    stub.dial_err = ERR_NOMEM; /* that is no reason to end */
    assert_int_equal(stub_again("", nothing), EXIT_STATUS_OK);
}

static void a_service(void)
{
    const struct client *c = stub.client;
    const struct service *s = client_service_of(c, &(struct smux_open){0});
    assert_ptr_equal(&s->node, list_first(&c->services));
    assert_string_equal(s->name, "db:5432");
    assert_int_equal(s->to->count, 1);
    assert_string_equal(s->to->at[0].host, "db");
    assert_int_equal(s->to->at[0].port, 5432);
    assert_int_equal(s->limits.dials, 125 /* an eighth of the descriptors */);
    assert_int_equal(s->limits.dial_ms, SERVICE_DIAL_MS);
}

static void a_stream_is_for_its_service(void **state)
{
    (void)state;
    RUN("-local-target db:5432", a_service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_says_how_soon_the_next_one_is_opened),
        cmocka_unit_test(waits_grow_until_a_session_lasts),
        cmocka_unit_test(a_refusal_is_asked_again_by_what_it_says),
        cmocka_unit_test(an_unknown_session_is_replaced_at_once),
        cmocka_unit_test(one_that_serves_no_more_has_another_beside_it),
        cmocka_unit_test(the_oldest_ends_when_there_are_too_many),
        cmocka_unit_test(one_that_is_back_serves_or_drains),
        cmocka_unit_test(a_stop_ends_every_state),
        cmocka_unit_test(connections_finish_or_are_cut),
        cmocka_unit_test(what_cannot_succeed_does_not_begin),
        cmocka_unit_test(a_bad_id_is_an_error_of_the_command_line),
        cmocka_unit_test(an_old_wire_needs_no_id),
        cmocka_unit_test(whatever_a_client_needs_may_fail),
        cmocka_unit_test(a_stream_is_for_its_service),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stub_reset();
    return failed;
}
