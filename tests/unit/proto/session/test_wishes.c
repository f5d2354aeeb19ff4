/* SPDX-License-Identifier: MIT */
/* What a client wants of its server: each transition, and what may not come. */
#include "proto/session/wishes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "said.h"

/* ---- a client ---- */

static struct wishes ws;
static struct wish a, b, c, d;
static mtime_ms now;

static void want(struct wish *w, const char *name, int32_t port)
{
    *w = (struct wish){.wanted = {.kind = SERVICE_KIND_TCP, .port = port, .ready = true}};
    (void)snprintf(w->wanted.name, sizeof w->wanted.name, "%s", name);
}

static int start(void **state)
{
    (void)state;
    now = 1000;
    wishes_init(&ws, 3, 60000, 1);
    want(&a, "a", 1);
    want(&b, "b", 2);
    want(&c, "c", 3);
    want(&d, "d", 4);
    return 0;
}

static void say_action(const struct wish_action *act)
{
    static const char *const tells[] = {"opened", "refused", "closed"};
    const char *name = act->wish->wanted.name;
    switch (act->kind) {
    case WISH_TELL:
        say("%s is %s%s; ", name, tells[act->tell], act->again ? " again" : "");
        break;
    case WISH_FREE:
        say("free %s; ", name);
        break;
    case WISH_SEND:
        say("%s %u", service_op_word(act->line.op), (unsigned)act->line.svc);
        if (act->line.op == SERVICE_OPEN)
            say(" %s %d", act->line.wanted.name, (int)act->line.wanted.port);
        else if (act->line.op == SERVICE_CLOSE)
            say(" %u", (unsigned)act->line.drain_ms);
        else
            say(" %d %d", act->line.change.has_ready, act->line.change.ready);
        say("; ");
    }
}

/* All that is to be done now, as a text. */
static const char *pulled(void)
{
    struct wish_action act;
    *said = '\0';
    while (wishes_next(&ws, &act))
        say_action(&act);
    return said;
}

static int line(enum service_op op, uint32_t svc, enum service_error error)
{
    struct service_line l = {.op = op, .svc = svc};
    if (op == SERVICE_OPENED) {
        const struct wish *w = wishes_find(&ws, svc);
        l.opened.port = w && w->wanted.port > 0 ? w->wanted.port : 80;
        strcpy(l.opened.address, "[::]:80");
    } else {
        l.why.error = error;
    }
    return wishes_line(&ws, &l, now);
}

static void opened(uint32_t svc)
{
    assert_int_equal(line(SERVICE_OPENED, svc, 0), 0);
}

static void refused(uint32_t svc, enum service_error error)
{
    assert_int_equal(line(SERVICE_REFUSED, svc, error), 0);
}

static void closed(uint32_t svc, enum service_error error)
{
    assert_int_equal(line(SERVICE_CLOSED, svc, error), 0);
}

/* a and b are open, as 1 and 2. */
static void two_are_open(void)
{
    wishes_add(&ws, &a);
    wishes_add(&ws, &b);
    wishes_begun(&ws);
    assert_string_equal(pulled(), "open 1 a 1; open 2 b 2; ");
    opened(2);
    opened(1);
    assert_string_equal(pulled(), "b is opened; a is opened; ");
}

/* ---- asking ---- */

static void all_are_asked_for_in_one_flight(void **state)
{
    (void)state;
    assert_string_equal(pulled(), "");
    two_are_open();
    assert_int_equal(a.state, WISH_OPEN);
    assert_int_equal(a.port, 1);
    assert_string_equal(a.address, "[::]:80");
    assert_true(wishes_find(&ws, 1) == &a && wishes_find(&ws, 2) == &b);
    assert_null(wishes_find(&ws, 3));
    assert_null(wishes_find(&ws, 0));
    assert_true(wishes_deadline(&ws) == MTIME_NEVER);
    wishes_add(&ws, &c);
    assert_string_equal(pulled(), "open 3 c 3; ");
    assert_true(wishes_find(&ws, 3) == &c); /* its first user may overtake `opened` */
}

static void without_a_session_nothing_is_asked(void **state)
{
    (void)state;
    wishes_lost(&ws, now);
    wishes_add(&ws, &a);
    wishes_change(&ws, &a, false);
    assert_string_equal(pulled(), "");
    wishes_remove(&ws, &a, 0);
    assert_string_equal(pulled(), "free a; ");
}

static void a_session_has_so_many(void **state)
{
    (void)state;
    two_are_open();
    wishes_add(&ws, &c);
    wishes_add(&ws, &d);
    assert_string_equal(pulled(), "open 3 c 3; ");
    assert_int_equal(d.state, WISH_IDLE);
    opened(3);
    assert_string_equal(pulled(), "c is opened; ");
    /* what closes counts no longer */
    wishes_remove(&ws, &a, 500);
    assert_string_equal(pulled(), "close 1 500; open 4 d 4; ");
}

static void the_next_session_asks_for_all_again(void **state)
{
    (void)state;
    two_are_open();
    wishes_add(&ws, &c);
    (void)pulled();
    refused(3, SERVICE_ERR_RIGHT);
    assert_string_equal(pulled(), "c is refused; ");
    wishes_lost(&ws, now);
    assert_string_equal(pulled(), "");
    assert_true(wishes_deadline(&ws) == MTIME_NEVER);
    assert_int_equal(c.state, WISH_IDLE);
    assert_int_equal(a.svc, 0);
    wishes_begun(&ws);
    assert_string_equal(pulled(), "open 4 a 1; open 5 b 2; open 6 c 3; ");
    assert_true(wishes_find(&ws, 1) == &a); /* the session before may still bring users */
    assert_true(wishes_find(&ws, 4) == &a);
    assert_int_equal(line(SERVICE_REFUSED, 1, SERVICE_ERR_SHUTDOWN), ERR_PROTO); /* but no lines */
}

static void numbers_begin_again_and_pass_over_those_in_use(void **state)
{
    (void)state;
    wishes_add(&ws, &a);
    wishes_add(&ws, &b);
    wishes_begun(&ws);
    ws.next_svc = UINT32_MAX;
    assert_string_equal(pulled(), "open 4294967295 a 1; open 1 b 2; ");
    ws.next_svc = UINT32_MAX;
    wishes_add(&ws, &c);
    assert_string_equal(pulled(), "open 2 c 3; ");
}

/* ---- refusals ---- */

static void a_refusal_is_told_once_for_each_cause(void **state)
{
    (void)state;
    wishes_add(&ws, &a);
    wishes_begun(&ws);
    (void)pulled();
    refused(1, SERVICE_ERR_TAKEN);
    assert_string_equal(pulled(), "a is refused; ");
    assert_int_equal(a.state, WISH_REFUSED);
    assert_int_equal(a.why.error, SERVICE_ERR_TAKEN);
    assert_null(wishes_find(&ws, 1));
    static const struct {
        enum service_error error;
        const char *told;
    } rows[] = {
        {SERVICE_ERR_TAKEN, "a is refused again; "},
        {SERVICE_ERR_RIGHT, "a is refused; "},
        {SERVICE_ERR_RIGHT, "a is refused again; "},
        {SERVICE_ERR_TAKEN, "a is refused; "},
    };
    for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
        mtime_ms at = wishes_deadline(&ws);
        assert_true(at > now && at <= now + BACKOFF_REJECTED_MS * 4);
        now = at - 1;
        wishes_tick(&ws, now);
        assert_string_equal(pulled(), "");
        wishes_tick(&ws, ++now);
        assert_int_equal(strncmp(pulled(), "open ", 5), 0);
        assert_int_equal(a.svc, 2 + i);
        refused(2 + i, rows[i].error);
        assert_string_equal(pulled(), rows[i].told);
    }
    /* once it was open the same cause is news */
    wishes_tick(&ws, now = wishes_deadline(&ws));
    (void)pulled();
    opened(6);
    assert_string_equal(pulled(), "a is opened; ");
    closed(6, SERVICE_ERR_TAKEN);
    assert_string_equal(pulled(), "a is closed; ");
}

static void another_errno_is_another_cause(void **state)
{
    (void)state;
    static const char *const words[] = {"EADDRINUSE", "EACCES", "EACCES"};
    wishes_add(&ws, &a);
    wishes_begun(&ws);
    for (uint32_t i = 0; i < 3; i++) {
        (void)pulled();
        struct service_line l = {
            .op = SERVICE_REFUSED, .svc = i + 1, .why.error = SERVICE_ERR_PORT};
        strcpy(l.why.errno_word, words[i]);
        assert_int_equal(wishes_line(&ws, &l, now), 0);
        assert_string_equal(pulled(), i < 2 ? "a is refused; " : "a is refused again; ");
        wishes_tick(&ws, now = wishes_deadline(&ws));
    }
}

static void a_refusal_touches_no_sister(void **state)
{
    (void)state;
    two_are_open();
    wishes_add(&ws, &c);
    (void)pulled();
    refused(3, SERVICE_ERR_PORT);
    assert_string_equal(pulled(), "c is refused; ");
    assert_true(a.state == WISH_OPEN && b.state == WISH_OPEN);
}

/* A port that is held is asked for each 2.5 to 5 s; what a person must mend, more and more rarely. */
static void how_soon_it_is_asked_again(void **state)
{
    (void)state;
    for (int held = 0; held <= 1; held++) {
        wishes_init(&ws, 3, 60000, 1);
        want(&a, "a", 1);
        wishes_add(&ws, &a);
        wishes_begun(&ws);
        mtime_ms longest = 0, begun = now;
        for (uint32_t i = 1; i <= 8; i++) {
            (void)pulled();
            refused(i, held ? SERVICE_ERR_TAKEN : SERVICE_ERR_RIGHT);
            mtime_ms wait = wishes_deadline(&ws) - now;
            assert_true(wait >= BACKOFF_REJECTED_MS / 2);
            longest = wait > longest ? wait : longest;
            wishes_tick(&ws, now = wishes_deadline(&ws));
        }
        assert_true(held ? longest < BACKOFF_HELD_MS : longest >= 30000);
        assert_true(!held || now - begun < BACKOFF_HELD_FOR);
    }
}

static void what_the_server_closes_is_asked_for_again(void **state)
{
    (void)state;
    two_are_open();
    closed(1, SERVICE_ERR_REVOKED);
    assert_string_equal(pulled(), "a is closed; ");
    assert_int_equal(a.state, WISH_REFUSED);
    assert_int_equal(a.port, 0);
    wishes_tick(&ws, now = wishes_deadline(&ws));
    assert_string_equal(pulled(), "open 3 a 1; ");
    /* also without a reason */
    closed(2, SERVICE_OK);
    assert_string_equal(pulled(), "b is closed; ");
}

/* ---- what is not wanted any more ---- */

static void removing_an_open_one(void **state)
{
    (void)state;
    two_are_open();
    wishes_remove(&ws, &a, 30000);
    assert_string_equal(pulled(), "close 1 30000; ");
    assert_int_equal(a.state, WISH_CLOSING);
    assert_true(wishes_find(&ws, 1) == &a); /* users may have come before it was read */
    closed(1, SERVICE_OK);
    assert_string_equal(pulled(), "free a; ");
    assert_null(wishes_find(&ws, 1));
}

static void removing_one_that_was_asked_for(void **state)
{
    (void)state;
    static const char *const answers[] = {"refused", "closed", "opened, closed"};
    for (uint32_t i = 0; i < ARRAY_LEN(answers); i++) {
        start(NULL);
        wishes_add(&ws, &a);
        wishes_begun(&ws);
        (void)pulled();
        wishes_remove(&ws, &a, 0);
        assert_string_equal(pulled(), "close 1 0; ");
        if (i == 2) {
            opened(1);
            assert_string_equal(pulled(), "");
            assert_int_equal(line(SERVICE_OPENED, 1, 0), ERR_PROTO);
            assert_int_equal(line(SERVICE_REFUSED, 1, SERVICE_ERR_PORT), ERR_PROTO);
        }
        assert_int_equal(a.state, WISH_CLOSING);
        if (i == 0)
            refused(1, SERVICE_ERR_TAKEN);
        else
            closed(1, SERVICE_OK);
        assert_string_equal(pulled(), "free a; ");
    }
}

static void removing_one_that_waits(void **state)
{
    (void)state;
    wishes_add(&ws, &a);
    wishes_begun(&ws);
    (void)pulled();
    refused(1, SERVICE_ERR_RIGHT);
    (void)pulled();
    wishes_remove(&ws, &a, 0);
    assert_string_equal(pulled(), "free a; ");
    assert_true(wishes_deadline(&ws) == MTIME_NEVER);
}

static void what_closes_is_free_when_the_session_is_lost(void **state)
{
    (void)state;
    two_are_open();
    wishes_remove(&ws, &a, 0);
    wishes_change(&ws, &b, false);
    wishes_lost(&ws, now); /* before anything was sent */
    assert_string_equal(pulled(), "free a; ");
    wishes_begun(&ws);
    assert_string_equal(pulled(), "open 3 b 2; ");
}

static void a_crossing_of_closes(void **state)
{
    (void)state;
    two_are_open();
    wishes_remove(&ws, &a, 0);
    (void)pulled();
    closed(1, SERVICE_ERR_REVOKED); /* said before ours was read */
    assert_string_equal(pulled(), "free a; ");
    wishes_remove(&ws, &b, 0);
    closed(2, SERVICE_ERR_REVOKED); /* before ours was written: it need not be */
    assert_string_equal(pulled(), "free b; ");
}

/* ---- changes in place ---- */

static void a_change_in_place(void **state)
{
    (void)state;
    two_are_open();
    wishes_change(&ws, &a, true);
    assert_string_equal(pulled(), "");
    wishes_change(&ws, &a, false);
    assert_string_equal(pulled(), "change 1 1 0; ");
    assert_false(a.wanted.ready);
    wishes_add(&ws, &c);
    (void)pulled();
    wishes_change(&ws, &c, false); /* its open is out */
    assert_string_equal(pulled(), "change 3 1 0; ");
    refused(3, SERVICE_ERR_PORT);
    (void)pulled();
    wishes_change(&ws, &c, true);
    assert_string_equal(pulled(), "");
}

/* ---- make before break ---- */

static void the_new_one_opens_before_the_old_one_closes(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    assert_string_equal(pulled(), "open 3 a' 7; ");
    assert_true(wishes_replaced(&c) == &a);
    assert_int_equal(a.state, WISH_OPEN);
    opened(3);
    assert_string_equal(pulled(), "a' is opened; close 1 200; ");
    assert_null(wishes_replaced(&c));
    closed(1, SERVICE_OK);
    assert_string_equal(pulled(), "free a; ");
    /* in the order of the file */
    wishes_lost(&ws, now);
    wishes_begun(&ws);
    assert_string_equal(pulled(), "open 4 a' 7; open 5 b 2; ");
}

static void the_old_one_stays_if_the_new_one_is_refused(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    (void)pulled();
    refused(3, SERVICE_ERR_RIGHT);
    assert_string_equal(pulled(), "a' is refused; ");
    assert_int_equal(a.state, WISH_OPEN);
    assert_true(wishes_replaced(&c) == &a);
    wishes_tick(&ws, now = wishes_deadline(&ws));
    assert_string_equal(pulled(), "open 4 a' 7; ");
    opened(4);
    assert_string_equal(pulled(), "a' is opened; close 1 200; ");
}

static void a_change_is_taken_back(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    (void)pulled();
    wishes_undo(&ws, &c);
    assert_string_equal(pulled(), "close 3 0; ");
    opened(3);
    closed(3, SERVICE_OK);
    assert_string_equal(pulled(), "free a'; ");
    assert_int_equal(a.state, WISH_OPEN);
    /* and a may be changed as before */
    wishes_replace(&ws, &a, &d, 0);
    assert_string_equal(pulled(), "open 4 d 4; ");
}

static void a_change_of_a_change(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    (void)pulled();
    wishes_replace(&ws, &c, &d, 50); /* c was asked for only: a goes on */
    assert_string_equal(pulled(), "close 3 0; open 4 d 4; ");
    assert_true(wishes_replaced(&d) == &a);
    refused(3, SERVICE_ERR_RIGHT); /* to c, before its close was read */
    opened(4);
    assert_string_equal(pulled(), "free a'; d is opened; close 1 200; ");
}

static void replacing_one_that_does_not_serve(void **state)
{
    (void)state;
    wishes_add(&ws, &a);
    wishes_add(&ws, &b);
    wishes_replace(&ws, &a, &c, 0); /* no session yet */
    assert_string_equal(pulled(), "free a; ");
    wishes_begun(&ws);
    assert_string_equal(pulled(), "open 1 c 3; open 2 b 2; ");
}

static void both_go_when_the_tunnel_is_removed(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    (void)pulled();
    wishes_remove(&ws, &c, 9);
    assert_string_equal(pulled(), "close 1 9; close 3 9; ");
}

static void the_old_one_is_closed_by_the_server(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    (void)pulled();
    closed(1, SERVICE_ERR_RIGHT);
    assert_string_equal(pulled(), "free a; ");
    assert_null(wishes_replaced(&c));
    opened(3);
    assert_string_equal(pulled(), "a' is opened; ");
}

static void the_old_one_goes_with_its_session(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 200);
    (void)pulled();
    wishes_lost(&ws, now);
    assert_string_equal(pulled(), "free a; ");
    wishes_begun(&ws);
    assert_string_equal(pulled(), "open 4 a' 7; open 5 b 2; ");
}

/* ---- break before make, where both cannot be had ---- */

static void the_same_port_closes_first(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 1);
    strcpy(c.wanted.bind, "127.0.0.1");
    wishes_replace(&ws, &a, &c, 200);
    assert_string_equal(pulled(), "close 1 200; open 3 a' 1; ");
}

static void two_tunnels_change_their_ports(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 2);
    want(&d, "b'", 1);
    wishes_replace(&ws, &a, &c, 0);
    wishes_replace(&ws, &b, &d, 0);
    assert_string_equal(pulled(), "close 2 0; open 3 a' 2; close 1 0; open 4 b' 1; ");
}

static void a_removed_one_gives_its_port_to_another(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "c", 1);
    wishes_add(&ws, &c);
    wishes_remove(&ws, &a, 100); /* the open goes behind it all the same */
    assert_string_equal(pulled(), "close 1 100; open 3 c 1; ");
}

static void a_full_session_closes_first(void **state)
{
    (void)state;
    two_are_open();
    wishes_add(&ws, &c);
    (void)pulled();
    opened(3);
    (void)pulled();
    wishes_replace(&ws, &a, &d, 77);
    assert_string_equal(pulled(), "close 1 77; open 4 d 4; ");
}

static void one_that_was_refused_closes_nothing_in_a_full_session(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 0);
    (void)pulled();
    refused(3, SERVICE_ERR_RIGHT);
    wishes_add(&ws, &d);
    assert_string_equal(pulled(), "a' is refused; open 4 d 4; ");
    wishes_tick(&ws, now = wishes_deadline(&ws));
    assert_string_equal(pulled(), "");
    assert_true(a.state == WISH_OPEN && c.state == WISH_IDLE);
    wishes_remove(&ws, &b, 0); /* there is room again */
    assert_string_equal(pulled(), "close 2 0; open 5 a' 7; ");
}

/* Its bound is lower than ours: there is no room beside the older one, so that goes. */
static void a_full_server_gets_the_old_one_s_place(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 20);
    (void)pulled();
    refused(3, SERVICE_ERR_LIMIT);
    assert_string_equal(pulled(), "close 1 20; open 4 a' 7; "); /* at once, without a word */
    refused(4, SERVICE_ERR_LIMIT);
    assert_string_equal(pulled(), "a' is refused; ");
    assert_int_equal(c.state, WISH_REFUSED);
}

/* Others drain at the server, and count there: the older one is not given up for that. */
static void a_server_that_drains_too_many_is_asked_later(void **state)
{
    (void)state;
    two_are_open();
    wishes_remove(&ws, &b, 1000);
    want(&c, "a'", 7);
    wishes_replace(&ws, &a, &c, 20);
    assert_string_equal(pulled(), "close 2 1000; open 3 a' 7; ");
    refused(3, SERVICE_ERR_LIMIT);
    assert_string_equal(pulled(), "a' is refused; ");
    assert_int_equal(a.state, WISH_OPEN);
    closed(2, SERVICE_OK);
    wishes_tick(&ws, now = wishes_deadline(&ws));
    assert_string_equal(pulled(), "free b; open 4 a' 7; ");
    refused(4, SERVICE_ERR_LIMIT);
    assert_string_equal(pulled(), "close 1 20; open 5 a' 7; ");
}

static void what_closes_is_bounded(void **state)
{
    static struct wish many[WISHES_CLOSING_MAX];
    (void)state;
    wishes_init(&ws, WISHES_MAX, 60000, 1);
    wishes_begun(&ws);
    for (uint32_t i = 0; i < WISHES_CLOSING_MAX; i++) {
        want(&many[i], "many", 100 + (int32_t)i);
        wishes_add(&ws, &many[i]);
    }
    wishes_add(&ws, &a);
    (void)pulled();
    for (uint32_t i = 0; i <= WISHES_CLOSING_MAX; i++)
        opened(i + 1);
    for (uint32_t i = 0; i < WISHES_CLOSING_MAX; i++)
        wishes_remove(&ws, &many[i], 1000);
    wishes_replace(&ws, &a, &b, 1000);
    wishes_add(&ws, &c);
    (void)pulled();
    assert_true(b.state == WISH_IDLE && c.state == WISH_IDLE && a.state == WISH_OPEN);
    closed(1, SERVICE_OK);
    assert_string_equal(pulled(), "free many; open 66 b 2; open 67 c 3; ");
}

static void the_order_of_the_file(void **state)
{
    (void)state;
    two_are_open();
    want(&c, "b'", 7);
    wishes_replace(&ws, &b, &c, 0);
    wishes_last(&ws, &c);
    wishes_last(&ws, &a);
    (void)pulled();
    wishes_lost(&ws, now);
    wishes_begun(&ws);
    assert_string_equal(pulled(), "free b; open 4 b' 7; open 5 a 1; ");
}

static void chosen_ports_are_no_clash(void **state)
{
    (void)state;
    want(&a, "a", 0);
    want(&c, "a'", 0);
    wishes_add(&ws, &a);
    wishes_begun(&ws);
    (void)pulled();
    opened(1);
    (void)pulled();
    wishes_replace(&ws, &a, &c, 0);
    assert_string_equal(pulled(), "open 2 a' 0; ");
}

/* ---- what may not come ---- */

/* The end of one overtakes what was to be said of it, and its number is not its own any more. */
static void nothing_is_said_of_one_that_is_gone(void **state)
{
    (void)state;
    two_are_open();
    wishes_add(&ws, &c);
    assert_string_equal(pulled(), "open 3 c 3; ");
    wishes_remove(&ws, &c, 500); /* its close is not pulled yet */
    refused(3, SERVICE_ERR_TAKEN);
    assert_string_equal(pulled(), "free c; ");
    wishes_change(&ws, &a, false);
    wishes_replace(&ws, &a, &d, 0);
    closed(1, SERVICE_ERR_TAKEN);
    assert_string_equal(pulled(), "free a; open 4 d 4; ");
    wishes_change(&ws, &b, false);
    refused(4, SERVICE_ERR_TAKEN);
    closed(2, SERVICE_ERR_TAKEN); /* that is told, and its change goes with its next open */
    assert_string_equal(pulled(), "b is closed; d is refused; ");
    assert_false(b.wanted.ready);
}

static void lines_that_may_not_come(void **state)
{
    (void)state;
    static const enum service_op ops[] = {SERVICE_OPENED, SERVICE_REFUSED, SERVICE_CLOSED};
    /* state of the wish, and which of the three may come */
    static const struct {
        enum wish_state state;
        bool may[3];
    } rows[] = {
        {WISH_IDLE, {false, false, false}},   {WISH_ASKED, {true, true, false}},
        {WISH_OPEN, {false, false, true}},    {WISH_REFUSED, {false, false, false}},
        {WISH_CLOSING, {false, false, true}}, {WISH_GONE, {false, false, false}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t op = 0; op < ARRAY_LEN(ops); op++) {
            enum wish_state to = rows[i].state;
            start(NULL);
            ws.max = to == WISH_IDLE ? 1 : 3;
            if (to == WISH_IDLE)
                wishes_add(&ws, &b);
            wishes_add(&ws, &a);
            wishes_begun(&ws);
            (void)pulled();
            if (to == WISH_OPEN || to == WISH_CLOSING || to == WISH_GONE)
                opened(1);
            if (to == WISH_CLOSING || to == WISH_GONE)
                wishes_remove(&ws, &a, 0);
            if (to == WISH_GONE)
                closed(1, SERVICE_OK);
            if (to == WISH_REFUSED)
                refused(1, SERVICE_ERR_PORT);
            (void)pulled();
            assert_int_equal(a.state, to);
            uint32_t svc = to == WISH_IDLE ? 2 : 1;
            assert_int_equal(line(ops[op], svc, SERVICE_ERR_PORT), rows[i].may[op] ? 0 : ERR_PROTO);
            if (!rows[i].may[op]) {
                assert_int_equal(a.state, to); /* nothing has changed */
                assert_string_equal(pulled(), "");
            }
        }
    }
}

/* A server that says so lies, or means another. */
static void a_port_that_was_not_asked_for(void **state)
{
    (void)state;
    static const struct {
        int32_t wanted, opened;
        bool may;
    } rows[] = {{7, 7, true}, {7, 8, false}, {7, 0, false}, {0, 8, true}, {0, 0, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start(NULL);
        want(&a, "a", rows[i].wanted);
        wishes_add(&ws, &a);
        wishes_begun(&ws);
        (void)pulled();
        struct service_line l = {
            .op = SERVICE_OPENED, .svc = 1, .opened = {.port = rows[i].opened}};
        assert_int_equal(wishes_line(&ws, &l, now), rows[i].may ? 0 : ERR_PROTO);
        assert_int_equal(a.state, rows[i].may ? WISH_OPEN : WISH_ASKED);
    }
}

static void numbers_that_are_nobodys(void **state)
{
    (void)state;
    two_are_open();
    assert_int_equal(line(SERVICE_CLOSED, 3, SERVICE_OK), ERR_PROTO);
    assert_int_equal(line(SERVICE_OPENED, UINT32_MAX, SERVICE_OK), ERR_PROTO);
    struct service_line notice = {.op = SERVICE_NOTICE};
    assert_int_equal(wishes_line(&ws, &notice, now), 0);
    assert_string_equal(pulled(), "");
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(wish_state_word(WISH_IDLE), "idle");
    assert_string_equal(wish_state_word(WISH_GONE), "gone");
}

#define TEST(f) cmocka_unit_test_setup(f, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_are_asked_for_in_one_flight),
        TEST(without_a_session_nothing_is_asked),
        TEST(a_session_has_so_many),
        TEST(the_next_session_asks_for_all_again),
        TEST(numbers_begin_again_and_pass_over_those_in_use),
        TEST(a_refusal_is_told_once_for_each_cause),
        TEST(another_errno_is_another_cause),
        TEST(a_refusal_touches_no_sister),
        TEST(how_soon_it_is_asked_again),
        TEST(what_the_server_closes_is_asked_for_again),
        TEST(removing_an_open_one),
        TEST(removing_one_that_was_asked_for),
        TEST(removing_one_that_waits),
        TEST(what_closes_is_free_when_the_session_is_lost),
        TEST(a_crossing_of_closes),
        TEST(a_change_in_place),
        TEST(the_new_one_opens_before_the_old_one_closes),
        TEST(the_old_one_stays_if_the_new_one_is_refused),
        TEST(a_change_is_taken_back),
        TEST(a_change_of_a_change),
        TEST(replacing_one_that_does_not_serve),
        TEST(both_go_when_the_tunnel_is_removed),
        TEST(the_old_one_is_closed_by_the_server),
        TEST(the_old_one_goes_with_its_session),
        TEST(the_same_port_closes_first),
        TEST(two_tunnels_change_their_ports),
        TEST(a_removed_one_gives_its_port_to_another),
        TEST(a_full_session_closes_first),
        TEST(one_that_was_refused_closes_nothing_in_a_full_session),
        TEST(a_full_server_gets_the_old_one_s_place),
        TEST(a_server_that_drains_too_many_is_asked_later),
        TEST(what_closes_is_bounded),
        TEST(the_order_of_the_file),
        TEST(chosen_ports_are_no_clash),
        TEST(nothing_is_said_of_one_that_is_gone),
        TEST(lines_that_may_not_come),
        TEST(a_port_that_was_not_asked_for),
        TEST(numbers_that_are_nobodys),
        TEST(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
