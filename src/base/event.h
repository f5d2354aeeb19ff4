/* SPDX-License-Identifier: MIT */
/*
 * Events: what a program has to say to whoever runs it. Each has a word, a level, a text in the
 * user's language and fields with names and types; base/events.def has them all. Saying one is
 *
 *     event_session_ended(name, why);
 *
 * which counts it, and writes its line if the level is wanted, in the form that is wanted (base/log.h). The
 * compiler checks the types, and the text against them. event_table[] says the same as data: the other
 * forms of the log are made by it, and docs/events.md (tools/genevents.c). Words stay as they are in
 * events.def, in small letters, so that one search finds the row and every use.
 *
 * Bytes that came from a peer go through escape_text() first, as ever. What strangers or users can
 * cause has a budget (base/log_budget.h, proto/strangers.h) at the caller. All of it may be used from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

/* Kinds of fields: the type of the parameter, its name alone, and its place in the table. */
#define EVENT_PARAM_TEXT(name)    const char *name
#define EVENT_PARAM_CLIENT(name)  const char *name /* an agent's: "ADDRESS ID", or "ADDRESS" */
#define EVENT_PARAM_COUNT(name)   unsigned name
#define EVENT_PARAM_NUMBER(name)  int name
#define EVENT_PARAM_PORT(name)    long long name /* as a user wrote it, also out of range */
#define EVENT_PARAM_LIMIT(name)   unsigned long long name
#define EVENT_PARAM_BYTES(name)   unsigned long long name
#define EVENT_PARAM_SECONDS(name) double name

#define EVENT_ARG_TEXT(name)    name
#define EVENT_ARG_CLIENT(name)  name
#define EVENT_ARG_COUNT(name)   name
#define EVENT_ARG_NUMBER(name)  name
#define EVENT_ARG_PORT(name)    name
#define EVENT_ARG_LIMIT(name)   name
#define EVENT_ARG_BYTES(name)   name
#define EVENT_ARG_SECONDS(name) name

/* clang-format off */
#define EVENT_FIELD_TEXT(name)     {#name, EVENT_KIND_TEXT}
#define EVENT_FIELD_CLIENT(name)   {#name, EVENT_KIND_CLIENT}
#define EVENT_FIELD_COUNT(name)    {#name, EVENT_KIND_COUNT}
#define EVENT_FIELD_NUMBER(name)   {#name, EVENT_KIND_NUMBER}
#define EVENT_FIELD_PORT(name)     {#name, EVENT_KIND_PORT}
#define EVENT_FIELD_LIMIT(name)    {#name, EVENT_KIND_LIMIT}
#define EVENT_FIELD_BYTES(name)    {#name, EVENT_KIND_BYTES}
#define EVENT_FIELD_SECONDS(name)  {#name, EVENT_KIND_SECONDS}
/* clang-format on */

/* Kinds of texts: what the table has, and what is said. n is the field that one and many count. */
#define EVENT_TEXT_N_(text)          text
#define EVENT_TEXT_NP_(one, many, n) one
#define EVENT_TEXT_RAW_(text)        text
#define EVENT_SAY_N_(text)           _(text)
#define EVENT_SAY_NP_(one, many, n)  P_(one, many, (unsigned long long)(n))
#define EVENT_SAY_RAW_(text)         text

enum event_kind {
    EVENT_KIND_TEXT = 1, /* 0: no field */
    EVENT_KIND_CLIENT,
    EVENT_KIND_COUNT,
    EVENT_KIND_NUMBER,
    EVENT_KIND_PORT,
    EVENT_KIND_LIMIT,
    EVENT_KIND_BYTES,
    EVENT_KIND_SECONDS,
};

/*
 * A row of events.def, whatever its number of fields, is to whoever includes that file
 *
 *     EVENT(word, level, text, (parameters), the call that writes, (fields of the table))
 *
 * In a field, EVENT_PARAM_ ## f with f TEXT(why) is EVENT_PARAM_TEXT(why): const char *why.
 */
/* clang-format off */
#define EVENT0(w, l, t) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (void), event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t), ({0}))
#define EVENT1(w, l, t, a) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (EVENT_PARAM_##a), event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a), \
          (EVENT_FIELD_##a))
#define EVENT2(w, l, t, a, b) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (EVENT_PARAM_##a, EVENT_PARAM_##b), \
          event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b))
#define EVENT3(w, l, t, a, b, c) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (EVENT_PARAM_##a, EVENT_PARAM_##b, EVENT_PARAM_##c), \
          event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b, EVENT_ARG_##c), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b, EVENT_FIELD_##c))
#define EVENT4(w, l, t, a, b, c, d) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, \
          (EVENT_PARAM_##a, EVENT_PARAM_##b, EVENT_PARAM_##c, EVENT_PARAM_##d), \
          event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b, EVENT_ARG_##c, EVENT_ARG_##d), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b, EVENT_FIELD_##c, EVENT_FIELD_##d))
#define EVENT5(w, l, t, a, b, c, d, e) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, \
          (EVENT_PARAM_##a, EVENT_PARAM_##b, EVENT_PARAM_##c, EVENT_PARAM_##d, EVENT_PARAM_##e), \
          event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b, EVENT_ARG_##c, EVENT_ARG_##d, \
                   EVENT_ARG_##e), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b, EVENT_FIELD_##c, EVENT_FIELD_##d, EVENT_FIELD_##e))
#define EVENT6(w, l, t, a, b, c, d, e, f) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, \
          (EVENT_PARAM_##a, EVENT_PARAM_##b, EVENT_PARAM_##c, EVENT_PARAM_##d, EVENT_PARAM_##e, \
           EVENT_PARAM_##f), \
          event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b, EVENT_ARG_##c, EVENT_ARG_##d, \
                   EVENT_ARG_##e, EVENT_ARG_##f), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b, EVENT_FIELD_##c, EVENT_FIELD_##d, EVENT_FIELD_##e, \
           EVENT_FIELD_##f))
#define EVENT7(w, l, t, a, b, c, d, e, f, g) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, \
          (EVENT_PARAM_##a, EVENT_PARAM_##b, EVENT_PARAM_##c, EVENT_PARAM_##d, EVENT_PARAM_##e, \
           EVENT_PARAM_##f, EVENT_PARAM_##g), \
          event_say(this_event, LOG_LEVEL_##l, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b, EVENT_ARG_##c, EVENT_ARG_##d, \
                   EVENT_ARG_##e, EVENT_ARG_##f, EVENT_ARG_##g), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b, EVENT_FIELD_##c, EVENT_FIELD_##d, EVENT_FIELD_##e, \
           EVENT_FIELD_##f, EVENT_FIELD_##g))

/* About a stranger: "event=word src=address" stands before the text, whatever the language. */
#define EVENT_STRANGER1(w, l, t, a) \
    EVENT(stranger_##w, LOG_LEVEL_##l, EVENT_TEXT_##t, (const char *src, EVENT_PARAM_##a), \
          event_stranger_line(this_event, LOG_LEVEL_##l, #w, src, EVENT_SAY_##t, EVENT_ARG_##a), \
          ({"src", EVENT_KIND_TEXT}, EVENT_FIELD_##a))
#define EVENT_STRANGER2(w, l, t, a, b) \
    EVENT(stranger_##w, LOG_LEVEL_##l, EVENT_TEXT_##t, (const char *src, EVENT_PARAM_##a, EVENT_PARAM_##b), \
          event_stranger_line(this_event, LOG_LEVEL_##l, #w, src, EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b), \
          ({"src", EVENT_KIND_TEXT}, EVENT_FIELD_##a, EVENT_FIELD_##b))

/* The same, said again: for the debug log. */
#define EVENT_AGAIN_LEVEL(l) again ? LOG_LEVEL_DEBUG : LOG_LEVEL_##l
#define EVENT_AGAIN0(w, l, t) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (bool again), event_say(this_event, EVENT_AGAIN_LEVEL(l), EVENT_SAY_##t), ({0}))
#define EVENT_AGAIN1(w, l, t, a) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (bool again, EVENT_PARAM_##a), \
          event_say(this_event, EVENT_AGAIN_LEVEL(l), EVENT_SAY_##t, EVENT_ARG_##a), (EVENT_FIELD_##a))
#define EVENT_AGAIN2(w, l, t, a, b) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (bool again, EVENT_PARAM_##a, EVENT_PARAM_##b), \
          event_say(this_event, EVENT_AGAIN_LEVEL(l), EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b))
#define EVENT_AGAIN3(w, l, t, a, b, c) \
    EVENT(w, LOG_LEVEL_##l, EVENT_TEXT_##t, (bool again, EVENT_PARAM_##a, EVENT_PARAM_##b, EVENT_PARAM_##c), \
          event_say(this_event, EVENT_AGAIN_LEVEL(l), EVENT_SAY_##t, EVENT_ARG_##a, EVENT_ARG_##b, EVENT_ARG_##c), \
          (EVENT_FIELD_##a, EVENT_FIELD_##b, EVENT_FIELD_##c))
/* clang-format on */

enum event {
#define EVENT(word, level, text, params, line, fields) EVENT_##word,
#include "base/events.def"
#undef EVENT
    EVENTS_COUNT,
};

/* One function for each: event_<word>(fields). */
#define EVENT(word, level, text, params, line, fields) void event_##word params;
#include "base/events.def"
#undef EVENT

enum { EVENT_FIELDS_MAX = 7 };

struct event_field {
    const char *name; /* NULL: no more fields */
    enum event_kind kind;
};

struct event_row {
    const char *word;
    enum log_level level;
    const char
        *text; /* English, of one with plural forms that of many; i18n_text() translates it */
    struct event_field fields[EVENT_FIELDS_MAX];
};

extern const struct event_row event_table[EVENTS_COUNT];

struct log_record;

/* told(e, record) whenever e is said, whatever level is wanted: for whoever acts on events. From any thread that
   says it; it must not say e itself. While there is one thread; there is one for each event. */
void event_watch(enum event e, void (*told)(enum event e, const struct log_record *r));

/* How often it was said since the program began, whatever level was wanted. What a budget held
   back was not said. */
uint64_t event_count(enum event e);
