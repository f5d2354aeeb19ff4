/* SPDX-License-Identifier: MIT */
/* New users at the server, its port, and how a client comes back to it. Exact times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit.h"
#include "proto/smux/session.h"

static void lose(struct kit *k, enum life_loss loss, uint32_t streams)
{
    kit_server(k, KIT_WINDOW, streams);
    life_lost(&k->l, loss, k->now);
    kit_drop(k);
}

static bool resume(struct kit *k, uint64_t epoch, enum life_answer *no)
{
    struct life_ask ask = {.epoch = epoch, .peer_rx = k->acked, .in_range = true};
    return life_resume_asked(&k->l, &ask, no, k->now);
}

static void test_users_wait_then_are_refused_then_served(void **state)
{
    struct kit k;
    enum life_answer no;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; hold");
    pass_to(&k, 14999);
    expect(&k, ""); /* as long as it is only suspected they wait */
    pass_to(&k, 15000);
    expect(&k, "detach; +detached silent 60000");
    due_at(&k, 17000);
    pass_to(&k, 17000);
    expect(&k, "refuse");
    pass_to(&k, 20000);
    assert_true(resume(&k, 1, &no));
    expect(&k, "switch; +resumed 20000; admit");
}

static void test_a_resume_beside_a_good_connection(void **state)
{
    struct kit k;
    enum life_answer no;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    pass_to(&k, 700);
    assert_true(resume(&k, 3, &no)); /* the client suspects, the server does not yet */
    expect(&k, "switch; +resumed 700");
}

static void test_epochs_grow(void **state)
{
    struct kit k;
    enum life_answer no;
    (void)state;
    lose(&k, LIFE_LOSS_RESET, 1);
    assert_false(resume(&k, 0, &no));
    assert_int_equal(no, LIFE_ANSWER_STALE);
    assert_true(resume(&k, 7, &no));
    kit_drop(&k);
    assert_false(resume(&k, 7, &no));
    assert_int_equal(no, LIFE_ANSWER_STALE);
    assert_false(resume(&k, 6, &no));
    expect(&k, "");
    assert_true(resume(&k, 8, &no));
    kit_drop(&k);
    assert_true(resume(&k, UINT64_MAX, &no));
    kit_drop(&k);
    assert_false(resume(&k, UINT64_MAX, &no));
}

/* The count of a late attempt is old as well: it is stale, and not the end of the session. */
static void test_the_epoch_is_looked_at_first(void **state)
{
    struct kit k;
    enum life_answer no;
    struct life_ask ask = {.epoch = 3};
    (void)state;
    lose(&k, LIFE_LOSS_RESET, 1);
    assert_false(life_resume_asked(&k.l, &ask, &no, k.now));
    assert_int_equal(no, LIFE_ANSWER_RANGE);
    expect(&k, "");
    assert_true(resume(&k, 3, &no)); /* that one has changed nothing */
    kit_drop(&k);
    assert_false(life_resume_asked(&k.l, &ask, &no, k.now));
    assert_int_equal(no, LIFE_ANSWER_STALE);
}

static void test_who_cannot_be_resumed(void **state)
{
    struct kit k;
    enum life_answer no;
    (void)state;
    kit_server(&k, 0, 1);
    assert_false(resume(&k, 1, &no));
    assert_int_equal(no, LIFE_ANSWER_UNKNOWN);
    kit_server(&k, KIT_WINDOW, 1);
    life_stop(&k.l, 30000, k.now);
    kit_drop(&k);
    assert_false(resume(&k, 1, &no));
    assert_int_equal(no, LIFE_ANSWER_DRAINING);
    life_close(&k.l, k.now);
    kit_drop(&k);
    assert_false(resume(&k, 1, &no));
    assert_int_equal(no, LIFE_ANSWER_UNKNOWN);
    kit_client(&k, KIT_WINDOW, 1);
    assert_false(resume(&k, 1, &no));
    assert_int_equal(no, LIFE_ANSWER_UNKNOWN);
}

/* After FIN or RST the port goes to another client that asks, from 10 s on; from 30 s on
   if connections run. */
static void test_when_the_port_is_given_away(void **state)
{
    static const struct {
        enum life_loss loss;
        uint32_t streams;
        mtime_ms at; /* < 0: never */
    } cases[] = {
        {LIFE_LOSS_FIN, 0, 10000},   {LIFE_LOSS_FIN, 1, 30000}, {LIFE_LOSS_RESET, 0, 10000},
        {LIFE_LOSS_RESET, 9, 30000}, {LIFE_LOSS_SILENT, 0, -1}, {LIFE_LOSS_ERROR, 0, -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kit k;
        lose(&k, cases[i].loss, cases[i].streams);
        pass_to(&k, 2000);
        expect(&k, "refuse");
        mtime_ms at = cases[i].at < 0 ? 60999 : cases[i].at;
        pass_to(&k, at - 1);
        assert_false(life_may_lose_port(&k.l, k.now));
        pass_to(&k, at);
        assert_int_equal(life_may_lose_port(&k.l, k.now), cases[i].at >= 0);
        expect(&k, "");    /* the session does not change by it */
        due_at(&k, 61000); /* the window is not shorter for it */
    }
}

static void test_a_good_connection_keeps_its_port(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 0);
    assert_false(life_may_lose_port(&k.l, k.now));
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    kit_drop(&k);
    pass_to(&k, 14000);
    assert_false(life_may_lose_port(&k.l, k.now));
    expect(&k, "");
}

/* Its other ports are there still, and so are its connections. */
static void test_who_lost_a_port_comes_back_as_it_was(void **state)
{
    struct kit k;
    enum life_answer no;
    (void)state;
    lose(&k, LIFE_LOSS_FIN, 2);
    pass_to(&k, 2000);
    kit_drop(&k);
    pass_to(&k, 35000);
    assert_true(life_may_lose_port(&k.l, k.now));
    pass_to(&k, 40000);
    assert_true(resume(&k, 1, &no));
    expect(&k, "switch; +resumed 40000; admit");
    assert_false(life_may_lose_port(&k.l, k.now));
}

static void test_a_stopping_server_has_no_port(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; hold");
    life_stop(&k.l, 20000, k.now);
    expect(&k, "yield; goaway 0 20000"); /* no admit: who waited is gone with the port */
    due_at(&k, 23000);
    life_lost(&k.l, LIFE_LOSS_FIN, k.now);
    expect(&k, "close lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_users_wait_then_are_refused_then_served),
        cmocka_unit_test(test_a_resume_beside_a_good_connection),
        cmocka_unit_test(test_epochs_grow),
        cmocka_unit_test(test_the_epoch_is_looked_at_first),
        cmocka_unit_test(test_who_cannot_be_resumed),
        cmocka_unit_test(test_when_the_port_is_given_away),
        cmocka_unit_test(test_a_good_connection_keeps_its_port),
        cmocka_unit_test(test_who_lost_a_port_comes_back_as_it_was),
        cmocka_unit_test(test_a_stopping_server_has_no_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
