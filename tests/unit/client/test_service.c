/* SPDX-License-Identifier: MIT */
/* A service: how many dials at once, in which order, for how long, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stub.h"

enum { DIALS = 256, USERS = DIALS + 44 };

static struct loop loop;
static struct relays relays;
static struct quota quota;
static struct service *service;
static struct smux_stream users[USERS];

static struct destinations *read_target(const char *text)
{
    struct destinations *to;
    struct errmsg why;
    assert_int_equal(destinations_new(text, NULL, &to, &why), 0);
    return to;
}

static void begin_at(const char *target, unsigned dials)
{
    char id[] = "web", name[] = "host:80";
    const struct service_config cfg = {
        .id = id, .name = name, .to = read_target(target), .limits = {dials, SERVICE_DIAL_MS}};
    service = service_new(&loop, &relays, &cfg);
    assert_non_null(service);
    memset(id, 'x', sizeof id - 1);
    memset(name, 'x', sizeof name - 1);
}

static void begin(const char *host, unsigned dials)
{
    char target[64];
    (void)snprintf(target, sizeof target, "%s:80", host);
    begin_at(target, dials);
}

static int setup(void **state)
{
    (void)state;
    stub_reset();
    memset(&relays, 0, sizeof relays);
    memset(users, 0, sizeof users);
    quota_init(&quota, 1000);
    return relays_init(&relays, &loop, &quota);
}

static int teardown(void **state)
{
    (void)state;
    relays_cut_orphans(&relays);
    service_free(service);
    stub_reset();
    return 0;
}

static void serve_one(struct smux_stream *st)
{
    service_serve(service, NULL, st);
    stub_turn();
}

static void serve(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        service_serve(service, NULL, &users[i]);
    stub_turn();
}

static void connected(struct dial *d, uint8_t last)
{
    stub_connected(d, last);
    stub_turn();
}

static void dial_failed(struct dial *d, int err)
{
    stub_dial_failed(d, err);
    stub_turn();
}

static struct relay *relay_of(unsigned user)
{
    for (struct relay *r = stub.relays; r; r = r->next)
        if (r->st == &users[user])
            return r;
    abort();
}

/* Dials that were started, ever. */
static unsigned started(void)
{
    unsigned n = 0;
    for (const struct dial *d = stub.dials; d; d = d->next)
        n++;
    return n;
}

static void a_stream_gets_a_connection_of_its_own(void **state)
{
    (void)state;
    begin("192.0.2.9", DIALS);
    assert_string_equal(service->id, "web");
    assert_string_equal(service->name, "host:80");
    serve(1);
    struct dial *d = stub_dial();
    assert_string_equal(d->host, "192.0.2.9");
    assert_int_equal(d->cfg.port, 80);
    assert_int_equal(d->cfg.patience_ms, SERVICE_DIAL_MS);
    assert_false(d->cfg.renew);
    connected(d, 9);
    assert_true(relay_of(0)->attached);
    assert_int_equal(stub.abortive, 1); /* what is cut is seen as a reset there */
    assert_int_equal(stub.kept, 1);     /* another machine may vanish */
    serve(2);
    assert_int_equal(stub_dials(), 2);
}

static void one_on_this_machine_cannot_vanish(void **state)
{
    (void)state;
    begin("127.0.0.1", DIALS);
    serve(1);
    connected(stub_dial(), 9);
    assert_int_equal(stub.abortive, 1);
    assert_int_equal(stub.kept, 0);
}

static void so_many_are_dialled_at_once(void **state)
{
    (void)state;
    begin("127.0.0.1", DIALS);
    serve(USERS);
    assert_int_equal(stub_dials(), DIALS);
    assert_int_equal(relays.count, USERS);
    for (unsigned n = DIALS; n < USERS; n++) { /* a place that is free is taken */
        connected(stub_dial(), 1);
        assert_int_equal(stub_dials(), DIALS);
        assert_int_equal(started(), n + 1);
    }
    connected(stub_dial(), 1);
    assert_int_equal(stub_dials(), DIALS - 1);
}

/* Users who reset at once leave room for data, and who has left within the turn costs no socket. */
static void so_many_dials_begin_in_a_turn(void **state)
{
    (void)state;
    begin("127.0.0.1", DIALS);
    for (unsigned i = 0; i < USERS; i++)
        service_serve(service, NULL, &users[i]);
    relay_reset(relay_of(0), SMUX_RST_UNSPECIFIED);
    assert_int_equal(started(), 0);
    service->start.run(&service->start);
    assert_int_equal(started(), SERVICE_DIALS_A_TURN);
    assert_int_equal(stub_dials(), SERVICE_DIALS_A_TURN);
    stub_turn();
    assert_int_equal(stub_dials(), DIALS);
}

static void others_wait_in_their_order(void **state)
{
    (void)state;
    begin("127.0.0.1", 2);
    serve(5);
    assert_int_equal(stub_dials(), 2);
    struct dial *second = stub.dials, *first = second->next;
    assert_false(first->is_over);
    dial_failed(first, ERR_REFUSED);
    struct dial *third = stub_dial();
    connected(third, 1);
    assert_true(relay_of(2)->attached);
    connected(second, 1);
    assert_true(relay_of(1)->attached);
    struct dial *fifth = stub.dials, *fourth = fifth->next;
    connected(fifth, 1);
    assert_true(relay_of(4)->attached && !relay_of(3)->attached);
    connected(fourth, 1);
    assert_true(relay_of(3)->attached);
    assert_int_equal(started(), 5);
}

/* The time runs from a stream's opening, also while it waits for its turn. */
static void too_late_is_cut(void **state)
{
    (void)state;
    begin("127.0.0.1", 1);
    serve(4);
    stub.now += SERVICE_DIAL_MS - 1000;
    connected(stub_dial(), 1);
    assert_int_equal(stub_dial()->cfg.patience_ms, 1000);
    stub.now += 1000;
    connected(stub_dial(), 1);
    assert_true(relay_of(1)->attached);
    assert_int_equal(started(), 2);
    for (unsigned i = 2; i < 4; i++) {
        assert_true(relay_of(i)->is_reset);
        assert_int_equal(relay_of(i)->code, SMUX_RST_CONNECT_TIMEOUT);
    }
    assert_int_equal(stub.deepest, 1); /* however many are late */
    serve(1);
    assert_int_equal(started(), 3);
}

static void the_user_hears_why(void **state)
{
    static const struct {
        int err;
        enum smux_reset_code code;
    } rows[] = {
        {ERR_REFUSED, SMUX_RST_CONNECT_REFUSED}, {ERR_TIMEOUT, SMUX_RST_CONNECT_TIMEOUT},
        {ERR_RESET, SMUX_RST_PEER_RESET},        {ERR_LIMIT, SMUX_RST_BUSY},
        {ERR_IO, SMUX_RST_UNSPECIFIED},          {ERR_RESOLVE, SMUX_RST_UNSPECIFIED},
    };
    (void)state;
    begin("127.0.0.1", DIALS);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        serve_one(&users[i]);
        dial_failed(stub_dial(), rows[i].err);
        assert_true(relay_of(i)->is_reset && !relay_of(i)->attached);
        assert_int_equal(relay_of(i)->code, rows[i].code);
    }
    assert_int_equal(relays.count, 0);
}

static void failures_are_one_line_a_second(void **state)
{
    (void)state;
    begin("127.0.0.1", DIALS);
    for (unsigned i = 0; i < 6; i++) { /* at 0, 0.4, 0.8, 1.2, 1.6, 2.0 s */
        serve_one(&users[i]);
        dial_failed(stub_dial(), ERR_REFUSED);
        stub.now += 400;
    }
    assert_int_equal(stub_lines("cannot connect to the local target host:80: connection refused"),
                     2);
}

static void a_user_who_leaves_gives_his_place_on(void **state)
{
    (void)state;
    begin("127.0.0.1", 1);
    serve(3);
    struct dial *first = stub_dial();
    relay_reset(relay_of(1), SMUX_RST_UNSPECIFIED); /* while it waits */
    stub_turn();
    assert_int_equal(started(), 1);
    relay_reset(relay_of(0), SMUX_RST_UNSPECIFIED); /* while it is dialled */
    stub_turn();
    assert_true(first->cancelled);
    assert_int_equal(started(), 2);
    connected(stub_dial(), 1);
    assert_true(relay_of(2)->attached);
}

static void beyond_the_quota_there_is_no_relay(void **state)
{
    (void)state;
    begin("127.0.0.1", DIALS);
    stub.no_relay = true;
    serve(1);
    assert_true(users[0].is_reset && users[0].code == SMUX_RST_BUSY);
    stub.no_relay = false;
    quota_init(&quota, 0);
    serve_one(&users[1]);
    assert_true(users[1].is_reset && users[1].code == SMUX_RST_BUSY);
    assert_int_equal(relays.count + started(), 0);
    assert_int_equal(service->tally->failed, 2);
    assert_int_equal(service->tally->all, 2); /* never fewer than have failed */
}

static void a_dial_that_cannot_begin_takes_no_place(void **state)
{
    (void)state;
    begin("127.0.0.1", 1);
    stub.dial_err = ERR_NOMEM;
    serve(2);
    assert_true(relay_of(0)->is_reset && relay_of(1)->is_reset);
    assert_int_equal(relay_of(0)->code, SMUX_RST_BUSY); /* it is us, not a slow service */
    stub.dial_err = 0;
    serve_one(&users[2]);
    assert_int_equal(stub_dials(), 1);
}

/* ---- several destinations ---- */

static void check_dial(const char *host, int port, mtime_ms patience)
{
    const struct dial *d = stub_dial();
    assert_non_null(d);
    assert_string_equal(d->host, host);
    assert_int_equal(d->cfg.port, port);
    assert_int_equal(d->cfg.patience_ms, patience);
}

static void a_unix_socket(void **state)
{
    (void)state;
    begin_at("unix:/run/web.sock", DIALS);
    serve(1);
    check_dial("/run/web.sock", 0, SERVICE_DIAL_MS);
    assert_string_equal(stub_dial()->cfg.unix_path, "/run/web.sock");
    connected(stub_dial(), 0);
    assert_true(relay_of(0)->attached);
    assert_int_equal(stub.kept, 0); /* it does not vanish */
}

/* Each has its part of the time that is left; the last one has all of it. */
static void the_first_that_answers_is_used(void **state)
{
    (void)state;
    begin_at("10.0.0.1:81,unix:/run/b,localhost:83", DIALS);
    serve(1);
    check_dial("10.0.0.1", 81, SERVICE_DIAL_MS / 3);
    stub.now += 1000;
    dial_failed(stub_dial(), ERR_TIMEOUT);
    check_dial("/run/b", 0, 2000);
    assert_int_equal(service->dialing, 1);
    stub.now += 1500;
    dial_failed(stub_dial(), ERR_NOTFOUND);
    check_dial("localhost", 83, 2500);
    connected(stub_dial(), 9);
    assert_true(relay_of(0)->attached);
    assert_int_equal(stub.kept, 0);
    assert_int_equal(service->dialing, 0);
    assert_int_equal(stub_lines("cannot connect"), 0);
}

static void one_that_vanishes_is_watched(void **state)
{
    (void)state;
    begin_at("unix:/run/a,10.0.0.1:81", DIALS);
    serve(1);
    dial_failed(stub_dial(), ERR_REFUSED);
    connected(stub_dial(), 9);
    assert_int_equal(stub.kept, 1);
}

/* ... and all others round from it, when it fails. */
static void the_next_begin_with_what_worked(void **state)
{
    (void)state;
    begin_at("10.0.0.1:81,10.0.0.2:82,[2001:db8::3]:83", DIALS);
    serve_one(&users[0]);
    dial_failed(stub_dial(), ERR_REFUSED);
    connected(stub_dial(), 2);
    assert_int_equal(stub_lines("local target host:80: connections go to 10.0.0.2:82 now"), 1);
    serve_one(&users[1]);
    check_dial("10.0.0.2", 82, SERVICE_DIAL_MS / 3);
    connected(stub_dial(), 2);
    assert_int_equal(stub_lines("connections go to"), 0);
    stub.now += SERVICE_COMPLAIN_MS;
    serve_one(&users[2]);
    dial_failed(stub_dial(), ERR_REFUSED);
    check_dial("2001:db8::3", 83, SERVICE_DIAL_MS / 2);
    dial_failed(stub_dial(), ERR_REFUSED);
    check_dial("10.0.0.1", 81, SERVICE_DIAL_MS);
    dial_failed(stub_dial(), ERR_TIMEOUT);
    assert_int_equal(relay_of(2)->code, SMUX_RST_CONNECT_TIMEOUT); /* as the last one says */
    assert_int_equal(stub_lines("cannot connect to the local target host:80: none of its addresses "
                                "answers; the last one, timed out"),
                     1);
    serve_one(&users[3]);
    check_dial("10.0.0.2", 82, SERVICE_DIAL_MS / 3); /* none is better */
    dial_failed(stub_dial(), ERR_REFUSED);
    connected(stub_dial(), 3);
    assert_int_equal(stub_lines("connections go to [2001:db8::3]:83 now"), 1);
}

static void a_change_is_one_line_a_second(void **state)
{
    (void)state;
    begin_at("10.0.0.1:81,10.0.0.2:82", DIALS);
    for (unsigned i = 0; i < 5; i++) { /* at 0, 0.4, 0.8, 1.2, 1.6 s */
        serve_one(&users[i]);
        dial_failed(stub_dial(), ERR_REFUSED);
        connected(stub_dial(), 1);
        stub.now += 400;
    }
    assert_int_equal(stub_lines("connections go to"), 2);
    stub.now += SERVICE_COMPLAIN_MS; /* the last of these changes was not said */
    assert_int_equal(service->first, 1);
    serve_one(&users[5]);
    connected(stub_dial(), 1);
    assert_int_equal(stub_lines("connections go to 10.0.0.2:82 now"), 1);
}

/* A shortage of ours is the same everywhere, and so is the end of the time. */
static void what_no_other_destination_mends(void **state)
{
    (void)state;
    begin_at("10.0.0.1:81,10.0.0.2:82", DIALS);
    serve_one(&users[0]);
    dial_failed(stub_dial(), ERR_LIMIT);
    assert_int_equal(relay_of(0)->code, SMUX_RST_BUSY);
    serve_one(&users[1]);
    stub.now += SERVICE_DIAL_MS;
    dial_failed(stub_dial(), ERR_TIMEOUT);
    assert_int_equal(relay_of(1)->code, SMUX_RST_CONNECT_TIMEOUT);
    serve_one(&users[2]);
    stub.dial_err = ERR_NOMEM;
    dial_failed(stub_dial(), ERR_REFUSED);
    assert_true(relay_of(2)->is_reset);
    assert_int_equal(started(), 3);
    assert_int_equal(stub_dials() + service->dialing, 0);
}

static void a_user_who_leaves_between_two(void **state)
{
    (void)state;
    begin_at("10.0.0.1:81,10.0.0.2:82", 1);
    serve(2);
    dial_failed(stub_dial(), ERR_REFUSED);
    struct dial *second = stub_dial();
    relay_reset(relay_of(0), SMUX_RST_UNSPECIFIED);
    stub_turn();
    assert_true(second->cancelled);
    check_dial("10.0.0.1", 81, SERVICE_DIAL_MS / 2); /* the place is the next user's */
    assert_int_equal(service->dialing, 1);
}

/* Who is on his way to the former one finds all of the new one. */
static void another_target_meanwhile(void **state)
{
    (void)state;
    begin_at("10.0.0.1:81,10.0.0.2:82,10.0.0.3:83", DIALS);
    serve(3);
    struct dial *third = stub.dials, *second = third->next, *first = second->next;
    dial_failed(first, ERR_REFUSED);
    dial_failed(second, ERR_REFUSED);
    second = stub_dial();
    service_move(service, strdup("new"), read_target("unix:/a,unix:/b"));
    connected(second, 3); /* the second of the former one says nothing of the new one's */
    assert_true(relay_of(1)->attached);
    assert_int_equal(service->first, 0);
    dial_failed(third, ERR_REFUSED);
    check_dial("/a", 0, SERVICE_DIAL_MS / 2);
    dial_failed(stub_dial(), ERR_REFUSED);
    check_dial("/b", 0, SERVICE_DIAL_MS);
    dial_failed(stub_dial(), ERR_REFUSED);
    assert_int_equal(relay_of(2)->code, SMUX_RST_CONNECT_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_gets_a_connection_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(one_on_this_machine_cannot_vanish, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_are_dialled_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(so_many_dials_begin_in_a_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(others_wait_in_their_order, setup, teardown),
        cmocka_unit_test_setup_teardown(too_late_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(the_user_hears_why, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_are_one_line_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(a_user_who_leaves_gives_his_place_on, setup, teardown),
        cmocka_unit_test_setup_teardown(beyond_the_quota_there_is_no_relay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dial_that_cannot_begin_takes_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_unix_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_that_answers_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_vanishes_is_watched, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_begin_with_what_worked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_change_is_one_line_a_second, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_other_destination_mends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_user_who_leaves_between_two, setup, teardown),
        cmocka_unit_test_setup_teardown(another_target_meanwhile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
