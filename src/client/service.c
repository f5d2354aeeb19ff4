/* SPDX-License-Identifier: MIT */
/* Dialling the local service, a bounded number at a time. */
#include "client/service.h"

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
    struct list node; /* in service->waiting until its dial starts */
    struct service *service;
    struct relay *relay;
    struct dial *dial; /* NULL while waiting */
    mtime_ms deadline;
};

static void service_start_waiting(struct service *s);

void service_init(struct service *s, struct loop *loop, struct relays *relays, const char *name,
                  const char *host, int port)
{
    *s = (struct service){.loop = loop, .relays = relays, .name = name, .host = host, .port = port};
    s->may_vanish = !sock_is_loopback(host);
    list_init(&s->waiting);
}

static void service_complain(struct service *s, const char *why)
{
    mtime_ms now = loop_now(s->loop);
    if (s->complained && now - s->complained < COMPLAIN_MS)
        return;
    s->complained = now;
    event_target_failed(s->name, why);
}

/* Frees the pending dial and gives its place to the next one. */
static void pending_dial_done(struct pending_dial *p)
{
    struct service *s = p->service;
    list_del(&p->node);
    if (p->dial)
        s->dialing--;
    free(p);
    service_start_waiting(s);
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

static void service_on_dialled(void *ctx, struct dial_result *result)
{
    struct pending_dial *p = ctx;
    struct service *s = p->service;
    struct relay *r = p->relay;
    struct errmsg why;
    relay_set_pending(r, NULL);
    if (result->err < 0) {
        service_complain(s, dial_text(&why, result));
        relay_reset(r, reason_of(result->err));
    } else {
        path_good(&s->path, &result->address);
        if (s->may_vanish)
            sock_keepalive(result->fd);
        sock_abortive(result->fd, true);
        relay_attach_dialled(r, result);
    }
    pending_dial_done(p);
}

/* The relay ended before the dial was done. */
static void service_on_cancel(struct relay_pending *pending)
{
    struct pending_dial *p = CONTAINER_OF(pending, struct pending_dial, pending);
    dial_cancel(p->dial);
    pending_dial_done(p);
}

static void service_start_dial(struct pending_dial *p)
{
    struct service *s = p->service;
    mtime_ms left = p->deadline - loop_now(s->loop);
    struct dial_config cfg = {
        .host = s->host, .port = s->port, .memory = &s->path, .patience_ms = left};
    if (left <= 0 || dial_start(s->loop, &cfg, service_on_dialled, p, &p->dial) < 0) {
        service_complain(s, err_text(ERR_TIMEOUT));
        relay_reset(p->relay, SMUX_RST_CONNECT_TIMEOUT); /* ends in service_on_cancel */
        return;
    }
    s->dialing++;
}

static void service_start_waiting(struct service *s)
{
    if (s->starting)
        return; /* a pending dial that failed at once comes back here: the loop below goes on */
    s->starting = true;
    for (struct list *n; s->dialing < SERVICE_DIALS && (n = list_first(&s->waiting));) {
        list_del(n);
        service_start_dial(LIST_ENTRY(n, struct pending_dial, node));
    }
    s->starting = false;
}

void service_serve(struct service *s, struct session *session, struct smux_stream *st)
{
    struct pending_dial *p = calloc(1, sizeof *p);
    struct relay *r =
        p && !quota_is_full(s->relays->quota) ? relay_new(s->relays, session, st) : NULL;
    if (!r) {
        free(p);
        smux_stream_reset(st, SMUX_RST_BUSY, loop_now(s->loop));
        return;
    }
    p->pending.on_cancel = service_on_cancel;
    p->service = s;
    p->relay = r;
    p->deadline = loop_now(s->loop) + SERVICE_MS;
    list_init(&p->node);
    list_push(&s->waiting, &p->node);
    relay_set_pending(r, &p->pending);
    service_start_waiting(s);
}
