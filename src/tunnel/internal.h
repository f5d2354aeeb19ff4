/* SPDX-License-Identifier: MIT */
/* Private to tunnel/: the inside of a session, and what owners of streams do with events. */
#pragma once

#include <sys/uio.h>

#include "net/sock.h"
#include "net/transport.h"
#include "proto/session/life.h"
#include "proto/smux/session.h"
#include "proto/stage.h"
#include "tunnel/session.h"
#include "tunnel/turn.h"

/* The owner of a stream, as the mux's events reach it: a relay, or the control exchange of the
   legacy wire. */
struct stream_owner {
    const struct stream_owner_ops *ops;
};

struct stream_owner_ops {
    void (*on_data)(struct stream_owner *o, const uint8_t *p, size_t n);
    void (*on_fin)(struct stream_owner *o);
    void (*on_reset)(struct stream_owner *o, uint32_t code); /* enum smux_reset_code */
    void (*on_credit)(struct stream_owner *o);
};

/* DATA, FIN, RESET and CREDIT to the stream's owner. */
void stream_event(const struct smux_event *ev);

enum { SESSION_GATHER_MAX = 16 };

struct session {
    struct session_config cfg;
    const struct session_ops *ops;
    void *ctx;
    struct transport *tp; /* NULL: detached */
    struct smux_session *mux;
    struct life life;
    uint64_t client; /* session_set_client() */

    /* the end, carried out at the end of the turn */
    bool closed;
    enum end_reason reason;
    struct errmsg why;
    enum end_reason lost_reason;
    struct errmsg lost_why; /* of the connection that was lost last, or the attempt that failed */

    /* the turn */
    uint64_t received, sent; /* bytes of its streams so far: from the peer, to it */
    struct list relays;      /* all relays of this session */
    struct turn readers;     /* relays whose socket may have data */
    uint32_t relay_count;
    struct quota *counted_at; /* they count there too; NULL: nowhere */
    struct loop_job turn;     /* once a turn: read sockets, send */
    uv_timer_t timer;
    mtime_ms timer_at; /* when it is armed for; MTIME_NEVER: not */
    bool had_data;     /* since the last look of trim_idle() */
    mtime_ms trim_at;
    uint64_t stall_sent; /* legacy: progress of a blocked write */
    mtime_ms stall_since;

    /* what waits for the network, and how much may (proto/stage) */
    struct stage stage;
    struct transport *stage_of; /* the connection that it is about */
    size_t sent_unseen;         /* bytes since the last look */
    bool is_crowded;            /* too much waits to read users' sockets */

    /* payload pieces of one relay that lie in the receive buffer, written with one sendmsg */
    struct relay *gather_to;
    struct iovec gather[SESSION_GATHER_MAX];
    int gather_n;

    struct session_history {
        mtime_ms up_at, drains_at;     /* since then, if it is */
        enum session_break now_broken; /* NONE: it is not */
        enum session_break broke;      /* the last that is over */
        mtime_ms broke_at, gap_ms;
        mtime_ms idle_cut_ms; /* connections that were idle for so long were cut; 0: none */
        uint32_t resumes;
    } history;

    struct session_control *control; /* NULL: without services */
    struct candidate *candidate;     /* client: the connection that is tried */
    bool frozen;                     /* the resume is out: the connection in use is not read */
    struct transport *incoming; /* server: the connection that resumes, and what its peer has */
    uint64_t incoming_rx;
    bool waits;               /* on_waiting was told so ... */
    bool waits_with_streams;  /* ... with connections */
    uint32_t extra_streams;   /* legacy, server: opened by the client, which means nothing */
    const char *name;         /* the owner's, for the log; NULL: peer */
    char peer[SOCK_NAME_MAX]; /* of the connection in use, or the last one */
    struct address address;   /* the same as data */
};

/* ---- session.c ---- */

/* The connection in use has failed: the session waits, or is over. */
void session_lost(struct session *s, int err, const struct errmsg *why);

/* Carries out what life has decided. After each input to it. */
void session_act(struct session *s);

/* Life hears what the mux knows. */
void session_tell_life(struct session *s);

/* An end of what drains that was to be. Either end's clock may be the first, the program's or the
   session's; people read the same of all: it had drained, and who was cut when the time was over. The
   session is closed, and its relays are still there. */
void session_note_drained(struct session *s);

/* Life hears how many connections run: before it is told what it decides by that. */
void session_count_streams(struct session *s);

/* ---- session_facts.c ---- */

/* Something was told of it: a->kind is LIFE_TELL. */
void session_note(struct session *s, const struct life_action *a);

/* ---- session_control.c ---- */

/* For a session whose mux has a control stream, before anything is fed. 0, ERR_NOMEM. */
int session_control_new(struct session *s) MUST_USE;

/* NULL is fine. */
void session_control_free(struct session_control *c);

/* Writes what waits into the ring, as far as there is room and credit. True: more waits, for
   room. */
bool session_control_write(struct session *s);

/* ---- session_io.c ---- */

/* There is something to send or to read: do it at the end of the turn. */
void session_wake(struct session *s);

/* True when nothing can be staged until the transport has sent something. */
bool session_is_blocked(const struct session *s);
bool session_is_detached(const struct session *s);

/* More may have come than was read before the connection was the session's. */
void session_read_later(struct session *s);

/* Seals and sends as much as the transport takes. Bytes taken. */
size_t session_output(struct session *s);

/* Reads users' sockets into the ring, one after the other, while the tunnel takes it. */
void session_serve_readers(struct session *s);

/* After session_output(): another turn, if readers or lines are left and it can take something of them. What
   holds them up wakes us otherwise: a full queue is asked to, the transport and an ACK do. Before
   what was staged has been sent it cannot be told. */
void session_ask_turn(struct session *s, bool lines_wait);

/* Legacy: a peer that lets us write nothing for SESSION_STALL_MS is as good as gone. gotunnel/2
   acknowledges: its life knows. */
void session_check_stall(struct session *s, mtime_ms now);

/* Buffers of a session that has been quiet for a while go back to the system. */
void session_trim_idle(struct session *s, mtime_ms now);

/* An event of the mux. */
void session_dispatch(struct session *s, const struct smux_event *ev);

/* The handlers of the connection in use. */
extern const struct transport_events session_events;

/* Gives plaintext to the mux and serves its events. */
void session_feed(struct session *s, const uint8_t *p, size_t n);

/* ---- candidate.c: the client's attempt to resume over a new connection ---- */

/* Takes over fd and begins TLS. Life hears of the outcome. 0, ERR_NOMEM, ERR_IO. */
int candidate_new(struct session *s, int fd, struct candidate **ret) MUST_USE;
/* Sends the resume line. */
void candidate_ask(struct candidate *c, uint64_t epoch);
/* NULL is fine. */
void candidate_close(struct candidate *c);
/* The attempt was accepted: the connection, which is the caller's now. */
struct transport *candidate_take(struct candidate *c, uint64_t *ret_peer_rx);

/* ---- relay_short.c ---- */

/* Asks whether the kernel is short of memory, if it is time. While it is, those end who have much
   unread in front of us, as far as they stand still or wait for their turn in readers. */
void relay_short_look(struct relays *rs, const struct turn *readers);

/* ---- relay_up.c, relay_down.c, relay.c ---- */

enum relay_progress {
    RELAY_IDLE, /* nothing more until an event */
    RELAY_MORE, /* its share of this turn is used */
    RELAY_FULL, /* the session's output is full; not served */
};

/* Reads the socket of the relay whose turn it is into the outgoing ring, and takes it out of the
   turn where there is nothing more. The relay may be dead afterwards unless MORE or FULL is
   returned. */
enum relay_progress relay_read(struct turn_node *reader);

/* Writes what was gathered. */
void relay_flush_gathered(struct session *s);

/* The session is going: end the relay, or let it finish what it has already received whole. */
void relay_orphan(struct relay *r);
struct relay *relay_of_session_node(struct list *node);
