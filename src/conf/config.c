/* SPDX-License-Identifier: MIT */
/* Keys and values of a file, against the table of options. */
#include "conf/config.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "conf/config_value.h"
#include "conf/nearest.h"

#define TUNNELS   "tunnels"
#define JOIN_FILE "join-file"

/* One entry of `tunnels`. */
struct tunnel_entry {
    struct yaml_place at; /* line 0: there is none, or it is no map */
    uint32_t keys;        /* the rows it has */
    char name[TUNNEL_NAME_MAX + 1];
    struct yaml_place name_at;
    struct yaml_place targets; /* its target is a list, without an entry so far; line 0: not so */
    bool is_wrong;             /* it has been said */
};

struct config {
    const struct mode *mode;
    const char *folder;
    const struct config_check *checks;
    size_t checks_count;

    void *opt;
    int err;                     /* ERR_NOMEM, or 0 */
    char *held[OPTIONS_MAX];     /* what strings of opt point to, by row */
    const char *secret_key;      /* `secret`, `secret-file` or `join-file`, which was there first */
    struct yaml_place secret;    /* line 0: there is none */
    struct yaml_place ca;        /* the same */
    bool has_join;               /* `join-file` is there */
    struct yaml_place tunnels;   /* the list without an entry; line 0: it has one */
    struct tunnel_entry tunnel;  /* that is being read */
    size_t tunnels_count;        /* entries so far, wrong ones too */
    struct tunnels list;         /* those that are right */
    uint32_t lines[TUNNELS_MAX]; /* where each begins */
    char *targets[TUNNELS_MAX];  /* what they point to */
    char first_name[TUNNEL_NAME_MAX +
                    1];       /* of the first of them, as it was written; "": it has none */
    struct config_list parts; /* of a value that is one */

    struct config_errors errors;

    union { /* for values that the command line has, too */
        struct server_options server;
        struct client_options client;
    } unused;
};

/* ---- errors ---- */

static void wrong(struct config *c, struct yaml_place at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void wrong(struct config *c, struct yaml_place at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    config_errors_vadd(&c->errors, at, fmt, ap);
    va_end(ap);
}

static void on_wrong(void *ctx, struct yaml_place at, const char *text)
{
    struct config *c = ctx;
    c->parts.is_empty = false; /* what it is about may have been an entry */
    config_errors_walk(&c->errors, at, text);
}

/* ---- keys ---- */

static const struct option *find(const struct mode *m, enum option_place place, const char *key)
{
    for (size_t i = 0; i < m->count; i++) {
        const char *name;
        if (option_place(&m->options[i], &name) == place && strcmp(name, key) == 0)
            return &m->options[i];
    }
    return NULL;
}

static bool is_top_key(const struct mode *m, const char *key)
{
    return find(m, OPTION_TOP, key) || (mode_is_client(m) && strcmp(key, TUNNELS) == 0);
}

/* Written as a flag's name, or in the wrong place. */
static bool belongs_in_tunnel(const struct mode *m, const char *key, const char **ret_key)
{
    for (size_t i = 0; i < m->count; i++)
        if (option_place(&m->options[i], ret_key) == OPTION_TUNNEL &&
            (strcmp(m->options[i].name, key) == 0 || strcmp(*ret_key, key) == 0))
            return true;
    return false;
}

static const char *nearest_key(const struct mode *m, enum option_place place, const char *typed)
{
    struct nearest near;
    if (place == OPTION_TOP && mode_is_client(m) && strcmp(typed, "join") == 0)
        return JOIN_FILE; /* a string in a file that is not kept as a secret is one that leaks */
    nearest_init(&near, typed, strlen(typed));
    for (size_t i = 0; i < m->count; i++) {
        const char *key;
        if (option_place(&m->options[i], &key) == place)
            nearest_try(&near, key);
    }
    if (place == OPTION_TUNNEL)
        nearest_try(&near, "name");
    else if (mode_is_client(m))
        nearest_try(&near, TUNNELS);
    return nearest_name(&near);
}

static void unknown_key(struct config *c, enum option_place place, const struct yaml_step *step)
{
    const struct mode *other = mode_is_client(c->mode) ? &server_mode : &client_mode;
    const char *near, *key;
    char shown[ESCAPE_BUF];
    escape_text(shown, step->key, strlen(step->key));
    if (belongs_in_tunnel(c->mode, step->key, &key))
        wrong(c, step->at, _("'%s' is no key here: write it as '%s' in an entry of '%s'"), shown,
              key, TUNNELS);
    else if (place == OPTION_TUNNEL && is_top_key(c->mode, step->key))
        wrong(c, step->at, _("'%s' is no key of a tunnel: write it at the left edge"), shown);
    else if (is_top_key(other, step->key))
        wrong(c, step->at, _("'%s' is a key of 'gotunnel %s', and this is for 'gotunnel %s'"),
              shown, other->name, c->mode->name);
    else if ((near = nearest_key(c->mode, place, step->key)))
        wrong(c, step->at, _("'%s' is no key here; '%s'?"), shown, near);
    else
        wrong(c, step->at, _("'%s' is no key here"), shown);
}

/* ---- values ---- */

static bool is_secret(const struct option *o)
{
    return o->type == OPTION_SECRET || strcmp(o->name, "secret-file") == 0 ||
           strcmp(o->name, JOIN_FILE) == 0;
}

/* A join string says which CA, too. */
static bool is_replaced(const struct option *o, const struct option *by)
{
    bool is_join = strcmp(by->name, JOIN_FILE) == 0 || strcmp(by->name, "join") == 0;
    return by == o || (is_secret(by) && is_secret(o)) || (is_join && strcmp(o->name, "ca") == 0);
}

/* The command line has said it. A secret there, of whatever kind, stands for all kinds here. */
static bool is_given(const struct config *c, const struct option *o)
{
    const struct common_options *common = c->opt;
    for (size_t i = 0; i < c->mode->count; i++)
        if (common->given >> i & 1 && is_replaced(o, &c->mode->options[i]))
            return true;
    return false;
}

/* "-" is the standard input, as on the command line. */
static bool is_relative(const struct option *o, const char *text)
{
    return option_is_path(o) && *text && *text != '/' && !(is_secret(o) && strcmp(text, "-") == 0);
}

/* The text as the flag would have it; the caller's. */
static char *text_of(struct config *c, const struct option *o, const struct yaml_entry *e)
{
    size_t n = is_relative(o, e->text) ? strlen(c->folder) : 0;
    char *text = malloc(n + e->len + 1);
    if (!text) {
        c->err = ERR_NOMEM;
        return NULL;
    }
    memcpy(text, c->folder, n);
    memcpy(text + n, e->text, e->len + 1);
    return text;
}

static void wipe(char *text)
{
    if (text)
        secure_zero(text, strlen(text));
    free(text);
}

/* What the caller's checks have against a value. Its words, or NULL. */
static const char *check(const struct config *c, const struct option *o, const char *text,
                         struct errmsg *why)
{
    for (size_t i = 0; i < c->checks_count; i++)
        if (strcmp(c->checks[i].name, o->name) == 0 && c->checks[i].check(text, why) < 0)
            return why->text;
    return NULL;
}

/* Sets o's field. False: the value is wrong, and it has been said. */
static bool set(struct config *c, const struct option *o, const struct yaml_entry *e,
                const char *text, void *opt)
{
    const char *key = e->path[e->depth - 1].key;
    struct errmsg why;
    if (!config_value_set(&c->errors, o, key, e, text, false, opt))
        return false;
    const char *words = check(c, o, text, &why);
    if (words)
        wrong(c, e->at, "%s: %s", key, words);
    return !words;
}

/* `secret`, `secret-file` and `join-file` are one thing said in three ways. */
static void note_secret(struct config *c, const struct option *o, const struct yaml_step *step)
{
    if (o->type == OPTION_SECRET)
        c->secret = step->at;
    if (c->secret_key)
        wrong(c, step->at, _("'%s' beside '%s': the secret comes from one place"), o->name,
              c->secret_key);
    c->secret_key = o->name;
}

/* The one text of a value; NULL: it is none, which has been said, or there is no memory. The caller's. */
static char *value_text(struct config *c, const struct option *o, const struct yaml_entry *e)
{
    return config_value_is_text(&c->errors, e->path[e->depth - 1].key, e) ? text_of(c, o, e) : NULL;
}

static void take_value(struct config *c, const struct option *o, const struct yaml_entry *e)
{
    const struct yaml_step *step = &e->path[e->depth - 1];
    struct common_options *common = c->opt;
    if (is_secret(o))
        note_secret(c, o, step);
    if (strcmp(o->name, "ca") == 0)
        c->ca = step->at;
    c->has_join |= strcmp(o->name, JOIN_FILE) == 0;
    if (e->kind == YAML_LIST && config_value_is_list(o)) {
        config_list_begin(&c->parts, o, e);
        return;
    }
    char *text = value_text(c, o, e);
    bool is_used = !is_given(c, o);
    if (text && set(c, o, e, text, is_used ? c->opt : &c->unused) && is_used) {
        c->held[o - c->mode->options] = text;
        common->secret_in_config |= o->type == OPTION_SECRET && *text;
    } else {
        wipe(text);
    }
}

/* ---- tunnels ---- */

static void take_name(struct config *c, const struct yaml_entry *e)
{
    if (e->kind != YAML_TEXT || strlen(e->text) != e->len || !tunnels_name_is_valid(e->text)) {
        wrong(c, e->at, _("the name of a tunnel is 1 to %d of A-Z a-z 0-9 . _ -"), TUNNEL_NAME_MAX);
        c->tunnel.is_wrong = true;
    } else {
        memcpy(c->tunnel.name, e->text, e->len + 1);
        c->tunnel.name_at = e->path[2].at;
    }
}

/* A value of the entry that is being read, into the unused options first. */
static void take_tunnel_value(struct config *c, const struct option *o, const struct yaml_entry *e)
{
    char **held = &c->targets[c->list.count];
    c->tunnel.keys |= UINT32_C(1) << (o - c->mode->options);
    char *text = value_text(c, o, e);
    if (!text || !set(c, o, e, text, &c->unused)) {
        c->tunnel.is_wrong = true;
        wipe(text);
    } else if (o->type == OPTION_STRING && !*held) {
        *held = text;
    } else {
        wipe(text);
    }
}

/* One more address in the text of a target, behind a comma. */
static bool add_target(struct config *c, char **held, const char *text)
{
    size_t has = *held ? strlen(*held) + 1 : 0, n = strlen(text) + 1;
    char *more = realloc(*held, has + n);
    if (!more) {
        c->err = ERR_NOMEM;
        return false;
    }
    if (has > 0)
        more[has - 1] = ',';
    memcpy(more + has, text, n);
    *held = more;
    return true;
}

/* An entry of a target that is a list: right by itself, then with those before it. */
static void take_target(struct config *c, const struct option *o, const struct yaml_entry *e)
{
    struct yaml_entry item = *e;
    char **held = &c->targets[c->list.count];
    struct errmsg why;
    item.depth = 3; /* the key is the target's */
    c->tunnel.targets.line = 0;
    char *text = value_text(c, o, &item);
    bool is_right = text && set(c, o, &item, text, &c->unused) && !c->tunnel.is_wrong;
    if (is_right && add_target(c, held, text) && check(c, o, *held, &why)) {
        wrong(c, e->at, "%s: %s", e->path[2].key, why.text);
        is_right = false;
    }
    c->tunnel.is_wrong |= !is_right; /* then no more is added: the list is as long as it likes */
    wipe(text);
}

static void begin_target_list(struct config *c, const struct option *o, const struct yaml_entry *e)
{
    c->tunnel.keys |= UINT32_C(1) << (o - c->mode->options);
    c->tunnel.targets = e->at;
}

static void check_target_list(struct config *c)
{
    struct tunnel_entry *t = &c->tunnel;
    if (t->targets.line == 0)
        return;
    wrong(c, t->targets, _("'%s' has no entry"), "target");
    t->is_wrong = true;
}

/* Into the list, unless its public port is another one's, or its name, which is a port. */
static void add_tunnel(struct config *c, int32_t port)
{
    const struct tunnel_entry *t = &c->tunnel;
    const struct tunnel_option *other = tunnels_at_port(&c->list, port);
    c->lines[c->list.count] = t->at.line;
    int err = tunnels_add(&c->list, t->name, port, c->targets[c->list.count]);
    if (err == ERR_INUSE)
        wrong(c, t->at, _("another tunnel has the same public port: '%s', in line %u"), other->name,
              c->lines[other - c->list.at]);
    else if (err == ERR_EXISTS)
        wrong(c, t->at, "%s", _("another tunnel has this name already"));
    else if (err < 0)
        c->err = err;
    else if (c->list.count == 1)
        memcpy(c->first_name, t->name, sizeof c->first_name);
}

/* The entry is whole: what it must say, and its place in the list. */
static void end_tunnel(struct config *c)
{
    struct tunnel_entry *t = &c->tunnel;
    const struct client_options *said = &c->unused.client;
    if (t->at.line == 0)
        return;
    check_target_list(c);
    for (size_t i = 0; i < c->mode->count; i++) {
        const char *key;
        if (option_place(&c->mode->options[i], &key) != OPTION_TUNNEL || t->keys >> i & 1)
            continue;
        wrong(c, t->at, _("the tunnel has no '%s'"), key);
        t->is_wrong = true;
    }
    const struct tunnel_option *other = *t->name ? tunnels_find(&c->list, t->name) : NULL;
    if (other)
        wrong(c, t->name_at, _("tunnel '%s' is there already, in line %u"), t->name,
              c->lines[other - c->list.at]);
    else if (!t->is_wrong)
        add_tunnel(c, (int32_t)said->remote_port);
    wipe(c->list.count < TUNNELS_MAX ? c->targets[c->list.count] : NULL);
    if (c->list.count < TUNNELS_MAX)
        c->targets[c->list.count] = NULL;
    *t = (struct tunnel_entry){.is_wrong = false};
}

static void begin_tunnel(struct config *c, const struct yaml_entry *e)
{
    end_tunnel(c);
    c->tunnels = (struct yaml_place){0, 0};
    c->tunnels_count++;
    if (e->kind != YAML_MAP)
        wrong(c, e->at, _("an entry of '%s' has the keys port and target"), TUNNELS);
    else if (c->tunnels_count == TUNNELS_MAX + 1)
        wrong(c, e->at, _("a client has at most %d tunnels"), TUNNELS_MAX);
    else if (c->tunnels_count <= TUNNELS_MAX)
        c->tunnel.at = e->at;
}

/* An entry of the list, or what stands in it. */
static void take_tunnel(struct config *c, const struct yaml_entry *e)
{
    if (e->depth == 2) {
        begin_tunnel(c, e);
        return;
    }
    const struct yaml_step *step = &e->path[2];
    if (!step->key || c->tunnels_count > TUNNELS_MAX)
        return; /* what is in a value that is wrong as a whole */
    const struct option *o = find(c->mode, OPTION_TUNNEL, step->key);
    bool is_target = o && strcmp(o->name, "local-target") == 0;
    if (e->depth == 4 && is_target && !e->path[3].key)
        take_target(c, o, e);
    else if (e->depth > 3)
        return; /* the same */
    else if (is_target && e->kind == YAML_LIST)
        begin_target_list(c, o, e);
    else if (o)
        take_tunnel_value(c, o, e);
    else if (strcmp(step->key, "name") == 0)
        take_name(c, e);
    else
        unknown_key(c, OPTION_TUNNEL, step);
}

static void check_ca(struct config *c)
{
    if (c->ca.line > 0 && c->has_join)
        wrong(c, c->ca, _("'%s' beside '%s': the join string says which CA"), "ca", JOIN_FILE);
}

/* One tunnel is what the flags have, under a name. Several are a list; and the command line's tunnels are in
   place of all of them. */
static void check_tunnels(struct config *c)
{
    end_tunnel(c);
    if (c->tunnels.line > 0)
        wrong(c, c->tunnels, _("'%s' has no entry"), TUNNELS);
    if (!mode_is_client(c->mode) || c->list.count == 0)
        return;
    struct client_options *o = c->opt;
    const struct tunnel_option *first = &c->list.at[0];
    if (is_given(c, find(c->mode, OPTION_NOWHERE, TUNNELS)))
        return;
    if (c->list.count > 1)
        o->tunnels = tunnels_view(&c->list);
    else
        memcpy(o->sole_name, c->first_name, sizeof o->sole_name);
    if (!is_given(c, find(c->mode, OPTION_TUNNEL, "port")))
        o->remote_port = first->port;
    if (!is_given(c, find(c->mode, OPTION_TUNNEL, "target")))
        o->local_target = first->target;
}

static void take_tunnels(struct config *c, const struct yaml_entry *e)
{
    if (e->kind == YAML_LIST)
        c->tunnels = e->at;
    else
        wrong(c, e->at, _("'%s' is a list: each entry begins with '- '"), TUNNELS);
}

/* ---- the file ---- */

static void on_entry(void *ctx, const struct yaml_entry *e)
{
    struct config *c = ctx;
    const struct yaml_step *step = &e->path[0];
    bool is_tunnels = mode_is_client(c->mode) && strcmp(step->key, TUNNELS) == 0;
    if (is_tunnels && e->depth > 1) {
        if (!e->path[1].key)
            take_tunnel(c, e);
        return;
    }
    if (c->parts.option && e->depth > 1) {
        if (e->depth == 2)
            config_list_take(&c->parts, &c->errors, e,
                             is_given(c, c->parts.option) ? (void *)&c->unused : c->opt);
        return;
    }
    config_list_end(&c->parts, &c->errors);
    if (e->depth > 1)
        return; /* what is in a value that is wrong as a whole */
    const struct option *o = find(c->mode, OPTION_TOP, step->key);
    if (is_tunnels)
        take_tunnels(c, e);
    else if (o)
        take_value(c, o, e);
    else
        unknown_key(c, OPTION_TOP, step);
}

struct config *config_new(const struct mode *m, const char *folder,
                          const struct config_check *checks, size_t count)
{
    assert(m->count <= OPTIONS_MAX);
    struct config *c = secure_alloc(sizeof *c); /* a secret may be in it */
    if (!c)
        return NULL;
    c->mode = m;
    c->folder = folder;
    c->checks = checks;
    c->checks_count = count;
    return c;
}

int config_read(struct config *c, const char *bytes, size_t n, void *opt)
{
    const struct yaml_sink sink = {.entry = on_entry, .wrong = on_wrong, .ctx = c};
    c->opt = opt;
    int err = yaml_walk(bytes, n, &sink);
    if (err == ERR_NOMEM || c->err < 0)
        return ERR_NOMEM;
    if (err == 0) {
        config_list_end(&c->parts, &c->errors);
        check_tunnels(c);
        check_ca(c);
    }
    if (c->err < 0)
        return c->err;
    bool more;
    return config_error(c, 0, &more) ? ERR_INVAL : 0;
}

const struct config_error *config_error(const struct config *c, size_t i, bool *ret_more)
{
    return config_errors_get(&c->errors, i, ret_more);
}

bool config_has_secret(const struct config *c, struct yaml_place *ret)
{
    *ret = c->secret;
    return c->secret.line > 0;
}

const char *config_tunnel(const struct config *c)
{
    return c->list.count == 1 ? c->list.at[0].name : "";
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < OPTIONS_MAX; i++)
        wipe(c->held[i]);
    for (size_t i = 0; i < TUNNELS_MAX; i++)
        wipe(c->targets[i]);
    tunnels_fini(&c->list);
    secure_free(c, sizeof *c);
}

/* ---- whose it is ---- */

static void decide(void *ctx, const struct yaml_entry *e)
{
    const struct mode **mode = ctx;
    const char *key = e->path[0].key;
    bool of_client = is_top_key(&client_mode, key), of_server = is_top_key(&server_mode, key);
    if (!*mode && of_client != of_server)
        *mode = of_client ? &client_mode : &server_mode;
}

static void ignore(void *ctx, struct yaml_place at, const char *text)
{
    (void)ctx, (void)at, (void)text;
}

const struct mode *config_mode(const char *bytes, size_t n)
{
    const struct mode *mode = NULL;
    const struct yaml_sink sink = {.entry = decide, .wrong = ignore, .ctx = &mode};
    int err = yaml_walk(bytes, n, &sink);
    (void)err; /* what is wrong is said when it is read as somebody's */
    return mode ? mode : &server_mode;
}
