/* SPDX-License-Identifier: MIT */
/* Moments as people write them: RFC 3339, in UTC, whole seconds: "2027-01-31T00:00:00Z". */
#pragma once

#include <stdint.h>

#include "base/attr.h"

enum { UTC_BUF = sizeof "9999-12-31T23:59:59Z" };

/* Years. */
enum { UTC_FIRST = 1970, UTC_LAST = 9999 };

/* Reads such a moment, nothing before or behind it. 0; ERR_INVAL: it is not of this form; ERR_RANGE:
   there is no such day or time (a second 60 neither), or a year before UTC_FIRST. *ret: seconds since
   1970, set on success only. */
int utc_parse(const char *text, int64_t *ret) MUST_USE;

/* The text of a moment, which is one that utc_parse() can give. Returns out. */
const char *utc_text(char out[UTC_BUF], int64_t at);

/* The same of what somebody else has said; "-": that is no such moment. */
const char *utc_shown(char out[UTC_BUF], int64_t at);
