/* SPDX-License-Identifier: MIT */
/* Bounds of what waits for clients that are away: see waiting.h. There is an account for each
 * source, found by its hash; all are looked through only when the limit is exceeded. */
#include "proto/session/waiting.h"

#include <assert.h>
#include <stddef.h>

void waiting_init(struct waiting *w, uint64_t max, uint32_t floor)
{
    assert(floor > 0);
    w->max = max;
    w->floor = floor;
}

static uint64_t counted(const struct waiting *w, const struct waiting_entry *e)
{
    return e->bytes > w->floor ? e->bytes : w->floor;
}

static bool is_of(const struct waiting_account *a, uint64_t source)
{
    return LIST_ENTRY(a->entries.next, struct waiting_entry, node)->source == source;
}

/* That of the source, else one that is nobody's, else one that it shares. Behind one that is
   nobody's may be its own: accounts become free in any order. */
static struct waiting_account *account_of(struct waiting *w, uint64_t source)
{
    struct waiting_account *a = NULL, *unused = NULL;
    for (unsigned i = 0; i < WAITING_LOOK_MAX; i++) {
        a = &w->accounts[(source + i) % WAITING_SOURCES];
        if (a->bytes > 0 && is_of(a, source))
            return a;
        if (a->bytes == 0 && !unused)
            unused = a;
    }
    return unused ? unused : a;
}

static void begin(struct waiting *w, struct waiting_entry *e, uint64_t source)
{
    e->source = source;
    e->account = account_of(w, source);
    if (e->account->bytes == 0)
        list_init(&e->account->entries);
    list_push(&e->account->entries, &e->node);
    w->count++;
}

void waiting_put(struct waiting *w, struct waiting_entry *e, uint64_t source, uint64_t bytes,
                 uint32_t streams)
{
    if (!e->account)
        begin(w, e, source);
    else {
        e->account->bytes -= counted(w, e);
        w->bytes -= counted(w, e);
    }
    e->bytes = bytes;
    e->streams = streams;
    e->account->bytes += counted(w, e);
    w->bytes += counted(w, e);
}

void waiting_moved(struct waiting_entry *e)
{
    list_move(&e->account->entries, &e->node);
}

void waiting_remove(struct waiting *w, struct waiting_entry *e)
{
    if (!e->account)
        return;
    e->account->bytes -= counted(w, e);
    w->bytes -= counted(w, e);
    w->count--;
    list_del(&e->node);
    e->account = NULL;
}

static struct waiting_account *largest(struct waiting *w)
{
    struct waiting_account *a = &w->accounts[0];
    for (size_t i = 1; i < WAITING_SOURCES; i++)
        if (w->accounts[i].bytes > a->bytes)
            a = &w->accounts[i];
    return a;
}

struct waiting_entry *waiting_victim(struct waiting *w)
{
    if (!waiting_exceeds(w) || w->count < 2)
        return NULL;
    struct waiting_account *a = largest(w);
    struct waiting_entry *victim = LIST_ENTRY(list_first(&a->entries), struct waiting_entry, node);
    list_foreach (n, &a->entries) {
        struct waiting_entry *e = LIST_ENTRY(n, struct waiting_entry, node);
        if (e->streams == 0) {
            victim = e;
            break;
        }
    }
    waiting_remove(w, victim);
    return victim;
}
