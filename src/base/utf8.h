/* SPDX-License-Identifier: MIT */
/* UTF-8, as RFC 3629 has it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The character that begins at text, of which n bytes may be read: its number in *ret, and its
 * length in bytes. 0: there is none (n is 0; cut, overlong, a surrogate, above U+10FFFF); *ret is
 * untouched then.
 */
size_t utf8_get(uint32_t *ret, const void *text, size_t n);
