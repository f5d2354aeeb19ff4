/* SPDX-License-Identifier: MIT */
/* One block of memory for each client: its lists are as long as they are. */
#include "conf/rights.h"

#include <stdlib.h>
#include <string.h>

struct rights {
    int64_t expires;
    int limits[RIGHTS_LIMITS]; /* or CLIENT_ENTRY_DEFAULT */
    bool disabled;
    unsigned ports_count, from_count;
    struct ports_range *ports; /* behind the networks */
    struct cidr from[];
};

struct rights *rights_new(const struct client_entry *e)
{
    size_t from = e->from.count * sizeof *e->from.list;
    size_t ports = e->ports.count * sizeof *e->ports.ranges;
    struct rights *r = calloc(1, sizeof *r + from + ports);
    if (!r)
        return NULL;
    r->expires = e->expires;
    r->disabled = e->disabled;
    r->limits[RIGHTS_TUNNELS] = e->tunnels;
    r->limits[RIGHTS_CONNECTIONS] = e->connections;
    r->limits[RIGHTS_SESSIONS] = e->sessions;
    r->limits[RIGHTS_RATE] = e->rate;
    r->from_count = e->from.count;
    memcpy(r->from, e->from.list, from);
    r->ports = (struct ports_range *)(void *)(r->from + r->from_count);
    r->ports_count = e->ports.count;
    memcpy(r->ports, e->ports.ranges, ports);
    return r;
}

struct rights *rights_copy(const struct rights *r)
{
    size_t n = sizeof *r + r->from_count * sizeof *r->from + r->ports_count * sizeof *r->ports;
    struct rights *copy = malloc(n);
    if (!copy)
        return NULL;
    memcpy(copy, r, n);
    copy->ports = (struct ports_range *)(void *)(copy->from + copy->from_count);
    return copy;
}

void rights_free(struct rights *r)
{
    free(r);
}

bool rights_may_come_from(const struct rights *r, const struct address *from)
{
    bool is_in = r->from_count == 0;
    for (unsigned i = 0; i < r->from_count; i++)
        is_in |= cidr_contains(&r->from[i], from);
    return is_in;
}

enum rights_entry rights_may_enter(const struct rights *r, const struct address *from, int64_t now)
{
    bool is_from = rights_may_come_from(r, from);
    return r->disabled         ? RIGHTS_DISABLED
           : now >= r->expires ? RIGHTS_EXPIRED
           : !is_from          ? RIGHTS_ELSEWHERE
                               : RIGHTS_ENTER;
}

bool rights_may_have_port(const struct rights *r, int64_t port)
{
    for (unsigned i = 0; i < r->ports_count; i++)
        if (port >= r->ports[i].first && port <= r->ports[i].last)
            return true;
    return false;
}

int rights_limit(const struct rights *r, enum rights_limit which, int others)
{
    return r->limits[which] == CLIENT_ENTRY_DEFAULT ? others : r->limits[which];
}

int64_t rights_next_change(const struct rights *r, int64_t now)
{
    return !r->disabled && r->expires > now ? r->expires : INT64_MAX;
}
