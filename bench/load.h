/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the load generator share: the protocol between generator and service, sockets
 * on the loopback, data that can be checked, and latencies. Everything that fails ends the program;
 * its exit status says why.
 *
 * The first byte of a connection says what the service does with it:
 *   LOAD_ECHO                 sends back whatever comes
 *   LOAD_UP, _DOWN, _BOTH     a struct load_order follows. UP: the service swallows `bytes`, then
 *                             answers one byte. DOWN: it sends `bytes`. BOTH: both at once, and
 *                             the answer when both are done.
 * The answer is LOAD_GOOD, or LOAD_BAD as soon as a byte is not the one that belongs there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct epoll_event;

enum load_mode { LOAD_ECHO = 'E', LOAD_UP = 'U', LOAD_DOWN = 'D', LOAD_BOTH = 'B' };

enum load_answer { LOAD_GOOD = 'K', LOAD_BAD = 'X' };

enum load_exit {
    LOAD_EXIT_SYSTEM = 1,   /* a system call failed */
    LOAD_EXIT_USAGE = 2,    /* the command line is wrong */
    LOAD_EXIT_MISMATCH = 3, /* other data arrived than was sent */
    LOAD_EXIT_STALLED = 4,  /* nothing moved for a long time */
    LOAD_EXIT_CLOSED = 5,   /* a connection ended too early */
};

/* Both ends run on one machine, so it goes over the connection as it lies in memory. */
struct load_order {
    uint64_t bytes;  /* in each direction that the mode has */
    uint64_t verify; /* not 0: the service compares what it swallows */
};

enum {
    LOAD_PATTERN = 1u << 20, /* the data repeats after so many bytes */
    LOAD_CHUNK = 256u << 10, /* at most so much in one send or recv */
    LOAD_EVENTS = 256,
};

/* One connection, of either end. */
struct load_conn {
    int fd;
    uint32_t events; /* that epoll watches; 0: it is not there yet */
    uint8_t mode;
    bool answered;        /* service: the answer is sent; generator: this connection is done */
    uint64_t rx, rx_want; /* payload received, and how much is to come */
    uint64_t tx, tx_want; /* payload sent, and how much is to go */
    bool verify;          /* compare what is received */
    double since;         /* when the request under way began, seconds */
    struct load_backlog *rests; /* echo: what the socket would not take */
};

struct load_options {
    int port;
    int conns;      /* -c */
    uint64_t bytes; /* -b, of each connection and direction */
    uint8_t mode;   /* -d up, down or bi */
    size_t size;    /* -s, of a ping */
    double seconds; /* -t; bulk: 0 means -b decides */
    double warm;    /* -w seconds that are not counted */
    double think;   /* -i seconds between pings of `mix` */
    bool verify;    /* -v */
    bool gate;      /* -g: with the connections open, waits for a byte on stdin */
    bool hold;      /* -k: the connections stay open until stdin ends */
};

/* ---- load_util.c ---- */

/* Monotonic, in seconds. */
double load_now(void);

/* Says why on stderr and exits; load_die() adds the words for errno. */
_Noreturn void load_die(const char *what);
_Noreturn void load_fail(enum load_exit status, const char *what);

/* Must come first: the pattern, and the one epoll instance of the program. */
void load_init(void);

/* Registers interest in events of c, or changes it. */
void load_watch(struct load_conn *c, uint32_t events);
/* The connection stays open, but is not looked at any more. */
void load_unwatch(struct load_conn *c);
/* Waits; the number of events, whose data.ptr is what was registered. */
int load_wait(struct epoll_event *events, int timeout_ms);
/* Watches a listening socket under the data.ptr NULL. */
void load_watch_listener(int fd);

/* A listening socket on the loopback; port 0 takes a free one. ret_port says which. */
int load_listen(int port, int *ret_port);
/* A connection to the loopback. The first is under way and will not block, the second is there and
   will not block, the third is there and blocks. */
int load_dial_start(int port);
int load_dial(int port);
int load_dial_blocking(int port);
/* Sends all of a short message on a connection with nothing before it. */
void load_say(int fd, const void *data, size_t n);
/* Begins the exchange: the mode, and an order if the mode takes one. */
void load_order_send(struct load_conn *c, const struct load_options *o);

/* Receives what there is, at most `most`. Bytes, 0 at the end of the stream, -EAGAIN, or -EBADMSG
   if it was not the pattern (only with c->verify), or another negative errno. */
ssize_t load_swallow(struct load_conn *c, uint64_t most);
/* Sends what the socket takes of what is still to go. Bytes or negative errno. */
ssize_t load_pump(struct load_conn *c);

/* One latency, in seconds, of all that the program will print. */
void load_latency_add(double seconds);
/* Prints their number and percentiles as members of a JSON object. */
void load_latency_print(double seconds_in_all);

/* With -g, says that the connections are open and waits for a byte on stdin, so that what opening
   them cost can be told from what follows. */
void load_gate(const struct load_options *o);
/* With -k, waits for stdin to end. The figures must have been printed. */
void load_hold(const struct load_options *o);

/* ---- the modes; each prints one JSON object and returns the exit status ---- */

int load_sink(const struct load_options *o);
int load_bulk(const struct load_options *o);
int load_pingpong(const struct load_options *o);
int load_mix(const struct load_options *o);
int load_connect(const struct load_options *o);
int load_idle(const struct load_options *o);
