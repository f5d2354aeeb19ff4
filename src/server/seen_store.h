/* SPDX-License-Identifier: MIT */
/*
 * The file `last-seen` beside the certificates: proto/last_seen.h on the disk, always a whole one. Several servers
 * may share the folder; then it is of whoever wrote last. May block; any thread.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "proto/last_seen.h"

#define SEEN_STORE_NAME "last-seen"

/* Adds what the file in the folder dirfd, called dir in sentences, says. 0: also if there is none. Otherwise t is as
   it was, and why has a sentence: ERR_PERM (others could have written it), ERR_INVAL, ERR_NOMEM, or what
   err_from_errno() makes of a failed call. */
int seen_store_read(int dirfd, const char *dir, struct last_seen *t, struct errmsg *why) MUST_USE;

/* Puts n bytes, for the owner alone, in the place of the file. 0; ERR_AGAIN: another process is doing the same; or
   as above, and the old one is there as before. */
int seen_store_write(int dirfd, const char *dir, const char *bytes, size_t n,
                     struct errmsg *why) MUST_USE;
