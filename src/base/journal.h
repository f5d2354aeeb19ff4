/* SPDX-License-Identifier: MIT */
/* The journal of systemd: whether a descriptor leads there, and datagrams for it (its native protocol). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Whether fd is what JOURNAL_STREAM names, "device:inode": where the service manager sends the output of
   its services. A redirection leads elsewhere while the variable stays. */
bool journal_is(int fd);

/* A socket that is connected to path, for good: also for who has shut himself in. Closed on exec. The
   descriptor, or -1 with errno. */
int journal_open(const char *path) MUST_USE;

/* One datagram, whole: n, or 0 with errno. Waits while the journal is behind. A journal that was begun
   anew is connected to again. */
size_t journal_send(int fd, const char *text, size_t n);
