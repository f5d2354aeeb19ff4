/* SPDX-License-Identifier: MIT */
/*
 * What a client wants of its server: the services of its file, without I/O. Each wish is asked for
 * by a line of the control stream (proto/service_line.h) and answered by one; facts and the time go
 * in, actions come out and are pulled. The server's half is in leases.h.
 *
 *          +------------- time to ask again ------------+
 *          v                                            |
 *   +--> IDLE --asked--> ASKED --refused--------> REFUSED
 *   |                      |                        ^
 *   |                   opened                      |
 *   |                      v                        |
 *   |                     OPEN --closed by the server
 *   |                      |
 *   |       not wanted: close (ASKED, too)
 *   |                      v
 *   |                   CLOSING --closed, refused--> GONE
 *   |
 *   +---- from everywhere when the session is lost; what is not wanted is GONE
 *
 * A session begins: all are asked for at once, in one flight, in the order of the file. One that is
 * refused touches no other; it is asked for again, later with each time (proto/backoff), and told
 * once for each cause.
 *
 * A wish that replaces another (a reload) is asked for first; when it is open, the older one closes.
 * If it is refused, the older one stays. Only where both cannot be had at once the older one closes
 * first: it has the port that a new one wants, or the session has its number of services (and the
 * new one was not refused before, but for that by the server). In one flight closes go before the opens that wait for them, so
 * also two tunnels can change their ports.
 *
 * One struct serves one session at a time, that which serves new users. Of a session that drains
 * beside it no lines come here; wishes_find() knows its numbers still.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/mtime.h"
#include "base/rng.h"
#include "proto/backoff.h"
#include "proto/service_line.h"

enum {
    /* Services asked for or open in one session, unless the owner says otherwise. A server has a bound
       of its own (session/leases.h), and says where it is. */
    WISHES_MAX = 1024,
    /* While so many close, whose users' connections go on, nothing more is asked for: a file that is
       read again and again, with other ports each time, leaves no more behind. As many drain at the
       server, which would refuse what comes then. */
    WISHES_CLOSING_MAX = 64,
};

enum wish_state {
    WISH_IDLE,    /* not asked for: no session, or no room in it */
    WISH_ASKED,   /* the open is out */
    WISH_OPEN,    /* the server listens */
    WISH_REFUSED, /* or closed by the server: it is asked for again by time */
    WISH_CLOSING, /* the close is out; running connections go on */
    WISH_GONE,    /* not in the list any more */
    WISH_STATES,
};

/* Embedded in what the owner keeps for a tunnel. */
struct wish {
    /* set by the owner before it is added */
    struct service_wanted
        wanted; /* constant then, but for wishes_change(); the name counts from the next open on */
    /* readable */
    enum wish_state state;
    uint32_t svc;                 /* ASKED, OPEN, CLOSING: its number in the session; else 0 */
    char address[HELLO_WORD_BUF]; /* OPEN: what listens, as the server says; escape it */
    int32_t port;                 /* OPEN: its port */
    struct service_why why;       /* REFUSED: why */
    /* private */
    struct list node, out;
    struct wish *replaces; /* is open, and closes when this one is; replaced_by is this one */
    struct wish *replaced_by;
    uint32_t svc_before; /* in the session before */
    struct backoff backoff;
    mtime_ms retry_at; /* REFUSED */
    uint32_t drain_ms;
    uint8_t pending; /* bit of enum wish_action_kind */
    uint8_t tell;    /* enum wish_tell */
    bool tell_again;
    bool needs_place; /* the server takes no more beside the one it replaces */
    bool owes_answer; /* CLOSING: its open has no answer yet */
    enum service_error told;
    char told_errno[HELLO_WORD_BUF];
};

enum wish_action_kind {
    WISH_TELL, /* tell, again: something for the log; wish has address, port, or why */
    WISH_SEND, /* line: to be written to the control stream */
    WISH_FREE, /* wish is GONE; its memory is the owner's again */
};

enum wish_tell {
    WISH_TELL_OPENED,
    WISH_TELL_REFUSED, /* again: for the same cause as before, and it was told */
    WISH_TELL_CLOSED,  /* by the server; again: as above */
};

struct wish_action {
    enum wish_action_kind kind;
    struct wish *wish;
    enum wish_tell tell;
    bool again;
    struct service_line line;
};

/* Embedded by the owner; nothing in it is to be touched from outside. */
struct wishes {
    /* private */
    struct list all; /* in the order of the file */
    struct list out; /* have actions waiting */
    uint32_t max, live, closing;
    mtime_ms retry_max_ms;
    uint32_t next_svc;
    bool has_session;
    struct rng rng; /* jitter of the waits */
};

/* max: see WISHES_MAX; retry_max_ms: the longest wait between two opens of a wish. No session yet.
   There is no _fini: the wishes are the owner's. */
void wishes_init(struct wishes *ws, uint32_t max, mtime_ms retry_max_ms, uint64_t seed);

/* The next action, in order. False: there is none. Pull them all after each input. */
bool wishes_next(struct wishes *ws, struct wish_action *ret);

/* When wishes_tick() has something to do; MTIME_NEVER: nothing. */
mtime_ms wishes_deadline(const struct wishes *ws);
void wishes_tick(struct wishes *ws, mtime_ms now);

/* ---- what the user wants ---- */

/* Wanted, behind all others. w belongs to the table until its WISH_FREE. */
void wishes_add(struct wishes *ws, struct wish *w);

/* Wanted in place of older, which is wanted (not removed, not replaced); it has drain_ms then. Both
   belong to the table until their WISH_FREE. */
void wishes_replace(struct wishes *ws, struct wish *older, struct wish *w, uint32_t drain_ms);

/* Is asked for behind all others from now on. */
void wishes_last(struct wishes *ws, struct wish *w);

/* The one that is open until w is; NULL: there is none. */
struct wish *wishes_replaced(const struct wish *w);

/* The change is taken back: wishes_replaced(w), which must not be NULL, stays in its place, and w
   goes. */
void wishes_undo(struct wishes *ws, struct wish *w);

/* Not wanted any more; its connections have drain_ms (UINT32_MAX: until they end). Once for each;
   what it was to replace goes with it. */
void wishes_remove(struct wishes *ws, struct wish *w, uint32_t drain_ms);

/* Its target takes connections, or does not. */
void wishes_change(struct wishes *ws, struct wish *w, bool ready);

/* ---- facts of the session ---- */

/* A session serves new users from now on, whose control stream is empty. There was none. */
void wishes_begun(struct wishes *ws);

/* It does so no longer (it is over, or drains). Ignored if there is none. */
void wishes_lost(struct wishes *ws, mtime_ms now);

/* A line of its server has come; a SERVICE_NOTICE is the owner's business, and passed over here.
   ERR_PROTO: it may not come now; nothing has changed, and the session is to be ended. */
int wishes_line(struct wishes *ws, const struct service_line *line, mtime_ms now) MUST_USE;

/* ---- questions ---- */

/* Whose number this is in the session, or was in the one before; NULL: nobody's (RST 8). The server
   may use a number before its `opened` has come, and until its `closed`. */
struct wish *wishes_find(const struct wishes *ws, uint32_t svc);

/* For the log: "asked" ... Static. */
const char *wish_state_word(enum wish_state s);
