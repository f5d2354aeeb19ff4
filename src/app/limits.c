/* SPDX-License-Identifier: MIT */
/* Resource limits at start-up. */
#include "app/limits.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "conf/options.h"

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

/* ---- memory ---- */

enum { PATH_BYTES = 4096 }; /* PATH_MAX */

/* The number in a file; UINT64_MAX: there is no file, or "max" in it. */
static uint64_t number_in(const char *path)
{
    char text[32] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return UINT64_MAX;
    char *end = fgets(text, sizeof text, f);
    (void)fclose(f); /* it was read */
    uint64_t n = end ? strtoull(text, &end, 10) : UINT64_MAX;
    return end && end != text ? n : UINT64_MAX;
}

/* The least limit of a group and those it is in. name begins with "/", and is cut. */
static uint64_t least_above(const char *mount, char *name, const char *file)
{
    char path[PATH_BYTES];
    uint64_t least = UINT64_MAX;
    for (;;) {
        int n = snprintf(path, sizeof path, "%s%s/%s", mount, name, file);
        uint64_t limit = n < (int)sizeof path ? number_in(path) : UINT64_MAX;
        if (limit < least)
            least = limit;
        char *slash = strrchr(name, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

uint64_t limits_cgroup_memory(const char *proc_cgroup, const char *mount)
{
    char line[PATH_BYTES], v1[PATH_BYTES];
    uint64_t least = UINT64_MAX;
    FILE *f = fopen(proc_cgroup, "re");
    (void)snprintf(v1, sizeof v1, "%s/memory", mount);
    while (f && fgets(line, sizeof line, f)) { /* 0::/name, or 4:memory:/name of version 1 */
        line[strcspn(line, "\n")] = '\0';
        char *kind = strchr(line, ':'), *name = kind ? strchr(kind + 1, ':') : NULL;
        if (!name || name[1] != '/')
            continue;
        *name++ = '\0';
        bool is_v2 = kind[1] == '\0';
        if (!is_v2 && strcmp(kind + 1, "memory") != 0)
            continue;
        uint64_t limit = is_v2 ? least_above(mount, name, "memory.max")
                               : least_above(v1, name, "memory.limit_in_bytes");
        if (limit < least)
            least = limit;
    }
    if (f)
        (void)fclose(f); /* it was read */
    return least;
}

uint64_t limits_memory(int64_t asked)
{
    if (asked > 0)
        return (uint64_t)asked;
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    uint64_t group = limits_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup");
    uint64_t bytes = (group < machine ? group : machine) / LIMITS_MEMORY_PART;
    uint64_t least = (uint64_t)OPTION_MEMORY_MIN_MIB << 20,
             most = (uint64_t)LIMITS_MEMORY_MAX_MIB << 20;
    return bytes < least ? least : bytes > most ? most : bytes;
}

/* ---- threads ---- */

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
