/* SPDX-License-Identifier: MIT */
/* Runs of units, the first that fits: keys are made and freed once a year. */
#include "base/key_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/secure.h"

enum { UNITS = KEY_POOL_BYTES / KEY_POOL_UNIT };

static uint8_t *pool; /* constant once there are threads */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint16_t length[UNITS]; /* of the piece that begins here; under the lock */
static bool is_taken[UNITS];   /* under the lock */
/* We are a program: nothing that is loaded later needs it, and so no call that asks where it is. */
static _Thread_local bool is_inside __attribute__((tls_model("initial-exec")));

void key_pool_init(void)
{
    if (!pool)
        pool = secure_alloc(KEY_POOL_BYTES);
}

void key_pool_enter(void)
{
    is_inside = true;
}

void key_pool_leave(void)
{
    is_inside = false;
}

/* The first of n free units in a row, or UNITS. */
static size_t find_run(size_t n)
{
    size_t run = 0;
    for (size_t i = 0; i < UNITS; i++) {
        run = is_taken[i] ? 0 : run + 1;
        if (run == n)
            return i + 1 - n;
    }
    return UNITS;
}

static void *take(size_t bytes)
{
    void *p = NULL;
    size_t n = (bytes + KEY_POOL_UNIT - 1) / KEY_POOL_UNIT;
    (void)pthread_mutex_lock(&lock); /* cannot fail: neither recursive nor robust */
    size_t first = find_run(n);
    if (first < UNITS) {
        length[first] = (uint16_t)n;
        memset(is_taken + first, true, n);
        p = pool + first * KEY_POOL_UNIT;
    }
    (void)pthread_mutex_unlock(&lock);
    return p;
}

static bool is_ours(const void *p)
{
    return (uintptr_t)p - (uintptr_t)pool < KEY_POOL_BYTES && pool;
}

static size_t unit_of(const void *p)
{
    return (size_t)((const uint8_t *)p - pool) / KEY_POOL_UNIT;
}

static void give_back(void *p)
{
    size_t first = unit_of(p);
    (void)pthread_mutex_lock(&lock);
    secure_zero(p, (size_t)length[first] * KEY_POOL_UNIT);
    memset(is_taken + first, false, length[first]);
    length[first] = 0;
    (void)pthread_mutex_unlock(&lock);
}

void *key_pool_alloc(size_t n)
{
    void *p = is_inside && pool && n > 0 && n <= KEY_POOL_BYTES ? take(n) : NULL;
    return p || n == 0 ? p : malloc(n);
}

void *key_pool_realloc(void *p, size_t n)
{
    if (p && !is_ours(p) && n > 0)
        return realloc(p, n);
    void *q = key_pool_alloc(n);
    if (!q && n > 0)
        return NULL;
    if (p && q) {
        size_t had = (size_t)length[unit_of(p)] * KEY_POOL_UNIT;
        memcpy(q, p, had < n ? had : n);
    }
    key_pool_free(p);
    return q;
}

void key_pool_free(void *p)
{
    if (is_ours(p))
        give_back(p);
    else
        free(p);
}
