/* SPDX-License-Identifier: MIT */
/* A set of TCP ports, written as "8000-8999,80,0". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { PORTS_MAX_RANGES = 64 };

struct ports {
    struct ports_range {
        uint16_t first, last;
    } ranges[PORTS_MAX_RANGES]; /* ascending, neither overlapping nor touching */
    unsigned count;
};

/*
 * Reads ports and ranges, first to last, separated by commas, in any order; decimal, no blanks.
 * 0, ERR_INVAL (not such a list, or empty), ERR_RANGE (a port above 65535, or a range that ends
 * before it begins) or ERR_LIMIT (more than PORTS_MAX_RANGES parts). *ret is written on success
 * only.
 */
int ports_parse(const char *text, struct ports *ret) MUST_USE;

/* Adds those of more. 0, or ERR_LIMIT: together they have too many parts, and p is as before. */
int ports_add(struct ports *p, const struct ports *more) MUST_USE;

/* The set as ports_parse() reads it, into at most room bytes of out. Like snprintf. */
size_t ports_text(char *out, size_t room, const struct ports *p);

enum { PORTS_BUF = PORTS_MAX_RANGES * sizeof "65535-65535" }; /* the longest one, with its NUL */

/* True when port is in the set. */
bool ports_contain(const struct ports *p, int64_t port);
