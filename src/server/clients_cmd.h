/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel clients WORD ...`: looks at the files of a server's clients and changes them. A server that runs
 * is told over its control socket (server/clients_tell.c), if that is found.
 */
#pragma once

#include <limits.h>

#include "base/attr.h"
#include "conf/options.h"
#include "server/clients_dir.h"

/* An exit status; what is wrong is said. */
int cmd_clients(int argc, char **argv) MUST_USE;

/* ---- for the words that make a key (server/clients_key.c) ---- */

/* What a command line of it says. */
struct clients_line {
    struct common_options common;
    const char *name;
    const char *state;       /* "": found by itself */
    const char *control;     /* the same: the running server's socket */
    const char *public_name; /* "": of an interface */
    const char *unset;
    int64_t grace_ns;
    struct client_entry entry; /* what flags have set */
};

/* Where it works. */
struct clients_work {
    struct clients_line line;
    char state[PATH_MAX];
    char certs[PATH_MAX]; /* the folder of its certificates */
    uint16_t port;        /* where clients find the server if they are not told */
    struct clients_dir dir;
    struct clients_file file;
};

/* Says it on stderr; returns the exit status of a failure. */
int clients_fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Reads the client's file into w->file. An exit status; that it is not there, or broken, is said. */
int clients_read(struct clients_work *w) MUST_USE;

/* Writes the change of the client that was read to *to. An exit status; what is wrong is said. */
int clients_change(struct clients_work *w, const struct client_entry *to) MUST_USE;

/* One line: the client and its rights. */
void clients_print(const char *name, size_t width, const struct client_entry *e);

/* The change of the client's file is to count at once: asks the server that runs, and says what came of it. Nobody
   to ask is no failure: then it must be reloaded, which is said. An exit status. */
int clients_tell(const struct clients_work *w) MUST_USE;

/* The same of one that was revoked. */
int clients_tell_revoked(const struct clients_work *w) MUST_USE;

/* Prints which clients are there, and when the others were, below a list; or of the one that the line names. Where
   nobody is to be asked, what the server has kept. */
void clients_print_there(const struct clients_work *w);

int clients_add(struct clients_work *w) MUST_USE;
int clients_rotate(struct clients_work *w) MUST_USE;
