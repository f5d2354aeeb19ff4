/* SPDX-License-Identifier: MIT */
/* Sessions captured between real smux endpoints, replayed whole and cut. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const versions[] = {"1.5.16", "1.5.57"};

static struct wire load(const char *version, const char *name)
{
    char path[4096];
    const char *root = getenv("GOTUNNEL_VECTORS");
    assert_non_null(root);
    (void)snprintf(path, sizeof path, "%s/smux-%s/%s.bin", root, version, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    struct wire w = {malloc(1 << 20), 0, 1 << 20, 0};
    assert_non_null(w.p);
    w.n = fread(w.p, 1, w.cap, f);
    assert_true(w.n > 0 && w.n < w.cap);
    (void)fclose(f);
    return w;
}

/*
 * Feeds a capture in pieces of `step` to a session that plays the other end. The capture is one
 * half of a conversation: streams pretend to have sent what it acknowledges.
 */
static struct kit *replay(const struct wire *w, size_t skip, bool as_client, size_t step)
{
    struct kit *k = kit_new(as_client, NULL);
    k->eager = true;
    k->pretend = 1000;
    for (size_t at = skip; at < w->n && k->code == 0; at += step)
        (void)kit_feed(k, w->p + at, w->n - at < step ? w->n - at : step);
    (void)sent(k);
    return k;
}

static void expect(const char *name, size_t skip, bool as_client, const char *want)
{
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct wire w = load(versions[v], name);
        static const size_t steps[] = {1, 7, 8, 1000, 1 << 20};
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            struct kit *k = replay(&w, skip, as_client, steps[i]);
            assert_string_equal(kit_text(k), want);
            kit_free(k);
        }
        free(w.p);
    }
}

static void a_session_seen_by_the_server(void **state)
{
    (void)state;
    expect("01-session-user-closes.c2s", 7, false, "OPENED:3 DATA:3:21 FIN:3");
}

static void a_session_seen_by_the_client(void **state)
{
    (void)state;
    expect("01-session-user-closes.s2c", 3, true, "OPENED:2 DATA:2:10 FIN:2");
}

static void the_service_closes_first(void **state)
{
    (void)state;
    expect("02-session-service-closes.s2c", 3, true, "OPENED:2 DATA:2:10 FIN:2 OPENED:4 FIN:4");
}

static void a_control_error(void **state)
{
    (void)state;
    expect("03-control-error.c2s", 7, false, "OPENED:3 DATA:3:19 FIN:3");
}

static void two_hundred_thousand_bytes(void **state)
{
    (void)state;
    expect("04-flow-read4k.s2c", 0, true, "OPENED:2 DATA:2:200000 FIN:2");
    struct wire w = load("1.5.57", "04-flow-read4k.s2c");
    struct kit *k = replay(&w, 0, true, 13);
    uint64_t hash = 1469598103;
    for (unsigned i = 0; i < 200000; i++)
        hash = (hash ^ (uint8_t)(i % 251)) * 1099511628211u;
    assert_int_equal(k->events[1].hash, hash);
    kit_free(k);
    free(w.p);
}

static void four_hundred_thousand_bytes_into_the_start_window(void **state)
{
    (void)state;
    expect("05-flow-writeto.c2s", 0, false, "OPENED:3 DATA:3:400000 FIN:3");
}

static void keepalive(void **state)
{
    (void)state;
    expect("06-keepalive.s2c", 0, true, "");
    expect("06-keepalive.c2s", 0, false, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_seen_by_the_server),
        cmocka_unit_test(a_session_seen_by_the_client),
        cmocka_unit_test(the_service_closes_first),
        cmocka_unit_test(a_control_error),
        cmocka_unit_test(two_hundred_thousand_bytes),
        cmocka_unit_test(four_hundred_thousand_bytes_into_the_start_window),
        cmocka_unit_test(keepalive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
