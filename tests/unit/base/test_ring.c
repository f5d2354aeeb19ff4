/* SPDX-License-Identifier: MIT */
/* The outgoing ring: wrap, the double mapping, rewind, and release that lags behind sent. */
#include "base/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"

enum { PAGE = 4096 };

/* The byte that stands at a cumulative count. */
static uint8_t byte_at(uint64_t count)
{
    return (uint8_t)(count * 31 + (count >> 8) * 7);
}

static void stage(struct ring *r, size_t n)
{
    uint8_t *p = ring_reserve(r, n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(r->staged + i);
    ring_commit(r, n);
}

/* All unsent bytes are what was staged there. */
static void check_unsent(const struct ring *r)
{
    size_t n;
    const uint8_t *p = ring_unsent(r, &n);
    assert_int_equal(n, r->staged - r->sent);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i], byte_at(r->sent + i));
}

/* The byte at the released mark, where sending again would begin. */
static uint8_t smallest_byte(const struct ring *r)
{
    return r->base[(r->released - r->origin) % r->size];
}

static void size_is_rounded_to_pages(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, 1), 0);
    assert_int_equal(r.size % PAGE, 0);
    assert_int_equal(ring_room(&r), r.size);
    ring_fini(&r);
    ring_fini(&r); /* twice is harmless */
    assert_null(r.base);
    struct ring zero = {0};
    ring_fini(&zero);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, (size_t)1 << 62), ERR_NOMEM);
    assert_null(r.base);
    ring_fini(&r);
}

static void both_halves_are_the_same_memory(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, 2 * PAGE), 0);
    for (size_t i = 0; i < r.size; i++) {
        r.base[i] = (uint8_t)i;
        assert_int_equal(r.base[i + r.size], (uint8_t)i);
        r.base[i + r.size] = (uint8_t)(i + 1);
        assert_int_equal(r.base[i], (uint8_t)(i + 1));
    }
    ring_fini(&r);
}

static void a_span_across_the_end_is_one_piece(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, PAGE), 0);
    stage(&r, PAGE - 10);
    ring_advance(&r, PAGE - 30);
    ring_release(&r, r.sent);
    stage(&r, 100); /* begins 10 bytes before the end */
    check_unsent(&r);
    size_t n;
    (void)ring_unsent(&r, &n);
    assert_int_equal(n, 120);
    ring_fini(&r);
}

static void an_empty_ring_starts_again_at_its_beginning(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, PAGE), 0);
    stage(&r, 1000);
    ring_advance(&r, 1000);
    ring_release(&r, 1000);
    assert_ptr_equal(ring_reserve(&r, 1), r.base);
    stage(&r, 10);
    check_unsent(&r);
    assert_int_not_equal(ring_reserve(&r, 1) - r.base, 0); /* not empty: it goes on */
    ring_fini(&r);
}

/* What was sent but not released keeps its room and can be sent again. */
static void release_later_than_sent(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, PAGE), 0);
    stage(&r, 3000);
    ring_advance(&r, 2000);
    assert_int_equal(ring_room(&r), PAGE - 3000);
    ring_advance(&r, 1000);
    size_t n;
    (void)ring_unsent(&r, &n);
    assert_int_equal(n, 0);
    assert_null(ring_reserve(&r, PAGE - 3000 + 1));
    assert_int_not_equal(ring_reserve(&r, 1) - r.base, 0); /* all sent is not empty */
    ring_release(&r, 1500);
    assert_int_equal(ring_room(&r), PAGE - 1500);
    stage(&r, PAGE - 1500); /* full, wrapped */
    assert_int_equal(ring_room(&r), 0);
    assert_null(ring_reserve(&r, 1));
    check_unsent(&r);
    r.sent = r.released; /* a new connection: send again what was not acknowledged */
    check_unsent(&r);
    ring_fini(&r);
}

static void trim_frees_the_memory_of_an_empty_ring(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, PAGE), 0);
    stage(&r, 100);
    ring_trim(&r); /* not empty: nothing happens */
    check_unsent(&r);
    ring_advance(&r, 100);
    ring_release(&r, 100);
    assert_int_not_equal(r.base[99], 0);
    ring_trim(&r);
    for (size_t i = 0; i < 2 * PAGE; i++)
        assert_int_equal(r.base[i], 0); /* fresh pages */
    stage(&r, PAGE);
    check_unsent(&r);
    ring_fini(&r);
    ring_trim(&r); /* harmless */
}

static void a_small_rest_survives_trim(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, 4 * PAGE), 0);
    stage(&r, 4 * PAGE - 100);
    ring_advance(&r, r.staged);
    ring_release(&r, r.sent);
    ring_reserve(&r, 1)[0] = 0;
    r.origin = 0;             /* as if it had never been empty */
    stage(&r, RING_TRIM_MAX); /* across the end */
    ring_advance(&r, 30);
    ring_trim(&r);
    check_unsent(&r);
    assert_int_equal(r.released, 4 * PAGE - 100);
    for (size_t i = RING_TRIM_MAX; i < 4 * PAGE; i++)
        assert_int_equal(r.base[i], 0); /* fresh pages but for the rest */
    stage(&r, 1);
    ring_trim(&r); /* too much to move */
    assert_int_equal(r.base[RING_TRIM_MAX], byte_at(r.staged - 1));
    check_unsent(&r);
    stage(&r, ring_room(&r));
    check_unsent(&r);
    ring_fini(&r);
}

static void rewind_releases_and_sends_again(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, PAGE), 0);
    stage(&r, 3000);
    ring_advance(&r, 2000);
    ring_rewind(&r, 500);
    assert_int_equal(r.released, 500);
    assert_int_equal(r.sent, 500);
    check_unsent(&r);
    ring_rewind(&r, 2500); /* beyond what this mark had come to */
    assert_int_equal(ring_room(&r), PAGE - 500);
    check_unsent(&r);
    ring_rewind(&r, 3000);
    assert_int_equal(ring_room(&r), PAGE);
    ring_fini(&r);
}

static void resize_keeps_what_is_in_the_ring(void **state)
{
    (void)state;
    struct ring r;
    assert_int_equal(ring_init(&r, 2 * PAGE), 0);
    for (size_t size = 2 * PAGE; size <= 64 * PAGE; size *= 2) {
        stage(&r, ring_room(&r)); /* full, and anywhere in it */
        ring_advance(&r, 3000);
        ring_release(&r, r.sent - 1000);
        assert_int_equal(ring_resize(&r, size), 0);
        assert_int_equal(r.size, size);
        check_unsent(&r);
        assert_int_equal(smallest_byte(&r), byte_at(r.released));
    }
    ring_advance(&r, (size_t)(r.staged - r.sent) - PAGE);
    ring_release(&r, r.sent);
    assert_int_equal(ring_resize(&r, (size_t)1 << 62), ERR_NOMEM);
    check_unsent(&r);
    assert_int_equal(ring_resize(&r, 1), 0); /* a page, exactly full */
    assert_int_equal(ring_room(&r), 0);
    check_unsent(&r);
    ring_fini(&r);
}

static void random_walk(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 20240601);
    struct ring r;
    assert_int_equal(ring_init(&r, 2 * PAGE), 0);
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_below(&rng, 3000);
        if (n <= ring_room(&r))
            stage(&r, n);
        else
            assert_null(ring_reserve(&r, n));
        check_unsent(&r);
        ring_advance(&r, rng_below(&rng, (uint32_t)(r.staged - r.sent) + 1));
        ring_release(&r, r.released + rng_below(&rng, (uint32_t)(r.sent - r.released) + 1));
        assert_true(r.released <= r.sent && r.sent <= r.staged);
        assert_true(r.staged - r.released <= r.size);
    }
    assert_true(r.staged > 100 * r.size); /* it did wrap */
    ring_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_is_rounded_to_pages),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(both_halves_are_the_same_memory),
        cmocka_unit_test(a_span_across_the_end_is_one_piece),
        cmocka_unit_test(an_empty_ring_starts_again_at_its_beginning),
        cmocka_unit_test(release_later_than_sent),
        cmocka_unit_test(trim_frees_the_memory_of_an_empty_ring),
        cmocka_unit_test(a_small_rest_survives_trim),
        cmocka_unit_test(rewind_releases_and_sends_again),
        cmocka_unit_test(resize_keeps_what_is_in_the_ring),
        cmocka_unit_test(random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
