/* SPDX-License-Identifier: MIT */
/*
 * A service inside this client that sends back what it gets, for one stream: so a connection of our own finds out
 * whether large packets come through, both ways.
 *
 *   stream -- relay -- socket pair -- echo
 *
 * Loop thread only.
 */
#pragma once

#include "base/attr.h"
#include "net/loop.h"
#include "tunnel/relay.h"

enum { ECHO_BYTES = 8192 }; /* that come back, at most; more is not read */

/* Must stay until the turn of the loop is over in which it has ended. */
struct echo {
    /* private */
    struct loop *loop; /* NULL: it has not begun, or has ended */
    struct poller_source source;
    size_t left; /* of ECHO_BYTES */
};

/* Takes st, of session. 0; without memory or descriptors ERR_NOMEM, ERR_LIMIT or ERR_IO, and st is the caller's. */
int echo_begin(struct echo *e, struct relays *rs, struct session *session,
               struct smux_stream *st) MUST_USE;

/* Closes it, and with it the stream, in order. {0} is fine. */
void echo_end(struct echo *e);
