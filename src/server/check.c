/* SPDX-License-Identifier: MIT */
/* What a server would do. The values themselves were judged when they were read. */
#include "server/check.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "base/trust_path.h"
#include "pki/pki.h"
#include "server/clients.h"

/* Neither made nor renewed here. */
static void check_certs(struct check *c, const char *dir)
{
    struct errmsg why;
    char path[PATH_MAX];
    trust_become_owner(dir);
    if (pki_check_place(dir, strcmp(dir, "certs") == 0, &why) < 0) {
        check_wrong(c, "%s", why.text);
        return;
    }
    if (*why.text)
        config_file_say(c->file, "%s", why.text);
    (void)snprintf(path, sizeof path, "%s/ca.crt", dir); /* what is too long is not there */
    if (access(path, F_OK) == 0)
        check_tell(_("has its certificates in %s"), dir);
    else
        check_tell(_("makes its certificates in %s at the first start"), dir);
}

static void check_clients(struct check *c, const struct server_options *o)
{
    char place[PATH_MAX];
    bool has_secret = *o->common.secret || strcmp(o->common.secret_file, "-") == 0;
    bool is_told = c->problems > 0; /* a secret that cannot be read was said */
    if (clients_place(o, place))
        check_tell(has_secret ? _("lets in clients with a key of their own, from %s")
                              : _("lets in only clients with a key of their own, from %s"),
                   place);
    else if (!has_secret && !is_told)
        check_no_secret(c);
}

static void tell_ports(const struct ports *p)
{
    char text[PORTS_BUF];
    if (p->count == 0) {
        check_tell("%s", _("opens whatever public port a client asks for"));
        return;
    }
    (void)ports_text(text, sizeof text, p); /* fits */
    check_tell(_("opens the public ports %s for clients"), text);
}

void server_check(struct check *c, const struct server_options *o)
{
    check_tell(_("waits for clients at %s"), o->listen);
    check_secret(c, &o->common);
    check_clients(c, o);
    check_certs(c, o->certs);
    tell_ports(&o->allow_ports);
}
