/* SPDX-License-Identifier: MIT */
/* Lines of a census, by tables: one row for each member, for writing and for reading. */
#include "proto/census_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define AGE_MAX INT64_C(1000000000000000) /* of a KIND_AGE that is read: 30,000 years in ms */

enum kind {
    KIND_TEXT,
    KIND_STATE,
    KIND_NUMBER, /* uint64_t */
    KIND_AGE,    /* int64_t; -1 is null */
    KIND_BOOL,
};

struct member {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define ROW(type, name, kind, member)                                                              \
    {                                                                                              \
        name, kind, offsetof(struct type, member)                                                  \
    }

static const struct member client_members[] = {
    ROW(census_client, "name", KIND_TEXT, name),
    ROW(census_client, "id", KIND_TEXT, id),
    ROW(census_client, "address", KIND_TEXT, address),
    ROW(census_client, "legacy", KIND_BOOL, is_legacy),
    ROW(census_client, "state", KIND_STATE, state),
    ROW(census_client, "state_ms", KIND_AGE, state_ms),
    ROW(census_client, "proof_ms", KIND_AGE, proof_ms),
    ROW(census_client, "window_ms", KIND_AGE, window_ms),
    ROW(census_client, "next_ms", KIND_AGE, next_ms),
    ROW(census_client, "rtt_us", KIND_AGE, rtt_us),
    ROW(census_client, "resumes", KIND_NUMBER, resumes),
    ROW(census_client, "broke", KIND_TEXT, broke),
    ROW(census_client, "broke_ms", KIND_AGE, broke_ms),
    ROW(census_client, "gap_ms", KIND_AGE, gap_ms),
    ROW(census_client, "idle_cut_ms", KIND_AGE, idle_cut_ms),
    ROW(census_client, "error", KIND_TEXT, error),
    ROW(census_client, "error_ms", KIND_AGE, error_ms),
    ROW(census_client, "held_bytes", KIND_NUMBER, held),
};

static const struct member tunnel_members[] = {
    ROW(census_tunnel, "name", KIND_TEXT, name),
    ROW(census_tunnel, "address", KIND_TEXT, address),
    ROW(census_tunnel, "target", KIND_TEXT, target),
    ROW(census_tunnel, "state", KIND_STATE, state),
    ROW(census_tunnel, "port", KIND_AGE, port),
    ROW(census_tunnel, "connections", KIND_NUMBER, connections),
    ROW(census_tunnel, "connections_total", KIND_NUMBER, all),
    ROW(census_tunnel, "connections_failed", KIND_NUMBER, failed),
    ROW(census_tunnel, "bytes_in", KIND_NUMBER, in),
    ROW(census_tunnel, "bytes_out", KIND_NUMBER, out),
    ROW(census_tunnel, "error", KIND_TEXT, error),
    ROW(census_tunnel, "error_detail", KIND_TEXT, detail),
    ROW(census_tunnel, "error_ms", KIND_AGE, error_ms),
};

static const struct member worker_members[] = {
    ROW(census_worker, "silent", KIND_BOOL, is_silent),
    ROW(census_worker, "lag_us", KIND_AGE, lag_us),
    ROW(census_worker, "sessions", KIND_NUMBER, sessions),
    ROW(census_worker, "connections", KIND_NUMBER, connections),
    ROW(census_worker, "bytes_in", KIND_NUMBER, in),
    ROW(census_worker, "bytes_out", KIND_NUMBER, out),
    ROW(census_worker, "window_bytes", KIND_NUMBER, window_bytes),
    ROW(census_worker, "replay_bytes", KIND_NUMBER, replay_bytes),
    ROW(census_worker, "late_bytes", KIND_NUMBER, late_bytes),
};

static const struct member process_members[] = {
    ROW(census_process, "mode", KIND_TEXT, mode),
    ROW(census_process, "version", KIND_TEXT, version),
    ROW(census_process, "address", KIND_TEXT, address),
    ROW(census_process, "stopping", KIND_BOOL, is_stopping),
    ROW(census_process, "trouble", KIND_TEXT, trouble),
    ROW(census_process, "pid", KIND_AGE, pid),
    ROW(census_process, "now", KIND_AGE, now_s),
    ROW(census_process, "begun", KIND_AGE, begun_s),
    ROW(census_process, "connections", KIND_NUMBER, connections),
    ROW(census_process, "connections_max", KIND_NUMBER, connections_max),
    ROW(census_process, "unauthenticated", KIND_NUMBER, unauthenticated),
    ROW(census_process, "reloads", KIND_NUMBER, reloads),
    ROW(census_process, "reloads_failed", KIND_NUMBER, reloads_failed),
};

/* ---- writing ---- */

/* Text that is no UTF-8 is none for jansson. */
static json_t *text_new(const char *text)
{
    json_t *v = json_string(text);
    return v ? v : json_string("?");
}

static json_t *value_new(const struct member *m, const void *base)
{
    const char *at = (const char *)base + m->offset;
    switch (m->kind) {
    case KIND_TEXT:
        return text_new(*(const char *const *)at);
    case KIND_STATE:
        return json_string(census_state_word(*(const enum census_state *)at));
    case KIND_NUMBER:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case KIND_AGE:
        return *(const int64_t *)at < 0 ? json_null() : json_integer(*(const int64_t *)at);
    case KIND_BOOL:
        return json_boolean(*(const bool *)at);
    }
    return NULL;
}

/* NULL without memory, as the others. */
static json_t *object_new(const struct member *members, size_t n, const void *base)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < n; i++)
        if (json_object_set_new(o, members[i].name, value_new(&members[i], base)) < 0) {
            json_decref(o);
            return NULL;
        }
    return o;
}

/* Puts v, which is o's then, also on failure; o is NULL after one. */
static void put(json_t **o, const char *name, json_t *v)
{
    if (!*o) {
        json_decref(v);
    } else if (json_object_set_new(*o, name, v) < 0) {
        json_decref(*o);
        *o = NULL;
    }
}

static void append(json_t **array, json_t *v)
{
    if (!*array) {
        json_decref(v);
    } else if (json_array_append_new(*array, v) < 0) {
        json_decref(*array);
        *array = NULL;
    }
}

static json_t *reasons_new(const struct census_reasons *r)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < r->n; i++)
        put(&o, r->words[i], json_integer((json_int_t)r->counts[i]));
    return o;
}

static json_t *histogram_new(const struct histogram *h)
{
    json_t *ends = json_array(), *counts = json_array(), *o = json_object();
    for (unsigned i = 0; i < HISTOGRAM_STEPS; i++)
        append(&ends, json_integer(histogram_ends[i]));
    for (unsigned i = 0; i <= HISTOGRAM_STEPS; i++)
        append(&counts, json_integer((json_int_t)h->counts[i]));
    put(&o, "up_to_ms", ends);
    put(&o, "counts", counts);
    put(&o, "sum_ms", json_integer((json_int_t)h->sum_ms));
    return o;
}

/* o goes. */
static char *line_of(json_t *o, size_t *ret_n)
{
    const size_t flags = JSON_COMPACT;
    size_t n = o ? json_dumpb(o, NULL, 0, flags) : 0;
    char *line = n > 0 ? malloc(n + 1) : NULL;
    if (line && json_dumpb(o, line, n, flags) == n) {
        line[n] = '\0';
        *ret_n = n;
    } else {
        free(line);
        line = NULL;
    }
    json_decref(o);
    return line;
}

static json_t *kind_new(const char *kind, const struct member *members, size_t n, const void *base)
{
    json_t *o = object_new(members, n, base);
    put(&o, "kind", json_string(kind));
    return o;
}

char *census_process_json(const struct census *c, size_t *ret_n)
{
    const struct census_process *p = &c->process;
    json_t *workers = json_array();
    json_t *o = kind_new("process", process_members, ARRAY_LEN(process_members), p);
    for (const struct census_part *w = NULL; (w = census_next_part(c, w));)
        append(&workers, object_new(worker_members, ARRAY_LEN(worker_members), &w->worker));
    put(&o, "schema", json_integer(CENSUS_JSON_VERSION));
    put(&o, "auth_failures", reasons_new(&p->auth_failures));
    put(&o, "refused", reasons_new(&p->refused));
    put(&o, "gaps", histogram_new(&p->gaps));
    put(&o, "dials", histogram_new(&p->dials));
    put(&o, "workers", workers);
    return line_of(o, ret_n);
}

char *census_client_json(const struct census_client *k, size_t *ret_n)
{
    json_t *tunnels = json_array();
    json_t *o = kind_new("client", client_members, ARRAY_LEN(client_members), k);
    for (const struct census_tunnel *t = NULL; (t = census_next_tunnel(k, t));)
        append(&tunnels, object_new(tunnel_members, ARRAY_LEN(tunnel_members), t));
    put(&o, "tunnels", tunnels);
    return line_of(o, ret_n);
}

/* ---- reading ---- */

/* Where text of what is read goes. */
typedef const char *keep_text(void *owner, const char *text);

static const char *keep_in_part(void *owner, const char *text)
{
    return census_text(owner, text);
}

static const char *keep_in_census(void *owner, const char *text)
{
    return census_own_text(owner, text);
}

/* -1 also of what nothing of ours can be: who reads it may count with it. */
static int64_t age_of(const json_t *v)
{
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    return n >= 0 && n <= AGE_MAX ? n : -1;
}

static void take(const struct member *m, const json_t *v, void *base, keep_text *keep, void *owner)
{
    char *at = (char *)base + m->offset;
    switch (m->kind) {
    case KIND_TEXT:
        if (json_is_string(v))
            *(const char **)at = keep(owner, json_string_value(v));
        break;
    case KIND_STATE:
        if (json_is_string(v)) {
            enum census_state s = census_state_find(json_string_value(v));
            *(enum census_state *)at =
                s < CENSUS_STATES ? s : CENSUS_SUSPECT; /* of a later version */
        }
        break;
    case KIND_NUMBER:
        if (json_is_integer(v))
            *(uint64_t *)at = (uint64_t)json_integer_value(v);
        break;
    case KIND_AGE:
        *(int64_t *)at = age_of(v);
        break;
    case KIND_BOOL:
        *(bool *)at = json_is_true(v);
        break;
    }
}

static void take_all(const struct member *members, size_t n, const json_t *o, void *base,
                     keep_text *keep, void *owner)
{
    for (size_t i = 0; i < n; i++)
        take(&members[i], json_object_get(o, members[i].name), base, keep, owner);
}

/* An object of that kind; NULL: it is none. */
static json_t *load(const char *line, size_t n, const char *kind)
{
    json_error_t at;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &at);
    const char *is = json_string_value(json_object_get(o, "kind"));
    if (is && strcmp(is, kind) == 0)
        return o;
    json_decref(o);
    return NULL;
}

static void read_reasons(struct census *c, struct census_reasons *r, const json_t *o)
{
    const char *word;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, word,
                        v) if (r->n < CENSUS_REASONS_MAX && json_is_integer(v))
        census_count(r, census_own_text(c, word), (uint64_t)json_integer_value(v));
}

static void read_histogram(struct histogram *h, const json_t *o)
{
    const json_t *counts = json_object_get(o, "counts");
    for (unsigned i = 0; i <= HISTOGRAM_STEPS; i++)
        h->counts[i] = (uint64_t)json_integer_value(json_array_get(counts, i));
    h->sum_ms = (uint64_t)json_integer_value(json_object_get(o, "sum_ms"));
}

static int read_workers(struct census *c, const json_t *workers)
{
    for (size_t i = 0; i < json_array_size(workers); i++) {
        struct census_part *p = census_part_new();
        if (!p)
            return ERR_NOMEM;
        take_all(worker_members, ARRAY_LEN(worker_members), json_array_get(workers, i), &p->worker,
                 keep_in_part, p);
        list_push(&c->parts, &p->node); /* the sums are read */
        c->parts_count++;
    }
    return 0;
}

int census_process_read(struct census *c, const char *line, size_t n)
{
    struct census_process *p = &c->process;
    json_t *o = load(line, n, "process");
    if (!o)
        return ERR_PROTO;
    take_all(process_members, ARRAY_LEN(process_members), o, p, keep_in_census, c);
    read_reasons(c, &p->auth_failures, json_object_get(o, "auth_failures"));
    read_reasons(c, &p->refused, json_object_get(o, "refused"));
    read_histogram(&p->gaps, json_object_get(o, "gaps"));
    read_histogram(&p->dials, json_object_get(o, "dials"));
    int err = read_workers(c, json_object_get(o, "workers"));
    json_decref(o);
    return err;
}

int census_client_read(struct census_part *p, const char *line, size_t n,
                       struct census_client **ret)
{
    json_t *o = load(line, n, "client");
    struct census_client *k = o ? census_client_new(p) : NULL;
    const json_t *tunnels = json_object_get(o, "tunnels");
    int err = k ? 0 : o ? ERR_NOMEM : ERR_PROTO;
    if (k)
        take_all(client_members, ARRAY_LEN(client_members), o, k, keep_in_part, p);
    for (size_t i = 0; err == 0 && i < json_array_size(tunnels); i++) {
        struct census_tunnel *t = census_tunnel_new(k);
        if (t)
            take_all(tunnel_members, ARRAY_LEN(tunnel_members), json_array_get(tunnels, i), t,
                     keep_in_part, p);
        err = t ? 0 : ERR_NOMEM;
    }
    json_decref(o);
    if (err == 0)
        *ret = k;
    return err;
}
