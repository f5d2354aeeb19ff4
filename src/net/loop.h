/* SPDX-License-Identifier: MIT */
/*
 * The event loop: libuv plus "end of turn" jobs.
 *
 * A turn is one round of libuv: timers, then sockets. What many events of one turn would do many
 * times (flush a tunnel, free closed objects) is deferred with loop_defer() and runs once when the
 * sockets of the turn have been served. A job that defers itself again, or another one, while jobs
 * run is served in the next turn; the loop does not sleep in between, and sockets get their chance
 * first.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/mtime.h"
#include "net/poller.h"

struct loop {
    uv_loop_t uv;
    /* private */
    uv_check_t check;
    uv_idle_t idle;
    struct list jobs, slow;
    struct poller poller;
};

/* Embed in the object that defers; initialise with loop_job_init(). */
struct loop_job {
    struct list node;
    void (*run)(struct loop_job *job);
};

/* 0 or ERR_NOMEM / ERR_LIMIT (descriptors) / ERR_IO. */
int loop_init(struct loop *l) MUST_USE;

/* Runs what is left of close callbacks and jobs, closes the loop's own handles, frees it. All other
   handles must be closed or closing: it would wait for them. */
void loop_fini(struct loop *l);

/* Runs until nothing is active and no job waits, or until loop_stop() is called. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);

/* Monotonic time of this turn. */
mtime_ms loop_now(const struct loop *l);

/* The turn has taken a while, maybe: looks at the clock again. */
void loop_update(struct loop *l);

void loop_job_init(struct loop_job *job, void (*run)(struct loop_job *job));

/* Runs job at the end of this turn, or of the next one if called from a job. Idempotent. */
void loop_defer(struct loop *l, struct loop_job *job);

/* The same for work that others on this loop would have to wait for: of all that is deferred so one
   job runs a turn, in the order of deferring. */
void loop_defer_slow(struct loop *l, struct loop_job *job);

/* Takes back a deferral; harmless if there is none. Call before freeing the job's owner. */
void loop_cancel(struct loop_job *job);
