/* SPDX-License-Identifier: MIT */
/* Texts that are secret, as they lie in files, come by standard input or stand in the environment. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"

/* A text and how long it is; a NUL is behind it. Its owner wipes it. */
struct secret_text {
    size_t n;
    char bytes[OPTION_SECRET_MAX + 1];
};

/*
 * The text in the file at path, or of standard input, which sentences call stdin_name, if path is "-"; at
 * most one line end behind it is no part of it. A file must not be open to others, nor be one that they
 * can replace (base/trust.h). 0: why->text is empty, or a warning to be logged. Else a negative error with
 * a sentence: unreadable, open to others, empty, too long, in another encoding.
 */
int secret_text_read(struct secret_text *ret, const char *path, const char *stdin_name,
                     struct errmsg *why) MUST_USE;

/* The text of the variable, which is taken out of the environment and overwritten in any case; empty
   if it is not there, or not wanted. 0, or a negative error with a sentence. */
int secret_text_environment(struct secret_text *ret, const char *name, bool wanted,
                            struct errmsg *why) MUST_USE;
