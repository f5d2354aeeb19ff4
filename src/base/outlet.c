/* SPDX-License-Identifier: MIT */
/* A queue of texts behind a mutex, and the thread that writes them. */
#include "base/outlet.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log_record.h"
#include "base/thread.h"

enum { LOST_LINE_ROOM = LOG_RECORD_MAX };

struct text {
    struct list node;
    size_t n;
    char bytes[];
};

static size_t cost_of(size_t n)
{
    return sizeof(struct text) + n;
}

/* ---- writing; the lock is not held ---- */

/* A text that was torn gets its end of line first. */
static bool write_text(struct outlet *o, const char *text, size_t n, bool torn, bool *ret_torn)
{
    size_t done = 0;
    if (o->write) { /* whole, or not at all */
        *ret_torn = false;
        return o->write(o->fd, text, n) == n;
    }
    if (!torn || file_write_all(o->fd, "\n", 1) == 1) {
        torn = false;
        done = file_write_all(o->fd, text, n);
    }
    *ret_torn = torn || (done > 0 && done < n);
    return done == n;
}

/* Writes outside of the lock and counts what could not be written: count texts in one. */
static void write_unlocked(struct outlet *o, const char *text, size_t n, unsigned count)
{
    bool torn = o->torn;
    o->writing = true;
    pthread_mutex_unlock(&o->lock);
    bool written = write_text(o, text, n, torn, &torn);
    pthread_mutex_lock(&o->lock);
    o->writing = false;
    o->torn = torn;
    o->failing = !written;
    if (!written)
        o->lost += count;
}

/* ---- the thread ---- */

static void drop_all(struct outlet *o)
{
    for (struct list *n; (n = list_first(&o->waiting));) {
        list_del(n);
        free(LIST_ENTRY(n, struct text, node));
        o->lost++;
    }
    o->bytes = 0;
}

/* False: there is none. */
static bool write_next(struct outlet *o)
{
    struct list *n = list_first(&o->waiting);
    if (!n)
        return false;
    struct text *t = LIST_ENTRY(n, struct text, node);
    list_del(n);
    o->bytes -= cost_of(t->n);
    write_unlocked(o, t->bytes, t->n, 1);
    free(t);
    return true;
}

/* What was lost stands where it is missing: behind what was taken before, ahead of what comes. */
static void say_lost(struct outlet *o)
{
    char line[LOST_LINE_ROOM];
    unsigned lost = o->lost;
    o->lost = 0;
    o->overflown = false;
    size_t n = o->lost_line ? o->lost_line(line, sizeof line, lost) : 0;
    if (n > 0)
        write_unlocked(o, line, n, lost);
    else
        o->failing = false;
    if (o->failing)
        drop_all(o); /* and the next text is the next attempt */
}

static bool is_idle(const struct outlet *o)
{
    return list_empty(&o->waiting) && !o->writing && (o->lost == 0 || o->failing);
}

static void *run(void *arg)
{
    struct outlet *o = arg;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        if (o->lost > 0 && (o->failing ? !list_empty(&o->waiting) : list_empty(&o->waiting)))
            say_lost(o);
        else if (!write_next(o)) {
            pthread_cond_broadcast(&o->done);
            pthread_cond_wait(&o->more, &o->lock);
        }
    }
    return NULL;
}

/* ---- whoever has something to say ---- */

static void prepare(struct outlet *o)
{
    pthread_condattr_t monotonic;
    o->ready = true;
    list_init(&o->waiting);
    (void)pthread_condattr_init(&monotonic); /* these cannot fail on Linux */
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&o->done, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

static void begin(struct outlet *o)
{
    pthread_t thread;
    o->begun = true;
    o->alone = thread_start(&thread, o->name, run, o) != 0;
    if (!o->alone)
        (void)pthread_detach(thread); /* it may be stuck when the program ends */
    while (o->alone && write_next(o))
        continue;
}

static bool enqueue(struct outlet *o, const char *text, size_t n)
{
    if (o->overflown || o->bytes + cost_of(n) > OUTLET_MAX_BYTES)
        return false;
    struct text *t = malloc(cost_of(n));
    if (!t)
        return false;
    t->n = n;
    memcpy(t->bytes, text, n);
    list_init(&t->node);
    list_push(&o->waiting, &t->node);
    o->bytes += cost_of(n);
    return true;
}

/* A pipe that is writable has room for so much. */
static bool takes_at_once(const struct outlet *o, size_t n)
{
    struct pollfd p = {.fd = o->fd, .events = POLLOUT};
    return n <= PIPE_BUF && poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

/* Whether the text is dealt with without a thread. */
static bool write_here(struct outlet *o, const char *text, size_t n)
{
    if (o->alone) {
        (void)write_text(o, text, n, o->torn, &o->torn);
        return true;
    }
    return o->held && list_empty(&o->waiting) && takes_at_once(o, n) &&
           write_text(o, text, n, o->torn, &o->torn);
}

void outlet_redirect(struct outlet *o, int fd, size_t (*write)(int fd, const char *text, size_t n))
{
    pthread_mutex_lock(&o->lock);
    o->fd = fd;
    o->write = write;
    pthread_mutex_unlock(&o->lock);
}

void outlet_hold(struct outlet *o)
{
    pthread_mutex_lock(&o->lock);
    o->held = !o->begun;
    pthread_mutex_unlock(&o->lock);
}

void outlet_release(struct outlet *o)
{
    pthread_mutex_lock(&o->lock);
    o->held = false;
    if (o->ready && !o->begun && (!list_empty(&o->waiting) || o->lost > 0))
        begin(o);
    pthread_mutex_unlock(&o->lock);
}

void outlet_put(struct outlet *o, const char *text, size_t n)
{
    int saved = errno;
    pthread_mutex_lock(&o->lock);
    if (!o->ready)
        prepare(o);
    if (!o->begun && !o->held)
        begin(o);
    if (!write_here(o, text, n) && !enqueue(o, text, n)) {
        o->overflown = true;
        o->lost++;
    }
    pthread_cond_signal(&o->more);
    pthread_mutex_unlock(&o->lock);
    errno = saved;
}

bool outlet_flush(struct outlet *o, int ms)
{
    struct timespec until;
    int r = 0;
    outlet_release(o);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&o->lock);
    while (o->begun && !o->alone && !is_idle(o) && r == 0)
        r = pthread_cond_timedwait(&o->done, &o->lock, &until);
    pthread_mutex_unlock(&o->lock);
    return r == 0;
}
