/* SPDX-License-Identifier: MIT */
/* Reading and writing to the end, a rename that replaces nothing, locks. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_RETRY_MS = 20 };

enum { NOREPLACE = 1 }; /* RENAME_NOREPLACE: musl and older C libraries have no header for it */

ssize_t file_read_all(int fd, void *to, size_t max)
{
    size_t have = 0;
    while (have < max) {
        ssize_t n = read(fd, (uint8_t *)to + have, max - have);
        if (n == 0)
            break;
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)have;
}

size_t file_write_all(int fd, const void *data, size_t n)
{
    const char *p = data;
    size_t done = 0;
    while (done < n) {
        ssize_t w = write(fd, p + done, n - done);
        if (w > 0) {
            done += (size_t)w;
        } else if (w < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            (void)poll(&room, 1, -1); /* whatever it says, write() knows better */
        } else if (w == 0) {
            errno = ENOSPC;
            break;
        } else if (errno != EINTR) {
            break;
        }
    }
    return done;
}

int file_rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, NOREPLACE);
}

void file_give_to_owner(int dirfd, int fd)
{
    struct stat st;
    if (geteuid() == 0 && fstat(dirfd, &st) == 0 && st.st_uid != 0)
        (void)!fchown(fd, st.st_uid, st.st_gid); /* a network file system may not let root */
}

int file_create(int dirfd, const char *name, mode_t mode, const void *data, size_t n)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return -1;
    file_give_to_owner(dirfd, fd);
    int failed = file_write_all(fd, data, n) < n || fsync(fd) < 0 ? errno : 0;
    if (close(fd) < 0 && !failed && errno != EINTR)
        failed = errno; /* some network file systems tell of a full disk only now */
    errno = failed;
    return failed ? -1 : 0;
}

int file_sync_folder(int dirfd)
{
    if (fsync(dirfd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EBADF)
        return 0;
    return -1;
}

int file_lock(int fd, int wait_ms)
{
    static const struct timespec pause = {.tv_nsec = LOCK_RETRY_MS * 1000L * 1000};
    for (int left = wait_ms;; left -= LOCK_RETRY_MS) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0; /* EBADF, ENOLCK, ENOTSUP: NFS and others */
        if (left <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        (void)nanosleep(&pause, NULL); /* a signal only makes it shorter */
    }
}

void file_unlock(int fd)
{
    (void)flock(fd, LOCK_UN); /* where locks do not work there was none */
}

/* A folder that root has just made is of whoever has the one above. */
static void give_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int above = fd < 0 ? -1 : openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above >= 0) {
        file_give_to_owner(above, fd);
        (void)close(above);
    }
    if (fd >= 0)
        (void)close(fd);
}

int file_make_folders(char *path)
{
    for (char *at = path + 1;; at++) {
        at += strcspn(at, "/");
        char end = *at;
        *at = '\0';
        int r = mkdir(path, 0700);
        if (r == 0)
            give_folder(path);
        *at = end;
        if (r < 0 && errno != EEXIST)
            return -1;
        if (end == '\0')
            return 0;
    }
}
