/* SPDX-License-Identifier: MIT */
/*
 * A visit: one connection of a user, for whoever keeps a record of who used what (-log-visitors). It
 * exists only where that is wanted, is its relay's, and becomes a line when the relay ends, also without
 * its session. Lines are bounded (VISIT_LINES_...), for each loop; what is left out is counted.
 */
#pragma once

#include <stdint.h>

#include "base/bucket.h"
#include "base/mtime.h"

enum {
    VISIT_LINES_PER_S = 100,
    VISIT_LINES_BURST = 1000,
    VISIT_NAME_MAX = 160, /* of client and user, with a NUL */
    VISIT_TUNNEL_MAX = 72,
};

/* How one ended: the first reason counts. */
enum visit_end {
    VISIT_OPEN,           /* it has not */
    VISIT_CLOSED,         /* both directions came to their end */
    VISIT_USER_RESET,     /* the user's connection failed */
    VISIT_CLIENT_RESET,   /* the other side's did, or that side gave it up */
    VISIT_TARGET_REFUSED, /* the client could not reach its target */
    VISIT_TARGET_SILENT,
    VISIT_BUSY,         /* the client had no room */
    VISIT_HALF_CLOSED,  /* one direction had ended, and nothing moved */
    VISIT_STALLED,      /* what waited for the user was too much */
    VISIT_SHUTDOWN,     /* an end stopped, and the time to finish was over */
    VISIT_SESSION_OVER, /* the client's session ended */
    VISIT_ENDS,
};

struct user_visit {
    mtime_ms since;
    uint64_t source;         /* relay_set_source() */
    uint64_t received, sent; /* bytes from the user, and written to him */
    enum visit_end end;
    char client[VISIT_NAME_MAX], user[VISIT_NAME_MAX]; /* "address id"; address */
    char tunnel[VISIT_TUNNEL_MAX];
};

/* What bounds the lines of a loop. All zero is a fresh one. */
struct visit_lines {
    /* private */
    struct bucket bucket;
    unsigned left_out;
};

/* One that begins now: texts are copied, and cut. NULL without memory: then it has no line. */
struct user_visit *visit_new(const char *client, const char *tunnel, const char *user,
                             mtime_ms now);

/* It is over: its line, if there is room for one, and it is freed. NULL: nothing. */
void visit_over(struct user_visit *v, struct visit_lines *lines, mtime_ms now);

/* The word of the log: "closed". Static. */
const char *visit_end_word(enum visit_end end);
