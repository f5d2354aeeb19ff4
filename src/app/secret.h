/* SPDX-License-Identifier: MIT */
/* Where the secret comes from besides the command line. */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"

#define SECRET_VARIABLE "GOTUNNEL_SECRET"

/*
 * Fills o->secret, unless the command line or the configuration file did, from the file o->secret_file, or else from the
 * environment; "" if there is neither, or o->has_own_key. The variable is taken out of the environment and overwritten
 * in any case. A file must not be open to others, nor be one that they can replace
 * (base/trust.h), and holds the secret and at most one line end behind it. 0: why->text is empty, or
 * a warning to be logged. Else a negative error with a sentence: unreadable, open to others, empty,
 * too long, with a byte order mark, or a secret with a line feed in it, which no peer could ever send.
 */
int secret_find(struct common_options *o, struct errmsg *why) MUST_USE;

/* Warns of a secret that was in the command line. */
void secret_warn(const struct common_options *o);
