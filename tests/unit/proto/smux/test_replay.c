/* SPDX-License-Identifier: MIT */
/* gotunnel/2: when ACKs go, what they release, and what happens when a connection is gone. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/err.h"

static struct kit *kit_sized(bool is_client, size_t ring_bytes, size_t ring_max)
{
    struct smux_config cfg = smux_config_default(is_client, SMUX_WIRE_GOTUNNEL2);
    cfg.ring_bytes = ring_bytes;
    cfg.ring_max = ring_max;
    cfg.stage_max = 1 << 20;
    struct kit *k = kit_new(is_client, &cfg);
    assert_string_equal(sent(k), "PING:0:1");
    return k;
}

static struct kit *kit_of(bool is_client)
{
    return kit_sized(is_client, 1 << 20, 8 << 20);
}

/* The peer has received all that was sent, and says so. */
static void acknowledge_all(struct kit *k)
{
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_held(k->s), 0);
}

static struct smux_stream *own_stream(struct kit *k)
{
    struct smux_stream *st = kit_open(k);
    (void)sent(k);
    return st;
}

/* The peer lets us send without end. */
static void open_window(struct kit *k, struct smux_stream *st)
{
    uint32_t consumed = st->sent;
    wire_upd(&k->in, smux_stream_id(st), consumed, 0x7fffffff);
    (void)fed(k);
}

/* ---- when ACKs go ---- */

static void an_ack_follows_after_100_ms(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    k->now = 2000;
    wire_word(&k->in, SMUX_ACK, 16);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    assert_string_equal(sent(k), "");
    k->now = 2050;
    wire_psh(&k->in, 2, 10);
    assert_string_equal(fed(k), "DATA:2:10");
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_deadline(k->s), 2100);
    assert_string_equal(ticked(k, 2099), "");
    assert_string_equal(sent(k), "");
    assert_string_equal(ticked(k, 2100), "");
    assert_string_equal(sent(k), "ACK:0:42");
    assert_true(smux_session_deadline(k->s) > 2200);
    kit_free(k);
}

/* The rest of a frame that came in pieces is acknowledged too, without another frame. */
static void the_tail_of_a_frame_asks_for_an_ack(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 1000);
    assert_int_equal(kit_feed(k, k->in.p, 500), 0);
    assert_string_equal(ticked(k, 1100), "");
    assert_string_equal(sent(k), "ACK:0:500");
    assert_int_equal(kit_feed(k, k->in.p + 500, k->in.n - 500), 0);
    assert_string_equal(ticked(k, 1200), "");
    assert_string_equal(sent(k), "ACK:0:1016");
    kit_free(k);
}

/* All goes out, frames or parts of them. */
static void drain(struct kit *k)
{
    size_t n;
    while ((void)smux_session_output(k->s, &n), n > 0)
        smux_session_sent(k->s, n);
}

/* Goes on to `now`. True: the peer was given up. */
static bool is_over(struct kit *k, mtime_ms now)
{
    bool over = strcmp(ticked(k, now), "!timed out") == 0;
    drain(k);
    return over;
}

/* `step` more bytes of ours are acknowledged every 10 s, so many times. True: given up meanwhile. */
static bool acked_slowly(struct kit *k, uint64_t *count, uint64_t step, int times)
{
    for (int i = 0; i < times; i++) {
        if (is_over(k, k->now + 9999))
            return true;
        k->now++;
        wire_word(&k->in, SMUX_ACK, *count += step);
        (void)fed(k);
        if (is_over(k, k->now))
            return true;
    }
    return false;
}

/* Less than 1 KB acknowledged in 30 s while more waits. */
static void a_peer_that_takes_next_to_nothing_is_given_up(void **state)
{
    (void)state;
    static const struct {
        size_t waits;
        uint64_t step;
        bool fine;
    } rows[] = {{20000, 340, false}, {20000, 342, true}, {20000, 1, false}, {500, 1, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kit *k = kit_of(true);
        uint64_t count = 16; /* the PING at the beginning */
        int err;
        wire_word(&k->in, SMUX_ACK, count);
        (void)fed(k);
        struct smux_stream *st = kit_open(k);
        assert_int_equal(kit_write(k, st, rows[i].waits, &err), rows[i].waits);
        (void)sent(k);
        mtime_ms start = k->now;
        assert_int_equal(acked_slowly(k, &count, rows[i].step, 6), !rows[i].fine);
        if (!rows[i].fine)
            assert_int_equal(k->now - start, 30000);
        kit_free(k);
    }
}

/* It counts from when much waits, and anew from a resume and from each KB. */
static void the_pace_is_judged_while_much_waits(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    uint64_t count = 16;
    int err;
    wire_word(&k->in, SMUX_ACK, count);
    (void)fed(k);
    struct smux_stream *st = kit_open(k);
    assert_int_equal(kit_write(k, st, 200, &err), 200);
    (void)sent(k);
    assert_false(acked_slowly(k, &count, 1, 2));
    assert_int_equal(kit_write(k, st, 20000, &err), 20000);
    (void)sent(k);
    assert_false(acked_slowly(k, &count, 1, 2));
    assert_false(acked_slowly(k, &count, 1100, 1));
    assert_false(acked_slowly(k, &count, 1, 2));
    smux_session_detach(k->s);
    k->now += 100000;
    assert_int_equal(smux_session_resume(k->s, count, k->now), 0);
    drain(k);
    mtime_ms start = k->now;
    assert_true(acked_slowly(k, &count, 1, 6));
    assert_int_equal(k->now - start, 30000);
    kit_free(k);
}

static void an_ack_asks_for_none(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    for (int i = 1; i <= 16; i++)
        wire_word(&k->in, SMUX_ACK, (uint64_t)i);
    assert_string_equal(fed(k), "");
    assert_string_equal(ticked(k, 2000), "");
    assert_string_equal(sent(k), "");
    assert_int_equal(smux_session_waiting_since(k->s), MTIME_NEVER); /* the PING has arrived */
    kit_free(k);
}

static void every_other_frame_asks_for_one(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    (void)fed(k);
    (void)ticked(k, 1100);
    (void)sent(k);
    for (int cmd = SMUX_FIN; cmd <= SMUX_GOAWAY; cmd++) {
        if (cmd == SMUX_ACK)
            continue;
        if (cmd == SMUX_PSH)
            wire_header(&k->in, 3, SMUX_PSH, 0, 1000);
        else if (cmd == SMUX_UPD)
            wire_upd(&k->in, 1000, 0, 1);
        else if (cmd == SMUX_RST)
            wire_rst(&k->in, 1000, 1);
        else if (cmd == SMUX_FIN)
            wire_plain(&k->in, SMUX_FIN, 1000);
        else if (cmd == SMUX_NOP)
            wire_plain(&k->in, SMUX_NOP, 0);
        else
            wire_word(&k->in, (enum smux_cmd)cmd, 5);
        (void)fed(k);
        uint64_t all = smux_session_received(k->s);
        (void)ticked(k, k->now + 100);
        assert_non_null(strstr(sent(k), "ACK:0:"));
        assert_int_equal(k->s->replay.acked_to_peer, all);
    }
    kit_free(k);
}

static void an_ack_follows_after_128_kib_at_once(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    k->eager = true;
    for (uint32_t sid = 2; sid < 20; sid += 2)
        wire_plain(&k->in, SMUX_SYN, sid);
    (void)fed(k);
    (void)ticked(k, 1100);
    assert_string_equal(sent(k), "ACK:0:72");
    for (int i = 0; i < 7; i++) { /* no stream has consumed so much that it would be announced */
        wire_psh(&k->in, 2 + 2 * (uint32_t)(i % 9), 16376);
        (void)fed(k);
        assert_string_equal(sent(k), "");
    }
    wire_psh(&k->in, 2 + 2 * 7, 16376);
    (void)fed(k);
    char want[32];
    (void)snprintf(want, sizeof want, "ACK:0:%d", 72 + (128 << 10));
    assert_string_equal(strncmp(sent(k), want, strlen(want)) == 0 ? want : k->text, want);
    kit_free(k);
}

static void an_ack_goes_with_whatever_goes(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 16000);
    (void)fed(k);
    (void)kit_open(k);
    assert_string_equal(sent(k), "SYN:3"); /* so few bytes wait for their time */
    wire_psh(&k->in, 2, 400);
    (void)fed(k);
    (void)kit_open(k);
    assert_string_equal(sent(k), "ACK:0:16424 SYN:5");
    kit_free(k);
}

/* ---- what an ACK releases ---- */

static void bytes_stay_until_they_are_acknowledged(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    int err;
    acknowledge_all(k);
    (void)kit_write(k, st, 1000, &err);
    assert_int_equal(smux_session_held(k->s), 1008);
    (void)sent(k);
    assert_int_equal(smux_session_held(k->s), 1008);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent - 8);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_held(k->s), 8);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent - 9); /* late: nothing happens */
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_held(k->s), 8);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent + 1);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void an_ack_of_what_is_only_staged_ends_the_session(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    int err;
    (void)kit_write(k, st, 1000, &err);
    wire_word(&k->in, SMUX_ACK, k->s->out.staged);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* It was sent before the cut, but not again: no peer has it. */
static void an_ack_of_what_is_to_be_sent_again_ends_the_session(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    int err;
    (void)kit_write(k, st, 1000, &err);
    (void)sent(k);
    uint64_t all = k->s->out.sent;
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, all - 500, k->now), 0);
    assert_int_equal(k->s->replay.sent_max, all);
    wire_word(&k->in, SMUX_ACK, all - 499);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void waiting_begins_with_what_asks_and_ends_with_its_ack(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    assert_int_equal(smux_session_waiting_since(k->s), 1000); /* the PING */
    acknowledge_all(k);
    assert_int_equal(smux_session_waiting_since(k->s), MTIME_NEVER);
    struct smux_stream *st = own_stream(k);
    acknowledge_all(k);
    int err;
    smux_session_clock(k->s, 5000);
    (void)kit_write(k, st, 1000, &err);
    assert_int_equal(smux_session_waiting_since(k->s), 5000);
    (void)sent(k);
    k->now = 6000;
    wire_word(&k->in, SMUX_ACK, k->s->out.sent - 1);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_waiting_since(k->s), 6000); /* progress */
    k->now = 7000;
    wire_word(&k->in, SMUX_ACK, k->s->out.sent - 1);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_waiting_since(k->s), 6000); /* none */
    acknowledge_all(k);
    assert_int_equal(smux_session_waiting_since(k->s), MTIME_NEVER);
    wire_word(&k->in, SMUX_PING, 1);
    (void)fed(k);
    wire_word(&k->in, SMUX_PONG, 1);
    (void)fed(k);
    assert_string_equal(sent(k), "ACK:0:112 PONG:0:1");
    acknowledge_all(k);
    (void)ticked(k, k->now + 100);
    wire_word(&k->in, SMUX_PONG, 1);
    (void)fed(k);
    (void)ticked(k, k->now + 100);
    assert_string_equal(sent(k), "ACK:0:144");
    assert_int_equal(smux_session_waiting_since(k->s), MTIME_NEVER); /* an ACK asks for nothing */
    kit_free(k);
}

/* The ACK may stand behind them: a slow link that is full both ways (tests/sim/test_slow.c). */
static void bytes_that_keep_coming_are_progress(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    k->eager = true;
    wire_plain(&k->in, SMUX_SYN, 2);
    (void)fed(k);
    for (int i = 0; i < 100; i++) { /* 8 kbit/s */
        k->now += 1000;
        wire_psh(&k->in, 2, 1000);
        (void)fed(k);
        assert_string_equal(ticked(k, k->now), "");
        assert_int_equal(smux_session_waiting_since(k->s), k->now);
    }
    kit_free(k);
}

static void what_comes_now_and_then_is_no_progress(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    k->eager = true;
    wire_plain(&k->in, SMUX_SYN, 2);
    k->now = 1016 + 8; /* not more of it than those have bytes: */
    (void)fed(k);
    for (int i = 0; i < 10; i++) {
        k->now += 1000;
        wire_psh(&k->in, 2, 984);
        (void)fed(k);
        assert_in_range(smux_session_waiting_since(k->s), 1000, 1024);
    }
    wire_word(&k->in, SMUX_ACK, 8); /* says something new: from here on it counts anew */
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), k->now);
    wire_psh(&k->in, 2, 976); /* and 8 of its head, and the ACK of 16 */
    k->now += 1001;
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), k->now - 1001);
    wire_word(&k->in, SMUX_ACK, 9);
    (void)fed(k);
    wire_psh(&k->in, 2, 976); /* and 8 of its head, and the ACK of 16 */
    k->now += 1000;
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), k->now);
    kit_free(k);
}

/* What comes right after a resume where nothing large passes: it is no pace. */
static void a_few_bytes_are_no_progress(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    k->eager = true;
    wire_plain(&k->in, SMUX_SYN, 2);
    (void)fed(k);
    mtime_ms since = smux_session_waiting_since(k->s);
    k->now += 100;
    wire_psh(&k->in, 2, 256 - 8 - 1 - 8); /* behind its head, and the SYN's */
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), since);
    wire_psh(&k->in, 2, 1);
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), k->now);
    kit_free(k);
}

/* No sender has so much in front of an ACK. */
static void four_megabytes_without_an_ack_are_no_progress(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    k->eager = true;
    wire_plain(&k->in, SMUX_SYN, 2);
    (void)fed(k);
    uint64_t least = smux_session_received(k->s) + (4 << 20);
    while (smux_session_received(k->s) + 200000 < least) {
        k->now += 10;
        wire_psh(&k->in, 2, 190000);
        (void)fed(k);
        assert_int_equal(smux_session_waiting_since(k->s), k->now);
    }
    mtime_ms last = k->now;
    k->now += 10;
    wire_psh(&k->in, 2, 200000);
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), last);
    wire_word(&k->in, SMUX_ACK, 1);
    (void)fed(k);
    k->now += 10;
    wire_psh(&k->in, 2, 200000);
    (void)fed(k);
    assert_int_equal(smux_session_waiting_since(k->s), k->now);
    kit_free(k);
}

static void when_the_peer_was_last_heard(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    assert_int_equal(smux_session_heard_at(k->s), 1000);
    k->now = 4000;
    assert_string_equal(fed(k), ""); /* nothing */
    assert_string_equal(ticked(k, 4000), "");
    assert_int_equal(smux_session_heard_at(k->s), 1000);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_int_equal(kit_feed(k, k->in.p, 1), 0); /* a byte is enough */
    assert_int_equal(smux_session_heard_at(k->s), 4000);
    smux_session_detach(k->s);
    assert_string_equal(ticked(k, 9000), "");
    assert_int_equal(smux_session_heard_at(k->s), 4000);
    assert_int_equal(smux_session_resume(k->s, 0, 12000), 0);
    assert_int_equal(smux_session_heard_at(k->s), 12000);
    kit_free(k);
}

/* ---- a full ring ---- */

/* Writes and sends until the ring takes no more; nothing is acknowledged. */
static void fill(struct kit *k, struct smux_stream *st)
{
    for (uint64_t before = UINT64_MAX; before != k->s->out.staged;) {
        uint8_t *p;
        size_t room;
        before = k->s->out.staged;
        while (smux_stream_reserve(st, &p, &room) == 0) {
            memset(p, 'f', room);
            smux_stream_commit(st, room);
        }
        (void)sent(k);
    }
}

static void a_full_ring_still_has_room_for_acks(void **state)
{
    (void)state;
    struct kit *k = kit_sized(true, 64 << 10, 64 << 10);
    struct smux_stream *st = own_stream(k);
    open_window(k, st);
    fill(k, st);
    assert_false(smux_session_can_stage(k->s));
    for (int i = 0; i < 6000; i++) /* SYNs take the room that data leaves */
        (void)kit_open(k);
    (void)sent(k);
    assert_int_equal(list_empty(&k->s->due), 0);
    assert_in_range(ring_room(&k->s->out), REPLAY_RESERVE, REPLAY_RESERVE + 48);
    wire_word(&k->in, SMUX_PING, 7);
    (void)fed(k);
    assert_non_null(strstr(sent(k), "PONG:0:7"));
    (void)ticked(k, 6500);
    assert_non_null(strstr(sent(k), "PING:0:2"));
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 0);
    assert_non_null(strstr(sent(k), "GOAWAY:0:0"));
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    assert_string_equal(fed(k), "");
    assert_non_null(strstr(sent(k), "SYN:12003"));
    kit_free(k);
}

/* Without any room an ACK waits, and says the newest count when there is some. */
static void an_ack_without_room_waits_as_a_mark(void **state)
{
    (void)state;
    struct kit *k = kit_sized(true, 64 << 10, 64 << 10);
    for (int i = 0; ring_room(&k->s->out) >= REPLAY_FRAME_BYTES; i++) {
        wire_word(&k->in, SMUX_PING,
                  (uint64_t)i); /* each asks for a PONG, and none is acknowledged */
        (void)fed(k);
        (void)sent(k);
    }
    uint64_t before = k->s->replay.acked_to_peer;
    for (int i = 0; i < 3; i++) {
        wire_word(&k->in, SMUX_PING, 1000);
        (void)fed(k);
        assert_string_equal(sent(k), "");
    }
    assert_int_equal(k->s->replay.acked_to_peer, before);
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    assert_string_equal(fed(k), "");
    (void)sent(k);
    assert_int_equal(k->s->replay.acked_to_peer, smux_session_received(k->s));
    kit_free(k);
}

/* ---- the ring's size ---- */

static void the_ring_grows_where_acks_are_slow(void **state)
{
    (void)state;
    struct kit *k = kit_sized(false, 1 << 20, 3 << 20);
    struct smux_stream *st = own_stream(k);
    open_window(k, st);
    const size_t want[] = {1 << 20, 2 << 20, 3 << 20, 3 << 20};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        fill(k, st);
        assert_int_equal(k->s->out.size, want[i]);
        assert_in_range(smux_session_held(k->s), want[i] - (60 << 10), want[i]);
        assert_false(smux_session_can_stage(k->s));
        k->now += 100;
        acknowledge_all(k);
        assert_true(smux_session_can_stage(k->s));
    }
    kit_free(k);
}

static void the_ring_stays_small_where_acks_are_fast(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    open_window(k, st);
    for (int i = 0; i < 20; i++) {
        fill(k, st);
        k->now += 4;
        acknowledge_all(k);
        open_window(k, st);
    }
    assert_int_equal(k->s->out.size, 1 << 20);
    kit_free(k);
}

/* Growing happens while bytes wait for their ACK, and loses none of them. */
static void what_is_in_the_ring_moves_with_it(void **state)
{
    (void)state;
    struct kit *k = kit_sized(false, 64 << 10, 256 << 10);
    struct smux_stream *st = own_stream(k);
    open_window(k, st);
    fill(k, st);
    k->now += 50;
    acknowledge_all(k);
    int err;
    (void)kit_write(k, st, 20000, &err);
    (void)sent(k);
    size_t held = (size_t)smux_session_held(k->s), n;
    uint8_t *copy = malloc(held);
    assert_non_null(copy);
    memcpy(copy, k->s->out.base + (k->s->out.released - k->s->out.origin) % k->s->out.size, held);
    fill(k, st);
    assert_int_equal(k->s->out.size, 128 << 10);
    assert_int_equal(smux_session_resume(k->s, k->s->out.released, k->now), 0);
    const uint8_t *p = smux_session_output(k->s, &n);
    assert_true(n > held);
    assert_memory_equal(p, copy, held);
    free(copy);
    kit_free(k);
}

/* Without descriptors, as without memory, the ring stays as it is. */
static void a_ring_that_cannot_grow_waits_for_acks(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    struct rlimit before, none = {0, 0};
    open_window(k, st);
    fill(k, st);
    k->now += 50;
    acknowledge_all(k);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fill(k, st);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(k->s->out.size, 1 << 20);
    assert_false(smux_session_can_stage(k->s)); /* or the owner would try for ever */
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(st, &p, &room), ERR_LIMIT);
    k->now += 50;
    acknowledge_all(k);
    assert_true(smux_session_can_stage(k->s));
    fill(k, st);
    assert_int_equal(k->s->out.size, 2 << 20); /* another time */
    kit_free(k);
}

/* Fills the ring, and lets the peer take its time to acknowledge that. */
static void fill_slowly(struct kit *k, struct smux_stream *st)
{
    fill(k, st);
    k->now += 100;
    acknowledge_all(k);
    fill(k, st);
}

static void rings_share_a_budget(void **state)
{
    (void)state;
    struct smux_budget budget = {.max = 1 << 20};
    struct kit *k[2];
    struct smux_stream *st[2];
    for (int i = 0; i < 2; i++) {
        k[i] = kit_sized(false, 1 << 20, 8 << 20);
        k[i]->s->cfg.replay = &budget;
        st[i] = own_stream(k[i]);
        open_window(k[i], st[i]);
        fill_slowly(k[i], st[i]);
    }
    assert_int_equal(k[0]->s->out.size, 2 << 20);
    assert_int_equal(k[1]->s->out.size, 1 << 20); /* the other one has it all */
    assert_int_equal(budget.used, 1 << 20);
    assert_false(smux_session_can_stage(k[1]->s)); /* it waits for ACKs */
    acknowledge_all(k[0]);
    smux_session_trim(k[0]->s);
    assert_int_equal(budget.used, 0);
    k[1]->now += 100;
    acknowledge_all(k[1]);
    fill_slowly(k[1], st[1]);
    assert_int_equal(k[1]->s->out.size, 2 << 20);
    assert_int_equal(budget.used, 1 << 20);
    kit_free(k[1]);
    assert_int_equal(budget.used, 0); /* also of one that ends */
    kit_free(k[0]);
}

static void an_idle_ring_gives_its_memory_back(void **state)
{
    (void)state;
    struct kit *k = kit_sized(true, 1 << 20, 2 << 20);
    struct smux_stream *st = own_stream(k);
    open_window(k, st);
    fill(k, st);
    k->now += 100;
    acknowledge_all(k);
    fill(k, st);
    assert_int_equal(k->s->out.size, 2 << 20);
    smux_session_trim(k->s); /* full: nothing */
    assert_int_equal(k->s->out.size, 2 << 20);
    acknowledge_all(k);
    k->now += 100;
    (void)ticked(k, k->now);
    wire_word(&k->in, SMUX_PING, 1);
    (void)fed(k);
    (void)sent(k);
    smux_session_trim(k->s); /* an ACK that nobody acknowledges is no obstacle */
    assert_int_equal(k->s->out.size, 1 << 20);
    uint64_t held = smux_session_held(k->s);
    assert_in_range(held, 32, 64);
    smux_session_trim(k->s);
    assert_int_equal(smux_session_resume(k->s, k->s->out.released, k->now), 0);
    size_t n;
    const uint8_t *p = smux_session_output(k->s, &n);
    assert_in_range(n, held, held + 16);
    assert_int_equal(p[0], 3);
    assert_int_equal(p[1], SMUX_ACK);
    kit_free(k);
}

/* ---- without a connection ---- */

static void a_detached_session_is_silent(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 300);
    (void)fed(k);
    struct smux_stream *st = kit_open(k);
    smux_session_detach(k->s);
    smux_session_detach(k->s);
    assert_false(smux_session_can_stage(k->s));
    assert_int_equal(smux_session_deadline(k->s), MTIME_NEVER);
    uint8_t *p;
    size_t n;
    assert_int_equal(smux_stream_reserve(st, &p, &n), ERR_LIMIT);
    assert_non_null(smux_session_output(k->s, &n));
    assert_int_equal(n, 0);
    struct smux_event ev;
    struct smux_input in = {(const uint8_t *)"xxx", 3};
    assert_int_equal(smux_session_feed(k->s, &in, 2000, &ev), ERR_BADSTATE);
    assert_int_equal(in.n, 3);
    assert_int_equal(smux_session_tick(k->s, 1000000, &ev), 0);
    assert_int_equal(smux_session_received(k->s), 316);
    kit_free(k);
}

/* What the owner does meanwhile is told after the resume. */
static void streams_may_end_while_detached(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    for (uint32_t sid = 2; sid <= 6; sid += 2) {
        wire_plain(&k->in, SMUX_SYN, sid);
        wire_psh(&k->in, sid, 200000);
    }
    wire_plain(&k->in, SMUX_FIN, 6);
    (void)fed(k);
    smux_session_detach(k->s);
    smux_stream_consumed(k->streams[2], 200000, 2000);
    smux_stream_finish(k->streams[2], 2000);
    smux_stream_reset(k->streams[4], SMUX_RST_PEER_RESET, 2000);
    smux_stream_close(k->streams[6], 2000);
    struct smux_stream *never = kit_open(k), *st = kit_open(k);
    smux_stream_close(never, 2000);
    (void)st;
    assert_int_equal(session_streams(k->s), 4);
    k->now = 3000;
    assert_int_equal(smux_session_resume(k->s, 16, k->now), 0);
    assert_string_equal(sent(k), "PING:0:2 UPD:2:200000/262144 FIN:2 RST:4:1 FIN:6 SYN:5");
    assert_int_equal(session_streams(k->s), 2);
    kit_free(k);
}

static void credit_that_came_with_the_cut_is_told_after_it(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    int err;
    assert_int_equal(kit_write(k, st, 300000, &err), 262144);
    (void)sent(k);
    wire_upd(&k->in, 2, 100000, 262144);
    struct smux_input in = {k->in.p, k->in.n};
    struct smux_event ev;
    list_move(&k->s->credit, &st->wait); /* as if other events had come first */
    smux_session_detach(k->s);
    assert_int_equal(smux_session_deadline(k->s), MTIME_NEVER);
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, 2000), 0);
    assert_int_equal(smux_session_deadline(k->s), 2000);
    assert_int_equal(smux_session_tick(k->s, 2000, &ev), 1);
    assert_int_equal(ev.type, SMUX_EV_CREDIT);
    assert_int_equal(smux_session_feed(k->s, &in, 2000, &ev), 0);
    kit_free(k);
}

static void the_range_of_a_resume(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    int err;
    (void)kit_write(k, st, 1000, &err);
    (void)sent(k);
    wire_word(&k->in, SMUX_ACK, 100);
    (void)fed(k);
    (void)kit_write(k, st, 1000, &err); /* staged, not sent */
    uint64_t all = k->s->out.sent;
    assert_false(smux_session_can_resume(k->s, 99));
    assert_true(smux_session_can_resume(k->s, 100));
    assert_true(smux_session_can_resume(k->s, all));
    assert_false(smux_session_can_resume(k->s, all + 1));
    assert_int_equal(smux_session_resume(k->s, all + 1, 2000), ERR_RANGE);
    assert_int_equal(smux_session_resume(k->s, 99, 2000), ERR_RANGE);
    assert_int_equal(k->s->out.sent, all);
    /* The peer may know more than a resume whose answer it never got: it read its old
       connection on. */
    assert_int_equal(smux_session_resume(k->s, 100, 2000), 0);
    assert_int_equal(k->s->out.sent, 100);
    assert_true(smux_session_can_resume(k->s, all));
    assert_int_equal(smux_session_resume(k->s, all, 2000), 0);
    assert_int_equal(k->s->out.sent, all);
    assert_false(smux_session_can_resume(k->s, all - 1));
    kit_free(k);

    k = kit_new(true, NULL); /* the legacy wire resumes nothing */
    assert_false(smux_session_can_resume(k->s, 0));
    kit_free(k);
}

/* The owner detached in the middle of sending: what the transport took may arrive all the same. */
static void bytes_taken_after_the_detach_may_have_arrived(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = own_stream(k);
    int err;
    size_t n;
    (void)kit_write(k, st, 1000, &err);
    uint64_t before = k->s->out.sent;
    (void)smux_session_output(k->s, &n);
    smux_session_detach(k->s);
    smux_session_sent(k->s, n);
    assert_int_equal(k->s->out.sent, before);
    assert_true(smux_session_can_resume(k->s, before + n));
    assert_false(smux_session_can_resume(k->s, before + n + 1));
    kit_free(k);
}

static void a_resume_is_an_ack_of_both(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 200000);
    (void)fed(k);
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, 16, 2000), 0);
    assert_int_equal(smux_session_held(k->s), 0);
    assert_int_equal(smux_session_waiting_since(k->s), MTIME_NEVER);
    k->now = 2000;
    assert_string_equal(sent(k), "PING:0:2"); /* no ACK: the resume told it */
    assert_int_equal(smux_session_waiting_since(k->s), 2000);
    assert_string_equal(ticked(k, 2200), "");
    assert_string_equal(sent(k), "");
    kit_free(k);
}

static void the_round_trip_is_not_measured_across_a_cut(void **state)
{
    (void)state;
    struct kit *k = kit_of(true);
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, 0, 50000), 0);
    k->now = 50000;
    wire_word(&k->in, SMUX_PONG, 1); /* before the new one is written */
    (void)fed(k);
    assert_int_equal(smux_session_rtt_us(k->s), 0);
    assert_string_equal(sent(k), "PING:0:1 PING:0:2");
    k->now = 50010;
    wire_word(&k->in, SMUX_PONG, 1);
    (void)fed(k);
    assert_int_equal(smux_session_rtt_us(k->s), 0);
    wire_word(&k->in, SMUX_PONG, 2);
    (void)fed(k);
    assert_int_equal(smux_session_rtt_us(k->s), 10000);
    kit_free(k);
}

static void configurations_are_checked(void **state)
{
    (void)state;
    struct smux_session *s;
    struct smux_config good = smux_config_default(true, SMUX_WIRE_GOTUNNEL2), bad;
    good.ring_bytes = 64 << 10;
    assert_int_equal(smux_session_new(&good, 0, &s), 0);
    smux_session_free(s);
    bad = good;
    bad.version = 4;
    assert_int_equal(smux_session_new(&bad, 0, &s), ERR_INVAL);
    bad = good;
    bad.ring_bytes--;
    assert_int_equal(smux_session_new(&bad, 0, &s), ERR_INVAL);
    bad = good;
    bad.ring_max = bad.ring_bytes - 1;
    assert_int_equal(smux_session_new(&bad, 0, &s), ERR_INVAL);
    bad = good;
    bad.ping_ms = 0;
    assert_int_equal(smux_session_new(&bad, 0, &s), ERR_INVAL);
    bad = good;
    bad.stage_max = 0;
    assert_int_equal(smux_session_new(&bad, 0, &s), ERR_INVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ack_follows_after_100_ms),
        cmocka_unit_test(the_tail_of_a_frame_asks_for_an_ack),
        cmocka_unit_test(a_peer_that_takes_next_to_nothing_is_given_up),
        cmocka_unit_test(the_pace_is_judged_while_much_waits),
        cmocka_unit_test(an_ack_asks_for_none),
        cmocka_unit_test(every_other_frame_asks_for_one),
        cmocka_unit_test(an_ack_follows_after_128_kib_at_once),
        cmocka_unit_test(an_ack_goes_with_whatever_goes),
        cmocka_unit_test(bytes_stay_until_they_are_acknowledged),
        cmocka_unit_test(an_ack_of_what_is_only_staged_ends_the_session),
        cmocka_unit_test(an_ack_of_what_is_to_be_sent_again_ends_the_session),
        cmocka_unit_test(waiting_begins_with_what_asks_and_ends_with_its_ack),
        cmocka_unit_test(bytes_that_keep_coming_are_progress),
        cmocka_unit_test(what_comes_now_and_then_is_no_progress),
        cmocka_unit_test(a_few_bytes_are_no_progress),
        cmocka_unit_test(four_megabytes_without_an_ack_are_no_progress),
        cmocka_unit_test(when_the_peer_was_last_heard),
        cmocka_unit_test(a_full_ring_still_has_room_for_acks),
        cmocka_unit_test(an_ack_without_room_waits_as_a_mark),
        cmocka_unit_test(the_ring_grows_where_acks_are_slow),
        cmocka_unit_test(the_ring_stays_small_where_acks_are_fast),
        cmocka_unit_test(what_is_in_the_ring_moves_with_it),
        cmocka_unit_test(a_ring_that_cannot_grow_waits_for_acks),
        cmocka_unit_test(rings_share_a_budget),
        cmocka_unit_test(an_idle_ring_gives_its_memory_back),
        cmocka_unit_test(a_detached_session_is_silent),
        cmocka_unit_test(streams_may_end_while_detached),
        cmocka_unit_test(credit_that_came_with_the_cut_is_told_after_it),
        cmocka_unit_test(the_range_of_a_resume),
        cmocka_unit_test(bytes_taken_after_the_detach_may_have_arrived),
        cmocka_unit_test(a_resume_is_an_ack_of_both),
        cmocka_unit_test(the_round_trip_is_not_measured_across_a_cut),
        cmocka_unit_test(configurations_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
