/* SPDX-License-Identifier: MIT */
/* Lines of the control socket. jansson sees at most CTL_LINE_MAX bytes of who asks. */
#include "proto/ctl.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/i18n.h"
#include "proto/json_text.h"

const struct ctl_row ctl_rows[CTL_COMMANDS] = {
    [CTL_PING] = {"ping", NULL, N_("does it run, and answer?")},
    [CTL_VERSION] = {"version", NULL, N_("which program it is, and of which version")},
    [CTL_RELOAD] = {"reload", NULL, N_("read the configuration file and the certificates again")},
    [CTL_DRAIN] = {"drain", NULL, N_("stop: take nothing new, and let running connections finish")},
    [CTL_LOG_LEVEL] = {"log-level", "level",
                       N_("log error, warn, info or debug, until the next start")},
    [CTL_CLIENT] = {"client", "name",
                    N_("server: read the file of this client again, or end it if it has none")},
    [CTL_CLIENTS] = {"clients", NULL, N_("server: list the clients with a key that are there")},
    [CTL_STATUS] = {"status", NULL, N_("what gotunnel status shows, as it comes")},
};

enum ctl_command ctl_find(const char *name)
{
    enum ctl_command c = 0;
    while (c < CTL_COMMANDS && strcmp(ctl_rows[c].name, name) != 0)
        c++;
    return c;
}

/* ---- requests ---- */

int ctl_reader_feed(struct ctl_reader *r, const void *bytes, size_t n)
{
    size_t room = sizeof r->bytes - r->len;
    size_t part = n < room ? n : room;
    memcpy(r->bytes + r->len, bytes, part);
    bool is_there = memchr(r->bytes + r->len, '\n', part) != NULL;
    r->len += part;
    if (is_there)
        return 0;
    return r->len < sizeof r->bytes ? ERR_AGAIN : ERR_LIMIT;
}

static const char *text_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return v && strlen(json_string_value(v) ? json_string_value(v) : "") == json_string_length(v)
               ? json_string_value(v)
               : NULL;
}

static int get_argument(const json_t *object, struct ctl_request *req, struct errmsg *why)
{
    const struct ctl_row *row = &ctl_rows[req->command];
    size_t expected = row->argument ? 2 : 1;
    const char *text = row->argument ? text_of(object, row->argument) : "";
    if (!text || strlen(text) > CTL_ARGUMENT_MAX || json_object_size(object) != expected)
        return row->argument ? errmsg_set(why, ERR_INVAL, _("'%s' takes one argument, '%s'"),
                                          row->name, row->argument)
                             : errmsg_set(why, ERR_INVAL, _("'%s' takes no argument"), row->name);
    (void)snprintf(req->argument, sizeof req->argument, "%s", text); /* fits */
    return 0;
}

static int get_command(const json_t *object, struct ctl_request *ret, struct errmsg *why)
{
    struct ctl_request req = {CTL_COMMANDS, ""};
    char shown[ESCAPE_BUF];
    const char *name = text_of(object, "command");
    if (!name)
        return errmsg_set(why, ERR_INVAL, "%s", _("the request names no command"));
    req.command = ctl_find(name);
    if (req.command == CTL_COMMANDS) {
        escape_text(shown, name, strlen(name));
        return errmsg_set(why, ERR_INVAL, _("there is no command '%s'"), shown);
    }
    int err = get_argument(object, &req, why);
    if (err == 0)
        *ret = req;
    return err;
}

int ctl_request_get(const struct ctl_reader *r, struct ctl_request *ret, struct errmsg *why)
{
    const char *end = memchr(r->bytes, '\n', r->len);
    json_error_t at;
    assert(end);
    json_t *object = json_loadb(r->bytes, (size_t)(end - r->bytes), JSON_REJECT_DUPLICATES, &at);
    int err = object && json_is_object(object)
                  ? get_command(object, ret, why)
                  : errmsg_set(why, ERR_INVAL, "%s", _("the request is no object in JSON"));
    json_decref(object);
    return err;
}

size_t ctl_request_put(char out[CTL_LINE_MAX], const struct ctl_request *req)
{
    const struct ctl_row *row = &ctl_rows[req->command];
    char argument[6 * CTL_ARGUMENT_MAX + 1];
    (void)json_text_put(argument, sizeof argument, req->argument);
    int n = row->argument ? snprintf(out, CTL_LINE_MAX, "{\"command\":\"%s\",\"%s\":\"%s\"}\n",
                                     row->name, row->argument, argument)
                          : snprintf(out, CTL_LINE_MAX, "{\"command\":\"%s\"}\n", row->name);
    return (size_t)n;
}

/* ---- answers, as they are made ---- */

/* Room for n more bytes at the end; NULL: the answer is spoilt. */
static char *make_room(struct ctl_answer *a, size_t n)
{
    if (a->is_spoilt || n > CTL_ANSWER_MAX - a->len)
        goto spoil;
    if (n > a->room - a->len) {
        size_t room = 2 * (a->len + n);
        char *bytes = realloc(a->bytes, room);
        if (!bytes)
            goto spoil;
        a->bytes = bytes;
        a->room = room;
    }
    return a->bytes + a->len;

spoil:
    a->is_spoilt = true;
    return NULL;
}

static void put(struct ctl_answer *a, const char *bytes)
{
    size_t n = strlen(bytes);
    char *at = make_room(a, n);
    if (!at)
        return;
    memcpy(at, bytes, n);
    a->len += n;
}

static void put_string(struct ctl_answer *a, const char *text)
{
    size_t most = 6 * strlen(text) + 1; /* as \u00xx each */
    put(a, "\"");
    char *at = make_room(a, most);
    if (!at)
        return;
    a->len += json_text_put(at, most, text);
    put(a, "\"");
}

static void put_key(struct ctl_answer *a, const char *key)
{
    put(a, a->in_line ? "," : "{");
    a->in_line = true;
    put_string(a, key);
    put(a, ":");
}

void ctl_put_text(struct ctl_answer *a, const char *key, const char *text)
{
    put_key(a, key);
    put_string(a, text);
}

void ctl_put_number(struct ctl_answer *a, const char *key, long long n)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%lld", n); /* fits */
    put_key(a, key);
    put(a, digits);
}

void ctl_put_truth(struct ctl_answer *a, const char *key, bool truth)
{
    put_key(a, key);
    put(a, truth ? "true" : "false");
}

void ctl_put_words(struct ctl_answer *a, const char *key, const char *const *words, unsigned count)
{
    put_key(a, key);
    put(a, "[");
    for (unsigned i = 0; i < count; i++) {
        put(a, i > 0 ? "," : "");
        put_string(a, words[i]);
    }
    put(a, "]");
}

void ctl_put_line(struct ctl_answer *a, const char *line, size_t n)
{
    assert(!a->in_line);
    char *at = make_room(a, n + 1);
    if (!at)
        return;
    memcpy(at, line, n);
    at[n] = '\n';
    a->len += n + 1;
}

void ctl_end_line(struct ctl_answer *a)
{
    put(a, a->in_line ? "}\n" : "{}\n");
    a->in_line = false;
}

void ctl_refuse(struct ctl_answer *a, const char *why)
{
    ctl_put_text(a, "error", why);
    ctl_put_truth(a, "ok", false);
    ctl_end_line(a);
}

void ctl_answer_fini(struct ctl_answer *a)
{
    free(a->bytes);
    *a = (struct ctl_answer){0};
}

/* ---- answers, as they are read ---- */

struct ctl_line {
    json_t json; /* never made: a json_t by another name */
};

static const json_t *json_of(const struct ctl_line *l, const char *key)
{
    return json_object_get(&l->json, key);
}

static bool is_plain(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if ((*c < ' ' && *c != '\n') || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
            return false;
    return true;
}

/* Who answers may have been taken over, and root asks: what would move a terminal is escaped. False: no memory. */
static bool make_plain(json_t *v)
{
    char shown[ESCAPE_BUF];
    const char *text = json_string_value(v);
    bool is_done =
        !text || is_plain(text) || json_string_set(v, escape_text(shown, text, strlen(text))) == 0;
    for (size_t i = 0; i < json_array_size(v); i++)
        is_done &= make_plain(json_array_get(v, i));
    return is_done;
}

struct ctl_line *ctl_line_get(const char *bytes, size_t n)
{
    const char *key;
    json_t *v;
    bool is_whole = true;
    json_error_t at;
    json_t *object = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &at);
    if (json_is_object(object)) {
        json_object_foreach(object, key, v) is_whole &= make_plain(v);
        if (is_whole)
            return (struct ctl_line *)object;
    }
    json_decref(object);
    return NULL;
}

const char *ctl_line_text(const struct ctl_line *l, const char *key)
{
    return json_string_value(json_of(l, key));
}

long long ctl_line_number(const struct ctl_line *l, const char *key)
{
    const json_t *v = json_of(l, key);
    return v && json_is_integer(v) ? json_integer_value(v) : -1;
}

bool ctl_line_truth(const struct ctl_line *l, const char *key)
{
    return json_is_true(json_of(l, key));
}

const char *ctl_line_word(const struct ctl_line *l, const char *key, size_t i)
{
    return json_string_value(json_array_get(json_of(l, key), i));
}

bool ctl_line_is_last(const struct ctl_line *l)
{
    const json_t *v = json_of(l, "ok");
    return v && json_is_boolean(v);
}

void ctl_line_free(struct ctl_line *l)
{
    json_decref((json_t *)l);
}
