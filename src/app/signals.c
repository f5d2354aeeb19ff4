/* SPDX-License-Identifier: MIT */
/* The table of signals, and what is done about each. */
#include "app/signals.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/err.h"
#include "base/event.h"
#include "base/log.h"

/* ---- the orderly end ---- */

static void on_drain_over(uv_timer_t *t)
{
    struct signals *s = t->data;
    s->ops->end(s->ctx);
}

static void stop(struct signals *s)
{
    if (s->stop_asked) {
        s->ops->end(s->ctx);
        return;
    }
    s->stop_asked = true;
    if (s->drain_ms == 0) {
        event_stopping();
        s->ops->end(s->ctx);
        return;
    }
    uv_timer_start(&s->timer, on_drain_over, (uint64_t)s->drain_ms, 0);
    s->ops->drain(s->ctx);
}

/* ---- the terminal ---- */

static void remember_terminal(struct signals_terminal *t, int fd)
{
    t->fd = fd;
    t->is_one = isatty(fd);
    t->has_group = t->is_one && tcgetpgrp(fd) >= 0;
}

static bool is_lost(const struct signals_terminal *t)
{
    struct pollfd p = {.fd = t->fd}; /* hanging up is told unasked */
    if (!t->is_one)
        return false;
    if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
        return true;
    return !isatty(t->fd) || (t->has_group && tcgetpgrp(t->fd) < 0);
}

/* True if one of them is gone. That is a request to stop, but never a second one: a shell and the
   kernel may both tell of it. */
static bool look_at_terminals(struct signals *s)
{
    if (!is_lost(&s->terminals[0]) && !is_lost(&s->terminals[1]))
        return false;
    if (!s->stop_asked) {
        event_terminal_gone();
        stop(s);
    }
    return true;
}

static void on_look(uv_timer_t *t)
{
    (void)look_at_terminals(t->data);
}

static void hang_up(struct signals *s)
{
    if (look_at_terminals(s))
        return;
    s->ops->reload(s->ctx);
    if (s->terminals[0].is_one || s->terminals[1].is_one)
        uv_timer_start(&s->look, on_look, SIGNALS_LOOK_AGAIN_MS, 0);
}

/* ---- the table ---- */

static void tell(struct signals *s)
{
    s->ops->status(s->ctx);
}

static void nothing(struct signals *s)
{
    (void)s;
    log_debug("SIGUSR2 means nothing to this program");
}

static const struct {
    int signum;
    bool held; /* by default it would kill, and the program is not there yet */
    void (*act)(struct signals *s);
} table[SIGNALS_COUNT] = {
    {SIGINT, false, stop}, {SIGTERM, false, stop},   {SIGHUP, true, hang_up},
    {SIGUSR1, true, tell}, {SIGUSR2, true, nothing},
};

static void on_signal(uv_signal_t *h, int signum)
{
    struct signals *s = h->data;
    (void)signum; /* each has its handle */
    table[h - s->handles].act(s);
}

static sigset_t held(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].held)
            sigaddset(&set, table[i].signum);
    return set;
}

void signals_hold(void)
{
    sigset_t set = held();
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* fails for a wrong first argument only */
}

static bool is_ignored(int signum)
{
    struct sigaction now;
    return sigaction(signum, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

int signals_init(struct signals *s, struct loop *loop, mtime_ms drain_ms,
                 const struct signals_ops *ops, void *ctx)
{
    sigset_t set = held();
    *s = (struct signals){.drain_ms = drain_ms, .ops = ops, .ctx = ctx};
    remember_terminal(&s->terminals[0], STDIN_FILENO);
    remember_terminal(&s->terminals[1], STDERR_FILENO);
    signal(SIGPIPE, SIG_IGN);
    uv_timer_init(&loop->uv, &s->timer);
    uv_timer_init(&loop->uv, &s->look);
    s->timer.data = s->look.data = s;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uv_signal_init(&loop->uv, &s->handles[i]);
        s->handles[i].data = s;
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].signum == SIGHUP && is_ignored(SIGHUP))
            continue; /* nohup */
        if (uv_signal_start(&s->handles[i], on_signal, table[i].signum) < 0)
            goto fail;
    }
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return 0;

fail:
    signals_fini(s);
    return ERR_IO;
}

bool signals_stop_asked(const struct signals *s)
{
    return s->stop_asked;
}

bool signals_stop(struct signals *s)
{
    if (s->stop_asked)
        return false;
    stop(s);
    return true;
}

void signals_set_drain(struct signals *s, mtime_ms drain_ms)
{
    if (!s->stop_asked)
        s->drain_ms = drain_ms;
}

double signals_drain_seconds(const struct signals *s)
{
    return (double)s->drain_ms / 1000;
}

/* libuv gives a signal back to its default, which kills, with the last handle of it. What comes in
   that moment is kept back, and ignored then. */
void signals_fini(struct signals *s)
{
    sigset_t all, before;
    sigemptyset(&all);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        sigaddset(&all, table[i].signum);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before); /* fails for a wrong first argument only */
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uv_close((uv_handle_t *)&s->handles[i], NULL);
        signal(table[i].signum, SIG_IGN);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    uv_close((uv_handle_t *)&s->timer, NULL);
    uv_close((uv_handle_t *)&s->look, NULL);
}
