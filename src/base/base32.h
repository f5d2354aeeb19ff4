/* SPDX-License-Identifier: MIT */
/* Bytes as lower-case base32 (RFC 4648, section 6: a-z, 2-7) without padding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How many characters n bytes are. */
#define BASE32_LEN(n) (((n)*8 + 4) / 5)

/* Writes BASE32_LEN(n) characters to out; no NUL. */
void base32_put(char *out, const void *bytes, size_t n);

/*
 * The n bytes that the BASE32_LEN(n) characters at text say. False: one of them is none, or upper
 * case, or the last one has bits that belong to no byte; ret then holds nothing of use. So the same
 * bytes have one text only. Who has a text of len characters asks for len * 5 / 8 bytes, and looks
 * whether BASE32_LEN() of these is len.
 */
bool base32_get(void *ret, const char *text, size_t n);
