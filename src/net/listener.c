/* SPDX-License-Identifier: MIT */
/* Listening sockets: batches, and a pause instead of a spin when accept() cannot go on. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/i18n.h"
#include "net/sock.h"

struct listener {
    struct loop *loop;
    const struct listener_events *ev;
    void *ctx;
    uv_poll_t poll;
    uv_timer_t timer; /* runs while paused because of an error, or because nobody may come */
    int fd;
    int closing; /* handles still closing; freed when it comes to 0 */
    int batch;
    bool for_users;
    bool paused;        /* by the owner */
    mtime_ms failed_at; /* the last failure of accept(), to know a new series from the old one */
    char address[SOCK_NAME_MAX];
    int port;
};

static void on_poll(uv_poll_t *h, int status, int events);

static void watch(struct listener *l)
{
    if (l->paused || uv_is_active((uv_handle_t *)&l->timer))
        uv_poll_stop(&l->poll);
    else
        uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

static void on_listener_timer(uv_timer_t *t)
{
    watch(t->data);
}

/* True for an error of the connection that was to be accepted: it has left the queue (accept(2)).
   All other errors would come again at once. */
static bool is_per_connection_error(int errnum)
{
    switch (errnum) {
    case ECONNABORTED:
    case EINTR:
    case EPERM: /* rejected by netfilter */
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
        return true;
    default:
        return false;
    }
}

static void rest(struct listener *l, mtime_ms ms)
{
    uv_timer_start(&l->timer, on_listener_timer, (uint64_t)ms, 0);
    watch(l);
}

static void pause_for(struct listener *l, int errnum)
{
    mtime_ms before = l->failed_at;
    l->failed_at = loop_now(l->loop);
    rest(l, LISTENER_PAUSE_MS);
    if (l->ev->on_pause && l->failed_at - before >= LISTENER_SERIES_MS)
        l->ev->on_pause(l->ctx, err_from_errno(errnum));
}

/* Accepts one connection. False: no more in this turn. */
static bool accept_one(struct listener *l)
{
    mtime_ms wait = l->ev->wait_before ? l->ev->wait_before(l->ctx) : 0;
    if (wait > 0) {
        rest(l, wait);
        return false;
    }
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && l->for_users && sock_is_dead(fd)) {
        (void)close(fd); /* a flood of these costs neither frames nor dials */
        return true;
    }
    if (fd >= 0) {
        l->ev->on_accept(l->ctx, fd, (struct sockaddr *)&sa);
        return true;
    }
    int errnum = errno;
    if (is_per_connection_error(errnum))
        return true;
    if (errnum != EAGAIN)
        pause_for(l, errnum);
    return false;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct listener *l = h->data;
    (void)events; /* an error shows in accept */
    for (int i = 0; i < l->batch; i++)
        if (l->fd < 0 || l->paused || !accept_one(l))
            break;
    if (status < 0 && l->fd >= 0) { /* an error of the socket: libuv has stopped watching */
        (void)sock_error(l->fd);    /* cleared, or the socket stays ready for ever */
        uv_timer_start(&l->timer, on_listener_timer, LISTENER_PAUSE_MS, 0);
    }
}

static void on_closed(uv_handle_t *h)
{
    struct listener *l = h->data;
    if (--l->closing == 0)
        free(l);
}

void listener_close(struct listener *l)
{
    if (!l)
        return;
    l->closing = 2;
    uv_close((uv_handle_t *)&l->poll, on_closed);
    uv_close((uv_handle_t *)&l->timer, on_closed);
    (void)close(l->fd);
    l->fd = -1;
}

void listener_pause(struct listener *l, bool paused)
{
    l->paused = paused;
    watch(l);
}

bool listener_has_waiting(const struct listener *l)
{
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

const char *listener_address(const struct listener *l)
{
    return l->address;
}

int listener_port(const struct listener *l)
{
    return l->port;
}

/* ---- opening ---- */

/* What the connections that fd will accept inherit: one call instead of thousands. And what is for
   fd itself. */
static void set_options(int fd, const struct listener_config *cfg)
{
    if (cfg->defer_accept_s > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &cfg->defer_accept_s,
                         sizeof cfg->defer_accept_s);
    sock_nodelay(fd);
    if (cfg->for_users) {
        sock_keepalive(fd);
        sock_abortive(fd, true);
    }
    if (cfg->unsent_max > 0)
        sock_unsent_max(fd, cfg->unsent_max);
}

/* A bound, listening socket on one address, or a negative errno. */
static int listen_on(const struct sockaddr *sa, socklen_t len, const struct listener_config *cfg)
{
    int one = 1, zero = 0;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (cfg->port != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sa->sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    set_options(fd, cfg);
    int errnum = bind(fd, sa, len) == 0 ? 0 : errno;
    /* Asked for before bind(), it makes the kernel look at half of the ports first: 2 ms each time, once these
       are taken. Connections of the port may linger all the same. */
    if (cfg->port == 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (errnum == 0 && listen(fd, cfg->backlog > 0 ? cfg->backlog : LISTENER_BACKLOG) < 0)
        errnum = errno;
    if (errnum == 0)
        return fd;
    (void)close(fd);
    return -errnum;
}

/* All addresses: IPv6 with IPv4 inside, or IPv4 alone where IPv6 is off. */
static int listen_on_all(const struct listener_config *cfg)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)cfg->port)};
    int fd = listen_on((struct sockaddr *)&in6, sizeof in6, cfg);
    if (fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL)
        return fd;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)cfg->port)};
    return listen_on((struct sockaddr *)&in, sizeof in, cfg);
}

/* *ret_fd is what listen_on() returned for the last address tried. 0 or ERR_RESOLVE. */
static int listen_on_host(const struct listener_config *cfg, int *ret_fd, struct errmsg *why)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    struct addrinfo *list;
    char port[8];
    (void)snprintf(port, sizeof port, "%d", cfg->port);
    int r = getaddrinfo(cfg->host, port, &hints, &list);
    if (r != 0)
        return errmsg_set(why, ERR_RESOLVE, _("the name does not resolve (%s)"), gai_strerror(r));
    int fd = -EADDRNOTAVAIL;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = listen_on(a->ai_addr, a->ai_addrlen, cfg);
    freeaddrinfo(list);
    *ret_fd = fd;
    return 0;
}

static void name_address(struct listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    memset(&sa, 0, sizeof sa);
    (void)getsockname(l->fd, (struct sockaddr *)&sa, &len); /* cannot fail on our own socket */
    sock_name(l->address, (struct sockaddr *)&sa);
    const char *colon = strrchr(l->address, ':');
    l->port = colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

/* A listener for fd, which is its from now on. 0 or ERR_NOMEM. */
static int begin(struct loop *loop, int fd, const struct listener_config *cfg,
                 const struct listener_events *ev, void *ctx, struct listener **ret,
                 struct errmsg *why)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l || uv_poll_init(&loop->uv, &l->poll, fd) < 0) {
        free(l);
        (void)close(fd);
        return errmsg_set(why, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    }
    uv_timer_init(&loop->uv, &l->timer);
    l->poll.data = l->timer.data = l;
    l->loop = loop;
    l->ev = ev;
    l->ctx = ctx;
    l->fd = fd;
    l->batch = cfg->batch > 0 ? cfg->batch : LISTENER_BATCH;
    l->for_users = cfg->for_users;
    l->failed_at = loop_now(loop) - LISTENER_SERIES_MS;
    name_address(l);
    watch(l);
    *ret = l;
    return 0;
}

/* What the failure means, with errno's word in brackets. Its ERR_*. */
static int no_listener(const struct listener_config *cfg, int errnum, struct errmsg *why)
{
    const char *text = NULL;
    if (errnum == EACCES && cfg->port < 1024)
        text = _("ports below 1024 need CAP_NET_BIND_SERVICE, or root");
    else if (errnum == EADDRINUSE)
        text = _("another program listens there, or this one runs already");
    else if (errnum == EADDRNOTAVAIL)
        text = _("this machine has no such address");
    if (text)
        return errmsg_set(why, err_from_errno(errnum), _("%s (%s)"), text, strerror(errnum));
    return errmsg_set(why, err_from_errno(errnum), "%s", errno_text(errnum));
}

int listener_open(struct loop *loop, const struct listener_config *cfg,
                  const struct listener_events *ev, void *ctx, struct listener **ret,
                  struct errmsg *why)
{
    bool all = !cfg->host || !*cfg->host;
    if (cfg->port < 0 || cfg->port > 65535)
        return errmsg_set(why, ERR_RANGE, _("port %d is not between 0 and 65535"), cfg->port);
    int fd = -1;
    if (all)
        fd = listen_on_all(cfg);
    else if (listen_on_host(cfg, &fd, why) < 0)
        return ERR_RESOLVE;
    if (fd < 0)
        return no_listener(cfg, -fd, why);
    return begin(loop, fd, cfg, ev, ctx, ret, why);
}

/* A number that the socket fd says of itself, -1 if it does not, or is no socket. */
static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool is_listening_tcp(int fd)
{
    int domain = option_of(fd, SO_DOMAIN);
    return (domain == AF_INET || domain == AF_INET6) && option_of(fd, SO_PROTOCOL) == IPPROTO_TCP &&
           option_of(fd, SO_ACCEPTCONN) == 1;
}

int listener_adopt(struct loop *loop, int fd, const struct listener_config *cfg,
                   const struct listener_events *ev, void *ctx, struct listener **ret,
                   struct errmsg *why)
{
    if (!is_listening_tcp(fd))
        return errmsg_set(why, ERR_INVAL, _("descriptor %d is not a listening TCP socket"), fd);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return errmsg_set(why, ERR_IO, "fcntl: %s", errno_text(errno));
    set_options(fd, cfg);
    return begin(loop, fd, cfg, ev, ctx, ret, why);
}
