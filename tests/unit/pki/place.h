/* SPDX-License-Identifier: MIT */
/* A folder of its own for each test: fresh, current, and removed with all that is in it. */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

struct pki_blob;
struct pki_set;

/* The day of most tests: 2027-01-15. The certificates of the Go fixture are valid then. */
#define TODAY ((time_t)1800000000)
#define DAY   ((time_t)24 * 3600)

/* cmocka setup and teardown: a fresh current directory. */
int place_setup(void **state);
int place_teardown(void **state);

/* Removes a file or a folder with its contents; missing is fine. */
void place_remove(const char *path);

/* A whole file; data is NUL-terminated beyond len and the caller's (pki_blob_fini, or free). */
struct pki_blob place_read(const char *path);

/* Makes or replaces a file. */
void place_write(const char *path, const void *data, size_t len, mode_t mode);
void place_write_text(const char *path, const char *text, mode_t mode);

/* Makes certs/ with the Go original's four files. */
void place_go_certs(void);

/* Makes certs/ with the files of a set; members that are NULL are left out. */
void place_certs(const struct pki_set *s);

/* Writes one object as PEM, as gotunnel does. */
void place_cert(const char *path, X509 *cert);
void place_key(const char *path, EVP_PKEY *key);

/* How many of the four files are in a folder. */
int place_count(const char *dir);

/* True when there is anything but the four files and `foreign` (may be NULL) in the folder. */
bool place_has_leftovers(const char *dir, const char *foreign);

/* The exit status of a child that runs fn(arg) and exits with its result. */
int place_in_child(int (*fn)(void *arg), void *arg);
