/* SPDX-License-Identifier: MIT */
/* A bounded row of sentences, sorted by their places. */
#include "conf/config_errors.h"

#include <stdio.h>
#include <string.h>

static bool is_before(struct yaml_place a, struct yaml_place b)
{
    return a.line < b.line || (a.line == b.line && a.column < b.column);
}

/* The room for a complaint at its place in the row; what was last may leave it. NULL: none. */
static struct config_error *make_room(struct config_errors *e, struct yaml_place at)
{
    size_t i = e->count;
    while (i > 0 && is_before(at, e->list[i - 1].at))
        i--;
    e->has_more |= e->count == CONFIG_ERRORS_MAX;
    if (i == CONFIG_ERRORS_MAX)
        return NULL;
    size_t behind = e->count - i - (e->count == CONFIG_ERRORS_MAX);
    memmove(e->list + i + 1, e->list + i, behind * sizeof *e->list);
    e->count += e->count < CONFIG_ERRORS_MAX;
    return &e->list[i];
}

void config_errors_vadd(struct config_errors *e, struct yaml_place at, const char *fmt, va_list ap)
{
    struct config_error *room = make_room(e, at);
    if (!room)
        return;
    room->at = at;
    (void)vsnprintf(room->text, sizeof room->text, fmt, ap); /* cut on purpose */
}

void config_errors_add(struct config_errors *e, struct yaml_place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    config_errors_vadd(e, at, fmt, ap);
    va_end(ap);
}

void config_errors_walk(struct config_errors *e, struct yaml_place at, const char *text)
{
    if (e->count == CONFIG_ERRORS_MAX) {
        e->count--;
        e->has_more = true;
    }
    config_errors_add(e, at, "%s", text);
}

const struct config_error *config_errors_get(const struct config_errors *e, size_t i,
                                             bool *ret_more)
{
    *ret_more = e->has_more;
    return i < e->count ? &e->list[i] : NULL;
}
