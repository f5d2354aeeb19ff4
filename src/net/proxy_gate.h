/* SPDX-License-Identifier: MIT */
/*
 * Where connections of balancers wait until a whole PROXY header (proto/proxy_header.h) lies in the
 * socket. The header is taken out, to the byte, and what is behind it stays for net/gate.
 *
 *   enter --whole header--> on_pass, with the source that it names
 *         --anything else, the balancer leaves, time, others need the place--> on_end, closed
 *
 * Balancers send it with their first segment, so hardly anything ever waits. At most `max` do; who
 * has to go for a newcomer is proto/admission's decision: the balancer with the most loses its
 * oldest. Loop thread only.
 */
#pragma once

#include <sys/socket.h>

#include "base/attr.h"
#include "base/mtime.h"
#include "net/loop.h"
#include "proto/admission.h"

enum {
    PROXY_GATE_MAX = ADMISSION_MAX,
    PROXY_GATE_MIN = 4, /* the least that a `max` is taken for */
};

struct proxy_gate;

enum proxy_gate_end {
    PROXY_GATE_NOT,     /* its bytes are no header */
    PROXY_GATE_BROKEN,  /* they begin as one does, and are none */
    PROXY_GATE_LATE,    /* the header took longer than patience_ms */
    PROXY_GATE_CROWDED, /* its place went to another, or there was no memory for it */
    PROXY_GATE_LEFT,    /* the balancer has closed, or the connection failed */
};

/* Handlers may call any function here but proxy_gate_close(). Addresses live as long as the call. */
struct proxy_gate_events {
    /* fd belongs to the callee and begins behind the header. peer is whose connection it is: the
       balancer itself where the header names nobody. Also from inside proxy_gate_enter(). */
    void (*on_pass)(void *ctx, int fd, const struct sockaddr *peer);
    /* A connection of this balancer is closed. */
    void (*on_end)(void *ctx, enum proxy_gate_end why, const struct sockaddr *balancer);
};

struct proxy_gate_config {
    unsigned max;         /* that wait at once: PROXY_GATE_MIN..PROXY_GATE_MAX, or the nearest */
    mtime_ms patience_ms; /* for the whole header, from accepting on; > 0 */
};

/* 0, or ERR_NOMEM. */
int proxy_gate_open(struct loop *loop, const struct proxy_gate_config *cfg,
                    const struct proxy_gate_events *ev, void *ctx,
                    struct proxy_gate **ret) MUST_USE;

/* Takes over fd, which was accepted just now from balancer. Never fails: see the events. */
void proxy_gate_enter(struct proxy_gate *g, int fd, const struct sockaddr *balancer);

/* How many wait. */
unsigned proxy_gate_waiting(const struct proxy_gate *g);

/* Closes what waits, silently. Memory goes in libuv's close callback. NULL is fine. */
void proxy_gate_close(struct proxy_gate *g);
