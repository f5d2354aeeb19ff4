/* SPDX-License-Identifier: MIT */
/*
 * What the time of a verdict tells a guesser: nothing. Each test judges the same wrong guesses, 20,000
 * times beside a secret that they nearly are and 20,000 times beside another one, interleaved at
 * random, and compares the times by Welch's t-test, as dudect does. (The time may depend on the
 * guess: the guesser knows it.) So that a context switch is no result, the slowest are cropped, at
 * several places since a leak may hide at any of them; the largest |t| counts.
 *
 * Chance, or a neighbour on the machine, can make one comparison stand out. A leak stands out each
 * time: a test fails when three in a row do. The first test shows that a leak would be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/secure.h"
#include "proto/auth.h"
#include "proto/hello.h"
#include "welch.h"

enum {
    TRIES = 20000,  /* of each kind */
    WARM_UP = 1000, /* of each kind before, which are not counted */
    RUNS = 3,
    POOL = 64,
    SHORT = 24,
    LONG = 1000,
};

enum kind { FAR, NEAR, KINDS };

/* What one try is about; all of them lie in memory in the same way. */
struct guess {
    char text[HELLO_MAX];         /* wrong in its last place only ... */
    char secret[KINDS][LONG + 1]; /* ... beside the secret of NEAR */
    size_t len, secret_len;
};

static struct guess pool[POOL];
static struct welch_sample samples[2 * TRIES];
static volatile unsigned verdicts; /* so that no call is left out; all are "no" */

/* The try under way: every one in the same place. */
static char text[HELLO_MAX], secret[LONG + 1];
static size_t text_len, secret_len;
static struct auth_line auth;

/* ---- measuring ---- */

static void prepare(const struct guess *g, enum kind kind)
{
    size_t used;
    memcpy(text, g->text, sizeof text);
    memcpy(secret, g->secret[kind], sizeof secret);
    text_len = g->len;
    secret_len = g->secret_len;
    auth_line_init(&auth);
    int r = auth_line_feed(&auth, (const uint8_t *)text, text_len, &used);
    assert_true(r == ERR_AGAIN);
    r = auth_line_feed(&auth, (const uint8_t *)"\n", 1, &used);
    assert_true(r == 0);
}

static void measure(void (*judge)(void), struct rng *rng)
{
    size_t n[KINDS] = {0, 0}, all = 0;
    verdicts = 0;
    while (all < 2 * TRIES) {
        enum kind kind = rng->next(rng) & 1 ? NEAR : FAR;
        prepare(&pool[rng_below(rng, POOL)], kind);
        double begin = welch_clock();
        judge();
        double cost = welch_clock() - begin;
        n[kind]++;
        if (n[kind] > WARM_UP && n[kind] <= WARM_UP + TRIES)
            samples[all++] = (struct welch_sample){cost, kind};
    }
    assert_int_equal(verdicts, 0);
}

/* ---- judging ---- */

/* Whether the time tells the two kinds apart: in each of three runs. */
static bool leaks(void (*judge)(void))
{
    struct rng rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < RUNS; i++) {
        measure(judge, &rng);
        double t2 = welch_worst(samples, 2 * TRIES);
        printf("t squared %.2f, at most %.2f\n", t2, WELCH_LIMIT * WELCH_LIMIT);
        if (t2 < WELCH_LIMIT * WELCH_LIMIT)
            return false;
    }
    return true;
}

/* ---- wrong secrets of the legacy wire ---- */

static void random_text(struct rng *rng, char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + rng_below(rng, 26));
    p[n] = '\0';
}

/* Guesses of n characters; the secret is as long. */
static void make_guesses(size_t n)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (size_t i = 0; i < POOL; i++) {
        struct guess *g = &pool[i];
        random_text(&rng, g->text, n);
        random_text(&rng, g->secret[FAR], n);
        memcpy(g->secret[NEAR], g->text, n + 1);
        for (int k = 0; k < KINDS; k++)
            g->secret[k][n - 1] = '.';
        g->secret[FAR][0] = '.';
        g->len = g->secret_len = n;
    }
}

static void judge_carelessly(void)
{
    verdicts += memcmp(secret, text, text_len) == 0;
}

static void judge_equal(void)
{
    verdicts += secure_equal(secret, secret_len, text, text_len);
}

static void judge_line(void)
{
    verdicts += auth_line_matches(&auth, secret);
}

static void a_leak_is_seen(void **state)
{
    (void)state;
    make_guesses(LONG);
    assert_true(leaks(judge_carelessly));
}

static void two_strings(void **state)
{
    (void)state;
    make_guesses(LONG);
    assert_false(leaks(judge_equal));
}

static void a_short_secret(void **state)
{
    (void)state;
    make_guesses(SHORT);
    assert_false(leaks(judge_line));
}

static void a_long_secret(void **state)
{
    (void)state;
    make_guesses(LONG);
    assert_false(leaks(judge_line));
}

/* A guess without a letter of the secret, and the secret is shorter or longer by half: its length
   is not told either. */
static void the_length_of_a_secret(void **state)
{
    (void)state;
    make_guesses(SHORT);
    for (size_t i = 0; i < POOL; i++) {
        memcpy(pool[i].secret[NEAR], pool[i].secret[FAR], sizeof pool[i].secret[FAR]);
        pool[i].secret[NEAR][SHORT / 2] = '\0';
    }
    assert_false(leaks(judge_line));
}

/* ---- proofs: the secret of a guess is the key ---- */

static const uint8_t exporter[HELLO_EXPORTER_BYTES] = "an exporter, as good as another";

/* Keys lie in the secret's place as they are in memory. */
static struct hello_keys keys_here(const char *from)
{
    struct hello_keys k;
    memcpy(&k, from, sizeof k);
    return k;
}

static struct hello_text line_here(void)
{
    return (struct hello_text){text, text_len};
}

static void judge_open(void)
{
    struct hello_keys k = keys_here(secret);
    verdicts += hello_open_verify(line_here(), &k);
}

static void judge_resume(void)
{
    struct hello_keys k = keys_here(secret);
    verdicts += hello_resume_verify(line_here(), k.client, exporter);
}

static void make_keys(struct rng *rng, char *to)
{
    struct hello_keys k;
    char words[SHORT + 1];
    random_text(rng, words, SHORT);
    assert_int_equal(hello_keys_init(&k, words, strlen(words), exporter), 0);
    memcpy(to, &k, sizeof k);
}

/* Lines whose proofs are right for the key of NEAR, but for the last digit. */
static void make_proofs(enum hello_op op)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (size_t i = 0; i < POOL; i++) {
        struct guess *g = &pool[i];
        struct hello_request r = {.op = op, .id = "box", .epoch = 7, .rx = 1000};
        make_keys(&rng, g->secret[NEAR]);
        make_keys(&rng, g->secret[FAR]);
        struct hello_keys k = keys_here(g->secret[NEAR]);
        int n = op == HELLO_OPEN ? hello_open_write(g->text, &r, &k, NULL)
                                 : hello_resume_write(g->text, &r, k.client, exporter);
        assert_true(n > 0);
        g->len = (size_t)n - 1; /* without its LF */
        struct hello_text line = {g->text, g->len};
        assert_true(op == HELLO_OPEN ? hello_open_verify(line, &k)
                                     : hello_resume_verify(line, k.client, exporter));
        char *last = &g->text[n - 4];
        *last = *last == '0' ? '1' : '0';
    }
}

static void a_proof(void **state)
{
    (void)state;
    make_proofs(HELLO_OPEN);
    assert_false(leaks(judge_open));
}

static void a_proof_of_a_session(void **state)
{
    (void)state;
    make_proofs(HELLO_RESUME);
    assert_false(leaks(judge_resume));
}

/* Without a session the server tries a key of zeros (handover_refuse). */
static void whether_there_is_a_session(void **state)
{
    (void)state;
    make_proofs(HELLO_RESUME);
    for (size_t i = 0; i < POOL; i++)
        memset(pool[i].secret[FAR], 0, sizeof pool[i].secret[FAR]);
    assert_false(leaks(judge_resume));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leak_is_seen),         cmocka_unit_test(two_strings),
        cmocka_unit_test(a_short_secret),         cmocka_unit_test(a_long_secret),
        cmocka_unit_test(the_length_of_a_secret), cmocka_unit_test(a_proof),
        cmocka_unit_test(a_proof_of_a_session),   cmocka_unit_test(whether_there_is_a_session),
    };
    return cmocka_run_group_tests_name("timing", tests, NULL, NULL);
}
