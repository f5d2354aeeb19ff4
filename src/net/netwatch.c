/* SPDX-License-Identifier: MIT */
/* Watching the network and the machine's sleep. */
#include "net/netwatch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    NAP_MS = 1000,        /* a shorter sleep is no news */
    FAR_AWAY_S = 1 << 30, /* 34 years: the timer is never to fire, only to be cancelled */
};

/* How long the machine has slept since it was started: only one of the clocks counts it. */
static int64_t slept_ms(void)
{
    struct timespec with, without;
    if (clock_gettime(CLOCK_BOOTTIME, &with) < 0 || clock_gettime(CLOCK_MONOTONIC, &without) < 0)
        return 0;
    return (with.tv_sec - without.tv_sec) * 1000 + (with.tv_nsec - without.tv_nsec) / 1000000;
}

static void on_changes(struct poller_source *src, unsigned events)
{
    struct netwatch *nw = CONTAINER_OF(src, struct netwatch, changes);
    char drop[8192];
    if (!(events & POLLER_IN))
        return;
    /* Also ENOBUFS, some were lost, says that there were some. */
    while (recv(src->fd, drop, sizeof drop, MSG_DONTWAIT) > 0)
        continue;
    nw->on_change(nw->ctx, false);
}

/* Waking up is a jump of the real-time clock, which cancels the timer (timerfd_create(2)). */
static bool arm_clock(int fd)
{
    struct itimerspec far = {.it_value = {.tv_sec = time(NULL) + FAR_AWAY_S}};
    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) == 0;
}

static void on_clock(struct poller_source *src, unsigned events)
{
    struct netwatch *nw = CONTAINER_OF(src, struct netwatch, clock);
    uint64_t ticks;
    int64_t before = nw->asleep_ms;
    if (!(events & POLLER_IN))
        return;
    (void)!read(src->fd, &ticks, sizeof ticks);
    (void)arm_clock(src->fd);
    nw->asleep_ms = slept_ms();
    if (nw->asleep_ms - before >= NAP_MS)
        nw->on_change(nw->ctx, true);
}

static void watch(struct netwatch *nw, struct poller_source *src, int fd)
{
    if (fd >= 0 && poller_add(nw->loop, src, fd) < 0)
        (void)close(fd);
}

static int open_changes(void)
{
    struct sockaddr_nl want = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                     RTMGRP_IPV6_ROUTE,
    };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&want, sizeof want) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int open_clock(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd >= 0 && !arm_clock(fd)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

void netwatch_start(struct netwatch *nw, struct loop *loop, void (*on_change)(void *ctx, bool woke),
                    void *ctx)
{
    *nw = (struct netwatch){.loop = loop,
                            .changes = {on_changes, -1},
                            .clock = {on_clock, -1},
                            .asleep_ms = slept_ms(),
                            .on_change = on_change,
                            .ctx = ctx};
    watch(nw, &nw->changes, open_changes());
    watch(nw, &nw->clock, open_clock());
}

static void unwatch(struct netwatch *nw, struct poller_source *src)
{
    int fd = src->fd;
    if (fd < 0)
        return;
    poller_forget(nw->loop, src);
    (void)close(fd);
}

void netwatch_stop(struct netwatch *nw)
{
    if (!nw->loop)
        return;
    unwatch(nw, &nw->changes);
    unwatch(nw, &nw->clock);
}
