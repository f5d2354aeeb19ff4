/* SPDX-License-Identifier: MIT */
/*
 * The search for a way against a model network: addresses that answer, refuse, are silent or cannot
 * be reached, each changing with time; a kernel that repeats a lost SYN after 1, 3 and 7 s; a name
 * whose addresses change, and a resolver that is slow, fails or hangs. Random situations, each with
 * what the search promises in it: test_sim_path SEED COUNT.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "proto/path.h"

enum { HOSTS = 12, PATIENCE = 10000 };

enum behaviour { SILENT, UNREACHABLE, REFUSES, ANSWERS };

/* What is at an address. */
struct host {
    enum behaviour before, after;
    mtime_ms changes; /* from before to after */
    mtime_ms rtt;
    bool wrong; /* it answers, and is somebody else's */
};

struct socket {
    bool open;
    unsigned host;
    mtime_ms started;
    mtime_ms ends; /* when its outcome comes; MTIME_NEVER: not by itself */
    bool connects;
};

/* The name leads to hosts first..first+n-1, from `changes` on to others. */
struct name {
    unsigned first, n, then_first, then_n;
    mtime_ms changes;
    mtime_ms slow; /* how long a lookup takes; MTIME_NEVER: the resolver hangs */
};

static uint64_t seed;
static struct rng rng;
static struct host hosts[HOSTS];
static struct name name;
static struct path path;
static struct path_memory memory;
static struct socket sockets[PATH_SOCKETS];
static mtime_ms now, lookup_ends;
static struct address found[HOSTS];
static unsigned n_found, starts;

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "seed %llu, %s, line %d, %lld ms: %s\n",                         \
                          (unsigned long long)seed, __func__, __LINE__, (long long)now, #what);    \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static mtime_ms draw(mtime_ms low, mtime_ms high)
{
    return low + (mtime_ms)rng_below(&rng, (uint32_t)(high - low + 1));
}

/* The even ones are IPv4. */
static struct address address_of(unsigned host)
{
    return (struct address){
        .family = host % 2 ? ADDRESS_IPV6 : ADDRESS_IPV4, .port = 1, .ip = {(uint8_t)(host + 1)}};
}

static unsigned host_of(const struct address *a)
{
    return a->ip[0] - 1u;
}

static enum behaviour behaviour_at(unsigned host, mtime_ms at)
{
    return at < hosts[host].changes ? hosts[host].before : hosts[host].after;
}

/* ---- the network ---- */

static void open_socket(unsigned slot, unsigned host)
{
    static const mtime_ms syn[] = {0, 1000, 3000, 7000};
    struct socket *s = &sockets[slot];
    CHECK(!s->open);
    *s = (struct socket){.open = true, .host = host, .started = now, .ends = MTIME_NEVER};
    starts++;
    for (unsigned i = 0; i < 4; i++) {
        enum behaviour b = behaviour_at(host, now + syn[i]);
        if (b == SILENT)
            continue;
        s->ends = now + syn[i] + (b == UNREACHABLE ? 0 : hosts[host].rtt);
        s->connects = b == ANSWERS;
        return;
    }
}

static void begin_lookup(void)
{
    CHECK(lookup_ends == MTIME_NEVER || name.slow == MTIME_NEVER); /* one at a time */
    CHECK(name.n > 0);
    bool moved = now >= name.changes;
    unsigned first = moved ? name.then_first : name.first;
    n_found = moved ? name.then_n : name.n;
    for (unsigned i = 0; i < n_found; i++)
        found[i] = address_of(first + i);
    lookup_ends = name.slow == MTIME_NEVER ? MTIME_NEVER : now + name.slow;
}

static void search_begin(bool renew, uint32_t rtt_ms)
{
    struct path_config cfg = {.memory = &memory,
                              .patience_ms = PATIENCE,
                              .resolve = name.n > 0,
                              .renew = renew,
                              .rtt_ms = rtt_ms};
    memset(sockets, 0, sizeof sockets);
    lookup_ends = MTIME_NEVER;
    starts = 0;
    path_begin(&path, &cfg, now);
}

/* Everything the path wants now; returns when it wants to be asked again, MTIME_NEVER: never. */
static mtime_ms obey(void)
{
    for (unsigned steps = 0;; steps++) {
        struct path_step step;
        CHECK(steps < 100);
        path_next(&path, now, &step);
        switch (step.what) {
        case PATH_START:
            CHECK(step.slot < PATH_SOCKETS);
            open_socket(step.slot, host_of(&step.address));
            break;
        case PATH_DROP:
            CHECK(sockets[step.slot].open);
            sockets[step.slot].open = false;
            break;
        case PATH_RESOLVE:
            begin_lookup();
            break;
        case PATH_WAIT:
            CHECK(step.at > now);
            return step.at;
        case PATH_GIVE_UP:
            return MTIME_NEVER;
        }
    }
}

/* No host has more than two sockets. */
static void check_sockets(void)
{
    unsigned of[HOSTS] = {0};
    for (unsigned i = 0; i < PATH_SOCKETS; i++)
        if (sockets[i].open)
            of[sockets[i].host]++;
    for (unsigned i = 0; i < HOSTS; i++)
        CHECK(of[i] <= 2);
}

/* Runs the search to its end: the host it is connected to, or -1 when it has given up. */
static int search_run(void)
{
    for (;;) {
        mtime_ms next = obey();
        check_sockets();
        if (next == MTIME_NEVER)
            return -1;
        if (lookup_ends < next)
            next = lookup_ends;
        for (unsigned i = 0; i < PATH_SOCKETS; i++)
            if (sockets[i].open && sockets[i].ends < next)
                next = sockets[i].ends;
        now = next > now ? next : now;
        for (unsigned i = 0; i < PATH_SOCKETS; i++) {
            if (!sockets[i].open || sockets[i].ends > now)
                continue;
            if (sockets[i].connects)
                return (int)sockets[i].host;
            sockets[i].open = false;
            path_lost(&path, i, now);
        }
        if (lookup_ends <= now) {
            lookup_ends = MTIME_NEVER;
            path_resolved(&path, found, n_found);
        }
    }
}

/* ---- situations ---- */

static void new_world(void)
{
    memset(&memory, 0, sizeof memory);
    now = draw(0, 100000);
    for (unsigned i = 0; i < HOSTS; i++)
        hosts[i] = (struct host){.before = (enum behaviour)draw(SILENT, REFUSES),
                                 .after = SILENT,
                                 .changes = MTIME_NEVER,
                                 .rtt = draw(1, 400)};
    name = (struct name){
        .n = (unsigned)draw(1, PATH_ADDRESSES), .changes = MTIME_NEVER, .slow = draw(0, 300)};
    for (int i = (int)draw(0, 5); i > 0; i--) { /* some past */
        struct address a = address_of((unsigned)draw(0, HOSTS - 1));
        if (draw(0, 1))
            path_good(&memory, &a);
        else
            path_failed(&memory, &a);
    }
}

/* What failures of the past may cost. */
static mtime_ms most_handicap(void)
{
    return PATH_STAGGER_MS << PATH_WRONG_MOST;
}

/* One address of the name answers, however slowly: it is found, with or without renewal. */
static void one_answers(void)
{
    new_world();
    unsigned alive = (unsigned)draw(0, name.n - 1);
    hosts[alive] = (struct host){ANSWERS, ANSWERS, 0, draw(1, 3000), false};
    mtime_ms at_most = now + name.slow + PATH_STAGGER_MS * (name.n - 1) + hosts[alive].rtt;
    for (unsigned i = 0; i < memory.nfailed; i++)
        if (memory.failed[i].wrong) {
            at_most += most_handicap();
            break;
        }
    struct address a = address_of(alive);
    if (draw(0, 1)) {
        path_good(&memory, &a); /* remembered: not even a stagger */
        at_most = now + name.slow + hosts[alive].rtt;
    }
    search_begin(draw(0, 1), (uint32_t)draw(0, 500));
    CHECK(search_run() == (int)alive);
    CHECK(now <= at_most);
}

/* All is silent, and then one answers: noticed within a second and four round trips. */
static void a_path_heals(void)
{
    new_world();
    for (unsigned i = 0; i < HOSTS; i++)
        hosts[i].before = SILENT;
    memset(&memory, 0, sizeof memory);
    unsigned alive = (unsigned)draw(0, name.n - 1);
    uint32_t rtt = (uint32_t)hosts[alive].rtt;
    hosts[alive].after = ANSWERS;
    hosts[alive].changes = now + name.slow + PATH_STAGGER_MS * name.n + draw(0, 5000);
    search_begin(true, rtt);
    CHECK(search_run() == (int)alive);
    CHECK(now <= hosts[alive].changes + PATH_RENEW_MS + 4 * rtt + rtt);
}

/* The name moves to another address while the search runs; the old one is silent, or refuses. */
static void the_name_moves(void)
{
    new_world();
    unsigned session = 0, moved = (unsigned)draw(1, 4);
    memset(&memory, 0, sizeof memory);
    hosts[session].before = SILENT;
    hosts[moved] = (struct host){ANSWERS, ANSWERS, 0, draw(1, 1000), false};
    name.n = 1;
    name.then_first = moved;
    name.then_n = 1;
    name.changes = now + draw(0, 5000);
    search_begin(true, 0);
    struct address a = address_of(session);
    path_add(&path, &a);
    CHECK(search_run() == (int)moved);
    CHECK(now <=
          name.changes + PATH_RESOLVE_MS + 2 * name.slow + PATH_STAGGER_MS + hosts[moved].rtt);
}

/* The old address is somebody else's by now, who answers sooner; its TLS fails after 50 ms. */
static void somebody_else(void)
{
    new_world();
    memset(&memory, 0, sizeof memory);
    hosts[0] = (struct host){ANSWERS, ANSWERS, 0, draw(1, 50), true};
    hosts[1] = (struct host){ANSWERS, ANSWERS, 0, draw(1, 1000), false};
    name.first = 1;
    name.n = 1;
    struct address a = address_of(0);
    path_good(&memory, &a); /* it was ours */
    mtime_ms began = now;
    int host = -1;
    for (unsigned tries = 0; tries < 6 && host != 1; tries++) {
        search_begin(true, 0);
        path_add(&path, &a);
        host = search_run();
        CHECK(host >= 0);
        if (host == 0)
            path_failed(&memory, &a);
        now += host == 0 ? 50 : 0;
    }
    CHECK(host == 1);
    CHECK(now - began <= 5000);
}

/* A cut that ends just before the window does: the last start comes through. */
static void the_last_moment(void)
{
    new_world();
    for (unsigned i = 0; i < HOSTS; i++)
        hosts[i].before = SILENT;
    unsigned alive = (unsigned)draw(0, name.n - 1);
    mtime_ms last = now + draw(300, 9000) + name.slow;
    hosts[alive].after = ANSWERS;
    hosts[alive].changes = last - draw(0, 50);
    search_begin(true, (uint32_t)draw(0, 1000));
    path_hurry(&path, last);
    CHECK(search_run() == (int)alive);
    CHECK(now <= last + hosts[alive].rtt);
}

/* Nobody is there: it says so as soon as it is known, and at the end of its patience at the latest;
   and it has not stormed anybody. */
static void nobody(void)
{
    new_world();
    bool certain = true;
    mtime_ms began = now, slowest = 0;
    for (unsigned i = 0; i < name.n; i++) {
        certain = certain && hosts[i].before != SILENT;
        slowest = hosts[i].rtt > slowest ? hosts[i].rtt : slowest;
    }
    if (draw(0, 3) == 0)
        name.slow = MTIME_NEVER;
    search_begin(true, 0);
    CHECK(search_run() == -1);
    CHECK(now <= began + PATIENCE);
    if (certain && name.slow != MTIME_NEVER) /* no failure of the past makes it wait */
        CHECK(now <= began + 2 * name.slow + PATH_STAGGER_MS * name.n + 2 * slowest);
    CHECK(starts <= name.n * (PATIENCE / PATH_RENEW_MS + 1));
}

/* Anything at all: bounds hold, and it ends. */
static void chaos(void)
{
    new_world();
    for (unsigned i = 0; i < HOSTS; i++) {
        hosts[i].after = (enum behaviour)draw(SILENT, ANSWERS);
        hosts[i].changes = now + draw(0, 12000);
    }
    name.then_first = (unsigned)draw(0, 3);
    name.then_n = (unsigned)draw(0, HOSTS - 3);
    name.changes = now + draw(0, 9000);
    name.slow = draw(0, 4000);
    search_begin(draw(0, 1), (uint32_t)draw(0, 3000));
    for (int i = (int)draw(0, 3); i > 0; i--) {
        struct address a = address_of((unsigned)draw(0, HOSTS - 1));
        path_add(&path, &a);
    }
    if (draw(0, 1))
        path_hurry(&path, now + draw(0, 9000));
    mtime_ms began = now;
    int host = search_run();
    CHECK(now <= began + PATIENCE);
    CHECK(host < 0 || behaviour_at((unsigned)host, now - hosts[host].rtt) == ANSWERS);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000;
    for (seed = first; seed < first + count; seed++) {
        rng_seed(&rng, seed);
        one_answers();
        a_path_heals();
        the_name_moves();
        somebody_else();
        the_last_moment();
        nobody();
        chaos();
    }
    (void)printf("%llu worlds from seed %llu\n", (unsigned long long)count,
                 (unsigned long long)first);
    return 0;
}
