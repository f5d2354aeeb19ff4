/* SPDX-License-Identifier: MIT */
/* Who is connected to the control socket: one request in, one answer out, within CTL_PATIENCE_MS. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/ctl_internal.h"
#include "base/event.h"
#include "base/i18n.h"

struct ctl_later {
    bool is_awaited; /* the connection's memory stays */
};

struct ctl_conn {
    struct list node; /* in ctl->connections */
    struct ctl *ctl;
    int fd;
    uv_poll_t socket;
    uv_timer_t time;
    unsigned handles; /* that are not closed yet */
    struct ctl_reader request;
    struct ctl_answer answer;
    size_t sent;
    bool is_closing;
    struct ctl_later later;    /* the answer follows */
    struct ctl_source *source; /* of what comes behind it; NULL: nothing */
};

/* ---- the end ---- */

static void conn_free(struct ctl_conn *k)
{
    if (k->source)
        k->source->over(k->source);
    ctl_answer_fini(&k->answer);
    free(k);
}

static void conn_on_closed(uv_handle_t *h)
{
    struct ctl_conn *k = h->data;
    if (--k->handles > 0)
        return;
    (void)close(k->fd); /* all that could be sent is */
    if (!k->later.is_awaited)
        conn_free(k);
}

static void conn_close(struct ctl_conn *k)
{
    struct ctl *c = k->ctl;
    k->is_closing = true;
    list_del(&k->node);
    c->count--;
    (void)shutdown(k->fd, SHUT_RDWR);
    uv_close((uv_handle_t *)&k->socket, conn_on_closed);
    uv_close((uv_handle_t *)&k->time, conn_on_closed);
    if (!c->is_closed)
        ctl_watch(c); /* there is a place */
}

void ctl_drop_all(struct ctl *c)
{
    for (struct list *n; (n = list_first(&c->connections));)
        conn_close(LIST_ENTRY(n, struct ctl_conn, node));
}

static void conn_on_time(uv_timer_t *t)
{
    conn_close(t->data);
}

/* ---- the answer ---- */

static void conn_on_ready(uv_poll_t *h, int status, int events);

/* What the socket does not take now follows when it does. True: it is out, or never will be. */
static bool conn_send(struct ctl_conn *k)
{
    while (k->sent < k->answer.len) {
        ssize_t n = send(k->fd, k->answer.bytes + k->sent, k->answer.len - k->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            uv_poll_start(&k->socket, UV_WRITABLE, conn_on_ready);
            return false;
        }
        if (n < 0 && errno != EINTR)
            return true;
        k->sent += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Makes the next piece; the time for reading begins anew with each. False: there is none. */
static bool conn_refill(struct ctl_conn *k)
{
    struct ctl_source *s = k->source;
    if (!s || k->answer.is_spoilt || k->sent < k->answer.len)
        return false;
    k->sent = k->answer.len = 0;
    uv_timer_start(&k->time, conn_on_time, CTL_PATIENCE_MS, 0);
    if (s->more(s, &k->answer))
        return !k->answer.is_spoilt;
    s->over(s);
    k->source = NULL;
    return !k->answer.is_spoilt;
}

static void conn_finish(struct ctl_conn *k)
{
    if (k->answer.is_spoilt)
        k->answer.len = 0;
    if (!conn_send(k))
        return;
    if (conn_refill(k))
        uv_poll_start(&k->socket, UV_WRITABLE,
                      conn_on_ready); /* a piece a turn: others go between */
    else
        conn_close(k);
}

struct ctl_later *ctl_later(struct ctl_answer *a)
{
    struct ctl_conn *k = CONTAINER_OF(a, struct ctl_conn, answer);
    k->later.is_awaited = true;
    return &k->later;
}

struct ctl_answer *ctl_later_answer(struct ctl_later *l)
{
    return &CONTAINER_OF(l, struct ctl_conn, later)->answer;
}

void ctl_later_end(struct ctl_later *l)
{
    struct ctl_conn *k = CONTAINER_OF(l, struct ctl_conn, later);
    l->is_awaited = false;
    if (!k->is_closing)
        conn_finish(k);
    else if (k->handles == 0)
        conn_free(k); /* else its last handle's callback does */
}

void ctl_later_stream(struct ctl_later *l, struct ctl_source *s)
{
    CONTAINER_OF(l, struct ctl_conn, later)->source = s;
    ctl_later_end(l);
}

/* What a command does last may end all of this: it comes behind. */
static void conn_answer(struct ctl_conn *k, int err)
{
    struct ctl *c = k->ctl;
    struct ctl_request req;
    struct errmsg why;
    void (*then)(struct ctl * c) = NULL;
    if (err == ERR_LIMIT)
        (void)errmsg_set(&why, err, _("a request has at most %d bytes"), CTL_LINE_MAX);
    else
        err = ctl_request_get(&k->request, &req, &why);
    if (err < 0)
        ctl_refuse(&k->answer, why.text);
    else
        ctl_run(c, &req, &k->answer, &then);
    if (!k->later.is_awaited)
        conn_finish(k);
    if (then)
        then(c);
}

/* ---- the request ---- */

static void conn_read(struct ctl_conn *k)
{
    char bytes[CTL_LINE_MAX];
    ssize_t n = recv(k->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(k); /* it has asked for nothing */
        return;
    }
    int err = ctl_reader_feed(&k->request, bytes, (size_t)n);
    if (err == ERR_AGAIN)
        return;
    uv_poll_stop(&k->socket);
    conn_answer(k, err);
}

static void conn_on_ready(uv_poll_t *h, int status, int events)
{
    struct ctl_conn *k = h->data;
    (void)events;
    if (status < 0)
        conn_close(k);
    else if (k->answer.len > 0)
        conn_finish(k);
    else
        conn_read(k);
}

/* ---- who comes ---- */

/* Root, or who we are. Others are told, and one line is. */
static bool is_allowed(struct ctl *c, int fd)
{
    struct ucred peer;
    struct ctl_answer no = {0};
    socklen_t n = sizeof peer;
    unsigned left_out;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    if (log_budget_take(&c->refused, loop_now(c->loop), &left_out))
        event_control_refused((unsigned)peer.uid, left_out);
    ctl_refuse(&no, _("only root and the user of this program may ask"));
    if (!no.is_spoilt)
        (void)send(fd, no.bytes, no.len, MSG_NOSIGNAL); /* there is room: it is the first */
    ctl_answer_fini(&no);
    return false;
}

static void conn_begin(struct ctl *c, int fd)
{
    struct ctl_conn *k = is_allowed(c, fd) ? calloc(1, sizeof *k) : NULL;
    if (!k || uv_poll_init(&c->loop->uv, &k->socket, fd) < 0) {
        free(k);
        (void)close(fd);
        return;
    }
    k->ctl = c;
    k->fd = fd;
    k->handles = 2;
    uv_timer_init(&c->loop->uv, &k->time);
    k->socket.data = k->time.data = k;
    list_init(&k->node);
    list_push(&c->connections, &k->node);
    c->count++;
    uv_timer_start(&k->time, conn_on_time, CTL_PATIENCE_MS, 0);
    uv_poll_start(&k->socket, UV_READABLE, conn_on_ready);
}

static void on_pause_over(uv_timer_t *t)
{
    ctl_watch(t->data);
}

static void on_more(uv_poll_t *h, int status, int events)
{
    (void)status, (void)events; /* accept() says what is wrong */
    ctl_watch(h->data);
}

/* As many in a turn as there are places: who is refused has none, and the next comes in the next turn. */
void ctl_watch(struct ctl *c)
{
    int fd = -1;
    uv_poll_stop(&c->accepting);
    for (unsigned i = 0; i < CTL_CONNECTIONS && c->count < CTL_CONNECTIONS; i++) {
        fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        conn_begin(c, fd);
    }
    if (c->count == CTL_CONNECTIONS)
        return; /* who goes makes room */
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        uv_timer_start(&c->pause, on_pause_over, CTL_PAUSE_MS, 0);
    else
        uv_poll_start(&c->accepting, UV_READABLE, on_more);
}
