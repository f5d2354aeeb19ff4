/* SPDX-License-Identifier: MIT */
/*
 * What all relays of one loop share: their number and its quota, the deadlines of the half-closed
 * ones, the reaper that frees at the end of a turn, the discarder of what nobody wants.
 */
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/quota.h"
#include "net/sock.h"
#include "tunnel/relay_internal.h"

/* ---- the dead ---- */

static void pool_reap(struct loop_job *job)
{
    struct relays *rs = CONTAINER_OF(job, struct relays, reaper);
    for (struct list *n; (n = list_first(&rs->dead));) {
        struct relay *r = LIST_ENTRY(n, struct relay, cut);
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
    list_move(&rs->dead, &r->cut);
    rs->count--;
    if (quota_give(rs->quota))
        rs->made_room = true;
    loop_defer(rs->loop, &rs->reaper);
}

/* ---- those that are half closed, or have failed, have a time limit ---- */

static void pool_on_timer(uv_timer_t *t);

static void pool_arm(struct relays *rs, mtime_ms at)
{
    mtime_ms now = loop_now(rs->loop);
    if (at >= rs->timer_at)
        return;
    rs->timer_at = at;
    uv_timer_start(&rs->timer, pool_on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

void relay_pool_tell_at(struct relays *rs, mtime_ms at)
{
    pool_arm(rs, at);
}

/* The relay's time begins now. */
static void pool_cut_later(struct relay *r, enum relay_cut kind)
{
    struct relays *rs = r->rs;
    r->cut_at = loop_now(rs->loop) + rs->cut_after[kind];
    list_move(&rs->cuts[kind], &r->cut);
    pool_arm(rs, r->cut_at);
}

void relay_pool_log_cut(struct relay *r, bool by_us)
{
    struct relays *rs = r->rs;
    char with[SOCK_NAME_MAX];
    unsigned left_out;
    if (!log_budget_take(&rs->cut_lines, loop_now(rs->loop), &left_out))
        return; /* users make them, so they are bounded */
    if (left_out > 0)
        event_half_closed_left_out(left_out);
    const char *peer = r->session ? session_name(r->session) : "-";
    bool is_v2 = r->session && session_is_v2(r->session);
    int kind = is_v2 ? RELAY_CUT_HALF_CLOSED_V2 : RELAY_CUT_HALF_CLOSED;
    struct address there = sock_peer_address(r->socket.fd);
    sock_address_name(with, &there);
    if (by_us)
        event_half_closed_cut(peer, with, (int)(rs->cut_after[kind] / 1000));
    else
        event_half_closed_cut_there(peer, with);
}

static void pool_cut(struct relay *r, enum relay_cut kind)
{
    bool detached = r->session && session_is_detached(r->session);
    if (kind == RELAY_CUT_FAILED) {
        if (r->up == UP_READING && !detached)
            pool_cut_later(r, kind); /* its turn comes; no more can have come meanwhile */
        else
            relay_reset(r, SMUX_RST_PEER_RESET);
    } else if (detached) {
        pool_cut_later(r, kind); /* nothing can move */
    } else {
        relay_pool_log_cut(r, true);
        relay_reset(r, SMUX_RST_IDLE_TIMEOUT);
    }
}

/* Cuts those of one kind whose time has come. */
static void pool_cut_due(struct relays *rs, enum relay_cut kind)
{
    for (struct list *n; (n = list_first(&rs->cuts[kind]));) {
        struct relay *r = LIST_ENTRY(n, struct relay, cut);
        if (r->cut_at > loop_now(rs->loop)) {
            pool_arm(rs, r->cut_at);
            return;
        }
        pool_cut(r, kind);
    }
}

static void pool_on_timer(uv_timer_t *t)
{
    struct relays *rs = t->data;
    rs->timer_at = MTIME_NEVER;
    for (int kind = 0; kind < RELAY_CUT_KINDS; kind++)
        pool_cut_due(rs, kind);
    relay_late_tell(rs);
    if (rs->shed > 0)
        pool_arm(rs, rs->shed_told_at);
    relay_short_tell(rs);
    if (rs->short_cut > 0)
        pool_arm(rs, rs->short_told_at);
}

/* Half closed it keeps what it has: it is cut if nothing moves. */
static void pool_idle_later(struct relay *r)
{
    if (r->unsent <= 1)
        return;
    r->cut_at = loop_now(r->rs->loop) + RELAYS_UNSENT_IDLE_MS;
    list_move(&r->rs->unsent_by, &r->cut);
}

void relay_pool_touch(struct relay *r)
{
    if (r->failed)
        return;
    if (!relay_is_half_closed(r)) {
        pool_idle_later(r);
        return;
    }
    bool is_v2 = r->session && session_is_v2(r->session);
    pool_cut_later(r, is_v2 ? RELAY_CUT_HALF_CLOSED_V2 : RELAY_CUT_HALF_CLOSED);
}

void relay_pool_failed(struct relay *r)
{
    pool_cut_later(r, RELAY_CUT_FAILED);
}

/* ---- life ---- */

static const mtime_ms cut_after[] = {
    [RELAY_CUT_HALF_CLOSED] = RELAY_HALF_CLOSED_MS,
    [RELAY_CUT_HALF_CLOSED_V2] = RELAY_HALF_CLOSED_V2_MS,
    [RELAY_CUT_FAILED] = RELAY_LAST_WORDS_MS,
};

int relays_init(struct relays *rs, struct loop *loop, struct quota *quota)
{
    memset(rs, 0, sizeof *rs);
    rs->scratch = malloc(RELAYS_SCRATCH_BYTES);
    rs->late = calloc(1, sizeof *rs->late); /* 220 KB, of which a page is used for each account */
    if (!rs->scratch || !rs->late) {
        free(rs->scratch);
        free(rs->late);
        return ERR_NOMEM;
    }
    waiting_init(rs->late, RELAYS_LATE_BYTES, RELAYS_LATE_FLOOR);
    rs->loop = loop;
    rs->quota = quota;
    rs->windows.max = RELAYS_WINDOW_BYTES;
    rs->replay.max = RELAYS_REPLAY_BYTES;
    rs->unsent.max = RELAYS_LATE_BYTES / RELAYS_UNSENT_PART;
    for (int kind = 0; kind < RELAY_CUT_KINDS; kind++) {
        list_init(&rs->cuts[kind]);
        rs->cut_after[kind] = cut_after[kind];
    }
    rs->timer_at = MTIME_NEVER;
    list_init(&rs->unsent_by);
    list_init(&rs->dead);
    list_init(&rs->discarding);
    list_init(&rs->paused);
    loop_job_init(&rs->reaper, pool_reap);
    loop_job_init(&rs->discarder, relay_up_discard_all);
    loop_job_init(&rs->shedder, relay_late_shed);
    loop_job_init(&rs->giver, relay_late_give_back);
    uv_timer_init(&loop->uv, &rs->timer);
    rs->timer.data = rs;
    return 0;
}

void relays_memory(struct relays *rs, uint64_t bytes, const struct tcp_memory *tcp)
{
    rs->tcp = tcp;
    waiting_limit(rs->late, bytes);
    rs->unsent.max = bytes / RELAYS_UNSENT_PART;
    rs->windows.max = bytes / 2 < RELAYS_WINDOW_BYTES ? bytes / 2 : RELAYS_WINDOW_BYTES;
    rs->replay.max = bytes / 2 < RELAYS_REPLAY_BYTES ? bytes / 2 : RELAYS_REPLAY_BYTES;
}

void relays_cut_orphans(struct relays *rs)
{
    for (int kind = 0; kind < RELAY_CUT_KINDS; kind++)
        for (struct list *n; (n = list_first(&rs->cuts[kind]));)
            relay_reset(LIST_ENTRY(n, struct relay, cut), SMUX_RST_SHUTDOWN);
}

void relays_fini(struct relays *rs)
{
    pool_reap(&rs->reaper);
    loop_cancel(&rs->reaper);
    loop_cancel(&rs->discarder);
    loop_cancel(&rs->shedder);
    loop_cancel(&rs->giver);
    uv_close((uv_handle_t *)&rs->timer, NULL);
    free(rs->scratch);
    free(rs->late);
}
