/* SPDX-License-Identifier: MIT */
/* Integers as Go's flag package reads them (strconv.ParseInt with base 0). */
#pragma once

#include <stdint.h>

#include "base/attr.h"

/*
 * Reads an optional sign and a number: decimal, or 0x, 0o or a leading 0 (octal), 0b; underscores
 * between digits or after the prefix. Nothing may surround it. 0, ERR_INVAL (not a number) or
 * ERR_RANGE (not in 64 bits). *ret is written on success only.
 */
int number_parse(const char *text, int64_t *ret) MUST_USE;
