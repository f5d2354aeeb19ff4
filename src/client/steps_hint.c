/* SPDX-License-Identifier: MIT */
/* What to do about a step of the checklist that went wrong. */
#include <stdio.h>
#include <string.h>

#include "base/i18n.h"
#include "client/internal.h"
#include "client/steps.h"

/* With a key of its own. */
static const char *key_hint(char out[STEPS_HINT_MAX], const char *name, enum end_reason reason)
{
    if (reason == END_CERT)
        (void)snprintf(out, STEPS_HINT_MAX,
                       _("a server that was set up anew has another CA: let 'gotunnel clients "
                         "rotate %s' make a new string there; if it has moved, say where by "
                         "-server"),
                       name); /* fits */
    else
        (void)snprintf(out, STEPS_HINT_MAX,
                       _("at the server, 'gotunnel clients show %s' says whether it may come in, "
                         "and 'gotunnel clients rotate %s' makes a new string"),
                       name, name); /* fits */
    return out;
}

const char *steps_loss_hint(char out[STEPS_HINT_MAX], const struct uplink *u,
                            enum end_reason reason)
{
    const char *name = u->client->own.name;
    if (*name && (reason == END_CERT || reason == END_AUTH))
        return key_hint(out, name, reason);
    switch (reason) {
    case END_AUTH:
        return _("the secret here is not the one of the server: copy it anew");
    case END_CERT_TIME:
        return _("set the clock of this machine right, best by NTP; if it is right, that of the "
                 "server may be wrong");
    case END_TLS:
    case END_PEER:
        return u->is_secure
                   ? NULL
                   : _("is that the address and port of a gotunnel server? If the server has "
                       "another one now, add -server NAME:PORT");
    case END_DEADLINE:
    case END_SILENT:
        return u->is_secure ? NULL
                            : _("small packets come through and large ones do not (a VPN, PPPoE "
                                "or tunnel on the way?), or no gotunnel server is there");
    default:
        return NULL;
    }
}

const char *steps_port_hint(char out[STEPS_HINT_MAX], const struct client *c, const struct wish *w)
{
    const char *word = w->why.errno_word;
    out[0] = '\0';
    if (w->why.error == SERVICE_ERR_RIGHT)
        (void)snprintf(out, STEPS_HINT_MAX,
                       _("ask for a port that is allowed, as 22@PORT; at the server 'gotunnel "
                         "clients show %s' lists them"),
                       c->own.name); /* fits */
    else if (w->why.error == SERVICE_ERR_TAKEN ||
             (w->why.error == SERVICE_ERR_PORT && strcmp(word, "EADDRINUSE") == 0))
        (void)snprintf(out, STEPS_HINT_MAX, "%s",
                       _("ask for another port, as 22@PORT, or let the server choose: 22"));
    return out;
}
