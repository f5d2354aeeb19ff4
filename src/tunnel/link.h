/* SPDX-License-Identifier: MIT */
/*
 * A link is one tunnel connection with everything that makes it usable: the TLS transport, the
 * secret exchange, the control stream, and the smux session, supervised by one timer.
 *
 *   HANDSHAKE --TLS done--> AUTH --secret accepted--> CONTROL --port answered--> UP --any end-->
 * CLOSED
 *
 * link_close() may be called at any moment and only marks; memory goes at the end of the turn. The
 * owner hears of the end once, through on_closed, also when it closed the link itself. Loop thread
 * only.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"
#include "tunnel/relay.h"

struct auth_line;
struct link;
struct smux_stream;

/* Why a link ended: decides the log line and, for a client, how soon to come back. */
enum link_reason {
    LINK_END_PEER,     /* the peer closed in order, or its connection broke */
    LINK_END_SILENT,   /* nothing was heard for 30 s */
    LINK_END_STALLED,  /* the peer reads nothing: a write blocked for 60 s */
    LINK_END_PROTOCOL, /* the peer broke the protocol */
    LINK_END_DEADLINE, /* a phase before UP took too long */
    LINK_END_TLS,      /* the handshake failed */
    LINK_END_CERT,     /* a certificate was not accepted, by us or by the peer */
    LINK_END_AUTH,     /* the secret was rejected */
    LINK_END_REFUSED,  /* the server refused the port */
    LINK_END_LOCAL,    /* out of memory or descriptors here */
    LINK_END_SHUTDOWN, /* we closed it */
};

enum {
    LINK_AUTH_MS =
        10000, /* server: TCP accept to authenticated (docs/protocol.md 1.3; slow-loris) */
    LINK_SECRET_MS =
        5000, /* of it, from TLS to the whole secret line; client: for the answer to it */
    LINK_CONTROL_MS = 10000, /* control message, or the answer to it */
    LINK_STALL_MS =
        60000, /* no progress of a blocked write (a peer that says NOP but reads nothing) */
    LINK_EXTRA_STREAMS =
        1024, /* streams a client may open besides the control stream before it is cut off */
};

struct link_ops {
    /* Server: the secret line is complete. Answer with link_secret_accept() or
       link_secret_reject(), also later. line is valid during the call only. */
    void (*on_secret)(void *ctx, const struct auth_line *line);
    /* Server: the client asks for a port (any number: the range is the owner's business), or its
       message was not understood (err < 0). Answer with link_control_answer(). */
    void (*on_control)(void *ctx, int64_t port, int err);
    /* Client: TLS stands and the server's certificate was accepted; the secret goes out next. */
    void (*on_secure)(void *ctx);
    /* Client: the secret was accepted. */
    void (*on_authenticated)(void *ctx);
    /* Client: the server's answer was positive; message as sent (escape before printing). Now UP.
     */
    void (*on_up)(void *ctx, const char *message);
    /* Client: the server opened a stream: make a relay of it or close it. */
    void (*on_stream)(void *ctx, struct smux_stream *st);
    /* The link is over. Always called exactly once, never from inside a call of the owner's into
     * the link. */
    void (*on_closed)(void *ctx, enum link_reason reason, const struct errmsg *why);
};

struct link_config {
    struct loop *loop;
    struct relays *relays;
    SSL_CTX *tls;
    bool is_server;
    const char *secret;    /* client: sent as a line; must outlive the link */
    int64_t remote_port;   /* client: asked for */
    mtime_ms handshake_ms; /* client: time for the TLS handshake */
    const struct link_ops *ops;
    void *ctx;
};

/* Takes over the connected socket fd (closed on failure too). 0, ERR_NOMEM, ERR_IO. */
int link_new(const struct link_config *cfg, int fd, struct link **ret) MUST_USE;

/* Marks the link as over. why may be NULL. Idempotent: the first reason counts. */
void link_close(struct link *l, enum link_reason reason, const struct errmsg *why);

const char *link_peer(const struct link *l);
const char *link_describe(const struct link *l);
bool link_is_up(const struct link *l);

/* Server: OK to the client, which may now use the session. */
void link_secret_accept(struct link *l);

/* Server: ERROR to the client after delay_ms (never beyond the deadline), then the end,
 * LINK_END_AUTH. */
void link_secret_reject(struct link *l, uint32_t delay_ms);

/* Server: the answer on the control stream. ok: the link is UP, only now users may be relayed.
   Otherwise the link ends, LINK_END_REFUSED, once the answer is out. */
void link_control_answer(struct link *l, bool ok, const char *message);

/* Opens a stream towards the peer; 0, ERR_BADSTATE unless UP, ERR_NOMEM, ERR_LIMIT. */
int link_open_stream(struct link *l, struct smux_stream **ret) MUST_USE;

/* "connection lost" and so on, translated. */
const char *link_reason_text(enum link_reason reason);
