/* SPDX-License-Identifier: MIT */
/*
 * An open that has no answer for a while: a server lets an address wait that had wrong secrets
 * before (proto/verdicts), and who is right now shall not think that nothing happens.
 */
#include "base/event.h"
#include "client/internal.h"

enum { TELL_UNANSWERED_MS = 5000 };

void unanswered_init(struct client *c)
{
    uv_timer_init(&c->loop.uv, &c->answer_due);
    c->answer_due.data = NULL;
}

static void unanswered_on_timer(uv_timer_t *t)
{
    const struct uplink *u = t->data;
    event_open_unanswered(u->client->is_quiet);
}

void unanswered_begin(struct uplink *u)
{
    uv_timer_t *t = &u->client->answer_due;
    t->data = u;
    uv_timer_start(t, unanswered_on_timer, TELL_UNANSWERED_MS, 0);
}

void unanswered_end(struct uplink *u)
{
    uv_timer_t *t = &u->client->answer_due;
    if (t->data != u)
        return; /* another one is asking */
    t->data = NULL;
    uv_timer_stop(t);
}

void unanswered_close(struct client *c)
{
    uv_close((uv_handle_t *)&c->answer_due, NULL);
}
