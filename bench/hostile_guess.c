/* SPDX-License-Identifier: MIT */
/* Whole handshakes without the secret: a thread for each connection at a time. */
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/hostile.h"

enum { HELLO_ROOM = 4096, TEXT_ROOM = 8192 };

static SSL_CTX *context(const struct hostile_options *o)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    uint8_t protocol[64];
    if (!ctx)
        hostile_die("SSL_CTX_new");
    if (o && o->alpn && strlen(o->alpn) < sizeof protocol) {
        protocol[0] = (uint8_t)strlen(o->alpn);
        memcpy(protocol + 1, o->alpn, protocol[0]);
        (void)SSL_CTX_set_alpn_protos(ctx, protocol, protocol[0] + 1u);
    }
    return ctx;
}

size_t hostile_hello(const uint8_t **ret)
{
    static uint8_t hello[HELLO_ROOM];
    static size_t n;
    if (n == 0) {
        SSL_CTX *ctx = context(NULL);
        SSL *ssl = SSL_new(ctx);
        BIO *out = BIO_new(BIO_s_mem());
        if (!ssl || !out)
            hostile_die("SSL_new");
        SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
        (void)SSL_set_tlsext_host_name(ssl, "gotunnel.internal");
        (void)SSL_connect(ssl); /* wants to read */
        n = (size_t)BIO_read(out, hello, sizeof hello);
        SSL_free(ssl);
        SSL_CTX_free(ctx);
    }
    *ret = hello;
    return n;
}

/* ---- guesses ---- */

/* One thread's, and what it has learnt. */
struct guesser {
    pthread_t thread;
    const struct hostile_options *o;
    SSL_CTX *ctx;
    double until;
    unsigned n; /* of its source */
    unsigned tries, shaken, verdicts, busy, right;
};

/* Waits until the socket is ready or `until` comes. */
static bool wait_for(SSL *ssl, int result, double until)
{
    int want = SSL_get_error(ssl, result);
    double left = until - hostile_now();
    struct pollfd p = {.fd = SSL_get_fd(ssl),
                       .events = want == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    if ((want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE) || left <= 0)
        return false;
    return poll(&p, 1, (int)(left * 1000) + 1) == 1;
}

static bool handshake(SSL *ssl, double until)
{
    int r;
    while ((r = SSL_connect(ssl)) != 1) {
        if (!wait_for(ssl, r, until))
            return false;
    }
    return true;
}

static void count(struct guesser *g, const char *line)
{
    if (strstr(line, "Invalid") || strstr(line, "\"auth\""))
        g->verdicts++;
    else if (!strncmp(line, "OK", 2) || strstr(line, "\"sid\""))
        g->right++;
    else
        g->busy++;
}

/* Every line of the answer, until the end or `until`. */
static void read_verdicts(struct guesser *g, SSL *ssl, double until)
{
    char text[TEXT_ROOM] = "";
    size_t n = 0;
    while (n < sizeof text - 1) {
        int r = SSL_read(ssl, text + n, (int)(sizeof text - 1 - n));
        if (r > 0)
            n += (size_t)r;
        else if (!wait_for(ssl, r, until))
            break;
    }
    text[n] = '\0';
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest))
        count(g, line);
}

static void say_lines(const struct hostile_options *o, SSL *ssl)
{
    char text[TEXT_ROOM];
    size_t n = 0;
    for (int i = 0; i < o->lines && n + strlen(o->text) + 1 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\n", o->text);
    (void)SSL_write(ssl, text, (int)n);
}

static void try_once(struct guesser *g, SSL *ssl)
{
    if (!handshake(ssl, g->until))
        return;
    g->shaken++;
    say_lines(g->o, ssl);
    double patience = g->o->wait > 0 ? hostile_now() + g->o->wait : g->until;
    read_verdicts(g, ssl, patience < g->until ? patience : g->until);
}

static void *guess(void *arg)
{
    struct guesser *g = arg;
    while (hostile_now() < g->until) {
        int fd = hostile_dial(g->o, g->n);
        SSL *ssl = SSL_new(g->ctx);
        struct pollfd pause = {.fd = -1};
        g->tries++;
        if (fd >= 0 && ssl && SSL_set_fd(ssl, fd) == 1)
            try_once(g, ssl);
        else
            (void)poll(&pause, 1, 10);
        SSL_free(ssl);
        if (fd >= 0)
            hostile_reset(fd);
    }
    return NULL;
}

int hostile_guess(const struct hostile_options *o)
{
    struct guesser *all = calloc((size_t)o->conns, sizeof *all), sum = {.o = o};
    SSL_CTX *ctx = context(o);
    double begin = hostile_now();
    if (!all)
        hostile_die("malloc");
    for (int i = 0; i < o->conns; i++) {
        all[i] =
            (struct guesser){.o = o, .ctx = ctx, .until = begin + o->seconds, .n = (unsigned)i};
        if (pthread_create(&all[i].thread, NULL, guess, &all[i]))
            hostile_die("pthread_create");
    }
    for (int i = 0; i < o->conns; i++) {
        (void)pthread_join(all[i].thread, NULL);
        sum.tries += all[i].tries;
        sum.shaken += all[i].shaken;
        sum.verdicts += all[i].verdicts;
        sum.busy += all[i].busy;
        sum.right += all[i].right;
    }
    printf("{\"tries\":%u,\"handshakes\":%u,\"verdicts\":%u,\"busy\":%u,\"right\":%u,"
           "\"seconds\":%.3f}\n",
           sum.tries, sum.shaken, sum.verdicts, sum.busy, sum.right, hostile_now() - begin);
    SSL_CTX_free(ctx);
    free(all);
    return 0;
}
