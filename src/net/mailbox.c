/* SPDX-License-Identifier: MIT */
/* Jobs from one loop to another: a list behind a mutex, and libuv's way to wake a loop. */
#include "net/mailbox.h"

#include "base/err.h"

/* The next message, no longer waiting; NULL: none. */
static struct message *take_message(struct mailbox *mb)
{
    uv_mutex_lock(&mb->lock);
    struct list *n = list_first(&mb->waiting);
    if (n)
        list_del(n);
    uv_mutex_unlock(&mb->lock);
    return n ? LIST_ENTRY(n, struct message, node) : NULL;
}

static void on_wake(uv_async_t *h)
{
    struct mailbox *mb = CONTAINER_OF(h, struct mailbox, wake);
    for (int i = 0; i < MAILBOX_BATCH; i++) {
        struct message *m = take_message(mb);
        if (!m)
            return;
        m->run(m);
        if (uv_is_closing((uv_handle_t *)h))
            return;
    }
    (void)uv_async_send(h); /* there may be more: posting wakes for the first one only */
}

void message_init(struct message *m, void (*run)(struct message *m))
{
    *m = (struct message){.run = run};
    list_init(&m->node);
}

int mailbox_init(struct mailbox *mb, struct loop *loop)
{
    list_init(&mb->waiting);
    if (uv_mutex_init(&mb->lock) < 0)
        return ERR_NOMEM;
    if (uv_async_init(&loop->uv, &mb->wake, on_wake) < 0) {
        uv_mutex_destroy(&mb->lock);
        return ERR_IO;
    }
    return 0;
}

/* All of it under the lock: the loop takes nothing before the waking is over, so it cannot close
   the mailbox under our hands. */
void mailbox_post(struct mailbox *mb, struct message *m)
{
    uv_mutex_lock(&mb->lock);
    if (list_empty(&m->node)) {
        bool was_empty = list_empty(&mb->waiting);
        list_push(&mb->waiting, &m->node);
        if (was_empty)
            (void)uv_async_send(&mb->wake); /* cannot fail on an open handle */
    }
    uv_mutex_unlock(&mb->lock);
}

void mailbox_close(struct mailbox *mb)
{
    uv_close((uv_handle_t *)&mb->wake, NULL);
}

void mailbox_fini(struct mailbox *mb)
{
    uv_mutex_destroy(&mb->lock);
}
