/* SPDX-License-Identifier: MIT */
/* Dialling the local service, a bounded number at a time. */
#include "client/target.h"

#include <stdlib.h>

#include "base/event.h"
#include "base/quota.h"
#include "net/dialer.h"
#include "net/sock.h"
#include "proto/smux/session.h"

enum { COMPLAIN_MS = 1000 };

/* One stream on its way to the service. */
struct pending_dial {
    struct relay_pending pending;
    struct list node; /* in target->waiting until its dial starts */
    struct target *target;
    struct relay *relay;
    struct dial *dial; /* NULL while waiting */
    mtime_ms deadline;
};

static void target_start_waiting(struct target *t);

void target_init(struct target *t, struct loop *loop, struct relays *relays, const char *name,
                 const char *host, int port)
{
    *t = (struct target){.loop = loop, .relays = relays, .name = name, .host = host, .port = port};
    t->may_vanish = !sock_is_loopback(host);
    list_init(&t->waiting);
}

static void target_complain(struct target *t, const char *why)
{
    mtime_ms now = loop_now(t->loop);
    if (t->complained && now - t->complained < COMPLAIN_MS)
        return;
    t->complained = now;
    event_target_failed(t->name, why);
}

/* Frees the pending dial and gives its place to the next one. */
static void pending_dial_done(struct pending_dial *p)
{
    struct target *t = p->target;
    list_del(&p->node);
    if (p->dial)
        t->dialing--;
    free(p);
    target_start_waiting(t);
}

static enum smux_reset_code reason_of(int err)
{
    switch (err) {
    case ERR_REFUSED:
        return SMUX_RST_CONNECT_REFUSED;
    case ERR_TIMEOUT:
        return SMUX_RST_CONNECT_TIMEOUT;
    case ERR_RESET: /* accepted, and reset before we looked */
        return SMUX_RST_PEER_RESET;
    case ERR_LIMIT:
        return SMUX_RST_BUSY;
    default:
        return SMUX_RST_UNSPECIFIED;
    }
}

static void target_on_dialled(void *ctx, struct dial_result *result)
{
    struct pending_dial *p = ctx;
    struct target *t = p->target;
    struct relay *r = p->relay;
    struct errmsg why;
    relay_set_pending(r, NULL);
    if (result->err < 0) {
        target_complain(t, dial_text(&why, result));
        relay_reset(r, reason_of(result->err));
    } else {
        path_good(&t->path, &result->address);
        if (t->may_vanish)
            sock_keepalive(result->fd);
        sock_abortive(result->fd, true);
        relay_attach_dialled(r, result);
    }
    pending_dial_done(p);
}

/* The relay ended before the dial was done. */
static void target_on_cancel(struct relay_pending *pending)
{
    struct pending_dial *p = CONTAINER_OF(pending, struct pending_dial, pending);
    dial_cancel(p->dial);
    pending_dial_done(p);
}

static void target_start_dial(struct pending_dial *p)
{
    struct target *t = p->target;
    mtime_ms left = p->deadline - loop_now(t->loop);
    struct dial_config cfg = {
        .host = t->host, .port = t->port, .memory = &t->path, .patience_ms = left};
    if (left <= 0 || dial_start(t->loop, &cfg, target_on_dialled, p, &p->dial) < 0) {
        target_complain(t, err_text(ERR_TIMEOUT));
        relay_reset(p->relay, SMUX_RST_CONNECT_TIMEOUT); /* ends in target_on_cancel */
        return;
    }
    t->dialing++;
}

static void target_start_waiting(struct target *t)
{
    if (t->starting)
        return; /* a pending dial that failed at once comes back here: the loop below goes on */
    t->starting = true;
    for (struct list *n; t->dialing < TARGET_DIALS && (n = list_first(&t->waiting));) {
        list_del(n);
        target_start_dial(LIST_ENTRY(n, struct pending_dial, node));
    }
    t->starting = false;
}

void target_serve(struct target *t, struct session *session, struct smux_stream *st)
{
    struct pending_dial *p = calloc(1, sizeof *p);
    struct relay *r =
        p && !quota_is_full(t->relays->quota) ? relay_new(t->relays, session, st) : NULL;
    if (!r) {
        free(p);
        smux_stream_reset(st, SMUX_RST_BUSY, loop_now(t->loop));
        return;
    }
    p->pending.on_cancel = target_on_cancel;
    p->target = t;
    p->relay = r;
    p->deadline = loop_now(t->loop) + TARGET_MS;
    list_init(&p->node);
    list_push(&t->waiting, &p->node);
    relay_set_pending(r, &p->pending);
    target_start_waiting(t);
}
