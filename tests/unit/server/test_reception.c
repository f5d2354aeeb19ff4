/* SPDX-License-Identifier: MIT */
/* Who is let in, and what the log says of strangers: reception.c message by message. What it does
 * together with the registry is in test_owners.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/ssl.h>

#include "kit.h"

static char next_letter;
static struct agent *newest;

/* ---- stubs ---- */

void agent_init(struct agent *a)
{
    kit_watch(a, next_letter);
    newest = a;
}

void owners_init_agent(struct agent *a)
{
    assert_ptr_equal(a, newest);
}

void owners_gone(struct agent *a)
{
    assert_true(list_empty(&a->of_server));
    kit_did("owners-gone");
}

struct agent *owners_find(struct server *srv, const uint8_t sid[HELLO_SID_BYTES])
{
    (void)sid;
    struct list *n = list_first(&srv->agents);
    return LIST_ENTRY(n, struct agent, of_server); /* the oldest has it */
}

void server_session_gone(struct server *srv)
{
    assert_ptr_equal(srv, &kit.srv);
    kit_did("session-gone");
}

int __wrap_uv_timer_init(uv_loop_t *loop, uv_timer_t *t);
int __wrap_uv_timer_init(uv_loop_t *loop, uv_timer_t *t)
{
    (void)loop;
    memset(t, 0, sizeof *t);
    return 0;
}

int __wrap_uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *t, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    (void)t;
    (void)cb;
    (void)timeout;
    (void)repeat;
    return 0;
}

void __wrap_uv_close(uv_handle_t *h, uv_close_cb cb);
void __wrap_uv_close(uv_handle_t *h, uv_close_cb cb)
{
    (void)h;
    (void)cb;
}

/* ---- the bench ---- */

static int setup(void **state)
{
    (void)kit_setup(state);
    reception_init(&kit.srv);
    list_init(&kit.srv.agents);
    assert_int_equal(ratelimit_init(&kit.srv.guesses), 0);
    kit.srv.tls = SSL_CTX_new(TLS_method());
    kit.srv.workers = &kit.worker;
    kit.srv.workers_count = 1;
    next_letter = 'a';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_true(list_empty(&kit.srv.agents));
    assert_int_equal(kit.worker.sessions + kit.worker.trusted, 0);
    ratelimit_fini(&kit.srv.guesses);
    SSL_CTX_free(kit.srv.tls);
    return 0;
}

static struct agent *come(const char *ip)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET, ip, &from.sin_addr), 1);
    reception_accept(&kit.srv, 50, (struct sockaddr *)&from, 0);
    SSL_CTX_free(newest->tls); /* as its worker does */
    return newest;
}

static void over(struct agent *a, enum end_reason reason)
{
    a->reason = reason;
    kit_run(&a->ended);
    kit_forget(a);
    free(a);
}

/* What was done and said until now is not looked at. */
static void quietly(void)
{
    *kit.did = *kit.lines = '\0';
}

/* ---- who comes, and goes ---- */

static void a_client_comes_and_goes(void **state)
{
    struct agent *a = come("192.0.2.1");
    (void)state;
    KIT_DID("a>begin ");
    KIT_LINES("event=connected src=192.0.2.1 new TLS connection from 192.0.2.1:4711, "
              "PSK authentication follows...\n");
    assert_string_equal(a->source, "192.0.2.1");
    assert_int_equal(a->fd, 50);
    assert_int_equal(kit.worker.sessions, 1);
    assert_int_equal(kit.worker.trusted, 0);
    kit_run(&a->auth_ok);
    assert_int_equal(kit.worker.trusted, 1);
    over(a, END_PEER); /* the worker has written the line */
    KIT_DID("owners-gone a>forgotten session-gone ");
    KIT_LINES("");
}

/* The flood of one source drops itself, the oldest first, and nobody else; whoever has proved
   himself does not count. */
static void too_many_of_one_source(void **state)
{
    struct agent *others = come("192.0.2.1"), *many[ADMISSION_SOURCE_MAX + 2];
    (void)state;
    next_letter = 'p';
    many[0] = come("203.0.113.9");
    kit_run(&many[0]->auth_ok);
    next_letter = 'v';
    many[1] = come("203.0.113.9");
    next_letter = 'n';
    for (int i = 2; i < ADMISSION_SOURCE_MAX + 1; i++)
        many[i] = come("203.0.113.9");
    assert_null(strstr(kit.did, "drop"));
    quietly();
    many[ADMISSION_SOURCE_MAX + 1] = come("203.0.113.9");
    KIT_DID("n>begin v>drop ");
    over(others, END_SHUTDOWN);
    for (int i = 0; i < ADMISSION_SOURCE_MAX + 2; i++)
        over(many[i], END_SHUTDOWN);
}

/* ---- who is a stranger ---- */

static void the_end_of_a_stranger_is_a_line(void **state)
{
    static const struct {
        enum end_reason reason;
        const char *word; /* NULL: it has its line already, or nobody has heard of it */
    } cases[] = {
        {END_PEER, "left"},     {END_DEADLINE, "timeout"}, {END_TLS, "tls_failed"},
        {END_LEGACY, "legacy"}, {END_LOCAL, "limit"},      {END_PROTOCOL, "secret_not"},
        {END_AUTH, NULL},       {END_SHUTDOWN, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char begins[64];
        struct agent *a = come("203.0.113.9");
        *kit.lines = '\0';
        over(a, cases[i].reason);
        (void)snprintf(begins, sizeof begins, "event=%s src=203.0.113.9 ", cases[i].word);
        assert_int_equal(kit_count(begins), cases[i].word != NULL);
        assert_int_equal(kit_count(""), cases[i].word != NULL);
    }
}

static void what_a_stranger_says_is_escaped(void **state)
{
    struct agent *a = come("203.0.113.9");
    (void)state;
    *kit.lines = '\0';
    (void)strcpy(a->why.text, "\x1b[2J");
    over(a, END_TLS);
    KIT_LINES("event=tls_failed src=203.0.113.9 TLS with 203.0.113.9:4711 failed: \\x1b[2J\n");
}

/* A client of ours that gives an attempt up is no stranger, whichever way it proved itself. */
static void a_source_that_has_proved_itself_is_known(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    kit_run(&a->auth_ok);
    over(a, END_PEER);
    a = come("192.0.2.2");
    a->handover_error = HELLO_ERR_STALE; /* its proof was right */
    over(a, END_MOVED);
    quietly();
    over(come("192.0.2.1"), END_PEER);
    over(come("192.0.2.2"), END_PEER);
    assert_int_equal(kit_count("event=left"), 0);
    over(come("192.0.2.3"), END_PEER);
    assert_int_equal(kit_count("event=left src=192.0.2.3 "), 1);
    assert_int_equal(kit.srv.known_next, 2);
}

static void an_unknown_session_proves_nothing(void **state)
{
    struct agent *a = come("192.0.2.1");
    (void)state;
    *kit.lines = '\0';
    a->handover_error = HELLO_ERR_UNKNOWN;
    over(a, END_MOVED);
    KIT_LINES(
        "event=unknown src=192.0.2.1 192.0.2.1:4711 wants to resume a session that is not here\n");
    assert_int_equal(kit.srv.known_next, 0);
}

/* Each source once, however often it comes; beyond the bound the oldest is forgotten. */
static void the_oldest_source_is_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < KNOWN_SOURCES; i++)
        for (int twice = 0; twice < 2; twice++) {
            char ip[32];
            (void)snprintf(ip, sizeof ip, "10.0.%d.%d", i / 250, 1 + i % 250);
            struct agent *a = come(ip);
            kit_run(&a->auth_ok);
            over(a, END_PEER);
            quietly();
        }
    kit.now += 3600000;
    over(come("10.0.0.1"), END_PEER);
    assert_int_equal(kit_count("event=left"), 0);
    struct agent *a = come("192.0.2.1");
    kit_run(&a->auth_ok);
    over(a, END_PEER);
    over(come("10.0.0.2"), END_PEER);
    assert_int_equal(kit_count("event=left"), 0);
    over(come("10.0.0.1"), END_PEER);
    assert_int_equal(kit_count("event=left src=10.0.0.1 "), 1);
}

static void a_port_scan_fills_no_disk(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        over(come("203.0.113.9"), END_PEER);
        *kit.did = '\0';
    }
    assert_int_equal(kit_count(""), 2 * STRANGERS_SOURCE); /* greetings, and what came of them */
    *kit.lines = '\0';
    kit.now += STRANGERS_MINUTE_MS - 1;
    struct agent *a = come("203.0.113.9");
    KIT_LINES("");
    kit.now++;
    a->handover_error = HELLO_ERR_UNKNOWN;
    over(a, END_MOVED);
    KIT_LINES(
        "event=unknown src=203.0.113.9 203.0.113.9:4711 wants to resume a session that is not "
        "here\n");
}

static void guesses_are_answered_and_told_of_more_seldom(void **state)
{
    struct agent *a = come("203.0.113.9");
    (void)state;
    quietly();
    kit_run(&a->auth_failed);
    KIT_DID("a>reject ");
    KIT_LINES("event=auth_failed src=203.0.113.9 authentication of 203.0.113.9:4711 failed: "
              "wrong secret\n");
    for (int i = 0; i < 99; i++)
        kit_run(&a->auth_failed);
    unsigned delay = a->delay_ms;
    assert_int_equal(kit_count("event=auth_failed "), STRANGERS_SOURCE - 1);
    assert_int_equal(kit_count("event=penalty "), 1);
    assert_true(delay > 0);
    *kit.lines = '\0';
    kit.now += 3600000;
    kit_run(&a->auth_failed);
    assert_int_equal(kit_count("event=auth_failed "), 1);
    assert_true(a->delay_ms < delay);
    over(a, END_AUTH);
}

/* ---- connections that resume ---- */

static void a_resume_is_sent_to_the_session(void **state)
{
    struct agent *a = come("192.0.2.1"), *b;
    (void)state;
    next_letter = 'b';
    b = come("198.51.100.7");
    quietly();
    kit_run(&b->resume);
    KIT_DID("b>attach ");
    assert_ptr_equal(b->target, a);
    over(b, END_SHUTDOWN);
    over(a, END_SHUTDOWN);
}

/* ---- users ---- */

static void a_full_server_says_so_once_a_minute(void **state)
{
    (void)state;
    reception_full(&kit.srv);
    KIT_LINES("100 connections are open, as many as the descriptor limit allows: new users wait\n");
    kit.now += TELL_FULL_MS - 1;
    reception_full(&kit.srv);
    KIT_LINES("");
    kit.now += 1;
    reception_full(&kit.srv);
    assert_int_equal(kit_count(""), 1);
}

static void workers_hear_of_room(void **state)
{
    (void)state;
    reception_room(&kit.srv);
    KIT_DID(">maybe_room ");
    kit.srv.draining = true;
    reception_room(&kit.srv); /* nobody comes any more */
    kit.srv.draining = false;
    kit.srv.ended = true;
    reception_room(&kit.srv);
    KIT_DID("");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_client_comes_and_goes),
        T(too_many_of_one_source),
        T(the_end_of_a_stranger_is_a_line),
        T(what_a_stranger_says_is_escaped),
        T(a_source_that_has_proved_itself_is_known),
        T(an_unknown_session_proves_nothing),
        T(the_oldest_source_is_forgotten),
        T(a_port_scan_fills_no_disk),
        T(guesses_are_answered_and_told_of_more_seldom),
        T(a_resume_is_sent_to_the_session),
        T(a_full_server_says_so_once_a_minute),
        T(workers_hear_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
