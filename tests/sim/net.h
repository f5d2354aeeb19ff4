/* SPDX-License-Identifier: MIT */
/*
 * A network in virtual time with a model of TCP that is true in what the sessions depend on: order,
 * retransmission with growing waits, a packet size that does not pass and is found after some
 * tries, connections that a middle box forgets, FIN and RST after any byte, silence in one
 * direction or both, and a far end that is frozen while its kernel still acknowledges.
 *
 * Addresses are places 0 .. NET_PLACES - 1. A connection belongs to the client's address of its
 * time, and to whatever was at the place when it was made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mtime.h"

enum { NET_PLACES = 4, NET_MSS = 1448, NET_SMALL_MSS = 1180 };

enum { TO_CLIENT, TO_SERVER };

enum net_host {
    NET_SERVES, /* a server process takes connections */
    NET_SILENT,
    NET_REFUSES,
    NET_STRANGER, /* takes connections, and then is not the right one */
};

struct net_place {
    enum net_host host;
    int proc;     /* SERVES: which process */
    mtime_ms rtt; /* at least 2 */
    int machine;  /* changes when another machine has the address */
};

struct pipe {
    uint8_t *data; /* not acknowledged yet, from `base` on */
    size_t len, cap;
    uint64_t base, next, most;
    uint8_t *rx; /* arrived, not read */
    size_t rx_len, rx_cap;
    uint64_t got;
    mtime_ms rto_at, rto;
    unsigned tries;
    size_t mss;
    bool closed, fin_got, fin_acked;
    uint64_t cut_after; /* the connection dies when so many bytes have arrived; UINT64_MAX: not */
};

enum conn_end { CONN_OPEN, CONN_FIN, CONN_RST };

struct conn {
    struct conn *next;
    struct pipe pipes[2];           /* by direction */
    int place, machine, proc, home; /* home: the client's address of its time */
    mtime_ms syn_at, syn_rto, begun, last_packet;
    bool syn_arrived, established, accepted, gone[2]; /* gone: this end has closed it */
    enum conn_end seen[2];                            /* what this end's program would read */
    enum conn_end cut_how;
    mtime_ms late[2]; /* packets of it go a long way round */
    void *owner[2];
    int step[2];                 /* of the handshake at each end; the net does not look at it */
    void *said;                  /* more of a line; freed with the connection */
    uint64_t line[4], answer[3]; /* what the two lines say; of their bytes only the number counts */
};

struct net {
    mtime_ms now;
    struct net_place places[NET_PLACES];
    bool lost[2];    /* nothing passes in this direction */
    size_t mtu;      /* larger segments vanish; 0: none do */
    bool probing;    /* the ends find a smaller size after some tries (tcp_mtu_probing) */
    mtime_ms nat_ms; /* idle connections are forgotten after so long; 0: never */
    bool nat_rst;    /* ... and answered by RST then */
    int home;        /* the client's address; another one: old connections are dead */
    bool asleep[2];  /* the machine at this end: 0 the client's */
    struct conn *conns;
    /* private */
    struct packet *packets;
    size_t npackets, cap;
    uint64_t order;
};

void net_init(struct net *n, mtime_ms now);
void net_fini(struct net *n);

/* A client begins to connect. */
struct conn *net_connect(struct net *n, int place, bool small);

/* Puts bytes to be sent, returns how many there was room for. */
size_t net_send(struct net *n, struct conn *c, int dir, const uint8_t *p, size_t len);
size_t net_room(const struct conn *c, int dir);

/* Closes an end: FIN follows what was sent; or RST at once. Its owner is forgotten. */
void net_close(struct net *n, struct conn *c, int end, bool reset);

/* Somebody on the way ends it, both ends see so at once. */
void net_kill(struct net *n, struct conn *c, enum conn_end how);

/* A packet that arrives makes an end due. */
mtime_ms net_next(const struct net *n);
void net_run(struct net *n, mtime_ms now);
