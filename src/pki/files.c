/* SPDX-License-Identifier: MIT */
/*
 * System calls on one directory: everything relative to its descriptor, so that nothing changes
 * under us when it is moved, and nothing is written that does not reach the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "base/trust_path.h"
#include "pki/internal.h"

const char *const pki_file_name[PKI_FILES] = {
    [PKI_CA_CRT] = "ca.crt",
    [PKI_CA_KEY] = "ca.key",
    [PKI_SERVER_CRT] = "server.crt",
    [PKI_SERVER_KEY] = "server.key",
};

void pki_blob_fini(struct pki_blob *b)
{
    if (b->data)
        secure_zero(b->data, b->len);
    free(b->data);
    *b = (struct pki_blob){0};
}

/* ---- reading ---- */

static int cannot_read(const struct pki_dir *d, const char *name, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot read %s/%s: %s"), d->path, name,
                      errno_text(errnum));
}

/* Who may read or replace a key? */
static int check_key_access(const struct pki_dir *d, const char *name, const struct stat *st,
                            struct errmsg *why)
{
    if (st->st_mode & 077)
        return errmsg_set(why, ERR_CERT,
                          _("%s/%s is accessible to others (mode %04o): run chmod 600 %s/%s"),
                          d->path, name, (unsigned)st->st_mode & 07777, d->path, name);
    const struct trust_who who = trust_who_now();
    const struct trust_facts f = {.uid = st->st_uid, .mode = st->st_mode};
    if (trust_judge(&who, TRUST_FILE, &f) == TRUST_FOREIGN)
        return errmsg_set(why, ERR_CERT,
                          _("%s/%s belongs to another user: give it to the one who runs this"),
                          d->path, name);
    return 0;
}

static int check_file(const struct pki_dir *d, enum pki_file f, int fd, struct errmsg *why)
{
    const char *name = pki_file_name[f];
    struct stat st;
    if (fstat(fd, &st) < 0)
        return cannot_read(d, name, why);
    if (!S_ISREG(st.st_mode))
        return errmsg_set(why, ERR_CERT,
                          _("%s/%s is not a regular file: put the file itself there"), d->path,
                          name);
    if (st.st_size > PKI_FILE_MAX)
        return errmsg_set(why, ERR_CERT, _("%s/%s is larger than %d KiB: put back a good copy"),
                          d->path, name, PKI_FILE_MAX >> 10);
    return pki_file_is_key(f) ? check_key_access(d, name, &st, why) : 0;
}

static int read_checked(const struct pki_dir *d, enum pki_file f, int fd, struct pki_blob *ret,
                        struct errmsg *why)
{
    int err = check_file(d, f, fd, why);
    if (err < 0)
        return err;
    struct pki_blob b = {malloc(PKI_FILE_MAX), PKI_FILE_MAX};
    if (!b.data)
        return errmsg_set(why, ERR_NOMEM, "%s", err_name(ERR_NOMEM));
    ssize_t n = file_read_all(fd, b.data, b.len);
    if (n < 0) {
        err = cannot_read(d, pki_file_name[f], why);
        pki_blob_fini(&b);
        return err;
    }
    b.len = (size_t)n;
    *ret = b;
    return 0;
}

int pki_dir_read(const struct pki_dir *d, enum pki_file f, struct pki_blob *ret, struct errmsg *why)
{
    const char *name = pki_file_name[f];
    /* Not blocking: a FIFO of that name must not stop the start. */
    int flags =
        O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (pki_file_is_key(f) ? O_NOFOLLOW : 0);
    int fd = openat(d->fd, name, flags);
    if (fd < 0 && errno == ENOENT) {
        *ret = (struct pki_blob){0};
        return 0;
    }
    if (fd < 0 && errno == ELOOP)
        return errmsg_set(why, ERR_CERT, _("%s/%s is a symbolic link: put the file itself there"),
                          d->path, name);
    if (fd < 0)
        return cannot_read(d, name, why);
    int err = read_checked(d, f, fd, ret, why);
    (void)close(fd); /* only read */
    return err;
}

/* ---- directories ---- */

/* For file systems whose rename knows no flags. Callers hold the lock, so only a stranger could
   make `to` between the two calls. */
static int rename_if_missing(int from_fd, const char *from, int to_fd, const char *to)
{
    struct stat st;
    if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return errno == ENOENT ? renameat(from_fd, from, to_fd, to) : -1;
}

int pki_rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
    if (file_rename_new(from_fd, from, to_fd, to) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP)
        return rename_if_missing(from_fd, from, to_fd, to);
    return -1;
}

int pki_dir_open_at(int dirfd, const char *name)
{
    return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool pki_dir_is(int fd, int dirfd, const char *name)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}
