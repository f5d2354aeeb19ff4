/* SPDX-License-Identifier: MIT */
/* Private to transport: OpenSSL's view of the connection, a BIO that reads from a socket and writes
   to memory. */
#pragma once

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* The state shared by the BIO and the transport. */
struct wire {
    int fd;
    bool limited;  /* budget counts, and a record is received when all of it is there: libssl
                         would hold 16 KiB for a part of one */
    size_t record; /* bytes of the record under way, while limited, that are still to be received */
    size_t wake_at;   /* SO_RCVLOWAT; 0: as it was */
    uint32_t budget;  /* bytes that may still be received while limited */
    size_t allowance; /* the same for the call of libssl that is under way, set before each: records
                         that bring no data are read on and on inside it, while others wait */
    bool drained;     /* the last receive came back short: an event comes before there is more */
    bool hangup; /* the peer will send no more: its end is told by a receive, not by an event */
    bool eof;
    bool over_budget; /* more was asked for */
    bool over_output; /* more answers were provoked than there is room for */
    int errnum;       /* of the receive or the allocation that failed, 0 */
    uint8_t *out;     /* sealed records: out[off .. off + len) */
    size_t off, len, cap;
};

/* A BIO on w, which must outlive it. NULL without memory. */
BIO *wire_bio_new(struct wire *w);

/* Sends what is sealed as far as the kernel takes it. Bytes sent, or a negative ERR_*. */
int64_t wire_send(struct wire *w) MUST_USE;

/* The peer is no stranger any more. */
void wire_trust(struct wire *w);

/* Forgets what is sealed. */
void wire_discard(struct wire *w);

/* Gives the output buffer back when it is empty. */
void wire_trim(struct wire *w);
