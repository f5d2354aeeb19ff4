/* SPDX-License-Identifier: MIT */
/* What a program says of itself at its control socket, and how `gotunnel status` shows it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/err.h"
#include "proto/census.h"

/* One answer. */
struct status_view {
    struct census *c;            /* of the process */
    struct census_part *clients; /* of all threads, in their order */
    uint64_t at_ns;              /* when it came */
};

/* Asks the program behind fd. 0; ERR_IO, ERR_LIMIT, ERR_NOMEM, ERR_PROTO: with a sentence; what is there is the caller's in
   any case. raw: the answer goes there, too, as one JSON document; NULL: nowhere. */
int status_view_read(struct status_view *v, int fd, FILE *raw, struct errmsg *why) MUST_USE;

void status_view_fini(struct status_view *v);

/* Whether all is up: the program is whole and takes what comes; of a client also its session and each tunnel. */
bool status_view_is_up(const struct status_view *v);

/* All of it as text. before: an earlier answer, for rates; NULL: without. False: memory did not suffice for all. */
bool status_view_print(const struct status_view *v, const struct status_view *before, FILE *out);
