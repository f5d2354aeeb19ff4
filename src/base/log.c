/* SPDX-License-Identifier: MIT */
/* The log sink: formats a line with its time stamp and writes it in one piece. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static atomic_int log_max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&log_max_level, (int)level);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load(&log_max_level);
}

/* Length of what snprintf and friends really put into room bytes. */
static size_t written(int n, size_t room)
{
    if (n < 0)
        return 0;
    return (size_t)n < room ? (size_t)n : room - 1;
}

static size_t put_time(char *buf, size_t room)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    localtime_r(&ts.tv_sec, &tm);
    return written(snprintf(buf, room, "%04d/%02d/%02d %02d:%02d:%02d.%06ld ", tm.tm_year + 1900,
                            tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                            ts.tv_nsec / 1000),
                   room);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    char line[LINE_MAX_BYTES];
    size_t n = put_time(line, sizeof line - 1);
    va_list ap;
    va_start(ap, fmt);
    n += written(vsnprintf(line + n, sizeof line - 1 - n, fmt, ap), sizeof line - 1 - n);
    va_end(ap);
    line[n++] = '\n';
    ssize_t r = write(STDERR_FILENO, line, n);
    (void)r; /* nowhere to report a failing log to */
    errno = saved;
}
