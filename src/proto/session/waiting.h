/* SPDX-License-Identifier: MIT */
/*
 * How much may wait for peers that do not take it, bounded by the bytes it holds: sessions of the
 * server whose clients are away, streams whose readers stand still. Pure; who is named as a victim
 * is ended by the caller.
 *
 * Each counts at least a floor. Beyond the limit the source that holds most pays: first with what
 * has no connections, then with the others, each time the one that has waited longest. So one
 * client cannot push out another's, and a blip with a thousand idle clients behind one address
 * loses none (16 MB).
 *
 * What waits on account of one client, whoever its users are, leaves a part of the limit for the
 * others: beyond it that of its sources pays which holds most of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"

enum {
    WAITING_SOURCES = 8192, /* counted each for itself; more may wait, but some share an account */
    WAITING_LOOK_MAX = 256, /* accounts looked at for a source, from its hash on; if all are
                               others', the last one is shared: sources that collide on purpose cost
                               no more time, and are one source then */
    WAITING_FLOOR_BYTES = 16 << 10, /* structs, tables, sockets of a session that holds nothing */
    WAITING_MAX_BYTES = 256 << 20,  /* of all waiting sessions of a process: 16,384 idle ones, or 16
                                       whose rings are full; an abuser who detaches sessions with
                                       full rings loses his own */
    WAITING_CLIENTS = 1024,         /* as WAITING_SOURCES */
    /* One client leaves such a part of the limit, as it does of descriptors (proto/account.h): many
       users with addresses of their own, who help a client, cannot push out all others'. */
    WAITING_OTHERS_PART = 8,
};

/* Embedded in what the owner keeps for a session; zeroed: does not wait. */
struct waiting_entry {
    /* private */
    struct list node;                 /* in its account, the one that has waited longest first */
    struct waiting_account *account;  /* NULL: does not wait */
    struct waiting_client *of_client; /* NULL: no client's, or does not wait */
    uint64_t source, bytes, client;
    uint32_t streams;
};

struct waiting {
    /* private */
    struct waiting_account {
        struct list entries;
        uint64_t bytes; /* 0: nobody's, and entries is not set */
    } accounts[WAITING_SOURCES];
    struct waiting_client {
        uint64_t client, bytes;
        uint32_t count; /* 0: nobody's */
    } clients[WAITING_CLIENTS];
    uint64_t bytes, max;
    uint32_t floor, count;
    uint32_t exceeding; /* clients that hold more than they may */
};

/* w is zeroed; it must not move afterwards. max: bytes of all together. floor: what each counts at
   least, 1 or more. */
void waiting_init(struct waiting *w, uint64_t max, uint32_t floor);

/* Nothing waits: another limit. */
void waiting_limit(struct waiting *w, uint64_t max);

/* From when it next begins to wait, e does so on account of a client: a number that stands for it (for
   its address: it may have as many ids as it likes). 0, the default: of none. Nothing changes while e
   waits. */
static inline void waiting_set_client(struct waiting_entry *e, uint64_t client)
{
    e->client = client;
}

/* e begins to wait, or what it holds has changed. source: a number that stands for "the same peer"
   (proto/hash.h), the same one while e waits. bytes: held for it. streams: its running connections.
 */
void waiting_put(struct waiting *w, struct waiting_entry *e, uint64_t source, uint64_t bytes,
                 uint32_t streams);

/* Some of it was taken: it has waited shortest of its source. e waits. */
void waiting_moved(struct waiting_entry *e);

/* It does not wait any more. Harmless if it did not. */
void waiting_remove(struct waiting *w, struct waiting_entry *e);

/* More waits than may, in all or of one client. */
static inline bool waiting_exceeds(const struct waiting *w)
{
    return w->bytes > w->max || w->exceeding > 0;
}

/* What all together count. */
static inline uint64_t waiting_bytes(const struct waiting *w)
{
    return w->bytes;
}

/* The next one that has to go while a limit is exceeded, taken out; NULL: it is kept. Never the
   last one, nor the last one of a client for that one's sake: a single session may hold what its own
   bounds allow. */
struct waiting_entry *waiting_victim(struct waiting *w) MUST_USE;
