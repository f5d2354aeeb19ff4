/* SPDX-License-Identifier: MIT */
/* -once and -wait: for scripts, that want to know whether the tunnel came up, and if not, why. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/background.h"
#include "base/event.h"
#include "client/internal.h"

bool client_is_visit(const struct client *c)
{
    return c->watch && c->watch->is_visit;
}

/* Perhaps only large packets get lost: the next one has small ones. */
static bool is_tried_again(const struct client *c, enum end_reason reason)
{
    return client_is_visit(c) && c->tls_failures == 1 &&
           (reason == END_DEADLINE || reason == END_SILENT);
}

bool client_once_is_over(struct client *c, enum end_reason reason)
{
    bool is_once = c->opt->common.once || client_is_visit(c);
    if (!is_once || c->was_open || is_tried_again(c, reason))
        return false;
    c->status = client_end_outcome(reason).status;
    if (!client_is_visit(c))
        event_once_over(c->status);
    return true;
}

void client_public_address(char out[CLIENT_ADDRESS_MAX], const struct client *c, long long port)
{
    const char *host = c->server.host;
    bool is_v6 = strchr(host, ':');
    (void)snprintf(out, CLIENT_ADDRESS_MAX, "%s%s%s:%lld", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                   port); /* fits */
}

void client_tell_script(struct client *c, const char *lines)
{
    if (c->script_fd < 0)
        return;
    event_in_background((int)getpid());
    if (!background_say(&c->script_fd, lines))
        (void)raise(SIGTERM); /* whoever started it is gone: an orderly end */
}
