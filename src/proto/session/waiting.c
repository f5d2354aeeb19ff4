/* SPDX-License-Identifier: MIT */
/* Bounds of what waits for clients that are away: see waiting.h. There is an account for each
 * source, found by its hash; all are looked through only when the limit is exceeded. */
#include "proto/session/waiting.h"

#include <string.h>

#include "proto/hash.h"

void waiting_init(struct waiting *w, uint64_t max)
{
    memset(w, 0, sizeof *w);
    w->max = max;
}

static uint64_t counted(const struct waiting_entry *e)
{
    return e->bytes > WAITING_FLOOR_BYTES ? e->bytes : WAITING_FLOOR_BYTES;
}

static bool is_of(const struct waiting_account *a, const char *source)
{
    const struct waiting_entry *first = LIST_ENTRY(a->entries.next, struct waiting_entry, node);
    return strcmp(first->source, source) == 0;
}

/* That of the source, else one that is nobody's, else one that it shares. Behind one that is
   nobody's may be its own: accounts become free in any order. */
static struct waiting_account *account_of(struct waiting *w, const char *source)
{
    uint64_t hash = hash_text(source);
    struct waiting_account *a = NULL, *unused = NULL;
    for (unsigned i = 0; i < WAITING_LOOK_MAX; i++) {
        a = &w->accounts[(hash + i) % WAITING_SOURCES];
        if (a->bytes > 0 && is_of(a, source))
            return a;
        if (a->bytes == 0 && !unused)
            unused = a;
    }
    return unused ? unused : a;
}

static void begin(struct waiting *w, struct waiting_entry *e, const char *source)
{
    e->source = source;
    e->account = account_of(w, source);
    if (e->account->bytes == 0)
        list_init(&e->account->entries);
    list_push(&e->account->entries, &e->node);
    w->count++;
}

void waiting_put(struct waiting *w, struct waiting_entry *e, const char *source, uint64_t bytes,
                 uint32_t streams)
{
    if (!e->account)
        begin(w, e, source);
    else {
        e->account->bytes -= counted(e);
        w->bytes -= counted(e);
    }
    e->bytes = bytes;
    e->streams = streams;
    e->account->bytes += counted(e);
    w->bytes += counted(e);
}

void waiting_remove(struct waiting *w, struct waiting_entry *e)
{
    if (!e->account)
        return;
    e->account->bytes -= counted(e);
    w->bytes -= counted(e);
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
    if (w->bytes <= w->max || w->count < 2)
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
