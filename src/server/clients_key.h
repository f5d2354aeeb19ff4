/* SPDX-License-Identifier: MIT */
/*
 * A client's new key and its join string: made, put where they belong, and undone. Used by `gotunnel clients` and by
 * `gotunnel up`. What is wrong is said on stderr.
 */
#pragma once

#include "base/attr.h"
#include "conf/join.h"
#include "server/clients_cmd.h"

/* In the place of the server's name where nobody knows it. */
#define CLIENTS_NO_NAME "YOUR-NAME"

enum { CLIENTS_PORT = 7000, CLIENTS_KEY_FILE_BUF = CLIENT_ENTRY_NAME_MAX + 8 };

/* A key that is new: what goes to the client, and what stays. Secret: who has one wipes it. */
struct clients_key {
    struct join join;
    char string[JOIN_BUF]; /* of it */
    char key[CLIENT_ENTRY_KEY_MAX + 1];
    bool is_nameless;     /* where the server is nobody knows */
    unsigned public_port; /* one to ask for; 0: the server may choose, or there is none */
};

/*
 * Where the client w->line.name is to find the server, into k->join: w->line.public_name, or an address of this
 * machine; its port is w->port if the name has none. Makes nothing. An exit status: EXIT_STATUS_USAGE if the name is
 * none.
 */
int clients_key_find(const struct clients_work *w, struct clients_key *k) MUST_USE;

/*
 * Makes the client w->line.name with the rights w->line.entry, which gets its key, in the folder w->dir, open for
 * changes. Unless stdout is a terminal, where the caller shows k->string, the string goes to a file. An exit status;
 * without success there is neither the client nor the file.
 */
int clients_key_add(struct clients_work *w, struct clients_key *k, bool is_terminal) MUST_USE;

/* Removes a file of clients_key_add() whose client was never made, as the process was ended in between. The client must
   not be there. Whatever else has that name stays. An exit status. */
int clients_key_clear(const struct clients_work *w) MUST_USE;

/* Takes back what clients_key_add() has just made, as far as it can. */
void clients_key_undo(const struct clients_work *w, bool is_terminal);

/* The name of the file that has the string, in the working directory. */
void clients_key_file(const struct clients_work *w, char ret[CLIENTS_KEY_FILE_BUF]);
