/* SPDX-License-Identifier: MIT */
/*
 * Dialling: resolve, then try the addresses one after the other. Every result is told from a
 * callback of the loop (timer, socket, resolver), never from inside dial_start().
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
    struct poller_source socket; /* of the attempt in progress */
    struct sockaddr_storage addrs[DIAL_MAX_ADDRS];
    int naddrs, next;
    bool resolving;
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

static void on_dial_timer_closed(uv_handle_t *h)
{
    unref(h->data);
}

static void end_attempt(struct dial *d)
{
    int fd = d->socket.fd;
    if (fd < 0)
        return;
    poller_forget(d->loop, &d->socket);
    (void)close(fd);
}

/* Lets go of everything; memory goes when libuv has. */
static void finish(struct dial *d)
{
    d->done = NULL;
    end_attempt(d);
    if (d->resolving)
        (void)uv_cancel((uv_req_t *)&d->resolver); /* fails if it is being served: it may end */
    uv_close((uv_handle_t *)&d->timer, on_dial_timer_closed);
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
static bool is_connected_to_itself(int fd, const struct sockaddr_storage *target)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    memset(&own, 0, sizeof own);
    return getsockname(fd, (struct sockaddr *)&own, &len) == 0 && memcmp(&own, target, len) == 0;
}

/* 0 if the attempt has succeeded, or its errno. */
static int outcome(const struct dial *d, bool failed)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;
    if (getsockopt(d->socket.fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        return errno;
    if (errnum == 0 && (failed || is_connected_to_itself(d->socket.fd, &d->addrs[d->next - 1])))
        return ECONNREFUSED;
    return errnum;
}

static void on_connected(struct poller_source *src, unsigned events)
{
    struct dial *d = CONTAINER_OF(src, struct dial, socket);
    int fd = src->fd;
    int errnum = outcome(d, events & POLLER_ERROR);
    if (errnum != 0) {
        attempt_failed(d, errnum);
        end_attempt(d);
        try_next(d);
        return;
    }
    poller_remove(d->loop, src);
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
    if (poller_add(d->loop, &d->socket, fd) < 0) {
        (void)close(fd);
        return ENOMEM;
    }
    return 0;
}

static void on_dial_timer(uv_timer_t *t);

/* Begins the next attempt that does not fail at once. False: there is none left. */
static bool begin_next(struct dial *d)
{
    mtime_ms left = d->deadline - loop_now(d->loop);
    while (d->next < d->naddrs && left > 0) {
        mtime_ms share = left / (d->naddrs - d->next);
        int errnum = start_attempt(d);
        if (errnum == 0) {
            uv_timer_start(&d->timer, on_dial_timer, (uint64_t)(share > 0 ? share : 1), 0);
            return true;
        }
        attempt_failed(d, errnum);
    }
    return false;
}

static void try_next(struct dial *d)
{
    if (!begin_next(d))
        tell(d, d->err);
}

/* The time is up: of the resolver, or of an attempt. Or a dial has failed at its start. */
static void on_dial_timer(uv_timer_t *t)
{
    struct dial *d = t->data;
    if (d->resolving) {
        fail(d, ERR_TIMEOUT, _("the name could not be resolved in time"));
        tell(d, d->err);
        return;
    }
    if (d->socket.fd >= 0) {
        attempt_failed(d, ETIMEDOUT);
        end_attempt(d);
    }
    try_next(d);
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
static bool use_numeric(struct dial *d, const char *host, int port)
{
    struct sockaddr_storage *sa = &d->addrs[0];
    d->naddrs = uv_ip4_addr(host, port, (struct sockaddr_in *)sa) == 0 ||
                uv_ip6_addr(host, port, (struct sockaddr_in6 *)sa) == 0;
    return d->naddrs > 0;
}

/* Asks the resolver. An immediate failure is reported from the timer, not from dial_start(). */
static void resolve(struct dial *d, const char *host, int port)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    mtime_ms left = d->deadline - loop_now(d->loop);
    int r = uv_getaddrinfo(&d->loop->uv, &d->resolver, on_resolved, host, service, &hints);
    if (r < 0) {
        fail(d, r == UV_ENOMEM ? ERR_NOMEM : ERR_RESOLVE, uv_strerror(r));
        left = 0;
    } else {
        d->resolving = true;
        d->pending++;
    }
    uv_timer_start(&d->timer, on_dial_timer, (uint64_t)(left > 0 ? left : 0), 0);
}

int dial_start(struct loop *loop, const char *host, int port, int timeout_ms, dial_done_fn done,
               void *ctx, struct dial **ret)
{
    struct dial *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_NOMEM;
    d->loop = loop;
    d->done = done;
    d->ctx = ctx;
    d->socket = (struct poller_source){on_connected, -1};
    fail(d, ERR_TIMEOUT, strerror(ETIMEDOUT)); /* unless something else comes */
    d->deadline = loop_now(loop) + timeout_ms;
    d->resolver.data = d->timer.data = d;
    uv_timer_init(&loop->uv, &d->timer);
    d->pending = 1;
    if (!use_numeric(d, host, port))
        resolve(d, host, port);
    else if (!begin_next(d))
        uv_timer_start(&d->timer, on_dial_timer, 0, 0);
    *ret = d;
    return 0;
}
