/* SPDX-License-Identifier: MIT */
/* The rules that both ends share: suspicion, 15 s, the window, draining, stopping. Exact times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit.h"
#include "proto/smux/session.h"

/* ---- suspicion ---- */

static void test_nothing_happens_while_all_is_well(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
    for (int i = 1; i < 100; i++) {
        pass_to(&k, i * 1000);
        kit_heard(&k, 10, i % 2 ? -1 : 1999);
        expect(&k, "");
    }
}

static void test_silence_of_3_s_is_suspected(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    pass_to(&k, 500);
    kit_wait(&k, 0);
    due_at(&k, 3500);
    pass_to(&k, 3500);
    expect(&k, "+suspected 3000; dial");
    pass_to(&k, 4000);
    kit_heard(&k, 1, 0);
    expect(&k, "cancel; +recovered");
    due_at(&k, 7000);
}

static void test_a_server_holds_users_meanwhile(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; hold");
    pass_to(&k, 4000);
    kit_heard(&k, 1, -1);
    expect(&k, "+recovered; admit");
}

/* A round trip of more than 1.5 s is not silence. */
static void test_a_long_path_is_suspected_later(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_rtt(&k.l, 0);
    life_rtt(&k.l, 2500);
    life_rtt(&k.l, 9000); /* a stall, not the path */
    kit_wait(&k, 0);
    due_at(&k, 5000);
}

/* A server has nothing to look for; and a client that is only elsewhere keeps what works. */
static void test_no_window_no_suspicion(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, 0, 1);
    kit_wait(&k, 0);
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
    kit_client(&k, 0, 1);
    life_network_changed(&k.l, true, k.now);
    expect(&k, "");
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "close lost");
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
}

/* 3, 6, 12, 24, 24 s, until something is acknowledged. */
static void test_the_suspicion_grows_until_proven(void **state)
{
    static const mtime_ms grows[] = {6000, 12000};
    struct kit k;
    (void)state;
    kit_client(&k, 600000, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; dial");
    for (size_t i = 0; i < 2; i++) {
        kit_resume(&k);
        mtime_ms at = k.now - KIT_T0;
        kit_drop(&k);
        kit_wait(&k, 0);
        if (at + grows[i] >= 15000)
            break;
        due_at(&k, at + grows[i]);
        pass_to(&k, at + grows[i]);
        expect(&k, "-suspected 6000; dial small");
    }
    /* 15 s of the stall, resumes or not */
    due_at(&k, 15000);
    pass_to(&k, 15000);
    expect(&k, "+mtu; detach; +detached silent 600000; dial last=614900 small");
    kit_resume(&k);
    kit_drop(&k);
    kit_wait(&k, 0);
    due_at(&k, 30000); /* 24 s of suspicion are more than the 15 s of a further loss */
    pass_to(&k, 30000);
    expect(&k, "detach; -detached silent 585000; dial last=614900 small");
    kit_resume(&k);
    kit_drop(&k);
    kit_wait(&k, 0);
    pass_to(&k, 31000);
    kit_heard(&k, 1, 0); /* proven */
    expect(&k, "");
    due_at(&k, 34000);
}

/* ---- lost, and the window ---- */

static void test_a_reset_dials_at_once(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    pass_to(&k, 700);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "detach; +detached reset 60000; dial last=60600");
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "");
    pass_to(&k, 800);
    kit_resume(&k);
    expect(&k, "switch; +resumed 800");
}

/* A bare FIN gets the whole window. */
static void test_a_fin_gets_the_whole_window(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    life_lost(&k.l, LIFE_LOSS_FIN, k.now);
    expect(&k, "detach; +detached fin 60000; hold");
    pass_to(&k, 2000);
    expect(&k, "refuse");
    due_at(&k, 61000);
    pass_to(&k, 61000);
    expect(&k, "close expired");
}

static void test_what_is_suspected_can_be_lost(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    expect(&k, "+suspected 3000; dial");
    pass_to(&k, 4000);
    life_lost(&k.l, LIFE_LOSS_ERROR, k.now);
    expect(&k, "detach; +detached error 60000; hurry 63900"); /* the dial goes on */
    kit_resume(&k);
    expect(&k, "switch; +resumed 4000");
}

/* A resume that is not followed by an acknowledgement does not restart the window. */
static void test_the_window_runs_on_until_proven(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, 20000, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "detach; +detached reset 20000; dial last=19900");
    pass_to(&k, 1000);
    kit_resume(&k);
    expect(&k, "switch; +resumed 1000");
    pass_to(&k, 5000);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "detach; -detached reset 15000; dial last=19900 small");
    kit_resume(&k);
    expect(&k, "switch; -resumed 5000");
    kit_wait(&k, 0);
    pass_to(&k, 17000);
    expect(&k, "+mtu; -suspected 12000; dial last=19900 small");
    due_at(&k, 20000); /* this dial knows its last moment itself */
    pass_to(&k, 20000);
    expect(&k, "goaway 4 0; close expired");
}

/* Bytes that keep coming are no proof, but a link that moves is not stalled either. */
static void test_a_resume_on_a_busy_link(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    kit_drop(&k);
    kit_resume(&k);
    kit_drop(&k);
    kit_wait(&k, 3000);
    for (int s = 4; s < 40; s++) {
        pass_to(&k, s * 1000);
        kit_heard(&k, 0, 0);
        expect(&k, "");
    }
    due_at(&k, 39000 + 6000); /* and still unproven */
}

/* What the mux says of the time before the resume is not held against the new connection. */
static void test_the_suspicion_begins_with_the_resume(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    pass_to(&k, 9000);
    kit_resume(&k);
    kit_drop(&k);
    kit_heard(&k, 0, 9000);
    expect(&k, "");
    due_at(&k, 15000);
}

static void test_and_ends_it_though_connected(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, 9000, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    pass_to(&k, 8000);
    kit_resume(&k);
    kit_drop(&k);
    due_at(&k, 10004); /* it may prove itself: 2 s and four times what TCP took */
    pass_to(&k, 10004);
    expect(&k, "goaway 4 0; close expired");
}

static void test_a_proven_resume_has_a_new_window(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, 9000, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    pass_to(&k, 8000);
    kit_resume(&k);
    kit_drop(&k);
    kit_heard(&k, 1, -1);
    assert_int_equal(life_deadline(&k.l), MTIME_NEVER);
    pass_to(&k, 50000);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "detach; +detached reset 9000; dial last=58900");
}

/* What the peer told at the resume is no acknowledgement of what follows it. */
static void test_the_resume_itself_proves_nothing(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    k.acked += 5000;
    kit_resume(&k);
    kit_drop(&k);
    kit_heard(&k, 0, 0);
    due_at(&k, 6000);
    kit_heard(&k, 1, 0);
    due_at(&k, 3000);
}

/* The server waits a grace longer than the client tries. */
static void test_the_server_expires_last(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, 5000, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    pass_to(&k, 2000);
    kit_drop(&k);
    due_at(&k, 6000);
    k.now = KIT_T0 + 5999;
    kit_asked(&k, 1);
    expect(&k, "switch; +resumed 5999; admit");
}

/* From the last byte before the stall, at both ends; a resume that proves nothing does not
   begin a new gap. */
static void test_the_gap_is_exact(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    k.now = KIT_T0 + 1234;
    kit_heard(&k, 1, 0);
    pass_to(&k, 4234);
    expect(&k, "+suspected 3000; hold");
    pass_to(&k, 5000);
    kit_asked(&k, 1);
    expect(&k, "switch; +resumed 3766; admit");
    life_progress(&k.l, k.now, k.now, k.acked, k.now); /* the mux's clock, not a byte */
    pass_to(&k, 6000);
    kit_asked(&k, 2);
    expect(&k, "switch; -resumed 4766");
    pass_to(&k, 6500);
    kit_heard(&k, 1, -1);
    pass_to(&k, 9000);
    life_lost(&k.l, LIFE_LOSS_FIN, k.now);
    kit_drop(&k);
    pass_to(&k, 9700);
    kit_asked(&k, 3);
    expect(&k, "switch; +resumed 3200; admit");
}

/* A frozen process, or a machine that slept, finds all its timers due at once. */
static void test_a_long_sleep(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    k.now += 40000;
    life_tick(&k.l, k.now);
    expect(&k, "detach; +detached silent 60000; dial last=99900");
    kit_resume(&k);
    expect(&k, "switch; +resumed 40000");
    kit_wait(&k, 40000);
    pass_to(&k, 46000);
    expect(&k, "-suspected 6000; dial last=99900 small");
    k.now += 400000;
    life_tick(&k.l, k.now);
    expect(&k, "goaway 4 0; close expired");
}

/* ---- GOAWAY, draining, stopping ---- */

static void test_goaway_that_ends(void **state)
{
    static const struct {
        uint32_t code, ms;
        const char *text;
    } cases[] = {
        {SMUX_GOAWAY_SHUTDOWN, 0, "close peer"},
        {SMUX_GOAWAY_SECRET_CHANGED, 0, "close peer"},
        {5, 0, "close peer"},
        {SMUX_GOAWAY_REPLACED, 0, "close replaced"},
        {SMUX_GOAWAY_REPLACED, 100, "close replaced"},
        {SMUX_GOAWAY_PROTOCOL, 0, "close protocol"},
        {SMUX_GOAWAY_EXPIRED, 0, "close expired"},
        {999, 0, "close peer"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kit k;
        kit_client(&k, KIT_WINDOW, 1);
        life_goaway(&k.l, cases[i].code, cases[i].ms, k.now);
        expect(&k, cases[i].text);
        life_goaway(&k.l, cases[i].code, cases[i].ms, k.now);
        expect(&k, "");
    }
}

/* A code that its sender cannot mean says no more than 0 does: a client gives no id, port or secret
   away, and where nothing can be resumed no window ends. */
static void test_goaway_that_its_sender_cannot_mean(void **state)
{
    static const struct {
        bool is_client;
        mtime_ms window;
        uint32_t code;
        const char *now, *later; /* in 0 ms, in 30 s */
    } cases[] = {
        {false, KIT_WINDOW, SMUX_GOAWAY_REPLACED, "close peer", "yield; +draining 0 30000"},
        {false, KIT_WINDOW, SMUX_GOAWAY_SECRET_CHANGED, "close peer", "yield; +draining 0 30000"},
        {false, KIT_WINDOW, SMUX_GOAWAY_PROTOCOL, "close protocol", "close protocol"},
        {false, KIT_WINDOW, SMUX_GOAWAY_EXPIRED, "close expired", "close expired"},
        {false, 0, SMUX_GOAWAY_EXPIRED, "close peer", "yield; +draining 0 30000"},
        {true, 0, SMUX_GOAWAY_EXPIRED, "close peer", "+draining 0 30000; beside"},
        {true, KIT_WINDOW, 5, "close peer", "+draining 0 30000; beside"}, /* reserved */
        {false, KIT_WINDOW, 5, "close peer", "yield; +draining 0 30000"},
        {true, 0, SMUX_GOAWAY_REPLACED, "close replaced", "close replaced"},
        {true, KIT_WINDOW, SMUX_GOAWAY_SECRET_CHANGED, "close peer", "+draining 3 30000; beside"},
        {true, KIT_WINDOW, 999, "close peer", "+draining 0 30000; beside"},
    };
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        bool later = i % 2;
        struct kit k;
        (cases[i / 2].is_client ? kit_client : kit_server)(&k, cases[i / 2].window, 1);
        life_goaway(&k.l, cases[i / 2].code, later ? 30000 : 0, k.now);
        expect(&k, later ? cases[i / 2].later : cases[i / 2].now);
    }
}

/* A stopping server's client opens beside, keeps its connections, and does not resume. */
static void test_a_server_stops(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 2);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 30000, k.now);
    expect(&k, "+draining 0 30000; beside");
    kit_wait(&k, 0);
    due_at(&k, 30000); /* silence is not suspected: there is no way back */
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 20000, k.now);
    expect(&k, "");
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 40000, k.now);
    expect(&k, "");
    due_at(&k, 20000);
    life_streams(&k.l, 1, k.now);
    expect(&k, "");
    life_streams(&k.l, 0, k.now);
    expect(&k, "goaway 0 0; close drained");
}

static void test_and_its_time_is_over(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 2);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 30000, k.now);
    kit_drop(&k);
    pass_to(&k, 30000);
    expect(&k, "goaway 0 0; close drained");
}

static void test_or_its_connection(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 2);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 30000, k.now);
    kit_drop(&k);
    life_lost(&k.l, LIFE_LOSS_FIN, k.now);
    expect(&k, "close lost");
}

static void test_nothing_to_drain(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 0);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 30000, k.now);
    expect(&k, "+draining 0 30000; beside; goaway 0 0; close drained");
}

/* A suspected connection that says GOAWAY is there; its dial is given up. */
static void test_goaway_while_suspected(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    kit_wait(&k, 0);
    pass_to(&k, 3000);
    kit_drop(&k);
    life_dialled(&k.l, true, 1, k.now);
    kit_secured(&k);
    kit_drop(&k);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 30000, k.now);
    expect(&k, "cancel; unfreeze; +draining 0 30000; beside");
}

static void test_stop_with_connections(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    life_stop(&k.l, 30000, k.now);
    expect(&k, "yield; goaway 0 30000");
    pass_to(&k, 1000);
    life_stop(&k.l, 60000, k.now);
    expect(&k, "");
    life_stop(&k.l, 5000, k.now);
    expect(&k, "goaway 0 5000");
    due_at(&k, 6000);
    life_streams(&k.l, 0, k.now);
    expect(&k, "goaway 0 0; close drained");
}

static void test_stop_without(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 0);
    life_stop(&k.l, 30000, k.now);
    expect(&k, "yield; goaway 0 0; close closed");
    kit_server(&k, KIT_WINDOW, 3);
    life_stop(&k.l, 0, k.now);
    expect(&k, "yield; goaway 0 0; close closed");
    kit_server(&k, KIT_WINDOW, 3);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    life_stop(&k.l, 30000, k.now); /* nobody could come back */
    expect(&k, "yield; close closed");
    kit_client(&k, 0, 0); /* the legacy wire */
    life_stop(&k.l, 30000, k.now);
    expect(&k, "goaway 0 0; close closed");
}

/* A client that stops goes on trying while it drains; GOAWAY then says what is left. */
static void test_a_client_stops_while_detached(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    kit_drop(&k);
    life_stop(&k.l, 10000, k.now);
    expect(&k, "hurry 9900; goaway 0 10000");
    pass_to(&k, 4000);
    kit_resume(&k);
    expect(&k, "switch; +resumed 4000; goaway 0 6000");
    pass_to(&k, 10000);
    expect(&k, "goaway 0 0; close drained");
}

static void test_a_client_that_stops_opens_nothing(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_stop(&k.l, 10000, k.now);
    expect(&k, "goaway 0 10000");
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 5000, k.now);
    expect(&k, "");
    due_at(&k, 5000);
}

/* The mirror: a stopping client's server. */
static void test_the_client_of_a_server_stops(void **state)
{
    struct kit k;
    (void)state;
    kit_server(&k, KIT_WINDOW, 1);
    life_goaway(&k.l, SMUX_GOAWAY_SHUTDOWN, 10000, k.now);
    expect(&k, "yield; +draining 0 10000");
    life_lost(&k.l, LIFE_LOSS_RESET, k.now);
    expect(&k, "detach; +detached reset 60000"); /* no users to hold */
    pass_to(&k, 3000);
    kit_asked(&k, 1);
    expect(&k, "switch; +resumed 3000");
    pass_to(&k, 10000);
    expect(&k, "goaway 0 0; close drained");
}

static void test_close(void **state)
{
    struct kit k;
    (void)state;
    kit_client(&k, KIT_WINDOW, 1);
    life_close(&k.l, k.now);
    expect(&k, "close closed");
    life_close(&k.l, k.now);
    expect(&k, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_happens_while_all_is_well),
        cmocka_unit_test(test_silence_of_3_s_is_suspected),
        cmocka_unit_test(test_a_server_holds_users_meanwhile),
        cmocka_unit_test(test_a_long_path_is_suspected_later),
        cmocka_unit_test(test_no_window_no_suspicion),
        cmocka_unit_test(test_the_suspicion_grows_until_proven),
        cmocka_unit_test(test_a_reset_dials_at_once),
        cmocka_unit_test(test_a_fin_gets_the_whole_window),
        cmocka_unit_test(test_what_is_suspected_can_be_lost),
        cmocka_unit_test(test_the_window_runs_on_until_proven),
        cmocka_unit_test(test_a_resume_on_a_busy_link),
        cmocka_unit_test(test_the_suspicion_begins_with_the_resume),
        cmocka_unit_test(test_and_ends_it_though_connected),
        cmocka_unit_test(test_a_proven_resume_has_a_new_window),
        cmocka_unit_test(test_the_resume_itself_proves_nothing),
        cmocka_unit_test(test_the_server_expires_last),
        cmocka_unit_test(test_the_gap_is_exact),
        cmocka_unit_test(test_a_long_sleep),
        cmocka_unit_test(test_goaway_that_ends),
        cmocka_unit_test(test_goaway_that_its_sender_cannot_mean),
        cmocka_unit_test(test_a_server_stops),
        cmocka_unit_test(test_and_its_time_is_over),
        cmocka_unit_test(test_or_its_connection),
        cmocka_unit_test(test_nothing_to_drain),
        cmocka_unit_test(test_goaway_while_suspected),
        cmocka_unit_test(test_stop_with_connections),
        cmocka_unit_test(test_stop_without),
        cmocka_unit_test(test_a_client_stops_while_detached),
        cmocka_unit_test(test_a_client_that_stops_opens_nothing),
        cmocka_unit_test(test_the_client_of_a_server_stops),
        cmocka_unit_test(test_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
