/* SPDX-License-Identifier: MIT */
/*
 * The search for a way, in virtual time. What it does is written down as text and compared:
 *
 *   0:?     looks the name up        0:+a    starts the patient socket of address a
 *   0:!     gives up                 0:+a'   the fresh one; 0:-a' drops it
 *
 * Small letters are IPv4 addresses, capitals IPv6.
 */
#include "proto/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

enum { START = 1000000 }; /* times in the texts are counted from here */

struct search {
    struct path_memory memory;
    struct path_config cfg;
    struct path path;
    mtime_ms now;
    struct address at[PATH_SOCKETS]; /* what each slot is connected to */
    bool live[PATH_SOCKETS];
    bool over;
    char text[4000];
    size_t len;
};

static struct address address(char letter)
{
    bool v6 = letter >= 'A' && letter <= 'Z';
    return (struct address){.family = v6 ? ADDRESS_IPV6 : ADDRESS_IPV4,
                            .port = 7000,
                            .ip = {10, 0, 0, (uint8_t)letter}};
}

static char letter(const struct address *a)
{
    return (char)a->ip[3];
}

static void begin(struct search *s, int patience, bool resolve, bool renew)
{
    s->cfg = (struct path_config){
        .memory = &s->memory, .patience_ms = patience, .resolve = resolve, .renew = renew};
    memset(s->live, 0, sizeof s->live);
    s->now = START;
    s->over = false;
    s->len = 0;
    s->text[0] = '\0';
    path_begin(&s->path, &s->cfg, s->now);
}

static void add(struct search *s, const char *letters)
{
    for (; *letters; letters++) {
        struct address a = address(*letters);
        path_add(&s->path, &a);
    }
}

/* Writes down a step, and checks that slots are used as they may be. */
static void note(struct search *s, const struct path_step *step)
{
    char what[8] = "";
    if (step->what == PATH_START) {
        assert_true(step->slot < PATH_SOCKETS);
        assert_false(s->live[step->slot]);
        s->live[step->slot] = true;
        s->at[step->slot] = step->address;
        assert_true(address_equal(path_address_of(&s->path, step->slot), &step->address));
        (void)snprintf(what, sizeof what, "+%c%s", letter(&step->address),
                       step->slot % 2 ? "'" : "");
    } else if (step->what == PATH_DROP) {
        assert_true(step->slot < PATH_SOCKETS);
        assert_true(s->live[step->slot]);
        s->live[step->slot] = false;
        (void)snprintf(what, sizeof what, "-%c%s", letter(&s->at[step->slot]),
                       step->slot % 2 ? "'" : "");
    } else {
        (void)snprintf(what, sizeof what, "%c", step->what == PATH_RESOLVE ? '?' : '!');
    }
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%s%d:%s",
                               s->len ? " " : "", (int)(s->now - START), what);
    assert_true(s->len < sizeof s->text);
}

/* Lets the time pass until ms after the start. */
static void run(struct search *s, int ms)
{
    for (int steps = 0; !s->over; steps++) {
        struct path_step step;
        assert_true(steps < 10000);
        path_next(&s->path, s->now, &step);
        if (step.what != PATH_WAIT) {
            note(s, &step);
            s->over = step.what == PATH_GIVE_UP;
            continue;
        }
        assert_true(step.at > s->now); /* or it would be a busy loop */
        if (step.at > START + ms) {
            s->now = START + ms;
            path_next(&s->path, s->now, &step);
            assert_int_equal(step.what, PATH_WAIT);
            return;
        }
        s->now = step.at;
    }
}

static void resolved(struct search *s, const char *letters)
{
    struct address list[20];
    unsigned n = 0;
    for (; letters[n]; n++)
        list[n] = address(letters[n]);
    path_resolved(&s->path, list, n);
    run(s, (int)(s->now - START));
}

/* The patient socket of an address (its fresh one with fresh) has failed. */
static void lost(struct search *s, char of, bool fresh)
{
    for (unsigned i = fresh; i < PATH_SOCKETS; i += 2)
        if (s->live[i] && letter(&s->at[i]) == of) {
            s->live[i] = false;
            path_lost(&s->path, i, s->now);
            run(s, (int)(s->now - START));
            return;
        }
    fail_msg("%c has no socket", of);
}

static void good(struct search *s, char a)
{
    struct address at = address(a);
    path_good(&s->memory, &at);
}

static void failed(struct search *s, char a)
{
    struct address at = address(a);
    path_failed(&s->memory, &at);
}

/* The order in which the addresses of a name are tried if none answers. */
static const char *order_of(struct search *s, const char *letters)
{
    static char order[40];
    size_t n = 0;
    begin(s, 60000, true, false);
    run(s, 0);
    resolved(s, letters);
    run(s, 59000);
    for (const char *p = s->text; (p = strchr(p, '+')); p++)
        order[n++] = p[1];
    order[n] = '\0';
    return order;
}

/* ---- order ---- */

static void one_after_the_other_by_a_quarter_of_a_second(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, true, false);
    run(&s, 7);
    resolved(&s, "abc");
    run(&s, 1990);
    assert_string_equal(s.text, "0:? 7:+a 257:+b 507:+c");
    run(&s, 9000);
    assert_string_equal(s.text, "0:? 7:+a 257:+b 507:+c 2000:? 3000:!");
}

static void families_alternate(void **state)
{
    static const char *const rows[][2] = {
        {"ABab", "AaBb"},   {"abAB", "aAbB"}, {"ABCab", "AaBbC"},       {"aABC", "aABC"},
        {"Aabcd", "Aabcd"}, {"abc", "abc"},   {"ABCDefgh", "AeBfCgDh"}, {"a", "a"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct search s = {0};
        assert_string_equal(order_of(&s, rows[i][0]), rows[i][1]);
    }
}

static void the_one_that_worked_last_is_first(void **state)
{
    struct search s = {0};
    (void)state;
    good(&s, 'b');
    assert_string_equal(order_of(&s, "ABab"), "bAaB");
    assert_string_equal(order_of(&s, "ABa"), "aAB"); /* not there: its family is first */
    good(&s, 'B');
    assert_string_equal(order_of(&s, "abAB"), "BaAb");
}

static void what_failed_is_last(void **state)
{
    struct search s = {0};
    (void)state;
    failed(&s, 'A');
    assert_string_equal(order_of(&s, "ABab"), "BabA");
    failed(&s, 'b');
    assert_string_equal(order_of(&s, "ABab"), "BaAb"); /* the oldest failure first */
    failed(&s, 'A');
    assert_string_equal(order_of(&s, "ABab"), "BabA");
    good(&s, 'b');
    failed(&s, 'b'); /* worked, but not now; A was wrong more often */
    assert_string_equal(order_of(&s, "ABab"), "BabA");
    good(&s, 'A');
    assert_string_equal(order_of(&s, "ABab"), "AaBb");
}

static void a_failed_connect_is_remembered_as_well(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, true, false);
    run(&s, 0);
    resolved(&s, "ab");
    lost(&s, 'a', false);
    assert_string_equal(order_of(&s, "ab"), "ba");
}

static void the_memory_has_a_bound(void **state)
{
    struct search s = {0};
    (void)state;
    for (char c = 'a'; c <= 'z'; c++)
        failed(&s, c);
    assert_int_equal(s.memory.nfailed, PATH_ADDRESSES);
    assert_string_equal(order_of(&s, "zyxrab"), "rabxyz"); /* r is forgotten, s would not be */
    for (int i = 0; i < 100; i++)
        failed(&s, 'z');
    begin(&s, 60000, true, false);
    run(&s, 0);
    resolved(&s, "za");
    run(&s, 30000);
    assert_non_null(strstr(s.text, "0:+a 2000:? 4000:+z"));
}

/* ---- failures ---- */

static void a_failure_starts_the_next_at_once(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, true, false);
    run(&s, 0);
    resolved(&s, "abcd");
    run(&s, 100);
    lost(&s, 'a', false);
    run(&s, 200);
    lost(&s, 'b', false);
    run(&s, 1000);
    assert_string_equal(s.text, "0:? 0:+a 100:+b 200:+c 450:+d");
    lost(&s, 'd', false);
    lost(&s, 'c', false); /* nothing is left to wait for */
    assert_string_equal(s.text, "0:? 0:+a 100:+b 200:+c 450:+d 1000:!");
}

/* ... also while another one may still answer. */
static void a_failure_does_not_wait_for_the_silent(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, true, false);
    run(&s, 0);
    resolved(&s, "abc");
    run(&s, 300);
    lost(&s, 'b', false);
    run(&s, 1000);
    assert_string_equal(s.text, "0:? 0:+a 250:+b 300:+c");
}

static void a_name_that_does_not_resolve(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, true, true);
    run(&s, 30);
    resolved(&s, "");
    assert_string_equal(s.text, "0:? 30:!");
}

static void an_address_in_digits_needs_no_resolver(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, false, false);
    add(&s, "a");
    run(&s, 5000);
    assert_string_equal(s.text, "0:+a 3000:!");
    begin(&s, 3000, false, true);
    add(&s, "a");
    run(&s, 100);
    lost(&s, 'a', false);
    assert_string_equal(s.text, "0:+a 100:!");
}

static void no_time_no_address(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 0, true, true);
    run(&s, 0);
    assert_string_equal(s.text, "0:!");
    begin(&s, 1000, false, true);
    run(&s, 0);
    assert_string_equal(s.text, "0:!");
}

/* ---- renewal ---- */

static void the_fresh_socket_is_renewed_and_the_patient_one_stays(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 4500, false, true);
    add(&s, "a");
    run(&s, 9000);
    assert_string_equal(s.text, "0:+a 1000:+a' 2000:-a' 2000:+a' 3000:-a' 3000:+a' "
                                "4000:-a' 4000:+a' 4500:!");
    s.cfg.rtt_ms = 300; /* a slow path: each has the time for its answer */
    s.now = START;
    path_begin(&s.path, &s.cfg, s.now);
    add(&s, "a");
    memset(s.live, 0, sizeof s.live);
    s.len = 0;
    s.over = false;
    run(&s, 9000);
    assert_string_equal(s.text, "0:+a 2200:+a' 4400:-a' 4400:+a' 4500:!");
}

static void what_failed_is_tried_again_while_others_are_silent(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3600, true, true);
    run(&s, 0);
    resolved(&s, "Ab");
    run(&s, 300);
    lost(&s, 'b', false);
    run(&s, 1260);
    lost(&s, 'b', false);
    run(&s, 1990);
    assert_string_equal(s.text, "0:? 0:+A 250:+b 1000:+A' 1250:+b");
}

/* ---- the resolver ---- */

static void a_name_that_moves_is_seen(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 6000, true, false);
    run(&s, 10);
    resolved(&s, "a");
    run(&s, 2050);
    resolved(&s, "bC"); /* now it is elsewhere: joins at once */
    run(&s, 4010);
    resolved(&s, "bC");
    run(&s, 5000);
    assert_string_equal(s.text, "0:? 10:+a 2000:? 2050:+C 2300:+b 4000:?");
}

static void an_address_that_is_gone_is_not_tried_any_more(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 6000, true, false);
    add(&s, "x");
    run(&s, 0);
    resolved(&s, "abcdefg");
    run(&s, 1600);
    assert_string_equal(s.text, "0:? 0:+x 250:+a 500:+b 750:+c 1000:+d 1250:+e 1500:+f");
    path_hurry(&s.path, MTIME_NEVER);
    resolved(&s, "a");
    run(&s, 5000);
    assert_null(strstr(s.text, "+g"));
}

/* The resolver hangs: one lookup, and what is known goes on. */
static void one_lookup_at_a_time(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 9000, true, false);
    add(&s, "a");
    run(&s, 5000);
    assert_string_equal(s.text, "0:? 0:+a");
    resolved(&s, ""); /* an error in the end: it is asked again */
    run(&s, 6900);
    assert_string_equal(s.text, "0:? 0:+a 5000:?");
    resolved(&s, "a");
    run(&s, 7100);
    assert_string_equal(s.text, "0:? 0:+a 5000:? 7000:?");
    lost(&s, 'a', false); /* the answer may bring another one */
    run(&s, 8000);
    resolved(&s, "ab");
    run(&s, 8900);
    assert_string_equal(s.text, "0:? 0:+a 5000:? 7000:? 8000:+b");
}

static void the_session_s_address_is_tried_before_the_name_is_known(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 3000, true, false);
    add(&s, "s");
    run(&s, 40);
    resolved(&s, "sAb");
    run(&s, 1000);
    assert_string_equal(s.text, "0:? 0:+s 250:+A 500:+b");
    begin(&s, 3000, true, false);
    add(&s, "s");
    run(&s, 40);
    lost(&s, 's', false);
    run(&s, 60);
    resolved(&s, "b");
    run(&s, 1000);
    assert_string_equal(s.text, "0:? 0:+s 60:+b");
}

/* Somebody else's machine is at the old address, and it is nearer than the new one. */
static void who_was_wrong_lets_the_others_go_first(void **state)
{
    struct search s = {0};
    static const int delays[] = {500, 1000, 2000, 4000, 4000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        char text[100];
        failed(&s, 's');
        begin(&s, 9000, true, false);
        add(&s, "s");
        run(&s, 40);
        resolved(&s, "b");
        run(&s, 1900);
        (void)snprintf(text, sizeof text, "0:? 40:+b");
        if (delays[i] < 1900)
            (void)snprintf(text, sizeof text, "0:? 40:+b %d:+s", delays[i]);
        assert_string_equal(s.text, text);
        resolved(&s, "b");
        run(&s, 8900);
        (void)snprintf(text, sizeof text, " %d:+s", delays[i]);
        assert_non_null(strstr(s.text, text));
    }
    begin(&s, 9000, true, false); /* a resolver that hangs does not keep it away for so long */
    add(&s, "s");
    run(&s, 8000);
    assert_string_equal(s.text, "0:? 1000:+s");
    begin(&s, 9000, true, false); /* nor is anything waited for where nothing is to come */
    add(&s, "s");
    run(&s, 100);
    resolved(&s, "s");
    assert_string_equal(s.text, "0:? 100:+s");
    good(&s, 's');
    begin(&s, 9000, true, false);
    add(&s, "s");
    run(&s, 100);
    assert_string_equal(s.text, "0:? 0:+s");
}

/* ---- bounds ---- */

static void many_addresses(void **state)
{
    struct search s = {0};
    (void)state;
    assert_string_equal(order_of(&s, "abcdefghijklm"), "abcdefgh");
    begin(&s, 9000, true, true);
    add(&s, "rstuvwxyz"); /* one too many */
    run(&s, 1990);
    assert_null(strchr(s.text, 'z'));
    resolved(&s, "ab"); /* what the caller gave stays */
    run(&s, 3000);
    assert_null(strstr(s.text, "+a"));
}

/* Addresses the name has no more make room; their sockets are dropped before. */
static void new_addresses_displace_old_ones(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 9000, true, true);
    run(&s, 0);
    resolved(&s, "abcdefgh");
    run(&s, 2000);
    lost(&s, 'd', false);
    lost(&s, 'd', true);
    s.len = 0;
    resolved(&s, "xycde");
    assert_string_equal(s.text, "2000:-a 2000:-a' 2000:-b 2000:-b' 2000:+x");
    run(&s, 2240);
    s.len = 0;
    run(&s, 2250);
    assert_non_null(strstr(s.text, "2250:+y"));
}

/* ---- the last moment ---- */

static void at_the_last_moment_all_are_tried(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 6000, true, true);
    path_hurry(&s.path, START + 4800);
    add(&s, "s");
    run(&s, 0);
    resolved(&s, "ab");
    run(&s, 4600);
    s.len = 0;
    run(&s, 5500);
    assert_string_equal(s.text, "4800:-s' 4800:+s' 4800:-a' 4800:+a' 4800:-b' 4800:+b'");
    s.len = 0; /* the lookup of 2 s was still under way: the next one follows at once */
    resolved(&s, "ab");
    assert_string_equal(s.text, "5500:?");
}

static void the_last_moment_does_not_wait_for_its_turn(void **state)
{
    struct search s = {0};
    (void)state;
    failed(&s, 'b');
    begin(&s, 6000, false, false);
    add(&s, "abc");
    path_hurry(&s.path, START + 100);
    run(&s, 5000);
    assert_string_equal(s.text, "0:+a 100:+a' 100:+b 100:+c");
}

/* What failed before it is waited for again. */
static void the_last_moment_gives_everybody_a_chance(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 6000, false, false);
    add(&s, "ab");
    run(&s, 300);
    lost(&s, 'a', false);
    path_hurry(&s.path, START + 1000);
    run(&s, 1010);
    lost(&s, 'b', false);
    lost(&s, 'b', true);
    assert_false(s.over);
    lost(&s, 'a', false);
    assert_true(s.over);
    assert_string_equal(s.text, "0:+a 250:+b 1000:+a 1000:+b' 1010:!");
}

static void the_network_has_changed(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 6000, true, true);
    run(&s, 0);
    resolved(&s, "a");
    run(&s, 700);
    path_hurry(&s.path, s.now);
    run(&s, 1600);
    assert_string_equal(s.text, "0:? 0:+a 700:+a' 700:?");
    run(&s, 1700);
    assert_string_equal(s.text, "0:? 0:+a 700:+a' 700:? 1700:-a' 1700:+a'");
}

/* ... which does not take the last moment's place. */
static void a_change_before_the_last_moment(void **state)
{
    struct search s = {0};
    (void)state;
    begin(&s, 6000, false, false);
    s.cfg.last_start = START + 900;
    path_begin(&s.path, &s.cfg, s.now);
    add(&s, "a");
    run(&s, 100);
    path_hurry(&s.path, s.now);
    run(&s, 200);
    path_hurry(&s.path, START + 5000); /* the sooner one counts */
    run(&s, 1000);
    path_hurry(&s.path, s.now);
    run(&s, 5500);
    assert_string_equal(s.text, "0:+a 100:+a' 900:-a' 900:+a' 1000:-a' 1000:+a'");
}

static void patience_grows(void **state)
{
    static const int want[] = {1000, 2000, 4000, 8000, 10000, 10000};
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        assert_int_equal(path_patience(i), want[i]);
    assert_int_equal(path_patience(UINT32_MAX), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other_by_a_quarter_of_a_second),
        cmocka_unit_test(families_alternate),
        cmocka_unit_test(the_one_that_worked_last_is_first),
        cmocka_unit_test(what_failed_is_last),
        cmocka_unit_test(a_failed_connect_is_remembered_as_well),
        cmocka_unit_test(the_memory_has_a_bound),
        cmocka_unit_test(a_failure_starts_the_next_at_once),
        cmocka_unit_test(a_failure_does_not_wait_for_the_silent),
        cmocka_unit_test(a_name_that_does_not_resolve),
        cmocka_unit_test(an_address_in_digits_needs_no_resolver),
        cmocka_unit_test(no_time_no_address),
        cmocka_unit_test(the_fresh_socket_is_renewed_and_the_patient_one_stays),
        cmocka_unit_test(what_failed_is_tried_again_while_others_are_silent),
        cmocka_unit_test(a_name_that_moves_is_seen),
        cmocka_unit_test(an_address_that_is_gone_is_not_tried_any_more),
        cmocka_unit_test(one_lookup_at_a_time),
        cmocka_unit_test(the_session_s_address_is_tried_before_the_name_is_known),
        cmocka_unit_test(who_was_wrong_lets_the_others_go_first),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(new_addresses_displace_old_ones),
        cmocka_unit_test(at_the_last_moment_all_are_tried),
        cmocka_unit_test(the_last_moment_does_not_wait_for_its_turn),
        cmocka_unit_test(the_last_moment_gives_everybody_a_chance),
        cmocka_unit_test(the_network_has_changed),
        cmocka_unit_test(a_change_before_the_last_moment),
        cmocka_unit_test(patience_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
