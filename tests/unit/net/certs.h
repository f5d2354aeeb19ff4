/* SPDX-License-Identifier: MIT */
/* Certificates for tests, good ones and every kind of bad one. */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>

struct cert {
    X509 *x;
    EVP_PKEY *key;
};

struct cert_spec {
    const char *cn;
    const char *dns;     /* subjectAltName; NULL: none */
    const char *usage;   /* extendedKeyUsage; NULL: none */
    long from_s, till_s; /* from now; 0 stands for an hour ago and an hour ahead */
    bool is_ca;
};

/* Signed by issuer, or by itself if that is NULL. P-256. */
struct cert cert_make(const struct cert_spec *spec, const struct cert *issuer);
void cert_free(struct cert *c);

/* Appends its PEM to the file at path. */
void cert_append(const struct cert *c, const char *path);

/* The pair that everything works with: a CA, and a server certificate like the original's. */
struct cert cert_ca(void);
struct cert cert_server(const struct cert *ca);
