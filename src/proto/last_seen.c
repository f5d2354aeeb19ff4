/* SPDX-License-Identifier: MIT */
/* When clients were here last. */
#include "proto/last_seen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proto/hash.h"

#define HEAD "gotunnel last-seen 1\n"

void last_seen_fini(struct last_seen *t)
{
    free(t->list);
    *t = (struct last_seen){0};
}

static size_t bucket_of(const char *name)
{
    return (size_t)(hash_text(name) % LAST_SEEN_BUCKETS);
}

static struct last_seen_entry *find(const struct last_seen *t, const char *name)
{
    for (uint32_t i = t->buckets[bucket_of(name)]; i != 0; i = t->list[i - 1].next)
        if (strcmp(t->list[i - 1].name, name) == 0)
            return &t->list[i - 1];
    return NULL;
}

static void link_in(struct last_seen *t, struct last_seen_entry *e)
{
    uint32_t *bucket = &t->buckets[bucket_of(e->name)];
    e->next = *bucket;
    *bucket = (uint32_t)(e - t->list) + 1;
}

static void take_out(struct last_seen *t, const struct last_seen_entry *e)
{
    uint32_t *at = &t->buckets[bucket_of(e->name)];
    while (&t->list[*at - 1] != e)
        at = &t->list[*at - 1].next;
    *at = e->next;
}

static struct last_seen_entry *longest_ago(const struct last_seen *t)
{
    struct last_seen_entry *first = t->list;
    for (size_t i = 1; i < t->count; i++)
        first = t->list[i].at < first->at ? &t->list[i] : first;
    return first;
}

/* A place for one more: a new one, or that of the one whose time is longest ago. NULL without memory. */
static struct last_seen_entry *make_place(struct last_seen *t)
{
    if (t->count == LAST_SEEN_MAX) {
        struct last_seen_entry *e = longest_ago(t);
        take_out(t, e);
        return e;
    }
    if (t->count == t->room) {
        size_t room = t->room > 0 ? 2 * t->room : 16;
        struct last_seen_entry *list = realloc(t->list, room * sizeof *list);
        if (!list)
            return NULL;
        t->list = list;
        t->room = room;
    }
    return &t->list[t->count++];
}

bool last_seen_note(struct last_seen *t, const char *name, int64_t at)
{
    struct last_seen_entry *e = find(t, name);
    if (e) {
        e->at = at > e->at ? at : e->at;
        return false;
    }
    e = make_place(t);
    if (!e)
        return false;
    (void)snprintf(e->name, sizeof e->name, "%s", name); /* an id fits */
    e->at = at;
    link_in(t, e);
    return true;
}

int64_t last_seen_at(const struct last_seen *t, const char *name)
{
    const struct last_seen_entry *e = find(t, name);
    return e ? e->at : -1;
}

char *last_seen_write(const struct last_seen *t, size_t *ret_n)
{
    size_t room = sizeof HEAD + t->count * LAST_SEEN_LINE_MAX, n = sizeof HEAD - 1;
    char *text = malloc(room);
    if (!text)
        return NULL;
    memcpy(text, HEAD, sizeof HEAD);
    for (size_t i = 0; i < t->count; i++)
        n += (size_t)snprintf(text + n, room - n, "%s %" PRId64 "\n", t->list[i].name,
                              t->list[i].at); /* fits */
    *ret_n = n;
    return text;
}

/* One line of n bytes without its LF: a name, a blank, digits. */
static bool parse_line(const char *line, size_t n, struct last_seen_entry *ret)
{
    const char *blank = memchr(line, ' ', n);
    size_t name = blank ? (size_t)(blank - line) : 0, digits = n - name - 1;
    if (name == 0 || name > HELLO_ID_MAX || digits == 0 || digits > 18)
        return false;
    memcpy(ret->name, line, name);
    ret->name[name] = '\0';
    ret->at = 0;
    for (size_t i = 0; i < digits; i++) {
        if (blank[1 + i] < '0' || blank[1 + i] > '9')
            return false;
        ret->at = 10 * ret->at + (blank[1 + i] - '0');
    }
    return ret->at <= LAST_SEEN_AT_MAX && strlen(ret->name) == name && hello_id_is_valid(ret->name);
}

/* Of each line; t is NULL to look only. */
static bool walk(struct last_seen *t, const char *text, size_t n)
{
    for (const char *end = text + n; text < end;) {
        struct last_seen_entry e;
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        if (!lf || !parse_line(text, (size_t)(lf - text), &e))
            return false;
        if (t)
            (void)last_seen_note(t, e.name, e.at);
        text = lf + 1;
    }
    return true;
}

int last_seen_parse(struct last_seen *t, const char *text, size_t n)
{
    size_t head = sizeof HEAD - 1;
    if (n < head || n > LAST_SEEN_FILE_MAX || memcmp(text, HEAD, head) != 0 ||
        !walk(NULL, text + head, n - head))
        return ERR_INVAL;
    (void)walk(t, text + head, n - head);
    return 0;
}
