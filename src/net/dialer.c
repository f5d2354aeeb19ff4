/* SPDX-License-Identifier: MIT */
/*
 * Dialling: resolve, then try the addresses one after the other. Every result is told from a
 * callback of the loop (timer, poll, resolver), never from inside dial_start().
 *
 * One poll handle serves all attempts: the next one begins when libuv has closed it after the last.
 */
#include "net/dialer.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/i18n.h"
#include "net/sock.h"

struct dial {
    struct loop *loop;
    dial_done_fn done; /* NULL once it was called, or the dial was cancelled */
    void *ctx;
    mtime_ms deadline;
    uv_getaddrinfo_t resolver;
    uv_timer_t timer;
    uv_poll_t poll;
    struct sockaddr_storage addrs[DIAL_MAX_ADDRS];
    int naddrs, next;
    bool resolving;
    int fd;      /* of the attempt in progress, with poll on it; -1 */
    int pending; /* handles and requests that still refer to this memory */
    int err;     /* what to tell if nothing else comes: of the resolver or of the last attempt */
    struct errmsg why;
};

static void try_next(struct dial *d);

/* ---- life ---- */

static void unref(struct dial *d)
{
    if (--d->pending == 0)
        free(d);
}

static void on_timer_closed(uv_handle_t *h)
{
    unref(h->data);
}

static void on_poll_closed(uv_handle_t *h)
{
    struct dial *d = h->data;
    if (d->done)
        try_next(d); /* the handle is free for the next attempt */
    unref(d);
}

static void end_attempt(struct dial *d)
{
    if (d->fd < 0)
        return;
    uv_close((uv_handle_t *)&d->poll, on_poll_closed);
    (void)close(d->fd);
    d->fd = -1;
}

/* Lets go of everything; memory goes when libuv has. */
static void finish(struct dial *d)
{
    d->done = NULL;
    end_attempt(d);
    if (d->resolving)
        (void)uv_cancel((uv_req_t *)&d->resolver); /* fails if it is being served: it may end */
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

void dial_cancel(struct dial *d)
{
    if (d && d->done)
        finish(d);
}

static void tell(struct dial *d, int fd_or_err)
{
    dial_done_fn done = d->done;
    void *ctx = d->ctx;
    struct errmsg why = d->why;
    finish(d);
    done(ctx, fd_or_err, &why);
}

static void fail(struct dial *d, int err, const char *words)
{
    d->err = errmsg_set(&d->why, err, "%s", words);
}

/* ---- attempts ---- */

static void attempt_failed(struct dial *d, int errnum)
{
    char name[SOCK_NAME_MAX];
    d->err = err_from_errno(errnum);
    errmsg_set(&d->why, d->err, "%s: %s",
               sock_name(name, (struct sockaddr *)&d->addrs[d->next - 1]), strerror(errnum));
}

/* Dialling a free port of this machine can give it to the dialling socket itself, which then finds
   "somebody" there: TCP's simultaneous open. */
static bool is_connected_to_itself(int fd)
{
    struct sockaddr_storage a, b;
    socklen_t alen = sizeof a, blen = sizeof b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    return getsockname(fd, (struct sockaddr *)&a, &alen) == 0 &&
           getpeername(fd, (struct sockaddr *)&b, &blen) == 0 && alen == blen &&
           memcmp(&a, &b, alen) == 0;
}

/* 0 if the attempt has succeeded, or its errno. */
static int outcome(int fd, int status)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        return errno;
    if (errnum == 0 && (status < 0 || is_connected_to_itself(fd)))
        return ECONNREFUSED;
    return errnum;
}

static void on_connected(uv_poll_t *h, int status, int events)
{
    struct dial *d = h->data;
    int errnum = outcome(d->fd, status);
    (void)events; /* says no more than: look */
    if (errnum != 0) {
        attempt_failed(d, errnum);
        end_attempt(d); /* the next one follows in on_poll_closed() */
        return;
    }
    int fd = d->fd;
    d->fd = -1;
    uv_close((uv_handle_t *)h, on_poll_closed);
    sock_nodelay(fd);
    tell(d, fd);
}

/* Starts the attempt at addrs[next]. 0, or an errno. */
static int start_attempt(struct dial *d)
{
    const struct sockaddr_storage *sa = &d->addrs[d->next++];
    socklen_t len =
        sa->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)sa, len) < 0 && errno != EINPROGRESS) {
        int errnum = errno;
        (void)close(fd);
        return errnum;
    }
    if (uv_poll_init(&d->loop->uv, &d->poll, fd) < 0) {
        (void)close(fd);
        return ENOMEM;
    }
    d->poll.data = d;
    d->pending++;
    d->fd = fd;
    uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
    return 0;
}

static void on_timer(uv_timer_t *t);

/* The next attempt that does not fail at once, or the end. */
static void try_next(struct dial *d)
{
    mtime_ms left = d->deadline - loop_now(d->loop);
    while (d->next < d->naddrs && left > 0) {
        mtime_ms share = left / (d->naddrs - d->next);
        int errnum = start_attempt(d);
        if (errnum == 0) {
            uv_timer_start(&d->timer, on_timer, (uint64_t)(share > 0 ? share : 1), 0);
            return;
        }
        attempt_failed(d, errnum);
    }
    tell(d, d->err);
}

/* The time is up: of the resolver, or of an attempt. Or it is the start of a dial that did not need
   the resolver. */
static void on_timer(uv_timer_t *t)
{
    struct dial *d = t->data;
    if (d->resolving) {
        fail(d, ERR_TIMEOUT, _("the name could not be resolved in time"));
        tell(d, d->err);
    } else if (d->fd >= 0) {
        attempt_failed(d, ETIMEDOUT);
        end_attempt(d); /* goes on in on_poll_closed() */
    } else {
        try_next(d);
    }
}

/* ---- resolving ---- */

static void take_addresses(struct dial *d, const struct addrinfo *list)
{
    for (const struct addrinfo *a = list; a && d->naddrs < DIAL_MAX_ADDRS; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            memcpy(&d->addrs[d->naddrs++], a->ai_addr, a->ai_addrlen);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dial *d = req->data;
    d->resolving = false;
    take_addresses(d, list);
    uv_freeaddrinfo(list);
    if (status < 0 || d->naddrs == 0)
        fail(d, ERR_RESOLVE, uv_strerror(status < 0 ? status : UV_EAI_NODATA));
    else
        fail(d, ERR_TIMEOUT, _("the name could not be resolved in time"));
    if (d->done)
        try_next(d);
    unref(d);
}

/* A numeric address needs no resolver. */
static bool use_numeric(struct dial *d, const char *host, const char *port)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
    };
    struct addrinfo *list;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return false;
    take_addresses(d, list);
    freeaddrinfo(list);
    return true;
}

/* Asks the resolver. What it does not even want to look up has failed: told from the timer. */
static void resolve(struct dial *d, const char *host, const char *port)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    mtime_ms left = d->deadline - loop_now(d->loop);
    int r = uv_getaddrinfo(&d->loop->uv, &d->resolver, on_resolved, host, port, &hints);
    if (r < 0) {
        fail(d, r == UV_ENOMEM ? ERR_NOMEM : ERR_RESOLVE, uv_strerror(r));
        left = 0;
    } else {
        d->resolving = true;
        d->pending++;
    }
    uv_timer_start(&d->timer, on_timer, (uint64_t)(left > 0 ? left : 0), 0);
}

int dial_start(struct loop *loop, const char *host, int port, int timeout_ms, dial_done_fn done,
               void *ctx, struct dial **ret)
{
    struct dial *d = calloc(1, sizeof *d);
    char service[8];
    if (!d)
        return ERR_NOMEM;
    (void)snprintf(service, sizeof service, "%d", port);
    d->loop = loop;
    d->done = done;
    d->ctx = ctx;
    d->fd = -1;
    fail(d, ERR_TIMEOUT, strerror(ETIMEDOUT)); /* unless something else comes */
    d->deadline = loop_now(loop) + timeout_ms;
    d->resolver.data = d->timer.data = d;
    uv_timer_init(&loop->uv, &d->timer);
    d->pending = 1;
    if (use_numeric(d, host, service))
        uv_timer_start(&d->timer, on_timer, 0, 0);
    else
        resolve(d, host, service);
    *ret = d;
    return 0;
}
