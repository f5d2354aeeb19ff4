/* SPDX-License-Identifier: MIT */
/*
 * Configuration files on the disk: whose they are, what is in them (conf/config.h), and the lines about
 * what is wrong, on stderr, each beginning with FILE: or FILE:LINE:COLUMN:. Who can change such a file
 * decides what the program does, so it must be trusted (base/trust.h); one with a secret in it must be
 * closed to others as a secret's file is. Start-up and reload only: reads files.
 */
#pragma once

#include "base/attr.h"
#include "conf/options.h"

struct config_file;

/* Who hears what is wrong: a line at a time, without its line feed. */
struct config_listener {
    void (*line)(void *ctx, const char *text);
    void *ctx;
};

/* Reads the file. 0: *ret is the caller's. Else a negative error, which has been said to `to`, or on stderr
   if that is NULL. path, and to, must outlive *ret. */
int config_file_load(const char *path, const struct config_listener *to,
                     struct config_file **ret) MUST_USE;

/* Reads it for a program that runs with it already: one whose last line does not end was perhaps not written
   to its end yet, and is refused. */
int config_file_load_again(const char *path, const struct config_listener *to,
                           struct config_file **ret) MUST_USE;

/* The program it is for: see config_mode(). */
const struct mode *config_file_mode(const struct config_file *f);

/*
 * Sets the options of m in the struct at opt, but for those the command line has said. Its strings then
 * point into f. Once. 0, or a negative error: all that is wrong has been said.
 */
int config_file_apply(struct config_file *f, const struct mode *m, void *opt) MUST_USE;

/* The tunnel's name, "" without one. Valid until config_file_free(). */
const char *config_file_tunnel(const struct config_file *f);

/* Wipes it. NULL is fine. */
void config_file_free(struct config_file *f);

/* A line about the file on stderr, in the form of the others. */
void config_file_say(const char *path, const char *fmt, ...) PRINTF_LIKE(2, 3);
