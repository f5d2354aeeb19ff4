/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets of both ends of a link share: the input as a script, one end of the tunnel
 * (loop in virtual time, relays, the stub of net/transport.h), and the far side, which can say
 * anything and also knows the secret. Users and services are real sockets without a network.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/quota.h"
#include "net/loop.h"
#include "proto/hello.h"
#include "proto/smux/frame.h"
#include "tunnel/relay.h"
#include "unit/tunnel/stub.h"

#define LINK_SECRET "a-secret-of-more-than-16-bytes"

enum {
    LINK_USERS = 6,
    LINK_MEMORY = 1 << 20,          /* relays_memory(): so what is kept for slow ones is bounded */
    LINK_STRANGER_BYTES = 64 << 10, /* what a connection may cost before it has proved itself */
    LINK_SESSION_BYTES = 12 << 20,  /* and a session with all its streams, beyond that */
};

/* ---- the input ---- */

struct script {
    const uint8_t *p;
    size_t n;
};

/* The next byte; 0 when the input is over. */
uint8_t script_byte(struct script *s);

/* A number from the next two bytes. */
unsigned script_word(struct script *s);

/* A length by the next byte, and so many bytes; fewer where the input is over. */
const uint8_t *script_bytes(struct script *s, size_t *ret_n);

/* ---- this end ---- */

struct link_end {
    struct script script;
    struct loop loop;
    struct relays relays;
    struct quota quota;
    int users[LINK_USERS]; /* outer ends of the sockets that relays have; -1: none */
    size_t heap;           /* what the process held before */
    /* The far side gets what t has written: it is gone afterwards. May be NULL. */
    void (*on_output)(const struct transport *t);
};

void link_begin(struct link_end *e, const uint8_t *data, size_t size);

/* All of the end's openings and sessions are over. Nothing of them may be left. */
void link_finish(struct link_end *e);

/* Turns of the loop, until what was read to be written is written. */
void link_turn(struct link_end *e);

/* Time passes: `how` steps to what is due next, or some time by the next byte. */
void link_pass(struct link_end *e, unsigned how);

/* Bytes that this end holds beyond what it began with, its transports' buffers not counted. */
size_t link_heap(const struct link_end *e);

/* Nobody says anything any more: time passes from one thing that is due to the next, until is_over(),
   which comes. each() is called after each. */
void link_silence(struct link_end *e, bool (*is_over)(void), void (*each)(void));
enum { LINK_SILENCE_MS = 1200000 }; /* so long at the most */

/* A socket for a relay; its outer end is a user's now. A negative error: no place. */
int link_user(struct link_end *e);

/* A user does something: says, hears, ends, breaks off. By the script. */
void link_user_acts(struct link_end *e);

/* ---- the far side ---- */

/* Can it say something? */
bool peer_is_there(const struct transport *t);

void peer_says(struct transport *t, const void *p, size_t n);

/* A frame by the script: a command and a stream that may be right, and some payload. */
void peer_frame(struct link_end *e, struct transport *t);

/* A whole frame. */
void peer_puts(struct transport *t, uint8_t version, enum smux_cmd cmd, uint32_t sid, const void *p,
               size_t n);

/* The connection does something by the script: ends, breaks, takes nothing, or takes it again. */
void peer_acts(struct link_end *e, struct transport *t);

/* By the script, `what` is it: 0 any bytes, 5 a frame, else something of the connection. */
void peer_does(struct link_end *e, struct transport *t, unsigned what);

/* What this end's exporter says on every connection (stub). */
extern const uint8_t link_exporter[HELLO_EXPORTER_BYTES];
