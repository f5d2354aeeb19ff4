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

#include "base/err.h"
#include "base/i18n.h"
#include "base/journal.h"
#include "base/log_record.h"
#include "base/outlet.h"

enum { LOST_TEXT_MAX = 200 };

static size_t lost_line(char *out, size_t room, unsigned lost);

static atomic_int log_max_level = LOG_LEVEL_INFO;
static enum log_format form = LOG_FORMAT_TEXT; /* set before there are threads */
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

/* ---- records ---- */

/* The length in line, which has room for LOG_RECORD_MAX. */
static size_t put_record(char *line, struct log_record *r)
{
    clock_gettime(CLOCK_REALTIME, &r->at);
    return form == LOG_FORMAT_JOURNAL ? log_record_journal(line, r) : log_record_json(line, r);
}

void log_record(struct log_record *r)
{
    char line[LOG_RECORD_MAX];
    int saved = errno;
    outlet_put(&out, line, put_record(line, r));
    errno = saved;
}

enum log_format log_format(void)
{
    return form;
}

static int use_journal(void)
{
    int fd = journal_open(JOURNAL_SOCKET);
    if (fd < 0)
        return ERR_IO;
    outlet_redirect(&out, fd, journal_send);
    form = LOG_FORMAT_JOURNAL;
    return 0;
}

int log_set_format(enum log_format format)
{
    if (format == LOG_FORMAT_JOURNAL && form != format)
        return journal_is(STDERR_FILENO) ? use_journal() : ERR_NOTFOUND;
    form = format;
    return 0;
}

/* ---- lines ---- */

/* A line that is no event: for developers. */
static void record_line(enum log_level level, const char *event, const char *text)
{
    log_record(&(struct log_record){.level = level, .event = event, .message = text});
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    char line[LOG_LINE_MAX];
    if (form != LOG_FORMAT_TEXT) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(line, sizeof line, fmt, args); /* cut on purpose */
        va_end(args);
        record_line(level, "debug", line);
        errno = saved;
        return;
    }
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
    char text[LOST_TEXT_MAX];
    size_t n = written(snprintf(text, sizeof text,
                                P_("%u line of the log was lost: nothing took it",
                                   "%u lines of the log were lost: nothing took them", lost),
                                lost),
                       sizeof text);
    if (form != LOG_FORMAT_TEXT && room >= LOG_RECORD_MAX) {
        struct log_record r = {
            .level = LOG_LEVEL_WARN, .event = "lines_lost", .message = text, .count = 1};
        r.fields[0] =
            (struct log_value){.name = "lines", .kind = LOG_VALUE_UNSIGNED, .number = lost};
        return put_record(line, &r);
    }
    size_t at = put_time(line, room - 1);
    if (n > room - 1 - at)
        n = room - 1 - at;
    memcpy(line + at, text, n);
    line[at + n] = '\n';
    return at + n + 1;
}

void log_text(const char *text)
{
    char line[LOG_LINE_MAX];
    if (form == LOG_FORMAT_TEXT) {
        outlet_put(&out, text, strlen(text));
        return;
    }
    while (*text) {
        size_t n = strcspn(text, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line), text);
        record_line(LOG_LEVEL_INFO, "text", line);
        text += n + (text[n] == '\n');
    }
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
