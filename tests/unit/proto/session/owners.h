/* SPDX-License-Identifier: MIT */
/*
 * A registry among clients and workers that do what they like, in any order: one model for the
 * random test and the fuzz target. It keeps its own account of who has what, and aborts when the
 * registry
 *   - lets two sessions serve one id, or two claims have one port;
 *   - gives a claim no answer, or two; or leaves one waiting when nobody has anything left to say;
 *   - ends a session for one that may not replace it, or whose port is not sure;
 *   - refuses one that has ended or overtaken another, or gives away the port it was promised;
 *   - names a claim that is gone.
 */
#pragma once

#include <stdint.h>

#include "base/rng.h"

/* What happened: the test wants to know that each has. */
struct owners_seen {
    unsigned accepted, taken, overtaken, no_port, evicted, yields, settled;
};

/* Runs so many events chosen by rng, then has everybody answer, and all go. */
struct owners_seen owners_run(struct rng *rng, unsigned events);
