/* SPDX-License-Identifier: MIT */
/*
 * `gotunnel join -save`: a configuration file, and the join string in a file beside it.
 *
 * They are written when the tunnels are open, with the ports that they have, so that the addresses stay. By
 * then the client is in its cage (app/sandbox.h), which can write no such files; so a second process is made
 * before, which waits for the text, writes it to two places that it knows from its beginning, answers, and ends.
 * It ends with the client, too. The text lies in memory that both have, and a few bytes say that it is there: so the
 * client waits for nothing, whatever the other process does.
 *
 * Both files are whole or not there, for their owner alone, and never written over another.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/join.h"
#include "net/loop.h"

enum { SAVE_FLAGS_MAX = 8192 }; /* bytes of the lines of flags */

struct client;

/* Told once, when the files are there, or why not: text, with err < 0. */
typedef void (*save_done_fn)(void *ctx, int err, const char *text);

struct saver {
    char path[PATH_MAX];        /* of the configuration file, as the user wrote it */
    char join_path[PATH_MAX];   /* of the string's: beside it, or the one of -join-file, absolute */
    bool has_join_file;         /* that one is there already */
    char flags[SAVE_FLAGS_MAX]; /* lines for what the command line says besides */
    /* private */
    char join[JOIN_BUF];
    int request, reply; /* to the second process, and from it; -1: none */
    int text;           /* what it is to write; -1: none */
    struct poller_source source;
    struct loop *loop;
    save_done_fn done;
    void *ctx;
};

/*
 * Where s->path shall be: finds the other names. join_file: that of -join-file; "" and "-": none. 0, or a
 * negative error with a sentence: a file is there already, the folder is not, cannot be written to, or is one
 * that `client -config` trusts nothing in: root's files in it would be its owner's.
 */
int save_prepare(struct saver *s, const char *join_file, struct errmsg *why) MUST_USE;

/* A row of the command line that a file can say as well (conf/options.h), as `key: value`. Returns how many of the argc
   arguments at argv were looked at: 1 or 2; *ret_err: ERR_LIMIT: no room. */
int save_flag(struct saver *s, int argc, char **argv, int *ret_err);

/* Makes the second process; there is one thread only. 0, ERR_IO, ERR_NOMEM, ERR_LIMIT. */
int save_begin(struct saver *s, const struct join *join) MUST_USE;

/* Hands it what the client is now; done follows, from its loop. */
void save_write(struct saver *s, struct client *c, save_done_fn done, void *ctx);

/* The client ends: nothing is told any more. Harmless before save_begin(), if both descriptors are -1. */
void save_end(struct saver *s);
