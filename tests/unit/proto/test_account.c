/* SPDX-License-Identifier: MIT */
/*
 * The account of descriptors: for every limit the parties together have no more than there is, and
 * each has its least; and whoever takes all that he can get leaves room for others.
 */
#include "proto/account.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Every limit up to 5,000, then in steps of one in a hundred up to a million and beyond. */
static uint64_t next_limit(uint64_t d)
{
    return d < 5000 ? d + 1 : d + d / 100;
}

enum { MOST = 3000000 };

static uint64_t sum(const struct account *a, uint32_t sessions)
{
    return (uint64_t)a->own + a->gate + a->strangers + a->waiting +
           (uint64_t)sessions * ACCOUNT_SESSION + account_users(a, sessions);
}

static void the_parts_never_exceed_the_whole(void **state)
{
    struct account a;
    (void)state;
    for (unsigned loops = 1; loops <= 9; loops++) {
        for (uint64_t d = 64 * loops; d < MOST; d = next_limit(d)) {
            assert_true(account_of_server(&a, d, loops));
            for (uint32_t s = 0; s <= a.sessions_max; s += 1 + s / 8)
                assert_true(sum(&a, s) <= d);
            assert_true(sum(&a, a.sessions_max) <= d);
            assert_true(a.sessions_max <= d / 4 && a.known <= a.strangers / 4);
        }
    }
}

static void each_party_has_its_least(void **state)
{
    struct account a;
    (void)state;
    for (uint64_t d = ACCOUNT_DESCRIPTORS_MIN; d < MOST; d = next_limit(d)) {
        assert_true(account_of_server(&a, d, 1));
        assert_true(a.own >= 16 && a.gate >= 4 && a.strangers >= 4 && a.known >= 1);
        assert_true(account_strangers_of_source(&a) >= 1);
        assert_true(a.sessions_max >= 3 && account_sessions_of_source(&a) >= 1);
        assert_true(account_users(&a, 0) >= 4 && account_users(&a, a.sessions_max) >= 2);
        assert_true(account_users(&a, a.sessions_max) >= a.pool / 4 || a.pool > ACCOUNT_MAX);
        /* whatever users do, so many sessions fit */
        for (uint32_t s = 0; s < a.sessions_kept / ACCOUNT_SESSION && s < a.sessions_max; s++)
            assert_true(account_takes_session(&a, s, 0, account_users(&a, s), 0));
    }
}

static void the_sums_of_common_limits(void **state)
{
    static const struct {
        uint32_t descriptors, own, gate, strangers, waiting, sessions, of_source, users,
            users_least;
    } rows[] = {
        {32, 16, 4, 4, 0, 3, 3, 4, 2},
        {64, 16, 4, 6, 1, 14, 11, 31, 9},
        {1024, 128, 64, 102, 31, 256, 192, 597, 187},
        {65536, 256, 256, 256, 64, 16384, 12288, 58151, 31936},
        {1048576, 256, 256, 256, 64, 100000, 75000, 100000, 100000},
    };
    struct account a;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(account_of_server(&a, rows[i].descriptors, 1));
        assert_int_equal(a.own, rows[i].own);
        assert_int_equal(a.gate, rows[i].gate);
        assert_int_equal(a.strangers, rows[i].strangers);
        assert_int_equal(a.waiting, rows[i].waiting);
        assert_int_equal(a.sessions_max, rows[i].sessions);
        assert_int_equal(account_sessions_of_source(&a), rows[i].of_source);
        assert_int_equal(account_users(&a, 0), rows[i].users);
        assert_int_equal(account_users(&a, a.sessions_max), rows[i].users_least);
    }
    assert_true(account_of_server(&a, UINT64_MAX, 1));
    assert_int_equal(a.known, 64);
    assert_int_equal(account_strangers_of_source(&a), 64);
}

static void too_few_are_refused(void **state)
{
    struct account a;
    struct account_client c;
    (void)state;
    assert_false(account_of_server(&a, 0, 1));
    assert_false(account_of_server(&a, ACCOUNT_DESCRIPTORS_MIN - 1, 1));
    assert_false(account_of_server(&a, ACCOUNT_DESCRIPTORS_MIN + 3 * ACCOUNT_LOOP - 1, 4));
    assert_false(account_of_server(&a, 256, 65));
    assert_false(account_of_client(&c, ACCOUNT_DESCRIPTORS_MIN - 1));
}

/* ---- whoever takes all that he gets ---- */

struct use {
    uint32_t sessions, users, sessions_of[4], users_of[4];
};

static bool take_session(const struct account *a, struct use *u, unsigned who)
{
    if (!account_takes_session(a, u->sessions, 0, u->users, u->sessions_of[who]))
        return false;
    u->sessions++;
    u->sessions_of[who]++;
    return true;
}

static bool take_user(const struct account *a, struct use *u, unsigned who)
{
    uint32_t most = account_users(a, u->sessions);
    if (u->sessions_of[who] == 0 ||
        !account_takes_user(most, u->users, u->users_of[who], u->users_of[who]))
        return false;
    u->users++;
    u->users_of[who]++;
    return true;
}

/* All he can get: order 0 sessions first, 1 users first, else by turns. */
static void hoard(const struct account *a, struct use *u, unsigned who, int order)
{
    bool more = take_session(a, u, who);
    while (order == 0 && take_session(a, u, who)) {
    }
    while (order == 1 && take_user(a, u, who)) {
    }
    while (more) {
        more = take_session(a, u, who);
        more = take_user(a, u, who) || more;
        assert_true(sum(a, 0) <= MOST && u->users + 2 * u->sessions <= a->pool);
    }
}

static void a_hoarder_leaves_room(void **state)
{
    (void)state;
    for (uint64_t d = 64; d < 200000; d += 1 + d / 16) {
        for (int order = 0; order < 3; order++) {
            struct account a;
            struct use u = {0};
            assert_true(account_of_server(&a, d, 1));
            hoard(&a, &u, 0, order);
            assert_true(u.users_of[0] > a.pool / 8);
            for (unsigned other = 1; other < 3 && d >= 256; other++) {
                assert_true(take_session(&a, &u, other));
                assert_true(take_user(&a, &u, other));
            }
            assert_true(d >= 256 || take_session(&a, &u, 1));
        }
    }
}

/* ---- tunnels ---- */

static void tunnels_leave_users_an_eighth(void **state)
{
    struct account a;
    (void)state;
    for (uint64_t d = ACCOUNT_DESCRIPTORS_MIN; d < MOST; d = next_limit(d)) {
        assert_true(account_of_server(&a, d, 1));
        assert_true(a.places_max >= a.sessions_max);
        assert_true(sum(&a, a.places_max) <= d);
        assert_true(account_users(&a, a.places_max) >= a.pool / 8 || a.pool > ACCOUNT_MAX);
        assert_true(account_users(&a, a.places_max) <= account_users(&a, a.sessions_max));
    }
}

/* What two tunnels cost is what a session costs; those alone take none of the others' sessions. */
static void tunnels_have_places(void **state)
{
    struct account a;
    (void)state;
    assert_int_equal(account_places(0, 0), 0);
    assert_int_equal(account_places(3, 1), 4);
    assert_int_equal(account_places(3, 2), 4);
    assert_int_equal(account_places(3, 3), 5);
    assert_true(account_of_server(&a, 20000, 1));
    uint32_t room = 2 * (a.places_max - 1);
    assert_true(account_takes_session(&a, 1, room - 2, 0, 0));
    assert_false(account_takes_session(&a, 1, room, 0, 0));
    assert_false(account_takes_session(&a, a.sessions_max, 0, 0, 0));
    assert_false(account_takes_session(&a, 1, room - 2, 0, a.sessions_kept)); /* the last ones */
}

/* A fleet: 4,000 clients with 3 tunnels each in 20,000 descriptors, and users beside them. */
static void a_fleet_has_room(void **state)
{
    struct account a;
    (void)state;
    assert_true(account_of_server(&a, 20000, 2));
    for (uint32_t i = 0; i < 4000; i++)
        assert_true(account_takes_session(&a, i, 2 * i, 300, account_places(i / 4, i / 2)));
    assert_true(account_takes_session(&a, 3999, 8000, 300, 2000)); /* the last tunnel */
    assert_true(account_users(&a, account_places(4000, 8000)) >= 2500);
}

static void who_is_small_may_have_the_last(void **state)
{
    (void)state;
    assert_true(account_takes_user(320, 279, 279, 279));
    assert_false(account_takes_user(320, 280, 280, 280));
    assert_true(account_takes_user(320, 280, 9, 9));
    assert_false(account_takes_user(320, 280, 10, 10));
    assert_false(account_takes_user(320, 280, 1, 10)); /* with its source's other clients */
    assert_true(account_takes_user(320, 319, 0, 0));
    assert_false(account_takes_user(320, 320, 0, 0));
    assert_true(account_takes_user(1, 0, 0, 0));
}

/* ---- a client's ---- */

static void a_clients_parts(void **state)
{
    struct account_client c;
    (void)state;
    for (uint64_t d = ACCOUNT_DESCRIPTORS_MIN; d < MOST; d = next_limit(d)) {
        assert_true(account_of_client(&c, d));
        assert_true((uint64_t)c.own + c.dials + c.connections <= d);
        assert_true(c.own >= 16 && c.dials >= 4 && c.connections >= 12);
    }
    assert_int_equal(c.dials, 256);
    assert_int_equal(c.connections, ACCOUNT_MAX);
    assert_true(account_of_client(&c, 1024));
    assert_int_equal(c.connections, 768);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_never_exceed_the_whole),
        cmocka_unit_test(each_party_has_its_least),
        cmocka_unit_test(the_sums_of_common_limits),
        cmocka_unit_test(too_few_are_refused),
        cmocka_unit_test(a_hoarder_leaves_room),
        cmocka_unit_test(tunnels_leave_users_an_eighth),
        cmocka_unit_test(tunnels_have_places),
        cmocka_unit_test(a_fleet_has_room),
        cmocka_unit_test(who_is_small_may_have_the_last),
        cmocka_unit_test(a_clients_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
