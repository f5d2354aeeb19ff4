/* SPDX-License-Identifier: MIT */
#include "ends.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certs.h"
#include "net/sock.h"
#include "net/tls_ctx.h"

static struct cert ca, server_cert;
static SSL_CTX *server_ctx, *client_ctx, *strange_ctx;

static SSL_CTX *new_client_ctx(const struct cert *c)
{
    char path[] = "/tmp/test-ends-XXXXXX";
    struct errmsg why;
    SSL_CTX *ctx;
    assert_int_equal(close(mkstemp(path)), 0);
    cert_append(c, path);
    assert_int_equal(tls_client_ctx_new(path, "test/1", &ctx, &why), 0);
    assert_int_equal(unlink(path), 0);
    return ctx;
}

int ends_setup(void **state)
{
    (void)state;
    struct errmsg why;
    ca = cert_ca();
    server_cert = cert_server(&ca);
    struct cert other = cert_ca();
    client_ctx = new_client_ctx(&ca);
    strange_ctx = new_client_ctx(&other);
    cert_free(&other);
    return tls_server_ctx_new(server_cert.x, server_cert.key, NULL, "test/1", &server_ctx, &why);
}

int ends_teardown(void **state)
{
    (void)state;
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    SSL_CTX_free(strange_ctx);
    cert_free(&ca);
    cert_free(&server_cert);
    return 0;
}

SSL_CTX *ends_ctx(bool is_server)
{
    return is_server ? server_ctx : client_ctx;
}

SSL_CTX *ends_ctx_strange(void)
{
    return strange_ctx;
}

/* ---- our ends ---- */

/* True if the end has closed itself. */
static bool closes(struct end *e, enum end_event ev)
{
    if (!(e->close_in & ev))
        return false;
    transport_close(e->t);
    e->t = NULL;
    return true;
}

void end_pump(struct end *e)
{
    while (e->t && e->out_done < e->out_len) {
        ssize_t n = transport_write(e->t, e->out + e->out_done, e->out_len - e->out_done);
        if (n <= 0)
            return;
        e->out_done += (size_t)n;
        transport_flush(e->t);
    }
}

static void on_ready(void *ctx)
{
    struct end *e = ctx;
    e->ready++;
    if (!closes(e, END_READY))
        end_pump(e);
}

/* One read of at most max bytes. What transport_read() returned. */
static ssize_t take(struct end *e, size_t max)
{
    if (e->in_len + max > e->in_cap) {
        e->in_cap = (e->in_len + max) * 2;
        e->in = realloc(e->in, e->in_cap);
        assert_non_null(e->in);
    }
    ssize_t n = transport_read(e->t, e->in + e->in_len, max, &e->why);
    if (n > 0)
        e->in_len += (size_t)n;
    else if (n != ERR_AGAIN)
        e->err = (int)n;
    return n;
}

static void on_readable(void *ctx)
{
    struct end *e = ctx;
    size_t left = e->budget ? e->budget : SIZE_MAX;
    e->readable++;
    if (closes(e, END_READABLE) || e->deaf)
        return;
    while (left > 0) {
        ssize_t n = take(e, left < 20000 ? left : 20000);
        if (n <= 0)
            return;
        left -= (size_t)n;
    }
    transport_read_later(e->t);
}

static void on_writable(void *ctx)
{
    struct end *e = ctx;
    e->writable++;
    if (!closes(e, END_WRITABLE))
        end_pump(e);
}

static void on_error(void *ctx, int err, const struct errmsg *why)
{
    struct end *e = ctx;
    e->errors++;
    e->err = err;
    e->why = *why;
    (void)closes(e, END_ERROR);
}

const struct transport_events end_events = {on_ready, on_readable, on_writable, on_error};

void end_open_with(struct end *e, struct kit *k, int fd, bool is_server, SSL_CTX *ctx)
{
    e->k = k;
    assert_int_equal(transport_new(&k->loop, fd, ctx, is_server, &end_events, e, &e->t), 0);
    assert_int_equal(e->ready + e->readable + e->writable + e->errors, 0); /* never from inside */
}

void end_open(struct end *e, struct kit *k, int fd, bool is_server)
{
    end_open_with(e, k, fd, is_server, ends_ctx(is_server));
}

void end_close(struct end *e)
{
    transport_close(e->t);
    e->t = NULL;
    (void)uv_run(&e->k->loop.uv, UV_RUN_NOWAIT);
    free(e->in);
    e->in = NULL;
}

bool end_is(const struct end *e, const void *bytes, size_t n)
{
    return e->in_len == n && memcmp(e->in, bytes, n) == 0;
}

/* ---- peers ---- */

void peer_open(struct peer *p, int fd, bool is_server, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    assert_non_null(ctx);
    memset(p, 0, sizeof *p);
    p->fd = fd;
    if (is_server) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, server_cert.x), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, server_cert.key), 1);
    }
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    p->ssl = SSL_new(ctx);
    SSL_CTX_free(ctx);
    assert_non_null(p->ssl);
    assert_int_equal(SSL_set_fd(p->ssl, fd), 1);
    if (is_server)
        SSL_set_accept_state(p->ssl);
    else
        SSL_set_connect_state(p->ssl);
}

void peer_step(struct peer *p)
{
    ERR_clear_error();
    if (p->done == 0) {
        int r = SSL_do_handshake(p->ssl);
        p->done = r == 1 ? 1 : SSL_get_error(p->ssl, r) == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    while (p->done == 1 && !p->eof && p->in_len < sizeof p->in) {
        size_t n = 0;
        ERR_clear_error();
        int r = SSL_read_ex(p->ssl, p->in + p->in_len, sizeof p->in - p->in_len, &n);
        if (r != 1) {
            p->eof = SSL_get_error(p->ssl, r) != SSL_ERROR_WANT_READ;
            return;
        }
        p->in_len += n;
        if (p->reads < (int)ARRAY_LEN(p->sizes))
            p->sizes[p->reads++] = n;
    }
}

void peer_write(struct peer *p, const void *bytes, size_t n)
{
    ERR_clear_error();
    assert_int_equal(SSL_write(p->ssl, bytes, (int)n), n);
}

void peer_close(struct peer *p)
{
    SSL_free(p->ssl);
    p->ssl = NULL;
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
}

void peer_reset(struct peer *p)
{
    sock_close_reset(p->fd);
    p->fd = -1;
    peer_close(p);
}

void end_and_peer(struct end *e, struct peer *p, struct kit *k, bool peer_is_server, int version)
{
    int fd[2];
    kit_tcp_pair(fd);
    peer_open(p, fd[0], peer_is_server, version);
    end_open(e, k, fd[1], !peer_is_server);
    KIT_UNTIL(k, (peer_step(p), e->ready && p->done == 1));
}

uint8_t *pattern(size_t n, unsigned seed)
{
    uint8_t *p = malloc(n + 1);
    uint32_t x = seed * 2654435761u + 1;
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (uint8_t)(x >> 24);
    }
    return p;
}
