/* SPDX-License-Identifier: MIT */
/* libuv in virtual time: see virtual.h. */
#include "virtual.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

static struct {
    mtime_ms now;
    unsigned handles;
    uint64_t starts;      /* timers started so far: those due at one time run in this order */
    uv_timer_t *timers;   /* that run; linked by heap_node[0] */
    uv_handle_t *closing; /* linked by next_closing */
    bool is_idle;
    uv_check_t *check;
    uv_check_cb check_cb;
    uv_poll_t *poll;
    uv_poll_cb poll_cb;
} the;

enum { BEGIN_MS = 1000000, TURNS_MAX = 1000 };

void virtual_pass(mtime_ms ms)
{
    the.now += ms;
}

mtime_ms virtual_deadline(void)
{
    mtime_ms at = MTIME_NEVER;
    for (uv_timer_t *t = the.timers; t; t = t->heap_node[0])
        if ((mtime_ms)t->timeout < at)
            at = (mtime_ms)t->timeout;
    return at;
}

unsigned virtual_handles(void)
{
    return the.handles;
}

/* ---- the loop ---- */

int uv_loop_init(uv_loop_t *loop)
{
    (void)loop;
    assert(the.handles == 0);
    the.now = BEGIN_MS;
    the.timers = NULL;
    the.closing = NULL;
    the.is_idle = false;
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    (void)loop;
    assert(the.handles == 0);
    return 0;
}

uint64_t uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return (uint64_t)the.now;
}

void uv_update_time(uv_loop_t *loop)
{
    (void)loop;
}

/* The timer that is due first, of those that were started before; NULL: none is due. */
static uv_timer_t *due_timer(uint64_t before)
{
    uv_timer_t *best = NULL;
    for (uv_timer_t *t = the.timers; t; t = t->heap_node[0]) {
        if ((mtime_ms)t->timeout > the.now || t->start_id >= before)
            continue;
        if (!best || t->timeout < best->timeout ||
            (t->timeout == best->timeout && t->start_id < best->start_id))
            best = t;
    }
    return best;
}

static void run_timers(void)
{
    uv_timer_t *t;
    uint64_t before = the.starts;
    while ((t = due_timer(before))) {
        (void)uv_timer_stop(t);
        t->timer_cb(t);
    }
}

static void run_closing(void)
{
    uv_handle_t *h = the.closing;
    the.closing = NULL;
    while (h) {
        uv_handle_t *next = h->next_closing;
        the.handles--;
        if (h->close_cb)
            h->close_cb(h);
        h = next;
    }
}

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    (void)loop;
    for (int i = 0; i < TURNS_MAX; i++) {
        run_timers();
        if (the.poll_cb)
            the.poll_cb(the.poll, 0, UV_READABLE);
        if (the.check_cb)
            the.check_cb(the.check);
        run_closing();
        if (mode == UV_RUN_NOWAIT || (!the.is_idle && !the.closing))
            return 0;
    }
    abort(); /* it never comes to rest */
}

/* ---- handles ---- */

static void open_handle(uv_handle_t *h)
{
    h->close_cb = NULL;
    h->next_closing = NULL;
    the.handles++;
}

void uv_close(uv_handle_t *h, uv_close_cb cb)
{
    (void)uv_timer_stop((uv_timer_t *)h); /* only timers are in its list */
    if (h == (uv_handle_t *)the.check)
        the.check_cb = NULL;
    if (h == (uv_handle_t *)the.poll)
        the.poll_cb = NULL;
    h->close_cb = cb;
    h->next_closing = the.closing;
    the.closing = h;
}

void uv_ref(uv_handle_t *h)
{
    (void)h;
}

void uv_unref(uv_handle_t *h)
{
    (void)h;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *t)
{
    (void)loop;
    open_handle((uv_handle_t *)t);
    return 0;
}

int uv_timer_stop(uv_timer_t *t)
{
    for (uv_timer_t **at = &the.timers; *at; at = (uv_timer_t **)&(*at)->heap_node[0]) {
        if (*at == t) {
            *at = t->heap_node[0];
            break;
        }
    }
    return 0;
}

int uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    assert(repeat == 0); /* none of ours does */
    (void)uv_timer_stop(t);
    t->timer_cb = cb;
    t->timeout = (uint64_t)the.now + timeout;
    t->start_id = the.starts++;
    t->heap_node[0] = the.timers;
    the.timers = t;
    return 0;
}

int uv_check_init(uv_loop_t *loop, uv_check_t *c)
{
    (void)loop;
    open_handle((uv_handle_t *)c);
    return 0;
}

int uv_check_start(uv_check_t *c, uv_check_cb cb)
{
    the.check = c;
    the.check_cb = cb;
    return 0;
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *h)
{
    (void)loop;
    open_handle((uv_handle_t *)h);
    return 0;
}

int uv_idle_start(uv_idle_t *h, uv_idle_cb cb)
{
    (void)h, (void)cb; /* it only keeps the loop from sleeping */
    the.is_idle = true;
    return 0;
}

int uv_idle_stop(uv_idle_t *h)
{
    (void)h;
    the.is_idle = false;
    return 0;
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *p, int fd)
{
    (void)loop, (void)fd;
    open_handle((uv_handle_t *)p);
    return 0;
}

int uv_poll_start(uv_poll_t *p, int events, uv_poll_cb cb)
{
    (void)events;
    the.poll = p;
    the.poll_cb = cb;
    return 0;
}
