/* SPDX-License-Identifier: MIT */
/* What a client may do: at the edges of each right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/rights.h"
#include "conf/utc.h"

static struct rights *rights;

static int teardown(void **state)
{
    (void)state;
    rights_free(rights);
    rights = NULL;
    return 0;
}

static void make(const struct client_entry *e)
{
    (void)teardown(NULL);
    rights = rights_new(e);
    assert_non_null(rights);
}

static struct address at(const char *text)
{
    struct address a;
    assert_true(address_from_text(&a, text, strlen(text)));
    return a;
}

/* A copy outlives what it is of. */
static void a_copy_says_the_same(void **state)
{
    (void)state;
    const struct address in = at("10.1.2.3"), out = at("11.1.2.3");
    struct client_entry e;
    client_entry_init(&e);
    e.sessions = 4;
    assert_int_equal(cidrs_parse("192.0.2.1,10.0.0.0/8", &e.from), 0);
    assert_int_equal(ports_parse("80,443", &e.ports), 0);
    make(&e);
    struct rights *copy = rights_copy(rights);
    assert_non_null(copy);
    rights_free(rights);
    rights = copy;
    assert_int_equal(rights_may_enter(rights, &in, 1), RIGHTS_ENTER);
    assert_true(rights_may_come_from(rights, &in));
    assert_false(rights_may_come_from(rights, &out));
    assert_true(rights_may_have_port(rights, 80) && rights_may_have_port(rights, 443));
    assert_false(rights_may_have_port(rights, 81));
    assert_int_equal(rights_limit(rights, RIGHTS_SESSIONS, 1), 4);
}

static void without_any_right(void **state)
{
    (void)state;
    const struct address nobody = {.family = ADDRESS_NONE}, somebody = at("192.0.2.1");
    struct client_entry e;
    client_entry_init(&e);
    make(&e);
    /* It may come, from everywhere and for ever, and have no port. */
    assert_int_equal(rights_may_enter(rights, &nobody, 0), RIGHTS_ENTER);
    assert_int_equal(rights_may_enter(rights, &somebody, INT64_MAX - 1), RIGHTS_ENTER);
    for (int64_t port = -1; port <= 65536; port++)
        assert_false(rights_may_have_port(rights, port));
    for (int i = 0; i < RIGHTS_LIMITS; i++)
        assert_int_equal(rights_limit(rights, (enum rights_limit)i, 77), 77);
    assert_true(rights_next_change(rights, 0) == INT64_MAX);
}

static void ports_at_their_edges(void **state)
{
    (void)state;
    struct client_entry e;
    client_entry_init(&e);
    assert_int_equal(ports_parse("0,22,20000-20100,65535", &e.ports), 0);
    make(&e);
    for (int64_t port = -70000; port <= 140000; port++) {
        bool is_in = port == 0 || port == 22 || (port >= 20000 && port <= 20100) || port == 65535;
        assert_int_equal(rights_may_have_port(rights, port), is_in);
    }
    assert_int_equal(ports_parse("1-65534", &e.ports), 0);
    make(&e);
    assert_false(rights_may_have_port(rights, 0));
    assert_true(rights_may_have_port(rights, 1));
    assert_true(rights_may_have_port(rights, 65534));
    assert_false(rights_may_have_port(rights, 65535));
    assert_int_equal(ports_parse("0-65535", &e.ports), 0);
    make(&e);
    assert_true(rights_may_have_port(rights, 0) && rights_may_have_port(rights, 65535));
    assert_false(rights_may_have_port(rights, 65536));
    assert_false(rights_may_have_port(rights, -1));
    assert_false(rights_may_have_port(rights, INT64_C(1) << 32));
}

static void networks_at_their_edges(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        bool is_in;
    } rows[] = {
        {"203.0.112.255", false},   {"203.0.113.0", true},  {"203.0.113.255", true},
        {"203.0.114.0", false},     {"192.0.2.7", true},    {"192.0.2.6", false},
        {"::ffff:192.0.2.7", true}, {"2001:db8::", true},   {"2001:db8:ffff::ffff", true},
        {"2001:db9::", false},      {"::cb00:7100", false}, {"2001:db7:ffff::", false},
    };
    const struct address nobody = {.family = ADDRESS_NONE};
    struct client_entry e;
    client_entry_init(&e);
    assert_int_equal(cidrs_parse("203.0.113.0/24,192.0.2.7,2001:db8::/32", &e.from), 0);
    assert_int_equal(ports_parse("80,90-99", &e.ports), 0); /* behind the networks in memory */
    make(&e);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address from = at(rows[i].from);
        from.port = (uint16_t)(i + 1);
        assert_int_equal(rights_may_enter(rights, &from, 1),
                         rows[i].is_in ? RIGHTS_ENTER : RIGHTS_ELSEWHERE);
    }
    assert_int_equal(rights_may_enter(rights, &nobody, 1), RIGHTS_ELSEWHERE);
    assert_true(rights_may_have_port(rights, 80) && rights_may_have_port(rights, 99));
    assert_false(rights_may_have_port(rights, 81));
    assert_int_equal(cidrs_parse("0.0.0.0/0", &e.from), 0);
    make(&e);
    assert_int_equal(rights_may_enter(rights, &nobody, 1), RIGHTS_ELSEWHERE);
}

/* Until the second before; from that second on no more. */
static void it_expires_at_the_second(void **state)
{
    (void)state;
    const struct address from = at("192.0.2.7");
    struct client_entry e;
    int64_t end;
    client_entry_init(&e);
    assert_int_equal(utc_parse("2027-01-31T00:00:00Z", &end), 0);
    e.expires = end;
    make(&e);
    assert_int_equal(rights_may_enter(rights, &from, end - 1), RIGHTS_ENTER);
    assert_int_equal(rights_may_enter(rights, &from, end), RIGHTS_EXPIRED);
    assert_int_equal(rights_may_enter(rights, &from, INT64_MAX), RIGHTS_EXPIRED);
    assert_true(rights_next_change(rights, 0) == end);
    assert_true(rights_next_change(rights, end - 1) == end);
    assert_true(rights_next_change(rights, end) == INT64_MAX);
}

static void a_disabled_one_comes_never(void **state)
{
    (void)state;
    const struct address from = at("192.0.2.7"), other = at("192.0.2.8");
    struct client_entry e;
    client_entry_init(&e);
    e.disabled = true;
    e.expires = 100;
    assert_int_equal(cidrs_parse("192.0.2.7", &e.from), 0);
    make(&e);
    assert_int_equal(rights_may_enter(rights, &from, 99), RIGHTS_DISABLED);
    assert_int_equal(rights_may_enter(rights, &other, 100), RIGHTS_DISABLED);
    assert_true(rights_next_change(rights, 0) == INT64_MAX);
    e.disabled = false;
    make(&e);
    assert_int_equal(rights_may_enter(rights, &from, 99), RIGHTS_ENTER);
    assert_int_equal(rights_may_enter(rights, &other, 100), RIGHTS_EXPIRED);
    assert_int_equal(rights_may_enter(rights, &other, 99), RIGHTS_ELSEWHERE);
}

static void each_limit_is_its_own(void **state)
{
    (void)state;
    struct client_entry e;
    client_entry_init(&e);
    e.tunnels = 1;
    e.connections = 2;
    e.sessions = 3;
    make(&e);
    assert_int_equal(rights_limit(rights, RIGHTS_TUNNELS, 77), 1);
    assert_int_equal(rights_limit(rights, RIGHTS_CONNECTIONS, 77), 2);
    assert_int_equal(rights_limit(rights, RIGHTS_SESSIONS, 77), 3);
    assert_int_equal(rights_limit(rights, RIGHTS_RATE, 77), 77);
    e.rate = 4;
    make(&e);
    assert_int_equal(rights_limit(rights, RIGHTS_RATE, 77), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(without_any_right, teardown),
        cmocka_unit_test_teardown(a_copy_says_the_same, teardown),
        cmocka_unit_test_teardown(ports_at_their_edges, teardown),
        cmocka_unit_test_teardown(networks_at_their_edges, teardown),
        cmocka_unit_test_teardown(it_expires_at_the_second, teardown),
        cmocka_unit_test_teardown(a_disabled_one_comes_never, teardown),
        cmocka_unit_test_teardown(each_limit_is_its_own, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
