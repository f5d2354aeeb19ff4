/* SPDX-License-Identifier: MIT */
/* What a client has to look at in a target before it serves it. */
#include <stdlib.h>

#include "app/address.h"
#include "base/i18n.h"
#include "client/internal.h"
#include "net/sock.h"

int target_read(const struct client_options *o, const char *text, struct destinations **ret,
                struct errmsg *why)
{
    struct destinations *to;
    int err = address_parse_target(text, &to, why);
    if (err < 0)
        return err;
    for (unsigned i = 0; i < to->count; i++) {
        if (to->at[i].path && ctl_is_at(&o->common, to->at[i].path)) {
            free(to);
            return errmsg_set(why, ERR_INVAL, "%s", _("it is the control socket of this client"));
        }
        if (to->at[i].path && ctl_is_usual(to->at[i].path)) {
            free(to);
            return errmsg_set(why, ERR_INVAL, "%s", _("it is a control socket of gotunnel"));
        }
    }
    *ret = to;
    return 0;
}

void targets_drop(struct client *c)
{
    free(c->local);
    for (size_t i = 0; i < ARRAY_LEN(c->targets); i++)
        free(c->targets[i]);
}

/* Each once: many tunnels may lead to one port. */
static void add_port(struct sandbox_config *cage, int port)
{
    for (unsigned i = 0; i < cage->dials_count; i++)
        if (cage->dials[i] == port)
            return;
    cage->dials[cage->dials_count++] = port;
}

void target_cage(const struct destinations *to, struct sandbox_config *cage)
{
    for (unsigned i = 0; i < to->count; i++) {
        const struct destination *d = &to->at[i];
        struct address any;
        if (d->path) {
            cage->dials_unix = true;
            continue;
        }
        cage->resolves = cage->resolves || !sock_numeric(d->host, d->port, &any);
        add_port(cage, d->port);
    }
}
