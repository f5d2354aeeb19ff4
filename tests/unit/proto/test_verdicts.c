/* SPDX-License-Identifier: MIT */
/* proto/verdicts: who is compared when, in virtual time; and a whole siege of one address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/verdicts.h"

static const uint8_t key[KEYED_HASH_KEY_BYTES] = "0123456789abcde";

enum { T0 = 1000000, MINUTE = PENALTY_MINUTE_MS, ENTRIES = 100 };

static struct {
    struct verdicts v;
    struct rng rng;
    mtime_ms now;
    struct verdict_entry e[ENTRIES];
    char told[ENTRIES]; /* of each entry, the last: 'c'ompare, 'w'aits, 'b'usy; 0: nothing */
} s;

static const struct address one = {.family = ADDRESS_IPV4, .ip = {192, 0, 2, 1}};
static const struct address two = {.family = ADDRESS_IPV4, .ip = {192, 0, 2, 2}};

static int setup(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    s.now = T0;
    rng_seed(&s.rng, 1);
    return verdicts_init(&s.v, key);
}

static int teardown(void **state)
{
    (void)state;
    verdicts_fini(&s.v);
    return 0;
}

static void pull(void)
{
    static const char words[] = {
        [VERDICT_COMPARE] = 'c', [VERDICT_WAITS] = 'w', [VERDICT_BUSY] = 'b'};
    enum verdict what;
    for (struct verdict_entry *e; (e = verdicts_next(&s.v, s.now, &s.rng, &what));)
        s.told[e - s.e] = words[what];
}

static char ask_as(unsigned i, const struct address *from, bool is_known, uint64_t id)
{
    s.told[i] = 0;
    verdicts_ask(&s.v, &s.e[i], from, is_known, id);
    pull();
    return s.told[i];
}

static char ask(unsigned i, const struct address *from)
{
    return ask_as(i, from, false, 0);
}

static bool over(unsigned i, enum verdict_end how)
{
    bool begins = verdicts_over(&s.v, &s.e[i], how, s.now);
    pull();
    return begins;
}

static void penalise(const struct address *from)
{
    for (unsigned i = 0; i < PENALTY_FAILURES; i++) {
        assert_int_equal(ask(ENTRIES - 1, from), 'c');
        assert_int_equal(over(ENTRIES - 1, VERDICT_WRONG), i == PENALTY_FAILURES - 1);
    }
}

/* To the moment when something may be told. */
static void wait_for_deadline(void)
{
    s.now = verdicts_deadline(&s.v, s.now);
    pull();
}

static unsigned count(char what)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        n += s.told[i] == what;
    return n;
}

/* ---- a free source ---- */

static void who_never_failed_does_not_wait(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(ask(i, &one), 'c');
        assert_false(over(i, VERDICT_RIGHT));
    }
    assert_true(verdicts_deadline(&s.v, s.now) == MTIME_NEVER);
}

/* Many at once do not all hear before the first failure counts. */
static void as_many_at_once_as_may_fail(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++)
        (void)ask(i, &one);
    assert_int_equal(count('c'), PENALTY_FAILURES);
    assert_int_equal(ask(60, &two), 'c');
    (void)over(0, VERDICT_RIGHT);
    assert_int_equal(s.told[5], 'c'); /* the next in turn */
    for (unsigned i = 1; i < 6; i++)
        assert_int_equal(over(i, VERDICT_WRONG), i == 5);
    assert_int_equal(count('c'), 6 + 1); /* no more: the others wait, or are turned away */
    assert_int_equal(count('w'), VERDICTS_WAIT_SOURCE);
    assert_int_equal(count('b'), 54 - VERDICTS_WAIT_SOURCE);
}

static void who_leaves_has_failed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(ask(i, &one), 'c');
        assert_int_equal(over(i, VERDICT_LEFT), i == 4);
    }
    assert_int_equal(ask(0, &one), 'w');
    assert_false(over(0, VERDICT_LEFT));
    assert_false(over(0, VERDICT_LEFT)); /* it asks no more */
}

static void whom_we_drop_has_not_failed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(ask(i, &one), 'c');
        assert_false(over(i, VERDICT_DROPPED));
    }
}

/* ---- a penalised source ---- */

static void eight_wait_and_one_is_drawn_at_its_time(void **state)
{
    (void)state;
    penalise(&one);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(ask(i, &one), i < VERDICTS_WAIT_SOURCE ? 'w' : 'b');
    assert_int_equal(ask(50, &two), 'c'); /* nobody else's business */
    (void)over(50, VERDICT_RIGHT);
    s.told[50] = 0;
    *s.told = 'w';
    mtime_ms at = s.now + PENALTY_DEBT_MS;
    for (unsigned i = 1; i <= 5; i++) {
        wait_for_deadline();
        assert_int_equal(s.now, at);
        assert_int_equal(count('c'), i + 1);
        at += PENALTY_PACE_MS;
    }
    assert_int_equal(ask(20, &one), 'w'); /* there is room again */
}

/* Whoever came first has no better chance than others. */
static void each_is_drawn_as_often(void **state)
{
    unsigned drawn[VERDICTS_WAIT_SOURCE] = {0};
    for (unsigned round = 0; round < 800; round++) {
        (void)teardown(state);
        (void)setup(state);
        rng_seed(&s.rng, round);
        penalise(&one);
        for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++)
            assert_int_equal(ask(i, &one), 'w');
        wait_for_deadline();
        for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++)
            drawn[i] += s.told[i] == 'c';
    }
    for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++)
        assert_in_range(drawn[i], 60, 140);
}

static void after_thirty_seconds_it_is_busy(void **state)
{
    (void)state;
    penalise(&one);
    for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++)
        (void)ask(i, &one);
    while (count('w') > 0 && s.now < T0 + MINUTE) {
        wait_for_deadline();
        for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++)
            if (s.told[i] == 'c')
                (void)over(i, VERDICT_WRONG);
    }
    assert_int_equal(s.now, T0 + VERDICTS_WAIT_MS);
    assert_int_equal(count('b'), VERDICTS_WAIT_SOURCE - 5); /* at 15, 18, 21, 24, 27 s one heard */
}

static void when_the_penalty_is_over_who_waits_is_free(void **state)
{
    (void)state;
    penalise(&one);
    s.now += MINUTE - 100;
    for (unsigned i = 0; i < 4; i++)
        (void)ask(i, &one);
    assert_int_equal(count('w'), 3); /* one was drawn at once */
    s.now += 100;
    pull();
    assert_int_equal(count('c') - 1, 4); /* and penalise()'s own */
}

static void many_sources_share_the_places(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 8; k++) {
        struct address from = {.family = ADDRESS_IPV4, .ip = {10, 0, 0, (uint8_t)k}};
        penalise(&from);
        for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++)
            (void)ask(k * VERDICTS_WAIT_SOURCE + i, &from);
    }
    assert_int_equal(count('w'), VERDICTS_WAIT_ALL);
}

static struct address source(unsigned k)
{
    return (struct address){.family = ADDRESS_IPV4, .ip = {10, 0, 0, (uint8_t)k}};
}

/* So many sources have all places, and take each again that becomes free. */
static void besieged_by(unsigned sources)
{
    for (unsigned i = 0; i < sources * VERDICTS_WAIT_SOURCE; i++) {
        struct address from = source(i / VERDICTS_WAIT_SOURCE);
        if (s.told[i] == 'c')
            (void)over(i, VERDICT_WRONG);
        if (s.told[i] != 'w')
            (void)ask(i, &from);
    }
}

static unsigned waiting_of(unsigned k)
{
    unsigned n = 0;
    for (unsigned i = k * VERDICTS_WAIT_SOURCE; i < (k + 1) * VERDICTS_WAIT_SOURCE; i++)
        n += s.told[i] == 'w';
    return n;
}

/* Four sources that never leave a place free are eight too many for a fifth. */
static void a_further_source_takes_a_place_of_who_has_most(void **state)
{
    enum { SOURCES = VERDICTS_WAIT_ALL / VERDICTS_WAIT_SOURCE, LATE = 50 };
    struct address from = source(SOURCES);
    (void)state;
    for (unsigned k = 0; k <= SOURCES; k++) {
        struct address each = source(k);
        penalise(&each);
    }
    besieged_by(SOURCES);
    assert_int_equal(count('w'), VERDICTS_WAIT_ALL);
    for (unsigned i = 0; i < VERDICTS_WAIT_SOURCE; i++) { /* up to as many as the others have */
        assert_int_equal(ask(LATE + i, &from), i < 6 ? 'w' : 'b');
        assert_int_equal(count('w'), VERDICTS_WAIT_ALL);
    }
    for (unsigned k = 0; k < SOURCES; k++)
        assert_in_range(waiting_of(k), 6, 7);
    besieged_by(SOURCES); /* nor do they get them back */
    for (mtime_ms until = s.now + VERDICTS_WAIT_MS; s.told[LATE] == 'w' && s.now < until;) {
        for (unsigned i = LATE + 1; i < LATE + VERDICTS_WAIT_SOURCE; i++)
            if (s.told[i] == 'w')
                (void)over(i, VERDICT_DROPPED), s.told[i] = 0;
        wait_for_deadline();
        besieged_by(SOURCES);
    }
    assert_int_equal(s.told[LATE], 'c'); /* its ration is its own */
}

/* Nobody is sent away for one that would have as many. */
static void who_has_one_place_keeps_it(void **state)
{
    (void)state;
    for (unsigned k = 0; k <= VERDICTS_WAIT_ALL; k++) {
        struct address from = source(k);
        penalise(&from);
        assert_int_equal(ask(k, &from), k < VERDICTS_WAIT_ALL ? 'w' : 'b');
    }
    assert_int_equal(count('w'), VERDICTS_WAIT_ALL);
}

/* Each that waits is a descriptor. */
static void where_descriptors_are_few_fewer_wait(void **state)
{
    static const unsigned limits[] = {0, 1, 2, 5, 41, 1000};
    for (size_t k = 0; k < ARRAY_LEN(limits); k++) {
        (void)teardown(state);
        (void)setup(state);
        verdicts_limit(&s.v, limits[k]);
        for (unsigned j = 0; j < 8; j++) {
            struct address from = source(j);
            penalise(&from);
            for (unsigned i = j * 10; i < j * 10 + 10; i++)
                (void)ask_as(i, &from, true, 1 + i / 2); /* two name the same id */
            for (unsigned i = j * 10; i < j * 10 + 10; i++)
                if (s.told[i] == 'c') { /* its id was heard at once: its next waits */
                    (void)over(i, VERDICT_WRONG);
                    (void)ask_as(i, &from, true, 1 + i / 2);
                }
        }
        unsigned all = VERDICTS_WAIT_ALL + VERDICTS_IDS;
        assert_int_equal(count('w'), limits[k] < all ? limits[k] : all);
    }
}

/* ---- networks ---- */

static void a_network_shares_one_ration(void **state)
{
    (void)state;
    struct address from = {.family = ADDRESS_IPV6, .ip = {0x20, 1, 0xd, 0xb8, 0, 1, 2}};
    for (unsigned k = 0; k < 4; k++) {
        from.ip[7] = (uint8_t)k;
        penalise(&from);
    }
    for (unsigned i = 0; i < 12; i++) {
        from.ip[7] = (uint8_t)(100 + i); /* none of them has ever failed */
        assert_int_equal(ask(i, &from), i < VERDICTS_WAIT_SOURCE ? 'w' : 'b');
    }
    from.ip[7] = 200;
    assert_int_equal(ask_as(20, &from, true, 0), 'c'); /* it is known */
    s.told[20] = s.told[ENTRIES - 1] = 0;
    for (unsigned i = 1; i < 3; i++) {
        wait_for_deadline();
        assert_int_equal(count('c'), i);
    }
}

/* ---- ids that are known ---- */

static void an_id_has_a_place_and_a_pace_of_its_own(void **state)
{
    (void)state;
    penalise(&one);
    for (unsigned i = 0; i < 20; i++)
        (void)ask(i, &one);
    assert_int_equal(ask_as(30, &one, true, 7), 'c');
    (void)over(30, VERDICT_WRONG);
    assert_int_equal(ask_as(31, &one, true, 7), 'w'); /* its next is 12 s later */
    assert_int_equal(ask_as(32, &one, true, 7), 'b'); /* one place */
    assert_int_equal(ask_as(33, &one, true, 8), 'c');
    s.now += VERDICTS_ID_PACE_MS - 1;
    pull();
    assert_int_equal(s.told[31], 'w');
    s.now++;
    pull();
    assert_int_equal(s.told[31], 'c');
}

static void a_source_has_eight_such_ids(void **state)
{
    (void)state;
    penalise(&one);
    penalise(&two);
    for (unsigned i = 0; i < 20; i++)
        (void)ask(i, &one);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(ask_as(30 + i, &one, true, 100 + i), i < VERDICTS_IDS_SOURCE ? 'c' : 'b');
    assert_int_equal(ask_as(50, &two, true, 200), 'c');
    s.now += VERDICTS_ID_PACE_MS;
    pull();
    assert_int_equal(ask_as(51, &one, true, 111), 'c'); /* their time is over */
}

/* ---- before TLS ---- */

static void one_connection_a_second_passes(void **state)
{
    (void)state;
    unsigned passed = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_true(verdicts_may_pass(&s.v, &one, false, s.now, &s.rng));
    penalise(&one);
    for (unsigned i = 0; i < 50000; i++) {
        s.now++;
        passed += verdicts_may_pass(&s.v, &one, false, s.now, &s.rng);
        assert_true(verdicts_may_pass(&s.v, &one, true, s.now, &s.rng));
        assert_true(verdicts_may_pass(&s.v, &two, false, s.now, &s.rng));
    }
    assert_in_range(passed, 40, 60);
    s.now += VERDICTS_PASS_MAX_MS; /* who comes alone passes */
    assert_true(verdicts_may_pass(&s.v, &one, false, s.now, &s.rng));
}

/* ---- a siege: one address, one who guesses without pause, three who are wrong, fifty who are right ---- */

enum { GUESSES = 16, WRONG = 3, MINUTES = 3 };

struct siege {
    mtime_ms patience;            /* of the guesser: then he resets and comes again; 0: he waits */
    unsigned names;               /* he names so many ids that are known */
    unsigned learnt, learnt_most; /* in any minute */
    mtime_ms told[4096];
    mtime_ms asked[ENTRIES]; /* of each entry */
    mtime_ms wrong_at[WRONG];
};

static void learn(struct siege *g)
{
    unsigned of_minute = 0;
    assert_true(g->learnt < ARRAY_LEN(g->told));
    g->told[g->learnt++] = s.now;
    for (unsigned i = 0; i < g->learnt; i++)
        of_minute += s.now - g->told[i] < MINUTE - 1; /* it may hear of one a step late */
    g->learnt_most = of_minute > g->learnt_most ? of_minute : g->learnt_most;
}

static void guess(struct siege *g, unsigned i)
{
    if (s.told[i] == 'c') {
        (void)over(i, VERDICT_WRONG);
        learn(g);
        s.told[i] = 'b';
    }
    if (s.told[i] == 'w' && g->patience > 0 && s.now - g->asked[i] >= g->patience) {
        (void)over(i, VERDICT_LEFT);
        s.told[i] = 'b';
    }
    if (s.e[i].state == VERDICT_IDLE && s.now % 4 == i % 4) { /* a handshake takes so long */
        g->asked[i] = s.now;
        (void)ask_as(i, &one, true, i < g->names ? 1 + i : 0);
    }
}

/* Wrong since somebody mistyped: each comes again as our backoff says. */
static void be_wrong(struct siege *g, unsigned i)
{
    unsigned at = GUESSES + i;
    if (s.told[at] == 'c')
        (void)over(at, VERDICT_WRONG);
    s.told[at] = 0;
    if (s.e[at].state == VERDICT_IDLE && s.now >= g->wrong_at[i]) {
        g->wrong_at[i] = s.now + 30000;
        (void)ask_as(at, &one, true, 1000 + i);
    }
}

/* One of the right ones, which starts new. How long it takes. */
static mtime_ms start_new(uint64_t id, mtime_ms at)
{
    enum { RIGHT = GUESSES + WRONG };
    if (s.now < at)
        return 0;
    if (s.e[RIGHT].state == VERDICT_IDLE && (s.told[RIGHT] == 0 || s.now % 2000 == 0))
        (void)ask_as(RIGHT, &one, true, id); /* turned away: again in 2 s at the latest */
    if (s.told[RIGHT] != 'c')
        return 0;
    (void)over(RIGHT, VERDICT_RIGHT);
    s.told[RIGHT] = 0;
    return s.now - at + 1;
}

/* The longest that one of ten starts took. */
static mtime_ms besiege(struct siege *g)
{
    mtime_ms longest = 0, start = T0 + MINUTE;
    while (s.now < T0 + MINUTES * MINUTE) {
        s.now++;
        pull();
        for (unsigned i = 0; i < GUESSES; i++)
            guess(g, i);
        for (unsigned i = 0; i < WRONG; i++)
            be_wrong(g, i);
        mtime_ms took = start_new(500, start);
        longest = took > longest ? took : longest;
        if (took)
            start = s.now + 31000;
    }
    return longest;
}

static void a_siege(void **state)
{
    static const struct {
        mtime_ms patience;
        unsigned names, most;
    } cases[] = {{0, 0, 20}, {25, 0, 20}, {4000, 0, 20}, {0, 3, 20 + 3 * 5}, {25, 8, 20 + 5 * 8}};
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct siege g = {.patience = cases[i].patience, .names = cases[i].names};
        (void)teardown(state);
        (void)setup(state);
        mtime_ms longest = besiege(&g);
        print_message(
            "patience %d ms, %u ids: learnt %u in a minute, %u in %u; a start took %d ms\n",
            (int)g.patience, g.names, g.learnt_most, g.learnt, MINUTES, (int)longest);
        assert_in_range(g.learnt_most, 1, cases[i].most);
        assert_true(g.learnt > 15 * MINUTES); /* who leaves takes no verdict away from others */
        if (g.names < VERDICTS_IDS_SOURCE)    /* else he has all the places of ids */
            assert_in_range(longest, 1, 30000);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(who_never_failed_does_not_wait),
        T(as_many_at_once_as_may_fail),
        T(who_leaves_has_failed),
        T(whom_we_drop_has_not_failed),
        T(eight_wait_and_one_is_drawn_at_its_time),
        T(each_is_drawn_as_often),
        T(after_thirty_seconds_it_is_busy),
        T(when_the_penalty_is_over_who_waits_is_free),
        T(many_sources_share_the_places),
        T(a_further_source_takes_a_place_of_who_has_most),
        T(who_has_one_place_keeps_it),
        T(where_descriptors_are_few_fewer_wait),
        T(a_network_shares_one_ration),
        T(an_id_has_a_place_and_a_pace_of_its_own),
        T(a_source_has_eight_such_ids),
        T(one_connection_a_second_passes),
        T(a_siege),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
