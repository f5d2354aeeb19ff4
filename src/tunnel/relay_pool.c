/* SPDX-License-Identifier: MIT */
/*
 * What all relays of one loop share: their number and its quota, the deadlines of the half-closed
 * ones, the reaper that frees at the end of a turn, the discarder of what nobody wants.
 */
#include <stdlib.h>
#include <string.h>

#include "base/quota.h"
#include "tunnel/relay_internal.h"

/* ---- the dead ---- */

static void pool_reap(struct loop_job *job)
{
    struct relays *rs = CONTAINER_OF(job, struct relays, reaper);
    for (struct list *n; (n = list_first(&rs->dead));) {
        struct relay *r = LIST_ENTRY(n, struct relay, half_closed);
        list_del(n);
        free(r);
    }
    if (rs->made_room) {
        rs->made_room = false;
        if (rs->on_room)
            rs->on_room(rs->ctx);
    }
    if (rs->count == 0 && rs->on_empty)
        rs->on_empty(rs->ctx);
}

void relay_pool_bury(struct relay *r)
{
    struct relays *rs = r->rs;
    list_move(&rs->dead, &r->half_closed);
    rs->count--;
    if (quota_give(rs->quota))
        rs->made_room = true;
    loop_defer(rs->loop, &rs->reaper);
}

/* ---- half-closed relays have a time limit ---- */

static void pool_on_timer(uv_timer_t *t);

static void pool_arm(struct relays *rs, mtime_ms at)
{
    mtime_ms now = loop_now(rs->loop);
    if (at >= rs->timer_at)
        return;
    rs->timer_at = at;
    uv_timer_start(&rs->timer, pool_on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

/* Cuts those whose time has come. */
static void pool_cut_silent(struct relays *rs, const struct list *l)
{
    for (struct list *n; (n = list_first(l));) {
        struct relay *r = LIST_ENTRY(n, struct relay, half_closed);
        if (r->cut_at > loop_now(rs->loop)) {
            pool_arm(rs, r->cut_at);
            return;
        }
        if (r->link && link_is_detached(r->link))
            relay_pool_touch(r); /* nothing can move: its time begins again */
        else
            relay_reset(r, SMUX_RST_IDLE_TIMEOUT);
    }
}

static void pool_on_timer(uv_timer_t *t)
{
    struct relays *rs = t->data;
    rs->timer_at = MTIME_NEVER;
    for (size_t i = 0; i < ARRAY_LEN(rs->half_closed); i++)
        pool_cut_silent(rs, &rs->half_closed[i]);
}

void relay_pool_touch(struct relay *r)
{
    struct relays *rs = r->rs;
    if (!relay_is_half_closed(r))
        return;
    bool exact = r->link && link_is_exact(r->link);
    r->cut_at = loop_now(rs->loop) + (exact ? RELAY_HALF_CLOSED_EXACT_MS : RELAY_HALF_CLOSED_MS);
    list_move(&rs->half_closed[exact], &r->half_closed);
    pool_arm(rs, r->cut_at);
}

/* ---- life ---- */

int relays_init(struct relays *rs, struct loop *loop, struct quota *quota)
{
    memset(rs, 0, sizeof *rs);
    rs->scratch = malloc(RELAYS_SCRATCH_BYTES);
    if (!rs->scratch)
        return ERR_NOMEM;
    rs->loop = loop;
    rs->quota = quota;
    rs->windows.max = RELAYS_WINDOW_BYTES;
    rs->replay.max = RELAYS_REPLAY_BYTES;
    list_init(&rs->half_closed[0]);
    list_init(&rs->half_closed[1]);
    rs->timer_at = MTIME_NEVER;
    list_init(&rs->dead);
    list_init(&rs->discarding);
    loop_job_init(&rs->reaper, pool_reap);
    loop_job_init(&rs->discarder, relay_up_discard_all);
    uv_timer_init(&loop->uv, &rs->timer);
    rs->timer.data = rs;
    return 0;
}

void relays_cut_orphans(struct relays *rs)
{
    for (size_t i = 0; i < ARRAY_LEN(rs->half_closed); i++)
        for (struct list *n; (n = list_first(&rs->half_closed[i]));)
            relay_reset(LIST_ENTRY(n, struct relay, half_closed), SMUX_RST_SHUTDOWN);
}

void relays_fini(struct relays *rs)
{
    pool_reap(&rs->reaper);
    loop_cancel(&rs->reaper);
    loop_cancel(&rs->discarder);
    uv_close((uv_handle_t *)&rs->timer, NULL);
    free(rs->scratch);
}
