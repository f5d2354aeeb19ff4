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
 *   the original (which never renews), and gain little;
 * - both are valid from a day before they are made, for clients whose clock is behind;
 * - renewal makes a new key as well: who has copied the old one can use it until its certificate
 *   ends, and no longer. The key is renamed first. A pair that does not match, as a crash between
 *   the two renames leaves it, gets a new certificate for its key at the next start, if ca.key is
 *   there. Renewal is due when a third of the life is left (or it is not
 *   valid at all), but only if the new one would end later: never later than the CA;
 * - a clock that was wrong when the server started (no battery) and is set right later makes the
 *   server certificate look expired, or not valid yet. So its dates are looked at whenever somebody
 *   connects (pki_keep), not by a timer;
 * - ca.key may be missing (kept offline): the server runs, with a warning, as the original does.
 *   server.crt may be missing where ca.key is there: it is signed anew for the same key, or for a
 *   new one if server.key is missing as well, with a warning. Every other file must be there.
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
 * Who can change the certificates in dir? To be asked before pki_open(). is_lenient: whoever is not
 * root is only warned. 0: why->text is empty, or a warning to be logged. ERR_PERM, with what to do,
 * and other errors: see trust_path().
 */
int pki_check_place(const char *dir, bool is_lenient, struct errmsg *why) MUST_USE;

/*
 * Opens the certificates in the directory dir at the wall clock time now, making directory and
 * files when there are none: all or nothing, whatever fails and whenever it does. A server.key that
 * does not belong to server.crt gets another certificate, from ca.key. Waits up to 5 s
 * for another process that works in the same directory.
 *
 * 0: *ret is the caller's (pki_free); why->text is empty, or a warning to be logged. A CA that is
 * not valid yet is one: the clock may be set right later (pki_keep). Otherwise
 * why has one sentence naming the file and what to do, and the code is ERR_CERT (damaged,
 * mismatched, incomplete, expired or badly protected files), ERR_BADSTATE (there are none, and the
 * clock was never set: nothing is wrong with a file), ERR_TIMEOUT (the other process does
 * not finish), ERR_INVAL (dir is empty or its name too long), ERR_NOMEM, or what err_from_errno()
 * makes of a failed system call.
 */
int pki_open(const char *dir, time_t now, struct pki_identity **ret, enum pki_outcome *ret_outcome,
             struct errmsg *why) MUST_USE;

/* The server certificate and its key. Borrowed: valid until pki_renew(), pki_keep() or pki_free(). */
X509 *pki_cert(const struct pki_identity *id);
EVP_PKEY *pki_key(const struct pki_identity *id);

/* The CA certificate. Borrowed, as above. */
X509 *pki_ca(const struct pki_identity *id);

/* The CA certificate in PEM, NUL-terminated; the caller calls free(). 0 or ERR_NOMEM. */
int pki_ca_pem(const struct pki_identity *id, char **ret) MUST_USE;

/* What the dates in the certificates say at a moment. */
enum pki_state {
    PKI_GOOD,
    PKI_DUE,        /* the server certificate should be renewed; clients still accept it */
    PKI_LAPSED,     /* clients refuse the server certificate: over, or the clock went back */
    PKI_CA_EARLY,   /* the CA is not valid yet: its clock or ours was wrong */
    PKI_CA_EXPIRED, /* the CA is over: nothing can be renewed from it */
};

/* A few comparisons, no I/O. */
enum pki_state pki_state(const struct pki_identity *id, time_t now);

/* What pki_keep() has done, or found out. */
enum pki_news {
    PKI_NEWS_NONE,
    PKI_NEWS_RENEWED, /* pki_cert() is another one; why is empty, or a warning */
    PKI_NEWS_FAILED,  /* the server certificate cannot be renewed: why */
    PKI_NEWS_CA,      /* clients refuse the CA: why, with what to do */
    PKI_NEWS_VALID,   /* what PKI_NEWS_CA has said is over */
};

/*
 * Keeps the certificates usable while the server runs: to be called whenever one is needed. Costs a
 * few comparisons unless the clock has reached (or been set to) a time that asks for more: then the
 * server certificate is renewed as by pki_renew(). A renewal that failed is tried again after
 * PKI_RETRY_S, or PKI_RETRY_DUE_S where nobody is refused yet, or when the clock was set back; each
 * piece of news is told once, a failure that stays the same once in PKI_TELL_AGAIN_S.
 */
enum pki_news pki_keep(struct pki_identity *id, time_t now, struct errmsg *why);

/* Each try reads the four files: not for every connection that is refused anyway. */
enum { PKI_RETRY_S = 5, PKI_RETRY_DUE_S = 3600, PKI_TELL_AGAIN_S = 3600 };

/*
 * Reads the directory again and renews the server certificate from the CA if it still needs it
 * (another process or a person may have done it). Where the new ones cannot be saved they are
 * used all the same, and why has a warning. Does not wait for other processes (ERR_TIMEOUT).
 * 0, or an error as pki_open(); then id is as before.
 */
int pki_renew(struct pki_identity *id, time_t now, struct errmsg *why) MUST_USE;

/* NULL is fine. */
void pki_free(struct pki_identity *id);
