/* SPDX-License-Identifier: MIT */
/* See timers.h. */
#include "timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

static struct timer {
    const uv_timer_t *t; /* NULL: of nobody */
    uv_timer_cb cb;      /* NULL: it does not run */
    mtime_ms due;
    uint64_t repeat;
} timers[4];

static struct closing {
    uv_handle_t *h;
    uv_close_cb cb;
} closing[ARRAY_LEN(timers)];
static unsigned closing_count;

void timers_forget(void)
{
    memset(timers, 0, sizeof timers);
    closing_count = 0;
}

void timers_turn(void)
{
    while (closing_count > 0) {
        struct closing c = closing[--closing_count];
        c.cb(c.h);
    }
}

bool timer_is_open(const uv_timer_t *t)
{
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        if (timers[i].t == t)
            return true;
    return false;
}

static struct timer *of(const uv_timer_t *t)
{
    size_t i = 0;
    while (i < ARRAY_LEN(timers) - 1 && timers[i].t != t)
        i++;
    assert_ptr_equal(timers[i].t, t);
    return &timers[i];
}

mtime_ms timer_due(const uv_timer_t *t)
{
    return of(t)->cb ? of(t)->due : MTIME_NEVER;
}

uint64_t timer_repeat(const uv_timer_t *t)
{
    return of(t)->repeat;
}

void timer_ring(uv_timer_t *t)
{
    struct timer *x = of(t);
    uv_timer_cb cb = x->cb;
    assert_non_null(cb);
    if (x->repeat == 0)
        x->cb = NULL;
    x->due = kit.now + (mtime_ms)x->repeat;
    cb(t);
}

/* ---- libuv ---- */

int __wrap_uv_timer_init(uv_loop_t *loop, uv_timer_t *t);
int __wrap_uv_timer_init(uv_loop_t *loop, uv_timer_t *t)
{
    (void)loop;
    assert_false(timer_is_open(t));
    *of(NULL) = (struct timer){.t = t};
    return 0;
}

int __wrap_uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    struct timer *x = of(t);
    *x = (struct timer){t, cb, kit.now + (mtime_ms)timeout, repeat};
    return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *t);
int __wrap_uv_timer_stop(uv_timer_t *t)
{
    of(t)->cb = NULL;
    return 0;
}

void __wrap_uv_close(uv_handle_t *h, uv_close_cb cb);
void __wrap_uv_close(uv_handle_t *h, uv_close_cb cb)
{
    if (cb) {
        assert_true(closing_count < ARRAY_LEN(closing));
        closing[closing_count++] = (struct closing){h, cb};
    }
    *of((const uv_timer_t *)h) = (struct timer){0};
    kit_did("timer-close");
}
