/* SPDX-License-Identifier: MIT */
/* What goes out, in which order and how much: the ring's marks, control before data, bounds. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

/* Stages as much as the session takes without any output being sent. */
static size_t stage(struct smux_stream *st, size_t each, int *ret_err)
{
    size_t total = 0;
    for (;;) {
        uint8_t *p;
        size_t room;
        *ret_err = smux_stream_reserve(st, &p, &room);
        if (*ret_err < 0)
            return total;
        room = room < each ? room : each;
        memset(p, 'x', room);
        smux_stream_commit(st, room);
        total += room;
    }
}

static void control_frames_go_before_data(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *a = kit_open(k), *b = kit_open(k);
    smux_stream_finish(b, k->now);
    (void)ticked(k, 11000); /* a NOP is due */
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(a, &p, &room), 0);
    assert_int_equal(room, SMUX_FRAME_PAYLOAD);
    smux_stream_commit(a, 5);
    assert_string_equal(sent(k), "NOP:0 SYN:2 UPD:2:0/262144 SYN:4 UPD:4:0/262144 FIN:4 PSH:2:5");
    kit_free(k);
}

static void fin_follows_the_data_that_was_staged_before_it(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    int err;
    assert_int_equal(kit_write(k, st, 20000, &err), 20000);
    smux_stream_finish(st, k->now);
    smux_stream_finish(st, k->now); /* once */
    assert_string_equal(sent(k), "SYN:2 UPD:2:0/262144 PSH:2:16376 PSH:2:3624 FIN:2");
    kit_free(k);
}

/* Whole frames: the last one may reach beyond the limit. */
static void the_owner_may_have_less_staged(void **state)
{
    (void)state;
    static const struct {
        uint32_t bytes, is;
    } rows[] = {
        {0, SMUX_STAGE_MIN}, {SMUX_STAGE_MIN, SMUX_STAGE_MIN}, {20000, 20000}, {65536, 65536},
        {UINT32_MAX, 65536},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kit *k = kit_new_v2(false);
        struct smux_stream *st = kit_open(k);
        int err;
        (void)sent(k);
        smux_session_set_stage(k->s, rows[i].bytes);
        (void)stage(st, 1000, &err);
        assert_int_equal(err, ERR_LIMIT);
        assert_false(smux_session_can_stage(k->s));
        assert_in_range(k->s->out.staged - k->s->out.sent, rows[i].is, rows[i].is + 1007);
        kit_free(k);
    }
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_GOTUNNEL2);
    cfg.stage_max = 5000; /* less than the floor: it is that always */
    struct kit *k = kit_new(false, &cfg);
    struct smux_stream *st = kit_open(k);
    int err;
    (void)sent(k);
    smux_session_set_stage(k->s, 0);
    (void)stage(st, 1000, &err);
    assert_in_range(k->s->out.staged - k->s->out.sent, 5000, 5000 + 1007);
    kit_free(k);
}

static void staging_is_bounded(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    int err;
    wire_upd(&k->in, 2, 0, 16 << 20); /* all the credit one could want */
    (void)fed(k);
    size_t n = stage(st, SMUX_FRAME_PAYLOAD, &err);
    assert_int_equal(err, ERR_LIMIT);
    assert_in_range(n, (64 << 10) - 1000, (64 << 10) + SMUX_FRAME_PAYLOAD);
    assert_false(smux_session_can_stage(k->s));
    size_t len;
    (void)smux_session_output(k->s, &len);
    smux_session_sent(k->s, len / 2);
    assert_true(smux_session_can_stage(k->s));
    assert_true(stage(st, 10, &err) > 0);
    assert_int_equal(err, ERR_LIMIT);
    kit_free(k);
}

/* What would be staged one frame after the other, at most `most` bytes. */
static size_t one_after_the_other(struct smux_stream *st, size_t most)
{
    size_t total = 0, room;
    uint8_t *p;
    while (total < most && smux_stream_reserve(st, &p, &room) == 0) {
        room = room < most - total ? room : most - total;
        smux_stream_commit(st, room);
        total += room;
    }
    return total;
}

static struct kit *kit_with(size_t ring, uint32_t stage, uint32_t credit)
{
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_GOTUNNEL2);
    cfg.ring_bytes = cfg.ring_max = ring;
    struct kit *k = kit_new(false, &cfg);
    (void)kit_open(k);
    (void)sent(k);
    wire_upd(&k->in, 2, 0, credit);
    (void)fed(k);
    smux_session_set_stage(k->s, stage);
    return k;
}

/* Whatever bounds it: credit, the stage, the ring, or what was asked for. */
static void frames_at_once_are_those_that_would_go_one_by_one(void **state)
{
    (void)state;
    static const size_t rings[] = {64 << 10, 80 << 10, 1 << 20},
                        stages[] = {0, 20000, 65536, UINT32_MAX},
                        credits[] = {1, 16376, 16377, 40000, 1 << 20},
                        mosts[] = {1, 16376, 16377, 49128, 65504, SIZE_MAX};
    enum { ALL = ARRAY_LEN(rings) * ARRAY_LEN(stages) * ARRAY_LEN(credits) * ARRAY_LEN(mosts) };
    bool many = false;
    for (size_t i = 0, k = 0; i < ALL; k = ++i) {
        size_t ring = rings[k % ARRAY_LEN(rings)],
               stage_max = stages[(k /= ARRAY_LEN(rings)) % ARRAY_LEN(stages)];
        size_t credit = credits[(k /= ARRAY_LEN(stages)) % ARRAY_LEN(credits)];
        size_t most = mosts[k / ARRAY_LEN(credits)], room;
        struct kit *a = kit_with(ring, (uint32_t)stage_max, (uint32_t)credit);
        struct kit *b = kit_with(ring, (uint32_t)stage_max, (uint32_t)credit);
        uint8_t *p;
        assert_int_equal(smux_stream_reserve_frames(a->streams[2], most, &p, &room), 0);
        smux_stream_commit(a->streams[2], room);
        assert_int_equal(room, one_after_the_other(b->streams[2], most));
        char one[KIT_TEXT];
        memcpy(one, sent(b), sizeof one);
        assert_string_equal(sent(a), one);
        kit_check(a->s);
        many = many || room > (size_t)3 * SMUX_FRAME_PAYLOAD;
        kit_free(a);
        kit_free(b);
    }
    assert_true(many);
}

/* As much of the room as was filled, which may end in any piece. */
static void pieces_become_frames_in_order(void **state)
{
    static const size_t sizes[] = {1, 16375, 16376, 16377, 32752, 32753, 49128};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        struct kit *a = kit_with(1 << 20, UINT32_MAX, 1 << 20);
        uint8_t *p;
        size_t room, n;
        assert_int_equal(
            smux_stream_reserve_frames(a->streams[2], (size_t)3 * SMUX_FRAME_PAYLOAD, &p, &room),
            0);
        assert_int_equal(room, 3 * SMUX_FRAME_PAYLOAD);
        for (size_t i = 0; i < room; i++)
            p[i + i / SMUX_FRAME_PAYLOAD * SMUX_HEADER_BYTES] = (uint8_t)(i % 251);
        smux_stream_commit(a->streams[2], sizes[k]);
        const uint8_t *out = smux_session_output(a->s, &n);
        size_t frames = (sizes[k] + SMUX_FRAME_PAYLOAD - 1) / SMUX_FRAME_PAYLOAD;
        assert_int_equal(n, sizes[k] + frames * SMUX_HEADER_BYTES);
        for (size_t i = 0; i < sizes[k]; i++)
            assert_int_equal(out[i + (i / SMUX_FRAME_PAYLOAD + 1) * SMUX_HEADER_BYTES], i % 251);
        char want[KIT_TEXT] = "";
        for (size_t left = sizes[k], part; left > 0; left -= part) {
            part = left < SMUX_FRAME_PAYLOAD ? left : SMUX_FRAME_PAYLOAD;
            (void)snprintf(want + strlen(want), sizeof want - strlen(want), "%sPSH:2:%zu",
                           *want ? " " : "", part);
        }
        assert_string_equal(sent(a), want);
        kit_free(a);
    }
}

/* The three marks: a byte may be sent, and only then released. */
static void any_part_of_the_output_may_be_sent(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    struct kit *peer = kit_new(true, NULL);
    int err;
    (void)stage(st, 1000, &err);
    assert_int_equal(k->s->out.sent, 0);
    size_t total = 0, n;
    for (const uint8_t *p; (void)(p = smux_session_output(k->s, &n)), n > 0;) {
        size_t part = n < 777 ? n : 777;
        wire_raw(&peer->in, p, part);
        smux_session_sent(k->s, part);
        total += part;
        assert_int_equal(k->s->out.sent, total);
        assert_int_equal(k->s->out.released, total); /* this wire acknowledges nothing */
    }
    assert_int_equal(k->s->out.staged, total);
    assert_string_equal(fed(peer), "OPENED:2 DATA:2:65000");
    kit_free(k);
    kit_free(peer);
}

/* Marks the ring has no room for wait on their streams; none is lost and none comes twice. */
static void a_flood_of_control_frames_waits_for_room(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct kit *k = kit_new(false, NULL);
    for (int i = 0; i < N; i++) {
        struct smux_stream *st;
        assert_int_equal(smux_stream_open(k->s, NULL, &st), 0);
    }
    size_t n, syn = 0, upd = 0, bytes = 0;
    for (const uint8_t *p; (void)(p = smux_session_output(k->s, &n)), n > 0;) {
        assert_true(n <= k->s->out.size);
        for (size_t at = 0; at < n; at += 8 + (size_t)(p[at + 2] | p[at + 3] << 8)) {
            syn += p[at + 1] == SMUX_SYN;
            upd += p[at + 1] == SMUX_UPD;
        }
        bytes += n;
        smux_session_sent(k->s, n);
    }
    assert_int_equal(syn, N);
    assert_int_equal(upd, N);
    assert_int_equal(bytes, N * (8 + 16));
    kit_free(k);
}

static void an_idle_session_gives_its_memory_back(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    struct smux_stream *st = kit_open(k);
    int err;
    (void)stage(st, 1000, &err);
    smux_session_trim(k->s); /* in use: nothing happens */
    size_t n;
    const uint8_t *p = smux_session_output(k->s, &n);
    assert_int_equal(p[24 + 8], 'x');
    smux_session_sent(k->s, n);
    smux_session_trim(k->s);
    assert_int_equal(k->s->out.base[24 + 8], 0);
    wire_upd(&k->in, 2, 65000, 65536);
    (void)fed(k);
    assert_int_equal(kit_write(k, st, 100, &err), 100);
    assert_string_equal(sent(k), "PSH:2:100");
    kit_free(k);
}

static void nothing_goes_out_of_a_dead_session(void **state)
{
    (void)state;
    struct kit *k = kit_new(false, NULL);
    (void)kit_open(k);
    wire_header(&k->in, 1, 0, 0, 4);
    assert_string_equal(fed(k), "!protocol error");
    assert_string_equal(sent(k), ""); /* no FINs: docs/protocol.md 2 (D19) */
    struct smux_stream *st;
    assert_int_equal(smux_stream_open(k->s, NULL, &st), ERR_BADSTATE);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_frames_go_before_data),
        cmocka_unit_test(fin_follows_the_data_that_was_staged_before_it),
        cmocka_unit_test(the_owner_may_have_less_staged),
        cmocka_unit_test(staging_is_bounded),
        cmocka_unit_test(frames_at_once_are_those_that_would_go_one_by_one),
        cmocka_unit_test(pieces_become_frames_in_order),
        cmocka_unit_test(any_part_of_the_output_may_be_sent),
        cmocka_unit_test(a_flood_of_control_frames_waits_for_room),
        cmocka_unit_test(an_idle_session_gives_its_memory_back),
        cmocka_unit_test(nothing_goes_out_of_a_dead_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
