/* SPDX-License-Identifier: MIT */
/*
 * Private to server/: the program, its workers, and the clients they serve.
 *
 * The main thread (server.c, reception.c) takes tunnel connections and decides about them; workers
 * (worker.c, agent.c) do everything else, each on a loop of its own. They share nothing but what is
 * constant while they run, the quota of connections, and the mailboxes. With one worker the main
 * loop is its loop: there is no thread, but the same messages.
 */
#pragma once

#include <pthread.h>
#include <sys/socket.h>

#include "app/signals.h"
#include "base/list.h"
#include "base/log_budget.h"
#include "base/quota.h"
#include "conf/options.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/sock.h"
#include "pki/pki.h"
#include "proto/admission.h"
#include "proto/hello.h"
#include "proto/ratelimit.h"
#include "tunnel/link.h"

/* At the limit every user who leaves makes room for one who waits: once a minute is enough. */
enum { TELL_FULL_MS = 60000 };

/* Sessions of the whole program that wait for their client, each with up to 16 MiB of
   unacknowledged bytes and what its users' sockets do not take. One more ends the oldest of its
   worker; a worker that has none goes beyond it by one. */
enum { DETACHED_MAX = 64 };

struct worker {
    struct server *srv;
    unsigned index;
    struct loop *loop; /* its own, or with one worker the main thread's */

    /* the main thread's */
    unsigned sessions; /* handed to it, not yet ended */
    unsigned trusted;  /* of them, those that have authenticated */
    pthread_t thread;

    /* the worker's */
    struct loop own;
    struct relays relays;
    struct list agents;
    struct list detached; /* those without a connection, the oldest first */
    bool full;            /* its public ports take nobody: the quota is used up */
    bool stopping;        /* no new work */
    bool ending;          /* until the last agent is gone */

    /* to the worker */
    struct mailbox in;
    struct message maybe_room;     /* there may be room in the quota */
    struct message stop_listening; /* close the public ports; answered by stopped */
    struct message end;            /* close everything; answered by gone */
    struct message status;         /* log a line for each session; answered by told */
    /* to the main thread */
    struct message was_full; /* users have to wait */
    struct message room;     /* a user has left and made room */
    struct message stopped;
    struct message empty; /* stopping, and the last connection has ended */
    struct message told;  /* the lines of status are out */
    struct message gone;  /* the last message of this worker */
};

/*
 * One connected client. The main thread makes it and hands it to a worker, which owns it from then
 * on; the main thread still lists it, for admission and by session. When its link is closed the
 * worker posts ended; the main thread takes it off its lists and answers forgotten, and the worker
 * frees it.
 */
struct agent {
    /* constant */
    struct worker *worker;
    char peer[SOCK_NAME_MAX];
    char source[SOCK_NAME_MAX];

    /* gotunnel/2; written before session_opened is posted, constant then */
    char id[HELLO_ID_MAX + 1];
    uint8_t sid[HELLO_SID_BYTES];
    uint8_t nc[HELLO_NONCE_BYTES]; /* of the open: another one's `mine` may name it */
    int64_t wanted_port;

    /* the main thread's */
    struct admission_entry admission; /* while not authenticated */
    struct list of_session;           /* in srv->sessions */
    bool granted;                     /* no older session has its id: it may open its port */
    char port_holder[SOCK_NAME_MAX];  /* when it was granted: the address of a client with another
                                         id that had the same port, or ""; constant then */
    struct agent *target;             /* whose session handover is for, if there is one */

    /* owned with the connection: by this worker, the main thread, then the target's worker */
    struct link_handover handover;
    enum hello_error handover_error;

    /* the worker's; in the main thread's hands before begin and with auth_failed, auth_ok, ended */
    struct list node; /* in worker->agents */
    int fd;           /* until there is a link */
    SSL_CTX *tls;     /* the same */
    struct link *link;
    struct listener *port;
    bool authenticated;
    struct list of_detached; /* in worker->detached */
    bool holding;            /* detached a moment ago: new users wait */
    bool awaiting_grant;     /* its open waits for the main thread's grant */
    uint32_t delay_ms;       /* of the answer to a wrong secret */
    enum link_reason reason;
    struct errmsg why;

    /* to the worker */
    struct message begin;
    struct message drop; /* too many have not authenticated: close this one */
    struct message reject;
    struct message forgotten;
    struct message grant;  /* the port may be opened: no older session has its id */
    struct message evict;  /* a newer session has its id: end this one */
    struct message attach; /* to the target's worker: take the connection; answered by ended */
    /* to the main thread */
    struct message auth_failed;    /* a wrong secret: answered by reject */
    struct message auth_ok;        /* legacy: the right secret */
    struct message session_opened; /* gotunnel/2: the right secret; answered by grant */
    struct message resume;         /* the connection wants a session */
    struct message ended;          /* answered by forgotten */
};

struct server {
    const struct server_options *opt;
    struct loop loop;
    struct mailbox in;        /* from the workers */
    struct quota connections; /* of all workers together */
    struct quota detached;    /* the same: sessions without a connection */
    struct worker *workers;
    unsigned workers_count;          /* that run */
    uint64_t window_bytes;           /* RELAYS_WINDOW_BYTES, a worker's share */
    uint64_t replay_bytes;           /* RELAYS_REPLAY_BYTES, the same */
    unsigned workers_working;        /* have not answered a stop_listening, or an end */
    unsigned workers_telling;        /* have not answered a status */
    char public_host[SOCK_NAME_MAX]; /* of -public-bind, without brackets; "": every address */
    struct signals signals;
    struct pki_identity *identity;
    const char *alpn; /* HELLO_ALPN, or NULL: the legacy wire only */
    SSL_CTX *tls;     /* for the next connection: those that are there keep theirs */
    uv_timer_t renewal;
    struct listener *tunnel_port;
    struct admission admission;  /* who is connected and not yet authenticated */
    struct list sessions;        /* of gotunnel/2, the oldest first. Looked through once for each
                                    connection, which costs a handshake anyway */
    struct ratelimit guesses;    /* wrong secrets per source */
    struct log_budget strangers; /* lines about who has not authenticated */
    mtime_ms tell_full_at;       /* "no room for more users" is not logged again before */
    bool draining, ended;
};

/* ---- server.c ---- */

/* The answers of a worker. */
void server_worker_stopped(struct server *srv);
void server_worker_empty(struct server *srv);
void server_worker_told(struct server *srv);
void server_worker_gone(struct server *srv);

/* ---- reception.c: the main thread's side of clients and users ---- */

/* A new tunnel connection: to the worker with the fewest. Takes fd. */
void reception_accept(struct server *srv, int fd, const struct sockaddr *peer);

/* Users have to wait; they need no longer. */
void reception_full(struct server *srv);
void reception_room(struct server *srv);

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

/* Stops (or resumes) taking users on the agent's public port. */
void agent_pause(struct agent *a, bool paused);

/* Closes the public port, or a client that has none yet; running connections go on. */
void agent_stop_listening(struct agent *a);

/* The line about a session, for a person who has asked by a signal. */
void agent_tell(const struct agent *a);

/* Ends the link; ended is posted later. */
void agent_close(struct agent *a);

/* ---- banner.c ---- */

/* Banner on stdout: address, CA certificate, the command for the client. Does not wait for it. */
void banner_print(const struct server *srv);
