/* SPDX-License-Identifier: MIT */
/* Private to tunnel/: the link's inside, and what owners of streams do with events. */
#pragma once

#include <sys/uio.h>

#include "net/transport.h"
#include "proto/auth.h"
#include "proto/control.h"
#include "proto/hello.h"
#include "proto/smux/session.h"
#include "proto/stage.h"
#include "tunnel/link.h"
#include "tunnel/turn.h"

/* The owner of a stream, as the link sees it: a relay, or the link's own control stream. */
struct stream_owner {
    const struct stream_owner_ops *ops;
};

struct stream_owner_ops {
    void (*on_data)(struct stream_owner *o, const uint8_t *p, size_t n);
    void (*on_fin)(struct stream_owner *o);
    void (*on_reset)(struct stream_owner *o, uint32_t code); /* enum smux_reset_code */
    void (*on_credit)(struct stream_owner *o);
};

enum link_state {
    LINK_HANDSHAKE,
    LINK_AUTH,    /* legacy */
    LINK_CONTROL, /* legacy */
    LINK_HELLO,   /* gotunnel/2 */
    LINK_UP,
    LINK_DETACHED, /* gotunnel/2: there is no transport */
    LINK_CLOSED,
};

/* What makes a session of gotunnel/2 outlive its connection. */
struct resumption {
    bool possible;
    uint8_t key[HELLO_MAC_BYTES]; /* never travels */
    uint8_t sid[HELLO_SID_BYTES];
    uint64_t epoch; /* of the last attempt: the client counts, the server takes higher ones only */
    mtime_ms window;
    mtime_ms since;      /* detached; or, of a client, when it began to try beside a connection */
    mtime_ms expires;    /* while detached */
    mtime_ms held_until; /* when on_held is due; MTIME_NEVER: was called, or attached */
    bool suspected;      /* on_suspect was called, and nothing was acknowledged since */
    mtime_ms doubted_until; /* after a change of the network, whatever is acknowledged; 0: not */
    /* client: the connection that is tried, with its hello reader in link->hello */
    struct transport *candidate;
    mtime_ms candidate_deadline;
    bool frozen; /* the resume is out: the old connection is not read until its answer */
};

enum { LINK_GATHER_MAX = 16 };

struct link {
    struct link_config cfg;
    struct transport *tp;
    struct smux_session *mux;
    enum link_state state;
    enum link_reason reason;
    struct errmsg why;

    struct list relays;   /* all relays of this link */
    struct turn readers;  /* relays whose socket may have data */
    struct loop_job turn; /* once a turn: read sockets, send */
    uv_timer_t timer;     /* phase deadlines, and the session's clock */
    mtime_ms timer_at;    /* when it is armed for; MTIME_NEVER: not */
    mtime_ms auth_deadline, phase_deadline;

    /* auth */
    struct auth_line line;
    mtime_ms reject_at; /* a rejection that waits; 0: none */

    /* gotunnel/2 */
    struct hello_reader hello;
    struct hello_request request; /* the last one that went, or came */
    char *said;                   /* client: the line it went as, for its answer's proof; owned */
    uint8_t exporter[HELLO_EXPORTER_BYTES];
    struct hello_keys keys; /* until the session is open */
    struct resumption resume;
    bool exact; /* the session is one of gotunnel/2 */
    struct link_handover *moving;

    /* control stream */
    struct stream_owner control;
    struct smux_stream *control_st;
    struct control_reader control_in;
    uint32_t extra_streams;
    bool answer_sent; /* a refusal: the end comes when it is out */

    /* what waits for the network, and how much may (proto/stage) */
    struct stage stage;
    struct transport *stage_of; /* the connection that it is about */
    size_t sent_unseen;         /* bytes since the last look */
    bool is_crowded;            /* too much waits to read users' sockets */

    /* blocked writes */
    uint64_t stall_sent;
    mtime_ms stall_since;

    bool had_data;    /* since the last call of trim_idle() that was due */
    mtime_ms trim_at; /* when the next one is due */

    /* payload pieces of one relay that lie in the receive buffer, written with one sendmsg */
    struct relay *gather_to;
    struct iovec gather[LINK_GATHER_MAX];
    int gather_n;
};

/* ---- link.c ---- */

/* There is something to send or to read: do it at the end of the turn. */
void link_wake(struct link *l);

/* Sets the deadline of the present phase; MTIME_NEVER: none. */
void link_set_deadline(struct link *l, mtime_ms at);

/* The client has proved itself (we are the server), or the server has said OK (we are the client):
   the session begins. False: link closed. */
bool link_begin_session(struct link *l);

/* True on gotunnel/2, where FIN and reset mean what they say. */
bool link_is_exact(const struct link *l);

/* True when nothing can be staged until the transport has sent something. */
bool link_is_blocked(const struct link *l);

/* Gives plaintext to the session and serves its events. */
void link_feed(struct link *l, const uint8_t *p, size_t n);

/* The handlers of the connection in use. */
extern const struct transport_events link_events;

/* Sends text as a TLS record of its own. False: link closed. */
bool link_say(struct link *l, const char *text, size_t n);

/* The connection has failed: the session is detached, or ends. */
void link_lost(struct link *l, int err, const struct errmsg *why);

/* ---- link_hello.c ---- */
void hello_begin(struct link *l);
/* Eats bytes of the HELLO phase; what is left at *p belongs to the session. */
void hello_input(struct link *l, const uint8_t **p, size_t *n);
void hello_send_rejection(struct link *l);
/* Keeps a request's line, without its LF, for its answer's proof. False: no memory. */
bool hello_keep(struct link *l, const char *line, size_t n);
struct hello_text hello_kept(const struct link *l);

/* ---- link_resume.c ---- */
/* After the answer to an open. False: link closed. */
bool resume_begin(struct link *l, const struct hello_answer *open);
/* True: the session waits for another connection. */
bool resume_detach(struct link *l, int err, const struct errmsg *why);
void resume_tick(struct link *l, mtime_ms now);
/* Begins to suspect the connection, or stops to. */
void resume_look(struct link *l, mtime_ms now);
mtime_ms resume_deadline(const struct link *l);
void resume_end(struct link *l);

/* ---- link_auth.c ---- */
void auth_begin(struct link *l);
/* Eats bytes of the AUTH phase; what is left at *p belongs to the session. */
void auth_input(struct link *l, const uint8_t **p, size_t *n);
/* A waiting rejection is due. */
void auth_send_rejection(struct link *l);

/* ---- link_control.c ---- */
void control_begin(struct link *l);                          /* client: ask for the port */
void control_opened(struct link *l, struct smux_stream *st); /* server: a stream came */

/* ---- relay_up.c, relay_down.c, relay.c ---- */

enum relay_progress {
    RELAY_IDLE, /* nothing more until an event */
    RELAY_MORE, /* its share of this turn is used */
    RELAY_FULL, /* the link's output is full; not served */
};

/* Reads the socket of the relay whose turn it is into the outgoing ring, and takes it out of the
   turn where there is nothing more. The relay may be dead afterwards unless MORE or FULL is
   returned. */
enum relay_progress relay_read(struct turn_node *reader);

/* Writes what was gathered. */
void relay_flush_gathered(struct link *l);

/* The link is going: end the relay, or let it finish what it has already received whole. */
void relay_orphan(struct relay *r);
struct relay *relay_of_link_node(struct list *node);
