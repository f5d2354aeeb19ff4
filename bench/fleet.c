/* SPDX-License-Identifier: MIT */
/*
 * Many clients of one server, with their tunnels, in one process: what a fleet of devices is to it.
 *
 *   fleet -p PORT -a CA -s SECRET -t ECHO -n 1000 -k 3 -i first -o 1
 *
 * It opens the sessions at -r a second, and keeps them as a client does. A line on stdin is a
 * question: "state" is answered by one line of JSON with what is there now (members, up, tunnels)
 * and what has been since the start (accepted, refused, failed, lost, detached, resumed, visitors);
 * "ports" by one with {"PREFIX-7 t0": port ...} of all tunnels that are open. It ends with stdin.
 */
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "bench/fleet.h"
#include "net/tls_ctx.h"

enum { LINE_MAX_BYTES = 64, TICK_MS = 20 };

struct program {
    struct fleet fleet;
    uv_pipe_t in;
    uv_timer_t tick;
    double due; /* members that should have begun by now */
    char line[LINE_MAX_BYTES];
    size_t n;
};

/* ---- answers ---- */

static void print_state(const struct fleet *f)
{
    int up = 0, tunnels = 0;
    for (int i = 0; i < f->opt->members; i++) {
        up += member_is_up(&f->members[i]);
        tunnels += member_tunnels(&f->members[i]);
    }
    printf("{\"members\":%d,\"up\":%d,\"tunnels\":%d,\"accepted\":%llu,\"refused\":%llu,"
           "\"failed\":%llu,\"lost\":%llu,\"detached\":%llu,\"resumed\":%llu,\"visitors\":%llu,"
           "\"ends\":{",
           f->opt->members, up, tunnels, (unsigned long long)f->accepted,
           (unsigned long long)f->refused, (unsigned long long)f->failed,
           (unsigned long long)f->lost, (unsigned long long)f->detached,
           (unsigned long long)f->resumed, (unsigned long long)f->visitors);
    const char *before = "";
    for (int r = 0; r < END_REASONS; r++) {
        if (f->ends[r] == 0)
            continue;
        printf("%s\"%s\":%llu", before, end_reason_text(r), (unsigned long long)f->ends[r]);
        before = ",";
    }
    printf("}}\n");
}

static void print_ports(const struct fleet *f)
{
    const char *before = "{";
    for (int i = 0; i < f->opt->members; i++)
        for (int k = 0; k < f->opt->tunnels; k++) {
            const struct member *m = &f->members[i];
            const struct wish *w = &m->tunnels[k];
            if (!m->session || w->state != WISH_OPEN)
                continue;
            printf("%s\"%s %s\":%d", before, m->id, w->wanted.name, (int)w->port);
            before = ",";
        }
    printf("%s}\n", *before == '{' ? "{" : "");
}

static void answer(const struct fleet *f, const char *line)
{
    if (strcmp(line, "state") == 0)
        print_state(f);
    else if (strcmp(line, "ports") == 0)
        print_ports(f);
    else
        printf("{}\n");
    (void)fflush(stdout);
}

/* ---- stdin ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
    static char buf[LINE_MAX_BYTES];
    (void)h, (void)suggested;
    *ret = uv_buf_init(buf, sizeof buf);
}

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct program *p = s->data;
    if (n < 0)
        exit(0); /* the kernel takes everything back */
    for (ssize_t i = 0; i < n; i++) {
        if (buf->base[i] != '\n' && p->n < sizeof p->line - 1) {
            p->line[p->n++] = buf->base[i];
            continue;
        }
        p->line[p->n] = '\0';
        p->n = 0;
        answer(&p->fleet, p->line);
    }
}

/* ---- start ---- */

static void on_tick(uv_timer_t *t)
{
    struct program *p = t->data;
    struct fleet *f = &p->fleet;
    p->due += f->opt->rate * TICK_MS / 1000;
    while (f->begun < f->opt->members && f->begun < p->due)
        member_begin(&f->members[f->begun++]);
    if (f->begun == f->opt->members)
        uv_timer_stop(t);
}

_Noreturn static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "fleet: %s: %s\n", what, why);
    exit(1);
}

_Noreturn static void usage(void)
{
    (void)fprintf(stderr, "usage: fleet -p PORT -a CA -s SECRET -t ECHO [-n MEMBERS] [-k TUNNELS] "
                          "[-i PREFIX] [-o SOURCE] [-r A-SECOND] [-m LONGEST-WAIT-MS]\n");
    exit(2);
}

static void read_options(struct fleet_options *o, int argc, char **argv)
{
    for (int c; (c = getopt(argc, argv, "p:a:s:t:n:k:i:o:r:m:")) != -1;) {
        int number = c == '?' ? 0 : (int)strtol(optarg, NULL, 10);
        switch (c) {
        case 'p':
            o->port = number;
            break;
        case 'a':
            o->ca = optarg;
            break;
        case 's':
            o->secret = optarg;
            break;
        case 't':
            o->target = number;
            break;
        case 'n':
            o->members = number;
            break;
        case 'k':
            o->tunnels = number;
            break;
        case 'i':
            o->prefix = optarg;
            break;
        case 'o':
            o->source = number;
            break;
        case 'r':
            o->rate = strtod(optarg, NULL);
            break;
        case 'm':
            o->retry_ms = number;
            break;
        default:
            usage();
        }
    }
    if (!o->ca || !o->secret || o->port <= 0 || o->target <= 0 || o->members < 1 ||
        o->tunnels < 0 || o->tunnels > FLEET_TUNNELS_MAX || o->source < 0 || o->source > 255 ||
        o->rate <= 0)
        usage();
}

static void begin(struct program *p, const struct fleet_options *o)
{
    struct fleet *f = &p->fleet;
    struct errmsg why = {""};
    f->opt = o;
    if (loop_init(&f->loop) < 0)
        die("loop", "no memory");
    quota_init(&f->connections, (uint32_t)o->members * FLEET_TUNNELS_MAX);
    if (relays_init(&f->relays, &f->loop, &f->connections) < 0)
        die("relays", "no memory");
    rng_system(&f->rng);
    if (tls_client_ctx_new(o->ca, HELLO_ALPN, &f->tls, &why) < 0)
        die(o->ca, why.text);
    f->members = calloc((size_t)o->members, sizeof *f->members);
    for (int i = 0; i < o->members; i++)
        if (!f->members || member_init(&f->members[i], f, i) < 0)
            die("members", "no memory");
    uv_timer_init(&f->loop.uv, &p->tick);
    uv_pipe_init(&f->loop.uv, &p->in, 0);
    p->tick.data = p->in.data = p;
    if (uv_pipe_open(&p->in, 0) < 0 || uv_read_start((uv_stream_t *)&p->in, on_alloc, on_input) < 0)
        die("stdin", "is no pipe");
    uv_timer_start(&p->tick, on_tick, 0, TICK_MS);
}

int main(int argc, char **argv)
{
    static struct program p;
    struct fleet_options o = {
        .members = 1, .tunnels = 1, .prefix = "member", .rate = 100, .retry_ms = 20000};
    struct rlimit limit;
    tls_library_begin();
    read_options(&o, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    log_set_level(LOG_LEVEL_ERROR);
    begin(&p, &o);
    loop_run(&p.fleet.loop);
    return 0;
}
