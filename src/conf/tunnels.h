/* SPDX-License-Identifier: MIT */
/* The tunnels that a client has: what is forwarded to where, each under a name. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    TUNNELS_MAX = 1024,   /* of one client: of a file, or of flags */
    TUNNEL_NAME_MAX = 64, /* bytes of a name: 1 to so many of A-Z a-z 0-9 . _ - */
};

struct tunnel_option {
    char name[TUNNEL_NAME_MAX + 1];
    int32_t port;       /* public; 0: the server chooses */
    const char *target; /* as the user wrote it, unparsed */
};

/* None: the client has the one of -remote-port and -local-target. Zeroed is empty. */
struct tunnels {
    uint32_t count;
    uint32_t room; /* private: of at; 0: the memory is somebody else's, or there is none */
    struct tunnel_option *at;
};

/* The same entries in memory that stays that of ts, which must not get another one meanwhile. */
struct tunnels tunnels_view(const struct tunnels *ts);

/* The same entries in memory of its own; their targets point to where those of ts do. 0 or ERR_NOMEM. */
int tunnels_copy(const struct tunnels *ts, struct tunnels *ret) MUST_USE;

/* Lets its memory go, if it is its own; then it is empty. */
void tunnels_fini(struct tunnels *ts);

/* May a tunnel be called so? */
bool tunnels_name_is_valid(const char *name);

/* The one of that name; NULL: there is none. */
const struct tunnel_option *tunnels_find(const struct tunnels *ts, const char *name);

/* The one with that public port; NULL: there is none, or the server chooses (0). */
const struct tunnel_option *tunnels_at_port(const struct tunnels *ts, int32_t port);

/* A list of one, in *room; name "": it is called by its port. The target is not copied. */
struct tunnels tunnels_of_one(struct tunnel_option *room, const char *name, int32_t port,
                              const char *target);

/* One more; name "": it is called by its port. 0; ERR_NOMEM; ERR_LIMIT: there are TUNNELS_MAX; ERR_INVAL: the name is
   none; ERR_EXISTS: another one has it; ERR_INUSE: another one has the public port. */
int tunnels_add(struct tunnels *ts, const char *name, int32_t port, const char *target) MUST_USE;

/* As -forward has it, PORT=TARGET or NAME=PORT=TARGET, a further one; a = behind a colon is the target's. The
   target points into text. As above,
   or ERR_RANGE: the port is not 0 to 65535; ERR_INVAL also for all else. */
int tunnels_parse(const char *text, struct tunnels *ret) MUST_USE;
