/* SPDX-License-Identifier: MIT */
/*
 * When clients with keys of their own were here last, by name, and the text in which that is kept over a
 * restart:
 *
 *   gotunnel last-seen 1
 *   laptop 1800000000
 *
 * Pure, and bounded: beyond LAST_SEEN_MAX the one goes whose time is longest ago. Who is there is looked up by name
 * for each client again and again, so nobody is looked for among all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "proto/hello.h"

enum {
    LAST_SEEN_MAX = 4096,
    LAST_SEEN_LINE_MAX = HELLO_ID_MAX + 22, /* with blank, 20 digits and LF */
    LAST_SEEN_BUCKETS = 1024,
    LAST_SEEN_FILE_MAX = LAST_SEEN_LINE_MAX * (LAST_SEEN_MAX + 1),
};

#define LAST_SEEN_AT_MAX                                                                           \
    INT64_C(253402300799) /* the last second of 9999, as conf/utc.h can say it */

struct last_seen_entry {
    char name[HELLO_ID_MAX + 1];
    int64_t at; /* seconds since 1970 */
    /* private */
    uint32_t next; /* in its bucket: see there */
};

/* {0} is an empty one. */
struct last_seen {
    struct last_seen_entry *list; /* count of them, in no order */
    size_t count;
    /* private */
    size_t room;
    uint32_t buckets[LAST_SEEN_BUCKETS]; /* by hash of the name: place in list + 1; 0: nobody */
};

void last_seen_fini(struct last_seen *t);

/* The client was here at a time, 0 to LAST_SEEN_AT_MAX: an earlier one than is known changes nothing. name is an id (proto/hello.h).
   Returns whether it was not in the table. Without memory it is left out. */
bool last_seen_note(struct last_seen *t, const char *name, int64_t at);

/* When it was here, -1: that is not known. */
int64_t last_seen_at(const struct last_seen *t, const char *name);

/* The text: *ret_n bytes, the caller's. NULL without memory. */
char *last_seen_write(const struct last_seen *t, size_t *ret_n) MUST_USE;

/* Adds what n bytes of text say. 0; ERR_INVAL: it is none, or damaged, and nothing has changed. */
int last_seen_parse(struct last_seen *t, const char *text, size_t n) MUST_USE;
