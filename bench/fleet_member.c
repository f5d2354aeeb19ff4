/* SPDX-License-Identifier: MIT */
/*
 * One member of the fleet: what client/ does for its user, without one.
 *
 *   waits --time--> dials --TCP--> opens --accepted--> a session --over--> waits
 *
 * Its tunnels are asked for in each session anew (proto/session/wishes), their visitors are joined
 * to an echo, ahead of which the member says who it is: so a visitor knows whose port it came to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fleet.h"
#include "proto/service_line.h"
#include "proto/smux/session.h"

/* ---- visitors ---- */

/* A stream whose connection to the echo is under way. */
struct visit {
    struct relay_pending pending;
    struct relay *relay;
    struct fleet_dial *dial;
};

static void on_visit_dialled(void *ctx, int fd)
{
    struct visit *v = ctx;
    relay_set_pending(v->relay, NULL);
    if (fd < 0)
        relay_reset(v->relay, SMUX_RST_CONNECT_REFUSED);
    else
        relay_attach(v->relay, fd);
    free(v);
}

static void on_visit_cancelled(struct relay_pending *p)
{
    struct visit *v = CONTAINER_OF(p, struct visit, pending);
    fleet_dial_cancel(v->dial);
    free(v);
}

/* Which tunnel that is, as its name says it; the echo's letter comes first. */
static int say_who(const struct member *m, const struct wish *w, struct relay *r)
{
    char who[2 * HELLO_ID_MAX + 4];
    int n = snprintf(who, sizeof who, "E%s %s\n", m->id, w->wanted.name);
    return relay_prefix(r, who, (size_t)n);
}

static void on_stream(void *ctx, struct smux_stream *st, const struct smux_open *open)
{
    struct member *m = ctx;
    struct fleet *f = m->fleet;
    const struct wish *w = wishes_find(&m->wishes, open->service);
    if (!w) {
        smux_stream_reset(st, SMUX_RST_NO_SERVICE, loop_now(&f->loop));
        return;
    }
    struct visit *v = calloc(1, sizeof *v);
    struct relay *r = v ? relay_new(&f->relays, m->session, st) : NULL;
    if (!r) {
        free(v);
        smux_stream_reset(st, SMUX_RST_BUSY, loop_now(&f->loop));
        return;
    }
    f->visitors++;
    v->relay = r;
    v->pending.on_cancel = on_visit_cancelled;
    if (say_who(m, w, r) < 0 || fleet_dial_start(&f->loop, f->opt->target, 0, FLEET_DIAL_MS,
                                                 on_visit_dialled, v, &v->dial) < 0) {
        free(v);
        relay_reset(r, SMUX_RST_BUSY);
        return;
    }
    relay_set_pending(r, &v->pending);
}

/* ---- its tunnels ---- */

static void on_due(uv_timer_t *t);

static void act(struct member *m)
{
    struct wish_action a;
    mtime_ms now = loop_now(&m->fleet->loop);
    while (wishes_next(&m->wishes, &a)) {
        char text[HELLO_MAX];
        if (a.kind == WISH_TELL && a.tell != WISH_TELL_OPENED)
            m->fleet->refused++;
        else if (a.kind == WISH_SEND && m->session &&
                 session_say(m->session, text, service_line_put(text, &a.line)) < 0)
            session_close(m->session, END_LOCAL, NULL);
    }
    mtime_ms at = wishes_deadline(&m->wishes);
    if (at == MTIME_NEVER)
        uv_timer_stop(&m->due);
    else
        uv_timer_start(&m->due, on_due, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void on_due(uv_timer_t *t)
{
    struct member *m = t->data;
    wishes_tick(&m->wishes, loop_now(&m->fleet->loop));
    act(m);
}

static bool on_line(void *ctx, struct hello_text text)
{
    struct member *m = ctx;
    struct service_line line;
    int err = service_line_get(text, SERVICE_SERVER, &line);
    if (err == 0 && line.op != SERVICE_NOTICE)
        err = wishes_line(&m->wishes, &line, loop_now(&m->fleet->loop));
    if (err < 0) {
        session_close(m->session, END_PROTOCOL, NULL);
        return false;
    }
    act(m);
    return true;
}

/* ---- its session ---- */

static void wait_for(struct member *m, mtime_ms wait);

static void try_later(struct member *m, enum backoff_kind kind)
{
    struct fleet *f = m->fleet;
    mtime_ms now = loop_now(&f->loop);
    backoff_down(&m->backoff, now);
    wait_for(m, backoff_next(&m->backoff, kind, now, &f->rng));
}

static void on_redialled(void *ctx, int fd)
{
    struct member *m = ctx;
    m->dial = NULL;
    session_dialled(m->session, fd, 0, NULL);
}

static void on_dial(void *ctx, mtime_ms patience_ms, mtime_ms last_start, bool small_segments)
{
    struct member *m = ctx;
    struct fleet *f = m->fleet;
    (void)last_start, (void)small_segments; /* one address, which has no black hole */
    fleet_dial_cancel(m->dial);
    m->dial = NULL;
    int err = fleet_dial_start(&f->loop, f->opt->port, f->opt->source, patience_ms, on_redialled, m,
                               &m->dial);
    if (err < 0)
        session_dialled(m->session, err, 0, NULL);
}

static void on_dial_cancel(void *ctx)
{
    struct member *m = ctx;
    fleet_dial_cancel(m->dial);
    m->dial = NULL;
}

static void on_dial_hurry(void *ctx, mtime_ms at)
{
    (void)ctx, (void)at;
}

static void on_address_failed(void *ctx)
{
    (void)ctx;
}

static void on_open_beside(void *ctx)
{
    struct member *m = ctx;
    m->opens_beside = true;
    session_close(m->session, END_SHUTDOWN, NULL);
}

static void on_tell(void *ctx, const struct life_action *a, const struct errmsg *why)
{
    struct member *m = ctx;
    (void)why;
    m->fleet->detached += a->tell.what == LIFE_TELL_DETACHED;
    m->fleet->resumed += a->tell.what == LIFE_TELL_RESUMED;
}

static void on_session_closed(void *ctx, enum end_reason reason, const struct errmsg *why)
{
    struct member *m = ctx;
    struct fleet *f = m->fleet;
    mtime_ms now = loop_now(&f->loop);
    (void)why;
    m->session = NULL;
    f->ends[reason]++;
    on_dial_cancel(m);
    standing_resuming(&m->standing, m->nonce, false);
    if (reason == END_REPLACED || reason == END_DRAINED)
        standing_over(&m->standing, m->nonce);
    wishes_lost(&m->wishes, now);
    act(m);
    f->lost++;
    if (m->opens_beside || reason == END_UNKNOWN) {
        backoff_down(&m->backoff, now);
        wait_for(m, backoff_at_once(&m->backoff, now, &f->rng));
    } else {
        try_later(m, BACKOFF_OUTAGE);
    }
    m->opens_beside = false;
}

/* ---- its opening ---- */

static void on_secure(void *ctx)
{
    (void)ctx;
}

static void on_open_sent(void *ctx, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    struct member *m = ctx;
    memcpy(m->nonce, nonce, sizeof m->nonce);
    standing_asked(&m->standing, nonce);
}

static void on_accepted(void *ctx, struct session *s, const char *message)
{
    static const struct session_ops ops = {
        .on_stream = on_stream,
        .on_line = on_line,
        .on_dial = on_dial,
        .on_dial_cancel = on_dial_cancel,
        .on_dial_hurry = on_dial_hurry,
        .on_address_failed = on_address_failed,
        .on_open_beside = on_open_beside,
        .on_tell = on_tell,
        .on_closed = on_session_closed,
    };
    struct member *m = ctx;
    (void)message;
    m->opening = NULL;
    m->session = s;
    session_set_owner(s, &ops, m);
    standing_accepted(&m->standing, m->nonce);
    backoff_up(&m->backoff, loop_now(&m->fleet->loop));
    m->fleet->accepted++;
    wishes_begun(&m->wishes);
    act(m);
}

static void on_failed(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                      const struct errmsg *why)
{
    struct member *m = ctx;
    (void)why;
    m->opening = NULL;
    m->fleet->ends[reason]++;
    if (refusal)
        standing_refused(&m->standing, m->nonce);
    m->fleet->refused += reason == END_REFUSED;
    m->fleet->failed += reason != END_REFUSED;
    try_later(m, reason == END_REFUSED ? BACKOFF_HELD : BACKOFF_OUTAGE);
}

static void on_dialled(void *ctx, int fd)
{
    static const struct opening_ops ops = {.on_secure = on_secure,
                                           .on_open_sent = on_open_sent,
                                           .on_accepted = on_accepted,
                                           .on_failed = on_failed};
    struct member *m = ctx;
    struct fleet *f = m->fleet;
    struct opening_config cfg = {
        .loop = &f->loop,
        .relays = &f->relays,
        .tls = f->tls,
        .secret = f->opt->secret,
        .legacy_refused = true,
        .window_ms = 120000,
        .id = m->id,
        .handshake_ms = FLEET_TLS_MS,
        .ops = &ops,
        .ctx = m,
    };
    m->dial = NULL;
    standing_say(&m->standing, &cfg.take, &cfg.mine);
    if (fd >= 0 && opening_new(&cfg, fd, &m->opening) == 0)
        return;
    f->failed++;
    try_later(m, BACKOFF_OUTAGE);
}

static void on_retry(uv_timer_t *t)
{
    struct member *m = t->data;
    struct fleet *f = m->fleet;
    if (fleet_dial_start(&f->loop, f->opt->port, f->opt->source, FLEET_DIAL_MS, on_dialled, m,
                         &m->dial) < 0)
        try_later(m, BACKOFF_OUTAGE);
}

static void wait_for(struct member *m, mtime_ms wait)
{
    uv_timer_start(&m->retry, on_retry, (uint64_t)wait, 0);
}

/* ---- all of it ---- */

int member_init(struct member *m, struct fleet *f, int number)
{
    const struct fleet_options *o = f->opt;
    m->fleet = f;
    m->number = number;
    (void)snprintf(m->id, sizeof m->id, "%s-%d", o->prefix, number);
    standing_init(&m->standing);
    backoff_init(&m->backoff, o->retry_ms);
    uv_timer_init(&f->loop.uv, &m->retry);
    uv_timer_init(&f->loop.uv, &m->due);
    m->retry.data = m->due.data = m;
    wishes_init(&m->wishes, WISHES_MAX, o->retry_ms, (uint64_t)number + 1);
    m->tunnels = calloc((size_t)o->tunnels + 1, sizeof *m->tunnels);
    if (!m->tunnels)
        return ERR_NOMEM;
    for (int i = 0; i < o->tunnels; i++) {
        struct wish *w = &m->tunnels[i];
        w->wanted.kind = SERVICE_KIND_TCP;
        w->wanted.ready = true;
        (void)snprintf(w->wanted.name, sizeof w->wanted.name, "t%d", i);
        wishes_add(&m->wishes, w);
    }
    return 0;
}

void member_begin(struct member *m)
{
    wait_for(m, 0);
}

bool member_is_up(const struct member *m)
{
    return m->session && session_state(m->session) == LIFE_UP;
}

int member_tunnels(const struct member *m)
{
    int n = 0;
    for (int i = 0; i < m->fleet->opt->tunnels; i++)
        n += m->session && m->tunnels[i].state == WISH_OPEN;
    return n;
}
