/* SPDX-License-Identifier: MIT */
/*
 * The lines of the control stream: see service_line.h. One row for each op: who says it, its word, its
 * fields; what a table cannot say of a field is looked at behind it.
 */
#include "proto/service_line.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/err.h"
#include "base/utf8.h"
#include "proto/field.h"

/* ---- words ---- */

static const char *const kind_words[] = {
    [SERVICE_KIND_OTHER] = "",
    [SERVICE_KIND_TCP] = "tcp",
};

static const char *const error_words[] = {
    [SERVICE_OK] = "",
    [SERVICE_ERR_PORT] = "port",
    [SERVICE_ERR_TAKEN] = "taken",
    [SERVICE_ERR_RIGHT] = "right",
    [SERVICE_ERR_LIMIT] = "limit",
    [SERVICE_ERR_KIND] = "kind",
    [SERVICE_ERR_NAME] = "name",
    [SERVICE_ERR_MESSAGE] = "message",
    [SERVICE_ERR_REVOKED] = "revoked",
    [SERVICE_ERR_MOVED] = "moved",
    [SERVICE_ERR_SHUTDOWN] = "shutdown",
};

const char *service_error_word(enum service_error e)
{
    return error_words[e];
}

const char *service_kind_word(enum service_kind kind)
{
    return kind_words[kind];
}

bool service_bind_is_valid(const char *bind)
{
    struct address a;
    return *bind == '\0' || address_from_text(&a, bind, strlen(bind));
}

/* ---- collecting ---- */

void service_reader_init(struct service_reader *r)
{
    *r = (struct service_reader){0};
}

void service_reader_fini(struct service_reader *r)
{
    free(r->line);
    service_reader_init(r);
}

int service_reader_feed(struct service_reader *r, const uint8_t *p, size_t n, size_t *ret_used)
{
    *ret_used = 0;
    if (r->is_complete && n == 0)
        service_reader_fini(r);
    if (!r->line && n == 0)
        return ERR_AGAIN;
    if (!r->line || r->is_complete) {
        if (!r->line)
            r->line = malloc(sizeof *r->line);
        if (!r->line)
            return ERR_NOMEM;
        hello_reader_init(r->line);
    }
    int err = hello_reader_feed(r->line, p, n, ret_used);
    r->is_complete = err == 0;
    return err;
}

struct hello_text service_reader_line(const struct service_reader *r)
{
    assert(r->is_complete);
    return hello_reader_line(r->line);
}

/* ---- the table ---- */

static const struct field svc_field = FIELD(service_line, "svc", FIELD_U32, svc);
static const struct field ready_field = FIELD(service_line, "ready", FIELD_BOOL, change.ready);
static const struct field errno_field = FIELD(service_line, "errno", FIELD_WORD, why.errno_word);
static const struct field by_field = FIELD(service_line, "by", FIELD_WORD, why.by);

static const struct field name_fields[] = {
    FIELD(service_line, "name", FIELD_WORD, wanted.name),
};

static const struct field open_fields[] = {
    FIELD(service_line, "port", FIELD_PORT, wanted.port),
    FIELD(service_line, "bind", FIELD_WORD, wanted.bind),
    FIELD(service_line, "ready", FIELD_BOOL, wanted.ready),
};

static const struct field close_fields[] = {
    FIELD(service_line, "drain_ms", FIELD_U32, drain_ms),
};

static const struct field opened_fields[] = {
    FIELD(service_line, "address", FIELD_WORD, opened.address),
    FIELD(service_line, "port", FIELD_PORT, opened.port),
};

static const struct field notice_fields[] = {
    FIELD(service_line, "message", FIELD_TEXT, message),
};

/* ---- reading ---- */

/* Which of the words (from 1 on) v is, or `other` if it is a word that is none of them. */
static bool take_choice(const json_t *v, const char *const *words, int count, int other, int *ret)
{
    char word[HELLO_WORD_BUF];
    if (!field_word(v, word, sizeof word))
        return false;
    *ret = other;
    for (int i = 1; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            *ret = i;
    return true;
}

static bool take_open(const json_t *line, struct service_line *l)
{
    int kind = 0;
    if (!field_take_all(line, name_fields, ARRAY_LEN(name_fields), l) ||
        !field_take_all(line, open_fields, ARRAY_LEN(open_fields), l) ||
        !take_choice(json_object_get(line, "kind"), kind_words, SERVICE_KINDS, SERVICE_KIND_OTHER,
                     &kind))
        return false;
    l->wanted.kind = (enum service_kind)kind;
    return hello_id_is_valid(l->wanted.name) && service_bind_is_valid(l->wanted.bind);
}

static bool take_change(const json_t *line, struct service_line *l)
{
    l->change.has_ready = json_object_get(line, ready_field.name);
    return field_take_optional(line, &ready_field, l);
}

static bool take_close(const json_t *line, struct service_line *l)
{
    return field_take_all(line, close_fields, ARRAY_LEN(close_fields), l);
}

static bool take_opened(const json_t *line, struct service_line *l)
{
    return field_take_all(line, opened_fields, ARRAY_LEN(opened_fields), l);
}

static bool take_why(const json_t *line, struct service_line *l)
{
    int error = SERVICE_OK;
    const json_t *v = json_object_get(line, "error");
    bool may_be_absent = l->op == SERVICE_CLOSED;
    if ((v || !may_be_absent) &&
        !take_choice(v, error_words, SERVICE_ERRORS, SERVICE_ERR_LIMIT, &error))
        return false;
    l->why.error = (enum service_error)error;
    return field_take_optional(line, &errno_field, l) && field_take_optional(line, &by_field, l);
}

static bool take_notice(const json_t *line, struct service_line *l)
{
    return field_take_all(line, notice_fields, ARRAY_LEN(notice_fields), l);
}

/* ---- writing ---- */

static void put_word(struct field_text *t, const char *name, const char *word)
{
    field_put_text(t, ",\"");
    field_put_text(t, name);
    field_put_text(t, "\":");
    field_put_quoted(t, word);
}

static void put_open(struct field_text *t, const struct service_line *l)
{
    assert(hello_id_is_valid(l->wanted.name) && service_bind_is_valid(l->wanted.bind));
    assert(l->wanted.kind != SERVICE_KIND_OTHER);
    (void)field_put_all(t, name_fields, ARRAY_LEN(name_fields), l);
    put_word(t, "kind", kind_words[l->wanted.kind]);
    (void)field_put_all(t, open_fields, ARRAY_LEN(open_fields), l);
}

static void put_change(struct field_text *t, const struct service_line *l)
{
    if (l->change.has_ready)
        field_put(t, &ready_field, l);
}

static void put_close(struct field_text *t, const struct service_line *l)
{
    (void)field_put_all(t, close_fields, ARRAY_LEN(close_fields), l);
}

static void put_opened(struct field_text *t, const struct service_line *l)
{
    (void)field_put_all(t, opened_fields, ARRAY_LEN(opened_fields), l);
}

static void put_why(struct field_text *t, const struct service_line *l)
{
    assert(l->op == SERVICE_CLOSED || l->why.error != SERVICE_OK);
    if (l->why.error != SERVICE_OK)
        put_word(t, "error", error_words[l->why.error]);
    if (*l->why.errno_word)
        field_put(t, &errno_field, l);
    if (*l->why.by)
        field_put(t, &by_field, l);
}

static bool is_utf8(const char *s)
{
    size_t n = 1;
    uint32_t c;
    for (; *s && n > 0; s += n)
        n = utf8_get(&c, s, strlen(s));
    return n > 0;
}

static void put_notice(struct field_text *t, const struct service_line *l)
{
    assert(is_utf8(l->message));
    (void)field_put_all(t, notice_fields, ARRAY_LEN(notice_fields), l);
}

/* ---- lines ---- */

static const struct op {
    const char *word;
    enum service_end from;
    bool has_svc;
    bool (*take)(const json_t *line, struct service_line *l);
    void (*put)(struct field_text *t, const struct service_line *l);
} ops[] = {
    [SERVICE_OPEN] = {"open", SERVICE_CLIENT, true, take_open, put_open},
    [SERVICE_CHANGE] = {"change", SERVICE_CLIENT, true, take_change, put_change},
    [SERVICE_CLOSE] = {"close", SERVICE_CLIENT, true, take_close, put_close},
    [SERVICE_OPENED] = {"opened", SERVICE_SERVER, true, take_opened, put_opened},
    [SERVICE_REFUSED] = {"refused", SERVICE_SERVER, true, take_why, put_why},
    [SERVICE_CLOSED] = {"closed", SERVICE_SERVER, true, take_why, put_why},
    [SERVICE_NOTICE] = {"notice", SERVICE_SERVER, false, take_notice, put_notice},
};

const char *service_op_word(enum service_op op)
{
    return ops[op].word;
}

static bool take_svc(const json_t *line, struct service_line *l)
{
    return field_take_all(line, &svc_field, 1, l) && l->svc != 0;
}

static int take_line(const json_t *line, enum service_end from, struct service_line *l)
{
    const json_t *op = json_object_get(line, "op");
    if (!json_is_string(op))
        return ERR_PROTO;
    for (int i = 0; i < SERVICE_OPS; i++) {
        if (ops[i].from != from || strcmp(ops[i].word, json_string_value(op)) != 0)
            continue;
        l->op = (enum service_op)i;
        return (!ops[i].has_svc || take_svc(line, l)) && ops[i].take(line, l) ? 0 : ERR_PROTO;
    }
    return ERR_NOTFOUND;
}

int service_line_get(struct hello_text line, enum service_end from, struct service_line *ret)
{
    struct service_line l = {0};
    json_t *v = NULL;
    int err = field_load(line, &v);
    if (err < 0)
        return err;
    err = take_line(v, from, &l);
    json_decref(v);
    if (err == 0)
        *ret = l;
    return err;
}

size_t service_line_put(char buf[HELLO_MAX], const struct service_line *l)
{
    const struct op *op = &ops[l->op];
    struct field_text t = {buf, HELLO_MAX, 0};
    field_put_text(&t, "{\"op\":");
    field_put_quoted(&t, op->word);
    if (op->has_svc) {
        assert(l->svc != 0);
        field_put(&t, &svc_field, l);
    }
    op->put(&t, l);
    field_put_text(&t, "}\n");
    return t.n;
}
