/* SPDX-License-Identifier: MIT */
/*
 * Where connections wait that have not said yet that they speak TLS: until a whole plausible
 * ClientHello (proto/client_hello.h) lies in the socket. Nothing is read: the bytes are looked at
 * and stay for the TLS library. Until then a connection costs a descriptor and one small struct.
 *
 *   enter --whole hello, may_pass--> its turn --> on_pass
 *         --anything else, the peer leaves, time, others need the place--> on_end, closed
 *
 * Whose turn it is, and when, is proto/handshakes' decision: a handshake is dear, and there are so
 * many a second. Who has to wait for it keeps its place; its time runs on.
 *
 * At most `max` wait, a quarter of them of one source; who has to go for a newcomer is
 * proto/admission's decision. Where the owner says who is known, a quarter of the places are for
 * those sources alone, and no stranger takes one.
 *
 * A connection is looked at when it comes, and then when as many bytes are there as a verdict takes
 * (SO_RCVLOWAT), so whoever sends byte by byte costs no more than others. Loop thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/mtime.h"
#include "net/loop.h"
#include "proto/admission.h"

enum {
    GATE_MAX = ADMISSION_MAX,
    /* The least that a `max` is taken for: whoever sends a hello in two segments must find a place
       for the moment between them. */
    GATE_MIN = 4,
    /* What a waiting connection costs at most, besides what the kernel has for it. */
    GATE_WAITER_BYTES = 512,
};

struct gate;

enum gate_end {
    GATE_NOT_TLS, /* its bytes are no ClientHello */
    GATE_LATE,    /* its hello took longer than patience_ms */
    GATE_CROWDED, /* its place went to another, its turn did not come, or there was no memory */
    GATE_LEFT,    /* the peer has closed, or the connection failed; also behind a whole hello */
    GATE_REFUSED, /* may_pass() said so: it took no turn */
};

/* Handlers may call any function here but gate_close(). peer lives as long as the call. */
struct gate_events {
    /* A whole ClientHello lies in fd, unread. fd belongs to the callee; it was accepted waited_ms
       ago. Also from inside gate_enter(). */
    void (*on_pass)(void *ctx, int fd, const struct sockaddr *peer, mtime_ms waited_ms);
    /* A connection is closed. */
    void (*on_end)(void *ctx, enum gate_end why, const struct sockaddr *peer);
    /* Whether somebody has authenticated from there. May be NULL: nobody has. */
    bool (*is_known)(void *ctx, const struct sockaddr *peer);
    /* Whether a connection from there, which was not known when it came, may wait for its turn: asked
       once, when its hello is whole. May be NULL: all may. */
    bool (*may_pass)(void *ctx, const struct sockaddr *peer);
    /* From when on there is room for one more of a source that is known, as things are; at most now: it
       is there. Who has none waits on. May be NULL: there always is. */
    mtime_ms (*room_at)(void *ctx, const char *source);
};

struct gate_config {
    unsigned max;         /* connections that wait at once: GATE_MIN..GATE_MAX, or the nearest */
    mtime_ms patience_ms; /* for the whole hello and its turn, from accepting on; > 0 */
    uint32_t rate;        /* of passing, a second; and of a source that is not known; >= 1 */
    uint32_t source_rate;
};

/* 0, or ERR_NOMEM. */
int gate_open(struct loop *loop, const struct gate_config *cfg, const struct gate_events *ev,
              void *ctx, struct gate **ret) MUST_USE;

/* Takes over fd, which was accepted just now from peer. Never fails: see the events. */
void gate_enter(struct gate *g, int fd, const struct sockaddr *peer);

/* Other limits, of cfg but for its patience: for who comes from now on. */
void gate_limit(struct gate *g, const struct gate_config *cfg);

/* room_at() may say less than before: it is asked again at the end of this turn. */
void gate_look_again(struct gate *g);

/* How many wait. */
unsigned gate_waiting(const struct gate *g);

/* Closes what waits, silently. Memory goes in libuv's close callback. NULL is fine. */
void gate_close(struct gate *g);
