/* SPDX-License-Identifier: MIT */
/*
 * The options of a program as they were read once: immutable and counted. Whoever needs them for
 * longer than a call takes a reference of its own, so that others can take their place while
 * sessions that began with these keep them. Nothing in it points into argv.
 *
 *   snapshot_new() --> a draft, which flags_parse() fills --> snapshot_seal() --> shared, const
 *                        \--snapshot_keep()--> what the command line alone says
 *                                                 \--snapshot_again()--> a draft for a reload
 */
#pragma once

#include "base/attr.h"
#include "conf/options.h"

struct snapshot;

/* A draft with the defaults of m (server_mode, client_mode, or one that has their struct). One reference. NULL without memory. */
struct snapshot *snapshot_new(const struct mode *m);

/* The struct of its mode's options, to be filled; its strings may point into argv. Not after
   snapshot_seal(). */
void *snapshot_draft(struct snapshot *s);

/* What the draft says now is what the command line alone says: a copy of it stays, for
   snapshot_again(). Once, before anything else is read into it. 0 or ERR_NOMEM. */
int snapshot_keep(struct snapshot *s) MUST_USE;

/* A draft that says what the command line of s alone did; its strings live as long as it does. One
   reference. NULL: no memory, or nothing was kept. */
struct snapshot *snapshot_again(const struct snapshot *s);

/* Whose options it has. */
const struct mode *snapshot_mode(const struct snapshot *s);

/* The command line says the option: a file cannot change it. */
bool snapshot_is_given(const struct snapshot *s, const char *name);

/* Strings become copies of its own; from now on nothing changes. 0, or ERR_NOMEM: still a draft, good
   for snapshot_unref() only. */
int snapshot_seal(struct snapshot *s) MUST_USE;

/* One owner more; returns s. Any thread. NULL is fine. */
struct snapshot *snapshot_ref(struct snapshot *s);

/* One owner less; the last one's call wipes the secret and frees everything. NULL is fine. Any
   thread. */
void snapshot_unref(struct snapshot *s);

/* What it says; valid while the caller has a reference. Of a draft only snapshot_common(). */
const struct common_options *snapshot_common(const struct snapshot *s);
const struct server_options *snapshot_server(const struct snapshot *s);
const struct client_options *snapshot_client(const struct snapshot *s);
