/* SPDX-License-Identifier: MIT */
/* Descriptor limits of the process, and what they allow. */
#pragma once

#include <stdint.h>

enum {
    LIMITS_RESERVE = 256,
    LIMITS_CONNECTIONS_MAX = 100000,
    LIMITS_DESCRIPTORS_MIN = 20,
    /* What a program of one event loop has open itself, with one tunnel and its port. */
    LIMITS_OWN = 16,
    /* What a further event loop takes: two epoll sets, the wake-up, two ends of libuv's pipe for
       signals; and one connection that its thread may accept beyond the limit (base/quota.h). */
    LIMITS_LOOP = 6,
    /* Unless it is asked for, a further thread wants so many descriptors to serve. */
    LIMITS_THREAD = 32,
    LIMITS_THREADS_MAX = 8,
    /* Of memory: a part of what the machine, or the control group, has; not more than serves. */
    LIMITS_MEMORY_PART = 4,
    LIMITS_MEMORY_MAX_MIB = 512,
    /* A server has a session for so many: two are its own, its connection and its port; the others
       are left for users, strangers and files. */
    LIMITS_SESSION = 4,
    /* Of all sessions one source leaves this part to others. */
    LIMITS_SESSION_PART = 4,
};

/* Raises the soft descriptor limit to the hard one, and returns it. Core dumps, which would hold
   the secret, are switched off. */
uint64_t limits_raise(void);

/*
 * Logs and returns how many forwarded connections a program with so many event loops, at least one,
 * may have under a descriptor limit: each costs one descriptor, and a quarter of a small limit, at
 * least LIMITS_OWN and at most LIMITS_RESERVE, stays free for tunnels, listeners, dials and files.
 * At most LIMITS_CONNECTIONS_MAX; 0 below LIMITS_DESCRIPTORS_MIN, with which nothing would work
 * (libuv aborts on a few).
 */
uint32_t limits_connections(uint64_t descriptors, unsigned loops);

/* The least memory that a control group of this process may have, in bytes; UINT64_MAX: none has a
   limit, or it cannot be known. proc_cgroup: /proc/self/cgroup; mount: /sys/fs/cgroup; others in
   tests. Reads files: start-up only. */
uint64_t limits_cgroup_memory(const char *proc_cgroup, const char *mount);

/* How many bytes may wait for slow readers: asked, or if that is 0, the part above. At least
   OPTION_MEMORY_MIN_MIB. */
uint64_t limits_memory(int64_t asked);

/* How many sessions a server may have under a descriptor limit, and how many of them one source. */
uint32_t limits_sessions(uint64_t descriptors);
uint32_t limits_sessions_of_source(uint32_t sessions);

/* How many threads shall serve: asked, or if that is 0, one for each processor this process may
   use, at most LIMITS_THREADS_MAX and what the descriptor limit allows. At least 1. */
unsigned limits_threads(int asked, uint64_t descriptors);
