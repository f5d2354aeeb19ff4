/* SPDX-License-Identifier: MIT */
/*
 * What differs between the options a program runs with and those that its file says now. By the one
 * table: when the other value of a row counts stands in it (option.reload). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "conf/options.h"

/* Bit i: row i of the mode's table has another value. */
struct options_diff {
    uint32_t live;    /* RELOAD_LIVE */
    uint32_t restart; /* RELOAD_RESTART */
};

/* Compares the options structs of m at was and is. A row that the file cannot say does not count. */
struct options_diff options_diff(const struct mode *m, const void *was, const void *is);

/* Gives the rows of the bits, in the options struct at to, the values they have at from; strings
   and lists then point to where those point. */
void options_copy(const struct mode *m, uint32_t rows, const void *from, void *to);

/* The bit of the row of m called name; 0: there is none. */
uint32_t options_bit(const struct mode *m, const char *name);

/* The row of m called name is in rows. */
bool options_have(const struct mode *m, uint32_t rows, const char *name);
