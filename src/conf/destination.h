/* SPDX-License-Identifier: MIT */
/*
 * What a target says: one destination, or several with commas between them, of which the first that
 * answers is used. A destination is host:port, or unix:PATH for a socket of this machine; the path
 * begins with a slash, and has neither a comma nor a control character in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

enum {
    DESTINATIONS_MAX = 8,         /* of one target */
    DESTINATIONS_TEXT_MAX = 1023, /* bytes of one target */
    DESTINATION_PATH_MAX = 107,   /* bytes of a path: the kernel has room for 108, with a NUL */
};

#define DESTINATION_UNIX "unix:" /* what stands before a path */

struct destination {
    const char *path; /* of a unix socket; NULL: it is host and port */
    const char *host; /* a name, or an address in digits without brackets */
    int port;         /* 1 to 65535; -1: a service's name that nobody has looked up */
};

struct destinations {
    unsigned count;          /* 1 to DESTINATIONS_MAX */
    struct destination at[]; /* in the order in which they are tried first; their texts follow */
};

/* The port of a service like "http", or negative: there is no such service. */
typedef int (*destination_port_fn)(const char *service);

/*
 * Reads a target; services are looked up by port_of, with NULL they are not. The result is one piece
 * of memory, the caller's, for free(). 0; ERR_INVAL, ERR_RANGE, ERR_LIMIT (too many, or too long),
 * ERR_NOTFOUND (no such service), ERR_NOMEM, each with a sentence that says "it": the caller's line
 * has named the target; one of several destinations stands before it.
 */
int destinations_new(const char *text, destination_port_fn port_of, struct destinations **ret,
                     struct errmsg *why) MUST_USE;

enum { DESTINATION_TEXT_BUF = sizeof "[]:65535" + 255 };

/* As a user would write it. Returns out. */
const char *destination_text(char out[DESTINATION_TEXT_BUF], const struct destination *d);

/* n bytes of text are to be one destination: does it begin as one with a path does? */
bool destination_is_unix(const char *text, size_t n);
