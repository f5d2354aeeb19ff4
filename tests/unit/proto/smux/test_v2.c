/* SPDX-License-Identifier: MIT */
/* gotunnel/2: streams end exactly, and what a peer may not send ends the session. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static struct kit *kit_of(bool is_client)
{
    struct kit *k = kit_new_v2(is_client);
    assert_string_equal(sent(k), "PING:0:1");
    return k;
}

/* A client with stream 2, opened by the peer, which is fed `extra` frames later. */
static struct kit *kit_with_stream(void)
{
    struct kit *k = kit_of(true);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    assert_string_equal(sent(k), "");
    return k;
}

/* A stream opened by us, and its SYN sent. */
static struct kit *kit_with_own(struct smux_stream **ret)
{
    struct kit *k = kit_of(false);
    *ret = kit_open(k);
    assert_string_equal(sent(k), "SYN:2");
    return k;
}

static void acknowledge_all(struct kit *k)
{
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    assert_string_equal(fed(k), "");
}

/* ---- half-closes ---- */

static void data_flows_after_the_peers_fin(void **state)
{
    (void)state;
    struct kit *k = kit_with_stream();
    int err;
    wire_psh(&k->in, 2, 10);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "DATA:2:10 FIN:2");
    assert_int_equal(kit_write(k, k->streams[2], 100000, &err), 100000);
    smux_stream_finish(k->streams[2], k->now);
    smux_stream_consumed(k->streams[2], 10, k->now);
    smux_stream_close(k->streams[2], k->now);
    (void)sent(k);
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void data_comes_after_our_fin(void **state)
{
    (void)state;
    struct kit *k = kit_with_stream();
    smux_stream_finish(k->streams[2], k->now);
    assert_string_equal(sent(k), "FIN:2"); /* at once, whatever the peer sends */
    wire_psh(&k->in, 2, 200000);
    assert_string_equal(fed(k), "DATA:2:200000");
    smux_stream_consumed(k->streams[2], 200000, k->now);
    assert_string_equal(sent(k), "ACK:0:200064 UPD:2:200000/262144");
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2");
    smux_stream_close(k->streams[2], k->now);
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void crossed_fins_leave_nothing(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    smux_stream_finish(st, k->now);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "FIN:2");
    smux_stream_close(st, k->now);
    assert_int_equal(session_streams(k->s), 1); /* our FIN is not written yet */
    assert_string_equal(sent(k), "FIN:2");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

/* Streams count as open until what they have to say is written. */
static void open_streams_are_those_that_are_not_over(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *a = kit_open(k), *b = kit_open(k);
    assert_int_equal(smux_session_open_streams(k->s), 2);
    (void)sent(k);
    wire_plain(&k->in, SMUX_FIN, 2);
    (void)fed(k);
    smux_stream_close(a, k->now);
    smux_stream_reset(b, SMUX_RST_BUSY, k->now);
    assert_int_equal(smux_session_open_streams(k->s), 2);
    assert_string_equal(sent(k), "FIN:2 RST:4:4");
    assert_int_equal(smux_session_open_streams(k->s), 0);
    kit_free(k);
}

/* ---- resets ---- */

static void a_reset_carries_its_code(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= SMUX_RST_NO_SERVICE; code++) {
        struct kit *k = kit_with_stream();
        char want[16] = "RST:2:?";
        want[6] = (char)('0' + code);
        smux_stream_reset(k->streams[2], (enum smux_reset_code)code, k->now);
        assert_string_equal(sent(k), want);
        assert_int_equal(session_streams(k->s), 0); /* nothing lingers */
        kit_free(k);
    }
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    wire_psh(&k->in, 2, 10);
    wire_rst(&k->in, 2, SMUX_RST_CONNECT_REFUSED);
    assert_string_equal(fed(k), "DATA:2:10 RESET:2:connection reset/2/0");
    uint8_t *p;
    size_t room;
    assert_int_equal(smux_stream_reserve(st, &p, &room), ERR_BADSTATE);
    smux_stream_consumed(st, 10, k->now);
    smux_stream_close(st, k->now);
    assert_int_equal(session_streams(k->s), 0);
    assert_string_equal(sent(k), ""); /* no answer */
    kit_free(k);
}

/* A code of the future is reported as it is. */
static void an_unknown_code_is_passed_on(void **state)
{
    (void)state;
    struct kit *k = kit_with_stream();
    wire_rst(&k->in, 2, 0xfedcba98);
    assert_string_equal(fed(k), "RESET:2:connection reset/4275878552/0");
    smux_stream_reset(k->streams[2], SMUX_RST_BUSY, k->now);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

static void close_before_the_peers_fin_is_a_reset(void **state)
{
    (void)state;
    struct kit *k = kit_with_stream();
    int err;
    assert_int_equal(kit_write(k, k->streams[2], 5, &err), 5);
    smux_stream_close(k->streams[2], k->now);
    assert_string_equal(sent(k), "PSH:2:5 RST:2:0");
    assert_int_equal(session_streams(k->s), 0);
    wire_psh(&k->in, 2, 100); /* was under way */
    wire_upd(&k->in, 2, 5, 262144);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    kit_free(k);
}

static void a_reset_after_fin_is_seen(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    wire_plain(&k->in, SMUX_FIN, 2);
    wire_rst(&k->in, 2, SMUX_RST_STALLED);
    assert_string_equal(fed(k), "FIN:2 RESET:2:connection reset/6/0");
    smux_stream_reset(st, SMUX_RST_PEER_RESET, k->now);
    assert_int_equal(session_streams(k->s), 0);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

static void after_both_fins_a_reset_says_nothing(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    wire_psh(&k->in, 2, 10);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "DATA:2:10 FIN:2");
    smux_stream_finish(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    smux_stream_reset(st, SMUX_RST_PEER_RESET, k->now);
    assert_string_equal(sent(k), "");
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

static void a_stream_reset_before_its_syn_is_never_told(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    struct smux_stream *st = kit_open(k), *other = kit_open(k);
    smux_stream_reset(st, SMUX_RST_PEER_RESET, k->now);
    smux_stream_close(other, k->now);
    assert_int_equal(session_streams(k->s), 0);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

/* Both ends reset at the same time; data is under way too. */
static void crossed_resets_leave_nothing(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    smux_stream_reset(st, SMUX_RST_SHUTDOWN, k->now);
    wire_psh(&k->in, 2, 1000);
    wire_rst(&k->in, 2, SMUX_RST_PEER_RESET);
    assert_string_equal(fed(k), ""); /* the owner has gone */
    assert_int_equal(session_streams(k->s), 0);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

/* A reset is due, and the peer's FIN comes before it could be written. */
static void a_fin_while_the_reset_waits(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    smux_stream_finish(st, k->now);
    assert_string_equal(sent(k), "FIN:2");
    smux_stream_reset(st, SMUX_RST_SHUTDOWN, k->now);
    wire_plain(&k->in, SMUX_FIN, 2);
    assert_string_equal(fed(k), "");
    assert_int_equal(session_streams(k->s), 0); /* all was said */
    assert_string_equal(sent(k), "");
    kit_free(k);
}

static void a_reset_drops_the_credit_that_was_waited_for(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    int err;
    assert_int_equal(kit_write(k, st, 300000, &err), 262144);
    assert_int_equal(err, ERR_AGAIN);
    wire_upd(&k->in, 2, 1000, 262144);
    wire_rst(&k->in, 2, 1);
    kit_clear(k);
    struct smux_input in = {k->in.p, k->in.n};
    struct smux_event ev;
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_int_equal(ev.type, SMUX_EV_CREDIT);
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_int_equal(ev.type, SMUX_EV_RESET);
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 0);
    smux_stream_close(st, k->now);
    kit_free(k);
}

/* ---- what ends the session ---- */

static void ends_session(bool is_client, bool with_stream, void (*put)(struct wire *w))
{
    struct smux_stream *own = NULL;
    struct kit *k = is_client ? (with_stream ? kit_with_stream() : kit_of(true))
                              : (with_stream ? kit_with_own(&own) : kit_of(false));
    put(&k->in);
    (void)fed(k);
    assert_int_equal(k->code, ERR_PROTO);
    kit_clear(k);
    assert_string_equal(fed(k), "!protocol error"); /* for good */
    assert_false(smux_session_can_resume(k->s, k->s->out.sent));
    kit_free(k);
}

static void put_syn(struct wire *w)
{
    wire_plain(w, SMUX_SYN, 3);
}

static void put_syn_2(struct wire *w)
{
    wire_plain(w, SMUX_SYN, 2);
}

static void put_syn_1(struct wire *w)
{
    wire_plain(w, SMUX_SYN, 1);
}

static void put_fin_psh(struct wire *w)
{
    wire_plain(w, SMUX_FIN, 2);
    wire_psh(w, 2, 1);
}

static void put_fin_fin(struct wire *w)
{
    wire_plain(w, SMUX_FIN, 2);
    wire_plain(w, SMUX_FIN, 2);
}

static void put_rst_upd(struct wire *w)
{
    wire_rst(w, 2, 1);
    wire_upd(w, 2, 0, 300000);
}

static void put_rst_psh(struct wire *w)
{
    wire_rst(w, 2, 1);
    wire_psh(w, 2, 1);
}

static void put_rst_fin(struct wire *w)
{
    wire_rst(w, 2, 1);
    wire_plain(w, SMUX_FIN, 2);
}

static void put_rst_rst(struct wire *w)
{
    wire_rst(w, 2, 1);
    wire_rst(w, 2, 1);
}

static void put_syn_0(struct wire *w)
{
    wire_plain(w, SMUX_SYN, 0);
}

static void put_psh_0(struct wire *w)
{
    wire_psh(w, 0, 1);
}

static void put_upd_0(struct wire *w)
{
    wire_upd(w, 0, 0, 262144);
}

static void put_rst_0(struct wire *w)
{
    wire_rst(w, 0, 0);
}

static void put_goaway_1(struct wire *w)
{
    wire_header(w, 3, SMUX_GOAWAY, 8, 1);
}

static void put_upd_beyond(struct wire *w)
{
    wire_upd(w, 2, 1, 262144);
}

static void put_upd_negative(struct wire *w)
{
    wire_upd(w, 2, 0, 0x80000000);
}

static void put_overrun(struct wire *w)
{
    wire_psh(w, 2, 262145);
}

static void put_version_2(struct wire *w)
{
    wire_header(w, 2, SMUX_NOP, 0, 0);
}

static void what_no_honest_peer_sends_ends_the_session(void **state)
{
    (void)state;
    ends_session(false, false, put_syn); /* the server opens streams */
    ends_session(true, false, put_syn);  /* not one of its numbers */
    ends_session(true, false, put_syn_1);
    ends_session(true, true, put_syn_2); /* in use */
    ends_session(true, true, put_fin_psh);
    ends_session(true, true, put_fin_fin);
    ends_session(true, true, put_rst_upd);
    ends_session(true, true, put_rst_psh);
    ends_session(true, true, put_rst_fin);
    ends_session(true, true, put_rst_rst);
    ends_session(true, false, put_syn_0);
    ends_session(true, false, put_psh_0);
    ends_session(true, false, put_upd_0);
    ends_session(true, false, put_rst_0);
    ends_session(true, false, put_goaway_1);
    ends_session(true, true, put_upd_beyond);
    ends_session(false, true, put_upd_negative);
    ends_session(true, true, put_overrun);
    ends_session(true, false, put_version_2);
}

static void an_upd_that_goes_back_ends_the_session(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    int err;
    (void)kit_write(k, st, 1000, &err);
    wire_upd(&k->in, 2, 600, 262144);
    assert_string_equal(fed(k), "");
    wire_upd(&k->in, 2, 599, 262144);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* A peer cannot speak of a stream whose SYN it has not got. */
static void a_guessed_stream_ends_the_session(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    (void)kit_open(k);
    wire_rst(&k->in, 2, 1);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* A server may be made to take streams, as the tests of both directions do. */
static void refusing_syn_is_a_setting(void **state)
{
    (void)state;
    struct smux_config cfg = smux_config_default(false, SMUX_WIRE_GOTUNNEL2);
    assert_true(cfg.refuse_syn);
    cfg.refuse_syn = false;
    struct kit *k = kit_new(false, &cfg);
    wire_plain(&k->in, SMUX_SYN, 3);
    assert_string_equal(fed(k), "OPENED:3");
    kit_free(k);
}

static void another_start_window_is_announced(void **state)
{
    (void)state;
    struct smux_config cfg = smux_config_default(true, SMUX_WIRE_GOTUNNEL2);
    cfg.recv_window = 400000;
    struct kit *k = kit_new(true, &cfg);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    (void)kit_open(k);
    assert_string_equal(sent(k), "PING:0:1 UPD:2:0/400000 SYN:3 UPD:3:0/400000");
    kit_free(k);
}

/* ---- frames for streams that are gone ---- */

static void useless(struct kit *k, int n)
{
    for (int i = 0; i < n; i++)
        wire_plain(&k->in, SMUX_FIN, 1000);
}

static void what_was_under_way_is_no_fault(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    smux_stream_reset(st, SMUX_RST_BUSY, k->now);
    assert_string_equal(sent(k), "RST:2:4");
    useless(k, 30000);
    assert_string_equal(fed(k), "");
    acknowledge_all(k); /* from here on the peer knows */
    useless(k, 10000);
    assert_string_equal(fed(k), "");
    useless(k, 1);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

/* After the peer's RST, its data: a fault while we know the stream, then useless. */
static void data_after_the_peers_reset(void **state)
{
    (void)state;
    struct kit *k = kit_with_stream();
    wire_rst(&k->in, 2, 1);
    assert_string_equal(fed(k), "RESET:2:connection reset/1/0");
    smux_stream_close(k->streams[2], k->now);
    assert_string_equal(sent(k), "");
    for (int i = 0; i < 10000; i++)
        wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "");
    wire_psh(&k->in, 2, 1);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

/* Who has reset a stream says nothing more on it, whatever comes. */
static void data_after_our_reset_is_dropped(void **state)
{
    (void)state;
    struct kit *k = kit_with_stream();
    smux_stream_reset(k->streams[2], SMUX_RST_BUSY, k->now);
    wire_psh(&k->in, 2, 100000); /* before the RST is written, and after */
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "ACK:0:100040 RST:2:4");
    wire_psh(&k->in, 2, 500000); /* more than its window: nobody counts that any more */
    assert_string_equal(fed(k), "");
    (void)ticked(k, k->now + 100);
    assert_string_equal(sent(k), "ACK:0:600168");
    kit_free(k);
}

/* 1 is nobody's id. */
static void frames_of_stream_1_are_useless(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct kit *k = kit_of(i % 2);
        for (int n = 0; n <= 10000; n++) {
            if (n == 10000)
                assert_string_equal(fed(k), "");
            if (i == 0)
                wire_psh(&k->in, 1, 5);
            else if (i == 1)
                wire_upd(&k->in, 1, 0, 1000);
            else if (i == 2)
                wire_plain(&k->in, SMUX_FIN, 1);
            else
                wire_rst(&k->in, 1, 0);
        }
        assert_string_equal(fed(k), "!limit reached");
        kit_free(k);
    }
}

/* Streams that end in order, each with a frame that crossed our FIN: as many as there may be. */
static void short_streams_are_no_flood(void **state)
{
    (void)state;
    struct kit *k = kit_of(false);
    for (uint32_t sid = 2; sid <= 2 * 10050; sid += 2) {
        struct smux_stream *st = kit_open(k);
        smux_stream_finish(st, k->now);
        (void)sent(k);
        wire_plain(&k->in, SMUX_FIN, sid);
        (void)fed(k);
        smux_stream_close(st, k->now);
        assert_int_equal(session_streams(k->s), 0);
        wire_upd(&k->in, sid, 0, 300000); /* written before our FIN was there */
        wire_word(&k->in, SMUX_ACK, k->s->out.sent);
        assert_string_equal(fed(k), "");
    }
    kit_free(k);
}

/* What the peer had written before it knew of our RST may come only after a resume that tells us it
   knows. */
static void what_a_resume_brings_is_no_fault(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_with_own(&st);
    smux_stream_reset(st, SMUX_RST_BUSY, k->now);
    assert_string_equal(sent(k), "RST:2:4");
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
    useless(k, 15000);
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "ACK:0:120000 PING:0:2");
    useless(k, 15000);
    assert_string_equal(fed(k), "");
    acknowledge_all(k); /* of the PING: this the peer wrote behind all the old */
    useless(k, 10001);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_flows_after_the_peers_fin),
        cmocka_unit_test(data_comes_after_our_fin),
        cmocka_unit_test(crossed_fins_leave_nothing),
        cmocka_unit_test(open_streams_are_those_that_are_not_over),
        cmocka_unit_test(a_reset_carries_its_code),
        cmocka_unit_test(an_unknown_code_is_passed_on),
        cmocka_unit_test(close_before_the_peers_fin_is_a_reset),
        cmocka_unit_test(a_reset_after_fin_is_seen),
        cmocka_unit_test(after_both_fins_a_reset_says_nothing),
        cmocka_unit_test(a_stream_reset_before_its_syn_is_never_told),
        cmocka_unit_test(crossed_resets_leave_nothing),
        cmocka_unit_test(a_fin_while_the_reset_waits),
        cmocka_unit_test(a_reset_drops_the_credit_that_was_waited_for),
        cmocka_unit_test(what_no_honest_peer_sends_ends_the_session),
        cmocka_unit_test(an_upd_that_goes_back_ends_the_session),
        cmocka_unit_test(a_guessed_stream_ends_the_session),
        cmocka_unit_test(refusing_syn_is_a_setting),
        cmocka_unit_test(another_start_window_is_announced),
        cmocka_unit_test(what_was_under_way_is_no_fault),
        cmocka_unit_test(data_after_the_peers_reset),
        cmocka_unit_test(data_after_our_reset_is_dropped),
        cmocka_unit_test(frames_of_stream_1_are_useless),
        cmocka_unit_test(short_streams_are_no_flood),
        cmocka_unit_test(what_a_resume_brings_is_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
