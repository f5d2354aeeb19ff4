/* SPDX-License-Identifier: MIT */
/*
 * Who is connected and has not authenticated yet (D30): at most 256 in all, 64 of one source. A
 * newcomer always gets in; beyond a limit somebody else is dropped for it:
 *
 *   the source has its share already      its own oldest connection
 *   all places are taken                  the oldest connection of the source that has the most
 *                                         (of several such sources the one with the oldest)
 *
 * So a flood drops its own connections: as long as any source has two or more, nobody who has one
 * loses it, and a flood from fewer than 256 sources never drops an honest newcomer's only one. A
 * flood from more sources than places drops the oldest first; against that only the number of
 * connections a second helps.
 */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"

enum {
    ADMISSION_MAX = 256,       /* each may hold a TLS state of some 50 KB: 13 MB in all */
    ADMISSION_SOURCE_MAX = 64, /* clients behind one NAT that come back after an outage */
};

struct admission_group;

/* Embedded in what the caller keeps for a connection; zeroed means "not counted". */
struct admission_entry {
    /* private */
    struct list node;              /* in group->entries */
    struct admission_group *group; /* NULL: not counted */
    const char *source;            /* the caller's text */
    uint64_t order;                /* of arrival */
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
    uint64_t order;
    uint32_t count;
    uint32_t max, source_max;
};

/* a must not move in memory afterwards. */
void admission_init(struct admission *a);

/* Fewer places: max in all, at most ADMISSION_MAX, and source_max of one source, both at least 1.
   Right after admission_init(). */
void admission_limit(struct admission *a, uint32_t max, uint32_t source_max);

/*
 * Counts a new connection, e, which is not counted yet, of a source: any text that stands for "the
 * same peer", which must stay as it is while e is counted. Returns NULL, or the entry that must go
 * for it: already taken out of the count, the caller closes its connection. Never fails. Costs a
 * look at 256 small entries.
 */
struct admission_entry *admission_add(struct admission *a, struct admission_entry *e,
                                      const char *source) MUST_USE;

/* The connection has authenticated or is gone. Harmless if e is not counted. */
void admission_remove(struct admission *a, struct admission_entry *e);
