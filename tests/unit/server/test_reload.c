/* SPDX-License-Identifier: MIT */
/* What a reload changes at the server: app/reload is a stub that goes through the parts, one after the other. */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"
#include "net/tls_ctx.h"
#include "server/clients.h"

static struct {
    struct snapshot *next; /* what the file says */
    int prepared;          /* by the last reload_run() */
    int pki_err, tls_err, gate_err, clients_err;
    struct credentials *clients; /* what their folder has; NULL: there is none */
    unsigned revoked;            /* sessions that their table ends */
    bool refused;
    mtime_ms drain_ms;
    X509 *cert, *other;
    bool renews, renewed;
    char why[256];
} rig;

/* ---- stubs ---- */

void reload_refuse(struct reload_result *ret, const char *why)
{
    (void)ret, (void)why;
    rig.refused = true;
}

void reload_tell(const struct reload_result *r)
{
    (void)r;
    kit_did("told");
}

bool reload_run(struct snapshot *options, const struct reload_part *parts, unsigned count,
                void *ctx, struct reload_result *ret)
{
    struct reload_plan plan = {.was = options, .is = rig.next ? rig.next : options};
    struct errmsg why = {""};
    ret->changed_count = 0;
    plan.diff = options_diff(&server_mode, snapshot_common(plan.was), snapshot_common(plan.is));
    snapshot_ref(options);
    for (unsigned i = 0; i < count; i++) {
        rig.prepared = parts[i].prepare(ctx, &plan, &why);
        if (rig.prepared == 0)
            continue;
        (void)snprintf(rig.why, sizeof rig.why, "%s", why.text);
        while (i-- > 0)
            if (parts[i].drop)
                parts[i].drop(ctx);
        snapshot_unref(options);
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        if (parts[i].apply(ctx, &plan))
            kit_did("changed:%s", parts[i].name);
    snapshot_unref(options);
    return true;
}

int server_open_proxy_gate(struct server *srv, struct proxy_gate **ret)
{
    assert_ptr_equal(srv, &kit.srv);
    *ret = (struct proxy_gate *)(void *)&rig;
    kit_did("proxy-gate");
    return rig.gate_err;
}

void proxy_gate_close(struct proxy_gate *g)
{
    if (g)
        kit_did("proxy-gate-close");
}

void server_limit_gates(struct server *srv)
{
    kit_did("gates:%d", srv->opt->handshakes.all);
}

void signals_set_drain(struct signals *s, mtime_ms drain_ms)
{
    assert_ptr_equal(s, &kit.srv.signals);
    rig.drain_ms = drain_ms;
}

X509 *pki_cert(const struct pki_identity *id)
{
    (void)id;
    return rig.renewed ? rig.other : rig.cert;
}

X509 *pki_ca(const struct pki_identity *id)
{
    (void)id;
    return NULL;
}

EVP_PKEY *pki_key(const struct pki_identity *id)
{
    (void)id;
    return NULL;
}

int pki_renew(struct pki_identity *id, time_t now, struct errmsg *why)
{
    (void)id, (void)now;
    rig.renewed |= rig.renews && !rig.pki_err;
    return rig.pki_err ? errmsg_set(why, rig.pki_err, "no certificates") : 0;
}

int tls_server_ctx_new(X509 *cert, EVP_PKEY *key, X509 *ca, const char *alpn, SSL_CTX **ret,
                       struct errmsg *why)
{
    (void)ca;
    (void)key, (void)alpn, (void)why;
    assert_ptr_equal(cert, pki_cert(NULL));
    *ret = rig.tls_err ? NULL : SSL_CTX_new(TLS_method());
    return rig.tls_err;
}

bool clients_place(const struct server_options *opt, char ret[PATH_MAX])
{
    (void)opt, (void)ret;
    return rig.clients;
}

int clients_take(const struct server_options *opt, const struct credentials *former,
                 struct credentials **ret)
{
    (void)opt;
    assert_ptr_equal(former, kit.srv.keys);
    if (rig.clients_err == 0)
        *ret = rig.clients;
    return rig.clients_err;
}

unsigned keys_use(struct server *srv, struct credentials *t, struct keys_ending *e)
{
    assert_null(e);
    assert_ptr_equal(srv, &kit.srv);
    assert_ptr_equal(t, rig.clients);
    kit_did("keys");
    return rig.revoked;
}

/* ---- the bench ---- */

/* With so many handshakes a second, by which the test knows them, and a secret that is long enough. */
static struct snapshot *options_with(int rate, int legacy, unsigned proxies)
{
    struct snapshot *s = snapshot_new(&server_mode);
    struct server_options *draft = snapshot_draft(s);
    draft->handshakes.all = rate;
    draft->common.legacy = legacy;
    draft->trusted_proxy.count = proxies;
    (void)snprintf(draft->common.secret, sizeof draft->common.secret, "%s",
                   rate == 1 ? "short" : "long-enough-a-secret");
    assert_int_equal(snapshot_seal(s), 0);
    return s;
}

static void next_is(struct snapshot *s)
{
    snapshot_unref(rig.next);
    rig.next = s;
}

static X509 *certificate(long serial)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    X509 *cert = X509_new();
    assert_true(key && cert && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_true(X509_set_pubkey(cert, key) && X509_sign(cert, key, NULL));
    EVP_PKEY_free(key);
    return cert;
}

static int setup(void **state)
{
    (void)kit_setup(state);
    memset(&rig, 0, sizeof rig);
    rig.cert = certificate(1);
    rig.other = certificate(2);
    kit.srv.workers = &kit.worker;
    kit.srv.workers_count = 1;
    kit.srv.options = options_with(100, LEGACY_ALLOW, 0);
    kit.srv.opt = snapshot_server(kit.srv.options);
    kit.srv.tls = SSL_CTX_new(TLS_method());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snapshot_unref(kit.worker.next_options);
    next_is(NULL);
    snapshot_unref(kit.srv.options);
    SSL_CTX_free(kit.srv.tls);
    X509_free(rig.cert);
    X509_free(rig.other);
    return 0;
}

static void reload(void)
{
    struct reload_result result;
    server_reload(&kit.srv, &result);
}

/* As the worker does it. */
static int worker_takes(void)
{
    int rate = snapshot_server(kit.worker.next_options)->handshakes.all;
    snapshot_unref(kit.worker.next_options);
    kit.worker.next_options = NULL;
    return rate;
}

/* ---- the options ---- */

static void everybody_gets_them(void **state)
{
    SSL_CTX *was = kit.srv.tls;
    (void)state;
    next_is(options_with(70, LEGACY_ALLOW, 0));
    reload();
    KIT_DID("gates:70 >use_options told ");
    assert_int_equal(kit.srv.opt->handshakes.all, 70);
    assert_int_equal(rig.drain_ms, 30000);
    assert_ptr_not_equal(kit.srv.tls, was); /* read anew, and the same */
    assert_int_equal(worker_takes(), 70);
    server_worker_uses_options(&kit.worker);
    KIT_DID("");
    assert_false(kit.worker.takes_options);
}

/* A worker that is slow has one message on its way, whose place is the worker itself; then the newest. */
static void a_slow_worker_gets_the_newest(void **state)
{
    (void)state;
    for (int rate = 70; rate < 73; rate++) {
        next_is(options_with(rate, LEGACY_ALLOW, 0));
        reload();
    }
    KIT_DID("gates:70 >use_options told gates:71 told gates:72 told ");
    assert_int_equal(worker_takes(), 70);
    server_worker_uses_options(&kit.worker);
    KIT_DID(">use_options ");
    assert_int_equal(worker_takes(), 72);
    server_worker_uses_options(&kit.worker);
    KIT_DID("");
}

static void at_the_end_nobody_is_told_any_more(void **state)
{
    (void)state;
    next_is(options_with(70, LEGACY_ALLOW, 0));
    reload();
    next_is(options_with(71, LEGACY_ALLOW, 0));
    reload();
    *kit.did = '\0';
    assert_int_equal(worker_takes(), 70);
    kit.srv.ended = true;
    server_worker_uses_options(&kit.worker);
    KIT_DID("");
    reload();
    assert_true(rig.refused);
    KIT_DID("told ");
    rig.refused = kit.srv.ended = false;
    kit.srv.draining = true;
    reload();
    assert_true(rig.refused);
    assert_int_equal(kit.srv.opt->handshakes.all, 71);
}

static void without_a_file_workers_hear_nothing(void **state)
{
    (void)state;
    reload();
    KIT_DID("told ");
    assert_int_equal(kit.srv.opt->handshakes.all, 100);
}

static void a_secret_that_is_too_short_for_never(void **state)
{
    (void)state;
    next_is(options_with(1, LEGACY_NEVER, 0));
    reload();
    assert_int_equal(rig.prepared, ERR_INVAL);
    assert_non_null(strstr(rig.why, "less than 16 bytes"));
    KIT_DID("told ");
    assert_int_equal(kit.srv.opt->handshakes.all, 100);
}

static void the_first_balancer_gets_a_gate(void **state)
{
    (void)state;
    next_is(options_with(70, LEGACY_ALLOW, 1));
    rig.pki_err = ERR_CERT; /* which is only known later */
    reload();
    KIT_DID("proxy-gate proxy-gate-close told ");
    assert_null(kit.srv.proxy_gate);
    assert_null(kit.srv.coming.proxy_gate);
    rig.pki_err = 0;
    rig.gate_err = ERR_NOMEM;
    reload();
    assert_null(kit.srv.proxy_gate);
    kit.srv.coming.proxy_gate = NULL;
    rig.gate_err = 0;
    *kit.did = '\0';
    reload();
    KIT_DID("proxy-gate gates:70 >use_options told ");
    assert_non_null(kit.srv.proxy_gate);
    next_is(options_with(71, LEGACY_ALLOW, 1));
    reload(); /* it has one */
    KIT_DID("gates:71 told ");
}

/* ---- the certificates ---- */

static void another_certificate_is_for_the_next_connection(void **state)
{
    (void)state;
    reload();
    KIT_DID("told ");
    rig.renews = true;
    reload();
    KIT_DID("changed:certificates told ");
    reload();
    KIT_DID("told ");
}

static void clients_are_read_again(void **state)
{
    static char table;
    (void)state;
    rig.clients = (struct credentials *)&table;
    reload();
    KIT_DID("told "); /* no folder at the start: the cage would not let us read it */
    assert_int_equal(kit_count("'clients' takes effect at the next start"), 1);
    kit.srv.has_clients = true;
    reload();
    KIT_DID("keys changed:clients told ");
    rig.clients_err = ERR_IO;
    reload();
    assert_string_equal(rig.why, "the clients cannot be loaded");
    KIT_DID("told "); /* those that are known stay */
    assert_null(kit.srv.clients);
}

static void what_is_wrong_with_them_changes_nothing(void **state)
{
    SSL_CTX *was = kit.srv.tls;
    (void)state;
    next_is(options_with(70, LEGACY_ALLOW, 0));
    rig.pki_err = ERR_CERT;
    reload();
    assert_string_equal(rig.why, "no certificates");
    rig.pki_err = 0;
    rig.tls_err = ERR_NOMEM;
    reload();
    assert_ptr_equal(kit.srv.tls, was);
    assert_int_equal(kit.srv.opt->handshakes.all, 100);
    KIT_DID("told told ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(everybody_gets_them),
        T(a_slow_worker_gets_the_newest),
        T(at_the_end_nobody_is_told_any_more),
        T(without_a_file_workers_hear_nothing),
        T(a_secret_that_is_too_short_for_never),
        T(the_first_balancer_gets_a_gate),
        T(clients_are_read_again),
        T(another_certificate_is_for_the_next_connection),
        T(what_is_wrong_with_them_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
