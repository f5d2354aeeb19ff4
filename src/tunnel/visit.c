/* SPDX-License-Identifier: MIT */
/* One connection of a user, until its line. */
#include "tunnel/visit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/event.h"

static const struct bucket_rate visit_rate = {.per_s = VISIT_LINES_PER_S,
                                              .burst = VISIT_LINES_BURST};

const char *visit_end_word(enum visit_end end)
{
    static const char *const words[VISIT_ENDS] = {
        [VISIT_OPEN] = "open",
        [VISIT_CLOSED] = "closed",
        [VISIT_USER_RESET] = "user_reset",
        [VISIT_CLIENT_RESET] = "client_reset",
        [VISIT_TARGET_REFUSED] = "target_refused",
        [VISIT_TARGET_SILENT] = "target_silent",
        [VISIT_BUSY] = "busy",
        [VISIT_HALF_CLOSED] = "half_closed",
        [VISIT_STALLED] = "stalled",
        [VISIT_SHUTDOWN] = "shutdown",
        [VISIT_SESSION_OVER] = "session_over",
    };
    return words[end];
}

struct user_visit *visit_new(const char *client, const char *tunnel, const char *user, mtime_ms now)
{
    struct user_visit *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->since = now;
    (void)snprintf(v->client, sizeof v->client, "%s", client); /* cut on purpose, all three */
    (void)snprintf(v->tunnel, sizeof v->tunnel, "%s", tunnel);
    (void)snprintf(v->user, sizeof v->user, "%s", user);
    return v;
}

void visit_over(struct user_visit *v, struct visit_lines *lines, mtime_ms now)
{
    if (!v)
        return;
    if (!bucket_take(&lines->bucket, &visit_rate, 1, now)) {
        lines->left_out++;
    } else {
        if (lines->left_out > 0)
            event_visits_left_out(lines->left_out);
        lines->left_out = 0;
        event_visit(v->client, v->tunnel, v->user, (double)(now - v->since) / 1000, v->received,
                    v->sent, visit_end_word(v->end));
    }
    free(v);
}
