/* SPDX-License-Identifier: MIT */
/* The process's memory as the system sees it. */
#pragma once

#include <stddef.h>

/* Gives back to the system what was freed and the C library still keeps; nothing where that is musl,
   which keeps little. Takes milliseconds for hundreds of megabytes: for rare occasions. */
void memory_give_back(void);

/* As memset() to 0, but writes nothing where it is 0 already: a page of a fresh table that nobody has used costs
   nothing then. Slower than memset(): for tables of tens of KB that are made once. */
void memory_zero(void *p, size_t n);
