/* SPDX-License-Identifier: MIT */
/* Private to the relays (relay.c, relay_up.c, relay_down.c, relay_pool.c): one relay's inside. */
#pragma once

#include "base/backlog.h"
#include "net/poller.h"
#include "proto/session/waiting.h"
#include "proto/tally.h"
#include "tunnel/internal.h"
#include "tunnel/relay.h"

/* Socket to stream. */
enum relay_up {
    UP_NO_SOCKET,
    UP_READING,  /* what the socket says goes into the stream */
    UP_PAUSED,   /* no credit: the socket is not read */
    UP_DROPPING, /* nobody wants what the socket says: read and dropped, so that its end is seen */
    UP_EOF,      /* read side at EOF; the stream was told */
    UP_ENDED,
};

/* Stream to socket. What the socket does not take at once is late, and written when it does. */
enum relay_down {
    DOWN_NO_SOCKET,     /* what comes is late */
    DOWN_NO_SOCKET_FIN, /* ... and all of it is here */
    DOWN_WRITING,
    DOWN_FIN,    /* stream at EOF; what is late is still to be written */
    DOWN_SHUT,   /* ... it was, and the socket was told */
    DOWN_BROKEN, /* writing has failed: what comes is dropped, what the socket said is still read */
    DOWN_ENDED,
};

/* An idle connection costs this and a struct smux_stream. */
struct relay {
    struct stream_owner owner;
    struct relays *rs;
    struct session *session; /* NULL: orphan */
    struct smux_stream *st;  /* NULL: closed */
    union {
        struct list of_session;   /* in session->relays */
        struct quota *counted_at; /* of an orphan: where its session counted it; NULL: nowhere */
    };
    struct turn_node reader;       /* in session->readers, rs->paused or rs->discarding */
    struct list cut;               /* in one of rs->cuts, rs->unsent_by, or rs->dead */
    mtime_ms cut_at;               /* in unsent_by: it is idle from then on */
    struct relay_pending *pending; /* NULL: it has a socket, or nobody makes one */
    struct late *late;             /* what the socket would not take; NULL: nothing. The window
                                      bounds it, and all of them rs->late */
    union {
        uint64_t source; /* who pays for what is late; 0: not known */
        struct user_visit
            *visit; /* has_visit: it has a line (-log-visitors), and knows the source, too */
    };
    struct poller_source socket;
    uint16_t prefix;  /* bytes at the head of late that are not the stream's */
    uint8_t up;       /* enum relay_up */
    uint8_t down;     /* enum relay_down */
    bool hangup;      /* the socket's end has come for sure: a short read does not mean drained */
    uint8_t unsent;   /* how often UNSENT_FIRST the kernel may hold for it; 0: it is not bounded */
    bool failed;      /* the socket has failed; what it said before may still be unread */
    bool is_bulk : 1; /* the last read filled all the room there was */
    bool has_visit : 1;
    bool is_heard : 1;   /* the stream has said something */
    struct tally *tally; /* relay_count_at(); NULL: nowhere */
};

/* With malloc's own 8 bytes that is 160, its step is 16: two pointers more cost 16 bytes of each
   idle connection. */
_Static_assert(sizeof(void *) > 8 || sizeof(struct relay) <= 152, "an idle connection has grown");

/* ---- relay.c ---- */

/* The only ways to change a state: they check the tables of what may follow what. */
void relay_set_up(struct relay *r, enum relay_up to);
void relay_set_down(struct relay *r, enum relay_down to);

static inline bool relay_has_ended(const struct relay *r)
{
    return r->up == UP_ENDED;
}

static inline bool relay_has_socket(const struct relay *r)
{
    return r->up != UP_NO_SOCKET;
}

/* One direction has ended, the other one has not. */
static inline bool relay_is_half_closed(const struct relay *r)
{
    return r->up == UP_EOF || r->down == DOWN_NO_SOCKET_FIN || r->down == DOWN_FIN ||
           r->down == DOWN_SHUT;
}

/* The socket has failed. What it said before is still read, for RELAY_LAST_WORDS_MS at least; then,
   or when nothing of it is wanted, the relay is reset. */
void relay_socket_failed(struct relay *r);

/* Tells the socket of the stream's end once everything is written; closes when both directions are
   done. */
void relay_check_end(struct relay *r);

static inline uint64_t relay_source(const struct relay *r)
{
    return r->has_visit ? r->visit->source : r->source;
}

/* How its visit ends, unless that is known. */
static inline void relay_visit_ends(struct relay *r, enum visit_end how)
{
    if (r->has_visit && r->visit->end == VISIT_OPEN)
        r->visit->end = how;
}

/* ---- relay_up.c ---- */

/* The socket has something to say, as far as is known: has it read at the end of the turn. */
void relay_up_wake(struct relay *r);

/* There is no credit, now or for good. */
void relay_up_no_credit(struct relay *r);

/* The stream may take something again. */
void relay_up_credit(struct stream_owner *o);

/* The job of rs->discarder. */
void relay_up_discard_all(struct loop_job *job);

/* ---- relay_down.c ---- */

void relay_down_data(struct stream_owner *o, const uint8_t *p, size_t n);
void relay_down_fin(struct stream_owner *o);

/* The socket takes something again: writes what is late. */
void relay_down_writable(struct relay *r);

/* ---- relay_late.c ---- */

size_t relay_late_bytes(const struct relay *r);

/* Appends a copy of n bytes. 0, or as backlog_put(). If it is too much for all relays, some end at
   the end of the turn: maybe this one. */
int relay_late_put(struct relay *r, const void *p, size_t n) MUST_USE;

/* What the kernel may hold for it has changed, which counts with what is late. */
void relay_late_count(struct relay *r);

/* As backlog_pieces(). */
int relay_late_pieces(const struct relay *r, struct iovec ret[2]);

/* The socket has taken n bytes of it. */
void relay_late_drop(struct relay *r, size_t n);

void relay_late_clear(struct relay *r);

/* The job of rs->shedder. */
void relay_late_shed(struct loop_job *job);

/* The job of rs->giver. */
void relay_late_give_back(struct loop_job *job);

/* The line about those that were cut, if it is time for one. */
void relay_late_tell(struct relays *rs);

/* ---- relay_short.c ---- */

/* It is time to ask whether the kernel is short of memory. */
bool relay_short_is_due(const struct relays *rs);

/* The line about those that were cut, if it is time for one. */
void relay_short_tell(struct relays *rs);

/* ---- relay_pool.c ---- */

/* relay_late_tell() is called at this time. */
void relay_pool_tell_at(struct relays *rs, mtime_ms at);

/* Says in the log that the relay is cut as it is half closed and silent, by us or by the other
   side: nobody else could tell its user why. */
void relay_pool_log_cut(struct relay *r, bool by_us);

/* Something moved, or one direction has just ended: a half-closed relay's time begins again, and
   one that has more than UNSENT_FIRST is idle last of all. */
void relay_pool_touch(struct relay *r);

/* The socket has just failed: the time for its last words begins. */
void relay_pool_failed(struct relay *r);

/* The relay is out of everything: its memory goes at the end of the turn. */
void relay_pool_bury(struct relay *r);
