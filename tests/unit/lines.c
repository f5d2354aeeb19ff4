/* SPDX-License-Identifier: MIT */
/* The log as a test sees it: see lines.h. */
#include "lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

char lines_seen[128 << 10];

void __wrap_log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
    size_t n = strlen(lines_seen);
    va_list ap;
    if (level > LOG_LEVEL_INFO)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(lines_seen + n, sizeof lines_seen - n, fmt, ap);
    va_end(ap);
    (void)strncat(lines_seen, "\n", sizeof lines_seen - strlen(lines_seen) - 1);
}

unsigned lines_count(const char *text)
{
    unsigned count = 0;
    for (char *line = lines_seen, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        count += strstr(line, text) != NULL;
        *end = '\n';
    }
    return count;
}
