/* SPDX-License-Identifier: MIT */
/* The tunnels that a client has: what is forwarded to where, each under a name. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    TUNNELS_MAX = 64,     /* of one client: as many as one session takes (session/wishes.h) */
    TUNNEL_NAME_MAX = 64, /* bytes of a name: 1 to so many of A-Z a-z 0-9 . _ - */
};

struct tunnel_option {
    char name[TUNNEL_NAME_MAX + 1];
    int32_t port;       /* public; 0: the server chooses */
    const char *target; /* as the user wrote it, unparsed */
};

/* None: the client has the one of -remote-port and -local-target. */
struct tunnels {
    uint32_t count;
    struct tunnel_option at[TUNNELS_MAX];
};

/* May a tunnel be called so? */
bool tunnels_name_is_valid(const char *name);

/* The one of that name; NULL: there is none. */
const struct tunnel_option *tunnels_find(const struct tunnels *ts, const char *name);

/* One more; name "": it is called by its port. 0; ERR_LIMIT: there are TUNNELS_MAX; ERR_INVAL: the name is
   none; ERR_INUSE: another one has it. */
int tunnels_add(struct tunnels *ts, const char *name, int32_t port, const char *target) MUST_USE;

/* As -forward has it, PORT=TARGET or NAME=PORT=TARGET, a further one; a = behind a colon is the target's. The
   target points into text. As above,
   or ERR_RANGE: the port is not 0 to 65535; ERR_INVAL also for all else. */
int tunnels_parse(const char *text, struct tunnels *ret) MUST_USE;
