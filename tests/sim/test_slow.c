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
#include "proto/stage.h"

enum {
    SCHEDULES = 100,
    STREAMS = 4,
    RECORD = 16384, /* of TLS: nothing of it is seen before all of it is there */
    QUEUE_MAX = 2 << 20,
    RECORDS_MAX = 65536,
    SUSPECT_MS = 3000, /* LINK_SUSPECT_MS of tunnel/ */
    RUN_MS = 200000,
    FIRST_WINDOW = 14600, /* what TCP sends before it has heard anything (RFC 6928) */
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
    struct line line; /* from here */
    bool staged;      /* by proto/stage, over TCP; else the queue takes what is there */
    bool crowded;
    struct stage stage;
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

/* What tunnel/ does (session_io.c). Slow start: as much again as what has arrived is on the way,
   until the queue of the path is full. */
static void look_at_queue(struct side *sd)
{
    struct line *l = &sd->line;
    uint64_t passed = (uint64_t)l->passed, window = FIRST_WINDOW + passed;
    uint64_t sent = passed + (window < l->queue ? window : l->queue);
    sent = sent < l->in ? sent : l->in;
    uint64_t waiting = l->in - sent;
    stage_count(&sd->stage, sent, waiting, now);
    size_t bound = stage_bound(&sd->stage);
    smux_session_set_stage(sd->s, (uint32_t)(bound > waiting ? bound - waiting : 0));
    sd->crowded = !stage_has_room(&sd->stage, waiting);
}

/* The queue takes records while there is something of it left. */
static void transmit(struct side *sd)
{
    struct line *l = &sd->line;
    size_t most = sd->staged ? stage_record(&sd->stage) : RECORD;
    for (;;) {
        size_t n;
        const uint8_t *p = smux_session_output(sd->s, &n);
        n = n < most ? n : most;
        if (n == 0 || (!sd->staged && l->in - (uint64_t)l->passed > l->queue))
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
    if (sd->staged)
        look_at_queue(sd);
    for (int i = 0; sd->writes && !sd->crowded && i < STREAMS && smux_session_can_stage(sd->s); i++)
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

/* stage: bytes that may be staged; 0: as proto/stage says. */
static void begin(double rate, size_t queue, uint32_t stage)
{
    now = 1000;
    for (int me = 0; me < 2; me++) {
        struct smux_config cfg = smux_config_default(me == 1, SMUX_WIRE_GOTUNNEL2);
        uint8_t *buf = sides[me].line.buf ? sides[me].line.buf : malloc(QUEUE_MAX);
        sides[me] = (struct side){.line = {.rate = rate, .queue = queue, .buf = buf}};
        CHECK(buf && smux_session_new(&cfg, now, &sides[me].s) == 0);
        smux_session_set_stage(sides[me].s, stage);
        stage_init(&sides[me].stage, 0, now);
        sides[me].staged = stage == 0;
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

/* 32 kbit/s to 32 Mbit/s, as the program fills them: both ends hear from each other often, nothing of
   the rate is lost, and a fast link has full records. */
static void as_the_program_does(void)
{
    static const struct {
        double rate; /* bytes a millisecond */
        mtime_ms wait;
        size_t record; /* 0: either */
    } rows[] = {{4, 700, STAGE_RECORD_SLOW},   {8, 400, STAGE_RECORD_SLOW},
                {32, 300, STAGE_RECORD_SLOW},  {125, 300, 0},
                {400, 300, STAGE_RECORD_FAST}, {4000, 300, STAGE_RECORD_FAST}};
    enum { RUN = 60000, QUEUES = 3 };
    for (size_t i = 0; i < ARRAY_LEN(rows) * QUEUES * 3; i++) {
        double rate = rows[i / QUEUES % ARRAY_LEN(rows)].rate;
        size_t queue = queues[i % QUEUES], who = i / QUEUES / ARRAY_LEN(rows);
        (void)snprintf(what, sizeof what, "%.0f B/ms, queue %zu, as the program, %zu", rate, queue,
                       who);
        begin(rate, queue < FIRST_WINDOW ? FIRST_WINDOW : queue, 0);
        sides[0].writes = who != 1;
        sides[1].writes = who != 2;
        works(RUN);
        for (struct side *sd = sides; sd < sides + 2; sd++) {
            CHECK(sd->suspected <= rows[i / QUEUES % ARRAY_LEN(rows)].wait);
            size_t record = sd->writes ? rows[i / QUEUES % ARRAY_LEN(rows)].record : 0;
            CHECK(!sd->writes || sd->line.passed >= rate * RUN * 0.99);
            CHECK(record == 0 || stage_record(&sd->stage) == record);
        }
        end();
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

/* Records that were made for the fast link are on the way yet; those that follow are short. */
static void records_follow(void)
{
    static const double slow[] = {8, 16};
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        (void)snprintf(what, sizeof what, "4 MB/s, then %.0f kB/s, as the program", slow[i]);
        begin(4000, 256 << 10, 0);
        sides[0].writes = sides[1].writes = true;
        works(5000);
        CHECK(stage_record(&sides[0].stage) == STAGE_RECORD_FAST);
        sides[0].line.rate = sides[1].line.rate = slow[i];
        works((mtime_ms)((512 << 10) / slow[i]));
        sides[0].suspected = sides[1].suspected = 0;
        works(60000);
        CHECK(sides[0].suspected <= 400 && sides[1].suspected <= 400);
        CHECK(stage_record(&sides[0].stage) == STAGE_RECORD_SLOW);
        sides[0].line.rate = sides[1].line.rate = 4000;
        works(1000);
        CHECK(stage_record(&sides[0].stage) == STAGE_RECORD_FAST);
        end();
    }
}

/* Other rates each way, and they change; half a second without anything now and then. */
static void any_rates(uint64_t seed)
{
    (void)snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
    rng_seed(&rng, seed);
    uint32_t stage = rng_below(&rng, 3) ? stages[rng_below(&rng, 2)] : 0;
    begin(8 + rng_below(&rng, 57), rng_below(&rng, 257) << 10, stage);
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
    as_the_program_does();
    saturated();
    suddenly_slow();
    records_follow();
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
