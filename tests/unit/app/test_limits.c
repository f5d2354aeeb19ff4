/* SPDX-License-Identifier: MIT */
/* What of the machine's memory is ours, and how many threads are used. */
#include "app/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sched.h>

#include "base/log.h"

/* ---- memory ---- */

static char place[64], rm[80];

static void write_in_place(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", place, name);
    for (char *slash = path + strlen(place) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        (void)mkdir(path, 0700);
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static uint64_t group_memory(const char *groups)
{
    char path[128];
    write_in_place("cgroup", groups);
    (void)snprintf(path, sizeof path, "%s/cgroup", place);
    return limits_cgroup_memory(path, place);
}

static void the_tightest_group_counts(void **state)
{
    (void)state;
    (void)snprintf(place, sizeof place, "/tmp/limits.%d", (int)getpid());
    assert_int_equal(mkdir(place, 0700), 0);
    assert_true(limits_cgroup_memory("/nowhere", "/nowhere") == UINT64_MAX);
    assert_true(group_memory("0::/a/b\n") == UINT64_MAX); /* no files */
    write_in_place("a/b/memory.max", "max\n");
    assert_true(group_memory("0::/a/b\n") == UINT64_MAX);
    write_in_place("a/memory.max", "300000000\n");
    assert_true(group_memory("0::/a/b\n") == 300000000);
    write_in_place("memory.max", "200000000\n"); /* of a container, whose root this is */
    assert_true(group_memory("0::/a/b\n") == 200000000);
    assert_true(group_memory("0::/\n") == 200000000);
    write_in_place("a/b/memory.max", "100\n");
    assert_true(group_memory("1:name=x:/a\n0::/a/b\n") == 100);
    write_in_place("memory/d/memory.limit_in_bytes", "9223372036854771712\n");
    write_in_place("memory/memory.limit_in_bytes", "77\n");
    assert_true(group_memory("5:memory:/d\n4:cpu:/a/b\n") == 77);
    assert_true(group_memory("nonsense\n::\n0:\n") == UINT64_MAX);
    (void)snprintf(rm, sizeof rm, "rm -r '%s'", place);
    assert_int_equal(system(rm), 0);
}

static void memory_is_a_part_of_what_there_is(void **state)
{
    (void)state;
    assert_true(limits_memory(12345678) == 12345678);
    uint64_t bytes = limits_memory(0);
    assert_in_range(bytes, 16 << 20, 512 << 20);
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(bytes <= machine / 4 || bytes == 16 << 20);
}

static void threads_follow_the_processors(void **state)
{
    (void)state;
    cpu_set_t all, one;
    unsigned count;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    count = (unsigned)CPU_COUNT(&all);
    assert_int_equal(limits_threads(0, 1 << 20),
                     count < LIMITS_THREADS_MAX ? count : LIMITS_THREADS_MAX);
    CPU_ZERO(&one);
    for (unsigned i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(limits_threads(0, 1 << 20), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void few_descriptors_mean_few_threads(void **state)
{
    (void)state;
    assert_int_equal(limits_threads(0, LIMITS_THREAD - 1), 1);
    assert_int_equal(limits_threads(0, 2 * LIMITS_THREAD - 1), 1);
}

static void what_is_asked_for_is_given(void **state)
{
    (void)state;
    assert_int_equal(limits_threads(64, LIMITS_THREAD - 1), 64);
    assert_int_equal(limits_threads(1, 1 << 20), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tightest_group_counts),
        cmocka_unit_test(memory_is_a_part_of_what_there_is),
        cmocka_unit_test(threads_follow_the_processors),
        cmocka_unit_test(few_descriptors_mean_few_threads),
        cmocka_unit_test(what_is_asked_for_is_given),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
