/* SPDX-License-Identifier: MIT */
/* host:port where the port may be the name of a service. */
#include "app/address.h"

#include "base/i18n.h"
#include "net/sock.h"

static int look_up(struct hostport *hp, struct errmsg *why)
{
    if (hp->port >= 0)
        return 0;
    int port = sock_service_port(hp->service);
    if (port < 0)
        return errmsg_set(why, ERR_NOTFOUND, _("'%s' is neither a port nor a known service"),
                          hp->service);
    hp->port = port;
    return 0;
}

int address_parse(const char *text, struct hostport *ret, struct errmsg *why)
{
    int err = hostport_parse(text, ret, why);
    return err < 0 ? err : look_up(ret, why);
}

int address_parse_listen(const char *text, struct hostport *ret, struct errmsg *why)
{
    int err = hostport_parse_listen(text, ret, why);
    return err < 0 ? err : look_up(ret, why);
}
