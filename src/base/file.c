/* SPDX-License-Identifier: MIT */
/* Reading and writing to the end, and a rename that replaces nothing. */
#include "base/file.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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
