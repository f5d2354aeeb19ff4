/* SPDX-License-Identifier: MIT */
/* One epoll set a loop. */
#include "net/poller.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/err.h"
#include "net/loop.h"

static unsigned events_of(uint32_t e)
{
    unsigned events = 0;
    if (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        events |= POLLER_IN;
    if (e & EPOLLOUT)
        events |= POLLER_OUT;
    if (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        events |= POLLER_HUP;
    if (e & EPOLLERR)
        events |= POLLER_ERROR;
    return events;
}

static void on_poll(uv_poll_t *h, int status, int unused)
{
    struct poller *p = h->data;
    struct epoll_event ready[POLLER_BATCH];
    (void)status, (void)unused; /* an epoll set is readable, and nothing else */
    int n = epoll_wait(p->fd, ready, POLLER_BATCH, 0);
    for (int i = 0; i < n; i++) {
        struct poller_source *src = ready[i].data.ptr;
        if (src->fd >= 0)
            src->on_ready(src, events_of(ready[i].events));
    }
}

int poller_init(struct loop *l)
{
    struct poller *p = &l->poller;
    p->sources = 0;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return err_from_errno(errno);
    int r = uv_poll_init(&l->uv, &p->poll, p->fd);
    if (r < 0) {
        (void)close(p->fd);
        return err_from_errno(-r);
    }
    p->poll.data = p;
    uv_poll_start(&p->poll, UV_READABLE, on_poll);
    uv_unref((uv_handle_t *)&p->poll); /* without sources it must not keep the loop running */
    return 0;
}

void poller_fini(struct loop *l)
{
    uv_close((uv_handle_t *)&l->poller.poll, NULL);
    (void)close(l->poller.fd);
}

/* Everything, for this owner. */
static struct epoll_event event_for(struct poller_source *src)
{
    return (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = src};
}

int poller_add(struct loop *l, struct poller_source *src, int fd)
{
    struct epoll_event e = event_for(src);
    if (epoll_ctl(l->poller.fd, EPOLL_CTL_ADD, fd, &e) < 0)
        return errno == ENOSPC ? ERR_LIMIT : err_from_errno(errno);
    src->fd = fd;
    if (l->poller.sources++ == 0)
        uv_ref((uv_handle_t *)&l->poller.poll);
    return 0;
}

void poller_forget(struct loop *l, struct poller_source *src)
{
    if (src->fd < 0)
        return;
    src->fd = -1;
    if (--l->poller.sources == 0)
        uv_unref((uv_handle_t *)&l->poller.poll);
}

void poller_remove(struct loop *l, struct poller_source *src)
{
    struct epoll_event unused = {0};
    if (src->fd >= 0)
        (void)epoll_ctl(l->poller.fd, EPOLL_CTL_DEL, src->fd, &unused); /* it is in the set */
    poller_forget(l, src);
}

int poller_pass(struct loop *l, struct poller_source *from, struct poller_source *to)
{
    struct epoll_event e = event_for(to); /* a change tells what is ready, as entering does */
    if (epoll_ctl(l->poller.fd, EPOLL_CTL_MOD, from->fd, &e) < 0)
        return err_from_errno(errno);
    to->fd = from->fd;
    from->fd = -1;
    return 0;
}
