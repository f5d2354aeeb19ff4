/* SPDX-License-Identifier: MIT */
/*
 * One session with services as it is on the wire: two real muxes of gotunnel/2 (server and client), joined by
 * a link that can be cut at any byte, in virtual time. It carries the lines of the control stream for its
 * owner, and visitors: streams that the server opens by OPEN, with bytes both ways that are known. It aborts
 * when
 *   - a byte of a stream or its end is wrong, lost or doubled, whatever was cut;
 *   - a stream comes to a service of another name than it was opened for;
 *   - a stream is refused (RST 8) whose service is there, or one is not whose service is not;
 *   - a frame is one that ends the session, or something is left at the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mtime.h"
#include "base/rng.h"

struct carry_ops {
    /* Bytes of lines have arrived at that end; how many of them were read. The rest comes again. */
    size_t (*on_control)(void *ctx, bool at_server, const uint8_t *p, size_t n);
    /* At the client: the name of the service that has this number; NULL: none has. */
    const char *(*name_of)(void *ctx, uint32_t svc);
    /* At the server: a stream of this service is over. Nothing of the carry is to be called from here. */
    void (*on_over)(void *ctx, void *service);
};

/* What happened. */
struct carry_seen {
    uint64_t bytes, cuts, resumes, lost_answers, streams, unknown, resets, readies;
};

struct carry;

/* ops and rng must outlive it; what happened is added to *seen. */
struct carry *carry_new(const struct carry_ops *ops, void *ctx, struct rng *rng, mtime_ms now,
                        struct carry_seen *seen);

/* The session is lost: nothing more is said of its streams. NULL is fine. */
void carry_free(struct carry *c);

/* Bytes of a line, from the server or from the client. */
void carry_say(struct carry *c, bool from_server, const void *p, size_t n);

/* A visitor of a service, with its number and name. NULL service: a number that was never one. */
void carry_visit(struct carry *c, void *service, uint32_t svc, const char *name);

/* All streams of a service are reset with RST 7 (on_over is said for each); how many. */
unsigned carry_reset_all(struct carry *c, const void *service);

/* One thing happens, by chance. */
void carry_step(struct carry *c, mtime_ms now);

/* One byte arrives, from whoever has some; visitors and lines get on. False: there was nothing to carry, and
   all visitors wait for something. */
bool carry_byte(struct carry *c, mtime_ms now);

/* All on its way is lost, both ends are told; then there is a new connection. */
void carry_cut(struct carry *c, mtime_ms now);

/* Everything moves that can at this time, over a link that works, without choices; visitors come to their end.
   False: nothing had to. */
bool carry_settle(struct carry *c, mtime_ms now);

/* No visitor is there, and no line on its way. */
bool carry_is_over(const struct carry *c);
