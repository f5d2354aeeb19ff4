/* SPDX-License-Identifier: MIT */
/* Whose handshake begins, and when: in virtual time. */
#include "proto/handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/admission.h"
#include "proto/backoff.h"

enum { MANY = 4096, ALL = 200, EACH = 10, BURST = ALL / HANDSHAKES_BURST_PART };

static struct handshakes h;
static struct handshakes_entry entries[MANY];
static char names[MANY][24];
static mtime_ms now;

static void begin(uint32_t all, uint32_t each)
{
    handshakes_init(&h, all, each, 0x5eed);
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < MANY; i++)
        (void)snprintf(names[i], sizeof names[i], "192.0.%d.%d", i >> 8, i & 255);
    now = 1000000;
}

/* Whose turn it is now, -1: nobody's. */
static int next(void)
{
    struct handshakes_entry *e = handshakes_next(&h, now);
    return e ? (int)(e - entries) : -1;
}

/* How many begin at this moment. */
static int all_of_now(void)
{
    int n = 0;
    while (next() >= 0)
        n++;
    return n;
}

/* How many begin within ms. The clock goes as handshakes_due() says: no look is in vain. */
static int within(mtime_ms ms)
{
    int n = all_of_now();
    for (mtime_ms end = now + ms;;) {
        mtime_ms due = handshakes_due(&h, now);
        if (due < 0 || due > end) {
            now = end;
            return n;
        }
        assert_true(due > now);
        now = due;
        int came = all_of_now();
        assert_true(came > 0);
        n += came;
    }
}

static void so_many_in_all(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 2000; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(all_of_now(), BURST);
    assert_int_equal(within(1000), ALL);
    assert_int_equal(within(5000), 5 * ALL);
    assert_int_equal(h.count, 2000 - BURST - 6 * ALL);
    for (int i = 0; i < 2000; i++)
        handshakes_leave(&h, &entries[i]);
    assert_int_equal(h.count, 0);
    assert_int_equal(handshakes_due(&h, now), -1);
    now += 3600000; /* rest does not pile up */
    for (int i = 0; i < 100; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(all_of_now(), BURST);
}

static void other_rates_count_at_once_and_forget_nothing(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 2000; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(all_of_now(), BURST);
    handshakes_limit(&h, 2 * ALL, EACH);
    assert_in_range(all_of_now(), 0, 1); /* what was used stays used */
    assert_in_range(within(1000), 2 * ALL - 1, 2 * ALL + 1);
    handshakes_limit(&h, 1, 1);
    assert_in_range(within(10000), 9, 11);
}

static void so_many_of_one_source(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 300; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", false);
    assert_int_equal(all_of_now(), EACH); /* a second's worth at once */
    assert_int_equal(handshakes_due(&h, now), now + 1000 / EACH);
    assert_int_equal(within(1000), EACH);
    assert_int_equal(within(10000), 10 * EACH);
    handshakes_wait(&h, &entries[400], "192.0.2.2", false); /* is not behind them */
    assert_int_equal(handshakes_due(&h, now), now);
    assert_int_equal(next(), 400);
}

static void a_known_source_has_no_limit_of_its_own(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 1000; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", true);
    assert_int_equal(within(1000), BURST + ALL);
}

/* 200 strangers a second from 1,000 sources are a full budget: who is known has the next turn. */
static void who_is_known_goes_first(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 1000; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    (void)within(1000);
    handshakes_wait(&h, &entries[2000], "203.0.113.1", true);
    assert_int_equal(next(), -1);
    now = handshakes_due(&h, now);
    assert_int_equal(next(), 2000);
}

/* A guesser behind a known address takes three turns of four, not all; others of them are his
   equals, however many connections he has. */
static void known_sources_leave_a_quarter_and_share_the_rest(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 2000; i++)
        handshakes_wait(&h, &entries[i], i < 1000 ? "192.0.2.1" : names[i], i < 1000);
    int before[2] = {0};
    for (int i = 0; i < 10; i++) /* of a third source, one after the other */
        handshakes_wait(&h, &entries[3000 + i], "192.0.2.2", true);
    assert_int_equal(within(1000), BURST + ALL);
    for (int i = 0; i < 2000; i++)
        before[i >= 1000] += !entries[i].waits;
    assert_int_equal(before[1], (BURST + ALL) / 4);
    for (int i = 0; i < 10; i++)
        assert_false(entries[3000 + i].waits);
    assert_int_equal(before[0], BURST + ALL - before[1] - 10);
}

/* Of strangers: one with many connections and one with one. */
static void the_turn_goes_to_who_has_used_least(void **state)
{
    (void)state;
    begin(ALL, EACH);
    for (int i = 0; i < 5; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", false);
    handshakes_wait(&h, &entries[5], "192.0.2.2", false);
    handshakes_wait(&h, &entries[6], "192.0.2.3", false);
    static const int order[] = {0, 5, 6, 1, 2, 3, 4, -1};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        assert_int_equal(next(), order[i]);
}

static void who_leaves_has_used_nothing(void **state)
{
    (void)state;
    begin(10, 10);
    for (int i = 0; i < 3; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    handshakes_leave(&h, &entries[1]);
    handshakes_leave(&h, &entries[1]);
    assert_int_equal(next(), 0);
    assert_int_equal(next(), -1); /* a tenth of a second is one */
    now = handshakes_due(&h, now);
    assert_int_equal(next(), 2);
    assert_int_equal(handshakes_due(&h, now), -1);
}

/* Neither of all, nor of its source. */
static void a_turn_that_is_returned_was_none(void **state)
{
    (void)state;
    begin(1, 1);
    for (int i = 0; i < 20; i++)
        handshakes_wait(&h, &entries[i], names[0], false);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(next(), i);
        handshakes_return(&h, &entries[i]);
    }
    assert_int_equal(next(), 10);
    assert_int_equal(next(), -1);
    assert_int_equal(within(5000), 5);
}

static void least_and_most(void **state)
{
    (void)state;
    begin(1, 1);
    for (int i = 0; i < 20; i++)
        handshakes_wait(&h, &entries[i], names[i], false);
    assert_int_equal(within(9000), 1 + 9);
    begin(1000000, 1000000);
    for (int i = 0; i < MANY; i++)
        handshakes_wait(&h, &entries[i], "192.0.2.1", false);
    assert_int_equal(all_of_now(), MANY);
}

/* All sources of the table at once, and then some: who comes into a full set goes on from the account
   that is paid first, so two connections of one source never make three. */
static void a_full_table_gives_nobody_more(void **state)
{
    static int had[MANY];
    (void)state;
    begin(1000000, 1);
    memset(had, 0, sizeof had);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < MANY; i++) {
            handshakes_wait(&h, &entries[i], names[i], false);
            had[i] += next() == i;
            handshakes_leave(&h, &entries[i]);
        }
        now += 100;
    }
    int none = 0;
    for (int i = 0; i < MANY; i++) {
        assert_in_range(had[i], 0, 1);
        none += had[i] == 0;
    }
    assert_in_range(none, 1, MANY / 2); /* sets are not equally full */
}

/* ---- a fleet that comes back at once ---- */

enum {
    FLEET = 1000,
    FLEET_SOURCES = 4,
    FLEET_PLACES = 64, /* at the gate, and beyond it: of sources that are known */
    FLEET_SPARE_MS = 2000,
    FLEET_STEP_MS = 5,
};

enum fleet_state { FLEET_AWAY, FLEET_WAITS, FLEET_SHAKES, FLEET_IN };

/* What net/gate and server/reception do with a client. */
static struct fleet_client {
    enum fleet_state state;
    mtime_ms at; /* it comes, its handshake is over */
    struct backoff backoff;
    struct admission_entry place;
    struct handshakes_entry turn;
} fleet[FLEET];

static struct {
    struct admission gate, beyond;
    struct rng rng;
    int in, begun, dropped; /* the last: in the midst of it */
    mtime_ms round_trip;
} world;

static void fleet_fails(struct admission_entry *victim)
{
    if (!victim)
        return;
    struct fleet_client *c = CONTAINER_OF(victim, struct fleet_client, place);
    world.dropped += c->state == FLEET_SHAKES;
    handshakes_leave(&h, &c->turn);
    c->state = FLEET_AWAY;
    c->at = now + backoff_next(&c->backoff, BACKOFF_OUTAGE, now, &world.rng);
}

static void fleet_comes(struct fleet_client *c)
{
    const char *source = names[(c - fleet) % FLEET_SOURCES];
    c->state = FLEET_WAITS;
    handshakes_wait(&h, &c->turn, source, true);
    fleet_fails(admission_add(&world.gate, &c->place, source));
}

static void fleet_begins(struct fleet_client *c)
{
    world.begun++;
    admission_remove(&world.gate, &c->place);
    c->state = FLEET_SHAKES;
    c->at = now + world.round_trip;
    fleet_fails(admission_add(&world.beyond, &c->place, c->place.source));
    admission_spare(&c->place, now + FLEET_SPARE_MS);
}

static void fleet_step(void)
{
    struct handshakes_entry *e;
    for (struct fleet_client *c = fleet; c < fleet + FLEET; c++) {
        if (c->state == FLEET_AWAY && c->at <= now)
            fleet_comes(c);
        if (c->state != FLEET_SHAKES || c->at > now)
            continue;
        admission_remove(&world.beyond, &c->place);
        c->state = FLEET_IN;
        world.in++;
    }
    do {
        for (struct fleet_client *c = fleet; c < fleet + FLEET; c++)
            if (c->state == FLEET_WAITS)
                handshakes_hold(&c->turn, admission_room_at(&world.beyond, c->place.source) > now);
        e = handshakes_next(&h, now);
        if (e)
            fleet_begins(CONTAINER_OF(e, struct fleet_client, turn));
    } while (e);
}

/* Until all are in, or s seconds are over: how long it took. */
static mtime_ms fleet_comes_back(mtime_ms round_trip, int s)
{
    begin(ALL, EACH);
    memset(&world, 0, sizeof world);
    memset(fleet, 0, sizeof fleet);
    rng_seed(&world.rng, 20261128);
    admission_init(&world.gate, NULL);
    admission_limit(&world.gate, FLEET_PLACES, FLEET_PLACES);
    admission_init(&world.beyond, NULL);
    admission_limit(&world.beyond, FLEET_PLACES, FLEET_PLACES);
    world.round_trip = round_trip;
    mtime_ms start = now;
    for (int i = 0; i < FLEET; i++) {
        backoff_init(&fleet[i].backoff, 20000);
        fleet[i].at = now;
    }
    for (; world.in < FLEET && now < start + (mtime_ms)s * 1000; now += FLEET_STEP_MS)
        fleet_step();
    return now - start;
}

/* Over paths on which a place lasts as long as a handshake, and longer. Nobody is thrown out in the midst. */
static void a_fleet_comes_back_at_once(void **state)
{
    (void)state;
    static const mtime_ms round_trips[] = {50, 300, 400, 1000, 1900};
    for (size_t i = 0; i < ARRAY_LEN(round_trips); i++) {
        mtime_ms each = round_trips[i] / FLEET_PLACES + 1, budget = 1000 / ALL;
        mtime_ms least = FLEET * (each > budget ? each : budget);
        mtime_ms took = fleet_comes_back(round_trips[i], 200);
        print_message("round trip %d ms: %d in after %d ms, %d begun, %d dropped\n",
                      (int)round_trips[i], world.in, (int)took, world.begun, world.dropped);
        assert_int_equal(world.in, FLEET);
        assert_int_equal(world.dropped, 0);
        assert_in_range(took, 0, 2 * least + 30000); /* the last ones have waited long */
    }
}

/* Who takes longer than he is spared does not keep the others from trying. */
static void who_is_slower_than_spared_goes_for_others(void **state)
{
    (void)state;
    (void)fleet_comes_back(1000000, 20);
    assert_int_equal(world.in, 0);
    assert_in_range(world.begun, FLEET_PLACES * 20000 / FLEET_SPARE_MS - FLEET_PLACES,
                    FLEET_PLACES * 20000 / FLEET_SPARE_MS + FLEET_PLACES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_in_all),
        cmocka_unit_test(other_rates_count_at_once_and_forget_nothing),
        cmocka_unit_test(so_many_of_one_source),
        cmocka_unit_test(a_known_source_has_no_limit_of_its_own),
        cmocka_unit_test(who_is_known_goes_first),
        cmocka_unit_test(known_sources_leave_a_quarter_and_share_the_rest),
        cmocka_unit_test(the_turn_goes_to_who_has_used_least),
        cmocka_unit_test(who_leaves_has_used_nothing),
        cmocka_unit_test(a_turn_that_is_returned_was_none),
        cmocka_unit_test(least_and_most),
        cmocka_unit_test(a_full_table_gives_nobody_more),
        cmocka_unit_test(a_fleet_comes_back_at_once),
        cmocka_unit_test(who_is_slower_than_spared_goes_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
