/* SPDX-License-Identifier: MIT */
/* Allocation as an argument, so that a test can fail the n-th one. NULL: malloc and free. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

struct alloc {
    void *(*get)(const struct alloc *a, size_t n); /* NULL when there is no memory */
    void (*put)(const struct alloc *a, void *p);   /* NULL is fine */
    void *ctx;
};

static inline void *alloc_get(const struct alloc *a, size_t n)
{
    return a ? a->get(a, n) : malloc(n);
}

static inline void alloc_put(const struct alloc *a, void *p)
{
    if (a)
        a->put(a, p);
    else
        free(p);
}
