/* SPDX-License-Identifier: MIT */
/* The file system's facts for base/trust.h, and the sentences for a person. May block on the disk. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/trust.h"

/* Whom this process trusts: its effective user, and SUDO_UID of the environment if it is root. */
struct trust_who trust_who_now(void);

/*
 * Judges path, which is a `last`, and everything from the root to it, through links; as far as it
 * exists. To be asked before the file is opened: what was judged good cannot be changed by others
 * afterwards.
 *
 * 0: use it; if why->text is not empty it is a warning to be logged. ERR_PERM: do not; why names the
 * entry and what to do. Another error: why there is no working directory. What cannot be looked at
 * is left to whoever opens it.
 */
int trust_path(const char *path, enum trust_place last, bool is_lenient,
               struct errmsg *why) MUST_USE;

/* The same for the open file fd alone; path is for the sentence. */
int trust_file(int fd, const char *path, enum trust_place place, bool is_lenient,
               struct errmsg *why) MUST_USE;
