/* SPDX-License-Identifier: MIT */
/* The steps of a reload, up to the parts of the programs. */
#include "app/reload.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_file.h"
#include "app/sandbox.h"
#include "app/secret.h"
#include "base/event.h"
#include "base/i18n.h"
#include "conf/client_tunnels.h"

/* ---- what came of it ---- */

static void add_error(struct reload_result *r, const char *text)
{
    char *copy = r->errors_count < RELOAD_ERRORS_MAX ? strdup(text) : NULL;
    if (copy)
        r->errors[r->errors_count++] = copy;
}

static void on_line(void *ctx, const char *text)
{
    add_error(ctx, text);
}

/* Where no memory is left for a sentence it has failed all the same. */
static void fail(struct reload_result *r, const char *text)
{
    if (r->errors_count == 0)
        add_error(r, text);
    if (r->errors_count == 0)
        r->errors_count = 1;
}

static void fail_file(struct reload_result *r, const char *text)
{
    char line[RELOAD_FILE_MAX + sizeof((struct errmsg *)0)->text];
    (void)snprintf(line, sizeof line, "%s: %s", r->file, text); /* cut on purpose */
    add_error(r, line);
    fail(r, line);
}

void reload_refuse(struct reload_result *ret, const char *why)
{
    *ret = (struct reload_result){.errors_count = 0};
    fail(ret, why);
}

void reload_result_fini(struct reload_result *r)
{
    for (unsigned i = 0; i < r->errors_count; i++)
        free(r->errors[i]);
    r->errors_count = 0;
}

static unsigned keys_of(const struct mode *m, uint32_t rows, const char **ret)
{
    unsigned n = 0;
    for (size_t i = 0; i < m->count; i++)
        if (rows >> i & 1)
            (void)option_place(&m->options[i], &ret[n++]);
    return n;
}

/* The words with ", " between them; what does not fit is left out. */
static const char *join(char *out, size_t room, const char *const *words, unsigned count)
{
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < count; i++) {
        size_t n = strlen(words[i]);
        if (len + n + 3 > room)
            break;
        memcpy(out + len, ", ", 2 * (i > 0));
        len += 2 * (i > 0);
        memcpy(out + len, words[i], n + 1);
        len += n;
    }
    return out;
}

void reload_tell(const struct reload_result *r)
{
    char words[512];
    for (unsigned i = 0; i < r->errors_count; i++)
        event_reload_failed(r->errors[i] ? r->errors[i] : err_text(ERR_NOMEM));
    if (r->errors_count > 0)
        return;
    for (unsigned i = 0; i < r->waiting_count; i++)
        event_reload_waits(r->waiting[i]);
    if (r->has_tunnels)
        event_reload_tunnels(r->tunnels.fresh, r->tunnels.changed, r->tunnels.closed,
                             r->tunnels.same);
    if (r->changed_count > 0)
        event_reload_done(join(words, sizeof words, r->changed, r->changed_count));
    else if (*r->file)
        event_reload_same(r->file);
    else
        event_reload_no_file();
}

/* ---- the file ---- */

/* One that is named elsewhere now counts at the next start: it need not be there yet. One that comes from
   the standard input, or the environment, is not there twice. */
static bool is_secret_kept(const struct common_options *was, const struct common_options *is)
{
    bool is_elsewhere = strcmp(was->secret_file, is->secret_file) != 0 && *is->secret_file;
    bool from_stdin = strcmp(is->secret_file, "-") == 0;
    bool from_environment = !was->secret_in_argv && !was->secret_in_config && !*was->secret_file &&
                            !*is->secret && !*is->secret_file;
    return !*is->secret && (is_elsewhere || from_stdin || from_environment);
}

static void find_secret(const struct mode *m, const struct common_options *was,
                        struct common_options *is, struct reload_result *r)
{
    struct errmsg why = {""};
    if (is_secret_kept(was, is))
        memcpy(is->secret, was->secret, sizeof is->secret);
    else if (secret_find(is, &why) < 0)
        add_error(r, why.text);
    else if (!*is->secret && mode_is_client(m))
        fail_file(r, _("the secret is missing: 'secret-file' gives it, or GOTUNNEL_SECRET in "
                       "the environment"));
}

/* What the join string has said counts until the next start, whatever the file says; its server, unless the
   file names one. */
static void keep_join(const struct client_options *was, struct client_options *is)
{
    if (!was->has_join)
        return;
    is->has_join = true;
    is->join = was->join;
    memcpy(is->join_server, was->join_server, sizeof is->join_server);
    is->common.has_own_key = true;
    is->common.legacy = was->common.legacy;
    if (!*is->server)
        is->server = is->join_server;
}

/* Into a draft over the command line. False: r has the errors. */
static bool read_file(const struct snapshot *was, struct snapshot *draft, struct config_file *f,
                      struct reload_result *r)
{
    const struct mode *m = snapshot_mode(was);
    struct common_options *is = snapshot_draft(draft);
    int err = config_file_apply(f, m, is);
    if (err < 0) {
        fail(r, err_text(err));
        return false;
    }
    find_secret(m, snapshot_common(was), is, r);
    if (mode_is_client(m))
        keep_join((const struct client_options *)snapshot_common(was), (struct client_options *)is);
    if (m == &client_mode && !*((struct client_options *)is)->server)
        fail_file(r, _("'server' is missing"));
    return r->errors_count == 0;
}

/*
 * Tunnels are one key of a file, whatever rows they are at home in. The rows of the only tunnel say nothing
 * where there is a list.
 */
static void compare_tunnels(const struct client_options *was, const struct client_options *is,
                            struct options_diff *d)
{
    uint32_t list = options_bit(&client_mode, "forward");
    uint32_t only =
        options_bit(&client_mode, "local-target") | options_bit(&client_mode, "remote-port");
    bool are_sole = client_has_sole(was) && client_has_sole(is);
    bool is_other = are_sole && (d->live & only || strcmp(was->sole_name, is->sole_name) != 0);
    d->live &= ~only;
    if (is_other)
        d->live |= list;
}

/* What differs; what cannot count yet is as before in the draft from here on. */
static struct options_diff compare(const struct snapshot *was, struct snapshot *draft,
                                   struct reload_result *r)
{
    const struct mode *m = snapshot_mode(was);
    struct options_diff d = options_diff(m, snapshot_common(was), snapshot_draft(draft));
    if (mode_is_client(m))
        compare_tunnels((const struct client_options *)snapshot_common(was),
                        (const struct client_options *)snapshot_draft(draft), &d);
    options_copy(m, d.restart, snapshot_common(was), snapshot_draft(draft));
    r->changed_count = keys_of(m, d.live, r->changed);
    r->waiting_count = keys_of(m, d.restart, r->waiting);
    return d;
}

/* The options that the program is to run with, sealed, and the caller's; NULL: r has the errors. */
static struct snapshot *read_again(struct reload_plan *plan, struct reload_result *r)
{
    const struct snapshot *was = plan->was;
    const struct config_listener to = {on_line, r};
    struct config_file *f = NULL;
    struct snapshot *draft = snapshot_again(was);
    if (!draft) {
        fail(r, err_text(ERR_NOMEM));
        return NULL;
    }
    int err = config_file_load_again(r->file, &to, &f);
    if (err < 0)
        fail(r, err_text(err));
    bool ok = err == 0 && read_file(was, draft, f, r);
    if (ok) {
        const struct common_options *is = snapshot_draft(draft);
        plan->lacks_secret = *snapshot_common(was)->secret && !*is->secret;
        plan->diff = compare(was, draft, r);
        ok = snapshot_seal(draft) == 0;
        if (!ok)
            fail(r, err_text(ERR_NOMEM));
    }
    config_file_free(f);
    if (ok)
        return draft;
    snapshot_unref(draft);
    return NULL;
}

/* ---- the parts ---- */

static bool prepare_all(const struct reload_plan *plan, const struct reload_part *parts,
                        unsigned count, void *ctx, struct reload_result *r)
{
    struct errmsg why = {""};
    for (unsigned i = 0; i < count; i++) {
        int err = parts[i].prepare ? parts[i].prepare(ctx, plan, &why) : 0;
        if (err == 0)
            continue;
        fail(r, *why.text ? why.text : err_text(err));
        while (i-- > 0)
            if (parts[i].drop)
                parts[i].drop(ctx);
        return false;
    }
    return true;
}

bool reload_run(struct snapshot *options, const struct reload_part *parts, unsigned count,
                void *ctx, struct reload_result *ret)
{
    assert(count <= RELOAD_PARTS_MAX);
    struct reload_plan plan = {.was = options, .is = options, .told = ret};
    struct snapshot *fresh = NULL;
    *ret = (struct reload_result){.errors_count = 0};
    (void)snprintf(ret->file, sizeof ret->file, "%s", snapshot_common(options)->config);
    (void)snapshot_ref(options); /* a part may give up its own */
    if (*ret->file) {
        fresh = read_again(&plan, ret);
        plan.is = fresh;
    }
    bool ok = plan.is && prepare_all(&plan, parts, count, ctx, ret);
    for (unsigned i = 0; i < count && ok; i++)
        if (parts[i].apply(ctx, &plan))
            ret->changed[ret->changed_count++] = parts[i].name;
    snapshot_unref(fresh); /* who uses it has a reference of its own */
    snapshot_unref(options);
    return ok;
}

/* ---- the cage ---- */

void reload_cage(const struct snapshot *options, struct sandbox_config *cage)
{
    const struct common_options *o = snapshot_common(options);
    unsigned n = 0;
    if (!*o->config)
        return;
    cage->reads[n++] = o->config;
    if (*o->secret_file && strcmp(o->secret_file, "-") != 0)
        cage->reads[n++] = o->secret_file;
    if (snapshot_mode(options) == &client_mode)
        cage->reads[n++] = snapshot_client(options)->ca;
}
