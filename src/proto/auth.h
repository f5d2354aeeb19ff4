/* SPDX-License-Identifier: MIT */
/*
 * The secret exchange of the legacy wire (docs/protocol.md 1.2): one line each way. Collects a line
 * from bytes that come in any pieces, and judges it: as the server (does it carry the secret) or as
 * the client (does it say OK). Keeps no copy of the secret besides the line itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    /* The longest line in bytes, its LF included: the original has no limit, and 16 MiB without an
       LF cost it 29 MB before any authentication (D12). A secret has at most one byte less. */
    AUTH_LINE_MAX = 4096,
};

struct auth_line {
    /* private */
    uint32_t len; /* bytes in text; the LF is not kept */
    bool complete;
    char text[AUTH_LINE_MAX - 1];
};

/* Begins an empty line. Needs no _fini; what was received is wiped by auth_line_wipe(). */
void auth_line_init(struct auth_line *l);

/*
 * Takes bytes up to the first LF and no further: *ret_used says how many; what follows belongs to
 * the session (D8). 0: the line is complete (and stays so: more input is not taken). ERR_AGAIN: all
 * bytes are taken, the line goes on. ERR_LIMIT: longer than AUTH_LINE_MAX; the line is of no use.
 */
int auth_line_feed(struct auth_line *l, const uint8_t *p, size_t n, size_t *ret_used) MUST_USE;

/* The line without its LF, auth_line_len() bytes, not NUL-terminated, any bytes: escape before
   printing. Valid until the line is fed or wiped. */
const char *auth_line_text(const struct auth_line *l);
size_t auth_line_len(const struct auth_line *l);

/*
 * Server: true when the complete line carries the secret: as it is, without one CR at its end, or
 * without the white space around it, which is all an old server looks at (D11). The time taken
 * depends on the line only, never on the secret (D10).
 */
bool auth_line_matches(const struct auth_line *l, const char *secret);

/* Server: true when the complete line is the first one of an HTTP request ("GET / HTTP/1.1"):
   whoever sends it takes this for a web server, and has guessed nothing. */
bool auth_line_is_http(const struct auth_line *l);

/* Client: true when the complete line without the white space around it is exactly "OK". */
bool auth_line_is_ok(const struct auth_line *l);

/* Overwrites the line and makes it an empty one. */
void auth_line_wipe(struct auth_line *l);
