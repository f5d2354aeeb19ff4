/* SPDX-License-Identifier: MIT */
/* Why a connection or a session ended: one list for the log line, for what a client does next, and
 * for tests. And how one is that has not. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/escape.h"
#include "proto/session/life.h"

enum end_reason {
    END_PEER,      /* the peer closed in order, or its connection broke */
    END_SILENT,    /* nothing was heard for 30 s (the legacy wire), or 15 s (gotunnel/2) */
    END_STALLED,   /* legacy: the peer reads nothing: a write blocked for 60 s */
    END_PROTOCOL,  /* the peer broke the protocol */
    END_BLAMED,    /* gotunnel/2: we broke it, as the peer says */
    END_DEADLINE,  /* a step of the opening took too long */
    END_TLS,       /* the handshake failed */
    END_CERT,      /* a certificate was not accepted, by us or by the peer */
    END_CERT_TIME, /* the same, as it is not valid at the time of our clock */
    END_AUTH,      /* the secret was wrong, as one end says of the other */
    END_UNPROVEN,  /* gotunnel/2: the server has not proved that it knows the secret */
    END_PUT_OFF,   /* gotunnel/2: the server is there, and asks to come later */
    END_REFUSED,   /* the server refused: struct hello_answer, or the old server's words, say why */
    END_LOCAL,     /* out of memory or descriptors here */
    END_SHUTDOWN,  /* we closed it */
    END_LEGACY,    /* the peer speaks the legacy wire only, which -legacy never forbids */
    END_REPLACED,  /* another client with the same id has taken over */
    END_REVOKED,   /* server: its client's key is good no more */
    END_EXPIRED,   /* detached, and not resumed in time */
    END_UNKNOWN,   /* the server knows the session no more */
    END_DRAINED,   /* it was draining: its last connection is over, or its time */
    END_MOVED,     /* server: the connection belongs to the session it resumes */
};

enum { END_REASONS = END_MOVED + 1 }; /* rows of a table of all */

/* "the connection was closed by the other side" and so on, in the user's language. Static. */
const char *end_reason_text(enum end_reason r);

/* "silent" and so on, for programs. Static. */
const char *end_reason_word(enum end_reason r);

/* What to tell a person: why, escaped into out, or if it is empty the reason. */
const char *end_text(char out[ESCAPE_BUF], enum end_reason r, const struct errmsg *why);

/* The reason that stands for an ERR_* of a transport or of the mux. opening: before the session. */
enum end_reason end_reason_of_error(int err, bool opening);

enum end_reason end_reason_of_life(enum life_end e);

/* How a session is, in the user's language: "up" and so on; away, if it has no connection. */
const char *status_text(enum life_state state, enum life_service service, const char *away);
