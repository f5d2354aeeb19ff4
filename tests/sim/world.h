/* SPDX-License-Identifier: MIT */
/*
 * A client, up to three server processes and a network, in virtual time: the real smux, the real
 * life of sessions at both ends, the real search for a way (proto/path), and models of the rest:
 * TCP (net.h), TLS and the lines as so many bytes each way, the resolver, the client that opens its
 * next session. It checks itself at every step, and aborts with the seed and the last actions:
 *
 *   - what one end of a user's connection wrote the other one reads, byte for byte and in order;
 *     a connection that is not complete was reset, and only because its session ended;
 *   - each action of a life fits what is there.
 *
 * Times are milliseconds since the world began.
 */
#pragma once

#include "net.h"
#include "proto/session/life.h"

enum { WORLD_PROCS = 3, CLIENT = 0, SERVER = 1 };

struct world;

struct world_config {
    mtime_ms window_ms;
    mtime_ms resolver_ms; /* how long it takes */
    size_t flight;        /* bytes of the server's certificate and what is around it */
    uint64_t seed;
};

/* One place, 0, where process 0 serves at 2 ms; it is what the name says. A session is up. */
struct world *world_new(const struct world_config *cfg);
void world_free(struct world *w);

/* The network, to change at will between runs. */
struct net *world_net(struct world *w);

mtime_ms world_now(const struct world *w);
void world_run(struct world *w, mtime_ms until);

/* The name has these places from now on. */
void world_name(struct world *w, unsigned n, const int *places);

/* A frozen process (0: the client's, 1 + proc) does nothing until then; its kernel goes on. A
   machine that sleeps receives nothing either. */
void world_freeze(struct world *w, int machine, mtime_ms until);
void world_sleep(struct world *w, int machine, mtime_ms until);

/* The server process dies, and another one is there at once, or not. */
void world_kill(struct world *w, int proc);
/* SIGTERM: of a process, of the client. */
void world_stop(struct world *w, int machine, mtime_ms drain_ms);

/* A client's process dies, if it runs, and starts: 0, or 1, a copy of it with the same id. */
void world_start_client(struct world *w, int client);
bool world_has_service(const struct world *w, int client);
unsigned world_takeovers(const struct world *w); /* sessions ended for the other client */

/* The connection in use of the newest session. */
struct conn *world_conn(const struct world *w);
void world_network_changed(struct world *w, bool elsewhere);

/* Another client asks process for the port of its session. */
bool world_port_wanted(struct world *w, int proc);

/* ---- users ---- */

/* A user comes to where new ones are served now, and says n bytes; the service answers as many.
   Returns its number, or -1: nobody serves. */
int world_user(struct world *w, uint64_t n);
/* Its end (SERVER: the user's, CLIENT: the service's) says n more. */
void world_says(struct world *w, int user, int end, uint64_t n);
void world_finish(struct world *w, int user);
/* All that was said has arrived at both ends, so far. */
bool world_is_quiet(const struct world *w, int user);
bool world_is_reset(const struct world *w, int user);
uint32_t world_users(const struct world *w); /* that were not reset */

/* ---- what has happened ---- */

/* The last actions, on stderr. */
void world_show(const struct world *w);

enum { WORLD_OPENED = 100 }; /* kind of a mark: a session was opened */

struct mark {
    mtime_ms at;
    int session; /* 0, 1 ... */
    int end;     /* CLIENT, SERVER */
    int kind;    /* enum life_action_kind, or WORLD_OPENED */
    struct life_action action;
};

/* The nth (0, 1 ...) of its kind; NULL: there is none. */
const struct mark *world_mark(const struct world *w, int end, int kind, unsigned nth);
const struct mark *world_told(const struct world *w, int end, enum life_tell what, unsigned nth);
unsigned world_count(const struct world *w, int end, int kind);
int world_sessions(const struct world *w);                                  /* ever opened */
const struct life *world_life(const struct world *w, int session, int end); /* of one that lives */
bool world_serves(const struct world *w);    /* a user who comes now is served */
uint64_t world_bytes(const struct world *w); /* compared */
