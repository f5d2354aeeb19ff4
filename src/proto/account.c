/* SPDX-License-Identifier: MIT */
/* The arithmetic of account.h. */
#include "proto/account.h"

enum {
    OWN_PART = 8,
    GATE_PART = 16,
    STRANGERS_PART = 10,
    KEPT_PART = 10,
    WAITING_PART = 32, /* of what is beyond the least */
    KNOWN_PART = 4,
    STRANGERS_SOURCE_PART = 3,
    SESSIONS_PART = 4, /* one session for so many descriptors */
    SOURCE_PART = 4,   /* of all sessions one source leaves this part to others */
    USERS_PART = 4,    /* of the pool, whatever sessions want, */
    USERS_LEAST = 8,   /* and whatever tunnels want besides */
    FREE_PART = 4,     /* of what is kept for sessions: beyond those that are there */
    DIALS_PART = 8,
};

static uint32_t part(uint64_t of, uint32_t share, uint32_t least, uint32_t most)
{
    uint64_t n = of / share;
    return n < least ? least : n > most ? most : (uint32_t)n;
}

static uint32_t least_of(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

/* No party can use more: at the most ACCOUNT_MAX users, and as many sessions. */
static uint64_t useful(uint64_t descriptors)
{
    const uint64_t most = 1 << 22;
    return descriptors < most ? descriptors : most;
}

/* ---- a server's ---- */

bool account_of_server(struct account *ret, uint64_t descriptors, unsigned loops)
{
    uint64_t all = useful(descriptors);
    uint64_t further = (uint64_t)(loops - 1) * ACCOUNT_LOOP;
    if (all < ACCOUNT_DESCRIPTORS_MIN + further)
        return false;
    struct account a = {
        .own = part(all, OWN_PART, ACCOUNT_OWN_MIN, ACCOUNT_OWN_MAX) + (uint32_t)further,
        .gate = part(all, GATE_PART, ACCOUNT_PLACES_MIN, ACCOUNT_PLACES_MAX),
        .strangers = part(all, STRANGERS_PART, ACCOUNT_PLACES_MIN, ACCOUNT_PLACES_MAX),
        .waiting =
            part(all - ACCOUNT_DESCRIPTORS_MIN - further, WAITING_PART, 0, ACCOUNT_WAITING_MAX),
        .sessions_kept = part(all, KEPT_PART, ACCOUNT_PLACES_MIN, ACCOUNT_MAX),
    };
    uint64_t given = (uint64_t)a.own + a.gate + a.strangers + a.waiting;
    if (all < given + a.sessions_kept + ACCOUNT_PLACES_MIN)
        return false; /* too many loops for it */
    a.pool = (uint32_t)(all - given);
    a.known = a.strangers / KNOWN_PART;
    uint32_t fit = (a.pool - a.pool / USERS_PART) / ACCOUNT_SESSION;
    a.sessions_max = least_of(least_of(all / SESSIONS_PART, fit), ACCOUNT_MAX);
    a.places_max = (a.pool - a.pool / USERS_LEAST) / ACCOUNT_SESSION;
    *ret = a;
    return true;
}

uint32_t account_strangers_of_source(const struct account *a)
{
    return (a->strangers - a->known) / STRANGERS_SOURCE_PART;
}

uint32_t account_sessions_of_source(const struct account *a)
{
    return a->sessions_max - a->sessions_max / SOURCE_PART;
}

/* Descriptors that are free for sessions to come, beside those that are there. */
static uint32_t kept_free(const struct account *a)
{
    return part(a->sessions_kept, FREE_PART, ACCOUNT_SESSION, a->sessions_kept);
}

uint32_t account_places(uint32_t sessions, uint32_t tunnels)
{
    return sessions + (tunnels + ACCOUNT_SESSION - 1) / ACCOUNT_SESSION;
}

uint32_t account_users(const struct account *a, uint32_t places)
{
    uint64_t theirs = (uint64_t)places * ACCOUNT_SESSION + kept_free(a);
    uint64_t most = places <= a->sessions_max ? a->sessions_max : a->places_max;
    if (theirs < a->sessions_kept)
        theirs = a->sessions_kept;
    return least_of(a->pool - least_of(theirs, most * ACCOUNT_SESSION), ACCOUNT_MAX);
}

/* What every user but those of the small may have. */
static uint32_t users_of_all(uint32_t users_max)
{
    return users_max - users_max / ACCOUNT_USERS_PART;
}

bool account_takes_session(const struct account *a, uint32_t sessions, uint32_t tunnels,
                           uint32_t users, uint32_t of_source)
{
    uint32_t places = account_places(sessions, tunnels);
    uint32_t fit = users < a->pool ? (a->pool - users) / ACCOUNT_SESSION : 0;
    uint32_t most = least_of(fit, a->places_max);
    uint32_t last = kept_free(a) / ACCOUNT_SESSION;
    if (sessions >= a->sessions_max || places >= most || of_source >= account_sessions_of_source(a))
        return false;
    uint32_t left = least_of(a->sessions_max - sessions, most - places);
    if (left > last && users <= users_of_all(account_users(a, places + 1)))
        return true;
    return of_source == 0 || of_source < last / 2;
}

bool account_takes_user(uint32_t users_max, uint32_t users, uint32_t of_client, uint32_t of_source)
{
    uint32_t most = of_client > of_source ? of_client : of_source;
    if (users < users_of_all(users_max))
        return true;
    return users < users_max && (most == 0 || most < users_max / ACCOUNT_SMALL_PART);
}

/* ---- a client's ---- */

bool account_of_client(struct account_client *ret, uint64_t descriptors)
{
    uint64_t all = useful(descriptors);
    if (all < ACCOUNT_DESCRIPTORS_MIN)
        return false;
    struct account_client a = {
        .own = part(all, OWN_PART, ACCOUNT_OWN_MIN, ACCOUNT_OWN_MAX),
        .dials = part(all, DIALS_PART, ACCOUNT_PLACES_MIN, ACCOUNT_PLACES_MAX),
    };
    a.connections = least_of(all - a.own - a.dials, ACCOUNT_MAX);
    *ret = a;
    return true;
}
