/* SPDX-License-Identifier: MIT */
/* Resource limits at start-up. */
#include "app/limits.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/event.h"

uint64_t limits_raise(void)
{
    struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core); /* lowering a limit cannot fail */

    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        files.rlim_cur = files.rlim_max = 1024; /* what POSIX systems give by default */
    rlim_t soft = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        files.rlim_cur = soft;
    return files.rlim_cur;
}

uint32_t limits_connections(uint64_t descriptors, unsigned loops)
{
    uint64_t further = (uint64_t)(loops - 1) * LIMITS_LOOP;
    if (descriptors < LIMITS_DESCRIPTORS_MIN + further)
        return 0;
    uint64_t limit = descriptors - further;
    uint64_t own = limit / 2 < LIMITS_OWN ? limit / 2 : LIMITS_OWN;
    uint64_t reserve = limit / 4 < LIMITS_RESERVE ? limit / 4 : LIMITS_RESERVE;
    if (reserve < own)
        reserve = own;
    uint64_t most = limit - reserve;
    if (most > LIMITS_CONNECTIONS_MAX)
        most = LIMITS_CONNECTIONS_MAX;
    event_descriptor_limit(descriptors, (unsigned)most);
    return (uint32_t)most;
}

/* The machine's processors, where there are more than fit into a cpu_set_t. */
static unsigned processors(void)
{
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) == 0)
        return (unsigned)CPU_COUNT(&usable);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

unsigned limits_threads(int asked, uint64_t descriptors)
{
    if (asked > 0)
        return (unsigned)asked;
    unsigned n = processors();
    if (n > LIMITS_THREADS_MAX)
        n = LIMITS_THREADS_MAX;
    if (n > descriptors / LIMITS_THREAD)
        n = (unsigned)(descriptors / LIMITS_THREAD);
    return n > 0 ? n : 1;
}
