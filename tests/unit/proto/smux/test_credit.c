/* SPDX-License-Identifier: MIT */
/* Flow control: windows and UPD in both directions, and the budget towards a Go peer (D18). */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { MORE = 1 << 20 };

/* A server with one open stream, 2, whose SYN went out. */
static struct kit *with_open(struct smux_stream **ret)
{
    struct kit *k = kit_new(false, NULL);
    *ret = kit_open(k);
    (void)sent(k);
    return k;
}

/* Writes all that credit allows; the refusal must be ERR_AGAIN. */
static size_t fill(struct kit *k, struct smux_stream *st)
{
    int err;
    size_t n = kit_write(k, st, MORE, &err);
    assert_int_equal(err, ERR_AGAIN);
    (void)sent(k);
    return n;
}

static const char *upd(struct kit *k, uint32_t sid, uint32_t consumed, uint32_t window)
{
    wire_upd(&k->in, sid, consumed, window);
    return fed(k);
}

static void start_window_is_used_in_part(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    assert_int_equal(fill(k, st), SMUX_GO_WINDOW); /* not 262,144: protocol.md 2.1 */
    assert_string_equal(upd(k, 2, 0, 65536), "");
    assert_string_equal(upd(k, 2, 10, 65536), "CREDIT:2");
    assert_int_equal(fill(k, st), 10);
    assert_string_equal(upd(k, 2, 32780, 65536), "CREDIT:2");
    assert_int_equal(fill(k, st), 32770);
    kit_free(k);
}

static void consumed_beyond_sent_resets_that_stream_only(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    struct smux_stream *other = kit_open(k);
    int err;
    assert_int_equal(kit_write(k, st, 100, &err), 100);
    assert_string_equal(upd(k, 2, 100, 65536), "");
    assert_string_equal(upd(k, 2, 101, 65536), "RESET:2:protocol error");
    assert_string_equal(upd(k, 2, 102, 65536), ""); /* once */
    wire_psh(&k->in, 2, 10);
    wire_plain(&k->in, SMUX_FIN, 2);
    wire_psh(&k->in, 4, 10);
    assert_string_equal(fed(k), "DATA:4:10");
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(st, &p, &room), ERR_BADSTATE);
    assert_int_equal(kit_write(k, other, 100, &err), 100);
    smux_stream_close(st, k->now);
    assert_string_equal(sent(k), "SYN:4 UPD:4:0/262144 PSH:2:100 PSH:4:100 FIN:2");
    assert_int_equal(session_streams(k->s), 1);
    kit_free(k);
}

static void a_smaller_consumed_is_stale(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    assert_int_equal(fill(k, st), 65536);
    assert_string_equal(upd(k, 2, 50000, 65536), "CREDIT:2");
    assert_string_equal(upd(k, 2, 20000, 65536), "");
    assert_int_equal(fill(k, st), 50000);
    assert_int_equal(st->peer_consumed, 50000);
    kit_free(k);
}

/* A window and what may be sent against it when nothing was sent yet. */
static void windows_at_their_ends(void **state)
{
    (void)state;
    static const struct {
        uint32_t window;
        size_t allows;
    } rows[] = {
        {0, 0},          {1, 1},          {2, 2},          {65535, 65535},   {65536, 65536},
        {65537, 65537},  {16376, 16376},  {16377, 16377},  {300000, 300000}, {0x80000000, 0},
        {0x80000001, 0}, {0xffff0000, 0}, {0xffff0002, 0}, {0xffffffff, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct smux_stream *st;
        struct kit *k = with_open(&st);
        assert_string_equal(upd(k, 2, 0, rows[i].window), "");
        assert_int_equal(fill(k, st), rows[i].allows);
        assert_string_equal(upd(k, 2, 0, rows[i].window), "");
        kit_free(k);
    }
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    int err;
    assert_string_equal(upd(k, 2, 0, 0x7fffffff), "");
    assert_int_equal(kit_write(k, st, 8 << 20, &err), 8 << 20);
    kit_free(k);
}

static void a_window_below_what_is_in_flight_waits(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    assert_int_equal(fill(k, st), 65536);
    assert_string_equal(upd(k, 2, 100, 1), "");
    assert_string_equal(upd(k, 2, 65535, 1), "");
    assert_string_equal(upd(k, 2, 65536, 0), "");
    assert_string_equal(upd(k, 2, 65536, 1), "CREDIT:2");
    assert_int_equal(fill(k, st), 1); /* one byte an UPD (P32) */
    assert_string_equal(upd(k, 2, 65537, 1), "CREDIT:2");
    kit_free(k);
}

static void no_credit_event_unless_refused(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    assert_string_equal(upd(k, 2, 0, 1000), "");
    assert_string_equal(upd(k, 2, 0, 2000), "");
    assert_int_equal(fill(k, st), 2000);
    assert_string_equal(upd(k, 2, 0, 3000), "CREDIT:2");
    assert_string_equal(upd(k, 2, 0, 4000), ""); /* was told */
    smux_stream_finish(st, k->now);
    assert_string_equal(upd(k, 2, 0, 5000), "");
    kit_free(k);
}

/* ---- the budget ---- */

static struct kit *stalled(uint32_t n, uint32_t excess_max, struct smux_stream **st)
{
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    cfg.peer_excess_max = excess_max;
    struct kit *k = kit_new(false, &cfg);
    for (uint32_t i = 0; i < n; i++) {
        st[i] = kit_open(k);
        size_t got = fill(k, st[i]);
        assert_true(got >= SMUX_GO_FREE && got <= 65536);
        assert_true(k->s->excess <= excess_max);
    }
    return k;
}

static uint64_t sent_by(struct smux_stream *const *st, uint32_t n)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += st[i]->sent;
    return sum;
}

/* A stalled stream leaves all it was sent in a Go peer's bucket of 4 MiB; there must be room for
   the others. */
static void d18_stalled_streams_leave_room_in_the_bucket(void **state)
{
    (void)state;
    static struct smux_stream *st[95];
    uint32_t max = smux_config_default(false, SMUX_WIRE_LEGACY).peer_excess_max;
    struct kit *k = stalled(32, max, st);
    assert_int_equal(sent_by(st, 32), 32 * 65536);
    kit_free(k);
    k = stalled(64, max, st);
    assert_int_equal(sent_by(st, 64), 3 << 20);
    kit_free(k);
    k = stalled(95, max, st);
    assert_true(sent_by(st, 95) < 4 << 20);
    kit_free(k);
}

/* Beyond the budget a stream still gets what a reader must answer, and goes on when it does: a Go
   peer announces when it has read 32,768 bytes since it last did. */
static void d18_stalled_streams_cannot_starve_one_that_is_read(void **state)
{
    (void)state;
    static struct smux_stream *st[120];
    struct kit *k = stalled(120, 3 << 20, st);
    assert_int_equal(k->s->excess, 3 << 20);
    for (int i = 0; i < 96; i++)
        assert_int_equal(st[i]->sent, 65536);
    for (int i = 96; i < 120; i++)
        assert_int_equal(st[i]->sent, SMUX_GO_FREE);
    uint32_t read = 0;
    for (int round = 0; round < 10; round++) {
        uint32_t more = st[119]->sent - read;
        assert_true(more >= 32768);
        read += more;
        assert_non_null(strstr(upd(k, 240, read, 65536), "CREDIT:240"));
        assert_true(fill(k, st[119]) >= SMUX_GO_FREE);
    }
    kit_free(k);
}

/* As many as there is room for, not all: with thousands each UPD would be a storm. */
static void a_fall_of_the_excess_wakes_some(void **state)
{
    (void)state;
    static struct smux_stream *st[120];
    struct kit *k = stalled(120, 3 << 20, st);
    assert_string_equal(upd(k, 2, 65536, 65536), "CREDIT:194 CREDIT:196 CREDIT:198 CREDIT:2");
    kit_free(k);
}

/* A Go peer that sent FIN has forgotten the stream: its bytes do not weigh on the others. */
static void a_forgotten_stream_is_not_in_the_bucket(void **state)
{
    (void)state;
    static struct smux_stream *st[4];
    struct kit *k = stalled(4, 32768, st);
    assert_int_equal(k->s->excess, 32768);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2 CREDIT:4 CREDIT:6 CREDIT:8");
    assert_int_equal(k->s->excess, 0);
    assert_int_equal(fill(k, st[1]), 32768);
    assert_true(smux_stream_peer_gone(st[0]));
    wire_plain(&k->in, SMUX_FIN, 8); /* its window is not used up */
    assert_string_equal(fed(k), "FIN:8");
    assert_false(smux_stream_peer_gone(st[3]));
    assert_int_equal(fill(k, st[3]), 32768);
    kit_free(k);
}

/* A stream's end gives its share back; tick brings the news. */
static void a_stream_s_end_wakes_the_starved(void **state)
{
    (void)state;
    static struct smux_stream *st[4];
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
    cfg.peer_excess_max = 65536;
    cfg.linger_max = 0;
    struct kit *k = kit_new(false, &cfg);
    for (int i = 0; i < 4; i++) {
        st[i] = kit_open(k);
        (void)fill(k, st[i]);
    }
    assert_int_equal(st[3]->sent, SMUX_GO_FREE);
    smux_stream_close(st[0], k->now);
    assert_string_equal(sent(k), "FIN:2"); /* and is forgotten, without the peer's FIN */
    assert_true(smux_session_deadline(k->s) <= k->now);
    assert_string_equal(ticked(k, k->now), "CREDIT:6 CREDIT:8");
    assert_true(fill(k, st[3]) > 0);
    kit_free(k);
}

static void a_roomy_peer_is_exempt(void **state)
{
    (void)state;
    static struct smux_stream *st[8];
    struct kit *k = stalled(8, 65536, st);
    assert_string_equal(upd(k, 16, 0, 1 << 20), "CREDIT:16");
    int err;
    assert_int_equal(kit_write(k, st[7], MORE, &err), (1 << 20) - SMUX_GO_FREE);
    assert_string_equal(upd(k, 16, 0, 65536), ""); /* roomy once is roomy for ever */
    assert_true(st[7]->flags & ST_ROOMY);
    struct smux_stream *more = kit_open(k);
    assert_string_equal(upd(k, 18, 0, 262144), "");
    assert_int_equal(fill(k, more), 262144);
    kit_free(k);
}

/* ---- our receiving side ---- */

static void upd_at_an_eighth_of_the_window(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    wire_psh(&k->in, 2, 100000);
    assert_string_equal(fed(k), "DATA:2:100000");
    smux_stream_consumed(st, 32767, k->now);
    assert_string_equal(sent(k), "");
    smux_stream_consumed(st, 1, k->now);
    assert_string_equal(sent(k), "UPD:2:32768/262144");
    smux_stream_consumed(st, 32767, k->now);
    assert_string_equal(sent(k), "");
    smux_stream_consumed(st, 34465, k->now);
    assert_string_equal(sent(k), "UPD:2:100000/262144");
    wire_psh(&k->in, 2, 50000);
    wire_plain(&k->in, SMUX_FIN, 2);
    (void)fed(k);
    smux_stream_consumed(st, 50000, k->now);
    assert_string_equal(sent(k), ""); /* nobody is left to hear it */
    kit_free(k);
}

/* However the reader takes it, the sender's window is never shut while we have room for 7/8. */
static void what_is_unannounced_stays_below_an_eighth(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    for (int i = 0; i < 500; i++) {
        wire_psh(&k->in, 2, (size_t)i * 37 % 9000 + 1);
        (void)fed(k);
        smux_stream_consumed(st, (st->received - st->consumed) * (uint32_t)(i % 4) / 3, k->now);
        (void)sent(k);
        assert_true(st->consumed - st->announced < 32768);
    }
    kit_free(k);
}

/* 4.25 GiB through one stream, both ways: the counters are set near their end, then run over it. */
static void counters_wrap(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    st->sent = st->peer_consumed = 0xffff8000;
    st->received = st->consumed = st->announced = 0xffff8000;
    st->limit = st->announced + SMUX_START_WINDOW;
    assert_string_equal(upd(k, 2, 0xffff8000, 65536), "");
    assert_int_equal(fill(k, st), 65536);
    assert_int_equal(st->sent, 0x8000);
    assert_string_equal(upd(k, 2, 0x8001, 65536), "RESET:2:protocol error");
    kit_free(k);

    k = with_open(&st);
    st->sent = st->peer_consumed = 0xffff8000;
    st->received = st->consumed = st->announced = 0xffff8000;
    st->limit = st->announced + SMUX_START_WINDOW;
    assert_int_equal(fill(k, st), 65536);
    assert_string_equal(upd(k, 2, 0xffffffff, 65536), "CREDIT:2");
    assert_int_equal(fill(k, st), 32767);
    assert_string_equal(upd(k, 2, 0, 65536), "CREDIT:2");
    assert_int_equal(fill(k, st), 1);
    assert_string_equal(upd(k, 2, 0xfffffffe, 65536), ""); /* stale, though a larger number */
    assert_int_equal(st->peer_consumed, 0);
    assert_string_equal(upd(k, 2, 0x8000, 65536), "CREDIT:2");
    wire_psh(&k->in, 2, SMUX_START_WINDOW);
    assert_string_equal(fed(k), "DATA:2:262144");
    smux_stream_consumed(st, 32768, k->now);
    assert_string_equal(sent(k), "UPD:2:0/262144");
    smux_stream_consumed(st, 200000, k->now);
    assert_string_equal(sent(k), "UPD:2:200000/262144");
    wire_psh(&k->in, 2, 232768);
    assert_string_equal(fed(k), "DATA:2:232768");
    wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* A Go-like exchange of more than 4 GiB, by frames, the counters seen only through the wire. */
static void four_gigabytes_in_large_steps(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = with_open(&st);
    k->eager = true;
    uint64_t total = 0;
    uint32_t announced = 0;
    for (int i = 0; i < 300; i++) {
        wire_psh(&k->in, 2, 65536);
        (void)fed(k);
        (void)sent(k);
        total += 65536;
        assert_true((uint32_t)total - st->announced < 32768);
        announced = st->announced;
        /* skip 16 MiB ahead on all counters alike, as if they had gone by */
        st->received += 16 << 20;
        st->consumed += 16 << 20;
        st->announced += 16 << 20;
        st->limit += 16 << 20;
        total += 16 << 20;
    }
    assert_true(total > 17ull << 28); /* 4.25 GiB */
    assert_true(announced < total);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_window_is_used_in_part),
        cmocka_unit_test(consumed_beyond_sent_resets_that_stream_only),
        cmocka_unit_test(a_smaller_consumed_is_stale),
        cmocka_unit_test(windows_at_their_ends),
        cmocka_unit_test(a_window_below_what_is_in_flight_waits),
        cmocka_unit_test(no_credit_event_unless_refused),
        cmocka_unit_test(d18_stalled_streams_leave_room_in_the_bucket),
        cmocka_unit_test(d18_stalled_streams_cannot_starve_one_that_is_read),
        cmocka_unit_test(a_fall_of_the_excess_wakes_some),
        cmocka_unit_test(a_forgotten_stream_is_not_in_the_bucket),
        cmocka_unit_test(a_stream_s_end_wakes_the_starved),
        cmocka_unit_test(a_roomy_peer_is_exempt),
        cmocka_unit_test(upd_at_an_eighth_of_the_window),
        cmocka_unit_test(what_is_unannounced_stays_below_an_eighth),
        cmocka_unit_test(counters_wrap),
        cmocka_unit_test(four_gigabytes_in_large_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
