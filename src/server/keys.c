/* SPDX-License-Identifier: MIT */
/*
 * Clients with keys of their own, on the main thread: whose are good now, and the end of the others.
 * Workers judge by the table that a line's verdict was asked with; who gets through by one that was
 * replaced meanwhile is looked at again when it asks for its session (keys_stays()).
 */
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/secure.h"
#include "server/internal.h"

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
    return srv->keys ? 0 : ERR_NOMEM;
}

void keys_fini(struct server *srv)
{
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

bool keys_stays(const struct agent *a)
{
    return !*a->claim.key ||
           credentials_keep(a->worker->srv->keys, a->claim.key, a->public_key, wall_s());
}

bool keys_may_come(const struct agent *a, const struct address *from)
{
    return !*a->claim.key || credentials_admit(a->worker->srv->keys, a->claim.key, from);
}

void keys_end(struct agent *a)
{
    if (a->main.is_revoked)
        return;
    a->main.is_revoked = true;
    mailbox_post(&a->worker->in, &a->orders.revoke);
}

/* Ends those of that name, or, if it is NULL, whose keys are good no more. How many had a session. */
static unsigned end_all(struct server *srv, const char *name)
{
    unsigned sessions = 0;
    list_foreach (n, &srv->agents) {
        struct agent *a = LIST_ENTRY(n, struct agent, main.of_server);
        if (!a->main.is_trusted || !*a->claim.key || a->main.is_revoked)
            continue; /* who has not proved himself is looked at when he asks */
        if (name ? strcmp(a->claim.key, name) != 0 : keys_stays(a))
            continue;
        sessions += a->main.has_session;
        keys_end(a);
    }
    return sessions;
}

unsigned keys_use(struct server *srv, struct credentials *t)
{
    struct credentials *old = srv->keys;
    srv->keys = t;
    credentials_unref(old);
    return end_all(srv, NULL);
}

unsigned keys_revoke(struct server *srv, const char *name)
{
    return end_all(srv, name);
}
