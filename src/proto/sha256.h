/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4): the check of texts that people copy. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { SHA256_BYTES = 32 };

/* Of the n bytes at p. 0; ERR_NOMEM: ret is zero. */
int sha256(uint8_t ret[SHA256_BYTES], const void *p, size_t n) MUST_USE;
