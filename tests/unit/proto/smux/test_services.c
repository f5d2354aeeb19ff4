/* SPDX-License-Identifier: MIT */
/* gotunnel/2 with services: the control stream, OPEN and READY. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

enum { BOTH_CAPS = SMUX_CAP_SERVICES | SMUX_CAP_READY };

static struct smux_config config(bool is_client, unsigned caps)
{
    struct smux_config cfg = smux_config_default(is_client, SMUX_WIRE_GOTUNNEL2);
    cfg.caps = caps;
    return cfg;
}

static struct kit *kit_of(bool is_client, unsigned caps)
{
    struct smux_config cfg = config(is_client, caps);
    struct kit *k = kit_new(is_client, &cfg);
    assert_string_equal(sent(k), "PING:0:1");
    return k;
}

/* A client that was fed an OPEN of stream 2. */
static struct kit *acceptor(bool want_ready, unsigned caps)
{
    struct kit *k = kit_of(true, caps);
    struct smux_open open = kit_an_open(want_ready);
    wire_open(&k->in, 2, &open);
    assert_string_equal(fed(k), "OPENED:2");
    return k;
}

/* A server that has opened stream 2, and said so. */
static struct kit *opener(bool want_ready, unsigned caps, struct smux_stream **ret)
{
    struct kit *k = kit_of(false, caps);
    struct smux_open open = kit_an_open(want_ready);
    assert_int_equal(smux_stream_open_service(k->s, &open, k, ret), 0);
    assert_string_equal(sent(k), "OPEN:2:7/33");
    return k;
}

static void useless(struct kit *k, enum smux_cmd cmd, uint32_t sid, int n)
{
    for (int i = 0; i < n; i++)
        wire_plain(&k->in, cmd, sid);
}

/* n more useless frames are too many. */
static void glitches_left(struct kit *k, int n)
{
    useless(k, SMUX_NOP, 0, n - 1);
    assert_string_equal(fed(k), "");
    useless(k, SMUX_NOP, 0, 1);
    assert_string_equal(fed(k), "!limit reached");
}

enum { GLITCHES = 10001 };

/* ---- capabilities ---- */

static void caps_are_of_gotunnel2_alone(void **state)
{
    (void)state;
    struct smux_session *s;
    struct smux_config cfg = smux_config_default(true, SMUX_WIRE_LEGACY);
    cfg.caps = SMUX_CAP_SERVICES;
    assert_int_equal(smux_session_new(&cfg, 0, &s), ERR_INVAL);
    cfg = config(true, BOTH_CAPS << 1);
    assert_int_equal(smux_session_new(&cfg, 0, &s), ERR_INVAL);
    assert_int_equal(smux_config_default(true, SMUX_WIRE_GOTUNNEL2).caps, 0);
}

static void nothing_changes_without_them(void **state)
{
    (void)state;
    struct smux_open open = kit_an_open(true);
    struct smux_stream *st;
    struct kit *k = kit_of(false, 0);
    assert_null(smux_session_control(k->s));
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), 0);
    smux_stream_ready(st); /* nothing */
    assert_string_equal(sent(k), "SYN:2");
    wire_plain(&k->in, SMUX_READY, 2);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);

    k = kit_of(true, 0);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "OPENED:2");
    struct smux_event ev = {.type = SMUX_EV_OPENED, .stream = k->streams[2]};
    assert_int_equal(smux_event_open(&ev).service, 0);
    wire_open(&k->in, 4, &open);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void syn_is_illegal_with_services(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = kit_of(true, SMUX_CAP_SERVICES);
    assert_int_equal(smux_stream_open(k->s, k, &st), ERR_INVAL);
    wire_plain(&k->in, SMUX_SYN, 2);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void a_server_takes_no_open(void **state)
{
    (void)state;
    struct smux_open open = kit_an_open(false);
    struct kit *k = kit_of(false, BOTH_CAPS);
    wire_open(&k->in, 3, &open);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

/* What an end takes OPENs with is memory of a client alone. */
static void the_longest_open_has_room(void **state)
{
    (void)state;
    char name[SMUX_OPEN_NAME_MAX];
    static const uint8_t ip[16] = {0x20, 1};
    uint8_t tail[48] = {200, 46};
    memset(name, 'n', sizeof name);
    struct smux_open open = kit_an_open(true);
    open.visitor = open.local = open.origin = address_ipv6(ip, 1);
    open.name = name;
    open.name_len = sizeof name;
    open.has_trace = true;
    for (int longer = 0; longer < 2; longer++) {
        struct kit *k = kit_of(true, BOTH_CAPS);
        uint8_t p[SMUX_OPEN_MAX];
        assert_int_equal(smux_open_put(p, &open), 336);
        wire_header(&k->in, 3, SMUX_OPEN, (uint16_t)(SMUX_OPEN_MAX + longer), 2);
        wire_raw(&k->in, p, 336);
        wire_raw(&k->in, tail, sizeof tail);
        assert_string_equal(fed(k), longer ? "!protocol error" : "OPENED:2");
        kit_free(k);
    }
}

/* ---- the control stream ---- */

static void it_is_there_from_the_first_byte(void **state)
{
    (void)state;
    for (int client = 0; client < 2; client++) {
        struct smux_config cfg = config(client, SMUX_CAP_SERVICES);
        struct kit *k = kit_new(client, &cfg);
        struct smux_stream *c = smux_session_control(k->s);
        int err;
        assert_int_equal(smux_stream_id(c), 1);
        wire_psh(&k->in, 1, 10);
        assert_string_equal(fed(k), "DATA:1:10");
        assert_int_equal(kit_write(k, c, 20, &err), 20);
        assert_string_equal(sent(k), "PING:0:1 PSH:1:20");
        assert_int_equal(smux_session_open_streams(k->s), 0); /* it does not count */
        kit_free(k);
    }
}

static void it_tells_its_owner(void **state)
{
    (void)state;
    int owner, err;
    struct kit *k = kit_of(false, SMUX_CAP_SERVICES);
    struct smux_stream *c = smux_session_control(k->s);
    struct smux_event ev;
    smux_stream_set_user(c, &owner);
    assert_int_equal(kit_write(k, c, 300000, &err), 262144);
    assert_int_equal(err, ERR_AGAIN);
    wire_psh(&k->in, 1, 3);
    wire_upd(&k->in, 1, 100, 262144);
    struct smux_input in = {k->in.p, k->in.n};
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_true(ev.type == SMUX_EV_DATA && ev.stream == c && ev.user == &owner && ev.len == 3);
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_true(ev.type == SMUX_EV_CREDIT && ev.stream == c && ev.user == &owner);
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 0);
    kit_free(k);
}

/* Credit is announced as for any stream, but the window stays. */
static void its_window_stays(void **state)
{
    (void)state;
    struct smux_budget budget = {.max = 64 << 20};
    struct smux_config cfg = config(true, SMUX_CAP_SERVICES);
    cfg.budget = &budget;
    struct kit *k = kit_new(true, &cfg);
    (void)sent(k);
    k->eager = true;
    for (int i = 1; i <= 40; i++) { /* a sender that its window holds back over 20 ms */
        wire_psh(&k->in, 1, 262144);
        (void)fed(k);
        k->now += 20;
        assert_non_null(strstr(sent(k), "/262144"));
        assert_int_equal(k->s->control->announced, i * 262144);
    }
    assert_null(k->s->control->gauge);
    assert_int_equal(budget.used, 0);
    k->eager = false;
    wire_psh(&k->in, 1, 262144);
    assert_string_equal(fed(k), "DATA:1:262144");
    wire_psh(&k->in, 1, 1);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void another_first_window_is_announced(void **state)
{
    (void)state;
    struct smux_config cfg = config(true, SMUX_CAP_SERVICES);
    cfg.recv_window = 400000;
    struct kit *k = kit_new(true, &cfg);
    assert_string_equal(sent(k), "PING:0:1 UPD:1:0/400000");
    kit_free(k);
}

static void whatever_would_begin_or_end_it_ends_the_session(void **state)
{
    (void)state;
    for (int client = 0; client < 2; client++) {
        for (int what = 0; what < 5; what++) {
            struct kit *k = kit_of(client, BOTH_CAPS);
            struct smux_open open = kit_an_open(false);
            if (what == 0)
                wire_plain(&k->in, SMUX_SYN, 1);
            else if (what == 1)
                wire_plain(&k->in, SMUX_FIN, 1);
            else if (what == 2)
                wire_rst(&k->in, 1, 0);
            else if (what == 3)
                wire_plain(&k->in, SMUX_READY, 1);
            else
                wire_open(&k->in, 1, &open);
            assert_string_equal(fed(k), "!protocol error");
            kit_free(k);
        }
    }
}

static void what_says_nothing_on_it_is_counted(void **state)
{
    (void)state;
    for (int what = 0; what < 2; what++) {
        struct kit *k = kit_of(true, SMUX_CAP_SERVICES);
        for (int i = 0; i < 3; i++) {
            if (what == 0)
                wire_psh(&k->in, 1, 0);
            else
                wire_upd(&k->in, 1, 0, 262144);
        }
        assert_string_equal(fed(k), "");
        glitches_left(k, GLITCHES - 3);
        kit_free(k);
    }
}

/* Lines of no use count with the frames of no use. */
static void what_its_owner_finds_useless_is_counted_too(void **state)
{
    (void)state;
    struct kit *k = kit_of(true, SMUX_CAP_SERVICES);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(smux_session_count_useless(k->s), 0);
    useless(k, SMUX_NOP, 0, 5000);
    assert_string_equal(fed(k), "");
    assert_int_equal(smux_session_count_useless(k->s), ERR_LIMIT);
    wire_psh(&k->in, 1, 1);
    assert_string_equal(fed(k), "!limit reached"); /* the session is over */
    kit_free(k);
}

static void what_is_written_goes_as_far_as_there_is_room(void **state)
{
    (void)state;
    static uint8_t text[300000];
    struct kit *k = kit_of(false, SMUX_CAP_SERVICES);
    struct smux_stream *c = smux_session_control(k->s);
    size_t n, done;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 7);
    assert_int_equal(smux_stream_write(c, text, 0, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(smux_stream_write(c, text, 5, &n), 0);
    assert_int_equal(n, 5);
    const uint8_t *p = smux_session_output(k->s, &n);
    assert_int_equal(n, SMUX_HEADER_BYTES + 5);
    assert_memory_equal(p + SMUX_HEADER_BYTES, text, 5);
    assert_int_equal(smux_stream_write(c, text + 5, 99995, &n), ERR_LIMIT); /* too much is staged */
    assert_int_equal(n, 4 * SMUX_FRAME_PAYLOAD);
    p = smux_session_output(k->s, &done);
    assert_memory_equal(p + 2 * SMUX_HEADER_BYTES + 5, text + 5, SMUX_FRAME_PAYLOAD);
    p += 3 * SMUX_HEADER_BYTES + 5 + SMUX_FRAME_PAYLOAD;
    assert_memory_equal(p, text + 5 + SMUX_FRAME_PAYLOAD, SMUX_FRAME_PAYLOAD);
    int r = ERR_LIMIT;
    for (done = 5 + n; r == ERR_LIMIT; done += n) {
        (void)sent(k);
        r = smux_stream_write(c, text + done, sizeof text - done, &n);
    }
    assert_int_equal(r, ERR_AGAIN); /* the window */
    assert_int_equal(done, 262144);
    smux_session_detach(k->s);
    assert_int_equal(smux_stream_write(c, text, 1, &n), ERR_LIMIT);
    assert_int_equal(n, 0);
    kit_free(k);
}

static void it_outlives_goaway(void **state)
{
    (void)state;
    int err;
    struct kit *k = kit_of(true, SMUX_CAP_SERVICES);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 1000);
    wire_goaway(&k->in, 0, 1000);
    wire_psh(&k->in, 1, 5);
    assert_string_equal(fed(k), "GOAWAY:0/0/1000 DATA:1:5");
    assert_int_equal(kit_write(k, smux_session_control(k->s), 7, &err), 7);
    assert_string_equal(sent(k), "GOAWAY:0:4294967296000 PSH:1:7");
    kit_free(k);
}

/* It takes no stream's place. */
static void it_is_not_one_of_the_streams_allowed(void **state)
{
    (void)state;
    struct smux_open open = kit_an_open(false);
    struct smux_config cfg = config(true, SMUX_CAP_SERVICES);
    cfg.max_streams = 2;
    struct kit *k = kit_new(true, &cfg);
    wire_open(&k->in, 2, &open);
    wire_open(&k->in, 4, &open);
    assert_string_equal(fed(k), "OPENED:2 OPENED:4");
    wire_open(&k->in, 6, &open);
    assert_string_equal(fed(k), "!limit reached");
    kit_free(k);
}

/* ---- OPEN ---- */

static void an_open_says_what_it_is_for(void **state)
{
    (void)state;
    struct smux_open open = kit_an_open(true);
    struct kit *k = kit_of(true, BOTH_CAPS);
    struct smux_event ev;
    wire_open(&k->in, 2, &open);
    struct smux_input in = {k->in.p, k->in.n};
    assert_int_equal(smux_session_feed(k->s, &in, k->now, &ev), 1);
    assert_true(ev.type == SMUX_EV_OPENED && smux_stream_id(ev.stream) == 2);
    struct smux_open got = smux_event_open(&ev);
    assert_int_equal(got.service, 7);
    assert_true(got.want_ready && !got.has_trace);
    assert_true(address_equal(&got.visitor, &open.visitor));
    assert_true(address_equal(&got.local, &open.local));
    assert_int_equal(got.origin.family, ADDRESS_NONE);
    assert_int_equal(got.name_len, 13);
    assert_memory_equal(got.name, "a.example.com", 13);
    kit_free(k);
}

static void an_open_that_is_none_ends_the_session(void **state)
{
    (void)state;
    static const uint8_t half[] = {7, 0, 0, 0, 0, 0, 0, 0, 9};
    struct kit *k = kit_of(true, BOTH_CAPS);
    wire_header(&k->in, 3, SMUX_OPEN, sizeof half, 2);
    wire_raw(&k->in, half, sizeof half);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);
}

static void ids_are_those_of_syn(void **state)
{
    (void)state;
    struct smux_open open = kit_an_open(false);
    for (int what = 0; what < 3; what++) {
        struct kit *k = acceptor(false, SMUX_CAP_SERVICES);
        wire_open(&k->in, what == 0 ? 0 : what == 1 ? 3 : 2, &open); /* 0, ours, in use */
        assert_string_equal(fed(k), "!protocol error");
        kit_free(k);
    }
}

static void an_open_that_crosses_goaway_is_refused(void **state)
{
    (void)state;
    struct smux_open open = kit_an_open(true);
    struct kit *k = kit_of(true, BOTH_CAPS);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 1000);
    assert_string_equal(sent(k), "GOAWAY:0:4294967296000");
    wire_open(&k->in, 2, &open);
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "RST:2:7");
    wire_word(&k->in, SMUX_ACK, k->s->out.sent); /* from here on the peer knows */
    assert_string_equal(fed(k), "");
    wire_open(&k->in, 4, &open);
    assert_string_equal(fed(k), "");
    glitches_left(k, GLITCHES - 1);
    kit_free(k);
}

static void what_cannot_be_said_is_not_opened(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct smux_open open = kit_an_open(false);
    struct kit *k = kit_of(false, SMUX_CAP_SERVICES);
    open.service = 0;
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), ERR_INVAL);
    open = kit_an_open(false);
    smux_session_goaway(k->s, SMUX_GOAWAY_SHUTDOWN, 0);
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), ERR_BADSTATE);
    assert_int_equal(session_streams(k->s), 0);
    kit_free(k);
}

/* A stream that ends before its OPEN was written is never spoken of. */
static void an_open_that_waits_goes_with_its_stream(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct smux_open open = kit_an_open(true);
    struct kit *k = kit_of(false, BOTH_CAPS);
    for (int how = 0; how < 2; how++) {
        assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), 0);
        if (how == 0)
            smux_stream_close(st, k->now);
        else
            smux_stream_reset(st, SMUX_RST_BUSY, k->now);
        assert_string_equal(sent(k), "");
        assert_int_equal(session_streams(k->s), 0);
    }
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), 0);
    kit_free(k); /* nor does the end of the session leave it */
}

/* They are written behind those that waited before, before their streams' data, and leave the reserve
   alone. */
static void opens_wait_for_room_in_their_order(void **state)
{
    (void)state;
    struct smux_config cfg = config(false, BOTH_CAPS);
    cfg.ring_bytes = cfg.ring_max = 64 << 10;
    char name[SMUX_OPEN_NAME_MAX];
    struct smux_open open = kit_an_open(true);
    memset(name, 'n', sizeof name);
    open.name = name;
    open.name_len = sizeof name;
    struct kit *k = kit_new(false, &cfg);
    struct smux_stream *st[2000];
    size_t n, opens = 0;
    for (size_t i = 0; i < ARRAY_LEN(st); i++)
        assert_int_equal(smux_stream_open_service(k->s, &open, k, &st[i]), 0);
    const uint8_t *p = smux_session_output(k->s, &n);
    assert_in_range(n, 32 << 10, (64 << 10) - REPLAY_RESERVE);
    uint8_t *at;
    size_t room;
    assert_int_equal(smux_stream_reserve(st[1999], &at, &room), ERR_LIMIT);
    while (opens < ARRAY_LEN(st)) {
        p = smux_session_output(k->s, &n);
        for (size_t i = 0; i < n; i += SMUX_HEADER_BYTES + 18u + 2 + sizeof name) {
            if (p[i + 1] == SMUX_PING)
                i += SMUX_HEADER_BYTES + SMUX_WORD_BYTES;
            assert_int_equal(p[i + 1], SMUX_OPEN);
            assert_int_equal(p[i + 4] | p[i + 5] << 8, 2 * ++opens);
        }
        smux_session_sent(k->s, n);
        wire_word(&k->in, SMUX_ACK, k->s->out.sent);
        assert_string_equal(fed(k), "");
    }
    assert_int_equal(smux_stream_reserve(st[1999], &at, &room), 0);
    kit_free(k);
}

/* ---- READY ---- */

static void ready_goes_once_and_first(void **state)
{
    (void)state;
    int err;
    struct kit *k = acceptor(true, BOTH_CAPS);
    smux_stream_ready(k->streams[2]);
    smux_stream_ready(k->streams[2]);
    assert_int_equal(kit_write(k, k->streams[2], 5, &err), 5);
    assert_string_equal(sent(k), "READY:2 PSH:2:5");
    smux_stream_ready(k->streams[2]);
    smux_stream_finish(k->streams[2], k->now);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);
}

static void ready_that_is_of_no_use_is_not_said(void **state)
{
    (void)state;
    struct kit *k = acceptor(false, BOTH_CAPS); /* nobody asked */
    smux_stream_ready(k->streams[2]);
    assert_string_equal(sent(k), "");
    kit_free(k);

    k = acceptor(true, SMUX_CAP_SERVICES); /* the bit means nothing */
    smux_stream_ready(k->streams[2]);
    assert_string_equal(sent(k), "");
    kit_free(k);

    k = acceptor(true, BOTH_CAPS); /* after our end */
    smux_stream_finish(k->streams[2], k->now);
    smux_stream_ready(k->streams[2]);
    assert_string_equal(sent(k), "FIN:2");
    kit_free(k);

    k = acceptor(true, BOTH_CAPS); /* after the peer's reset */
    wire_rst(&k->in, 2, 1);
    assert_string_equal(fed(k), "RESET:2:connection reset/1/0");
    smux_stream_ready(k->streams[2]);
    smux_stream_close(k->streams[2], k->now);
    assert_string_equal(sent(k), "");
    kit_free(k);

    k = acceptor(true, BOTH_CAPS); /* our reset takes its place */
    smux_stream_ready(k->streams[2]);
    smux_stream_reset(k->streams[2], SMUX_RST_NO_SERVICE, k->now);
    assert_string_equal(sent(k), "RST:2:8");
    kit_free(k);

    struct smux_stream *st;
    k = opener(true, BOTH_CAPS, &st); /* the opener owes none */
    smux_stream_ready(st);
    assert_string_equal(sent(k), "");
    kit_free(k);
}

/* An opener without the capability does not ask. */
static void ready_is_asked_for_where_it_can_be_said(void **state)
{
    (void)state;
    for (unsigned caps = SMUX_CAP_SERVICES; caps <= BOTH_CAPS; caps += SMUX_CAP_READY) {
        struct smux_stream *st;
        struct smux_open open = kit_an_open(true);
        struct kit *k = kit_of(false, caps);
        size_t n;
        assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), 0);
        const uint8_t *p = smux_session_output(k->s, &n);
        assert_int_equal(p[SMUX_HEADER_BYTES + 4], caps == BOTH_CAPS);
        kit_free(k);
    }
}

static void ready_is_told_once(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = opener(true, BOTH_CAPS, &st);
    useless(k, SMUX_READY, 2, 1);
    wire_psh(&k->in, 2, 5);
    assert_string_equal(fed(k), "READY:2 DATA:2:5");
    useless(k, SMUX_READY, 2, 3);
    assert_string_equal(fed(k), "");
    glitches_left(k, GLITCHES - 3);
    kit_free(k);
}

static void a_ready_nobody_waits_for_is_useless(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = opener(false, BOTH_CAPS, &st); /* not asked for */
    useless(k, SMUX_READY, 2, 1);
    assert_string_equal(fed(k), "");
    glitches_left(k, GLITCHES - 1);
    kit_free(k);

    k = opener(true, BOTH_CAPS, &st); /* late */
    wire_plain(&k->in, SMUX_FIN, 2);
    useless(k, SMUX_READY, 2, 1);
    assert_string_equal(fed(k), "FIN:2");
    glitches_left(k, GLITCHES - 1);
    kit_free(k);

    k = acceptor(true, BOTH_CAPS); /* from the opener */
    useless(k, SMUX_READY, 2, 1);
    assert_string_equal(fed(k), "");
    smux_stream_ready(k->streams[2]);
    assert_string_equal(sent(k), "READY:2");
    glitches_left(k, GLITCHES - 1);
    kit_free(k);
}

static void a_ready_that_crosses_our_end_is_no_fault(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct kit *k = opener(true, BOTH_CAPS, &st);
    smux_stream_reset(st, SMUX_RST_BUSY, k->now);
    useless(k, SMUX_READY, 2, 1); /* before our RST is written */
    assert_string_equal(fed(k), "");
    assert_string_equal(sent(k), "RST:2:4");
    useless(k, SMUX_READY, 2, 1); /* and after */
    assert_string_equal(fed(k), "");
    wire_word(&k->in, SMUX_ACK, k->s->out.sent);
    useless(k, SMUX_READY, 2, 1); /* the peer knew */
    assert_string_equal(fed(k), "");
    glitches_left(k, GLITCHES - 1);
    kit_free(k);
}

static void a_ready_that_cannot_be_ends_the_session(void **state)
{
    (void)state;
    struct smux_stream *st;
    struct smux_open open = kit_an_open(true);
    struct kit *k = kit_of(false, BOTH_CAPS); /* of an OPEN that was not written */
    assert_int_equal(smux_stream_open_service(k->s, &open, k, &st), 0);
    wire_plain(&k->in, SMUX_READY, 2);
    assert_string_equal(fed(k), "!protocol error");
    kit_free(k);

    k = opener(true, BOTH_CAPS, &st); /* from who has reset it */
    wire_rst(&k->in, 2, 1);
    wire_plain(&k->in, SMUX_READY, 2);
    assert_string_equal(fed(k), "RESET:2:connection reset/1/0 !protocol error");
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caps_are_of_gotunnel2_alone),
        cmocka_unit_test(nothing_changes_without_them),
        cmocka_unit_test(syn_is_illegal_with_services),
        cmocka_unit_test(a_server_takes_no_open),
        cmocka_unit_test(the_longest_open_has_room),
        cmocka_unit_test(it_is_there_from_the_first_byte),
        cmocka_unit_test(it_tells_its_owner),
        cmocka_unit_test(its_window_stays),
        cmocka_unit_test(another_first_window_is_announced),
        cmocka_unit_test(whatever_would_begin_or_end_it_ends_the_session),
        cmocka_unit_test(what_says_nothing_on_it_is_counted),
        cmocka_unit_test(what_its_owner_finds_useless_is_counted_too),
        cmocka_unit_test(what_is_written_goes_as_far_as_there_is_room),
        cmocka_unit_test(it_outlives_goaway),
        cmocka_unit_test(it_is_not_one_of_the_streams_allowed),
        cmocka_unit_test(an_open_says_what_it_is_for),
        cmocka_unit_test(an_open_that_is_none_ends_the_session),
        cmocka_unit_test(ids_are_those_of_syn),
        cmocka_unit_test(an_open_that_crosses_goaway_is_refused),
        cmocka_unit_test(what_cannot_be_said_is_not_opened),
        cmocka_unit_test(an_open_that_waits_goes_with_its_stream),
        cmocka_unit_test(opens_wait_for_room_in_their_order),
        cmocka_unit_test(ready_goes_once_and_first),
        cmocka_unit_test(ready_that_is_of_no_use_is_not_said),
        cmocka_unit_test(ready_is_asked_for_where_it_can_be_said),
        cmocka_unit_test(ready_is_told_once),
        cmocka_unit_test(a_ready_nobody_waits_for_is_useless),
        cmocka_unit_test(a_ready_that_crosses_our_end_is_no_fault),
        cmocka_unit_test(a_ready_that_cannot_be_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
