/* SPDX-License-Identifier: MIT */
/*
 * Where a running program is asked for its census (proto/census.h). What is asked for within CENSUS_SHARED_MS has
 * one answer, so however many ask, the program is counted ten times a second at the most.
 *
 *   census_ask() --> gather() --> parts --> census_desk_done() --> done() of all who have asked
 *
 * A thread that does not answer within CENSUS_PATIENCE_MS is in it as silent. Loop thread of the program.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "net/loop.h"
#include "proto/census.h"

enum {
    CENSUS_SHARED_MS = 100,
    CENSUS_PATIENCE_MS = 2000, /* a loop that stands still for so long serves nobody */
};

/* Somebody who asks: embed it. */
struct census_ask {
    /* Once, from the loop, never from inside census_ask(). c lives as long as the call: census_ref() keeps it.
       NULL: there is none, for lack of memory, or as the program ends. */
    void (*done)(struct census_ask *a, struct census *c);
    /* private */
    struct list node;
};

struct census_ops {
    /* Fills c->process, and has each thread make its part: census_add() each, then census_desk_done(), also from
       inside. */
    void (*gather)(void *ctx, struct census *c);
    /* Time is over: what has not come yet is added as silent, then census_desk_done(). What comes later is not
       for this census. NULL: gather() does all. */
    void (*give_up)(void *ctx, struct census *c);
};

struct census_desk {
    /* private */
    const struct census_ops *ops;
    void *ctx;
    struct loop *loop;
    struct census *census; /* the last one, or the one that is made */
    bool is_gathering, is_closed;
    mtime_ms made_at;
    struct list asking;
    struct loop_job begin, answer;
    uv_timer_t patience;
};

/* ops outlive d. */
void census_desk_init(struct census_desk *d, struct loop *loop, const struct census_ops *ops,
                      void *ctx);

void census_ask(struct census_desk *d, struct census_ask *a);

/* The census that gather() was given is whole. */
void census_desk_done(struct census_desk *d);

/* Whoever still asks hears that there is none. Its handle is closing. Idempotent. */
void census_desk_close(struct census_desk *d);
