/* SPDX-License-Identifier: MIT */
/* Openings of clients with keys of their own: beside the shared secret, and without one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"

static struct kit kit;
static struct credentials *keys;

static struct client_secret secret_of(uint8_t n)
{
    struct client_secret s;
    uint8_t t[CLIENT_KEY_T_BYTES] = {n};
    assert_int_equal(client_secret_init(&s, t), 0);
    return s;
}

static struct client_key key_of(uint8_t n)
{
    struct client_key k;
    struct client_secret s = secret_of(n);
    assert_int_equal(client_key_init(&k, &s), 0);
    return k;
}

/* lap with key 1; off, disabled, with 2; caged, with 3, may come from nowhere. */
static bool admits(const void *rights, const struct address *from)
{
    assert_int_equal(from->family, ADDRESS_IPV4); /* whose connection it is */
    return !rights;
}

static int setup(void **state)
{
    static int rights;
    struct credentials_config cfg = {.hash_key = {1}, .nobody = {2}, .admits = admits};
    keys = credentials_new(&cfg);
    assert_non_null(keys);
    const struct credential all[] = {
        {.name = "lap", .key = key_of(1)},
        {.name = "off", .key = key_of(2), .is_disabled = true},
        {.name = "caged", .key = key_of(3), .rights = &rights},
        {.name = "over", .key = key_of(4), .expires_s = KIT_NOW_S},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(credentials_add(keys, &all[i]), 0);
    kit_init(&kit);
    kit.server.keys = keys;
    *state = &kit;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    credentials_unref(keys);
    return 0;
}

/* A client of that name with key n, and a server, TLS done. */
static void begin(const char *name, uint8_t n, bool is_v2)
{
    static struct hello_credential own;
    struct opening_config server = {.peer = {ADDRESS_IPV4, 4444, 0, {203, 0, 113, 9}}};
    struct opening_config client = {.credential = &own, .id = name};
    own = (struct hello_credential){.secret = secret_of(n)};
    (void)snprintf(own.name, sizeof own.name, "%s", name);
    kit.client.no_secret = true;
    kit_open(&kit, &kit.client, &client);
    kit_open(&kit, &kit.server, &server);
    stub_ready(kit.server.tp, is_v2);
    stub_ready(kit.client.tp, is_v2);
    kit_join(&kit);
}

static void a_client_s_own_key_opens_a_session(void **state)
{
    (void)state;
    struct client_key k = key_of(1);
    for (int has_secret = 0; has_secret <= 1; has_secret++) {
        kit_fini(&kit);
        kit_init(&kit);
        kit.server.keys = keys;
        kit.server.no_secret = !has_secret;
        begin("lap", 1, true);
        assert_int_equal(kit.server.asked, 1);
        assert_string_equal(kit.server.open.key, "lap");
        assert_memory_equal(kit.server.public_key, k.public_key, sizeof k.public_key);
        kit_accept(&kit);
        kit_join(&kit);
        assert_int_equal(kit.client.accepted, 1);
        assert_non_null(kit.client.session);
    }
}

/* The same answer, whatever is wrong. The owner is told whose proof was right all the same. */
static void whatever_is_wrong_looks_alike(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t key;
        bool no_table;
        enum credentials_cause barred; /* RIGHT: a guess */
    } cases[] = {{"nobody", 1, false, CREDENTIALS_RIGHT}, {"lap", 2, false, CREDENTIALS_RIGHT},
                 {"off", 2, false, CREDENTIALS_DISABLED}, {"off", 1, false, CREDENTIALS_RIGHT},
                 {"caged", 3, false, CREDENTIALS_SOURCE}, {"caged", 1, false, CREDENTIALS_RIGHT},
                 {"over", 4, false, CREDENTIALS_EXPIRED}, {"lap", 1, true, CREDENTIALS_RIGHT}};
    static const char auth[] = "{\"v\":2,\"ok\":false,\"error\":\"auth\"}\n";
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        kit_fini(&kit);
        kit_init(&kit);
        kit.server.keys = cases[i].no_table ? NULL : keys;
        kit.server.keeps_waiting = true;
        begin(cases[i].name, cases[i].key, true);
        opening_judge(kit.server.opening, kit.server.keys, KIT_NOW_S);
        assert_int_equal(kit.server.tp->out_len, sizeof auth - 1);
        assert_memory_equal(kit.server.tp->out, auth, sizeof auth - 1);
        kit_join(&kit);
        stub_turn(&kit.loop);
        assert_int_equal(kit.server.auth_failed, 1);
        assert_int_equal(kit.server.barred, cases[i].barred);
        assert_int_equal(kit.server.asked, 0);
        assert_int_equal(kit.server.reason, END_AUTH);
        assert_string_equal(kit.server.why.text, "");
        assert_int_equal(kit.client.reason, END_AUTH);
    }
}

/* Whoever knows what the server keeps has A, and no seed. */
static void a_stolen_table_lets_nobody_in(void **state)
{
    (void)state;
    struct hello_credential own = {.name = "lap", .secret = secret_of(9)};
    struct client_key stolen = key_of(1);
    struct opening_config server = {.peer = {ADDRESS_IPV4, 4444, 0, {203, 0, 113, 9}}};
    struct opening_config client = {.credential = &own, .id = "lap"};
    memcpy(own.secret.a, stolen.a, sizeof stolen.a);
    kit.client.no_secret = true;
    kit_open(&kit, &kit.client, &client);
    kit_open(&kit, &kit.server, &server);
    stub_ready(kit.server.tp, true);
    stub_ready(kit.client.tp, true);
    kit_join(&kit);
    assert_int_equal(kit.server.auth_failed, 1);
    assert_int_equal(kit.server.barred, CREDENTIALS_RIGHT); /* a guess */
    assert_int_equal(kit.server.asked, 0);
}

static void the_shared_secret_goes_on_beside_keys(void **state)
{
    (void)state;
    static const uint8_t none[CLIENT_KEY_PUBLIC_BYTES];
    kit_begin(&kit, true);
    kit_join(&kit);
    assert_int_equal(kit.server.asked, 1);
    assert_string_equal(kit.server.open.key, "");
    assert_memory_equal(kit.server.public_key, none, sizeof none);
}

/* A server without it: a line without key is wrong, and so is the secret that stands in for it. */
static void without_a_shared_secret_none_is_right(void **state)
{
    (void)state;
    static const char *const secrets[] = {KIT_SECRET, "what stands for none"};
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        struct opening_config cfg = {.secret = secrets[i]};
        kit_fini(&kit);
        kit_init(&kit);
        kit.server.keys = keys;
        kit.server.no_secret = true;
        kit_open(&kit, &kit.client, &cfg);
        kit_open(&kit, &kit.server, NULL);
        stub_ready(kit.server.tp, true);
        stub_ready(kit.client.tp, true);
        kit_join(&kit);
        stub_turn(&kit.loop);
        assert_int_equal(kit.server.auth_failed, 1);
        assert_int_equal(kit.client.reason, END_AUTH);
    }
}

/* A client says no word of the legacy wire, and to a server all that is said there is wrong. */
static void without_a_shared_secret_there_is_no_legacy_wire(void **state)
{
    (void)state;
    static const char *const lines[] = {"\n", "what stands for none\n", KIT_SECRET "\n"};
    begin("lap", 1, false);
    stub_turn(&kit.loop);
    assert_int_equal(kit.client.reason, END_LEGACY);
    assert_non_null(strstr(kit.client.why.text, "no client has a key of its own"));
    assert_int_equal(kit.server.lines, 0);

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        kit_fini(&kit);
        kit_init(&kit);
        kit.server.no_secret = true;
        kit_open(&kit, &kit.server, NULL);
        stub_ready(kit.server.tp, false);
        stub_feed(kit.server.tp, lines[i], strlen(lines[i]));
        stub_turn(&kit.loop);
        assert_int_equal(kit.server.lines, 1); /* a guess as any other: it waits for its verdict */
        assert_int_equal(kit.server.auth_failed, 1);
        assert_int_equal(kit.server.authenticated, 0);
        assert_int_equal(kit.server.reason, END_AUTH);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_client_s_own_key_opens_a_session),
        T(whatever_is_wrong_looks_alike),
        T(a_stolen_table_lets_nobody_in),
        T(the_shared_secret_goes_on_beside_keys),
        T(without_a_shared_secret_none_is_right),
        T(without_a_shared_secret_there_is_no_legacy_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
