/* SPDX-License-Identifier: MIT */
/* Connections that wait for their ClientHello, and then for their turn. */
#include "net/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/err.h"
#include "base/rng.h"
#include "net/sock.h"
#include "proto/client_hello.h"
#include "proto/handshakes.h"

/* One connection that waits. */
struct waiter {
    struct gate *gate;
    struct poller_source socket;
    struct admission_entry place; /* in gate->places, or known_places */
    struct handshakes_entry turn; /* while the hello is whole */
    struct list node;             /* in gate->waiters, then in gate->gone */
    mtime_ms since;
    size_t need; /* looked at again when so many bytes are there; 0: the hello is whole */
    bool is_known;
    struct address peer;
    char source[SOCK_NAME_MAX];
};

_Static_assert(sizeof(struct waiter) <= GATE_WAITER_BYTES, "a stranger costs little");

struct gate {
    struct loop *loop;
    struct gate_config cfg;
    const struct gate_events *ev;
    void *ctx;
    uv_timer_t timer; /* runs while somebody waits: for the oldest, and for the next turn */
    struct rng rng;
    struct handshakes turns;
    struct admission places, known_places; /* of all waiters */
    struct list waiters;                   /* the oldest first */
    unsigned count;
    struct list gone;     /* their sources may still be named in this turn's events */
    struct loop_job bury; /* frees them */
    struct loop_job look; /* whose turn it is */
    mtime_ms room_at;     /* when one that is held is looked at again; MTIME_NEVER: none is */
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
    admission_remove(w->is_known ? &g->known_places : &g->places, &w->place);
    handshakes_leave(&g->turns, &w->turn);
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

/* Its turn. Who has left meanwhile has used none, though nobody may have been told yet. */
static void pass(struct waiter *w)
{
    struct sockaddr_storage sa;
    struct gate *g = w->gate;
    int fd = w->socket.fd;
    if (sock_has_left(fd)) {
        handshakes_return(&g->turns, &w->turn);
        end(w, GATE_LEFT);
        return;
    }
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

static void gate_on_timer(uv_timer_t *t);

/* Until the time of the oldest is over, or it is somebody's turn. */
static void await(struct gate *g)
{
    if (g->count == 0)
        return;
    mtime_ms now = loop_now(g->loop), at = oldest(g)->since + g->cfg.patience_ms;
    mtime_ms due = handshakes_due(&g->turns, now);
    if (due >= 0 && due < at)
        at = due;
    mtime_ms room_at = g->room_at, free_at = handshakes_free_at(&g->turns);
    room_at = room_at > free_at ? room_at : free_at;
    if (room_at < at)
        at = room_at;
    uv_timer_start(&g->timer, gate_on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

/* Who has come just now. */
struct newcomer {
    int fd;
    const struct sockaddr *peer;
    bool is_known;
    struct handshakes_entry turn;
    char source[SOCK_NAME_MAX];
};

static void hold(struct gate *g, struct handshakes_entry *turn, const char *source)
{
    mtime_ms at = g->ev->room_at(g->ctx, source);
    bool is_held = at > loop_now(g->loop);
    handshakes_hold(turn, is_held);
    if (is_held && at < g->room_at)
        g->room_at = at;
}

/* Who is known has no turn while there is no room for it beyond the gate. */
static void hold_known(struct gate *g, struct newcomer *c)
{
    g->room_at = MTIME_NEVER;
    if (!g->ev->room_at)
        return;
    list_foreach (n, &g->waiters) {
        struct waiter *w = LIST_ENTRY(n, struct waiter, node);
        if (w->is_known && w->need == 0)
            hold(g, &w->turn, w->source);
    }
    if (c && c->is_known)
        hold(g, &c->turn, c->source);
}

/* The next one. Of many that come at once each would look at all who wait: not while there is no turn. */
static struct handshakes_entry *next(struct gate *g, struct newcomer *c)
{
    if (handshakes_free_at(&g->turns) > loop_now(g->loop))
        return NULL;
    hold_known(g, c);
    return handshakes_next(&g->turns, loop_now(g->loop));
}

/* Whoever's turn it is passes. True: c, which is no waiter, was among them. */
static bool serve(struct gate *g, struct newcomer *c)
{
    struct handshakes_entry *e;
    while ((e = next(g, c)) && (!c || e != &c->turn))
        pass(CONTAINER_OF(e, struct waiter, turn));
    return e != NULL;
}

static void gate_on_look(struct loop_job *job)
{
    struct gate *g = CONTAINER_OF(job, struct gate, look);
    (void)serve(g, NULL);
    await(g);
}

void gate_look_again(struct gate *g)
{
    loop_defer(g->loop, &g->look);
}

static void gate_on_timer(uv_timer_t *t)
{
    struct gate *g = t->data;
    (void)serve(g, NULL);
    while (g->count > 0) {
        struct waiter *w = oldest(g);
        if (w->since + g->cfg.patience_ms > loop_now(g->loop))
            break;
        end(w, w->need > 0 ? GATE_LATE : GATE_CROWDED);
    }
    await(g);
}

static bool may_pass(const struct gate *g, bool is_known, const struct sockaddr *peer)
{
    return is_known || !g->ev->may_pass || g->ev->may_pass(g->ctx, peer);
}

/* The hello is whole: from here on only its turn is waited for, or its end. */
static void queue(struct waiter *w)
{
    struct sockaddr_storage sa;
    struct gate *g = w->gate;
    (void)sock_sockaddr(&sa, &w->peer);
    if (!may_pass(g, w->is_known, (struct sockaddr *)&sa)) {
        end(w, GATE_REFUSED);
        return;
    }
    w->need = 0;
    handshakes_wait(&g->turns, &w->turn, w->source, w->is_known);
    (void)serve(g, NULL);
    await(g);
}

static void waiter_on_ready(struct poller_source *src, unsigned events)
{
    struct waiter *w = CONTAINER_OF(src, struct waiter, socket);
    bool over;
    if (!(events & POLLER_IN))
        return;
    if (w->need == 0) {
        if (events & POLLER_HUP)
            end(w, GATE_LEFT);
        return;
    }
    struct client_hello_look look = look_at(src->fd, &over);
    if (look.verdict == CLIENT_HELLO_WHOLE) {
        queue(w);
    } else if (look.verdict == CLIENT_HELLO_NOT) {
        end(w, GATE_NOT_TLS);
    } else if (over || events & POLLER_HUP) {
        end(w, GATE_LEFT);
    } else if (look.need != w->need) {
        w->need = look.need;
        sock_wake_at(src->fd, look.need); /* and an event follows if they are there meanwhile */
    }
}

/* ---- coming ---- */

/* 0: it waits, for so many bytes, or with 0 for its turn. Negative: no memory. */
static int wait_at(struct gate *g, const struct newcomer *c, size_t need)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->gate = g;
    w->since = loop_now(g->loop);
    w->need = need;
    w->peer = sock_address(c->peer);
    w->is_known = c->is_known;
    memcpy(w->source, c->source, sizeof w->source);
    w->socket.on_ready = waiter_on_ready;
    if (need > 0)
        sock_wake_at(c->fd, need);
    int err =
        poller_add(g->loop, &w->socket, c->fd); /* tells too of what has come since the look */
    if (err < 0) {
        free(w);
        return err;
    }
    struct admission_entry *victim =
        admission_add(w->is_known ? &g->known_places : &g->places, &w->place, w->source);
    list_push(&g->waiters, &w->node);
    g->count++;
    if (need == 0)
        handshakes_wait(&g->turns, &w->turn, w->source, w->is_known);
    if (victim)
        end(CONTAINER_OF(victim, struct waiter, place), GATE_CROWDED);
    await(g);
    return 0;
}

/* True: its turn was there at once. */
static bool is_served(struct gate *g, struct newcomer *c)
{
    handshakes_wait(&g->turns, &c->turn, c->source, c->is_known);
    if (serve(g, c)) {
        g->ev->on_pass(g->ctx, c->fd, c->peer, 0);
        return true;
    }
    handshakes_leave(&g->turns, &c->turn);
    return false;
}

void gate_enter(struct gate *g, int fd, const struct sockaddr *peer)
{
    bool over;
    enum gate_end why = GATE_CROWDED;
    struct client_hello_look look = look_at(fd, &over);
    if (look.verdict == CLIENT_HELLO_NOT) {
        why = GATE_NOT_TLS;
    } else if (over || sock_has_left(fd)) {
        why = GATE_LEFT; /* also with a whole hello: a late server would serve nobody else */
    } else {
        struct newcomer c = {.fd = fd, .peer = peer};
        bool is_whole = look.verdict == CLIENT_HELLO_WHOLE;
        c.is_known = g->ev->is_known && g->ev->is_known(g->ctx, peer);
        sock_source(c.source, peer);
        if (is_whole && !may_pass(g, c.is_known, peer))
            why = GATE_REFUSED;
        else if (is_whole && is_served(g, &c))
            return;
        else if (wait_at(g, &c, is_whole ? 0 : look.need) == 0)
            return;
    }
    (void)close(fd);
    g->ev->on_end(g->ctx, why, peer);
}

unsigned gate_waiting(const struct gate *g)
{
    return g->count;
}

/* ---- life ---- */

void gate_limit(struct gate *g, const struct gate_config *cfg)
{
    unsigned max = cfg->max < GATE_MIN ? GATE_MIN : cfg->max;
    unsigned known = g->ev->is_known ? max / 4 : 0;
    admission_limit(&g->places, max - known, max / 4);
    admission_limit(&g->known_places, known > 0 ? known : 1, known > 0 ? known : 1);
    handshakes_limit(&g->turns, cfg->rate, cfg->source_rate);
}

int gate_open(struct loop *loop, const struct gate_config *cfg, const struct gate_events *ev,
              void *ctx, struct gate **ret)
{
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        return ERR_NOMEM;
    g->loop = loop;
    g->cfg = *cfg;
    g->ev = ev;
    g->ctx = ctx;
    rng_system(&g->rng);
    uint64_t key = (uint64_t)g->rng.next(&g->rng) << 32 | g->rng.next(&g->rng);
    handshakes_init(&g->turns, cfg->rate, cfg->source_rate, key);
    admission_init(&g->places, &g->rng);
    admission_init(&g->known_places, NULL);
    gate_limit(g, cfg);
    list_init(&g->waiters);
    list_init(&g->gone);
    loop_job_init(&g->bury, gate_bury);
    loop_job_init(&g->look, gate_on_look);
    g->room_at = MTIME_NEVER;
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
    loop_cancel(&g->look);
    uv_close((uv_handle_t *)&g->timer, gate_on_closed);
}
