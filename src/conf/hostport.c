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
        return errmsg_set(why, ERR_RANGE, _("its port %s is not between 0 and 65535"), text);
    if (!number && !name)
        return errmsg_set(why, ERR_INVAL,
                          _("its port '%s' is neither a number nor the name of a service"), text);
    hp->port = number ? (int)port : -1;
    hp->service[0] = '\0';
    if (!number)
        memcpy(hp->service, text, n + 1);
    return 0;
}

/* What people write around an address. NULL: none of it. */
static const char *decoration(const char *text)
{
    if (strpbrk(text, " \t\r\n"))
        return _("it has a blank in it: write host:port without one");
    if (strchr(text, '/'))
        return _("it has a slash in it: write only host:port, without a path");
    if (strstr(text, "\uff1a")) /* of a Chinese or Japanese keyboard */
        return _("it has a full-width colon in it: write host:port with the plain one");
    return NULL;
}

/* host:port into hp; the host may be empty. */
static int split(const char *text, struct hostport *hp, struct errmsg *why)
{
    const char *host = text, *end, *colon;
    const char *scheme = strstr(text, "://"), *wrong = decoration(text);
    if (scheme)
        return errmsg_set(why, ERR_INVAL, _("it is a URL: write only host:port, without '%.*s'"),
                          (int)(scheme - text) + 3, text);
    if (wrong)
        return errmsg_set(why, ERR_INVAL, "%s", wrong);
    if (*text == '[') {
        host = text + 1;
        end = strchr(text, ']');
        colon = end ? end + 1 : NULL;
    } else {
        end = colon = strrchr(text, ':');
        if (colon && memchr(text, ':', (size_t)(colon - text)))
            return errmsg_set(why, ERR_INVAL, "%s",
                              _("it has more than one colon: write an IPv6 address in brackets, "
                                "like [::1]:7000"));
    }
    if (!colon || *colon != ':')
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("it has no port: write host:port, as in 192.0.2.1:7000"));
    size_t n = (size_t)(end - host);
    if (n > HOSTPORT_HOST_MAX)
        return errmsg_set(why, ERR_INVAL, _("its host name has more than %d bytes"),
                          HOSTPORT_HOST_MAX);
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
        return errmsg_set(why, ERR_RANGE, "%s", _("nothing can listen on port 0"));
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
