/* SPDX-License-Identifier: MIT */
/* Events: the function of each, which counts and writes a line, and the table of all. */
#include "base/event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/i18n.h"
#include "base/log_record.h"

enum { STRANGER_TEXT_MAX = 1024 };

static _Atomic uint64_t counts[EVENTS_COUNT];

typedef void (*watcher)(enum event e, const struct log_record *r);
static watcher watchers[EVENTS_COUNT]; /* constant while there are threads */

static void count(enum event e)
{
    atomic_fetch_add_explicit(&counts[e], 1, memory_order_relaxed);
}

uint64_t event_count(enum event e)
{
    return atomic_load_explicit(&counts[e], memory_order_relaxed);
}

void event_watch(enum event e, watcher told)
{
    watchers[e] = told;
}

/* Whether anybody wants to know. */
static bool is_wanted(enum event e, enum log_level level)
{
    return log_enabled(level) || watchers[e];
}

/* The arguments of an event, in a struct so that they can be handed on. */
struct arguments {
    va_list list;
};

static void take_argument(struct log_value *v, enum event_kind kind, struct arguments *args)
{
    switch (kind) {
    case EVENT_KIND_TEXT:
    case EVENT_KIND_CLIENT:
        v->kind = kind == EVENT_KIND_TEXT ? LOG_VALUE_TEXT : LOG_VALUE_CLIENT;
        v->text = va_arg(args->list, const char *);
        break;
    case EVENT_KIND_COUNT:
        v->kind = LOG_VALUE_UNSIGNED;
        v->number = va_arg(args->list, unsigned);
        break;
    case EVENT_KIND_NUMBER:
        v->kind = LOG_VALUE_SIGNED;
        v->number_signed = va_arg(args->list, int);
        break;
    case EVENT_KIND_PORT:
        v->kind = LOG_VALUE_SIGNED;
        v->number_signed = va_arg(args->list, long long);
        break;
    case EVENT_KIND_LIMIT:
    case EVENT_KIND_BYTES:
        v->kind = LOG_VALUE_UNSIGNED;
        v->number = va_arg(args->list, unsigned long long);
        break;
    case EVENT_KIND_SECONDS:
        v->kind = LOG_VALUE_SECONDS;
        v->number_signed = (long long)(va_arg(args->list, double) * 1000 + 0.5);
        break;
    }
}

/* As data; src: the first field of a row about a stranger, or NULL. */
static void fill_record(struct log_record *r, enum event e, const char *src, struct arguments *args)
{
    const struct event_row *row = &event_table[e];
    r->event = row->word;
    for (; r->count < EVENT_FIELDS_MAX && row->fields[r->count].name; r->count++) {
        struct log_value *v = &r->fields[r->count];
        v->name = row->fields[r->count].name;
        if (src && r->count == 0)
            *v = (struct log_value){.name = v->name, .kind = LOG_VALUE_TEXT, .text = src};
        else
            take_argument(v, row->fields[r->count].kind, args);
    }
}

/* The line, in the form that is wanted, and whoever watches. */
static void write_event(enum event e, enum log_level level, const char *text, const char *src,
                        struct arguments *args)
{
    struct log_record r = {.level = level, .message = text};
    if (log_format() == LOG_FORMAT_TEXT && log_enabled(level))
        log_line(level, "%s", text);
    if (log_format() == LOG_FORMAT_TEXT && !watchers[e])
        return;
    fill_record(&r, e, src, args);
    if (log_format() != LOG_FORMAT_TEXT && log_enabled(level))
        log_record(&r);
    if (watchers[e])
        watchers[e](e, &r);
}

static void event_say(enum event e, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void event_say(enum event e, enum log_level level, const char *fmt, ...)
{
    char text[LOG_LINE_MAX];
    struct arguments args;
    int saved = errno;
    if (!is_wanted(e, level))
        return;
    va_start(args.list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args.list); /* cut on purpose */
    va_end(args.list);
    va_start(args.list, fmt);
    write_event(e, level, text, NULL, &args);
    va_end(args.list);
    errno = saved;
}

static void event_stranger_line(enum event e, enum log_level level, const char *word,
                                const char *src, const char *fmt, ...) PRINTF_LIKE(5, 6);
static void event_stranger_line(enum event e, enum log_level level, const char *word,
                                const char *src, const char *fmt, ...)
{
    char text[STRANGER_TEXT_MAX], line[LOG_LINE_MAX];
    struct arguments args;
    if (!is_wanted(e, level))
        return;
    va_start(args.list, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args.list); /* cut to the field on purpose */
    va_end(args.list);
    (void)snprintf(line, sizeof line, "event=%s src=%s %s", word, src, text); /* cut on purpose */
    va_start(args.list, fmt);
    write_event(e, level, line, src, &args);
    va_end(args.list);
}

#define EVENT(word, level, text, params, line, fields)                                             \
    void event_##word params                                                                       \
    {                                                                                              \
        const enum event this_event = EVENT_##word;                                                \
        count(this_event);                                                                         \
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
