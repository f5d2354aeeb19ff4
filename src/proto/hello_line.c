/* SPDX-License-Identifier: MIT */
/*
 * What the two lines of a gotunnel/2 hello say: reading and writing them. What they prove is in
 * hello_proof.c, how a table of fields is read and written in field.c.
 */
#include "proto/hello_line.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "proto/field.h"

enum {
    HELLO_VERSION = 2,
    LINE_ROOM =
        HELLO_MAX - HELLO_SIG_LEN - HELLO_SEAL_LEN - 1, /* signature, seal and LF come behind it */
};

static const struct field id_field = FIELD(hello_request, "id", FIELD_WORD, id);

/* Of an open, behind the id. */
static const struct field open_fields[] = {
    FIELD(hello_request, "nc", FIELD_BYTES, nonce),
    FIELD(hello_request, "window_ms", FIELD_U32, window_ms),
    FIELD(hello_request, "caps", FIELD_CAPS, caps),
    FIELD(hello_request, "take", FIELD_BOOL, take),
    FIELD(hello_request, "mine", FIELD_NONCES, mine),
};

/* Of an open; it may be missing. */
static const struct field key_field = FIELD(hello_request, "key", FIELD_WORD, key);

static const struct field resume_fields[] = {
    FIELD(hello_request, "sid", FIELD_BYTES, sid),
    FIELD(hello_request, "epoch", FIELD_U64, epoch),
    FIELD(hello_request, "rx", FIELD_U64, rx),
};

static const struct field opened_fields[] = {
    FIELD(hello_answer, "sid", FIELD_BYTES, sid),
    FIELD(hello_answer, "ns", FIELD_BYTES, nonce),
    FIELD(hello_answer, "window_ms", FIELD_U32, window_ms),
    FIELD(hello_answer, "caps", FIELD_CAPS, caps),
};

static const struct field resumed_fields[] = {
    FIELD(hello_answer, "epoch", FIELD_U64, epoch),
    FIELD(hello_answer, "rx", FIELD_U64, rx),
};

/* Of a refusal; it may be missing. */
static const struct field by_field = FIELD(hello_answer, "by", FIELD_WORD, by);

/* ---- reading a line ---- */

/* Whether before, n bytes in hex and behind stand at p. */
static bool is_framed(const char *p, const char *before, size_t n, const char *behind)
{
    uint8_t bytes[HELLO_SIG_BYTES];
    const char *digits = p + strlen(before);
    return memcmp(p, before, strlen(before)) == 0 && hex_get(bytes, digits, n) &&
           memcmp(digits + 2 * n, behind, strlen(behind)) == 0;
}

bool hello_is_sealed(struct hello_text line)
{
    return line.n >= HELLO_SEAL_LEN &&
           is_framed(line.p + line.n - HELLO_SEAL_LEN, ",\"mac\":\"", HELLO_MAC_BYTES, "\"}");
}

bool hello_has_sig(struct hello_text line)
{
    const size_t behind = HELLO_SIG_LEN + HELLO_SEAL_LEN;
    return line.n >= behind &&
           is_framed(line.p + line.n - behind, ",\"sig\":\"", HELLO_SIG_BYTES, "\"");
}

/* Our version, and a MAC in its place or none. A name is there once: so the one at the end of a
   sealed line is the mac of the whole object. */
static bool is_ours(const json_t *v, struct hello_text line)
{
    int64_t version = 0;
    return field_number(json_object_get(v, "v"), HELLO_VERSION, &version) &&
           version == HELLO_VERSION && (!json_object_get(v, "mac") || hello_is_sealed(line));
}

/* The line as an object of our version, which the caller releases. */
static int load(struct hello_text line, json_t **ret)
{
    json_t *v = NULL;
    int err = field_load(line, &v);
    if (err < 0)
        return err;
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

/* A key and a signature are there both or not at all; a name is there once, so the signature before
   the seal, if there is one, is the sig of the whole object. */
static bool take_key(const json_t *line, struct hello_text text, struct hello_request *r)
{
    bool has_key = json_object_get(line, key_field.name), has_sig = json_object_get(line, "sig");
    if (has_key != has_sig)
        return false;
    return !has_key || (hello_has_sig(text) && field_take_all(line, &key_field, 1, r) &&
                        hello_id_is_valid(r->key) && hello_id_is_of_key(r->id, r->key));
}

static bool take_request(const json_t *line, struct hello_text text, struct hello_request *r)
{
    if (!json_object_get(line, "mac") || !take_op(line, &r->op))
        return false;
    if (r->op == HELLO_RESUME)
        return field_take_all(line, resume_fields, ARRAY_LEN(resume_fields), r);
    return field_take_all(line, &id_field, 1, r) &&
           field_take_all(line, open_fields, ARRAY_LEN(open_fields), r) &&
           hello_id_is_valid(r->id) && take_key(line, text, r);
}

int hello_request_get(struct hello_text line, struct hello_request *ret)
{
    struct hello_request r = {0};
    json_t *v = NULL;
    int err = load(line, &v);
    if (err < 0)
        return err;
    err = take_request(v, line, &r) ? 0 : ERR_PROTO;
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
    if (!field_word(json_object_get(line, "error"), word, sizeof word))
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
    return take_error(line, &a->error) && mac_is_in_order(a) &&
           field_take_optional(line, &by_field, a);
}

static bool take_acceptance(const json_t *line, enum hello_op asked, struct hello_answer *a)
{
    enum hello_op op;
    if (!a->has_mac || !take_op(line, &op) || op != asked)
        return false;
    if (op == HELLO_RESUME)
        return field_take_all(line, resumed_fields, ARRAY_LEN(resumed_fields), a);
    return field_take_all(line, opened_fields, ARRAY_LEN(opened_fields), a);
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

size_t hello_request_put(char buf[HELLO_MAX], const struct hello_request *r, enum hello_op op)
{
    struct field_text t = {buf, LINE_ROOM, 0};
    if (op == HELLO_RESUME) {
        field_put_text(&t, "{\"v\":2,\"op\":\"resume\"");
        return field_put_all(&t, resume_fields, ARRAY_LEN(resume_fields), r);
    }
    assert(hello_id_is_valid(r->id));
    field_put_text(&t, "{\"v\":2,\"op\":\"open\"");
    field_put(&t, &id_field, r);
    field_put_all(&t, open_fields, ARRAY_LEN(open_fields), r);
    if (*r->key)
        field_put(&t, &key_field, r);
    return t.n;
}

static size_t put_refusal(struct field_text *t, const struct hello_answer *a)
{
    field_put_text(t, "{\"v\":2,\"ok\":false,\"error\":");
    field_put_quoted(t, hello_error_word(a->error));
    if (*a->by)
        field_put(t, &by_field, a);
    return t->n;
}

size_t hello_answer_put(char buf[HELLO_MAX], const struct hello_answer *a, enum hello_op op)
{
    struct field_text t = {buf, LINE_ROOM, 0};
    if (a->error != HELLO_OK)
        return put_refusal(&t, a);
    if (op == HELLO_RESUME) {
        field_put_text(&t, "{\"v\":2,\"ok\":true,\"op\":\"resume\"");
        return field_put_all(&t, resumed_fields, ARRAY_LEN(resumed_fields), a);
    }
    field_put_text(&t, "{\"v\":2,\"ok\":true,\"op\":\"open\"");
    return field_put_all(&t, opened_fields, ARRAY_LEN(opened_fields), a);
}
