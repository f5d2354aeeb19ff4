/* SPDX-License-Identifier: MIT */
/*
 * A reload: the running program takes what its configuration file says now.
 *
 *   parse --> validate --> diff --> prepare each part --> apply each part
 *
 * Until the first part is applied anything may fail, and then nothing has changed; from there on nothing
 * can. What cannot be changed while the program runs (conf/options.h) stays as it is, and is named. Reads
 * files, and waits for the disk: loop thread of the program, a person's request.
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/diff.h"
#include "conf/snapshot.h"
#include "conf/tunnels_diff.h"

struct sandbox_config;

enum {
    RELOAD_ERRORS_MAX = 24, /* a file's (conf/config.h), and what comes after it */
    RELOAD_PARTS_MAX = 8,
    RELOAD_FILE_MAX = 4096, /* a longer path is cut */
};

struct reload_result;

/* What is about to change. */
struct reload_plan {
    struct snapshot *was, *is; /* of the rows that count at the next start, is has was' values */
    struct options_diff diff;
    struct reload_result *told; /* a part may say more in it, if it is applied */
    bool lacks_secret; /* the file of a server gives none any more: is it able to do without? */
};

/*
 * A part of a program that a reload changes. A further one, as files of clients, is one more row of its
 * program's table.
 */
struct reload_part {
    const char *name; /* what has changed if apply() says so: a word of the log */
    /* Does all that can fail, aside from what is in use. 0, or a negative error with a sentence. NULL: nothing can. */
    int (*prepare)(void *ctx, const struct reload_plan *plan, struct errmsg *why);
    /* Uses what prepare() has made. True: it is another than before, beyond what plan->diff says. */
    bool (*apply)(void *ctx, const struct reload_plan *plan);
    /* Instead of apply(): a later part could not be prepared. NULL: nothing to let go. */
    void (*drop)(void *ctx);
};

/* What came of it. Words are those of tables; the lines of errors are its own. */
struct reload_result {
    char file[RELOAD_FILE_MAX]; /* the configuration file's path; "": there is none */
    char *errors[RELOAD_ERRORS_MAX];
    unsigned errors_count; /* 0: it was done */
    const char *changed[OPTIONS_MAX + RELOAD_PARTS_MAX];
    unsigned changed_count;
    const char *waiting[OPTIONS_MAX]; /* keys that count at the next start */
    unsigned waiting_count;
    bool has_tunnels; /* of a client, and its tunnels are others: so many of each kind */
    struct tunnels_diff tunnels;
};

/*
 * Does it, for a program that runs with options, and count parts; ctx is theirs. True: parts were applied.
 * *ret is the caller's, until reload_result_fini(), in any case.
 */
bool reload_run(struct snapshot *options, const struct reload_part *parts, unsigned count,
                void *ctx, struct reload_result *ret);

/* There is none, for this reason; as above. */
void reload_refuse(struct reload_result *ret, const char *why);

/* Its lines for the log. */
void reload_tell(const struct reload_result *r);

void reload_result_fini(struct reload_result *r);

/* What a reload wants of the cage: to read the configuration file, and what that names, again. Their
   folders must stay readable, as files are replaced. Nothing without a file. */
void reload_cage(const struct snapshot *options, struct sandbox_config *cage);
