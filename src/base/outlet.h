/* SPDX-License-Identifier: MIT */
/*
 * An outlet writes texts to a descriptor that may block for ever (a stopped pager, a stuck
 * collector, a terminal under Ctrl-S) without ever making whoever has something to say wait: they
 * go through a bounded queue to a thread of the outlet's own.
 *
 *   outlet_put() --> queue, OUTLET_MAX_BYTES --> thread --> one write() for each text
 *                      └ full: counted, and nothing is taken until the queue has been emptied;
 *                        then one line says how many there were
 *
 * The same count has what the descriptor refuses (a full disk, a reader that is gone): the line is
 * tried before the next text, and said once it passes.
 *
 * An outlet may be held while there is to be one thread only: then texts that the descriptor takes
 * at once are written at once, and the others wait for outlet_release().
 *
 * Order is kept, across threads too. Nothing is ever freed: outlets are of static storage, all zero
 * but for the fields above "private", and their threads end with the process.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/list.h"

/* What may wait, overhead included: two thousand lines. More would only be older when it is read,
   and it is memory that a stuck collector takes from the program it watches. */
enum { OUTLET_MAX_BYTES = 256 << 10 };

struct outlet {
    int fd;
    /* The line that says how many texts were lost, into out; its length. NULL: it is not said. */
    size_t (*lost_line)(char *out, size_t room, unsigned lost);
    const char *name; /* of the thread */
    /* Writes n bytes, and returns how many it took; NULL: write(). */
    size_t (*write)(int fd, const char *text, size_t n);
    /* private; lock guards the rest */
    pthread_mutex_t lock;
    pthread_cond_t more, done;
    bool ready;     /* list and conditions are made */
    bool held;      /* there is to be no thread yet */
    bool begun;     /* there is a thread, or it was tried in vain */
    bool alone;     /* in vain: whoever puts a text writes it */
    bool writing;   /* a text has left the queue and is not written yet */
    bool overflown; /* nothing is taken until the queue is empty */
    bool failing;   /* the last write() failed */
    bool torn;      /* ... in the middle of a text */
    unsigned lost;
    size_t bytes; /* that wait */
    struct list waiting;
};

#define OUTLET_INIT(descriptor, thread_name, lost_text)                                            \
    {                                                                                              \
        .fd = (descriptor), .name = (thread_name), .lost_line = (lost_text),                       \
        .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER                        \
    }

/* Any thread: takes a copy of n bytes, to be written by one write(). Never waits for the
   descriptor, unless no thread can be made: then it writes itself. */
void outlet_put(struct outlet *o, const char *text, size_t n);

/* What is put from now on goes there, by that function: only while the outlet has no thread. */
void outlet_redirect(struct outlet *o, int fd, size_t (*write)(int fd, const char *text, size_t n));

/* Before the first text; only the calling thread uses the outlet until outlet_release(), which
   begins the thread if there is anything for it. outlet_flush() releases as well. */
void outlet_hold(struct outlet *o);
void outlet_release(struct outlet *o);

/* Waits until all is written that was put before, at most ms. True: it is. */
bool outlet_flush(struct outlet *o, int ms);
