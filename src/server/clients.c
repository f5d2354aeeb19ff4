/* SPDX-License-Identifier: MIT */
/* File by file. */
#include "server/clients.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/i18n.h"
#include "base/secure.h"
#include "conf/rights.h"

struct loading {
    const struct clients_dir *dir;
    const struct credentials *former;
    clients_hear *tell;
    void *ctx;
    struct credentials *table;
    struct clients_counts counts;
    struct clients_file file;
};

/* ---- what the table asks of rights ---- */

static bool admits(const void *rights, const struct address *from)
{
    return !rights || rights_may_come_from(rights, from);
}

static void free_rights(void *rights)
{
    rights_free(rights);
}

static struct credentials *new_table(void)
{
    struct credentials_config cfg = {.admits = admits, .rights_free = free_rights};
    bool is_random = getrandom(cfg.hash_key, sizeof cfg.hash_key, 0) == sizeof cfg.hash_key &&
                     getrandom(cfg.nobody, sizeof cfg.nobody, 0) == sizeof cfg.nobody;
    struct credentials *t = is_random ? credentials_new(&cfg) : NULL;
    secure_zero(&cfg, sizeof cfg);
    return t;
}

/* ---- one client ---- */

/* Adds c, whose rights are the table's from now on or freed. */
static int add(struct loading *l, struct credential *c)
{
    int err = c->rights ? credentials_add(l->table, c) : ERR_NOMEM;
    if (err < 0)
        rights_free(c->rights);
    else
        l->counts.clients++;
    return err;
}

/* The texts of the keys were looked at when the file was read. */
static int add_entry(struct loading *l, const char *name, const struct client_entry *e)
{
    struct credential_old old[CLIENT_ENTRY_OLD_MAX];
    struct credential c = {.name = name, .old = old, .is_disabled = e->disabled};
    int err = client_key_get(&c.key, e->key, strlen(e->key));
    for (; err == 0 && c.old_count < e->old_count; c.old_count++) {
        const struct client_entry_key *k = &e->old[c.old_count];
        old[c.old_count].until_s = k->until;
        err = client_key_get(&old[c.old_count].key, k->text, strlen(k->text));
    }
    if (e->expires != CLIENT_ENTRY_FOREVER)
        c.expires_s = e->expires > 0 ? e->expires : 1; /* 0 is never */
    if (err == 0) {
        c.rights = rights_new(e);
        err = add(l, &c);
    }
    secure_zero(old, sizeof old);
    secure_zero(&c.key, sizeof c.key);
    return err;
}

static int keep(struct loading *l, const char *name)
{
    const struct credential *was = l->former ? credentials_find(l->former, name) : NULL;
    if (!was)
        return 0;
    struct credential c = *was;
    c.rights = rights_copy(was->rights);
    int err = add(l, &c);
    secure_zero(&c.key, sizeof c.key);
    l->counts.kept += err == 0;
    return err;
}

static void tell_broken(const struct loading *l, const char *name, const struct errmsg *why)
{
    char line[CLIENTS_LINE_MAX];
    if (clients_dir_fault(l->dir, name, &l->file, why, 0, line))
        l->tell(l->ctx, line);
}

/* 0, or ERR_NOMEM. */
static int take(struct loading *l, const char *name)
{
    struct errmsg why;
    int err = clients_dir_read(l->dir, name, &l->file, &why);
    if (err == ERR_NOTFOUND)
        return 0; /* revoked meanwhile */
    if (err == 0)
        err = add_entry(l, name, &l->file.entry);
    else if (err != ERR_NOMEM) {
        l->counts.broken++;
        tell_broken(l, name, &why);
        err = keep(l, name);
    }
    return err;
}

/* ---- all ---- */

int clients_load(const struct clients_dir *d, const struct credentials *former, clients_hear *tell,
                 void *ctx, struct credentials **ret, struct clients_counts *counts,
                 struct errmsg *why)
{
    struct loading *l = calloc(1, sizeof *l);
    struct clients_names names = {0};
    int err = l ? 0 : ERR_NOMEM;
    if (err == 0) {
        *l = (struct loading){.dir = d, .former = former, .tell = tell, .ctx = ctx};
        l->table = new_table();
        err = l->table ? clients_dir_names(d, &names, why) : ERR_NOMEM;
    }
    for (size_t i = 0; err == 0 && i < names.count; i++)
        err = take(l, names.list[i]);
    if (err == 0 && names.has_more)
        tell(ctx, _("there are more clients than can be: the last ones are left out"));
    if (err == ERR_NOMEM)
        (void)errmsg_set(why, err, "%s", err_text(err));
    clients_names_fini(&names);
    if (err == 0) {
        *counts = l->counts;
        *ret = l->table;
    } else if (l) {
        credentials_unref(l->table);
    }
    if (l)
        clients_file_fini(&l->file);
    free(l);
    return err;
}

static void *copy_rights(const void *rights)
{
    return rights_copy(rights);
}

/* 1: it is there and was added; 0: there is none. */
static int take_one(struct loading *l, const char *name, struct errmsg *why)
{
    char line[CLIENTS_LINE_MAX];
    int err = clients_dir_read(l->dir, name, &l->file, why);
    if (err == ERR_NOTFOUND)
        return 0;
    if (err == 0)
        err = add_entry(l, name, &l->file.entry);
    else if (clients_dir_fault(l->dir, name, &l->file, why, 0, line))
        (void)errmsg_set(why, err, "%s", line);
    if (err == ERR_NOMEM)
        (void)errmsg_set(why, err, "%s", err_text(err));
    return err < 0 ? err : 1;
}

int clients_load_one(const struct clients_dir *d, const struct credentials *former,
                     const char *name, struct credentials **ret, struct errmsg *why)
{
    struct loading *l = calloc(1, sizeof *l);
    int r = ERR_NOMEM;
    if (l)
        *l = (struct loading){.dir = d};
    if (l)
        l->table = credentials_copy_but(former, name, copy_rights);
    if (l && l->table)
        r = take_one(l, name, why);
    else
        (void)errmsg_set(why, r, "%s", err_text(r));
    if (r >= 0)
        *ret = l->table;
    else if (l)
        credentials_unref(l->table);
    if (l)
        clients_file_fini(&l->file);
    free(l);
    return r;
}
