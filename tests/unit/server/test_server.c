/* SPDX-License-Identifier: MIT */
/* The server from its start to its end, without a network: workers, signals and certificates are
 * stubs, and while the loop would run a test says what happens. */
#include "server/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "app/activation.h"
#include "app/cli.h"
#include "app/limits.h"
#include "app/sandbox.h"
#include "app/secret.h"
#include "app/wire.h"
#include "kit.h"
#include "net/tls_ctx.h"
#include "server/banner.h"
#include "server/clients.h"
#include "timers.h"

static struct {
    struct server *srv;
    void (*script)(void);
    const struct signals_ops *ops;
    unsigned kept_known;                     /* how often */
    unsigned threads, descriptors, fails_at; /* the worker that cannot begin; 0: none */
    int wire_err, pki_err, tls_err, signals_err, cage_err, ctl_err;
    const struct ctl_ops *ctl_ops;
    void *ctl_ctx;
    enum pki_news news;
    X509 *cert, *in_use;
    unsigned tls_made;
    const struct gate_events *gate;
    void *gate_ctx;
    int gate_err;
    bool refuses; /* who comes may not pass */
    unsigned gate_max, proxy_gate_max;
    const struct proxy_gate_events *proxy_gate;
    void *proxy_gate_ctx;
    int proxy_gate_err;
    const struct server_guide *guide;
    void *guide_ctx;
} rig;

/* Certificates are told apart by their address alone. */
static char certs[2];
#define CERT(n) ((X509 *)(void *)&certs[n])

/* ---- stubs: app/, pki/, net/ ---- */

uint64_t limits_raise(void)
{
    return rig.descriptors;
}

unsigned limits_threads(int asked, uint64_t descriptors)
{
    (void)asked;
    (void)descriptors;
    return rig.threads;
}

uint64_t limits_memory(int64_t asked)
{
    (void)asked;
    return 999;
}

int wire_choose(const struct common_options *opt, const char **ret)
{
    (void)opt;
    *ret = "gotunnel/2";
    return rig.wire_err;
}

void wire_warn(const struct common_options *opt)
{
    (void)opt;
}

int cli_cannot_start(int err)
{
    kit_did("cannot-start:%s", err == ERR_LIMIT ? "limit" : err == ERR_NOMEM ? "memory" : "?");
    return EXIT_STATUS_FAILED;
}

int cli_failed(int err)
{
    (void)err;
    return EXIT_STATUS_FAILED;
}

int cli_hopeless(int status)
{
    return status;
}

int activation_take(int *ret, struct errmsg *why)
{
    (void)why;
    *ret = -1;
    return 0;
}

void sandbox_begin(int choice)
{
    (void)choice;
}

int sandbox_enter(const struct sandbox_config *cfg)
{
    assert_true(cfg->listens);
    kit_did("cage");
    return rig.cage_err;
}

int ctl_bind(struct ctl *c, const struct common_options *o)
{
    (void)c, (void)o;
    return rig.ctl_err;
}

void ctl_begin(struct ctl *c, struct loop *loop, const char *mode, struct signals *signals,
               const struct ctl_ops *ops, void *ctx)
{
    (void)c, (void)loop, (void)mode, (void)signals;
    rig.ctl_ops = ops;
    rig.ctl_ctx = ctx;
}

void ctl_close(struct ctl *c)
{
    assert_ptr_equal(c, &rig.srv->ctl);
}

void reload_cage(const struct snapshot *options, struct sandbox_config *cage)
{
    assert_ptr_equal(options, rig.srv->options);
    (void)cage;
}

void server_reload(struct server *srv, struct reload_result *ret)
{
    assert_ptr_equal(srv, rig.srv);
    (void)ret;
    kit_did("reload");
}

void reload_result_fini(struct reload_result *r)
{
    (void)r;
    kit_did("told");
}

void secret_warn(const struct common_options *o)
{
    (void)o;
}

void notify_init(struct notify *n)
{
    (void)n;
}

void notify_stopping(struct notify *n, mtime_ms stop_ms)
{
    (void)n;
    (void)stop_ms;
}

void notify_end(struct notify *n)
{
    (void)n;
}

void notify_fini(struct notify *n)
{
    (void)n;
}

void watchdog_begin(struct server *srv)
{
    (void)srv;
}

int signals_init(struct signals *s, struct loop *loop, mtime_ms drain_ms,
                 const struct signals_ops *ops, void *ctx)
{
    (void)s;
    (void)loop;
    assert_int_equal(drain_ms, 30000);
    rig.ops = ops;
    rig.srv = ctx;
    return rig.signals_err;
}

double signals_drain_seconds(const struct signals *s)
{
    (void)s;
    return 30;
}

void signals_fini(struct signals *s)
{
    (void)s;
    kit_did("signals-fini");
}

int pki_open(const char *dir, time_t now, struct pki_identity **ret, enum pki_outcome *ret_outcome,
             struct errmsg *why)
{
    (void)dir;
    (void)now;
    *ret = NULL;
    *ret_outcome = PKI_LOADED;
    return rig.pki_err ? errmsg_set(why, rig.pki_err, "%s", "no certificates") : 0;
}

int pki_check_place(const char *dir, bool may_doubt, struct errmsg *why)
{
    (void)dir;
    (void)may_doubt;
    why->text[0] = '\0';
    return 0;
}

X509 *pki_ca(const struct pki_identity *id)
{
    (void)id;
    return NULL;
}

void tls_fingerprint(X509 *cert, char ret[TLS_FINGERPRINT_MAX])
{
    (void)cert;
    *ret = '\0';
}

X509 *pki_cert(const struct pki_identity *id)
{
    (void)id;
    return rig.cert;
}

EVP_PKEY *pki_key(const struct pki_identity *id)
{
    (void)id;
    return NULL;
}

enum pki_news pki_keep(struct pki_identity *id, time_t now, struct errmsg *why)
{
    (void)id;
    (void)now;
    if (rig.news != PKI_NEWS_NONE)
        errmsg_set(why, ERR_IO, "%s", "why");
    return rig.news;
}

void pki_free(struct pki_identity *id)
{
    (void)id;
    kit_did("pki-free");
}

int tls_library_check(struct errmsg *why)
{
    (void)why;
    return 0;
}

int tls_server_ctx_new(X509 *cert, EVP_PKEY *key, X509 *ca, const char *alpn, SSL_CTX **ret,
                       struct errmsg *why)
{
    (void)key, (void)ca;
    assert_string_equal(alpn, "gotunnel/2");
    if (rig.tls_err)
        return errmsg_set(why, rig.tls_err, "%s", "no TLS");
    *ret = SSL_CTX_new(TLS_method());
    rig.in_use = cert;
    rig.tls_made++;
    return 0;
}

X509 *__wrap_SSL_CTX_get0_certificate(const SSL_CTX *ctx);
X509 *__wrap_SSL_CTX_get0_certificate(const SSL_CTX *ctx)
{
    (void)ctx;
    return rig.in_use;
}

void loop_run(struct loop *l)
{
    assert_ptr_equal(l, &rig.srv->loop);
    kit_did("loop-run");
    if (rig.script)
        rig.script();
}

/* ---- stubs: server/ ---- */

int worker_start(struct worker *w, struct server *srv, unsigned index, struct loop *loop,
                 struct errmsg *why)
{
    if (index + 1 == rig.fails_at)
        return errmsg_set(why, ERR_LIMIT, "%s", "no thread");
    assert_ptr_equal(loop, rig.threads > 1 ? NULL : &srv->loop);
    *w = (struct worker){.srv = srv, .index = index};
    kit.workers = srv->workers;
    kit.workers_count = index + 1;
    return 0;
}

void worker_fini(struct worker *w)
{
    kit_did("worker-fini:%u", w->index + 1);
}

int reception_init(struct server *srv)
{
    (void)srv;
    return 0;
}

void server_client(void *srv, const char *name, struct ctl_answer *a)
{
    (void)srv, (void)name, (void)a;
    fail();
}

void server_clients(void *srv, struct ctl_answer *a)
{
    (void)srv, (void)a;
    fail();
}

unsigned keys_use(struct server *srv, struct credentials *t, struct keys_ending *e)
{
    assert_null(e);
    (void)srv;
    kit_did("keys:%d", (int)credentials_count(t));
    credentials_unref(t);
    return 0;
}

void reception_fini(struct server *srv)
{
    (void)srv;
}

void reception_accept(struct server *srv, int fd, const struct sockaddr *peer, mtime_ms waited_ms)
{
    (void)srv;
    (void)peer;
    (void)waited_ms;
    kit_did("accept:%d", fd);
}

bool reception_knows(struct server *srv, const struct sockaddr *peer)
{
    (void)srv;
    (void)peer;
    return false;
}

bool reception_may_pass(struct server *srv, const struct sockaddr *peer)
{
    assert_ptr_equal(srv, rig.srv);
    (void)peer;
    return !rig.refuses;
}

mtime_ms reception_room_at(struct server *srv, const char *source)
{
    assert_ptr_equal(srv, rig.srv);
    (void)source;
    return 0;
}

void reception_keep_known(struct server *srv)
{
    assert_ptr_equal(srv, rig.srv);
    rig.kept_known++;
}

void reception_gone(struct server *srv, enum gate_end why, const struct sockaddr *peer)
{
    (void)srv;
    (void)peer;
    kit_did("gone:%d", (int)why);
}

int gate_open(struct loop *loop, const struct gate_config *cfg, const struct gate_events *ev,
              void *ctx, struct gate **ret)
{
    (void)loop;
    assert_true(cfg->max > 0 && cfg->patience_ms == OPENING_AUTH_MS);
    rig.gate_max = cfg->max;
    rig.gate = ev;
    rig.gate_ctx = ctx;
    *ret = rig.gate_err ? NULL : (struct gate *)(void *)&rig;
    return rig.gate_err;
}

void gate_look_again(struct gate *g)
{
    (void)g;
}

void gate_limit(struct gate *g, const struct gate_config *cfg)
{
    assert_non_null(g);
    rig.gate_max = cfg->max;
}

/* Whoever comes has sent a whole ClientHello. */
void gate_enter(struct gate *g, int fd, const struct sockaddr *peer)
{
    assert_non_null(g);
    if (rig.gate->may_pass(rig.gate_ctx, peer))
        rig.gate->on_pass(rig.gate_ctx, fd, peer, 0);
    else
        rig.gate->on_end(rig.gate_ctx, GATE_REFUSED, peer);
}

void gate_close(struct gate *g)
{
    (void)g;
}

bool reception_is_proxy(const struct server *srv, const struct sockaddr *peer)
{
    return srv == rig.srv && !peer; /* the test's balancer */
}

void reception_not_proxied(struct server *srv, enum proxy_gate_end why,
                           const struct sockaddr *balancer)
{
    (void)srv;
    (void)balancer;
    kit_did("not-proxied:%d", (int)why);
}

int proxy_gate_open(struct loop *loop, const struct proxy_gate_config *cfg,
                    const struct proxy_gate_events *ev, void *ctx, struct proxy_gate **ret)
{
    (void)loop;
    assert_int_equal(cfg->patience_ms, 3000);
    rig.proxy_gate_max = cfg->max;
    rig.proxy_gate = ev;
    rig.proxy_gate_ctx = ctx;
    *ret = rig.proxy_gate_err ? NULL : (struct proxy_gate *)(void *)&rig.proxy_gate;
    return rig.proxy_gate_err;
}

/* Whoever comes has sent a header. */
void proxy_gate_enter(struct proxy_gate *g, int fd, const struct sockaddr *balancer)
{
    assert_non_null(g);
    kit_did("header");
    rig.proxy_gate->on_pass(rig.proxy_gate_ctx, fd, balancer);
}

void proxy_gate_close(struct proxy_gate *g)
{
    if (g)
        kit_did("proxy-gate-close");
}

void owners_init(struct server *srv)
{
    (void)srv;
}

void owners_fini(struct server *srv)
{
    (void)srv;
}

void banner_print(const struct server *srv)
{
    (void)srv;
    kit_did("banner");
}

/* ---- the bench ---- */

static int setup(void **state)
{
    (void)kit_setup(state);
    memset(&rig, 0, sizeof rig);
    rig.threads = 1;
    rig.descriptors = 100;
    rig.cert = CERT(0);
    kit.opt.listen = ":7000";
    kit.opt.clients = "";
    kit.opt.public_bind = kit.opt.certs = kit.opt.common.secret_file = kit.opt.common.config = "";
    kit.opt.common.control = kit.opt.common.notify = "";
    return 0;
}

static int serve(void (*script)(void))
{
    struct snapshot *options = snapshot_new(&server_mode);
    assert_non_null(options);
    memcpy(snapshot_draft(options), &kit.opt, sizeof kit.opt);
    assert_int_equal(snapshot_seal(options), 0);
    rig.script = script;
    int status = server_main(options, rig.guide, rig.guide_ctx);
    snapshot_unref(options);
    return status;
}

/* The last words of a server that has ended: what is open, closes. */
static const char one_ends[] = ">end ";
static const char all_gone[] = "mailbox-close timer-close signals-fini ";

/* ---- the start ---- */

static void script_ready(void)
{
    struct listener *l = &kit.listener;
    KIT_DID("loop mailbox listen:7000 cage banner loop-run ");
    assert_int_equal(l->cfg.defer_accept_s, 5);
    assert_int_equal(l->cfg.batch,
                     4); /* no more accepts a turn: a flood stops nobody who is served */
    assert_false(l->cfg.for_users);
    assert_int_equal(rig.srv->account.own, ACCOUNT_OWN_MIN); /* one loop */
    assert_int_equal(quota_max(&rig.srv->connections), account_users(&rig.srv->account, 0));
    assert_int_equal(rig.srv->memory, 999);
    assert_int_equal(kit_count("server mode: the tunnel listens on [::]:8080"), 1);
    l->ev->on_accept(l->ctx, 50, NULL);
    KIT_DID("accept:50 ");
    rig.refuses = true;
    l->ev->on_accept(l->ctx, 51, NULL);
    KIT_DID("gone:4 "); /* GATE_REFUSED */
    rig.ops->reload(rig.srv);
    KIT_DID("reload told ");
    struct reload_result result;
    rig.ctl_ops->reload(rig.ctl_ctx, &result); /* who asked tells it */
    KIT_DID("reload ");
    assert_int_equal(rig.ctl_ops->connections(rig.ctl_ctx), 0);
    l->ev->on_pause(l->ctx, ERR_LIMIT);
    assert_int_equal(kit_count("accepting TLS connections failed: "), 1);
    rig.ops->end(rig.srv);
    KIT_DID("unlisten >end ");
    server_worker_gone(rig.srv);
    KIT_DID(all_gone);
}

static void it_starts_serves_and_ends(void **state)
{
    (void)state;
    assert_int_equal(serve(script_ready), EXIT_STATUS_OK);
    KIT_DID("loop-fini worker-fini:1 mailbox-fini pki-free ");
}

/* Before anybody can come. */
static void script_clients(void)
{
    KIT_DID("loop mailbox listen:7000 keys:0 cage banner loop-run ");
    rig.ops->end(rig.srv);
    server_worker_gone(rig.srv);
}

static void script_no_clients(void)
{
    KIT_DID(
        "unlisten >end mailbox-close timer-close signals-fini loop-fini worker-fini:1 mailbox-fini "
        "pki-free loop mailbox listen:7000 unlisten mailbox-close timer-close signals-fini "
        "loop-run ");
}

static void it_knows_its_clients(void **state)
{
    (void)state;
    char folder[] = "/tmp/gotunnel-server-XXXXXX";
    assert_non_null(mkdtemp(folder));
    kit.opt.clients = folder;
    assert_int_equal(serve(script_clients), EXIT_STATUS_OK);
    assert_int_equal(kit_count("clients with a key in "), 1);
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(serve(script_no_clients), EXIT_STATUS_FAILED);
    assert_int_equal(kit_count("cannot load the clients: "), 1);
}

static void guide_identity(void *ctx, const char *fingerprint, bool is_new)
{
    (void)ctx, (void)fingerprint;
    kit_did(is_new ? "guide-ca-new" : "guide-ca");
}

static int guide_listening(void *ctx, const char *address, int port)
{
    assert_string_equal(address, "[::]:8080");
    kit_did("guide-listening:%d", port);
    return *(const int *)ctx;
}

static void guide_ready(void *ctx)
{
    (void)ctx;
    kit_did("guide-ready");
}

static void script_guided(void)
{
    KIT_DID("guide-ca loop mailbox listen:7000 guide-listening:8080 cage guide-ready loop-run ");
    rig.ops->end(rig.srv);
    server_worker_gone(rig.srv);
}

/* Where the guide fails nothing is caged, and nobody is served. */
static void script_misguided(void)
{
    KIT_DID(
        "unlisten >end mailbox-close timer-close signals-fini loop-fini worker-fini:1 mailbox-fini "
        "pki-free guide-ca loop mailbox listen:7000 guide-listening:8080 unlisten mailbox-close "
        "timer-close signals-fini loop-run ");
}

static void a_guide_is_told_in_order(void **state)
{
    (void)state;
    int err = 0;
    rig.guide = &(const struct server_guide){guide_identity, guide_listening, guide_ready};
    rig.guide_ctx = &err;
    assert_int_equal(serve(script_guided), EXIT_STATUS_OK);
    err = ERR_IO;
    assert_int_equal(serve(script_misguided), EXIT_STATUS_FAILED);
}

static void script_balancers(void)
{
    static const struct sockaddr other = {.sa_family = AF_INET};
    struct listener *l = &kit.listener;
    KIT_DID("loop mailbox listen:7000 cage banner loop-run ");
    assert_int_equal(rig.gate_max, 48); /* of 64 */
    assert_int_equal(rig.proxy_gate_max, 16);
    l->ev->on_accept(l->ctx, 50, NULL);
    KIT_DID("header accept:50 ");
    l->ev->on_accept(l->ctx, 51, &other);
    KIT_DID("accept:51 ");
    kit.opt.trusted_proxy.count = 0; /* from a reload on */
    rig.srv->opt = &kit.opt;
    server_limit_gates(rig.srv);
    assert_int_equal(rig.gate_max, 64);
    kit.opt.trusted_proxy.count = 1;
    server_limit_gates(rig.srv);
    assert_int_equal(rig.gate_max, 48);
    rig.proxy_gate->on_end(rig.proxy_gate_ctx, PROXY_GATE_LATE, NULL);
    KIT_DID("not-proxied:2 ");
    rig.ops->end(rig.srv);
    KIT_DID("unlisten proxy-gate-close >end ");
    server_worker_gone(rig.srv);
    KIT_DID(all_gone);
}

static void balancers_go_through_a_gate_of_their_own(void **state)
{
    (void)state;
    rig.descriptors = 1024;
    kit.opt.trusted_proxy.count = 1;
    assert_int_equal(serve(script_balancers), EXIT_STATUS_OK);
    KIT_DID("loop-fini worker-fini:1 mailbox-fini pki-free ");
}

static void script_three(void)
{
    KIT_DID("loop mailbox listen:7000 cage banner loop-run ");
    assert_int_equal(rig.srv->memory, 333);
    assert_int_equal(rig.srv->account.own, ACCOUNT_OWN_MIN + 3 * ACCOUNT_LOOP);
    rig.ops->end(rig.srv);
    KIT_DID("unlisten 1>end 2>end 3>end ");
    rig.ops->end(rig.srv); /* once */
    server_worker_gone(rig.srv);
    server_worker_gone(rig.srv);
    KIT_DID("");
    server_worker_gone(rig.srv);
    KIT_DID(all_gone);
}

static void several_workers_share_what_there_is(void **state)
{
    (void)state;
    rig.threads = 3;
    assert_int_equal(serve(script_three), EXIT_STATUS_OK);
    KIT_DID("loop-fini worker-fini:1 worker-fini:2 worker-fini:3 mailbox-fini pki-free ");
}

/* What begins before the loop fails without one. */
static void what_cannot_start_says_why(void **state)
{
    (void)state;
    kit.opt.public_bind = "example.org";
    assert_int_equal(serve(NULL), EXIT_STATUS_USAGE);
    assert_int_equal(kit_count("-public-bind 'example.org': "), 1);
    kit.opt.public_bind = "";
    rig.wire_err = ERR_INVAL;
    assert_int_equal(serve(NULL), EXIT_STATUS_USAGE);
    rig.wire_err = 0;
    rig.pki_err = ERR_IO;
    assert_int_equal(serve(NULL), EXIT_STATUS_FAILED);
    assert_int_equal(kit_count("cannot set up TLS: no certificates"), 1);
    KIT_DID("pki-free pki-free pki-free ");
}

static void what_was_made_is_undone(void **state)
{
    static const char *const did[] = {
        "cannot-start:limit pki-free ",
        "loop cannot-start:memory pki-free ",
        "loop mailbox loop-fini cannot-start:? pki-free ",
        "loop mailbox mailbox-close loop-fini cannot-start:? pki-free ",
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(did); i++) {
        rig.descriptors = i == 0 ? 0 : 100;
        kit.loop_err = i == 1 ? ERR_NOMEM : 0;
        kit.mailbox_err = i == 2 ? ERR_IO : 0;
        rig.signals_err = i == 3 ? ERR_IO : 0;
        assert_int_equal(serve(NULL), EXIT_STATUS_FAILED);
        KIT_DID(did[i]);
    }
}

static void script_no_port(void)
{
    KIT_DID("loop mailbox listen:7000 mailbox-close timer-close signals-fini loop-run ");
}

static void a_port_that_cannot_be_had(void **state)
{
    (void)state;
    kit.listen_err = ERR_INUSE;
    assert_int_equal(serve(script_no_port), EXIT_STATUS_FAILED);
    assert_int_equal(kit_count("cannot listen on TLS address :7000: stub"), 1);
    KIT_DID("loop-fini mailbox-fini pki-free ");
}

static void script_no_cage(void)
{
    KIT_DID("loop mailbox listen:7000 cage unlisten mailbox-close timer-close signals-fini "
            "loop-run ");
}

static void nobody_is_served_without_the_cage(void **state)
{
    (void)state;
    rig.cage_err = ERR_PERM;
    assert_int_equal(serve(script_no_cage), EXIT_STATUS_FAILED);
    KIT_DID("loop-fini mailbox-fini pki-free ");
}

static void script_one_of_two(void)
{
    KIT_DID("loop mailbox listen:7000 cage unlisten >end loop-run ");
    server_worker_gone(rig.srv);
    KIT_DID(all_gone);
}

/* Those that run are ended, and the port is closed. */
static void a_worker_that_cannot_begin(void **state)
{
    (void)state;
    rig.threads = 2;
    rig.fails_at = 2;
    assert_int_equal(serve(script_one_of_two), EXIT_STATUS_FAILED);
    assert_int_equal(kit_count("cannot start worker 2 of 2: no thread"), 1);
    KIT_DID("loop-fini worker-fini:1 mailbox-fini pki-free ");
    rig.threads = 1;
    rig.fails_at = 1; /* none runs */
    assert_int_equal(serve(NULL), EXIT_STATUS_FAILED);
    KIT_DID("loop mailbox listen:7000 cage unlisten mailbox-close timer-close signals-fini "
            "loop-run loop-fini mailbox-fini pki-free ");
}

static void script_bound(void)
{
    assert_string_equal(rig.srv->public_host, "192.0.2.200");
    assert_string_equal(kit.other.cfg.host, "192.0.2.200");
    assert_true(kit.other.closed); /* it was only tried */
    assert_false(kit.listener.closed);
    rig.ops->end(rig.srv);
    server_worker_gone(rig.srv);
}

static void where_public_ports_are_is_tried(void **state)
{
    (void)state;
    kit.opt.public_bind = "192.0.2.200";
    assert_int_equal(serve(script_bound), EXIT_STATUS_OK);
}

/* ---- the orderly end ---- */

/* Everything answers before the next step. */
static void script_idle_drain(void)
{
    *kit.did = *kit.lines = '\0';
    server_session_gone(rig.srv); /* as every day */
    KIT_DID("");
    rig.ops->drain(rig.srv);
    KIT_DID("unlisten 1>stop_listening 2>stop_listening ");
    server_worker_stopped(rig.srv);
    server_worker_empty(rig.srv);
    KIT_DID("");
    server_worker_stopped(rig.srv);
    KIT_LINES("stopping\n");
    KIT_DID("1>end 2>end ");
    rig.ops->drain(rig.srv); /* too late */
    KIT_DID("");
    server_worker_gone(rig.srv);
    server_worker_gone(rig.srv);
    KIT_DID(all_gone);
}

static void an_idle_server_ends_when_all_have_stopped(void **state)
{
    (void)state;
    rig.threads = 2;
    assert_int_equal(serve(script_idle_drain), EXIT_STATUS_OK);
}

static void script_busy_drain(void)
{
    struct server *srv = rig.srv;
    *kit.did = *kit.lines = '\0';
    quota_take(&srv->connections);
    srv->workers[0].sessions = 1;
    rig.ops->drain(srv);
    server_worker_stopped(srv);
    KIT_LINES("stopping: 1 connection may finish, for up to 30 s; a second signal ends now\n");
    KIT_DID("unlisten >stop_listening ");
    server_worker_empty(srv);
    KIT_DID(""); /* another one is there */
    (void)quota_give(&srv->connections);
    server_worker_empty(srv);
    KIT_DID(""); /* what its session says last may be on the way */
    srv->workers[0].sessions = 0;
    server_session_gone(srv);
    KIT_DID(one_ends);
    server_worker_gone(srv);
}

static void connections_may_finish(void **state)
{
    (void)state;
    assert_int_equal(serve(script_busy_drain), EXIT_STATUS_OK);
}

/* A connection that was received whole delivers what it has after its session is over. */
static void script_last_bytes(void)
{
    struct server *srv = rig.srv;
    quota_take(&srv->connections);
    rig.ops->drain(srv);
    server_worker_stopped(srv);
    *kit.did = '\0';
    server_session_gone(srv);
    KIT_DID("");
    (void)quota_give(&srv->connections);
    server_worker_empty(srv);
    KIT_DID(one_ends);
    server_worker_gone(srv);
}

static void the_last_bytes_are_delivered(void **state)
{
    (void)state;
    assert_int_equal(serve(script_last_bytes), EXIT_STATUS_OK);
}

static void script_second_signal(void)
{
    struct server *srv = rig.srv;
    quota_take(&srv->connections);
    rig.ops->drain(srv);
    *kit.did = *kit.lines = '\0';
    rig.ops->end(srv); /* before the worker has stopped */
    KIT_DID(one_ends);
    server_worker_stopped(srv); /* it says so all the same */
    KIT_LINES("");
    KIT_DID("");
    server_worker_gone(srv);
    KIT_DID(all_gone);
}

static void a_second_signal_ends_now(void **state)
{
    (void)state;
    assert_int_equal(serve(script_second_signal), EXIT_STATUS_OK);
}

/* ---- status ---- */

static void script_status(void)
{
    struct server *srv = rig.srv;
    *kit.did = *kit.lines = '\0';
    srv->workers[0].trusted = 2;
    srv->workers[1].trusted = 1;
    quota_take(&srv->connections);
    for (int i = 0; i < 2; i++) {
        srv->workers[i].received = 3000000000;
        srv->workers[i].sent = 100 + i;
    }
    rig.ops->status(srv);
    KIT_DID("1>status 2>status ");
    rig.ops->status(srv); /* it is under way */
    KIT_DID("");
    server_worker_told(srv);
    KIT_LINES(""); /* the totals are below the lines of all */
    server_worker_told(srv);
    KIT_LINES(
        "status: 3 sessions, connections: 1 of at most 45, 6000000000 B received, 201 B sent\n");
    rig.ops->status(srv);
    KIT_DID("1>status 2>status ");
    rig.ops->end(srv);
    *kit.did = '\0';
    server_worker_told(srv);
    server_worker_told(srv);
    rig.ops->status(srv);
    KIT_DID(""); /* nobody would answer */
    server_worker_gone(srv);
    server_worker_gone(srv);
}

static void status_is_told_below_its_lines(void **state)
{
    (void)state;
    rig.threads = 2;
    assert_int_equal(serve(script_status), EXIT_STATUS_OK);
}

/* ---- certificates ---- */

static void script_renewed(void)
{
    struct server *srv = rig.srv;
    SSL_CTX *first = srv->tls;
    struct listener *l = &kit.listener;
    *kit.lines = '\0';
    l->ev->on_accept(l->ctx, 50, NULL);
    assert_ptr_equal(srv->tls, first);
    rig.cert = CERT(1);
    rig.tls_err = ERR_TLS;
    l->ev->on_accept(l->ctx, 50, NULL); /* with the old one */
    KIT_LINES("the server certificate cannot be renewed: no TLS\n");
    assert_ptr_equal(srv->tls, first);
    rig.tls_err = 0;
    l->ev->on_accept(l->ctx, 50, NULL);
    KIT_LINES("the server certificate was renewed.\n");
    assert_int_equal(rig.tls_made, 2);
    l->ev->on_accept(l->ctx, 50, NULL);
    KIT_LINES("");
    rig.cert = CERT(0);
    assert_int_equal(timer_due(&srv->renewal), kit.now + 3600000);
    assert_int_equal(timer_repeat(&srv->renewal), 3600000);
    timer_ring(&srv->renewal); /* nobody connects for an hour */
    assert_int_equal(rig.kept_known, 1);
    KIT_LINES("the server certificate was renewed.\n");
    assert_int_equal(rig.tls_made, 3);
    rig.ops->end(srv);
    server_worker_gone(srv);
}

static void the_next_connection_has_the_new_certificate(void **state)
{
    (void)state;
    assert_int_equal(serve(script_renewed), EXIT_STATUS_OK);
}

static void script_news(void)
{
    static const struct {
        enum pki_news news;
        const char *lines;
    } cases[] = {
        {PKI_NEWS_NONE, ""},
        {PKI_NEWS_RENEWED, "why\n"},
        {PKI_NEWS_FAILED, "the server certificate cannot be renewed: why\n"},
        {PKI_NEWS_CA, "no client can connect: why\n"},
        {PKI_NEWS_VALID, "the CA certificate is valid again\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        *kit.lines = '\0';
        rig.news = cases[i].news;
        timer_ring(&rig.srv->renewal);
        KIT_LINES(cases[i].lines);
    }
    rig.ops->end(rig.srv);
    server_worker_gone(rig.srv);
}

static void news_of_certificates_are_told(void **state)
{
    (void)state;
    assert_int_equal(serve(script_news), EXIT_STATUS_OK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(it_starts_serves_and_ends),
        T(it_knows_its_clients),
        T(a_guide_is_told_in_order),
        T(balancers_go_through_a_gate_of_their_own),
        T(several_workers_share_what_there_is),
        T(what_cannot_start_says_why),
        T(what_was_made_is_undone),
        T(a_port_that_cannot_be_had),
        T(nobody_is_served_without_the_cage),
        T(a_worker_that_cannot_begin),
        T(where_public_ports_are_is_tried),
        T(an_idle_server_ends_when_all_have_stopped),
        T(connections_may_finish),
        T(the_last_bytes_are_delivered),
        T(a_second_signal_ends_now),
        T(status_is_told_below_its_lines),
        T(the_next_connection_has_the_new_certificate),
        T(news_of_certificates_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
