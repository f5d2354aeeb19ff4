/* SPDX-License-Identifier: MIT */
/*
 * Every state and every input: whatever comes, no assertion of the core fails, its tables hold, and
 * after CLOSE there is nothing. All states that short rows of inputs reach are entered, and each
 * input is given to each of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

enum { WORDS = 29, DEPTH = 4 };

/* One of the inputs there are; time passes to the next timer, or a while. */
static void give(struct kit *k, int word)
{
    struct life *l = &k->l;
    enum life_answer no = LIFE_ANSWER_ACCEPTED;
    switch (word) {
    case 0 ... 3:
        life_lost(l, (enum life_loss)word, k->now);
        break;
    case 4 ... 10:
        if (l->cfg.window_ms == 0 && word != 10)
            break; /* it was not asked */
        life_answered(l, (enum life_answer)(word - 4), k->acked, k->now);
        break;
    case 11:
        life_dialled(l, true, 3, k->now);
        break;
    case 12:
        life_dialled(l, false, 0, k->now);
        break;
    case 13:
        if (l->cfg.window_ms > 0)
            life_secured(l, k->now);
        break;
    case 14 ... 15:
        life_network_changed(l, word == 14, k->now);
        break;
    case 16 ... 17:
        life_goaway(l, word == 16 ? 0 : 5, 30000, k->now);
        break;
    case 18:
        life_stop(l, 20000, k->now);
        break;
    case 19:
        if (!life_resume_asked(l, &(struct life_ask){l->epoch + 1, k->acked, true}, &no, k->now))
            assert_int_not_equal(no, LIFE_ANSWER_ACCEPTED);
        break;
    case 20:
        assert_true(!life_may_lose_port(l, k->now) || l->state == LIFE_DETACHED);
        break;
    case 21:
        life_streams(l, l->streams ? 0 : 2, k->now);
        break;
    case 22:
        life_progress(l, k->now, k->now, k->acked, k->now);
        break;
    case 23:
        life_progress(l, k->now, MTIME_NEVER, ++k->acked, k->now);
        break;
    case 24:
        if (life_deadline(l) != MTIME_NEVER && life_deadline(l) > k->now)
            k->now = life_deadline(l);
        life_tick(l, k->now);
        break;
    case 25:
        k->now += 11000;
        life_tick(l, k->now);
        break;
    case 26 ... 27:
        if (l->cfg.window_ms == 0)
            life_found(l, word == 26, k->now);
        break;
    case 28:
        life_taken(l, k->now);
        break;
    default:
        break;
    }
}

/* The rest of what may be said: rare inputs, given last. */
static void give_rare(struct kit *k, int word)
{
    if (word == 0)
        life_goaway(&k->l, 0, 0, k->now);
    else if (word == 1)
        life_goaway(&k->l, 1, 100, k->now);
    else if (word == 2)
        life_stop(&k->l, 0, k->now);
    else
        life_close(&k->l, k->now);
}

/* Pulls all actions: CLOSE is the last one, and is the end. */
static void pull(struct kit *k, bool was_over)
{
    struct life_action a = {.kind = LIFE_TELL};
    bool any = false;
    while (life_next(&k->l, &a)) {
        assert_false(was_over);
        any = true;
    }
    bool is_over = k->l.state == LIFE_OVER;
    assert_int_equal(is_over && !was_over, any && a.kind == LIFE_CLOSE);
    if (is_over)
        assert_int_equal(life_deadline(&k->l), MTIME_NEVER);
}

/* What a state is to its inputs, times aside. */
struct seen {
    unsigned states[2][4][2][5]; /* side, connection, service, attempt */
};

static void walk(const struct kit *from, int depth, struct seen *seen)
{
    const struct life *l = &from->l;
    seen->states[l->cfg.is_client][l->state][l->service][l->attempt]++;
    for (int word = 0; word < 4; word++) {
        struct kit k = *from;
        bool was_over = k.l.state == LIFE_OVER;
        give_rare(&k, word);
        pull(&k, was_over);
    }
    if (depth == 0)
        return;
    for (int word = 0; word < WORDS; word++) {
        struct kit k = *from;
        bool was_over = k.l.state == LIFE_OVER;
        give(&k, word);
        pull(&k, was_over);
        if (!was_over || depth == DEPTH)
            walk(&k, k.l.state == LIFE_OVER ? 1 : depth - 1, seen);
    }
}

static void start_from(struct seen *seen, bool is_client, mtime_ms window, const int *words)
{
    struct kit k;
    if (is_client)
        kit_client(&k, window, 2);
    else
        kit_server(&k, window, 2);
    for (; *words >= 0; words++) {
        bool was_over = k.l.state == LIFE_OVER;
        give(&k, *words);
        pull(&k, was_over);
    }
    walk(&k, DEPTH - 1, seen);
}

static void test_every_input_in_every_state(void **state)
{
    static struct seen seen;
    /* rows that lead into each region: from there all short rows of inputs are tried */
    static const int ways[][8] = {
        {-1},                 /* up */
        {22, 24, -1},         /* suspected, dialling */
        {22, 24, 11, -1},     /* securing */
        {22, 24, 11, 13, -1}, /* asked, frozen */
        {0, -1},              /* detached, dialling */
        {0, 12, -1},          /* waiting */
        {0, 11, 13, -1},      /* asked */
        {0, 11, 13, 5, -1},   /* unknown */
        {0, 11, 13, 4, -1},   /* resumed, unproven */
        {18, 1, 11, -1},      /* detached and draining: a client */
        {16, -1},             /* the server stops */
        {18, 1, -1},          /* this end stops */
        {14, -1},             /* doubted */
    };
    /* the same without a window: up, silent, looking, found where it was */
    static const int without[][8] = {{-1}, {22, 24, -1}, {22, 24, 11, -1}, {22, 24, 11, 27, -1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        for (int side = 0; side < 2; side++)
            start_from(&seen, side, KIT_WINDOW, ways[i]);
    for (size_t i = 0; i < 4; i++) /* what needs a window is not given: nothing may be asked */
        start_from(&seen, true, 0, without[i]);

    for (int s = 0; s < 3; s++)
        for (int a = 0; a < 5; a++) /* a client is everywhere its rules allow */
            assert_int_equal(seen.states[1][s][LIFE_SERVING][a] > 0,
                             (s == LIFE_UP) == (a == LIFE_ATTEMPT_NONE));
    for (int s = 0; s < 3; s++) {
        assert_true(seen.states[0][s][LIFE_SERVING][0] > 0);
        assert_true(seen.states[0][s][LIFE_DRAINING][0] > 0);
        assert_true(seen.states[1][s][LIFE_DRAINING][s == LIFE_UP ? 0 : 2] > 0);
    }
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(life_state_word(LIFE_UP), "up");
    assert_string_equal(life_state_word(LIFE_OVER), "over");
    assert_string_equal(life_service_word(LIFE_SERVING), "serving");
    assert_string_equal(life_service_word(LIFE_DRAINING), "draining");
    assert_string_equal(life_attempt_word(LIFE_ATTEMPT_NONE), "none");
    assert_string_equal(life_attempt_word(LIFE_ATTEMPT_ASKED), "asked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_input_in_every_state),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
