/* SPDX-License-Identifier: MIT */
/*
 * What the two lines of a gotunnel/2 hello say: reading and writing them. What they prove is in
 * hello_proof.c. Fields are read by a table: name, kind, place; a field is there once and of its
 * kind, or the line is refused. jansson sees at most HELLO_MAX bytes, HELLO_DEPTH_MAX deep.
 */
#include "proto/hello_line.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"

enum { HELLO_VERSION = 2 };

enum kind {
    KIND_BYTES,  /* size bytes as 2 * size lower-case hex digits */
    KIND_U64,    /* 16 lower-case hex digits */
    KIND_U32,    /* a number 0 .. 2^32 - 1 */
    KIND_I64,    /* any whole number of 64 bits */
    KIND_PORT,   /* a number 0 .. 65535 into an int32_t */
    KIND_BOOL,   /* true or false */
    KIND_WORD,   /* printable ASCII without blank, quote, backslash, into size chars with its NUL */
    KIND_CAPS,   /* an array of names into a struct hello_caps */
    KIND_NONCES, /* an array of bytes in hex into a struct hello_nonces */
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
    FIELD(hello_request, "id", KIND_WORD, id),
    FIELD(hello_request, "port", KIND_I64, port),
    FIELD(hello_request, "nc", KIND_BYTES, nonce),
    FIELD(hello_request, "window_ms", KIND_U32, window_ms),
    FIELD(hello_request, "caps", KIND_CAPS, caps),
    FIELD(hello_request, "take", KIND_BOOL, take),
    FIELD(hello_request, "mine", KIND_NONCES, mine),
};

static const struct field resume_fields[] = {
    FIELD(hello_request, "sid", KIND_BYTES, sid),
    FIELD(hello_request, "epoch", KIND_U64, epoch),
    FIELD(hello_request, "rx", KIND_U64, rx),
};

static const struct field opened_fields[] = {
    FIELD(hello_answer, "sid", KIND_BYTES, sid),
    FIELD(hello_answer, "ns", KIND_BYTES, nonce),
    FIELD(hello_answer, "window_ms", KIND_U32, window_ms),
    FIELD(hello_answer, "address", KIND_WORD, address),
    FIELD(hello_answer, "port", KIND_PORT, port),
    FIELD(hello_answer, "caps", KIND_CAPS, caps),
};

static const struct field resumed_fields[] = {
    FIELD(hello_answer, "epoch", KIND_U64, epoch),
    FIELD(hello_answer, "rx", KIND_U64, rx),
};

/* Of a refusal; each may be missing. */
static const struct field refused_port_field = FIELD(hello_answer, "port", KIND_I64, refused_port);
static const struct field errno_field = FIELD(hello_answer, "errno", KIND_WORD, errno_word);
static const struct field by_field = FIELD(hello_answer, "by", KIND_WORD, by);

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

static bool take_word(const json_t *v, char *to, size_t room)
{
    if (!json_is_string(v) || json_string_length(v) >= room || !is_word(json_string_value(v)))
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
        if (!take_word(json_array_get(v, i), to->names[i], sizeof to->names[i]) ||
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
    case KIND_BOOL:
        return take_bool(v, to);
    case KIND_WORD:
        return take_word(v, to, f->size);
    case KIND_CAPS:
        return take_caps(v, to);
    case KIND_NONCES:
        return take_nonces(v, to);
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

/* The same of one that may be missing. */
static bool take_optional(const json_t *line, const struct field *f, void *base)
{
    return !json_object_get(line, f->name) || take_all(line, f, 1, base);
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

bool hello_is_sealed(struct hello_text line)
{
    static const char before[] = ",\"mac\":\"", behind[] = "\"}";
    uint8_t mac[HELLO_MAC_BYTES];
    if (line.n < HELLO_SEAL_LEN)
        return false;
    const char *p = line.p + line.n - HELLO_SEAL_LEN;
    const char *digits = p + sizeof before - 1;
    return memcmp(p, before, sizeof before - 1) == 0 && hex_get(mac, digits, sizeof mac) &&
           memcmp(digits + 2 * sizeof mac, behind, sizeof behind - 1) == 0;
}

/* Our version, and a MAC in its place or none. A name is there once: so the one at the end of a
   sealed line is the mac of the whole object. */
static bool is_ours(const json_t *v, struct hello_text line)
{
    int64_t version = 0;
    return take_number(json_object_get(v, "v"), HELLO_VERSION, &version) &&
           version == HELLO_VERSION && (!json_object_get(v, "mac") || hello_is_sealed(line));
}

/* The line as an object of our version, which the caller releases. */
static int load(struct hello_text line, json_t **ret)
{
    json_error_t error;
    if (line.n >= HELLO_MAX || memchr(line.p, '\0', line.n) || !is_shallow(line))
        return ERR_PROTO;
    /* Names are compared after their escapes are resolved, in nested objects too. */
    json_t *v = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error);
    if (!v)
        return json_error_code(&error) == json_error_out_of_memory ? ERR_NOMEM : ERR_PROTO;
    if (!is_ours(v, line)) {
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
    if (!json_object_get(line, "mac") || !take_op(line, &r->op))
        return false;
    if (r->op == HELLO_RESUME)
        return take_all(line, resume_fields, ARRAY_LEN(resume_fields), r);
    return take_all(line, open_fields, ARRAY_LEN(open_fields), r) && hello_id_is_valid(r->id);
}

int hello_request_get(struct hello_text line, struct hello_request *ret)
{
    struct hello_request r = {0};
    json_t *v = NULL;
    int err = load(line, &v);
    if (err < 0)
        return err;
    err = take_request(v, &r) ? 0 : ERR_PROTO;
    json_decref(v);
    if (err == 0)
        *ret = r;
    return err;
}

/* ---- the server's line ---- */

/* A later version's error is one that passes. */
static bool take_error(const json_t *line, enum hello_error *ret)
{
    char word[HELLO_WORD_BUF];
    if (!take_word(json_object_get(line, "error"), word, sizeof word))
        return false;
    *ret = HELLO_ERR_BUSY;
    for (int e = HELLO_OK + 1; e < HELLO_ERRORS; e++)
        if (strcmp(word, hello_error_word((enum hello_error)e)) == 0)
            *ret = (enum hello_error)e;
    return true;
}

static bool mac_is_in_order(const struct hello_answer *a)
{
    enum hello_mac mac = hello_error_mac(a->error);
    return mac == HELLO_MAC_EITHER || a->has_mac == (mac == HELLO_MAC_ALWAYS);
}

static bool take_refusal(const json_t *line, struct hello_answer *a)
{
    a->has_refused_port = json_object_get(line, refused_port_field.name);
    return take_error(line, &a->error) && mac_is_in_order(a) &&
           take_optional(line, &refused_port_field, a) && take_optional(line, &errno_field, a) &&
           take_optional(line, &by_field, a);
}

static bool take_acceptance(const json_t *line, enum hello_op asked, struct hello_answer *a)
{
    enum hello_op op;
    if (!a->has_mac || !take_op(line, &op) || op != asked)
        return false;
    if (op == HELLO_RESUME)
        return take_all(line, resumed_fields, ARRAY_LEN(resumed_fields), a);
    return take_all(line, opened_fields, ARRAY_LEN(opened_fields), a);
}

static bool take_answer(const json_t *line, enum hello_op asked, struct hello_answer *a)
{
    const json_t *ok = json_object_get(line, "ok");
    a->has_mac = json_object_get(line, "mac");
    if (json_is_true(ok))
        return take_acceptance(line, asked, a);
    return json_is_false(ok) && take_refusal(line, a);
}

int hello_answer_get(struct hello_text line, enum hello_op asked, struct hello_answer *ret)
{
    struct hello_answer a = {0};
    json_t *v = NULL;
    int err = load(line, &v);
    if (err < 0)
        return err;
    err = take_answer(v, asked, &a) ? 0 : ERR_PROTO;
    json_decref(v);
    if (err == 0)
        *ret = a;
    return err;
}

/* ---- writing ---- */

struct text {
    char *p; /* HELLO_MAX bytes; every line of ours is shorter, with its seal, LF and NUL */
    size_t n;
};

static void put(struct text *t, const char *s)
{
    size_t n = strlen(s);
    assert(n + HELLO_SEAL_LEN + 2 <= HELLO_MAX - t->n);
    memcpy(t->p + t->n, s, n + 1);
    t->n += n;
}

static void put_quoted(struct text *t, const char *s)
{
    assert(is_word(s));
    put(t, "\"");
    put(t, s);
    put(t, "\"");
}

static void put_hex(struct text *t, const uint8_t *bytes, size_t n)
{
    char digits[2 * HELLO_MAC_BYTES + 1];
    assert(n <= HELLO_MAC_BYTES);
    hex_put(digits, bytes, n);
    digits[2 * n] = '\0';
    put_quoted(t, digits);
}

static void put_caps(struct text *t, const struct hello_caps *c)
{
    put(t, "[");
    for (size_t i = 0; i < c->count; i++) {
        assert(is_cap(c->names[i]));
        put(t, i > 0 ? "," : "");
        put_quoted(t, c->names[i]);
    }
    put(t, "]");
}

static void put_nonces(struct text *t, const struct hello_nonces *m)
{
    put(t, "[");
    for (size_t i = 0; i < m->count; i++) {
        put(t, i > 0 ? "," : "");
        put_hex(t, m->nonces[i], HELLO_NONCE_BYTES);
    }
    put(t, "]");
}

static void put_field(struct text *t, const struct field *f, const void *base)
{
    char number[24] = "";
    const void *at = (const uint8_t *)base + f->offset;
    put(t, ",\"");
    put(t, f->name);
    put(t, "\":");
    switch (f->kind) {
    case KIND_BYTES:
        put_hex(t, at, f->size);
        break;
    case KIND_WORD:
        put_quoted(t, at);
        break;
    case KIND_CAPS:
        put_caps(t, at);
        break;
    case KIND_NONCES:
        put_nonces(t, at);
        break;
    case KIND_BOOL:
        put(t, *(const bool *)at ? "true" : "false");
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
    return t->n;
}

size_t hello_request_put(char buf[HELLO_MAX], const struct hello_request *r, enum hello_op op)
{
    struct text t = {buf, 0};
    if (op == HELLO_RESUME) {
        put(&t, "{\"v\":2,\"op\":\"resume\"");
        return put_all(&t, resume_fields, ARRAY_LEN(resume_fields), r);
    }
    assert(hello_id_is_valid(r->id));
    put(&t, "{\"v\":2,\"op\":\"open\"");
    return put_all(&t, open_fields, ARRAY_LEN(open_fields), r);
}

static size_t put_refusal(struct text *t, const struct hello_answer *a)
{
    put(t, "{\"v\":2,\"ok\":false,\"error\":");
    put_quoted(t, hello_error_word(a->error));
    if (a->has_refused_port)
        put_field(t, &refused_port_field, a);
    if (*a->errno_word)
        put_field(t, &errno_field, a);
    if (*a->by)
        put_field(t, &by_field, a);
    return t->n;
}

size_t hello_answer_put(char buf[HELLO_MAX], const struct hello_answer *a, enum hello_op op)
{
    struct text t = {buf, 0};
    if (a->error != HELLO_OK)
        return put_refusal(&t, a);
    if (op == HELLO_RESUME) {
        put(&t, "{\"v\":2,\"ok\":true,\"op\":\"resume\"");
        return put_all(&t, resumed_fields, ARRAY_LEN(resumed_fields), a);
    }
    put(&t, "{\"v\":2,\"ok\":true,\"op\":\"open\"");
    return put_all(&t, opened_fields, ARRAY_LEN(opened_fields), a);
}
