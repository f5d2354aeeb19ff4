/* SPDX-License-Identifier: MIT */
/* host:port where the port may be the name of a service. */
#include "app/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/i18n.h"

static int look_up(struct hostport *hp, struct errmsg *why)
{
    if (hp->port >= 0)
        return 0;
    int port = sock_service_port(hp->service);
    if (port < 0)
        return errmsg_set(why, ERR_NOTFOUND,
                          _("its port '%s' is neither a number nor a known service"), hp->service);
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

int address_parse_target(const char *text, struct destinations **ret, struct errmsg *why)
{
    return destinations_new(text, sock_service_port, ret, why);
}

/* getaddrinfo() would also take 8080 for the address 0.0.31.144. */
static bool is_ip(const char *text)
{
    char head[SOCK_NAME_MAX];
    unsigned char any[sizeof(struct in6_addr)];
    size_t n = strcspn(text, "%");
    if (inet_pton(AF_INET, text, any) == 1)
        return true;
    memcpy(head, text, n);
    head[n] = '\0';
    return text[n] != '%' ? inet_pton(AF_INET6, head, any) == 1
                          : text[n + 1] && inet_pton(AF_INET6, head, any) == 1;
}

int address_parse_ip(const char *text, char ret[SOCK_NAME_MAX], struct errmsg *why)
{
    size_t n = strlen(text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    n -= bracketed ? 2 : 0;
    if (n >= SOCK_NAME_MAX)
        goto invalid;
    memcpy(ret, text + bracketed, n);
    ret[n] = '\0';
    if (*text == '\0' || (is_ip(ret) && (!bracketed || strchr(ret, ':'))))
        return 0;

invalid:
    return errmsg_set(why, ERR_INVAL, "%s",
                      _("it is not an IP address: write one of this machine's in digits, like "
                        "192.0.2.1 or 2001:db8::1"));
}
