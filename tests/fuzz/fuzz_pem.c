/* SPDX-License-Identifier: MIT */
/*
 * Target functions: pki_pem_cert, pki_pem_key, pki_set_parse, pki_dates_state, pki_pem_put_cert,
 * pki_pem_put_key.
 *
 * The input is the four files of a certificate directory, each ended by a zero byte; what is not
 * there is missing. Property: an accepted object is written as PEM that is read as the same object.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "pki/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const time_t today = 1800000000; /* the seeds are valid then */

/* Cuts one file off the input, into memory of its own size. */
static struct pki_blob next_file(const uint8_t **at, size_t *left)
{
    struct pki_blob b = {0};
    if (*left == 0)
        return b;
    const uint8_t *end = memchr(*at, '\0', *left);
    b.len = end ? (size_t)(end - *at) : *left;
    b.data = malloc(b.len ? b.len : 1);
    if (!b.data)
        abort();
    memcpy(b.data, *at, b.len);
    size_t used = b.len + (end ? 1 : 0);
    *at += used;
    *left -= used;
    return b;
}

static void try_cert(const struct pki_blob *b)
{
    X509 *cert, *again;
    struct pki_blob text;
    if (pki_pem_cert(b, &cert) < 0)
        return;
    if (pki_pem_put_cert(cert, &text) < 0 || pki_pem_cert(&text, &again) < 0 ||
        X509_cmp(cert, again) != 0)
        abort();
    pki_blob_fini(&text);
    X509_free(again);
    X509_free(cert);
}

static void try_key(const struct pki_blob *b)
{
    EVP_PKEY *key, *again;
    struct pki_blob text;
    if (pki_pem_key(b, &key) < 0)
        return;
    if (pki_pem_put_key(key, &text) == 0) { /* not all kinds have a traditional form */
        if (pki_pem_key(&text, &again) < 0 || EVP_PKEY_eq(key, again) != 1)
            abort();
        pki_blob_fini(&text);
        EVP_PKEY_free(again);
    }
    EVP_PKEY_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pki_blob files[PKI_FILES];
    struct pki_set set;
    struct errmsg why = {""};
    for (int f = 0; f < PKI_FILES; f++)
        files[f] = next_file(&data, &size);
    int err = pki_set_parse(files, "certs", today, &set, &why);
    if ((err < 0) != (why.text[0] != '\0'))
        abort();
    if (err == 0) {
        struct pki_dates dates = pki_set_dates(&set);
        (void)pki_dates_state(&dates, today); /* any answer will do */
        pki_set_fini(&set);
    }
    for (int f = 0; f < PKI_FILES; f++) {
        if (files[f].data) {
            try_cert(&files[f]);
            try_key(&files[f]);
        }
        pki_blob_fini(&files[f]);
    }
    return 0;
}
