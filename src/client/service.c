/* SPDX-License-Identifier: MIT */
/* Dialling a service, a bounded number at a time. */
#include "client/service.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/i18n.h"
#include "base/log.h"
#include "base/quota.h"
#include "net/dialer.h"
#include "net/sock.h"
#include "proto/smux/session.h"

/* One stream on its way to the service. */
struct pending_dial {
    struct relay_pending pending;
    struct list node; /* in service->waiting until its dial starts */
    struct service *service;
    struct relay *relay;
    struct dial *dial; /* NULL while waiting */
    unsigned at;       /* which destination is dialled */
    unsigned failed;   /* how many have failed */
    unsigned moves;    /* the service's, of which `at` is */
    bool may_vanish;   /* on another machine, which can vanish without FIN or RST */
    mtime_ms deadline;
};

static void service_start_waiting(struct loop_job *job);

struct service *service_new(struct loop *loop, struct relays *relays,
                            const struct service_config *cfg)
{
    struct service *s = calloc(1, sizeof *s);
    if (!s || !(s->name = strdup(cfg->name)) || !(s->tally = tally_new(0))) {
        free(s ? s->name : NULL);
        free(s);
        return NULL;
    }
    assert(strlen(cfg->id) <= SERVICE_ID_MAX && cfg->limits.dials > 0);
    (void)snprintf(s->id, sizeof s->id, "%s", cfg->id); /* fits */
    s->to = cfg->to;
    s->limits = cfg->limits;
    s->owners = 1;
    s->shared = cfg->shared;
    s->loop = loop;
    s->relays = relays;
    list_init(&s->hungry);
    list_init(&s->node);
    list_init(&s->waiting);
    loop_job_init(&s->start, service_start_waiting);
    log_debug("service %s at %s: up to %u dials at once, %d ms each", s->id, s->name,
              s->limits.dials, (int)s->limits.dial_ms);
    return s;
}

void service_move(struct service *s, char *name, struct destinations *to)
{
    free(s->name);
    free(s->to);
    s->name = name;
    s->to = to;
    s->first = s->said = 0;
    tally_good(s->tally); /* as far as one knows */
    s->moves++;
    s->path = (struct path_memory){0};
}

struct service *service_ref(struct service *s)
{
    s->owners++;
    return s;
}

void service_leave(struct service *s)
{
    assert(s->owners > 0);
    s->owners--;
    if (s->owners == 0)
        loop_defer(s->loop, &s->start);
}

void service_free(struct service *s)
{
    if (!s)
        return;
    assert(s->dialing == 0 && list_empty(&s->waiting));
    loop_cancel(&s->start);
    list_del(&s->node);
    list_del(&s->hungry);
    tally_give(s->tally);
    free(s->name);
    free(s->to);
    free(s);
}

/* One line in SERVICE_COMPLAIN_MS; told: when there was one, 0: never. */
static bool service_may_tell(const struct service *s, mtime_ms *told)
{
    mtime_ms now = loop_now(s->loop);
    if (*told && now - *told < SERVICE_COMPLAIN_MS)
        return false;
    *told = now;
    return true;
}

static void service_complain(struct service *s, const char *why)
{
    struct errmsg all;
    if (!service_may_tell(s, &s->complained))
        return;
    if (s->to->count > 1) {
        (void)errmsg_set(&all, 0, _("none of its addresses answers; the last one, %s"), why);
        why = all.text;
    }
    event_target_failed(s->name, why);
}

/* The destination works: the next connections begin with it. */
static void service_prefer(struct service *s, unsigned at)
{
    char text[DESTINATION_TEXT_BUF];
    s->first = at;
    if (at == s->said || !service_may_tell(s, &s->told))
        return; /* or said with a later connection */
    s->said = at;
    event_target_other(s->name, destination_text(text, &s->to->at[at]));
}

/* All services together may begin one more; or s is told when they may. */
static bool service_may_dial(struct service *s)
{
    if (!s->shared || s->shared->now < s->shared->max)
        return true;
    if (list_empty(&s->hungry))
        list_push(&s->shared->hungry, &s->hungry);
    return false;
}

static void service_dial_begun(struct service *s)
{
    s->dialing++;
    if (s->shared)
        s->shared->now++;
}

/* The next that waits for a dial of all, if there is one to have. */
static void service_wake_hungry(struct service *s)
{
    struct list *n = s->shared->now < s->shared->max ? list_first(&s->shared->hungry) : NULL;
    if (!n)
        return;
    list_del(n);
    loop_defer(s->loop, &LIST_ENTRY(n, struct service, hungry)->start);
}

static void service_dial_over(struct service *s)
{
    s->dialing--;
    if (!s->shared)
        return;
    s->shared->now--;
    service_wake_hungry(s);
}

/* Frees the pending dial and gives its place to the next one. */
static void pending_dial_done(struct pending_dial *p)
{
    struct service *s = p->service;
    list_del(&p->node);
    if (p->dial)
        service_dial_over(s);
    free(p);
    loop_defer(s->loop, &s->start);
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
    case ERR_NOMEM:
        return SMUX_RST_BUSY;
    default:
        return SMUX_RST_UNSPECIFIED;
    }
}

static void service_note_failed(struct service *s, int err)
{
    enum tally_error error = TALLY_UNREACHABLE;
    switch (err) {
    case ERR_REFUSED:
        error = TALLY_REFUSED;
        break;
    case ERR_TIMEOUT:
        error = TALLY_TIMEOUT;
        break;
    case ERR_RESET:
        error = TALLY_RESET;
        break;
    case ERR_RESOLVE:
        error = TALLY_UNKNOWN;
        break;
    case ERR_LIMIT:
    case ERR_NOMEM:
        error = TALLY_BUSY;
        break;
    default:
        break;
    }
    tally_bad(s->tally, error, loop_now(s->loop));
}

static void service_note_good(struct service *s, mtime_ms took)
{
    tally_good(s->tally);
    if (s->shared)
        histogram_add(&s->shared->took, took);
}

static int service_dial(struct pending_dial *p);

/* Begins with the next destination. False: there is none, no time, or it is us who are short. */
static bool service_dial_next(struct pending_dial *p, int err)
{
    const struct service *s = p->service;
    bool is_us = err == ERR_LIMIT || err == ERR_NOMEM;
    p->failed = p->moves == s->moves ? p->failed + 1 : 0; /* of a new target all are left */
    return !is_us && p->failed < s->to->count && service_dial(p) == 0;
}

static void service_on_dialled(void *ctx, struct dial_result *result)
{
    struct pending_dial *p = ctx;
    struct service *s = p->service;
    struct relay *r = p->relay;
    struct errmsg why;
    if (result->err < 0) {
        (void)dial_text(&why, result, s->name); /* before the next dial */
        if (service_dial_next(p, result->err))
            return;
        relay_set_pending(r, NULL);
        service_note_failed(s, result->err);
        service_complain(s, why.text);
        relay_reset(r, reason_of(result->err));
    } else {
        relay_set_pending(r, NULL);
        service_note_good(s, loop_now(s->loop) - (p->deadline - s->limits.dial_ms));
        if (p->moves == s->moves)
            service_prefer(s, p->at);
        path_good(&s->path, &result->address);
        if (p->may_vanish)
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

/* Dials the next destination, for its part of the time that is left. 0, or negative. */
static int service_dial(struct pending_dial *p)
{
    struct service *s = p->service;
    mtime_ms left = p->deadline - loop_now(s->loop);
    p->moves = s->moves;
    p->at = (s->first + p->failed) % s->to->count;
    const struct destination *d = &s->to->at[p->at];
    struct dial_config cfg = {.unix_path = d->path,
                              .host = d->host,
                              .port = d->port,
                              .memory = &s->path,
                              .patience_ms = left / (s->to->count - p->failed)};
    p->may_vanish = !d->path && !sock_is_loopback(d->host);
    return left <= 0 ? ERR_TIMEOUT : dial_start(s->loop, &cfg, service_on_dialled, p, &p->dial);
}

static void service_start_dial(struct pending_dial *p)
{
    struct service *s = p->service;
    int err = service_dial(p);
    if (err < 0) {
        service_note_failed(s, err);
        service_complain(s, err_text(err));
        relay_reset(p->relay, reason_of(err)); /* ends in service_on_cancel */
        return;
    }
    service_dial_begun(s);
}

/* It begins no more dials now: what it was woken for another may have. Nobody's, and idle, it goes. */
static void service_rest(struct service *s)
{
    if (s->shared)
        service_wake_hungry(s);
    if (s->owners == 0 && s->dialing == 0 && list_empty(&s->waiting))
        service_free(s);
}

/* At the end of a turn: users who have left within it cost no socket, and data goes on between. */
static void service_start_waiting(struct loop_job *job)
{
    struct service *s = CONTAINER_OF(job, struct service, start);
    struct list *n;
    for (int i = 0; i < SERVICE_DIALS_A_TURN; i++) {
        n = list_first(&s->waiting);
        if (!n || s->dialing >= s->limits.dials || !service_may_dial(s)) {
            service_rest(s);
            return;
        }
        list_del(n);
        service_start_dial(LIST_ENTRY(n, struct pending_dial, node));
    }
    loop_defer(s->loop, &s->start); /* the others in the next turn */
}

void service_serve(struct service *s, struct session *session, struct smux_stream *st)
{
    struct pending_dial *p = calloc(1, sizeof *p);
    struct relay *r =
        p && !quota_is_full(s->relays->quota) ? relay_new(s->relays, session, st) : NULL;
    if (!r) {
        free(p);
        tally_turned_away(s->tally, TALLY_BUSY, loop_now(s->loop));
        smux_stream_reset(st, SMUX_RST_BUSY, loop_now(s->loop));
        return;
    }
    p->pending.on_cancel = service_on_cancel;
    p->service = s;
    p->relay = r;
    relay_count_at(r, s->tally);
    p->deadline = loop_now(s->loop) + s->limits.dial_ms;
    list_init(&p->node);
    list_push(&s->waiting, &p->node);
    relay_set_pending(r, &p->pending);
    loop_defer(s->loop, &s->start);
}
