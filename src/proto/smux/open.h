/* SPDX-License-Identifier: MIT */
/*
 * What the frame OPEN says of a stream (docs/protocol.md 4.7): which service it is for, and whose
 * connection it carries. Bytes into a struct and back; it knows nothing of sessions, or of which
 * services there are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"

enum {
    SMUX_OPEN_NAME_MAX = 253, /* the longest name the DNS can have as text */
    SMUX_OPEN_TRACE_BYTES = 16,
    SMUX_OPEN_MIN = 8, /* a service, and nothing else */
    /* All that is defined at its longest is 336 bytes; the rest is room for what may come. A receiver
       collects a whole OPEN before it acts, so this is memory of each session that takes them. */
    SMUX_OPEN_MAX = 384,
};

struct smux_open {
    uint32_t service; /* chosen by who opened it on the control stream; 1 .. 2^32 - 1 */
    bool want_ready;  /* the acceptor shall say READY when it has connected the target */
    bool has_trace;
    /* The two ends of the connection at the opener, of one family or both ADDRESS_NONE: where the
       visitor is, and what it connected to. Scopes do not travel. */
    struct address visitor, local;
    /* Who the visitor is when a proxy stands before the opener and has said so; then `visitor` is
       the proxy. ADDRESS_NONE: nobody said. */
    struct address origin;
    /* The name that was asked for (SNI, Host): 1 .. SMUX_OPEN_NAME_MAX printable ASCII characters
       without blanks and capitals, no NUL behind them; name_len 0: none. Borrowed. */
    const char *name;
    size_t name_len;
    uint8_t trace[SMUX_OPEN_TRACE_BYTES];
};

/* Writes the payload; returns its length. ERR_INVAL: not what is said above; p is undefined. */
int smux_open_put(uint8_t p[SMUX_OPEN_MAX], const struct smux_open *open) MUST_USE;

/* Reads a payload of n bytes. 0, or ERR_PROTO: no such length, or not what the document says. The
   name points into p. */
int smux_open_get(const uint8_t *p, size_t n, struct smux_open *ret) MUST_USE;
