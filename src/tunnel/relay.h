/* SPDX-License-Identifier: MIT */
/*
 * A relay joins one stream of a session to one TCP socket (a public user's, or the local service's).
 *
 *   socket --recv--> outgoing ring of the session   (straight behind the frame header, no copy)
 *   stream --DATA--> socket, and what it will not take into a buffer that exists only while it is
 *                    needed
 *
 * Each direction ends by itself: end of file on the socket becomes FIN, FIN becomes
 * shutdown(SHUT_WR). Only when both have ended is the socket closed, so that nothing received is
 * lost. With one direction ended and nothing moving for RELAY_HALF_CLOSED_MS the rest is cut. A
 * reset on either side is passed on as a reset. Memory: the buffer never exceeds the stream's
 * window (the session enforces it), and all of them together not what the process may hold.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/log_budget.h"
#include "net/loop.h"
#include "proto/histogram.h"
#include "proto/smux/session.h"
#include "proto/unsent.h"
#include "tunnel/visit.h"

struct dial_result;
struct tcp_memory;
struct waiting;
struct session;
struct tally;
struct quota;
struct relay;

enum {
    /* One direction ended, the other silent for this long: cut. A legacy peer that has closed gives
       no more credit, so without a limit such a stream would stay for ever (docs/protocol.md 2.2).
     */
    RELAY_HALF_CLOSED_MS = 60000,
    /* The same on gotunnel/2, where a half-close is one: as HAProxy's and yamux's five minutes. */
    RELAY_HALF_CLOSED_V2_MS = 300000,
    /* A socket that has failed (reset, timed out): what it said before is still passed on, for so
       long if the peer gives no credit or there is no connection to it. Then it is dropped: else a
       reader that stands still would keep both ends of a connection that is over. */
    RELAY_LAST_WORDS_MS = 250,
    /* One receive buffer per loop: what a tunnel says is served while it lies there. */
    RELAYS_SCRATCH_BYTES = 128 << 10,
    /* What the receive windows of all streams together may have beyond the 256 KiB of each, in the
       whole process: memory that is used only if as many readers stall. Eight workers have 32 MiB
       each, of which one stream may take half: a 16 MiB window. */
    RELAYS_WINDOW_BYTES = 256 << 20,
    /* The same of what sessions of gotunnel/2 keep to send again, beyond the first MiB of each; one
       has at most 16 MiB. Without it a session goes on with what it has. */
    RELAYS_REPLAY_BYTES = 256 << 20,
    /* What is kept for readers that stand still, unless relays_memory() says otherwise. 500 users
       who ask for 300 KB and read nothing took 85 MB; 20,000 could take 5 GB. */
    RELAYS_LATE_BYTES = 512 << 20,
    /* Each of them counts so much at least: the first buffer, and what a stalled connection costs
       besides. */
    RELAYS_LATE_FLOOR = 8 << 10,
    /* What the kernel may hold for users beyond UNSENT_FIRST each is this part of what is kept for
       readers that stand still: one 32nd of the machine's memory, half of what Linux lets TCP have
       before it is short of it (tcp_mem); 64 MiB at most by default. */
    RELAYS_UNSENT_PART = 8,
    /* Who was written nothing for so long gives it back, when it is scarce, to who reads: longer
       than a fast reader is left without anything by a busy path. */
    RELAYS_UNSENT_IDLE_MS = 2000,
    /* Whether the kernel is short of memory for TCP is asked so often, at most: a question costs
       0.1 ms, and in that time services fill what it has left. */
    RELAYS_SHORT_LOOK_MS = 100,
    RELAYS_SHORT_UNREAD = 16 << 10, /* who has as much unread may end then */
    RELAYS_SHORT_KEPT = 16,         /* of those so many stay: fewer are not what it is short for */
    RELAYS_SHORT_MOST = 1024,       /* end at a time: some 50 ms, in which nobody else is served */
    RELAYS_SHED_LINE_MS = 60000,    /* between two lines about those that were cut for it */
};

/* Why a relay may be cut; each kind has a time limit of its own. */
enum relay_cut {
    RELAY_CUT_HALF_CLOSED, /* on the legacy wire, or without session */
    RELAY_CUT_HALF_CLOSED_V2,
    RELAY_CUT_FAILED, /* its socket has failed */
    RELAY_CUT_KINDS,
};

/* What all relays of one loop share. */
struct relays {
    struct loop *loop;
    uint8_t *scratch;             /* RELAYS_SCRATCH_BYTES, for the sessions of this loop */
    struct smux_budget windows;   /* max is RELAYS_WINDOW_BYTES; many loops divide it */
    struct smux_budget replay;    /* the same of RELAYS_REPLAY_BYTES */
    const struct tcp_memory *tcp; /* of relays_memory() */
    struct waiting *late;         /* what waits for readers that stand still */
    struct unsent unsent;         /* what the kernel may hold for users beyond UNSENT_FIRST each */
    struct list unsent_by;       /* private: who has more than that, and is open in both directions;
                                    the one that was written to longest ago first */
    uint32_t count;              /* sockets and pending dials */
    uint64_t received, sent;     /* bytes of all streams so far: from the peers, to them */
    struct histogram gaps;       /* how long users of sessions stood still, for each resume */
    struct log_budget cut_lines; /* what half-closed connections may put into the log */
    struct visit_lines visits;   /* the same of each connection (-log-visitors) */
    struct quota *quota;         /* of all loops: the owner stops accepting when it is full */
    void (*on_room)(void *ctx);  /* a relay of ours has made room in the quota; may be NULL */
    void (*on_empty)(void *ctx); /* our last relay is gone; may be NULL */
    void *ctx;
    /* private */
    struct list cuts[RELAY_CUT_KINDS];   /* each in the order of their deadlines */
    mtime_ms cut_after[RELAY_CUT_KINDS]; /* the constants above */
    mtime_ms timer_at;                   /* MTIME_NEVER: not armed */
    struct list dead;                    /* freed at the end of the turn */
    struct list discarding;              /* with something to read that nobody wants */
    struct list paused;                  /* without credit, the longest first */
    mtime_ms short_look_at;              /* the kernel is not asked before */
    mtime_ms short_told_at;              /* the next line about those that were cut not before */
    unsigned short_cut;                  /* that were cut, and not told of yet */
    uv_timer_t timer;
    struct loop_job reaper, discarder, shedder, giver;
    uint64_t late_most;    /* that was late at once, since memory was last given back */
    unsigned shed;         /* readers that were cut, and not told of yet */
    mtime_ms shed_told_at; /* the next line about them not before */
    bool made_room;
};

/* quota counts the relays of all loops and must outlive rs. 0 or ERR_NOMEM. */
int relays_init(struct relays *rs, struct loop *loop, struct quota *quota) MUST_USE;

/* Of what the process may hold in memory for others, bytes are for this loop: for readers that
   stand still, and half of it each for larger windows and for what is kept to be sent again, up to
   the constants above. The kernel may hold the RELAYS_UNSENT_PART of it for users besides. tcp, which
   outlives rs, knows when the kernel is short of memory; NULL: it never is. */
void relays_memory(struct relays *rs, uint64_t bytes, const struct tcp_memory *tcp);

/* Cuts every relay that has outlived its session. The sessions must be closed before. */
void relays_cut_orphans(struct relays *rs);

/* Closes the timer; no relay may be left. */
void relays_fini(struct relays *rs);

/*
 * A relay without a socket for stream st, whose owner it becomes. Data that comes meanwhile is kept
 * (bounded by the window). NULL without memory: st is then still the caller's.
 */
struct relay *relay_new(struct relays *rs, struct session *session, struct smux_stream *st);

/*
 * Bytes for the socket ahead of what the stream says (a PROXY header). They are ours: no credit is
 * given for them. To be said before the first data comes, that is together with relay_new(), and at
 * most 65,535 in all. 0; ERR_NOMEM, ERR_BADSTATE (data or the socket is here already), ERR_RANGE:
 * nothing has changed.
 */
int relay_prefix(struct relay *r, const void *p, size_t n) MUST_USE;

/* Takes over fd, connected, non-blocking and with its options set (sock_abortive() among them), and
 * begins. On failure
 * (ERR_NOMEM, ERR_IO) the relay is reset. */
void relay_attach(struct relay *r, int fd);

/* The same with the connection of a dial, which the loop watches already. */
void relay_attach_dialled(struct relay *r, struct dial_result *dialled);

/* Cuts both sides, visibly as a reset. The relay is freed at the end of the turn. */
void relay_reset(struct relay *r, enum smux_reset_code code);

/* source: a number that stands for "the same peer" (proto/hash.h); who has the most waiting loses
   connections first. */
void relay_set_source(struct relay *r, uint64_t source);

/* Its connection has a line when it has ended. After relay_set_source(). Takes v; NULL: nothing. */
void relay_set_visit(struct relay *r, struct user_visit *v);

/* It is one of t's connections from now on, until it ends: its bytes count there. If t has a key it is of that
   service of its session: session_ops.on_relay_over() when it has ended. Once, and before the first data. */
void relay_count_at(struct relay *r, struct tally *t);

/* Cuts those that count at a tally with that key, of those that its session has, visibly as resets. */
void relays_cut_service(struct session *s, uint32_t svc, enum smux_reset_code code);

/* The socket that relay_attach() will bring takes UNSENT_FIRST at most before some was sent
   (sock_unsent_max()): it gets more when its reader has taken it (proto/unsent.h). What it may have
   counts as held for a reader that stands still. */
void relay_bound_unsent(struct relay *r);

/* Embed in what brings the socket (the client's dial): on_cancel is called if the relay ends before
   relay_attach(), so that it can be given up. */
struct relay_pending {
    void (*on_cancel)(struct relay_pending *p);
};

/* p must stay until on_cancel, relay_attach(), or another one; NULL: there is none. */
void relay_set_pending(struct relay *r, struct relay_pending *p);
