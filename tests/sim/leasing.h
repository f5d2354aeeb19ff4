/* SPDX-License-Identifier: MIT */
/*
 * Clients and their server, each with its table of services (proto/session/wishes, leases), joined
 * by two pipes of bytes that delay: one model for the random test and the fuzz target. A cut that
 * is resumed only delays, as control lines are numbered bytes; a session that is lost begins both
 * tables anew. Users of the file, the registry, listeners and visitors do what they like, in any
 * order, then nothing more: and the model aborts when
 *   - a line comes that may not come, or a table asserts;
 *   - two leases have one port, one listens without it, or what is over still has something;
 *   - a visitor comes by a number that the client does not know;
 *   - at rest both tables are not equal, or are not what the user wants as far as it can be had.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "sim/carry.h"

/* What happened: the test wants to know that each has. */
struct leasing_seen {
    unsigned opened, refused, again, taken, closed, replaced, undone, broke_first, removed, cut;
    unsigned lost, late, failed, limit, visitors, changed, waited, slowed;
};

/* Runs so many events chosen by rng, then comes to rest. carried: not pipes, but the muxes and the link of
   carry.h are between the tables, and visitors are streams; NULL: pipes. */
struct leasing_seen leasing_run(struct rng *rng, unsigned events, struct carry_seen *carried);

/* Opens, a refusal, a change and a close, then reloads of all kinds, one byte after the other; after so many bytes the session is
   lost, and everything comes to rest in the next one. False: it was over before. */
bool leasing_cut(struct rng *rng, size_t at);

/* The same exchange carried by muxes, with visitors in each step; after so many bytes the connection is cut and
   another one resumes, and again after `again` more. False: it was over before. */
bool leasing_carried_cut(struct rng *rng, size_t at, size_t again, struct carry_seen *carried);
