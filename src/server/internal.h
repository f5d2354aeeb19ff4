/* SPDX-License-Identifier: MIT */
/*
 * Private to server/: the program, its workers, and the clients they serve.
 *
 * The main thread takes tunnel connections and decides about them (server.c, reception.c,
 * registry.c); workers do everything else, each on a loop of its own (worker.c, agent.c,
 * endpoint.c). They share nothing but what is constant while they run, the quota of connections,
 * and the mailboxes. With one worker the main loop is its loop: there is no thread, but the same
 * messages.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "app/ctl.h"
#include "app/notify.h"
#include "app/reload.h"
#include "app/signals.h"
#include "base/bucket.h"
#include "base/list.h"
#include "base/quota.h"
#include "conf/snapshot.h"
#include "net/gate.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/proxy_gate.h"
#include "net/sock.h"
#include "net/tcp_memory.h"
#include "pki/pki.h"
#include "proto/account.h"
#include "proto/admission.h"
#include "proto/credentials.h"
#include "proto/hello.h"
#include "proto/homes.h"
#include "proto/known.h"
#include "proto/last_seen.h"
#include "proto/session/leases.h"
#include "proto/session/registry.h"
#include "proto/session/waiting.h"
#include "proto/strangers.h"
#include "proto/tally.h"
#include "proto/verdicts.h"
#include "server/census.h"
#include "server/crowds.h"
#include "server/keys.h"
#include "server/told.h"
#include "tunnel/opening.h"
#include "tunnel/relay.h"
#include "tunnel/session.h"

enum {
    /* At the limit every user who leaves makes room for one who waits: once a minute is enough. */
    TELL_FULL_MS = 60000,
    /* Who is known is written once in so long at the most; where nobody is new, and only days begin
       again, it waits longer. Meanwhile a kill or a power cut loses what has changed. */
    KEEPER_WRITE_MS = 60000,
    KEEPER_RENEWED_MS = 3600 * 1000,
    KEEPER_LOOK_MS = 1000, /* whether a writing is over */
    /* Of -client-rate this part of a second's worth may come at once after a rest, at least one: in any
       second at most a tenth more than the rate. */
    ENDPOINT_BURST_PART = 10,
    KEEPER_END_MS = 2000, /* so long the end of the program, once all is closed, waits for a disk */
    /* "address id" and its NUL. */
    AGENT_NAME_MAX = SOCK_NAME_MAX + HELLO_ID_MAX + 2,
};

struct worker {
    struct server *srv;
    unsigned index;
    struct loop *loop; /* its own, or with one worker the main thread's */

    /* the main thread's */
    unsigned sessions;             /* handed to it and not over */
    unsigned trusted;              /* of them, those that have authenticated */
    struct snapshot *next_options; /* the worker's once use_options is posted */
    bool takes_options;            /* use_options is on its way */
    bool is_behind;                /* and what it brings is not the newest */
    struct credentials *next_keys; /* these three: the same of use_keys */
    bool takes_keys, is_behind_keys;
    pthread_t thread;

    /* the worker's */
    struct loop own;
    struct snapshot *options;
    const struct server_options *opt; /* what they say */
    struct credentials *keys;         /* whose rights it goes by; NULL: there are none yet */
    struct relays relays;
    struct list agents;
    bool full;               /* its public ports take nobody: the quota is used up */
    bool stopping;           /* no new work */
    bool ending;             /* until the last agent is gone */
    uint64_t received, sent; /* with told: bytes of all its streams so far */

    /* to the worker */
    struct mailbox in;
    struct message maybe_room;     /* in the quota */
    struct message stop_listening; /* close the public ports, drain; answered by stopped */
    struct message end;            /* close everything; answered by gone */
    struct message status;         /* log a line for each session; answered by told */
    struct message ping;           /* does its loop run? answered by pong */
    struct message use_options;    /* other ones; answered by uses_options */
    struct message use_keys;       /* other rights; answered by uses_keys */
    /* to the main thread */
    struct message was_full; /* users have to wait */
    struct message room;     /* a user has left and made room */
    struct message stopped;
    struct message empty; /* stopping, and the last connection is over */
    struct message told;  /* the lines of status are out */
    struct message pong;
    struct message uses_options;
    struct message uses_keys;
    struct message gone; /* the last thing it says */
    struct worker_census census;
};

/* What is exposed for a client: one public TCP port. Users who come become streams of its session. */
struct endpoint {
    struct agent *agent;
    struct service *service;   /* whose port it is; NULL: that of the open */
    struct list of_agent;      /* in agent->work.endpoints while it listens */
    struct listener *listener; /* NULL: closed */
};

/* From the main thread to the worker, of one service. */
struct service_orders {
    struct message open_port; /* answered by opened */
    struct message refuse;
    struct message yield; /* another client wants the port; answered by yielded */
    struct message forgotten;
};

struct service_reports {  /* to the main thread */
    struct message asked; /* the claim is filled in: answered by open_port or refuse */
    struct message opened;
    struct message yielded;
    struct message released; /* it has its port no more */
    struct message gone;     /* answered by forgotten */
};

/*
 * One tunnel of a session with services: a lease, and the port it is for. Its agent's worker makes it,
 * and frees it when the main thread has forgotten it.
 */
struct service {
    struct agent *agent;
    struct claim claim; /* written before asked is posted; the main thread's from then on */

    /* the worker's */
    struct lease lease;
    struct list of_agent; /* in agent->work.services->all, until gone is posted */
    struct endpoint endpoint;
    uint32_t key;        /* what its relays know it by: never used again in the session */
    struct tally *tally; /* with that key */
    uint32_t streams;    /* that run */
    int opened_port;     /* with opened; 0: it could not be had */
    bool yields;         /* with yielded */
    bool over;           /* gone was posted */

    /* the main thread's */
    bool counts;            /* as one of its session's */
    struct service_why why; /* the worker's once refuse is posted */
    struct service_orders orders;
    struct service_reports reports;
};

/* All of a session. The worker's. */
struct services {
    struct agent *agent;
    struct leases leases;
    struct list all;
    uv_timer_t timer;
    uint32_t last_key;
    bool reads_later; /* lines wait for their time: the timer rings then */
};

/* What the main thread keeps of a client. */
struct agent_main {
    struct admission_entry admission; /* while it has not asked */
    struct admission *places;         /* where it is counted */
    struct waiting_entry waiting;     /* while its client is away */
    struct list of_server;            /* in srv->agents */
    struct verdict_entry verdict;     /* from line until it has been told */
    bool is_trusted;                  /* auth_ok has come */
    char seen_at[SOCK_NAME_MAX];      /* the source from which its session was resumed last; "" */
    struct home home;                 /* that, or else its own, while is_trusted */
    bool has_session;                 /* sid is the number of one, or of one to be */
    bool counts;                      /* as one of its source's sessions */
    uint32_t tunnels;                 /* its services that count */
    struct crowd *crowd;              /* then; the worker's to count in while it has a session */
    struct key_crowd *of_key;         /* then */
    struct map_node by_sid;           /* in srv->sids while has_session */
    struct agent *target;             /* whose session handover is for, if there is one */
    struct opening_refusal refusal;   /* the worker's once refuse is posted */
    char refused_by[HELLO_WORD_BUF];  /* the same: whose address it names in the log */
    bool is_away;                     /* its session waits for it */
    bool is_revoked;                  /* revoke was posted */
    struct keys_ending *ending;       /* who wants to know when it is over; NULL: nobody */
    struct address at;                /* where its client was last */
};

/* What its worker keeps of it; the main thread's before begin and with ended. */
struct agent_work {
    struct list node;         /* in worker->agents */
    int fd;                   /* until there is an opening */
    SSL_CTX *tls;             /* the same */
    struct snapshot *options; /* whose secret its opening compares */
    struct opening *opening;
    struct session *session;
    struct endpoint endpoint;  /* the port that its open has asked for */
    struct list endpoints;     /* all that listen for it */
    struct services *services; /* NULL: a session without, or none */
    struct tally *tally;       /* of a session without; NULL: of another one */
    enum session_users users;  /* what becomes of who comes, at all of them */
    mtime_ms tell_crowded_at;  /* it has its share of users: not logged again before */
    mtime_ms tell_rate_at;     /* more come than -client-rate allows: the same */
    struct bucket user_bucket; /* new users: -client-rate */
    bool authenticated;
    bool has_asked;
    bool is_quiet; /* its key, or source, has opened so many sessions that this one has no lines */
    bool over;     /* ended, or resume, was posted: the worker says no more of it */
    int opened_port;               /* with opened: 0: it could not be had */
    int connections_max, rate_max; /* of its rights; 0: none */
    unsigned cut_users;            /* with ended, when it was revoked */
    enum end_reason reason;
    struct errmsg why;
    _Atomic uint64_t waiting_bytes; /* with waits: 0: its client is there */
    _Atomic uint32_t waiting_streams;
};

/* From the main thread to the worker. */
struct agent_orders {
    struct message begin;
    struct message drop;      /* others need its place */
    struct message judge;     /* the line may be compared */
    struct message turn_away; /* or not: there is no place to wait for that */
    struct message open_port; /* answered by opened */
    struct message accept;    /* the client may be told */
    struct message refuse;
    struct message evict;  /* a newer session has its id */
    struct message revoke; /* its key is good no more */
    struct message expire; /* too much waits */
    struct message attach; /* to the target's worker: take the connection; answered by ended */
    struct message forgotten;
};

/* From the worker to the main thread. */
struct agent_reports {
    struct message line;        /* a secret or an open is there: answered by judge or turn_away */
    struct message auth_failed; /* it was wrong, or its client is barred */
    struct message auth_ok;     /* it was right */
    struct message asked;       /* the claim is filled in: answered by open_port or refuse */
    struct message opened;      /* answered by accept, or refuse */
    struct message released;    /* it owns neither id nor port any more */
    struct message waits;       /* for its client, or no more */
    struct message resume;      /* the connection wants a session */
    struct message ended;       /* answered by forgotten */
};

/*
 * One connected client. The main thread makes it and hands it to a worker, whose it then is; the
 * worker says when it has ended, and frees it when the main thread says that it has forgotten it.
 *
 *   opening --asked--> registry --open_port--> endpoint --opened--> registry --accept--> session
 *      |                   \--refuse--> ended                                               |
 *      +--resume--> main thread --attach--> the session's worker; ended                     +--> ended
 */
struct agent {
    /* constant */
    struct worker *worker;
    struct address address; /* whose connection it is: not the balancer's in front of us */
    char peer[SOCK_NAME_MAX];
    char host[SOCK_NAME_MAX];   /* without port; "-": of no stranger, see stranger_host() */
    char source[SOCK_NAME_MAX]; /* what counts as one: host, or its /64 */
    mtime_ms waited_ms;         /* from accepting to begin */

    /* written before line is posted, constant then */
    char line_id[HELLO_ID_MAX + 1]; /* the id that the line names; unproven, "": none */

    /* written before judge is posted; the worker's while it has an opening */
    struct credentials *keys; /* what the line is compared with: one owner, until it has been */
    int64_t judged_at_s;      /* seconds since 1970 */

    enum credentials_cause barred; /* with auth_failed, and who.key; RIGHT: a guess */

    /* written before asked is posted, constant then */
    uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES]; /* of who.key: the one that has signed */
    struct claimant who;                         /* its claim's, and its services' */
    struct claim claim;                          /* the main thread's from then on */
    char name[AGENT_NAME_MAX]; /* for the log: address, and the id once it is known */
    uint8_t sid[HELLO_SID_BYTES];
    bool is_v2;

    /* of whoever has the connection: this worker, the main thread, the target's worker */
    struct handover handover;
    enum hello_error handover_error;

    struct agent_main main;
    struct agent_work work;
    struct agent_orders orders;
    struct agent_reports reports;
};

/* Who is known, over restarts of the server: the file `known` in -certs. The main thread's. */
struct keeper {
    int dirfd; /* the folder; -1: nothing is kept */
    uv_timer_t due;
    struct keeper_write *write; /* under way, in a thread of its own; NULL */
    mtime_ms not_before;        /* the next one */
    mtime_ms changed_at;        /* since when the file is behind; MTIME_NEVER: it is not */
    bool has_new;               /* of somebody who was not known before */
    bool has_told;              /* that it cannot be written */
};

struct server {
    struct snapshot *options;
    const struct server_options *opt; /* what they say */
    const struct server_guide *guide; /* NULL: none */
    void *guide_ctx;
    struct loop loop;
    struct mailbox in;        /* from the workers */
    struct quota connections; /* of all workers together */
    struct worker *workers;
    unsigned workers_count;          /* that run */
    uint64_t memory;                 /* -memory, a worker's share */
    struct tcp_memory tcp_memory;    /* the workers ask */
    unsigned workers_working;        /* have not answered a stop_listening, or an end */
    unsigned workers_telling;        /* have not answered a status */
    unsigned workers_pinged;         /* have not answered a ping */
    struct notify notify;            /* the service manager */
    struct errmsg trouble;           /* why no client can connect; "": they can */
    char public_host[SOCK_NAME_MAX]; /* of -public-bind, without brackets; "": every address */
    struct signals signals;
    struct ctl ctl;
    struct pki_identity *identity;
    struct credentials *clients; /* read, and not in use yet; NULL: there are none */
    const char *alpn;            /* HELLO_ALPN, or NULL: the legacy wire only */
    SSL_CTX *tls;                /* for the next connection: those that are there keep theirs */
    uv_timer_t renewal;
    int handed_fd; /* a service manager's socket for the tunnel port, or -1 */
    struct listener *tunnel_port;
    struct proxy_gate *proxy_gate; /* balancers' connections without a PROXY header yet, or NULL */
    struct {                       /* prepared by a reload, and not in use yet */
        struct proxy_gate *proxy_gate;
        SSL_CTX *tls;
        bool other_certificate;
    } coming;
    struct gate *gate;             /* who has not sent a whole ClientHello yet */
    struct admission admission;    /* who has, and has asked for nothing yet: strangers */
    struct credentials *keys;      /* of clients, for the next verdict; one owner */
    uv_timer_t keys_due;           /* when the first key is over of who is here */
    int64_t keys_due_s;            /* on the wall; INT64_MAX: it does not run */
    struct registry registry;      /* who owns an id and a port */
    struct waiting waiting;        /* what is kept for clients that are away */
    struct list agents;            /* all */
    struct map crowds;             /* by source, all that ever were */
    struct list crowds_left;       /* of them, those without sessions */
    struct map key_crowds;         /* by key */
    struct map sids;               /* of agents, by the number of their session */
    uint64_t looks;                /* at one of these for the sake of another, so far: for tests */
    struct verdicts verdicts;      /* whose secret may be compared now */
    uv_timer_t verdicts_due;       /* runs while somebody waits for his */
    struct rng rng;                /* the system's */
    struct told told;              /* lines that clients cause */
    struct strangers strangers;    /* lines about who has not authenticated */
    uv_timer_t strangers_sum;      /* runs when some were left out: then they are summed up */
    struct admission known_places; /* the same for sources in known: a flood of strangers, from
                                      however many addresses, takes none of these */
    struct known known;            /* who has authenticated in the last 24 h */
    struct last_seen last_seen;    /* clients with keys of their own */
    struct homes homes;            /* who has a session */
    struct keeper keeper;
    mtime_ms tell_full_at;     /* "no room for more users" is not logged again before */
    struct account account;    /* of descriptors */
    uint32_t sessions;         /* that count in it */
    uint32_t tunnels;          /* the same of their services, but the first of each session */
    mtime_ms tell_sessions_at; /* "no room for more sessions": the same */
    struct server_census census;
    bool draining, ended, has_clients; /* the last: there was a folder for them at the start */
};

/* ---- server.c ---- */

/* The answers of a worker. */
void server_worker_stopped(struct server *srv);
void server_worker_empty(struct server *srv);
void server_worker_gone(struct server *srv);
void server_worker_told(struct server *srv);

/* Its gates have other limits, as srv->opt says now. */
void server_limit_gates(struct server *srv);

/* A gate for balancers, with its place in srv->account. 0 or ERR_NOMEM. */
int server_open_proxy_gate(struct server *srv, struct proxy_gate **ret) MUST_USE;

/* ---- reload.c ---- */

/* The configuration file and the certificates are read again; what came of it is logged. */
void server_reload(struct server *srv, struct reload_result *ret);

/* The answer of a worker. */
void server_worker_uses_options(struct worker *w);

/* ---- watchdog.c: what the service manager hears ---- */

/* The server is ready. From now on every worker is pinged again and again. */
void watchdog_begin(struct server *srv);

/* The answer of a worker. */
void watchdog_worker_alive(struct server *srv);

/* A client's session, or its opening, is over. */
void server_session_gone(struct server *srv);

/* ---- reception.c: the main thread's side of clients and users ---- */

/* Before anybody comes, on srv->loop: 0, or ERR_NOMEM and nothing was begun; and at the end: what was
   left out of the log is summed up. srv->verdicts is there until verdicts_fini(). */
int reception_init(struct server *srv) MUST_USE;
void reception_fini(struct server *srv);

/* A new tunnel connection with a whole ClientHello, accepted waited_ms ago: to the worker with the
   fewest. Takes fd. */
void reception_accept(struct server *srv, int fd, const struct sockaddr *peer, mtime_ms waited_ms);

void reception_saw(struct agent *a); /* if of a client with a key: it is here, or was until now */

/* Who has a session has proved itself until now: more often than once in KNOWN_MS, or a session that
   lasts longer comes back as a stranger. */
void reception_keep_known(struct server *srv);

/* Whether somebody has authenticated from peer's source in the last KNOWN_MS. */
bool reception_knows(struct server *srv, const struct sockaddr *peer);

/* Whether one from there may wait for its handshake: of a source that has failed too often, with nothing
   of ours there, one a second. Asked once for each. */
bool reception_may_pass(struct server *srv, const struct sockaddr *peer);

/* See gate_events.room_at. */
mtime_ms reception_room_at(struct server *srv, const char *source);

/* a has asked, or is over, or waits for its verdict: its place among those who have not is free. */
void reception_leave_place(struct agent *a);

/* One that never had it, or may not, is closed. */
void reception_gone(struct server *srv, enum gate_end why, const struct sockaddr *peer);

/* Whether peer is in -trusted-proxy: a PROXY header comes first on its connections. */
bool reception_is_proxy(const struct server *srv, const struct sockaddr *peer);

/* A connection of one is closed that had none. */
void reception_not_proxied(struct server *srv, enum proxy_gate_end why,
                           const struct sockaddr *balancer);

/* Users have to wait; they need no longer. */
void reception_full(struct server *srv);
void reception_room(struct server *srv);

/* ---- keeper.c: who is known, kept over a restart ---- */

/* Reads srv->known, its key included, if there is a file for it. Before anybody comes, and before
   the cage: root may read what it can open. What is wrong is logged; the server goes on. */
void keeper_begin(struct server *srv);

/* srv->known has changed; is_new: somebody was not known before. */
void keeper_changed(struct server *srv, bool is_new);

/* Writes what is not written yet. May block for the disk, KEEPER_END_MS at the most: only when every
   worker has gone, so nobody is served any more, drained or waiting. */
void keeper_end(struct server *srv);

/* ---- registry.c: ids, ports and what waits, on the main thread ---- */

void owners_init(struct server *srv);

/* When the workers are gone. */
void owners_fini(struct server *srv);

/* The messages of a that are about it, and whose claim it has. */
void owners_init_agent(struct agent *a);

/* a has ended, and is in srv->agents no more. */
void owners_gone(struct agent *a);

/* The messages of v that are about it. */
void owners_init_service(struct service *v);

/* The agent with this session; NULL: none. */
struct agent *owners_find(struct server *srv, const uint8_t sid[HELLO_SID_BYTES]);

/* ---- worker.c ---- */

/* Makes a worker and, unless it is to use loop, a loop and a thread for it. Fills *w, whose place
   must not change. 0, or ERR_NOMEM, ERR_LIMIT, ERR_IO with a sentence; nothing runs then. */
int worker_start(struct worker *w, struct server *srv, unsigned index, struct loop *loop,
                 struct errmsg *why) MUST_USE;

/* When it has said gone: waits for its thread, which has nothing more to do. */
void worker_fini(struct worker *w);

/* Users of all its public ports wait until there is room again. */
void worker_full(struct worker *w);

/* An agent has left worker->agents. */
void worker_agent_gone(struct worker *w);

/* ---- agent.c: the worker's side of one client ---- */

/* The messages to the worker. */
void agent_init(struct agent *a);

/* No new users; running connections may finish for drain_ms. A client that has no session yet is
   turned away. */
void agent_stop(struct agent *a, mtime_ms drain_ms);

/* Ends it at once; ended is posted later. */
void agent_close(struct agent *a);

/* The options are others: a port that is not allowed any more is closed, and what runs through it may
   finish. */
void agent_look_at_port(struct agent *a);

/* The line about its session, for a person who has asked by a signal. */
void agent_tell(const struct agent *a);

/* Whether one more line of that kind about it may be written: its worker asks. The line about those
   that could not be comes first. */
bool agent_may_tell(const struct agent *a, enum told_kind kind);

/* Whether -allow-ports has it; and the word for the wire why it cannot: "EADDRINUSE"; EPERM is that. */
bool agent_may_have_port(const struct agent *a, int64_t port);
const char *agent_errno_word(const struct agent *a, int64_t port, int err);

/* ---- agent_rights.c: what a client with a key may do, by worker->keys ---- */

/* Whether it may have the port; without a key any. */
bool agent_has_right(const struct agent *a, int64_t port);

/* The rights may be others: the limits hold from now on, and a port that it lacks is closed as above. */
void agent_use_rights(struct agent *a);

/* ---- services.c: the worker's side of a session's services ---- */

/* For the session of a, which has services. 0, ERR_NOMEM. */
int services_new(struct agent *a) MUST_USE;

/* The session is over: closes all their ports, and posts the end of each. Harmless without. */
void services_end(struct agent *a);

/* No new users: the session drains. Harmless without. */
void services_stop(struct agent *a);

/* A line of the client's, as session_ops has it. */
bool services_on_line(struct agent *a, struct hello_text line);

/* The client's right to so many tunnels, 0: it has none of its own. More than LEASES_MAX raise what its session
   takes, up to LEASES_MOST; fewer are registry.c's to refuse. Harmless without services. */
void services_allow(struct agent *a, int tunnels);

void services_look_at_ports(struct agent *a); /* whose port is not allowed any more ends */

/* A connection of a user has begun. */
void services_count(struct service *v);

/* One is over, of the service with that key. */
void services_on_relay_over(struct agent *a, uint32_t key);

const struct listener *services_listener(const struct agent *a); /* of the only one; or NULL */
void services_tell(const struct agent *a);

/* ---- endpoint.c ---- */

/* A closed one, for the users of a. */
void endpoint_init(struct endpoint *e, struct agent *a);

/* Listens on port at -public-bind. Users are treated as those of the agent's other ports. 0, or as
   listener_open(). */
int endpoint_open(struct endpoint *e, int port, struct errmsg *why) MUST_USE;

/* The port is free when this returns. Harmless when it is closed. */
void endpoint_close(struct endpoint *e);

/* None listens for a yet; who comes to the first is held. */
void endpoints_init(struct agent *a);

/* All of its ports. */
void endpoints_close(struct agent *a);

/* What becomes of users who come to a port of a, also to one that is opened later. */
void endpoints_users(struct agent *a, enum session_users what);

/* The worker has no room, or has some again. */
void endpoints_pause(struct agent *a, bool full);
