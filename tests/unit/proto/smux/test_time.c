/* SPDX-License-Identifier: MIT */
/* What the passing of time does: keepalive, silence, settling after SYN, lingering for a FIN. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void nop_every_ten_seconds_whatever_else_is_sent(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL); /* at 1000 */
    assert_int_equal(smux_session_deadline(k->s), 11000);
    assert_string_equal(ticked(k, 10999), "");
    assert_string_equal(sent(k), "");
    for (mtime_ms at = 11000; at <= 111000; at += 10000) {
        struct smux_stream *st = kit_open(k);
        (void)sent(k);
        assert_string_equal(ticked(k, at), "");
        assert_string_equal(sent(k), "NOP:0");
        wire_plain(&k->in, SMUX_NOP, 0);
        assert_string_equal(fed(k), "");
        smux_stream_close(st, k->now);
        (void)sent(k);
    }
    kit_free(k);
}

static void a_late_tick_sends_one_nop(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    assert_string_equal(ticked(k, 25000), "");
    assert_string_equal(sent(k), "NOP:0");
    assert_int_equal(smux_session_deadline(k->s), 31000); /* of the silence */
    kit_free(k);
}

static void thirty_seconds_of_silence_are_the_end_d6(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    assert_string_equal(ticked(k, 30999), "");
    uint8_t half[] = {2}; /* any byte counts, also a part of a header */
    assert_int_equal(kit_feed(k, half, 1), 0);
    k->now = 30999;
    assert_string_equal(ticked(k, 60998), "");
    assert_string_equal(ticked(k, 60999), "!timed out");
    assert_string_equal(ticked(k, 61000), "!timed out"); /* and stays so */
    wire_plain(&k->in, SMUX_NOP, 0);
    assert_string_equal(fed(k), "!timed out");
    kit_free(k);
}

static struct kit *with_peer_stream(void)
{
    struct kit *k = kit_new(true, NULL);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    return k;
}

static void nothing_answers_a_syn_at_once_d5(void **state)
{
    (void)state;
    struct kit *k = with_peer_stream();
    int err;
    assert_int_equal(kit_write(k, k->streams[2], 100, &err), 0);
    assert_int_equal(err, ERR_AGAIN);
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_deadline(k->s), k->now + 20);
    assert_string_equal(ticked(k, k->now + 19), "");
    assert_string_equal(sent(k), "");
    assert_string_equal(ticked(k, k->now + 1), "CREDIT:2");
    assert_int_equal(kit_write(k, k->streams[2], 100, &err), 100);
    assert_string_equal(sent(k), "UPD:2:0/262144 PSH:2:100");
    kit_free(k);
}

static void a_refusal_waits_too_d5(void **state)
{
    (void)state;
    struct kit *k = with_peer_stream();
    smux_stream_close(k->streams[2], k->now);
    assert_string_equal(sent(k), "");
    assert_string_equal(ticked(k, k->now + 20), "");
    assert_string_equal(sent(k), "UPD:2:0/262144 FIN:2");
    kit_free(k);
}

/* Whatever comes on the stream proves that the peer has it in its table. */
static void any_frame_of_the_stream_settles_it_d5(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct kit *k = with_peer_stream();
        int err;
        assert_int_equal(kit_write(k, k->streams[2], 100, &err), 0);
        if (what == 0)
            wire_psh(&k->in, 2, 1);
        else if (what == 1)
            wire_upd(&k->in, 2, 0, 262144);
        else
            wire_plain(&k->in, SMUX_FIN, 2);
        assert_non_null(strstr(fed(k), "CREDIT:2"));
        assert_int_equal(kit_write(k, k->streams[2], 100, &err), 100);
        kit_free(k);
    }
}

static void a_closed_stream_lingers_for_the_peer_s_fin_d4(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    smux_stream_close(kit_open(k), k->now);
    (void)sent(k);
    for (mtime_ms at = 11000; at < 61000; at += 10000) {
        assert_string_equal(ticked(k, at), "");
        wire_plain(&k->in, SMUX_NOP, 0);
        (void)fed(k);
        (void)sent(k);
        assert_int_equal(session_streams(k->s), 1);
    }
    assert_string_equal(ticked(k, 60999), "");
    assert_int_equal(session_streams(k->s), 1);
    assert_string_equal(ticked(k, 61000), "");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void lingering_is_bounded_the_oldest_goes_first(void **state)
{
    (void)state;
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    cfg.linger_max = 3;
    struct kit *k = kit_new(false, &cfg);
    for (int i = 0; i < 5; i++) {
        smux_stream_close(kit_open(k), k->now);
        (void)sent(k);
    }
    assert_int_equal(session_streams(k->s), 3);
    wire_plain(&k->in, SMUX_FIN, 2); /* gone already: no more a stream */
    wire_plain(&k->in, SMUX_FIN, 10);
    assert_string_equal(fed(k), "");
    assert_int_equal(session_streams(k->s), 2);
    kit_free(k);
}

static void many_waits_at_once_stay_in_order(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    for (uint32_t sid = 2; sid < 200; sid += 2) {
        wire_plain(&k->in, SMUX_SYN, sid);
        (void)fed(k);
        smux_stream_close(k->streams[sid], k->now);
        if (sid % 10 == 0) {
            (void)ticked(k, k->now + 1);
            (void)sent(k);
        }
    }
    (void)ticked(k, k->now + 20);
    (void)sent(k);
    (void)ticked(k, k->now + 9000);
    wire_plain(&k->in, SMUX_NOP, 0);
    (void)fed(k);
    for (int i = 0; i < 6; i++) {
        (void)ticked(k, k->now + 9900);
        wire_plain(&k->in, SMUX_NOP, 0);
        (void)fed(k);
        (void)sent(k);
    }
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nop_every_ten_seconds_whatever_else_is_sent),
        cmocka_unit_test(a_late_tick_sends_one_nop),
        cmocka_unit_test(thirty_seconds_of_silence_are_the_end_d6),
        cmocka_unit_test(nothing_answers_a_syn_at_once_d5),
        cmocka_unit_test(a_refusal_waits_too_d5),
        cmocka_unit_test(any_frame_of_the_stream_settles_it_d5),
        cmocka_unit_test(a_closed_stream_lingers_for_the_peer_s_fin_d4),
        cmocka_unit_test(lingering_is_bounded_the_oldest_goes_first),
        cmocka_unit_test(many_waits_at_once_stay_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
