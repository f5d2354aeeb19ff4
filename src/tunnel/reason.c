/* SPDX-License-Identifier: MIT */
/* Why a connection or a session ended, for people. */
#include "tunnel/reason.h"

#include <string.h>

#include "base/i18n.h"

const char *end_reason_text(enum end_reason r)
{
    static const char *const text[] = {
        [END_PEER] = N_("the connection was closed by the other side"),
        [END_SILENT] = N_("nothing was heard from the other side for too long"),
        [END_STALLED] = N_("the other side took no data for 60 seconds"),
        [END_PROTOCOL] = N_("the other side broke the protocol"),
        [END_BLAMED] = N_("the other side says that this one broke the protocol"),
        [END_DEADLINE] = N_("the other side took too long"),
        [END_TLS] = N_("the TLS handshake failed"),
        [END_CERT] = N_("the certificate was not accepted"),
        [END_CERT_TIME] = N_("the certificate is not valid at this time"),
        [END_AUTH] = N_("the secret was rejected"),
        [END_UNPROVEN] = N_("the server does not know the secret"),
        [END_PUT_OFF] = N_("the server asks to come later"),
        [END_REFUSED] = N_("the port was refused"),
        [END_LOCAL] = N_("out of memory or descriptors on this machine"),
        [END_SHUTDOWN] = N_("closed by this program"),
        [END_LEGACY] =
            N_("the other side speaks only the legacy wire, which -legacy never forbids"),
        [END_REPLACED] = N_("another client with the same id has taken its place"),
        [END_REVOKED] = N_("its key was revoked"),
        [END_EXPIRED] = N_("it was not resumed in time"),
        [END_UNKNOWN] = N_("the server does not know the session any more"),
        [END_DRAINED] = N_("it had stopped, and its connections are over"),
        [END_MOVED] = N_("it goes on in another session"),
    };
    return _(text[r]);
}

const char *end_reason_word(enum end_reason r)
{
    static const char *const words[END_REASONS] = {
        [END_PEER] = "closed",       [END_SILENT] = "silent",
        [END_STALLED] = "stalled",   [END_PROTOCOL] = "protocol",
        [END_BLAMED] = "blamed",     [END_DEADLINE] = "deadline",
        [END_TLS] = "tls",           [END_CERT] = "certificate",
        [END_AUTH] = "auth",         [END_UNPROVEN] = "unproven",
        [END_PUT_OFF] = "put-off",   [END_REFUSED] = "server-refused",
        [END_LOCAL] = "local-limit", [END_SHUTDOWN] = "shutdown",
        [END_LEGACY] = "legacy",     [END_REPLACED] = "replaced",
        [END_REVOKED] = "revoked",   [END_EXPIRED] = "expired",
        [END_UNKNOWN] = "unknown",   [END_DRAINED] = "drained",
        [END_MOVED] = "moved",       [END_CERT_TIME] = "certificate-time",
    };
    return words[r];
}

const char *end_text(char out[ESCAPE_BUF], enum end_reason r, const struct errmsg *why)
{
    return why && *why->text ? escape_text(out, why->text, strlen(why->text)) : end_reason_text(r);
}

enum end_reason end_reason_of_error(int err, bool opening)
{
    switch (err) {
    case ERR_CERT:
        return END_CERT;
    case ERR_CERT_TIME:
        return END_CERT_TIME;
    case ERR_TLS:
    case ERR_PROTO:
    case ERR_LIMIT:
        return opening ? END_TLS : END_PROTOCOL;
    case ERR_NOMEM:
        return END_LOCAL;
    case ERR_TIMEOUT:
        return END_SILENT;
    default:
        return END_PEER;
    }
}

enum end_reason end_reason_of_life(enum life_end e)
{
    static const enum end_reason reasons[] = {
        [LIFE_END_CLOSED] = END_SHUTDOWN, [LIFE_END_LOST] = END_PEER,
        [LIFE_END_EXPIRED] = END_EXPIRED, [LIFE_END_UNKNOWN] = END_UNKNOWN,
        [LIFE_END_PEER] = END_PEER,       [LIFE_END_REPLACED] = END_REPLACED,
        [LIFE_END_PROTOCOL] = END_BLAMED, [LIFE_END_DRAINED] = END_DRAINED,
    };
    return reasons[e];
}

const char *status_text(enum life_state state, enum life_service service, const char *away)
{
    if (service == LIFE_DRAINING)
        return _("lets its connections finish");
    switch (state) {
    case LIFE_UP:
        return _("up");
    case LIFE_SUSPECTED:
        return _("does not answer");
    case LIFE_DETACHED:
    case LIFE_OVER:
        break;
    }
    return away;
}
