/* SPDX-License-Identifier: MIT */
/*
 * Connects to a host: resolves its name off the loop (numeric addresses need no resolver) and tries
 * its addresses as proto/path.h decides, several at a time. The first connection wins. Or to a unix
 * socket of this machine, which answers at once, or has its queue full and is tried again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"
#include "proto/path.h"

struct dial;

enum {
    DIAL_SMALL_MSS = 1180, /* an IPv6 packet of 1,240 bytes: passes where 1,280 do */
    DIAL_NOTE_MS = 1000,   /* a failure is noted while others are still hoped for, from here on: one
                              that was overtaken by a connection is nobody's business */
    DIAL_UNIX_AGAIN_MS =
        50, /* between two tries at a unix socket whose queue is full: the kernel does
                                not say when it has room */
};

struct dial_result;

/* A dial that goes on has failed at one of its addresses, or the resolver has: told as a result is,
   when it says more than what was told before. Must not cancel the dial. */
typedef void (*dial_note_fn)(void *ctx, const struct dial_result *so_far);

/* The resolver has found these addresses, at least one. Must not cancel the dial. */
typedef void (*dial_resolved_fn)(void *ctx, const struct address *all, unsigned n);

struct dial_config {
    const char
        *unix_path;   /* of a unix socket, of at most 107 bytes; then patience_ms alone counts */
    const char *host; /* a name, or an address in digits, without brackets; NULL: only `extra` */
    int port;
    const struct address *extra; /* tried besides, at once: e.g. where the session is */
    unsigned n_extra;
    struct path_memory *memory; /* of what worked and what failed; outlives the dial. NULL: none */
    mtime_ms patience_ms;       /* for everything together */
    bool renew;                 /* a fresh SYN every second: for what must come back soon */
    bool small_mss;             /* small segments both ways: for a path with an MTU black hole */
    uint32_t rtt_ms;            /* as last measured, 0: unknown */
    mtime_ms last_start;        /* see dial_hurry(); 0: none */
    dial_note_fn note;          /* NULL: nobody waits for the reasons */
    dial_resolved_fn resolved;  /* NULL: nobody wants to know */
};

/* What a dial has brought: a connection, or why there is none. */
struct dial_result {
    int err; /* 0, or ERR_RESOLVE, ERR_REFUSED, ERR_TIMEOUT, ERR_LIMIT: no descriptors, ERR_NOMEM,
                ERR_IO. Of several failures the one that tells most */
    struct address address; /* connected to; or of the failure, ADDRESS_NONE: of the resolver */
    mtime_ms connect_ms;    /* how long the handshake of TCP took */
    int fd;                 /* if err is 0: for setting options; see dial_take_fd() */
    int errnum;             /* errno of the failure, or of the resolver a negative UV_EAI_*; 0: the
                               resolver was too slow */
    const char *host;       /* of a failure: the name that was asked for, "": none; the dial's */
    bool is_unix;           /* of a failure: host is the path of a unix socket */
    /* private */
    struct loop *loop;
    struct poller_source *socket;
};

/* The dial is over when this is called, and frees itself. Never from inside dial_start(). A
   connection that the callee does not take is closed. */
typedef void (*dial_done_fn)(void *ctx, struct dial_result *result);

/* 0, or ERR_NOMEM. The config is copied, with the strings and addresses in it. */
int dial_start(struct loop *loop, const struct dial_config *cfg, dial_done_fn done, void *ctx,
               struct dial **ret) MUST_USE;

/* Each address gets a fresh attempt at this time, exactly, and the name is looked up again: the
   last moment before a session expires, or now, as the network has changed. */
void dial_hurry(struct dial *d, mtime_ms at);

/* Is this the address of a socket that it is connecting with? */
bool dial_is_from(const struct dial *d, const struct address *own);

/* Gives up; done is not called. NULL is fine. */
void dial_cancel(struct dial *d);

/* The connection becomes the callee's: non-blocking, close-on-exec, of TCP with TCP_NODELAY. The second way
   keeps it in the loop's poller: `to` watches it from here on (poller_pass()), and has the
   descriptor; or ERR_NOMEM, ERR_IO. Each only inside dial_done_fn, when err is 0. */
int dial_take_fd(struct dial_result *result) MUST_USE;
int dial_take_source(struct dial_result *result, struct poller_source *to) MUST_USE;

/*
 * Why there is no connection, for a person: "10.0.0.1:80: nothing listens there ... (Connection
 * refused)". named is the address as the same line names it already, which is not said again; or
 * NULL. The result must be the one that is told: only while dial_done_fn or dial_note_fn runs.
 * Returns out->text.
 */
const char *dial_text(struct errmsg *out, const struct dial_result *result, const char *named);
