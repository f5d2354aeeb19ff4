/* SPDX-License-Identifier: MIT */
/* Who belongs together: the sessions of one source, and those of one key. The main thread's. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/map.h"
#include "base/quota.h"
#include "net/sock.h"
#include "proto/hello.h"

struct agent;
struct server;

/* Who shares a source: its sessions, on any worker, and users who finish without theirs. The main
   thread's, which makes it with the first. One that nobody is in any more is the next source's:
   none is freed before the workers are gone, which count in it. */
struct crowd {
    struct map_node node; /* in srv->crowds */
    struct list left;     /* in srv->crowds_left while there are no sessions */
    struct quota users;   /* connections of users through them; without a limit of its own */
    uint32_t sessions;
    uint32_t tunnels; /* of them, but the first of each */
    char source[SOCK_NAME_MAX];
};

/* Who shares a key: its sessions. The main thread's, while there are some. */
struct key_crowd {
    struct map_node node; /* in srv->key_crowds */
    uint32_t sessions;
    char key[HELLO_ID_MAX + 1]; /* "": the shared secret's */
};

void crowds_init(struct server *srv);

/* When the workers are gone, and every agent has left. */
void crowds_fini(struct server *srv);

/* a's session counts as one of its source, and of its key, from now on. 0, or ERR_NOMEM: it does not. */
int crowds_join(struct agent *a) MUST_USE;

/* It does no more. Harmless if it did not. */
void crowds_leave(struct agent *a);
