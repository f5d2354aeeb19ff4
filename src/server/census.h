/* SPDX-License-Identifier: MIT */
/* The server's census (app/census_desk.h), and what is counted for it alone. Private to server/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "app/census_desk.h"
#include "net/mailbox.h"
#include "proto/census.h"
#include "proto/strangers.h"

struct server;
struct worker;

struct worker_census {
    /* the main thread's */
    bool is_asked, is_counting; /* count is on its way; and its answer is awaited */
    uint64_t posted;            /* uv_hrtime(); the worker's once count is posted */
    /* the worker's */
    uint64_t refused[CENSUS_REFUSALS]; /* visitors who were not served */
    struct census_part *part;          /* with counted; NULL: no memory */

    struct message count;   /* to the worker; answered by counted */
    struct message counted; /* to the main thread */
};

/* The main thread's. */
struct server_census {
    struct census_desk desk;
    struct census *made;               /* the one that is made; NULL: none */
    unsigned awaited;                  /* workers whose part of it is */
    uint64_t failures[STRANGER_KINDS]; /* of tunnel connections that have not authenticated */
    uint64_t reloads, reloads_failed;
    int64_t begun_s; /* seconds since 1970 */
};

/* On srv->loop, before anybody asks; census_desk_close(&srv->census.desk) ends it. */
void census_init(struct server *srv);

/* The messages of w that are about it. */
void census_init_worker(struct worker *w);

/* Of struct ctl_ops: ctx is the server. */
void server_census(void *ctx, struct census_ask *a);
