/* SPDX-License-Identifier: MIT */
/* What ThreadSanitizer is to look at here: every counter below is a plain integer. */
#include "net/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

/* ---- one thread ---- */

static char diary[512];

struct note {
    struct message message;
    struct mailbox *mb; /* of `again`, or to be closed */
    int again;
    bool closes;
    char letter;
};

static void on_note(struct message *m)
{
    struct note *n = CONTAINER_OF(m, struct note, message);
    strncat(diary, &n->letter, 1);
    if (n->again-- > 0)
        mailbox_post(n->mb, &n->message);
    if (n->closes)
        mailbox_close(n->mb);
}

static void note_init(struct note *n, struct mailbox *mb, char letter)
{
    *n = (struct note){.mb = mb, .letter = letter};
    message_init(&n->message, on_note);
    *diary = '\0';
}

static void open_box(struct kit *k, struct mailbox *mb)
{
    assert_int_equal(mailbox_init(mb, &k->loop), 0);
}

static void close_box(struct kit *k, struct mailbox *mb)
{
    mailbox_close(mb);
    loop_run(&k->loop);
    mailbox_fini(mb);
}

static void messages_run_once_and_in_order(void **state)
{
    struct kit *k = *state;
    struct mailbox mb;
    struct note a, b;
    open_box(k, &mb);
    note_init(&a, &mb, 'a');
    note_init(&b, &mb, 'b');
    mailbox_post(&mb, &b.message);
    mailbox_post(&mb, &a.message);
    mailbox_post(&mb, &b.message);  /* waits already */
    assert_string_equal(diary, ""); /* never from inside a post */
    KIT_UNTIL(k, strlen(diary) == 2);
    kit_pass(k, 20);
    assert_string_equal(diary, "ba");
    mailbox_post(&mb, &b.message); /* it has run: again */
    KIT_UNTIL(k, strlen(diary) == 3);
    close_box(k, &mb);
}

static void on_check(uv_check_t *h)
{
    (void)h;
    strcat(diary, "|");
}

/* A message that posts itself does not keep the loop for itself. */
static void a_message_can_post_itself(void **state)
{
    struct kit *k = *state;
    struct mailbox mb;
    struct note a;
    uv_check_t mark;
    open_box(k, &mb);
    note_init(&a, &mb, 'a');
    a.again = 2 * MAILBOX_BATCH;
    mailbox_post(&mb, &a.message);
    uv_check_init(&k->loop.uv, &mark);
    uv_check_start(&mark, on_check);
    KIT_UNTIL(k, a.again < 0);
    assert_int_equal(strcspn(strchr(diary, 'a'), "|"), MAILBOX_BATCH);
    kit_close(k, (uv_handle_t *)&mark);
    close_box(k, &mb);
}

/* More than one batch, posted at once: the waking is not lost. */
static void a_full_box_is_emptied(void **state)
{
    enum { MANY = 5 * MAILBOX_BATCH };
    struct kit *k = *state;
    struct mailbox mb;
    struct note notes[MANY];
    open_box(k, &mb);
    for (int i = 0; i < MANY; i++) {
        note_init(&notes[i], &mb, 'n');
        mailbox_post(&mb, &notes[i].message);
    }
    KIT_UNTIL(k, strlen(diary) == MANY);
    close_box(k, &mb);
}

static void a_closed_box_runs_nothing_more(void **state)
{
    struct kit *k = *state;
    struct mailbox mb;
    struct note a, b;
    open_box(k, &mb);
    note_init(&a, &mb, 'a');
    note_init(&b, &mb, 'b');
    a.closes = true;
    mailbox_post(&mb, &a.message);
    mailbox_post(&mb, &b.message);
    loop_run(&k->loop); /* ends: nothing holds it */
    mailbox_fini(&mb);
    assert_string_equal(diary, "a");
}

static void the_loop_sleeps_when_nothing_is_posted(void **state)
{
    struct kit *k = *state;
    struct mailbox mb;
    struct note a;
    open_box(k, &mb);
    note_init(&a, &mb, 'a');
    mailbox_post(&mb, &a.message);
    assert_in_range(kit_run_counting(k, 100), 1, 10);
    assert_string_equal(diary, "a");
    close_box(k, &mb);
}

/* ---- two threads ---- */

/* A loop with a thread and a mailbox of its own. */
struct peer {
    struct loop loop;
    struct mailbox in;
    uv_thread_t thread;
};

static void peer_main(void *arg)
{
    struct peer *p = arg;
    loop_run(&p->loop);
    loop_fini(&p->loop);
}

static void peer_start(struct peer *p)
{
    assert_int_equal(loop_init(&p->loop), 0);
    assert_int_equal(mailbox_init(&p->in, &p->loop), 0);
    assert_int_equal(uv_thread_create(&p->thread, peer_main, p), 0);
}

static void peer_join(struct peer *p)
{
    assert_int_equal(uv_thread_join(&p->thread), 0);
    mailbox_fini(&p->in);
}

/* Goes there and back, a plain counter on it. */
struct ball {
    struct message there, back;
    struct peer *peer;
    struct mailbox *home;
    int touched, rounds;
};

static void on_there(struct message *m)
{
    struct ball *b = CONTAINER_OF(m, struct ball, there);
    b->touched++;
    mailbox_post(b->home, &b->back);
}

static int home; /* balls that have come home for good: the test's thread only */

static void on_back(struct message *m)
{
    struct ball *b = CONTAINER_OF(m, struct ball, back);
    b->touched++;
    if (--b->rounds > 0)
        mailbox_post(&b->peer->in, &b->there);
    else
        home++;
}

static void on_end(struct message *m)
{
    struct peer *p = CONTAINER_OF(m, struct note, message)->mb->wake.data;
    mailbox_close(&p->in);
}

static void post_end(struct peer *p, struct note *end)
{
    end->mb = &p->in;
    p->in.wake.data = p;
    message_init(&end->message, on_end);
    mailbox_post(&p->in, &end->message);
}

static void what_is_handed_over_is_seen_whole(void **state)
{
    enum { BALLS = 100, ROUNDS = 50 };
    struct kit *k = *state;
    struct peer p;
    struct mailbox mb;
    struct note end = {.mb = NULL};
    struct ball balls[BALLS];
    open_box(k, &mb);
    peer_start(&p);
    home = 0;
    for (int i = 0; i < BALLS; i++) {
        balls[i] = (struct ball){.peer = &p, .home = &mb, .rounds = ROUNDS};
        message_init(&balls[i].there, on_there);
        message_init(&balls[i].back, on_back);
        mailbox_post(&p.in, &balls[i].there);
    }
    KIT_UNTIL(k, home == BALLS);
    for (int i = 0; i < BALLS; i++)
        assert_int_equal(balls[i].touched, 2 * ROUNDS);
    post_end(&p, &end);
    peer_join(&p);
    close_box(k, &mb);
}

/* Posted again and again while it runs: the last post is never the one that is lost. */
struct bell {
    struct message message;
    uv_mutex_t lock;
    int rung, heard;
};

static void on_bell(struct message *m)
{
    struct bell *b = CONTAINER_OF(m, struct bell, message);
    uv_mutex_lock(&b->lock);
    b->heard = b->rung;
    uv_mutex_unlock(&b->lock);
}

static void the_last_post_is_heard(void **state)
{
    (void)state;
    struct peer p;
    struct bell bell = {.rung = 0};
    struct note end = {.mb = NULL};
    assert_int_equal(uv_mutex_init(&bell.lock), 0);
    message_init(&bell.message, on_bell);
    peer_start(&p);
    for (int i = 0; i < 20000; i++) {
        uv_mutex_lock(&bell.lock);
        bell.rung++;
        uv_mutex_unlock(&bell.lock);
        mailbox_post(&p.in, &bell.message);
    }
    post_end(&p, &end);
    peer_join(&p);
    assert_int_equal(bell.heard, 20000);
    uv_mutex_destroy(&bell.lock);
}

/* The receiver may close the mailbox, and free the object, before the post has returned. */
static void the_last_message_may_close_the_box(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct peer *p = malloc(sizeof *p);
        struct note *end = calloc(1, sizeof *end);
        assert_non_null(p);
        assert_non_null(end);
        peer_start(p);
        post_end(p, end);
        peer_join(p);
        free(p);
        free(end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_run_once_and_in_order, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_message_can_post_itself, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_full_box_is_emptied, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(a_closed_box_runs_nothing_more, kit_setup, kit_teardown),
        cmocka_unit_test_setup_teardown(the_loop_sleeps_when_nothing_is_posted, kit_setup,
                                        kit_teardown),
        cmocka_unit_test_setup_teardown(what_is_handed_over_is_seen_whole, kit_setup, kit_teardown),
        cmocka_unit_test(the_last_post_is_heard),
        cmocka_unit_test(the_last_message_may_close_the_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
