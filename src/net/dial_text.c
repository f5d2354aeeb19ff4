/* SPDX-License-Identifier: MIT */
/*
 * Why a dial has brought no connection, for a person: what it means, what to look at, and in brackets
 * the word of the system or of its resolver, for who searches for it.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "net/dialer.h"
#include "net/sock.h"

enum { NAME_SHOWN = 128 }; /* bytes of a name; a longer one is cut */

/* What getaddrinfo() has said, as libuv passes it on. */
static const struct {
    int code, raw;
    const char *text;
} resolver_words[] = {
    {UV_EAI_NONAME, EAI_NONAME, N_("does not resolve: is it spelled right?")},
    {UV_EAI_NODATA, EAI_NODATA, N_("has no IP address")},
    {UV_EAI_AGAIN, EAI_AGAIN,
     N_("cannot be looked up now: is this machine online, and does its name server answer?")},
    {UV_EAI_FAIL, EAI_FAIL, N_("cannot be looked up: its name server refuses")},
};

static void resolver_text(struct errmsg *out, const struct dial_result *r)
{
    const char *text = N_("cannot be resolved"), *raw = uv_strerror(r->errnum);
    for (size_t i = 0; i < ARRAY_LEN(resolver_words); i++) {
        if (resolver_words[i].code == r->errnum) {
            text = resolver_words[i].text;
            raw = gai_strerror(resolver_words[i].raw);
        }
    }
    (void)errmsg_set(out, r->err, _("the name '%.*s' %s (%s: %s)"), NAME_SHOWN, r->host, _(text),
                     uv_err_name(r->errnum), raw);
}

struct errno_words {
    int errnum;
    const char *text;
};

static const struct errno_words socket_words[] = {
    {ECONNREFUSED, N_("nothing listens there: does the program run, and is the port right?")},
    {ETIMEDOUT,
     N_("no answer: is the address right, and does no firewall on the way drop this port?")},
    {EHOSTUNREACH, N_("that machine cannot be reached: is it on, and the address right?")},
    {ENETUNREACH, N_("there is no way to that network: is this machine online?")},
};

static const struct errno_words unix_words[] = {
    {ENOENT, N_("there is no such socket: does its program run, and is the path right?")},
    {ENOTDIR, N_("there is no such socket: is the path right?")},
    {ECONNREFUSED, N_("nothing listens on it: does its program run?")},
    {EACCES, N_("this program may not use it: its user needs to write to the socket, and to pass "
                "through all folders above")},
    {EAGAIN, N_("its queue is full, and nobody was taken from it: is its program busy?")},
    {EPROTOTYPE, N_("it is no stream socket")},
};

static void errno_words_text(struct errmsg *out, int errnum, const struct errno_words *words,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (words[i].errnum == errnum) {
            (void)errmsg_set(out, 0, _("%s (%s)"), _(words[i].text), strerror(errnum));
            return;
        }
    }
    (void)errmsg_set(out, 0, "%s", errno_text(errnum));
}

static const char *unix_text(struct errmsg *out, const struct dial_result *r, const char *named)
{
    struct errmsg words;
    errno_words_text(&words, r->errnum, unix_words, ARRAY_LEN(unix_words));
    if (named && strncmp(named, "unix:", 5) == 0 && strcmp(named + 5, r->host) == 0)
        (void)errmsg_set(out, r->err, "%s", words.text);
    else
        (void)errmsg_set(out, r->err, "unix:%s: %s", r->host, words.text);
    return out->text;
}

const char *dial_text(struct errmsg *out, const struct dial_result *r, const char *named)
{
    char name[SOCK_NAME_MAX];
    struct errmsg words;
    if (r->is_unix)
        return unix_text(out, r, named);
    if (r->errnum < 0) {
        resolver_text(out, r);
        return out->text;
    }
    if (r->errnum == 0) {
        (void)errmsg_set(out, r->err,
                         _("the name '%.*s' was not resolved in time: does this machine's name "
                           "server answer?"),
                         NAME_SHOWN, r->host);
        return out->text;
    }
    errno_words_text(&words, r->errnum, socket_words, ARRAY_LEN(socket_words));
    (void)sock_address_name(name, &r->address);
    if (r->address.family == ADDRESS_NONE || (named && strcmp(named, name) == 0))
        (void)errmsg_set(out, r->err, "%s", words.text);
    else
        (void)errmsg_set(out, r->err, "%s: %s", name, words.text);
    return out->text;
}
