/* SPDX-License-Identifier: MIT */
/* The model of a Go peer: see gopeer.h. */
#include "gopeer.h"

#include <stdlib.h>
#include <string.h>

#include "proto/smux/frame.h"

enum {
    GO_FRAME = 32768,      /* the most in one PSH, and io.Copy's buffer */
    GO_WINDOW = 65536,     /* MaxStreamBuffer */
    GO_START = 262144,     /* initialPeerWindow */
    GO_OUT_MAX = 64 << 10, /* what the connection takes before a Write waits */
    GO_NOP_MS = 10000,
};

uint8_t go_byte(bool from_go, uint32_t sid, uint64_t at)
{
    return (uint8_t)(((at + sid * 131u) * 2654435761u + from_go * 77u) >> 9);
}

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static uint8_t *out_room(struct go_peer *g, size_t n)
{
    if (g->out_len + n > g->out_cap) {
        g->out_cap = (g->out_len + n) * 2;
        g->out = must(realloc(g->out, g->out_cap));
    }
    g->out_len += n;
    return g->out + g->out_len - n;
}

static void put(struct go_peer *g, enum smux_cmd cmd, uint16_t len, uint32_t sid)
{
    smux_header_put(out_room(g, SMUX_HEADER_BYTES), SMUX_WIRE_LEGACY, cmd, len, sid);
}

void go_init(struct go_peer *g, enum go_gen gen, bool is_client, mtime_ms now)
{
    memset(g, 0, sizeof *g);
    g->gen = gen;
    g->is_client = is_client;
    g->bucket = GO_BUCKET;
    g->nop_at = now + GO_NOP_MS;
}

void go_fini(struct go_peer *g)
{
    for (size_t i = 0; i < g->count; i++)
        free(g->streams[i].frames);
    free(g->out);
}

struct go_stream *go_find(struct go_peer *g, uint32_t sid)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->streams[i].sid == sid)
            return &g->streams[i];
    return NULL;
}

size_t go_open_streams(const struct go_peer *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->count; i++)
        n += g->streams[i].open;
    return n;
}

static struct go_stream *stream_new(struct go_peer *g, uint32_t sid, const struct go_user *user)
{
    if (g->count == GO_STREAMS)
        abort();
    struct go_stream *st = &g->streams[g->count++];
    *st = (struct go_stream){.sid = sid, .user = *user, .open = true, .peer_window = GO_START};
    return st;
}

void go_open(struct go_peer *g, const struct go_user *user, mtime_ms now)
{
    uint32_t sid = (uint32_t)(g->count + 1) * 2 + g->is_client;
    put(g, SMUX_SYN, 0, sid);
    struct go_stream *st = stream_new(g, sid, user);
    st->known_at = now + 15; /* entered after the SYN is written; so late on a busy machine */
    st->send_at = st->known_at;
}

/* ---- receiving (recvLoop) ---- */

static struct go_stream *known(struct go_peer *g, uint32_t sid, mtime_ms now)
{
    struct go_stream *st = go_find(g, sid);
    return st && st->open && st->known_at <= now ? st : NULL;
}

static void push_frame(struct go_stream *st, uint32_t len)
{
    if (st->count == st->cap) {
        st->cap = st->cap ? st->cap * 2 : 16;
        st->frames = must(realloc(st->frames, st->cap * sizeof *st->frames));
    }
    st->frames[st->count++] = len;
}

static void on_head(struct go_peer *g, const struct smux_header *h, mtime_ms now)
{
    struct go_stream *st = known(g, h->sid, now);
    if (h->cmd == SMUX_SYN) {
        if (!go_find(g, h->sid))
            (void)stream_new(g, h->sid, &g->users[h->sid / 2 - 1]);
    } else if (h->cmd == SMUX_FIN && st) {
        st->fin_seen = true;
    } else if (h->cmd == SMUX_PSH) {
        g->cur = st;
        g->cur_left = h->len;
        if (st && h->len > 0) {
            push_frame(st, h->len);
            g->bucket -= h->len; /* before its bytes, which is a little early */
        }
    } else if (h->cmd == SMUX_UPD && st) {
        struct smux_upd upd = smux_upd_get(g->head + SMUX_HEADER_BYTES);
        st->peer_consumed = upd.consumed;
        st->peer_window = upd.window;
    }
}

static size_t take_payload(struct go_peer *g, const uint8_t *p, size_t n)
{
    n = n < g->cur_left ? n : g->cur_left;
    g->cur_left -= (uint32_t)n;
    for (size_t i = 0; g->cur && i < n; i++)
        if (p[i] != go_byte(false, g->cur->sid, g->cur->came++))
            g->failed = true;
    return n;
}

static size_t take_head(struct go_peer *g, const uint8_t *p, size_t n, mtime_ms now)
{
    size_t want = SMUX_HEADER_BYTES;
    if (g->head_len >= want && g->head[1] == SMUX_UPD)
        want += SMUX_UPD_BYTES;
    n = n < want - g->head_len ? n : want - g->head_len;
    memcpy(g->head + g->head_len, p, n);
    g->head_len += n;
    if (g->head_len < want || (want == SMUX_HEADER_BYTES && g->head[1] == SMUX_UPD))
        return n;
    struct smux_header h;
    g->head_len = 0;
    if (smux_header_get(g->head, SMUX_WIRE_LEGACY, SMUX_KNOWS_LEGACY, &h) < 0)
        g->failed = true;
    else
        on_head(g, &h, now);
    return n;
}

size_t go_feed(struct go_peer *g, const uint8_t *p, size_t n, mtime_ms now)
{
    size_t at = 0;
    while (at < n && !g->failed) {
        if (g->cur_left > 0)
            at += take_payload(g, p + at, n - at);
        else if (g->bucket <= 0 && g->head_len == 0)
            break; /* nothing is read any more: no other stream's data, no UPD, no FIN */
        else
            at += take_head(g, p + at, n - at, now);
    }
    return at;
}

/* ---- the relay: two copiers, each of which closes both sides when it ends ---- */

static void close_stream(struct go_peer *g, struct go_stream *st)
{
    if (!st->open)
        return;
    st->open = false;
    put(g, SMUX_FIN, 0, st->sid);
    while (st->first < st->count) /* what was received and not read is gone */
        g->bucket += st->frames[st->first++];
}

/* stream -> user (WriteTo): the tokens return, and the UPD goes out, after the write. */
static bool copy_down(struct go_peer *g, struct go_stream *st, mtime_ms now)
{
    if (st->conn_closed || now < st->read_at)
        return false;
    if (st->in_hand == 0 && st->first < st->count) {
        st->in_hand = st->in_hand_left = st->frames[st->first++];
        st->num_read += st->in_hand;
        st->incr += st->in_hand;
        st->notify = 0;
        if (st->incr >= GO_WINDOW / 2 || st->num_read == st->in_hand) {
            st->notify = st->num_read;
            st->incr = 0;
        }
    }
    bool broken = now >= st->user.hang_at;
    if (st->in_hand == 0 || broken) {
        if (!broken && st->open && !st->fin_seen)
            return false;
        g->bucket += st->in_hand;
        st->in_hand = 0;
        return st->conn_closed = true;
    }
    if (now < st->user.read_from)
        return false;
    uint32_t n = st->in_hand_left;
    n = n < st->user.read_max ? n : (uint32_t)st->user.read_max;
    st->in_hand_left -= n;
    st->got += n;
    st->read_at = now + st->user.read_pace;
    if (st->in_hand_left > 0)
        return true;
    g->bucket += st->in_hand;
    st->in_hand = 0;
    if (st->notify) { /* although the stream may be closed by now */
        put(g, SMUX_UPD, SMUX_UPD_BYTES, st->sid);
        smux_upd_put(out_room(g, SMUX_UPD_BYTES),
                     (struct smux_upd){.consumed = st->notify, .window = GO_WINDOW});
    }
    return true;
}

static void write_frame(struct go_peer *g, struct go_stream *st, uint32_t n)
{
    put(g, SMUX_PSH, (uint16_t)n, st->sid);
    uint8_t *p = out_room(g, n);
    for (uint32_t i = 0; i < n; i++)
        p[i] = go_byte(true, st->sid, st->num_written + i);
    st->num_written += n;
}

/* The Write that is going on (writeV2). */
static bool write_on(struct go_peer *g, struct go_stream *st)
{
    int32_t inflight = (int32_t)(st->num_written - st->peer_consumed);
    if (inflight < 0) {
        g->wrong_consumed++;
        close_stream(g, st);
        return true;
    }
    int32_t win = (int32_t)(st->peer_window - (uint32_t)inflight); /* wraps, as Go's does */
    if (win > 0) {
        uint32_t n = (uint32_t)win < st->write_left ? (uint32_t)win : st->write_left;
        write_frame(g, st, n);
        st->write_left -= n;
        return true;
    }
    if (!st->fin_seen || g->gen == GO_1_5_54)
        return false;
    close_stream(g, st); /* EOF: an update is impossible now */
    return true;
}

/* user -> stream (io.Copy) */
static bool copy_up(struct go_peer *g, struct go_stream *st, mtime_ms now)
{
    if (!st->open || now < st->known_at || g->out_len >= GO_OUT_MAX)
        return false;
    if (st->write_left > 0)
        return write_on(g, st);
    uint64_t left = st->user.to_send - st->num_written;
    if (st->conn_closed || now >= st->user.hang_at || (left == 0 && st->user.eof)) {
        close_stream(g, st);
        return true;
    }
    if (left == 0 || now < st->send_at)
        return false;
    st->send_at = now + st->user.send_pace;
    if (st->fin_seen && g->gen == GO_1_5_28) {
        close_stream(g, st);
        return true;
    }
    uint64_t n = left < st->user.send_max ? left : st->user.send_max;
    st->write_left = n < GO_FRAME ? (uint32_t)n : GO_FRAME;
    return true;
}

bool go_run(struct go_peer *g, mtime_ms now)
{
    bool moved = false;
    if (now >= g->nop_at) {
        put(g, SMUX_NOP, 0, 0);
        g->nop_at += GO_NOP_MS;
    }
    for (size_t i = 0; i < g->count; i++) {
        moved |= copy_down(g, &g->streams[i], now);
        moved |= copy_up(g, &g->streams[i], now);
    }
    return moved;
}
