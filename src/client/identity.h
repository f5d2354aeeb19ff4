/* SPDX-License-Identifier: MIT */
/*
 * Who this client is, to its server: the public port of a session belongs to the client's id, and a
 * new session of the same id takes it over at once.
 *
 * The id is what -id says, or else made of two parts: a number of 128 random bits that is made once
 * for each user of a machine and kept in a file, and a hash of what this client does (server,
 * remote port, local target). So the same command line is always the same client, and two tunnels
 * of one user are two. Where the server chooses the port (-remote-port 0) there is none to come
 * back to, and of one command line there may be several clients: their ids are new in each run. It
 * is a name, not a secret: the proofs of proto/hello.h are what counts. With a join string it is the name
 * of the key, a dot, and a hash of all that: a server takes no other from the owner of this key.
 *
 * The file is client-id in the folder of client/state.h.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/options.h"
#include "proto/hello.h"

enum identity_kind {
    IDENTITY_KEPT,      /* the next run of this command line has the same */
    IDENTITY_NEW,       /* of this run only, as it should: the server chooses the port */
    IDENTITY_TEMPORARY, /* of this run only: the file cannot be kept, or is not to be trusted */
};

/*
 * Finds the id, and makes and keeps its random part where there is none; several starts at once
 * agree on one. *why says why an id is temporary, or what is doubtful about the place where it is
 * kept, or nothing. ERR_INVAL: -id is not an id, or not one of the key's, and *why says so;
 * ERR_IO: the system has no random numbers. Blocks for as long as the disk takes.
 */
int identity_find(char ret[HELLO_ID_MAX + 1], const struct client_options *opt,
                  struct errmsg *why) MUST_USE;

/* Of somebody who visits the server while the client of these options may be there: new, and one of its key's.
   ERR_RANGE: the key's name leaves no room for it. ERR_IO: the system has no random numbers. */
int identity_of_visit(char ret[HELLO_ID_MAX + 1], const struct client_options *opt,
                      struct errmsg *why) MUST_USE;

/* The same for the program: 0 for every kind, of which a temporary one is warned of in the log; so is
   a doubtful place. */
int identity_get(char ret[HELLO_ID_MAX + 1], const struct client_options *opt,
                 struct errmsg *why) MUST_USE;
