/* SPDX-License-Identifier: MIT */
/*
 * What a socket would not take waits here, and how much of it all relays of a loop may hold. A
 * reader that stands still costs memory: of one its stream's window, of thousands what a machine
 * has. So it is accounted by source and by client, and beyond a bound the source that holds most
 * loses the connection that has stood still for longest (proto/session/waiting.h).
 */
#include <stdlib.h>

#include "base/event.h"
#include "base/memory.h"
#include "tunnel/relay_internal.h"

enum {
    GIVE_BACK_BYTES = 4 << 20, /* less is not worth the walk through the heap */
    GIVE_BACK_PART = 4,
};

struct late {
    struct backlog bytes;
    struct waiting_entry entry; /* in rs->late */
    struct relay *relay;
};

size_t relay_late_bytes(const struct relay *r)
{
    return r->late ? r->late->bytes.len : 0;
}

/* What was late and is not any more is freed, but the C library keeps it: after a crowd of slow
   readers as much as -memory. So when most of a large crowd has gone it goes back to the system. */
static void late_note(struct relays *rs)
{
    uint64_t held = waiting_bytes(rs->late);
    if (held > rs->late_most)
        rs->late_most = held;
    if (rs->late_most < GIVE_BACK_BYTES || held > rs->late_most / GIVE_BACK_PART)
        return;
    rs->late_most = held;
    loop_defer(rs->loop, &rs->giver);
}

void relay_late_give_back(struct loop_job *job)
{
    (void)job;
    memory_give_back();
}

static void late_check(struct relays *rs)
{
    late_note(rs);
    if (waiting_exceeds(rs->late))
        loop_defer(rs->loop, &rs->shedder);
}

void relay_late_count(struct relay *r)
{
    uint64_t held = r->late->bytes.cap + (uint64_t)r->unsent * UNSENT_FIRST;
    waiting_put(r->rs->late, &r->late->entry, relay_source(r), held, 1);
    late_check(r->rs);
}

int relay_late_put(struct relay *r, const void *p, size_t n)
{
    struct late *late = r->late;
    if (n == 0)
        return 0;
    if (!late) {
        late = calloc(1, sizeof *late);
        if (!late)
            return ERR_NOMEM;
        late->relay = r;
        waiting_set_client(&late->entry, r->session ? r->session->client : 0);
    }
    uint32_t cap = late->bytes.cap;
    int err = backlog_put(&late->bytes, p, n);
    if (err < 0) {
        if (!r->late)
            free(late);
        return err;
    }
    r->late = late;
    if (late->bytes.cap != cap)
        relay_late_count(r);
    else
        late_check(r->rs);
    return 0;
}

int relay_late_pieces(const struct relay *r, struct iovec ret[2])
{
    return r->late ? backlog_pieces(&r->late->bytes, ret) : 0;
}

void relay_late_drop(struct relay *r, size_t n)
{
    if (n == 0)
        return;
    backlog_drop(&r->late->bytes, n);
    if (r->late->bytes.len == 0)
        relay_late_clear(r);
    else
        waiting_moved(&r->late->entry);
}

void relay_late_clear(struct relay *r)
{
    if (!r->late)
        return;
    waiting_remove(r->rs->late, &r->late->entry);
    backlog_clear(&r->late->bytes);
    free(r->late);
    r->late = NULL;
    late_note(r->rs);
}

/* ---- too much waits ---- */

void relay_late_tell(struct relays *rs)
{
    mtime_ms now = loop_now(rs->loop);
    if (rs->shed == 0 || now < rs->shed_told_at)
        return;
    event_readers_shed(rs->shed);
    rs->shed = 0;
    rs->shed_told_at = now + RELAYS_SHED_LINE_MS;
}

void relay_late_shed(struct loop_job *job)
{
    struct relays *rs = CONTAINER_OF(job, struct relays, shedder);
    for (struct waiting_entry *e; (e = waiting_victim(rs->late));) {
        relay_reset(CONTAINER_OF(e, struct late, entry)->relay, SMUX_RST_STALLED);
        rs->shed++;
    }
    relay_late_tell(rs);
    if (rs->shed > 0)
        relay_pool_tell_at(rs, rs->shed_told_at);
}
