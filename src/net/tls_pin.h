/* SPDX-License-Identifier: MIT */
/*
 * The pin of a CA, in place of its file: who has it finds the CA's certificate among those that the
 * server shows, trusts this one alone, and then checks the chain, its dates and the name as ever. A
 * server that shows none with the pin is refused; nothing is trusted because it was seen before.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum { TLS_PIN_BYTES = 20 };

struct tls_pin {
    uint8_t key[TLS_PIN_BYTES];
    const char *server; /* where it is, for sentences */
};

/* The pin of a certificate: the first bytes of SHA-256 of its SubjectPublicKeyInfo. 0, or ERR_NOMEM. */
int tls_pin_of(X509 *cert, uint8_t ret[TLS_PIN_BYTES]) MUST_USE;

/* ---- for net/tls_ctx.h ---- */

/* Connections of ctx trust by *pin, which must outlive it. False: no memory. */
bool tls_pin_use(SSL_CTX *ctx, const struct tls_pin *pin);

/* The sentence for a certificate that was refused with this code of OpenSSL, where it is the pin's business.
   False: it is not, or ssl has none. */
bool tls_pin_text(const SSL *ssl, long code, struct errmsg *ret);
