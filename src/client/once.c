/* SPDX-License-Identifier: MIT */
/* -once: for scripts, that want to know whether the tunnel came up, and if not, why. */
#include "app/cli.h"
#include "base/event.h"
#include "client/internal.h"

/* What the first attempt came to. */
static enum exit_status status_of(enum end_reason reason)
{
    switch (reason) {
    case END_AUTH:
    case END_CERT:
    case END_UNPROVEN:
    case END_LEGACY:
    case END_REFUSED:
    case END_REPLACED:
    case END_BLAMED:
        return EXIT_STATUS_REJECTED;
    case END_LOCAL:
        return EXIT_STATUS_FAILED;
    case END_PEER:
    case END_SILENT:
    case END_STALLED:
    case END_PROTOCOL:
    case END_DEADLINE:
    case END_TLS:
    case END_PUT_OFF:
    case END_SHUTDOWN:
    case END_REVOKED:
    case END_EXPIRED:
    case END_UNKNOWN:
    case END_DRAINED:
    case END_MOVED:
        break;
    }
    return EXIT_STATUS_UNREACHABLE;
}

bool client_once_is_over(struct client *c, enum end_reason reason)
{
    if (!c->opt->common.once || c->was_up)
        return false;
    c->status = status_of(reason);
    event_once_over(c->status);
    return true;
}
