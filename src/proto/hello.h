/* SPDX-License-Identifier: MIT */
/*
 * How a connection of the wire gotunnel/2 begins (docs/protocol.md 5): one JSON line from the
 * client, which opens a session or resumes one, and one from the server. Both prove that they know
 * the secret without sending it: HMAC-SHA256 under keys made from the secret and the TLS exporter
 * of this very connection, so that what is heard on one is worthless on any other. The secret is
 * the one that all share, or A of one client (proto/client_key.h), which then signs its line, too.
 *
 * What is proved is the line as it was sent: its last HELLO_SEAL_LEN bytes are the MAC, and all
 * bytes before them are covered, fields included that this version does not know. So lines are
 * written and signed in one step, and verified as text.
 *
 * Pure: nonces, session ids and exporters are arguments. Numbers of 64 bits and bytes are hex
 * strings on the wire. The functions keep no copy of secrets or keys.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/client_key.h"

enum {
    HELLO_MAX = 4096,    /* the longest line in bytes, its LF included: 8 times what ours have */
    HELLO_DEPTH_MAX = 3, /* of nested braces and brackets, in unknown fields too */
    HELLO_NONCE_BYTES = 16,
    HELLO_SID_BYTES = 16,
    HELLO_MAC_BYTES = 32,
    HELLO_EXPORTER_BYTES = 32,
    HELLO_SEAL_LEN = 8 + 2 * HELLO_MAC_BYTES + 2, /* ,"mac":"..."} at the end of a signed line */
    HELLO_SIG_BYTES = 64,
    HELLO_SIG_LEN = 8 + 2 * HELLO_SIG_BYTES + 1, /* ,"sig":"..." right before it */
    HELLO_ID_MAX = 64,                           /* characters of a client's id */
    HELLO_WORD_BUF = 64,   /* an address or a word in an answer, and its NUL */
    HELLO_CAPS_MAX = 8,    /* what an end can do: so many names ... */
    HELLO_CAP_MAX = 16,    /* ... of so many characters */
    HELLO_MINE_MAX = 8,    /* earlier opens that an open may name: one for each session or attempt
                              that may still live; a peer makes us look for no more */
    HELLO_SECRET_MIN = 16, /* bytes; a shorter secret could be guessed from a recorded proof */
};

#define HELLO_ALPN           "gotunnel/2"
#define HELLO_CAP_SERVICES   "services" /* tunnels are opened in the session (service.h) */
#define HELLO_EXPORTER_LABEL "EXPORTER-gotunnel-2" /* no context, HELLO_EXPORTER_BYTES long */

/* May this secret be used on the new wire? */
bool hello_secret_is_long_enough(const char *secret);

/* May this be a client's id, or the name of a key: 1 to HELLO_ID_MAX of A-Z a-z 0-9 . _ - */
bool hello_id_is_valid(const char *id);

/* May a client with the key of this name have this id? It is the name, or begins with it and a dot. */
bool hello_id_is_of_key(const char *id, const char *name);

/* ---- collecting a line ---- */

/* A line, or a part of one, in somebody else's memory; no NUL is promised. */
struct hello_text {
    const char *p;
    size_t n;
};

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

/* The line without its LF, then a NUL; any bytes from 0x20: escape before printing. Valid until the
   reader is fed or begun again. */
struct hello_text hello_reader_line(const struct hello_reader *r);

/* ---- what can be said in both ---- */

/* What an end can do beyond this document's text: names of 1 to HELLO_CAP_MAX of a-z 0-9 -. */
struct hello_caps {
    uint8_t count;
    char names[HELLO_CAPS_MAX][HELLO_CAP_MAX + 1];
};

bool hello_caps_have(const struct hello_caps *c, const char *name);

/* *ret: what both can, each name once. */
void hello_caps_common(struct hello_caps *ret, const struct hello_caps *a,
                       const struct hello_caps *b);

/* ---- what the client says ---- */

enum hello_op { HELLO_OPEN, HELLO_RESUME };

/* Nonces of earlier opens, the newest first. */
struct hello_nonces {
    uint8_t count;
    uint8_t nonces[HELLO_MINE_MAX][HELLO_NONCE_BYTES];
};

struct hello_request {
    enum hello_op op;
    /* HELLO_OPEN */
    char id[HELLO_ID_MAX + 1];
    char key[HELLO_ID_MAX + 1]; /* name of the client's own key; "": the shared secret */
    uint8_t nonce[HELLO_NONCE_BYTES];
    uint32_t window_ms; /* the resume window the client wishes */
    struct hello_caps caps;
    bool take;                /* end an older session of this id, whosever it is */
    struct hello_nonces mine; /* end a session that one of these has opened */
    /* HELLO_RESUME */
    uint8_t sid[HELLO_SID_BYTES];
    uint64_t epoch; /* one more with each attempt */
    uint64_t rx;    /* bytes of the session received so far */
};

/*
 * What a line (without LF) says. Strict: a wrong type, a wrong length, upper-case hex, a missing or
 * repeated field, no MAC or one in another place than the end is ERR_PROTO; so is an open with a key
 * and no signature right before the MAC, a signature elsewhere or without a key, or an id that is not
 * of its key. Fields with other names are passed over. ERR_NOMEM, where the library can tell. *ret is set only on success; fields of
 * the other operation are zero then. Nothing is proved by it: see below.
 */
int hello_request_get(struct hello_text line, struct hello_request *ret) MUST_USE;

/* ---- what the server says ---- */

enum hello_error {
    HELLO_OK,
    HELLO_ERR_AUTH,     /* the client's proof is wrong */
    HELLO_ERR_TAKEN,    /* another session has the id */
    HELLO_ERR_UNKNOWN,  /* no such session (any more), or its proof is wrong: the same answer */
    HELLO_ERR_STALE,    /* a newer attempt has been served already */
    HELLO_ERR_RANGE,    /* the bytes that were missed are not kept any more */
    HELLO_ERR_BUSY,     /* no room now; also what a word means that is not known */
    HELLO_ERR_DRAINING, /* the server is stopping */
    HELLO_ERR_MESSAGE,  /* the request was no request, or asks for nothing that there is */
    HELLO_ERRORS,
};

struct hello_answer {
    enum hello_error error;
    bool has_mac; /* set by _get: of a refusal, without one it may have come from anybody */
    /* of an accepted HELLO_OPEN */
    uint8_t sid[HELLO_SID_BYTES], nonce[HELLO_NONCE_BYTES];
    uint32_t window_ms;     /* the one that counts */
    struct hello_caps caps; /* what both can */
    /* of an accepted HELLO_RESUME */
    uint64_t epoch, rx;
    /* of a refusal, as far as it applies; the sentence is made by who tells it to a person */
    char by[HELLO_WORD_BUF]; /* address of who has the id; "": not said */
};

/*
 * As hello_request_get, of the answer to a request of that kind. An acceptance has a MAC, a refusal
 * has one or not as its error demands. A refusal without may delay the next attempt and no more;
 * only HELLO_ERR_UNKNOWN may be a reason to give a session up.
 */
int hello_answer_get(struct hello_text line, enum hello_op asked,
                     struct hello_answer *ret) MUST_USE;

/* The word for an error on the wire and in logs, e.g. "stale"; "" for HELLO_OK. Static. */
const char *hello_error_word(enum hello_error e);

/* ---- proofs ---- */

/* Made for one connection; the owner wipes them with secure_zero when the hello is over. */
struct hello_keys {
    uint8_t client[32], server[32]; /* what each end proves itself with */
    uint8_t base[32];               /* what the key for resuming is made from */
};

/* secret: its n bytes, or A of a client's key. ERR_RANGE: fewer than HELLO_SECRET_MIN; ERR_NOMEM. *ret
   is zero on failure. */
int hello_keys_init(struct hello_keys *ret, const void *secret, size_t n,
                    const uint8_t exporter[HELLO_EXPORTER_BYTES]) MUST_USE;

/* What a client has in place of the shared secret: a key of its own. Its owner wipes it. */
struct hello_credential {
    char name[HELLO_ID_MAX + 1];
    struct client_secret secret;
};

/* What a client with a key of its own signs an open with, besides. */
struct hello_signer {
    const uint8_t *seed;     /* CLIENT_KEY_SEED_BYTES */
    const uint8_t *exporter; /* HELLO_EXPORTER_BYTES of this connection */
};

/* The key that both ends of an opened session keep to resume it; it never travels. nc and ns are
   the client's and the server's nonces. ERR_NOMEM: ret is zero, and must not be used. */
int hello_resume_key(uint8_t ret[32], const struct hello_keys *k,
                     const uint8_t sid[HELLO_SID_BYTES], const uint8_t nc[HELLO_NONCE_BYTES],
                     const uint8_t ns[HELLO_NONCE_BYTES]) MUST_USE;

/*
 * Writing puts a signed line with its LF, and a NUL, into buf: its length without the NUL, or
 * ERR_NOMEM, and then buf is empty. All fields must be such as _get would take (the op need not be
 * set, has_mac is not looked at). The owner keeps the line of a request until its answer has come
 * or gone: an answer's MAC covers it too, so that an answer fits one request only.
 *
 * Verifying looks at a line (without LF) as it came. It takes the same time whatever differs, and
 * says no when there is no memory. An open with a key needs a signer, and both proofs looked at; one
 * without has no signer (NULL).
 */
int hello_open_write(char buf[HELLO_MAX], const struct hello_request *open,
                     const struct hello_keys *k, const struct hello_signer *signer) MUST_USE;
bool hello_open_verify(struct hello_text open, const struct hello_keys *k);
/* How long that takes depends on line and key only. */
bool hello_open_verify_sig(struct hello_text open, const uint8_t key[CLIENT_KEY_PUBLIC_BYTES],
                           const uint8_t exporter[HELLO_EXPORTER_BYTES]);
int hello_answer_write(char buf[HELLO_MAX], const struct hello_answer *a, struct hello_text open,
                       const struct hello_keys *k) MUST_USE;
bool hello_answer_verify(struct hello_text answer, struct hello_text open,
                         const struct hello_keys *k);

/* The exporter is the one of the connection that resumes. Whether an acceptance names the epoch of
   the request is for the caller to see. */
int hello_resume_write(char buf[HELLO_MAX], const struct hello_request *resume,
                       const uint8_t key[32],
                       const uint8_t exporter[HELLO_EXPORTER_BYTES]) MUST_USE;
bool hello_resume_verify(struct hello_text resume, const uint8_t key[32],
                         const uint8_t exporter[HELLO_EXPORTER_BYTES]);
int hello_resumed_write(char buf[HELLO_MAX], const struct hello_answer *a, struct hello_text resume,
                        const uint8_t key[32],
                        const uint8_t exporter[HELLO_EXPORTER_BYTES]) MUST_USE;
bool hello_resumed_verify(struct hello_text answer, struct hello_text resume, const uint8_t key[32],
                          const uint8_t exporter[HELLO_EXPORTER_BYTES]);

/* A refusal without MAC, to who has not proved itself: a line as above, its length. Only of errors
   that go without: auth, unknown, message, busy, draining. */
size_t hello_refusal_write(char buf[HELLO_MAX], const struct hello_answer *a);
