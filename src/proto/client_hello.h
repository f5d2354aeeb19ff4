/* SPDX-License-Identifier: MIT */
/*
 * Whether what came first on a connection is the beginning of TLS: a whole plausible ClientHello
 * (RFC 8446 4.1.2), which may stand in several records (RFC 8446 5.1). Nothing is decoded beyond
 * what tells it from noise; whether it can be answered is the TLS library's business.
 *
 * Looks at all bytes from the first one on, and keeps nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    /* The longest hello in bytes, its record headers included. Those with post-quantum keys have
       1.8 KB; libssl would take 128 KB, and hold them for whoever sends them. */
    CLIENT_HELLO_MAX = 8 << 10,
    /* In so many records at the most: each is a look or two. */
    CLIENT_HELLO_RECORDS = 16,
};

enum client_hello_verdict {
    CLIENT_HELLO_MORE, /* the beginning of one */
    CLIENT_HELLO_WHOLE,
    CLIENT_HELLO_NOT, /* nor will it be one */
};

struct client_hello_look {
    enum client_hello_verdict verdict;
    /* MORE: no verdict before so many bytes are there, except NOT: > n, <= CLIENT_HELLO_MAX */
    size_t need;
};

/* Judges the first n bytes of a connection, also 0. Never fails. */
struct client_hello_look client_hello_look(const uint8_t *p, size_t n);
