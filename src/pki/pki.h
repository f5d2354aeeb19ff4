/* SPDX-License-Identifier: MIT */
/*
 * The server's certificates on disk: made at the first start, loaded and checked at every other,
 * the server certificate renewed from the CA while the CA lives.
 *
 * A directory holds ca.crt, ca.key, server.crt and server.key, all PEM, as the Go original writes
 * them; a directory of the original loads as it is. An existing key is never overwritten, the CA
 * never replaced. Needs OpenSSL's randomness and the file system; the wall clock is an argument.
 *
 * Choices:
 * - ours are ECDSA P-256. The CA lives 10 years, as the original's. The server certificate lives
 *   one year: the original's ten would let renewal run for the first time in year seven, where
 *   nobody remembers it; a few weeks would punish those who keep ca.key elsewhere, or go back to
 *   the original (which never renews), and gain nothing, since renewal keeps the key;
 * - both are valid from a day before they are made, for clients whose clock is behind;
 * - renewal makes a new certificate for the same key, so that one rename replaces it and no crash
 *   can leave a pair that does not match. It is due when a third of the life is left (or it is not
 *   valid at all), but only if the new one would end later: never later than the CA;
 * - ca.key may be missing (kept offline): the server runs, with a warning, as the original does.
 *   Every other file must be there.
 *
 * Not thread-safe on one object. All functions may block on the disk.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <time.h>

#include "base/attr.h"
#include "base/err.h"

/* The name in the server certificate, whatever address a client dials (wire compatibility). */
#define PKI_SERVER_NAME "gotunnel.internal"

enum pki_outcome {
    PKI_CREATED, /* there were no certificates: all four files are new */
    PKI_LOADED,
    PKI_RENEWED, /* loaded, and the server certificate was replaced */
};

struct pki_identity;

/*
 * Opens the certificates in the directory dir at the wall clock time now, making directory and
 * files when there are none: all or nothing, whatever fails and whenever it does. Waits up to 5 s
 * for another process that works in the same directory.
 *
 * 0: *ret is the caller's (pki_free); why->text is empty, or a warning to be logged. Otherwise
 * why has one sentence naming the file and what to do, and the code is ERR_CERT (damaged,
 * mismatched, incomplete, expired or badly protected files), ERR_TIMEOUT (the other process does
 * not finish), ERR_INVAL (dir is empty or its name too long), ERR_NOMEM, or what err_from_errno()
 * makes of a failed system call.
 */
int pki_open(const char *dir, time_t now, struct pki_identity **ret, enum pki_outcome *ret_outcome,
             struct errmsg *why) MUST_USE;

/* The server certificate and its key. Borrowed: valid until pki_renew() or pki_free(). */
X509 *pki_cert(const struct pki_identity *id);
EVP_PKEY *pki_key(const struct pki_identity *id);

/* The CA certificate in PEM, NUL-terminated; the caller calls free(). 0 or ERR_NOMEM. */
int pki_ca_pem(const struct pki_identity *id, char **ret) MUST_USE;

/* True when the server certificate should be renewed. No I/O. */
bool pki_renew_due(const struct pki_identity *id, time_t now);

/*
 * Reads the directory again and renews the server certificate from the CA if it is still due
 * (another process or a person may have done it). Where the new certificate cannot be saved it is
 * used all the same, and why has a warning. Does not wait for other processes (ERR_TIMEOUT).
 * 0, or an error as pki_open(); then id is as before.
 */
int pki_renew(struct pki_identity *id, time_t now, struct errmsg *why) MUST_USE;

/* NULL is fine. */
void pki_free(struct pki_identity *id);
