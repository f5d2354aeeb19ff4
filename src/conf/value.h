/* SPDX-License-Identifier: MIT */
/* Values of options, as people write them on a command line or in a file. */
#pragma once

#include "base/attr.h"
#include "conf/options.h"

/* Sets the field of the row o in the options struct at opt from text, which a string then points into.
   0, or ERR_INVAL, ERR_RANGE, ERR_LIMIT (a long secret): the field is as before. */
int value_set(const struct option *o, const char *text, void *opt) MUST_USE;

/* Which words: English, as Go's flag package has them, or the user's language. */
enum value_words { VALUE_AS_GO, VALUE_TRANSLATED };

enum { VALUE_REASON_MAX = 256 };

/* Why value_set() has refused with err: "must be ...", without the value. */
void value_reason(char ret[VALUE_REASON_MAX], const struct option *o, int err,
                  enum value_words words);
