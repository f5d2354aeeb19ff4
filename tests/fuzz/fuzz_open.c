/* SPDX-License-Identifier: MIT */
/*
 * Target: the frame OPEN, smux_open_get() and smux_open_put(), and the parser of a session that takes
 * it. The first byte says where the input is split, the rest is the payload, of any length. What can
 * be read is written again, no longer than it was, and reads the same; a session with services takes
 * a payload if and only if it can be read.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/smux/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_address(const struct address *a, const struct address *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->scope == 0 && b->scope == 0;
}

static bool same(const struct smux_open *a, const struct smux_open *b)
{
    return a->service == b->service && a->want_ready == b->want_ready &&
           a->has_trace == b->has_trace && same_address(&a->visitor, &b->visitor) &&
           same_address(&a->local, &b->local) && same_address(&a->origin, &b->origin) &&
           a->name_len == b->name_len &&
           (a->name_len == 0 || memcmp(a->name, b->name, a->name_len) == 0) &&
           memcmp(a->trace, b->trace, sizeof a->trace) == 0;
}

static void check_codec(const struct smux_open *open, size_t size)
{
    uint8_t p[SMUX_OPEN_MAX], again[SMUX_OPEN_MAX];
    struct smux_open o;
    assert(open->service > 0 && open->name_len <= SMUX_OPEN_NAME_MAX);
    int n = smux_open_put(p, open);
    assert(n >= SMUX_OPEN_MIN && (size_t)n <= size);
    assert(smux_open_get(p, (size_t)n, &o) == 0 && same(open, &o));
    assert(smux_open_put(again, &o) == n && memcmp(again, p, (size_t)n) == 0);
}

static int feed(struct smux_session *s, const uint8_t *p, size_t n, struct smux_event *ev)
{
    uint8_t *copy = malloc(n > 0 ? n : 1); /* of its own size: nothing beyond it is read */
    assert(copy);
    if (n > 0)
        memcpy(copy, p, n);
    struct smux_input in = {copy, n};
    int r = smux_session_feed(s, &in, 1000, ev);
    assert(r != 0 || in.n == 0);
    free(copy); /* what the event says lies in the session */
    return r;
}

static void check_session(const uint8_t *p, size_t n, size_t split, const struct smux_open *want)
{
    static uint8_t frame[SMUX_HEADER_BYTES + UINT16_MAX];
    struct smux_session *s;
    struct smux_event ev;
    struct smux_config cfg = smux_config_default(true, SMUX_WIRE_GOTUNNEL2);
    cfg.ring_bytes = cfg.ring_max = 64 << 10;
    cfg.caps = SMUX_CAP_SERVICES | SMUX_CAP_READY;
    if (smux_session_new(&cfg, 1000, &s) < 0)
        return;
    smux_header_put(frame, SMUX_WIRE_GOTUNNEL2, SMUX_OPEN, (uint16_t)n, 2);
    memcpy(frame + SMUX_HEADER_BYTES, p, n);
    n += SMUX_HEADER_BYTES;
    split = split < n ? split : n;
    int r = feed(s, frame, split, &ev);
    if (r == 0)
        r = feed(s, frame + split, n - split, &ev);
    assert(r == (want ? 1 : ERR_PROTO));
    if (want) {
        struct smux_open got = smux_event_open(&ev);
        assert(ev.type == SMUX_EV_OPENED && same(&got, want));
        smux_stream_ready(ev.stream);
        smux_stream_close(ev.stream, 1000);
    }
    smux_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smux_open open;
    if (size < 1 || size > UINT16_MAX)
        return 0;
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    bool is_one = smux_open_get(p, n, &open) == 0;
    if (is_one)
        check_codec(&open, n);
    check_session(p, n, data[0] * 2u, is_one ? &open : NULL);
    return 0;
}
