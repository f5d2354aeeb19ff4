/* SPDX-License-Identifier: MIT */
/* Addresses as users write them: host:port, [IPv6]:port. */
#pragma once

#include "base/attr.h"
#include "base/err.h"

enum {
    HOSTPORT_HOST_MAX = 255,   /* RFC 1035 3.1: the longest name; IPv6 addresses are far shorter */
    HOSTPORT_SERVICE_MAX = 15, /* RFC 6335 5.1: the longest service name */
};

struct hostport {
    char host[HOSTPORT_HOST_MAX + 1];       /* without brackets; "": none was written */
    int port;                               /* 0 .. 65535, or -1: service has a name instead */
    char service[HOSTPORT_SERVICE_MAX + 1]; /* e.g. "http"; "" when port is a number */
};

/* The sentences of both say "it": the caller's line has named the address. */

/* Where to connect: host:port, IPv6 in brackets, port at least 1 or a service name. Without a host
   it is "localhost", as with Go. 0, ERR_INVAL or ERR_RANGE with a sentence. */
int hostport_parse(const char *text, struct hostport *ret, struct errmsg *why) MUST_USE;

/* Where to listen: port alone (as the original), :port, host:port, [IPv6]:port. 0 lets the system
   choose. 0, ERR_INVAL or ERR_RANGE with a sentence. */
int hostport_parse_listen(const char *text, struct hostport *ret, struct errmsg *why) MUST_USE;
