/* SPDX-License-Identifier: MIT */
/*
 * A client without a network: in place of net/, of tunnel/'s openings, sessions and relays, and of
 * the signals stands a stub that notes what it is asked for, and tells the client what the test
 * wants. Time is virtual. client_main() runs for real; the loop it runs is the test's script:
 *
 *     stub_run("-remote-port 9000", script);      begins as the program does, runs script, ends
 *
 * What a test does not end is ended by two SIGTERM; then all must be closed and freed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/internal.h"
#include "net/dialer.h"
#include "tunnel/opening.h"
#include "tunnel/relay.h"
#include "tunnel/session.h"
#include "unit/session.h"

#define STUB_SECRET "a-secret-of-more-than-16-bytes"

struct dial {
    struct dial *next; /* of all that were made, the newest first; the same below */
    struct dial_config cfg;
    struct address extra;             /* of cfg */
    char host[HOSTPORT_HOST_MAX + 1]; /* or the path */
    dial_done_fn done;
    void *ctx;
    bool is_over, cancelled, taken;
    unsigned hurried;
    mtime_ms hurried_at;
};

struct opening {
    struct opening *next;
    struct opening_config cfg;
    bool is_over, closed;
};

struct smux_stream {
    bool is_reset;
    enum smux_reset_code code;
};

struct relay {
    struct relay *next; /* the newest first */
    struct relays *relays;
    struct relay_pending *pending;
    struct smux_stream *st;
    struct tally *tally;
    bool attached, is_reset;
    enum smux_reset_code code;
};

struct stub {
    char said[8192];       /* lines of the control stream */
    unsigned useless;      /* of theirs */
    unsigned timers;       /* made */
    bool tunnels_armed;    /* the timer of the tunnels */
    mtime_ms tunnels_wait; /* ... rings in so long */
    mtime_ms answer_wait;  /* the timer of an open rings in so long; 0: it is not armed */
    bool is_old_server;    /* no services in its sessions */
    bool has_join;         /* the client has its key by a join string */
    char status[384];      /* what the service manager was told last */
    bool is_mute;          /* the server does not answer an open of a tunnel, see stub_accepted() */
    int say_err;
    struct client *client; /* that runs */
    mtime_ms now;
    struct dial *dials;
    struct opening *openings;
    struct session *sessions;
    struct relay *relays;
    /* what fails: 0, or a negative error */
    int dial_err, opening_err, relays_err, signals_err, identity_err;
    bool no_relay;
    char text[256]; /* what dial_text() says; "": the error */
    /* the timer of the next attempt */
    bool armed;
    mtime_ms wait;
    /* what was done */
    bool stop_asked;
    unsigned closed;         /* timers, signals, the watch of the network, relays: 4 at the end */
    unsigned abortive, kept; /* sockets: sock_abortive(), sock_keepalive() */
    unsigned deepest;        /* relay_reset() inside itself */
};
extern struct stub stub;

/* Everything as at first; frees what was made. Without a client, for tests of a part. */
void stub_reset(void);

/* Runs the client of these words, blanks between them, and -server, -secret before. Its exit
   status; script is not called where it cannot begin. */
int stub_run(const char *words, void (*script)(void));

/* The same without stub_reset() before: what is to fail is set. */
int stub_again(const char *words, void (*script)(void));

/* The end of a turn: jobs, and sessions that are over. */
void stub_turn(void);

/* The timer of the next attempt must be armed; the time passes, and it fires. */
void stub_wait(void);

/* The same of the timer of the tunnels. */
void stub_tunnels_due(void);

/* The same of the open that has no answer. */
void stub_answer_late(void);

/* The log has this many lines with text in them since the last look, which this is. */
unsigned stub_lines(const char *text);

/* SIGTERM: the first drains, the second ends. SIGUSR1. */
void stub_sigterm(void);
void stub_sigusr1(void);
void stub_network_changed(bool woke);

/* The newest that is not over; NULL: none. And how many are not. */
struct dial *stub_dial(void);
struct opening *stub_opening(void);
struct session *stub_session(void);
unsigned stub_dials(void), stub_openings(void), stub_sessions(void);

/* The dial is over: connected to 192.0.2.`last`, or err. */
void stub_connected(struct dial *d, uint8_t last);
void stub_dial_failed(struct dial *d, int err);

/* The open goes out with a nonce of these bytes; it is accepted, and the tunnel of a client with one is
   opened; it fails. */
void stub_asks(struct opening *o, uint8_t nonce);
struct session *stub_accepted(struct opening *o);
void stub_failed(struct opening *o, enum end_reason reason, const struct hello_answer *refusal);

/* From nothing to a session: the dial that is under way, its opening, and the session. */
struct session *stub_up(uint8_t nonce);

/* The session has ended; what it tells; it asks for a session beside. */
void stub_over(struct session *s, enum end_reason reason);
void stub_tell(struct session *s, struct life_action a);
void stub_beside(struct session *s);

/* A connection to the service is over at both ends. */
void stub_relay_over(struct relay *r);

/* A user of a client's only tunnel: a stream that the server opens; and the rest of the turn. */
void stub_stream(struct session *s, struct smux_stream *st);
/* The same for a service of the session; and a line of the server's: session_ops.on_line(). */
void stub_stream_for(struct session *s, struct smux_stream *st, uint32_t svc);
bool stub_line(struct session *s, const char *line);
