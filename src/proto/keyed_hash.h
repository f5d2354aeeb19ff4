/* SPDX-License-Identifier: MIT */
/*
 * A 64-bit number for bytes that strangers choose: the beginning of their HMAC-SHA256 under a key
 * that only we have. So nobody can look for bytes that have a given number, or two with the same.
 * proto/hash.h is for tables that stay right when somebody does.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { KEYED_HASH_KEY_BYTES = 16 };

/* Never 0, so that 0 can stand for none. Without memory all bytes have the same number, once. */
uint64_t keyed_hash(const uint8_t key[KEYED_HASH_KEY_BYTES], const void *p, size_t n);
