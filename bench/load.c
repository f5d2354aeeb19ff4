/* SPDX-License-Identifier: MIT */
/*
 * The load generator of the benchmark, on the loopback only: users at one end of a tunnel, and the
 * service at the other. Everything prints one JSON object in one line.
 *
 *   load sink -p PORT     the service; port 0 takes a free one, and the line says which
 *   load bulk             -c connections that move -b bytes each, or as many as fit into -t seconds
 *   load pp               -c connections that play ping-pong with messages of -s bytes
 *   load mix              one ping-pong, a ping every -i microseconds, beside -c bulk connections
 *   load cps              -c connections at a time: connect, one ping-pong, close, again
 *   load idle             -c connections, one ping-pong on each, then silence
 *
 * Data is a function of its offset in the stream; with -v both ends compare. With -k connections
 * stay open until stdin ends, so that a tunnel can be looked at while they exist.
 */
#include "bench/load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(const struct load_options *o);
} modes[] = {
    {"sink", load_sink}, {"bulk", load_bulk},   {"pp", load_pingpong},
    {"mix", load_mix},   {"cps", load_connect}, {"idle", load_idle},
};

static _Noreturn void usage(void)
{
    fputs("usage: load sink|bulk|pp|mix|cps|idle -p PORT [-c CONNECTIONS] [-b BYTES]\n"
          "            [-d up|down|bi] [-s SIZE] [-t SECONDS] [-w SECONDS] [-i MICROSECONDS] [-v] "
          "[-k]\n",
          stderr);
    exit(LOAD_EXIT_USAGE);
}

static uint8_t direction(const char *text)
{
    if (!strcmp(text, "up"))
        return LOAD_UP;
    if (!strcmp(text, "down"))
        return LOAD_DOWN;
    if (!strcmp(text, "bi"))
        return LOAD_BOTH;
    usage();
}

static struct load_options options(int argc, char **argv)
{
    struct load_options o = {
        .port = -1, .conns = 1, .bytes = 1000000000, .mode = LOAD_UP, .size = 64, .think = 1e-3};
    int c;
    while ((c = getopt(argc, argv, "p:c:b:d:s:t:w:i:vgk")) != -1) {
        switch (c) {
        case 'p':
            o.port = atoi(optarg);
            break;
        case 'c':
            o.conns = atoi(optarg);
            break;
        case 'b':
            o.bytes = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            o.mode = direction(optarg);
            break;
        case 's':
            o.size = strtoul(optarg, NULL, 10);
            break;
        case 't':
            o.seconds = atof(optarg);
            break;
        case 'w':
            o.warm = atof(optarg);
            break;
        case 'i':
            o.think = atof(optarg) * 1e-6;
            break;
        case 'v':
            o.verify = true;
            break;
        case 'g':
            o.gate = true;
            break;
        case 'k':
            o.hold = true;
            break;
        default:
            usage();
        }
    }
    if (o.port < 0 || o.conns < 0 || o.size < 1 || o.size > LOAD_CHUNK || optind < argc)
        usage();
    return o;
}

/* Thousands of connections need descriptors. */
static void raise_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r))
        load_die("getrlimit");
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r))
        load_die("setrlimit");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        usage();
    struct load_options o = options(argc - 1, argv + 1);
    signal(SIGPIPE, SIG_IGN);
    raise_limit();
    load_init();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (!strcmp(argv[1], modes[i].name))
            return modes[i].run(&o);
    }
    usage();
}
