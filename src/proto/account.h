/* SPDX-License-Identifier: MIT */
/*
 * Who may have how many descriptors: one account for all parties of a program, so that together they
 * never have more than there are, and nobody can take what the others need. Pure.
 *
 * Of D descriptors and n event loops a server has
 *
 *   its own        D/8, 16 to 256, and 6 for each further loop: epoll, wake-ups, the tunnel port,
 *                  files, the log; what is open a moment longer than counted
 *   the gate       D/16, 4 to 256: connections that have not sent a whole ClientHello
 *   strangers      D/10, 4 to 256: those that have, and have not authenticated; a quarter of them
 *                  for sources that are known, and a third of the others for one source
 *   who waits      1/32 of what there is beyond the least, up to 64: those whose verdict is rationed
 *                  (proto/verdicts), which have left the strangers' places
 *   the pool       all the rest, for sessions (two each: connection and public port) and users
 *
 * In the pool sessions have D/10, at least 4, for themselves, and may have three quarters of it, up
 * to one for four descriptors; with the tunnels that they have beyond the first, a descriptor each,
 * seven eighths of it. Users have what sessions and tunnels do not take. Beyond what they have for
 * themselves some are kept free for sessions to come, and the last ones only for a source that has
 * next to none: so a client that fills the server, with sessions or with users, shuts nobody out.
 *
 * A client has its own as above, a part for dials (each may have a second socket for a moment), and
 * the rest for connections.
 *
 * Each least is there from ACCOUNT_DESCRIPTORS_MIN on, with one loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    ACCOUNT_DESCRIPTORS_MIN = 32,
    ACCOUNT_MAX = 100000, /* sessions, or users; more is not served in one process */
    ACCOUNT_OWN_MIN = 16,
    ACCOUNT_OWN_MAX = 256,
    /* What a further event loop takes: two epoll sets, the wake-up, two ends of libuv's pipe for
       signals; and one connection that its thread may accept beyond the limit (base/quota.h). */
    ACCOUNT_LOOP = 6,
    ACCOUNT_PLACES_MIN = 4, /* at the gate, of strangers, of users, and for sessions */
    ACCOUNT_PLACES_MAX = 256,
    ACCOUNT_WAITING_MAX = 64,
    ACCOUNT_SESSION = 2, /* descriptors of one */
    /* Of the connections of users a client, or all of one source, leaves this part to others. */
    ACCOUNT_USERS_PART = 8,
    /* Who has less than this part of them may have of what is left to others. */
    ACCOUNT_SMALL_PART = 32,
};

/* A server's. All count descriptors, unless it is said. */
struct account {
    uint32_t own;
    uint32_t gate;
    uint32_t strangers; /* known among them */
    uint32_t known;
    uint32_t waiting; /* for a verdict; 0: nobody can */
    uint32_t pool;
    uint32_t sessions_kept; /* of the pool, for sessions alone */
    uint32_t sessions_max;  /* sessions */
    uint32_t places_max;    /* account_places() of all sessions and their tunnels */
};

/* False: with so few nothing would work (libuv aborts on a few), *ret is not set. loops: 1 or more. */
bool account_of_server(struct account *ret, uint64_t descriptors, unsigned loops) MUST_USE;

/* Strangers that are not known, of one source: 1 or more. */
uint32_t account_strangers_of_source(const struct account *a);

/* Places that so many sessions take: one each, and one for two tunnels beyond the first of each. */
uint32_t account_places(uint32_t sessions, uint32_t tunnels);

/* Places of one source, where there is room. */
uint32_t account_sessions_of_source(const struct account *a);

/* How many connections users may have beside sessions with so many places. 1 or more, and never fewer
   than a quarter of the pool beside sessions alone, an eighth beside those with more tunnels. */
uint32_t account_users(const struct account *a, uint32_t places);

/* Is there room for one more session, beside so many, so many tunnels beyond the first of each, and so
   many users' connections, for a source that has of_source places? */
bool account_takes_session(const struct account *a, uint32_t sessions, uint32_t tunnels,
                           uint32_t users, uint32_t of_source);

/* Is there room for one more user of a client, where users_max may come, users are there, of_client
   of them through its session and of_source through all sessions of its source? */
bool account_takes_user(uint32_t users_max, uint32_t users, uint32_t of_client, uint32_t of_source);

/* A client's. */
struct account_client {
    uint32_t own;
    uint32_t dials; /* at once: their second sockets */
    uint32_t connections;
};

/* False as above. */
bool account_of_client(struct account_client *ret, uint64_t descriptors) MUST_USE;
