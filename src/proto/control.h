/* SPDX-License-Identifier: MIT */
/*
 * The control stream's JSON (docs/protocol.md 1.3): one value each way, {"remote_port":N} and
 * {"status":S,"message":M}. Encodes byte for byte as the original's Go encoder does and decodes
 * what its decoder takes: names in any case, null for "absent", unknown fields at any depth, and
 * whatever follows the value is left alone.
 *
 * Where the library behind it (jansson) is narrower than Go's decoder we are narrower too: invalid
 * UTF-8, lone surrogates, U+0000 in strings, numbers outside int64 or double even in unknown
 * fields, and nesting above 2,048 (10,000 with Go) are refused. Of several members spelled alike it
 * shows the last one only, at the place of the first. And U+017F in a name is no s here. No peer
 * writes such a thing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    CONTROL_TEXT_MAX = 64 << 10, /* the longest value, and blanks before it; ours has 100 bytes */
    CONTROL_MESSAGE_BUF = 1024,  /* a message and its NUL; a longer one is cut */
    CONTROL_REQUEST_BUF = 48,    /* what control_request_put() needs */
    /* The same for an answer: each byte may become six. */
    CONTROL_ANSWER_BUF = 6 * CONTROL_MESSAGE_BUF + 64,
};

/* Collects one value from bytes that come in any pieces. */
struct control_reader {
    /* private */
    char *text;
    uint32_t len, cap;
    uint32_t blanks; /* before the value */
    uint32_t depth;  /* open braces and brackets */
    uint32_t tried;  /* length at the last look for an early error */
    bool in_string, escaped;
    bool over; /* and how it ended is in `end` */
    int end;
};

/* Holds no memory until it is fed. */
void control_reader_init(struct control_reader *r);
void control_reader_fini(struct control_reader *r);

/*
 * Takes bytes up to the end of the value: *ret_used says how many. 0: the value is whole;
 * ERR_AGAIN: it goes on; ERR_PROTO: this can never become a valid value; ERR_LIMIT: longer than
 * CONTROL_TEXT_MAX; ERR_NOMEM. Each but ERR_AGAIN is final: more input is not taken, and the result
 * stays. Its cost is linear, also for bytes that come one at a time.
 */
int control_reader_feed(struct control_reader *r, const uint8_t *p, size_t n,
                        size_t *ret_used) MUST_USE;

struct control_request {
    int64_t remote_port; /* any number: the range is the server's business */
};

struct control_response {
    bool ok;                           /* status is exactly "success" */
    char message[CONTROL_MESSAGE_BUF]; /* UTF-8, from the peer: escape before printing */
};

/* What the whole value says. 0, or ERR_PROTO: not JSON, or not this JSON. *ret is set only on
   success. */
int control_request_get(const struct control_reader *r, struct control_request *ret) MUST_USE;
int control_response_get(const struct control_reader *r, struct control_response *ret) MUST_USE;

/* Write a value and its LF, NUL-terminated; the length without the NUL. The message must be UTF-8;
   what is not becomes U+FFFD; one that does not fit is cut. room is at least 64. */
size_t control_request_put(char out[CONTROL_REQUEST_BUF], int64_t remote_port);
size_t control_response_put(char *out, size_t room, bool ok, const char *message);

/* ---- the original's words, whatever language either side logs in ---- */

enum control_failure {
    CONTROL_INVALID_PORT,
    CONTROL_PERMISSION_DENIED,
    CONTROL_ADDRESS_IN_USE,
    CONTROL_OTHER_FAILURE,
};

const char *control_invalid_message(void);
void control_failure_message(char out[CONTROL_MESSAGE_BUF], int64_t port, enum control_failure why);
void control_success_message(char out[CONTROL_MESSAGE_BUF], const char *address);
/* What an original's answer tells of, to be said in another language. False: none of its sentences. */
bool control_failure_get(const char *message, enum control_failure *ret);
/* The address in the original's sentence of success; false: it is another one, or has none. */
bool control_success_get(const char *message, char ret_address[CONTROL_MESSAGE_BUF]);
/* The port at the end of the address in it, or in the words of an old server of another language; 0
   if there is none. */
int control_message_port(const char *message);
