/* SPDX-License-Identifier: MIT */
/* Addresses of the command line, with names of services looked up. */
#pragma once

#include "conf/destination.h"
#include "conf/hostport.h"
#include "net/sock.h"

/* As hostport_parse() and hostport_parse_listen(), but port is a number always. ERR_NOTFOUND: there
   is no such service. Reads files: start-up only. */
int address_parse(const char *text, struct hostport *ret, struct errmsg *why) MUST_USE;
int address_parse_listen(const char *text, struct hostport *ret, struct errmsg *why) MUST_USE;

/* As destinations_new(), with services looked up. The result is the caller's, for free(). Reads files:
   start-up only. */
int address_parse_target(const char *text, struct destinations **ret, struct errmsg *why) MUST_USE;

/* An IP address in digits, IPv6 with or without brackets and scope, without them in ret. "" stays
   so. ERR_INVAL with a sentence for anything else, names too. */
int address_parse_ip(const char *text, char ret[SOCK_NAME_MAX], struct errmsg *why) MUST_USE;
