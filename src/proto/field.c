/* SPDX-License-Identifier: MIT */
/* The fields of a JSON line: see field.h. */
#include "proto/field.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "proto/json_text.h"

/* ---- reading one field ---- */

/* Exactly n bytes of lower-case hex. */
static bool take_hex(const json_t *v, uint8_t *to, size_t n)
{
    return json_is_string(v) && json_string_length(v) == 2 * n &&
           hex_get(to, json_string_value(v), n);
}

static bool take_u64(const json_t *v, void *to)
{
    uint8_t bytes[8];
    if (!take_hex(v, bytes, sizeof bytes))
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        n = n << 8 | bytes[i];
    *(uint64_t *)to = n;
    return true;
}

bool field_number(const json_t *v, int64_t max, int64_t *ret)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return false;
    *ret = json_integer_value(v);
    return true;
}

static bool take_u32(const json_t *v, void *to)
{
    int64_t n;
    if (!field_number(v, UINT32_MAX, &n))
        return false;
    *(uint32_t *)to = (uint32_t)n;
    return true;
}

static bool take_port(const json_t *v, void *to)
{
    int64_t n;
    if (!field_number(v, UINT16_MAX, &n))
        return false;
    *(int32_t *)to = (int32_t)n;
    return true;
}

static bool take_i64(const json_t *v, void *to)
{
    if (!json_is_integer(v))
        return false;
    *(int64_t *)to = json_integer_value(v);
    return true;
}

static bool take_bool(const json_t *v, void *to)
{
    if (!json_is_boolean(v))
        return false;
    *(bool *)to = json_is_true(v);
    return true;
}

static bool is_word(const char *s)
{
    while (*s > 0x20 && *s < 0x7f && *s != '"' && *s != '\\')
        s++;
    return *s == '\0';
}

bool field_word(const json_t *v, char *to, size_t room)
{
    if (!json_is_string(v) || json_string_length(v) >= room || !is_word(json_string_value(v)))
        return false;
    memcpy(to, json_string_value(v), json_string_length(v) + 1);
    return true;
}

static bool take_text(const json_t *v, char *to, size_t room)
{
    if (!json_is_string(v) || json_string_length(v) >= room)
        return false;
    memcpy(to, json_string_value(v), json_string_length(v) + 1);
    return true;
}

static bool is_cap(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n >= 1 && n <= HELLO_CAP_MAX && s[n] == '\0';
}

static bool take_caps(const json_t *v, struct hello_caps *to)
{
    if (!json_is_array(v) || json_array_size(v) > HELLO_CAPS_MAX)
        return false;
    to->count = (uint8_t)json_array_size(v);
    for (size_t i = 0; i < to->count; i++)
        if (!field_word(json_array_get(v, i), to->names[i], sizeof to->names[i]) ||
            !is_cap(to->names[i]))
            return false;
    return true;
}

static bool take_nonces(const json_t *v, struct hello_nonces *to)
{
    if (!json_is_array(v) || json_array_size(v) > HELLO_MINE_MAX)
        return false;
    to->count = (uint8_t)json_array_size(v);
    for (size_t i = 0; i < to->count; i++)
        if (!take_hex(json_array_get(v, i), to->nonces[i], HELLO_NONCE_BYTES))
            return false;
    return true;
}

static bool take_field(const json_t *v, const struct field *f, void *to)
{
    switch (f->kind) {
    case FIELD_BYTES:
        return take_hex(v, to, f->size);
    case FIELD_U64:
        return take_u64(v, to);
    case FIELD_U32:
        return take_u32(v, to);
    case FIELD_I64:
        return take_i64(v, to);
    case FIELD_PORT:
        return take_port(v, to);
    case FIELD_BOOL:
        return take_bool(v, to);
    case FIELD_WORD:
        return field_word(v, to, f->size);
    case FIELD_TEXT:
        return take_text(v, to, f->size);
    case FIELD_CAPS:
        return take_caps(v, to);
    case FIELD_NONCES:
        return take_nonces(v, to);
    }
    return false;
}

bool field_take_all(const json_t *line, const struct field *fields, size_t n, void *base)
{
    for (size_t i = 0; i < n; i++)
        if (!take_field(json_object_get(line, fields[i].name), &fields[i],
                        (uint8_t *)base + fields[i].offset))
            return false;
    return true;
}

bool field_take_optional(const json_t *line, const struct field *f, void *base)
{
    return !json_object_get(line, f->name) || field_take_all(line, f, 1, base);
}

/* ---- reading a line ---- */

/* Looks at braces and brackets only: jansson judges the rest, and calls itself for each level. */
static bool is_shallow(struct hello_text line)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < line.n; i++) {
        if (in_string && line.p[i] == '\\')
            i++;
        else if (line.p[i] == '"')
            in_string = !in_string;
        else if (!in_string && (line.p[i] == '{' || line.p[i] == '['))
            depth++;
        else if (!in_string && (line.p[i] == '}' || line.p[i] == ']'))
            depth--;
        if (depth > HELLO_DEPTH_MAX)
            return false;
    }
    return true;
}

int field_load(struct hello_text line, json_t **ret)
{
    json_error_t error;
    if (line.n >= HELLO_MAX || memchr(line.p, '\0', line.n) || !is_shallow(line))
        return ERR_PROTO;
    /* Names are compared after their escapes are resolved, in nested objects too. */
    json_t *v = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error);
    if (!v)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_NOMEM : ERR_PROTO;
    *ret = v;
    return 0;
}

/* ---- writing ---- */

void field_put_text(struct field_text *t, const char *s)
{
    size_t n = strlen(s);
    assert(n < t->room - t->n);
    memcpy(t->p + t->n, s, n + 1);
    t->n += n;
}

void field_put_quoted(struct field_text *t, const char *s)
{
    assert(is_word(s));
    field_put_text(t, "\"");
    field_put_text(t, s);
    field_put_text(t, "\"");
}

static void put_escaped(struct field_text *t, const char *s)
{
    field_put_text(t, "\"");
    t->n += json_text_put(t->p + t->n, t->room - t->n, s);
    field_put_text(t, "\"");
}

static void put_hex(struct field_text *t, const uint8_t *bytes, size_t n)
{
    char digits[2 * HELLO_MAC_BYTES + 1];
    assert(n <= HELLO_MAC_BYTES);
    hex_put(digits, bytes, n);
    digits[2 * n] = '\0';
    field_put_quoted(t, digits);
}

static void put_caps(struct field_text *t, const struct hello_caps *c)
{
    field_put_text(t, "[");
    for (size_t i = 0; i < c->count; i++) {
        assert(is_cap(c->names[i]));
        field_put_text(t, i > 0 ? "," : "");
        field_put_quoted(t, c->names[i]);
    }
    field_put_text(t, "]");
}

static void put_nonces(struct field_text *t, const struct hello_nonces *m)
{
    field_put_text(t, "[");
    for (size_t i = 0; i < m->count; i++) {
        field_put_text(t, i > 0 ? "," : "");
        put_hex(t, m->nonces[i], HELLO_NONCE_BYTES);
    }
    field_put_text(t, "]");
}

void field_put(struct field_text *t, const struct field *f, const void *base)
{
    char number[24] = "";
    const void *at = (const uint8_t *)base + f->offset;
    field_put_text(t, ",\"");
    field_put_text(t, f->name);
    field_put_text(t, "\":");
    switch (f->kind) {
    case FIELD_BYTES:
        put_hex(t, at, f->size);
        break;
    case FIELD_WORD:
        field_put_quoted(t, at);
        break;
    case FIELD_TEXT:
        put_escaped(t, at);
        break;
    case FIELD_CAPS:
        put_caps(t, at);
        break;
    case FIELD_NONCES:
        put_nonces(t, at);
        break;
    case FIELD_BOOL:
        field_put_text(t, *(const bool *)at ? "true" : "false");
        break;
    case FIELD_U64:
        (void)snprintf(number, sizeof number, "\"%016" PRIx64 "\"", *(const uint64_t *)at);
        break;
    case FIELD_U32:
        (void)snprintf(number, sizeof number, "%" PRIu32, *(const uint32_t *)at);
        break;
    case FIELD_I64:
        (void)snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)at);
        break;
    case FIELD_PORT:
        (void)snprintf(number, sizeof number, "%" PRId32, *(const int32_t *)at);
        break;
    }
    field_put_text(t, number);
}

size_t field_put_all(struct field_text *t, const struct field *fields, size_t n, const void *base)
{
    for (size_t i = 0; i < n; i++)
        field_put(t, &fields[i], base);
    return t->n;
}
