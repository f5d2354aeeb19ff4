/* SPDX-License-Identifier: MIT */
/* The virtual network: see net.h. */
#include "net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEND_MAX = 64 << 10,
    READ_MAX = 128 << 10,
    FLIGHT_MAX = 48 << 10,
    RTO_MIN = 200,
    RTO_MAX = 120000,
    PROBE_TRIES = 4, /* 3 s after the first one was sent, on a short path */
    PROBE_MSS = 512,
    HEADERS = 52, /* IP and TCP, with timestamps */
};

enum packet_kind { SYN, SYN_ACK, DATA, ACK, FIN, RST };

struct packet {
    mtime_ms at;
    uint64_t order;
    struct conn *conn;
    enum packet_kind kind;
    int dir;
    uint64_t off;
    size_t len;
};

void net_init(struct net *n, mtime_ms now)
{
    *n = (struct net){.now = now};
    for (int i = 0; i < NET_PLACES; i++)
        n->places[i] = (struct net_place){.host = NET_SILENT, .rtt = 2};
}

void net_fini(struct net *n)
{
    while (n->conns) {
        struct conn *c = n->conns;
        n->conns = c->next;
        for (int d = 0; d < 2; d++) {
            free(c->pipes[d].data);
            free(c->pipes[d].rx);
        }
        free(c->said);
        free(c);
    }
    free(n->packets);
}

static void *grown(void *p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return p;
    *cap = need > 2 * *cap ? need : 2 * *cap;
    p = realloc(p, *cap * size);
    assert(p);
    return p;
}

/* ---- packets ---- */

/* The client's end of a connection is 0, the server's 1; bytes to end d go in direction d. */
static bool passes(struct net *n, struct conn *c, int dir, size_t size)
{
    const struct net_place *p = &n->places[c->place];
    bool forgotten = n->nat_ms > 0 && c->established && n->now - c->last_packet >= n->nat_ms;
    if (c->home != n->home || n->lost[dir] || p->host == NET_SILENT || n->asleep[!dir])
        return false;
    if (n->mtu > 0 && size + HEADERS > n->mtu)
        return false;
    if (forgotten && n->nat_rst)
        net_kill(n, c, CONN_RST);
    if (!forgotten)
        c->last_packet = n->now;
    return !forgotten;
}

static bool is_before(const struct packet *a, const struct packet *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

/* A heap, the earliest first. */
static void push(struct net *n, struct packet p)
{
    n->packets = grown(n->packets, &n->cap, n->npackets + 1, sizeof *n->packets);
    p.order = n->order++;
    size_t i = n->npackets++;
    for (; i > 0 && is_before(&p, &n->packets[(i - 1) / 2]); i = (i - 1) / 2)
        n->packets[i] = n->packets[(i - 1) / 2];
    n->packets[i] = p;
}

static struct packet pop(struct net *n)
{
    struct packet first = n->packets[0], last = n->packets[--n->npackets];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < n->npackets; i = k) {
        if (k + 1 < n->npackets && is_before(&n->packets[k + 1], &n->packets[k]))
            k++;
        if (!is_before(&n->packets[k], &last))
            break;
        n->packets[i] = n->packets[k];
    }
    n->packets[i] = last;
    return first;
}

static void transmit(struct net *n, struct conn *c, enum packet_kind kind, int dir, uint64_t off,
                     size_t len)
{
    if (!passes(n, c, dir, len))
        return;
    mtime_ms half = n->places[c->place].rtt / 2;
    push(n, (struct packet){.at = n->now + (half > 0 ? half : 1) + c->late[dir],
                            .conn = c,
                            .kind = kind,
                            .dir = dir,
                            .off = off,
                            .len = len});
}

/* ---- sending ---- */

static mtime_ms first_rto(const struct net *n, const struct conn *c)
{
    mtime_ms rtt = n->places[c->place].rtt;
    return 2 * rtt > RTO_MIN ? 2 * rtt : RTO_MIN;
}

/* All that the window lets go. */
static void pump(struct net *n, struct conn *c, int dir)
{
    struct pipe *p = &c->pipes[dir];
    uint64_t end = p->base + p->len;
    while (p->next < end && p->next - p->base < FLIGHT_MAX) {
        size_t len = end - p->next < p->mss ? (size_t)(end - p->next) : p->mss;
        transmit(n, c, DATA, dir, p->next, len);
        p->next += len;
    }
    bool fin = p->closed && !p->fin_acked && p->next == end;
    if (fin)
        transmit(n, c, FIN, dir, end, 0);
    if ((p->next > p->base || fin) && p->rto_at == MTIME_NEVER)
        p->rto_at = n->now + p->rto;
}

static void retransmit(struct net *n, struct conn *c, int dir)
{
    struct pipe *p = &c->pipes[dir];
    if (++p->tries >= PROBE_TRIES && n->probing)
        p->mss = PROBE_MSS;
    p->rto = 2 * p->rto < RTO_MAX ? 2 * p->rto : RTO_MAX;
    p->rto_at = n->now + p->rto;
    p->next = p->base;
    if (p->len > 0) {
        size_t len = p->len < p->mss ? p->len : p->mss;
        transmit(n, c, DATA, dir, p->base, len);
        p->next += len;
    } else {
        transmit(n, c, FIN, dir, p->base, 0);
    }
}

static bool is_dead(const struct conn *c)
{
    return c->seen[0] == CONN_RST && c->seen[1] == CONN_RST;
}

size_t net_room(const struct conn *c, int dir)
{
    return c->pipes[dir].closed || is_dead(c) ? 0 : SEND_MAX - c->pipes[dir].len;
}

size_t net_send(struct net *n, struct conn *c, int dir, const uint8_t *from, size_t len)
{
    struct pipe *p = &c->pipes[dir];
    size_t room = net_room(c, dir);
    len = len < room ? len : room;
    p->data = grown(p->data, &p->cap, p->len + len, 1);
    if (len > 0)
        memcpy(p->data + p->len, from, len);
    p->len += len;
    pump(n, c, dir);
    return len;
}

struct conn *net_connect(struct net *n, int place, bool small)
{
    struct conn *c = calloc(1, sizeof *c);
    assert(c);
    c->place = place;
    c->home = n->home;
    c->begun = c->last_packet = n->now;
    c->syn_rto = 1000;
    c->syn_at = n->now + c->syn_rto;
    for (int d = 0; d < 2; d++) {
        struct pipe *p = &c->pipes[d];
        p->rto = first_rto(n, c);
        p->rto_at = MTIME_NEVER;
        p->mss = small ? NET_SMALL_MSS : NET_MSS;
        p->cut_after = UINT64_MAX;
    }
    c->next = n->conns;
    n->conns = c;
    transmit(n, c, SYN, TO_SERVER, 0, 0);
    return c;
}

void net_close(struct net *n, struct conn *c, int end, bool reset)
{
    c->owner[end] = NULL;
    c->gone[end] = true;
    c->syn_at = MTIME_NEVER;
    if (reset || c->seen[end] == CONN_RST || !c->established) {
        if (c->seen[!end] != CONN_RST)
            transmit(n, c, RST, !end, 0, 0);
        c->seen[end] = CONN_RST;
        c->pipes[!end].rto_at = MTIME_NEVER;
        return;
    }
    c->pipes[!end].closed = true;
    pump(n, c, !end);
}

void net_kill(struct net *n, struct conn *c, enum conn_end how)
{
    (void)n;
    for (int end = 0; end < 2; end++) {
        if (c->seen[end] != CONN_RST)
            c->seen[end] = how;
        c->pipes[end].closed = true;
        c->pipes[end].rto_at = MTIME_NEVER;
    }
    c->syn_at = MTIME_NEVER;
}

/* ---- arriving ---- */

static void on_syn(struct net *n, struct conn *c)
{
    const struct net_place *p = &n->places[c->place];
    if (p->host == NET_REFUSES) {
        transmit(n, c, RST, TO_CLIENT, 0, 0);
        return;
    }
    if (!c->syn_arrived) {
        c->machine = p->machine;
        c->proc = p->host == NET_SERVES ? p->proc : -1;
    }
    c->syn_arrived = true;
    transmit(n, c, SYN_ACK, TO_CLIENT, 0, 0);
}

static void on_data(struct net *n, struct conn *c, int dir, uint64_t off, size_t len)
{
    struct pipe *p = &c->pipes[dir];
    if (c->gone[dir]) { /* nobody reads it any more */
        transmit(n, c, RST, !dir, 0, 0);
        return;
    }
    if (off <= p->got && off + len > p->got && p->rx_len < READ_MAX) {
        size_t fresh = (size_t)(off + len - p->got);
        uint64_t left = p->cut_after - p->got;
        bool cut = left <= fresh;
        fresh = cut ? (size_t)left : fresh;
        p->rx = grown(p->rx, &p->rx_cap, p->rx_len + fresh, 1);
        assert(p->base <= p->got);
        if (fresh > 0)
            memcpy(p->rx + p->rx_len, p->data + (p->got - p->base), fresh);
        p->rx_len += fresh;
        p->got += fresh;
        if (cut) {
            net_kill(n, c, c->cut_how);
            return;
        }
    }
    transmit(n, c, ACK, !dir, p->got, 0);
}

/* dir: of the ACK itself; it is about the other direction's bytes. */
static void on_ack(struct net *n, struct conn *c, int dir, uint64_t got)
{
    struct pipe *p = &c->pipes[!dir];
    if (p->closed && got == p->base + p->len + 1)
        p->fin_acked = true;
    if (got > p->base + p->len)
        got = p->base + p->len;
    if (got <= p->base && !p->fin_acked)
        return;
    size_t n_acked = (size_t)(got - p->base);
    if (n_acked > 0)
        memmove(p->data, p->data + n_acked, p->len - n_acked);
    p->len -= n_acked;
    p->base = got;
    if (p->next < p->base)
        p->next = p->base;
    p->rto = first_rto(n, c);
    p->rto_at = MTIME_NEVER;
    p->tries = 0;
    if (!p->fin_acked)
        pump(n, c, !dir);
}

static void on_fin(struct net *n, struct conn *c, int dir, uint64_t off)
{
    struct pipe *p = &c->pipes[dir];
    if (off != p->got)
        return;
    if (c->seen[dir] == CONN_OPEN)
        c->seen[dir] = CONN_FIN;
    transmit(n, c, ACK, !dir, off + 1, 0);
}

static void arrive(struct net *n, const struct packet *k)
{
    struct conn *c = k->conn;
    const struct net_place *p = &n->places[c->place];
    if (n->asleep[k->dir] || c->home != n->home)
        return; /* lost on the way */
    if (k->dir == TO_SERVER && k->kind != SYN && k->kind != RST && c->machine != p->machine) {
        if (p->host != NET_SILENT)
            transmit(n, c, RST, TO_CLIENT, 0, 0); /* somebody else lives there now */
        return;
    }
    if (c->seen[k->dir] == CONN_RST) {
        if (k->kind != RST && c->seen[!k->dir] != CONN_RST)
            transmit(n, c, RST, !k->dir, 0, 0);
        return;
    }
    switch (k->kind) {
    case SYN:
        on_syn(n, c);
        break;
    case SYN_ACK:
        c->established = !c->gone[0] && c->seen[0] == CONN_OPEN;
        c->syn_at = MTIME_NEVER;
        break;
    case DATA:
        on_data(n, c, k->dir, k->off, k->len);
        break;
    case ACK:
        on_ack(n, c, k->dir, k->off);
        break;
    case FIN:
        on_fin(n, c, k->dir, k->off);
        break;
    case RST:
        c->seen[k->dir] = CONN_RST;
        c->syn_at = MTIME_NEVER;
        c->pipes[!k->dir].rto_at = MTIME_NEVER;
        break;
    }
}

/* ---- time ---- */

static bool retries(const struct conn *c, int dir)
{
    return c->pipes[dir].rto_at != MTIME_NEVER && c->seen[!dir] != CONN_RST;
}

mtime_ms net_next(const struct net *n)
{
    mtime_ms at = n->npackets > 0 ? n->packets[0].at : MTIME_NEVER;
    for (const struct conn *c = n->conns; c; c = c->next) {
        if (c->syn_at < at)
            at = c->syn_at;
        for (int d = 0; d < 2; d++)
            if (retries(c, d) && c->pipes[d].rto_at < at)
                at = c->pipes[d].rto_at;
    }
    return at;
}

void net_run(struct net *n, mtime_ms now)
{
    n->now = now;
    while (n->npackets > 0 && n->packets[0].at <= now) {
        struct packet k = pop(n);
        arrive(n, &k);
    }
    for (struct conn *c = n->conns; c; c = c->next) {
        if (c->syn_at <= now) {
            c->syn_rto *= 2;
            c->syn_at = now + c->syn_rto;
            transmit(n, c, SYN, TO_SERVER, 0, 0);
        }
        for (int d = 0; d < 2; d++)
            if (retries(c, d) && c->pipes[d].rto_at <= now)
                retransmit(n, c, d);
    }
}
