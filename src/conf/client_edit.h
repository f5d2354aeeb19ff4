/* SPDX-License-Identifier: MIT */
/*
 * Changes of a client's file (conf/client_entry.h) that a person may have written: the lines of the keys
 * that change are written anew, comments and all other lines stay byte for byte. Where a key is not in a
 * line of its own at the left edge, as in JSON, nothing is changed, and a person has to. Pure.
 */
#pragma once

#include <stddef.h>

#include "base/attr.h"
#include "conf/client_entry.h"

/* What a change has come upon. */
struct client_edit_obstacle {
    const char *key;
    unsigned line; /* where it stands; 0: it would be a new line */
};

/*
 * Makes of the n bytes, a file that says *from, one that says *to. 0: *ret is it, *ret_n bytes and a NUL
 * behind them, the caller's (free). ERR_BADSTATE: *ret_why is what to change by hand. ERR_NOMEM.
 */
int client_edit(const char *bytes, size_t n, const struct client_entry *from,
                const struct client_entry *to, char **ret, size_t *ret_n,
                struct client_edit_obstacle *ret_why) MUST_USE;
