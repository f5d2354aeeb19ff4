/* SPDX-License-Identifier: MIT */
#include "unit/no_memory.h"

#include <openssl/crypto.h>
#include <stdlib.h>

int no_memory_calls;
static int fail_at = -1;

static void *failing_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return no_memory_calls++ == fail_at ? NULL : malloc(n);
}

static void *failing_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return no_memory_calls++ == fail_at ? NULL : realloc(p, n);
}

static void put_back(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

bool no_memory_init(void)
{
    return CRYPTO_set_mem_functions(failing_malloc, failing_realloc, put_back);
}

void no_memory_at(int at)
{
    no_memory_calls = 0;
    fail_at = at;
}

void no_memory_end(void)
{
    fail_at = -1;
}
