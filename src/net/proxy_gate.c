/* SPDX-License-Identifier: MIT */
/* Connections of balancers that wait for their PROXY header. */
#include "net/proxy_gate.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/address.h"
#include "base/err.h"
#include "net/sock.h"
#include "proto/proxy_header.h"

/* One connection that waits. */
struct proxy_waiter {
    struct proxy_gate *gate;
    struct poller_source socket;
    struct admission_entry place;
    struct list node; /* in gate->waiters, then in gate->gone */
    mtime_ms since;
    size_t need; /* looked at again when so many bytes are there */
    struct address balancer;
    char source[SOCK_NAME_MAX];
};

struct proxy_gate {
    struct loop *loop;
    struct proxy_gate_config cfg;
    const struct proxy_gate_events *ev;
    void *ctx;
    uv_timer_t timer;        /* runs while somebody waits: for the oldest */
    struct admission places; /* of all waiters */
    struct list waiters;     /* the oldest first */
    unsigned count;
    struct list gone;     /* their sources may still be named in this turn's events */
    struct loop_job bury; /* frees them */
};

/* There is one. */
static struct proxy_waiter *oldest(struct proxy_gate *g)
{
    return LIST_ENTRY(g->waiters.next, struct proxy_waiter, node);
}

/* ---- a header ---- */

enum what { WAITS, PASSES, ENDS };

struct finding {
    enum what what;
    enum proxy_gate_end why; /* ENDS */
    size_t need;             /* WAITS: until so many bytes are there */
    struct address source;   /* PASSES; the header is out of the socket */
};

static struct finding ends(enum proxy_gate_end why)
{
    return (struct finding){.what = ENDS, .why = why};
}

static struct finding look_at(int fd)
{
    uint8_t bytes[PROXY_HEADER_MAX];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    bool over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    struct proxy_header_look look = proxy_header_look(bytes, n > 0 ? (size_t)n : 0);
    switch (look.verdict) {
    case PROXY_HEADER_NOT:
        return ends(proxy_header_is_begun(bytes, (size_t)n) ? PROXY_GATE_BROKEN : PROXY_GATE_NOT);
    case PROXY_HEADER_MORE:
        if (over)
            return ends(PROXY_GATE_LEFT);
        return (struct finding){.what = WAITS, .need = look.need};
    case PROXY_HEADER_WHOLE:
        break;
    }
    n = recv(fd, bytes, look.length, MSG_DONTWAIT); /* they are there */
    if (n < 0 || (size_t)n != look.length)
        return ends(PROXY_GATE_LEFT);
    return (struct finding){.what = PASSES, .source = look.source};
}

/* Hands fd, whose header is read, on. */
static void hand_on(struct proxy_gate *g, int fd, const struct address *source,
                    const struct address *balancer)
{
    struct sockaddr_storage sa;
    bool is_named = source->family != ADDRESS_NONE;
    (void)sock_sockaddr(&sa, is_named ? source : balancer);
    g->ev->on_pass(g->ctx, fd, (struct sockaddr *)&sa);
}

/* ---- leaving ---- */

static void proxy_gate_bury(struct loop_job *job)
{
    struct proxy_gate *g = CONTAINER_OF(job, struct proxy_gate, bury);
    while (!list_empty(&g->gone)) {
        struct proxy_waiter *w = LIST_ENTRY(g->gone.next, struct proxy_waiter, node);
        list_del(&w->node);
        free(w);
    }
}

/* It waits no more; its memory is there until the end of the turn. */
static void leave(struct proxy_waiter *w)
{
    struct proxy_gate *g = w->gate;
    admission_remove(&g->places, &w->place);
    list_move(&g->gone, &w->node);
    g->count--;
    loop_defer(g->loop, &g->bury);
    if (g->count == 0)
        uv_timer_stop(&g->timer);
}

static void end(struct proxy_waiter *w, enum proxy_gate_end why)
{
    struct sockaddr_storage sa;
    int fd = w->socket.fd;
    (void)sock_sockaddr(&sa, &w->balancer);
    poller_forget(w->gate->loop, &w->socket);
    (void)close(fd);
    leave(w);
    w->gate->ev->on_end(w->gate->ctx, why, (struct sockaddr *)&sa);
}

static void pass(struct proxy_waiter *w, const struct address *source)
{
    int fd = w->socket.fd;
    poller_remove(w->gate->loop, &w->socket);
    sock_wake_at(fd, 1);
    leave(w);
    hand_on(w->gate, fd, source, &w->balancer);
}

/* ---- waiting ---- */

static void proxy_waiter_on_ready(struct poller_source *src, unsigned events)
{
    struct proxy_waiter *w = CONTAINER_OF(src, struct proxy_waiter, socket);
    if (!(events & POLLER_IN))
        return;
    struct finding f = look_at(src->fd);
    switch (f.what) {
    case PASSES:
        pass(w, &f.source);
        break;
    case ENDS:
        end(w, f.why);
        break;
    case WAITS:
        if (events & POLLER_HUP) {
            end(w, PROXY_GATE_LEFT);
        } else if (f.need != w->need) {
            w->need = f.need;
            sock_wake_at(src->fd, f.need); /* and an event follows if they are there meanwhile */
        }
        break;
    }
}

static void proxy_gate_on_timer(uv_timer_t *t);

static void await_oldest(struct proxy_gate *g)
{
    if (g->count == 0)
        return;
    mtime_ms left = oldest(g)->since + g->cfg.patience_ms - loop_now(g->loop);
    uv_timer_start(&g->timer, proxy_gate_on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

static void proxy_gate_on_timer(uv_timer_t *t)
{
    struct proxy_gate *g = t->data;
    while (g->count > 0 && oldest(g)->since + g->cfg.patience_ms <= loop_now(g->loop))
        end(oldest(g), PROXY_GATE_LATE);
    await_oldest(g);
}

/* 0: it waits. Negative: no memory. */
static int wait_at(struct proxy_gate *g, int fd, const struct sockaddr *balancer, size_t need)
{
    struct proxy_waiter *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->gate = g;
    w->since = loop_now(g->loop);
    w->need = need;
    w->balancer = sock_address(balancer);
    w->socket.on_ready = proxy_waiter_on_ready;
    sock_source(w->source, balancer);
    sock_wake_at(fd, need);
    int err = poller_add(g->loop, &w->socket, fd); /* tells too of what has come since the look */
    if (err < 0) {
        free(w);
        return err;
    }
    struct admission_entry *victim = admission_add(&g->places, &w->place, w->source);
    list_push(&g->waiters, &w->node);
    if (++g->count == 1)
        await_oldest(g);
    if (victim)
        end(CONTAINER_OF(victim, struct proxy_waiter, place), PROXY_GATE_CROWDED);
    return 0;
}

void proxy_gate_enter(struct proxy_gate *g, int fd, const struct sockaddr *balancer)
{
    struct finding f = look_at(fd);
    if (f.what == PASSES) {
        struct address b = sock_address(balancer);
        hand_on(g, fd, &f.source, &b);
        return;
    }
    if (f.what == WAITS) {
        if (wait_at(g, fd, balancer, f.need) == 0)
            return;
        f = ends(PROXY_GATE_CROWDED);
    }
    (void)close(fd);
    g->ev->on_end(g->ctx, f.why, balancer);
}

unsigned proxy_gate_waiting(const struct proxy_gate *g)
{
    return g->count;
}

/* ---- life ---- */

int proxy_gate_open(struct loop *loop, const struct proxy_gate_config *cfg,
                    const struct proxy_gate_events *ev, void *ctx, struct proxy_gate **ret)
{
    struct proxy_gate *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    unsigned max = cfg->max < PROXY_GATE_MIN ? PROXY_GATE_MIN : cfg->max;
    g->loop = loop;
    g->cfg = *cfg;
    g->ev = ev;
    g->ctx = ctx;
    admission_init(&g->places, NULL);
    admission_limit(&g->places, max, max);
    list_init(&g->waiters);
    list_init(&g->gone);
    loop_job_init(&g->bury, proxy_gate_bury);
    uv_timer_init(&loop->uv, &g->timer);
    g->timer.data = g;
    *ret = g;
    return 0;
}

static void proxy_gate_on_closed(uv_handle_t *h)
{
    struct proxy_gate *g = h->data;
    loop_cancel(&g->bury);
    proxy_gate_bury(&g->bury);
    free(g);
}

void proxy_gate_close(struct proxy_gate *g)
{
    if (!g)
        return;
    while (g->count > 0) {
        struct proxy_waiter *w = oldest(g);
        int fd = w->socket.fd;
        poller_forget(g->loop, &w->socket);
        (void)close(fd);
        leave(w);
    }
    uv_close((uv_handle_t *)&g->timer, proxy_gate_on_closed);
}
