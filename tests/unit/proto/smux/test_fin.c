/* SPDX-License-Identifier: MIT */
/* The end of a direction: order, the held FIN (D3), discarded bytes (D4), half-close, lingering. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void write_all(struct kit *k, struct smux_stream *st, size_t n)
{
    int err;
    assert_int_equal(kit_write(k, st, n, &err), n);
}

/* A server, stream 2 open, n bytes written, and the peer is sending, too. */
static struct kit *busy(size_t n, struct smux_stream **ret)
{
    struct kit *k = kit_new(false, NULL);
    *ret = kit_open(k);
    write_all(k, *ret, n);
    wire_psh(&k->in, 2, 10);
    assert_string_equal(fed(k), "DATA:2:10");
    (void)sent(k);
    return k;
}

static void fin_follows_the_data(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *a = kit_open(k), *b = kit_open(k);
    write_all(k, a, 40000);
    smux_stream_finish(a, k->now);
    smux_stream_finish(a, k->now);
    write_all(k, b, 5);
    smux_stream_close(b, k->now);
    assert_string_equal(sent(k),
                        "SYN:2 UPD:2:0/262144 SYN:4 UPD:4:0/262144 PSH:2:16376 PSH:2:16376 "
                        "PSH:2:7248 FIN:2 PSH:4:5 FIN:4");
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(a, &p, &room), ERR_BADSTATE);
    smux_stream_finish(a, k->now);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

static void half_close_goes_on_receiving(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    smux_stream_finish(st, k->now);
    (void)sent(k);
    wire_psh(&k->in, 2, 200000);
    assert_string_equal(fed(k), "DATA:2:200000"); /* D1 */
    smux_stream_consumed(st, 200000, k->now);
    assert_string_equal(sent(k), "UPD:2:200000/262144");
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2");
    assert_int_equal(session_streams(k->s), 1); /* until the owner lets go */
    smux_stream_close(st, k->now);
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void sending_goes_on_after_a_received_fin(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2");
    write_all(k, st, 20000);
    assert_string_equal(sent(k), "SYN:2 PSH:2:16376 PSH:2:3624");
    smux_stream_close(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);
}

/* ---- the held FIN ---- */

static void a_fin_waits_for_a_busy_go_peer(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = busy(60000, &st);
    mtime_ms t = k->now;
    smux_stream_finish(st, t);
    assert_string_equal(sent(k), "");
    assert_string_equal(ticked(k, t + 1000), "");
    assert_string_equal(sent(k), "");
    wire_upd(&k->in, 2, 60000 - 32768, 65536); /* one byte short */
    (void)fed(k);
    (void)ticked(k, t + 2000);
    (void)ticked(k, t + 3000);
    assert_string_equal(sent(k), "");
    wire_upd(&k->in, 2, 60000 - 32767, 65536);
    (void)fed(k);
    mtime_ms acked = k->now;
    while (*sent(k) == '\0')
        (void)ticked(k, smux_session_deadline(k->s));
    assert_string_equal(k->text, "FIN:2");
    assert_in_range(k->now - acked, 200, 400); /* 0.2 s for the rest to be read out */
    kit_free(k);
}

/* Silence from the reader is borne for 5 s. */
static void a_held_fin_goes_after_5_s_without_progress(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = busy(60000, &st);
    mtime_ms t = k->now;
    smux_stream_close(st, t);
    while (*sent(k) == '\0' && k->now < t + 20000)
        (void)ticked(k, smux_session_deadline(k->s));
    assert_string_equal(k->text, "FIN:2");
    assert_in_range(k->now - t, 5000, 5400);
    kit_free(k);
}

static void progress_prolongs_the_hold(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = busy(65536, &st);
    mtime_ms t = k->now;
    smux_stream_finish(st, t);
    for (uint32_t i = 1; i <= 5; i++) {
        while (k->now < t + i * 4000) {
            (void)ticked(k, k->now + 200);
            assert_null(strstr(sent(k), "FIN"));
        }
        wire_upd(&k->in, 2, i * 1000, 65536);
        (void)fed(k);
    }
    kit_free(k);
}

static void the_peer_s_fin_ends_the_hold(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = busy(60000, &st);
    smux_stream_close(st, k->now);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    (void)ticked(k, k->now + 200);
    assert_string_equal(sent(k), "FIN:2");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

/* What is in flight is little, so the peer need not say that it has read it: give it the time. */
static void d3_a_busy_peer_gets_200_ms_to_read_the_rest(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = busy(100, &st);
    mtime_ms t = k->now;
    smux_stream_finish(st, t);
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_deadline(k->s), t + 200);
    (void)ticked(k, t + 199);
    assert_string_equal(sent(k), "");
    (void)ticked(k, t + 200);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);
}

/* No data has come for long, because it may send none: it is in the middle of a write, which ends
   at a FIN and takes what was received with it. */
static void d3_a_peer_that_waits_for_window_is_busy(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    wire_psh(&k->in, 2, SMUX_START_WINDOW);
    (void)fed(k);
    write_all(k, st, 60000);
    wire_upd(&k->in, 2, 60000, 65536);
    (void)fed(k);
    write_all(k, st, 50000);
    (void)sent(k);
    smux_stream_finish(st, k->now);
    (void)ticked(k, k->now + 1000);
    assert_string_equal(sent(k), "");
    wire_upd(&k->in, 2, 110000, 65536);
    (void)fed(k);
    (void)ticked(k, k->now + 200);
    (void)ticked(k, k->now + 200);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);
}

static void who_needs_no_hold(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = busy(32767, &st); /* nothing is in flight */
    wire_upd(&k->in, 2, 32767, 65536);
    (void)fed(k);
    smux_stream_finish(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);

    k = busy(60000, &st); /* a peer of our kind */
    wire_upd(&k->in, 2, 0, 262144);
    (void)fed(k);
    smux_stream_finish(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);

    k = kit_new(false, NULL); /* it has not said a word */
    st = kit_open(k);
    write_all(k, st, 60000);
    (void)sent(k);
    smux_stream_finish(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);

    k = busy(60000, &st); /* a stream that is broken anyway */
    wire_upd(&k->in, 2, 60001, 65536);
    assert_string_equal(fed(k), "RESET:2:protocol error");
    smux_stream_close(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);
}

/* ---- letting go ---- */

static void close_acknowledges_what_was_not_read(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    (void)sent(k);
    wire_psh(&k->in, 2, SMUX_START_WINDOW); /* a Go writer waits for window now */
    (void)fed(k);
    smux_stream_consumed(st, 1000, k->now);
    smux_stream_close(st, k->now);
    assert_string_equal(sent(k), "UPD:2:262144/262144 FIN:2"); /* D4: or it never ends */
    wire_psh(&k->in, 2, 32768);
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "UPD:2:294912/262144"); /* after our own FIN, too */
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

/* The same for a stream that broke: its peer's writer must not wait for ever either. */
static void a_broken_stream_acknowledges_what_it_drops(void **state)
{
    (void)state;
    for (int closed_first = 0; closed_first < 2; closed_first++) {
        struct kit *k = kit_new(false, NULL);
        struct smux_stream *st = kit_open(k);
        (void)sent(k);
        wire_upd(&k->in, 2, 77, 65536);
        assert_string_equal(fed(k), "RESET:2:protocol error");
        if (closed_first)
            smux_stream_close(st, k->now);
        wire_psh(&k->in, 2, SMUX_START_WINDOW);
        assert_string_equal(fed(k), "");
        assert_string_equal(sent(k),
                            closed_first ? "UPD:2:262144/262144 FIN:2" : "UPD:2:262144/262144");
        if (!closed_first)
            smux_stream_close(st, k->now);
        kit_free(k);
    }
}

static void what_was_half_read_still_counts_when_broken(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    wire_psh(&k->in, 2, 5000);
    wire_upd(&k->in, 2, 77, 65536);
    wire_psh(&k->in, 2, 5000);
    assert_string_equal(fed(k), "DATA:2:5000 RESET:2:protocol error");
    smux_stream_consumed(st, 5000, k->now);
    smux_stream_close(st, k->now);
    (void)sent(k);
    kit_free(k);
}

static void lingering_ends_with_time(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    mtime_ms t = k->now;
    smux_stream_close(kit_open(k), t);
    (void)sent(k);
    for (mtime_ms at = t + 10000; at < t + 60000; at += 10000) {
        wire_plain(&k->in, SMUX_NOP, 0);
        (void)ticked(k, at);
        (void)fed(k);
        assert_int_equal(session_streams(k->s), 1);
    }
    (void)ticked(k, t + 59999);
    assert_int_equal(session_streams(k->s), 1);
    (void)ticked(k, t + 60000);
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void lingering_is_bounded_oldest_first(void **state)
{
    (void)state;
    for (uint32_t max = 0; max < 4; max++) {
        struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
        cfg.linger_max = max;
        struct kit *k = kit_new(false, &cfg);
        for (int i = 0; i < 10; i++) {
            smux_stream_close(kit_open(k), k->now);
            (void)sent(k);
        }
        assert_int_equal(session_streams(k->s), max);
        assert_int_equal(smux_session_open_streams(k->s), 0); /* all is said */
        for (uint32_t sid = 20; sid > 20 - 2 * max; sid -= 2)
            assert_non_null(map_get(&k->s->streams, sid));
        kit_free(k);
    }
}

static void a_hopeless_peer_is_told(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    int err;
    assert_false(smux_stream_peer_gone(st));
    assert_int_equal(kit_write(k, st, 70000, &err), 65536);
    assert_false(smux_stream_peer_gone(st)); /* no credit, but no FIN either */
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2");
    assert_true(smux_stream_peer_gone(st));
    wire_upd(&k->in, 2, 65536, 262144); /* of our kind after all */
    assert_string_equal(fed(k), "CREDIT:2");
    assert_false(smux_stream_peer_gone(st));
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fin_follows_the_data),
        cmocka_unit_test(half_close_goes_on_receiving),
        cmocka_unit_test(sending_goes_on_after_a_received_fin),
        cmocka_unit_test(a_fin_waits_for_a_busy_go_peer),
        cmocka_unit_test(a_held_fin_goes_after_5_s_without_progress),
        cmocka_unit_test(progress_prolongs_the_hold),
        cmocka_unit_test(the_peer_s_fin_ends_the_hold),
        cmocka_unit_test(d3_a_busy_peer_gets_200_ms_to_read_the_rest),
        cmocka_unit_test(d3_a_peer_that_waits_for_window_is_busy),
        cmocka_unit_test(who_needs_no_hold),
        cmocka_unit_test(close_acknowledges_what_was_not_read),
        cmocka_unit_test(a_broken_stream_acknowledges_what_it_drops),
        cmocka_unit_test(what_was_half_read_still_counts_when_broken),
        cmocka_unit_test(lingering_ends_with_time),
        cmocka_unit_test(lingering_is_bounded_oldest_first),
        cmocka_unit_test(a_hopeless_peer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
