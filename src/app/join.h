/* SPDX-License-Identifier: MIT */
/* Where a join string comes from, and what it means for the other options of a client. */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"

#define JOIN_VARIABLE "GOTUNNEL_JOIN"

/*
 * Reads the join string of -join ("-": standard input), of the file o->join_file (as a secret's file,
 * app/secret_text.h), or else, where neither they nor a secret is given, of the environment. If there is one,
 * o->join is what it says, o->server where the server is, unless -server says it, which then points into o;
 * and the legacy wire is out of question. The variable is taken out of the environment and overwritten in any case; so is
 * the text in o.
 *
 * 0: why->text is empty, or a warning to be logged. Else a negative error with a sentence: it is no join string, or
 * something is given besides that cannot be: a secret, a CA, the legacy wire.
 */
int join_find(struct client_options *o, struct errmsg *why) MUST_USE;

/* Warns of a join string that was in the command line. */
void join_warn(const struct client_options *o);
