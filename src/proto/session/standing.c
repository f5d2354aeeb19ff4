/* SPDX-License-Identifier: MIT */
/* What a client says of itself in an open: see standing.h. */
#include "proto/session/standing.h"

#include <string.h>

void standing_init(struct standing *s)
{
    *s = (struct standing){0};
}

static struct standing_entry *find(struct standing *s, const uint8_t *nonce)
{
    for (unsigned i = 0; i < s->count; i++)
        if (memcmp(s->entries[i].nonce, nonce, HELLO_NONCE_BYTES) == 0)
            return &s->entries[i];
    return NULL;
}

static void forget(struct standing *s, struct standing_entry *e)
{
    if (!e)
        return;
    size_t behind = s->count - 1 - (size_t)(e - s->entries);
    memmove(e, e + 1, behind * sizeof *e);
    s->count--;
}

void standing_say(const struct standing *s, bool *ret_take, struct hello_nonces *ret_mine)
{
    ret_mine->count = 0;
    for (unsigned i = 0; i < s->count; i++)
        if (!s->entries[i].resuming)
            memcpy(ret_mine->nonces[ret_mine->count++], s->entries[i].nonce, HELLO_NONCE_BYTES);
    *ret_take = !s->accepted;
}

/* The one that is missed least: the oldest that is neither the latest accepted one nor being
   resumed; if all are kept for that, the oldest. */
static struct standing_entry *least(struct standing *s)
{
    const struct standing_entry *latest = NULL;
    for (unsigned i = 0; i < s->count && !latest; i++)
        if (s->entries[i].accepted)
            latest = &s->entries[i];
    for (unsigned i = s->count; i-- > 0;)
        if (!s->entries[i].resuming && &s->entries[i] != latest)
            return &s->entries[i];
    return &s->entries[s->count - 1];
}

void standing_asked(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    if (s->count == HELLO_MINE_MAX)
        forget(s, least(s));
    memmove(&s->entries[1], &s->entries[0], s->count * sizeof s->entries[0]);
    s->entries[0] = (struct standing_entry){.accepted = false};
    memcpy(s->entries[0].nonce, nonce, HELLO_NONCE_BYTES);
    s->count++;
}

void standing_accepted(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    struct standing_entry *e = find(s, nonce);
    s->accepted = true;
    if (e)
        e->accepted = true;
}

void standing_refused(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    forget(s, find(s, nonce));
}

void standing_resuming(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES], bool resuming)
{
    struct standing_entry *e = find(s, nonce);
    if (e)
        e->resuming = resuming;
}

void standing_over(struct standing *s, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    forget(s, find(s, nonce));
}
