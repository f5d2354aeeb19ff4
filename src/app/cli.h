/* SPDX-License-Identifier: MIT */
/* What both programs do with their command line before they begin. */
#pragma once

#include "base/attr.h"
#include "conf/snapshot.h"
#include <stdarg.h>

/* Exit statuses of the program; documented in gotunnel(1). */
enum exit_status {
    EXIT_STATUS_OK = 0,           /* ended as asked: a signal, -h, -version */
    EXIT_STATUS_FAILED = 1,       /* could not start */
    EXIT_STATUS_USAGE = 2,        /* the command line, or the configuration file, was wrong */
    EXIT_STATUS_UNREACHABLE = 69, /* EX_UNAVAILABLE, with -once: no server there, or a busy one */
    EXIT_STATUS_NOT_UP = 75,      /* EX_TEMPFAIL, of status -q: it runs, and not all is up */
    EXIT_STATUS_REJECTED = 77,    /* EX_NOPERM, with -once: one end does not accept the other */
    EXIT_STATUS_CONFIG = 78, /* EX_CONFIG, for a service manager, with -once or a join string: no
                                later start can succeed */
};

/* The status of a start that can never succeed, because an option, a file or a key is wrong:
   EXIT_STATUS_CONFIG where a service manager listens (app/notify.h), behind -once or with a join string, else
   status. */
int cli_hopeless(int status);

/* The status of a start that failed by err: hopeless, unless what was wrong may pass by itself. */
int cli_failed(int err);

/*
 * Reads the mode's command line and the file it names, finds the secret, sets the log level, and holds signals back
 * (app/signals.h). Prints what -h, -version or an error asks for. The options, sealed, with one
 * reference, which is the caller's; NULL: exit with *ret_status.
 */
struct snapshot *cli_begin(const struct mode *m, int argc, char **argv, int *ret_status) MUST_USE;

/* Says that the program cannot begin, because of err. An exit status. */
int cli_cannot_start(int err);

/* Prints the options of m, as for -h. An exit status. */
int cli_help(const struct mode *m);

/* "error: " and the sentence, on stderr; cut behind 1,023 bytes. */
void cli_error(const char *fmt, va_list ap);

/* Says how m is used, and last what is wrong with its command line. An exit status. */
int cli_wrong(const struct mode *m, const char *error);

/* A required option is missing: shows how the mode is used, then logs text. Returns the exit status. */
int cli_missing(const struct mode *m, const char *text);

/* The same where there is a configuration file: says which of the client's server and the secret, "" if it
   is not there, is missing in it. */
int cli_incomplete(const struct mode *m, const char *file, const char *server, const char *secret);
