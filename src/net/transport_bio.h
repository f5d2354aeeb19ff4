/* SPDX-License-Identifier: MIT */
/* Private to transport: OpenSSL's view of the connection, a BIO over a socket to read and memory to
 * write. */
#pragma once

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* The state shared by the BIO and the transport. */
struct wire {
    int fd;
    bool drained; /* the last receive came back short: do not ask the kernel before the poll says so
                   */
    bool limited; /* budget counts */
    uint32_t budget;  /* bytes that may still be received while limited */
    bool over_budget; /* more was asked for */
    bool eof;
    int errnum;   /* of the receive that failed, 0 */
    uint8_t *out; /* sealed records: out[off .. off + len) */
    size_t off, len, cap;
};

/* A BIO on w, which must outlive it. NULL without memory. */
BIO *wire_bio_new(struct wire *w);

/* Sends what is sealed as far as the kernel takes it. Bytes sent, or a negative ERR_*. */
int64_t wire_send(struct wire *w) MUST_USE;

/* Gives the output buffer back when it is empty. */
void wire_trim(struct wire *w);
