/* SPDX-License-Identifier: MIT */
/* Two ends of a tunnel over stub transports, and what their owners were told. */
#pragma once

#include "base/quota.h"
#include "net/loop.h"
#include "stub.h"
#include "tunnel/opening.h"
#include "tunnel/relay.h"
#include "tunnel/session.h"

#define KIT_SECRET "a-secret-of-more-than-16-bytes"
#define KIT_NOW_S  INT64_C(1800000000)

struct kit_end {
    const char *(*distrust)(bool is_v2, const uint8_t *ca_key); /* client: on_server(); or NULL */
    bool keeps_waiting;             /* server: the test says when a line is judged */
    bool no_secret;                 /* that all share */
    const struct credentials *keys; /* server: what lines are judged with, at KIT_NOW_S */
    struct relays relays;
    struct quota quota;
    struct opening *opening; /* NULL once it is over */
    struct session *session;
    struct transport *tp; /* the connection in use, or of the opening */
    /* what was told */
    enum credentials_cause barred; /* with auth_failed; RIGHT: it was a guess */
    unsigned asked, lines, auth_failed, authenticated, secure, failed, accepted, resumes, closed;
    unsigned dials, cancels, addresses_failed, beside, yields, users_calls, waits;
    enum session_users users;
    bool waiting;
    uint64_t waiting_bytes;
    enum end_reason reason;
    struct errmsg why;
    bool has_refusal;
    struct hello_answer refusal;
    struct hello_request open;                   /* of asked */
    uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES]; /* the same; zero: none */
    char line_id[HELLO_ID_MAX + 1];
    int64_t port;
    int ask_err;
    uint8_t nonce[HELLO_NONCE_BYTES]; /* client: of the open that went */
    char message[256];
    struct handover handover;
    struct life_action tell;      /* the last one */
    unsigned tells, tell_streams; /* how many there were at the last one */
    struct smux_stream *stream;   /* client: opened by the server */
    uint32_t svc;                 /* ... for this service */
    /* with services */
    bool wants_later;         /* what on_line answers: the next one later */
    char said[2 * HELLO_MAX]; /* the lines of the peer's, each with its LF; of many the last ones */
    unsigned said_count, relays_over;
    void (*on_said)(struct kit_end *e);               /* from inside on_line; or NULL */
    void (*on_over)(struct kit_end *e, uint32_t svc); /* of a relay; or NULL */
};

struct kit {
    struct loop loop;
    struct kit_end client, server;
};

void kit_init(struct kit *k);
void kit_fini(struct kit *k);

/* Begins an opening at an end; cfg: what differs from the kit's own, may be NULL. */
void kit_open(struct kit *k, struct kit_end *e, const struct opening_config *cfg);

/* Both openings, TLS done; what they say is not carried yet. */
void kit_begin(struct kit *k, bool is_v2);

/* The whole way to a session at both ends. */
void kit_session(struct kit *k, bool is_v2);

/* The same on gotunnel/2. */
void kit_services(struct kit *k);

void kit_join(struct kit *k);

/* Both have lost their connection; and the client comes back over a new one. */
void kit_cut(struct kit *k);
void kit_resume(struct kit *k);

/* The server's answer to an open: its end has the session. */
void kit_accept(struct kit *k);

/* A connection of a user without sockets: a stream with a relay at each end. */
struct kit_stream {
    struct smux_stream *st; /* the server's */
    struct relay *user, *service;
};
struct kit_stream kit_stream(struct kit *k);
