/* SPDX-License-Identifier: MIT */
/* What a client says of itself: `take`, and the opens `mine` names. Nonces are letters. */
#include "proto/session/standing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct standing s;

static int begin(void **state)
{
    (void)state;
    standing_init(&s);
    return 0;
}

static const uint8_t *nonce(char letter)
{
    static uint8_t n[HELLO_NONCE_BYTES];
    memset(n, 'n', sizeof n);
    n[HELLO_NONCE_BYTES - 1] = (uint8_t)letter; /* all bytes count */
    return n;
}

/* What the next open says: "take cba". */
#define says(text) assert_string_equal(said(), (text))
static const char *said(void)
{
    static char out[8 + HELLO_MINE_MAX];
    struct hello_nonces mine;
    bool take;
    memset(&mine, 0xa5, sizeof mine);
    standing_say(&s, &take, &mine);
    size_t n = (size_t)snprintf(out, sizeof out, "%s", take ? "take " : "");
    for (unsigned i = 0; i < mine.count; i++)
        out[n++] = (char)mine.nonces[i][HELLO_NONCE_BYTES - 1];
    out[n] = '\0';
    return out;
}

static void asked(const char *letters)
{
    for (; *letters; letters++)
        standing_asked(&s, nonce(*letters));
}

static void a_new_process_takes_until_it_is_accepted_once(void **state)
{
    (void)state;
    says("take ");
    asked("a");
    says("take a"); /* the answer never came */
    standing_refused(&s, nonce('a'));
    says("take ");
    asked("b");
    standing_accepted(&s, nonce('b'));
    says("b");
    standing_over(&s, nonce('b'));
    says(""); /* and never again, whatever comes */
    asked("c");
    standing_refused(&s, nonce('c'));
    says("");
}

static void opens_without_an_answer_are_named_the_newest_first(void **state)
{
    (void)state;
    asked("abc");
    says("take cba");
    standing_refused(&s, nonce('b'));
    says("take ca");
    standing_refused(&s, nonce('z')); /* not ours */
    says("take ca");
}

static void accepted_ones_stay_named_until_they_are_over(void **state)
{
    (void)state;
    asked("ab");
    standing_accepted(&s, nonce('b'));
    says("ba"); /* a may still be on its way to the server, or be at another one */
    asked("c");
    standing_accepted(&s, nonce('c'));
    says("cba"); /* b may be waited for at another server */
    standing_over(&s, nonce('b'));
    says("ca");
    standing_over(&s, nonce('b'));
    says("ca");
}

static void a_session_that_is_being_resumed_is_not_named(void **state)
{
    (void)state;
    asked("a");
    standing_accepted(&s, nonce('a'));
    standing_resuming(&s, nonce('a'), true);
    says("");
    asked("b");
    says("b");
    standing_accepted(&s, nonce('b'));
    says("b");
    standing_resuming(&s, nonce('a'), false); /* given up: it may be there still */
    says("ba");
    standing_resuming(&s, nonce('a'), true);
    standing_over(&s, nonce('a'));
    standing_resuming(&s, nonce('a'), false);
    says("b");
}

static void the_oldest_are_forgotten(void **state)
{
    (void)state;
    asked("abcdefgh");
    says("take hgfedcba");
    asked("i");
    says("take ihgfedcb");
}

static void but_neither_the_session_nor_what_is_resumed(void **state)
{
    (void)state;
    asked("a");
    standing_accepted(&s, nonce('a'));
    standing_resuming(&s, nonce('a'), true);
    asked("bc");
    standing_accepted(&s, nonce('c'));
    asked("defghijklmnopq"); /* the server is away, and opens go into the void */
    says("qponmlc");
    standing_resuming(&s, nonce('a'), false);
    says("qponmlca");
    asked("r");
    says("rqponmlc");
    standing_accepted(&s, nonce('r'));
    asked("stuvwxy");
    says("yxwvutsr"); /* c is not the latest session any more */
}

static void all_that_is_kept_is_resumed(void **state)
{
    (void)state;
    for (char c = 'a'; c <= 'h'; c++) {
        standing_asked(&s, nonce(c));
        standing_accepted(&s, nonce(c));
        standing_resuming(&s, nonce(c), true);
    }
    says("");
    asked("i"); /* a has to go */
    says("i");
    standing_resuming(&s, nonce('a'), false);
    says("i");
    standing_resuming(&s, nonce('b'), false);
    says("ib");
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

/* All others are being resumed: the newest one goes if nobody needs it, else the oldest one. */
static void who_goes_when_all_are_being_resumed(void **state)
{
    for (int accepted = 0; accepted < 2; accepted++) {
        begin(state);
        for (char c = 'a'; c < 'a' + HELLO_MINE_MAX; c++) {
            standing_asked(&s, nonce(c));
            if (c < 'a' + HELLO_MINE_MAX - 1 || accepted)
                standing_accepted(&s, nonce(c));
            if (c < 'a' + HELLO_MINE_MAX - 1)
                standing_resuming(&s, nonce(c), true);
        }
        standing_asked(&s, nonce('z'));
        standing_resuming(&s, nonce('a'), false);
        char newest[] = {'z', (char)('a' + HELLO_MINE_MAX - 1), '\0'};
        says(accepted ? newest : "za");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_process_takes_until_it_is_accepted_once),
        TEST(opens_without_an_answer_are_named_the_newest_first),
        TEST(accepted_ones_stay_named_until_they_are_over),
        TEST(a_session_that_is_being_resumed_is_not_named),
        TEST(the_oldest_are_forgotten),
        TEST(but_neither_the_session_nor_what_is_resumed),
        TEST(all_that_is_kept_is_resumed),
        TEST(who_goes_when_all_are_being_resumed),
    };
    return cmocka_run_group_tests_name("standing", tests, NULL, NULL);
}
