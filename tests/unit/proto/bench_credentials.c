/* SPDX-License-Identifier: MIT */
/*
 * Does the time of a verdict tell which clients there are, or what was wrong? Too long, and too much
 * of the machine, for `make test`, which counts what is computed (test_credentials.c): run it with
 * `meson test --benchmark proto-credentials-timing` on a machine that does nothing else. Lines of
 * the same clients are judged 20,000 times by a table that knows them, and 20,000 times by one that
 * does not, interleaved at random. How long a signature takes depends on the line: so each is made
 * for an exporter of its own, as each connection has one. A leak stands out in each of three runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "proto/credentials.h"
#include "welch.h"

enum { TRIES = 20000, WARM_UP = 1000, RUNS = 3, POOL = 64, OTHERS = 1000, NOW = 1800000000 };

enum kind { STRANGER, CLIENT, KINDS };

struct line {
    struct hello_request request;
    char text[HELLO_MAX];
    size_t n;
};

static uint8_t exporter[HELLO_EXPORTER_BYTES];
static struct client_secret mac_with[POOL], sign_with[POOL];
static struct credentials *tables[KINDS];
static struct welch_sample samples[2 * TRIES];

static bool admits(const void *rights, const struct address *from)
{
    return !rights || from->port != 7;
}

static struct client_secret secret_of(uint32_t n)
{
    struct client_secret s;
    uint8_t t[CLIENT_KEY_T_BYTES] = {(uint8_t)n, (uint8_t)(n >> 8), 1};
    assert_int_equal(client_secret_init(&s, t), 0);
    return s;
}

static struct client_key key_of(uint32_t n)
{
    struct client_key k;
    struct client_secret s = secret_of(n);
    assert_int_equal(client_key_init(&k, &s), 0);
    return k;
}

static void add(struct credentials *t, const char *kind, int n, struct credential c)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s-%d", kind, n);
    c.name = name;
    c.key = key_of((uint32_t)n);
    assert_int_equal(credentials_add(t, &c), 0);
}

/* Both tables have others; CLIENT's has the clients of the lines, too, and STRANGER's others still. */
static void make_tables(struct credential c)
{
    struct credentials_config cfg = {.hash_key = {1}, .nobody = {2}, .admits = admits};
    for (int k = 0; k < KINDS; k++) {
        credentials_unref(tables[k]);
        tables[k] = credentials_new(&cfg);
        assert_non_null(tables[k]);
        for (int i = 0; i < OTHERS; i++)
            add(tables[k], "other", i, (struct credential){.expires_s = 0});
        for (int i = 0; i < POOL; i++)
            add(tables[k], k == CLIENT ? "client" : "friend", i, c);
    }
}

/* How their lines are made; mac, sign: what is added to the number of the right key. */
static void take_secrets(uint32_t mac, uint32_t sign)
{
    for (uint32_t i = 0; i < POOL; i++) {
        mac_with[i] = secret_of(i + mac);
        sign_with[i] = secret_of(i + sign);
    }
}

static void make_line(struct line *l, uint32_t i, struct rng *rng)
{
    struct hello_keys keys;
    struct hello_signer signer = {sign_with[i].seed, exporter};
    for (size_t at = 0; at < sizeof exporter; at++)
        exporter[at] = (uint8_t)rng->next(rng);
    l->request = (struct hello_request){.op = HELLO_OPEN};
    (void)snprintf(l->request.id, sizeof l->request.id, "client-%u", i);
    (void)snprintf(l->request.key, sizeof l->request.key, "client-%u", i);
    assert_int_equal(hello_keys_init(&keys, mac_with[i].a, sizeof mac_with[i].a, exporter), 0);
    int n = hello_open_write(l->text, &l->request, &keys, &signer);
    assert_true(n > 0);
    l->n = (size_t)n - 1;
}

static double cost_of(enum kind kind, const struct line *l, const struct address *from)
{
    struct credentials_verdict v;
    struct credentials_question q = {.request = &l->request,
                                     .line = {l->text, l->n},
                                     .exporter = exporter,
                                     .from = from,
                                     .now_s = NOW};
    double begin = welch_clock();
    credentials_judge(tables[kind], &q, &v);
    double cost = welch_clock() - begin;
    assert_true(v.cause != CREDENTIALS_RIGHT);
    assert_int_equal(v.cause == CREDENTIALS_UNKNOWN, kind == STRANGER);
    return cost;
}

static void measure(struct rng *rng, uint16_t port)
{
    static struct line line;
    size_t n[KINDS] = {0, 0}, all = 0;
    struct address from = address_ipv4((uint8_t[]){192, 0, 2, 1}, port);
    while (all < 2 * TRIES) {
        enum kind kind = rng->next(rng) & 1 ? CLIENT : STRANGER;
        make_line(&line, rng_below(rng, POOL), rng);
        double cost = cost_of(kind, &line, &from);
        n[kind]++;
        if (n[kind] > WARM_UP && n[kind] <= WARM_UP + TRIES)
            samples[all++] = (struct welch_sample){cost, (int)kind};
    }
}

static bool leaks(uint16_t port)
{
    struct rng rng;
    rng_seed(&rng, 11);
    for (int i = 0; i < RUNS; i++) {
        measure(&rng, port);
        double t2 = welch_worst(samples, 2 * TRIES);
        printf("t squared %.2f, at most %.2f\n", t2, WELCH_LIMIT * WELCH_LIMIT);
        if (t2 < WELCH_LIMIT * WELCH_LIMIT)
            return false;
    }
    return true;
}

static void a_wrong_key(void **state)
{
    (void)state;
    make_tables((struct credential){.expires_s = 0});
    take_secrets(100, 100);
    assert_false(leaks(0));
}

static void a_stolen_a(void **state)
{
    (void)state;
    make_tables((struct credential){.expires_s = 0});
    take_secrets(0, 100);
    assert_false(leaks(0));
}

static void a_client_that_is_disabled(void **state)
{
    (void)state;
    make_tables((struct credential){.is_disabled = true});
    take_secrets(0, 0);
    assert_false(leaks(0));
}

static void a_client_that_is_over(void **state)
{
    (void)state;
    make_tables((struct credential){.expires_s = 1});
    take_secrets(0, 0);
    assert_false(leaks(0));
}

static void a_client_from_elsewhere(void **state)
{
    (void)state;
    static int rights;
    make_tables((struct credential){.rights = &rights});
    take_secrets(0, 0);
    assert_false(leaks(7));
}

static void former_keys(void **state)
{
    (void)state;
    struct credential_old old[CREDENTIAL_OLD_MAX];
    for (uint32_t i = 0; i < CREDENTIAL_OLD_MAX; i++)
        old[i] = (struct credential_old){key_of(1000 + i), NOW + 100};
    make_tables((struct credential){.old = old, .old_count = CREDENTIAL_OLD_MAX});
    take_secrets(100, 100);
    assert_false(leaks(0));
}

static int forget(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++)
        credentials_unref(tables[k]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_key),
        cmocka_unit_test(a_stolen_a),
        cmocka_unit_test(a_client_that_is_disabled),
        cmocka_unit_test(a_client_that_is_over),
        cmocka_unit_test(a_client_from_elsewhere),
        cmocka_unit_test(former_keys),
    };
    return cmocka_run_group_tests_name("timing", tests, NULL, forget);
}
