/* SPDX-License-Identifier: MIT */
/*
 * A session of the tunnel: the mux with its relays, over no connection or one. How it lives is
 * decided by proto/session/life; this is what carries it out, on the loop.
 *
 * Everything a turn brings is served at its end, once: users' sockets that have data are read into
 * the outgoing ring, fairly and only while the tunnel takes it; then the ring is sealed and sent.
 * session_close() may be called at any moment and only marks; memory goes at the end of the turn.
 * The owner hears of the end once, through on_closed. Loop thread only.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"
#include "proto/hello.h"
#include "proto/session/life.h"
#include "tunnel/opening.h"
#include "tunnel/reason.h"

struct quota;
struct relays;
struct session;
struct smux_open;
struct smux_session;
struct smux_stream;
struct transport;

enum {
    SESSION_STALL_MS =
        60000, /* legacy: no progress of a blocked write (a peer that says NOP but reads nothing) */
    SESSION_USER_TIMEOUT_MS = 15000, /* TCP_USER_TIMEOUT of gotunnel/2: its peer always reads */
    /* Of our lines while the peer takes none: then its lines are not read, which ask for more. What
       is said unasked comes on top: a few hundred bytes for each of its services. */
    SESSION_SAY_MAX = 64 << 10,
};

/* Server: what becomes of users who come now. */
enum session_users {
    SESSION_USERS_ADMIT, /* served */
    SESSION_USERS_HOLD,  /* not accepted yet: they wait in the kernel's queue */
    SESSION_USERS_REFUSE, /* accepted and reset: nobody knows when, or whether, the client comes back */
};

struct session_ops {
    /* Client: the server opened a stream: make a relay of it or close it. What it is for; its service
       is 0 in a session without services. */
    void (*on_stream)(void *ctx, struct smux_stream *st, const struct smux_open *open);
    /* With services: a line of the peer's on the control stream, without its LF. True: go on with the
       next; false: not before session_read_lines(). */
    bool (*on_line)(void *ctx, struct hello_text line);
    /* Client: dial the server; answer with session_dialled(), also later. on_dial_cancel: no answer
       is wanted any more (harmless when none was under way). */
    void (*on_dial)(void *ctx, mtime_ms patience_ms, mtime_ms last_start, bool small_segments);
    void (*on_dial_cancel)(void *ctx);
    /* Client: the dial under way tries each address afresh at this time: dial_hurry(). */
    void (*on_dial_hurry)(void *ctx, mtime_ms at);
    /* Client: the address last dialled is no good now, another one first: the attempt's connection
       failed or had no answer in time, or the server there has not the session or is stopping. */
    void (*on_address_failed)(void *ctx);
    /* Client: a new session is to be opened now, this one serves no new users any more. Once. */
    void (*on_open_beside)(void *ctx);
    /* One relay less of that service (relay_count_at()). May come from inside on_line. */
    void (*on_relay_over)(void *ctx, uint32_t svc);
    /* Server. */
    void (*on_users)(void *ctx, enum session_users what);
    /* Server: close the public ports; they are not this session's any more. */
    void (*on_close_ports)(void *ctx);
    /* Server: it waits for its client since now, or does no more: bytes held for it, which do not
       change meanwhile. Again when its last connection has ended, or a first one has come. */
    void (*on_waiting)(void *ctx, bool waits, uint64_t bytes);
    /* Both: something for the log; a->kind is LIFE_TELL. why: of DETACHED and of ATTEMPT, may be
       empty. */
    void (*on_tell)(void *ctx, const struct life_action *a, const struct errmsg *why);
    /* The session is over. Always called exactly once, never from inside a call of the owner's into
       the session. */
    void (*on_closed)(void *ctx, enum end_reason reason, const struct errmsg *why);
};

struct session_config {
    struct loop *loop;
    struct relays *relays;
    bool is_server, is_v2;
    bool has_services; /* gotunnel/2: its tunnels are opened by lines of the control stream */
    uint32_t window_ms;
    SSL_CTX *tls; /* client: for attempts to resume; a reference of its own is taken */
    /* gotunnel/2 */
    uint8_t sid[HELLO_SID_BYTES], nonce[HELLO_NONCE_BYTES];
    uint8_t resume_key[HELLO_MAC_BYTES];
};

/* For tunnel/opening_*: the connection tp carries the session from now on, mux may have begun
   already (legacy; else NULL: made here). Takes both, also on failure. 0, ERR_NOMEM. */
int session_new(const struct session_config *cfg, struct transport *tp, struct smux_session *mux,
                struct session **ret) MUST_USE;

/* Before the end of the turn in which the session was made. */
void session_set_owner(struct session *s, const struct session_ops *ops, void *ctx);

/* What its lines in the log begin with, instead of the peer's address. Must outlive it. */
void session_set_name(struct session *s, const char *name);

/* What waits for its users' readers counts on account of this client (waiting_set_client()). */
void session_set_client(struct session *s, uint64_t client);

/* Its running connections are counted in q as well, from the first one on, until they end: q must
   outlive those that go on without the session, too. */
void session_count_at(struct session *s, struct quota *q);

/* Marks it as over; what is staged still goes, GOAWAY with it. why may be NULL. Idempotent: the
   first reason counts. */
void session_close(struct session *s, enum end_reason reason, const struct errmsg *why);

/* No new users; those that run may finish for drain_ms (0: ends now). Server: its tunnel port is
   closed, so a cut ends the session. */
void session_stop(struct session *s, mtime_ms drain_ms);

/* Opens a stream towards the peer, for the service and the user that open names (a session without
   services says nothing of it). 0, ERR_BADSTATE unless there are new users to be served, ERR_INVAL,
   ERR_NOMEM, ERR_LIMIT. */
int session_open_stream(struct session *s, const struct smux_open *open,
                        struct smux_stream **ret) MUST_USE;

/* ---- with services ---- */

/* Says a line of n bytes, its LF included, on the control stream: in order, and once, whatever is
   cut. 0, or ERR_NOMEM: nothing is said of it. Nothing happens once the session is closed. */
int session_say(struct session *s, const char *line, size_t n) MUST_USE;

/* The line means nothing here, as one of a later version may: too many, and the session ends. */
void session_line_is_useless(struct session *s);

/* on_line may be called again, from inside this. */
void session_read_lines(struct session *s);

/* ---- client ---- */

/* The answer to on_dial: a connected socket, after connect_ms, which is taken over; or a negative
   ERR_*, and why. */
void session_dialled(struct session *s, int fd_or_err, mtime_ms connect_ms,
                     const struct errmsg *why);

/* The network may have changed. woke: the machine was asleep. */
void session_network_changed(struct session *s, bool woke);

/* Another open of the client was answered `taken`: see life_taken(). */
void session_taken(struct session *s);

/* ---- server ---- */

/* Checks the proof, and goes on with the session over the new connection; the old one is closed.
   HELLO_OK, or why not, which the peer was told: the session is untouched then. Takes h->tp. */
enum hello_error session_resume(struct session *s, struct handover *h);

/* Another client wants the port of one of its services. True: the owner may close it; the session goes on. */
bool session_may_lose_port(const struct session *s);

/* ---- questions ---- */

/* How the connection was lost, or why it was left. */
enum session_break {
    SESSION_BREAK_NONE,
    SESSION_BREAK_CLOSED, /* it ended in order, without a word */
    SESSION_BREAK_RESET,
    SESSION_BREAK_SILENT,  /* nothing was heard, or acknowledged, for too long */
    SESSION_BREAK_FAILED,  /* TLS, no route, memory */
    SESSION_BREAK_NETWORK, /* client: its network has changed */
    SESSION_BREAK_PEER,    /* the client came back over another one before this end had noticed */
};

/* "silent" and so on, for programs; "" of NONE. Static. */
const char *session_break_word(enum session_break b);

/* How it is now, and was. */
struct session_facts {
    enum life_state state;
    enum life_service service;
    mtime_ms state_ms; /* so long: DETACHED since it was given up, as its window runs */
    /* Since a byte went round: all sent until then was heard of, and the peer has spoken. */
    mtime_ms proof_ms;
    mtime_ms window_ms; /* agreed */
    uint32_t rtt_us;    /* 0: unknown */
    uint32_t resumes;
    enum session_break broke; /* now, or the last time */
    mtime_ms broke_ms;        /* so long ago its users began to stand still; -1: never */
    mtime_ms gap_ms;          /* and stood for so long; -1: never, or they still do */
    mtime_ms
        idle_cut_ms; /* something on the way cuts what is idle for so long; 0: nothing was seen */
    uint64_t held;   /* bytes kept for the peer */
};

void session_facts(const struct session *s, struct session_facts *ret);

const char *session_name(const struct session *s); /* for the log */
const char *session_peer(
    const struct session *s); /* the address of the connection, or of the last one */
const struct address *session_address(const struct session *s); /* the same as data */
enum life_state session_state(const struct session *s);
enum life_service session_service(const struct session *s);
bool session_is_v2(const struct session *s);
bool session_has_services(const struct session *s);
const uint8_t *session_sid(const struct session *s);
const uint8_t *session_nonce(const struct session *s);
uint32_t session_streams(const struct session *s);   /* running connections */
uint64_t session_held(const struct session *s);      /* bytes kept for the peer */
uint32_t session_window_ms(const struct session *s); /* agreed; 0: it cannot be resumed */
uint32_t session_rtt_us(const struct session *s);    /* 0: unknown */
/* Bytes of its streams so far, each counted once however often it was sent. */
uint64_t session_received(const struct session *s); /* from the peer */
uint64_t session_sent(const struct session *s);     /* read from sockets, for the peer */
