/* SPDX-License-Identifier: MIT */
/* Amounts of memory, as people write them: "64M", "512MiB", "1G". */
#pragma once

#include <stdint.h>

#include "base/attr.h"

/*
 * Reads a decimal number and a unit: K, M, G or T, in either case, alone or followed by "B" or
 * "iB"; all are powers of 1,024. Without a unit it is bytes. 0; ERR_INVAL: it is none of that;
 * ERR_RANGE: it does not fit. *ret_bytes, 0 or more, is written on success only.
 */
int size_parse(const char *text, int64_t *ret_bytes) MUST_USE;
