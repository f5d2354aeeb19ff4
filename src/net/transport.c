/* SPDX-License-Identifier: MIT */
/*
 * The TLS transport.
 *
 *   HANDSHAKE --done--> OPEN
 *   any --error--> FAILED                 (told once, to be closed by the owner)
 *   any --transport_close()--> CLOSED     (memory goes at the end of the turn)
 *
 * Events are edges (net/poller.h): what has come is read until the kernel has no more
 * (wire.drained), or a job goes on in the next turn. An error outside a read of the owner's is
 * reported from a job at the end of the turn.
 *
 * A failed send is not the end yet: the peer may have said why before it went away (an alert, a
 * line), and that is still to be read. The failure is told in place of what would have come after.
 */
#include "net/transport.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/i18n.h"
#include "net/sock.h"
#include "net/tls_ctx.h"
#include "net/transport_bio.h"
#include "net/transport_tls.h"

enum {
    READ_BUFFER = 128 << 10,   /* large receives: wake-ups are the price (docs/design.md) */
    NOTSENT_LOWAT = 128 << 10, /* what waits in the kernel for the network, so that little does */
    /* The send buffer is made that large again: of four of loopback's segments, the longest. With
       less than one under way the peer's delayed acknowledgements set the pace: 2 MB/s. */
    SEND_BUFFER_LEAST = 256 << 10,
    SEND_BUFFER_CHECK_MS = 20, /* and looked at so often, while the kernel takes less than all */
    DISCARD_BYTES = 1 << 20,   /* unread input, dropped at close without copying (tcp(7)) */
};

enum transport_state {
    TR_HANDSHAKE,
    TR_OPEN,
    TR_FAILED,
    TR_CLOSED,
};

struct transport {
    struct loop *loop;
    SSL_CTX *ctx;
    SSL *ssl; /* NULL once CLOSED */
    const struct transport_events *ev;
    void *ev_ctx;
    enum transport_state state;
    struct wire wire;
    struct poller_source socket;
    bool refused;      /* transport_write() took less than it was given */
    bool read_later;   /* for the job */
    bool tell_error;   /* for the job */
    bool tell_sent;    /* the owner waits for the kernel to send */
    size_t unsent_max; /* TCP_NOTSENT_LOWAT; 0: not set */
    size_t record_max;
    int write_err; /* the peer takes no more; it is told when what it has said was read */
    bool trusted;
    bool grown; /* the large read buffer is in use */
    int err;
    struct errmsg why;
    struct loop_job job;
    struct loop_job step; /* of the handshake */
    uint64_t sent_total;
    mtime_ms buffer_checked_at; /* of the kernel's send buffer */
    struct address peer_address;
    char peer[SOCK_NAME_MAX]; /* the same for people */
    char describe[64];
};

/* ---- failure ---- */

/* Remembers the first failure. Returns its code. */
static int failed(struct transport *t, int err, const struct errmsg *why)
{
    if (t->state == TR_FAILED || t->state == TR_CLOSED)
        return t->err;
    t->state = TR_FAILED;
    t->err = err;
    if (why)
        t->why = *why;
    else
        errmsg_set(&t->why, err, "%s", err_text(err));
    poller_remove(t->loop, &t->socket);
    return err;
}

/* A failure the owner did not ask for: told at the end of the turn. */
static void fail_later(struct transport *t, int err, const struct errmsg *why)
{
    if (t->state == TR_FAILED || t->state == TR_CLOSED)
        return;
    failed(t, err, why);
    t->tell_error = true;
    loop_defer(t->loop, &t->job);
}

/* Before a call of libssl. */
static void ssl_begin(struct transport *t)
{
    if (ERR_peek_error() != 0) /* clearing is ten times as dear */
        ERR_clear_error();
    t->wire.allowance = READ_BUFFER;
}

/* What a negative result of an SSL_* call means: ERR_AGAIN, ERR_EOF, or a failure and its words. */
static int ssl_result(struct transport *t, int r, struct errmsg *why)
{
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        if (t->write_err && t->wire.drained)
            return errmsg_set(why, t->write_err, "%s", err_text(t->write_err));
        return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return errmsg_set(why, ERR_EOF, "%s", _("the connection was closed by the other side"));
    default:
        break;
    }
    if (t->wire.over_budget)
        return errmsg_set(why, ERR_LIMIT, "%s", _("too much was sent before authentication"));
    if (t->wire.over_output)
        return errmsg_set(why, ERR_LIMIT, "%s", err_text(ERR_LIMIT));
    if (t->wire.errnum)
        return errmsg_set(why, err_from_errno(t->wire.errnum), "%s", errno_text(t->wire.errnum));
    if (t->wire.eof && t->write_err)
        return errmsg_set(why, t->write_err, "%s", err_text(t->write_err));
    if (t->wire.eof && ERR_peek_error() == 0)
        return errmsg_set(why, ERR_EOF, "%s", _("the connection was closed by the other side"));
    return tls_take_error(t->ssl, ERR_TLS, why);
}

/* ---- output ---- */

/* Goes on in on_job(): the input is read to its end. */
static void write_failed(struct transport *t, int err)
{
    t->write_err = err;
    t->wire.drained = false; /* really ask the kernel: it may have more since */
    wire_discard(&t->wire);
    loop_defer(t->loop, &t->job);
}

/* A writer that was refused hears when it may go on, but not from inside a call of its own. */
static void wake_writer(struct transport *t)
{
    if (t->refused && transport_writable(t))
        loop_defer(t->loop, &t->job);
}

/* The kernel took less than all: because of the network, or because it was once short of memory. */
static void check_send_buffer(struct transport *t)
{
    mtime_ms now = loop_now(t->loop);
    if (now - t->buffer_checked_at < SEND_BUFFER_CHECK_MS)
        return;
    t->buffer_checked_at = now;
    sock_send_buffer_least(t->wire.fd, SEND_BUFFER_LEAST);
}

void transport_flush(struct transport *t)
{
    if (t->wire.len == 0 || t->write_err || t->state >= TR_FAILED)
        return;
    int64_t n = wire_send(&t->wire);
    if (n < 0) {
        write_failed(t, (int)n);
        return;
    }
    t->sent_total += (uint64_t)n;
    if (t->wire.len > 0 && t->trusted)
        check_send_buffer(t);
    wake_writer(t);
}

ssize_t transport_write(struct transport *t, const void *p, size_t n)
{
    size_t done = 0;
    if (t->state != TR_OPEN || t->write_err)
        return ERR_BADSTATE;
    while (done < n && transport_writable(t)) {
        size_t part = n - done < t->record_max ? n - done : t->record_max;
        ssl_begin(t);
        int r = SSL_write(t->ssl, (const uint8_t *)p + done, (int)part);
        if (r <= 0) {
            struct errmsg why;
            int err = ssl_result(t, r, &why);
            fail_later(t, err == ERR_AGAIN ? ERR_TLS : err, &why);
            return ERR_TLS;
        }
        done += (size_t)r;
    }
    t->refused = done < n;
    return (ssize_t)done;
}

/* While half a handshake message has come (a ticket in two records), libssl does not write: it
   would insist on reading the other half first. */
bool transport_writable(const struct transport *t)
{
    return t->state == TR_OPEN && !t->write_err && t->wire.len < TRANSPORT_BACKLOG_MAX &&
           !SSL_in_init(t->ssl);
}

struct transport_queue transport_queue(const struct transport *t)
{
    size_t unsent = sock_unsent(t->wire.fd);
    uint64_t kept = unsent < t->sent_total ? unsent : t->sent_total;
    return (struct transport_queue){t->sent_total - kept, t->wire.len + (size_t)kept};
}

void transport_set_unsent_max(struct transport *t, size_t bytes)
{
    size_t power = 1;
    while (power * 2 <= bytes)
        power *= 2;
    if (power != t->unsent_max)
        sock_unsent_max(t->wire.fd, power);
    t->unsent_max = power;
}

void transport_set_record_max(struct transport *t, size_t bytes)
{
    t->record_max = bytes;
}

/* An edge comes only after the kernel has said once that it takes nothing: a send that was cut
   short has heard so, or it is asked here. */
void transport_tell_sent(struct transport *t)
{
    if (t->state != TR_OPEN || t->write_err)
        return; /* the end is to come */
    t->tell_sent = true;
    if (t->wire.len == 0 && sock_is_writable(t->wire.fd))
        loop_defer(t->loop, &t->job); /* it has sent meanwhile */
}

/* ---- input ---- */

/* OpenSSL takes the larger buffer when it allocates the next one, so the small one goes first. */
static void grow_read_buffer(struct transport *t)
{
    if (t->grown || !t->trusted || SSL_free_buffers(t->ssl) != 1)
        return; /* something is in it: next time */
    SSL_set_default_read_buffer_len(t->ssl, READ_BUFFER);
    SSL_set_read_ahead(t->ssl, 1);
    t->grown = true;
}

ssize_t transport_read(struct transport *t, void *buf, size_t n, struct errmsg *why)
{
    if (t->state == TR_FAILED) {
        t->tell_error = false; /* this call tells it */
        if (why)
            *why = t->why;
        return t->err;
    }
    if (t->state != TR_OPEN)
        return ERR_AGAIN;
    ssl_begin(t);
    int r = SSL_read(t->ssl, buf, n < INT32_MAX ? (int)n : INT32_MAX);
    if (r > 0)
        return r;
    struct errmsg words = {""};
    int err = ssl_result(t, r, &words);
    transport_flush(t); /* an alert or a key update may have come of it */
    if (err == ERR_AGAIN) {
        grow_read_buffer(t);
        if (!t->wire.drained)
            transport_read_later(t); /* the allowance was used up */
        return ERR_AGAIN;
    }
    if (why)
        *why = words;
    return failed(t, err, &words);
}

void transport_read_later(struct transport *t)
{
    t->read_later = true;
    loop_defer(t->loop, &t->job);
}

void transport_trust(struct transport *t)
{
    t->trusted = true;
    wire_trust(&t->wire);
    (void)SSL_clear_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_clear_options(t->ssl, SSL_OP_CLEANSE_PLAINTEXT);
    transport_set_unsent_max(t, NOTSENT_LOWAT);
}

void transport_idle(struct transport *t)
{
    wire_trim(&t->wire);
    if (t->state == TR_OPEN)
        (void)SSL_free_buffers(t->ssl); /* refuses while they are in use */
}

static void let_read(struct transport *t)
{
    bool stuck = SSL_in_init(t->ssl); /* half a message: maybe nobody has tried to write */
    t->ev->on_readable(t->ev_ctx);
    t->refused = t->refused || stuck;
    wake_writer(t);
}

/* ---- handshake ---- */

static SSL *new_ssl(struct transport *t, bool is_server)
{
    SSL *ssl = SSL_new(t->ctx);
    BIO *bio = ssl ? wire_bio_new(&t->wire) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_bio(ssl, bio, bio);
    if (!t->trusted) {
        (void)SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS); /* a stranger's silence costs little */
        SSL_set_options(ssl, SSL_OP_CLEANSE_PLAINTEXT);    /* the legacy wire's secret */
    }
    if (is_server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if (SSL_set_tlsext_host_name(ssl, (void *)(uintptr_t)tls_sni(SSL_get_SSL_CTX(ssl))) != 1) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

static void handshake(struct transport *t)
{
    struct errmsg why = {""};
    ssl_begin(t);
    int r = SSL_do_handshake(t->ssl);
    int err = r == 1 ? 0 : ssl_result(t, r, &why);
    transport_flush(t);
    if (t->state != TR_HANDSHAKE)
        return;
    if (err == ERR_AGAIN) {
        wire_trim(&t->wire); /* a stranger who says no more holds a flight of ours else */
        if (!t->wire.drained)
            transport_read_later(t);
        return;
    }
    if (err < 0) {
        failed(t, err, &why);
        t->ev->on_error(t->ev_ctx, err, &t->why);
        return;
    }
    t->state = TR_OPEN;
    (void)snprintf(t->describe, sizeof t->describe, "%s %s", SSL_get_version(t->ssl),
                   SSL_get_cipher_name(t->ssl));
    t->ev->on_ready(t->ev_ctx);
    if (t->state == TR_OPEN)
        let_read(t); /* what came along with the last flight */
}

/* A fraction of a millisecond of the processor's time, mostly: those who have a session on this loop
   wait for one of them a turn, however many strangers shake hands. */
static void on_step(struct loop_job *job)
{
    struct transport *t = CONTAINER_OF(job, struct transport, step);
    if (t->state == TR_HANDSHAKE)
        handshake(t);
}

/* ---- events ---- */

static void readable(struct transport *t)
{
    t->read_later = false;
    switch (t->state) {
    case TR_HANDSHAKE:
        loop_defer_slow(t->loop, &t->step);
        break;
    case TR_OPEN:
        let_read(t);
        break;
    case TR_FAILED:
    case TR_CLOSED:
        break;
    }
}

static void writable(struct transport *t)
{
    bool was_full = t->refused || t->wire.len >= TRANSPORT_BACKLOG_MAX; /* maybe nobody tried */
    transport_flush(t);
    if ((was_full || t->tell_sent) && transport_writable(t)) {
        t->refused = t->tell_sent = false;
        t->ev->on_writable(t->ev_ctx);
    }
}

static void on_ready(struct poller_source *src, unsigned events)
{
    struct transport *t = CONTAINER_OF(src, struct transport, socket);
    if (events & POLLER_OUT)
        writable(t);
    if (!(events & POLLER_IN))
        return;
    t->wire.drained = false;
    t->wire.hangup = t->wire.hangup || events & POLLER_HUP;
    readable(t);
}

static void on_job(struct loop_job *job)
{
    struct transport *t = CONTAINER_OF(job, struct transport, job);
    if (t->tell_error && t->state == TR_FAILED) {
        t->tell_error = false;
        t->ev->on_error(t->ev_ctx, t->err, &t->why);
        return;
    }
    if ((t->refused || t->tell_sent) && transport_writable(t)) {
        t->refused = t->tell_sent = false;
        t->ev->on_writable(t->ev_ctx);
    }
    if (t->write_err || t->read_later)
        readable(t);
}

/* ---- the socket, the owner ---- */

SSL *transport_ready_ssl(const struct transport *t)
{
    return t->state == TR_OPEN ? t->ssl : NULL;
}

void transport_user_timeout(struct transport *t, int ms)
{
    (void)setsockopt(t->wire.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

bool transport_route_changed(const struct transport *t)
{
    return sock_route_changed(t->wire.fd);
}

void transport_set_owner(struct transport *t, const struct transport_events *ev, void *ev_ctx)
{
    t->ev = ev;
    t->ev_ctx = ev_ctx;
}

void transport_release(struct transport *t)
{
    poller_remove(t->loop, &t->socket);
    loop_cancel(&t->job);
    loop_cancel(&t->step);
    transport_set_owner(t, NULL, NULL);
}

int transport_adopt(struct transport *t, struct loop *loop, const struct transport_events *ev,
                    void *ev_ctx)
{
    t->loop = loop;
    transport_set_owner(t, ev, ev_ctx);
    int err = t->state == TR_OPEN ? poller_add(loop, &t->socket, t->wire.fd) : 0;
    if (err < 0)
        return failed(t, err, NULL);
    t->wire.drained = false; /* an edge may have been told to the old owner */
    if (t->state == TR_OPEN)
        t->read_later = true;
    else
        t->tell_error = true;
    loop_defer(loop, &t->job);
    return 0;
}

/* ---- life ---- */

int transport_new(struct loop *loop, int fd, SSL_CTX *ctx, bool is_server,
                  const struct transport_events *ev, void *ev_ctx, struct transport **ret)
{
    int err = ERR_NOMEM;
    struct transport *t = calloc(1, sizeof *t);
    if (!t)
        goto failed;
    t->loop = loop;
    t->ev = ev;
    t->ev_ctx = ev_ctx;
    t->ctx = ctx;
    t->record_max = TRANSPORT_RECORD_MAX;
    t->wire = (struct wire){.fd = fd, .limited = true, .budget = TRANSPORT_PREAUTH_MAX};
    loop_job_init(&t->job, on_job);
    loop_job_init(&t->step, on_step);
    t->state = TR_HANDSHAKE;
    t->ssl = new_ssl(t, is_server);
    if (!t->ssl)
        goto failed;
    t->socket.on_ready = on_ready;
    err = poller_add(loop, &t->socket, fd);
    if (err < 0)
        goto failed;
    SSL_CTX_up_ref(ctx);
    struct address peer = sock_peer_address(fd);
    transport_set_peer(t, &peer);
    sock_nodelay(fd);
    *ret = t;
    if (!is_server) { /* the first flight; errors come at the end of the turn */
        ssl_begin(t);
        struct errmsg why = {""};
        err = ssl_result(t, SSL_do_handshake(t->ssl), &why);
        if (err != ERR_AGAIN)
            fail_later(t, err, &why);
        transport_flush(t);
    }
    return 0;

failed:
    if (t)
        SSL_free(t->ssl);
    free(t);
    (void)close(fd);
    return err;
}

static void release(struct loop_job *job)
{
    free(CONTAINER_OF(job, struct transport, job));
}

/* The last words: what is sealed, and close_notify, a courtesy. Closing with input that nobody has
   read would make the kernel send a reset, which can overtake them (D2). */
static void say_goodbye(struct transport *t)
{
    ssl_begin(t);
    (void)SSL_shutdown(t->ssl);
    if (!t->write_err)
        (void)!wire_send(&t->wire);
    sock_discard(t->wire.fd, DISCARD_BYTES);
}

void transport_close(struct transport *t)
{
    if (!t || t->state == TR_CLOSED)
        return;
    if (t->state == TR_OPEN)
        say_goodbye(t);
    t->state = TR_CLOSED;
    loop_cancel(&t->job);
    loop_cancel(&t->step);
    loop_job_init(&t->job, release);
    loop_defer(t->loop, &t->job);
    poller_forget(t->loop, &t->socket);
    (void)close(t->wire.fd);
    SSL_free(t->ssl);
    t->ssl = NULL;
    SSL_CTX_free(t->ctx);
    free(t->wire.out);
    t->wire = (struct wire){.fd = -1};
}

void transport_set_peer(struct transport *t, const struct address *peer)
{
    t->peer_address = *peer;
    sock_address_name(t->peer, &t->peer_address);
}

const char *transport_peer(const struct transport *t)
{
    return t->peer;
}

const struct address *transport_peer_address(const struct transport *t)
{
    return &t->peer_address;
}

const char *transport_describe(const struct transport *t)
{
    return t->describe;
}
