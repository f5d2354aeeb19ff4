/* SPDX-License-Identifier: MIT */
#include "conf/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static const char *nearest_of(const char *word, const char *const *names, size_t count)
{
    struct nearest n;
    nearest_init(&n, word, strlen(word));
    for (size_t i = 0; i < count; i++)
        nearest_try(&n, names[i]);
    return nearest_name(&n);
}

static const struct {
    const char *word, *meant;
} rows[] = {
    {"lisen", "listen"},   /* a byte less */
    {"listten", "listen"}, /* a byte more */
    {"lixten", "listen"},  /* another byte */
    {"lsiten", "listen"},  /* neighbours */
    {"isten", "listen"},   /* at the front */
    {"listens", "listen"}, /* at the end */
    {"ilsetn", "listen"},  /* two edits */
    {"secretfile", "secret-file"},
    {"certs", "certs"}, /* none */
    {"cert", "certs"},
    {"di", NULL},  /* one edit of two bytes */
    {"idd", "id"}, /* one of three */
    {"", NULL},
    {"l", NULL},
    {"xyzten", NULL}, /* three edits */
    {"lx", NULL},
    {"wxid", NULL}, /* two edits of four bytes */
    {"Listen", "listen"},
    {"secretxyz", NULL}, /* three edits of nine bytes */
};

static void what_was_meant(void **state)
{
    static const char *const names[] = {"certs", "id", "listen", "secret", "secret-file"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *name = nearest_of(rows[i].word, names, ARRAY_LEN(names));
        if (rows[i].meant)
            assert_string_equal(name ? name : "nothing", rows[i].meant);
        else
            assert_null(name);
    }
}

static void the_nearest_wins_and_the_first_of_equals(void **state)
{
    static const char *const names[] = {"server-one", "server-ten", "server-on", "server-in"};
    (void)state;
    assert_string_equal(nearest_of("server-en", names, 4), "server-ten");
    assert_string_equal(nearest_of("server-n", names, 4), "server-on");
    assert_string_equal(nearest_of("server-in", names, 4), "server-in");
}

/* The word is the front of a longer text, as in -lisen=7000. */
static void the_word_has_a_length(void **state)
{
    (void)state;
    struct nearest n;
    nearest_init(&n, "lisen=7000", 5);
    nearest_try(&n, "listen");
    assert_string_equal(nearest_name(&n), "listen");
}

static void words_without_bound_are_near_to_nothing(void **state)
{
    (void)state;
    char longest[NEAREST_WORD_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[NEAREST_WORD_MAX + 1] = '\0';
    struct nearest n;
    nearest_init(&n, longest, NEAREST_WORD_MAX + 1);
    nearest_try(&n, longest + 1);
    assert_null(nearest_name(&n));
    nearest_init(&n, longest, NEAREST_WORD_MAX);
    nearest_try(&n, longest);
    assert_null(nearest_name(&n));
    nearest_try(&n, longest + 2);
    assert_ptr_equal(nearest_name(&n), longest + 2);
    nearest_try(&n, longest + 1);
    assert_ptr_equal(nearest_name(&n), longest + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_meant),
        cmocka_unit_test(the_nearest_wins_and_the_first_of_equals),
        cmocka_unit_test(the_word_has_a_length),
        cmocka_unit_test(words_without_bound_are_near_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
