/* SPDX-License-Identifier: MIT */
#include "app/census_desk.h"

static void answer_all(struct census_desk *d, struct census *c)
{
    struct list all;
    list_init(&all);
    list_splice(&all, &d->asking);
    for (struct list *n; (n = list_first(&all));) {
        list_del(n);
        struct census_ask *a = LIST_ENTRY(n, struct census_ask, node);
        a->done(a, c);
    }
}

static void desk_on_answer(struct loop_job *job)
{
    struct census_desk *d = CONTAINER_OF(job, struct census_desk, answer);
    if (d->is_gathering || list_empty(&d->asking))
        return;
    struct census *c = census_ref(d->census); /* somebody may ask again meanwhile */
    answer_all(d, c);
    census_unref(c);
}

void census_desk_done(struct census_desk *d)
{
    d->is_gathering = false;
    uv_timer_stop(&d->patience);
    d->made_at = loop_now(d->loop);
    loop_defer(d->loop, &d->answer);
}

static void desk_on_patience(uv_timer_t *t)
{
    struct census_desk *d = t->data;
    d->ops->give_up(d->ctx, d->census);
}

static void gather(struct census_desk *d)
{
    census_unref(d->census);
    d->census = census_new();
    if (!d->census) {
        answer_all(d, NULL);
        return;
    }
    d->is_gathering = true;
    if (d->ops->give_up)
        uv_timer_start(&d->patience, desk_on_patience, CENSUS_PATIENCE_MS, 0);
    d->ops->gather(d->ctx, d->census);
}

static void desk_on_gather(struct loop_job *job)
{
    struct census_desk *d = CONTAINER_OF(job, struct census_desk, begin);
    bool is_fresh = d->census && loop_now(d->loop) - d->made_at < CENSUS_SHARED_MS;
    if (d->is_gathering)
        return;
    if (is_fresh)
        loop_defer(d->loop, &d->answer);
    else
        gather(d);
}

void census_desk_init(struct census_desk *d, struct loop *loop, const struct census_ops *ops,
                      void *ctx)
{
    *d = (struct census_desk){.ops = ops, .ctx = ctx, .loop = loop};
    list_init(&d->asking);
    loop_job_init(&d->answer, desk_on_answer);
    loop_job_init(&d->begin, desk_on_gather);
    uv_timer_init(&loop->uv, &d->patience);
    d->patience.data = d;
}

void census_ask(struct census_desk *d, struct census_ask *a)
{
    list_init(&a->node);
    list_push(&d->asking, &a->node);
    loop_defer(d->loop, &d->begin);
}

void census_desk_close(struct census_desk *d)
{
    if (d->is_closed)
        return;
    d->is_closed = true;
    loop_cancel(&d->answer);
    loop_cancel(&d->begin);
    answer_all(d, NULL);
    uv_close((uv_handle_t *)&d->patience, NULL);
    census_unref(d->census);
    d->census = NULL;
    d->is_gathering = false;
}
