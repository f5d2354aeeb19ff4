/* SPDX-License-Identifier: MIT */
/*
 * A connection of the tunnel until it is known what it is for: TLS, then the lines of the wire that
 * both ends agreed on (ALPN). It ends as a session (tunnel/session.h), as a connection for a session
 * that is there already (server, struct handover), or as a failure. Its buffers go with it.
 *
 *   gotunnel/2, client:  TLS --> ASKED ----accepted----> a session
 *   gotunnel/2, server:  TLS --> LISTENING --open--> WAITING --right--> JUDGED --accepted--> a session
 *                                          --resume--> handed over
 *   legacy, client:      TLS --> ASKED --OK--> CONTROL --answer--> a session
 *   legacy, server:      TLS --> LISTENING --secret--> WAITING --right--> CONTROL --request--> JUDGED
 *                        --> a session
 *   a wrong secret:      WAITING --> failed. The owner says when it is compared (opening_judge())
 *
 * What the wires do differently is a table for each (opening_hello.c, opening_legacy.c).
 *
 * The owner hears of the outcome once, never from inside a call of its own into the opening; the
 * opening frees itself then. opening_close() before that ends it silently. Loop thread only.
 */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"
#include "net/transport.h"
#include "proto/credentials.h"
#include "proto/hello.h"
#include "tunnel/reason.h"

struct opening;
struct relays;
struct session;
struct session_config;

enum {
    OPENING_AUTH_MS = 10000,   /* server: accept to authenticated (docs/protocol.md 1.2) */
    OPENING_LINE_MS = 5000,    /* of it, from TLS to the whole line; client, legacy: for OK */
    OPENING_ANSWER_MS = 10000, /* the control message, or the answer to it */
    OPENING_TURN_MS = 35000,   /* from the whole line to its verdict: longer than a server lets one
                                  wait (proto/verdicts), or who leaves too early would fail */
    OPENING_EARLY_BYTES =
        16384, /* server, legacy: kept of what follows a line before its verdict */
    OPENING_EXTRA_STREAMS =
        1024, /* legacy: streams a client may open besides the control stream before it is cut off */
};

/* What a client asks for: a session, in which it opens its tunnels; on the legacy wire one port. */
struct opening_ask {
    bool is_v2;
    int64_t port;       /* legacy: any number, the range is the owner's business */
    int err;            /* legacy: < 0, the message was not understood */
    const uint8_t *sid; /* gotunnel/2: the number the session will have */
    const struct hello_request
        *open; /* gotunnel/2: id, nonce, take, mine ...; valid while the opening is */
    const uint8_t *public_key; /* of an open with a key: the one that signed it; else NULL */
};

/* Why the server says no. */
struct opening_refusal {
    struct hello_answer answer; /* gotunnel/2: error and its data */
    int err;      /* legacy: ERR_INUSE, ERR_PERM, ERR_RANGE, ERR_IO; ERR_PROTO: not understood */
    int64_t port; /* legacy: the one asked for */
};

/* A connection on its way to the session it resumes. Whoever has it gives it to session_resume() or
   handover_refuse(), which take transport and line. */
struct handover {
    struct transport *tp; /* released from its loop (net/transport.h) */
    uint8_t sid[HELLO_SID_BYTES];
    uint64_t epoch, rx;
    char *line; /* as it came, without LF: what the proof covers */
    uint8_t exporter[HELLO_EXPORTER_BYTES];
    bool is_tried; /* its proof has been looked at, which takes time */
};

/* A client with a key of its own whose proof is right, and who is not let in: he has guessed nothing. */
struct opening_barred {
    const char *name; /* of the client; as long as the call lasts */
    enum credentials_cause cause;
};

struct opening_ops {
    /* Server: the client has proved itself and asks. Answer with opening_accept() or
       opening_refuse(), also later. */
    void (*on_asked)(void *ctx, const struct opening_ask *ask);
    /* Server, legacy: the secret is right; the control message is to come. May be NULL. */
    void (*on_authenticated)(void *ctx);
    /* Server: a whole secret, or open of this id ("": it has none), is there. Nothing is compared
       before opening_judge(); or opening_turn_away(). */
    void (*on_line)(void *ctx, const char *id);
    /* Server: it is wrong, and the client is told so; on_failed, END_AUTH, follows. barred: NULL, or it is
       right, and is told the same. */
    void (*on_auth_failed)(void *ctx, const struct opening_barred *barred);
    /* Server: the connection is for a session: what *h has is the callee's; the opening is over. */
    void (*on_resume)(void *ctx, const struct handover *h);
    /* Client: TLS stands and the server's certificate was accepted. */
    void (*on_secure)(void *ctx);
    /* Client: which wire the server speaks, and who it is: a hash of its CA's key. Nothing was said to
       it yet. Returns a sentence to end it all with (END_LEGACY), which lives on, or NULL. May be
       NULL. */
    const char *(*on_server)(void *ctx, bool is_v2, const uint8_t ca_key[TRANSPORT_CA_BYTES]);
    /* Client: the nonce of the open that goes out now (gotunnel/2). */
    void (*on_open_sent)(void *ctx, const uint8_t nonce[HELLO_NONCE_BYTES]);
    /* Client: the session is the callee's (it has no owner yet: session_set_owner()). message: the
       old server's words, escaped before printing; NULL on gotunnel/2, where nothing is open yet. */
    void (*on_accepted)(void *ctx, struct session *s, const char *message);
    /* It is over; refusal: of END_REFUSED on gotunnel/2, else NULL. */
    void (*on_failed)(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                      const struct errmsg *why);
};

struct opening_config {
    struct loop *loop;
    struct relays *relays;
    SSL_CTX *tls;
    bool is_server;
    const char
        *secret; /* that all share; must outlive the opening. NULL: there is none: a server takes
                            whatever is said for a wrong one, a client says nothing on the legacy wire */
    mtime_ms waited_ms;  /* server: how long the connection has been there already */
    struct address peer; /* server: whose connection it is; ADDRESS_NONE: as the socket says */
    bool legacy_refused; /* -legacy never */
    uint32_t window_ms;  /* how long a broken session may wait; 0: not at all */
    /* client */
    const struct hello_credential
        *credential;       /* in place of the secret; must outlive the opening */
    const char *id;        /* the same; with a credential one of its name */
    int64_t port;          /* asked for on the legacy wire, which has nothing else */
    mtime_ms handshake_ms; /* time for TLS */
    bool take;
    struct hello_nonces mine;
    const struct opening_ops *ops;
    void *ctx;
};

/* Takes over the connected socket fd (closed on failure too). 0, ERR_NOMEM, ERR_IO. */
int opening_new(const struct opening_config *cfg, int fd, struct opening **ret) MUST_USE;

/* Ends it; nothing is told. NULL is fine. */
void opening_close(struct opening *o);

/* "TLSv1.3 TLS_AES_128_GCM_SHA256"; "" before TLS. */
const char *opening_tls_info(const struct opening *o);

/* Server: the answers to on_asked. accept: on the legacy wire the client is told the address that
   listens; *ret is the session, without an owner; NULL and on_failed follows if the connection broke. */
void opening_accept(struct opening *o, const char *address, struct session **ret);
void opening_refuse(struct opening *o, const struct opening_refusal *why);

/* Server: the answers to on_line, also from inside it. Compares, a line with a key with those that are
   good at now_s (seconds since 1970; NULL: none is), then on_asked, on_authenticated or
   on_auth_failed; or turns the client away without a look, then on_failed, END_PUT_OFF. */
void opening_judge(struct opening *o, const struct credentials *keys, int64_t now_s);
void opening_turn_away(struct opening *o);

/* Server: tells the client that h will not be resumed. resume_key: of the session, whose proof was
   right; NULL: there is no session, or the proof was wrong, and both take as long. */
void handover_refuse(struct loop *loop, struct handover *h, enum hello_error error,
                     const uint8_t *resume_key);
