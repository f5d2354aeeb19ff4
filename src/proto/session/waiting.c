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

void waiting_limit(struct waiting *w, uint64_t max)
{
    assert(w->count == 0);
    w->max = max;
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

/* As account_of(). */
static struct waiting_client *client_of(struct waiting *w, uint64_t client)
{
    struct waiting_client *c = NULL, *unused = NULL;
    for (unsigned i = 0; i < WAITING_LOOK_MAX; i++) {
        c = &w->clients[(client + i) % WAITING_CLIENTS];
        if (c->count > 0 && c->client == client)
            return c;
        if (c->count == 0 && !unused)
            unused = c;
    }
    if (!unused)
        return c;
    *unused = (struct waiting_client){.client = client};
    return unused;
}

/* It holds more than a client may, and not in one entry alone. */
static bool exceeds_part(const struct waiting *w, const struct waiting_client *c)
{
    return c->count > 1 && c->bytes > w->max - w->max / WAITING_OTHERS_PART;
}

/* What the entry counts is added (1) or taken away (-1); to the client's it is one more or less. */
static void count_in(struct waiting *w, struct waiting_entry *e, int sign, int entries)
{
    uint64_t bytes = (uint64_t)sign * counted(w, e);
    struct waiting_client *c = e->of_client;
    e->account->bytes += bytes;
    w->bytes += bytes;
    if (!c)
        return;
    w->exceeding -= exceeds_part(w, c);
    c->bytes += bytes;
    c->count += (uint32_t)entries;
    w->exceeding += exceeds_part(w, c);
}

static void begin(struct waiting *w, struct waiting_entry *e, uint64_t source)
{
    e->source = source;
    e->account = account_of(w, source);
    if (e->account->bytes == 0)
        list_init(&e->account->entries);
    list_push(&e->account->entries, &e->node);
    e->of_client = e->client != 0 ? client_of(w, e->client) : NULL;
    w->count++;
}

void waiting_put(struct waiting *w, struct waiting_entry *e, uint64_t source, uint64_t bytes,
                 uint32_t streams)
{
    bool is_new = !e->account;
    if (is_new)
        begin(w, e, source);
    else
        count_in(w, e, -1, 0);
    e->bytes = bytes;
    e->streams = streams;
    count_in(w, e, 1, is_new);
}

void waiting_moved(struct waiting_entry *e)
{
    list_move(&e->account->entries, &e->node);
}

void waiting_remove(struct waiting *w, struct waiting_entry *e)
{
    if (!e->account)
        return;
    count_in(w, e, -1, -1);
    w->count--;
    list_del(&e->node);
    e->account = NULL;
    e->of_client = NULL;
}

/* Bytes of the account that are the client's; of all if c is NULL. */
static uint64_t share_of(const struct waiting *w, struct waiting_account *a,
                         const struct waiting_client *c)
{
    uint64_t bytes = 0;
    if (!c || a->bytes == 0)
        return a->bytes;
    list_foreach (n, &a->entries) {
        const struct waiting_entry *e = LIST_ENTRY(n, struct waiting_entry, node);
        bytes += e->of_client == c ? counted(w, e) : 0;
    }
    return bytes;
}

/* The account with most of it. One that has less in all is not looked through. */
static struct waiting_account *largest(struct waiting *w, const struct waiting_client *c)
{
    struct waiting_account *a = &w->accounts[0];
    uint64_t most = share_of(w, a, c);
    for (size_t i = 1; i < WAITING_SOURCES; i++) {
        uint64_t bytes = w->accounts[i].bytes > most ? share_of(w, &w->accounts[i], c) : 0;
        if (bytes > most) {
            a = &w->accounts[i];
            most = bytes;
        }
    }
    return a;
}

/* Whose part is exceeded. NULL: nobody's, it is the whole that is. */
static struct waiting_client *who_exceeds(struct waiting *w)
{
    for (size_t i = 0; w->exceeding > 0 && i < WAITING_CLIENTS; i++)
        if (exceeds_part(w, &w->clients[i]))
            return &w->clients[i];
    return NULL;
}

struct waiting_entry *waiting_victim(struct waiting *w)
{
    struct waiting_client *c = who_exceeds(w);
    if (!waiting_exceeds(w) || w->count < 2)
        return NULL;
    struct waiting_entry *victim = NULL;
    struct waiting_account *a = largest(w, c);
    list_foreach (n, &a->entries) {
        struct waiting_entry *e = LIST_ENTRY(n, struct waiting_entry, node);
        if (c && e->of_client != c)
            continue;
        if (!victim || e->streams == 0)
            victim = e;
        if (e->streams == 0)
            break;
    }
    waiting_remove(w, victim);
    return victim;
}
