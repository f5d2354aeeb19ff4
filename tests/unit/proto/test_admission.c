/* SPDX-License-Identifier: MIT */
/* Who may be connected without having authenticated, and who goes for a newcomer (D30). */
#include "proto/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

enum { MANY = 4096 };

static struct admission a;
static struct rng chance;
static struct admission_entry entries[MANY];
static char names[MANY][24];

static void begin(void)
{
    rng_seed(&chance, 20261128);
    admission_init(&a, &chance);
    memset(entries, 0, sizeof entries);
    for (int i = 0; i < MANY; i++)
        (void)snprintf(names[i], sizeof names[i], "192.0.%d.%d", i >> 8, i & 255);
}

static void a_source_has_its_share_d30(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < ADMISSION_SOURCE_MAX; i++)
        assert_null(admission_add(&a, &entries[i], "198.51.100.1"));
    assert_null(admission_add(&a, &entries[1000], "198.51.100.2"));
    /* beyond it, its own oldest goes */
    assert_ptr_equal(admission_add(&a, &entries[100], "198.51.100.1"), &entries[0]);
    assert_ptr_equal(admission_add(&a, &entries[101], "198.51.100.1"), &entries[1]);
    assert_int_equal(a.count, ADMISSION_SOURCE_MAX + 1);
}

static void a_flood_does_not_drop_the_honest_one_d30(void **state)
{
    (void)state;
    begin();
    assert_null(admission_add(&a, &entries[0], "203.0.113.9")); /* and it is the oldest */
    for (int i = 1; i < MANY; i++) {                            /* 200 sources */
        struct admission_entry *victim = admission_add(&a, &entries[i], names[i % 200]);
        assert_ptr_not_equal(victim, &entries[0]);
        assert_true(a.count <= ADMISSION_MAX);
    }
    admission_remove(&a, &entries[0]);
    assert_in_range(a.count, ADMISSION_MAX / 2, ADMISSION_MAX - 1);
}

/* 256 of one source each, the oldest first; returns how many connections came for that. */
static int fill(void)
{
    int came = 0;
    while (a.count < ADMISSION_MAX) {
        (void)!admission_add(&a, &entries[came], names[came]);
        came++;
    }
    return came;
}

/* The older half loses one each time, by lot: no quick one goes, and of the slow ones not all. */
static void more_sources_than_places_draw_from_the_older_half(void **state)
{
    bool was_there[MANY], oldest_stays = false;
    (void)state;
    begin();
    int came = fill();
    for (int i = came; i < came + 2000; i++) {
        struct list *n = a.all.next;
        const struct admission_entry *oldest = LIST_ENTRY(n, struct admission_entry, by_age);
        for (int k = 0; k < ADMISSION_MAX / 2; k++, n = n->next)
            was_there[LIST_ENTRY(n, struct admission_entry, by_age) - entries] = true;
        struct admission_entry *v = admission_add(&a, &entries[i], names[i]);
        assert_non_null(v);
        assert_true(was_there[v - entries]);
        assert_true(v < &entries[i - ADMISSION_MAX / 2]);
        oldest_stays = oldest_stays || v != oldest;
        assert_int_equal(a.count, ADMISSION_MAX);
    }
    assert_true(oldest_stays);
}

/* Nobody up to half; from there on ever more, and surely at the bound. */
static void from_half_on_some_go_early(void **state)
{
    enum { ROUNDS = 400, STEPS = 4, AT = ADMISSION_MAX / 2 / STEPS };
    int dropped[STEPS + 1] = {0};
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        begin();
        a.rng->state += (uint64_t)round;
        for (int i = 0; i < ADMISSION_MAX / 2; i++)
            assert_null(admission_add(&a, &entries[i], names[i]));
        int came = ADMISSION_MAX / 2;
        for (int step = 0; step <= STEPS; step++) { /* at 128, 160, 192, 224, 256 */
            uint32_t at = ADMISSION_MAX / 2 + (uint32_t)(step * AT);
            while (a.count < at) {
                (void)!admission_add(&a, &entries[came], names[came]);
                came++;
            }
            dropped[step] += admission_add(&a, &entries[came], names[came]) != NULL;
            came++;
        }
    }
    assert_int_equal(dropped[0], 0);
    assert_int_equal(dropped[STEPS], ROUNDS);
    for (int step = 1; step < STEPS; step++)
        assert_in_range(dropped[step], ROUNDS * step / STEPS - 50, ROUNDS * step / STEPS + 50);
}

/* A flood of 60 sources pays for itself, also early. */
static void who_has_one_pays_for_nobody_who_has_more(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 60; i++)
        assert_null(admission_add(&a, &entries[i], names[i]));
    for (int i = 60; i < MANY; i++) {
        struct admission_entry *v = admission_add(&a, &entries[i], names[1000 + i % 60]);
        assert_true(!v || v >= &entries[60]);
    }
}

static void without_chance_the_oldest_goes_at_the_bound(void **state)
{
    (void)state;
    begin();
    admission_init(&a, NULL);
    for (int i = 0; i < ADMISSION_MAX; i++)
        assert_null(admission_add(&a, &entries[i], names[i]));
    for (int i = 0; i < 300; i++)
        assert_ptr_equal(admission_add(&a, &entries[ADMISSION_MAX + i], names[ADMISSION_MAX + i]),
                         &entries[i]);
}

static void removing_is_idempotent_and_frees_the_place(void **state)
{
    (void)state;
    begin();
    static struct admission_entry never;
    admission_remove(&a, &never);
    for (int round = 0; round < 3; round++) {
        int came = fill();
        for (int i = 0; i < came; i++) {
            admission_remove(&a, &entries[i]);
            admission_remove(&a, &entries[i]);
        }
        assert_int_equal(a.count, 0);
    }
}

/* Against a list that is searched the simple way. The names are copies that go with their entry. */
static void random_against_a_model(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 20261125);
    begin();
    char *text[MANY] = {0};
    uint32_t count = 0;
    for (int step = 0; step < 60000; step++) {
        uint32_t i = rng_below(&rng, 600);
        if (text[i]) {
            admission_remove(&a, &entries[i]);
            free(text[i]);
            text[i] = NULL;
            count--;
        } else {
            text[i] = strdup(names[rng_below(&rng, rng_below(&rng, 2) ? 4 : 500)]);
            uint32_t same = 0;
            for (int k = 0; k < 600; k++)
                same += text[k] && strcmp(text[k], text[i]) == 0;
            bool must = same > ADMISSION_SOURCE_MAX || count >= ADMISSION_MAX;
            bool may = must || count > ADMISSION_MAX / 2;
            struct admission_entry *v = admission_add(&a, &entries[i], text[i]);
            assert_true(v ? may : !must);
            count++;
            if (v) {
                size_t at = (size_t)(v - entries);
                assert_ptr_not_equal(v, &entries[i]);
                if (same > ADMISSION_SOURCE_MAX)
                    assert_string_equal(text[at], text[i]);
                free(text[at]);
                text[at] = NULL;
                count--;
            }
        }
        assert_int_equal(a.count, count);
    }
    for (int i = 0; i < MANY; i++)
        free(text[i]);
}

/* As many as there is room for are in the midst of it, each of a source of its own. */
static void one_that_is_spared_keeps_others_waiting(void **state)
{
    (void)state;
    begin();
    admission_init(&a, NULL);
    admission_limit(&a, 8, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(admission_room_at(&a, "203.0.113.1"), 0);
        assert_null(admission_add(&a, &entries[i], names[i]));
        admission_spare(&entries[i], 100 + i);
    }
    assert_int_equal(admission_room_at(&a, "203.0.113.1"), 100); /* the oldest is next */
    assert_int_equal(admission_room_at(&a, names[3]), 100);
    admission_remove(&a, &entries[0]);
    assert_int_equal(admission_room_at(&a, "203.0.113.1"), 0);
    assert_null(admission_add(&a, &entries[20], "203.0.113.1"));
    assert_int_equal(admission_room_at(&a, "203.0.113.1"),
                     101); /* spared as from when it is said */
    assert_ptr_equal(admission_add(&a, &entries[21], "203.0.113.2"), &entries[1]);
}

/* With all places he keeps himself waiting, and nobody else. */
static void a_source_with_many_is_spared_from_itself_alone(void **state)
{
    (void)state;
    begin();
    admission_init(&a, NULL);
    admission_limit(&a, 8, 8);
    for (int i = 0; i < 8; i++) {
        assert_null(admission_add(&a, &entries[i], "198.51.100.1"));
        admission_spare(&entries[i], 100 + i);
    }
    assert_int_equal(admission_room_at(&a, "198.51.100.1"), 100);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(admission_room_at(&a, "203.0.113.1"), 0);
        assert_ptr_equal(admission_add(&a, &entries[20 + i], "203.0.113.1"), &entries[i]);
        admission_spare(&entries[20 + i], 200 + i);
    }
    assert_int_equal(admission_room_at(&a, "203.0.113.1"), 102); /* two, and six */
    assert_int_equal(admission_room_at(&a, "198.51.100.1"), 102);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_has_its_share_d30),
        cmocka_unit_test(a_flood_does_not_drop_the_honest_one_d30),
        cmocka_unit_test(more_sources_than_places_draw_from_the_older_half),
        cmocka_unit_test(from_half_on_some_go_early),
        cmocka_unit_test(without_chance_the_oldest_goes_at_the_bound),
        cmocka_unit_test(who_has_one_pays_for_nobody_who_has_more),
        cmocka_unit_test(removing_is_idempotent_and_frees_the_place),
        cmocka_unit_test(random_against_a_model),
        cmocka_unit_test(one_that_is_spared_keeps_others_waiting),
        cmocka_unit_test(a_source_with_many_is_spared_from_itself_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
