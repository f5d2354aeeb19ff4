/* SPDX-License-Identifier: MIT */
/* What the parts of the generator of hostile traffic share; hostile.c explains it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hostile_options {
    int port;
    int conns;        /* -c: at a time, or in all */
    int sources;      /* -n: addresses they come from, from 127.20.0.1 on; 0: 127.0.0.1 */
    uint32_t first;   /* -f: the first one is so much further */
    double seconds;   /* -t */
    double rate;      /* -r: new ones a second; 0: as many as there can be */
    double wait;      /* -w: seconds until a guesser leaves; 0: stays for the verdict */
    uint64_t bytes;   /* -b: that a stalled user asks for */
    int lines;        /* -l: lines of one guess */
    const char *text; /* -m: what is said: a line of a guess; byte, half or hello of a hold */
    const char *alpn; /* -a: of a guess */
};

/* Monotonic, in seconds. */
double hostile_now(void);

/* Says why on stderr and exits with 1; for what the system refuses. */
_Noreturn void hostile_die(const char *what);

/* A connection from the nth source that is under way, or there; it will not block. -1: refused. */
int hostile_dial(const struct hostile_options *o, unsigned n);

/* Closes with a reset, whatever waits. */
void hostile_reset(int fd);

/* A whole ClientHello, as OpenSSL says it. Returns its length; *ret lives until the program ends. */
size_t hostile_hello(const uint8_t **ret);

/* Whole handshakes with wrong lines behind them: how many verdicts are learnt. */
int hostile_guess(const struct hostile_options *o);

/* Accepts and closes until stdin ends; says {"port":N} first. Returns the exit status. */
int hostile_bare(const struct hostile_options *o);
