/* SPDX-License-Identifier: MIT */
/*
 * What a client may do, as the server asks for it: compact, for a server knows many. Made from its file
 * (conf/client_entry.h). Pure: who asks knows the time and the addresses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "conf/client_entry.h"

/* Why it is not let in. Whoever asks from outside is told none of it. */
enum rights_entry {
    RIGHTS_ENTER,
    RIGHTS_DISABLED,
    RIGHTS_EXPIRED,
    RIGHTS_ELSEWHERE, /* not from this address */
};

enum rights_limit {
    RIGHTS_TUNNELS,
    RIGHTS_CONNECTIONS,
    RIGHTS_SESSIONS,
    RIGHTS_RATE, /* new connections a second */
    RIGHTS_LIMITS
};

struct rights;

/* Those of e, which is not needed afterwards. NULL: no memory. */
struct rights *rights_new(const struct client_entry *e) MUST_USE;

/* Another one of the same. NULL: no memory. */
struct rights *rights_copy(const struct rights *r) MUST_USE;

/* NULL is fine. */
void rights_free(struct rights *r);

/* May it come from this address, at now, in seconds since 1970? From ADDRESS_NONE only if it may come
   from everywhere. The work is the same whatever the answer, but for the number of networks. */
enum rights_entry rights_may_enter(const struct rights *r, const struct address *from, int64_t now);

/* The last of these questions alone. */
bool rights_may_come_from(const struct rights *r, const struct address *from);

/* May it open this port? 0: one that the system chooses. */
bool rights_may_have_port(const struct rights *r, int64_t port);

/* How many it may have, `others` being the server's own answer. */
int rights_limit(const struct rights *r, enum rights_limit which, int others);

/* The first moment after now at which rights_may_enter() may answer otherwise by itself, or INT64_MAX. */
int64_t rights_next_change(const struct rights *r, int64_t now);
