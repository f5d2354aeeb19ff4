/* SPDX-License-Identifier: MIT */
/* Bytes as lower-case hexadecimal digits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Writes 2 * n digits to out; no NUL. */
void hex_put(char *out, const void *bytes, size_t n);

/* The n bytes that the 2 * n digits at text say. False: one of them is none, or upper case; ret
   then holds nothing of use. */
bool hex_get(void *ret, const char *text, size_t n);
