/* SPDX-License-Identifier: MIT */
/*
 * Target: the whole session core. The input is a script: each step is a byte that says what to do
 * (feed some of the bytes behind it, or a bulk of data; let time pass, open, write, take, finish,
 * close, reset, send).
 * After each step the session must be sane: bounded output, a deadline, no event for a stream that
 * was let go.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/smux/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 16 };

struct bench {
    struct smux_session *s;
    mtime_ms now;
    struct {
        struct smux_stream *st;
        size_t unread; /* DATA not yet consumed */
        bool broken;
    } own[STREAMS];
    bool dead;
    struct smux_budget budget;
    uint32_t window_max;
};

static size_t slot_of(struct bench *b, const struct smux_stream *st)
{
    for (size_t i = 0; i < STREAMS; i++)
        if (b->own[i].st == st)
            return i;
    return STREAMS;
}

static void keep(struct bench *b, struct smux_stream *st)
{
    size_t i = slot_of(b, NULL);
    if (i == STREAMS) {
        smux_stream_close(st, b->now);
        return;
    }
    b->own[i].st = st;
    b->own[i].unread = 0;
    b->own[i].broken = false;
    smux_stream_set_user(st, b);
}

static void on_event(struct bench *b, const struct smux_event *ev)
{
    size_t i = slot_of(b, ev->stream);
    if (ev->type == SMUX_EV_OPENED) {
        assert(i == STREAMS);
        keep(b, ev->stream);
        return;
    }
    assert(i < STREAMS && ev->user == b); /* nothing is told of a stream that was let go */
    if (ev->type == SMUX_EV_DATA) {
        assert(ev->len > 0 && !b->own[i].broken);
        b->own[i].unread += ev->len;
        assert(b->own[i].unread <= b->window_max);
    } else if (ev->type == SMUX_EV_RESET) {
        assert(!b->own[i].broken);
        b->own[i].broken = true;
    }
}

static void feed(struct bench *b, const uint8_t *p, size_t n)
{
    struct smux_input in = {p, n};
    struct smux_event ev;
    int r;
    while ((r = smux_session_feed(b->s, &in, b->now, &ev)) > 0)
        on_event(b, &ev);
    assert(r < 0 || in.n == 0);
    b->dead = b->dead || r < 0;
}

/* Much data for one stream: enough for windows to move, which a short input could not hold. */
static void gush(struct bench *b, const struct smux_stream *st, size_t n)
{
    static uint8_t frame[8 + 0xffff] = {2, 2};
    if (!st)
        return;
    uint32_t sid = smux_stream_id(st);
    for (size_t part; n > 0 && !b->dead; n -= part) {
        part = n < 0xffff ? n : 0xffff;
        frame[2] = (uint8_t)part;
        frame[3] = (uint8_t)(part >> 8);
        for (int i = 0; i < 4; i++)
            frame[4 + i] = (uint8_t)(sid >> 8 * i);
        feed(b, frame, 8 + part);
    }
}

static void pass(struct bench *b, mtime_ms ms)
{
    struct smux_event ev;
    int r;
    b->now += ms;
    while ((r = smux_session_tick(b->s, b->now, &ev)) > 0)
        on_event(b, &ev);
    b->dead = b->dead || r < 0;
    if (!b->dead)
        assert(smux_session_deadline(b->s) > b->now);
}

static void write_some(struct smux_stream *st, size_t n)
{
    uint8_t *p;
    size_t room;
    while (n > 0 && smux_stream_reserve(st, &p, &room) == 0) {
        assert(room > 0 && room <= SMUX_FRAME_PAYLOAD);
        room = room < n ? room : n;
        memset(p, 'w', room);
        smux_stream_commit(st, room);
        n -= room;
    }
}

static void send_some(struct bench *b, size_t most)
{
    size_t n;
    (void)smux_session_output(b->s, &n);
    assert(n <= 256 << 10);
    smux_session_sent(b->s, n < most ? n : most);
}

static void act(struct bench *b, unsigned what, size_t i, size_t arg)
{
    struct smux_stream *st = b->own[i].st;
    if (what == 0) {
        struct smux_stream *fresh;
        if (slot_of(b, NULL) < STREAMS && smux_stream_open(b->s, NULL, &fresh) == 0)
            keep(b, fresh);
    } else if (what == 1) {
        send_some(b, arg * 100);
    } else if (!st) {
        return;
    } else if (what == 2) {
        write_some(st, arg * 300);
    } else if (what == 3) {
        size_t n = arg * 4096 < b->own[i].unread ? arg * 4096 : b->own[i].unread;
        smux_stream_consumed(st, n, b->now);
        b->own[i].unread -= n;
    } else if (what == 4) {
        smux_stream_finish(st, b->now);
    } else {
        b->own[i].st = NULL;
        if (what == 5)
            smux_stream_close(st, b->now);
        else
            smux_stream_reset(st, SMUX_RST_UNSPECIFIED, b->now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bench b = {.now = 1000};
    if (size < 1)
        return 0;
    struct smux_config cfg = smux_config_default(data[0] & 1, SMUX_WIRE_LEGACY);
    if (data[0] & 2) {
        cfg.max_streams = 8;
        cfg.linger_max = 2;
        cfg.peer_excess_max = 65536;
    }
    if (data[0] & 4) {
        b.budget.max = (uint64_t)(data[0] >> 3) << 16;
        cfg.budget = &b.budget;
    }
    b.window_max = cfg.budget ? cfg.recv_window_max : cfg.recv_window;
    if (smux_session_new(&cfg, b.now, &b.s) < 0)
        return 0;
    for (size_t at = 1; at < size;) {
        uint8_t step = data[at++];
        uint8_t arg = at < size ? data[at] : 0;
        if (step < 128) { /* the next step + 1 bytes are received */
            size_t n = size - at < (size_t)step + 1 ? size - at : (size_t)step + 1;
            feed(&b, data + at, n);
            at += n;
        } else if (step < 136) {
            gush(&b, b.own[step % 8].st, (size_t)arg * 4096);
            at++;
        } else if (step < 144) {
            pass(&b, (mtime_ms)arg * arg);
            at++;
        } else {
            act(&b, (step - 144u) / STREAMS, step % STREAMS, arg);
            at++;
        }
    }
    assert(session_streams(b.s) <= cfg.max_streams);
    assert(b.budget.used <= b.budget.max);
    smux_session_free(b.s);
    assert(b.budget.used == 0);
    return 0;
}
