/* SPDX-License-Identifier: MIT */
/*
 * All clients of a server, from their files (server/clients_dir.h) into a table of their keys
 * (proto/credentials.h) whose rights are struct rights (conf/rights.h). A file that is broken costs its
 * own client alone; who was known before keeps his former key and rights.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"
#include "proto/credentials.h"
#include "server/clients_dir.h"

struct ctl_answer;

struct clients_counts {
    unsigned clients; /* in the table */
    unsigned broken;  /* files that could not be read */
    unsigned kept;    /* of those: clients that are in the table as they were */
};

/* A file is broken: the first thing that is wrong, with FILE:LINE:COLUMN. */
typedef void clients_hear(void *ctx, const char *line);

/*
 * Reads all files of the folder d. former is the table of the last time, or NULL. 0: *ret is the
 * caller's (credentials_unref()). ERR_NOMEM, or what reading the folder says, with a sentence.
 */
int clients_load(const struct clients_dir *d, const struct credentials *former, clients_hear *tell,
                 void *ctx, struct credentials **ret, struct clients_counts *counts,
                 struct errmsg *why) MUST_USE;

/*
 * The same where one file alone is read again: *ret has all of former but the client called name, and him as
 * his file says, or not at all where there is none. 1: he is in it; 0: he is not; ERR_NOMEM, or what
 * is wrong with the file, with a sentence, and there is no *ret.
 */
int clients_load_one(const struct clients_dir *d, const struct credentials *former,
                     const char *name, struct credentials **ret, struct errmsg *why) MUST_USE;

/* Where the files are: -clients, or the folder called clients beside that of the certificates. False: none
   is there, nor asked for. */
bool clients_place(const struct server_options *opt, char ret[PATH_MAX]);

/* Lines about broken files at a time; more are counted. */
enum { CLIENTS_LINES_MAX = 20 };

/*
 * What a server does with its clients when it starts, and when it is reloaded: finds the folder, -clients or
 * the one called clients beside that of the certificates, loads it, and logs how many there are and what is
 * broken. 0: *ret is the caller's; NULL: there is no such folder, and none was asked for. Otherwise it
 * has been logged, and *ret is not set.
 */
int clients_take(const struct server_options *opt, const struct credentials *former,
                 struct credentials **ret) MUST_USE;

/* ---- clients_live.c: of struct ctl_ops ---- */

void server_client(void *srv, const char *name, struct ctl_answer *a);
void server_clients(void *srv, struct ctl_answer *a);
