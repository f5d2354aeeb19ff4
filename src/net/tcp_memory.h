/* SPDX-License-Identifier: MIT */
/*
 * Whether the kernel is short of memory for TCP. What all connections of a machine hold together,
 * read or not, sent or not, is bounded (tcp_mem: from a 16th of its RAM on Linux is short). Then it
 * gives each connection little, drops what comes, and no connection of the machine goes on as it
 * should, ours to the other side neither, until less is held.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

/* What it says is the machine's, in containers too. /proc/net is not there with ProcSubset=pid. */
#define TCP_MEMORY_FILE "/proc/self/net/protocols"

/* One for all threads: asking changes nothing. Zeroed: it cannot be known. */
struct tcp_memory {
    int fd_and_1; /* private; 0: it cannot be known */
};

/* file: TCP_MEMORY_FILE; another one in tests. Before the cage, which opens nothing in /proc. */
void tcp_memory_open(struct tcp_memory *m, const char *file);

/* Costs some 0.1 ms. False too if it cannot be known. */
bool tcp_memory_is_short(const struct tcp_memory *m);

void tcp_memory_close(struct tcp_memory *m);
