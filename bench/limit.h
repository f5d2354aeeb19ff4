/* SPDX-License-Identifier: MIT */
/*
 * The yardstick of the benchmark: how cheap can the data path of a TLS reverse tunnel be? Two
 * processes, one TLS 1.3 connection, smux v2 frames inside, per-stream windows, one thread on raw
 * epoll. No authentication, no limits, no log, no time-outs, and whatever goes wrong ends it: it is
 * for measuring beside, on the loopback, and not a product.
 *
 * limit.c: set-up and the loop. limit_tunnel.c: TLS and the bytes of the tunnel.
 * limit_stream.c: frames, streams and their local sockets.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LIMIT_HEADER = 8,
    LIMIT_RECORD = 16384,
    LIMIT_FRAME = LIMIT_RECORD - LIMIT_HEADER, /* payload: header and payload fill one record */
    LIMIT_SLOTS = 4,                           /* frames taken from a socket in one system call */
    LIMIT_WINDOW = 1024 << 10,                 /* of each stream */
    LIMIT_UPDATE = LIMIT_WINDOW / 8,           /* consumed bytes that are announced together */
    LIMIT_QUEUE = 64 << 10, /* waiting for the tunnel: then local sockets are not read */
    LIMIT_TURN = 64 << 10,  /* most that one stream may take in a turn */
    LIMIT_INPUT = 128 << 10,
    LIMIT_GATHER = 64, /* pieces of one stream written together */
    LIMIT_BUCKETS = 16384,
};

enum limit_command { LIMIT_SYN, LIMIT_FIN, LIMIT_PSH, LIMIT_NOP, LIMIT_UPD };

/* All that an idle connection costs, besides its socket. */
struct limit_stream {
    int fd;
    uint32_t id;
    uint32_t sent, peer_used, peer_window;
    uint32_t used, used_told;
    uint32_t kept_off, kept_len, kept_room; /* what the local socket would not take yet */
    uint8_t *kept;
    struct limit_stream *next;  /* of the hash chain, then of the graveyard */
    struct limit_stream *ready; /* next in the queue of readable ones */
    uint8_t slots;
    bool readable : 1, writable : 1, hung_up : 1, queued : 1, blocked : 1, connecting : 1;
    bool fin_in : 1, fin_out : 1, shut : 1, dead : 1;
};

/* Bytes from off to len are waiting. */
struct limit_buffer {
    uint8_t *data;
    size_t off, len, room;
};

struct limit {
    bool server;
    int local_port; /* client: the service */
    int poller, tunnel, listener;

    SSL *ssl;
    bool readable, writable, hung_up, drained; /* the tunnel's socket */
    struct limit_buffer frames;                /* plain, not sealed yet */
    struct limit_buffer records;               /* sealed, not sent yet */
    uint8_t *input;                            /* opened, not parsed yet */
    size_t input_len;

    struct limit_stream *current; /* of the frame that is being received */
    uint32_t current_left;
    uint32_t next_id;
    struct limit_stream *buckets[LIMIT_BUCKETS];
    struct limit_stream *ready_head, **ready_tail, *graveyard;
};

_Noreturn void limit_die(const char *what);

/* ---- limit_tunnel.c ---- */

/* Makes TLS of the connected socket l->tunnel. */
void limit_tls(struct limit *l, SSL_CTX *ctx);
/* Room for n more bytes of frames; *limit_frames_end()* moves on by adding to frames.len. */
uint8_t *limit_stage(struct limit *l, size_t n);
/* Seals what is staged and sends what the socket takes. */
void limit_flush(struct limit *l);
/* Bytes that wait for the tunnel, sealed or not. */
size_t limit_backlog(const struct limit *l);
/* Receives, and hands whole pieces to limit_parse(). */
void limit_receive(struct limit *l);

/* ---- limit_stream.c ---- */

void limit_parse(struct limit *l);
/* A user's socket becomes a stream. */
void limit_open(struct limit *l, int fd);
void limit_stream_event(struct limit *l, struct limit_stream *s, uint32_t events);
/* One round over the readable streams, as far as the tunnel's backlog allows. */
void limit_run_ready(struct limit *l);
/* Frees what has ended; no event may name it any more. */
void limit_reap(struct limit *l);
