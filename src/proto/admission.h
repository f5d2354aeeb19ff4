/* SPDX-License-Identifier: MIT */
/*
 * Who is connected and has not authenticated yet (D30): at most 256 in all, 64 of one source. A
 * newcomer always gets in; somebody else may be dropped for it:
 *
 *   the source has its share already      its own oldest connection
 *   all places are taken                  one of the source that has the most, see below
 *   more than half of them are            the same, by chance: the probability rises from 0 at half
 *                                         to 1 at the bound (OpenSSH's MaxStartups, which drops the
 *                                         newcomer, however)
 *
 * Dropped is the oldest connection of the source that has the most. Of several such sources, each
 * with its oldest connection, it is drawn from the older half. So a flood drops its own: as long as
 * any source has two or more, nobody who has one loses it. A flood from more sources than places
 * cannot be told from its victims, but it is not sure to hit any: whoever is quick is not yet in
 * the older half, as so many newcomers as a half has must come after him before he is, and who is slow
 * stays with luck, where dropping the oldest would always hit him. And as it begins at half, a flood
 * that pauses leaves places.
 *
 * Sources that are to lose nothing to strangers are counted in an admission of their own, without
 * chance. There a newcomer may have to wait instead, until it would drop nobody who is spared: who is in the
 * midst of a handshake. So clients that come back all at once do not push each other out again and again.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/mtime.h"
#include "base/rng.h"

enum {
    ADMISSION_MAX = 256,       /* each may hold a TLS state of some 50 KB: 13 MB in all */
    ADMISSION_SOURCE_MAX = 64, /* clients behind one NAT that come back after an outage */
};

struct admission_group;

/* Embedded in what the caller keeps for a connection; zeroed means "not counted". */
struct admission_entry {
    /* private */
    struct list node;              /* in group->entries */
    struct list by_age;            /* in admission->all */
    struct admission_group *group; /* NULL: not counted */
    const char *source;            /* the caller's text */
    mtime_ms spared_until;
};

/* One source and its entries, the oldest first. */
struct admission_group {
    struct list entries;
    const char *source; /* the newest entry's text; NULL: the place is free */
    uint64_t key;
    uint32_t count;
};

struct admission {
    /* private */
    struct admission_group groups[ADMISSION_MAX];
    struct list all; /* entries, the oldest first */
    struct rng *rng;
    uint32_t count;
    uint32_t max, source_max;
};

/* rng must live as long as a; NULL: nothing happens by chance, and the oldest goes, at the bound. a must
   not move in memory afterwards. */
void admission_init(struct admission *a, struct rng *rng);

/* Fewer places: max in all, at most ADMISSION_MAX, and source_max of one source, both at least 1.
   Right after admission_init(). */
void admission_limit(struct admission *a, uint32_t max, uint32_t source_max);

/*
 * Counts a new connection, e, which is not counted yet, of a source: any text that stands for "the
 * same peer", which must stay as it is while e is counted. Returns NULL, or the entry that must go
 * for it: already taken out of the count, the caller closes its connection. Never fails. Costs a
 * few looks at 256 small entries.
 */
struct admission_entry *admission_add(struct admission *a, struct admission_entry *e,
                                      const char *source) MUST_USE;

/* e, which is counted, is spared until then: see admission_room_at(). */
void admission_spare(struct admission_entry *e, mtime_ms until);

/*
 * From when on admission_add() drops nobody who is spared, as things are: 0: now. Who would go for the
 * newcomer is not spared if his source has more than twice the places that the newcomer's would have then:
 * nobody keeps others waiting with many. Only of an admission without chance.
 */
mtime_ms admission_room_at(struct admission *a, const char *source);

/* The connection has authenticated or is gone. Harmless if e is not counted. */
void admission_remove(struct admission *a, struct admission_entry *e);
