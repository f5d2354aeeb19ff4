/* SPDX-License-Identifier: MIT */
/*
 * A link is one tunnel session with everything that makes it usable: the TLS transport, the
 * exchange that opens it, and the smux session, supervised by one timer. TLS decides (ALPN) which
 * wire it is:
 *
 *   legacy:      HANDSHAKE --> AUTH --secret accepted--> CONTROL --port answered--> UP --> CLOSED
 *   gotunnel/2:  HANDSHAKE --> HELLO --proofs, port--> UP <--broke / resumed--> DETACHED --> CLOSED
 *
 * A detached link has no transport, and keeps everything else for a while: its streams wait. On the
 * client the owner dials again and gives the socket to link_resume(); on the server the new
 * connection is a link of its own until it has said what it wants, and then hands its transport
 * over (link_hand_over(), link_attach()). docs/resumption.md.
 *
 * link_close() may be called at any moment and only marks; memory goes at the end of the turn.
 * on_closed is called once, also when the owner itself closed the link. Loop thread only.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/escape.h"
#include "net/loop.h"
#include "proto/hello.h"
#include "tunnel/relay.h"

struct auth_line;
struct link;
struct smux_stream;
struct transport;

/* Why a link ended: decides the log line and, for a client, how soon to come back. */
enum link_reason {
    LINK_END_PEER,     /* the peer closed in order, or its connection broke */
    LINK_END_SILENT,   /* nothing was heard for 30 s */
    LINK_END_DEAD,     /* gotunnel/2: nothing was heard, or acknowledged, for 15 s */
    LINK_END_STALLED,  /* the peer reads nothing: a write blocked for 60 s */
    LINK_END_PROTOCOL, /* the peer broke the protocol */
    LINK_END_DEADLINE, /* a phase before UP took too long */
    LINK_END_TLS,      /* the handshake failed */
    LINK_END_CERT,     /* a certificate was not accepted, by us or by the peer */
    LINK_END_AUTH,     /* the secret was rejected */
    LINK_END_UNPROVEN, /* gotunnel/2: the server has not proved that it knows the secret */
    LINK_END_PUT_OFF,  /* gotunnel/2: the server is there, and asks to come later */
    LINK_END_REFUSED,  /* the server refused the port */
    LINK_END_LOCAL,    /* out of memory or descriptors here */
    LINK_END_SHUTDOWN, /* we closed it */
    LINK_END_LEGACY,   /* the peer speaks the legacy wire only, which -legacy never forbids */
    LINK_END_REPLACED, /* another connection with the same client id has taken over */
    LINK_END_EXPIRED,  /* detached, and not resumed in time */
    LINK_END_LOST,     /* the server does not have the session any more */
    LINK_END_MOVED,    /* server: the transport now belongs to the session it resumes */
};

enum {
    /* server: from TCP accept to authenticated (docs/protocol.md 1.2; slow-loris) */
    LINK_AUTH_MS = 10000,
    /* of it, from TLS to the whole secret line; client: for the answer to it */
    LINK_SECRET_MS = 5000,
    /* control message, or the answer to it */
    LINK_CONTROL_MS = 10000,
    /* no progress of a blocked write (a peer that says NOP but reads nothing) */
    LINK_STALL_MS = 60000,
    /* bytes unacknowledged for so long without progress: the owner of a client link is asked for a
       second connection (a session that can be resumed makes a false alarm cheap; TCP alone would
       take 5-23 s more) */
    LINK_SUSPECT_MS = 3000,
    /* client: the same after a change of the network, where a new address may take seconds to
       become usable */
    LINK_DOUBT_MS = 10000,
    /* client: TLS and the answer to a resume, from TCP connected, plus eight round trips. TCP would
       report later than this that an attempt was cut off: give it up and dial again */
    LINK_TRY_MS = 2000,
    /* server: so long after a break new users wait, then they are refused */
    LINK_HOLD_MS = 2000,
    /* the resume window after a clean end of the connection: most often its process died */
    LINK_FIN_WINDOW_MS = 10000,
    /* TCP_USER_TIMEOUT of gotunnel/2: its peer always reads */
    LINK_USER_TIMEOUT_MS = 15000,
    /* streams a client may open besides the control stream before it is cut off */
    LINK_EXTRA_STREAMS = 1024,
};

struct link_ops {
    /* Server: the secret line is complete. Answer with link_secret_accept() or
       link_secret_reject(), also later. line is valid during the call only. */
    void (*on_secret)(void *ctx, const struct auth_line *line);
    /* Server: the client asks for a port (any number: the range is the owner's business), or its
       message was not understood (err < 0). Answer with link_control_answer(). */
    void (*on_control)(void *ctx, int64_t port, int err);
    /* gotunnel/2, server: the client has proved that it knows the secret and asks for a port;
       answer with link_open_answer(), also later. open lives as long as the link. */
    void (*on_open)(void *ctx, const struct hello_request *open);
    /* The proof was wrong. Answer with link_secret_reject(). */
    void (*on_auth_failed)(void *ctx);
    /* The client wants to resume a session: link_hand_over(), or link_close(). */
    void (*on_resume)(void *ctx, const struct hello_request *resume);
    /* Both: the connection has broken, the session waits; window: for how long at most. */
    void (*on_detached)(void *ctx, enum link_reason reason, const struct errmsg *why,
                        mtime_ms window);
    /* Server: LINK_HOLD_MS have passed since on_detached. */
    void (*on_held)(void *ctx);
    /* Both: resumed after gap ms without a connection; peer: the new connection's address. */
    void (*on_resumed)(void *ctx, mtime_ms gap, const char *peer);
    /* Both: bytes were unacknowledged for LINK_SUSPECT_MS. A client dials, for link_resume(). */
    void (*on_suspect)(void *ctx);
    /* Server: on_suspect is withdrawn: the peer has acknowledged. */
    void (*on_recovered)(void *ctx);
    /* Client: link_resume() has failed, err < 0: on the way; HELLO_ERR_*: the server says so, and
       the session is lost unless it is HELLO_ERR_BUSY or HELLO_ERR_STALE. */
    void (*on_resume_failed)(void *ctx, int err, const struct errmsg *why);
    /* Client: TLS stands and the server's certificate was accepted; the secret goes out next. */
    void (*on_secure)(void *ctx);
    /* Client: the secret was accepted. */
    void (*on_authenticated)(void *ctx);
    /* Client: the port was granted. Now UP. address: what listens at the server, printable; on the
       legacy wire NULL, and message is what the server said of it (escape before printing). */
    void (*on_up)(void *ctx, const char *address, const char *message);
    /* Client: the server opened a stream: make a relay of it or close it. */
    void (*on_stream)(void *ctx, struct smux_stream *st);
    /* The link has ended. Called exactly once, never from inside a call of the owner's into
       the link. */
    void (*on_closed)(void *ctx, enum link_reason reason, const struct errmsg *why);
};

struct link_config {
    struct loop *loop;
    struct relays *relays;
    SSL_CTX *tls;
    bool is_server;
    const char *secret;    /* must outlive the link, as id must */
    const char *id;        /* client */
    bool legacy_refused;   /* -legacy never */
    mtime_ms window_ms;    /* how long a broken session may wait; 0: not at all */
    int64_t remote_port;   /* client: asked for */
    mtime_ms handshake_ms; /* client: time for the TLS handshake */
    const struct link_ops *ops;
    void *ctx;
};

/* Takes over the connected socket fd (closed on failure too). 0, ERR_NOMEM, ERR_IO. */
int link_new(const struct link_config *cfg, int fd, struct link **ret) MUST_USE;

/* Marks the link as closed. why may be NULL. Idempotent: the first reason counts. */
void link_close(struct link *l, enum link_reason reason, const struct errmsg *why);

const char *link_peer(const struct link *l);

/* The other end of the present connection, as data; NULL while there is none. */
const struct address *link_peer_address(const struct link *l);

/* "TLSv1.3 TLS_AES_128_GCM_SHA256", for a debug line; "" before the handshake is done. */
const char *link_tls_info(const struct link *l);

bool link_is_up(const struct link *l);

/* Server: OK to the client, which may now use the session. */
void link_secret_accept(struct link *l);

/* Server: the refusal to the client after delay_ms (never beyond the deadline), then the end,
   LINK_END_AUTH. */
void link_secret_reject(struct link *l, uint32_t delay_ms);

/* Server: the answer on the control stream. ok: the link is UP, only now users may be relayed.
   Otherwise the link ends, LINK_END_REFUSED, once the answer is out. */
void link_control_answer(struct link *l, bool ok, const char *message);

/* Opens a stream towards the peer; 0, ERR_BADSTATE unless UP, ERR_NOMEM, ERR_LIMIT. */
int link_open_stream(struct link *l, struct smux_stream **ret) MUST_USE;

/* The session's number: from on_open on. */
const uint8_t *link_sid(const struct link *l);

/* gotunnel/2, server: the answers to on_open. Granted: UP, users may be relayed; address: what
   listens, as text. Refused: with an error that an open may have after its proof, and its data; the
   link ends, LINK_END_REFUSED. */
void link_open_grant(struct link *l, const char *address, int port);
void link_open_refuse(struct link *l, const struct hello_answer *refusal);

/* Server: a connection on its way to the session it resumes. */
struct link_handover {
    struct transport *tp;
    struct hello_request request;
    char *line; /* as it came; freed with the transport */
    uint8_t exporter[HELLO_EXPORTER_BYTES];
};

/* From on_resume: the link ends, LINK_END_MOVED, and by then *h is filled; it may be given to
   another thread after on_closed. Whoever has it calls link_attach() or link_refuse(), which take
   the transport. */
void link_hand_over(struct link *l, struct link_handover *h);

/* Checks the proof and resumes the session over the new connection; the old one is closed.
   HELLO_OK, or why not, which the peer was told: l is untouched then. */
enum hello_error link_attach(struct link *l, struct link_handover *h);

/* Tells the peer that there is no such session; takes as long as a wrong proof. */
enum hello_error link_refuse(struct loop *loop, struct link_handover *h);

/* Client: resumes over the connected socket fd, which it takes over (also on failure). One at a
   time: ERR_BADSTATE while another one is tried, or if the session cannot be resumed. ERR_NOMEM,
   ERR_IO. */
int link_resume(struct link *l, int fd) MUST_USE;

/* True while link_resume() is under way. */
bool link_is_resuming(const struct link *l);

/* True in UP and DETACHED; in DETACHED. */
bool link_is_established(const struct link *l);
bool link_is_detached(const struct link *l);

/* How many users' connections it carries now. */
unsigned link_connections(const struct link *l);

/* Client: the network may have changed. If the connection is not where it would be made now, or the
   machine was asleep, it is suspected for a while, whether or not bytes wait. True: suspected, or
   detached: dial. */
bool link_network_changed(struct link *l, bool woke);

/* Client: bytes are unacknowledged for too long (on_suspect), and none was acknowledged since. */
bool link_is_suspected(const struct link *l);

/* The round trip as last measured, 0: unknown. */
uint32_t link_rtt_us(const struct link *l);

/* "connection lost" and so on, translated. */
const char *link_reason_text(enum link_reason reason);

/* The end in words, for a person: why, escaped into out, or if it is empty the reason. */
const char *link_end_text(char out[ESCAPE_BUF], enum link_reason reason, const struct errmsg *why);
