/* SPDX-License-Identifier: MIT */
/* Handling of secrets in memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Overwrites n bytes in a way the compiler may not leave out. */
void secure_zero(void *p, size_t n);

/*
 * True when the two strings of bytes are equal. The time taken depends on guess_len only, never on
 * the secret's bytes, its length, or the place of the first difference.
 */
bool secure_equal(const void *secret, size_t secret_len, const void *guess, size_t guess_len);
