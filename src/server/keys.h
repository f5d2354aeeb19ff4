/* SPDX-License-Identifier: MIT */
/*
 * Clients with keys of their own, at the server's main thread: whose are good now, and the end of the others.
 * Private to server/.
 */
#pragma once

#include <stdbool.h>

#include "base/address.h"
#include "base/attr.h"

struct agent;
struct credentials;
struct server;
struct worker;

/* May who has these rights (NULL, too) come from there? Any thread. */
typedef bool keys_admits(const void *rights, const struct address *from);
typedef void keys_rights_free(void *rights);

/* With an empty table; when srv->rng is there. 0, or ERR_NOMEM. */
int keys_init(struct server *srv) MUST_USE;
void keys_fini(struct server *srv);

/* A table to fill by credentials_add(), with random bytes of its own. NULL without memory. */
struct credentials *keys_new(struct server *srv, keys_admits *admits,
                             keys_rights_free *rights_free) MUST_USE;

/* Sessions that a new table ends, until all of them are over. */
struct keys_ending {
    unsigned left;                       /* 0: done is called, once, if it was more */
    unsigned sessions, connections;      /* that end; of users, complete with done */
    void (*done)(struct keys_ending *e); /* e may be freed by it */
};

/*
 * From the next verdict on t counts, which is the server's then; who is here is looked at again. Whose key is
 * not good any more ends: disabled, over, replaced, or gone; or who may not come from where he is. His
 * client hears GOAWAY 3, his users are reset, a resume hears `unknown`. The rights of the others hold
 * for them from now on, at every worker. Returns how many sessions end; e counts them, NULL: nobody asks.
 */
unsigned keys_use(struct server *srv, struct credentials *t, struct keys_ending *e);

/* a has ended: the last word about it. */
void keys_ended(struct agent *a);

/* The answer of a worker: it goes by the rights of the newest table, or the newest but one. */
void keys_worker_uses(struct worker *w);

/* For the verdict about a's line; until keys_give_back(), which is harmless without. */
void keys_lend(struct agent *a);
void keys_give_back(struct agent *a);

/* a has proved itself: is what it did it with still good? If it is not, a is to end. */
bool keys_stays(const struct agent *a);
void keys_end(struct agent *a);

/* a, which stays, is to end when its key is over: so does each by a timer, within a second. */
void keys_watch(const struct agent *a);

bool keys_may_come(const struct agent *a, const struct address *from); /* to resume a's session */
