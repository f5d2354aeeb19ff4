/* SPDX-License-Identifier: MIT */
/*
 * A probe dials an address once, for nobody but us: does somebody answer there, and does he speak first?
 *
 *   DIALLING --connected--> LISTENING --bytes, the end, time--> over
 *       +--refused, time--> over
 *
 * What it has connected is closed with the probe. Loop thread only.
 */
#pragma once

#include <stdbool.h>

#include "base/address.h"
#include "base/attr.h"
#include "base/err.h"
#include "net/loop.h"

enum {
    PROBE_SAID_MAX = 128,   /* bytes of what somebody says first */
    PROBE_SENDS_MAX = 8192, /* less than an empty send buffer of a socket holds */
};

struct probe;

struct probe_config {
    const char *unix_path, *host; /* as dial_config has them */
    int port;
    mtime_ms dial_ms;
    mtime_ms listen_ms; /* so long for bytes after it has connected */
    const char *named;  /* as dial_text() has it */
};

struct probe_result {
    int err;           /* as of dial_result; 0: somebody answers */
    struct errmsg why; /* if err < 0 */
    bool has_ended;    /* he has closed or reset the connection before he said anything */
    bool has_answered; /* he has said something */
    char said[PROBE_SAID_MAX +
              1]; /* the first line of what he says, as it came; "": nothing in time */
};

/* Once; the probe stays until probe_close(). r is valid during the call. */
typedef void (*probe_done_fn)(void *ctx, const struct probe_result *r);

/* cfg is copied, but for `named`, which must outlive the probe. 0, or ERR_NOMEM. */
int probe_start(struct loop *loop, const struct probe_config *cfg, probe_done_fn done, void *ctx,
                struct probe **ret) MUST_USE;

/* Is this visitor the probe? Once it is connected its port tells: on the way its host may be translated, and
   most translators keep the port. */
bool probe_is_from(const struct probe *p, const struct address *own);

/* Sends so many bytes, up to PROBE_SENDS_MAX, as soon as it has connected; at most once. */
void probe_send(struct probe *p, size_t n);

/* Done with listening: what it has learned is told now, if it was not. */
void probe_stop(struct probe *p);

/* Its memory goes when libuv lets it; nothing is told any more. NULL is fine. */
void probe_close(struct probe *p);
