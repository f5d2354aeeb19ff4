/* SPDX-License-Identifier: MIT */
/*
 * Lines of a file, one key after the other. Where a value begins is the walker's to say, where it ends is
 * guessed from its line; so what comes out is read again, and counts only if it says what it should.
 */
#include "conf/client_edit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/yaml_walk.h"

struct text {
    char *bytes; /* n and a NUL */
    size_t n;
};

/* ---- where a key stands ---- */

struct search {
    const char *key;
    struct yaml_place at, value; /* line 0: it is not there */
};

static void on_entry(void *ctx, const struct yaml_entry *e)
{
    struct search *s = ctx;
    if (e->depth != 1 || strcmp(e->path[0].key, s->key) != 0)
        return;
    s->at = e->path[0].at;
    s->value = e->at;
}

static void on_wrong(void *ctx, struct yaml_place at, const char *text)
{
    (void)ctx, (void)at, (void)text;
}

static int find(const struct text *t, const char *key, struct search *ret)
{
    *ret = (struct search){.key = key};
    const struct yaml_sink sink = {.entry = on_entry, .wrong = on_wrong, .ctx = ret};
    int err = yaml_walk(t->bytes, t->n, &sink);
    return err == ERR_NOMEM ? err : 0;
}

/* ---- bytes ---- */

static size_t line_begin(const struct text *t, unsigned line)
{
    size_t at = 0;
    for (; line > 1; line--) {
        const char *end = memchr(t->bytes + at, '\n', t->n - at);
        at = end ? (size_t)(end - t->bytes) + 1 : t->n;
    }
    return at;
}

/* Puts `with` in the place of the bytes from begin to end. */
static int replace(struct text *t, size_t begin, size_t end, const char *with)
{
    size_t len = strlen(with), n = t->n - (end - begin) + len;
    assert(begin <= end && end <= t->n);
    char *bytes = malloc(n + 1);
    if (!bytes)
        return ERR_NOMEM;
    memcpy(bytes, t->bytes, begin);
    memcpy(bytes + begin, with, len);
    memcpy(bytes + begin + len, t->bytes + end, t->n - end);
    bytes[n] = '\0';
    free(t->bytes);
    *t = (struct text){bytes, n};
    return 0;
}

/* How many of the n bytes at s, the rest of a line, are the value that begins there. */
static size_t value_length(const char *s, size_t n)
{
    size_t len = 0;
    if (*s == '"' || *s == '\'' || *s == '[') { /* none of ours has one of them within */
        const char *end = memchr(s + 1, *s == '[' ? ']' : *s, n - 1);
        return end ? (size_t)(end - s) + 1 : n;
    }
    while (len < n && !(s[len] == '#' && len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t')))
        len++;
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r'))
        len--;
    return len;
}

/* ---- one key ---- */

static int add_line(struct text *t, const char *key, const char *value)
{
    char line[YAML_WALK_KEY_MAX + CLIENT_ENTRY_VALUE_MAX + 8];
    bool is_open = t->n > 0 && t->bytes[t->n - 1] != '\n';
    (void)snprintf(line, sizeof line, "%s%s: %s\n", is_open ? "\n" : "", key, value); /* fits */
    return replace(t, t->n, t->n, line);
}

/* ERR_BADSTATE: the line has more in it than the key. */
static int change_line(struct text *t, const struct search *s, const char *value)
{
    size_t begin = line_begin(t, s->at.line);
    const char *end = memchr(t->bytes + begin, '\n', t->n - begin);
    size_t behind = end ? (size_t)(end - t->bytes) : t->n;
    size_t at = begin + s->value.column - 1; /* in front of it are only letters of the key */
    if (s->at.column != 1 || s->value.line != s->at.line || at >= behind)
        return ERR_BADSTATE;
    if (!*value)
        return replace(t, begin, end ? behind + 1 : behind, "");
    return replace(t, at, at + value_length(t->bytes + at, behind - at), value);
}

static int change(struct text *t, const char *key, const char *value,
                  struct client_edit_obstacle *why)
{
    struct search s;
    int err = find(t, key, &s);
    *why = (struct client_edit_obstacle){key, s.at.line};
    if (err < 0)
        return err;
    return s.at.line == 0 ? add_line(t, key, value) : change_line(t, &s, value);
}

/* ---- the file ---- */

static int take_any(const char *key, struct errmsg *why)
{
    (void)key, (void)why;
    return 0;
}

/* 0: the text says *to, of which field i is enough, or all of it with i == SIZE_MAX. ERR_BADSTATE: it says
   something else. */
static int check(const struct text *t, const struct client_entry *to, size_t i)
{
    struct room {
        struct config_errors errors;
        struct client_entry entry;
        char is[CLIENT_ENTRY_TEXT_MAX], wanted[CLIENT_ENTRY_TEXT_MAX];
    } *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    int err = client_entry_read(&r->entry, t->bytes, t->n, take_any, &r->errors);
    size_t n = 0, wanted = 1;
    if (err == 0 && i == SIZE_MAX) {
        n = client_entry_text(r->is, &r->entry);
        wanted = client_entry_text(r->wanted, to);
    } else if (err == 0) {
        n = client_entry_value(r->is, sizeof r->is, &r->entry, i);
        wanted = client_entry_value(r->wanted, sizeof r->wanted, to, i);
    }
    if (err == ERR_INVAL || (err == 0 && (n != wanted || strcmp(r->is, r->wanted) != 0)))
        err = ERR_BADSTATE;
    free(r);
    return err;
}

static int change_all(struct text *t, const struct client_entry *from,
                      const struct client_entry *to, struct client_edit_obstacle *why)
{
    char was[CLIENT_ENTRY_VALUE_MAX], is[CLIENT_ENTRY_VALUE_MAX];
    const char *key;
    for (size_t i = 0; (key = client_entry_field(i)); i++) {
        size_t n = client_entry_value(was, sizeof was, from, i);
        if (client_entry_value(is, sizeof is, to, i) == n && strcmp(was, is) == 0)
            continue;
        int err = change(t, key, is, why);
        if (err == 0)
            err = check(t, to, i);
        if (err < 0)
            return err;
    }
    return check(t, to, SIZE_MAX);
}

int client_edit(const char *bytes, size_t n, const struct client_entry *from,
                const struct client_entry *to, char **ret, size_t *ret_n,
                struct client_edit_obstacle *ret_why)
{
    struct text t = {malloc(n + 1), n};
    *ret_why = (struct client_edit_obstacle){"", 0};
    if (!t.bytes)
        return ERR_NOMEM;
    memcpy(t.bytes, bytes, n);
    t.bytes[n] = '\0';
    int err = change_all(&t, from, to, ret_why);
    if (err < 0) {
        free(t.bytes);
        return err;
    }
    *ret = t.bytes;
    *ret_n = t.n;
    return 0;
}
