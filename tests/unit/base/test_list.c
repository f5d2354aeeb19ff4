/* SPDX-License-Identifier: MIT */
/* The intrusive list: order, idempotent removal, splice, removal while walking. */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int value;
    struct list link;
};

static void fill(struct list *l, struct item *items, int n)
{
    list_init(l);
    for (int i = 0; i < n; i++) {
        items[i].value = i;
        list_push(l, &items[i].link);
    }
}

/* The values as decimal digits of one number: 1234 for 1, 2, 3, 4. */
static int digits(const struct list *l)
{
    int sum = 0;
    list_foreach (it, l)
        sum = sum * 10 + LIST_ENTRY(it, struct item, link)->value;
    int back = 0, scale = 1;
    for (struct list *it = l->prev; it != l; it = it->prev, scale *= 10)
        back += scale * LIST_ENTRY(it, struct item, link)->value;
    assert_int_equal(sum, back); /* both directions agree */
    return sum;
}

static void push_keeps_order(void **state)
{
    (void)state;
    struct list l;
    struct item items[5];
    fill(&l, items, 5);
    assert_int_equal(digits(&l), 1234);
    assert_ptr_equal(list_first(&l), &items[0].link);
    assert_false(list_empty(&l));
}

static void removal_is_idempotent(void **state)
{
    (void)state;
    struct list l;
    struct item items[4];
    fill(&l, items, 4);
    list_del(&items[2].link);
    list_del(&items[2].link);
    assert_true(list_empty(&items[2].link));
    assert_int_equal(digits(&l), 13);
    list_del(&items[0].link);
    list_del(&items[3].link);
    list_del(&items[1].link);
    assert_true(list_empty(&l));
    assert_null(list_first(&l));
}

static void move_goes_to_the_end(void **state)
{
    (void)state;
    struct list l, other;
    struct item items[4];
    fill(&l, items, 4);
    list_init(&other);
    list_move(&l, &items[1].link);
    assert_int_equal(digits(&l), 231);
    list_move(&other, &items[3].link);
    list_move(&other, &items[2].link);
    assert_int_equal(digits(&l), 1);
    assert_int_equal(digits(&other), 32);
}

static void splice_moves_all(void **state)
{
    (void)state;
    struct list a, b, empty;
    struct item items[3], more[4];
    fill(&a, items, 3);
    fill(&b, more, 4);
    list_init(&empty);
    list_splice(&a, &empty);
    assert_int_equal(digits(&a), 12);
    list_splice(&a, &b);
    assert_int_equal(digits(&a), 120123);
    assert_true(list_empty(&b));
    list_splice(&b, &a);
    assert_int_equal(digits(&b), 120123);
    assert_true(list_empty(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(push_keeps_order),
        cmocka_unit_test(removal_is_idempotent),
        cmocka_unit_test(move_goes_to_the_end),
        cmocka_unit_test(splice_moves_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
