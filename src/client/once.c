/* SPDX-License-Identifier: MIT */
/* -once and -wait: for scripts, that want to know whether the tunnel came up, and if not, why. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/background.h"
#include "base/event.h"
#include "client/internal.h"

bool client_once_is_over(struct client *c, enum end_reason reason)
{
    if (!c->opt->common.once || c->was_up)
        return false;
    c->status = client_end_outcome(reason).status;
    event_once_over(c->status);
    return true;
}

void client_tell_script(struct client *c, const struct uplink *u)
{
    char line[BACKGROUND_WORD_MAX];
    const char *host = c->server.host;
    if (c->script_fd < 0)
        return;
    if (strchr(host, ':'))
        (void)snprintf(line, sizeof line, "[%s]:%lld\n", host, u->port); /* fits */
    else
        (void)snprintf(line, sizeof line, "%s:%lld\n", host, u->port); /* fits */
    event_in_background((int)getpid());
    if (!background_say(&c->script_fd, line))
        (void)raise(SIGTERM); /* whoever started it is gone: an orderly end */
}
