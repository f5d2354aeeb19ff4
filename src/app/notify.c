/* SPDX-License-Identifier: MIT */
/* Datagrams for the service manager. Each has the whole state, so a lost one is made good by the
   next. */
#include "app/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/utf8.h"

enum {
    /* The manager's own clock begins at the datagram, and the end itself takes a moment. */
    STOP_SLACK_MS = 10000,
};

bool notify_is_wanted(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    return path && *path;
}

/* ---- the environment ---- */

/* A path, or @ and a name in the abstract space. The length of *ret, or a negative errno. */
static int parse_address(struct sockaddr_un *ret, const char *path)
{
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len < 2)
        return -EINVAL;
    if (len >= sizeof ret->sun_path)
        return -ENAMETOOLONG;
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, len);
    if (path[0] == '@')
        ret->sun_path[0] = '\0';
    return (int)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
}

/* Connected once and for all: a program that has shut itself in can still use it. The descriptor,
   or a negative errno. */
static int open_socket(const char *path)
{
    struct sockaddr_un to;
    int len = parse_address(&to, path);
    if (len < 0)
        return len;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&to, (socklen_t)len) == 0)
        return fd;
    int errnum = errno;
    (void)close(fd);
    return -errnum;
}

/* A positive number that fills the variable; 0: none. */
static unsigned long long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return *end || errno ? 0 : value;
}

/* WATCHDOG_PID, where it is there, says for whom the time is meant. */
static mtime_ms watchdog_of_environment(void)
{
    unsigned long long pid = number_of("WATCHDOG_PID"), us = number_of("WATCHDOG_USEC");
    if (getenv("WATCHDOG_PID") && pid != (unsigned long long)getpid())
        return 0;
    return us < 1000 || us > INT64_MAX ? 0 : (mtime_ms)(us / 1000);
}

void notify_init_silent(struct notify *n)
{
    *n = (struct notify){.fd = -1};
}

void notify_init(struct notify *n)
{
    notify_init_silent(n);
    if (!notify_is_wanted())
        return;
    const char *path = getenv("NOTIFY_SOCKET");
    int fd = open_socket(path);
    if (fd < 0) {
        event_manager_unreachable(path, errno_text(-fd));
        return;
    }
    n->fd = fd;
    n->watchdog_ms = watchdog_of_environment();
}

/* ---- datagrams ---- */

/* True when it was taken. The first failure of a series is a line. */
static bool notify_send(struct notify *n, const char *text)
{
    bool was_unsent = n->unsent;
    n->unsent = send(n->fd, text, strlen(text), MSG_NOSIGNAL) < 0;
    if (n->unsent && !was_unsent)
        event_manager_unreachable(getenv("NOTIFY_SOCKET"), errno_text(errno));
    return !n->unsent;
}

static void send_state(struct notify *n)
{
    char stop[96] = "", text[NOTIFY_STATUS_MAX + 128];
    if (n->fd < 0)
        return;
    if (n->is_stopping)
        (void)snprintf(stop, sizeof stop, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n",
                       1000LL * (n->stop_ms + STOP_SLACK_MS)); /* fits */
    (void)snprintf(text, sizeof text, "%s%s%s%s\n", n->is_ready ? "READY=1\n" : "", stop,
                   *n->status ? "STATUS=" : "", n->status); /* fits */
    (void)notify_send(n, text);                             /* the next beat tries again */
}

/* One line, and no half of a character at the end: the manager would take neither. */
static void tidy(char *text)
{
    uint32_t c;
    size_t left = strlen(text), n;
    for (; left > 0 && (n = utf8_get(&c, text, left)) > 0; text += n, left -= n)
        if (c < ' ')
            *text = ' ';
    *text = '\0';
}

void notify_status(struct notify *n, const char *fmt, ...)
{
    char text[NOTIFY_STATUS_MAX];
    va_list ap;
    if (n->fd < 0)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* cut on purpose */
    va_end(ap);
    tidy(text);
    if (strcmp(text, n->status) == 0 && !n->unsent)
        return;
    memcpy(n->status, text, sizeof text);
    send_state(n);
}

void notify_ready(struct notify *n)
{
    if (n->is_ready)
        return;
    n->is_ready = true;
    send_state(n);
}

void notify_alive(struct notify *n)
{
    if (n->fd < 0)
        return;
    if (n->unsent)
        send_state(n);
    if (!n->unsent && n->watchdog_ms > 0)
        (void)notify_send(n, "WATCHDOG=1\n"); /* the next beat tries again */
}

void notify_stopping(struct notify *n, mtime_ms stop_ms)
{
    if (n->is_stopping)
        return;
    n->is_stopping = true;
    n->stop_ms = stop_ms;
    send_state(n);
}

/* ---- beats ---- */

static void notify_on_beat(uv_timer_t *t)
{
    struct notify *n = t->data;
    n->on_beat(n->ctx);
}

void notify_begin(struct notify *n, struct loop *loop, void (*on_beat)(void *ctx), void *ctx)
{
    if (n->fd < 0)
        return;
    mtime_ms period = n->watchdog_ms / NOTIFY_BEATS_PER_TIME;
    if (n->watchdog_ms == 0 || period > NOTIFY_BEAT_MS)
        period = NOTIFY_BEAT_MS;
    n->on_beat = on_beat;
    n->ctx = ctx;
    n->is_beating = true;
    uv_timer_init(&loop->uv, &n->beat);
    n->beat.data = n;
    uv_timer_start(&n->beat, notify_on_beat, 0, (uint64_t)(period > 0 ? period : 1));
}

void notify_end(struct notify *n)
{
    if (!n->is_beating)
        return;
    n->is_beating = false;
    uv_close((uv_handle_t *)&n->beat, NULL);
}

void notify_fini(struct notify *n)
{
    if (n->fd >= 0)
        (void)close(n->fd); /* nothing waits in it */
    n->fd = -1;
}
