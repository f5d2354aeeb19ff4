/* SPDX-License-Identifier: MIT */
/* -once: for scripts, that want to know whether the tunnel came up, and if not, why. */
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
