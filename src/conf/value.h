/* SPDX-License-Identifier: MIT */
/* Values of options, as people write them on a command line or in a file. */
#pragma once

#include "base/attr.h"
#include "conf/options.h"

/* Sets the field of the row o in the options struct at opt from text, which a string then points into.
   0, or ERR_INVAL, ERR_RANGE, ERR_LIMIT (a long secret): the field is as before. */
int value_set(const struct option *o, const char *text, void *opt) MUST_USE;

/* Adds what text says to the field of a row of ports or networks, which has some already. As value_set(),
   and ERR_LIMIT: they would be too many. */
int value_add(const struct option *o, const char *text, void *opt) MUST_USE;

enum { VALUE_REASON_MAX = 256 };

/* Why value_set() has refused text with err, and what to write, in the user's language: "must be ...".
   The value is not in it. */
void value_reason(char ret[VALUE_REASON_MAX], const struct option *o, const char *text, int err);
