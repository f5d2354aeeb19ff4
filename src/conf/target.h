/* SPDX-License-Identifier: MIT */
/*
 * What `gotunnel join` is told to forward, a word for each tunnel: [NAME=]TARGET[@PUBLIC], as 22,
 * web=127.0.0.1:3000@8080, [::1]:22 or unix:/run/web.sock@8080. A target is as conf/destination.h has it,
 * or a port alone, which is one of 127.0.0.1. Without a public port the server chooses. An @ in a path
 * belongs to the path, unless only digits come after it: then it is the public port's, and the last @
 * counts. A name has no colon before it.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/config.h"
#include "conf/destination.h"

enum { TARGETS_MAX = 64 }; /* as a session has tunnels */

struct target {
    char name[TUNNEL_NAME_MAX + 1];          /* "": none was given */
    char address[DESTINATIONS_TEXT_MAX + 1]; /* as -local-target has it */
    int port;                                /* public; 0: the server chooses */
};

/* Reads one word. 0, or ERR_INVAL, ERR_RANGE, ERR_LIMIT, ERR_NOMEM with a sentence that shows the word. */
int target_parse(const char *text, struct target *ret, struct errmsg *why) MUST_USE;

/* Reads n words into ret. 0; as above, or ERR_INVAL: two have the same name or public port;
   ERR_LIMIT: more than TARGETS_MAX. */
int targets_parse(const char *const *words, size_t n, struct target ret[TARGETS_MAX],
                  struct errmsg *why) MUST_USE;
