/* SPDX-License-Identifier: MIT */
/* The log sink: formats a line with its time stamp and hands it over in one piece. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/outlet.h"

enum { LINE_MAX_BYTES = 2048 };

static size_t lost_line(char *out, size_t room, unsigned lost);

static atomic_int log_max_level = LOG_LEVEL_INFO;
static struct outlet out = OUTLET_INIT(STDERR_FILENO, "log", lost_line);

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
    outlet_put(&out, line, n);
    errno = saved;
}

static size_t lost_line(char *line, size_t room, unsigned lost)
{
    size_t n = put_time(line, room - 1);
    n += written(snprintf(line + n, room - 1 - n,
                          P_("%u line of the log was lost: nothing took it",
                             "%u lines of the log were lost: nothing took them", lost),
                          lost),
                 room - 1 - n);
    line[n++] = '\n';
    return n;
}

void log_text(const char *text)
{
    outlet_put(&out, text, strlen(text));
}

void log_hold(void)
{
    outlet_hold(&out);
}

void log_release(void)
{
    outlet_release(&out);
}

void log_flush(void)
{
    (void)outlet_flush(&out, LOG_FLUSH_MS); /* whoever does not read has had the time */
}
