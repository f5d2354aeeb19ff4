/* SPDX-License-Identifier: MIT */
/* What may wait for clients that are away, and who has to go when it is too much. */
#include "proto/session/waiting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/rng.h"
#include "proto/hash.h"

enum { FLOOR = WAITING_FLOOR_BYTES };

static struct waiting w;

static void init(uint64_t max)
{
    memset(&w, 0, sizeof w);
    waiting_init(&w, max, FLOOR);
}

static void put(struct waiting_entry *e, const char *source, uint64_t bytes, uint32_t streams)
{
    waiting_put(&w, e, hash_text(source), bytes, streams);
}

static void nothing_goes_up_to_the_limit(void **state)
{
    (void)state;
    struct waiting_entry a = {0}, b = {0};
    init(2 * FLOOR);
    put(&a, "a", 0, 0);
    put(&b, "b", FLOOR, 0);
    assert_null(waiting_victim(&w));
    put(&b, "b", FLOOR + 1, 0);
    assert_ptr_equal(waiting_victim(&w), &b);
    assert_null(waiting_victim(&w));
}

static void each_counts_at_least_the_floor(void **state)
{
    (void)state;
    struct waiting_entry e[3] = {0};
    init(3 * FLOOR - 1);
    for (unsigned i = 0; i < 3; i++)
        put(&e[i], "a", i, 0);
    assert_ptr_equal(waiting_victim(&w), &e[0]);
}

static void the_last_one_may_hold_what_its_own_bounds_allow(void **state)
{
    (void)state;
    struct waiting_entry a = {0}, b = {0};
    init(FLOOR);
    put(&a, "a", 100 * FLOOR, 5);
    assert_null(waiting_victim(&w));
    put(&b, "b", 0, 0);
    assert_ptr_equal(waiting_victim(&w), &a);
    assert_null(waiting_victim(&w));
}

static void the_source_that_holds_most_pays(void **state)
{
    (void)state;
    struct waiting_entry a[3] = {0}, b = {0};
    init(5 * FLOOR + 3);
    put(&b, "b", 2 * FLOOR, 0); /* the oldest, and the largest session */
    for (unsigned i = 0; i < 3; i++)
        put(&a[i], "a", FLOOR + i, 7);
    assert_null(waiting_victim(&w));
    put(&b, "b", 3 * FLOOR, 0);
    assert_ptr_equal(waiting_victim(&w), &a[0]);
    put(&b, "b", 5 * FLOOR, 3);
    assert_ptr_equal(waiting_victim(&w), &b); /* now it holds more */
}

static void first_the_ones_without_connections_then_the_oldest(void **state)
{
    (void)state;
    struct waiting_entry e[5] = {0};
    init(1);
    for (unsigned i = 0; i < 5; i++)
        put(&e[i], "a", 0, i == 1 || i == 3 ? 0 : 1);
    put(&e[1], "a", 0, 0); /* what it holds has changed: it has not waited less for that */
    put(&e[0], "a", FLOOR, 2);
    assert_ptr_equal(waiting_victim(&w), &e[1]);
    assert_ptr_equal(waiting_victim(&w), &e[3]);
    assert_ptr_equal(waiting_victim(&w), &e[0]);
    assert_ptr_equal(waiting_victim(&w), &e[2]);
    assert_null(waiting_victim(&w));
    assert_null(waiting_victim(&w)); /* e[4] is the last one */
}

static void who_waits_again_is_the_youngest(void **state)
{
    (void)state;
    struct waiting_entry a = {0}, b = {0};
    init(2 * FLOOR);
    put(&a, "a", 0, 0);
    put(&b, "a", 0, 0);
    waiting_remove(&w, &a);
    waiting_remove(&w, &a); /* harmless */
    put(&a, "a", 0, 0);
    put(&a, "a", FLOOR + 1, 0);
    assert_ptr_equal(waiting_victim(&w), &b);
    waiting_remove(&w, &b); /* taken out already */
    waiting_remove(&w, &a);
    assert_true(w.bytes == 0 && w.count == 0);
}

static void who_moves_has_waited_shortest(void **state)
{
    (void)state;
    struct waiting_entry a = {0}, b = {0};
    init(2 * FLOOR);
    put(&a, "a", FLOOR, 1);
    put(&b, "a", FLOOR, 1);
    waiting_moved(&a);
    put(&a, "a", FLOOR + 1, 1);
    assert_ptr_equal(waiting_victim(&w), &b);
}

static void a_thousand_idle_clients_of_one_address_lose_none(void **state)
{
    (void)state;
    static struct waiting_entry e[1000];
    struct waiting_entry other = {0};
    memset(e, 0, sizeof e);
    init(WAITING_MAX_BYTES);
    for (unsigned i = 0; i < ARRAY_LEN(e); i++) {
        put(&e[i], "192.0.2.1", 0, 0);
        assert_null(waiting_victim(&w));
    }
    /* Nor when one beside them fills all that is left: it is its own that goes. */
    put(&other, "192.0.2.2", WAITING_MAX_BYTES, 9);
    assert_ptr_equal(waiting_victim(&w), &other);
    assert_null(waiting_victim(&w));
}

static void many_small_sources_do_not_pay_for_a_large_one(void **state)
{
    (void)state;
    enum { SMALL = 6000, LARGE = 3 };
    static struct waiting_entry e[SMALL], large[LARGE];
    static char names[SMALL][16];
    memset(e, 0, sizeof e);
    memset(large, 0, sizeof large);
    init((uint64_t)FLOOR * SMALL);
    for (unsigned i = 0; i < SMALL; i++) {
        (void)snprintf(names[i], sizeof names[i], "10.0.%u.%u", i / 250, i % 250);
        put(&e[i], names[i], 0, 0);
        assert_null(waiting_victim(&w));
    }
    for (unsigned i = 0; i < LARGE; i++)
        put(&large[i], "192.0.2.1", 0, 1);
    assert_ptr_equal(waiting_victim(&w), &large[0]);
    assert_ptr_equal(waiting_victim(&w), &large[1]);
}

/* Texts whose hashes begin at the same account. */
static void collide(char (*ret_names)[16], unsigned count, uint64_t at)
{
    for (unsigned n = 0, i = 0; n < count; i++) {
        (void)snprintf(ret_names[n], 16, "s%u", i);
        n += hash_text(ret_names[n]) % WAITING_SOURCES == at;
    }
}

static void sources_that_collide_are_kept_apart(void **state)
{
    (void)state;
    enum { N = WAITING_LOOK_MAX };
    static struct waiting_entry e[N], more, other;
    static char names[N][16];
    collide(names, N, WAITING_SOURCES - 2); /* their accounts go on at the beginning */
    init((N + 1) * FLOOR - 1);
    for (unsigned i = 0; i < N; i++)
        put(&e[i], names[i], 0, 0);
    waiting_remove(&w, &e[0]); /* an account that is nobody's, before that of the last one */
    put(&more, names[N - 1], 0, 0);
    put(&other, "other", 0, 0);
    assert_ptr_equal(waiting_victim(&w), &e[N - 1]); /* of the one that has two */
    assert_null(waiting_victim(&w));
}

static void too_many_that_collide_are_one_source(void **state)
{
    (void)state;
    enum { N = WAITING_LOOK_MAX + 8 };
    static struct waiting_entry e[N], other[2];
    static char names[N][16];
    collide(names, N, 5);
    init((N + 1) * FLOOR);
    put(&other[0], "other", 0, 0);
    put(&other[1], "other", 0, 0);
    for (unsigned i = 0; i < N; i++)
        put(&e[i], names[i], 0, 0);
    /* The last account holds 9: they pay, the oldest first, and not the other source. */
    assert_ptr_equal(waiting_victim(&w), &e[WAITING_LOOK_MAX - 1]);
    assert_null(waiting_victim(&w));
    for (unsigned i = 0; i < N; i++)
        waiting_remove(&w, &e[i]);
    assert_true(w.count == 2 && w.bytes == 2 * FLOOR);
}

static void any_account_may_be_the_largest(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 1, WAITING_SOURCES - 1};
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        struct waiting_entry big = {0}, small = {0};
        static char names[1][16], other[1][16];
        collide(names, 1, at[i]);
        collide(other, 1, 7);
        init(2 * FLOOR);
        put(&small, other[0], 0, 0);
        put(&big, names[0], 2 * FLOOR, 3);
        assert_ptr_equal(waiting_victim(&w), &big);
        waiting_remove(&w, &small);
    }
}

/* ---- against a naive model ---- */

enum { ENTRIES = 40, SOURCES = 6 };

static const char *const sources[SOURCES] = {"a", "b", "c", "d", "e", "f"};

struct model {
    uint64_t bytes, order; /* order 0: does not wait */
    uint32_t streams;
    unsigned source;
};

static uint64_t held(const struct model *m, unsigned source)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        if (m[i].order && (source == SOURCES || m[i].source == source))
            sum += m[i].bytes > FLOOR ? m[i].bytes : FLOOR;
    return sum;
}

/* Is v the one to go of those of its source, and does none hold more? */
static bool is_right(const struct model *m, const struct model *v)
{
    for (unsigned i = 0; i < SOURCES; i++)
        if (held(m, i) > held(m, v->source))
            return false;
    for (unsigned i = 0; i < ENTRIES; i++) {
        bool same = m[i].order && m[i].source == v->source;
        if (same && (m[i].streams == 0) > (v->streams == 0))
            return false;
        if (same && (m[i].streams == 0) == (v->streams == 0) && m[i].order < v->order)
            return false;
    }
    return v->order != 0;
}

static unsigned waiting_count(const struct model *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        n += m[i].order != 0;
    return n;
}

static void whatever_comes_and_goes(void **state)
{
    (void)state;
    enum { SEEDS = 200, EVENTS = 400, MAX = 20 * FLOOR };
    unsigned victims = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct waiting_entry e[ENTRIES] = {0};
        struct model m[ENTRIES] = {0};
        struct rng rng;
        rng_seed(&rng, seed);
        init(MAX);
        for (uint64_t now = 1; now <= EVENTS; now++) {
            unsigned i = rng_below(&rng, ENTRIES);
            if (rng_below(&rng, 4) == 0) {
                waiting_remove(&w, &e[i]);
                m[i].order = 0;
            } else if (m[i].order > 0 && rng_below(&rng, 4) == 0) {
                waiting_moved(&e[i]);
                m[i].order = now;
            } else {
                if (m[i].order == 0) {
                    m[i].order = now;
                    m[i].source = rng_below(&rng, SOURCES);
                }
                m[i].bytes = rng_below(&rng, rng_below(&rng, 10) == 0 ? 2 * MAX : 3 * FLOOR);
                m[i].streams = rng_below(&rng, 2);
                put(&e[i], sources[m[i].source], m[i].bytes, m[i].streams);
            }
            for (struct waiting_entry *v; (v = waiting_victim(&w)); victims++) {
                assert_true(held(m, SOURCES) > MAX && waiting_count(m) > 1);
                assert_true(is_right(m, &m[v - e]));
                m[v - e].order = 0;
            }
            assert_true(held(m, SOURCES) <= MAX || waiting_count(m) == 1);
            assert_true(w.bytes == held(m, SOURCES) && w.count == waiting_count(m));
        }
    }
    assert_true(victims > SEEDS * 20);
}

/* ---- on account of a client ---- */

static void put_for(uint64_t client, struct waiting_entry *e, const char *source, uint64_t bytes)
{
    waiting_set_client(e, client);
    put(e, source, bytes, 1);
}

static void a_client_leaves_an_eighth(void **state)
{
    (void)state;
    struct waiting_entry a[15] = {0}, b[2] = {0};
    char source[8];
    init(16 * FLOOR);
    put_for(2, &b[0], "b", FLOOR);
    for (int i = 0; i < 14; i++) {
        (void)snprintf(source, sizeof source, "%d", i);
        put_for(1, &a[i], source, FLOOR);
        assert_false(waiting_exceeds(&w));
    }
    put_for(1, &a[14], "14", FLOOR);
    assert_true(waiting_exceeds(&w));
    assert_int_equal(waiting_victim(&w)->client, 1);
    assert_false(waiting_exceeds(&w));
    put_for(2, &b[1], "c", FLOOR);
    assert_false(waiting_exceeds(&w));
    assert_null(waiting_victim(&w));
}

/* Not the source that holds most in all: that is another client's matter. */
static void of_a_client_the_source_that_holds_most_of_it_pays(void **state)
{
    (void)state;
    struct waiting_entry a[70] = {0}, b = {0};
    char source[8];
    init(80 * FLOOR);
    put_for(2, &b, "large", 9 * FLOOR);
    put_for(1, &a[0], "large", FLOOR);
    put_for(1, &a[1], "middle", 2 * FLOOR);
    put_for(1, &a[2], "middle", 3 * FLOOR);
    for (unsigned i = 3; i < 67; i++) {
        (void)snprintf(source, sizeof source, "%u", i);
        put_for(1, &a[i], source, FLOOR);
    }
    assert_false(waiting_exceeds(&w));
    put_for(1, &a[67], "one more", FLOOR);
    assert_ptr_equal(waiting_victim(&w), &a[1]); /* which has waited longest there */
    assert_false(waiting_exceeds(&w));
    put_for(1, &a[0], "large", 5 * FLOOR);
    assert_ptr_equal(waiting_victim(&w), &a[0]);
    assert_null(waiting_victim(&w));
}

static void the_last_one_of_a_client_is_kept(void **state)
{
    (void)state;
    struct waiting_entry a[2] = {0}, b = {0};
    init(16 * FLOOR);
    put_for(2, &b, "b", FLOOR);
    put_for(1, &a[0], "a", 15 * FLOOR);
    assert_false(waiting_exceeds(&w));
    put_for(1, &a[1], "a", 0); /* all together have more now as well */
    assert_ptr_equal(waiting_victim(&w), &a[0]);
    assert_null(waiting_victim(&w));
    waiting_remove(&w, &a[1]);
    waiting_remove(&w, &b);
    assert_true(w.exceeding == 0 && w.bytes == 0 && w.count == 0);
}

/* More clients than accounts: some share one. Nothing is lost of what is counted. */
static void clients_come_and_go(void **state)
{
    (void)state;
    enum { CLIENTS = WAITING_CLIENTS + 300, MAX = 20 * FLOOR };
    static struct waiting_entry e[CLIENTS];
    struct rng rng;
    for (uint64_t seed = 0; seed < 60; seed++) {
        memset(e, 0, sizeof e);
        rng_seed(&rng, seed);
        init(seed % 2 ? MAX : (uint64_t)CLIENTS * FLOOR);
        for (unsigned step = 0; step < 3000; step++) {
            unsigned i = rng_below(&rng, seed % 2 ? 40 : CLIENTS);
            uint64_t client = seed % 2 ? 1 + i % 3 : 1 + i;
            if (rng_below(&rng, 4) == 0)
                waiting_remove(&w, &e[i]);
            else
                put_for(client, &e[i], sources[i % SOURCES], rng_below(&rng, 3 * FLOOR));
            for (struct waiting_entry *v; (v = waiting_victim(&w));)
                assert_null(v->account);
            assert_true(!waiting_exceeds(&w) || w.count == 1);
            uint64_t of[3] = {0}, all = 0;
            for (unsigned k = 0; k < 40; k++)
                of[k % 3] += e[k].account ? (e[k].bytes > FLOOR ? e[k].bytes : FLOOR) : 0;
            for (unsigned k = 0; seed % 2 && k < 3; k++)
                assert_true(of[k] <= MAX - MAX / WAITING_OTHERS_PART);
            for (unsigned k = 0; k < WAITING_CLIENTS; k++)
                all += w.clients[k].bytes;
            assert_true(all == w.bytes);
        }
        for (unsigned i = 0; i < CLIENTS; i++)
            waiting_remove(&w, &e[i]);
        assert_true(w.exceeding == 0 && w.bytes == 0 && w.count == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_goes_up_to_the_limit),
        cmocka_unit_test(each_counts_at_least_the_floor),
        cmocka_unit_test(the_last_one_may_hold_what_its_own_bounds_allow),
        cmocka_unit_test(the_source_that_holds_most_pays),
        cmocka_unit_test(first_the_ones_without_connections_then_the_oldest),
        cmocka_unit_test(who_waits_again_is_the_youngest),
        cmocka_unit_test(who_moves_has_waited_shortest),
        cmocka_unit_test(a_thousand_idle_clients_of_one_address_lose_none),
        cmocka_unit_test(many_small_sources_do_not_pay_for_a_large_one),
        cmocka_unit_test(sources_that_collide_are_kept_apart),
        cmocka_unit_test(too_many_that_collide_are_one_source),
        cmocka_unit_test(any_account_may_be_the_largest),
        cmocka_unit_test(whatever_comes_and_goes),
        cmocka_unit_test(a_client_leaves_an_eighth),
        cmocka_unit_test(of_a_client_the_source_that_holds_most_of_it_pays),
        cmocka_unit_test(the_last_one_of_a_client_is_kept),
        cmocka_unit_test(clients_come_and_go),
    };
    return cmocka_run_group_tests_name("waiting", tests, NULL, NULL);
}
