/* SPDX-License-Identifier: MIT */
/*
 * The file system's facts for base/trust.h, and the sentences for a person. May block on the disk. One thread
 * at a time. That a group is private is remembered: a member that comes later counts at the next start.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/trust.h"

/* Whom this process trusts: its effective user, whom it is to become, and SUDO_UID of the
   environment if it is root. */
struct trust_who trust_who_now(void);

/*
 * Whom root gives itself up for: the owner of state, the folder that the program works in, if only
 * root can have put it where it is, or if it is the one who ran sudo. Nobody, that is root, if
 * somebody else could have: that would be whom an intruder wants us to become. The one answer for
 * who is trusted and for who the cage makes of us. Ourselves if we are not root or there is no such
 * folder. *ret_gid: the folder's group, or ours if it is ourselves. Looks at the disk.
 */
uid_t trust_owner(const char *state, gid_t *ret_gid);

/* trust_owner() of state is whom we are to become, and is trusted from now on as we are. Harmless if
   we are not root. Start-up, one thread. */
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
