/* SPDX-License-Identifier: MIT */
/*
 * The file `known` beside the certificates: proto/known_file.h on the disk. It is always a whole one:
 * what is written has another name until it is on the disk. Several servers may share the folder;
 * then it is of whoever wrote last. Both functions may block on the disk, and know no server: any
 * thread may call them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "proto/known_file.h"

#define KNOWN_STORE_NAME "known"

/*
 * Fills k from the file in the folder dirfd, called dir in sentences, at now, which is wall seconds
 * since 1970. 0: also if there is none. Otherwise k is as it was, and why says what is wrong with
 * the file: ERR_PERM (others could have written or read it: base/trust.h), ERR_INVAL (damaged, of
 * another version or of the future), ERR_NOMEM, or what err_from_errno() makes of a failed call.
 */
int known_store_read(int dirfd, const char *dir, struct known *k, mtime_ms now, uint64_t wall,
                     struct errmsg *why) MUST_USE;

/* Puts a file of these n bytes, for the owner alone, in the place of the one that is there. 0;
   ERR_AGAIN: another process is doing the same; or as above, with a sentence, and the old file is
   there as before. */
int known_store_write(int dirfd, const char *dir, const uint8_t *bytes, size_t n,
                      struct errmsg *why) MUST_USE;
