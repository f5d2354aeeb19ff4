/* SPDX-License-Identifier: MIT */
#include "app/status_text.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/escape.h"
#include "base/i18n.h"

/* ---- numbers ---- */

const char *status_span(char out[STATUS_TEXT_MAX], int64_t ms)
{
    long long s = ms / 1000;
    if (ms < 0)
        (void)snprintf(out, STATUS_TEXT_MAX, "-");
    else if (s < 120)
        (void)snprintf(out, STATUS_TEXT_MAX, _("%lld s"), s);
    else if (s < 120 * 60)
        (void)snprintf(out, STATUS_TEXT_MAX, _("%lld min"), s / 60);
    else if (s < 48 * 3600)
        (void)snprintf(out, STATUS_TEXT_MAX, _("%lld h"), s / 3600);
    else
        (void)snprintf(out, STATUS_TEXT_MAX, _("%lld d"), s / 86400);
    return out;
}

const char *status_bytes(char out[STATUS_TEXT_MAX], uint64_t n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = (double)n;
    unsigned i = 0;
    while (value >= 999.95 && i + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        i++;
    }
    (void)snprintf(out, STATUS_TEXT_MAX, i == 0 ? "%.0f %s" : "%.1f %s", value, units[i]);
    return out;
}

const char *status_rtt(char out[STATUS_TEXT_MAX], int64_t us)
{
    if (us < 0)
        (void)snprintf(out, STATUS_TEXT_MAX, "-");
    else
        (void)snprintf(out, STATUS_TEXT_MAX, us < 10000 ? "%.1f ms" : "%.0f ms", (double)us / 1000);
    return out;
}

/* ---- states ---- */

static const char *const state_texts[CENSUS_STATES] = {
    [CENSUS_CONNECTING] = N_("connecting"),
    [CENSUS_REFUSED] = N_("the server refuses"),
    [CENSUS_UP] = N_("up"),
    [CENSUS_SUSPECT] = N_("suspect"),
    [CENSUS_WAITING] = N_("waiting"),
    [CENSUS_DRAINING] = N_("draining"),
    [CENSUS_OPENING] = N_("opening"),
    [CENSUS_PORT_REFUSED] = N_("port refused"),
    [CENSUS_TARGET_REFUSES] = N_("target refuses"),
    [CENSUS_TARGET_FAILS] = N_("target does not answer"),
};

/* Of who has no session: when it goes on. */
static const char *attempt_text(char out[STATUS_TEXT_MAX], const struct census_client *k)
{
    long long s = (k->next_ms + 999) / 1000;
    if (k->next_ms < 0)
        return _(state_texts[k->state]);
    if (k->state == CENSUS_REFUSED)
        (void)snprintf(out, STATUS_TEXT_MAX, _("the server refuses; again in %lld s"), s);
    else
        (void)snprintf(out, STATUS_TEXT_MAX, _("connects again in %lld s"), s);
    return out;
}

const char *status_client_state(char out[STATUS_TEXT_MAX], const struct census_client *k)
{
    switch (k->state) {
    case CENSUS_SUSPECT:
        (void)snprintf(out, STATUS_TEXT_MAX, _("suspect %lld s"), (long long)k->proof_ms / 1000);
        return out;
    case CENSUS_WAITING:
        (void)snprintf(out, STATUS_TEXT_MAX, _("waiting %lld s of %lld"),
                       (long long)k->state_ms / 1000, (long long)k->window_ms / 1000);
        return out;
    case CENSUS_CONNECTING:
    case CENSUS_REFUSED:
        return attempt_text(out, k);
    case CENSUS_UP:
    case CENSUS_DRAINING:
    case CENSUS_OPENING:
    case CENSUS_PORT_REFUSED:
    case CENSUS_TARGET_REFUSES:
    case CENSUS_TARGET_FAILS:
    case CENSUS_STATES:
        break;
    }
    return _(state_texts[k->state]);
}

const char *status_tunnel_state(char out[STATUS_TEXT_MAX], const struct census_tunnel *t,
                                const struct census_client *k)
{
    return t->state == k->state ? status_client_state(out, k) : _(state_texts[t->state]);
}

/* ---- why ---- */

static const struct {
    const char *word, *text;
} whys[] = {
    /* of a connection to a target (proto/tally.c) */
    {"refused", N_("the target refused the connection")},
    {"timeout", N_("the target did not answer in time")},
    {"reset", N_("reset by the other side")},
    {"unknown-host", N_("the target's name is not known")},
    {"unreachable", N_("the target cannot be reached")},
    {"busy", N_("too many connections at once")},
    {"no-service", N_("the client has no such tunnel any more")},
    /* of a port (proto/service_line.c) */
    {"port", N_("the port cannot be had at the server")},
    {"taken", N_("another client has it")},
    {"right", N_("this client may not have it")},
    {"limit", N_("too many tunnels")},
    {"kind", N_("the server does not serve such tunnels")},
    {"name", N_("the server cannot serve the name")},
    {"message", N_("the server does not understand it")},
    {"moved", N_("another server has it")},
    {"legacy-server", N_("the server knows the legacy wire only, and has one port for a client")},
    /* of a session (tunnel/session_facts.c, tunnel/reason.c) */
    {"closed", N_("closed by the other side")},
    {"silent", N_("nothing was heard for too long")},
    {"failed", N_("the connection failed")},
    {"network-changed", N_("the network has changed")},
    {"replaced", N_("another connection of the client took its place")},
    {"stalled", N_("the other side took no data")},
    {"protocol", N_("the other side broke the protocol")},
    {"blamed", N_("the other side says that this one broke the protocol")},
    {"deadline", N_("the other side took too long")},
    {"tls", N_("the TLS handshake failed")},
    {"certificate", N_("the certificate was not accepted")},
    {"certificate-time", N_("the certificate is not valid at this time")},
    {"auth", N_("the secret or key was rejected")},
    {"unproven", N_("the server does not know the secret")},
    {"server-refused", N_("the server refuses the port")},
    {"put-off", N_("the server asks to come later")},
    {"local-limit", N_("out of memory or descriptors")},
    {"shutdown", N_("stopped")},
    {"draining", N_("the server is stopping")},
    {"legacy", N_("it speaks the legacy wire only")},
    {"revoked", N_("its key was revoked")},
    {"expired", N_("it was not resumed in time")},
    {"unknown", N_("the server does not know the session any more")},
    {"drained", N_("it had stopped, and its connections are over")},
};

const char *status_why(char out[STATUS_TEXT_MAX], const char *word)
{
    char shown[ESCAPE_BUF];
    for (size_t i = 0; i < ARRAY_LEN(whys); i++)
        if (strcmp(whys[i].word, word) == 0)
            return _(whys[i].text);
    (void)snprintf(out, STATUS_TEXT_MAX, "%.200s",
                   escape_text(shown, word, strlen(word))); /* cut on purpose */
    return out;
}

/* What went wrong so long ago; ms is -1: of now. */
static const char *ago(char out[STATUS_TEXT_MAX], int64_t ms, const char *why)
{
    char span[STATUS_TEXT_MAX];
    if (ms < 0)
        (void)snprintf(out, STATUS_TEXT_MAX, "%s", why);
    else
        (void)snprintf(out, STATUS_TEXT_MAX, _("%.32s ago: %.200s"), status_span(span, ms), why);
    return out;
}

const char *status_error(char out[STATUS_TEXT_MAX], const struct census_tunnel *t)
{
    char why[STATUS_TEXT_MAX], word[STATUS_TEXT_MAX], detail[ESCAPE_BUF];
    if (!*t->error)
        return "";
    escape_text(detail, t->detail, strlen(t->detail));
    (void)snprintf(why, sizeof why, *detail ? "%.150s (%.63s)" : "%.150s",
                   status_why(word, t->error), detail);
    return ago(out, t->error_ms, why);
}

const char *status_break(char out[STATUS_TEXT_MAX], const struct census_client *k)
{
    char why[STATUS_TEXT_MAX], word[STATUS_TEXT_MAX];
    bool has_session = k->proof_ms >= 0;
    if (!has_session && *k->error)
        return ago(out, k->error_ms, status_why(word, k->error));
    if (!*k->broke)
        return "";
    if (k->gap_ms < 0)
        return ago(out, k->broke_ms, status_why(word, k->broke));
    (void)snprintf(why, sizeof why, _("%.150s, resumed after %.1f s"), status_why(word, k->broke),
                   (double)k->gap_ms / 1000);
    return ago(out, k->broke_ms, why);
}
