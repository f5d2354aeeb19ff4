/* SPDX-License-Identifier: MIT */
/*
 * The log sink. One event is one line on stderr: `2006/01/02 15:04:05.000000 text`, local time, as
 * in the Go original. Only tunnel/, server/, client/ and the programs log; libraries below return
 * errors. Text that came from a peer goes through escape_text() (base/escape.h) first.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

/* Lines above this level are dropped. Default LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/* True when a line of this level would be written: to skip costly arguments. */
bool log_enabled(enum log_level level);

/* Writes one line (one write(2), cut at 2 KiB). Keeps errno. Thread-safe. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
