/* SPDX-License-Identifier: MIT */
#include "base/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"

static void empty_holds_no_memory(void **state)
{
    (void)state;
    struct backlog b = {0};
    assert_int_equal(backlog_put(&b, "", 0), 0);
    assert_null(b.buf);
    assert_int_equal(backlog_pieces(&b, NULL), 0);
    assert_int_equal(backlog_put(&b, "abc", 3), 0);
    backlog_drop(&b, 1);
    struct iovec v[2];
    assert_int_equal(backlog_pieces(&b, v), 1);
    assert_int_equal(v[0].iov_len, 2);
    assert_memory_equal(v[0].iov_base, "bc", 2);
    backlog_drop(&b, 2);
    assert_null(b.buf);
    assert_int_equal(b.cap, 0);
    assert_int_equal(backlog_put(&b, "x", 1), 0);
    backlog_clear(&b);
    assert_null(b.buf);
}

static void too_much_changes_nothing(void **state)
{
    (void)state;
    struct backlog b = {0};
    assert_int_equal(backlog_put(&b, "abc", 3), 0);
    assert_int_equal(backlog_put(&b, "abc", SIZE_MAX), ERR_NOMEM);
    assert_int_equal(backlog_put(&b, "abc", (size_t)1 << 31), ERR_NOMEM);
    assert_int_equal(b.len, 3);
    backlog_clear(&b);
}

/* Random pieces in and out: the bytes stay in order. */
static void order_is_kept(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    struct backlog b = {0};
    uint8_t piece[9000];
    uint32_t in = 0, out = 0;
    for (int i = 0; i < 2000; i++) {
        uint32_t n = rng_below(&rng, sizeof piece + 1);
        if (b.len < 100000) {
            for (uint32_t k = 0; k < n; k++)
                piece[k] = (uint8_t)(in++ * 2654435761u >> 21);
            assert_int_equal(backlog_put(&b, piece, n), 0);
        }
        n = rng_below(&rng, b.len + 1);
        struct iovec v[2] = {{NULL, 0}, {NULL, 0}};
        int pieces = backlog_pieces(&b, v);
        assert_int_equal(v[0].iov_len + (pieces == 2 ? v[1].iov_len : 0), b.len);
        for (uint32_t k = 0; k < n; k++) {
            bool first = k < v[0].iov_len;
            const uint8_t *p = first ? v[0].iov_base : v[1].iov_base;
            assert_int_equal(p[first ? k : k - v[0].iov_len], (uint8_t)(out++ * 2654435761u >> 21));
        }
        backlog_drop(&b, n);
        assert_int_equal(b.len, in - out);
        assert_true(b.cap <= 131072); /* the next power of two, and no more */
    }
    backlog_clear(&b);
}

/* A full one, read and written in small portions, as with a slow reader: it stays where it is. */
static void a_full_one_does_not_grow(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct backlog b = {0};
    assert_int_equal(backlog_put(&b, bytes, sizeof bytes), 0);
    const uint8_t *buf = b.buf;
    for (uint32_t i = 0; i < 200000; i++) {
        backlog_drop(&b, 999);
        assert_int_equal(backlog_put(&b, bytes, 999), 0);
        assert_int_equal(b.cap, sizeof bytes);
        assert_ptr_equal(b.buf, buf);
    }
    backlog_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_holds_no_memory),
        cmocka_unit_test(too_much_changes_nothing),
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(a_full_one_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
