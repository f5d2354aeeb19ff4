/* SPDX-License-Identifier: MIT */
/*
 * One line of the log for programs: what was said, as data, in the two forms that are not plain text.
 *
 *   json      {"ts":"2026-01-02T15:04:05.000000Z","level":"warn","event":"session_detached",
 *             "client":"nas","peer":"192.0.2.1:4711","why":"...","seconds":60,"message":"..."}
 *             one object, one line, valid UTF-8 whatever was put in
 *   journal   a datagram of journald's native protocol: MESSAGE, PRIORITY, MESSAGE_ID,
 *             SYSLOG_IDENTIFIER, GOTUNNEL_EVENT and a field GOTUNNEL_<NAME> for each of the event's
 *
 * Pure: the caller has the clock and the descriptor. Each text is cut to a bound, never inside of a
 * character or an escape.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/log.h"

enum {
    LOG_RECORD_FIELDS = 10,
    LOG_RECORD_ID = 33, /* 32 hexadecimal digits and a NUL */
    /* Of the output, for the message and for each text of a field. */
    LOG_RECORD_MESSAGE = 4096,
    LOG_RECORD_TEXT = 1024,
    /* All of a record: the message, the fields with their names, and 512 for what is always there. */
    LOG_RECORD_MAX = LOG_RECORD_MESSAGE + LOG_RECORD_FIELDS * (LOG_RECORD_TEXT + 64) + 512,
};

enum log_value_kind {
    LOG_VALUE_TEXT,
    LOG_VALUE_CLIENT, /* "ADDRESS" or "ADDRESS ID", as an agent is called: fields peer and client */
    LOG_VALUE_SIGNED,
    LOG_VALUE_UNSIGNED,
    LOG_VALUE_SECONDS, /* number_signed thousandths */
};

struct log_value {
    const char *name; /* small letters and _ */
    enum log_value_kind kind;
    const char *text; /* of the first two */
    long long number_signed;
    unsigned long long number;
};

struct log_record {
    struct timespec at;
    enum log_level level;
    const char *event;   /* its word */
    const char *message; /* as the text form has it, without the time */
    struct log_value fields[LOG_RECORD_FIELDS];
    unsigned count;
};

/* "warn" and so on, for programs. Static. */
const char *log_record_level(enum log_level level);

/* Both: the length of what is in out, which has room for LOG_RECORD_MAX. */
size_t log_record_json(char out[LOG_RECORD_MAX], const struct log_record *r); /* with its LF */
size_t log_record_journal(char out[LOG_RECORD_MAX], const struct log_record *r);

/* The MESSAGE_ID of an event's word: the same in every version. */
void log_record_id(char ret[LOG_RECORD_ID], const char *word);
