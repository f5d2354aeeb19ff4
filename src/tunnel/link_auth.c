/* SPDX-License-Identifier: MIT */
/*
 * The secret exchange of the legacy wire: one line each way (docs/protocol.md 1.2). An old peer
 * reads its line with one read of at most one TLS record and drops what else that read brought, so
 * each line goes out as a record of its own; ours may be followed by anything.
 */
#include "tunnel/internal.h"

#include <string.h>

#include "base/escape.h"
#include "base/secure.h"

/* An old client shows what follows its ERROR to its user; its secret is not even read. */
static void refuse_legacy(struct link *l)
{
    static const char no[] = "ERROR: this server speaks gotunnel/2 only (-legacy never)\n";
    if (!l->cfg.is_server || link_say(l, no, sizeof no - 1))
        link_close(l, LINK_END_LEGACY, NULL);
}

void auth_begin(struct link *l)
{
    mtime_ms now = loop_now(l->cfg.loop);
    mtime_ms at = now + LINK_SECRET_MS;
    auth_line_init(&l->line);
    if (l->cfg.legacy_refused) {
        refuse_legacy(l);
        return;
    }
    if (l->cfg.is_server) {
        link_set_deadline(l, at < l->auth_deadline ? at : l->auth_deadline);
        return;
    }
    l->cfg.ops->on_secure(l->cfg.ctx);
    char line[AUTH_LINE_MAX + 1];
    size_t n = strlen(l->cfg.secret);
    if (n > AUTH_LINE_MAX - 1) {
        link_close(l, LINK_END_LOCAL, NULL);
        return;
    }
    memcpy(line, l->cfg.secret, n);
    line[n] = '\n';
    (void)link_say(l, line, n + 1);
    secure_zero(line, sizeof line);
    link_set_deadline(l, at);
}

/* Client: the server's answer is there. */
static void on_reply(struct link *l)
{
    struct errmsg why;
    if (!auth_line_is_ok(&l->line)) {
        char text[ESCAPE_BUF];
        escape_text(text, auth_line_text(&l->line), auth_line_len(&l->line));
        errmsg_set(&why, ERR_AUTH, "%s", text);
        link_close(l, LINK_END_AUTH, &why);
        return;
    }
    l->cfg.ops->on_authenticated(l->cfg.ctx);
    if (l->state == LINK_AUTH && link_begin_session(l))
        control_begin(l);
}

void auth_input(struct link *l, const uint8_t **p, size_t *n)
{
    if (l->reject_at) { /* a rejection is pending: input is dropped */
        *n = 0;
        return;
    }
    size_t used = 0;
    int r = auth_line_feed(&l->line, *p, *n, &used);
    *p += used;
    *n -= used;
    if (r == ERR_AGAIN)
        return;
    if (r < 0) {
        link_close(l, LINK_END_PROTOCOL, NULL);
        return;
    }
    if (l->cfg.is_server)
        l->cfg.ops->on_secret(l->cfg.ctx, &l->line);
    else
        on_reply(l);
    auth_line_wipe(&l->line);
}

void link_secret_accept(struct link *l)
{
    static const char ok[] = "OK\n";
    if (l->state != LINK_AUTH || !link_say(l, ok, sizeof ok - 1))
        return;
    transport_trust(l->tp);
    if (link_begin_session(l))
        link_set_deadline(l, loop_now(l->cfg.loop) + LINK_CONTROL_MS);
}

void link_secret_reject(struct link *l, uint32_t delay_ms)
{
    mtime_ms now = loop_now(l->cfg.loop);
    if (l->state != LINK_AUTH && l->state != LINK_HELLO)
        return;
    l->reject_at = now + delay_ms;
    link_set_deadline(l, l->reject_at < l->auth_deadline ? l->reject_at : l->auth_deadline);
    if (delay_ms == 0)
        (l->state == LINK_HELLO ? hello_send_rejection : auth_send_rejection)(l);
}

void auth_send_rejection(struct link *l)
{
    static const char no[] = "ERROR: Invalid Secret\n";
    if (link_say(l, no, sizeof no - 1))
        link_close(l, LINK_END_AUTH, NULL);
}
