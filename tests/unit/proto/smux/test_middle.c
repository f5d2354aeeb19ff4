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
static void build_plain(struct wire *w)
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

static struct kit *make_plain(void)
{
    return kit_new_v2(true);
}

static struct kit *kit_with_services(bool is_client)
{
    struct smux_config cfg = smux_config_default(is_client, SMUX_WIRE_GOTUNNEL2);
    cfg.caps = SMUX_CAP_SERVICES | SMUX_CAP_READY;
    return kit_new(is_client, &cfg);
}

static struct kit *make_acceptor(void)
{
    return kit_with_services(true);
}

/* What an acceptor of services may hear besides; the last one is wrong. */
static void build_acceptor(struct wire *w)
{
    static const uint8_t ip[16] = {0x20, 1};
    char name[SMUX_OPEN_NAME_MAX];
    struct smux_open open = kit_an_open(true);
    memset(name, 'n', sizeof name);
    wire_psh(w, 1, 9);
    wire_open(w, 2, &open);
    wire_psh(w, 1, 4);
    wire_psh(w, 2, 5);
    wire_psh(w, 1, 0);
    wire_plain(w, SMUX_READY, 2); /* useless */
    wire_upd(w, 1, 0, 300000);
    open.visitor = open.local = open.origin = address_ipv6(ip, 1);
    open.name = name;
    open.name_len = sizeof name;
    wire_open(w, 4, &open);
    open = (struct smux_open){.service = 1};
    wire_open(w, 6, &open);
    wire_plain(w, SMUX_FIN, 6);
    wire_psh(w, 1, 30);
    wire_plain(w, SMUX_FIN, 1);
}

/* Streams 2 and 4, of which a READY is wanted. */
static struct kit *make_opener(void)
{
    struct kit *k = kit_with_services(false);
    struct smux_open open = kit_an_open(true);
    for (int i = 0; i < 2; i++) {
        struct smux_stream *st;
        assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), 0);
    }
    return k;
}

static void build_opener(struct wire *w)
{
    wire_plain(w, SMUX_READY, 4);
    wire_psh(w, 1, 20);
    wire_plain(w, SMUX_READY, 2);
    wire_psh(w, 2, 3);
    wire_plain(w, SMUX_READY, 4); /* useless */
    wire_plain(w, SMUX_READY, 6); /* unknown */
    wire_rst(w, 4, SMUX_RST_NO_SERVICE);
    wire_plain(w, SMUX_FIN, 2);
    wire_plain(w, SMUX_READY, 1);
}

static const struct scene {
    struct kit *(*make)(void);
    void (*build)(struct wire *w);
    const char *want;
} scenes[] = {
    {make_plain, build_plain,
     "OPENED:2 DATA:2:5 OPENED:4 DATA:4:40 DATA:2:3 FIN:2 RESET:4:connection reset/5/0 OPENED:6 "
     "FIN:6 GOAWAY:0/0/77 !protocol error"},
    {make_acceptor, build_acceptor,
     "DATA:1:9 OPENED:2 DATA:1:4 DATA:2:5 OPENED:4 OPENED:6 FIN:6 DATA:1:30 !protocol error"},
    {make_opener, build_opener,
     "READY:4 DATA:1:20 READY:2 DATA:2:3 RESET:4:connection reset/8/0 FIN:2 !protocol error"},
};

/* Whatever was received is received; what comes next continues it. */
static void cut_here(struct kit *k, size_t at)
{
    assert_int_equal(smux_session_received(k->s), at);
    smux_session_detach(k->s);
    assert_int_equal(smux_session_resume(k->s, k->s->out.sent, k->now), 0);
}

/* Pieces of `first`, then `step` bytes, with a cut after each if wanted. */
static struct kit *run(const struct scene *scene, const struct wire *w, size_t first, size_t step,
                       bool cuts)
{
    struct kit *k = scene->make();
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

static void every_split_of(const struct scene *scene)
{
    struct wire w = {.version = SMUX_WIRE_GOTUNNEL2};
    scene->build(&w);
    struct kit *whole = run(scene, &w, w.n, 1, false);
    assert_string_equal(kit_text(whole), scene->want);
    for (size_t cut = 1; cut < w.n; cut++) {
        for (int cuts = 0; cuts < 2; cuts++) {
            struct kit *k = run(scene, &w, cut, w.n, cuts);
            assert_same(k, whole);
            kit_free(k);
            k = run(scene, &w, cut, cut, cuts);
            assert_same(k, whole);
            kit_free(k);
        }
    }
    kit_free(whole);
    free(w.p);
}

static void every_split_with_and_without_a_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++)
        every_split_of(&scenes[i]);
}

static void a_truncated_input_only_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
        struct wire w = {.version = SMUX_WIRE_GOTUNNEL2};
        scenes[i].build(&w);
        for (size_t n = 0; n < w.n - 7; n++) {
            struct wire part = {w.p, n, n, SMUX_WIRE_GOTUNNEL2};
            struct kit *k = run(&scenes[i], &part, n, 1, true);
            assert_int_equal(k->code, 0);
            kit_free(k);
        }
        free(w.p);
    }
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

/* The same of services: it accepts one, opens two, and speaks on the control stream. */
static struct kit *talker_of_services(struct wire *ret)
{
    struct kit *k = kit_with_services(true);
    struct smux_open open = kit_an_open(true);
    int err;
    wire_open(&k->in, 2, &open);
    wire_psh(&k->in, 1, 40000);
    assert_string_equal(fed(k), "OPENED:2 DATA:1:40000");
    smux_stream_consumed(k->s->control, 40000, k->now);
    struct smux_stream *a, *b;
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &a), 0);
    open = (struct smux_open){.service = 2};
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &b), 0);
    assert_int_equal(kit_write(k, k->s->control, 60, &err), 60);
    smux_stream_ready(k->streams[2]);
    assert_int_equal(kit_write(k, a, 50, &err), 50);
    smux_stream_reset(b, SMUX_RST_NO_SERVICE, k->now);
    size_t n;
    const uint8_t *p = smux_session_output(k->s, &n);
    wire_raw(ret, p, n);
    return k;
}

static void resume_at_every_byte(struct kit *(*make)(struct wire *ret), const char *want)
{
    struct wire ref = {0}, same = {0};
    struct kit *first = make(&ref);
    assert_string_equal(sent(first), want);
    kit_free(first);
    for (size_t at = 0; at <= ref.n; at++) {
        struct kit *k = make(&same);
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

static void a_resume_at_every_byte_goes_on_from_there(void **state)
{
    (void)state;
    resume_at_every_byte(talker, "GOAWAY:0:12884901888 ACK:0:40040 PONG:0:9 PING:0:1 "
                                 "UPD:2:40000/262144 SYN:3 SYN:5 PSH:3:50 PSH:5:7 FIN:3 RST:5:6");
    resume_at_every_byte(talker_of_services,
                         "ACK:0:40057 PING:0:1 UPD:1:40000/262144 OPEN:3:7/33 OPEN:5:2/8 "
                         "PSH:1:60 READY:2 PSH:3:50 RST:5:8");
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
