/* SPDX-License-Identifier: MIT */
/* What the process may have of the machine: descriptors (how they are shared: proto/account.h), memory,
   threads. */
#pragma once

#include <stdint.h>

enum {
    /* Unless it is asked for, a further thread wants so many descriptors to serve. */
    LIMITS_THREAD = 32,
    LIMITS_THREADS_MAX = 8,
    /* Of memory: a part of what the machine, or the control group, has; not more than serves. */
    LIMITS_MEMORY_PART = 4,
    LIMITS_MEMORY_MAX_MIB = 512,
};

/* Raises the soft descriptor limit to the hard one, and returns it. Core dumps, which would hold
   the secret, are switched off. */
uint64_t limits_raise(void);

/* The least memory that a control group of this process may have, in bytes; UINT64_MAX: none has a
   limit, or it cannot be known. proc_cgroup: /proc/self/cgroup; mount: /sys/fs/cgroup; others in
   tests. Reads files: start-up only. */
uint64_t limits_cgroup_memory(const char *proc_cgroup, const char *mount);

/* How many bytes may wait for slow readers: asked, or if that is 0, the part above. At least
   OPTION_MEMORY_MIN_MIB. */
uint64_t limits_memory(int64_t asked);

/* How many threads shall serve: asked, or if that is 0, one for each processor this process may
   use, at most LIMITS_THREADS_MAX and what the descriptor limit allows. At least 1. */
unsigned limits_threads(int asked, uint64_t descriptors);
