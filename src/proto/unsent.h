/* SPDX-License-Identifier: MIT */
/*
 * How much the kernel may take for a user before it has sent some of it. A user who reads nothing
 * leaves there what he is given, and nobody accounts it: of thousands it is more than the kernel
 * has for all connections of the machine. So each begins with little, and gets twice as much
 * whenever he has taken what was there, as far as a budget of all goes. What is on its way to him
 * does not count: over a long path nobody is held back. Pure.
 */
#pragma once

#include <stdint.h>

enum {
    /* What everybody has: as much as a first flight (ten segments), so that it is there when the
       first acknowledgement comes. 5,000 who read nothing hold 80 MB so. */
    UNSENT_FIRST = 16 << 10,
    /* And at most: what a fast reader takes while the loop is busy elsewhere for some
       milliseconds. */
    UNSENT_MOST = 256 << 10,
};

/* What all users of a loop have beyond UNSENT_FIRST each. Zeroed, with max set: nobody has any. */
struct unsent {
    uint64_t used, max; /* bytes */
};

/* The user, who has `own` bytes (UNSENT_FIRST to UNSENT_MOST), has taken what was there. Twice as
   much if the budget goes so far, and counted there; else as before. One user gets at most half of
   what is left, so that the next one finds some. */
uint32_t unsent_more(struct unsent *u, uint32_t own);

/* The user, who had `own` bytes, has gone. */
void unsent_gone(struct unsent *u, uint32_t own);
