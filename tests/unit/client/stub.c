/* SPDX-License-Identifier: MIT */
/* A client without a network: see stub.h. */
#include "stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/limits.h"
#include "app/sandbox.h"
#include "client/client.h"
#include "client/identity.h"
#include "conf/flags.h"
#include "net/tls_ctx.h"
#include "proto/control.h"
#include "unit/lines.h"

struct stub stub;

static struct list jobs;
static void (*script)(void);
static uv_timer_cb timer_cb;
static uv_timer_t *timer, *tunnels_timer, *answer_timer;
static uv_timer_cb tunnels_cb, answer_cb;
static const struct signals_ops *signals_ops;
static void *signals_ctx;
static void (*network_cb)(void *ctx, bool woke);
static void *network_ctx;
static unsigned depth; /* of relay_reset() */
static bool emptied;   /* the last relay is gone: told at the end of the turn */

#define FREE_ALL(type, head)                                                                       \
    for (struct type * it; (it = (head));) {                                                       \
        (head) = it->next;                                                                         \
        free(it);                                                                                  \
    }

void stub_reset(void)
{
    FREE_ALL(dial, stub.dials)
    FREE_ALL(opening, stub.openings)
    FREE_ALL(session, stub.sessions)
    for (struct relay *r; (r = stub.relays);) {
        stub.relays = r->next;
        tally_give(r->tally);
        free(r);
    }
    memset(&stub, 0, sizeof stub);
    *lines_seen = '\0';
    stub.now = 1000000;
    list_init(&jobs);
    timer_cb = NULL;
    network_cb = NULL;
    signals_ops = NULL;
    depth = 0;
    emptied = false;
}

static void *make(size_t n)
{
    void *p = calloc(1, n);
    if (!p)
        abort();
    return p;
}

/* ---- the log ---- */

unsigned stub_lines(const char *text)
{
    unsigned n = lines_count(text);
    *lines_seen = '\0';
    return n;
}

/* ---- the loop ---- */

int loop_init(struct loop *l)
{
    (void)l;
    return 0;
}

void loop_fini(struct loop *l)
{
    (void)l;
    stub_turn();
}

mtime_ms loop_now(const struct loop *l)
{
    (void)l;
    return stub.now;
}

void loop_job_init(struct loop_job *job, void (*run)(struct loop_job *job))
{
    list_init(&job->node);
    job->run = run;
}

void loop_defer(struct loop *l, struct loop_job *job)
{
    (void)l;
    if (list_empty(&job->node))
        list_push(&jobs, &job->node);
}

void loop_cancel(struct loop_job *job)
{
    list_del(&job->node);
}

void stub_turn(void)
{
    struct client *c = stub.client;
    if (emptied && c && c->relays.on_empty)
        c->relays.on_empty(c->relays.ctx);
    emptied = false;
    for (struct session *s = stub.sessions; s; s = s->next)
        if (s->closed && !s->is_over)
            stub_over(s, s->reason);
    for (struct list *n; (n = list_first(&jobs));) {
        list_del(n);
        struct loop_job *job = LIST_ENTRY(n, struct loop_job, node);
        job->run(job);
    }
}

/* All handles of the client are closed, so its loop would return. */
static bool is_closed(void)
{
    return stub.closed == 4;
}

void loop_run(struct loop *l)
{
    assert_ptr_equal(l, &stub.client->loop);
    script();
    stub_turn();
    for (int i = 0; i < 2 && !is_closed(); i++) {
        stub_sigterm();
        stub_turn();
    }
    assert_true(is_closed());
    assert_false(stub.armed);
    assert_int_equal(stub_dials() + stub_openings() + stub_sessions(), 0);
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *handle)
{
    (void)loop;
    if (stub.timers == 0)
        timer = handle; /* the client's, its tunnels', and that of an open */
    else if (stub.timers == 1)
        tunnels_timer = handle;
    else if (stub.timers == 2)
        answer_timer = handle; /* behind it: that of the census, which nobody asks for */
    stub.timers++;
    return 0;
}

int uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    assert_int_equal(repeat, 0);
    if (handle == answer_timer) {
        answer_cb = cb;
        stub.answer_wait = (mtime_ms)timeout;
        return 0;
    }
    if (handle != timer) {
        tunnels_cb = cb;
        stub.tunnels_armed = true;
        stub.tunnels_wait = (mtime_ms)timeout;
        return 0;
    }
    stub.armed = true;
    stub.wait = (mtime_ms)timeout;
    timer_cb = cb;
    return 0;
}

int uv_timer_stop(uv_timer_t *handle)
{
    if (handle == answer_timer)
        stub.answer_wait = 0;
    else
        *(handle == timer ? &stub.armed : &stub.tunnels_armed) = false;
    return 0;
}

void uv_close(uv_handle_t *handle, uv_close_cb cb)
{
    assert_null(cb);
    if ((uv_timer_t *)handle != timer)
        return;
    stub.armed = false;
    stub.closed++;
}

void stub_wait(void)
{
    assert_true(stub.armed);
    stub.armed = false;
    stub.now += stub.wait;
    timer_cb(timer);
    stub_turn();
}

void stub_answer_late(void)
{
    assert_true(stub.answer_wait > 0);
    stub.now += stub.answer_wait;
    stub.answer_wait = 0;
    answer_cb(answer_timer);
}

void stub_tunnels_due(void)
{
    assert_true(stub.tunnels_armed);
    stub.tunnels_armed = false;
    stub.now += stub.tunnels_wait;
    tunnels_cb(tunnels_timer);
    stub_turn();
}

/* ---- signals, the network, limits, TLS, the id ---- */

void signals_hold(void)
{
}

int signals_init(struct signals *s, struct loop *loop, mtime_ms drain_ms,
                 const struct signals_ops *ops, void *ctx)
{
    (void)loop;
    if (stub.signals_err)
        return stub.signals_err;
    s->drain_ms = drain_ms;
    signals_ops = ops;
    signals_ctx = ctx;
    stub.client = ctx;
    return 0;
}

bool signals_stop_asked(const struct signals *s)
{
    (void)s;
    return stub.stop_asked;
}

bool signals_stop(struct signals *s)
{
    (void)s;
    if (stub.stop_asked)
        return false;
    stub_sigterm();
    return true;
}

void signals_set_drain(struct signals *s, mtime_ms drain_ms)
{
    s->drain_ms = drain_ms;
}

double signals_drain_seconds(const struct signals *s)
{
    return (double)s->drain_ms / 1000;
}

void signals_fini(struct signals *s)
{
    (void)s;
    stub.closed++;
}

void stub_sigterm(void)
{
    bool is_first = !stub.stop_asked;
    stub.stop_asked = true;
    if (is_first)
        signals_ops->drain(signals_ctx);
    else
        signals_ops->end(signals_ctx);
    stub_turn();
}

void stub_sigusr1(void)
{
    signals_ops->status(signals_ctx);
}

void netwatch_start(struct netwatch *nw, struct loop *loop, void (*on_change)(void *ctx, bool woke),
                    void *ctx)
{
    (void)nw, (void)loop;
    network_cb = on_change;
    network_ctx = ctx;
}

void netwatch_stop(struct netwatch *nw)
{
    (void)nw;
    stub.closed++;
}

void stub_network_changed(bool woke)
{
    network_cb(network_ctx, woke);
    stub_turn();
}

uint64_t limits_raise(void)
{
    return 1000;
}

uint64_t limits_memory(int64_t asked)
{
    return (uint64_t)asked;
}

void pins_init(struct pins *p)
{
    (void)p;
}

bool pins_has(const struct pins *p, const uint8_t key[PIN_BYTES])
{
    (void)p, (void)key;
    return false;
}

int pins_add(struct pins *p, const uint8_t key[PIN_BYTES], struct errmsg *why)
{
    (void)p, (void)key, (void)why;
    return 0;
}

void pins_fini(struct pins *p)
{
    (void)p;
}

int sandbox_enter(const struct sandbox_config *cfg)
{
    (void)cfg;
    return 0;
}

int tls_library_check(struct errmsg *why)
{
    (void)why;
    return 0;
}

int tls_client_ctx_new(const char *ca_file, const char *alpn, SSL_CTX **ret, struct errmsg *why)
{
    (void)ca_file, (void)alpn, (void)why;
    *ret = NULL;
    return 0;
}

int tls_client_ctx_pinned(const struct tls_pin *pin, const char *alpn, SSL_CTX **ret,
                          struct errmsg *why)
{
    (void)pin, (void)alpn, (void)why;
    *ret = NULL;
    return 0;
}

X509 *tls_trusted_ca(SSL_CTX *ctx, unsigned i)
{
    (void)ctx, (void)i;
    return NULL;
}

void tls_fingerprint(X509 *cert, char ret[TLS_FINGERPRINT_MAX])
{
    (void)cert;
    strcpy(ret, "?");
}

int identity_of_visit(char ret[HELLO_ID_MAX + 1], const struct client_options *opt,
                      struct errmsg *why)
{
    (void)ret, (void)opt, (void)why;
    return ERR_IO; /* nobody visits here */
}

int identity_get(char ret[HELLO_ID_MAX + 1], const struct client_options *opt, struct errmsg *why)
{
    if (stub.identity_err)
        return errmsg_set(why, stub.identity_err, "no id");
    (void)strcpy(ret, *opt->id ? opt->id : "laptop");
    return 0;
}

/* ---- dials ---- */

int dial_start(struct loop *loop, const struct dial_config *cfg, dial_done_fn done, void *ctx,
               struct dial **ret)
{
    (void)loop;
    if (stub.dial_err)
        return stub.dial_err;
    struct dial *d = make(sizeof *d);
    d->cfg = *cfg;
    (void)snprintf(d->host, sizeof d->host, "%s", cfg->unix_path ? cfg->unix_path : cfg->host);
    if (cfg->n_extra > 0)
        d->extra = *cfg->extra;
    d->done = done;
    d->ctx = ctx;
    d->next = stub.dials;
    stub.dials = d;
    *ret = d;
    return 0;
}

void dial_hurry(struct dial *d, mtime_ms at)
{
    assert_false(d->is_over);
    d->hurried++;
    d->hurried_at = at;
}

void dial_cancel(struct dial *d)
{
    if (!d)
        return;
    assert_false(d->is_over);
    d->is_over = d->cancelled = true;
}

int dial_take_fd(struct dial_result *result)
{
    assert_int_equal(result->err, 0);
    return result->fd;
}

const char *dial_text(struct errmsg *out, const struct dial_result *result, const char *named)
{
    (void)named;
    (void)snprintf(out->text, sizeof out->text, "%s",
                   *stub.text ? stub.text : err_text(result->err));
    return out->text;
}

static void dial_is_over(struct dial *d, struct dial_result r)
{
    assert_false(d->is_over);
    d->is_over = true;
    d->done(d->ctx, &r);
    stub_turn();
}

void stub_connected(struct dial *d, uint8_t last)
{
    struct address at = {.family = ADDRESS_IPV4, .port = 7000, .ip = {192, 0, 2, last}};
    dial_is_over(d, (struct dial_result){.fd = 100 + last, .address = at, .connect_ms = 20});
}

void stub_dial_failed(struct dial *d, int err)
{
    dial_is_over(d, (struct dial_result){.err = err});
}

/* ---- openings ---- */

int opening_new(const struct opening_config *cfg, int fd, struct opening **ret)
{
    assert_true(fd >= 0);
    if (stub.opening_err)
        return stub.opening_err;
    struct opening *o = make(sizeof *o);
    o->cfg = *cfg;
    o->next = stub.openings;
    stub.openings = o;
    *ret = o;
    return 0;
}

void opening_close(struct opening *o)
{
    if (!o)
        return;
    assert_false(o->is_over);
    o->is_over = o->closed = true;
}

const char *opening_tls_info(const struct opening *o)
{
    (void)o;
    return "TLSv1.3 stub";
}

void stub_asks(struct opening *o, uint8_t nonce)
{
    uint8_t n[HELLO_NONCE_BYTES];
    memset(n, nonce, sizeof n);
    o->cfg.ops->on_secure(o->cfg.ctx);
    o->cfg.ops->on_open_sent(o->cfg.ctx, n);
}

static void answer_open(struct session *s, const struct wish *w)
{
    char line[HELLO_MAX];
    int port = w->wanted.port > 0 ? w->wanted.port : 4711;
    (void)snprintf(line, sizeof line,
                   "{\"op\":\"opened\",\"svc\":%u,\"address\":\"[::]:%d\",\"port\":%d}", w->svc,
                   port, port);
    assert_true(stub_line(s, line));
}

struct session *stub_accepted(struct opening *o)
{
    char message[CONTROL_MESSAGE_BUF];
    struct session *s = make(sizeof *s);
    assert_false(o->is_over);
    o->is_over = true;
    s->window_ms = 60000;
    s->at = (struct address){.family = ADDRESS_IPV4, .port = 7000, .ip = {192, 0, 2, 1}};
    s->next = stub.sessions;
    stub.sessions = s;
    s->has_services = !stub.is_old_server;
    control_success_message(message, "[::]:8080");
    if (s->has_services)
        o->cfg.ops->on_accepted(o->cfg.ctx, s, NULL);
    else
        o->cfg.ops->on_accepted(o->cfg.ctx, s, message);
    stub_turn();
    const struct tunnel *sole = tunnels_sole(stub.client);
    if (s->has_services && sole && !stub.is_mute)
        answer_open(s, &sole->wish);
    return s;
}

void stub_failed(struct opening *o, enum end_reason reason, const struct hello_answer *refusal)
{
    assert_false(o->is_over);
    o->is_over = true;
    o->cfg.ops->on_failed(o->cfg.ctx, reason, refusal, &(struct errmsg){""});
    stub_turn();
}

struct session *stub_up(uint8_t nonce)
{
    struct dial *d = stub_dial();
    if (!d)
        abort();
    stub_connected(d, 1);
    struct opening *o = stub_opening();
    if (!o)
        abort();
    stub_asks(o, nonce);
    return stub_accepted(o);
}

/* ---- sessions ---- */

void session_close(struct session *s, enum end_reason reason, const struct errmsg *why)
{
    (void)why;
    assert_false(s->is_over);
    if (!s->closed)
        s->reason = reason;
    s->closed = true;
}

void session_stop(struct session *s, mtime_ms drain_ms)
{
    assert_false(s->is_over);
    s->stops++;
    s->drain_ms = drain_ms;
    s->service = LIFE_DRAINING;
    if (s->streams == 0 || drain_ms == 0)
        session_close(s, END_DRAINED, NULL);
}

void session_dialled(struct session *s, int fd_or_err, mtime_ms connect_ms,
                     const struct errmsg *why)
{
    (void)connect_ms;
    s->dials_answered++;
    s->answer = fd_or_err;
    s->why = why ? *why : (struct errmsg){""};
}

void session_network_changed(struct session *s, bool woke)
{
    (void)woke;
    s->network_changes++;
}

void session_taken(struct session *s)
{
    s->taken++;
}

void stub_over(struct session *s, enum end_reason reason)
{
    assert_false(s->is_over);
    s->is_over = true;
    s->state = LIFE_OVER;
    s->ops->on_closed(s->ctx, reason, &(struct errmsg){""});
    stub_turn();
}

void stub_tell(struct session *s, struct life_action a)
{
    a.kind = LIFE_TELL;
    s->ops->on_tell(s->ctx, &a, &(struct errmsg){""});
    stub_turn();
}

void stub_beside(struct session *s)
{
    s->ops->on_open_beside(s->ctx);
    stub_turn();
}

void stub_stream_for(struct session *s, struct smux_stream *st, uint32_t svc)
{
    s->ops->on_stream(s->ctx, st, &(struct smux_open){.service = svc});
    stub_turn();
}

void stub_stream(struct session *s, struct smux_stream *st)
{
    const struct tunnel *sole = tunnels_sole(stub.client);
    stub_stream_for(s, st, s->has_services && sole ? sole->wish.svc : 0);
}

bool stub_line(struct session *s, const char *line)
{
    bool more = s->ops->on_line(s->ctx, (struct hello_text){line, strlen(line)});
    stub_turn();
    return more;
}

/* ---- relays and sockets ---- */

int relays_init(struct relays *rs, struct loop *loop, struct quota *quota)
{
    if (stub.relays_err)
        return stub.relays_err;
    rs->loop = loop;
    rs->quota = quota;
    return 0;
}

void relays_memory(struct relays *rs, uint64_t bytes, const struct tcp_memory *tcp)
{
    (void)tcp;
    (void)rs, (void)bytes;
}

void relays_fini(struct relays *rs)
{
    assert_int_equal(rs->count, 0);
    stub.closed++;
}

void relays_cut_orphans(struct relays *rs)
{
    for (struct relay *r = stub.relays; r; r = r->next)
        if (r->relays == rs && !r->is_reset)
            relay_reset(r, SMUX_RST_UNSPECIFIED);
}

void relay_count_at(struct relay *r, struct tally *t)
{
    r->tally = tally_take(t);
}

struct relay *relay_new(struct relays *rs, struct session *session, struct smux_stream *st)
{
    (void)session;
    if (stub.no_relay)
        return NULL;
    struct relay *r = make(sizeof *r);
    r->relays = rs;
    r->st = st;
    r->next = stub.relays;
    stub.relays = r;
    rs->count++;
    return r;
}

void relay_set_pending(struct relay *r, struct relay_pending *p)
{
    r->pending = p;
}

void relay_reset(struct relay *r, enum smux_reset_code code)
{
    struct relay_pending *p = r->pending;
    assert_false(r->is_reset);
    if (++depth > stub.deepest)
        stub.deepest = depth;
    r->is_reset = true;
    r->code = code;
    r->pending = NULL;
    emptied = --r->relays->count == 0;
    if (p)
        p->on_cancel(p);
    depth--;
}

void stub_relay_over(struct relay *r)
{
    assert_true(r->attached && !r->is_reset);
    r->is_reset = true;
    emptied = --r->relays->count == 0;
    stub_turn();
}

void relay_attach_dialled(struct relay *r, struct dial_result *dialled)
{
    assert_int_equal(dialled->err, 0);
    assert_null(r->pending);
    r->attached = true;
}

void smux_stream_reset(struct smux_stream *st, enum smux_reset_code code, mtime_ms now)
{
    assert_int_equal(now, stub.now);
    st->is_reset = true;
    st->code = code;
}

void __wrap_sock_abortive(int fd, bool on);
void __wrap_sock_abortive(int fd, bool on)
{
    (void)fd;
    stub.abortive += on;
}

void __wrap_sock_keepalive(int fd);
void __wrap_sock_keepalive(int fd)
{
    (void)fd;
    stub.kept++;
}

/* ---- what there is ---- */

#define NEWEST(type, head)                                                                         \
    for (struct type *it = (head); it; it = it->next)                                              \
        if (!it->is_over)                                                                          \
            return it;                                                                             \
    return NULL;

#define COUNT(type, head)                                                                          \
    unsigned n = 0;                                                                                \
    for (struct type *it = (head); it; it = it->next)                                              \
        n += !it->is_over;                                                                         \
    return n;

struct dial *stub_dial(void)
{
    NEWEST(dial, stub.dials)
}

struct opening *stub_opening(void)
{
    NEWEST(opening, stub.openings)
}

struct session *stub_session(void)
{
    NEWEST(session, stub.sessions)
}

unsigned stub_dials(void)
{
    COUNT(dial, stub.dials)
}

unsigned stub_openings(void)
{
    COUNT(opening, stub.openings)
}

unsigned stub_sessions(void)
{
    COUNT(session, stub.sessions)
}

/* ---- the program ---- */

int stub_run(const char *words, void (*run)(void))
{
    stub_reset();
    return stub_again(words, run);
}

int stub_again(const char *words, void (*run)(void))
{
    char copy[512] = "-server 192.0.2.1:7000 -secret " STUB_SECRET " ";
    char *argv[32];
    int argc = 0, rest;
    struct flags_error why;
    (void)strncat(copy, words, sizeof copy - strlen(copy) - 1);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    script = run;
    struct snapshot *options = snapshot_new(&client_mode);
    assert_non_null(options);
    assert_int_equal(flags_parse(&client_mode, argc, argv, snapshot_draft(options), &rest, &why),
                     FLAGS_OK);
    ((struct client_options *)snapshot_draft(options))->has_join = stub.has_join;
    assert_int_equal(snapshot_seal(options), 0);
    int status = client_main(options);
    snapshot_unref(options);
    return status;
}

/* ---- the service manager ---- */

void __wrap_notify_status(struct notify *n, const char *fmt, ...) PRINTF_LIKE(2, 3);
void __wrap_notify_status(struct notify *n, const char *fmt, ...)
{
    va_list args;
    (void)n;
    va_start(args, fmt);
    (void)vsnprintf(stub.status, sizeof stub.status, fmt, args);
    va_end(args);
}

int session_say(struct session *s, const char *line, size_t n)
{
    (void)s;
    assert_true(strlen(stub.said) + n < sizeof stub.said);
    (void)strncat(stub.said, line, n);
    return stub.say_err;
}

void session_line_is_useless(struct session *s)
{
    (void)s;
    stub.useless++;
}

const char *session_peer(const struct session *s)
{
    (void)s;
    return "192.0.2.1:2333";
}
