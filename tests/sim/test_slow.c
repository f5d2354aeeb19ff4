/* SPDX-License-Identifier: MIT */
/*
 * Slow links that our own streams saturate, in virtual milliseconds: two sessions of gotunnel/2, a
 * rate in each direction, a queue on the way, records that arrive whole. Bytes in front of an ACK
 * then take longer than any patience (256 KB at 64 kbit/s: 32 s), and yet no end may be given up or
 * suspected while the link works. A direction that is dead has to be noticed all the same.
 *
 *   test_slow [FIRST_SEED [COUNT]]      a failure names its case or seed
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "proto/smux/internal.h"

enum {
    SCHEDULES = 100,
    STREAMS = 4,
    RECORD = 16384, /* of TLS: nothing of it is seen before all of it is there */
    QUEUE_MAX = 2 << 20,
    RECORDS_MAX = 65536,
    SUSPECT_MS = 3000, /* LINK_SUSPECT_MS of tunnel/ */
    RUN_MS = 200000,
};

static char what[128]; /* the case that runs */

#define CHECK(ok)                                                                                  \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            (void)fprintf(stderr, "%s, at %lld ms, line %d: %s\n", what, (long long)now, __LINE__, \
                          #ok);                                                                    \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* One direction. */
struct line {
    double rate;   /* bytes a millisecond */
    size_t queue;  /* bytes that wait on the way */
    bool dead;     /* takes nothing out of the queue any more */
    mtime_ms held; /* nothing arrives before */
    uint8_t *buf;  /* of QUEUE_MAX, a ring */
    uint64_t in, out;
    double passed;                 /* bytes that the link has carried */
    uint64_t records[RECORDS_MAX]; /* where those in it end, a ring */
    uint64_t first, last;
};

struct side {
    struct smux_session *s;
    struct smux_stream *st[STREAMS];
    struct line line;   /* from here */
    bool writes;        /* as much as it may, on all streams */
    size_t trickle;     /* or so many bytes each second, on the first one */
    mtime_ms suspected; /* longest wait that was seen */
    int result;         /* of the last tick */
};

static struct side sides[2];
static mtime_ms now;
static struct rng rng;

static void on_event(struct side *sd, const struct smux_event *ev)
{
    if (ev->type == SMUX_EV_OPENED)
        sd->st[smux_stream_id(ev->stream) / 2 - 1] = ev->stream;
    else if (ev->type == SMUX_EV_DATA)
        smux_stream_consumed(ev->stream, ev->len, now);
}

static void feed(struct side *to, const uint8_t *p, size_t n)
{
    struct smux_input in = {p, n};
    struct smux_event ev;
    int r;
    while ((r = smux_session_feed(to->s, &in, now, &ev)) > 0)
        on_event(to, &ev);
    CHECK(r == 0);
}

/* What has passed arrives, record by record. */
static void deliver(struct line *l, struct side *to)
{
    l->passed += l->dead ? 0 : l->rate;
    if (l->passed > (double)l->in)
        l->passed = (double)l->in;
    while (now >= l->held && l->first < l->last &&
           (double)l->records[l->first % RECORDS_MAX] <= l->passed) {
        uint64_t end = l->records[l->first++ % RECORDS_MAX];
        while (l->out < end) {
            size_t at = (size_t)(l->out % QUEUE_MAX);
            size_t n =
                (size_t)(end - l->out) < QUEUE_MAX - at ? (size_t)(end - l->out) : QUEUE_MAX - at;
            feed(to, l->buf + at, n);
            l->out += n;
        }
    }
}

/* The queue takes records while there is something of it left. */
static void transmit(struct side *sd)
{
    struct line *l = &sd->line;
    for (;;) {
        size_t n;
        const uint8_t *p = smux_session_output(sd->s, &n);
        n = n < RECORD ? n : RECORD;
        if (n == 0 || l->in - (uint64_t)l->passed > l->queue)
            return;
        for (size_t i = 0; i < n; i++)
            l->buf[(l->in + i) % QUEUE_MAX] = p[i];
        l->in += n;
        CHECK(l->in - l->out <= QUEUE_MAX && l->last - l->first < RECORDS_MAX);
        l->records[l->last++ % RECORDS_MAX] = l->in;
        smux_session_sent(sd->s, n);
    }
}

static void write_up_to(struct smux_stream *st, size_t most)
{
    uint8_t *p;
    size_t room;
    if (!st || smux_stream_reserve(st, &p, &room) < 0)
        return;
    room = room < most ? room : most;
    memset(p, 's', room);
    smux_stream_commit(st, room);
}

static void use(struct side *sd)
{
    for (int i = 0; sd->writes && i < STREAMS && smux_session_can_stage(sd->s); i++)
        write_up_to(sd->st[((uint64_t)now + (uint64_t)i) % STREAMS], SMUX_FRAME_PAYLOAD);
    if (sd->trickle > 0 && now % 1000 == 0)
        write_up_to(sd->st[0], sd->trickle);
}

static void step(void)
{
    now++;
    for (int me = 0; me < 2; me++) {
        struct side *sd = &sides[me];
        struct smux_event ev;
        deliver(&sides[!me].line, sd);
        while ((sd->result = smux_session_tick(sd->s, now, &ev)) > 0)
            on_event(sd, &ev);
        mtime_ms since = smux_session_waiting_since(sd->s);
        if (since != MTIME_NEVER && now - since > sd->suspected)
            sd->suspected = now - since;
        use(sd);
        transmit(sd);
    }
}

/* For ms milliseconds nobody may be given up, or suspected. */
static void works(mtime_ms ms)
{
    for (mtime_ms end = now + ms; now < end;) {
        step();
        for (int me = 0; me < 2; me++) {
            CHECK(sides[me].result == 0);
            CHECK(sides[me].suspected < SUSPECT_MS);
        }
    }
}

/* Milliseconds until an end is suspected. */
static mtime_ms until_suspected(const struct side *sd)
{
    mtime_ms from = now;
    while (sd->suspected < SUSPECT_MS && now - from < RUN_MS)
        step();
    return now - from;
}

static void begin(double rate, size_t queue, uint32_t stage)
{
    now = 1000;
    for (int me = 0; me < 2; me++) {
        struct smux_config cfg = smux_config_default(me == 1, SMUX_WIRE_GOTUNNEL2);
        uint8_t *buf = sides[me].line.buf ? sides[me].line.buf : malloc(QUEUE_MAX);
        sides[me] = (struct side){.line = {.rate = rate, .queue = queue, .buf = buf}};
        CHECK(buf && smux_session_new(&cfg, now, &sides[me].s) == 0);
        smux_session_set_stage(sides[me].s, stage);
    }
    for (int i = 0; i < STREAMS; i++)
        CHECK(smux_stream_open(sides[0].s, NULL, &sides[0].st[i]) == 0);
    works(100);
}

static void end(void)
{
    for (int me = 0; me < 2; me++)
        smux_session_free(sides[me].s);
}

static const size_t queues[] = {0, 64 << 10, 256 << 10, 1 << 20};
static const uint32_t stages[] = {SMUX_STAGE_MIN, 64 << 10};

/* 64 to 512 kbit/s, full in both directions or in one. */
static void saturated(void)
{
    static const double rates[] = {8, 16, 32, 64};
    for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
        for (size_t q = 0; q < ARRAY_LEN(queues) * ARRAY_LEN(stages) * 3; q++) {
            size_t queue = queues[q % ARRAY_LEN(queues)];
            uint32_t stage = stages[q / ARRAY_LEN(queues) % ARRAY_LEN(stages)];
            size_t who = q / ARRAY_LEN(queues) / ARRAY_LEN(stages);
            (void)snprintf(what, sizeof what, "%.0f B/ms, queue %zu, stage %u, %zu", rates[r],
                           queue, stage, who);
            begin(rates[r], queue, stage);
            sides[0].writes = who != 1;
            sides[1].writes = who != 2;
            works(RUN_MS);
            end();
        }
    }
}

/* What filled a fast link finds itself on a slow one, and back. */
static void suddenly_slow(void)
{
    static const double slow[] = {8, 16, 50, 64};
    for (size_t i = 0; i < ARRAY_LEN(slow) * 2; i++) {
        double rate = slow[i / 2];
        (void)snprintf(what, sizeof what, "4 MB/s, then %.0f kB/s", rate);
        begin(4000, 256 << 10, stages[i % 2]);
        sides[0].writes = sides[1].writes = true;
        works(5000);
        sides[0].line.rate = sides[1].line.rate = rate;
        works(RUN_MS);
        sides[0].line.rate = sides[1].line.rate = 4000;
        works(5000);
        end();
    }
}

/* Other rates each way, and they change; half a second without anything now and then. */
static void any_rates(uint64_t seed)
{
    (void)snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
    rng_seed(&rng, seed);
    begin(8 + rng_below(&rng, 57), rng_below(&rng, 257) << 10, stages[rng_below(&rng, 2)]);
    for (int i = 0; i < 20; i++) {
        for (int me = 0; me < 2; me++) {
            sides[me].writes = rng_below(&rng, 4) > 0;
            sides[me].line.rate = 8 + rng_below(&rng, 57);
            sides[me].line.held = now + rng_below(&rng, 500);
        }
        works(rng_below(&rng, 20000));
    }
    end();
}

/* The client's words get lost, the server's come: in vain, however they come. */
static void one_way(const char *name, double rate, bool bulk, size_t trickle, mtime_ms most)
{
    (void)snprintf(what, sizeof what, "one way: %s", name);
    begin(rate, 64 << 10, 64 << 10);
    sides[0].writes = bulk;
    sides[0].trickle = trickle;
    works(2000);
    sides[1].line.dead = true;
    write_up_to(sides[1].st[1], 100);
    mtime_ms took = until_suspected(&sides[1]);
    printf("%s: suspected after %lld ms\n", what, (long long)took);
    CHECK(took >= SUSPECT_MS - 200 && took <= most);
    end();
}

/* Who hears nothing gives up after 15 s, whatever he could say. */
static void deaf(void)
{
    (void)snprintf(what, sizeof what, "nothing is heard");
    begin(8, 64 << 10, 64 << 10);
    sides[0].writes = sides[1].writes = true;
    works(20000);
    sides[1].line.dead = true;
    mtime_ms heard = smux_session_heard_at(sides[0].s);
    while (sides[0].result == 0 && now - heard < RUN_MS)
        step();
    CHECK(sides[0].result == ERR_TIMEOUT && smux_session_heard_at(sides[0].s) - heard <= 2100);
    CHECK(now - smux_session_heard_at(sides[0].s) == 15000);
    end();
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SCHEDULES;
    saturated();
    suddenly_slow();
    for (uint64_t seed = first; seed < first + count; seed++)
        any_rates(seed);
    one_way("silence", 8, false, 0, 3200);
    one_way("a few bytes each second", 1000, false, 500, 3200);
    one_way("bulk at 1 MB/s", 1000, true, 0, 3200 + (4 << 20) / 1000 + 1000);
    deaf();
    printf("slow links work: %llu schedules and the rest\n", (unsigned long long)count);
    free(sides[0].line.buf);
    free(sides[1].line.buf);
    return 0;
}
