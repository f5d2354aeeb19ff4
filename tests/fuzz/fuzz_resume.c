/* SPDX-License-Identifier: MIT */
/*
 * Target: a session of gotunnel/2 with a peer that says anything. The input is a script: each step
 * is a byte that says what to do (feed some of the bytes behind it, or a frame made of them; let
 * time pass, open, write, take, finish, close, reset, send, detach, resume). After each step the
 * session must be sane: bounded output, a deadline, no event for a stream that was let go, no byte
 * counted twice. With services, which the first byte chooses, there are OPEN, READY and the control
 * stream besides: that one is never reported to begin or end, and a READY is told once.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/smux/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STREAMS = 8, RING = 64 << 10, RING_MAX = 256 << 10 };

struct own {
    struct smux_stream *st;
    size_t unread;
    bool fin, broken, ready;
};

struct bench {
    struct smux_session *s;
    mtime_ms now;
    struct own own[STREAMS];
    struct own control; /* with services */
    bool services;
    bool dead, detached;
    uint64_t received; /* fed */
};

/* ---- events ---- */

static struct own *own_of(struct bench *b, const struct smux_stream *st)
{
    for (size_t i = 0; i < STREAMS; i++)
        if (b->own[i].st == st)
            return &b->own[i];
    return st && st == b->control.st ? &b->control : NULL;
}

static void keep(struct bench *b, struct smux_stream *st)
{
    struct own *o = own_of(b, NULL);
    if (!o) {
        smux_stream_close(st, b->now);
        return;
    }
    *o = (struct own){.st = st};
    smux_stream_set_user(st, b);
}

static void on_event(struct bench *b, const struct smux_event *ev)
{
    if (ev->type == SMUX_EV_GOAWAY) {
        assert(!ev->stream);
        return;
    }
    if (ev->type == SMUX_EV_OPENED) {
        assert(!own_of(b, ev->stream));
        assert((smux_event_open(ev).service > 0) == b->services);
        keep(b, ev->stream);
        return;
    }
    struct own *o = own_of(b, ev->stream);
    assert(o && ev->user == b && !o->broken);
    if (ev->type == SMUX_EV_DATA) {
        assert(ev->len > 0 && !o->fin);
        o->unread += ev->len;
        assert(o->unread <= SMUX_START_WINDOW);
    }
    if (ev->type == SMUX_EV_READY) {
        assert(!o->ready && !o->fin);
        o->ready = true;
    }
    assert(o != &b->control || ev->type == SMUX_EV_DATA || ev->type == SMUX_EV_CREDIT);
    o->fin = o->fin || ev->type == SMUX_EV_FIN;
    o->broken = ev->type == SMUX_EV_RESET;
}

/* ---- steps ---- */

static void feed(struct bench *b, const uint8_t *p, size_t n)
{
    struct smux_input in = {p, n};
    struct smux_event ev;
    int r;
    while ((r = smux_session_feed(b->s, &in, b->now, &ev)) > 0)
        on_event(b, &ev);
    if (r == ERR_BADSTATE) {
        assert(b->detached && in.n == n);
        return;
    }
    b->dead = b->dead || r < 0;
    b->received += n - in.n;
    assert(r < 0 || in.n == 0);
    assert(smux_session_received(b->s) == b->received);
}

/* A frame whose header is right; the payload is what follows, or zeros. */
static void feed_frame(struct bench *b, uint8_t cmd, uint8_t sid, const uint8_t *p, size_t n)
{
    static const uint8_t lens[] = {0, 0, 100, 0, 8, 4, 8, 8, 8, 8};
    uint8_t frame[8 + 100] = {3, cmd, lens[cmd], 0, sid};
    if (cmd == 3 || cmd >= 6)
        frame[4] = 0;
    n = n < lens[cmd] ? n : lens[cmd];
    if (n > 0)
        memcpy(frame + 8, p, n);
    feed(b, frame, 8 + (size_t)lens[cmd]);
}

static struct smux_open open_of(size_t arg)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz012345";
    return (struct smux_open){.service = 1 + (uint32_t)arg,
                              .want_ready = arg & 1,
                              .name = name,
                              .name_len = arg >> 1 & 31};
}

/* An OPEN that is one, but for what is said behind it: a TLV with the bytes that follow. */
static void feed_open(struct bench *b, uint8_t sid, const uint8_t *p, size_t n)
{
    uint8_t frame[SMUX_HEADER_BYTES + SMUX_OPEN_MAX];
    struct smux_open open = open_of(n > 0 ? p[0] : 0);
    size_t len = (size_t)smux_open_put(frame + SMUX_HEADER_BYTES, &open);
    n = n < 8 ? n : 8;
    if (n > 0)
        memcpy(frame + SMUX_HEADER_BYTES + len, p, n);
    if (n > 2 && p[0] & 0x80)
        len += n;
    smux_header_put(frame, SMUX_WIRE_GOTUNNEL2, SMUX_OPEN, (uint16_t)len, sid);
    feed(b, frame, SMUX_HEADER_BYTES + len);
}

/* Of what a session with services may hear: the ten commands, OPEN, and READY at 11 and 12. */
static void feed_service_frame(struct bench *b, uint8_t cmd, uint8_t sid, const uint8_t *p,
                               size_t n)
{
    if (cmd < 10) {
        feed_frame(b, cmd, sid, p, n);
    } else if (cmd == SMUX_OPEN) {
        feed_open(b, sid, p, n);
    } else {
        const uint8_t ready[SMUX_HEADER_BYTES] = {3, SMUX_READY, 0, 0, sid};
        feed(b, ready, sizeof ready);
    }
}

static void pass(struct bench *b, mtime_ms ms)
{
    struct smux_event ev;
    int r;
    b->now += ms;
    while ((r = smux_session_tick(b->s, b->now, &ev)) > 0)
        on_event(b, &ev);
    if (r == ERR_TIMEOUT) {
        smux_session_detach(b->s);
        b->detached = true;
    }
    if (b->detached)
        assert(smux_session_deadline(b->s) == MTIME_NEVER);
    else if (r == 0)
        assert(smux_session_deadline(b->s) > b->now);
}

static void send_some(struct bench *b, size_t most)
{
    size_t n;
    (void)smux_session_output(b->s, &n);
    assert(n <= RING_MAX && (!b->detached || n == 0));
    n = n < most ? n : most;
    smux_session_sent(b->s, n);
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

/* The peer says it has so much of what was sent and is kept. */
static void resume(struct bench *b, size_t part)
{
    uint64_t first = b->s->out.released, last = b->s->replay.sent_max;
    uint64_t at = first + (last - first) * part / 255;
    assert(!smux_session_can_resume(b->s, last + 1));
    assert(first == 0 || !smux_session_can_resume(b->s, first - 1));
    if (smux_session_resume(b->s, at, b->now) < 0) {
        assert(b->dead);
        return;
    }
    assert(smux_session_held(b->s) == b->s->out.staged - at);
    b->detached = false;
}

static void take_some(struct bench *b, struct own *o, size_t n)
{
    n = n < o->unread ? n : o->unread;
    smux_stream_consumed(o->st, n, b->now);
    o->unread -= n;
}

static void act_on(struct bench *b, unsigned what, struct own *o, size_t arg)
{
    struct smux_stream *st = o->st;
    if (what == 0) {
        write_some(st, arg * 300);
    } else if (what == 1) {
        take_some(b, o, arg * 4096);
    } else if (what == 5) {
        smux_stream_ready(st);
    } else if (what == 2) {
        smux_stream_finish(st, b->now);
    } else {
        o->st = NULL;
        if (what == 3)
            smux_stream_close(st, b->now);
        else
            smux_stream_reset(st, (enum smux_reset_code)(arg & 7), b->now);
    }
}

static int open_one(struct bench *b, size_t arg, struct smux_stream **ret)
{
    struct smux_open open = open_of(arg);
    return smux_stream_open_service(b->s, &open, NULL, ret); /* without services: a SYN */
}

static void act(struct bench *b, unsigned what, size_t arg)
{
    struct smux_stream *fresh;
    if (what == 0 && own_of(b, NULL) && open_one(b, arg, &fresh) == 0) {
        keep(b, fresh);
    } else if (what == 1) {
        send_some(b, arg * 300);
    } else if (what == 2) {
        pass(b, (mtime_ms)arg * arg);
    } else if (what == 3) {
        smux_session_detach(b->s);
        b->detached = true;
    } else if (what == 4) {
        resume(b, arg);
    } else if (what == 5) {
        smux_session_goaway(b->s, SMUX_GOAWAY_SHUTDOWN, (uint32_t)arg);
    } else if (what == 6) {
        smux_session_trim(b->s);
    } else if (what == 7) {
        smux_session_clock(b->s, b->now += (mtime_ms)arg);
    } else if (what == 8) {
        write_some(b->control.st, arg * 300);
    } else if (what == 9) {
        take_some(b, &b->control, arg * 4096);
    }
}

/* One step of the script; returns how many bytes behind it were used. */
static size_t step(struct bench *b, uint8_t what, const uint8_t *p, size_t n)
{
    size_t arg = n > 0 ? p[0] : 0;
    if (what < 64) { /* the next what + 1 bytes are received */
        size_t part = n < (size_t)what + 1 ? n : (size_t)what + 1;
        feed(b, p, part);
        return part;
    }
    if (what < 144 && b->services) {
        feed_service_frame(b, (uint8_t)((what - 64) % 13), (uint8_t)(1 + (what - 64) / 13), p, n);
        return n < 8 ? n : 8;
    }
    if (what < 144) { /* a frame */
        feed_frame(b, (uint8_t)((what - 64) % 10), (uint8_t)(2 + (what - 64) / 10), p, n);
        return n < 8 ? n : 8;
    }
    if (what < 200) {
        struct own *o = &b->own[what % STREAMS];
        if (o->st)
            act_on(b, (what - 144u) / STREAMS % (b->services ? 6 : 5), o, arg);
    } else {
        act(b, what % (b->services ? 10 : 8), arg);
    }
    return n > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bench b = {.now = 1000};
    if (size < 1)
        return 0;
    struct smux_config cfg = smux_config_default(data[0] & 1, SMUX_WIRE_GOTUNNEL2);
    cfg.ring_bytes = RING;
    cfg.ring_max = RING_MAX;
    cfg.max_streams = 32;
    cfg.refuse_syn = data[0] & 2;
    b.services = data[0] >> 2 == 1;
    cfg.caps = b.services ? SMUX_CAP_SERVICES | SMUX_CAP_READY : 0;
    if (smux_session_new(&cfg, b.now, &b.s) < 0)
        return 0;
    if (b.services) {
        b.control.st = smux_session_control(b.s);
        smux_stream_set_user(b.control.st, &b);
    }
    for (size_t at = 1; at < size;) {
        uint8_t what = data[at++];
        at += step(&b, what, data + at, size - at);
        assert(smux_session_held(b.s) <= RING_MAX);
    }
    assert(session_streams(b.s) <= cfg.max_streams);
    smux_session_free(b.s);
    return 0;
}
