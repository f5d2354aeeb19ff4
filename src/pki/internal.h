/* SPDX-License-Identifier: MIT */
/*
 * Private to pki/.
 *
 *   pki    the public functions: open, renew
 *   store  a new set appears on disk as a whole; leftovers of a crash are finished or removed
 *   set    the four files as one object: parse, check, encode, when renewal is due
 *   issue  new keys and certificates (their X.509 fields)
 *   pem    PEM text in memory <-> OpenSSL objects
 *   files  system calls on one directory
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/attr.h"
#include "base/err.h"
#include "pki/pki.h"

enum {
    PKI_FILE_MAX = 64 << 10,  /* bytes of a file we read; ours have about 700 */
    PKI_KEY_BITS_MAX = 16384, /* OpenSSL's own limit for RSA in TLS */
    PKI_DATE_MAX = 16,        /* bytes of "2006-01-02" and its NUL */
};

/* The files of a set, in the order in which they become visible: a Go original that looks while
   ca.crt is there alone refuses to start; without ca.crt it would overwrite the others. */
enum pki_file { PKI_CA_CRT, PKI_CA_KEY, PKI_SERVER_CRT, PKI_SERVER_KEY, PKI_FILES };
extern const char *const pki_file_name[PKI_FILES];

static inline bool pki_file_is_key(enum pki_file f)
{
    return f == PKI_CA_KEY || f == PKI_SERVER_KEY;
}

/* ---- files ---- */

/* A directory being worked in. path is what the user wrote, for messages. */
struct pki_dir {
    int fd;
    const char *path;
};

/* The bytes of a file; data NULL stands for "no such file". */
struct pki_blob {
    uint8_t *data;
    size_t len;
};

/* Wipes and frees. */
void pki_blob_fini(struct pki_blob *b);

/*
 * Reads one file. A key must be a regular file of somebody whom we trust (base/trust.h) that nobody
 * else may read, and not a symbolic link. 0 (also when the file is missing: ret->data is NULL), ERR_CERT for what is
 * wrong with the file, ERR_NOMEM, or the system's error, each with a sentence.
 */
int pki_dir_read(const struct pki_dir *d, enum pki_file f, struct pki_blob *ret,
                 struct errmsg *why) MUST_USE;

/* The functions below return 0, or -1 with errno set. */

/* Renames a file or directory, never over an existing one (EEXIST). */
int pki_rename_new(int from_fd, const char *from, int to_fd, const char *to) MUST_USE;

/* Opens the directory name itself, not what a link of that name points to. Returns the fd. */
int pki_dir_open_at(int dirfd, const char *name) MUST_USE;

/* Is the open directory fd still the one called name? */
bool pki_dir_is(int fd, int dirfd, const char *name);

/* ---- pem ---- */

/* The first CERTIFICATE block, others skipped, as Go. ERR_NOTFOUND: there is none; ERR_CERT: it
   is damaged; ERR_NOMEM. */
int pki_pem_cert(const struct pki_blob *b, X509 **ret) MUST_USE;

/* The first block whose type ends in PRIVATE KEY: SEC1, PKCS#1 or PKCS#8. Errors as above, and
   ERR_PERM: it is encrypted. */
int pki_pem_key(const struct pki_blob *b, EVP_PKEY **ret) MUST_USE;

/* CERTIFICATE; EC PRIVATE KEY (SEC1) for an EC key. 0 or ERR_NOMEM. */
int pki_pem_put_cert(X509 *cert, struct pki_blob *ret) MUST_USE;
int pki_pem_put_key(EVP_PKEY *key, struct pki_blob *ret) MUST_USE;

/* ---- set ---- */

/* What was missing, and has been made from the CA. */
enum pki_lost {
    PKI_LOST_NOTHING,
    PKI_LOST_CERT, /* server.crt */
    PKI_LOST_PAIR, /* server.crt and server.key */
};

struct pki_set {
    X509 *ca;
    EVP_PKEY *ca_key; /* NULL when ca.key is missing, and once nobody needs it any more */
    X509 *cert;
    EVP_PKEY *key;
    enum pki_lost lost; /* what of cert and key is new, and not on the disk yet */
    bool
        is_torn; /* cert is not for key, but ca_key is there: as a crash while renewing leaves it */
};

void pki_set_fini(struct pki_set *s);

/*
 * Parses and checks the contents of the four files: do they belong together, and is the CA not
 * over at now? Whether it and the server certificate are valid is not looked at (pki_dates_state),
 * nor anything of the certificate of a torn set. Where server.crt is missing a new one is made
 * from ca.key, for the same server.key, or for a new one if that is missing as well.
 * ERR_NOTFOUND: no file at all; ERR_CERT, with a sentence; ERR_NOMEM. path is for the sentence.
 */
int pki_set_parse(const struct pki_blob files[PKI_FILES], const char *path, time_t now,
                  struct pki_set *ret, struct errmsg *why) MUST_USE;

/* Reads the files, then as pki_set_parse(); also pki_dir_read()'s errors. */
int pki_set_load(const struct pki_dir *d, time_t now, struct pki_set *ret,
                 struct errmsg *why) MUST_USE;

/* The part of pki_set_parse() that looks at parsed objects. 0 or ERR_CERT, ERR_NOMEM. */
int pki_set_check(const struct pki_set *s, const char *path, time_t now,
                  struct errmsg *why) MUST_USE;

/* The dates of a set: what each accepted connection is judged by. */
struct pki_dates {
    time_t ca_from, ca_until;
    time_t from, until; /* of the server certificate */
};

struct pki_dates pki_set_dates(const struct pki_set *s);

/* What the dates say at now. */
enum pki_state pki_dates_state(const struct pki_dates *d, time_t now);

/* 0, or ERR_CERT with the sentence for a CA that is not valid at now. */
int pki_dates_check_ca(const struct pki_dates *d, const char *path, time_t now,
                       struct errmsg *why) MUST_USE;

/* When it ends. Nonsense counts as 1970: such a certificate has expired. */
time_t pki_cert_until(const X509 *cert);

/* A day as "2006-01-02" in UTC. */
void pki_date(time_t t, char ret[PKI_DATE_MAX]);

/* ---- issue ---- */

/* A new CA and server certificate with their keys. 0, or ERR_TLS / ERR_NOMEM. */
int pki_issue_set(time_t now, struct pki_set *ret) MUST_USE;

/* A new key for a server certificate. 0, or ERR_TLS. */
int pki_issue_key(EVP_PKEY **ret) MUST_USE;

/* A new server certificate for s->key, signed by s->ca_key. 0, or ERR_TLS / ERR_NOMEM. */
int pki_issue_leaf(const struct pki_set *s, time_t now, X509 **ret) MUST_USE;

/* The end of a server certificate made at now, from a CA that ends at ca_until. */
time_t pki_issue_leaf_until(time_t ca_until, time_t now);

/* ---- store ---- */

/*
 * Makes the directory path, which does not exist, with a new set in it: beside it under another
 * name, then renamed. 0: *ret_dir is open and locked (the caller closes fd), *ret_set loaded.
 * ERR_AGAIN: somebody else has made it meanwhile.
 */
int pki_store_create(const char *path, time_t now, struct pki_dir *ret_dir, struct pki_set *ret_set,
                     struct errmsg *why) MUST_USE;

/* Makes a new set in the existing, locked directory d that has none of the four files. */
int pki_store_create_in(const struct pki_dir *d, time_t now, struct pki_set *ret,
                        struct errmsg *why) MUST_USE;

/* Finishes or removes what a crashed run left in the locked directory d. An error only if files
   of a set stay out of place. */
int pki_store_recover(const struct pki_dir *d, struct errmsg *why) MUST_USE;

/* Removes what a crashed pki_store_create() left beside the directory. */
void pki_store_sweep(const char *path);

/* Replaces server.key, then server.crt: a crash between the two leaves a torn set. 0, or -1 with
   errno set. */
int pki_store_save_leaf(const struct pki_dir *d, X509 *cert, EVP_PKEY *key) MUST_USE;
