/* SPDX-License-Identifier: MIT */
/*
 * A server that rejects our secret: a person has to mend that, so we go on asking, but seldom, and
 * hardly say a word of it.
 */
#include "base/event.h"
#include "client/internal.h"

enum {
    TELL_REJECTION_MS = 3600 * 1000,
};

/* A server that has rejected our secret, and is there, has not changed its mind because it puts us
   off, or drops us before TLS: so it treats who was wrong too often (proto/verdicts). */
void client_note_rejection(struct client *c, const struct uplink *u, enum end_reason reason)
{
    bool was_reached = u->at.family != ADDRESS_NONE && !u->is_authenticated && !u->was_live;
    bool is_put_off =
        reason == END_PUT_OFF || reason == END_PEER || reason == END_TLS || reason == END_DEADLINE;
    if (reason == END_AUTH)
        c->rejections++;
    else if (!was_reached || !is_put_off)
        c->rejections = 0;
    c->is_quiet = c->is_quiet && c->rejections > 0;
}

/* The first time, and once an hour. */
void client_tell_rejection(struct client *c, const char *words)
{
    mtime_ms now = loop_now(&c->loop);
    bool again = c->rejections > 1 && now - c->rejection_told_at < TELL_REJECTION_MS;
    event_auth_refused(again, words);
    if (again)
        return;
    if (c->opt->has_join)
        event_key_not_taken(c->opt->join.name);
    else if (c->was_up || !c->opt->common.once) /* there is a next time */
        event_secret_differs();
    c->rejection_told_at = now;
}
