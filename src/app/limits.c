/* SPDX-License-Identifier: MIT */
/* Resource limits at start-up. */
#include "app/limits.h"

#include <sys/resource.h>

#include "base/i18n.h"
#include "base/log.h"

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
    uint64_t reserve = limit / 4 < LIMITS_RESERVE ? limit / 4 : LIMITS_RESERVE;
    uint64_t most = limit - reserve;
    if (most > LIMITS_CONNECTIONS_MAX)
        most = LIMITS_CONNECTIONS_MAX;
    log_info(_("descriptor limit %llu: up to %u connections at once"),
             (unsigned long long)descriptors, (unsigned)most);
    return (uint32_t)most;
}
