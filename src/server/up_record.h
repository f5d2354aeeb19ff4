/* SPDX-License-Identifier: MIT */
/*
 * What the last `gotunnel up` was told, as a configuration file of the server beside its certificates: up.yaml. With it
 * `gotunnel service install` makes the same server. A shared secret that was given as text is not in it.
 */
#pragma once

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"

#define UP_RECORD "up.yaml"
/* Stands in it alone where a file cannot say the same; what to do is behind it. */
#define UP_RECORD_SECRET "# with a shared secret"
#define UP_RECORD_CONFIG "# with -config "

enum { UP_RECORD_MAX = 16384 }; /* bytes */

struct up_record {
    char flags[UP_RECORD_MAX]; /* lines */
};

/* Keeps what the command line says, before it is parsed: a secret in it is gone then. 0, or ERR_LIMIT. */
int up_record_begin(struct up_record *r, const struct mode *m, int argc, char **argv) MUST_USE;

/* Writes it into the folder state, whose certificates are in `certs`, in the place of an earlier one. 0, or an error
   with a sentence. */
int up_record_write(const struct up_record *r, const char *state, const char *certs,
                    const struct server_options *o, struct errmsg *why) MUST_USE;
