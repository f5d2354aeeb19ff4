/* SPDX-License-Identifier: MIT */
/*
 * Who belongs together, on the main thread: the sessions of one source, and those of one key. They are
 * counted as they come and go, so nobody is looked for among all.
 */
#include "server/crowds.h"

#include <stdlib.h>
#include <string.h>

#include "proto/hash.h"
#include "server/internal.h"

/* So many sources that nobody has a session from any more are looked at for one to use again. */
enum { CROWD_LOOKS = 4 };

static uint32_t map_key(const char *text)
{
    uint64_t h = hash_text(text);
    return (uint32_t)(h ^ h >> 32);
}

void crowds_init(struct server *srv)
{
    map_init(&srv->crowds, NULL);
    map_init(&srv->key_crowds, NULL);
    list_init(&srv->crowds_left);
}

void crowds_fini(struct server *srv)
{
    size_t cursor = 0;
    for (struct map_node *n; (n = map_any(&srv->crowds, &cursor));) {
        map_del(&srv->crowds, n);
        free(CONTAINER_OF(n, struct crowd, node));
    }
}

/* ---- of one source ---- */

static struct crowd *find(struct server *srv, const char *source)
{
    for (struct map_node *n = map_get(&srv->crowds, map_key(source)); n; n = map_next(n)) {
        struct crowd *c = CONTAINER_OF(n, struct crowd, node);
        srv->looks++;
        if (strcmp(c->source, source) == 0)
            return c;
    }
    return NULL;
}

/* One that nobody is in, taken out of the map; NULL: the first are all in use by users who finish. */
static struct crowd *take_left(struct server *srv)
{
    for (unsigned i = 0; i < CROWD_LOOKS && !list_empty(&srv->crowds_left); i++) {
        struct crowd *c = LIST_ENTRY(list_first(&srv->crowds_left), struct crowd, left);
        srv->looks++;
        list_del(&c->left);
        if (quota_used(&c->users) == 0) {
            map_del(&srv->crowds, &c->node);
            return c;
        }
        list_push(&srv->crowds_left, &c->left);
    }
    return NULL;
}

static struct crowd *make(struct server *srv, const char *source)
{
    struct crowd *c = take_left(srv);
    if (!c && (c = calloc(1, sizeof *c)))
        quota_init(&c->users, UINT32_MAX);
    if (!c)
        return NULL;
    list_init(&c->left);
    memcpy(c->source, source, sizeof c->source);
    c->node.key = map_key(source);
    map_put(&srv->crowds, &c->node);
    return c;
}

/* ---- of one key ---- */

static struct key_crowd *find_key(struct server *srv, const char *key)
{
    for (struct map_node *n = map_get(&srv->key_crowds, map_key(key)); n; n = map_next(n)) {
        struct key_crowd *k = CONTAINER_OF(n, struct key_crowd, node);
        srv->looks++;
        if (strcmp(k->key, key) == 0)
            return k;
    }
    return NULL;
}

static struct key_crowd *make_key(struct server *srv, const char *key)
{
    struct key_crowd *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    memcpy(k->key, key, sizeof k->key);
    k->node.key = map_key(key);
    map_put(&srv->key_crowds, &k->node);
    return k;
}

static void leave_key(struct server *srv, struct key_crowd *k)
{
    if (!k || --k->sessions > 0)
        return;
    map_del(&srv->key_crowds, &k->node);
    free(k);
}

/* ---- both ---- */

int crowds_join(struct agent *a)
{
    struct server *srv = a->worker->srv;
    struct key_crowd *k = find_key(srv, a->who.key);
    if (!k && !(k = make_key(srv, a->who.key)))
        return ERR_NOMEM;
    k->sessions++;
    struct crowd *c = find(srv, a->source);
    if (!c && !(c = make(srv, a->source))) {
        leave_key(srv, k);
        return ERR_NOMEM;
    }
    list_del(&c->left);
    c->sessions++;
    a->main.crowd = c;
    a->main.of_key = k;
    return 0;
}

void crowds_leave(struct agent *a)
{
    struct server *srv = a->worker->srv;
    struct crowd *c = a->main.crowd;
    leave_key(srv, a->main.of_key);
    a->main.of_key = NULL;
    a->main.crowd = NULL;
    if (c && --c->sessions == 0)
        list_push(&srv->crowds_left, &c->left);
}
