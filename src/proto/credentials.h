/* SPDX-License-Identifier: MIT */
/*
 * The clients that have a key of their own (proto/client_key.h), by name, and the judging of their
 * opens. A table is filled once, then immutable and counted: a reload makes another one, which takes
 * its place for the next verdict.
 *
 *   credentials_new() --> credentials_add() ... --> shared, const
 *
 * Looking up gives nothing away. For a name that is not there the same is computed with keys that
 * nobody has; and so for one that is there, but disabled, over, or used from elsewhere. Each verdict
 * is one hash of the name, the keys and the MAC of CREDENTIAL_KEYS values of A (the present one, former
 * ones, and for the rest one that nobody has), and one signature. Only the log, at debug, has the cause.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attr.h"
#include "proto/client_key.h"
#include "proto/hello.h"
#include "proto/keyed_hash.h"

enum {
    CREDENTIALS_MAX = 100000, /* of a table: 40 MB, and 100,000 files */
    CREDENTIAL_OLD_MAX = 4,   /* former keys of a client: each costs every verdict 4 HMACs */
    CREDENTIAL_KEYS = 1 + CREDENTIAL_OLD_MAX,
};

/* A key that was replaced, and until when it is good all the same. */
struct credential_old {
    struct client_key key;
    int64_t until_s;
};

/* One client. Times are seconds since 1970. */
struct credential {
    const char *name;
    struct client_key key;
    const struct credential_old *old;
    unsigned old_count;
    int64_t expires_s; /* no key is good from then on; 0: for ever */
    bool is_disabled;
    void *rights; /* what the owner knows of it; NULL: nothing */
};

struct credentials_config {
    uint8_t hash_key[KEYED_HASH_KEY_BYTES]; /* these two: random bytes that nobody knows */
    uint8_t nobody[CLIENT_KEY_T_BYTES];
    /* May a client with these rights (NULL, too) come from there? NULL: from everywhere. Any thread. */
    bool (*admits)(const void *rights, const struct address *from);
    void (*rights_free)(void *rights); /* NULL: they are not the table's */
};

struct credentials;

/* An empty table, with one owner. NULL without memory. */
struct credentials *credentials_new(const struct credentials_config *cfg);

/*
 * Adds a copy of c; its rights are the table's then. Before the table is shared. ERR_INVAL: its name
 * is no id, or begins with "node.", which is kept for nodes; ERR_INUSE: the name is there; ERR_LIMIT:
 * CREDENTIALS_MAX are, or old_count is more than CREDENTIAL_OLD_MAX; ERR_NOMEM. Nothing has changed then.
 */
int credentials_add(struct credentials *t, const struct credential *c) MUST_USE;

size_t credentials_count(const struct credentials *t);

/*
 * Another table of the same clients, but for the one called name, which is left out. rights_copy makes the
 * rights that it has of its own; NULL says that there was no memory. NULL without memory. t may be
 * shared.
 */
struct credentials *credentials_copy_but(const struct credentials *t, const char *name,
                                         void *(*rights_copy)(const void *rights)) MUST_USE;

/* One owner more; returns t. Any thread. */
struct credentials *credentials_ref(struct credentials *t);

/* One owner less; the last one's call wipes and frees all. NULL is fine. Any thread. */
void credentials_unref(struct credentials *t);

/* The client of that name; NULL: none. How long that takes tells whether it is there: not for what
   strangers say. Valid while the table is. */
const struct credential *credentials_find(const struct credentials *t, const char *name);

/* What the owner knows of the client of that name, valid like the former. NULL: nothing; there is none (""
   is nobody's name); or t is NULL. */
const void *credentials_rights(const struct credentials *t, const char *name);

/* Whether there is a client of that name, and it may come from there. */
bool credentials_admit(const struct credentials *t, const char *name, const struct address *from);

/* Until when, in seconds since 1970, the client of that name may be here who has proved himself with this
   public key: INT64_MAX for ever; 0: not at all, for it is none of its keys, or he is disabled. */
int64_t credentials_until(const struct credentials *t, const char *name,
                          const uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES]);

/* Whether he may still be here at now_s. */
bool credentials_keep(const struct credentials *t, const char *name,
                      const uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES], int64_t now_s);

/* ---- verdicts ---- */

struct credentials_question {
    const struct hello_request *request; /* an open with a key ... */
    struct hello_text line;              /* ... as it came */
    const uint8_t *exporter;             /* of its connection */
    const struct address *from;
    int64_t now_s;
};

enum credentials_cause {
    CREDENTIALS_RIGHT,
    CREDENTIALS_UNKNOWN,  /* there is no such name */
    CREDENTIALS_WRONG,    /* its MAC is made with none of its A */
    CREDENTIALS_UNSIGNED, /* the MAC is right, the signature is not: somebody may have a stolen A */
    CREDENTIALS_OLD,      /* both are, of a key that was replaced, and is not good any more */
    CREDENTIALS_DISABLED,
    CREDENTIALS_EXPIRED,
    CREDENTIALS_SOURCE, /* it may not come from there */
};

/* Whether the proof is wrong. If not, nothing was guessed: whoever said the line has a key of that client. */
bool credentials_is_guess(enum credentials_cause c);

/* What came of it. The owner wipes the keys. */
struct credentials_verdict {
    enum credentials_cause cause;
    const struct credential *client; /* RIGHT: whose it is; valid while the table is. Else NULL */
    struct hello_keys keys;          /* RIGHT: of this connection. Else zero */
    uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES]; /* RIGHT: of the key that signed */
};

/* Judges; always the same work. Without memory it is WRONG. Any thread. */
void credentials_judge(const struct credentials *t, const struct credentials_question *q,
                       struct credentials_verdict *ret);

/* For the log, at debug: "unknown" ... Static. */
const char *credentials_cause_word(enum credentials_cause c);
