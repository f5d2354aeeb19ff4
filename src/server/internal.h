/* SPDX-License-Identifier: MIT */
/* Private to server/: the program and the clients it serves. */
#pragma once

#include <sys/socket.h>

#include "app/stop.h"
#include "base/list.h"
#include "base/log_budget.h"
#include "conf/hostport.h"
#include "conf/options.h"
#include "net/listener.h"
#include "net/loop.h"
#include "pki/pki.h"
#include "proto/admission.h"
#include "proto/ratelimit.h"
#include "tunnel/link.h"

/* At the limit every user who leaves makes room for one who waits: once a minute is enough. */
enum { TELL_FULL_MS = 60000 };

struct server {
    const struct server_options *opt;
    struct loop loop;
    struct relays relays;
    struct stop stop;
    struct pki_identity *identity;
    SSL_CTX *tls;
    uv_timer_t renewal;
    struct listener *tunnel_port;
    struct admission admission;  /* who is connected and not yet authenticated */
    struct ratelimit guesses;    /* wrong secrets per source */
    struct log_budget strangers; /* lines about who has not authenticated */
    struct list agents;
    mtime_ms tell_full_at; /* "no room for more users" is not logged again before */
    bool ended;
};

/* A new tunnel connection. Takes fd. */
void agent_accept(struct server *srv, int fd, const struct sockaddr *peer);

/* Stops (or resumes) taking users on every public port. */
void agents_pause(struct server *srv, bool paused);

/* Closes every public port, and clients that have none yet; running connections go on. */
void agents_stop_listening(struct server *srv);

/* Ends every link; server_agents_gone() follows when the last one is over. */
void agents_close(struct server *srv);

/* The last agent has gone. */
void server_agents_gone(struct server *srv);

/* Banner on stdout: address, CA certificate, the command for the client. */
void banner_print(const struct server *srv);
