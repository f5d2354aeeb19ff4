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

/* The end comes nearer, never later; the code is the last one. */
static void another_goaway_may_shorten_the_time(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_goaway(&k->in, SMUX_GOAWAY_SHUTDOWN, UINT32_MAX);
    assert_string_equal(fed(k), "GOAWAY:0/0/4294967295");
    k->now += 1000;
    wire_goaway(&k->in, SMUX_GOAWAY_SHUTDOWN, 30000);
    assert_string_equal(fed(k), "GOAWAY:0/0/30000");
    k->now += 10000;
    wire_goaway(&k->in, SMUX_GOAWAY_SECRET_CHANGED, 30000);
    assert_string_equal(fed(k), "GOAWAY:0/3/20000");
    wire_goaway(&k->in, SMUX_GOAWAY_SHUTDOWN, 5000);
    assert_string_equal(fed(k), "GOAWAY:0/0/5000");
    k->now += 6000;
    wire_goaway(&k->in, SMUX_GOAWAY_EXPIRED, 5000);
    assert_string_equal(fed(k), "GOAWAY:0/4/0"); /* it is over time */
    kit_free(k);
}

static void who_hears_goaway_opens_nothing(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = kit_open(k), *other = NULL;
    int err;
    wire_goaway(&k->in, SMUX_GOAWAY_SHUTDOWN, 30000);
    assert_string_equal(fed(k), "GOAWAY:0/0/30000");
    assert_int_equal(smux_stream_open(k->s, NULL, &other), ERR_BADSTATE);
    assert_null(other);
    assert_string_equal(sent(k), "SYN:2"); /* what was opened before goes on */
    assert_int_equal(kit_write(k, st, 100000, &err), 100000);
    wire_psh(&k->in, 2, 100000);
    assert_string_equal(fed(k), "DATA:2:100000");
    smux_stream_consumed(st, 100000, k->now);
    smux_stream_finish(st, k->now);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2");
    smux_stream_close(st, k->now);
    (void)sent(k);
    assert_int_equal(smux_session_open_streams(k->s), 0);
    smux_session_detach(k->s); /* and the session can be resumed */
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
    assert_int_equal(smux_stream_open(k->s, NULL, &other), ERR_BADSTATE);
    kit_free(k);
}

/* The peer may have opened streams before it heard, or just when. */
static void who_heard_goaway_takes_streams_of_the_other(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_goaway(&k->in, SMUX_GOAWAY_SHUTDOWN, 30000);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "GOAWAY:0/0/30000 OPENED:2");
    kit_free(k);
}

static void who_says_goaway_refuses_streams(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    struct smux_stream *other = NULL;
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 10);
    assert_string_equal(fed(k), "OPENED:2 DATA:2:10");
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 1000);
    assert_int_equal(smux_stream_open(k->s, NULL, &other), ERR_BADSTATE);
    wire_plain(&k->in, SMUX_SYN, 4); /* crosses it */
    wire_psh(&k->in, 4, 1000);
    wire_psh(&k->in, 2, 5);
    wire_plain(&k->in, SMUX_FIN, 4);
    assert_string_equal(fed(k), "DATA:2:5");
    char want[64];
    (void)snprintf(want, sizeof want, "GOAWAY:0:%llu RST:4:7", (unsigned long long)1000 << 32);
    assert_string_equal(sent(k), want);
    assert_int_equal(smux_session_open_streams(k->s), 1);
    wire_psh(&k->in, 4, 1000); /* was under way */
    wire_plain(&k->in, SMUX_SYN, 6);
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "RST:6:7");
    wire_plain(&k->in, SMUX_FIN, 2); /* the old one goes on */
    assert_string_equal(fed(k), "FIN:2");
    smux_stream_consumed(k->streams[2], 15, k->now);
    smux_stream_close(k->streams[2], k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);
}

/* Until the peer has acknowledged the GOAWAY, its SYNs are no fault; then they are a flood. */
static void streams_after_goaway_are_counted(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 30000);
    (void)sent(k);
    uint32_t sid = 2;
    for (int i = 0; i < 12000; i++, sid += 2) {
        wire_plain(&k->in, SMUX_SYN, sid);
        assert_string_equal(fed(k), "");
        (void)sent(k);
        if (i == 0)
            wire_word(&k->in, SMUX_ACK, k->s->live.goaway_to - 1); /* not all of it */
    }
    wire_word(&k->in, SMUX_ACK, k->s->live.goaway_to);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 1000); /* the first one was enough */
    (void)sent(k);
    for (int i = 0; i < 10000; i++, sid += 2)
        wire_plain(&k->in, SMUX_SYN, sid);
    assert_string_equal(fed(k), "");
    wire_plain(&k->in, SMUX_SYN, sid);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

/* A server opens streams and takes none, before and after. */
static void a_server_that_says_goaway_takes_no_syn(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 1000);
    (void)sent(k);
    wire_plain(&k->in, SMUX_SYN, 3);
    assert_string_equal(fed(k), "!protocol error");
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
    (void)kit_open(k); /* and so nothing changes */
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
        cmocka_unit_test(another_goaway_may_shorten_the_time),
        cmocka_unit_test(who_hears_goaway_opens_nothing),
        cmocka_unit_test(who_heard_goaway_takes_streams_of_the_other),
        cmocka_unit_test(who_says_goaway_refuses_streams),
        cmocka_unit_test(streams_after_goaway_are_counted),
        cmocka_unit_test(a_server_that_says_goaway_takes_no_syn),
        cmocka_unit_test(goaway_is_the_last_word_after_an_error),
        cmocka_unit_test(goaway_waits_while_detached),
        cmocka_unit_test(the_legacy_wire_has_no_goaway),
        cmocka_unit_test(floods_of_useless_frames_end_the_session),
        cmocka_unit_test(a_flood_of_old_acks),
        cmocka_unit_test(a_flood_of_goaways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
