/* SPDX-License-Identifier: MIT */
/* Counted options. */
#include "conf/snapshot.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/secure.h"
#include "conf/diff.h"
#include "conf/flags.h"

struct snapshot {
    atomic_uint owners;
    const struct mode *mode;
    bool is_sealed;        /* the strings are ours */
    struct snapshot *kept; /* what the command line alone says; NULL: it was not kept */
    union {
        struct common_options common; /* both begin with it */
        struct server_options server;
        struct client_options client;
    } of;
};

_Static_assert(offsetof(struct server_options, common) == 0, "of.common");
_Static_assert(offsetof(struct client_options, common) == 0, "of.common");

/* The field of a row that is a string; NULL: it is none. */
static char **string_at(struct snapshot *s, const struct option *o)
{
    return o->type == OPTION_STRING ? (char **)((char *)&s->of + o->at) : NULL;
}

struct snapshot *snapshot_new(const struct mode *m)
{
    struct snapshot *s = secure_alloc(sizeof *s); /* the secret is in it */
    if (!s)
        return NULL;
    atomic_init(&s->owners, 1);
    s->mode = m;
    flags_defaults(m, &s->of);
    return s;
}

void *snapshot_draft(struct snapshot *s)
{
    assert(!s->is_sealed);
    return &s->of;
}

/* The client's list; NULL: of another mode. */
static struct tunnels *tunnels_of(struct snapshot *s)
{
    return mode_is_client(s->mode) ? &s->of.client.tunnels : NULL;
}

static char **target_at(struct tunnels *ts, uint32_t i)
{
    return (char **)((char *)&ts->at[i] + offsetof(struct tunnel_option, target));
}

static void free_tunnels(struct tunnels *ts)
{
    for (uint32_t i = 0; i < ts->count; i++)
        free(*target_at(ts, i));
    tunnels_fini(ts);
}

/* The list and its targets become copies of our own. */
static int copy_tunnels(struct tunnels *ts)
{
    struct tunnels copy;
    if (tunnels_copy(ts, &copy) < 0)
        return ERR_NOMEM;
    uint32_t count = copy.count;
    for (copy.count = 0; copy.count < count; copy.count++) {
        char **target = target_at(&copy, copy.count);
        char *text = strdup(*target);
        if (!text) {
            free_tunnels(&copy);
            return ERR_NOMEM;
        }
        *target = text;
    }
    tunnels_fini(ts);
    *ts = copy;
    return 0;
}

/* Those of the first n rows. */
static void free_strings(struct snapshot *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char **field = string_at(s, &s->mode->options[i]);
        if (field)
            free(*field);
    }
}

int snapshot_seal(struct snapshot *s)
{
    assert(!s->is_sealed);
    for (size_t i = 0; i < s->mode->count; i++) {
        char **field = string_at(s, &s->mode->options[i]);
        char *copy = field ? strdup(*field) : NULL;
        if (field && !copy) {
            free_strings(s, i);
            return ERR_NOMEM;
        }
        if (field)
            *field = copy;
    }
    struct tunnels *ts = tunnels_of(s);
    if (ts && copy_tunnels(ts) < 0) {
        free_strings(s, s->mode->count);
        return ERR_NOMEM;
    }
    s->is_sealed = true;
    return 0;
}

/* The same values, in memory that stays that of from. */
static void borrow_all(struct snapshot *to, const struct snapshot *from)
{
    to->of = from->of;
    struct tunnels *ts = tunnels_of(to);
    if (ts)
        *ts = tunnels_view(ts);
}

int snapshot_keep(struct snapshot *s)
{
    assert(!s->is_sealed && !s->kept);
    struct snapshot *copy = secure_alloc(sizeof *copy);
    if (!copy)
        return ERR_NOMEM;
    atomic_init(&copy->owners, 1);
    copy->mode = s->mode;
    borrow_all(copy, s);
    if (snapshot_seal(copy) < 0) {
        snapshot_unref(copy);
        return ERR_NOMEM;
    }
    s->kept = copy;
    return 0;
}

struct snapshot *snapshot_again(const struct snapshot *s)
{
    struct snapshot *draft = s->kept ? secure_alloc(sizeof *draft) : NULL;
    if (!draft)
        return NULL;
    atomic_init(&draft->owners, 1);
    draft->mode = s->mode;
    draft->kept = snapshot_ref(s->kept);
    borrow_all(draft, s->kept);
    return draft;
}

bool snapshot_is_given(const struct snapshot *s, const char *name)
{
    return options_have(s->mode, s->of.common.given, name);
}

const struct mode *snapshot_mode(const struct snapshot *s)
{
    return s->mode;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->owners, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->owners, 1, memory_order_acq_rel) > 1)
        return;
    if (s->is_sealed)
        free_strings(s, s->mode->count);
    struct tunnels *ts = tunnels_of(s);
    if (ts && s->is_sealed)
        free_tunnels(ts);
    else if (ts)
        tunnels_fini(ts);
    snapshot_unref(s->kept); /* which keeps nothing itself */
    secure_free(s, sizeof *s);
}

const struct common_options *snapshot_common(const struct snapshot *s)
{
    return &s->of.common;
}

const struct server_options *snapshot_server(const struct snapshot *s)
{
    assert(s->is_sealed && !mode_is_client(s->mode));
    return &s->of.server;
}

const struct client_options *snapshot_client(const struct snapshot *s)
{
    assert(s->is_sealed && mode_is_client(s->mode));
    return &s->of.client;
}
