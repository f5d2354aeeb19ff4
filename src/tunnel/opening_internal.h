/* SPDX-License-Identifier: MIT */
/* Private to tunnel/opening*: the inside of an opening, and what a wire brings. */
#pragma once

#include "net/sock.h"
#include "net/transport.h"
#include "tunnel/internal.h"
#include "tunnel/opening.h"

enum opening_state {
    OPENING_TLS,
    OPENING_LISTENING, /* server: the client's line is to come */
    OPENING_ASKED,     /* client: the answer to ours is to come */
    OPENING_CONTROL,   /* legacy: the secret was right; the control message, or its answer */
    OPENING_JUDGED,    /* server: the owner decides */
    OPENING_WAITING,   /* server: the line is there; the owner says when it is compared */
    OPENING_OVER,      /* a session, handed over, or failed; memory goes at the end of the turn */
};

/* What one wire does at one end. No function may be called once the state is OVER. */
struct opening_wire {
    /* TLS stands. Makes o->part. */
    void (*begin)(struct opening *o);
    /* Eats what came; in WAITING nothing of it counts yet. */
    void (*input)(struct opening *o, const uint8_t *p, size_t n);
    /* Server, in WAITING: compares; or turns the client away. */
    void (*judge)(struct opening *o, const struct credentials *keys, int64_t now_s);
    void (*turn_away)(struct opening *o);
    /* Server: the answers; and the one to a wrong secret. */
    void (*accept)(struct opening *o, const char *address, struct session **ret);
    void (*refuse)(struct opening *o, const struct opening_refusal *why);
    void (*reject)(struct opening *o);
    /* Wipes and frees o->part. */
    void (*fini)(struct opening *o);
};

extern const struct opening_wire opening_hello_client, opening_hello_server;
extern const struct opening_wire opening_legacy_client, opening_legacy_server;

struct opening {
    struct opening_config cfg; /* its secret is never NULL: see has_secret */
    bool
        has_secret; /* else a server compares with one that is none, so that saying no takes as long */
    struct transport *tp;            /* NULL: given away */
    const struct opening_wire *wire; /* NULL until TLS stands */
    void *part;                      /* of the wire */
    enum opening_state state;
    uv_timer_t timer;
    mtime_ms deadline, auth_deadline;
    struct loop_job finish;   /* the end of the turn after OVER */
    struct handover handover; /* server: with a line it is handed over when it finishes */
    bool told;                /* the owner knows of the end */
    enum end_reason reason;
    struct errmsg why;
    struct hello_answer refusal;
    bool has_refusal;
    char peer[SOCK_NAME_MAX];
};

/* It failed: the owner hears of it at the end of the turn. The first reason counts. */
void opening_fail(struct opening *o, enum end_reason reason, const struct errmsg *why);

/* Server: the peer's line is whole; id or "". The owner may have answered when this returns. */
void opening_ask_verdict(struct opening *o, const char *id);

/* The peer's proof is wrong, or does not let him in (barred, else NULL): it is told so, and nothing it says counts any
   more. */
void opening_reject(struct opening *o, const struct opening_barred *barred);

/* It is over, and the owner knows. */
void opening_done(struct opening *o);

/* Until when the present state may last. */
void opening_set_deadline(struct opening *o, mtime_ms at);

/* Has text sent as a record of its own. False: it failed. */
bool opening_say(struct opening *o, const void *text, size_t n);

/* The connection carries a session: NULL without memory, and then it failed. The opening has given
   transport and mux away; the caller calls opening_done(). */
struct session *opening_become(struct opening *o, const struct session_config *cfg,
                               struct smux_session *mux);

/* What of the configuration a session takes over. */
struct session_config opening_session_config(const struct opening *o, bool is_v2);
