/* SPDX-License-Identifier: MIT */
/* Two ends of a tunnel over stub transports: see kit.h. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "base/quota.h"

static struct kit *kit; /* of the test that runs: events name an end only */

/* ---- openings ---- */

static void on_asked(void *ctx, const struct opening_ask *ask)
{
    struct kit_end *e = ctx;
    e->asked++;
    e->port = ask->port;
    e->ask_err = ask->err;
    if (ask->is_v2)
        e->open = *ask->open;
    if (ask->public_key)
        memcpy(e->public_key, ask->public_key, sizeof e->public_key);
}

static void on_authenticated(void *ctx)
{
    ((struct kit_end *)ctx)->authenticated++;
}

static void on_line(void *ctx, const char *id)
{
    struct kit_end *e = ctx;
    e->lines++;
    (void)snprintf(e->line_id, sizeof e->line_id, "%s", id);
    if (!e->keeps_waiting)
        opening_judge(e->opening, e->keys, KIT_NOW_S);
}

static void on_auth_failed(void *ctx, const struct opening_barred *barred)
{
    struct kit_end *e = ctx;
    e->auth_failed++;
    e->barred = barred ? barred->cause : CREDENTIALS_RIGHT;
}

static void on_resume(void *ctx, const struct handover *h)
{
    struct kit_end *e = ctx;
    e->resumes++;
    e->opening = NULL;
    e->handover = *h;
}

static void on_secure(void *ctx)
{
    ((struct kit_end *)ctx)->secure++;
}

static const char *on_server(void *ctx, bool is_v2, const uint8_t ca_key[TRANSPORT_CA_BYTES])
{
    struct kit_end *e = ctx;
    return e->distrust ? e->distrust(is_v2, ca_key) : NULL;
}

static void on_open_sent(void *ctx, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    memcpy(((struct kit_end *)ctx)->nonce, nonce, HELLO_NONCE_BYTES);
}

static void on_failed(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                      const struct errmsg *why)
{
    struct kit_end *e = ctx;
    e->failed++;
    e->opening = NULL;
    e->reason = reason;
    e->why = *why;
    e->has_refusal = refusal;
    if (refusal)
        e->refusal = *refusal;
}

/* ---- sessions ---- */

static void on_stream(void *ctx, struct smux_stream *st, const struct smux_open *open)
{
    struct kit_end *e = ctx;
    e->stream = st;
    e->svc = open->service;
}

static bool on_said(void *ctx, struct hello_text line)
{
    struct kit_end *e = ctx;
    size_t n = strlen(e->said), more = line.n + 1;
    if (n + more >= sizeof e->said)
        n = 0; /* only the end is of interest */
    (void)snprintf(e->said + n, sizeof e->said - n, "%.*s\n", (int)line.n, line.p);
    e->said_count++;
    if (e->on_said)
        e->on_said(e);
    return !e->wants_later;
}

static void on_relay_over(void *ctx, uint32_t svc)
{
    struct kit_end *e = ctx;
    e->relays_over++;
    if (e->on_over)
        e->on_over(e, svc);
}

static void on_dial(void *ctx, mtime_ms patience_ms, mtime_ms last_start, bool small_segments)
{
    (void)patience_ms;
    (void)last_start;
    (void)small_segments;
    ((struct kit_end *)ctx)->dials++;
}

static void on_dial_cancel(void *ctx)
{
    ((struct kit_end *)ctx)->cancels++;
}

static void on_dial_hurry(void *ctx, mtime_ms at)
{
    (void)ctx;
    (void)at;
}

static void on_address_failed(void *ctx)
{
    ((struct kit_end *)ctx)->addresses_failed++;
}

static void on_open_beside(void *ctx)
{
    ((struct kit_end *)ctx)->beside++;
}

static void on_users(void *ctx, enum session_users what)
{
    struct kit_end *e = ctx;
    e->users_calls++;
    e->users = what;
}

static void on_close_ports(void *ctx)
{
    ((struct kit_end *)ctx)->yields++;
}

static void on_waiting(void *ctx, bool waits, uint64_t bytes)
{
    struct kit_end *e = ctx;
    e->waits++;
    e->waiting = waits;
    e->waiting_bytes = bytes;
}

static void on_tell(void *ctx, const struct life_action *a, const struct errmsg *why)
{
    struct kit_end *e = ctx;
    (void)why;
    e->tell = *a;
    e->tells++;
    e->tell_streams = session_streams(e->session);
}

static void on_closed(void *ctx, enum end_reason reason, const struct errmsg *why)
{
    struct kit_end *e = ctx;
    e->closed++;
    e->session = NULL;
    e->reason = reason;
    e->why = *why;
}

static const struct session_ops session_ops = {
    .on_stream = on_stream,
    .on_line = on_said,
    .on_relay_over = on_relay_over,
    .on_dial = on_dial,
    .on_dial_cancel = on_dial_cancel,
    .on_dial_hurry = on_dial_hurry,
    .on_address_failed = on_address_failed,
    .on_open_beside = on_open_beside,
    .on_users = on_users,
    .on_close_ports = on_close_ports,
    .on_waiting = on_waiting,
    .on_tell = on_tell,
    .on_closed = on_closed,
};

static void on_accepted(void *ctx, struct session *s, const char *message)
{
    struct kit_end *e = ctx;
    e->accepted++;
    e->opening = NULL;
    e->session = s;
    (void)snprintf(e->message, sizeof e->message, "%s", message ? message : "");
    session_set_owner(s, &session_ops, e);
}

static const struct opening_ops opening_ops = {
    .on_asked = on_asked,
    .on_authenticated = on_authenticated,
    .on_line = on_line,
    .on_auth_failed = on_auth_failed,
    .on_resume = on_resume,
    .on_secure = on_secure,
    .on_server = on_server,
    .on_open_sent = on_open_sent,
    .on_accepted = on_accepted,
    .on_failed = on_failed,
};

/* ---- the kit ---- */

static void end_init(struct kit_end *e)
{
    memset(e, 0, sizeof *e);
    quota_init(&e->quota, 100);
    assert_int_equal(relays_init(&e->relays, &kit->loop, &e->quota), 0);
}

void kit_init(struct kit *k)
{
    kit = k;
    assert_int_equal(loop_init(&k->loop), 0);
    end_init(&k->client);
    end_init(&k->server);
}

static void end_fini(struct kit_end *e)
{
    if (e->session)
        session_close(e->session, END_SHUTDOWN, NULL);
    opening_close(e->opening);
    stub_turn(&kit->loop);
    relays_cut_orphans(&e->relays);
    relays_fini(&e->relays);
}

void kit_fini(struct kit *k)
{
    end_fini(&k->client);
    end_fini(&k->server);
    loop_run(&k->loop);
    loop_fini(&k->loop);
    stub_free_all();
}

void kit_open(struct kit *k, struct kit_end *e, const struct opening_config *cfg)
{
    struct opening_config c = cfg ? *cfg : (struct opening_config){0};
    c.loop = &k->loop;
    c.relays = &e->relays;
    c.is_server = e == &k->server;
    c.secret = e->no_secret ? NULL : c.secret ? c.secret : KIT_SECRET;
    c.id = c.id ? c.id : "laptop";
    c.window_ms = c.window_ms ? c.window_ms : 60000;
    c.port = c.port ? c.port : 8080;
    c.handshake_ms = 10000;
    c.ops = &opening_ops;
    c.ctx = e;
    assert_int_equal(opening_new(&c, -1, &e->opening), 0);
    e->tp = stub_newest();
}

void kit_join(struct kit *k)
{
    stub_join(k->client.tp, k->server.tp);
}

void kit_begin(struct kit *k, bool is_v2)
{
    kit_open(k, &k->client, NULL);
    kit_open(k, &k->server, NULL);
    stub_ready(k->server.tp, is_v2);
    stub_ready(k->client.tp, is_v2);
}

void kit_accept(struct kit *k)
{
    opening_accept(k->server.opening, "[::]:8080", &k->server.session);
    k->server.opening = NULL;
    assert_non_null(k->server.session);
    session_set_owner(k->server.session, &session_ops, &k->server);
}

void kit_session(struct kit *k, bool is_v2)
{
    kit_begin(k, is_v2);
    kit_join(k);
    assert_int_equal(k->server.asked, 1);
    kit_accept(k);
    kit_join(k);
    assert_non_null(k->client.session);
}

void kit_services(struct kit *k)
{
    kit_session(k, true);
    assert_true(session_has_services(k->client.session) && session_has_services(k->server.session));
}

void kit_cut(struct kit *k)
{
    stub_fail(k->client.tp, ERR_RESET);
    stub_fail(k->server.tp, ERR_RESET);
}

void kit_resume(struct kit *k)
{
    session_dialled(k->client.session, dup(0), 1, NULL);
    k->client.tp = stub_newest();
    kit_open(k, &k->server, NULL);
    stub_ready(k->server.tp, true);
    stub_ready(k->client.tp, true);
    kit_join(k);
    assert_int_equal(k->server.resumes, 1);
    k->server.resumes = 0;
    assert_int_equal(session_resume(k->server.session, &k->server.handover), HELLO_OK);
    kit_join(k);
}

struct kit_stream kit_stream(struct kit *k)
{
    struct kit_stream r = {0};
    k->client.stream = NULL;
    struct smux_open open = {.service = session_has_services(k->server.session)};
    assert_int_equal(session_open_stream(k->server.session, &open, &r.st), 0);
    r.user = relay_new(&k->server.relays, k->server.session, r.st);
    kit_join(k);
    assert_non_null(k->client.stream);
    r.service = relay_new(&k->client.relays, k->client.session, k->client.stream);
    assert_true(r.user && r.service);
    return r;
}
