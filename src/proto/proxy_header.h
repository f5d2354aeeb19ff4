/* SPDX-License-Identifier: MIT */
/*
 * The header of the PROXY protocol, versions 1 and 2: with it a balancer says first on a connection
 * whose connection that is (haproxy.org/download/2.9/doc/proxy-protocol.txt). Only who is meant to
 * say so may be believed; that is the caller's to know.
 *
 * Looks at all bytes from the first one on, and keeps nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

enum {
    PROXY_HEADER_V1_MAX = 107, /* with its CR LF */
    /* The longest that is taken. What balancers append (TLVs) are some hundred bytes, more with a
       certificate; 64 KiB could be said. */
    PROXY_HEADER_MAX = 4 << 10,
};

enum proxy_header_verdict {
    PROXY_HEADER_MORE, /* the beginning of one */
    PROXY_HEADER_WHOLE,
    PROXY_HEADER_NOT, /* nor will it be one */
};

struct proxy_header_look {
    enum proxy_header_verdict verdict;
    /* MORE: no verdict before so many bytes are there, except NOT: > n, <= PROXY_HEADER_MAX */
    size_t need;
    size_t length; /* WHOLE: its bytes; what is behind them is the connection's */
    /* WHOLE: whose connection it is. ADDRESS_NONE: the balancer's own, as its health checks are, or
       it does not know (LOCAL, UNKNOWN), or it is none of TCP over IP. */
    struct address source;
};

/* True if the n bytes, of which NOT was said, begin as a header does: it is broken, or none that is
   taken, and the balancer means to send one. */
bool proxy_header_is_begun(const uint8_t *p, size_t n);

/* Judges the first n bytes of a connection, also 0. Never fails. */
struct proxy_header_look proxy_header_look(const uint8_t *p, size_t n);
