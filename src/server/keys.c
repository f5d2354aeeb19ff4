/* SPDX-License-Identifier: MIT */
/*
 * Clients with keys of their own, on the main thread: whose are good now, and the end of the others.
 * Workers judge by the table that a line's verdict was asked with; who gets through by one that was
 * replaced meanwhile is looked at again when it asks for its session (keys_stays()).
 */
#include <time.h>

#include "base/err.h"
#include "base/secure.h"
#include "server/internal.h"

enum { KEYS_LOOK_S = 60 }; /* at the clock, while somebody's key will be over */

static int64_t wall_s(void)
{
    return time(NULL);
}

static void random_bytes(struct rng *rng, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)rng->next(rng);
}

struct credentials *keys_new(struct server *srv, keys_admits *admits, keys_rights_free *rights_free)
{
    struct credentials_config cfg = {.admits = admits, .rights_free = rights_free};
    random_bytes(&srv->rng, cfg.hash_key, sizeof cfg.hash_key);
    random_bytes(&srv->rng, cfg.nobody, sizeof cfg.nobody);
    struct credentials *t = credentials_new(&cfg);
    secure_zero(&cfg, sizeof cfg);
    return t;
}

int keys_init(struct server *srv)
{
    srv->keys = keys_new(srv, NULL, NULL);
    if (!srv->keys)
        return ERR_NOMEM;
    uv_timer_init(&srv->loop.uv, &srv->keys_due);
    srv->keys_due.data = srv;
    srv->keys_due_s = INT64_MAX;
    return 0;
}

void keys_fini(struct server *srv)
{
    uv_close((uv_handle_t *)&srv->keys_due, NULL);
    credentials_unref(srv->keys);
    srv->keys = NULL;
}

/* ---- verdicts ---- */

void keys_lend(struct agent *a)
{
    a->keys = credentials_ref(a->worker->srv->keys);
    a->judged_at_s = wall_s();
}

void keys_give_back(struct agent *a)
{
    credentials_unref(a->keys);
    a->keys = NULL;
}

/* ---- who may stay ---- */

/* Until when, in seconds since 1970; 0: not at all. */
static int64_t until(const struct agent *a)
{
    if (!*a->who.key)
        return INT64_MAX;
    return credentials_until(a->worker->srv->keys, a->who.key, a->public_key);
}

bool keys_stays(const struct agent *a)
{
    return wall_s() < until(a);
}

bool keys_may_come(const struct agent *a, const struct address *from)
{
    return !*a->who.key || credentials_admit(a->worker->srv->keys, a->who.key, from);
}

void keys_end(struct agent *a)
{
    if (a->main.is_revoked)
        return;
    a->main.is_revoked = true;
    mailbox_post(&a->worker->in, &a->orders.revoke);
}

/* Who has not proved himself is looked at when he asks. */
static bool is_here_by_key(const struct agent *a)
{
    return a->main.is_trusted && *a->who.key && !a->main.is_revoked;
}

/* Ends those who may not stay. How many had a session. */
static unsigned end_all(struct server *srv, struct keys_ending *e)
{
    unsigned sessions = 0;
    list_foreach (n, &srv->agents) {
        struct agent *a = LIST_ENTRY(n, struct agent, main.of_server);
        if (!is_here_by_key(a) || (keys_stays(a) && keys_may_come(a, &a->main.at)))
            continue;
        sessions += a->main.has_session;
        if (e && a->main.has_session) {
            a->main.ending = e;
            e->left++;
            e->sessions++;
        }
        keys_end(a);
    }
    return sessions;
}

void keys_ended(struct agent *a)
{
    struct keys_ending *e = a->main.ending;
    if (!e)
        return;
    a->main.ending = NULL;
    e->connections += a->work.cut_users;
    if (--e->left == 0)
        e->done(e);
}

/* ---- the end of a key ---- */

static void keys_on_due(uv_timer_t *t);

/* The clock on the wall may be set: so it is looked at now and then. */
static void arm(struct server *srv, int64_t at_s)
{
    int64_t now = wall_s(), wait = at_s > now ? at_s - now : 0;
    if (at_s == INT64_MAX || at_s >= srv->keys_due_s)
        return;
    srv->keys_due_s = at_s;
    uv_timer_start(&srv->keys_due, keys_on_due,
                   (uint64_t)(wait < KEYS_LOOK_S ? wait : KEYS_LOOK_S) * 1000, 0);
}

/* For the first one that ends. */
static void arm_for_all(struct server *srv)
{
    srv->keys_due_s = INT64_MAX;
    uv_timer_stop(&srv->keys_due);
    list_foreach (n, &srv->agents) {
        const struct agent *a = LIST_ENTRY(n, struct agent, main.of_server);
        if (is_here_by_key(a))
            arm(srv, until(a));
    }
}

static void keys_on_due(uv_timer_t *t)
{
    struct server *srv = t->data;
    (void)end_all(srv, NULL);
    arm_for_all(srv);
}

void keys_watch(const struct agent *a)
{
    arm(a->worker->srv, until(a));
}

/* ---- another table ---- */

/* At most one message a worker is on its way: who is behind gets the newest with the next one. */
static void post_keys(struct server *srv, struct worker *w)
{
    w->is_behind_keys = w->takes_keys;
    if (w->takes_keys)
        return;
    w->takes_keys = true;
    w->next_keys = credentials_ref(srv->keys);
    mailbox_post(&w->in, &w->use_keys);
}

void keys_worker_uses(struct worker *w)
{
    w->takes_keys = false;
    if (w->is_behind_keys && !w->srv->ended)
        post_keys(w->srv, w);
}

unsigned keys_use(struct server *srv, struct credentials *t, struct keys_ending *e)
{
    struct credentials *old = srv->keys;
    srv->keys = t;
    credentials_unref(old);
    unsigned sessions = end_all(srv, e);
    arm_for_all(srv);
    for (unsigned i = 0; i < srv->workers_count; i++)
        post_keys(srv, &srv->workers[i]);
    return sessions;
}
