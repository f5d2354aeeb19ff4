/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel check FILE`: what a program would do with the file, on stdout, and what is wrong with it or
 * with the files it names, on stderr in the form of app/config_file.h. Nothing is written, and no
 * connection made. What both programs have of it; the rest is client/check.h and server/check.h.
 */
#pragma once

#include "app/config_file.h"
#include "base/attr.h"
#include "conf/config.h"
#include "conf/snapshot.h"

struct check {
    const char *file;
    const struct mode *mode;          /* whose file it is */
    char tunnel[TUNNEL_NAME_MAX + 1]; /* "": it has no name */
    unsigned problems;
};

/* Reads the file of the command line. The options, sealed, with one reference, which is the caller's; NULL:
   exit with *ret_status. */
struct snapshot *check_begin(struct check *c, int argc, char **argv, int *ret_status) MUST_USE;

/* A line of what would be done. */
void check_tell(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Something is wrong. */
void check_wrong(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Looks for the secret, and which wire it allows. */
void check_secret(struct check *c, const struct common_options *o);

/* Without a secret, or somebody to be let in without, nothing can begin. */
void check_no_secret(struct check *c);

/* The exit status. */
int check_end(const struct check *c);
