/* SPDX-License-Identifier: MIT */
/*
 * The hands of proto/path: sockets, the resolver and one timer. What happens is told to the path,
 * and then dial_run() does what it says until there is nothing to do. Every result is told from a
 * callback of the loop (timer, socket, resolver), never from inside dial_start().
 */
#include "net/dialer.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/sock.h"

struct dial_socket {
    struct poller_source source; /* fd -1: none */
    struct dial *dial;
    mtime_ms started;
};

struct dial {
    struct loop *loop;
    dial_done_fn done; /* NULL once it was called, or the dial was cancelled */
    dial_note_fn note;
    dial_resolved_fn resolved;
    mtime_ms note_at; /* not before */
    int noted;        /* weight of what was told last */
    void *ctx;
    struct path path;
    struct path_memory own_memory;
    struct dial_socket sockets[PATH_SOCKETS];
    uv_getaddrinfo_t resolver;
    uv_timer_t timer;
    bool small_mss;
    bool starting;  /* inside dial_start(): nothing may be told yet */
    bool resolving; /* the resolver has our request */
    int pending;    /* handles and requests that still refer to this memory */
    int port;
    struct dial_result telling; /* the failure that tells most so far */
    mtime_ms unix_end;          /* of a unix socket: given up then */
    bool is_unix;               /* host is its path */
    char host[];                /* "": none */
};

static void dial_run(struct dial *d);
static void on_dial_timer(uv_timer_t *t);

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

static void drop_socket(struct dial *d, unsigned slot)
{
    int fd = d->sockets[slot].source.fd;
    if (fd < 0)
        return;
    poller_forget(d->loop, &d->sockets[slot].source);
    (void)close(fd);
}

/* Lets go of everything but the socket that is kept; memory goes when libuv has. */
static void finish(struct dial *d, const struct dial_socket *kept)
{
    d->done = NULL;
    for (unsigned i = 0; i < PATH_SOCKETS; i++)
        if (&d->sockets[i] != kept)
            drop_socket(d, i);
    if (d->resolving)
        (void)uv_cancel((uv_req_t *)&d->resolver); /* fails if it is being served: it may end */
    uv_close((uv_handle_t *)&d->timer, on_dial_timer_closed);
}

void dial_cancel(struct dial *d)
{
    if (d && d->done)
        finish(d, NULL);
}

static void tell(struct dial *d, struct dial_result *r, struct dial_socket *connected)
{
    dial_done_fn done = d->done;
    finish(d, connected);
    done(d->ctx, r);
    if (connected) /* unless it was taken */
        drop_socket(d, (unsigned)(connected - d->sockets));
}

/* ---- results ---- */

int dial_take_fd(struct dial_result *r)
{
    poller_remove(r->loop, r->socket);
    return r->fd;
}

int dial_take_source(struct dial_result *r, struct poller_source *to)
{
    return poller_pass(r->loop, r->socket, to);
}

/* How much a failure says: our own shortage makes all others meaningless; a host that answers says
   more than a network that does not; a family that this machine does not have says least. */
static int weight(int errnum)
{
    switch (errnum) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return 6;
    case ECONNREFUSED:
    case ECONNRESET:
        return 5;
    case ETIMEDOUT:
        return 3;
    case ENETUNREACH:
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
        return 2;
    case 0: /* no address was known yet, or the resolver's word */
        return 0;
    default:
        return errnum < 0 ? 1 : 4;
    }
}

/* Keeps the failure, if it says as much as the one before. */
static void note_failure(struct dial *d, const struct address *at, int errnum)
{
    if (weight(errnum) < weight(d->telling.errnum))
        return;
    d->telling.errnum = errnum;
    d->telling.address = at ? *at : (struct address){.family = ADDRESS_NONE};
    if (errnum < 0)
        d->telling.err = errnum == UV_ENOMEM ? ERR_NOMEM : ERR_RESOLVE;
    else
        d->telling.err = err_from_errno(errnum);
}

/* Nothing is left, or the time is over: what still was on its way has timed out. */
static void give_up(struct dial *d)
{
    if (d->starting) {
        uv_timer_start(&d->timer, on_dial_timer, 0, 0);
        return;
    }
    for (unsigned i = 0; i < PATH_SOCKETS; i++)
        if (d->sockets[i].source.fd >= 0)
            note_failure(d, path_address_of(&d->path, i), ETIMEDOUT);
    if (d->telling.errnum == 0 && !d->resolving)
        note_failure(d, NULL, ETIMEDOUT); /* there was no time at all */
    struct dial_result r = d->telling;
    tell(d, &r, NULL);
}

/* ---- sockets ---- */

/* Dialling a free port of this machine can give it to the dialling socket itself, which then finds
   "somebody" there: TCP's simultaneous open. */
static bool is_connected_to_itself(int fd, const struct address *target)
{
    struct address own = sock_own_address(fd);
    return address_equal(&own, target);
}

/* 0 if the socket is connected, or its errno. */
static int outcome(int fd, const struct address *target, bool failed)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        return errno;
    if (errnum == 0 && (failed || is_connected_to_itself(fd, target)))
        return ECONNREFUSED;
    return errnum;
}

static void on_socket(struct poller_source *src, unsigned events)
{
    struct dial_socket *s = CONTAINER_OF(src, struct dial_socket, source);
    struct dial *d = s->dial;
    unsigned slot = (unsigned)(s - d->sockets);
    struct address at = *path_address_of(&d->path, slot);
    int errnum = outcome(src->fd, &at, events & POLLER_ERROR);
    if (errnum != 0) {
        note_failure(d, &at, errnum);
        drop_socket(d, slot);
        path_lost(&d->path, slot, loop_now(d->loop));
        dial_run(d);
        return;
    }
    sock_nodelay(src->fd);
    struct dial_result r = {.address = at,
                            .connect_ms = loop_now(d->loop) - s->started,
                            .fd = src->fd,
                            .loop = d->loop,
                            .socket = src};
    tell(d, &r, s);
}

/* Begins to connect. 0, or an errno. */
static int start_socket(struct dial *d, unsigned slot, const struct address *a)
{
    struct dial_socket *s = &d->sockets[slot];
    struct sockaddr_storage sa;
    socklen_t len = sock_sockaddr(&sa, a);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (d->small_mss)
        sock_max_segment(fd, DIAL_SMALL_MSS);
    int errnum = 0;
    if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS)
        errnum = errno;
    else if (poller_add(d->loop, &s->source, fd) < 0)
        errnum = ENOMEM;
    if (errnum != 0)
        (void)close(fd);
    s->started = loop_now(d->loop);
    return errnum;
}

/* ---- resolving ---- */

/* How many addresses of a family the resolver has found. */
static unsigned count_family(const struct addrinfo *list, int family)
{
    unsigned n = 0;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        n += a->ai_family == family;
    return n;
}

/* The first PATH_ADDRESSES of what was found, in its order; where there are more, each family has
   half of the places at least: many dead addresses of one must not hide the only one of the other. */
static unsigned take_addresses(const struct addrinfo *list, struct address found[PATH_ADDRESSES])
{
    unsigned n = 0, taken[2] = {0, 0},
             all[2] = {count_family(list, AF_INET), count_family(list, AF_INET6)};
    for (const struct addrinfo *a = list; a && n < PATH_ADDRESSES; a = a->ai_next) {
        int me = a->ai_family == AF_INET6;
        unsigned others = all[!me] < PATH_ADDRESSES / 2 ? all[!me] : PATH_ADDRESSES / 2;
        if (taken[me] >= PATH_ADDRESSES - others)
            continue;
        found[n] = sock_address(a->ai_addr);
        if (found[n].family == ADDRESS_NONE)
            continue;
        n++;
        taken[me]++;
    }
    return n;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dial *d = req->data;
    struct address found[PATH_ADDRESSES];
    unsigned n = take_addresses(list, found);
    uv_freeaddrinfo(list);
    d->resolving = false;
    if (d->done) {
        if (n == 0)
            note_failure(d, NULL, status < 0 ? status : UV_EAI_NODATA);
        if (n > 0 && d->resolved)
            d->resolved(d->ctx, found, n);
        path_resolved(&d->path, found, n);
        dial_run(d);
    }
    unref(d);
}

/* Asks the resolver; one request at a time. */
static void resolve(struct dial *d)
{
    char service[8];
    (void)snprintf(service, sizeof service, "%d", d->port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int r = uv_getaddrinfo(&d->loop->uv, &d->resolver, on_resolved, d->host, service, &hints);
    if (r < 0) { /* it does not even look it up */
        note_failure(d, NULL, r);
        path_resolved(&d->path, NULL, 0);
        return;
    }
    d->resolving = true;
    d->pending++;
}

/* ---- unix sockets ---- */

/* 0, and *ret_fd is connected; or an errno. It does not wait: a full queue is EAGAIN. */
static int connect_unix(const char *path, int *ret_fd)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof at.sun_path)
        return ENAMETOOLONG;
    memcpy(at.sun_path, path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        int errnum = errno;
        (void)close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

/* Nobody may use d after this. */
static void unix_run(struct dial *d)
{
    struct dial_socket *s = &d->sockets[0];
    int fd = -1, errnum = connect_unix(d->host, &fd);
    if (errnum == EAGAIN && loop_now(d->loop) < d->unix_end) {
        uv_timer_start(&d->timer, on_dial_timer, DIAL_UNIX_AGAIN_MS, 0);
        return;
    }
    if (errnum == 0 && poller_add(d->loop, &s->source, fd) < 0) {
        (void)close(fd);
        errnum = ENOMEM;
    }
    d->telling.errnum = errnum;
    d->telling.err = errnum == EAGAIN ? ERR_TIMEOUT : err_from_errno(errnum);
    struct dial_result r = {.fd = fd, .loop = d->loop, .socket = &s->source};
    if (errnum != 0)
        r = d->telling;
    tell(d, &r, errnum == 0 ? s : NULL);
}

/* ---- the search ---- */

static void on_dial_timer(uv_timer_t *t)
{
    struct dial *d = t->data;
    if (d->is_unix)
        unix_run(d);
    else
        dial_run(d);
}

/* Why it takes so long, if there is something new; until: the time to look again. */
static void note_why(struct dial *d, mtime_ms now, mtime_ms *until)
{
    if (!d->note || d->starting || weight(d->telling.errnum) <= d->noted)
        return;
    if (now < d->note_at) {
        *until = d->note_at < *until ? d->note_at : *until;
        return;
    }
    d->noted = weight(d->telling.errnum);
    d->note(d->ctx, &d->telling);
}

/* Does what the path says. Nobody may use d after this. */
static void dial_run(struct dial *d)
{
    for (;;) {
        struct path_step step;
        mtime_ms now = loop_now(d->loop);
        path_next(&d->path, now, &step);
        switch (step.what) {
        case PATH_START: {
            int errnum = start_socket(d, step.slot, &step.address);
            if (errnum != 0) {
                note_failure(d, &step.address, errnum);
                path_lost(&d->path, step.slot, now);
            }
            break;
        }
        case PATH_DROP:
            drop_socket(d, step.slot);
            break;
        case PATH_RESOLVE:
            resolve(d);
            break;
        case PATH_WAIT:
            note_why(d, now, &step.at);
            uv_timer_start(&d->timer, on_dial_timer, (uint64_t)(step.at - now), 0);
            return;
        case PATH_GIVE_UP:
            give_up(d);
            return;
        }
    }
}

bool dial_is_from(const struct dial *d, const struct address *own)
{
    for (unsigned i = 0; i < PATH_SOCKETS; i++) {
        int fd = d->sockets[i].source.fd;
        struct address mine =
            fd < 0 ? (struct address){.family = ADDRESS_NONE} : sock_own_address(fd);
        if (address_equal(&mine, own))
            return true;
    }
    return false;
}

void dial_hurry(struct dial *d, mtime_ms at)
{
    if (d->is_unix)
        return; /* it is tried often enough */
    path_hurry(&d->path, at);
    uv_timer_start(&d->timer, on_dial_timer, 0, 0);
}

/* What the search knows at its start. */
static void set_out(struct dial *d, const struct dial_config *cfg)
{
    mtime_ms now = loop_now(d->loop);
    struct address numeric;
    bool is_numeric = cfg->host && sock_numeric(cfg->host, cfg->port, &numeric);
    struct path_config path = {.memory = cfg->memory ? cfg->memory : &d->own_memory,
                               .patience_ms = cfg->patience_ms,
                               .resolve = cfg->host && !is_numeric,
                               .renew = cfg->renew,
                               .rtt_ms = cfg->rtt_ms,
                               .last_start = cfg->last_start};
    path_begin(&d->path, &path, now);
    for (unsigned i = 0; i < cfg->n_extra; i++)
        path_add(&d->path, &cfg->extra[i]);
    if (is_numeric)
        path_add(&d->path, &numeric);
}

int dial_start(struct loop *loop, const struct dial_config *cfg, dial_done_fn done, void *ctx,
               struct dial **ret)
{
    const char *host = cfg->unix_path ? cfg->unix_path : cfg->host;
    size_t n = host ? strlen(host) : 0;
    struct dial *d = calloc(1, sizeof *d + n + 1);
    if (!d)
        return ERR_NOMEM;
    d->loop = loop;
    d->done = done;
    d->ctx = ctx;
    d->note = cfg->note;
    d->resolved = cfg->resolved;
    d->note_at = loop_now(loop) + DIAL_NOTE_MS;
    d->small_mss = cfg->small_mss;
    d->port = cfg->port;
    if (n > 0)
        memcpy(d->host, host, n);
    d->is_unix = cfg->unix_path;
    d->telling = (struct dial_result){.err = ERR_TIMEOUT, /* unless there is more */
                                      .host = d->host,
                                      .is_unix = d->is_unix,
                                      .fd = -1};
    for (unsigned i = 0; i < PATH_SOCKETS; i++)
        d->sockets[i] = (struct dial_socket){.source = {on_socket, -1}, .dial = d};
    d->resolver.data = d->timer.data = d;
    uv_timer_init(&loop->uv, &d->timer);
    d->pending = 1;
    *ret = d;
    if (d->is_unix) {
        d->unix_end = loop_now(loop) + cfg->patience_ms;
        uv_timer_start(&d->timer, on_dial_timer, 0, 0);
        return 0;
    }
    set_out(d, cfg);
    d->starting = true;
    dial_run(d);
    d->starting = false;
    return 0;
}
