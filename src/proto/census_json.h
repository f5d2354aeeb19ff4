/* SPDX-License-Identifier: MIT */
/*
 * A census as JSON, a line for the process and a line for each client, as docs/status.md has it; and back. Pure.
 * Members may be added later, none goes and none changes its meaning.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "proto/census.h"

enum { CENSUS_JSON_VERSION = 1 };

/* An object without line feed, NUL-terminated, the caller's; *ret_n is its length. NULL without memory. */
char *census_process_json(const struct census *c, size_t *ret_n);
char *census_client_json(const struct census_client *k, size_t *ret_n);

/* What such a line of n bytes says: of the process into c, of a client as a further one of p. What it lacks is as
   in a new one; members that are not known are passed over. 0; ERR_PROTO: it is no such line; ERR_NOMEM. */
int census_process_read(struct census *c, const char *line, size_t n) MUST_USE;
int census_client_read(struct census_part *p, const char *line, size_t n,
                       struct census_client **ret) MUST_USE;
