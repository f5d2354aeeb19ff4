/* SPDX-License-Identifier: MIT */
/* Connections that wait for their ClientHello. */
#include "net/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/address.h"
#include "base/err.h"
#include "net/sock.h"
#include "proto/client_hello.h"

/* One connection that waits. */
struct waiter {
    struct gate *gate;
    struct poller_source socket;
    struct admission_entry place;
    struct list node; /* in gate->waiters, then in gate->gone */
    mtime_ms since;
    size_t need; /* looked at again when so many bytes are there */
    struct address peer;
    char source[SOCK_NAME_MAX];
};

_Static_assert(sizeof(struct waiter) <= GATE_WAITER_BYTES, "a stranger costs little");

struct gate {
    struct loop *loop;
    struct gate_config cfg;
    const struct gate_events *ev;
    void *ctx;
    uv_timer_t timer;        /* runs while somebody waits: for the oldest */
    struct admission places; /* of all waiters */
    struct list waiters;     /* the oldest first */
    unsigned count;
    struct list gone;     /* their sources may still be named in this turn's events */
    struct loop_job bury; /* frees them */
};

/* There is one. */
static struct waiter *oldest(struct gate *g)
{
    return LIST_ENTRY(g->waiters.next, struct waiter, node);
}

/* ---- leaving ---- */

static void gate_bury(struct loop_job *job)
{
    struct gate *g = CONTAINER_OF(job, struct gate, bury);
    while (!list_empty(&g->gone)) {
        struct waiter *w = LIST_ENTRY(g->gone.next, struct waiter, node);
        list_del(&w->node);
        free(w);
    }
}

/* It waits no more; its memory is there until the end of the turn. */
static void leave(struct waiter *w)
{
    struct gate *g = w->gate;
    admission_remove(&g->places, &w->place);
    list_move(&g->gone, &w->node);
    g->count--;
    loop_defer(g->loop, &g->bury);
    if (g->count == 0)
        uv_timer_stop(&g->timer);
}

static void end(struct waiter *w, enum gate_end why)
{
    struct sockaddr_storage sa;
    int fd = w->socket.fd;
    (void)sock_sockaddr(&sa, &w->peer);
    poller_forget(w->gate->loop, &w->socket);
    (void)close(fd);
    leave(w);
    w->gate->ev->on_end(w->gate->ctx, why, (struct sockaddr *)&sa);
}

static void pass(struct waiter *w)
{
    struct sockaddr_storage sa;
    struct gate *g = w->gate;
    int fd = w->socket.fd;
    (void)sock_sockaddr(&sa, &w->peer);
    poller_remove(g->loop, &w->socket);
    sock_wake_at(fd, 1);
    leave(w);
    g->ev->on_pass(g->ctx, fd, (struct sockaddr *)&sa, loop_now(g->loop) - w->since);
}

/* ---- looking ---- */

/* What lies in the socket; an end of it only if there is nothing else. */
static struct client_hello_look look_at(int fd, bool *ret_over)
{
    uint8_t bytes[CLIENT_HELLO_MAX];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    *ret_over = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    return client_hello_look(bytes, n > 0 ? (size_t)n : 0);
}

static void waiter_on_ready(struct poller_source *src, unsigned events)
{
    struct waiter *w = CONTAINER_OF(src, struct waiter, socket);
    bool over;
    if (!(events & POLLER_IN))
        return;
    struct client_hello_look look = look_at(src->fd, &over);
    if (look.verdict == CLIENT_HELLO_WHOLE) {
        pass(w);
    } else if (look.verdict == CLIENT_HELLO_NOT) {
        end(w, GATE_NOT_TLS);
    } else if (over || events & POLLER_HUP) {
        end(w, GATE_LEFT);
    } else if (look.need != w->need) {
        w->need = look.need;
        sock_wake_at(src->fd, look.need); /* and an event follows if they are there meanwhile */
    }
}

static void gate_on_timer(uv_timer_t *t);

static void await_oldest(struct gate *g)
{
    if (g->count == 0)
        return;
    struct waiter *w = oldest(g);
    mtime_ms left = w->since + g->cfg.patience_ms - loop_now(g->loop);
    uv_timer_start(&g->timer, gate_on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

static void gate_on_timer(uv_timer_t *t)
{
    struct gate *g = t->data;
    while (g->count > 0) {
        struct waiter *w = oldest(g);
        if (w->since + g->cfg.patience_ms > loop_now(g->loop))
            break;
        end(w, GATE_LATE);
    }
    await_oldest(g);
}

/* ---- coming ---- */

/* 0: it waits. Negative: no memory. */
static int wait_at(struct gate *g, int fd, const struct sockaddr *peer, size_t need)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->gate = g;
    w->since = loop_now(g->loop);
    w->need = need;
    w->peer = sock_address(peer);
    w->socket.on_ready = waiter_on_ready;
    sock_source(w->source, peer);
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
        end(CONTAINER_OF(victim, struct waiter, place), GATE_CROWDED);
    return 0;
}

void gate_enter(struct gate *g, int fd, const struct sockaddr *peer)
{
    bool over;
    struct client_hello_look look = look_at(fd, &over);
    if (look.verdict == CLIENT_HELLO_WHOLE) {
        g->ev->on_pass(g->ctx, fd, peer, 0);
        return;
    }
    enum gate_end why = look.verdict == CLIENT_HELLO_NOT ? GATE_NOT_TLS : GATE_LEFT;
    if (look.verdict == CLIENT_HELLO_MORE && !over) {
        if (wait_at(g, fd, peer, look.need) == 0)
            return;
        why = GATE_CROWDED;
    }
    (void)close(fd);
    g->ev->on_end(g->ctx, why, peer);
}

unsigned gate_waiting(const struct gate *g)
{
    return g->count;
}

/* ---- life ---- */

int gate_open(struct loop *loop, const struct gate_config *cfg, const struct gate_events *ev,
              void *ctx, struct gate **ret)
{
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    unsigned max = cfg->max < GATE_MIN ? GATE_MIN : cfg->max;
    g->loop = loop;
    g->cfg = *cfg;
    g->ev = ev;
    g->ctx = ctx;
    admission_init(&g->places);
    admission_limit(&g->places, max, max / 4);
    list_init(&g->waiters);
    list_init(&g->gone);
    loop_job_init(&g->bury, gate_bury);
    uv_timer_init(&loop->uv, &g->timer);
    g->timer.data = g;
    *ret = g;
    return 0;
}

static void gate_on_closed(uv_handle_t *h)
{
    struct gate *g = h->data;
    loop_cancel(&g->bury);
    gate_bury(&g->bury);
    free(g);
}

void gate_close(struct gate *g)
{
    if (!g)
        return;
    while (g->count > 0) {
        struct waiter *w = oldest(g);
        int fd = w->socket.fd;
        poller_forget(g->loop, &w->socket);
        (void)close(fd);
        leave(w);
    }
    uv_close((uv_handle_t *)&g->timer, gate_on_closed);
}
