/* SPDX-License-Identifier: MIT */
/* One row of a table of the kernel. */
#include "net/tcp_memory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_BYTES = 8192 }; /* 2 KB, of some 20 protocols */

void tcp_memory_open(struct tcp_memory *m, const char *file)
{
    m->fd_and_1 = open(file, O_RDONLY | O_CLOEXEC) + 1;
}

bool tcp_memory_is_short(const struct tcp_memory *m)
{
    char table[TABLE_BYTES], press[8];
    int fd = m->fd_and_1 - 1;
    ssize_t n = fd < 0 ? -1 : pread(fd, table, sizeof table - 1, 0);
    if (n <= 0)
        return false;
    table[n] = '\0';
    /* protocol, size, sockets, memory, press: "yes", "no", "NI" */
    const char *row = strstr(table, "\nTCP ");
    return row && sscanf(row, " TCP %*s %*s %*s %7s", press) == 1 && strcmp(press, "yes") == 0;
}

void tcp_memory_close(struct tcp_memory *m)
{
    if (m->fd_and_1 > 0)
        (void)close(m->fd_and_1 - 1);
    m->fd_and_1 = 0;
}
