/* SPDX-License-Identifier: MIT */
/* Events: the function of each, which counts and writes a line, and the table of all. */
#include "base/event.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/i18n.h"

enum { STRANGER_TEXT_MAX = 1024 };

static _Atomic uint64_t counts[EVENTS_COUNT];

static void count(enum event e)
{
    atomic_fetch_add_explicit(&counts[e], 1, memory_order_relaxed);
}

uint64_t event_count(enum event e)
{
    return atomic_load_explicit(&counts[e], memory_order_relaxed);
}

static void event_stranger_line(enum log_level level, const char *word, const char *src,
                                const char *fmt, ...) PRINTF_LIKE(4, 5);
static void event_stranger_line(enum log_level level, const char *word, const char *src,
                                const char *fmt, ...)
{
    char text[STRANGER_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut to the field on purpose */
    va_end(ap);
    log_line(level, "event=%s src=%s %s", word, src, text);
}

#define EVENT(word, level, text, params, line, fields)                                             \
    void event_##word params                                                                       \
    {                                                                                              \
        count(EVENT_##word);                                                                       \
        line;                                                                                      \
    }
#include "base/events.def"
#undef EVENT

#define EVENT_LIST(...) __VA_ARGS__

#define EVENT(word, level, text, params, line, fields) {#word, level, text, {EVENT_LIST fields}},
const struct event_row event_table[EVENTS_COUNT] = {
#include "base/events.def"
};
#undef EVENT
