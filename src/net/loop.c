/* SPDX-License-Identifier: MIT */
/* libuv with end-of-turn jobs. */
#include "net/loop.h"

#include "base/err.h"

/* While jobs wait, an idle handle keeps the loop from sleeping, and from ending. */
static void on_idle(uv_idle_t *h)
{
    (void)h;
}

/* Serves what was deferred up to now; jobs deferred by these wait for the next turn. Then one that is
   slow. */
static void on_check(uv_check_t *h)
{
    struct loop *l = h->data;
    struct list now;
    list_init(&now);
    list_splice(&now, &l->jobs);
    for (struct list *n; (n = list_first(&now));) {
        list_del(n);
        struct loop_job *job = LIST_ENTRY(n, struct loop_job, node);
        job->run(job);
    }
    struct list *slow = list_first(&l->slow);
    if (slow) {
        list_del(slow);
        struct loop_job *job = LIST_ENTRY(slow, struct loop_job, node);
        job->run(job);
    }
    if (list_empty(&l->jobs) && list_empty(&l->slow))
        uv_idle_stop(&l->idle);
}

int loop_init(struct loop *l)
{
    list_init(&l->jobs);
    list_init(&l->slow);
    int r = uv_loop_init(&l->uv);
    if (r < 0)
        return r == UV_ENOMEM ? ERR_NOMEM : r == UV_EMFILE ? ERR_LIMIT : ERR_IO;
    int err = poller_init(l);
    if (err < 0) {
        (void)uv_loop_close(&l->uv);
        return err;
    }
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    l->check.data = l;
    uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->check); /* alone it must not keep the loop running */
    return 0;
}

void loop_fini(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT); /* close callbacks, and the jobs they defer */
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    poller_fini(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l->uv); /* EBUSY would be a leaked handle: LeakSanitizer shows it */
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

mtime_ms loop_now(const struct loop *l)
{
    return (mtime_ms)uv_now(&l->uv);
}

void loop_update(struct loop *l)
{
    uv_update_time(&l->uv);
}

void loop_job_init(struct loop_job *job, void (*run)(struct loop_job *job))
{
    list_init(&job->node);
    job->run = run;
}

static void defer(struct loop *l, struct list *to, struct loop_job *job)
{
    if (!list_empty(&job->node))
        return;
    list_push(to, &job->node);
    uv_idle_start(&l->idle, on_idle);
}

void loop_defer(struct loop *l, struct loop_job *job)
{
    defer(l, &l->jobs, job);
}

void loop_defer_slow(struct loop *l, struct loop_job *job)
{
    defer(l, &l->slow, job);
}

void loop_cancel(struct loop_job *job)
{
    list_del(&job->node);
}
