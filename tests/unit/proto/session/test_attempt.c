/* SPDX-License-Identifier: MIT */
/* The client's way back: dial, patience, answers, waits, the last moment. Exact times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kit.h"
#include "proto/smux/session.h"

/* Detached, with a dial under way. */
static void lose(struct kit *k, mtime_ms window, uint32_t streams)
{
    kit_client(k, window, streams);
    life_lost(&k->l, LIFE_LOSS_RESET, k->now);
    kit_drop(k);
}

/* Suspected, with a dial under way, at 3 s. */
static void suspect(struct kit *k, uint32_t streams)
{
    kit_client(k, KIT_WINDOW, streams);
    kit_wait(k, 0);
    pass_to(k, 3000);
    kit_drop(k);
}

/* An attempt is asked as soon as may be, after a connect of so long. */
static void ask(struct kit *k, mtime_ms connect_ms)
{
    life_dialled(&k->l, true, connect_ms, k->now);
    expect(k, "");
    kit_secured(k);
}

/* The wait until the next dial. */
static mtime_ms wait_ms(const struct kit *k)
{
    assert_int_equal(k->l.attempt, LIFE_ATTEMPT_WAITING);
    return life_deadline(&k->l) - k->now;
}

static void next_dial(struct kit *k)
{
    k->now = life_deadline(&k->l);
    life_tick(&k->l, k->now);
    assert_int_equal(k->l.attempt, LIFE_ATTEMPT_DIALLING);
    kit_drop(k);
}

/* ---- waits ---- */

static void test_waits_grow_from_50_ms_to_a_second(void **state)
{
    static const mtime_ms waits[] = {50, 100, 200, 400, 800, 1000, 1000, 1000};
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        life_dialled(&k.l, false, 0, k.now);
        expect(&k, ""); /* the dialer has said why */
        assert_in_range(wait_ms(&k), waits[i] * 3 / 4, waits[i] * 5 / 4);
        next_dial(&k);
    }
}

/* A server, or a path, that accepts, acknowledges and cuts at once is not dialled in a loop. */
static void test_resumed_and_lost_again_and_again_is_no_loop(void **state)
{
    struct kit k;
    int resumes = 0;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (; k.now < KIT_T0 + 10000; resumes++) {
        if (k.l.attempt == LIFE_ATTEMPT_WAITING)
            next_dial(&k);
        kit_resume(&k);
        kit_drop(&k);
        k.now += 5;
        kit_heard(&k, 1, -1);
        life_lost(&k.l, LIFE_LOSS_RESET, k.now);
        kit_drop(&k);
    }
    assert_in_range(resumes, 10, 18); /* 50 ms, 100 ms ... 1 s apart */
    assert_true(wait_ms(&k) <= LIFE_RETRY_MOST_MS * 5 / 4);
    next_dial(&k);
    kit_resume(&k);
    kit_drop(&k);
    kit_heard(&k, 1, -1);
    k.now += LIFE_RETRY_MOST_MS; /* a connection that lasted is another trouble */
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    assert_int_equal(k.l.attempt, LIFE_ATTEMPT_DIALLING);
    kit_drop(&k);
    life_dialled(&k.l, false, 0, k.now);
    assert_in_range(wait_ms(&k), 37, 63);
}

/* The server is there and turns one connection after the other away: up to 8 s. As before from the first one
   that is secured, after one that did not come about, or when the network has changed. */
static void test_who_is_turned_away_again_and_again_comes_less_often(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct kit k;
        lose(&k, KIT_WINDOW, 1);
        for (int i = 0; i < LIFE_TURNED_AWAY + 4; i++) {
            if (i > 0)
                next_dial(&k);
            life_dialled(&k.l, true, 1, k.now);
            kit_drop(&k);
            life_answered(&k.l, LIFE_ANSWER_FAILED, 0, k.now);
            kit_drop(&k);
            if (i < LIFE_TURNED_AWAY - 1)
                assert_true(wait_ms(&k) <= LIFE_RETRY_MOST_MS * 5 / 4);
        }
        assert_in_range(wait_ms(&k), LIFE_RETRY_CROWDED_MS * 3 / 4, LIFE_RETRY_CROWDED_MS * 5 / 4);
        if (how == 2) {
            life_network_changed(&k.l, false, k.now);
            assert_int_equal(k.l.attempt, LIFE_ATTEMPT_DIALLING);
            kit_drop(&k);
        } else {
            next_dial(&k);
        }
        life_dialled(&k.l, how > 0, 1, k.now);
        if (how > 0) {
            life_secured(&k.l, k.now);
            life_answered(&k.l, LIFE_ANSWER_FAILED, 0, k.now);
        }
        kit_drop(&k);
        assert_true(wait_ms(&k) <= LIFE_RETRY_MOST_MS * 5 / 4);
    }
}

/* By a quarter at the most, either way, and all of it. */
static void test_waits_differ_by_a_quarter(void **state)
{
    mtime_ms least = MTIME_NEVER, most = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct kit k;
        lose(&k, KIT_WINDOW, 1);
        rng_seed(&k.l.rng, seed);
        life_dialled(&k.l, false, 0, k.now);
        least = wait_ms(&k) < least ? wait_ms(&k) : least;
        most = wait_ms(&k) > most ? wait_ms(&k) : most;
    }
    assert_int_equal(least, 38);
    assert_int_equal(most, 62);
}

static void test_waits_differ(void **state)
{
    struct kit a, b;
    (void)state;
    lose(&a, KIT_WINDOW, 1);
    lose(&b, KIT_WINDOW, 1);
    rng_seed(&b.l.rng, 8);
    bool differ = false;
    for (int i = 0; i < 8; i++) {
        life_dialled(&a.l, false, 0, a.now);
        life_dialled(&b.l, false, 0, b.now);
        differ = differ || wait_ms(&a) != wait_ms(&b);
        next_dial(&a);
        next_dial(&b);
    }
    assert_true(differ);
}

static void test_what_the_attempt_took_counts(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    pass_to(&k, 5000);
    life_dialled(&k.l, false, 0, k.now);
    assert_int_equal(wait_ms(&k), 1);
}

/* A dial that fails before it has begun is told from inside the action; what waited goes first. */
static void test_a_dial_that_fails_at_once(void **state)
{
    struct kit k;
    struct life_action a;
    (void)state;
    kit_client(&k, KIT_WINDOW, 0);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    assert_true(life_next(&k.l, &a) && a.kind == LIFE_DETACH);
    life_streams(&k.l, 0, k.now);
    life_dialled(&k.l, false, 0, k.now);
    expect(&k, "+detached reset 60000; dial last=59900");
    assert_in_range(wait_ms(&k), 37, 63);
    next_dial(&k);
}

/* A dialer that never answers does not stop the session from coming back. */
static void test_a_dialer_that_forgets(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    due_at(&k, 11000);
    pass_to(&k, 11000);
    expect(&k, "cancel; +attempt failed");
    pass_to(&k, 11001);
    expect(&k, "dial last=59900");
}

/* ---- patience ---- */

static void test_patience_follows_the_path(void **state)
{
    static const struct {
        mtime_ms rtt, connect, patience;
    } cases[] = {{0, 0, 2000},    {100, 100, 2800}, {50, 1, 2400},     {1, 300, 3200},
                 {0, 1000, 6000}, {0, 3000, 10000}, {1500, 20, 10000}, {1, 60000, 10000}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kit k;
        kit_client(&k, KIT_WINDOW, 1);
        life_rtt(&k.l, cases[i].rtt);
        life_lost(&k.l, LIFE_LOSS_RESET, k.now);
        kit_drop(&k);
        ask(&k, cases[i].connect);
        expect(&k, "ask 1");
        due_at(&k, cases[i].patience);
    }
}

/* An attempt that was accepted says that the path is not that slow. */
static void test_patience_begins_anew_after_a_resume(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (int i = 0; i < 2; i++) {
        ask(&k, 1);
        k.now = life_deadline(&k.l);
        life_tick(&k.l, k.now);
        kit_drop(&k);
        next_dial(&k);
    }
    kit_resume(&k);
    k.now += 5000;
    kit_heard(&k, 1, -1);
    kit_drop(&k);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    ask(&k, 1);
    assert_int_equal(life_deadline(&k.l) - k.now, 2004);
    kit_drop(&k);
}

static void test_patience_doubles_with_each_timeout(void **state)
{
    static const mtime_ms patience[] = {2004, 4008, 8016, 10000, 10000};
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (size_t i = 0; i < ARRAY_LEN(patience); i++) {
        ask(&k, 1);
        kit_drop(&k);
        assert_int_equal(life_deadline(&k.l) - k.now, patience[i]);
        k.now = life_deadline(&k.l);
        life_tick(&k.l, k.now);
        expect(&k, i == 0 ? "cancel; +attempt failed" : "cancel; -attempt failed");
        next_dial(&k);
    }
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_BUSY, 0, k.now); /* an answer: the path is not that slow */
    kit_drop(&k);
    next_dial(&k);
    ask(&k, 1);
    assert_int_equal(life_deadline(&k.l) - k.now, 2004);
    kit_drop(&k);
}

/* Opened over a fast path, resumed over one of 3 s: TCP, TLS and the answer take 9 s. */
static void test_a_path_of_3_s(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_rtt(&k.l, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; dial");
    pass_to(&k, 6000);
    life_dialled(&k.l, true, 3000, k.now);
    pass_to(&k, 9000);
    life_secured(&k.l, k.now);
    expect(&k, "ask 1");
    pass_to(&k, 12000);
    life_answered(&k.l, LIFE_ANSWER_ACCEPTED, k.acked, k.now);
    expect(&k, "switch; +resumed 12000");
    kit_wait(&k, 0);
    pass_to(&k, 15100); /* the stall is 15 s old, but nothing could be acknowledged before now */
    expect(&k, "");
    kit_heard(&k, 1, -1);
    expect(&k, "");
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
}

/* ---- suspected: the old connection ---- */

static void test_frozen_while_asked(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    ask(&k, 1);
    expect(&k, "ask 1");
    kit_heard(&k, 1, -1); /* what was under way: the answer decides all the same */
    expect(&k, "");
    life_answered(&k.l, LIFE_ANSWER_BUSY, 0, k.now);
    expect(&k, "unfreeze; +attempt busy");
    life_tick(&k.l, k.now);
    expect(&k, "+recovered");
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
}

static void test_unfrozen_when_the_answer_is_late(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    ask(&k, 1);
    expect(&k, "ask 1");
    due_at(&k, 5504);
    pass_to(&k, 5504);
    expect(&k, "cancel; unfreeze; +attempt failed");
    pass_to(&k, 5505);
    expect(&k, "dial small"); /* perhaps the server's certificate was too large a packet */
}

static void test_lost_while_asked(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    ask(&k, 1);
    kit_drop(&k);
    life_lost(&k.l, LIFE_LOSS_FIN, k.now);
    expect(&k, "detach; +detached fin 60000");
    life_answered(&k.l, LIFE_ANSWER_FAILED, 0, k.now);
    expect(&k, "+attempt failed");
    next_dial(&k);
    ask(&k, 1);
    expect(&k, "ask 2"); /* the first one may have been served */
}

static void secure(struct kit *k)
{
    life_dialled(&k->l, true, 1, k->now);
    life_secured(&k->l, k->now);
}

/* In an MTU black hole TCP's probing finds the way 3.0 to 3.2 s after the loss: it has its time. */
static void test_a_suspected_one_is_spared(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    secure(&k);
    expect(&k, "");
    due_at(&k, 3500);
    pass_to(&k, 3500);
    expect(&k, "ask 1");
    due_at(&k, 5504); /* the patience begins then */

    suspect(&k, 1);
    secure(&k);
    pass_to(&k, 3300);
    kit_heard(&k, 1, -1);
    expect(&k, "cancel; +recovered");

    suspect(&k, 1);
    secure(&k);
    k.now = KIT_T0 + 10000; /* the process was stopped */
    life_tick(&k.l, k.now);
    expect(&k, "ask 1");
    due_at(&k, 12004); /* an answer has its time all the same */

    suspect(&k, 1);
    secure(&k);
    pass_to(&k, 3300);
    life_answered(&k.l, LIFE_ANSWER_FAILED, 0, k.now); /* the other one was lost */
    expect(&k, "+attempt failed");
}

/* ... but not where nothing can come of it. */
static void test_what_is_not_spared(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    secure(&k);
    pass_to(&k, 3200);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "detach; +detached reset 60000");
    life_tick(&k.l, k.now);
    expect(&k, "ask 1");

    suspect(&k, 1); /* TLS took longer than that */
    pass_to(&k, 3600);
    secure(&k);
    expect(&k, "ask 1");

    suspect(&k, 1);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "");
    secure(&k);
    expect(&k, "ask 1");

    suspect(&k, 1); /* nothing was acknowledged after the first resume: TCP had 6 s */
    kit_resume(&k);
    kit_drop(&k);
    kit_wait(&k, 3500);
    pass_to(&k, 9500);
    kit_drop(&k);
    secure(&k);
    expect(&k, "ask 2");
}

static void test_recovered_before_it_was_asked(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    life_dialled(&k.l, true, 1, k.now);
    kit_heard(&k, 1, -1);
    expect(&k, "cancel; +recovered");
    life_secured(&k.l, k.now);
    life_answered(&k.l, LIFE_ANSWER_ACCEPTED, k.acked, k.now);
    expect(&k, "");
}

/* ---- a window of 0: nothing can be resumed, but the server may be elsewhere ---- */

/* Silent for 3 s, TCP of the candidate stands. */
static void look(struct kit *k)
{
    kit_client(k, 0, 1);
    kit_wait(k, 0);
    due_at(k, 3000);
    pass_to(k, 3000);
    expect(k, "+suspected 3000; dial");
    pass_to(k, 3010);
    life_dialled(&k->l, true, 10, k->now);
    expect(k, "");
}

static void test_without_a_window_it_ends_when_the_server_is_elsewhere(void **state)
{
    struct kit k;
    (void)state;
    look(&k);
    life_found(&k.l, true, k.now);
    expect(&k, "close lost");
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
}

/* TCP comes back by itself: the connection is kept, and the name is looked at again. */
static void test_without_a_window_it_is_kept_when_only_silent(void **state)
{
    struct kit k;
    (void)state;
    look(&k);
    life_found(&k.l, false, k.now);
    expect(&k, "");
    due_at(&k, 3010 + LIFE_LOOK_MS);
    pass_to(&k, 3010 + LIFE_LOOK_MS);
    expect(&k, "dial");
    life_dialled(&k.l, true, 10, k.now);
    kit_heard(&k, 1, -1);
    expect(&k, "cancel; +recovered");
    life_found(&k.l, true, k.now); /* too late: it is good again */
    expect(&k, "");
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
}

/* Somebody else is there, or nobody: until the mux gives the connection up. */
static void test_without_a_window_a_stranger_ends_nothing(void **state)
{
    struct kit k;
    (void)state;
    look(&k);
    life_answered(&k.l, LIFE_ANSWER_FAILED, 0, k.now);
    expect(&k, "+attempt failed");
    next_dial(&k);
    life_dialled(&k.l, false, 0, k.now);
    next_dial(&k);
    life_lost(&k.l, LIFE_LOSS_SILENT, k.now);
    expect(&k, "close lost");
}

/* A server that stops listens no more. */
static void test_without_a_window_a_server_that_stops_is_not_looked_for(void **state)
{
    struct kit k;
    (void)state;
    look(&k);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 30000, k.now);
    expect(&k, "cancel; +draining 0 30000; beside");
    due_at(&k, 33010); /* of the drain */
}

/* ---- answers ---- */

static void test_each_reason_is_told_once(void **state)
{
    static const struct {
        enum life_answer answer;
        const char *text;
    } cases[] = {
        {LIFE_ANSWER_BUSY, "+attempt busy"},
        {LIFE_ANSWER_FAILED, "+attempt failed"},
        {LIFE_ANSWER_BUSY, "-attempt busy"},
        {LIFE_ANSWER_STALE, "+attempt stale"},
        {LIFE_ANSWER_STALE, "-attempt stale"},
        {LIFE_ANSWER_UNKNOWN, "+attempt unknown; beside"},
        {LIFE_ANSWER_UNKNOWN, "-attempt unknown"},
    };
    struct kit k;
    char text[32];
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(&k, 1);
        (void)snprintf(text, sizeof text, "ask %zu", i + 1); /* the epoch grows each time */
        expect(&k, text);
        life_answered(&k.l, cases[i].answer, 0, k.now);
        expect(&k, cases[i].text);
        next_dial(&k);
    }
    kit_resume(&k);
    kit_drop(&k);
    kit_heard(&k, 1, -1); /* proven: the next trouble is another one */
    k.now += LIFE_RETRY_MOST_MS;
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_BUSY, 0, k.now);
    expect(&k, "+attempt busy");
}

static void test_tls_may_fail(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    life_dialled(&k.l, true, 1, k.now);
    life_answered(&k.l, LIFE_ANSWER_ACCEPTED, 0, k.now); /* nobody was asked */
    expect(&k, "");
    life_answered(&k.l, LIFE_ANSWER_FAILED, 0, k.now);
    expect(&k, "+attempt failed");
}

/* Without connections nothing is lost by a new session. */
static void test_unknown_without_connections(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 0);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown; close unknown");
    suspect(&k, 0);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "unfreeze; +attempt unknown; close unknown");
}

/* With connections it is asked for 5 s, and a new one opened beside it at once. */
static void test_unknown_with_connections(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 2);
    pass_to(&k, 100);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown; beside");
    int asked = 0;
    for (; life_deadline(&k.l) < KIT_T0 + 5100; asked++) {
        next_dial(&k);
        ask(&k, 1);
        kit_drop(&k);
        life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
        expect(&k, "-attempt unknown");
    }
    assert_in_range(asked, 7, 12);
    due_at(&k, 5100);
    pass_to(&k, 5100);
    expect(&k, "close unknown");
}

/* Who is known to be there is asked for at once, and soon again: twice before the next open. */
static void test_unknown_but_taken(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 2);
    life_taken(&k.l, k.now); /* nobody has said `unknown` */
    expect(&k, "");
    for (int i = 0; i < 5; i++) {
        ask(&k, 1);
        kit_drop(&k);
        life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
        kit_drop(&k);
        if (i < 4)
            next_dial(&k);
    }
    mtime_ms late = life_deadline(&k.l);
    assert_true(late > k.now + 300);
    life_taken(&k.l, k.now);
    expect(&k, "dial last=59900");
    life_taken(&k.l, k.now); /* once at a time */
    expect(&k, "");
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    kit_drop(&k);
    assert_in_range(life_deadline(&k.l), k.now, k.now + 2 * LIFE_RETRY_FIRST_MS);
    assert_true(k.l.unknown_since < k.now); /* it is given up when it would have been */
}

static void test_another_address_still_has_it(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 2);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    kit_drop(&k);
    next_dial(&k);
    mtime_ms gap = k.now - KIT_T0;
    kit_resume(&k);
    struct life_action a;
    assert_true(life_next(&k.l, &a) && a.kind == LIFE_SWITCH);
    assert_true(life_next(&k.l, &a) && a.tell.what == LIFE_TELL_RESUMED && a.tell.ms == gap);
    kit_heard(&k, 1, -1);
    k.now += LIFE_RETRY_MOST_MS;
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    ask(&k, 1);
    kit_drop(&k);
    pass_to(&k, gap + 2000); /* the 5 s are forgotten */
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown; beside");
    assert_int_equal(k.l.unknown_since, k.now);
}

static void test_unknown_and_the_last_connection_ends(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 2);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    kit_drop(&k);
    life_streams(&k.l, 1, k.now);
    expect(&k, "");
    life_streams(&k.l, 0, k.now);
    expect(&k, "close unknown");
}

/* A suspected connection may still be good: it is kept, while new users are served elsewhere. */
static void test_unknown_while_suspected(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "unfreeze; +attempt unknown; beside");
    for (int i = 0; i < 20 && k.now < KIT_T0 + 9000; i++) {
        next_dial(&k);
        ask(&k, 1);
        kit_drop(&k);
        life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
        expect(&k, "unfreeze; -attempt unknown");
    }
    kit_heard(&k, 1, -1);
    expect(&k, "+recovered");
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown; beside");
}

/* An answer that is under way when the 5 s are over may be another one: a slow path. */
static void test_unknown_on_a_slow_path(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    ask(&k, 3000);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    kit_drop(&k);
    next_dial(&k);
    pass_to(&k, 4000);
    life_dialled(&k.l, true, 3000, k.now);
    expect(&k, "");
    pass_to(&k, 7000);
    life_secured(&k.l, k.now);
    expect(&k, "ask 2");
    pass_to(&k, 10000);
    life_answered(&k.l, LIFE_ANSWER_ACCEPTED, k.acked, k.now);
    expect(&k, "switch; +resumed 10000");
}

/* TLS shows that an original is there, or somebody without our certificate's ways: nobody can be
   asked. */
static void test_unknown_before_the_question(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    life_dialled(&k.l, true, 1, k.now);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown; beside");
    life_streams(&k.l, 0, k.now);
    expect(&k, "close unknown");
    lose(&k, KIT_WINDOW, 0);
    life_dialled(&k.l, true, 1, k.now);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown; close unknown");
}

/* Whether an attempt had its time tells whether its address is to be blamed. */
static void test_only_a_late_attempt_has_timed_out(void **state)
{
    struct kit k;
    struct life_action a;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    life_dialled(&k.l, true, 1, k.now);
    pass_to(&k, k.l.attempt_deadline - KIT_T0);
    assert_true(life_next(&k.l, &a) && a.kind == LIFE_CANCEL && a.timed_out);
    lose(&k, KIT_WINDOW, 1);
    life_dialled(&k.l, true, 1, k.now);
    k.now += LIFE_RENEW_MS;
    life_network_changed(&k.l, true, k.now);
    assert_true(life_next(&k.l, &a) && a.kind == LIFE_CANCEL && !a.timed_out);
}

static void test_range_is_the_end(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 5);
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_RANGE, 0, k.now);
    expect(&k, "+attempt range; close unknown");
}

/* Behind a balancer another server may still have it: it is asked for as any other, and nothing is
   opened twice. */
static void test_unknown_opens_nothing_beside_a_draining_session(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_stop(&k.l, 30000, k.now);
    expect(&k, "goaway 0 30000");
    life_lost(&k.l, LIFE_LOSS_FIN, k.now);
    expect(&k, "detach; +detached fin 60000; dial last=29900");
    ask(&k, 1);
    kit_drop(&k);
    life_answered(&k.l, LIFE_ANSWER_UNKNOWN, 0, k.now);
    expect(&k, "+attempt unknown");
    assert_int_equal(k.l.attempt, LIFE_ATTEMPT_WAITING);
    life_streams(&k.l, 0, k.now);
    expect(&k, "close drained");
}

/* A server that accepts and falls over is not dialled in a loop. */
static void test_accepted_and_lost_again(void **state)
{
    struct kit k;
    int dials = 0;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (; k.now < KIT_T0 + 10000; dials++) {
        kit_resume(&k);
        kit_drop(&k);
        life_lost(&k.l, LIFE_LOSS_RESET, k.now);
        kit_drop(&k);
        if (k.l.attempt == LIFE_ATTEMPT_WAITING)
            next_dial(&k);
    }
    assert_in_range(dials, 8, 20);
}

/* ---- the last moment ---- */

static void test_the_last_dial_is_100_ms_before_the_end(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, 5000, 1);
    pass_to(&k, 4500);
    while (k.l.attempt != LIFE_ATTEMPT_WAITING || k.l.retry_ms < LIFE_RETRY_MOST_MS) {
        life_dialled(&k.l, false, 0, k.now); /* refused at once, many times */
        if (k.l.retry_ms >= LIFE_RETRY_MOST_MS || life_deadline(&k.l) >= KIT_T0 + 4900)
            break;
        next_dial(&k);
    }
    due_at(&k, 4900);
    pass_to(&k, 4900);
    expect(&k, "dial");
    life_dialled(&k.l, true, 1, k.now);
    pass_to(&k, 5400);
    life_secured(&k.l, k.now);
    expect(&k, "ask 1"); /* it may come to its own end, a second late at most */
    due_at(&k, 6000);
    pass_to(&k, 5990);
    life_answered(&k.l, LIFE_ANSWER_ACCEPTED, k.acked, k.now);
    expect(&k, "switch; +resumed 5990");
    due_at(&k, 5990 + 2004);
    kit_heard(&k, 1, -1);
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
}

static void test_an_attempt_ends_with_the_window(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, 5000, 1);
    due_at(&k, 6000); /* it dials */
    pass_to(&k, 5500);
    life_dialled(&k.l, false, 0, k.now);
    expect(&k, "");
    life_tick(&k.l, k.now);
    expect(&k, "close expired");

    lose(&k, 5000, 1);
    pass_to(&k, 4000);
    ask(&k, 1);
    kit_drop(&k);
    due_at(&k, 6000); /* it is asked, with a patience until 6004 */

    lose(&k, 5000, 1);
    pass_to(&k, 3500);
    ask(&k, 1);
    kit_drop(&k);
    due_at(&k, 5504);
    pass_to(&k, 5504);
    expect(&k, "close expired");

    lose(&k, 5000, 1);
    pass_to(&k, 4990);
    life_dialled(&k.l, false, 0, k.now);
    pass_to(&k, 4991);
    expect(&k, "dial");
    life_dialled(&k.l, false, 0, k.now);
    due_at(&k, 5000); /* it waits */
    pass_to(&k, 5000);
    expect(&k, "close expired");
}

/* A dial begun while the connection was only suspected does not know the end: it is told. */
static void test_a_dial_from_before_the_window(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, 5000, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; dial");
    life_lost(&k.l, LIFE_LOSS_ERROR, k.now);
    expect(&k, "detach; +detached error 5000; hurry 7900");
    due_at(&k, 9000);
    pass_to(&k, 9000);
    expect(&k, "close expired");
}

/* ---- a change of the network ---- */

static void test_elsewhere_is_doubted_for_10_s(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_network_changed(&k.l, false, k.now);
    expect(&k, "");
    pass_to(&k, 100);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "+suspected; dial");
    pass_to(&k, 5000);
    kit_heard(&k, 1, -1); /* the old address still works, for now */
    expect(&k, "");
    life_dialled(&k.l, false, 0, k.now);
    next_dial(&k);
    due_at(&k, 10100);
    life_network_changed(&k.l, true, k.now); /* and elsewhere again */
    mtime_ms doubted = k.now + 10000 - KIT_T0;
    due_at(&k, doubted);
    pass_to(&k, doubted);
    expect(&k, "cancel; +recovered");
}

static void test_another_change_is_no_reason_for_doubt(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_network_changed(&k.l, false, k.now);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; dial");
    kit_heard(&k, 1, -1);
    expect(&k, "cancel; +recovered");
}

static void test_a_change_ends_a_wait(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    for (int i = 0; i < 6; i++) {
        life_dialled(&k.l, false, 0, k.now);
        next_dial(&k);
    }
    life_dialled(&k.l, false, 0, k.now);
    assert_in_range(wait_ms(&k), 750, 1250);
    life_network_changed(&k.l, false, k.now);
    expect(&k, "dial last=59900");
    life_dialled(&k.l, false, 0, k.now);
    assert_in_range(wait_ms(&k), 37, 63);
}

static void test_a_change_hurries_a_dial(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    pass_to(&k, 999);
    life_network_changed(&k.l, true, k.now);
    expect(&k, ""); /* young enough */
    pass_to(&k, 1000);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "hurry 1000");
    pass_to(&k, 1001);
    expect(&k, "hurry 59900"); /* one moment at a time */
    pass_to(&k, 1999);
    life_network_changed(&k.l, false, k.now);
    expect(&k, "");
    pass_to(&k, 2000);
    life_network_changed(&k.l, false, k.now);
    expect(&k, "hurry 2000");
}

/* An interface that flaps does not keep a slow path from answering. */
static void test_a_change_renews_an_old_attempt(void **state)
{
    struct kit k;
    (void)state;
    lose(&k, KIT_WINDOW, 1);
    ask(&k, 4000);
    kit_drop(&k);
    pass_to(&k, 999);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "");
    pass_to(&k, 1000);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "cancel; dial last=59900");
    ask(&k, 4000);
    kit_drop(&k);
    pass_to(&k, 10999);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "");
    pass_to(&k, 11000);
    kit_drop(&k); /* timed out */
}

static void test_a_change_renews_what_was_asked(void **state)
{
    struct kit k;
    (void)state;
    suspect(&k, 1);
    ask(&k, 1);
    kit_drop(&k);
    pass_to(&k, 4500);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "cancel; unfreeze; dial");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_grow_from_50_ms_to_a_second),
        cmocka_unit_test(test_waits_differ),
        cmocka_unit_test(test_waits_differ_by_a_quarter),
        cmocka_unit_test(test_what_the_attempt_took_counts),
        cmocka_unit_test(test_a_dial_that_fails_at_once),
        cmocka_unit_test(test_a_dialer_that_forgets),
        cmocka_unit_test(test_patience_follows_the_path),
        cmocka_unit_test(test_patience_doubles_with_each_timeout),
        cmocka_unit_test(test_patience_begins_anew_after_a_resume),
        cmocka_unit_test(test_a_path_of_3_s),
        cmocka_unit_test(test_frozen_while_asked),
        cmocka_unit_test(test_unfrozen_when_the_answer_is_late),
        cmocka_unit_test(test_lost_while_asked),
        cmocka_unit_test(test_a_suspected_one_is_spared),
        cmocka_unit_test(test_what_is_not_spared),
        cmocka_unit_test(test_recovered_before_it_was_asked),
        cmocka_unit_test(test_without_a_window_it_ends_when_the_server_is_elsewhere),
        cmocka_unit_test(test_without_a_window_it_is_kept_when_only_silent),
        cmocka_unit_test(test_without_a_window_a_stranger_ends_nothing),
        cmocka_unit_test(test_without_a_window_a_server_that_stops_is_not_looked_for),
        cmocka_unit_test(test_resumed_and_lost_again_and_again_is_no_loop),
        cmocka_unit_test(test_who_is_turned_away_again_and_again_comes_less_often),
        cmocka_unit_test(test_each_reason_is_told_once),
        cmocka_unit_test(test_tls_may_fail),
        cmocka_unit_test(test_unknown_without_connections),
        cmocka_unit_test(test_unknown_with_connections),
        cmocka_unit_test(test_unknown_but_taken),
        cmocka_unit_test(test_another_address_still_has_it),
        cmocka_unit_test(test_unknown_and_the_last_connection_ends),
        cmocka_unit_test(test_unknown_while_suspected),
        cmocka_unit_test(test_unknown_on_a_slow_path),
        cmocka_unit_test(test_unknown_before_the_question),
        cmocka_unit_test(test_only_a_late_attempt_has_timed_out),
        cmocka_unit_test(test_range_is_the_end),
        cmocka_unit_test(test_unknown_opens_nothing_beside_a_draining_session),
        cmocka_unit_test(test_accepted_and_lost_again),
        cmocka_unit_test(test_the_last_dial_is_100_ms_before_the_end),
        cmocka_unit_test(test_an_attempt_ends_with_the_window),
        cmocka_unit_test(test_a_dial_from_before_the_window),
        cmocka_unit_test(test_elsewhere_is_doubted_for_10_s),
        cmocka_unit_test(test_another_change_is_no_reason_for_doubt),
        cmocka_unit_test(test_a_change_ends_a_wait),
        cmocka_unit_test(test_a_change_hurries_a_dial),
        cmocka_unit_test(test_a_change_renews_an_old_attempt),
        cmocka_unit_test(test_a_change_renews_what_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
