/* SPDX-License-Identifier: MIT */
/* Comparison of secrets, exhaustively for short ones (D10), and wiping. */
#include "base/secure.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { LEN_MAX = 4, SYMBOLS = 3, WORDS = 1 + 3 + 9 + 27 + 81 };

struct word {
    uint8_t *p; /* of exactly n bytes, so that a read beyond it is seen */
    size_t n;
};

/* The i-th word over three symbols, in order of length. */
static struct word word_make(size_t i)
{
    static const uint8_t symbols[SYMBOLS] = {0x00, 'a', 0xff};
    size_t n = 0, count = 1;
    while (i >= count) {
        i -= count;
        count *= SYMBOLS;
        n++;
    }
    struct word w = {.p = n > 0 ? malloc(n) : NULL, .n = n};
    for (size_t k = 0; k < n; k++, i /= SYMBOLS)
        w.p[k] = symbols[i % SYMBOLS];
    return w;
}

static void equal_exhaustively(void **state)
{
    (void)state;
    struct word words[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        words[i] = word_make(i);
    assert_int_equal(words[WORDS - 1].n, LEN_MAX);
    for (size_t i = 0; i < WORDS; i++) {
        for (size_t k = 0; k < WORDS; k++)
            assert_int_equal(secure_equal(words[i].p, words[i].n, words[k].p, words[k].n), i == k);
    }
    for (size_t i = 0; i < WORDS; i++)
        free(words[i].p);
}

static void every_single_bit_counts(void **state)
{
    (void)state;
    uint8_t a[64], b[64];
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (uint8_t)(i * 5);
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        memcpy(b, a, sizeof b);
        assert_true(secure_equal(a, sizeof a, b, sizeof b));
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(secure_equal(a, sizeof a, b, sizeof b));
    }
}

static void a_prefix_or_repetition_is_not_equal(void **state)
{
    (void)state;
    assert_false(secure_equal("secret", 6, "secre", 5));
    assert_false(secure_equal("secret", 6, "secrett", 7));
    assert_false(secure_equal("secret", 6, "secretsecret", 12));
    assert_false(secure_equal("", 0, "\0", 1));
    assert_false(secure_equal("\0", 1, "", 0));
    assert_true(secure_equal("", 0, "", 0));
    assert_true(secure_equal(NULL, 0, NULL, 0));
}

/* The length's difference must not cancel out against a difference of bytes. */
static void lengths_and_bytes_do_not_cancel(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 256; v++) {
        uint8_t guess[2] = {(uint8_t)v, 1};
        assert_false(secure_equal("x", 1, guess, 2));
        assert_false(secure_equal(guess, 2, "x", 1));
    }
}

static void zero_wipes(void **state)
{
    (void)state;
    uint8_t a[33];
    memset(a, 0xaa, sizeof a);
    secure_zero(a, sizeof a - 1);
    for (size_t i = 0; i < sizeof a - 1; i++)
        assert_int_equal(a[i], 0);
    assert_int_equal(a[32], 0xaa);
}

/* What the kernel says of the mapping that p is in: the line "VmFlags: ..." into ret. */
static void mapping_flags(const void *p, char ret[256])
{
    char line[512];
    bool mine = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    *ret = '\0';
    while (fgets(line, sizeof line, f)) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16), to = 0;
        if (*end == '-') {
            to = strtoul(end + 1, NULL, 16);
            mine = (uintptr_t)p >= from && (uintptr_t)p < to;
        } else if (mine && strncmp(line, "VmFlags:", 8) == 0) {
            (void)snprintf(ret, 256, "%.255s", line);
        }
    }
    (void)fclose(f);
}

static void secrets_have_locked_pages_that_are_not_dumped(void **state)
{
    (void)state;
    char flags[256];
    enum { BYTES = 5000 };
    unsigned char *p = secure_alloc(BYTES);
    assert_non_null(p);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(p[i], 0);
    memset(p, 0x55, BYTES);
    mapping_flags(p + BYTES - 1, flags);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__has_feature)
    assert_non_null(strstr(flags, " lo")); /* sanitizers leave mlock() out */
#endif
    assert_non_null(strstr(flags, " dd"));
    secure_free(p, BYTES);
    secure_free(NULL, BYTES);
}

/* A container may forbid locking: a program that starts is worth more. */
static void secrets_have_memory_where_nothing_can_be_locked(void **state)
{
    (void)state;
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    char *p = secure_alloc(10);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
    assert_non_null(p);
    memcpy(p, "123456789", 10);
    secure_free(p, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_exhaustively),
        cmocka_unit_test(every_single_bit_counts),
        cmocka_unit_test(a_prefix_or_repetition_is_not_equal),
        cmocka_unit_test(lengths_and_bytes_do_not_cancel),
        cmocka_unit_test(zero_wipes),
        cmocka_unit_test(secrets_have_locked_pages_that_are_not_dumped),
        cmocka_unit_test(secrets_have_memory_where_nothing_can_be_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
