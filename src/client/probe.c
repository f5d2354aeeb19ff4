/* SPDX-License-Identifier: MIT */
/* A dial, and a short look at what comes. */
#include "client/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dialer.h"
#include "net/sock.h"

struct probe {
    struct loop *loop;
    probe_done_fn done;
    void *ctx;
    struct dial *dial;           /* NULL once it is over */
    struct poller_source source; /* fd -1: not connected */
    uv_timer_t timer;
    mtime_ms listen_ms;
    size_t sends; /* once it has connected */
    const char *named;
    struct probe_result result;
    bool is_over, is_closed;
};

static void probe_over(struct probe *p)
{
    if (p->is_over || p->is_closed)
        return;
    p->is_over = true;
    uv_timer_stop(&p->timer);
    p->done(p->ctx, &p->result);
}

/* The first line of it. */
static void probe_on_ready(struct poller_source *source, unsigned events)
{
    struct probe *p = CONTAINER_OF(source, struct probe, source);
    (void)events;
    if (p->is_over)
        return;
    ssize_t n = recv(source->fd, p->result.said, PROBE_SAID_MAX, 0);
    if (n < 0 && errno == EAGAIN)
        return; /* the edge of a socket that can be written to */
    p->result.has_ended = n <= 0;
    p->result.has_answered = n > 0;
    p->result.said[n > 0 ? n : 0] = '\0';
    p->result.said[strcspn(p->result.said, "\r\n")] = '\0';
    probe_over(p);
}

static void probe_on_timer(uv_timer_t *t)
{
    probe_over(t->data);
}

void probe_send(struct probe *p, size_t n)
{
    static const char bytes[PROBE_SENDS_MAX]; /* what it says does not matter */
    p->sends = n;
    if (p->source.fd >= 0 && n > 0)
        (void)!send(p->source.fd, bytes, n, MSG_NOSIGNAL); /* what is not taken is missed there */
}

static void probe_on_dialled(void *ctx, struct dial_result *r)
{
    struct probe *p = ctx;
    p->dial = NULL;
    p->result.err = r->err;
    if (r->err == 0 && dial_take_source(r, &p->source) < 0)
        p->result.err = ERR_NOMEM;
    if (r->err < 0)
        (void)dial_text(&p->result.why, r, p->named);
    if (p->result.err < 0) {
        probe_over(p);
        return;
    }
    probe_send(p, p->sends);
    uv_timer_start(&p->timer, probe_on_timer, (uint64_t)p->listen_ms, 0);
}

int probe_start(struct loop *loop, const struct probe_config *cfg, probe_done_fn done, void *ctx,
                struct probe **ret)
{
    struct probe *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->loop = loop;
    p->done = done;
    p->ctx = ctx;
    p->listen_ms = cfg->listen_ms;
    p->named = cfg->named;
    p->source = (struct poller_source){probe_on_ready, -1};
    const struct dial_config dial = {.unix_path = cfg->unix_path,
                                     .host = cfg->host,
                                     .port = cfg->port,
                                     .patience_ms = cfg->dial_ms};
    int err = dial_start(loop, &dial, probe_on_dialled, p, &p->dial);
    if (err < 0) {
        free(p);
        return err;
    }
    uv_timer_init(&loop->uv, &p->timer);
    p->timer.data = p;
    *ret = p;
    return 0;
}

bool probe_is_from(const struct probe *p, const struct address *own)
{
    if (p->dial)
        return dial_is_from(p->dial, own);
    if (p->source.fd < 0)
        return false;
    struct address mine = sock_own_address(p->source.fd);
    return mine.port == own->port && mine.family == own->family;
}

void probe_stop(struct probe *p)
{
    probe_over(p);
}

static void probe_on_closed(uv_handle_t *h)
{
    free(h->data);
}

void probe_close(struct probe *p)
{
    if (!p || p->is_closed)
        return;
    p->is_closed = true;
    dial_cancel(p->dial);
    int fd = p->source.fd;
    if (fd >= 0) {
        poller_forget(p->loop, &p->source);
        (void)close(fd);
    }
    uv_close((uv_handle_t *)&p->timer, probe_on_closed);
}
