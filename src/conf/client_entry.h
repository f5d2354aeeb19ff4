/* SPDX-License-Identifier: MIT */
/*
 * What a server knows of one client: the file clients/NAME.yaml. Its key and what it may do, read as
 * configuration files are (conf/yaml_walk.h), with the words of the flags of `gotunnel clients`. All that
 * is wrong is found at once. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/cidr.h"
#include "conf/config_errors.h"
#include "conf/options.h"
#include "conf/ports.h"

enum {
    CLIENT_ENTRY_NAME_MAX = 64,    /* bytes of a name: a session's id begins with it */
    CLIENT_ENTRY_KEY_MAX = 127,    /* bytes of a key's text */
    CLIENT_ENTRY_OLD_MAX = 4,      /* former keys that are still taken */
    CLIENT_ENTRY_VALUE_MAX = 2304, /* the longest value as text, with its NUL: of `from` */
    CLIENT_ENTRY_TEXT_MAX = 8192,
};

/* Of a limit that the file does not have: the server's own counts. */
#define CLIENT_ENTRY_DEFAULT 0
#define CLIENT_ENTRY_FOREVER INT64_MAX

/* A key as text, and until when it is taken, in seconds since 1970. */
struct client_entry_key {
    char text[CLIENT_ENTRY_KEY_MAX + 1];
    int64_t until;
};

struct client_entry {
    char key[CLIENT_ENTRY_KEY_MAX + 1];
    struct client_entry_key old[CLIENT_ENTRY_OLD_MAX];
    unsigned old_count;
    struct ports ports;                       /* none: no port */
    struct cidrs from;                        /* none: from everywhere */
    int tunnels, connections, sessions, rate; /* or CLIENT_ENTRY_DEFAULT */
    int64_t expires; /* the first second in which it is over, or CLIENT_ENTRY_FOREVER */
    bool disabled;
};

/* The rows of rights, with their places in a struct client_entry: keys of the file, and flags. */
extern const struct mode client_entry_mode;

/* No key, and no right but to come. */
void client_entry_init(struct client_entry *e);

/* Gives the field of the row o, which is one of client_entry_mode, the value it has in *from. */
void client_entry_copy(struct client_entry *to, const struct client_entry *from,
                       const struct option *o);

/* The text of a key is none: an error with a sentence. */
typedef int client_entry_check(const char *key, struct errmsg *why);

/*
 * Reads a file, n bytes. 0; ERR_INVAL: errors, which the caller has zeroed, say why, and *ret is good for
 * nothing; ERR_NOMEM.
 */
int client_entry_read(struct client_entry *ret, const char *bytes, size_t n,
                      client_entry_check *check, struct config_errors *errors) MUST_USE;

/* The keys of a file in the order they are written in, or NULL behind the last. */
const char *client_entry_field(size_t i);

/* What stands behind field i and its colon in a file: like snprintf. "": the file has no such line. */
size_t client_entry_value(char *out, size_t room, const struct client_entry *e, size_t i);

/* A whole file, at most CLIENT_ENTRY_TEXT_MAX bytes with the NUL. Its length. */
size_t client_entry_text(char out[CLIENT_ENTRY_TEXT_MAX], const struct client_entry *e);

/* Names are 1 to CLIENT_ENTRY_NAME_MAX of A-Z a-z 0-9 . _ -, begin with no dot and no dash, and not with
   "node.", which is for servers among each other. 0, or ERR_INVAL with a sentence. */
int client_entry_check_name(const char *name, struct errmsg *why) MUST_USE;
