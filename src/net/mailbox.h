/* SPDX-License-Identifier: MIT */
/*
 * How one loop asks another to do something: a message is a job that the loop of a mailbox runs, in
 * its own thread, in the order of posting.
 *
 * A message is embedded in the object it is about and never copied, so posting cannot fail and
 * allocates nothing. The queue is bounded by that: a message waits at most once, so there are never
 * more of them than the objects have.
 *
 * What was written before mailbox_post() is seen by run(): handing an object over needs no other
 * lock. Posting costs a mutex and, into an empty mailbox, one write to wake the loop: for what
 * happens once in a connection, never for its data.
 */
#pragma once

#include <uv.h>

#include "base/attr.h"
#include "base/list.h"
#include "net/loop.h"

/* Embed in the object that is posted; initialise with message_init(). */
struct message {
    void (*run)(struct message *m);
    /* private: the lock of the mailbox it waits in guards it */
    struct list node;
};

/* So many are run before sockets get their chance again. */
enum { MAILBOX_BATCH = 64 };

struct mailbox {
    /* private */
    uv_mutex_t lock;
    uv_async_t wake;
    struct list waiting;
};

void message_init(struct message *m, void (*run)(struct message *m));

/* In the loop's thread, or before that thread begins. It keeps the loop running. mb must not move.
   0, ERR_NOMEM, or ERR_IO. */
int mailbox_init(struct mailbox *mb, struct loop *loop) MUST_USE;

/*
 * Any thread. m->run(m) is called once by the mailbox's loop, also when m waited already; while it
 * runs m can be posted again. Between two mailboxes m may wait in one at a time only. The mailbox
 * is not touched after run() can have begun: run() may close it.
 */
void mailbox_post(struct mailbox *mb, struct message *m);

/* In the loop's thread: the mailbox no longer keeps the loop running, and what still waits is not
   run. Nothing may be posted any more. */
void mailbox_close(struct mailbox *mb);

/* When its loop has run to the end, and whoever posted has returned from it. */
void mailbox_fini(struct mailbox *mb);
