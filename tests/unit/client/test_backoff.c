/* SPDX-License-Identifier: MIT */
/* Which wait follows which end: what the client knows of why it was refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "client/internal.h"

/* A client, up before or not; one session ends beside, or none. */
static struct client make(bool was_up, struct list *beside)
{
    struct client c = {.was_up = was_up};
    list_init(beside);
    return c;
}

static enum backoff_kind kind_of(bool was_up, bool beside, enum end_reason reason,
                                 const struct hello_answer *refusal)
{
    struct list one;
    struct client c = make(was_up, &one);
    list_init(&c.uplinks);
    if (beside)
        list_push(&c.uplinks, &one);
    return client_backoff_kind(&c, reason, refusal);
}

/* A port that somebody has is asked for every 2.5-5 s, by one that never had it, too: its owner may
   be away, and it is given from 10 s after that on. */
static void test_a_port_in_use(void **state)
{
    struct hello_answer in_use = {.error = HELLO_ERR_PORT, .errno_word = "EADDRINUSE"};
    struct hello_answer by_another = {.error = HELLO_ERR_PORT, .by = "192.0.2.7:50122 laptop"};
    struct hello_answer forbidden = {.error = HELLO_ERR_PORT, .errno_word = "EPERM"};
    struct hello_answer busy = {.error = HELLO_ERR_BUSY};
    (void)state;
    for (int was_up = 0; was_up < 2; was_up++) {
        enum backoff_kind else_ = was_up ? BACKOFF_HELD : BACKOFF_REJECTED;
        assert_int_equal(kind_of(was_up, false, END_REFUSED, &in_use), BACKOFF_HELD);
        assert_int_equal(kind_of(was_up, false, END_REFUSED, &by_another), BACKOFF_HELD);
        assert_int_equal(kind_of(was_up, false, END_REFUSED, &forbidden), else_);
        assert_int_equal(kind_of(was_up, false, END_REFUSED, &busy), else_);
        assert_int_equal(kind_of(was_up, false, END_REFUSED, NULL), else_);
    }
}

static void test_an_id_that_another_has(void **state)
{
    struct hello_answer taken = {.error = HELLO_ERR_TAKEN};
    (void)state;
    assert_int_equal(kind_of(true, false, END_REFUSED, &taken), BACKOFF_TAKEN);
    assert_int_equal(kind_of(true, true, END_REFUSED, &taken), BACKOFF_HELD); /* our own */
    assert_int_equal(kind_of(true, false, END_REPLACED, NULL), BACKOFF_TAKEN);
}

static void test_the_others(void **state)
{
    (void)state;
    assert_int_equal(kind_of(true, false, END_AUTH, NULL), BACKOFF_SECRET);
    assert_int_equal(kind_of(true, false, END_CERT, NULL), BACKOFF_REJECTED);
    assert_int_equal(kind_of(true, false, END_SILENT, NULL), BACKOFF_OUTAGE);
    assert_int_equal(kind_of(true, true, END_PEER, NULL), BACKOFF_BESIDE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port_in_use),
        cmocka_unit_test(test_an_id_that_another_has),
        cmocka_unit_test(test_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
