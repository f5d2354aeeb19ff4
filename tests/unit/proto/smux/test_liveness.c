/* SPDX-License-Identifier: MIT */
/* gotunnel/2: PING and PONG, a peer that is gone, GOAWAY, and floods of useless frames. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"

static struct kit *kit_of(bool is_client)
{
    struct kit *k = kit_new_v2(is_client);
    assert_string_equal(sent(k), "PING:0:1");
    return k;
}

/* ---- PING ---- */

static void the_first_ping_measures_the_round_trip(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    assert_int_equal(smux_session_rtt_us(k->s), 0);
    k->now += 37;
    wire_word(&k->in, SMUX_PONG, 1);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_rtt_us(k->s), 37000);
    kit_free(k);
}

static void a_fast_round_trip_is_not_none(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_word(&k->in, SMUX_PONG, 1);
    assert_string_equal(fed(k), "");
    assert_in_range(smux_session_rtt_us(k->s), 1, 999);
    kit_free(k);
}

static void a_wrong_pong_measures_nothing(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_word(&k->in, SMUX_PONG, 2);
    wire_word(&k->in, SMUX_PONG, 0);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_rtt_us(k->s), 0);
    k->now += 5;
    wire_word(&k->in, SMUX_PONG, 1);
    k->now += 5;
    wire_word(&k->in, SMUX_PONG, 1); /* a second time */
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_rtt_us(k->s), 10000);
    kit_free(k);
}

static void ping_follows_silence(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_word(&k->in, SMUX_ACK, 16);
    k->now = 3000;
    assert_string_equal(fed(k), "");
    assert_string_equal(ticked(k, 7999), "");
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_deadline(k->s), 8000);
    assert_string_equal(ticked(k, 8000), "");
    assert_string_equal(sent(k), "PING:0:2");
    assert_string_equal(ticked(k, 12999), "");
    assert_string_equal(sent(k), "");
    assert_string_equal(ticked(k, 13000), "");
    assert_string_equal(sent(k), "PING:0:3");
    kit_free(k);
}

static void what_is_received_puts_ping_off(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    uint64_t word = 0;
    for (int i = 0; i < 20; i++) {
        k->now += 4000;
        wire_word(&k->in, SMUX_PONG, word++);
        assert_string_equal(fed(k), "");
        assert_string_equal(ticked(k, k->now + 100), "");
        const char *out = sent(k);
        assert_true(out[0] == 'A'); /* ACK only */
        wire_word(&k->in, SMUX_ACK, k->s->out.sent);
        (void)fed(k);
    }
    kit_free(k);
}

static void ping_is_answered_together_with_ack(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    wire_word(&k->in, SMUX_PING, 0xfedcba9876543210);
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "ACK:0:16 PONG:0:18364758544493064720");
    assert_string_equal(ticked(k, 1100), "");
    assert_string_equal(sent(k), ""); /* that ACK was enough */
    kit_free(k);
}

static void of_many_pings_the_last_is_answered(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    for (int i = 0; i < 1000; i++)
        wire_word(&k->in, SMUX_PING, (uint64_t)i);
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "ACK:0:16000 PONG:0:999");
    kit_free(k);
}

/* ---- death ---- */

static void silence_is_death_after_15_seconds(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_word(&k->in, SMUX_ACK, 16);
    k->now = 2000;
    (void)fed(k);
    assert_string_equal(ticked(k, 16999), "");
    assert_string_equal(ticked(k, 17000), "!timed out");
    assert_string_equal(ticked(k, 17001), "!timed out"); /* until it is detached */
    smux_session_detach(k->s);
    struct smux_event ev;
    assert_int_equal(smux_session_tick(k->s, 90000, &ev), 0);
    kit_free(k);
}

/* Data comes in, but nothing that we send arrives: as dead as silence. */
static void no_progress_is_death_too(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    for (k->now = 2000; k->now < 16000; k->now += 1000) {
        wire_word(&k->in, SMUX_PONG, 77);
        assert_string_equal(fed(k), "");
        if (k->now < 16000)
            assert_string_equal(ticked(k, k->now), "");
        (void)sent(k);
    }
    assert_string_equal(ticked(k, 15999), "");
    assert_string_equal(ticked(k, 16000), "!timed out");
    kit_free(k);
}

static void a_dead_peer_can_come_back(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    assert_string_equal(ticked(k, 16000), "!timed out");
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, 0, 70000), 0);
    k->now = 70000;
    assert_string_equal(ticked(k, 74999), "");
    assert_string_equal(sent(k), "PING:0:1 PING:0:2"); /* the first one was lost */
    kit_free(k);
}

/* ---- GOAWAY ---- */

static void goaway_goes_ahead_of_what_is_not_staged(void **state)
{
    (void)state;
    struct kit *k = kit_new_v2(false);
    (void)kit_open(k);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 1);
    smux_session_goaway(k->s, SMUX_GOAWAY_REPLACED, 3000); /* the last word counts */
    char want[64];
    (void)snprintf(want, sizeof want, "GOAWAY:0:%llu PING:0:1 SYN:2",
                   1 + ((unsigned long long)3000 << 32));
    assert_string_equal(sent(k), want);
    kit_free(k);
}

static void goaway_is_an_event(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_goaway(&k->in, SMUX_GOAWAY_EXPIRED, 30000);
    wire_goaway(&k->in, 99, 0);
    assert_string_equal(fed(k), "GOAWAY:0/4/30000 GOAWAY:0/99/0");
    kit_free(k);
}

static void goaway_is_the_last_word_after_an_error(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 3);
    assert_string_equal(fed(k), "!protocol error");
    assert_string_equal(sent(k), "");
    smux_session_goaway(k->s, SMUX_GOAWAY_PROTOCOL, 0);
    assert_string_equal(sent(k), "GOAWAY:0:2");
    kit_free(k);
}

static void goaway_waits_while_detached(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    smux_session_detach(k->s);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 0);
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_resume(k->s, 16, 2000), 0);
    assert_string_equal(sent(k), "GOAWAY:0:0 PING:0:2");
    kit_free(k);
}

static void the_legacy_wire_has_no_goaway(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 0);
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_waiting_since(k->s), MTIME_NEVER);
    kit_free(k);
}

/* ---- floods ---- */

static void put_nop(struct wire *w)
{
    wire_plain(w, SMUX_NOP, 0);
}

static void put_empty(struct wire *w)
{
    wire_header(w, 3, SMUX_PSH, 0, 2);
}

static void put_unknown(struct wire *w)
{
    wire_upd(w, 1000, 0, 262144);
}

static void put_stale_upd(struct wire *w)
{
    wire_upd(w, 2, 0, 262144);
}

static void put_pong(struct wire *w)
{
    wire_word(w, SMUX_PONG, 1000);
}

static void put_ping(struct wire *w)
{
    wire_word(w, SMUX_PING, 1000);
}

static void flood(void (*put)(struct wire *w))
{
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    for (int round = 0; round < 3; round++) { /* as many are let pass every 10 s */
        for (int i = 0; i < 10000; i++)
            put(&k->in);
        assert_string_equal(fed(k), "");
        (void)sent(k);
        k->now += 10000;
    }
    for (int i = 0; i < 10002; i++) /* the first PING after an answer is a fair one */
        put(&k->in);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

static void floods_of_useless_frames_end_the_session(void **state)
{
    (void)state;
    flood(put_nop);
    flood(put_empty);
    flood(put_unknown);
    flood(put_stale_upd);
    flood(put_pong);
    flood(put_ping);
}

/* ACKs that say nothing new are counted, but for those a resume brings again. */
static void a_flood_of_old_acks(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, 16, 2000), 0);
    assert_string_equal(sent(k), "PING:0:2");
    for (int i = 0; i < 20000; i++)
        wire_word(&k->in, SMUX_ACK, 16);
    assert_string_equal(fed(k), "");
    for (int i = 0; i < 10001; i++)
        wire_word(&k->in, SMUX_ACK, 32);
    assert_string_equal(fed(k), "");
    wire_word(&k->in, SMUX_ACK, 31);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

static void a_flood_of_goaways(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    struct smux_event ev;
    struct smux_input in;
    int r = 1, events = 0;
    for (int i = 0; i < 10010; i++)
        wire_goaway(&k->in, 0, 0);
    in = (struct smux_input){k->in.p, k->in.n};
    while ((r = smux_session_feed(k->s, &in, k->now, &ev)) > 0)
        events++;
    assert_int_equal(r, ERR_LIMIT);
    assert_int_equal(events, 10001);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_ping_measures_the_round_trip),
        cmocka_unit_test(a_fast_round_trip_is_not_none),
        cmocka_unit_test(a_wrong_pong_measures_nothing),
        cmocka_unit_test(ping_follows_silence),
        cmocka_unit_test(what_is_received_puts_ping_off),
        cmocka_unit_test(ping_is_answered_together_with_ack),
        cmocka_unit_test(of_many_pings_the_last_is_answered),
        cmocka_unit_test(silence_is_death_after_15_seconds),
        cmocka_unit_test(no_progress_is_death_too),
        cmocka_unit_test(a_dead_peer_can_come_back),
        cmocka_unit_test(goaway_goes_ahead_of_what_is_not_staged),
        cmocka_unit_test(goaway_is_an_event),
        cmocka_unit_test(goaway_is_the_last_word_after_an_error),
        cmocka_unit_test(goaway_waits_while_detached),
        cmocka_unit_test(the_legacy_wire_has_no_goaway),
        cmocka_unit_test(floods_of_useless_frames_end_the_session),
        cmocka_unit_test(a_flood_of_old_acks),
        cmocka_unit_test(a_flood_of_goaways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
