/* SPDX-License-Identifier: MIT */
/* gotunnel/2: a connection may be cut at every byte of every kind of frame, in both directions. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

/* ---- receiving ---- */

/* Every kind of frame, every state of the parser; the last one is wrong. */
static void build(struct wire *w)
{
    wire_plain(w, SMUX_SYN, 2);
    wire_psh(w, 2, 5);
    wire_psh(w, 2, 0);
    wire_plain(w, SMUX_NOP, 0);
    wire_word(w, SMUX_PING, 0x0102030405060708);
    wire_word(w, SMUX_ACK, 3);
    wire_plain(w, SMUX_SYN, 4);
    wire_upd(w, 2, 0, 65536);
    wire_psh(w, 4, 40);
    wire_psh(w, 998, 30); /* unknown */
    wire_rst(w, 1000, 1); /* unknown */
    wire_word(w, SMUX_PONG, 1);
    wire_psh(w, 2, 3);
    wire_plain(w, SMUX_FIN, 2);
    wire_rst(w, 4, SMUX_RST_IDLE_TIMEOUT);
    wire_plain(w, SMUX_SYN, 6);
    wire_plain(w, SMUX_FIN, 6);
    wire_goaway(w, SMUX_GOAWAY_SHUTDOWN, 77);
    wire_header(w, 3, 10, 0, 0); /* no such command */
}

/* Whatever was received is received; what comes next continues it. */
static void cut_here(struct kit *k, size_t at)
{
    assert_int_equal(smux_session_received(k->s), at);
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, 16, k->now), 0); /* all we sent */
}

/* Pieces of `first`, then `step` bytes, with a cut after each if wanted. */
static struct kit *run(const struct wire *w, size_t first, size_t step, bool cuts)
{
    struct kit *k = kit_new_v2(true);
    size_t at = 0;
    k->eager = true;
    (void)sent(k);
    for (size_t n = first; at < w->n && k->code == 0; at += n, n = step) {
        n = w->n - at < n ? w->n - at : n;
        (void)kit_feed(k, w->p + at, n);
        kit_check(k->s);
        if (cuts && k->code == 0)
            cut_here(k, at + n);
    }
    return k;
}

static void assert_same(const struct kit *a, const struct kit *b)
{
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct kit_event *x = &a->events[i], *y = &b->events[i];
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->sid, y->sid);
        assert_int_equal(x->err, y->err);
        assert_int_equal(x->code, y->code);
        assert_int_equal(x->ms, y->ms);
        assert_int_equal(x->len, y->len);
        assert_int_equal(x->hash, y->hash);
    }
    assert_int_equal(smux_session_received(a->s), smux_session_received(b->s));
}

static void every_split_with_and_without_a_cut(void **state)
{
    (void)state;
    struct kit *maker = kit_new_v2(true);
    build(&maker->in);
    struct kit *whole = run(&maker->in, maker->in.n, 1, false);
    assert_string_equal(kit_text(whole), "OPENED:2 DATA:2:5 OPENED:4 DATA:4:40 DATA:2:3 FIN:2 "
                                         "RESET:4:connection reset/5/0 OPENED:6 FIN:6 "
                                         "GOAWAY:0/0/77 !protocol error");
    for (size_t cut = 1; cut < maker->in.n; cut++) {
        for (int cuts = 0; cuts < 2; cuts++) {
            struct kit *k = run(&maker->in, cut, maker->in.n, cuts);
            assert_same(k, whole);
            kit_free(k);
            k = run(&maker->in, cut, cut, cuts);
            assert_same(k, whole);
            kit_free(k);
        }
    }
    kit_free(whole);
    kit_free(maker);
}

static void a_truncated_input_only_waits(void **state)
{
    (void)state;
    struct kit *maker = kit_new_v2(true);
    build(&maker->in);
    for (size_t n = 0; n < maker->in.n - 7; n++) {
        struct wire part = {maker->in.p, n, n, 3};
        struct kit *k = run(&part, n, 1, true);
        assert_int_equal(k->code, 0);
        kit_free(k);
    }
    kit_free(maker);
}

/* ---- sending ---- */

/* A session whose output has frames of every kind in it. The output, in *ret (malloc). */
static struct kit *talker(struct wire *ret)
{
    struct kit *k = kit_new_v2(true);
    int err;
    wire_plain(&k->in, SMUX_SYN, 2);
    wire_psh(&k->in, 2, 40000);
    wire_word(&k->in, SMUX_PING, 9);
    assert_string_equal(fed(k), "OPENED:2 DATA:2:40000");
    smux_stream_consumed(k->streams[2], 40000, k->now);
    struct smux_stream *a = kit_open(k), *b = kit_open(k);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 3);
    assert_int_equal(kit_write(k, a, 50, &err), 50); /* SYNs go first */
    assert_int_equal(kit_write(k, b, 7, &err), 7);
    smux_stream_finish(a, k->now);
    smux_stream_reset(b, SMUX_RST_STALLED, k->now);
    size_t n;
    const uint8_t *p = smux_session_output(k->s, &n);
    wire_raw(ret, p, n);
    return k;
}

static void a_resume_at_every_byte_goes_on_from_there(void **state)
{
    (void)state;
    struct wire ref = {0}, same = {0};
    struct kit *first = talker(&ref);
    assert_string_equal(sent(first),
                        "GOAWAY:0:12884901888 ACK:0:40040 PONG:0:9 PING:0:1 "
                        "UPD:2:40000/262144 SYN:3 SYN:5 PSH:3:50 PSH:5:7 FIN:3 RST:5:6");
    kit_free(first);
    for (size_t at = 0; at <= ref.n; at++) {
        struct kit *k = talker(&same);
        assert_memory_equal(same.p, ref.p, ref.n);
        same.n = 0;
        smux_session_sent(k->s, ref.n); /* all of it is lost from `at` on */
        smux_session_detach(k->s);
        assert_int_equal(smux_session_resume(k->s, at, 2000), 0);
        assert_int_equal(smux_session_held(k->s), ref.n - at);
        size_t n;
        const uint8_t *p = smux_session_output(k->s, &n);
        assert_int_equal(n, ref.n - at + 16); /* and a PING */
        assert_memory_equal(p, ref.p + at, ref.n - at);
        assert_int_equal(p[n - 15], SMUX_PING);
        kit_free(k);
    }
    free(ref.p);
    free(same.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_with_and_without_a_cut),
        cmocka_unit_test(a_truncated_input_only_waits),
        cmocka_unit_test(a_resume_at_every_byte_goes_on_from_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
