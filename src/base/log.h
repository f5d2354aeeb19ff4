/* SPDX-License-Identifier: MIT */
/*
 * The log sink. One event (base/event.h) is one line on stderr: `2006/01/02 15:04:05.000000 text`,
 * local time, as in the Go original; or an object of JSON, or a datagram for the journal
 * (base/log_record.h). Only tunnel/, server/, client/ and the programs log; libraries
 * below return errors. Text that came from a peer goes through escape_text() (base/escape.h) first.
 *
 * Whoever logs never waits for stderr: lines go through an outlet (base/outlet.h), whose thread
 * begins with the first line. What stderr does not take in time is counted, and said later.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

enum log_level {
    LOG_LEVEL_ASKED = -1, /* what a person has asked for by a signal: written whatever the level */
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum { LOG_LINE_MAX = 2048 }; /* bytes of a line as text, time and line feed included */

enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,    /* one object a line, whatever is said from then on */
    LOG_FORMAT_JOURNAL, /* datagrams, if stderr is the journal (JOURNAL_STREAM) */
};

struct log_record;

/* From now on lines have this form. While there is one thread, before the cage: a socket is opened. 0, or
   ERR_NOTFOUND: stderr is not the journal, ERR_IO: it cannot be reached; the form stays as it was. */
int log_set_format(enum log_format format) MUST_USE;
enum log_format log_format(void);

/* One event as data, in the form that is set, which is not text; r->at is filled in. Keeps errno. Thread-safe. */
void log_record(struct log_record *r);

/* Lines above this level are dropped. Default LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/* True when a line of this level would be written: to skip costly arguments. */
bool log_enabled(enum log_level level);

/* One line (one write(2), cut at 2 KiB). Keeps errno. Thread-safe. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Text that is no line of the log, a list of options for example, as it is, in its turn; in another form than
   text each of its lines is an event `text`. */
void log_text(const char *text);

/* A program starts: until log_release() the log makes no thread (base/outlet.h). */
void log_hold(void);
void log_release(void);

/* The program ends: waits until stderr has taken all of it, at most LOG_FLUSH_MS. Whatever comes
   later may be lost. */
enum { LOG_FLUSH_MS = 1000 };
void log_flush(void);

/* For developers, not translated. All else is an event (base/event.h). */
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
