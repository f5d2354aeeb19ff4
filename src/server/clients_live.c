/* SPDX-License-Identifier: MIT */
/*
 * Clients through the control socket. A request names a client, and what counts is his file: so nothing can be
 * asked for that the folder does not say, and a server is told nothing by whoever works in another folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/escape.h"
#include "base/event.h"
#include "base/i18n.h"
#include "server/clients.h"
#include "server/internal.h"

/* Lines of some 200 bytes; with LAST_SEEN_MAX of 100 below CTL_ANSWER_MAX. */
enum { LISTED_MAX = 3000 };

/* One request, until the sessions that it ends are over. */
struct change {
    struct keys_ending ending;
    struct ctl_later *later;
    bool is_known;
    char folder[CLIENTS_FOLDER_MAX];
};

static void put_change(struct ctl_answer *a, const struct change *c)
{
    ctl_put_truth(a, "known", c->is_known);
    ctl_put_number(a, "sessions", c->ending.sessions);
    ctl_put_number(a, "connections", c->ending.connections);
    ctl_put_text(a, "folder", c->folder);
    ctl_put_truth(a, "ok", true);
    ctl_end_line(a);
}

static void on_done(struct keys_ending *e)
{
    struct change *c = CONTAINER_OF(e, struct change, ending);
    put_change(ctl_later_answer(c->later), c);
    ctl_later_end(c->later);
    free(c);
}

/* The table that counts from now on; 0 or a negative error, with a sentence. */
static int read_one(struct server *srv, const char *name, struct change *c,
                    struct credentials **ret, struct errmsg *why)
{
    char place[PATH_MAX];
    struct clients_dir dir;
    if (srv->draining || srv->ended)
        return errmsg_set(why, ERR_BADSTATE, "%s", _("the program is stopping"));
    if (!srv->has_clients || !clients_place(srv->opt, place))
        return errmsg_set(why, ERR_NOTFOUND, "%s",
                          _("the server has no folder of clients, or had none at its start"));
    int err = clients_dir_open(&dir, place, CLIENTS_DIR_READ, why);
    if (err < 0)
        return err;
    clients_folder(c->folder, &dir);
    err = clients_load_one(&dir, srv->keys, name, ret, why);
    clients_dir_close(&dir);
    c->is_known = err > 0;
    return err < 0 ? err : 0;
}

void server_client(void *ctx, const char *name, struct ctl_answer *a)
{
    struct server *srv = ctx;
    struct errmsg why = {""};
    struct credentials *t;
    struct change *c = calloc(1, sizeof *c);
    int err = c ? read_one(srv, name, c, &t, &why) : ERR_NOMEM;
    if (err < 0) {
        ctl_refuse(a, *why.text ? why.text : err_text(err));
        free(c);
        return;
    }
    c->ending.done = on_done;
    unsigned sessions = keys_use(srv, t, &c->ending);
    if (c->is_known)
        event_client_read(name, sessions);
    else
        event_client_gone(name, sessions);
    if (c->ending.left > 0) {
        c->later = ctl_later(a);
        return;
    }
    put_change(a, c);
    free(c);
}

void server_clients(void *ctx, struct ctl_answer *a)
{
    const struct server *srv = ctx;
    char from[ADDRESS_HOST_BUF], place[PATH_MAX], folder[CLIENTS_FOLDER_MAX];
    struct clients_dir dir;
    struct errmsg why;
    unsigned sessions = 0;
    list_foreach (n, &srv->agents) {
        const struct agent *o = LIST_ENTRY(n, struct agent, main.of_server);
        if (!o->main.is_trusted || !*o->who.key || !o->main.has_session || o->main.is_revoked)
            continue;
        if (sessions++ >= LISTED_MAX)
            continue; /* they are counted */
        ctl_put_text(a, "client", o->who.key);
        ctl_put_text(a, "id", o->who.id);
        ctl_put_text(a, "from", address_host_text(from, &o->main.at));
        ctl_put_number(a, "since", o->judged_at_s);
        ctl_end_line(a);
    }
    for (size_t i = 0; i < srv->last_seen.count; i++) {
        ctl_put_text(a, "seen", srv->last_seen.list[i].name);
        ctl_put_number(a, "at", srv->last_seen.list[i].at);
        ctl_end_line(a);
    }
    ctl_put_number(a, "sessions", sessions);
    if (srv->has_clients && clients_place(srv->opt, place) &&
        clients_dir_open(&dir, place, CLIENTS_DIR_READ, &why) == 0) {
        clients_folder(folder, &dir);
        clients_dir_close(&dir);
        ctl_put_text(a, "folder", folder);
    }
}
