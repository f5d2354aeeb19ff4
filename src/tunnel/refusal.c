/* SPDX-License-Identifier: MIT */
/*
 * Sentences for refusals. A server sends data (docs/protocol.md 5.2): a word for the error, and
 * perhaps the port, the operating system's error, the address of somebody. None of these has
 * anything that would need escaping: the parser has seen to that.
 */
#include "tunnel/refusal.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/i18n.h"
#include "proto/control.h"

/* What a server's reason for a port means there. */
static const struct {
    const char *word, *text;
} port_reasons[] = {
    {"EADDRINUSE", N_("it is in use at the server (address already in use)")},
    {"EACCES", N_("the server has no permission to open it: ports below 1024 need "
                  "CAP_NET_BIND_SERVICE there, "
                  "or root (permission denied)")},
    {"EPERM", N_("not in the server's -allow-ports: take one that is, or add it there")},
    {REFUSAL_RIGHT, N_("this client may not have it: 'gotunnel clients set NAME -ports ...' at the "
                       "server allows it")},
    {"ERANGE", N_("it is not between 0 and 65535")},
    {"EMFILE", N_("the server has no descriptors left")},
    {"ENOMEM", N_("the server has no memory left")},
};

const char *refusal_port_text(const char *errno_word, long long port)
{
    if (port == 0 && strcmp(errno_word, "EPERM") == 0)
        return _(
            "the server allows no free choice of a port: 0 is not in its -allow-ports; ask for "
            "a port that is, or add 0 there");
    for (size_t i = 0; i < ARRAY_LEN(port_reasons); i++)
        if (strcmp(errno_word, port_reasons[i].word) == 0)
            return _(port_reasons[i].text);
    return *errno_word ? errno_word : _("the server does not say why");
}

static void taken_text(struct errmsg *ret, const struct hello_answer *a,
                       const struct hello_request *asked)
{
    if (*a->by)
        (void)errmsg_set(ret, ERR_REFUSED, _("another client has the id '%s': %s"), asked->id,
                         a->by);
    else
        (void)errmsg_set(ret, ERR_REFUSED, _("another client has the id '%s'"), asked->id);
}

void refusal_text(struct errmsg *ret, const struct hello_answer *a,
                  const struct hello_request *asked)
{
    switch (a->error) {
    case HELLO_ERR_AUTH:
        (void)errmsg_set(ret, ERR_AUTH, "%s", _("wrong secret"));
        return;
    case HELLO_ERR_TAKEN:
        taken_text(ret, a, asked);
        return;
    case HELLO_ERR_DRAINING:
        (void)errmsg_set(ret, ERR_REFUSED, "%s", _("the server is stopping"));
        return;
    case HELLO_ERR_MESSAGE:
        (void)errmsg_set(ret, ERR_PROTO, "%s", _("the server does not understand this client"));
        return;
    case HELLO_ERR_UNKNOWN:
    case HELLO_ERR_STALE:
    case HELLO_ERR_RANGE: /* of a resume; an open gets none of them */
    case HELLO_ERR_BUSY:
    case HELLO_OK:
    case HELLO_ERRORS:
        break;
    }
    (void)errmsg_set(ret, ERR_REFUSED, "%s", _("the server has no room at present"));
}

static const char *const service_texts[SERVICE_ERRORS] = {
    [SERVICE_OK] = N_("as was asked"),
    [SERVICE_ERR_TAKEN] = N_("it is in use by another client"),
    [SERVICE_ERR_LIMIT] = N_("the server has no room for more tunnels of this client at present"),
    [SERVICE_ERR_KIND] = N_("the server has no tunnels of this kind"),
    [SERVICE_ERR_NAME] = N_("the server cannot serve this name"),
    [SERVICE_ERR_MESSAGE] = N_("the server does not understand what is asked for"),
    [SERVICE_ERR_REVOKED] = N_("this client was revoked"),
    [SERVICE_ERR_MOVED] = N_("another server has it now"),
    [SERVICE_ERR_SHUTDOWN] = N_("the server is stopping"),
};

const char *refusal_service_text(char out[REFUSAL_TEXT_MAX], const struct service_why *why,
                                 long long port)
{
    const char *text;
    if (why->error == SERVICE_ERR_PORT)
        text = refusal_port_text(why->errno_word, port);
    else if (why->error == SERVICE_ERR_RIGHT)
        text = refusal_port_text(*why->errno_word ? why->errno_word : "EPERM", port);
    else
        text = _(service_texts[why->error]);
    if (why->error == SERVICE_ERR_TAKEN && *why->by)
        (void)snprintf(out, REFUSAL_TEXT_MAX, _("it is in use by the client at %s"), why->by);
    else
        (void)snprintf(out, REFUSAL_TEXT_MAX, "%s", text);
    return out;
}

void refusal_sole_text(struct errmsg *ret, const struct service_why *why, long long port)
{
    char text[REFUSAL_TEXT_MAX];
    if (why->error == SERVICE_ERR_TAKEN && *why->by)
        (void)errmsg_set(ret, ERR_REFUSED,
                         _("public port %lld is in use by a client with another id (%s)"), port,
                         why->by);
    else
        (void)errmsg_set(ret, ERR_REFUSED, _("public port %lld: %s"), port,
                         refusal_service_text(text, why, port));
}

/* ---- what an old server says ---- */

/* Its reason, as a word of ours. */
static const char *errno_word_of(enum control_failure failure)
{
    static const char *const words[] = {
        [CONTROL_INVALID_PORT] = "ERANGE",
        [CONTROL_PERMISSION_DENIED] = "EACCES",
        [CONTROL_ADDRESS_IN_USE] = "EADDRINUSE",
        [CONTROL_OTHER_FAILURE] = "",
    };
    return words[failure];
}

void refusal_old_text(struct errmsg *ret, const char *words, long long port)
{
    struct errmsg ours;
    enum control_failure failure;
    if (strcmp(words, control_invalid_message()) == 0)
        (void)errmsg_set(&ours, 0, "%s", _("the server does not understand this client"));
    else if (control_failure_get(words, &failure))
        (void)errmsg_set(&ours, 0, _("public port %lld: %s"), port,
                         refusal_port_text(errno_word_of(failure), port));
    else
        (void)errmsg_set(&ours, 0, "%s", _("for a reason that it says in words of its own"));
    if (*words)
        (void)errmsg_set(ret, ERR_REFUSED, _("%s (%s)"), ours.text, words);
    else
        (void)errmsg_set(ret, ERR_REFUSED, "%s", _("the server does not say why"));
}

void refusal_old_secret(struct errmsg *ret, const char *words)
{
    const char *ours = strcmp(words, "ERROR: Invalid Secret") == 0
                           ? _("wrong secret")
                           : _("something that no server of this kind says");
    (void)errmsg_set(ret, ERR_AUTH, _("%s (%s)"), ours, words);
}
