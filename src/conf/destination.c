/* SPDX-License-Identifier: MIT */
/* Splits a target at its commas, and takes each piece for a path or for host:port. */
#include "conf/destination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/i18n.h"
#include "conf/hostport.h"
#include "conf/quote.h"

enum { PREFIX = sizeof DESTINATION_UNIX - 1 };

/* The memory of a target, as far as it is filled. */
struct draft {
    struct destinations *ret;
    char *end; /* of the texts so far */
};

bool destination_is_unix(const char *text, size_t n)
{
    return n >= PREFIX && memcmp(text, DESTINATION_UNIX, PREFIX) == 0;
}

const char *destination_text(char out[DESTINATION_TEXT_BUF], const struct destination *d)
{
    _Static_assert(DESTINATION_TEXT_BUF > sizeof "[]:65535" - 1 + HOSTPORT_HOST_MAX, "it fits");
    if (d->path)
        (void)snprintf(out, DESTINATION_TEXT_BUF, "%s%s", DESTINATION_UNIX, d->path);
    else
        (void)snprintf(out, DESTINATION_TEXT_BUF, strchr(d->host, ':') ? "[%s]:%d" : "%s:%d",
                       d->host, d->port);
    return out;
}

static const char *keep(struct draft *d, const char *text)
{
    size_t n = strlen(text) + 1;
    char *kept = memcpy(d->end, text, n);
    d->end += n;
    return kept;
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static int take_path(struct draft *d, const char *path, struct errmsg *why)
{
    if (*path != '/')
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("a unix socket needs its whole path, like unix:/run/web.sock"));
    if (strlen(path) > DESTINATION_PATH_MAX)
        return errmsg_set(why, ERR_INVAL, _("the path of a unix socket has more than %d bytes"),
                          DESTINATION_PATH_MAX);
    if (has_control(path))
        return errmsg_set(why, ERR_INVAL, "%s", _("it has a control character in it"));
    d->ret->at[d->ret->count++] = (struct destination){.path = keep(d, path)};
    return 0;
}

static int take_hostport(struct draft *d, const char *text, destination_port_fn port_of,
                         struct errmsg *why)
{
    struct hostport hp;
    if (*text == '/')
        return errmsg_set(why, ERR_INVAL, _("it is a path: for a unix socket write %s before it"),
                          DESTINATION_UNIX);
    int err = hostport_parse(text, &hp, why);
    if (err < 0)
        return err;
    if (hp.port < 0 && port_of)
        hp.port = port_of(hp.service);
    if (hp.port < 0 && port_of)
        return errmsg_set(why, ERR_NOTFOUND,
                          _("its port '%s' is neither a number nor a known service"), hp.service);
    d->ret->at[d->ret->count++] = (struct destination){.host = keep(d, hp.host), .port = hp.port};
    return 0;
}

static int take(struct draft *d, const char *text, destination_port_fn port_of, struct errmsg *why)
{
    if (destination_is_unix(text, strlen(text)))
        return take_path(d, text + PREFIX, why);
    return take_hostport(d, text, port_of, why);
}

/* All of them; copy is the target's text, which is cut into pieces. */
static int take_all(struct draft *d, char *copy, destination_port_fn port_of, struct errmsg *why)
{
    bool is_list = strchr(copy, ',');
    for (char *next = copy; next;) {
        char *piece = next, quoted[96];
        struct errmsg reason;
        next = strchr(piece, ',');
        if (next)
            *next++ = '\0';
        if (is_list && !*piece)
            return errmsg_set(why, ERR_INVAL, "%s",
                              _("it has a comma too many: between two commas stands an address"));
        int err = take(d, piece, port_of, is_list ? &reason : why);
        if (err < 0 && !is_list)
            return err;
        if (err < 0) {
            (void)quote(quoted, sizeof quoted, piece); /* cut on purpose */
            return errmsg_set(why, err, "%s: %s", quoted, reason.text);
        }
    }
    return 0;
}

static unsigned count_pieces(const char *text)
{
    unsigned n = 1;
    for (; *text; text++)
        n += *text == ',';
    return n;
}

int destinations_new(const char *text, destination_port_fn port_of, struct destinations **ret,
                     struct errmsg *why)
{
    char copy[DESTINATIONS_TEXT_MAX + 1];
    size_t n = strlen(text);
    unsigned count = count_pieces(text);
    if (n > DESTINATIONS_TEXT_MAX)
        return errmsg_set(why, ERR_LIMIT, _("it has more than %d bytes"), DESTINATIONS_TEXT_MAX);
    if (count > DESTINATIONS_MAX)
        return errmsg_set(why, ERR_LIMIT, _("it has more than %d addresses"), DESTINATIONS_MAX);
    /* A text is at most its piece, or the host that is none. */
    size_t each = sizeof(struct destination) + sizeof "localhost";
    struct draft d = {.ret = malloc(sizeof *d.ret + count * each + n + 1)};
    if (!d.ret)
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    d.ret->count = 0;
    d.end = (char *)&d.ret->at[count];
    memcpy(copy, text, n + 1);
    int err = take_all(&d, copy, port_of, why);
    if (err < 0) {
        free(d.ret);
        return err;
    }
    *ret = d.ret;
    return 0;
}
