/* SPDX-License-Identifier: MIT */
/* Clients with keys of their own at the server: with which table a line is judged, who may stay when
 * another one counts, and the end of who may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kit.h"
#include "timers.h"

/* ---- stubs ---- */

void worker_full(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
}

void worker_agent_gone(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
}

/* ---- the bench ---- */

static struct client_key key_of(uint8_t n)
{
    struct client_secret s;
    struct client_key k;
    uint8_t t[CLIENT_KEY_T_BYTES] = {n};
    assert_int_equal(client_secret_init(&s, t), 0);
    assert_int_equal(client_key_init(&k, &s), 0);
    return k;
}

static void add(struct credentials *t, struct credential c, uint8_t n)
{
    c.key = key_of(n);
    assert_int_equal(credentials_add(t, &c), 0);
}

/* laptop with key 1, phone with key 2. */
static struct credentials *table(void)
{
    struct credentials *t = keys_new(&kit.srv, NULL, NULL);
    assert_non_null(t);
    add(t, (struct credential){.name = "laptop"}, 1);
    add(t, (struct credential){.name = "phone"}, 2);
    return t;
}

static int setup(void **state)
{
    (void)kit_setup(state);
    rng_seed(&kit.srv.rng, 1);
    list_init(&kit.srv.agents);
    assert_int_equal(keys_init(&kit.srv), 0);
    assert_int_equal(keys_use(&kit.srv, table(), NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    keys_fini(&kit.srv);
    return 0;
}

static struct agent *come(char letter)
{
    struct agent *a = kit_agent(letter, "192.0.2.1:4711");
    agent_init(a);
    list_init(&a->main.of_server);
    list_push(&kit.srv.agents, &a->main.of_server);
    kit_run(&a->orders.begin);
    return a;
}

/* It has proved itself with key n, and asks; key "": with the shared secret. */
static void ask(struct agent *a, const char *key, uint8_t n)
{
    static struct hello_request open;
    static const uint8_t sid[HELLO_SID_BYTES] = {7};
    struct client_key k = key_of(n);
    struct opening_ask asked = {.is_v2 = true,
                                .port = 8080,
                                .sid = sid,
                                .open = &open,
                                .public_key = *key ? k.public_key : NULL};
    open = (struct hello_request){.id = "laptop"};
    (void)snprintf(open.key, sizeof open.key, "%s", key);
    a->work.opening->cfg.ops->on_asked(a, &asked);
    a->main.is_trusted = true; /* auth_ok has come */
    a->main.has_session = true;
    *kit.did = *kit.lines = '\0';
}

static void forget(struct agent *a)
{
    list_del(&a->main.of_server);
    kit_run(&a->orders.forgotten);
    kit_forget(a);
}

/* ---- which table counts ---- */

/* The one that counts when the verdict is asked for, also while another one takes its place. */
static void a_line_is_judged_with_the_table_of_its_time(void **state)
{
    (void)state;
    struct agent *a = come('a');
    const struct credentials *first = kit.srv.keys;
    keys_lend(a);
    assert_int_equal(keys_use(&kit.srv, table(), NULL), 0);
    kit_run(&a->orders.judge);
    assert_ptr_equal(kit.judged_with, first);
    assert_true(llabs((long long)(kit.judged_at_s - time(NULL))) < 3600);
    assert_int_equal(credentials_count(kit.judged_with), 2);
    keys_give_back(a);
    assert_null(a->keys);
    keys_give_back(a);
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    forget(a);
}

static void a_new_server_knows_nobody_and_tables_differ(void **state)
{
    (void)state;
    struct credentials *empty = keys_new(&kit.srv, NULL, NULL);
    assert_int_equal(credentials_count(empty), 0);
    assert_int_equal(keys_use(&kit.srv, empty, NULL), 0);
    assert_null(credentials_find(kit.srv.keys, "laptop"));
}

/* ---- who may stay ---- */

static void who_has_no_key_stays(void **state)
{
    (void)state;
    struct agent *a = come('a');
    ask(a, "", 0);
    assert_true(keys_stays(a));
    assert_int_equal(keys_use(&kit.srv, keys_new(&kit.srv, NULL, NULL), NULL), 0);
    KIT_DID("");
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    forget(a);
}

/* What another table may say of a client who is here, and whether it ends him. */
static void who_is_not_good_any_more_ends(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    struct credential_old old = {key_of(1), now + 3600}, late = {key_of(1), now - 1};
    const struct {
        struct credential c;
        uint8_t key;
        bool ends;
    } cases[] = {
        {{.name = "laptop"}, 1, false},
        {{.name = "laptop", .expires_s = now + 3600}, 1, false},
        {{.name = "laptop", .old = &old, .old_count = 1}, 3, false},
        {{.name = "laptop", .old = &late, .old_count = 1}, 3, true},
        {{.name = "laptop"}, 3, true},
        {{.name = "laptop", .is_disabled = true}, 1, true},
        {{.name = "laptop", .expires_s = now}, 1, true},
        {{.name = "another"}, 1, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        kit.openings_count = 0;
        assert_int_equal(keys_use(&kit.srv, table(), NULL), 0);
        struct agent *a = come('a');
        ask(a, "laptop", 1);
        struct credentials *t = keys_new(&kit.srv, NULL, NULL);
        add(t, cases[i].c, cases[i].key);
        assert_int_equal(keys_use(&kit.srv, t, NULL), cases[i].ends);
        KIT_DID(cases[i].ends ? "a>revoke " : "");
        assert_int_equal(keys_stays(a), !cases[i].ends);
        a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
        forget(a);
    }
}

/* Where laptop may not come from any more. */
static bool admits(const void *rights, const struct address *from)
{
    (void)rights;
    return from->ip[3] != 9;
}

static void who_may_not_come_from_where_he_is_ends(void **state)
{
    (void)state;
    struct agent *a = come('a'), *b = come('b');
    ask(a, "laptop", 1);
    ask(b, "laptop", 1);
    a->main.at = (struct address){.family = ADDRESS_IPV4, .ip = {192, 0, 2, 8}};
    b->main.at = (struct address){.family = ADDRESS_IPV4, .ip = {192, 0, 2, 9}};
    struct credentials *t = keys_new(&kit.srv, admits, NULL);
    add(t, (struct credential){.name = "laptop"}, 1);
    assert_int_equal(keys_use(&kit.srv, t, NULL), 1);
    KIT_DID("b>revoke ");
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    kit_run(&b->orders.revoke);
    forget(a);
    forget(b);
}

/* One timer, for the first; and the clock on the wall is looked at every minute. */
static void who_is_over_ends_at_that_moment(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    struct credential_old old = {key_of(1), now + 40};
    struct agent *a = come('a'), *b = come('b');
    ask(a, "laptop", 1);
    ask(b, "phone", 2);
    assert_int_equal(timer_due(&kit.srv.keys_due), MTIME_NEVER);
    struct credentials *t = keys_new(&kit.srv, NULL, NULL);
    add(t, (struct credential){.name = "laptop", .old = &old, .old_count = 1}, 3);
    add(t, (struct credential){.name = "phone", .expires_s = now + 4000}, 2);
    assert_int_equal(keys_use(&kit.srv, t, NULL), 0);
    assert_in_range(timer_due(&kit.srv.keys_due) - kit.now, 20000, 40000);
    timer_ring(&kit.srv.keys_due);
    KIT_DID(""); /* too soon: it is on again */
    assert_in_range(timer_due(&kit.srv.keys_due) - kit.now, 20000, 40000);
    t = keys_new(&kit.srv, NULL, NULL);
    add(t, (struct credential){.name = "laptop"}, 1);
    add(t, (struct credential){.name = "phone", .expires_s = now + 4000}, 2);
    assert_int_equal(keys_use(&kit.srv, t, NULL), 0);
    assert_int_equal(timer_due(&kit.srv.keys_due) - kit.now, 60000);
    t = keys_new(&kit.srv, NULL, NULL);
    add(t, (struct credential){.name = "laptop"}, 1);
    add(t, (struct credential){.name = "phone", .expires_s = now + 1}, 2);
    (void)keys_use(&kit.srv, t, NULL);
    while (time(NULL) <= now)
        continue;
    if (timer_due(&kit.srv.keys_due) !=
        MTIME_NEVER) /* else it was over at once, on a slow machine */
        timer_ring(&kit.srv.keys_due);
    KIT_DID("b>revoke ");
    assert_int_equal(timer_due(&kit.srv.keys_due), MTIME_NEVER);
    kit_run(&b->orders.revoke);
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    forget(a);
    forget(b);
}

/* One who comes is watched from then on; one who stays for longer changes nothing. */
static void who_comes_is_watched(void **state)
{
    (void)state;
    int64_t now = time(NULL);
    struct credentials *t = keys_new(&kit.srv, NULL, NULL);
    add(t, (struct credential){.name = "laptop", .expires_s = now + 30}, 1);
    add(t, (struct credential){.name = "phone"}, 2);
    assert_int_equal(keys_use(&kit.srv, t, NULL), 0);
    struct agent *a = come('a'), *b = come('b');
    ask(b, "phone", 2);
    keys_watch(b);
    assert_int_equal(timer_due(&kit.srv.keys_due), MTIME_NEVER);
    ask(a, "laptop", 1);
    keys_watch(a);
    assert_in_range(timer_due(&kit.srv.keys_due) - kit.now, 10000, 30000);
    keys_watch(b);
    assert_in_range(timer_due(&kit.srv.keys_due) - kit.now, 10000, 30000);
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    b->work.opening->cfg.ops->on_failed(b, END_PEER, NULL, &(struct errmsg){""});
    forget(a);
    forget(b);
}

/* The newest; what is in between it never sees. */
static void a_worker_gets_the_newest_table(void **state)
{
    (void)state;
    struct worker *w = &kit.worker;
    kit.srv.workers = w;
    kit.srv.workers_count = 1;
    struct credentials *first = table();
    (void)keys_use(&kit.srv, first, NULL);
    KIT_DID(">use_keys ");
    assert_ptr_equal(w->next_keys, first);
    (void)keys_use(&kit.srv, table(), NULL);
    (void)keys_use(&kit.srv, table(), NULL);
    KIT_DID("");
    credentials_unref(w->next_keys); /* it has taken it */
    keys_worker_uses(w);
    KIT_DID(">use_keys ");
    assert_ptr_equal(w->next_keys, kit.srv.keys);
    credentials_unref(w->next_keys);
    keys_worker_uses(w);
    KIT_DID("");
    kit.srv.workers_count = 0;
}

/* ---- revocation ---- */

/* laptop is gone. */
static struct credentials *without_laptop(void)
{
    struct credentials *t = keys_new(&kit.srv, NULL, NULL);
    add(t, (struct credential){.name = "phone"}, 2);
    return t;
}

static unsigned drop_laptop(struct keys_ending *e)
{
    return keys_use(&kit.srv, without_laptop(), e);
}

static unsigned done;

static void on_done(struct keys_ending *e)
{
    assert_int_equal(e->left, 0);
    done++;
}

/* Sessions end, with their ports; who asks for one does; all others go on. Once is enough. */
static void a_revoked_client_ends_and_nobody_else(void **state)
{
    (void)state;
    struct agent *a = come('a'), *b = come('b'), *c = come('c');
    ask(a, "laptop", 1);
    kit_run(&a->orders.open_port);
    kit_run(&a->orders.accept);
    ask(b, "phone", 2);
    ask(c, "laptop", 1);
    struct keys_ending e = {.done = on_done};
    done = 0;
    kit.session.streams = 12;
    assert_int_equal(drop_laptop(&e), 2);
    KIT_DID("a>revoke c>revoke ");
    assert_int_equal(drop_laptop(NULL), 0);
    assert_int_equal(e.left, 2);
    assert_int_equal(keys_use(&kit.srv, keys_new(&kit.srv, NULL, NULL), NULL), 1);
    KIT_DID("b>revoke ");
    kit_run(&a->orders.revoke);
    KIT_DID("session-close:revoked ");
    a->work.session->ops->on_closed(a, END_REVOKED, &(struct errmsg){""});
    KIT_DID("unlisten a>ended ");
    assert_int_equal(kit_count("session ended: its key was revoked"), 1);
    kit_run(&c->orders.revoke);
    KIT_DID("opening-close c>ended ");
    assert_int_equal(c->work.reason, END_REVOKED);
    kit_run(&c->orders.revoke); /* it has ended */
    kit_run(&b->orders.revoke);
    KIT_DID("opening-close b>ended ");
    keys_ended(a);
    assert_int_equal(done, 0); /* c has not ended */
    keys_ended(c);
    keys_ended(b); /* nobody asked */
    keys_ended(a); /* once is enough */
    assert_int_equal(done, 1);
    assert_int_equal(e.sessions, 2);
    assert_int_equal(e.connections, 12);
    forget(a);
    forget(b);
    forget(c);
}

/* Of one who has not proved himself nothing is known, whatever his line says. */
static void who_has_proved_nothing_is_nobody_s(void **state)
{
    (void)state;
    struct agent *a = come('a');
    ask(a, "laptop", 1);
    a->main.is_trusted = false; /* auth_ok is on its way, and asked behind it */
    assert_int_equal(drop_laptop(NULL), 0);
    KIT_DID("");
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    forget(a);
}

/* A resume of such a session is `unknown`, also one that is on its way to its worker. */
static void its_resume_finds_nothing(void **state)
{
    (void)state;
    struct agent *a = come('a'), *b = come('b');
    ask(a, "laptop", 1);
    kit_run(&a->orders.open_port);
    kit_run(&a->orders.accept);
    struct handover h = {.sid = {7}};
    b->work.opening->cfg.ops->on_resume(b, &h);
    b->main.target = a;
    assert_int_equal(drop_laptop(NULL), 1);
    kit_run(&a->orders.revoke);
    a->work.session->ops->on_closed(a, END_REVOKED, &(struct errmsg){""});
    *kit.did = '\0';
    kit_run(&b->orders.attach);
    assert_int_equal(b->handover_error, HELLO_ERR_UNKNOWN);
    forget(a);
    forget(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_judged_with_the_table_of_its_time),
        TEST(a_new_server_knows_nobody_and_tables_differ),
        TEST(who_has_no_key_stays),
        TEST(who_is_not_good_any_more_ends),
        TEST(who_may_not_come_from_where_he_is_ends),
        TEST(who_is_over_ends_at_that_moment),
        TEST(who_comes_is_watched),
        TEST(a_worker_gets_the_newest_table),
        TEST(a_revoked_client_ends_and_nobody_else),
        TEST(who_has_proved_nothing_is_nobody_s),
        TEST(its_resume_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
