/* SPDX-License-Identifier: MIT */
/* Where the pieces of keys lie, against malloc() for all others. */
#include "base/key_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { UNITS = KEY_POOL_BYTES / KEY_POOL_UNIT };

static uint8_t *first; /* of the pool */

static int group_setup(void **state)
{
    (void)state;
    key_pool_init();
    key_pool_init(); /* again does nothing */
    key_pool_enter();
    first = key_pool_alloc(1);
    key_pool_free(first);
    key_pool_leave();
    return first ? 0 : -1;
}

static bool is_in_pool(const void *p)
{
    return (const uint8_t *)p >= first && (const uint8_t *)p < first + KEY_POOL_BYTES;
}

static void *alloc_inside(size_t n)
{
    key_pool_enter();
    void *p = key_pool_alloc(n);
    key_pool_leave();
    return p;
}

static void only_what_is_asked_for_inside_is_of_the_pool(void **state)
{
    (void)state;
    void *in = alloc_inside(100), *out = key_pool_alloc(100);
    assert_true(is_in_pool(in));
    assert_non_null(out);
    assert_false(is_in_pool(out));
    key_pool_free(in);
    key_pool_free(out);
    key_pool_free(NULL);
    assert_null(alloc_inside(0));
    assert_null(key_pool_alloc(0));
}

static void a_full_pool_is_no_end(void **state)
{
    (void)state;
    void *p[UNITS];
    for (size_t i = 0; i < UNITS; i++)
        assert_true(is_in_pool(p[i] = alloc_inside(KEY_POOL_UNIT)));
    void *more = alloc_inside(1);
    assert_non_null(more);
    assert_false(is_in_pool(more));
    key_pool_free(more);
    key_pool_free(p[7]);
    key_pool_free(p[9]);
    void *two = alloc_inside(KEY_POOL_UNIT + 1); /* there is room, but not in a row */
    assert_false(is_in_pool(two));
    key_pool_free(two);
    key_pool_free(p[8]);
    two = alloc_inside(3 * KEY_POOL_UNIT);
    assert_ptr_equal(two, p[7]);
    key_pool_free(two);
    for (size_t i = 0; i < UNITS; i++)
        if (i < 7 || i > 9)
            key_pool_free(p[i]);
    void *all = alloc_inside(KEY_POOL_BYTES), *beyond = alloc_inside(KEY_POOL_BYTES + 1);
    assert_ptr_equal(all, first);
    assert_false(is_in_pool(beyond));
    key_pool_free(all);
    key_pool_free(beyond);
}

static void what_is_freed_is_wiped(void **state)
{
    (void)state;
    uint8_t *p = alloc_inside(100);
    memset(p, 0x5a, 100);
    key_pool_free(p);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 0); /* the page is there as long as the program */
}

static void other_sizes_keep_the_bytes(void **state)
{
    (void)state;
    uint8_t *p = alloc_inside(64);
    memcpy(p, "a key", 6);
    key_pool_enter();
    p = key_pool_realloc(p, 300);
    key_pool_leave();
    assert_true(is_in_pool(p));
    assert_string_equal(p, "a key");
    p = key_pool_realloc(p, 400); /* outside it leaves the pool: whoever asks is to be inside */
    assert_false(is_in_pool(p));
    assert_string_equal(p, "a key");
    p = key_pool_realloc(p, 10);
    assert_string_equal(p, "a key");
    assert_null(key_pool_realloc(p, 0));
    p = key_pool_realloc(NULL, 5);
    assert_non_null(p);
    key_pool_free(p);
    p = alloc_inside(5);
    assert_null(key_pool_realloc(p, 0));
    assert_ptr_equal(p, first); /* free again */
    p = alloc_inside(5);
    assert_ptr_equal(p, first);
    key_pool_free(p);
}

/* Against a copy of what each piece holds. */
static void pieces_never_overlap(void **state)
{
    (void)state;
    enum { PIECES = 40, STEPS = 20000 };
    struct piece {
        uint8_t *p;
        size_t n;
        uint8_t fill;
    } piece[PIECES] = {0};
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < STEPS; i++) {
        struct piece *x = &piece[rng_below(&rng, PIECES)];
        for (size_t k = 0; k < x->n; k++)
            assert_int_equal(x->p[k], x->fill);
        key_pool_free(x->p);
        x->n = 1 + rng_below(&rng, 1500);
        x->fill = (uint8_t)i;
        x->p = alloc_inside(x->n);
        memset(x->p, x->fill, x->n);
    }
    for (size_t i = 0; i < PIECES; i++)
        key_pool_free(piece[i].p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_asked_for_inside_is_of_the_pool),
        cmocka_unit_test(a_full_pool_is_no_end),
        cmocka_unit_test(what_is_freed_is_wiped),
        cmocka_unit_test(other_sizes_keep_the_bytes),
        cmocka_unit_test(pieces_never_overlap),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
