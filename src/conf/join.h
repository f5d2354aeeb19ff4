/* SPDX-License-Identifier: MIT */
/*
 * Join strings: all that a client needs to know of a server and of itself, in one word that a person
 * copies (docs/protocol.md 7): where the server is, by which CA it proves itself, the name of the
 * client's key and its secret T. gt1_ and base32 of
 *
 *   u8 1 | u8 flags, 0 | u8 n, name | u16 port | u8 n, host | pin | T | check
 *
 * where the check is the first 4 bytes of SHA-256 of all before.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/base32.h"
#include "base/err.h"

#define JOIN_PREFIX "gt1_"

enum {
    JOIN_NAME_MAX = 64,  /* as an id has (proto/hello.h) */
    JOIN_HOST_MAX = 253, /* RFC 1035: the longest name without its last dot */
    JOIN_PIN_BYTES = 20, /* of SHA-256 of the CA's SubjectPublicKeyInfo */
    JOIN_T_BYTES = 16,
    JOIN_CHECK_BYTES = 4,
    JOIN_BYTES_MAX = 2 + 1 + JOIN_NAME_MAX + 2 + 1 + JOIN_HOST_MAX + JOIN_PIN_BYTES + JOIN_T_BYTES +
                     JOIN_CHECK_BYTES,
    JOIN_LEN_MAX = sizeof JOIN_PREFIX - 1 + BASE32_LEN(JOIN_BYTES_MAX),
    JOIN_BUF = JOIN_LEN_MAX + 1,
    JOIN_SERVER_BUF = JOIN_HOST_MAX + sizeof "[]:65535",
};

/* What a string says. T is a secret: who has one wipes it. */
struct join {
    char name[JOIN_NAME_MAX + 1]; /* 1 to 64 of A-Z a-z 0-9 . _ - */
    char host[JOIN_HOST_MAX +
              1];  /* 1 to 253 of A-Z a-z 0-9 . _ - : %; an address without brackets */
    uint16_t port; /* 1 to 65535 */
    uint8_t pin[JOIN_PIN_BYTES];
    uint8_t t[JOIN_T_BYTES];
};

/* SHA-256 of n bytes at p, as sha256() of proto/: 0, or an error, which is passed on. */
typedef int join_hash(uint8_t ret[32], const void *p, size_t n);

/* Writes the string and a NUL. 0; ERR_INVAL: name, host or port are not as above; hash's error. Without
   success ret is "". */
int join_encode(char ret[JOIN_BUF], const struct join *j, join_hash *hash) MUST_USE;

/*
 * What the n bytes at text say. Upper case is lower, and blanks and line breaks, wherever they are, are
 * none: so mail programs and terminals do no harm. Any other change of one character is found.
 *
 * Errors, with a sentence that shows nothing of the text: ERR_INVAL: it is no join string, or it holds
 * what none can; ERR_RANGE: a character is missing or wrong; ERR_PROTO: a later version's; hash's.
 * *ret is set only on success.
 */
int join_decode(struct join *ret, const char *text, size_t n, join_hash *hash,
                struct errmsg *why) MUST_USE;

/* Where the server is, as -server has it: host:port, or [address]:port. */
void join_server(char ret[JOIN_SERVER_BUF], const struct join *j);
