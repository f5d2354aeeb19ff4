/* SPDX-License-Identifier: MIT */
/* Signals that end the program. */
#include "app/stop.h"

#include <signal.h>

#include "base/err.h"

static void on_stop_timer(uv_timer_t *t)
{
    struct stop *s = t->data;
    s->end(s->ctx);
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct stop *s = h->data;
    (void)signum; /* INT and TERM mean the same here */
    if (s->asked) {
        s->end(s->ctx);
        return;
    }
    s->asked = true;
    uv_timer_start(&s->timer, on_stop_timer, STOP_DRAIN_MS, 0);
    s->drain(s->ctx);
}

int stop_init(struct stop *s, struct loop *loop, void (*drain)(void *ctx), void (*end)(void *ctx),
              void *ctx)
{
    *s = (struct stop){.drain = drain, .end = end, .ctx = ctx};
    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(&loop->uv, &s->on_int);
    uv_signal_init(&loop->uv, &s->on_term);
    uv_timer_init(&loop->uv, &s->timer);
    s->on_int.data = s->on_term.data = s->timer.data = s;
    if (uv_signal_start(&s->on_int, on_signal, SIGINT) < 0 ||
        uv_signal_start(&s->on_term, on_signal, SIGTERM) < 0)
        goto fail;
    return 0;

fail:
    stop_fini(s);
    return ERR_IO;
}

bool stop_asked(const struct stop *s)
{
    return s->asked;
}

void stop_fini(struct stop *s)
{
    uv_close((uv_handle_t *)&s->on_int, NULL);
    uv_close((uv_handle_t *)&s->on_term, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
}
