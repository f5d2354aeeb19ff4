/* SPDX-License-Identifier: MIT */
/* One end of a pair of sockets; the other one is a relay's. */
#include "client/echo.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

/* The kernel's buffer for such a pair holds more than ECHO_BYTES: a write is never cut short. */
static void echo_on_ready(struct poller_source *source, unsigned events)
{
    struct echo *e = CONTAINER_OF(source, struct echo, source);
    char bytes[ECHO_BYTES];
    ssize_t n;
    (void)events;
    while (e->left > 0 && (n = recv(source->fd, bytes, e->left, 0)) > 0) {
        e->left -= (size_t)n;
        if (send(source->fd, bytes, (size_t)n, MSG_NOSIGNAL) < n)
            e->left = 0;
    }
}

int echo_begin(struct echo *e, struct relays *rs, struct session *session, struct smux_stream *st)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return err_from_errno(errno);
    *e = (struct echo){.loop = rs->loop, .source = {echo_on_ready, -1}, .left = ECHO_BYTES};
    struct relay *r = NULL;
    int err = poller_add(e->loop, &e->source, fds[0]);
    if (err == 0 && !(r = relay_new(rs, session, st)))
        err = ERR_NOMEM;
    if (err == 0) {
        relay_attach(r, fds[1]);
        return 0;
    }
    if (e->source.fd >= 0)
        poller_forget(e->loop, &e->source);
    (void)close(fds[0]); /* nothing was said */
    (void)close(fds[1]);
    e->loop = NULL;
    return err;
}

void echo_end(struct echo *e)
{
    if (!e->loop)
        return;
    int fd = e->source.fd;
    poller_forget(e->loop, &e->source);
    (void)close(fd); /* what matters was read */
    e->loop = NULL;
}
