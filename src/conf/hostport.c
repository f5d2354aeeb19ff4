/* SPDX-License-Identifier: MIT */
/* Splits addresses. Names are not looked up here. */
#include "conf/hostport.h"

#include <stdbool.h>
#include <string.h>

#include "base/i18n.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_service_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

/* A number, or the name of a service. */
static int take_port(const char *text, struct hostport *hp, struct errmsg *why)
{
    size_t n = strlen(text);
    bool number = n > 0;
    bool name = n > 0 && n <= HOSTPORT_SERVICE_MAX;
    long port = 0;
    for (size_t i = 0; i < n; i++) {
        number = number && is_digit(text[i]);
        name = name && is_service_char(text[i]);
        if (number && port <= 65535)
            port = port * 10 + (text[i] - '0');
    }
    if (number && port > 65535)
        return errmsg_set(why, ERR_RANGE, _("port %s is not between 0 and 65535"), text);
    if (!number && !name)
        return errmsg_set(why, ERR_INVAL, _("'%s' is not a port"), text);
    hp->port = number ? (int)port : -1;
    hp->service[0] = '\0';
    if (!number)
        memcpy(hp->service, text, n + 1);
    return 0;
}

/* host:port into hp; the host may be empty. */
static int split(const char *text, struct hostport *hp, struct errmsg *why)
{
    const char *host = text, *end, *colon;
    if (strstr(text, "://"))
        return errmsg_set(why, ERR_INVAL, _("'%s' is a URL: write only host:port"), text);
    if (*text == '[') {
        host = text + 1;
        end = strchr(text, ']');
        colon = end ? end + 1 : NULL;
    } else {
        end = colon = strrchr(text, ':');
        if (colon && memchr(text, ':', (size_t)(colon - text)))
            return errmsg_set(why, ERR_INVAL,
                              _("'%s': write an IPv6 address in brackets, like [::1]:7000"), text);
    }
    if (!colon || *colon != ':')
        return errmsg_set(why, ERR_INVAL, _("'%s' has no port: write host:port"), text);
    size_t n = (size_t)(end - host);
    if (n > HOSTPORT_HOST_MAX)
        return errmsg_set(why, ERR_INVAL, _("the host name in '%.40s...' is too long"), text);
    memcpy(hp->host, host, n);
    hp->host[n] = '\0';
    return take_port(colon + 1, hp, why);
}

int hostport_parse(const char *text, struct hostport *ret, struct errmsg *why)
{
    struct hostport hp = {.port = -1};
    int err = split(text, &hp, why);
    if (err < 0)
        return err;
    if (hp.port == 0)
        return errmsg_set(why, ERR_RANGE, _("'%s': nothing can listen on port 0"), text);
    if (!*hp.host)
        memcpy(hp.host, "localhost", sizeof "localhost");
    *ret = hp;
    return 0;
}

int hostport_parse_listen(const char *text, struct hostport *ret, struct errmsg *why)
{
    struct hostport hp = {.port = -1};
    int err = strchr(text, ':') ? split(text, &hp, why) : take_port(text, &hp, why);
    if (err == 0)
        *ret = hp;
    return err;
}
