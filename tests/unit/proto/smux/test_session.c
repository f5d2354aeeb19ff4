/* SPDX-License-Identifier: MIT */
/* Set-up, stream ids of both sides and their wrap (D23), limits, and the session's end. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/err.h"

static void configuration_is_checked(void **state)
{
    (void)state;
    struct smux_session *s = NULL;
    const struct smux_config good = smux_config_default(true, SMUX_WIRE_LEGACY);
    struct smux_config bad[7];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = good;
    bad[0].recv_window = SMUX_START_WINDOW - 1;
    bad[1].recv_window = 0x80000000;
    bad[2].ring_bytes = (size_t)bad[2].stage_max + (64 << 10) - 1;
    bad[3].nop_ms = 0;
    bad[4].dead_ms = 0;
    bad[5].nop_ms = -1;
    bad[6].recv_window = 0;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(smux_session_new(&bad[i], 0, &s), ERR_INVAL);
        assert_null(s);
    }
    struct smux_config most = good;
    most.recv_window = 0x7fffffff;
    assert_int_equal(smux_session_new(&most, 0, &s), 0);
    smux_session_free(s);
    smux_session_free(NULL);
}

static void a_client_has_odd_ids_from_3(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    assert_string_equal(sent(k), "");
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(smux_stream_id(kit_open(k)), 3 + 2 * i);
    assert_int_equal(session_streams(k->s), 3);
    assert_string_equal(sent(k), "SYN:3 UPD:3:0/262144 SYN:5 UPD:5:0/262144 SYN:7 UPD:7:0/262144");
    kit_free(k);
}

static void a_server_has_even_ids_from_2(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(smux_stream_id(kit_open(k)), 2 + 2 * i);
    assert_string_equal(sent(k), "SYN:2 UPD:2:0/262144 SYN:4 UPD:4:0/262144 SYN:6 UPD:6:0/262144");
    kit_free(k);
}

/* Opens `n` streams after the wrap and expects these ids. */
static void expect_ids(struct kit *k, const uint32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(smux_stream_id(kit_open(k)), ids[i]);
}

static void server_ids_wrap_past_those_in_use(void **state)
{
    (void)state;
    static const uint32_t want[] = {0xfffffffc, 0xfffffffe, 6, 10};
    struct kit *k = kit_new(false, NULL);
    for (int i = 0; i < 4; i++)
        (void)kit_open(k); /* 2, 4, 6, 8 */
    (void)sent(k);
    smux_stream_close(k->streams[6], k->now);
    (void)sent(k);
    wire_plain(&k->in, SMUX_FIN, 6);
    assert_string_equal(fed(k), ""); /* 6 is free again; the owner had let go */
    k->s->next_sid = 0xfffffffc;
    expect_ids(k, want, ARRAY_LEN(want));
    kit_free(k);
}

static void client_ids_wrap_past_those_in_use(void **state)
{
    (void)state;
    static const uint32_t want[] = {0xffffffff, 5, 7, 9};
    struct kit *k = kit_new(true, NULL);
    (void)kit_open(k); /* 3 */
    wire_plain(&k->in, SMUX_SYN, 11);
    assert_string_equal(fed(k), "OPENED:11");
    k->s->next_sid = 0xffffffff;
    expect_ids(k, want, ARRAY_LEN(want));
    assert_int_equal(smux_stream_id(kit_open(k)), 13); /* 11 is the peer's */
    kit_free(k);
}

static void the_limit_of_streams_counts_both_sides(void **state)
{
    (void)state;
    struct smux_config cfg = smux_config_default(true, SMUX_WIRE_LEGACY);
    cfg.max_streams = 3;
    struct kit *k = kit_new(true, &cfg);
    (void)kit_open(k);
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_plain(&k->in, SMUX_SYN, 4);
    wire_plain(&k->in, SMUX_SYN, 4); /* known: no new stream */
    assert_string_equal(fed(k), "OPENED:2 OPENED:4");
    struct smux_stream *st = NULL;
    assert_int_equal(smux_stream_open(k->s, NULL, &st), ERR_LIMIT);
    assert_null(st);
    wire_plain(&k->in, SMUX_SYN, 6); /* a peer that floods (D20) */
    assert_string_equal(fed(k), "!limit reached");
    wire_plain(&k->in, SMUX_NOP, 0);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

/* smux checks no ids, so neither do we (docs/protocol.md 2). */
static void a_legacy_peer_may_open_any_id(void **state)
{
    (void)state;
    for (int is_client = 0; is_client < 2; is_client++) {
        struct kit *k = kit_new(is_client, NULL);
        for (uint32_t sid = 0; sid < 4; sid++)
            wire_plain(&k->in, SMUX_SYN, sid);
        wire_psh(&k->in, 0, 5);
        wire_plain(&k->in, SMUX_SYN, 0); /* in use: the old one goes on */
        wire_psh(&k->in, 0, 5);
        wire_psh(&k->in, 77, 5); /* not known */
        assert_string_equal(fed(k), "OPENED:0 OPENED:1 OPENED:2 OPENED:3 DATA:0:10");
        kit_free(k);
    }
}

static void after_an_error_everything_says_so(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    struct smux_stream *st = kit_open(k), *other;
    (void)sent(k);
    wire_header(&k->in, 1, SMUX_NOP, 0, 0);
    assert_string_equal(fed(k), "!protocol error");
    assert_string_equal(fed(k), "!protocol error"); /* with nothing to feed, too */
    assert_string_equal(ticked(k, k->now + 100000), "!protocol error");
    assert_int_equal(smux_stream_open(k->s, NULL, &other), ERR_BADSTATE);
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(st, &p, &room), ERR_BADSTATE);
    smux_stream_close(st, k->now);
    assert_string_equal(sent(k), ""); /* close at once, no FINs (protocol.md 2, D19) */
    kit_free(k);
}

static void the_owner_s_pointer_comes_with_events(void **state)
{
    (void)state;
    struct kit *k = kit_new(true, NULL);
    struct smux_input in;
    struct smux_event ev;
    int owner;
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 3);
    in = (struct smux_input){.p = k->in.p, .n = k->in.n};
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_int_equal(ev.type, SMUX_EV_OPENED);
    assert_null(ev.user);
    assert_int_equal(in.n, 8 + 3);
    smux_stream_set_user(ev.stream, &owner);
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_int_equal(ev.type, SMUX_EV_DATA);
    assert_ptr_equal(ev.user, &owner);
    assert_ptr_equal(ev.data, k->in.p + 16); /* no copy */
    assert_int_equal(ev.len, 3);
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 0);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_is_checked),
        cmocka_unit_test(a_client_has_odd_ids_from_3),
        cmocka_unit_test(a_server_has_even_ids_from_2),
        cmocka_unit_test(server_ids_wrap_past_those_in_use),
        cmocka_unit_test(client_ids_wrap_past_those_in_use),
        cmocka_unit_test(the_limit_of_streams_counts_both_sides),
        cmocka_unit_test(a_legacy_peer_may_open_any_id),
        cmocka_unit_test(after_an_error_everything_says_so),
        cmocka_unit_test(the_owner_s_pointer_comes_with_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
