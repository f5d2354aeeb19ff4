/* SPDX-License-Identifier: MIT */
/*
 * Which of the lines that strangers cause are written: whoever has not authenticated can connect as
 * often as he likes, from as many addresses as he has, and a log must neither fill a disk nor hide
 * what matters. In any minute at most STRANGERS_LINES of them, STRANGERS_SOURCE of one source
 * besides its STRANGERS_SOURCE greetings and its penalties (which are rare by themselves), and no
 * more than half of all are greetings. What is left out is counted by kind.
 *
 * The kinds have words, "auth_failed", which are the words of the log (base/events.def).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/mtime.h"

enum {
    STRANGERS_LINES = 60,
    STRANGERS_GREETINGS = STRANGERS_LINES / 2,
    STRANGERS_SOURCE = 10,
    STRANGERS_MINUTE_MS = 60000,
    STRANGERS_SUM_BUF = 256, /* every kind with its count */
};

enum stranger_kind {
    STRANGER_CONNECTED, /* the greeting: a whole ClientHello is there */
    STRANGER_TLS_NOT,
    STRANGER_TLS_FAILED,
    STRANGER_SECRET_NOT,  /* what it said in TLS is no secret and no open */
    STRANGER_AUTH_FAILED, /* a wrong secret, a wrong proof */
    STRANGER_TIMEOUT,
    STRANGER_LIMIT, /* others need its place */
    STRANGER_PENALTY,
    STRANGER_LEGACY, /* it speaks the old wire only, which -legacy never forbids */
    STRANGER_LEFT,
    STRANGER_UNKNOWN,   /* it wants a session that is not here */
    STRANGER_KEY_OFF,   /* a client of ours that is not let in: no guess */
    STRANGER_PROXY_NOT, /* a trusted balancer did not say whose connection it is */
    STRANGER_KINDS,
};

/* All zero is a fresh one. */
struct strangers {
    /* private */
    struct strangers_line {
        mtime_ms at;
        uint64_t source; /* hash */
        bool is_greeting, is_used;
    } lines[STRANGERS_LINES]; /* the last ones written; next: the oldest */
    unsigned next;
    uint32_t left_out[STRANGER_KINDS];
};

/* True if a line of this kind about source (any text that stands for "the same peer") may be
   written at now; false: it is counted. now must not go back. */
bool strangers_may_tell(struct strangers *s, enum stranger_kind kind, const char *source,
                        mtime_ms now) MUST_USE;

/* How many were left out since the last call; if there are any, "tls_not=2 auth_failed=31" in ret,
   by kind and without those of which there are none. */
uint32_t strangers_sum_up(struct strangers *s, char ret[STRANGERS_SUM_BUF]);

/* "auth_failed". Static. */
const char *stranger_word(enum stranger_kind kind);
