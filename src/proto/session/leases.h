/* SPDX-License-Identifier: MIT */
/*
 * What a server has let to the client of one session: its services, without I/O. Lines of the
 * client, the registry's answers, the listener's and the time go in; actions come out and are
 * pulled. The client's half is in wishes.h, the lines in proto/service_line.h.
 *
 *   open --> ASKED --granted--> GRANTED --listens--> OPEN --close--> DRAINING --last is gone--> OVER
 *              |                   |                  |                 ^                        ^
 *              +-- refused --------+-- failed ---- refused, no streams -|------------------------+
 *              +-- close ----------+                  |                 |                        |
 *              +-- ended ----------+                  +-- ended --------+-- (no streams) --------+
 *
 *   close   the client's line: the listener goes at once, running streams have the client's time,
 *           then they are cut; `closed` is sent when the last is gone. Before it is open: at once.
 *   ended   the right is lost, another has the port, the server stops: the same, but `closed` is
 *           sent at once with the reason (`refused`, if the open has no answer yet), and its number
 *           is free.
 *
 * A number that is free may be used again by the client at once: the old lease, which drains without
 * a number, and the new one are two.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mtime.h"
#include "proto/service_line.h"

enum {
    LEASES_MAX = 64, /* services asked for or open in one session, unless the owner says otherwise;
                        and as many again that drain */
    LEASES_MOST =
        1024, /* that an owner may say: a map of so many is small, and its lines are few */
    LEASES_OPENS_A_SECOND =
        100, /* opens of one session: what comes faster is read later. Each asks the
                                    main thread and the system for a listener */
};

enum lease_state {
    LEASE_ASKED,    /* the registry has not answered yet */
    LEASE_GRANTED,  /* the listener is being opened */
    LEASE_OPEN,     /* it listens */
    LEASE_DRAINING, /* it does not any more; streams run on */
    LEASE_OVER,     /* not in the table any more */
    LEASE_STATES,
};

/* Embedded in what the owner keeps for a service. */
struct lease {
    /* readable */
    enum lease_state state;
    uint32_t svc;                 /* its number; 0: it is the client's again */
    struct service_wanted wanted; /* ready: changes by the client's word */
    /* private */
    struct map_node by_svc;
    struct list node, out;
    uint32_t streams;
    mtime_ms cut_at;   /* DRAINING: MTIME_NEVER: it has no end, or is cut already */
    uint16_t pending;  /* bits */
    uint8_t last_line; /* enum service_op of its last one */
    struct service_why why;
    struct {
        char address[HELLO_WORD_BUF];
        int32_t port;
    } opened;
};

enum lease_action_kind {
    LEASE_ASK,     /* ask the registry for lease->wanted: leases_granted() or leases_refused() */
    LEASE_LISTEN,  /* open the listener: leases_listening() or leases_failed() */
    LEASE_STOP,    /* close the listener in this turn, or what opens it; streams run on */
    LEASE_RELEASE, /* the registry: this client has it no longer, nor asks for it. It may know */
    LEASE_CHANGED, /* wanted.ready is another */
    LEASE_CUT,     /* reset the streams (RST 7); leases_streams() will say that they are gone */
    LEASE_SEND,    /* line: to be written to the control stream */
    LEASE_FREE, /* lease is OVER; its memory is the owner's again. An answer of the registry or of
                      the listener that is still out is for the owner to pass over: the lease may be
                      told, and ignores it */
};

struct lease_action {
    enum lease_action_kind kind;
    struct lease *lease;
    struct service_line line; /* SEND */
};

/* One session's. Embedded by the owner; nothing in it is to be touched from outside. Must not move. */
struct leases {
    /* private */
    struct list all, out;
    struct map by_svc;
    uint32_t max, live, draining;
    mtime_ms opens_paid_to; /* by the opens that came: LEASES_OPENS_A_SECOND */
};

/* max: see LEASES_MAX. */
void leases_init(struct leases *ls, uint32_t max);

/* Another max for opens that come from now on; what is there stays. 1 to LEASES_MOST. */
void leases_set_max(struct leases *ls, uint32_t max);

/* The session is over: takes one lease out of the table, whose listener and streams are the owner's
   to end; no action of it follows. NULL: there is none left; then the table holds no memory. */
struct lease *leases_take(struct leases *ls);

/* The next action, in order. False: there is none. Pull them all after each input; an input that an
   action itself brings about may come in between. */
bool leases_next(struct leases *ls, struct lease_action *ret);

/* When leases_tick() has something to do; MTIME_NEVER: nothing. */
mtime_ms leases_deadline(const struct leases *ls);
void leases_tick(struct leases *ls, mtime_ms now);

/* ---- lines of the client ---- */

/* When the next line may be read; not behind now: at once. Until then the owner leaves the stream's
   bytes where they are, and its window fills. */
mtime_ms leases_read_at(const struct leases *ls, mtime_ms now);

/* A SERVICE_OPEN has come; fresh is memory for it, which belongs to the table from now on until its
   LEASE_FREE. ERR_PROTO: its number is in use; fresh is not taken, and the session is to be ended. */
int leases_open(struct leases *ls, const struct service_line *line, struct lease *fresh,
                mtime_ms now) MUST_USE;

/* A SERVICE_CHANGE or SERVICE_CLOSE has come. Of a number that is free: ignored, it has crossed a
   `closed` or `refused`. */
void leases_line(struct leases *ls, const struct service_line *line, mtime_ms now);

/* ---- answers ---- */

/* The registry's to ASK. Of a lease that is OVER: ignored. why: not SERVICE_OK. */
void leases_granted(struct leases *ls, struct lease *l);
void leases_refused(struct leases *ls, struct lease *l, const struct service_why *why);

/* The listener's to LISTEN: its address as a word for people, and its port; or why it cannot be had
   (errno as a word). Of a lease that is OVER: ignored. */
void leases_listening(struct leases *ls, struct lease *l, const char *address, int32_t port);
void leases_failed(struct leases *ls, struct lease *l, const char *errno_word);

/* ---- facts ---- */

/* How many streams run for it, whenever that changes. */
void leases_streams(struct leases *ls, struct lease *l, uint32_t n);

/* It must end for that reason; running streams have drain_ms (UINT32_MAX: until they end). One that
   drains already may only end sooner by it. OVER: ignored. */
void leases_end(struct leases *ls, struct lease *l, const struct service_why *why,
                uint32_t drain_ms, mtime_ms now);

/* The same of all. */
void leases_end_all(struct leases *ls, const struct service_why *why, uint32_t drain_ms,
                    mtime_ms now);

/* ---- questions ---- */

/* Whose number this is; NULL: nobody's. */
struct lease *leases_find(const struct leases *ls, uint32_t svc);

/* For the log: "asked" ... Static. */
const char *lease_state_word(enum lease_state s);
