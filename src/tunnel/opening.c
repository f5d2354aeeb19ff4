/* SPDX-License-Identifier: MIT */
/* What all openings have in common: TLS, deadlines, the end. */
#include "tunnel/opening.h"

#include <stdlib.h>
#include <string.h>

#include "net/sock.h"
#include "tunnel/opening_internal.h"
#include "tunnel/relay.h"

enum { READ_RECORDS = 4 }; /* in a turn: who floods before the answer stops no session */

/* ---- the end ---- */

static void opening_on_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

static void opening_finish(struct loop_job *job)
{
    struct opening *o = CONTAINER_OF(job, struct opening, finish);
    if (o->part)
        o->wire->fini(o);
    if (o->handover.line) { /* here no call of the transport is under way */
        o->handover.tp = o->tp;
        transport_release(o->tp);
        o->cfg.ops->on_resume(o->cfg.ctx, &o->handover);
    } else {
        transport_close(o->tp);
    }
    o->tp = NULL;
    if (!o->told)
        o->cfg.ops->on_failed(o->cfg.ctx, o->reason, o->has_refusal ? &o->refusal : NULL, &o->why);
    uv_close((uv_handle_t *)&o->timer, opening_on_timer_closed);
}

void opening_fail(struct opening *o, enum end_reason reason, const struct errmsg *why)
{
    if (o->state == OPENING_OVER)
        return;
    o->state = OPENING_OVER;
    o->reason = reason;
    if (why)
        o->why = *why;
    uv_timer_stop(&o->timer);
    loop_defer(o->cfg.loop, &o->finish);
}

void opening_ask_verdict(struct opening *o, const char *id)
{
    o->state = OPENING_WAITING;
    opening_set_deadline(o, loop_now(o->cfg.loop) + OPENING_TURN_MS);
    o->cfg.ops->on_line(o->cfg.ctx, id);
}

void opening_reject(struct opening *o, const struct opening_barred *barred)
{
    o->cfg.ops->on_auth_failed(o->cfg.ctx, barred);
    o->wire->reject(o);
}

void opening_done(struct opening *o)
{
    o->told = true;
    opening_fail(o, END_MOVED, NULL);
}

void opening_close(struct opening *o)
{
    if (!o)
        return;
    free(o->handover.line);
    o->handover.line = NULL;
    o->told = true;
    opening_fail(o, END_SHUTDOWN, NULL);
}

/* ---- time ---- */

static void opening_on_timer(uv_timer_t *t)
{
    opening_fail(t->data, END_DEADLINE, NULL);
}

void opening_set_deadline(struct opening *o, mtime_ms at)
{
    mtime_ms now = loop_now(o->cfg.loop);
    bool has_said =
        o->state == OPENING_WAITING || o->state == OPENING_CONTROL || o->state == OPENING_JUDGED;
    if (o->cfg.is_server && at > o->auth_deadline && !has_said)
        at = o->auth_deadline;
    o->deadline = at;
    if (at == MTIME_NEVER)
        uv_timer_stop(&o->timer);
    else
        uv_timer_start(&o->timer, opening_on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

/* ---- the connection ---- */

/* Client: the owner may not want to talk to this server. */
static bool is_welcome(struct opening *o, bool is_v2)
{
    uint8_t key[TRANSPORT_CA_BYTES];
    struct errmsg why;
    if (!o->cfg.ops->on_server)
        return true;
    if (transport_ca_key(o->tp, key) < 0) {
        opening_fail(o, END_CERT, NULL);
        return false;
    }
    const char *text = o->cfg.ops->on_server(o->cfg.ctx, is_v2, key);
    if (text) {
        (void)errmsg_set(&why, 0, "%s", text);
        opening_fail(o, END_LEGACY, &why);
    }
    return !text;
}

static void opening_on_ready(void *ctx)
{
    struct opening *o = ctx;
    if (o->state != OPENING_TLS)
        return;
    bool is_v2 = transport_speaks(o->tp, HELLO_ALPN);
    if (!o->cfg.is_server && !is_welcome(o, is_v2))
        return;
    if (o->cfg.is_server)
        o->wire = is_v2 ? &opening_hello_server : &opening_legacy_server;
    else
        o->wire = is_v2 ? &opening_hello_client : &opening_legacy_client;
    o->wire->begin(o);
}

static void opening_on_readable(void *ctx)
{
    struct opening *o = ctx;
    uint8_t *buf = o->cfg.relays->scratch;
    for (int i = 0; i < READ_RECORDS && o->state != OPENING_OVER; i++) {
        struct errmsg why = {""};
        ssize_t n = transport_read(o->tp, buf, RELAYS_SCRATCH_BYTES, &why);
        if (n == ERR_AGAIN)
            return;
        if (n < 0)
            opening_fail(o, end_reason_of_error((int)n, o->state == OPENING_TLS), &why);
        else
            o->wire->input(o, buf, (size_t)n);
    }
    if (o->state != OPENING_OVER)
        transport_read_later(o->tp);
}

static void opening_on_writable(void *ctx)
{
    (void)ctx; /* a few lines are all that is written */
}

static void opening_on_error(void *ctx, int err, const struct errmsg *why)
{
    struct opening *o = ctx;
    opening_fail(o, end_reason_of_error(err, o->state == OPENING_TLS), why);
}

bool opening_say(struct opening *o, const void *text, size_t n)
{
    if (transport_write(o->tp, text, n) != (ssize_t)n) {
        opening_fail(o, END_PEER, NULL);
        return false;
    }
    transport_flush(o->tp);
    return true;
}

struct session_config opening_session_config(const struct opening *o, bool is_v2)
{
    return (struct session_config){
        .loop = o->cfg.loop,
        .relays = o->cfg.relays,
        .is_server = o->cfg.is_server,
        .is_v2 = is_v2,
        .window_ms = is_v2 ? o->cfg.window_ms : 0,
        .tls = o->cfg.is_server ? NULL : o->cfg.tls,
    };
}

struct session *opening_become(struct opening *o, const struct session_config *cfg,
                               struct smux_session *mux)
{
    struct session *s;
    struct transport *tp = o->tp;
    o->tp = NULL;
    if (session_new(cfg, tp, mux, &s) < 0) {
        opening_fail(o, END_LOCAL, NULL);
        return NULL;
    }
    return s;
}

/* ---- what owners ask for ---- */

void opening_accept(struct opening *o, const char *address, struct session **ret)
{
    *ret = NULL;
    if (o->state == OPENING_JUDGED)
        o->wire->accept(o, address, ret);
}

void opening_refuse(struct opening *o, const struct opening_refusal *why)
{
    if (o->state == OPENING_JUDGED)
        o->wire->refuse(o, why);
}

void opening_judge(struct opening *o, const struct credentials *keys, int64_t now_s)
{
    if (o->state == OPENING_WAITING)
        o->wire->judge(o, keys, now_s);
}

void opening_turn_away(struct opening *o)
{
    if (o->state == OPENING_WAITING)
        o->wire->turn_away(o);
}

int opening_new(const struct opening_config *cfg, int fd, struct opening **ret)
{
    static const struct transport_events events = {opening_on_ready, opening_on_readable,
                                                   opening_on_writable, opening_on_error};
    struct opening *o = calloc(1, sizeof *o);
    if (!o) {
        sock_close_reset(fd);
        return ERR_NOMEM;
    }
    o->cfg = *cfg;
    o->has_secret = cfg->secret != NULL;
    if (!o->has_secret)
        o->cfg.secret = cfg->is_server ? "what stands for none" : "";
    o->cfg.legacy_refused = cfg->legacy_refused || (!o->has_secret && !cfg->is_server);
    loop_job_init(&o->finish, opening_finish);
    int err = transport_new(cfg->loop, fd, cfg->tls, cfg->is_server, &events, o, &o->tp);
    if (err < 0) {
        free(o);
        return err;
    }
    if (cfg->peer.family != ADDRESS_NONE)
        transport_set_peer(o->tp, &cfg->peer);
    (void)strncpy(o->peer, transport_peer(o->tp), sizeof o->peer - 1);
    uv_timer_init(&cfg->loop->uv, &o->timer);
    o->timer.data = o;
    mtime_ms patience = cfg->is_server ? OPENING_AUTH_MS - cfg->waited_ms : cfg->handshake_ms;
    o->auth_deadline = loop_now(cfg->loop) + patience;
    opening_set_deadline(o, o->auth_deadline);
    *ret = o;
    return 0;
}

const char *opening_tls_info(const struct opening *o)
{
    return o->tp ? transport_describe(o->tp) : "";
}
