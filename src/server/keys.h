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

/* May who has these rights (NULL, too) come from there? Any thread. */
typedef bool keys_admits(const void *rights, const struct address *from);
typedef void keys_rights_free(void *rights);

/* With an empty table; when srv->rng is there. 0, or ERR_NOMEM. */
int keys_init(struct server *srv) MUST_USE;
void keys_fini(struct server *srv);

/* A table to fill by credentials_add(), with random bytes of its own. NULL without memory. */
struct credentials *keys_new(struct server *srv, keys_admits *admits,
                             keys_rights_free *rights_free) MUST_USE;

/* From the next verdict on t counts, which is the server's then. Ends who is here by a key that is not
   good any more: disabled, over, replaced, or gone. Returns how many sessions end. */
unsigned keys_use(struct server *srv, struct credentials *t);

/* Ends all sessions, attached or not, that were opened with a key of this name: their clients hear
   GOAWAY 3, their users are reset, a resume hears `unknown`. Whether it may come again is the table's
   business. Returns how many end. */
unsigned keys_revoke(struct server *srv, const char *name);

/* For the verdict about a's line; until keys_give_back(), which is harmless without. */
void keys_lend(struct agent *a);
void keys_give_back(struct agent *a);

/* a has proved itself: is what it did it with still good? If it is not, a is to end. */
bool keys_stays(const struct agent *a);
void keys_end(struct agent *a);

bool keys_may_come(const struct agent *a, const struct address *from); /* to resume a's session */
