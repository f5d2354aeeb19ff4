/* SPDX-License-Identifier: MIT */
/* What a server has let to the client of one session: each transition, and the bounds. */
#include "proto/session/leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "said.h"

/* ---- a server ---- */

enum { MAX = 3 };

static struct leases ls;
static struct lease a, b, c, d;
static mtime_ms now;

static int start(void **state)
{
    (void)state;
    now = 1000;
    leases_init(&ls, MAX);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    while (leases_take(&ls))
        ;
    return 0;
}

static void say_line(const struct service_line *l)
{
    say("%s %u", service_op_word(l->op), (unsigned)l->svc);
    if (l->op == SERVICE_OPENED)
        say(" %s %d", l->opened.address, (int)l->opened.port);
    else if (l->why.error != SERVICE_OK)
        say(" %s%s%s", service_error_word(l->why.error), *l->why.errno_word ? " " : "",
            l->why.errno_word);
    say("; ");
}

/* All that is to be done now, as a text; a lease goes by its name. */
static const char *pulled(void)
{
    static const char *const words[] = {
        [LEASE_ASK] = "ask",         [LEASE_LISTEN] = "listen",   [LEASE_STOP] = "stop",
        [LEASE_RELEASE] = "release", [LEASE_CHANGED] = "changed", [LEASE_CUT] = "cut",
        [LEASE_FREE] = "free",
    };
    struct lease_action act;
    *said = '\0';
    while (leases_next(&ls, &act)) {
        if (act.kind == LEASE_SEND)
            say_line(&act.line);
        else
            say("%s %s; ", words[act.kind], act.lease->wanted.name);
    }
    return said;
}

static int open_kind(struct lease *l, uint32_t svc, const char *name, enum service_kind kind)
{
    struct service_line line = {.op = SERVICE_OPEN, .svc = svc};
    (void)snprintf(line.wanted.name, sizeof line.wanted.name, "%s", name);
    line.wanted.kind = kind;
    line.wanted.port = 80;
    line.wanted.ready = true;
    return leases_open(&ls, &line, l, now);
}

static void asked(struct lease *l, uint32_t svc, const char *name)
{
    assert_int_equal(open_kind(l, svc, name, SERVICE_KIND_TCP), 0);
}

static void closes(uint32_t svc, uint32_t drain_ms)
{
    leases_line(&ls, &(struct service_line){.op = SERVICE_CLOSE, .svc = svc, .drain_ms = drain_ms},
                now);
}

static void changes(uint32_t svc, bool has_ready, bool ready)
{
    struct service_line l = {.op = SERVICE_CHANGE, .svc = svc};
    l.change.has_ready = has_ready;
    l.change.ready = ready;
    leases_line(&ls, &l, now);
}

static void ends(struct lease *l, enum service_error error, uint32_t drain_ms)
{
    leases_end(&ls, l, &(struct service_why){.error = error}, drain_ms, now);
}

/* a, number 1, is as far as that. */
static void bring(enum lease_state to)
{
    asked(&a, 1, "a");
    (void)pulled();
    if (to >= LEASE_GRANTED)
        leases_granted(&ls, &a);
    (void)pulled();
    if (to >= LEASE_OPEN)
        leases_listening(&ls, &a, "[::]:80", 80);
    if (to == LEASE_DRAINING) {
        leases_streams(&ls, &a, 2);
        closes(1, UINT32_MAX);
    }
    (void)pulled();
    assert_int_equal(a.state, to);
}

/* ---- opening ---- */

static void from_open_to_opened(void **state)
{
    (void)state;
    asked(&a, 7, "a");
    assert_string_equal(pulled(), "ask a; ");
    assert_int_equal(a.state, LEASE_ASKED);
    assert_true(leases_find(&ls, 7) == &a);
    leases_granted(&ls, &a);
    assert_string_equal(pulled(), "listen a; ");
    leases_listening(&ls, &a, "[::]:80", 80);
    assert_string_equal(pulled(), "opened 7 [::]:80 80; ");
    assert_int_equal(a.state, LEASE_OPEN);
    assert_true(leases_deadline(&ls) == MTIME_NEVER);
}

static void refused_by_the_registry(void **state)
{
    (void)state;
    asked(&a, 7, "a");
    (void)pulled();
    struct service_why why = {.error = SERVICE_ERR_TAKEN, .by = "192.0.2.7:1"};
    leases_refused(&ls, &a, &why);
    assert_string_equal(pulled(), "refused 7 taken; free a; ");
    assert_null(leases_find(&ls, 7));
    assert_string_equal(a.why.by, "192.0.2.7:1");
}

static void the_listener_fails(void **state)
{
    (void)state;
    bring(LEASE_GRANTED);
    leases_failed(&ls, &a, "EADDRINUSE");
    assert_string_equal(pulled(), "release a; refused 1 port EADDRINUSE; free a; ");
}

static void a_kind_that_is_not_served(void **state)
{
    (void)state;
    assert_int_equal(open_kind(&a, 1, "a", SERVICE_KIND_OTHER), 0);
    assert_string_equal(pulled(), "refused 1 kind; free a; ");
    assert_int_equal(a.state, LEASE_OVER);
}

static void a_number_in_use_ends_the_session(void **state)
{
    (void)state;
    bring(LEASE_DRAINING);
    assert_int_equal(open_kind(&b, 1, "b", SERVICE_KIND_TCP), ERR_PROTO);
    assert_string_equal(pulled(), "");
    leases_streams(&ls, &a, 0);
    assert_string_equal(pulled(), "closed 1; free a; ");
    asked(&b, 1, "b"); /* free again */
    assert_string_equal(pulled(), "ask b; ");
}

/* ---- the client closes ---- */

static void a_close_before_the_answer(void **state)
{
    (void)state;
    bring(LEASE_ASKED);
    closes(1, 500);
    assert_string_equal(pulled(), "release a; closed 1; free a; ");
    leases_granted(&ls, &a); /* too late */
    leases_refused(&ls, &a, &(struct service_why){.error = SERVICE_ERR_RIGHT});
    assert_string_equal(pulled(), "");
}

static void a_close_before_it_listens(void **state)
{
    (void)state;
    bring(LEASE_GRANTED);
    closes(1, 500);
    assert_string_equal(pulled(), "stop a; release a; closed 1; free a; ");
    leases_listening(&ls, &a, "[::]:80", 80); /* too late */
    leases_failed(&ls, &a, "EIO");
    assert_string_equal(pulled(), "");
}

static void what_was_not_begun_is_left_out(void **state)
{
    (void)state;
    asked(&a, 1, "a");
    closes(1, 0); /* in the same piece of bytes: nobody was asked */
    assert_string_equal(pulled(), "closed 1; free a; ");
    asked(&b, 1, "b");
    (void)pulled();
    leases_granted(&ls, &b);
    closes(1, 0);
    assert_string_equal(pulled(), "release b; closed 1; free b; ");
}

static void a_close_without_streams(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    closes(1, 30000);
    assert_string_equal(pulled(), "stop a; release a; closed 1; free a; ");
}

static void a_close_with_streams(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    leases_streams(&ls, &a, 2);
    closes(1, 30000);
    assert_string_equal(pulled(), "stop a; release a; ");
    assert_int_equal(a.state, LEASE_DRAINING);
    assert_true(leases_deadline(&ls) == now + 30000);
    leases_streams(&ls, &a, 1);
    assert_string_equal(pulled(), "");
    leases_streams(&ls, &a, 0);
    assert_string_equal(pulled(), "closed 1; free a; ");
    assert_true(leases_deadline(&ls) == MTIME_NEVER);
}

static void the_time_of_a_drain_is_over(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    leases_streams(&ls, &a, 2);
    closes(1, 30000);
    (void)pulled();
    leases_tick(&ls, now += 29999);
    assert_string_equal(pulled(), "");
    leases_tick(&ls, ++now);
    assert_string_equal(pulled(), "cut a; ");
    leases_tick(&ls, ++now);
    assert_string_equal(pulled(), ""); /* once */
    leases_streams(&ls, &a, 0);
    assert_string_equal(pulled(), "closed 1; free a; ");
}

static void a_close_without_time(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    leases_streams(&ls, &a, 1);
    closes(1, 0);
    assert_string_equal(pulled(), "stop a; release a; cut a; ");
}

static void the_last_stream_ends_before_it_is_cut(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    leases_streams(&ls, &a, 1);
    closes(1, 0);
    leases_streams(&ls, &a, 0);
    assert_string_equal(pulled(), "stop a; release a; closed 1; free a; ");
}

static void a_second_close_may_only_shorten(void **state)
{
    (void)state;
    bring(LEASE_DRAINING);
    assert_true(leases_deadline(&ls) == MTIME_NEVER);
    closes(1, 500);
    assert_true(leases_deadline(&ls) == now + 500);
    closes(1, 900);
    closes(1, UINT32_MAX);
    assert_true(leases_deadline(&ls) == now + 500);
    closes(1, 0);
    assert_string_equal(pulled(), "cut a; ");
}

static void lines_of_a_free_number_are_ignored(void **state)
{
    (void)state;
    closes(1, 0);
    changes(1, true, true);
    assert_string_equal(pulled(), "");
}

/* ---- changes ---- */

static void a_change_in_place(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    changes(1, true, true);
    changes(1, false, false);
    assert_string_equal(pulled(), "");
    changes(1, true, false);
    assert_string_equal(pulled(), "changed a; ");
    assert_false(a.wanted.ready);
    leases_streams(&ls, &a, 1);
    closes(1, 10);
    changes(1, true, true);
    assert_string_equal(pulled(), "stop a; release a; ");
}

/* ---- the server ends it ---- */

static void ended_before_it_is_open(void **state)
{
    (void)state;
    bring(LEASE_ASKED);
    ends(&a, SERVICE_ERR_RIGHT, 100);
    assert_string_equal(pulled(), "release a; refused 1 right; free a; ");
    bring(LEASE_GRANTED);
    ends(&a, SERVICE_ERR_SHUTDOWN, 100);
    assert_string_equal(pulled(), "stop a; release a; refused 1 shutdown; free a; ");
}

static void ended_without_streams(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    ends(&a, SERVICE_ERR_TAKEN, 100);
    assert_string_equal(pulled(), "stop a; release a; closed 1 taken; free a; ");
    ends(&a, SERVICE_ERR_RIGHT, 0); /* it is over */
    assert_string_equal(pulled(), "");
}

/* The client hears it at once, and may use the number at once. */
static void ended_with_streams(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    leases_streams(&ls, &a, 1);
    ends(&a, SERVICE_ERR_REVOKED, 100);
    assert_string_equal(pulled(), "stop a; release a; closed 1 revoked; ");
    assert_int_equal(a.svc, 0);
    closes(1, 0); /* has crossed it */
    assert_string_equal(pulled(), "");
    asked(&b, 1, "b");
    assert_string_equal(pulled(), "ask b; ");
    leases_tick(&ls, now += 100);
    assert_string_equal(pulled(), "cut a; ");
    leases_streams(&ls, &a, 0);
    assert_string_equal(pulled(), "free a; ");
    assert_true(leases_find(&ls, 1) == &b);
}

static void an_end_may_only_shorten_a_drain(void **state)
{
    (void)state;
    bring(LEASE_DRAINING);
    ends(&a, SERVICE_ERR_RIGHT, 100);
    assert_true(leases_deadline(&ls) == now + 100);
    ends(&a, SERVICE_ERR_RIGHT, 1000);
    assert_true(leases_deadline(&ls) == now + 100);
    leases_streams(&ls, &a, 0);
    assert_string_equal(pulled(), "closed 1; free a; "); /* as the client has asked */
}

static void all_end(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    asked(&b, 2, "b");
    (void)pulled();
    leases_end_all(&ls, &(struct service_why){.error = SERVICE_ERR_SHUTDOWN}, 100, now);
    assert_string_equal(pulled(),
                        "stop a; release a; closed 1 shutdown; free a; release b; refused 2 "
                        "shutdown; free b; ");
}

/* ---- bounds ---- */

static void so_many_are_open(void **state)
{
    (void)state;
    asked(&a, 1, "a");
    asked(&b, 2, "b");
    asked(&c, 3, "c");
    (void)pulled();
    asked(&d, 4, "d");
    assert_string_equal(pulled(), "refused 4 limit; free d; ");
    closes(2, 0);
    (void)pulled();
    asked(&d, 4, "d");
    assert_string_equal(pulled(), "ask d; ");
}

/* What drains counts apart, or a service could not be replaced in a full session; but not without
   bound. */
static void so_many_drain(void **state)
{
    (void)state;
    struct lease old[MAX];
    for (uint32_t i = 0; i < MAX; i++) {
        asked(&old[i], i + 1, "x");
        leases_granted(&ls, &old[i]);
        leases_listening(&ls, &old[i], "", 80);
        leases_streams(&ls, &old[i], 1);
        if (i == 1)
            ends(&old[i], SERVICE_ERR_RIGHT, UINT32_MAX); /* without a number it counts, too */
        else
            closes(i + 1, UINT32_MAX);
    }
    (void)pulled();
    asked(&d, 9, "d");
    assert_string_equal(pulled(), "refused 9 limit; free d; ");
    leases_streams(&ls, &old[1], 0);
    (void)pulled();
    asked(&d, 9, "d");
    assert_string_equal(pulled(), "ask d; ");
    while (leases_take(&ls)) /* before old[] goes */
        ;
}

static void so_many_opens_a_second(void **state)
{
    (void)state;
    struct lease l;
    for (uint32_t i = 0; i < LEASES_OPENS_A_SECOND; i++) {
        assert_true(leases_read_at(&ls, now) == now);
        asked(&l, i + 1, "l");
        closes(i + 1, 0);
        (void)pulled();
    }
    for (uint32_t i = 0; i < 5; i++) { /* then each takes its time */
        assert_true(leases_read_at(&ls, now) == now + 1000 / LEASES_OPENS_A_SECOND);
        now += 1000 / LEASES_OPENS_A_SECOND;
        assert_true(leases_read_at(&ls, now) == now);
        asked(&l, i + 1, "l");
        closes(i + 1, 0);
        (void)pulled();
    }
    now += 1000000;
    assert_true(leases_read_at(&ls, now) == now);
    for (uint32_t i = 0; i < LEASES_OPENS_A_SECOND; i++) { /* and no more are saved up */
        asked(&l, i + 1, "l");
        closes(i + 1, 0);
        (void)pulled();
    }
    assert_true(leases_read_at(&ls, now) > now);
}

/* ---- the session is over ---- */

static void everything_can_be_taken(void **state)
{
    (void)state;
    bring(LEASE_OPEN);
    asked(&b, 2, "b");
    asked(&c, 3, "c");
    leases_refused(&ls, &c, &(struct service_why){.error = SERVICE_ERR_RIGHT}); /* its FREE waits */
    unsigned seen = 0;
    struct lease *l;
    while ((l = leases_take(&ls))) {
        assert_int_equal(l->state, LEASE_OVER);
        assert_null(leases_find(&ls, l->by_svc.key));
        seen |= l == &a ? 1 : l == &b ? 2 : 4;
        leases_granted(&ls, l); /* too late */
    }
    assert_int_equal(seen, 7);
    assert_string_equal(pulled(), "");
    assert_null(leases_find(&ls, 1));
}

static void words(void **state)
{
    (void)state;
    assert_string_equal(lease_state_word(LEASE_ASKED), "asked");
    assert_string_equal(lease_state_word(LEASE_OVER), "over");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(from_open_to_opened),
        TEST(refused_by_the_registry),
        TEST(the_listener_fails),
        TEST(a_kind_that_is_not_served),
        TEST(a_number_in_use_ends_the_session),
        TEST(a_close_before_the_answer),
        TEST(a_close_before_it_listens),
        TEST(what_was_not_begun_is_left_out),
        TEST(a_close_without_streams),
        TEST(a_close_with_streams),
        TEST(the_time_of_a_drain_is_over),
        TEST(a_close_without_time),
        TEST(the_last_stream_ends_before_it_is_cut),
        TEST(a_second_close_may_only_shorten),
        TEST(lines_of_a_free_number_are_ignored),
        TEST(a_change_in_place),
        TEST(ended_before_it_is_open),
        TEST(ended_without_streams),
        TEST(ended_with_streams),
        TEST(an_end_may_only_shorten_a_drain),
        TEST(all_end),
        TEST(so_many_are_open),
        TEST(so_many_drain),
        TEST(so_many_opens_a_second),
        TEST(everything_can_be_taken),
        TEST(words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
