/* SPDX-License-Identifier: MIT */
/*
 * What the kernel holds in front of us. A user who asks for much and reads nothing stops the stream,
 * and then the socket that has the answer: there lie what its receive buffer takes and, if the
 * service is on this machine, what its own send buffer takes, 4 MB for each such user. Nobody
 * accounts that, and the service's part cannot be seen from here. So the kernel itself is asked
 * whether it is short of memory (net/tcp_memory.h), now and then while something moves; and while
 * it is, those end who have much unread in front of us: who has stood still for longest first, then
 * those whose turn to be read would come last. A few are left, as it may be others' fault.
 */
#include "base/event.h"
#include "net/sock.h"
#include "net/tcp_memory.h"
#include "tunnel/relay_internal.h"

enum {
    BATCH = 32, /* that end between two questions to the kernel */
};

static struct relay *short_relay_of(struct list *n)
{
    return LIST_ENTRY(n, struct relay, reader.node);
}

static bool short_holds_much(const struct relay *r)
{
    return sock_unread(r->socket.fd) >= RELAYS_SHORT_UNREAD;
}

/* How many there are to choose from. */
static unsigned short_count(const struct relays *rs, const struct turn *readers)
{
    unsigned n = 0;
    list_foreach (it, &rs->paused)
        n += short_holds_much(short_relay_of(it));
    for (struct turn_node *t = turn_last(readers); t; t = turn_before(readers, t))
        n += short_holds_much(short_relay_of(&t->node));
    return n;
}

/* Ends up to so many that stand still. How many. */
static unsigned short_cut_paused(struct relays *rs, unsigned most)
{
    unsigned cut = 0;
    for (struct list *n = rs->paused.next, *next; n != &rs->paused && cut < most; n = next) {
        struct relay *r = short_relay_of(n);
        next = n->next;
        if (!short_holds_much(r))
            continue;
        relay_reset(r, SMUX_RST_STALLED);
        cut++;
    }
    return cut;
}

/* The same of those who wait for their turn. */
static unsigned short_cut_readers(const struct turn *readers, unsigned most)
{
    unsigned cut = 0;
    for (struct turn_node *n = turn_last(readers), *before; n && cut < most; n = before) {
        struct relay *r = short_relay_of(&n->node);
        before = turn_before(readers, n);
        if (!short_holds_much(r))
            continue;
        relay_reset(r, SMUX_RST_BUSY);
        cut++;
    }
    return cut;
}

/* Ends as many as it takes, or RELAYS_SHORT_MOST. How many. */
static unsigned short_cut(struct relays *rs, const struct turn *readers)
{
    unsigned there = short_count(rs, readers), cut = 0;
    unsigned most = there > RELAYS_SHORT_KEPT ? there - RELAYS_SHORT_KEPT : 0;
    if (most > RELAYS_SHORT_MOST)
        most = RELAYS_SHORT_MOST;
    while (cut < most && tcp_memory_is_short(rs->tcp)) {
        unsigned part = most - cut < BATCH ? most - cut : BATCH;
        unsigned n = short_cut_paused(rs, part);
        n += short_cut_readers(readers, part - n);
        if (n == 0)
            break; /* they were read meanwhile */
        cut += n;
    }
    return cut;
}

bool relay_short_is_due(const struct relays *rs)
{
    return rs->tcp && loop_now(rs->loop) >= rs->short_look_at;
}

void relay_short_look(struct relays *rs, const struct turn *readers)
{
    if (!relay_short_is_due(rs))
        return;
    rs->short_look_at = loop_now(rs->loop) + RELAYS_SHORT_LOOK_MS;
    if (!tcp_memory_is_short(rs->tcp))
        return;
    rs->short_cut += short_cut(rs, readers);
    relay_short_tell(rs);
    if (rs->short_cut > 0)
        relay_pool_tell_at(rs, rs->short_told_at);
}

void relay_short_tell(struct relays *rs)
{
    mtime_ms now = loop_now(rs->loop);
    if (rs->short_cut == 0 || now < rs->short_told_at)
        return;
    event_tcp_memory_short(rs->short_cut);
    rs->short_cut = 0;
    rs->short_told_at = now + RELAYS_SHED_LINE_MS;
}
