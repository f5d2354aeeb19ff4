/* SPDX-License-Identifier: MIT */
/* The reset marker, in both directions, and at every moment of a stream's life. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/err.h"

/* All output of `from` is fed to `to`; what happens there as text. */
static const char *carry(struct kit *from, struct kit *to)
{
    size_t n;
    for (const uint8_t *p; (void)(p = smux_session_output(from->s, &n)), n > 0;) {
        wire_raw(&to->in, p, n);
        smux_session_sent(from->s, n);
    }
    return fed(to);
}

static void between_two_of_our_kind(void **state)
{
    (void)state;
    struct kit *a = kit_new(false, NULL), *b = kit_new(true, NULL);
    struct smux_stream *st = kit_open(a);
    int err;
    assert_int_equal(kit_write(a, st, 100, &err), 100);
    assert_string_equal(carry(a, b), "OPENED:2 DATA:2:100");
    assert_string_equal(carry(b, a), "");
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, a->now);
    assert_string_equal(carry(a, b), "RESET:2:connection reset"); /* and no FIN after it */
    assert_int_equal(session_streams(a->s), 1);                   /* waits for the other's FIN */
    smux_stream_close(b->streams[2], b->now);
    assert_string_equal(carry(b, a), "");
    assert_int_equal(session_streams(a->s), 0);
    assert_int_equal(session_streams(b->s), 0);
    kit_free(a);
    kit_free(b);
}

static void a_reset_answered_by_a_reset(void **state)
{
    (void)state;
    struct kit *a = kit_new(false, NULL), *b = kit_new(true, NULL);
    struct smux_stream *st = kit_open(a);
    (void)carry(a, b);
    (void)ticked(b, b->now + 20);
    (void)carry(b, a);
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, a->now);
    smux_stream_reset(b->streams[2], SMUX_RST_UNSPECIFIED, b->now); /* at the same time */
    assert_string_equal(carry(a, b), "");
    assert_string_equal(carry(b, a), "");
    (void)carry(a, b);
    assert_int_equal(session_streams(a->s), 0);
    assert_int_equal(session_streams(b->s), 0);
    kit_free(a);
    kit_free(b);
}

static void what_a_go_peer_sees(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    wire_psh(&k->in, 2, 5000);
    (void)fed(k);
    (void)sent(k);
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(sent(k), "UPD:2:5000/4294901761 FIN:2 UPD:2:5000/262144");
    wire_psh(&k->in, 2, 262144); /* its writer may use that window */
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "UPD:2:267144/262144");
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

/* smux stream.go writeV2: `win := int32(peerWindow) - inflight`, and sends if win > 0. */
static void a_go_sender_stops_at_the_marker(void **state)
{
    (void)state;
    for (uint32_t inflight = 0; inflight <= 16 << 20; inflight += 4095) {
        int32_t win = (int32_t)(SMUX_RESET_WINDOW - inflight); /* wraps, as Go's does */
        assert_true(win <= 0);
    }
}

static void behind_what_was_staged(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    int err;
    assert_int_equal(kit_write(k, st, 10, &err), 10);
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(sent(k), "SYN:2 UPD:2:0/262144 PSH:2:10 UPD:2:0/4294901761 FIN:2 "
                                 "UPD:2:0/262144");
    kit_free(k);
}

static void before_the_syn_went_out(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    smux_stream_reset(kit_open(k), SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(sent(k), "SYN:2 UPD:2:0/4294901761 FIN:2 UPD:2:0/262144");
    kit_free(k);
}

static void after_our_own_fin(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    smux_stream_finish(st, k->now);
    (void)sent(k);
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(sent(k), "UPD:2:0/4294901761 UPD:2:0/262144"); /* no second FIN */
    wire_plain(&k->in, SMUX_FIN, 2);
    (void)fed(k);
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void after_the_peer_s_fin(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    wire_plain(&k->in, SMUX_FIN, 2);
    (void)fed(k);
    (void)sent(k);
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(sent(k), "UPD:2:0/4294901761 FIN:2 UPD:2:0/262144");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void while_settling(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    wire_plain(&k->in, SMUX_SYN, 2);
    (void)fed(k);
    smux_stream_reset(k->streams[2], SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(sent(k), "");
    (void)ticked(k, k->now + 20);
    assert_string_equal(sent(k), "UPD:2:0/4294901761 FIN:2 UPD:2:0/262144");
    kit_free(k);
}

static void while_a_fin_is_held(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    int err;
    assert_int_equal(kit_write(k, st, 60000, &err), 60000);
    wire_psh(&k->in, 2, 10);
    (void)fed(k);
    (void)sent(k);
    smux_stream_finish(st, k->now);
    assert_string_equal(sent(k), "");
    smux_stream_reset(st, SMUX_RST_UNSPECIFIED, k->now);
    assert_true(list_empty(&k->s->held));
    assert_string_equal(sent(k), "UPD:2:10/4294901761 FIN:2 UPD:2:10/262144");
    assert_int_equal(k->s->lingering_count, 1);
    (void)ticked(k, k->now + 1000);
    assert_string_equal(sent(k), "");
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    assert_int_equal(session_streams(k->s), 0);
    assert_int_equal(k->s->lingering_count, 0);
    kit_free(k);
}

static void while_blocked_or_starved(void **state)
{
    (void)state;
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    cfg.peer_excess_max = 40000;
    struct kit *k = kit_new(false, &cfg);
    struct smux_stream *a = kit_open(k), *b = kit_open(k);
    int err;
    (void)kit_write(k, a, 70000, &err);
    assert_int_equal(err, ERR_AGAIN);
    (void)kit_write(k, b, 70000, &err);
    assert_int_equal(err, ERR_AGAIN);
    (void)sent(k);
    wire_upd(&k->in, 4, 0, SMUX_RESET_WINDOW);
    assert_string_equal(fed(k), "RESET:4:connection reset");
    smux_stream_close(b, k->now);
    assert_string_equal(sent(k), "FIN:4");
    smux_stream_reset(a, SMUX_RST_UNSPECIFIED, k->now);
    assert_string_equal(ticked(k, k->now), "");
    wire_upd(&k->in, 2, 65536, 65536);
    wire_plain(&k->in, SMUX_FIN, 2);
    wire_plain(&k->in, SMUX_FIN, 4);
    assert_string_equal(fed(k), ""); /* no CREDIT for who has gone */
    (void)sent(k);
    assert_int_equal(session_streams(k->s), 0);
    assert_int_equal(k->s->excess, 0);
    kit_free(k);
}

static void of_a_stream_the_owner_has_closed(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    smux_stream_close(kit_open(k), k->now);
    (void)sent(k);
    wire_upd(&k->in, 2, 0, SMUX_RESET_WINDOW);
    assert_string_equal(fed(k), "");
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_two_of_our_kind),
        cmocka_unit_test(a_reset_answered_by_a_reset),
        cmocka_unit_test(what_a_go_peer_sees),
        cmocka_unit_test(a_go_sender_stops_at_the_marker),
        cmocka_unit_test(behind_what_was_staged),
        cmocka_unit_test(before_the_syn_went_out),
        cmocka_unit_test(after_our_own_fin),
        cmocka_unit_test(after_the_peer_s_fin),
        cmocka_unit_test(while_settling),
        cmocka_unit_test(while_a_fin_is_held),
        cmocka_unit_test(while_blocked_or_starved),
        cmocka_unit_test(of_a_stream_the_owner_has_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
