/* SPDX-License-Identifier: MIT */
/*
 * Configuration files (conf/yaml_walk.h) as options. A key is the name of a row of the one table, its
 * value what the flag takes, and it fails with the same words. At the client `tunnels` is a list of what is
 * forwarded, whose entries have the keys name, port and target.
 *
 * What the command line has said (common_options.given) stays. All that is wrong is found at once. No
 * I/O: what needs more than the text to be judged is asked of the caller's checks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/config_errors.h"
#include "conf/options.h"
#include "conf/yaml_walk.h"

/* One more condition for the value of the option name: 0, or an error with a sentence. */
struct config_check {
    const char *name;
    int (*check)(const char *text, struct errmsg *why);
};

struct config;

/* For m. folder stands before paths that do not begin with a slash, and ends with one, or is "".
   checks has count rows. Both stay the caller's and are needed until config_free(). NULL: no memory. */
struct config *config_new(const struct mode *m, const char *folder,
                          const struct config_check *checks, size_t count) MUST_USE;

/*
 * Reads the file, n bytes, into the options struct at opt, which the command line has filled. Once. Strings
 * of opt then point into c. 0; ERR_INVAL: config_error() says why, and opt is good for nothing;
 * ERR_NOMEM.
 */
int config_read(struct config *c, const char *bytes, size_t n, void *opt) MUST_USE;

/* What is wrong, in the order of the file: number i, or NULL behind the last. *ret_more: not all have
   found a place. */
const struct config_error *config_error(const struct config *c, size_t i, bool *ret_more);

/* The key `secret` is there, and where. */
bool config_has_secret(const struct config *c, struct yaml_place *ret);

/* The name of the tunnel where the list has one entry; else "". Valid until config_free(). */
const char *config_tunnel(const struct config *c);

/* Wipes the texts. NULL is fine. */
void config_free(struct config *c);

/* Whose file is it? The first key that only one of the programs has says so; without one the
   server. */
const struct mode *config_mode(const char *bytes, size_t n);
