/* SPDX-License-Identifier: MIT */
/* For tests of the transport: ends of ours that keep a diary, and peers driven by hand. */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kit.h"
#include "net/transport.h"

enum end_event {
    END_READY = 1u << 0,
    END_READABLE = 1u << 1,
    END_WRITABLE = 1u << 2,
    END_ERROR = 1u << 3,
};

/* One of our transports and its owner. */
struct end {
    struct kit *k;
    struct transport *t; /* NULL after end_close() */
    int ready, readable, writable, errors;
    int err; /* the final one, by on_error or from transport_read(); 0: none yet */
    struct errmsg why;
    uint8_t *in; /* all that was read */
    size_t in_len, in_cap;

    /* what the test sets */
    unsigned close_in;  /* enum end_event: closes itself inside these */
    bool deaf;          /* does not read */
    size_t budget;      /* reads that many bytes in one event, then asks for another; 0: all */
    const uint8_t *out; /* sent as fast as it goes, from END_READY on */
    size_t out_len, out_done;
};

/* cmocka set-up and tear-down of a group: certificates and contexts. */
int ends_setup(void **state);
int ends_teardown(void **state);
SSL_CTX *ends_ctx(bool is_server);
SSL_CTX *ends_ctx_strange(void); /* a client's that trusts another CA */

/* fd becomes the end's. */
void end_open(struct end *e, struct kit *k, int fd, bool is_server);
void end_open_with(struct end *e, struct kit *k, int fd, bool is_server, SSL_CTX *ctx);
void end_close(struct end *e); /* and runs the loop until its memory has gone */
bool end_is(const struct end *e, const void *bytes, size_t n);

/* The handlers of every end, for transport_adopt(); their ctx is the end. */
extern const struct transport_events end_events;

/* Sends what is left of e->out, as far as it goes. */
void end_pump(struct end *e);

/* A peer on plain libssl: whatever it does is the test's doing. */
struct peer {
    SSL *ssl;
    int fd;
    int done; /* the handshake: 0 under way, 1, or -1 */
    uint8_t in[1 << 16];
    size_t in_len;
    size_t sizes[64]; /* of its reads, that is of the records */
    int reads;
    bool eof;
};

/* Version: 0 any, TLS1_2_VERSION, TLS1_3_VERSION. */
void peer_open(struct peer *p, int fd, bool is_server, int version);
void peer_step(struct peer *p); /* handshake, then reads what is there */
void peer_write(struct peer *p, const void *bytes, size_t n);
void peer_close(struct peer *p);
/* With unread input and pending bytes destroyed: the other end gets RST. */
void peer_reset(struct peer *p);

/* An end of ours and a peer that have shaken hands. */
void end_and_peer(struct end *e, struct peer *p, struct kit *k, bool peer_is_server, int version);

/* n bytes that depend on their position and the seed; free() them. */
uint8_t *pattern(size_t n, unsigned seed);
