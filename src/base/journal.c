/* SPDX-License-Identifier: MIT */
/* Datagrams for systemd's journal. */
#include "base/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un journal; /* where the last one was opened */

bool journal_is(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char is[64];
    struct stat st;
    if (!stream || fstat(fd, &st) < 0)
        return false;
    (void)snprintf(is, sizeof is, "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return strcmp(is, stream) == 0;
}

int journal_open(const char *path)
{
    if (strlen(path) >= sizeof journal.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    journal = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(journal.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&journal, sizeof journal) == 0)
        return fd;
    int errnum = errno;
    (void)close(fd);
    errno = errnum;
    return -1;
}

/* -1 with errno: not sent. */
static ssize_t send_one(int fd, const char *text, size_t n)
{
    ssize_t r;
    do
        r = send(fd, text, n, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r;
}

size_t journal_send(int fd, const char *text, size_t n)
{
    ssize_t r = send_one(fd, text, n);
    bool is_gone = r < 0 && (errno == ECONNREFUSED || errno == ENOTCONN || errno == ECONNRESET);
    if (is_gone && connect(fd, (struct sockaddr *)&journal, sizeof journal) == 0)
        r = send_one(fd, text, n);
    return r < 0 ? 0 : (size_t)r;
}
