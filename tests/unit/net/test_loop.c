/* SPDX-License-Identifier: MIT */
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

/* A job that writes its letter into a common diary. */
struct note {
    struct loop_job job;
    struct loop *loop;
    char letter;
    int again;                /* defers itself that often */
    struct note *then, *not ; /* what it defers, what it takes back */
};

static char diary[64];

static void on_job(struct loop_job *job)
{
    struct note *n = CONTAINER_OF(job, struct note, job);
    strncat(diary, &n->letter, 1);
    if (n->again-- > 0)
        loop_defer(n->loop, &n->job);
    if (n->then)
        loop_defer(n->loop, &n->then->job);
    if (n->not )
        loop_cancel(&n->not ->job);
}

static struct note note(struct loop *l, char letter)
{
    struct note n = {.loop = l, .letter = letter};
    return n;
}

static void init(struct note *n)
{
    loop_job_init(&n->job, on_job);
}

static void on_check(uv_check_t *h)
{
    (void)h;
    strcat(diary, "|");
}

/* Marks the end of each turn in the diary. */
static void mark_turns(struct kit *k, uv_check_t *mark)
{
    *diary = '\0';
    uv_check_init(&k->loop.uv, mark);
    uv_check_start(mark, on_check);
    uv_unref((uv_handle_t *)mark);
}

static void jobs_run_once_in_order(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a'), b = note(&k->loop, 'b');
    uv_check_t mark;
    init(&a);
    init(&b);
    mark_turns(k, &mark);
    loop_defer(&k->loop, &a.job);
    loop_defer(&k->loop, &b.job);
    loop_defer(&k->loop, &a.job);
    loop_run(
        &k->loop); /* nothing else is active: what was deferred before is served all the same */
    kit_close(k, (uv_handle_t *)&mark);
    assert_int_equal(strspn(diary, "ab|"), strlen(diary));
    assert_non_null(strstr(diary, "ab"));
    assert_ptr_equal(strchr(diary, 'a'), strrchr(diary, 'a'));
}

/* Not in the same turn: sockets get their chance in between. */
static void jobs_of_jobs_wait_for_the_next_turn(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a'), b = note(&k->loop, 'b');
    uv_check_t mark;
    init(&a);
    init(&b);
    a.again = 2;
    a.then = &b;
    mark_turns(k, &mark);
    loop_defer(&k->loop, &a.job);
    loop_run(&k->loop);
    kit_close(k, (uv_handle_t *)&mark);
    const char *d = diary + strspn(diary, "|");
    /* in the second turn b is still to run when a defers it again: once is enough */
    assert_true(strncmp(d, "a|ab|a|b", 8) == 0);
}

/* One a turn, after the others, in order; and the loop does not sleep in between. */
static void slow_jobs_run_one_a_turn(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a'), b = note(&k->loop, 'b'), c = note(&k->loop, 'c'),
                d = note(&k->loop, 'd');
    uv_check_t mark;
    init(&a);
    init(&b);
    init(&c);
    init(&d);
    mark_turns(k, &mark);
    loop_defer_slow(&k->loop, &a.job);
    loop_defer_slow(&k->loop, &b.job);
    loop_defer_slow(&k->loop, &a.job);
    loop_defer_slow(&k->loop, &c.job);
    loop_defer(&k->loop, &d.job);
    loop_cancel(&b.job);
    loop_run(&k->loop);
    kit_close(k, (uv_handle_t *)&mark);
    const char *text = diary + strspn(diary, "|");
    assert_true(strncmp(text, "da|c", 4) == 0);
    assert_true(list_empty(&k->loop.slow));
}

static void cancelled_jobs_do_not_run(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a'), b = note(&k->loop, 'b'), c = note(&k->loop, 'c');
    init(&a);
    init(&b);
    init(&c);
    *diary = '\0';
    a.not = &c; /* from a job of the same round */
    loop_defer(&k->loop, &a.job);
    loop_defer(&k->loop, &b.job);
    loop_defer(&k->loop, &c.job);
    loop_cancel(&b.job);
    loop_cancel(&b.job);
    loop_run(&k->loop);
    assert_string_equal(diary, "a");
    assert_true(list_empty(&k->loop.jobs));
}

static void on_timer(uv_timer_t *t)
{
    struct note *n = t->data;
    loop_defer(n->loop, &n->job);
}

/* A timer defers, and nothing else would ever wake the loop. */
static void jobs_of_timers_need_no_event(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a');
    uv_timer_t soon, late;
    init(&a);
    *diary = '\0';
    uv_timer_init(&k->loop.uv, &soon);
    uv_timer_init(&k->loop.uv, &late);
    soon.data = &a;
    uv_timer_start(&soon, on_timer, 1, 0);
    late.data = &a;
    uv_timer_start(&late, on_timer, KIT_LIMIT_MS, 0);
    (void)uv_run(&k->loop.uv, UV_RUN_ONCE);
    (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT);
    assert_string_equal(diary, "a");
    kit_close(k, (uv_handle_t *)&soon);
    kit_close(k, (uv_handle_t *)&late);
}

static void on_closed(uv_handle_t *h)
{
    struct note *n = h->data;
    loop_defer(n->loop, &n->job);
}

/* The last thing that happens in a loop: a close callback that defers. */
static void jobs_of_the_last_close_callback_run(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a');
    uv_timer_t t;
    init(&a);
    *diary = '\0';
    uv_timer_init(&k->loop.uv, &t);
    t.data = &a;
    uv_close((uv_handle_t *)&t, on_closed);
    loop_run(&k->loop);
    assert_string_equal(diary, "a");
}

/* ... and the same while the loop is taken down. */
static void fini_serves_what_is_left(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l), 0);
    struct note a = note(&l, 'a'), b = note(&l, 'b');
    uv_timer_t t;
    init(&a);
    init(&b);
    *diary = '\0';
    uv_timer_init(&l.uv, &t);
    t.data = &a;
    a.then = &b;
    uv_close((uv_handle_t *)&t, on_closed);
    loop_fini(&l);
    assert_string_equal(diary, "ab");
}

/* Jobs that are waiting keep the loop awake; without any it sleeps. */
static void the_loop_sleeps_when_there_is_nothing_to_do(void **state)
{
    struct kit *k = *state;
    struct note a = note(&k->loop, 'a');
    init(&a);
    *diary = '\0';
    a.again = 20;
    loop_defer(&k->loop, &a.job);
    unsigned turns = kit_run_counting(k, 100);
    assert_int_equal(strlen(diary), 21);
    assert_in_range(turns, 21, 30);
}

static void on_stop(uv_timer_t *t)
{
    loop_stop(t->data);
}

static void stop_ends_a_run(void **state)
{
    struct kit *k = *state;
    uv_timer_t t;
    uv_timer_init(&k->loop.uv, &t);
    t.data = &k->loop;
    mtime_ms before = loop_now(&k->loop);
    uv_timer_start(&t, on_stop, 5, 5);
    loop_run(&k->loop);
    assert_in_range(loop_now(&k->loop) - before, 5, KIT_LIMIT_MS);
    kit_close(k, (uv_handle_t *)&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_once_in_order, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(jobs_of_jobs_wait_for_the_next_turn, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(slow_jobs_run_one_a_turn, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(cancelled_jobs_do_not_run, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(jobs_of_timers_need_no_event, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(jobs_of_the_last_close_callback_run, kit_setup,
                                        kit_teardown),
        cmocka_unit_test(fini_serves_what_is_left),
        cmocka_unit_test_setup_teardown(the_loop_sleeps_when_there_is_nothing_to_do, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(stop_ends_a_run, kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
