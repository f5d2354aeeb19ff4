/* SPDX-License-Identifier: MIT */
/* The hash map: growth, many even ids, emptying, and life without memory. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* Counts allocations; refuses from the fail_from-th on (0: never). */
struct counter {
    struct alloc alloc;
    int calls, live, fail_from;
};

static void *counting_get(const struct alloc *a, size_t n)
{
    struct counter *c = a->ctx;
    if (c->fail_from > 0 && ++c->calls >= c->fail_from)
        return NULL;
    c->live++;
    return malloc(n);
}

static void counting_put(const struct alloc *a, void *p)
{
    struct counter *c = a->ctx;
    c->live -= p != NULL;
    free(p);
}

static void counter_init(struct counter *c, int fail_from)
{
    *c = (struct counter){.alloc = {.get = counting_get, .put = counting_put, .ctx = c},
                          .fail_from = fail_from};
}

static void a_small_map_holds_no_memory(void **state)
{
    (void)state;
    struct counter c;
    counter_init(&c, 0);
    struct map m;
    map_init(&m, &c.alloc);
    struct map_node nodes[MAP_INLINE];
    assert_null(map_get(&m, 0));
    for (uint32_t i = 0; i < MAP_INLINE; i++) {
        nodes[i].key = i * 0x10000001u;
        map_put(&m, &nodes[i]);
        assert_ptr_equal(map_get(&m, nodes[i].key), &nodes[i]);
    }
    assert_int_equal(c.live, 0);
    assert_int_equal(map_count(&m), MAP_INLINE);
    assert_null(map_get(&m, 5));
    map_fini(&m);
    assert_int_equal(map_count(&m), 0);
}

static void longest_chain_is_short(const struct map *m)
{
    size_t longest = 0;
    for (size_t i = 0; i < (size_t)1 << m->bits; i++) {
        size_t n = 0;
        for (struct map_node *it = m->table[i]; it; it = it->next)
            n++;
        longest = n > longest ? n : longest;
    }
    assert_in_range(longest, 1, 8);
}

static void a_hundred_thousand_even_ids(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct counter c;
    counter_init(&c, 0);
    struct map m;
    map_init(&m, &c.alloc);
    struct map_node *nodes = calloc(N, sizeof *nodes);
    assert_non_null(nodes);
    for (uint32_t i = 0; i < N; i++) {
        nodes[i].key = 2 * i + 2;
        map_put(&m, &nodes[i]);
    }
    assert_int_equal(map_count(&m), N);
    assert_int_equal(c.live, 1); /* the outgrown tables are freed */
    longest_chain_is_short(&m);
    for (uint32_t i = 0; i < N; i++) {
        assert_ptr_equal(map_get(&m, 2 * i + 2), &nodes[i]);
        assert_null(map_get(&m, 2 * i + 1));
    }
    for (uint32_t i = 0; i < N; i += 2)
        map_del(&m, &nodes[i]);
    for (uint32_t i = 0; i < N; i++)
        assert_ptr_equal(map_get(&m, 2 * i + 2), i % 2 ? &nodes[i] : NULL);
    size_t cursor = 0, emptied = 0;
    for (struct map_node *n; (n = map_any(&m, &cursor)); emptied++)
        map_del(&m, n);
    assert_int_equal(emptied, N / 2);
    assert_int_equal(c.live, 0); /* back to the inline table */
    free(nodes);
}

static void works_without_memory(void **state)
{
    (void)state;
    enum { N = 500 };
    for (int fail_from = 1; fail_from <= 8; fail_from++) {
        struct counter c;
        counter_init(&c, fail_from);
        struct map m;
        map_init(&m, &c.alloc);
        struct map_node nodes[N];
        for (uint32_t i = 0; i < N; i++) {
            nodes[i].key = 2 * i;
            map_put(&m, &nodes[i]);
        }
        assert_int_equal(map_count(&m), N);
        for (uint32_t i = 0; i < N; i++)
            assert_ptr_equal(map_get(&m, 2 * i), &nodes[i]);
        map_fini(&m);
        assert_int_equal(c.live, 0);
    }
}

/* Against a plain table of who is in, by a seeded walk. */
static void random_walk(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    struct rng rng;
    rng_seed(&rng, 7);
    struct map m;
    map_init(&m, NULL);
    struct map_node nodes[KEYS];
    bool in[KEYS] = {false};
    size_t count = 0;
    for (int i = 0; i < 100000; i++) {
        uint32_t k = rng_below(&rng, i % 1000 < 500 ? KEYS : 12);
        nodes[k].key = in[k] ? nodes[k].key : 0xffffffffu - 2 * k;
        assert_ptr_equal(map_get(&m, 0xffffffffu - 2 * k), in[k] ? &nodes[k] : NULL);
        if (in[k])
            map_del(&m, &nodes[k]);
        else
            map_put(&m, &nodes[k]);
        in[k] = !in[k];
        count += in[k] ? 1 : (size_t)-1;
        assert_int_equal(map_count(&m), count);
    }
    map_fini(&m);
}

/* Several may have one key, among others: each is found once, also after the table has grown. */
static void several_with_one_key(void **state)
{
    (void)state;
    enum { SAME = 5, OTHERS = 200 };
    struct map m;
    struct map_node same[SAME], others[OTHERS];
    map_init(&m, NULL);
    for (uint32_t i = 0; i < OTHERS; i++) {
        others[i].key = i + 1000;
        map_put(&m, &others[i]);
        if (i % (OTHERS / SAME) != 0)
            continue;
        same[i / (OTHERS / SAME)].key = 7;
        map_put(&m, &same[i / (OTHERS / SAME)]);
    }
    for (uint32_t left = SAME; left > 0; left--) {
        unsigned seen = 0;
        for (struct map_node *n = map_get(&m, 7); n; n = map_next(n))
            seen |= 1u << (n - same);
        assert_int_equal(seen, (1u << left) - 1);
        map_del(&m, &same[left - 1]);
    }
    assert_null(map_get(&m, 7));
    assert_null(map_next(map_get(&m, 1000)));
    for (uint32_t i = 0; i < OTHERS; i++)
        map_del(&m, &others[i]);
    map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_map_holds_no_memory),
        cmocka_unit_test(a_hundred_thousand_even_ids),
        cmocka_unit_test(works_without_memory),
        cmocka_unit_test(random_walk),
        cmocka_unit_test(several_with_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
