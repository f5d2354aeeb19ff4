/* SPDX-License-Identifier: MIT */
#include "said.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char said[SAID_MAX];

void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t n = strlen(said);
    (void)vsnprintf(said + n, sizeof said - n, fmt, args);
    va_end(args);
}
