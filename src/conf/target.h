/* SPDX-License-Identifier: MIT */
/*
 * What `gotunnel join` is told to forward, a word for each tunnel: [NAME=][HOST:]PORT[@PUBLIC], as 22,
 * web=127.0.0.1:3000@8080 or [::1]:22. Without a host it is 127.0.0.1; without a public port the server
 * chooses.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/config.h"
#include "conf/hostport.h"

enum { TARGETS_MAX = 64 }; /* as a session has tunnels */

struct target {
    char name[TUNNEL_NAME_MAX + 1]; /* "": none was given */
    char address[sizeof "[]:" + HOSTPORT_HOST_MAX +
                 HOSTPORT_SERVICE_MAX]; /* as -local-target has it */
    int port;                           /* public; 0: the server chooses */
};

/* Reads one word. 0, or ERR_INVAL, ERR_RANGE with a sentence that shows the word. */
int target_parse(const char *text, struct target *ret, struct errmsg *why) MUST_USE;

/* Reads n words into ret. 0; as above, or ERR_INVAL: two have the same name or public port;
   ERR_LIMIT: more than TARGETS_MAX. */
int targets_parse(const char *const *words, size_t n, struct target ret[TARGETS_MAX],
                  struct errmsg *why) MUST_USE;
