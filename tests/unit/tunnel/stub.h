/* SPDX-License-Identifier: MIT */
/*
 * net/transport without a network: a test decides what comes and sees what goes. Linked before the
 * library, so that tunnel/ uses it. Everything happens on the loop of the test's thread; the file
 * descriptor is never looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/sock.h"
#include "net/transport.h"

#ifndef STUB_BUF
#define STUB_BUF (1 << 20) /* bytes each way */
#endif

struct transport {
    struct loop *loop;
    const struct transport_events *ev;
    void *ctx;
    bool is_server, is_v2; /* what ALPN agreed on */
    bool closed, released, trusted;
    bool wants_read;     /* in the next turn */
    unsigned read_later; /* calls of transport_read_later() */
    bool no_export;      /* the exporter fails */
    bool full;           /* transport_write() takes nothing */
    bool route_changed;
    struct address named; /* by transport_set_peer(), and as text */
    char name[SOCK_NAME_MAX];
    struct transport_queue queue; /* what transport_queue() tells */
    size_t record_max;
    size_t longest, longest_record_max; /* the longest write, and record_max then */
    int error; /* what transport_read() tells behind the bytes; 0: nothing */
    size_t in_at, in_len, out_len;
    uint8_t in[STUB_BUF], out[STUB_BUF];
    struct transport *next; /* of all that were made, the newest first */
};

/* The newest transport; frees all of them. */
struct transport *stub_newest(void);
void stub_free_all(void);

/* TLS stands. */
void stub_ready(struct transport *t, bool is_v2);

/* Bytes have come: they can be read, and the owner is told. */
void stub_feed(struct transport *t, const void *p, size_t n);

/* The connection has failed. */
void stub_fail(struct transport *t, int err);

/* What a has written is fed to b, and the reverse, until nothing moves and no job waits. */
void stub_join(struct transport *a, struct transport *b);

/* Runs the loop once, without waiting: jobs, and timers that are due. */
void stub_turn(struct loop *loop);
