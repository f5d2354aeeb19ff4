/* SPDX-License-Identifier: MIT */
/*
 * How a new set appears on disk as a whole.
 *
 * No directory yet (the usual first start): the four files are made in a directory beside it,
 *
 *     certs.gotunnel-tmp/  --rename-->  certs/
 *
 * and the one rename shows them. A directory that is there already keeps its identity (it may be a
 * mount point, or inside a parent we cannot write), so the same is done inside it in two steps:
 *
 *     certs/.gotunnel-tmp/  --rename-->  certs/.gotunnel-new/  --4 renames-->  certs/
 *
 * Up to the first rename the next start throws the files away, from there on it moves the rest.
 * Whoever works in a directory holds its flock; the kernel ends that with the process, so a staging
 * directory that can be locked is a leftover. Nothing is ever renamed over an existing file here,
 * but for server.key and server.crt on renewal.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "pki/internal.h"

enum { LOCK_WAIT_MS = 5000 };

#define SUFFIX      ".gotunnel-tmp"
#define STAGE       ".gotunnel-tmp"
#define STAGE_READY ".gotunnel-new"
#define CERT_TMP    ".server.crt.gotunnel-tmp"
#define KEY_TMP     ".server.key.gotunnel-tmp"

static int cannot_create(const char *path, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot create the certificates in %s: %s"),
                      path, errno_text(errnum));
}

/* ---- the four files in a staging directory ---- */

static int encode(const struct pki_set *s, struct pki_blob files[PKI_FILES])
{
    int err = pki_pem_put_cert(s->ca, &files[PKI_CA_CRT]);
    if (err == 0)
        err = pki_pem_put_key(s->ca_key, &files[PKI_CA_KEY]);
    if (err == 0)
        err = pki_pem_put_cert(s->cert, &files[PKI_SERVER_CRT]);
    if (err == 0)
        err = pki_pem_put_key(s->key, &files[PKI_SERVER_KEY]);
    return err;
}

static int write_files(int fd, const struct pki_blob files[PKI_FILES])
{
    for (int f = 0; f < PKI_FILES; f++) {
        if (file_create(fd, pki_file_name[f], pki_file_is_key(f) ? 0600 : 0644, files[f].data,
                        files[f].len) < 0)
            return -1;
    }
    return file_sync_folder(fd);
}

static void remove_files(int fd)
{
    for (int f = 0; f < PKI_FILES; f++)
        (void)unlinkat(fd, pki_file_name[f], 0); /* what stays makes rmdir fail, and is reported */
}

/* Makes a set in the empty directory stage, and reads it back: what is shown later is what a
   server will load. */
static int fill_stage(const struct pki_dir *stage, time_t now, struct pki_set *ret,
                      struct errmsg *why)
{
    struct pki_set made = {0};
    struct pki_blob files[PKI_FILES] = {{0}};
    int err = pki_issue_set(now, &made);
    if (err == 0)
        err = encode(&made, files);
    if (err < 0)
        (void)errmsg_set(why, err, _("cannot create the certificates in %s: %s"), stage->path,
                         err_name(err));
    else if (write_files(stage->fd, files) < 0)
        err = cannot_create(stage->path, why);
    for (int f = 0; f < PKI_FILES; f++)
        pki_blob_fini(&files[f]);
    pki_set_fini(&made);
    return err < 0 ? err : pki_set_load(stage, now, ret, why);
}

/* ---- beside a directory that does not exist ---- */

/* Where the directory is to be. */
struct place {
    int parent; /* descriptor */
    char name[NAME_MAX + 1];
    char stage[NAME_MAX + 1];
};

/* Cuts path into parent (opened) and name. 0, or -1 with errno. */
static int place_open(struct place *p, const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    size_t len = end - start;
    if (len == 0 || len + sizeof SUFFIX > sizeof p->name) {
        errno = len == 0 ? EINVAL : ENAMETOOLONG;
        return -1;
    }
    (void)snprintf(p->name, sizeof p->name, "%.*s", (int)len, path + start);
    (void)snprintf(p->stage, sizeof p->stage, "%.*s" SUFFIX, (int)len, path + start);
    char *parent = start ? strndup(path, start) : strdup(".");
    if (!parent)
        return -1;
    p->parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    return p->parent < 0 ? -1 : 0;
}

/* Is the open staging directory ours? Another user may have made one in a shared parent. Root gives
   what it makes to the owner of the parent. */
static bool is_our_stage(const struct place *p, int fd)
{
    struct stat st, parent;
    if (fstat(fd, &st) < 0)
        return false;
    return st.st_uid == geteuid() ||
           (geteuid() == 0 && fstat(p->parent, &parent) == 0 && st.st_uid == parent.st_uid);
}

static int check_stage(const struct place *p, int fd)
{
    if (is_our_stage(p, fd))
        return fchmod(fd, 0700);
    errno = EPERM;
    return -1;
}

/* Makes or takes over the staging directory: locked, empty. The fd, or -1 with errno: EAGAIN means
   that another process has just finished with it. */
static int take_stage(const struct place *p)
{
    if (mkdirat(p->parent, p->stage, 0700) < 0 && errno != EEXIST)
        return -1;
    int fd = pki_dir_open_at(p->parent, p->stage);
    if (fd < 0) {
        errno = errno == ENOENT ? EAGAIN : errno;
        return -1;
    }
    int failed = 0;
    if (check_stage(p, fd) < 0 || file_lock(fd, LOCK_WAIT_MS) < 0)
        failed = errno;
    else if (!pki_dir_is(fd, p->parent, p->stage))
        failed = EAGAIN;
    if (failed) {
        (void)close(fd);
        errno = failed;
        return -1;
    }
    remove_files(fd);
    file_give_to_owner(p->parent, fd);
    return fd;
}

static void drop_stage(const struct place *p, int fd)
{
    remove_files(fd);
    (void)unlinkat(p->parent, p->stage, AT_REMOVEDIR); /* else the next start does it */
    (void)close(fd);
}

static int create_at(const struct place *p, const char *path, time_t now, struct pki_dir *ret_dir,
                     struct pki_set *ret_set, struct errmsg *why)
{
    int fd = take_stage(p);
    if (fd < 0)
        return cannot_create(path, why);
    const struct pki_dir stage = {fd, path};
    int err = fill_stage(&stage, now, ret_set, why);
    if (err < 0) {
        drop_stage(p, fd);
        return err;
    }
    if (pki_rename_new(p->parent, p->stage, p->parent, p->name) < 0) {
        bool taken = errno == EEXIST || errno == ENOTEMPTY;
        err = cannot_create(path, why);
        err = taken ? ERR_AGAIN : err;
        pki_set_fini(ret_set);
        drop_stage(p, fd);
        return err;
    }
    if (file_sync_folder(p->parent) < 0) { /* all four are there; whether they stay is unknown */
        err = cannot_create(path, why);
        pki_set_fini(ret_set);
        (void)close(fd);
        return err;
    }
    *ret_dir = stage;
    return 0;
}

int pki_store_create(const char *path, time_t now, struct pki_dir *ret_dir, struct pki_set *ret_set,
                     struct errmsg *why)
{
    struct place p;
    if (place_open(&p, path) < 0)
        return cannot_create(path, why);
    int err = create_at(&p, path, now, ret_dir, ret_set, why);
    (void)close(p.parent);
    return err;
}

void pki_store_sweep(const char *path)
{
    struct place p;
    if (place_open(&p, path) < 0)
        return;
    int fd = pki_dir_open_at(p.parent, p.stage);
    if (fd >= 0 && is_our_stage(&p, fd) && file_lock(fd, 0) == 0 &&
        pki_dir_is(fd, p.parent, p.stage))
        drop_stage(&p, fd);
    else if (fd >= 0)
        (void)close(fd);
    (void)close(p.parent);
}

/* ---- inside a directory that exists ---- */

static void remove_stage(const struct pki_dir *d, const char *name)
{
    int fd = pki_dir_open_at(d->fd, name);
    if (fd < 0)
        return;
    remove_files(fd);
    (void)close(fd);
    (void)unlinkat(d->fd, name, AT_REMOVEDIR); /* else the next start does it */
}

static bool has(int fd, enum pki_file f)
{
    struct stat st;
    return fstatat(fd, pki_file_name[f], &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int count_files(int fd)
{
    int n = 0;
    for (int f = 0; f < PKI_FILES; f++)
        n += has(fd, f);
    return n;
}

/* Moves the files of the ready set that are still in it to their places. */
static int move_files(int ready, int to)
{
    for (int f = 0; f < PKI_FILES; f++) {
        if (has(ready, f) && pki_rename_new(ready, pki_file_name[f], to, pki_file_name[f]) < 0)
            return -1;
    }
    return file_sync_folder(to);
}

/* Shows the set in d/STAGE_READY. 0, or -1 with errno: ENOENT where there is none. */
static int show(const struct pki_dir *d)
{
    int ready = pki_dir_open_at(d->fd, STAGE_READY);
    if (ready < 0)
        return -1;
    int failed = file_sync_folder(d->fd) < 0 || move_files(ready, d->fd) < 0 ? errno : 0;
    (void)close(ready); /* nothing was written through it */
    if (!failed)
        remove_stage(d, STAGE_READY);
    errno = failed;
    return failed ? -1 : 0;
}

/* The way back when a new set cannot be shown as a whole: nobody has used it. What cannot go back
   either is finished by the next start. Keeps errno. */
static void unshow(const struct pki_dir *d)
{
    int failed = errno;
    int ready = pki_dir_open_at(d->fd, STAGE_READY);
    bool whole = ready >= 0;
    for (int f = PKI_FILES - 1; f >= 0 && whole; f--) {
        if (!has(ready, f))
            whole = pki_rename_new(d->fd, pki_file_name[f], ready, pki_file_name[f]) == 0;
    }
    if (ready >= 0)
        (void)close(ready); /* nothing was written through it */
    if (whole)
        remove_stage(d, STAGE_READY);
    errno = failed;
}

/* The set in d/STAGE is whole and on the disk. 0, or -1 with errno and no trace of it. */
static int publish(const struct pki_dir *d)
{
    if (pki_rename_new(d->fd, STAGE, d->fd, STAGE_READY) < 0)
        return -1;
    if (show(d) == 0)
        return 0;
    unshow(d);
    return -1;
}

int pki_store_create_in(const struct pki_dir *d, time_t now, struct pki_set *ret,
                        struct errmsg *why)
{
    if (mkdirat(d->fd, STAGE, 0700) < 0)
        return cannot_create(d->path, why);
    const struct pki_dir stage = {pki_dir_open_at(d->fd, STAGE), d->path};
    if (stage.fd >= 0)
        file_give_to_owner(d->fd, stage.fd);
    int err = stage.fd < 0 ? cannot_create(d->path, why) : fill_stage(&stage, now, ret, why);
    if (stage.fd >= 0)
        (void)close(stage.fd); /* synced already */
    if (err == 0 && publish(d) < 0) {
        err = cannot_create(d->path, why);
        pki_set_fini(ret);
    }
    if (err < 0)
        remove_stage(d, STAGE);
    return err;
}

/* What a crashed renewal left. */
static void remove_leaf_tmp(int dirfd)
{
    (void)unlinkat(dirfd, CERT_TMP, 0); /* mostly not there */
    (void)unlinkat(dirfd, KEY_TMP, 0);
}

/* A ready set of which nothing was shown yet, while others put files into their place. */
static bool is_overtaken(const struct pki_dir *d)
{
    int ready = pki_dir_open_at(d->fd, STAGE_READY);
    bool unused = ready >= 0 && count_files(ready) == PKI_FILES;
    if (ready >= 0)
        (void)close(ready);
    return unused && count_files(d->fd) > 0;
}

int pki_store_recover(const struct pki_dir *d, struct errmsg *why)
{
    remove_stage(d, STAGE);
    remove_leaf_tmp(d->fd);
    if (is_overtaken(d))
        remove_stage(d, STAGE_READY);
    if (show(d) == 0 || errno == ENOENT)
        return 0;
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum),
                      _("cannot finish what an interrupted start left in %s/%s: %s"), d->path,
                      STAGE_READY, errno_text(errnum));
}

/* ---- renewal ---- */

/* Puts two whole files into the places of the old ones. */
static int replace_leaf(int dirfd, const struct pki_blob *cert, const struct pki_blob *key)
{
    if (file_create(dirfd, CERT_TMP, 0644, cert->data, cert->len) < 0 ||
        file_create(dirfd, KEY_TMP, 0600, key->data, key->len) < 0 ||
        renameat(dirfd, KEY_TMP, dirfd, pki_file_name[PKI_SERVER_KEY]) < 0 ||
        renameat(dirfd, CERT_TMP, dirfd, pki_file_name[PKI_SERVER_CRT]) < 0)
        return -1;
    return file_sync_folder(dirfd);
}

int pki_store_save_leaf(const struct pki_dir *d, X509 *cert, EVP_PKEY *key)
{
    struct pki_blob cert_text = {0}, key_text = {0};
    int failed = ENOMEM;
    if (pki_pem_put_cert(cert, &cert_text) == 0 && pki_pem_put_key(key, &key_text) == 0) {
        remove_leaf_tmp(d->fd);
        failed = replace_leaf(d->fd, &cert_text, &key_text) < 0 ? errno : 0;
    }
    if (failed)
        remove_leaf_tmp(d->fd);
    pki_blob_fini(&cert_text);
    pki_blob_fini(&key_text);
    errno = failed;
    return failed ? -1 : 0;
}
