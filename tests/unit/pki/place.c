/* SPDX-License-Identifier: MIT */
/* Test folders and files. Every failure ends the test. */
#include "place.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pki/internal.h"

int place_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char *dir;
    if (asprintf(&dir, "%s/gotunnel-pki-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
        return -1;
    *state = dir;
    (void)umask(022);
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

int place_teardown(void **state)
{
    if (chdir("/") < 0)
        return -1;
    place_remove(*state);
    free(*state);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void place_remove(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* missing is fine */
}

struct pki_blob place_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    struct pki_blob b = {calloc(1, PKI_FILE_MAX + 1), 0};
    assert_non_null(b.data);
    b.len = fread(b.data, 1, PKI_FILE_MAX, f);
    assert_false(ferror(f));
    (void)fclose(f); /* only read */
    return b;
}

void place_write(const char *path, const void *data, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        fail_msg("cannot make %s", path);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

void place_write_text(const char *path, const char *text, mode_t mode)
{
    place_write(path, text, strlen(text), mode);
}

void place_go_certs(void)
{
    const char *vectors = getenv("GOTUNNEL_VECTORS");
    assert_non_null(vectors);
    assert_int_equal(mkdir("certs", 0700), 0);
    for (int f = 0; f < PKI_FILES; f++) {
        char from[4096], to[64];
        (void)snprintf(from, sizeof from, "%s/certs-go/%s", vectors, pki_file_name[f]);
        (void)snprintf(to, sizeof to, "certs/%s", pki_file_name[f]);
        struct pki_blob b = place_read(from);
        place_write(to, b.data, b.len, pki_file_is_key(f) ? 0600 : 0644);
        pki_blob_fini(&b);
    }
}

void place_cert(const char *path, X509 *cert)
{
    struct pki_blob b;
    assert_int_equal(pki_pem_put_cert(cert, &b), 0);
    place_write(path, b.data, b.len, 0644);
    pki_blob_fini(&b);
}

void place_key(const char *path, EVP_PKEY *key)
{
    struct pki_blob b;
    assert_int_equal(pki_pem_put_key(key, &b), 0);
    place_write(path, b.data, b.len, 0600);
    pki_blob_fini(&b);
}

void place_certs(const struct pki_set *s)
{
    assert_int_equal(mkdir("certs", 0700), 0);
    if (s->ca)
        place_cert("certs/ca.crt", s->ca);
    if (s->ca_key)
        place_key("certs/ca.key", s->ca_key);
    if (s->cert)
        place_cert("certs/server.crt", s->cert);
    if (s->key)
        place_key("certs/server.key", s->key);
}

int place_count(const char *dir)
{
    int n = 0;
    for (int f = 0; f < PKI_FILES; f++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", dir, pki_file_name[f]);
        n += access(path, F_OK) == 0;
    }
    return n;
}

static bool is_expected(const char *name, const char *foreign)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    for (int f = 0; f < PKI_FILES; f++) {
        if (strcmp(name, pki_file_name[f]) == 0)
            return true;
    }
    return foreign && strcmp(name, foreign) == 0;
}

bool place_has_leftovers(const char *dir, const char *foreign)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    bool found = false;
    for (struct dirent *e; (e = readdir(d));)
        found |= !is_expected(e->d_name, foreign);
    (void)closedir(d); /* only read */
    return found;
}

int place_in_child(int (*fn)(void *arg), void *arg)
{
    (void)fflush(NULL); /* or the child would print it again */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(arg));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
