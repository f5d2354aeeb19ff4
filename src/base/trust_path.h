/* SPDX-License-Identifier: MIT */
/* The file system's facts for base/trust.h, and the sentences for a person. May block on the disk. */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/trust.h"

/* Whom this process trusts: its effective user, whom it is to become, and SUDO_UID of the
   environment if it is root. */
struct trust_who trust_who_now(void);

/*
 * state is the folder that root gives itself up for: its owner is whom we are to become, and is
 * trusted from now on as we are. Not if somebody else than root could have put the folder where it
 * is: that would be whom an intruder wants us to become. Harmless if we are not root, or there is
 * no such folder. Start-up, one thread.
 */
void trust_become_owner(const char *state);

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
