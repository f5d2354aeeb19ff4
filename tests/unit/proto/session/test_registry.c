/* SPDX-License-Identifier: MIT */
/*
 * Who owns an id and a port: each rule, and each order of events. What the registry does is
 * compared as a line of text: "open A", "accept A", "refuse A taken by B", "evict A for B",
 * "yield A to B".
 */
#include "proto/session/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "owners.h"

struct seat {
    struct claim c;
    struct claimant who; /* c.who from ask() on: a seat may be copied before */
    char name;
};

static struct registry r;
static char done[256];

static char name_of(struct claim *c)
{
    return c ? CONTAINER_OF(c, struct seat, c)->name : '-';
}

static void on_act(void *ctx, const struct registry_action *a)
{
    size_t n = strlen(done), room = sizeof done - n;
    const char *sep = n ? "; " : "";
    char who = name_of(a->claim), by = name_of(a->by);
    assert_ptr_equal(ctx, &r);
    switch (a->kind) {
    case REGISTRY_OPEN:
        (void)snprintf(done + n, room, "%sopen %c", sep, who);
        break;
    case REGISTRY_ACCEPT:
        (void)snprintf(done + n, room, "%saccept %c", sep, who);
        break;
    case REGISTRY_REFUSE:
        (void)snprintf(done + n, room, "%srefuse %c %s by %c", sep, who,
                       a->is_port ? "port" : "taken", by);
        break;
    case REGISTRY_EVICT:
        (void)snprintf(done + n, room, "%sevict %c for %c", sep, who, by);
        break;
    case REGISTRY_YIELD:
        (void)snprintf(done + n, room, "%syield %c to %c", sep, who, by);
        break;
    }
}

static int begin(void **state)
{
    (void)state;
    registry_init(&r, on_act, &r);
    done[0] = '\0';
    return 0;
}

/* What was done since the last time. */
#define expect(text)                                                                               \
    do {                                                                                           \
        assert_string_equal(done, (text));                                                         \
        done[0] = '\0';                                                                            \
    } while (0)

static struct seat seat(char name, const char *id, int64_t port)
{
    struct seat s = {.name = name, .c.wanted = port, .who.nonce[0] = (uint8_t)name};
    (void)snprintf(s.who.id, sizeof s.who.id, "%s", id);
    return s;
}

static struct seat taking(char name, const char *id, int64_t port)
{
    struct seat s = seat(name, id, port);
    s.who.take = true;
    return s;
}

static void add_mine(struct seat *s, char of)
{
    s->who.mine.nonces[s->who.mine.count++][0] = (uint8_t)of;
}

static struct seat naming(char name, const char *id, int64_t port, char of)
{
    struct seat s = seat(name, id, port);
    add_mine(&s, 'x'); /* each one counts, not only the first */
    add_mine(&s, of);
    return s;
}

static void ask(struct seat *s)
{
    s->c.who = &s->who;
    registry_ask(&r, &s->c);
}

static void opened(struct seat *s)
{
    registry_opened(&r, &s->c, (int)s->c.wanted);
}

static void gone(struct seat *s)
{
    registry_gone(&r, &s->c);
}

/* Asks, opens, and is accepted. */
static void serve(struct seat *s)
{
    char text[32];
    ask(s);
    opened(s);
    (void)snprintf(text, sizeof text, "open %c; accept %c", s->name, s->name);
    expect(text);
    assert_int_equal(s->c.state, CLAIM_SERVING);
}

/* ---- one claim ---- */

static void a_free_port_is_opened_and_accepted(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80);
    ask(&a);
    expect("open A");
    assert_int_equal(a.c.state, CLAIM_OPENING);
    opened(&a);
    expect("accept A");
    assert_int_equal(a.c.state, CLAIM_SERVING);
    assert_int_equal(a.c.port, 80);
    gone(&a);
    assert_int_equal(a.c.state, CLAIM_RELEASED);
    assert_int_equal(a.c.port, 0);
    gone(&a); /* as often as one likes */
    expect("");
}

static void one_that_never_asked_may_go(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80);
    gone(&a);
    assert_int_equal(a.c.state, CLAIM_NEW);
    expect("");
}

static void a_port_that_cannot_be_opened_is_free_for_the_next(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80), again = seat('C', "a", 80);
    ask(&a);
    ask(&b);
    expect("open A");
    registry_opened(&r, &a.c, 0); /* its worker has refused it */
    expect("open B");
    assert_int_equal(a.c.state, CLAIM_RELEASED);
    ask(&again); /* nor does the id stay with it */
    expect("");
    opened(&b);
    expect("accept B; yield B to C");
}

static void any_port_is_in_the_way_of_nobody_until_it_is_known(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 0), b = seat('B', "b", 0), c = seat('C', "c", 4001);
    ask(&a);
    ask(&b);
    expect("open A; open B");
    registry_opened(&r, &a.c, 4001);
    registry_opened(&r, &b.c, 4002);
    expect("accept A; accept B");
    ask(&c);
    expect("yield A to C");
}

static void one_that_goes_while_its_port_opens_leaves_it_to_the_next(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80);
    ask(&a);
    ask(&b);
    expect("open A");
    gone(&a);
    expect("open B");
    registry_opened(&r, &a.c, 80); /* too late */
    expect("");
    assert_int_equal(a.c.port, 0);
}

/* ---- keys ---- */

static struct seat of_key(char name, const char *key, const char *id, int64_t port)
{
    struct seat s = taking(name, id, port);
    (void)snprintf(s.who.key, sizeof s.who.key, "%s", key);
    return s;
}

/* Its id is chosen, its nonces are known, it takes what it may: a session of another key goes on, and so
   does one of the shared secret. */
static void an_id_of_another_key_is_another_id(void **state)
{
    (void)state;
    struct seat a = seat('A', "lap", 80), b = of_key('B', "lap", "lap", 81),
                c = of_key('C', "other", "lap", 82), d = taking('D', "lap", 83);
    serve(&a);
    add_mine(&b, 'A');
    serve(&b);
    add_mine(&c, 'A');
    add_mine(&c, 'B');
    serve(&c);
    assert_int_equal(a.c.state, CLAIM_SERVING);
    assert_int_equal(b.c.state, CLAIM_SERVING);
    add_mine(&d, 'B');
    add_mine(&d, 'C');
    ask(&d);
    opened(&d); /* the shared secret's own is replaced as ever, and nobody else's */
    expect("open D; evict A for D");
    assert_true(claim_is_namesake(&a.c, &d.c));
    assert_false(claim_is_namesake(&a.c, &b.c));
    assert_false(claim_is_namesake(&b.c, &c.c));
}

/* Nor is an open that waits overtaken. */
static void an_open_of_another_key_overtakes_nothing(void **state)
{
    (void)state;
    struct seat a = of_key('A', "lap", "lap", 80), b = of_key('B', "other", "lap", 80),
                c = of_key('C', "lap", "lap", 81);
    ask(&a);
    ask(&b);
    expect("open A");
    ask(&c);
    expect("refuse A taken by C; open C");
}

/* A port does not pass from one key to another as it does to a newer session of the same. */
static void a_port_of_another_key_is_asked_for_as_any_other(void **state)
{
    (void)state;
    struct seat a = of_key('A', "lap", "lap", 80), b = of_key('B', "other", "lap", 80);
    serve(&a);
    add_mine(&b, 'A');
    ask(&b);
    expect("yield A to B");
    registry_yielded(&r, &a.c, false);
    expect("refuse B port by A");
    assert_false(claim_may_know(&b.c, &a.c));
    assert_int_equal(a.c.state, CLAIM_SERVING);
}

static void the_states_have_words(void **state)
{
    (void)state;
    static const char *const words[] = {"new",     "asking", "opening", "opened",
                                        "serving", "ending", "released"};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        assert_string_equal(claim_state_word((enum claim_state)i), words[i]);
}

/* ---- two of one id ---- */

static void another_without_take_hears_who_has_the_id(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = seat('B', "a", 80), c = naming('C', "a", 81, 'B');
    serve(&a);
    ask(&b);
    expect("refuse B taken by A");
    ask(&c); /* it names another */
    expect("refuse C taken by A");
    assert_int_equal(a.c.state, CLAIM_SERVING);
    gone(&b);
    gone(&c);
    expect("");
}

static void a_new_process_takes_the_id_once_it_is_sure_of_the_port(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 80), late = seat('C', "a", 80);
    serve(&a);
    ask(&b);
    expect("evict A for B"); /* the port is A's own */
    assert_int_equal(a.c.state, CLAIM_ENDING);
    ask(&late);
    expect("refuse C taken by B");
    gone(&a);
    expect("open B");
    opened(&b);
    expect("accept B");
}

static void with_another_port_that_listens_before_the_older_one_ends(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = naming('B', "a", 81, 'A');
    serve(&a);
    ask(&b);
    expect("open B");
    assert_int_equal(a.c.state, CLAIM_SERVING);
    opened(&b);
    expect("evict A for B");
    assert_int_equal(b.c.state, CLAIM_OPENED);
    gone(&a);
    expect("accept B");
}

static void an_id_alone_is_accepted_at_once(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", CLAIM_NO_PORT), b = naming('B', "a", CLAIM_NO_PORT, 'A');
    struct seat c = seat('C', "a", CLAIM_NO_PORT), d = taking('D', "d", CLAIM_NO_PORT);
    ask(&a);
    expect("accept A");
    ask(&d); /* two without a port are in nobody's way */
    expect("accept D");
    ask(&c);
    expect("refuse C taken by A");
    ask(&b);
    expect("evict A for B");
    gone(&a);
    expect("accept B");
}

/* The tunnels of a session: ports without an id. */
static void a_port_alone_is_nobodys_namesake(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", CLAIM_NO_PORT), p = seat('P', "", 80), q = seat('Q', "", 80);
    struct seat s = q;
    ask(&a);
    expect("accept A");
    serve(&p);
    ask(&q);
    expect("yield P to Q");
    registry_yielded(&r, &p.c, false);
    expect("refuse Q port by P");
    gone(&q);
    gone(&p);
    s.name = 'S';
    serve(&s);
}

static void any_port_is_another_one(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 0), b = taking('B', "a", 0);
    ask(&a);
    registry_opened(&r, &a.c, 4001);
    expect("open A; accept A");
    ask(&b);
    registry_opened(&r, &b.c, 4002);
    expect("open B; evict A for B");
}

static void a_refused_open_ends_nothing(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = seat('B', "b", 81), c = taking('C', "a", 81),
                d = taking('D', "a", 82);
    serve(&a);
    serve(&b);
    ask(&c);
    expect("yield B to C");
    registry_yielded(&r, &b.c, false);
    expect("refuse C port by B");
    gone(&c);
    ask(&d);
    expect("open D");
    registry_opened(&r, &d.c, 0);
    gone(&d);
    expect("");
    assert_int_equal(a.c.state, CLAIM_SERVING);
}

static void one_takeover_for_each_start_of_two_copies(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 80);
    serve(&a);
    ask(&b);
    gone(&a);
    opened(&b);
    expect("evict A for B; open B; accept B");
    for (char i = '0'; i < '9'; i++) { /* the first one goes on asking */
        struct seat again = naming(i, "a", 80, 'A');
        char text[32];
        ask(&again);
        (void)snprintf(text, sizeof text, "refuse %c taken by B", i);
        expect(text);
        gone(&again);
    }
    struct seat cut = naming('D', "a", 80, 'B'); /* and the second one is cut */
    ask(&cut);
    gone(&b);
    opened(&cut);
    expect("evict B for D; open D; accept D");
    gone(&cut); /* it stops: the id is free */
    struct seat last = naming('E', "a", 80, 'A');
    serve(&last);
}

static void nobody_waits_for_his_own_ghost(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = naming('B', "a", 80, 'A');
    serve(&a); /* but the answer never came */
    ask(&b);
    expect("evict A for B");
    gone(&a);
    expect("open B");
}

static void the_asking_connection_dies_while_it_waits(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 80), c = naming('C', "a", 80, 'B');
    serve(&a);
    ask(&b);
    expect("evict A for B");
    gone(&b);
    ask(&c); /* A is ending whoever comes */
    expect("");
    gone(&a);
    expect("open C");
    gone(&c);
    expect("");
    struct seat d = seat('D', "a", 80);
    serve(&d);
}

static void the_connection_dies_when_its_port_listens(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 81), c = seat('C', "a", 81);
    serve(&a);
    ask(&b);
    gone(&b); /* before: A has noticed nothing */
    expect("open B");
    assert_int_equal(a.c.state, CLAIM_SERVING);
    b = taking('B', "a", 81);
    ask(&b);
    opened(&b);
    expect("open B; evict A for B");
    gone(&b); /* after */
    ask(&c);
    expect("open C");
    gone(&a);
    opened(&c);
    expect("accept C");
}

static void the_older_one_drains_meanwhile(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 80), c = taking('C', "a", 81);
    serve(&a);
    registry_released(&r, &a.c);
    serve(&b); /* draining ones own nothing */
    ask(&c);
    opened(&c);
    expect("open C; evict B for C");
    registry_released(&r, &b.c);
    expect("accept C");
    gone(&b);
    gone(&a);
    expect("");
    assert_int_equal(c.c.state, CLAIM_SERVING);
}

static void only_what_owns_something_can_release_it(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80);
    ask(&a);
    registry_released(&r, &a.c);
    assert_int_equal(a.c.state, CLAIM_OPENING);
    ask(&b);
    registry_released(&r, &b.c);
    assert_int_equal(b.c.state, CLAIM_ASKING);
    opened(&a);
    expect("open A; accept A; yield A to B");
}

/* ---- opens that overtake each other ---- */

static void an_open_that_is_overtaken_hears_so(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 80), c = naming('C', "a", 80, 'B');
    serve(&a);
    ask(&b);
    expect("evict A for B");
    ask(&c);
    expect("refuse B taken by C");
    assert_int_equal(b.c.state, CLAIM_RELEASED);
    gone(&a);
    expect("open C"); /* and B ends nobody a moment later */
    gone(&b);
    opened(&c);
    expect("accept C");
}

static void one_that_may_not_overtake_is_refused(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "a", 81), c = naming('C', "a", 81, 'A');
    ask(&a);
    ask(&b);
    expect("open A; refuse B taken by A");
    ask(&c);
    expect("refuse A taken by C; open C");
}

static void a_refused_open_overtakes_nothing(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 81), c = naming('C', "a", 81, 'B');
    serve(&a);
    ask(&b);
    expect("open B");
    ask(&c); /* it might overtake B, but not end A */
    expect("refuse C taken by A");
    opened(&b);
    expect("evict A for B");
}

static void an_overtaken_port_is_in_the_way_until_it_is_closed(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = naming('B', "a", 80, 'A');
    ask(&a);
    ask(&b);
    expect("open A; refuse A taken by B");
    opened(&a); /* it was about to */
    expect("");
    gone(&a);
    expect("open B");
}

static void an_overtaken_port_that_was_never_opened_is_not(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = naming('B', "a", 80, 'A');
    ask(&a);
    ask(&b);
    expect("open A; refuse A taken by B");
    registry_opened(&r, &a.c, 0);
    expect("open B");
}

static void an_overtaken_open_of_any_port_has_that_until_it_is_gone(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 0), b = naming('B', "a", 81, 'A'), c = seat('C', "c", 4001);
    ask(&a);
    ask(&b);
    expect("open A; refuse A taken by B; open B");
    registry_opened(&r, &a.c, 4001);
    ask(&c);
    expect("");
    gone(&a);
    expect("open C");
}

static void overtaken_when_its_port_listens(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 81), c = naming('C', "a", 81, 'B');
    serve(&a);
    ask(&b);
    opened(&b);
    expect("open B; evict A for B");
    ask(&c);
    expect("refuse B taken by C");
    gone(&a);
    expect(""); /* B's port is being closed */
    gone(&b);
    opened(&c);
    expect("open C; accept C");
}

/* ---- the port of another id ---- */

static void a_port_is_yielded(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80);
    serve(&a);
    ask(&b);
    expect("yield A to B");
    registry_yielded(&r, &a.c, true);
    expect("open B");
    assert_int_equal(a.c.state, CLAIM_RELEASED);
    assert_int_equal(a.c.port, 0);
    opened(&b);
    expect("accept B");
    struct seat again = seat('C', "a", 80); /* A has lost its port, and asks for it */
    ask(&again);
    expect("yield B to C");
}

static void a_port_is_yielded_and_its_session_said_so_before(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80);
    serve(&a);
    ask(&b);
    registry_released(&r, &a.c);
    registry_yielded(&r, &a.c, true);
    expect("yield A to B; open B");
}

/* On the legacy wire a client that is away is over: nobody is asked, and nobody waits. */
static void a_port_is_never_yielded(void **state)
{
    (void)state;
    struct seat a = seat('A', "", 80), b = seat('B', "b", 80);
    a.c.keeps_port = true;
    ask(&a);
    ask(&b);
    expect("open A"); /* it may be in vain */
    opened(&a);
    expect("accept A; refuse B port by A");
    gone(&b);
    gone(&a);
    expect("");
}

/* Who has waited longest is who gets it. */
static void a_waiter_is_known(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80), c = seat('C', "c", 80);
    serve(&a);
    assert_null(registry_waiter(&a.c));
    ask(&b);
    ask(&c);
    assert_ptr_equal(registry_waiter(&a.c), &b.c);
    gone(&b);
    assert_ptr_equal(registry_waiter(&a.c), &c.c);
    gone(&c);
    assert_null(registry_waiter(&a.c));
    expect("yield A to B");
}

static void a_port_is_kept(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80), c = seat('C', "c", 80);
    serve(&a);
    ask(&b);
    ask(&c);
    expect("yield A to B"); /* it is asked once */
    registry_yielded(&r, &a.c, false);
    expect("refuse B port by A; refuse C port by A");
    struct seat again = seat('D', "b", 80); /* and again by the next */
    ask(&again);
    expect("yield A to D");
    registry_yielded(&r, &a.c, false);
    expect("refuse D port by A");
}

static void the_first_to_ask_has_a_yielded_port(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80), c = seat('C', "c", 80);
    serve(&a);
    ask(&b);
    ask(&c);
    registry_yielded(&r, &a.c, true);
    expect("yield A to B; open B");
    opened(&b);
    expect("accept B; yield B to C");
    registry_yielded(&r, &b.c, false);
    expect("refuse C port by B");
}

static void who_asked_for_a_port_goes_before_the_answer(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80);
    serve(&a);
    ask(&b);
    gone(&b);
    registry_yielded(&r, &a.c, false);
    expect("yield A to B");
    assert_int_equal(a.c.state, CLAIM_SERVING);
}

static void who_is_asked_for_its_port_goes(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80);
    serve(&a);
    ask(&b);
    gone(&a);
    expect("yield A to B; open B");
    opened(&b);
    expect("accept B");
}

static void a_namesake_goes_before_who_asked_earlier(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = seat('B', "b", 80), c = taking('C', "a", 80);
    serve(&a);
    ask(&b);
    ask(&c);
    expect("yield A to B; evict A for C");
    registry_yielded(&r, &a.c, false); /* A is ending: B has to wait for that */
    expect("");
    gone(&a); /* for C: it was promised the port */
    expect("open C");
    opened(&c);
    expect("accept C; yield C to B");
}

static void also_when_the_port_is_yielded_meanwhile(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = seat('B', "b", 80), c = taking('C', "a", 80);
    serve(&a);
    ask(&b);
    ask(&c);
    registry_yielded(&r, &a.c, true);
    expect("yield A to B; evict A for C; open C");
}

static void who_waits_for_a_port_that_opens_is_told_when_it_serves(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 81), c = seat('C', "c", 81);
    serve(&a);
    ask(&b);
    opened(&b);
    expect("open B; evict A for B");
    ask(&c);
    expect("");
    gone(&a);
    expect("accept B; yield B to C");
    registry_yielded(&r, &b.c, false);
    expect("refuse C port by B");
}

static void an_ending_session_is_not_asked_for_its_port(void **state)
{
    (void)state;
    struct seat a = taking('A', "a", 80), b = taking('B', "a", 81), c = seat('C', "c", 80);
    serve(&a);
    ask(&b);
    opened(&b);
    ask(&c);
    expect("open B; evict A for B");
    gone(&a);
    expect("accept B; open C");
}

/* ---- the legacy wire ---- */

static void legacy_clients_are_nobodys_namesakes(void **state)
{
    (void)state;
    struct seat a = taking('A', "", 80), b = taking('B', "", 81), c = taking('C', "", 80);
    serve(&a);
    serve(&b);
    ask(&c);
    expect("yield A to C");
    registry_yielded(&r, &a.c, false);
    expect("refuse C port by A");
}

/* ---- any order ---- */

static void whatever_they_do(void **state)
{
    (void)state;
    enum { SEEDS = 3000, EVENTS = 200 };
    struct owners_seen all = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct rng rng;
        rng_seed(&rng, seed);
        struct owners_seen s = owners_run(&rng, EVENTS);
        all.accepted += s.accepted;
        all.taken += s.taken;
        all.overtaken += s.overtaken;
        all.no_port += s.no_port;
        all.evicted += s.evicted;
        all.yields += s.yields;
    }
    print_message("%u accepted, %u taken, %u overtaken, %u without port, %u evicted, %u yields\n",
                  all.accepted, all.taken, all.overtaken, all.no_port, all.evicted, all.yields);
    assert_true(all.accepted > SEEDS && all.taken > SEEDS && all.overtaken > SEEDS);
    assert_true(all.no_port > SEEDS && all.evicted > SEEDS && all.yields > SEEDS);
}

#define TEST(f) cmocka_unit_test_setup(f, begin)

/* ---- thousands ---- */

enum { CROWD = 20000 };

static void drop(void *ctx, const struct registry_action *a)
{
    (void)ctx, (void)a;
}

/* One of many sessions: its id, and a tunnel's port. */
struct pair {
    struct seat session;
    struct claim tunnel;
};

static void begin_pair(struct pair *p, unsigned number)
{
    char id[16];
    (void)snprintf(id, sizeof id, "m%u", number);
    p->session = seat('S', id, CLAIM_NO_PORT);
    ask(&p->session);
    p->tunnel = (struct claim){.who = &p->session.who, .is_tunnel = true, .wanted = 1 + number};
    registry_ask(&r, &p->tunnel);
    registry_opened(&r, &p->tunnel, 1 + (int)number);
    assert_int_equal(p->session.c.state, CLAIM_SERVING);
}

static void end_pair(struct pair *p)
{
    registry_gone(&r, &p->tunnel);
    registry_gone(&r, &p->session.c);
}

/* What a step costs is what it is about, however many are there: counted in claims that are looked at. One
   waits for a port all the time. */
static void nobody_looks_through_all(void **state)
{
    struct pair *pairs = calloc(CROWD, sizeof *pairs), more = {.session.name = 'M'};
    struct seat waits = seat('W', "w", 1);
    (void)state;
    assert_non_null(pairs);
    registry_init(&r, drop, NULL);
    begin_pair(&pairs[0], 0);
    ask(&waits);
    assert_int_equal(waits.c.state, CLAIM_ASKING);
    for (unsigned i = 1; i < CROWD; i++)
        begin_pair(&pairs[i], i);
    assert_true(r.looks < CROWD / 10); /* ids whose hashes are the same */
    uint64_t before = r.looks;
    begin_pair(&more, CROWD + 1);
    struct seat wants = seat('X', "x", CROWD / 2);
    ask(&wants);
    assert_int_equal(wants.c.state, CLAIM_ASKING);
    registry_yielded(&r, &pairs[CROWD / 2 - 1].tunnel, true);
    opened(&wants);
    assert_int_equal(wants.c.state, CLAIM_SERVING);
    gone(&wants);
    end_pair(&more);
    assert_true(r.looks - before < 10);
    for (unsigned i = CROWD; i > 1; i--)
        end_pair(&pairs[i - 1]);
    assert_true(r.looks - before < CROWD / 10);
    end_pair(&pairs[0]);
    gone(&waits);
    assert_int_equal(r.count, 0);
    free(pairs);
}

/* Whoever waits has it in the order of asking, also when he has waited for another before. */
static void the_order_of_asking_is_kept(void **state)
{
    (void)state;
    struct seat a = seat('A', "a", 80), b = seat('B', "b", 80), c = seat('C', "c", 80),
                d = seat('D', "d", 80);
    serve(&a);
    ask(&b);
    ask(&c);
    expect("yield A to B");
    gone(&a);
    expect("open B");
    ask(&d); /* waits for B, as C does */
    gone(&b);
    expect("open C");
    assert_ptr_equal(registry_waiter(&c.c), &d.c);
    gone(&c);
    expect("open D");
    gone(&d);
    assert_int_equal(r.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_free_port_is_opened_and_accepted),
        TEST(one_that_never_asked_may_go),
        TEST(a_port_that_cannot_be_opened_is_free_for_the_next),
        TEST(any_port_is_in_the_way_of_nobody_until_it_is_known),
        TEST(one_that_goes_while_its_port_opens_leaves_it_to_the_next),
        TEST(an_id_of_another_key_is_another_id),
        TEST(an_open_of_another_key_overtakes_nothing),
        TEST(a_port_of_another_key_is_asked_for_as_any_other),
        TEST(the_states_have_words),
        TEST(another_without_take_hears_who_has_the_id),
        TEST(a_new_process_takes_the_id_once_it_is_sure_of_the_port),
        TEST(with_another_port_that_listens_before_the_older_one_ends),
        TEST(an_id_alone_is_accepted_at_once),
        TEST(a_port_alone_is_nobodys_namesake),
        TEST(any_port_is_another_one),
        TEST(a_refused_open_ends_nothing),
        TEST(one_takeover_for_each_start_of_two_copies),
        TEST(nobody_waits_for_his_own_ghost),
        TEST(the_asking_connection_dies_while_it_waits),
        TEST(the_connection_dies_when_its_port_listens),
        TEST(the_older_one_drains_meanwhile),
        TEST(only_what_owns_something_can_release_it),
        TEST(an_open_that_is_overtaken_hears_so),
        TEST(one_that_may_not_overtake_is_refused),
        TEST(a_refused_open_overtakes_nothing),
        TEST(an_overtaken_port_is_in_the_way_until_it_is_closed),
        TEST(an_overtaken_port_that_was_never_opened_is_not),
        TEST(an_overtaken_open_of_any_port_has_that_until_it_is_gone),
        TEST(overtaken_when_its_port_listens),
        TEST(a_port_is_yielded),
        TEST(a_port_is_yielded_and_its_session_said_so_before),
        TEST(a_port_is_never_yielded),
        TEST(a_waiter_is_known),
        TEST(a_port_is_kept),
        TEST(nobody_looks_through_all),
        TEST(the_order_of_asking_is_kept),
        TEST(the_first_to_ask_has_a_yielded_port),
        TEST(who_asked_for_a_port_goes_before_the_answer),
        TEST(who_is_asked_for_its_port_goes),
        TEST(a_namesake_goes_before_who_asked_earlier),
        TEST(also_when_the_port_is_yielded_meanwhile),
        TEST(who_waits_for_a_port_that_opens_is_told_when_it_serves),
        TEST(an_ending_session_is_not_asked_for_its_port),
        TEST(legacy_clients_are_nobodys_namesakes),
        TEST(whatever_they_do),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
