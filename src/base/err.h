/* SPDX-License-Identifier: MIT */
/*
 * One space of error codes for all our libraries, and the human sentence that may come with one.
 *
 * Functions return 0 or a count on success and a negative ERR_* on failure. Libraries never log:
 * they return the code and, where a person will read it, fill a struct errmsg. The program logs
 * once.
 */
#pragma once

#include "base/attr.h"

enum err {
    ERR_AGAIN = -1,      /* nothing to do now: would block, or needs more input */
    ERR_EOF = -2,        /* the peer ended the connection in order */
    ERR_NOMEM = -3,      /* an allocation failed */
    ERR_PROTO = -4,      /* the peer broke the protocol */
    ERR_LIMIT = -5,      /* a named bound was reached */
    ERR_INVAL = -6,      /* an argument or a value in input is not valid */
    ERR_RANGE = -7,      /* a number is well formed but out of range */
    ERR_TIMEOUT = -8,    /* a deadline passed */
    ERR_REFUSED = -9,    /* connection refused */
    ERR_RESET = -10,     /* connection reset by the peer */
    ERR_IO = -11,        /* any other failure of the operating system; errmsg has its words */
    ERR_AUTH = -12,      /* the secret was wrong, or the peer said so */
    ERR_CERT = -13,      /* a certificate or key is missing, damaged, expired or not trusted */
    ERR_TLS = -14,       /* TLS failed otherwise */
    ERR_RESOLVE = -15,   /* a name does not resolve */
    ERR_INUSE = -16,     /* address already in use */
    ERR_PERM = -17,      /* permission denied */
    ERR_NOTFOUND = -18,  /* no such file, flag, entry */
    ERR_BADSTATE = -19,  /* the object is in a state that does not allow this */
    ERR_EXISTS = -20,    /* one of that name is there already */
    ERR_CERT_TIME = -21, /* a certificate is not valid at the time that this machine's clock says */
};

/* A sentence for a person: lower case, no full stop, what failed first. */
struct errmsg {
    char text[256];
};

/* Short English words for a code, for tests and debug lines. Never NULL; static storage. */
const char *err_name(int err);

/* The same in the user's language. */
const char *err_text(int err);

/* What errno says, in the user's language, with the system's own words in brackets where that is not
   English. Static storage; for an errno that is rare only until the thread's next one. */
const char *errno_text(int errnum);

/* Fills msg (may be NULL) and returns err, so that `return errmsg_set(...)` reads well. */
int errmsg_set(struct errmsg *msg, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The code that stands for an errno value (ECONNREFUSED -> ERR_REFUSED ...); ERR_IO where none
   fits. */
int err_from_errno(int errnum);
