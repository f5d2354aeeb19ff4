/* SPDX-License-Identifier: MIT */
/*
 * Servers that have spoken gotunnel/2 with this user, by the key of their CA. One of them that knows
 * only the legacy wire later, in which the secret itself is sent, is more likely an impostor.
 *
 * They are kept in the file `servers` of the state folder (client/state.h), 64 hex digits and a line
 * feed for each, and never taken out: who means it removes the file, or says -legacy allow. It is
 * opened at the start and only appended to, so several clients may share it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum {
    PIN_BYTES = 32,
    PINS_RUN_MAX = 8, /* of this run: a -ca file may have several CAs; then the oldest goes */
    PINS_FILE_MAX = 64 * 1024, /* bytes, a thousand servers; a fuller file gets no more */
};

struct pins {
    /* private */
    int fd;                 /* -1: there is no file, ... */
    struct errmsg why_none; /* ... because of this */
    uint8_t keys[PINS_RUN_MAX][PIN_BYTES];
    unsigned count; /* ever added; at most PINS_RUN_MAX of them are kept */
};

/* Opens the file, and makes it where it is missing. Without one, pins are of this run. May block on
   the disk, as the functions below. */
void pins_init(struct pins *p);

/* Has this server spoken gotunnel/2? */
bool pins_has(const struct pins *p, const uint8_t key[PIN_BYTES]);

/* It does. 0; or, the first time of this run, an error with a sentence: it could not be kept. */
int pins_add(struct pins *p, const uint8_t key[PIN_BYTES], struct errmsg *why) MUST_USE;

void pins_fini(struct pins *p);
