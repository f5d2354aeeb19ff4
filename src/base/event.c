/* SPDX-License-Identifier: MIT */
/* Events: the function of each, which counts and writes a line, and the table of all. */
#include "base/event.h"

#include <stdatomic.h>

#include "base/i18n.h"

static _Atomic uint64_t counts[EVENTS_COUNT];

static void count(enum event e)
{
    atomic_fetch_add_explicit(&counts[e], 1, memory_order_relaxed);
}

uint64_t event_count(enum event e)
{
    return atomic_load_explicit(&counts[e], memory_order_relaxed);
}

#define EVENT(word, level, text, params, line, fields)                                             \
    void event_##word params                                                                       \
    {                                                                                              \
        count(EVENT_##word);                                                                       \
        log_line line;                                                                             \
    }
#include "base/events.def"
#undef EVENT

#define EVENT_LIST(...) __VA_ARGS__

#define EVENT(word, level, text, params, line, fields) {#word, level, text, {EVENT_LIST fields}},
const struct event_row event_table[EVENTS_COUNT] = {
#include "base/events.def"
};
#undef EVENT
