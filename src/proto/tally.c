/* SPDX-License-Identifier: MIT */
#include "proto/tally.h"

#include <assert.h>
#include <stdlib.h>

struct tally *tally_new(uint32_t key)
{
    struct tally *t = calloc(1, sizeof *t);
    if (t) {
        t->key = key;
        t->refs = 1;
    }
    return t;
}

struct tally *tally_take(struct tally *t)
{
    t->refs++;
    t->all++;
    return t;
}

void tally_give(struct tally *t)
{
    if (!t)
        return;
    assert(t->refs > 0);
    if (--t->refs == 0)
        free(t);
}

uint32_t tally_running(const struct tally *t)
{
    return t->refs - 1;
}

void tally_bad(struct tally *t, enum tally_error error, mtime_ms now)
{
    assert(error != TALLY_OK);
    t->error = error;
    t->failed_at = now;
    t->failed++;
    if (error != TALLY_BUSY && error != TALLY_NO_SERVICE)
        t->is_bad = true;
}

void tally_turned_away(struct tally *t, enum tally_error error, mtime_ms now)
{
    t->all++;
    tally_bad(t, error, now);
}

const char *tally_word(enum tally_error error)
{
    static const char *const words[TALLY_ERRORS] = {
        [TALLY_OK] = "",
        [TALLY_REFUSED] = "refused",
        [TALLY_TIMEOUT] = "timeout",
        [TALLY_RESET] = "reset",
        [TALLY_UNKNOWN] = "unknown-host",
        [TALLY_UNREACHABLE] = "unreachable",
        [TALLY_BUSY] = "busy",
        [TALLY_NO_SERVICE] = "no-service",
    };
    return words[error];
}
