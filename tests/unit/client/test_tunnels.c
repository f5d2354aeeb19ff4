/* SPDX-License-Identifier: MIT */
/* Tunnels that are opened in the client's session: asked for, answered, lost and asked for again;
 * and which of them a user is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "app/cli.h"
#include "base/log_budget.h"
#include "lines_of_services.h"
#include "unit/lines.h"

#define TWO "-forward web=8080=127.0.0.1:8000 -forward ssh=2222=127.0.0.1:22"
/* ---- asked for ---- */

static void both(void)
{
    stub_connected(stub_dial(), 1);
    stub_asks(stub_opening(), 1);
    expect_said("");
    struct session *s = stub_accepted(stub_opening());
    expect_said(OPEN(1, "web", 8080) OPEN(2, "ssh", 2222)); /* in one flight */
    assert_int_equal(tunnels_open(stub.client), 0);
    (void)stub_lines("");
    assert_true(stub_line(s, OPENED(2, 2222)));
    assert_int_equal(lines_count("the tunnel is up"), 1); /* once for all of them */
    assert_int_equal(stub_lines("tunnel 'ssh': tcp://192.0.2.1:2222 -> 127.0.0.1:22"), 1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_int_equal(lines_count("the tunnel is up"), 0);
    assert_int_equal(stub_lines("tunnel 'web': tcp://192.0.2.1:8080 -> 127.0.0.1:8000"), 1);
    assert_int_equal(tunnels_open(stub.client), 2);
    expect_said("");
    assert_false(stub.tunnels_armed);
    stub_sigusr1();
    assert_int_equal(stub_lines("tunnel 'web': 192.0.2.1:8080 -> 127.0.0.1:8000"), 1);
}

static void all_are_asked_for_at_once(void **state)
{
    (void)state;
    RUN(TWO, both);
}

static void a_cause(void)
{
    struct session *s = stub_up(1);
    *stub.said = '\0';
    (void)stub_lines("");
    assert_true(stub_line(s, OPENED(2, 2222)));
    assert_true(stub_line(s, REFUSED(1, "taken")));
    assert_int_equal(stub_lines("tunnel 'web' is refused: public port 8080: it is in use"), 1);
    expect_said("");
    stub_sigusr1();
    assert_int_equal(stub_lines("tunnel 'web': not open -> 127.0.0.1:8000"), 1);
    stub_tunnels_due();
    expect_said(OPEN(3, "web", 8080));
    assert_true(stub_line(s, REFUSED(3, "taken")));
    assert_int_equal(stub_lines(""), 0); /* it was told */
    stub_tunnels_due();
    expect_said(OPEN(4, "web", 8080));
    assert_true(stub_line(s, REFUSED(4, "limit")));
    assert_int_equal(stub_lines("tunnel 'web' is refused: "), 1); /* another cause */
    stub_tunnels_due();
    expect_said(OPEN(5, "web", 8080));
    assert_true(stub_line(s, OPENED(5, 8080)));
    assert_int_equal(tunnels_open(stub.client), 2);
    assert_false(stub.tunnels_armed);
}

static void a_cause_is_told_once_and_asked_again(void **state)
{
    (void)state;
    RUN(TWO, a_cause);
}

static void closed(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_true(stub_line(s, OPENED(2, 2222)));
    *stub.said = '\0';
    assert_true(stub_line(s, CLOSED(1, "taken")));
    assert_int_equal(stub_lines("tunnel 'web' was closed by the server: it is in use"), 1);
    stub_tunnels_due();
    expect_said(OPEN(3, "web", 8080));
}

static void one_that_the_server_closes_is_asked_for_again(void **state)
{
    (void)state;
    RUN(TWO, closed);
}

/* ---- sessions ---- */

static void lost(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_true(stub_line(s, REFUSED(2, "taken")));
    *stub.said = '\0';
    stub_over(s, END_PEER);
    assert_int_equal(tunnels_open(stub.client), 0);
    assert_false(stub.tunnels_armed); /* there is nobody to ask */
    expect_said("");
    stub_wait();
    s = stub_up(2);
    expect_said(OPEN(3, "web", 8080) OPEN(4, "ssh", 2222));
    (void)stub_lines("");
    assert_true(stub_line(s, OPENED(3, 8080)));
    assert_true(stub_line(s, OPENED(4, 2222)));
    assert_int_equal(lines_count("the tunnel is up"), 1); /* of this session */
    assert_int_equal(tunnels_open(stub.client), 2);
}

static void a_new_session_is_asked_for_all(void **state)
{
    (void)state;
    RUN(TWO, lost);
}

/* The server stops: its session ends beside the next one. */
static void beside(void)
{
    struct session *old = stub_up(1);
    assert_true(stub_line(old, OPENED(1, 8080)));
    assert_true(stub_line(old, OPENED(2, 2222)));
    old->streams = 1;
    old->service = LIFE_DRAINING;
    stub_beside(old);
    assert_int_equal(tunnels_open(stub.client), 0);
    *stub.said = '\0';
    assert_true(stub_line(old, CLOSED(1, "shutdown")));
    stub_wait();
    struct session *s = stub_up(2);
    expect_said(OPEN(3, "web", 8080) OPEN(4, "ssh", 2222));
    assert_true(stub_line(s, OPENED(3, 8080)));
    (void)stub_lines("");
    assert_true(stub_line(old, CLOSED(2, "shutdown")));
    assert_true(stub_line(old, OPENED(3, 9999))); /* of a session that asks for nothing */
    assert_int_equal(stub_lines(""), 0);
    assert_int_equal(tunnels_open(stub.client), 1);
    assert_true(stub_line(old, "{\"op\":\"notice\",\"message\":\"at last\"}"));
    assert_int_equal(stub_lines("the server says: at last"), 1);
    assert_false(stub_line(old, "{\"op\":\"opened\"}"));
    assert_true(old->is_over && old->reason == END_PROTOCOL);
    assert_false(s->closed);
}

static void lines_of_one_beside_change_nothing(void **state)
{
    (void)state;
    RUN(TWO, beside);
}

/* It is given up for new users, and is back before another one serves them: its tunnels are there. */
static void back(void)
{
    struct smux_stream st = {0};
    struct session *s = stub_up(1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_true(stub_line(s, OPENED(2, 2222)));
    *stub.said = '\0';
    s->state = LIFE_DETACHED;
    s->streams = 1;
    stub_beside(s);
    stub_wait();
    assert_int_equal(stub_dials(), 1);
    s->state = LIFE_UP;
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED}});
    assert_ptr_equal(stub.client->current->session, s);
    assert_int_equal(stub_dials(), 0);
    assert_int_equal(tunnels_open(stub.client), 2);
    expect_said(""); /* nothing is asked for again */
    assert_true(stub_line(s, CLOSED(2, "taken")));
    assert_int_equal(tunnels_open(stub.client), 1);
    stub_stream_for(s, &st, 1);
    assert_int_equal(stub_dial()->cfg.port, 8000);
}

/* Another one serves: whose tunnels they were is asked for nothing. */
static void back_too_late(void)
{
    struct session *old = stub_up(1);
    assert_true(stub_line(old, OPENED(1, 8080)));
    old->state = LIFE_DETACHED;
    old->streams = 1;
    stub_beside(old);
    stub_wait();
    struct session *s = stub_up(2);
    *stub.said = '\0';
    assert_true(stub_line(s, OPENED(3, 8080)));
    old->state = LIFE_UP;
    stub_tell(old, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED}});
    stub_wait();
    assert_int_equal(old->stops, 1);
    assert_true(stub_line(old, OPENED(2, 2222)));
    assert_int_equal(tunnels_open(stub.client), 1);
    stub_over(s, END_PEER); /* and so is nothing when that is over */
    assert_int_equal(tunnels_open(stub.client), 0);
    assert_true(stub_line(old, CLOSED(1, "taken")));
    assert_null(stub.client->asked);
    expect_said("");
}

static void one_that_is_back_has_its_tunnels(void **state)
{
    (void)state;
    RUN(TWO, back);
    RUN(TWO, back_too_late);
}

static void drains(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, REFUSED(1, "taken")));
    s->streams = 1;
    stub_sigterm();
    assert_false(stub.tunnels_armed);
    assert_true(stub_line(s, OPENED(2, 2222))); /* has crossed the GOAWAY */
    assert_int_equal(tunnels_open(stub.client), 0);
}

static void a_client_that_stops_asks_for_nothing(void **state)
{
    (void)state;
    RUN(TWO, drains);
}

/* ---- lines ---- */

static void lines(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, "{\"op\":\"rename\",\"svc\":1}"));
    assert_int_equal(stub.useless, 1);
    (void)stub_lines("");
    assert_true(stub_line(s, "{\"op\":\"notice\",\"message\":\"a\\u001b[2Jb\"}"));
    assert_int_equal(stub_lines("\033"), 0); /* it is for a terminal */
    assert_false(s->closed);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_false(stub_line(s, OPENED(1, 8080))); /* twice */
    assert_true(s->is_over && s->reason == END_PROTOCOL);
}

static void a_bad_line_ends_the_session(void **state)
{
    (void)state;
    RUN(TWO, lines);
}

static void notices(void)
{
    struct session *s = stub_up(1);
    (void)stub_lines("");
    for (int i = 0; i < 100 * LOG_BUDGET_BURST; i++)
        assert_true(stub_line(s, "{\"op\":\"notice\",\"message\":\"hello\"}"));
    assert_int_equal(stub_lines(""), LOG_BUDGET_BURST);
    stub.now += LOG_BUDGET_EVERY_MS;
    assert_true(stub_line(s, "{\"op\":\"notice\",\"message\":\"hello\"}"));
    assert_int_equal(lines_count("the server says: hello"), 1);
    assert_int_equal(stub_lines("5940 more lines were left out"), 1);
    assert_false(s->closed);
}

static void a_server_that_talks_in_a_loop_fills_no_disk(void **state)
{
    (void)state;
    RUN(TWO, notices);
}

static void mute(void)
{
    stub.say_err = ERR_NOMEM;
    struct session *s = stub_up(1);
    assert_true(s->is_over && s->reason == END_LOCAL);
    stub.say_err = 0;
}

static void what_cannot_be_said_ends_the_session(void **state)
{
    (void)state;
    RUN(TWO, mute);
}

/* ---- users ---- */

static void users(void)
{
    struct smux_stream st[4] = {0};
    struct session *s = stub_up(1);
    stub_stream_for(s, &st[0], 2); /* may come ahead of opened */
    assert_int_equal(stub_dial()->cfg.port, 22);
    stub_connected(stub_dial(), 1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    stub_stream_for(s, &st[1], 1);
    assert_int_equal(stub_dial()->cfg.port, 8000);
    stub_connected(stub_dial(), 1);
    assert_false(st[0].is_reset || st[1].is_reset);
    stub_stream_for(s, &st[2], 3);
    assert_true(st[2].is_reset);
    assert_int_equal(st[2].code, SMUX_RST_NO_SERVICE);
    assert_int_equal(st[2].code, 8);
    assert_int_equal(stub_dials(), 0);
    s->streams = 2;
    stub_sigterm();
    stub_stream_for(s, &st[3], 1);
    assert_int_equal(st[3].code, SMUX_RST_SHUTDOWN);
}

static void a_user_gets_to_the_target_of_his_tunnel(void **state)
{
    (void)state;
    RUN(TWO, users);
}

/* ---- an old server ---- */

static void old_server(void)
{
    struct smux_stream st = {0};
    stub.is_old_server = true;
    stub_connected(stub_dial(), 1);
    assert_int_equal(stub_opening()->cfg.port, 8080);
    stub_asks(stub_opening(), 1);
    (void)stub_lines("");
    struct session *s = stub_accepted(stub_opening());
    expect_said("");
    unsigned unserved = lines_count("the server carries one TCP tunnel only");
    assert_int_equal(unserved, 1);
    assert_int_equal(lines_count("tunnel 'ssh': the server carries one"), 1);
    assert_int_equal(stub_lines("public port 8080 of 192.0.2.1 -> local target 127.0.0.1:8000"), 1);
    stub_stream(s, &st);
    assert_int_equal(stub_dial()->cfg.port, 8000);
}

static void an_old_server_serves_the_first(void **state)
{
    (void)state;
    RUN(TWO, old_server);
}

/* ---- -once ---- */

static void all_refused(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, REFUSED(1, "taken")));
    assert_false(s->closed);
    assert_true(stub_line(s, REFUSED(2, "taken")));
    assert_true(s->is_over);
    assert_int_equal(stub_lines("allow no other: exit status 77"), 1);
}

static void one_refused(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_true(stub_line(s, REFUSED(2, "taken")));
    assert_false(s->closed);
    assert_true(stub_line(s, CLOSED(1, "taken"))); /* it had its tunnel */
    stub_tunnels_due();
    assert_true(stub_line(s, REFUSED(3, "taken")));
    stub_tunnels_due();
    assert_true(stub_line(s, REFUSED(4, "taken")));
    assert_false(s->closed);
}

static void without_once(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, REFUSED(1, "taken")));
    assert_true(stub_line(s, REFUSED(2, "taken")));
    assert_false(s->closed);
}

static void once_ends_when_all_are_refused(void **state)
{
    (void)state;
    assert_int_equal(stub_run("-once " TWO, all_refused), EXIT_STATUS_REJECTED);
    RUN("-once " TWO, one_refused);
    RUN(TWO, without_once);
}

/* ---- a client with one tunnel, without a name ---- */

#define SOLE "-remote-port 8080 -local-target 127.0.0.1:8000"

static struct session *up_and_mute(void)
{
    stub.is_mute = true;
    return stub_up(1);
}

static void sole(void)
{
    struct session *s = up_and_mute();
    expect_said(OPEN(1, "8080", 8080));
    assert_int_equal(stub_lines("the tunnel is up"), 0); /* nobody is served */
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_int_equal(lines_count("the tunnel is up"), 1);
    assert_int_equal(lines_count("the server listens on [::]:8080, ready to forward"), 1);
    assert_int_equal(lines_count("public port 8080 of 192.0.2.1 -> local target 127.0.0.1:8000"),
                     1);
    assert_int_equal(lines_count("tunnel '8080'"), 0);
    assert_int_equal(stub_lines("accepting streams and forwarding"), 1);
}

/* Who has typed the command himself reads the address last, and for one tunnel. */
static void public_address(void)
{
    struct session *s = up_and_mute();
    (void)stub_lines("");
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_int_equal(stub_lines("public address: tcp://192.0.2.1:8080 -> 127.0.0.1:8000"),
                     stub.has_join);
}

static void no_public_address(void)
{
    struct session *s = stub_up(1);
    assert_true(stub_line(s, OPENED(1, 8080)));
    assert_int_equal(stub_lines("public address: "), 0); /* each line has its own */
}

static void run_joined(const char *words, void (*run)(void))
{
    stub_reset();
    stub.has_join = true;
    assert_int_equal(stub_again(words, run), EXIT_STATUS_OK);
}

static void a_client_that_has_joined_says_where_it_is(void **state)
{
    (void)state;
    RUN(SOLE, public_address);
    run_joined(SOLE, public_address);
    run_joined(TWO, no_public_address);
}

static void any_port(void)
{
    (void)up_and_mute();
    expect_said(OPEN(1, "any-1", 0));
}

static void sole_refused(void)
{
    struct session *s = up_and_mute();
    (void)stub_lines("");
    *stub.said = '\0';
    assert_true(
        stub_line(s, "{\"op\":\"refused\",\"svc\":1,\"error\":\"taken\",\"by\":\"192.0.2.7:1\"}"));
    assert_int_equal(
        lines_count(
            "the server refused to forward the port: public port 8080 is in use by a client with "
            "another id (192.0.2.7:1)"),
        1);
    assert_int_equal(stub_lines("retrying in"), 1);
    assert_non_null(strstr(stub.client->trouble.text, "another id"));
    stub_tunnels_due();
    expect_said(OPEN(2, "8080", 8080)); /* in the same session */
    assert_true(stub_line(s, REFUSED(2, "taken")));
    assert_int_equal(stub_lines(""), 0); /* it was told */
    stub_tunnels_due();
    assert_true(stub_line(s, REFUSED(3, "limit")));
    assert_int_equal(stub_lines("public port 8080: the server has no room for more tunnels"), 1);
    stub_tunnels_due();
    assert_true(stub_line(s, OPENED(4, 8080)));
    assert_int_equal(stub_lines("the tunnel is up"), 1);
    assert_string_equal(stub.client->trouble.text, "");
}

static void sole_closed(void)
{
    struct session *s = stub_up(1);
    (void)stub_lines("");
    *stub.said = '\0';
    assert_true(stub_line(s, CLOSED(1, "taken")));
    assert_int_equal(stub_lines("public port 8080 was given to another client"), 1);
    stub_tunnels_due();
    expect_said(OPEN(2, "8080", 8080));
    assert_true(stub_line(s, OPENED(2, 8080)));
    assert_int_equal(stub_lines("the server listens on"), 1);
    assert_true(stub_line(s, CLOSED(2, "right")));
    assert_int_equal(
        stub_lines("public port 8080 was closed by the server: not in the server's -allow-ports"),
        1);
}

static void the_only_tunnel_is_one_of_the_session(void **state)
{
    (void)state;
    RUN(SOLE, sole);
    RUN("-remote-port 0", any_port);
    RUN(SOLE, sole_refused);
    RUN(SOLE, sole_closed);
}

static void sole_refused_once(void)
{
    struct session *s = up_and_mute();
    assert_true(stub_line(s, REFUSED(1, "taken")));
    assert_true(s->is_over);
    assert_int_equal(lines_count("retrying in"), 0);
    assert_int_equal(stub_lines("allow no other: exit status 77"), 1);
}

/* The session was up; its tunnel was not. */
static void sole_lost_once(void)
{
    stub_over(up_and_mute(), END_PEER);
    assert_true(stub.client->ended);
}

static void sole_was_open(void)
{
    stub_over(stub_up(1), END_PEER);
    assert_true(stub.armed);
}

static void once_ends_where_the_only_tunnel_was_never_open(void **state)
{
    (void)state;
    assert_int_equal(stub_run("-once " SOLE, sole_refused_once), EXIT_STATUS_REJECTED);
    assert_int_equal(stub_run("-once " SOLE, sole_lost_once), EXIT_STATUS_UNREACHABLE);
    RUN("-once " SOLE, sole_was_open);
}

/* ---- the service manager ---- */

#define STATUS_SERVER "server 192.0.2.1:7000, "

static void status_of_two(void)
{
    struct session *s = up_and_mute();
    assert_string_equal(stub.status, STATUS_SERVER "tunnels open: 0 of 2: up, 0 connections");
    assert_true(stub_line(s, OPENED(2, 2222)));
    assert_string_equal(stub.status, STATUS_SERVER "tunnels open: 1 of 2: up, 0 connections");
    assert_true(stub_line(s, CLOSED(2, "taken")));
    assert_string_equal(stub.status, STATUS_SERVER "tunnels open: 0 of 2: up, 0 connections");
    stub_over(s, END_PEER);
    assert_non_null(strstr(stub.status, "no tunnel: "));
}

static void status_of_one(void)
{
    struct session *s = up_and_mute();
    assert_string_equal(stub.status, "connecting to 192.0.2.1:7000"); /* nobody is served */
    assert_true(stub_line(s, REFUSED(1, "taken")));
    assert_non_null(strstr(stub.status, "the server refuses ("));
    stub_tunnels_due();
    assert_true(stub_line(s, OPENED(2, 8080)));
    assert_string_equal(stub.status, STATUS_SERVER "public port 8080: up, 0 connections");
}

static void status_at_an_old_server(void)
{
    stub.is_old_server = true;
    (void)stub_up(1);
    assert_string_equal(stub.status, STATUS_SERVER "public port 8080: up, 0 connections");
}

static void the_manager_hears_of_each_change(void **state)
{
    (void)state;
    RUN(TWO, status_of_two);
    RUN(SOLE, status_of_one);
    RUN(SOLE, status_at_an_old_server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_asked_for_at_once),
        cmocka_unit_test(a_cause_is_told_once_and_asked_again),
        cmocka_unit_test(one_that_the_server_closes_is_asked_for_again),
        cmocka_unit_test(a_new_session_is_asked_for_all),
        cmocka_unit_test(lines_of_one_beside_change_nothing),
        cmocka_unit_test(one_that_is_back_has_its_tunnels),
        cmocka_unit_test(a_client_that_stops_asks_for_nothing),
        cmocka_unit_test(a_bad_line_ends_the_session),
        cmocka_unit_test(a_server_that_talks_in_a_loop_fills_no_disk),
        cmocka_unit_test(what_cannot_be_said_ends_the_session),
        cmocka_unit_test(a_user_gets_to_the_target_of_his_tunnel),
        cmocka_unit_test(an_old_server_serves_the_first),
        cmocka_unit_test(once_ends_when_all_are_refused),
        cmocka_unit_test(the_only_tunnel_is_one_of_the_session),
        cmocka_unit_test(once_ends_where_the_only_tunnel_was_never_open),
        cmocka_unit_test(a_client_that_has_joined_says_where_it_is),
        cmocka_unit_test(the_manager_hears_of_each_change),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stub_reset();
    return failed;
}
