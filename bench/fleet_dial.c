/* SPDX-License-Identifier: MIT */
/* A connection to the loopback, from an address of choice there. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/fleet.h"
#include "net/sock.h"

struct fleet_dial {
    uv_poll_t poll;
    uv_timer_t timer;
    int fd; /* -1: passed on, or closed */
    int closing;
    fleet_dial_done done;
    void *ctx;
};

static void on_closed(uv_handle_t *h)
{
    struct fleet_dial *d = h->data;
    if (--d->closing > 0)
        return;
    if (d->fd >= 0)
        (void)close(d->fd);
    free(d);
}

static void end(struct fleet_dial *d)
{
    d->closing = 2;
    uv_close((uv_handle_t *)&d->poll, on_closed);
    uv_close((uv_handle_t *)&d->timer, on_closed);
}

static void finish(struct fleet_dial *d, int err)
{
    int fd = d->fd;
    uv_poll_stop(&d->poll);
    if (err == 0)
        d->fd = -1;
    end(d);
    d->done(d->ctx, err == 0 ? fd : err);
}

static void on_connected(uv_poll_t *h, int status, int events)
{
    struct fleet_dial *d = h->data;
    (void)events;
    int errnum = status < 0 ? EIO : sock_error(d->fd);
    finish(d, errnum == 0 ? 0 : err_from_errno(errnum));
}

static void on_patience(uv_timer_t *t)
{
    finish(t->data, ERR_TIMEOUT);
}

/* A socket that connects, or a negative ERR_*. */
static int connecting(int port, int source)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + ((uint32_t)source << 8));
    sock_nodelay(fd);
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    bool bound = source == 0 || bind(fd, (struct sockaddr *)&from, sizeof from) == 0;
    if (bound && (connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS))
        return fd;
    int errnum = errno;
    (void)close(fd);
    return err_from_errno(errnum);
}

int fleet_dial_start(struct loop *loop, int port, int source, mtime_ms patience_ms,
                     fleet_dial_done done, void *ctx, struct fleet_dial **ret)
{
    int fd = connecting(port, source);
    if (fd < 0)
        return fd;
    struct fleet_dial *d = calloc(1, sizeof *d);
    if (!d || uv_poll_init(&loop->uv, &d->poll, fd) < 0) {
        free(d);
        (void)close(fd);
        return ERR_NOMEM;
    }
    uv_timer_init(&loop->uv, &d->timer);
    d->poll.data = d->timer.data = d;
    d->fd = fd;
    d->done = done;
    d->ctx = ctx;
    uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
    uv_timer_start(&d->timer, on_patience, (uint64_t)patience_ms, 0);
    *ret = d;
    return 0;
}

void fleet_dial_cancel(struct fleet_dial *d)
{
    if (!d)
        return;
    uv_poll_stop(&d->poll);
    end(d);
}
