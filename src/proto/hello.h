/* SPDX-License-Identifier: MIT */
/*
 * How a connection of the wire gotunnel/2 begins (docs/protocol.md, "gotunnel/2"): one JSON line
 * from the client, which opens a session or resumes one, and one from the server. Both prove that
 * they know the secret without sending it: HMAC-SHA256 under keys made from the secret and the TLS
 * exporter of this very connection, so that what is heard on one is worthless on any other.
 *
 * Pure: nonces, session ids and exporters are arguments. Numbers of 64 bits and bytes are hex
 * strings on the wire. The functions keep no copy of secrets or keys.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    HELLO_MAX = 4096,    /* the longest line in bytes, its LF included: 8 times what ours have */
    HELLO_DEPTH_MAX = 3, /* of nested braces and brackets, in unknown fields too */
    HELLO_NONCE_BYTES = 16,
    HELLO_SID_BYTES = 16,
    HELLO_MAC_BYTES = 32,
    HELLO_EXPORTER_BYTES = 32,
    HELLO_ID_MAX = 64,       /* characters of a client's id */
    HELLO_MESSAGE_BUF = 256, /* a refusal's words and their NUL */
    HELLO_ADDRESS_BUF = 64,  /* "[address%scope]:port" and its NUL */
    HELLO_SECRET_MIN = 16,   /* bytes; a shorter secret could be guessed from a recorded proof */
};

#define HELLO_ALPN           "gotunnel/2"
#define HELLO_EXPORTER_LABEL "EXPORTER-gotunnel-2" /* no context, HELLO_EXPORTER_BYTES long */

/* May this secret be used on the new wire? */
bool hello_secret_is_long_enough(const char *secret);

/* May this be a client's id: 1 to HELLO_ID_MAX of A-Z a-z 0-9 . _ - */
bool hello_id_is_valid(const char *id);

/* ---- the line ---- */

/* Collects one line from bytes that come in any pieces. */
struct hello_reader {
    /* private */
    uint32_t len;
    int end; /* how it ended, or ERR_AGAIN */
    char text[HELLO_MAX];
};

/* Begins an empty line. Holds no memory: there is no _fini. */
void hello_reader_init(struct hello_reader *r);

/*
 * Takes bytes up to the first LF and no further: *ret_used says how many; what follows belongs to
 * the session. 0: the line is complete; ERR_AGAIN: all bytes are taken, the line goes on;
 * ERR_PROTO: it does not begin with a brace, or has a control character; ERR_LIMIT: longer than
 * HELLO_MAX. Each but ERR_AGAIN is final, and the same for every way to cut the input.
 */
int hello_reader_feed(struct hello_reader *r, const uint8_t *p, size_t n,
                      size_t *ret_used) MUST_USE;

/* The line without its LF, NUL-terminated, any bytes from 0x20: escape before printing. Valid until
   the reader is fed or begun again. */
const char *hello_reader_text(const struct hello_reader *r);
size_t hello_reader_len(const struct hello_reader *r);

/* ---- what the client says ---- */

enum hello_op { HELLO_OPEN, HELLO_RESUME };

struct hello_request {
    enum hello_op op;
    /* HELLO_OPEN */
    char id[HELLO_ID_MAX + 1];
    int64_t port; /* any number: the range is the server's business */
    uint8_t nonce[HELLO_NONCE_BYTES];
    uint32_t window_ms; /* the resume window the client wishes */
    /* HELLO_RESUME */
    uint8_t sid[HELLO_SID_BYTES];
    uint64_t epoch; /* one more with each attempt */
    uint64_t rx;    /* bytes of the session received so far */
    /* both */
    uint8_t mac[HELLO_MAC_BYTES];
};

/*
 * What a line (without LF) says. Strict: a wrong type, a wrong length, upper-case hex, a missing or
 * repeated field is ERR_PROTO; fields with other names are passed over. ERR_NOMEM, where the
 * library can tell. *ret is set only on success; fields of the other operation are zero then.
 */
int hello_request_get(const char *line, size_t n, struct hello_request *ret) MUST_USE;

/* Writes the line with its LF, and a NUL. Its length without the NUL. The id must be valid. */
size_t hello_request_put(char buf[HELLO_MAX], const struct hello_request *r);

/* ---- what the server says ---- */

enum hello_error {
    HELLO_OK,
    HELLO_ERR_AUTH,    /* the client's proof is wrong */
    HELLO_ERR_PORT,    /* the public port cannot be had; the message says why */
    HELLO_ERR_UNKNOWN, /* no such session (any more), or its proof is wrong: the same answer */
    HELLO_ERR_STALE,   /* a newer attempt has been served already */
    HELLO_ERR_RANGE,   /* the bytes that were missed are not kept any more */
    HELLO_ERR_BUSY,    /* no room for another session */
    HELLO_ERR_MESSAGE, /* the request was no request */
};

struct hello_answer {
    enum hello_error error;
    char message[HELLO_MESSAGE_BUF]; /* of a refusal, for people; UTF-8, escape before printing */
    enum hello_op op;                /* what was accepted; set by hello_answer_sign and _resumed_ */
    /* of an accepted HELLO_OPEN */
    uint8_t sid[HELLO_SID_BYTES], nonce[HELLO_NONCE_BYTES];
    uint32_t window_ms;              /* the one that counts */
    char address[HELLO_ADDRESS_BUF]; /* public address that listens: printable ASCII, no spaces */
    int32_t port;                    /* and its port, 0..65535 */
    /* of an accepted HELLO_RESUME */
    uint64_t epoch, rx;
    /* A refusal of a client that has not proved itself carries none. */
    bool has_mac; /* set by signing and decoding */
    uint8_t mac[HELLO_MAC_BYTES];
};

/* As hello_request_get. An acceptance always has a MAC. */
int hello_answer_get(const char *line, size_t n, struct hello_answer *ret) MUST_USE;

/* As hello_request_put. An acceptance must have been signed. */
size_t hello_answer_put(char buf[HELLO_MAX], const struct hello_answer *a);

/* The word for an error on the wire and in logs, e.g. "stale"; "" for HELLO_OK. Static. */
const char *hello_error_word(enum hello_error e);

/* ---- proofs ---- */

/* Made for one connection; the owner wipes them with secure_zero when the hello is over. */
struct hello_keys {
    uint8_t client[32], server[32]; /* what each end proves itself with */
    uint8_t base[32];               /* what the key for resuming is made from */
};

/* ERR_RANGE: the secret is shorter than HELLO_SECRET_MIN; ERR_NOMEM. *ret is zero on failure. */
int hello_keys_init(struct hello_keys *ret, const char *secret,
                    const uint8_t exporter[HELLO_EXPORTER_BYTES]) MUST_USE;

/*
 * Signing fills in mac from all other fields; 0 or ERR_NOMEM, and then mac is zero, which no one
 * takes. Verifying takes the same time whatever differs, and says no when there is no memory.
 * The answer's MAC covers the request: an answer fits one request only. Signing an answer sets its
 * op, and puts '?' for what is no UTF-8 in its message.
 */
int hello_open_sign(struct hello_request *r, const struct hello_keys *k) MUST_USE;
bool hello_open_verify(const struct hello_request *r, const struct hello_keys *k);
int hello_answer_sign(struct hello_answer *a, const struct hello_request *open,
                      const struct hello_keys *k) MUST_USE;
bool hello_answer_verify(const struct hello_answer *a, const struct hello_request *open,
                         const struct hello_keys *k);

/* The key that both ends of an opened session keep to resume it; it never travels. nc and ns are
   the client's and the server's nonces. ERR_NOMEM: ret is zero, and must not be used. */
int hello_resume_key(uint8_t ret[32], const struct hello_keys *k,
                     const uint8_t sid[HELLO_SID_BYTES], const uint8_t nc[HELLO_NONCE_BYTES],
                     const uint8_t ns[HELLO_NONCE_BYTES]) MUST_USE;

/* The exporter is the one of the connection that resumes. An acceptance must name the request's
   epoch to be true. */
int hello_resume_sign(struct hello_request *r, const uint8_t key[32],
                      const uint8_t exporter[HELLO_EXPORTER_BYTES]) MUST_USE;
bool hello_resume_verify(const struct hello_request *r, const uint8_t key[32],
                         const uint8_t exporter[HELLO_EXPORTER_BYTES]);
int hello_resumed_sign(struct hello_answer *a, const struct hello_request *resume,
                       const uint8_t key[32],
                       const uint8_t exporter[HELLO_EXPORTER_BYTES]) MUST_USE;
bool hello_resumed_verify(const struct hello_answer *a, const struct hello_request *resume,
                          const uint8_t key[32], const uint8_t exporter[HELLO_EXPORTER_BYTES]);
