/* SPDX-License-Identifier: MIT */
/*
 * Who is known, and when clients were here last, kept over a restart of the server: read before anybody comes,
 * written when it has changed. A disk may take its time, so a thread of its own writes what the main thread has made;
 * the main thread looks now and then whether it has finished, and never waits for it but at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "base/i18n.h"
#include "base/thread.h"
#include "server/internal.h"
#include "server/known_store.h"
#include "server/seen_store.h"

/* ---- a writing ---- */

/* One writing of the file. The thread has it until it says is_over, then the keeper again. */
struct keeper_write {
    uv_mutex_t lock;
    uv_cond_t over;
    bool is_over;
    pthread_t thread;
    int dirfd;
    char *dir;
    int err;
    struct errmsg why;
    size_t size, seen_size;
    char *seen; /* NULL: nobody has been seen */
    uint8_t bytes[KNOWN_FILE_MAX];
};

static void write_free(struct keeper_write *w)
{
    uv_cond_destroy(&w->over);
    uv_mutex_destroy(&w->lock);
    free(w->seen);
    free(w->dir);
    free(w);
}

/* NULL: there is no memory. */
static struct keeper_write *write_new(const struct server *srv)
{
    struct keeper_write *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->dirfd = srv->keeper.dirfd;
    w->dir = strdup(srv->opt->certs);
    w->size = known_file_write(&srv->known, loop_now(&srv->loop), (uint64_t)time(NULL), w->bytes);
    bool is_seen = srv->last_seen.count > 0;
    if (is_seen)
        w->seen = last_seen_write(&srv->last_seen, &w->seen_size);
    if (w->dir && w->size > 0 && (w->seen || !is_seen) && uv_mutex_init(&w->lock) == 0) {
        if (uv_cond_init(&w->over) == 0)
            return w;
        uv_mutex_destroy(&w->lock);
    }
    free(w->seen);
    free(w->dir);
    free(w);
    return NULL;
}

static void *write_run(void *arg)
{
    struct keeper_write *w = arg;
    int err = known_store_write(w->dirfd, w->dir, w->bytes, w->size, &w->why);
    if (err == 0 && w->seen)
        err = seen_store_write(w->dirfd, w->dir, w->seen, w->seen_size, &w->why);
    uv_mutex_lock(&w->lock);
    w->err = err;
    w->is_over = true;
    uv_cond_signal(&w->over);
    uv_mutex_unlock(&w->lock);
    return NULL;
}

/* Waits for its end, until then at the longest (uv_hrtime()); 0: only looks. */
static bool write_is_over(struct keeper_write *w, uint64_t until)
{
    uint64_t now;
    uv_mutex_lock(&w->lock);
    while (!w->is_over && (now = uv_hrtime()) < until)
        (void)uv_cond_timedwait(&w->over, &w->lock, until - now);
    bool is_over = w->is_over;
    uv_mutex_unlock(&w->lock);
    return is_over;
}

/* ---- the keeper ---- */

/* It has to be written again; what is known to have failed is said once, until it succeeds. */
static void keeper_failed(struct server *srv, const char *why)
{
    struct keeper *k = &srv->keeper;
    k->changed_at = loop_now(&srv->loop);
    k->has_new = true;
    if (why && !k->has_told)
        event_known_unwritten(why);
    k->has_told = k->has_told || why;
}

static void keeper_begin_write(struct server *srv)
{
    struct keeper *k = &srv->keeper;
    k->not_before = loop_now(&srv->loop) + KEEPER_WRITE_MS;
    k->changed_at = MTIME_NEVER;
    k->has_new = false;
    struct keeper_write *w = write_new(srv);
    int r = w ? thread_start(&w->thread, "known", write_run, w) : ENOMEM;
    if (r == 0) {
        k->write = w;
        return;
    }
    if (w)
        write_free(w);
    keeper_failed(srv, errno_text(r));
}

/* The writing is over, and said so. */
static void keeper_conclude(struct server *srv)
{
    struct keeper_write *w = srv->keeper.write;
    (void)pthread_join(w->thread, NULL); /* it has nothing more to do */
    srv->keeper.write = NULL;
    if (w->err < 0)
        keeper_failed(srv, w->err == ERR_AGAIN ? NULL : w->why.text);
    else
        srv->keeper.has_told = false;
    write_free(w);
}

/* When there is something to do; MTIME_NEVER: until something changes, nothing. */
static mtime_ms keeper_deadline(const struct keeper *k, mtime_ms now)
{
    if (k->write)
        return now + KEEPER_LOOK_MS;
    if (k->changed_at == MTIME_NEVER)
        return MTIME_NEVER;
    mtime_ms at = k->changed_at + (k->has_new ? 0 : KEEPER_RENEWED_MS);
    return at > k->not_before ? at : k->not_before;
}

static void keeper_on_due(uv_timer_t *t);

static void keeper_arm(struct server *srv)
{
    mtime_ms now = loop_now(&srv->loop), at = keeper_deadline(&srv->keeper, now);
    if (at != MTIME_NEVER)
        uv_timer_start(&srv->keeper.due, keeper_on_due, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void keeper_on_due(uv_timer_t *t)
{
    struct server *srv = t->data;
    struct keeper *k = &srv->keeper;
    if (k->write && write_is_over(k->write, 0))
        keeper_conclude(srv);
    mtime_ms now = loop_now(&srv->loop);
    if (!k->write && keeper_deadline(k, now) <= now)
        keeper_begin_write(srv);
    keeper_arm(srv);
}

void keeper_changed(struct server *srv, bool is_new)
{
    struct keeper *k = &srv->keeper;
    if (k->dirfd < 0)
        return;
    if (k->changed_at == MTIME_NEVER)
        k->changed_at = loop_now(&srv->loop);
    k->has_new = k->has_new || is_new;
    if (!k->write) /* else the timer runs, and must not be put off */
        keeper_arm(srv);
}

void keeper_begin(struct server *srv)
{
    struct keeper *k = &srv->keeper;
    struct errmsg why = {""};
    uv_timer_init(&srv->loop.uv, &k->due);
    k->due.data = srv;
    k->changed_at = MTIME_NEVER;
    k->dirfd = open(srv->opt->certs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->dirfd < 0) {
        event_known_unwritten(errno_text(errno));
        return;
    }
    if (known_store_read(k->dirfd, srv->opt->certs, &srv->known, loop_now(&srv->loop),
                         (uint64_t)time(NULL), &why) < 0)
        event_known_unread(why.text);
    if (seen_store_read(k->dirfd, srv->opt->certs, &srv->last_seen, &why) < 0)
        event_seen_unread(why.text);
}

/* Waits for the writing under way, as write_is_over(). True: there is none any more. */
static bool keeper_wait(struct server *srv, uint64_t until)
{
    struct keeper *k = &srv->keeper;
    if (!k->write)
        return true;
    if (!write_is_over(k->write, until)) {
        (void)pthread_detach(k->write->thread); /* its memory and the folder stay with it */
        keeper_failed(srv, _("the disk takes too long"));
        return false;
    }
    keeper_conclude(srv);
    return true;
}

void keeper_end(struct server *srv)
{
    struct keeper *k = &srv->keeper;
    uint64_t until = uv_hrtime() + (uint64_t)KEEPER_END_MS * 1000000; /* of both writings */
    uv_close((uv_handle_t *)&k->due, NULL);
    if (k->dirfd < 0 || !keeper_wait(srv, until))
        return;
    if (k->changed_at != MTIME_NEVER)
        keeper_begin_write(srv);
    if (keeper_wait(srv, until))
        (void)close(k->dirfd); /* a folder */
    k->dirfd = -1;
}
