/* SPDX-License-Identifier: MIT */
/*
 * A model of the Go original at the other end of a session: upstream smux with its shared bucket
 * and its three generations of what a FIN does, and above it the relay that closes everything at
 * the first end of file. Facts from protocol.md 2.1-2.3 and smux 1.5.16; no I/O, virtual time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mtime.h"

enum go_gen {
    GO_1_5_16, /* a write after a received FIN works; one that waits for window ends */
    GO_1_5_28, /* every write after a received FIN fails, and the relay then drops what it holds */
    GO_1_5_54, /* a write that waits for window does not notice the FIN */
};

enum { GO_STREAMS = 128, GO_BUCKET = 4 << 20 };

/* The user's or the service's socket beside the Go peer. */
struct go_user {
    uint64_t to_send; /* then silence, or the end of file if eof is set */
    bool eof;
    size_t send_max, read_max; /* bytes a turn */
    mtime_ms send_pace, read_pace;
    mtime_ms read_from, hang_at; /* takes nothing before; breaks (MTIME_NEVER: never) */
};

struct go_stream {
    uint32_t sid;
    struct go_user user;
    bool open, fin_seen, conn_closed;
    mtime_ms known_at; /* when its own table knows it: frames that come before are lost */
    uint32_t num_read, incr, num_written, peer_consumed, peer_window;
    uint64_t came, got;       /* bytes taken from the wire; written to the user */
    uint32_t *frames;         /* lengths received and not yet read: [first, count) of cap */
    size_t first, count, cap; /* */
    uint32_t in_hand, in_hand_left, notify; /* the frame being written to the user */
    uint32_t write_left;                    /* of the Write call that is going on */
    mtime_ms read_at, send_at;
};

struct go_peer {
    enum go_gen gen;
    bool is_client, failed; /* failed: it met a protocol error */
    unsigned wrong_consumed;
    int64_t bucket;
    struct go_stream streams[GO_STREAMS];
    size_t count;
    const struct go_user *users; /* of the streams it accepts, by (sid / 2 - 1) */
    uint8_t head[16];
    size_t head_len;
    struct go_stream *cur;
    uint32_t cur_left;
    uint8_t *out; /* what it has written to the connection: out_len bytes of out_cap */
    size_t out_len, out_cap;
    mtime_ms nop_at;
};

/* The byte at a place of a stream's direction; from_go tells which. */
uint8_t go_byte(bool from_go, uint32_t sid, uint64_t at);

void go_init(struct go_peer *g, enum go_gen gen, bool is_client, mtime_ms now);
void go_fini(struct go_peer *g);

/* Opens the next stream for a user that has just connected. */
void go_open(struct go_peer *g, const struct go_user *user, mtime_ms now);

/* Reads from the connection: how many of n bytes it took; all, unless its bucket is empty. */
size_t go_feed(struct go_peer *g, const uint8_t *p, size_t n, mtime_ms now);

/* The relays and the keepalive get a turn. True if anything moved. */
bool go_run(struct go_peer *g, mtime_ms now);

/* Streams in its table. */
size_t go_open_streams(const struct go_peer *g);

struct go_stream *go_find(struct go_peer *g, uint32_t sid);
