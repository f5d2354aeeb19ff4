/* SPDX-License-Identifier: MIT */
/*
 * The two lines of a gotunnel/2 hello: collecting, reading and writing them. What they prove is in
 * hello_proof.c. Fields are read by a table: name, kind, place; a field is there once and of its
 * kind, or the line is refused. jansson sees at most HELLO_MAX bytes, HELLO_DEPTH_MAX deep.
 */
#include "proto/hello.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "proto/json_text.h"

enum { HELLO_VERSION = 2 };

static const char *const error_words[] = {
    [HELLO_OK] = "",
    [HELLO_ERR_AUTH] = "auth",
    [HELLO_ERR_PORT] = "port",
    [HELLO_ERR_STALE] = "stale",
    [HELLO_ERR_UNKNOWN] = "unknown",
    [HELLO_ERR_RANGE] = "range",
    [HELLO_ERR_BUSY] = "busy",
    [HELLO_ERR_MESSAGE] = "message",
};

const char *hello_error_word(enum hello_error e)
{
    return error_words[e];
}

bool hello_secret_is_long_enough(const char *secret)
{
    return strnlen(secret, HELLO_SECRET_MIN) == HELLO_SECRET_MIN;
}

bool hello_id_is_valid(const char *id)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strspn(id, allowed);
    return n >= 1 && n <= HELLO_ID_MAX && id[n] == '\0';
}

/* ---- collecting ---- */

void hello_reader_init(struct hello_reader *r)
{
    r->len = 0;
    r->end = ERR_AGAIN;
    r->text[0] = '\0';
}

static int take_byte(struct hello_reader *r, uint8_t c)
{
    if (c == '\n')
        return r->len > 0 ? 0 : ERR_PROTO;
    if (c < 0x20 || (r->len == 0 && c != '{'))
        return ERR_PROTO;
    if (r->len == HELLO_MAX - 1)
        return ERR_LIMIT;
    r->text[r->len++] = (char)c;
    r->text[r->len] = '\0';
    return ERR_AGAIN;
}

int hello_reader_feed(struct hello_reader *r, const uint8_t *p, size_t n, size_t *ret_used)
{
    size_t i = 0;
    while (i < n && r->end == ERR_AGAIN)
        r->end = take_byte(r, p[i++]);
    *ret_used = i;
    return r->end;
}

const char *hello_reader_text(const struct hello_reader *r)
{
    return r->text;
}

size_t hello_reader_len(const struct hello_reader *r)
{
    return r->len;
}

/* ---- fields ---- */

enum kind {
    KIND_BYTES,  /* size bytes as 2 * size lower-case hex digits */
    KIND_U64,    /* 16 lower-case hex digits */
    KIND_U32,    /* a number 0 .. 2^32 - 1 */
    KIND_I64,    /* any whole number of 64 bits */
    KIND_PORT,   /* a number 0 .. 65535 into an int32_t */
    KIND_STRING, /* a string into size chars with its NUL; a longer one is refused */
};

struct field {
    const char *name;
    enum kind kind;
    size_t offset, size;
};

#define FIELD(type, name, kind, member)                                                            \
    {                                                                                              \
        name, kind, offsetof(struct type, member), sizeof(((struct type *)0)->member)              \
    }

static const struct field open_fields[] = {
    FIELD(hello_request, "id", KIND_STRING, id),
    FIELD(hello_request, "port", KIND_I64, port),
    FIELD(hello_request, "nc", KIND_BYTES, nonce),
    FIELD(hello_request, "window_ms", KIND_U32, window_ms),
    FIELD(hello_request, "mac", KIND_BYTES, mac),
};

static const struct field resume_fields[] = {
    FIELD(hello_request, "sid", KIND_BYTES, sid),
    FIELD(hello_request, "epoch", KIND_U64, epoch),
    FIELD(hello_request, "rx", KIND_U64, rx),
    FIELD(hello_request, "mac", KIND_BYTES, mac),
};

static const struct field opened_fields[] = {
    FIELD(hello_answer, "sid", KIND_BYTES, sid),
    FIELD(hello_answer, "ns", KIND_BYTES, nonce),
    FIELD(hello_answer, "window_ms", KIND_U32, window_ms),
    FIELD(hello_answer, "address", KIND_STRING, address),
    FIELD(hello_answer, "port", KIND_PORT, port),
    FIELD(hello_answer, "mac", KIND_BYTES, mac),
};

static const struct field resumed_fields[] = {
    FIELD(hello_answer, "epoch", KIND_U64, epoch),
    FIELD(hello_answer, "rx", KIND_U64, rx),
    FIELD(hello_answer, "mac", KIND_BYTES, mac),
};

static const struct field message_field = FIELD(hello_answer, "message", KIND_STRING, message);
static const struct field mac_field = FIELD(hello_answer, "mac", KIND_BYTES, mac);

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

/* A whole number 0 .. max. */
static bool take_number(const json_t *v, int64_t max, int64_t *ret)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return false;
    *ret = json_integer_value(v);
    return true;
}

static bool take_u32(const json_t *v, void *to)
{
    int64_t n;
    if (!take_number(v, UINT32_MAX, &n))
        return false;
    *(uint32_t *)to = (uint32_t)n;
    return true;
}

static bool take_port(const json_t *v, void *to)
{
    int64_t n;
    if (!take_number(v, UINT16_MAX, &n))
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

static bool take_string(const json_t *v, char *to, size_t room)
{
    if (!json_is_string(v) || json_string_length(v) >= room)
        return false;
    memcpy(to, json_string_value(v), json_string_length(v) + 1);
    return true;
}

static bool take_field(const json_t *v, const struct field *f, void *to)
{
    switch (f->kind) {
    case KIND_BYTES:
        return take_hex(v, to, f->size);
    case KIND_U64:
        return take_u64(v, to);
    case KIND_U32:
        return take_u32(v, to);
    case KIND_I64:
        return take_i64(v, to);
    case KIND_PORT:
        return take_port(v, to);
    case KIND_STRING:
        return take_string(v, to, f->size);
    }
    return false;
}

/* Reads all fields of the table into the struct at base. A missing one has no type that fits. */
static bool take_all(const json_t *line, const struct field *fields, size_t n, void *base)
{
    for (size_t i = 0; i < n; i++)
        if (!take_field(json_object_get(line, fields[i].name), &fields[i],
                        (uint8_t *)base + fields[i].offset))
            return false;
    return true;
}

/* Looks at braces and brackets only: jansson judges the rest, and calls itself for each level. */
static bool is_shallow(const char *line, size_t n)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        if (in_string && line[i] == '\\')
            i++;
        else if (line[i] == '"')
            in_string = !in_string;
        else if (!in_string && (line[i] == '{' || line[i] == '['))
            depth++;
        else if (!in_string && (line[i] == '}' || line[i] == ']'))
            depth--;
        if (depth > HELLO_DEPTH_MAX)
            return false;
    }
    return true;
}

/* The line as an object of our version, which the caller releases. */
static int load(const char *line, size_t n, json_t **ret)
{
    json_error_t error;
    int64_t version = 0;
    if (n >= HELLO_MAX || memchr(line, '\0', n) || !is_shallow(line, n))
        return ERR_PROTO;
    json_t *v = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!v)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_NOMEM : ERR_PROTO;
    if (!take_number(json_object_get(v, "v"), HELLO_VERSION, &version) ||
        version != HELLO_VERSION) {
        json_decref(v);
        return ERR_PROTO;
    }
    *ret = v;
    return 0;
}

/* ---- the client's line ---- */

static bool take_op(const json_t *line, enum hello_op *ret)
{
    const json_t *v = json_object_get(line, "op");
    if (!json_is_string(v))
        return false;
    *ret = strcmp(json_string_value(v), "resume") == 0 ? HELLO_RESUME : HELLO_OPEN;
    return *ret == HELLO_RESUME || strcmp(json_string_value(v), "open") == 0;
}

static bool take_request(const json_t *line, struct hello_request *r)
{
    if (!take_op(line, &r->op))
        return false;
    if (r->op == HELLO_RESUME)
        return take_all(line, resume_fields, ARRAY_LEN(resume_fields), r);
    return take_all(line, open_fields, ARRAY_LEN(open_fields), r) && hello_id_is_valid(r->id);
}

int hello_request_get(const char *line, size_t n, struct hello_request *ret)
{
    struct hello_request r = {0};
    json_t *v = NULL;
    int err = load(line, n, &v);
    if (err < 0)
        return err;
    err = take_request(v, &r) ? 0 : ERR_PROTO;
    json_decref(v);
    if (err == 0)
        *ret = r;
    return err;
}

/* ---- the server's line ---- */

static bool take_error(const json_t *line, enum hello_error *ret)
{
    const json_t *v = json_object_get(line, "error");
    for (size_t i = HELLO_OK + 1; json_is_string(v) && i < ARRAY_LEN(error_words); i++)
        if (strcmp(json_string_value(v), error_words[i]) == 0) {
            *ret = (enum hello_error)i;
            return true;
        }
    return false;
}

static bool take_refusal(const json_t *line, struct hello_answer *a)
{
    a->has_mac = json_object_get(line, "mac");
    return take_error(line, &a->error) && take_all(line, &message_field, 1, a) &&
           (!a->has_mac || take_all(line, &mac_field, 1, a));
}

static bool is_address(const char *s)
{
    while (*s > 0x20 && *s < 0x7f && *s != '"' && *s != '\\')
        s++;
    return *s == '\0';
}

static bool take_acceptance(const json_t *line, struct hello_answer *a)
{
    a->has_mac = true;
    if (!take_op(line, &a->op))
        return false;
    if (a->op == HELLO_RESUME)
        return take_all(line, resumed_fields, ARRAY_LEN(resumed_fields), a);
    return take_all(line, opened_fields, ARRAY_LEN(opened_fields), a) && is_address(a->address);
}

static bool take_answer(const json_t *line, struct hello_answer *a)
{
    const json_t *ok = json_object_get(line, "ok");
    if (json_is_true(ok))
        return take_acceptance(line, a);
    return json_is_false(ok) && take_refusal(line, a);
}

int hello_answer_get(const char *line, size_t n, struct hello_answer *ret)
{
    struct hello_answer a = {0};
    json_t *v = NULL;
    int err = load(line, n, &v);
    if (err < 0)
        return err;
    err = take_answer(v, &a) ? 0 : ERR_PROTO;
    json_decref(v);
    if (err == 0)
        *ret = a;
    return err;
}

/* ---- writing ---- */

struct text {
    char *p; /* HELLO_MAX bytes; every line of ours is shorter */
    size_t n;
};

static void put(struct text *t, const char *s)
{
    size_t n = strlen(s);
    assert(n < HELLO_MAX - t->n);
    memcpy(t->p + t->n, s, n + 1);
    t->n += n;
}

static void put_name(struct text *t, const char *name)
{
    put(t, ",\"");
    put(t, name);
    put(t, "\":");
}

static void put_hex(struct text *t, const uint8_t *bytes, size_t n)
{
    put(t, "\"");
    assert(2 * n < HELLO_MAX - t->n);
    hex_put(t->p + t->n, bytes, n);
    t->n += 2 * n;
    put(t, "\"");
}

static void put_string(struct text *t, const char *s)
{
    put(t, "\"");
    t->n += json_text_put(t->p + t->n, HELLO_MAX - t->n, s);
    put(t, "\"");
}

static void put_field(struct text *t, const struct field *f, const void *base)
{
    char number[24] = "";
    const void *at = (const uint8_t *)base + f->offset;
    put_name(t, f->name);
    switch (f->kind) {
    case KIND_BYTES:
        put_hex(t, at, f->size);
        break;
    case KIND_STRING:
        put_string(t, at);
        break;
    case KIND_U64:
        (void)snprintf(number, sizeof number, "\"%016" PRIx64 "\"", *(const uint64_t *)at);
        break;
    case KIND_U32:
        (void)snprintf(number, sizeof number, "%" PRIu32, *(const uint32_t *)at);
        break;
    case KIND_I64:
        (void)snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)at);
        break;
    case KIND_PORT:
        (void)snprintf(number, sizeof number, "%" PRId32, *(const int32_t *)at);
        break;
    }
    put(t, number);
}

static size_t put_all(struct text *t, const struct field *fields, size_t n, const void *base)
{
    for (size_t i = 0; i < n; i++)
        put_field(t, &fields[i], base);
    put(t, "}\n");
    return t->n;
}

size_t hello_request_put(char buf[HELLO_MAX], const struct hello_request *r)
{
    struct text t = {buf, 0};
    if (r->op == HELLO_RESUME) {
        put(&t, "{\"v\":2,\"op\":\"resume\"");
        return put_all(&t, resume_fields, ARRAY_LEN(resume_fields), r);
    }
    assert(hello_id_is_valid(r->id));
    put(&t, "{\"v\":2,\"op\":\"open\"");
    return put_all(&t, open_fields, ARRAY_LEN(open_fields), r);
}

static size_t put_refusal(struct text *t, const struct hello_answer *a)
{
    put(t, "{\"v\":2,\"ok\":false,\"error\":\"");
    put(t, error_words[a->error]);
    put(t, "\"");
    put_field(t, &message_field, a);
    return put_all(t, &mac_field, a->has_mac ? 1 : 0, a);
}

size_t hello_answer_put(char buf[HELLO_MAX], const struct hello_answer *a)
{
    struct text t = {buf, 0};
    if (a->error != HELLO_OK)
        return put_refusal(&t, a);
    assert(a->has_mac);
    if (a->op == HELLO_RESUME) {
        put(&t, "{\"v\":2,\"ok\":true,\"op\":\"resume\"");
        return put_all(&t, resumed_fields, ARRAY_LEN(resumed_fields), a);
    }
    assert(is_address(a->address));
    put(&t, "{\"v\":2,\"ok\":true,\"op\":\"open\"");
    return put_all(&t, opened_fields, ARRAY_LEN(opened_fields), a);
}
