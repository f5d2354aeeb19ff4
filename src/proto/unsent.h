/* SPDX-License-Identifier: MIT */
/*
 * How much the kernel may take for a user before it has sent some of it. A user who reads nothing
 * leaves there what he is given, and nobody accounts it: of thousands it is more than the kernel
 * has for all connections of the machine. So each begins with little, and gets twice as much when
 * his socket was full and takes bytes again (the kernel says so when less than half of what he may
 * have is left unsent), as far as a budget of all goes. When much of it is in use, who needs his
 * part no more gives it back. What is on its way to him does not count: over a long path nobody is
 * held back. Pure.
 */
#pragma once

#include <stdbool.h>
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

/* The user, who has `own` bytes (UNSENT_FIRST to UNSENT_MOST), was sent some of them after they were
   all in use. Twice as much if the budget goes so far, and counted there; else as before. One user
   gets at most half of what is left, so that the next one finds some. */
uint32_t unsent_more(struct unsent *u, uint32_t own);

/* Whether more than half of the budget is in use: who does not need what he has should give it
   back. Below that it would only be asked for again. */
static inline bool unsent_is_scarce(const struct unsent *u)
{
    return u->used > u->max / 2;
}

/* The user, who had `own` bytes, has gone, or has UNSENT_FIRST from now on. */
void unsent_gone(struct unsent *u, uint32_t own);
