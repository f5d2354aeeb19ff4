/* SPDX-License-Identifier: MIT */
/* Control messages: finding the end of a JSON value, reading it, and writing ours. */
#include "proto/control.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "proto/json_text.h"

/* ---- collecting ---- */

void control_reader_init(struct control_reader *r)
{
    *r = (struct control_reader){0};
}

void control_reader_fini(struct control_reader *r)
{
    free(r->text);
    control_reader_init(r);
}

static int append(struct control_reader *r, char c)
{
    if (r->len == r->cap) {
        uint32_t cap = r->cap ? 2 * r->cap : 128;
        char *text = r->len < CONTROL_TEXT_MAX ? realloc(r->text, cap) : NULL;
        if (!text)
            return r->len < CONTROL_TEXT_MAX ? ERR_NOMEM : ERR_LIMIT;
        r->text = text;
        r->cap = cap;
    }
    r->text[r->len++] = c;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The decoder takes an object, or null, which leaves every default. The first bytes say which. */
static int scan_start(struct control_reader *r, char c)
{
    static const char null[] = "null";
    if (r->len == 0 && is_blank(c)) /* not kept, and counted all the same */
        return ++r->blanks > CONTROL_TEXT_MAX ? ERR_LIMIT : ERR_AGAIN;
    if (r->len == 0 && c == '{')
        r->depth = 1;
    else if (c != null[r->len])
        return ERR_PROTO;
    int err = append(r, c);
    if (err < 0)
        return err;
    return r->depth == 0 && r->len == sizeof null - 1 ? 0 : ERR_AGAIN;
}

static void scan_string(struct control_reader *r, char c)
{
    if (r->escaped)
        r->escaped = false;
    else if (c == '\\')
        r->escaped = true;
    else if (c == '"')
        r->in_string = false;
}

/* A text that is wrong already need not be waited for: looked at when a line ends, but only after
   it has doubled, which keeps the cost linear. */
static int look_early(struct control_reader *r)
{
    json_error_t error;
    if (r->in_string)
        return ERR_PROTO; /* a raw line feed in a string */
    if (r->len < 2 * r->tried)
        return ERR_AGAIN;
    r->tried = r->len;
    json_t *value = json_loadb(r->text, r->len, JSON_DISABLE_EOF_CHECK, &error);
    bool wrong = !value && json_error_code(&error) != json_error_premature_end_of_input;
    json_decref(value);
    return wrong ? ERR_PROTO : ERR_AGAIN;
}

static int scan(struct control_reader *r, char c)
{
    if (r->depth == 0)
        return scan_start(r, c);
    int err = append(r, c);
    if (err < 0)
        return err;
    if (c == '\n')
        return look_early(r);
    if (r->in_string)
        scan_string(r, c);
    else if (c == '"')
        r->in_string = true;
    else if (c == '{' || c == '[')
        r->depth++;
    else if (c == '}' || c == ']')
        r->depth--;
    return r->depth == 0 ? 0 : ERR_AGAIN;
}

int control_reader_feed(struct control_reader *r, const uint8_t *p, size_t n, size_t *ret_used)
{
    int err = ERR_AGAIN;
    size_t i = 0;
    *ret_used = 0;
    if (r->over)
        return r->end;
    while (i < n && err == ERR_AGAIN)
        err = scan(r, (char)p[i++]);
    *ret_used = i;
    r->over = err != ERR_AGAIN;
    r->end = err;
    return err;
}

/* ---- decoding ---- */

static json_t *load(const struct control_reader *r)
{
    json_error_t error;
    return json_loadb(r->text, r->len, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
}

/*
 * Runs get for every field of this name, in any case; the last one wins. get returns false for a
 * type that does not fit. null leaves what is there.
 */
static int for_field(json_t *value, const char *name, bool (*get)(json_t *v, void *to), void *to)
{
    const char *key;
    json_t *v;
    json_object_foreach(value, key, v)
    { /* does nothing when value is null, not an object */
        if (strcasecmp(key, name) == 0 && !json_is_null(v) && !get(v, to))
            return ERR_PROTO;
    }
    return 0;
}

static bool take_integer(json_t *v, void *to)
{
    if (!json_is_integer(v))
        return false;
    *(int64_t *)to = json_integer_value(v);
    return true;
}

static bool take_status(json_t *v, void *to)
{
    if (!json_is_string(v))
        return false;
    *(bool *)to = strcmp(json_string_value(v), "success") == 0;
    return true;
}

static bool take_message(json_t *v, void *to)
{
    if (!json_is_string(v))
        return false;
    (void)snprintf(to, CONTROL_MESSAGE_BUF, "%s", json_string_value(v)); /* cut on purpose */
    return true;
}

int control_request_get(const struct control_reader *r, struct control_request *ret)
{
    struct control_request req = {0};
    json_t *value = load(r);
    if (!value)
        return ERR_PROTO;
    int err = for_field(value, "remote_port", take_integer, &req.remote_port);
    json_decref(value);
    if (err == 0)
        *ret = req;
    return err;
}

int control_response_get(const struct control_reader *r, struct control_response *ret)
{
    struct control_response res = {0};
    json_t *value = load(r);
    if (!value)
        return ERR_PROTO;
    int err = for_field(value, "status", take_status, &res.ok);
    if (err == 0)
        err = for_field(value, "message", take_message, res.message);
    json_decref(value);
    if (err == 0)
        *ret = res;
    return err;
}

/* ---- encoding ---- */

size_t control_request_put(char out[CONTROL_REQUEST_BUF], int64_t remote_port)
{
    return (size_t)snprintf(out, CONTROL_REQUEST_BUF, "{\"remote_port\":%lld}\n",
                            (long long)remote_port);
}

size_t control_response_put(char *out, size_t room, bool ok, const char *message)
{
    static const char end[] = "\"}\n";
    size_t at =
        (size_t)snprintf(out, room, "{\"status\":\"%s\",\"message\":\"", ok ? "success" : "error");
    at += json_text_put(out + at, room - at - sizeof end + 1, message);
    memcpy(out + at, end, sizeof end);
    return at + sizeof end - 1;
}

/* ---- the original's words ---- */

const char *control_invalid_message(void)
{
    return "Invalid control message";
}

void control_failure_message(char out[CONTROL_MESSAGE_BUF], int64_t port, enum control_failure why)
{
    static const char *const words[] = {
        [CONTROL_PERMISSION_DENIED] = "bind: permission denied",
        [CONTROL_ADDRESS_IN_USE] = "bind: address already in use",
        [CONTROL_OTHER_FAILURE] = "the server cannot listen on it",
    };
    long long n = port;
    if (why == CONTROL_INVALID_PORT)
        (void)snprintf(out, CONTROL_MESSAGE_BUF,
                       "监听公网端口 :%lld 失败: listen tcp: address %lld: invalid port", n, n);
    else
        (void)snprintf(out, CONTROL_MESSAGE_BUF, "监听公网端口 :%lld 失败: listen tcp :%lld: %s", n,
                       n, words[why]);
}

void control_success_message(char out[CONTROL_MESSAGE_BUF], const char *address)
{
    (void)snprintf(out, CONTROL_MESSAGE_BUF, "成功在 %s 上监听, 准备转发流量", address);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

bool control_failure_get(const char *message, enum control_failure *ret)
{
    static const char begin[] = "监听公网端口 ";
    static const struct {
        const char *end;
        enum control_failure failure;
    } rows[] = {
        {": invalid port", CONTROL_INVALID_PORT},
        {"bind: permission denied", CONTROL_PERMISSION_DENIED},
        {"bind: address already in use", CONTROL_ADDRESS_IN_USE},
        {"the server cannot listen on it", CONTROL_OTHER_FAILURE},
    };
    if (strncmp(message, begin, sizeof begin - 1) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (ends_with(message, rows[i].end)) {
            *ret = rows[i].failure;
            return true;
        }
    }
    return false;
}

bool control_success_get(const char *message, char ret_address[CONTROL_MESSAGE_BUF])
{
    static const char begin[] = "成功在 ", end[] = " 上监听, 准备转发流量";
    if (strncmp(message, begin, sizeof begin - 1) != 0 || !ends_with(message, end))
        return false;
    const char *from = message + sizeof begin - 1, *to = strstr(from, end);
    if (!to || to == from || to[sizeof end - 1] != '\0')
        return false;
    memcpy(ret_address, from, (size_t)(to - from));
    ret_address[to - from] = '\0';
    return true;
}

int control_message_port(const char *message)
{
    int port = 0;
    for (const char *p = message; (p = strchr(p, ':')); p++) {
        int n = 0;
        const char *d = p + 1;
        for (; *d >= '0' && *d <= '9' && n <= 65535; d++)
            n = n * 10 + (*d - '0');
        if (d > p + 1 && n <= 65535)
            port = n;
    }
    return port;
}
