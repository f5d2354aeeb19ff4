/* SPDX-License-Identifier: MIT */
/*
 * The local service: one TCP connection is dialled for each stream the server opens. At most
 * SERVICE_DIALS at once (a burst of users must not exhaust descriptors or the service's backlog);
 * further ones wait their turn. Each has SERVICE_MS from its stream's opening; refused or too late,
 * the user's connection is cut at once.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "net/loop.h"
#include "proto/path.h"
#include "tunnel/relay.h"

enum { SERVICE_DIALS = 256, SERVICE_MS = 5000 };

struct service {
    struct loop *loop;
    struct relays *relays;
    const char *name, *host;
    int port;
    /* private */
    bool starting;
    bool may_vanish; /* on another machine, which can vanish without FIN or RST */
    unsigned dialing;
    struct list waiting;
    struct path_memory path; /* which of its addresses is alive */
    mtime_ms complained;     /* when a failure was last logged: once a second is enough */
};

/* name is for messages: host and port as the user gave them. The strings must outlive s. */
void service_init(struct service *s, struct loop *loop, struct relays *relays, const char *name,
                  const char *host, int port);

/* Makes a relay of st and dials. Without memory or beyond the quota the stream is reset. */
void service_serve(struct service *s, struct session *session, struct smux_stream *st);
