/* SPDX-License-Identifier: MIT */
/* What received frames mean: SYN, PSH, FIN, NOP of known and unknown streams; malformed input. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/err.h"

/* A session in which the peer has opened stream 2. */
static struct kit *with_stream(void)
{
    struct kit *k = kit_new(true, NULL);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    return k;
}

static void a_whole_life(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, 10);
    wire_psh(&k->in, 2, 5);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "DATA:2:15 FIN:2");
    smux_stream_consumed(k->streams[2], 15, k->now);
    smux_stream_close(k->streams[2], k->now);
    assert_string_equal(sent(k), "FIN:2");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void any_id_may_be_opened(void **state)
{
    (void)state;
    static const uint32_t ids[] = {0, 1, 2, 3, 0x80000000, 0xfffffffe, 0xffffffff};
    struct kit *k = kit_new(true, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        wire_plain(&k->in, SMUX_SYN, ids[i]);
    assert_string_equal(fed(k), "OPENED:0 OPENED:1 OPENED:2 OPENED:3 OPENED:2147483648 "
                                "OPENED:4294967294 OPENED:4294967295");
    kit_free(k);
}

static void syn_of_a_known_id_is_ignored(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, 4);
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 6);
    assert_string_equal(fed(k), "DATA:2:10");
    (void)kit_open(k); /* 3, ours */
    wire_plain(&k->in, SMUX_SYN, 3);
    wire_psh(&k->in, 3, 6);
    assert_string_equal(fed(k), "DATA:3:6");
    kit_free(k);
}

static void unknown_ids_are_passed_over(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_plain(&k->in, SMUX_FIN, 40);
    wire_psh(&k->in, 40, 65000);
    wire_psh(&k->in, 40, 0);
    wire_upd(&k->in, 40, 0xffffffff, 0xffffffff);
    wire_upd(&k->in, 40, 0, SMUX_RESET_WINDOW);
    wire_psh(&k->in, 2, 3);
    assert_string_equal(fed(k), "DATA:2:3");
    assert_int_equal(session_streams(k->s), 1);
    kit_free(k);
}

static void empty_psh_is_nothing(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, 0);
    wire_psh(&k->in, 2, 0);
    assert_string_equal(fed(k), "");
    wire_psh(&k->in, 2, 1);
    wire_psh(&k->in, 2, 0);
    wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "DATA:2:2");
    kit_free(k);
}

static void longest_psh(void **state)
{
    (void)state;
    static uint8_t body[65535];
    struct kit *k = with_stream();
    wire_header(&k->in, 2, SMUX_PSH, 65535, 2);
    wire_raw(&k->in, body, sizeof body);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "DATA:2:65535 FIN:2");
    kit_free(k);
}

static void nop_with_any_id(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_plain(&k->in, SMUX_NOP, 0);
    wire_plain(&k->in, SMUX_NOP, 2);
    wire_plain(&k->in, SMUX_NOP, 0xffffffff);
    assert_string_equal(fed(k), "");
    kit_free(k);
}

static void double_fin_and_psh_after_fin(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, 3);
    wire_plain(&k->in, SMUX_FIN, 2);
    wire_plain(&k->in, SMUX_FIN, 2);
    wire_psh(&k->in, 2, 300);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "DATA:2:3 FIN:2");
    kit_free(k);
}

static void a_stream_closed_in_the_middle_of_its_payload(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, 100);
    wire_plain(&k->in, SMUX_FIN, 2);
    wire_plain(&k->in, SMUX_SYN, 2);
    kit_clear(k);
    (void)kit_feed(k, k->in.p, 50);
    assert_string_equal(kit_text(k), "DATA:2:42");
    smux_stream_close(k->streams[2], k->now);
    kit_clear(k);
    (void)kit_feed(k, k->in.p + 50, 58 + 8);
    assert_string_equal(kit_text(k), "");
    (void)sent(k);
    assert_int_equal(session_streams(k->s), 0);
    (void)kit_feed(k, k->in.p + 116, 8); /* the id may be used again now */
    assert_string_equal(kit_text(k), "OPENED:2");
    kit_free(k);
}

static void every_malformed_header_ends_the_session(void **state)
{
    (void)state;
    static const struct {
        uint8_t version, cmd;
        uint16_t len;
    } rows[] = {
        {0, 0, 0}, {1, 0, 0}, {3, 3, 0},   {255, 2, 4}, {2, 5, 0}, {2, 255, 0},    {2, 0, 1},
        {2, 1, 1}, {2, 3, 1}, {2, 4, 0},   {2, 4, 7},   {2, 4, 9}, {2, 4, 65535},  {2, 0, 65535},
        {2, 1, 8}, {2, 3, 8}, {2, 0, 256}, {1, 4, 8},   {2, 6, 0}, {2, 4, 0x0800},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kit *k = with_stream();
        wire_psh(&k->in, 2, 7);
        wire_header(&k->in, rows[i].version, rows[i].cmd, rows[i].len, 2);
        wire_psh(&k->in, 2, 9); /* must not be looked at any more */
        assert_string_equal(fed(k), "DATA:2:7 !protocol error");
        wire_psh(&k->in, 2, 9);
        assert_string_equal(fed(k), "!protocol error");
        kit_free(k);
    }
}

static void a_window_is_not_overrun(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, SMUX_START_WINDOW);
    assert_string_equal(fed(k), "DATA:2:262144"); /* to the last byte */
    wire_plain(&k->in, SMUX_NOP, 0);
    assert_string_equal(fed(k), "");
    wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "!protocol error");
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void consumed_bytes_make_room(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    wire_psh(&k->in, 2, SMUX_START_WINDOW);
    (void)fed(k);
    smux_stream_consumed(k->streams[2], 100, k->now);
    wire_psh(&k->in, 2, 100);
    assert_string_equal(fed(k), "DATA:2:100");
    smux_stream_consumed(k->streams[2], 1000, k->now);
    wire_psh(&k->in, 2, 1001);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* The same, whatever piece of the frame had come before: judged by the header. */
static void an_overrun_is_seen_in_the_header(void **state)
{
    (void)state;
    for (size_t first = 1; first <= 24; first++) {
        struct kit *k = with_stream();
        wire_psh(&k->in, 2, SMUX_START_WINDOW - 10);
        (void)fed(k);
        wire_psh(&k->in, 2, 11);
        kit_clear(k);
        size_t piece = first < k->in.n ? first : k->in.n;
        if (kit_feed(k, k->in.p, piece) == 0)
            (void)kit_feed(k, k->in.p + piece, k->in.n - piece);
        assert_string_equal(kit_text(k), "!protocol error");
        kit_free(k);
    }
}

static void a_larger_window_is_honoured(void **state)
{
    (void)state;
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    cfg.recv_window = 1 << 20;
    struct kit *k = kit_new(false, &cfg);
    (void)kit_open(k);
    assert_string_equal(sent(k), "SYN:2 UPD:2:0/1048576");
    wire_psh(&k->in, 2, 1 << 20);
    assert_string_equal(fed(k), "DATA:2:1048576");
    wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* Data a released stream gets is dropped, and cannot overrun. */
static void a_released_stream_swallows(void **state)
{
    (void)state;
    struct kit *k = with_stream();
    smux_stream_close(k->streams[2], k->now);
    for (int i = 0; i < 20; i++) {
        wire_psh(&k->in, 2, 100000);
        assert_string_equal(fed(k), "");
    }
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_life),
        cmocka_unit_test(any_id_may_be_opened),
        cmocka_unit_test(syn_of_a_known_id_is_ignored),
        cmocka_unit_test(unknown_ids_are_passed_over),
        cmocka_unit_test(empty_psh_is_nothing),
        cmocka_unit_test(longest_psh),
        cmocka_unit_test(nop_with_any_id),
        cmocka_unit_test(double_fin_and_psh_after_fin),
        cmocka_unit_test(a_stream_closed_in_the_middle_of_its_payload),
        cmocka_unit_test(every_malformed_header_ends_the_session),
        cmocka_unit_test(a_window_is_not_overrun),
        cmocka_unit_test(consumed_bytes_make_room),
        cmocka_unit_test(an_overrun_is_seen_in_the_header),
        cmocka_unit_test(a_larger_window_is_honoured),
        cmocka_unit_test(a_released_stream_swallows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
