/* SPDX-License-Identifier: MIT */
/*
 * Who is known, on the disk. Whoever writes holds the lock of the temporary file; the kernel ends
 * that with the process, so one that can be locked is a leftover.
 */
#include "server/known_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/i18n.h"
#include "base/trust_path.h"

#define TMP "." KNOWN_STORE_NAME ".gotunnel-tmp"

/* ---- reading ---- */

static int cannot_read(const char *dir, struct errmsg *why)
{
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot read %s/%s: %s"), dir,
                      KNOWN_STORE_NAME, errno_text(errnum));
}

static int conclude(enum known_file_result result, const char *dir, struct errmsg *why)
{
    static const char *const words[] = {
        [KNOWN_FILE_DAMAGED] = N_("is damaged; it will be replaced"),
        [KNOWN_FILE_VERSION] = N_("is of another version; it will be replaced"),
        [KNOWN_FILE_FUTURE] =
            N_("was written later than now (was the clock set back?); it will be replaced"),
    };
    if (result == KNOWN_FILE_OK)
        return 0;
    return errmsg_set(why, ERR_INVAL, "%s/%s %s", dir, KNOWN_STORE_NAME, _(words[result]));
}

/* One byte more than it may have shows that it has too many. */
static int read_file(int fd, const char *dir, struct known *k, mtime_ms now, uint64_t wall,
                     struct errmsg *why)
{
    uint8_t *bytes = malloc(KNOWN_FILE_MAX + 1);
    if (!bytes)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    ssize_t n = file_read_all(fd, bytes, KNOWN_FILE_MAX + 1);
    int err = n < 0 ? cannot_read(dir, why)
                    : conclude(known_file_parse(k, bytes, (size_t)n, now, wall), dir, why);
    free(bytes);
    return err;
}

int known_store_read(int dirfd, const char *dir, struct known *k, mtime_ms now, uint64_t wall,
                     struct errmsg *why)
{
    char path[PATH_MAX];
    why->text[0] = '\0';
    /* Not blocking: a FIFO of that name must not stop the start. */
    int fd =
        openat(dirfd, KNOWN_STORE_NAME, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : cannot_read(dir, why);
    (void)snprintf(path, sizeof path, "%s/%s", dir, KNOWN_STORE_NAME); /* for a sentence */
    int err = trust_file(fd, path, TRUST_SECRET, false, why);
    if (err == 0)
        err = read_file(fd, dir, k, now, wall, why); /* a doubt is of the folder, and said there */
    (void)close(fd);                                 /* only read */
    return err;
}

/* ---- writing ---- */

/* What a crash left. 0, or -1 with errno: EWOULDBLOCK: it is no leftover. Opened for writing, without
   which NFS does not lock. */
static int remove_leftover(int dirfd)
{
    int fd = openat(dirfd, TMP, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    int failed = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? errno : 0;
    if (!failed && unlinkat(dirfd, TMP, 0) < 0 && errno != ENOENT)
        failed = errno;
    if (fd >= 0)
        (void)close(fd); /* only locked */
    errno = failed;
    return failed ? -1 : 0;
}

/* Ours alone: locked, and nobody has taken it for a leftover before it was. */
static bool is_ours(int fd, int dirfd)
{
    struct stat a, b;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return false; /* other errors: a file system without locks */
    bool same = fstat(fd, &a) == 0 && fstatat(dirfd, TMP, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
                a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    errno = EWOULDBLOCK;
    return same;
}

/* Fills the temporary file fd and renames it. 0, or -1 with errno. */
static int fill(int dirfd, int fd, const uint8_t *bytes, size_t n)
{
    file_give_to_owner(dirfd, fd);
    if (file_write_all(fd, bytes, n) < n || fsync(fd) < 0 ||
        renameat(dirfd, TMP, dirfd, KNOWN_STORE_NAME) < 0)
        return -1;
    (void)fsync(dirfd); /* else the old file may be back after a power cut: a whole one, too */
    return 0;
}

/* 0, or -1 with errno, and no trace. */
static int write_file(int dirfd, const uint8_t *bytes, size_t n)
{
    if (remove_leftover(dirfd) < 0)
        return -1;
    int fd = openat(dirfd, TMP, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        errno = errno == EEXIST ? EWOULDBLOCK : errno;
        return -1;
    }
    int failed = !is_ours(fd, dirfd) ? errno : 0;
    if (!failed && fill(dirfd, fd, bytes, n) < 0) {
        failed = errno;
        (void)unlinkat(dirfd, TMP, 0); /* else the next writing does it */
    }
    (void)close(fd); /* synced, or of no use */
    errno = failed;
    return failed ? -1 : 0;
}

int known_store_write(int dirfd, const char *dir, const uint8_t *bytes, size_t n,
                      struct errmsg *why)
{
    if (write_file(dirfd, bytes, n) == 0)
        return 0;
    int errnum = errno;
    return errmsg_set(why, err_from_errno(errnum), _("cannot write %s/%s: %s"), dir,
                      KNOWN_STORE_NAME, errno_text(errnum));
}
