/* SPDX-License-Identifier: MIT */
/* Addresses of the command line, with names of services looked up. */
#pragma once

#include "conf/hostport.h"

/* As hostport_parse() and hostport_parse_listen(), but port is a number always. ERR_NOTFOUND: there
   is no such service. Reads files: start-up only. */
int address_parse(const char *text, struct hostport *ret, struct errmsg *why) MUST_USE;
int address_parse_listen(const char *text, struct hostport *ret, struct errmsg *why) MUST_USE;
