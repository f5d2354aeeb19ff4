/* SPDX-License-Identifier: MIT */
/* Turns: who comes first, how long a turn is, and that nobody is forgotten. */
#include "tunnel/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 16 };

/* Somebody who takes turns, and has so many bytes to send. */
struct sender {
    struct turn_node turn;
    size_t has, sent;
};

static struct turn t;
static struct sender s[MANY];

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    turn_init(&t);
    for (int i = 0; i < MANY; i++) {
        turn_node_init(&s[i].turn);
        s[i].has = s[i].sent = 0;
    }
    return 0;
}

static void give(int i, size_t n)
{
    s[i].has += n;
    turn_ready(&t, &s[i].turn);
}

static int next(void)
{
    struct turn_node *n = turn_next(&t);
    return n ? (int)(CONTAINER_OF(n, struct sender, turn) - s) : -1;
}

/* One frame of whose turn it is. Returns who it was, -1: nobody. */
static int step(void)
{
    int i = next();
    if (i < 0)
        return i;
    size_t n = s[i].has < TURN_LEAST ? s[i].has : TURN_LEAST;
    s[i].has -= n;
    s[i].sent += n;
    if (s[i].has == 0)
        turn_idle(&s[i].turn);
    turn_spend(&t, &s[i].turn, n);
    return i;
}

static void those_who_come_go_in_order(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        give(i, 10);
    turn_ready(&t, &s[0].turn); /* known */
    assert_false(turn_is_over(&t));
    for (int i = 0; i < 3; i++)
        assert_int_equal(step(), i);
    assert_true(turn_is_over(&t));
    assert_int_equal(step(), -1);
}

/* Also in the first round of all. */
static void the_first_round_has_shares(void **state)
{
    (void)state;
    give(0, 1 << 20);
    assert_int_equal(step(), 0);
    give(1, 64);
    assert_int_equal(step(), 0); /* it is fresh as well, and was before */
    turn_idle(&s[0].turn);
    give(2, 1 << 20);
    for (int i = 0; i < 5; i++)
        (void)step(); /* 1, then all of 2's share */
    give(3, 64);
    assert_int_equal(step(), 3);
}

static void a_turn_has_an_end(void **state)
{
    (void)state;
    give(0, 1 << 20);
    give(1, 1 << 20);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 2; i++)
            for (int frame = 0; frame < TURN_SHARE / TURN_LEAST; frame++)
                assert_int_equal(step(), i); /* and no fifth call for what is left of 64 KB */
}

/* For who sends several at once. */
static void what_is_left_of_a_share_is_whole_frames(void **state)
{
    (void)state;
    give(0, 1 << 20);
    struct turn_node *n = turn_next(&t);
    for (size_t left = TURN_SHARE / TURN_LEAST; left > 0; left--) {
        assert_int_equal(turn_frames_left(n), left);
        turn_spend(&t, n, TURN_LEAST);
    }
    assert_int_equal(turn_frames_left(n), 0);
    assert_false(turn_has_share(n));
}

/* How many frames the one whose turn it is sends before it is another's. */
static int frames_of(int i)
{
    int n = 0;
    while (next() == i) {
        (void)step();
        n++;
    }
    return n;
}

static void a_share_follows_the_link(void **state)
{
    static const struct {
        size_t told;
        int frames;
    } rows[] = {{0, 4},         {TURN_SHARE - 1, 4},           {TURN_SHARE + TURN_LEAST, 5},
                {128 << 10, 8}, {(128 << 10) + TURN_LEAST, 8}, {SIZE_MAX, 8}};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        setup(NULL);
        turn_set_share(&t, rows[k].told);
        give(0, 1 << 20);
        give(1, 1 << 20);
        turn_set_share(&t, SIZE_MAX - rows[k].told); /* who has a share keeps it */
        assert_int_equal(frames_of(0), rows[k].frames);
        assert_int_equal(frames_of(1), rows[k].frames);
    }
}

static void what_is_left_of_a_share_is_kept(void **state)
{
    (void)state;
    give(0, 1 << 20);
    give(1, 1 << 20);
    assert_int_equal(step(), 0);
    assert_int_equal(step(), 0);
    assert_int_equal(next(), 0); /* asking costs nothing, however often the tunnel is full */
    assert_int_equal(next(), 0);
    assert_int_equal(step(), 0);
    assert_int_equal(step(), 0);
    assert_int_equal(step(), 1);
}

static void one_that_idles_keeps_its_share_used(void **state)
{
    (void)state;
    give(1, 1 << 20);
    give(0, 3 * TURN_LEAST);
    for (int i = 0; i < 4; i++)
        assert_int_equal(step(), 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(step(), 0);
    give(0, 1 << 20); /* in the same round: one frame is left of its share */
    assert_int_equal(step(), 0);
    assert_int_equal(step(), 1);
}

static void fresh_ones_go_before_bulk(void **state)
{
    (void)state;
    for (int i = 1; i < MANY; i++)
        give(i, 1 << 24);
    for (int i = 0; i < 100; i++)
        (void)step(); /* in the middle of somebody's share */
    for (int i = 0; i < 50; i++) {
        int before = next();
        give(0, 64);
        assert_int_equal(step(), 0);
        assert_int_equal(next(), before); /* who goes on where it was */
        for (int k = 0; k < 7; k++)
            assert_int_not_equal(step(), 0);
    }
}

/* It drains its socket each time, is readable again at once, and would always be first. */
static void who_is_always_fresh_gets_its_share_and_no_more(void **state)
{
    (void)state;
    for (int i = 1; i < 4; i++)
        give(i, 1 << 24);
    for (int i = 0; i < 4000; i++) {
        give(0, 4000);
        (void)step();
    }
    for (int i = 1; i < 4; i++) {
        assert_true(s[i].sent + 2 * (size_t)TURN_SHARE > s[0].sent);
        assert_true(s[i].sent > (size_t)10 * TURN_SHARE);
    }
}

static void random_senders_are_served_alike(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < MANY; i++)
        give(i, 1 << 26);
    for (int k = 0; k < 20000; k++) {
        int i = rand() % MANY;
        if (rand() % 4 == 0 && list_empty(&s[i].turn.node) == false) {
            turn_idle(&s[i].turn); /* its socket was drained */
            turn_ready(&t, &s[i].turn);
        }
        assert_true(step() >= 0);
    }
    size_t least = s[0].sent, most = least;
    for (int i = 1; i < MANY; i++) {
        least = s[i].sent < least ? s[i].sent : least;
        most = s[i].sent > most ? s[i].sent : most;
    }
    assert_true(most - least <= (size_t)2 * TURN_SHARE);
}

static void who_is_gone_is_not_served(void **state)
{
    (void)state;
    give(0, 1 << 20);
    give(1, 10);
    (void)step();
    turn_idle(&s[0].turn);
    turn_idle(&s[0].turn);
    assert_int_equal(step(), 1);
    assert_int_equal(step(), -1);
}

/* The other way round it is the order in which they would be served. */
static void the_last_one_is_known(void **state)
{
    (void)state;
    int order[MANY], n = 0;
    assert_null(turn_last(&t));
    give(0, 2 * TURN_SHARE);
    give(1, 2 * TURN_SHARE);
    while (s[0].sent < 4 * TURN_LEAST || s[1].sent < 4 * TURN_LEAST)
        (void)step(); /* they are later ones now */
    give(2, 10);
    give(3, 10);
    for (struct turn_node *at = turn_last(&t); at; at = turn_before(&t, at))
        order[n++] = (int)(CONTAINER_OF(at, struct sender, turn) - s);
    assert_int_equal(n, 4);
    assert_int_equal(order[3], 2);
    assert_int_equal(order[2], 3);
    assert_int_equal(order[1], 0);
    assert_int_equal(order[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(those_who_come_go_in_order, setup),
        cmocka_unit_test_setup(the_first_round_has_shares, setup),
        cmocka_unit_test_setup(a_turn_has_an_end, setup),
        cmocka_unit_test_setup(what_is_left_of_a_share_is_whole_frames, setup),
        cmocka_unit_test_setup(a_share_follows_the_link, setup),
        cmocka_unit_test_setup(what_is_left_of_a_share_is_kept, setup),
        cmocka_unit_test_setup(one_that_idles_keeps_its_share_used, setup),
        cmocka_unit_test_setup(fresh_ones_go_before_bulk, setup),
        cmocka_unit_test_setup(who_is_always_fresh_gets_its_share_and_no_more, setup),
        cmocka_unit_test_setup(random_senders_are_served_alike, setup),
        cmocka_unit_test_setup(who_is_gone_is_not_served, setup),
        cmocka_unit_test_setup(the_last_one_is_known, setup),
    };
    return cmocka_run_group_tests_name("tunnel/turn", tests, NULL, NULL);
}
