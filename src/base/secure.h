/* SPDX-License-Identifier: MIT */
/* Handling of secrets in memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

/*
 * n zeroed bytes, at least one, for what is secret as long as the program runs: pages of their own
 * that are neither swapped out nor dumped, as far as the system allows (RLIMIT_MEMLOCK may not).
 * The caller's, until secure_free() with the same n, which wipes them; NULL is fine there. NULL: no
 * memory.
 */
void *secure_alloc(size_t n) MUST_USE;
void secure_free(void *p, size_t n);

/* Overwrites n bytes in a way the compiler may not leave out. */
void secure_zero(void *p, size_t n);

/*
 * True when the two strings of bytes are equal. The time taken depends on guess_len only, never on
 * the secret's bytes, its length, or the place of the first difference.
 */
bool secure_equal(const void *secret, size_t secret_len, const void *guess, size_t guess_len);
