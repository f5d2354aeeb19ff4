/* SPDX-License-Identifier: MIT */
/* Words to tunnels. */
#include "conf/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/i18n.h"
#include "conf/join.h"
#include "conf/number.h"
#include "conf/quote.h"

#define NAME_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define LOOPBACK     "127.0.0.1:"

/* The word in front of what is wrong with it. */
static int wrong(struct errmsg *why, int err, const char *word, const char *text)
{
    char quoted[96];
    (void)quote(quoted, sizeof quoted, word); /* cut on purpose */
    return errmsg_set(why, err, "%s: %s", quoted, text);
}

static int take_name(const char *word, size_t n, struct target *t, struct errmsg *why)
{
    char text[96];
    if (n >= 1 && n <= TUNNEL_NAME_MAX && strspn(word, NAME_LETTERS) == n) {
        memcpy(t->name, word, n);
        t->name[n] = '\0';
        return 0;
    }
    (void)snprintf(text, sizeof text, _("the name of a tunnel is 1 to %d of A-Z a-z 0-9 . _ -"),
                   TUNNEL_NAME_MAX);
    return wrong(why, ERR_INVAL, word, text);
}

static int take_public(const char *word, const char *text, struct target *t, struct errmsg *why)
{
    int64_t port;
    size_t n = strlen(text);
    bool is_number = n >= 1 && n <= 5 && strspn(text, "0123456789") == n;
    if (is_number && number_parse(text, &port) == 0 && port <= 65535) {
        t->port = (int)port;
        return 0;
    }
    return wrong(why, ERR_RANGE, word, _("the public port behind @ is 0 to 65535"));
}

/* 3000:8080, as other programs write two ports. The system takes 3000 for the address 0.0.11.184, which nobody
   has. */
static bool is_port_as_host(const char *piece, size_t n)
{
    const char *colon = memchr(piece, ':', n);
    size_t digits = strspn(piece, "0123456789");
    return colon && digits >= 2 && digits <= 5 && piece + digits == colon;
}

/* Adds a piece of n bytes to the address. A port alone is one of this machine. */
static int add_piece(struct target *t, const char *piece, size_t n)
{
    size_t has = strlen(t->address);
    bool is_bare = !memchr(piece, ':', n) && *piece != '/' && *piece != ',';
    size_t bare = is_bare ? sizeof LOOPBACK - 1 : 0;
    if (has + bare + n >= sizeof t->address)
        return ERR_LIMIT;
    memcpy(t->address + has, LOOPBACK, bare);
    memcpy(t->address + has + bare, piece, n);
    t->address[has + bare + n] = '\0';
    return 0;
}

/* What is between = and @, n bytes. */
static int take_address(const char *word, const char *text, size_t n, struct target *t,
                        struct errmsg *why)
{
    struct destinations *any;
    struct errmsg reason;
    if (n == 0)
        return wrong(why, ERR_INVAL, word, _("it has no target: write a port, or host:port"));
    while (n > 0) {
        size_t piece = strcspn(text, ",");
        piece = piece < n ? piece + 1 : n; /* with its comma */
        if (is_port_as_host(text, piece))
            return wrong(why, ERR_INVAL, word,
                         _("no host stands before the colon; a public port stands behind @, as "
                           "3000@8080"));
        if (add_piece(t, text, piece) < 0)
            return wrong(why, ERR_LIMIT, word, _("it is too long"));
        text += piece;
        n -= piece;
    }
    int err = destinations_new(t->address, NULL, &any, &reason);
    if (err < 0)
        return wrong(why, err, word, reason.text);
    free(any);
    return 0;
}

/* The = behind a name; NULL: there is none. */
static const char *find_equals(const char *text)
{
    size_t n = strcspn(text, "=:");
    return text[n] == '=' ? text + n : NULL;
}

/* The @ before a public port; NULL: there is none. */
static const char *find_public(const char *text)
{
    const char *at = strrchr(text, '@');
    bool is_path = at && strstr(text, DESTINATION_UNIX) && at[1 + strspn(at + 1, "0123456789")];
    return is_path ? NULL : at;
}

int target_parse(const char *text, struct target *ret, struct errmsg *why)
{
    struct target t = {.port = 0};
    if (strncasecmp(text, JOIN_PREFIX, sizeof JOIN_PREFIX - 1) == 0) /* a secret: not shown */
        return errmsg_set(why, ERR_INVAL, "%s",
                          _("the join string stands first, and the services behind it"));
    const char *equals = find_equals(text), *from = equals ? equals + 1 : text;
    const char *at = find_public(from);
    int err = equals ? take_name(text, (size_t)(equals - text), &t, why) : 0;
    if (err == 0)
        err = take_address(text, from, at ? (size_t)(at - from) : strlen(from), &t, why);
    if (err == 0 && at)
        err = take_public(text, at + 1, &t, why);
    if (err == 0)
        *ret = t;
    return err;
}

/* Whether the last of n is like one before it. */
static int check_last(const struct target *all, size_t n, const char *word, struct errmsg *why)
{
    const struct target *last = &all[n - 1];
    for (size_t i = 0; i + 1 < n; i++) {
        if (*last->name && strcmp(all[i].name, last->name) == 0)
            return wrong(why, ERR_INVAL, word, _("another tunnel has the same name"));
        if (last->port > 0 && all[i].port == last->port)
            return wrong(why, ERR_INVAL, word, _("another tunnel has the same public port"));
    }
    return 0;
}

int targets_parse(const char *const *words, size_t n, struct target ret[TARGETS_MAX],
                  struct errmsg *why)
{
    int err = n > TARGETS_MAX
                  ? errmsg_set(why, ERR_LIMIT, _("there are more than %d tunnels"), TARGETS_MAX)
                  : 0;
    for (size_t i = 0; i < n && err == 0; i++) {
        err = target_parse(words[i], &ret[i], why);
        if (err == 0)
            err = check_last(ret, i + 1, words[i], why);
    }
    return err;
}
