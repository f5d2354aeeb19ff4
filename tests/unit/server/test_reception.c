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
#include "timers.h"

static char next_letter;
static struct agent *newest;

static unsigned changes, news; /* of who is known */

/* ---- stubs ---- */

static unsigned looks; /* of the gate, for room */

void gate_look_again(struct gate *g)
{
    (void)g;
    looks++;
}

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
    assert_true(list_empty(&a->main.of_server));
    kit_did("owners-gone");
}

struct agent *owners_find(struct server *srv, const uint8_t sid[HELLO_SID_BYTES])
{
    (void)sid;
    struct list *n = list_first(&srv->agents);
    return n ? LIST_ENTRY(n, struct agent, main.of_server) : NULL; /* the oldest has it */
}

void keeper_begin(struct server *srv)
{
    assert_ptr_equal(srv, &kit.srv);
}

void keeper_changed(struct server *srv, bool is_new)
{
    assert_ptr_equal(srv, &kit.srv);
    changes++;
    news += is_new;
}

void keeper_end(struct server *srv)
{
    assert_ptr_equal(srv, &kit.srv);
    kit_did("kept");
}

void server_session_gone(struct server *srv)
{
    assert_ptr_equal(srv, &kit.srv);
    kit_did("session-gone");
}

/* ---- the bench ---- */

static int setup(void **state)
{
    (void)kit_setup(state);
    assert_int_equal(reception_init(&kit.srv), 0);
    list_init(&kit.srv.agents);
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
    assert_int_equal(map_count(&kit.srv.homes.sources), 0);
    verdicts_fini(&kit.srv.verdicts);
    credentials_unref(kit.worker.next_keys); /* it takes none here */
    if (kit.srv.keys)                        /* else it has ended */
        keys_fini(&kit.srv);
    SSL_CTX_free(kit.srv.tls);
    return 0;
}

static struct agent *come6(const char *ip)
{
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET6, ip, &from.sin6_addr), 1);
    reception_accept(&kit.srv, 50, (struct sockaddr *)&from, 0);
    SSL_CTX_free(newest->work.tls);
    return newest;
}

static struct agent *come(const char *ip)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET, ip, &from.sin_addr), 1);
    reception_accept(&kit.srv, 50, (struct sockaddr *)&from, 0);
    SSL_CTX_free(newest->work.tls); /* as its worker does */
    return newest;
}

static void over(struct agent *a, enum end_reason reason)
{
    a->work.reason = reason;
    kit_run(&a->reports.ended);
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
    assert_int_equal(a->work.fd, 50);
    assert_int_equal(kit.worker.sessions, 1);
    assert_int_equal(kit.worker.trusted, 0);
    kit_run(&a->reports.auth_ok);
    assert_int_equal(kit.worker.trusted, 1);
    over(a, END_PEER); /* the worker has written the line */
    KIT_DID("owners-gone a>forgotten session-gone ");
    KIT_LINES("");
}

/* The flood of one source drops itself, the oldest first, and nobody else. */
static void too_many_of_one_source(void **state)
{
    struct agent *others = come("192.0.2.1"), *many[ADMISSION_SOURCE_MAX + 2];
    (void)state;
    next_letter = 'p';
    many[0] = come("203.0.113.9");
    kit_run(&many[0]->reports.auth_ok);
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

/* Who has proved himself and asks for nothing, as one on the original's wire can, takes up a place
   until he does: or there would be no bound for him. */
static void who_asks_for_nothing_keeps_his_place(void **state)
{
    struct agent *first = come("203.0.113.9"), *many[ADMISSION_SOURCE_MAX + 1];
    (void)state;
    kit_run(&first->reports.auth_ok); /* its source is known from here on */
    next_letter = 'v';
    many[0] = come("203.0.113.9");
    next_letter = 'n';
    for (int i = 1; i < ADMISSION_SOURCE_MAX; i++)
        many[i] = come("203.0.113.9");
    kit_run(&many[0]->reports.auth_ok);
    quietly();
    many[ADMISSION_SOURCE_MAX] = come("203.0.113.9");
    KIT_DID("n>begin v>drop ");
    over(first, END_SHUTDOWN);
    for (int i = 0; i <= ADMISSION_SOURCE_MAX; i++)
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
    (void)strcpy(a->work.why.text, "\x1b[2J");
    over(a, END_TLS);
    KIT_LINES("event=tls_failed src=203.0.113.9 TLS with 203.0.113.9:4711 failed: \\x1b[2J\n");
}

/* A client of ours that gives an attempt up is no stranger, whichever way it proved itself. */
static void a_source_that_has_proved_itself_is_known(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    kit_run(&a->reports.auth_ok);
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
    assert_int_equal(kit.srv.known.next_source, 2);
}

/* What an attempt that is given up never looks like is said of a known address too, but not for ever. */
static void what_a_person_has_to_mend_is_said_of_the_known(void **state)
{
    static const struct {
        enum end_reason reason;
        const char *begins; /* NULL: nothing is said */
    } cases[] = {
        {END_LEGACY, "event=legacy src=192.0.2.1 "},
        {END_CERT, "event=tls_failed src=192.0.2.1 "},
        {END_TLS, NULL},
        {END_PEER, NULL},
        {END_DEADLINE, NULL},
        {END_LOCAL, NULL},
        {END_PROTOCOL, NULL},
    };
    (void)state;
    struct agent *a = come("192.0.2.1");
    kit_run(&a->reports.auth_ok);
    over(a, END_PEER);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        a = come("192.0.2.1");
        *kit.lines = '\0';
        over(a, cases[i].reason);
        assert_int_equal(kit_count(""), cases[i].begins != NULL);
        if (cases[i].begins)
            assert_int_equal(kit_count(cases[i].begins), 1);
    }
    *kit.lines = '\0';
    for (int i = 0; i < 2 * STRANGERS_SOURCE; i++)
        over(come("192.0.2.1"), END_LEGACY);
    assert_true(kit_count("event=legacy ") < STRANGERS_SOURCE);
}

/* A session may last for months: when it comes back after a cut it is no stranger. */
static void who_has_a_session_stays_known(void **state)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    (void)state;
    assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &from.sin_addr), 1);
    struct agent *a = come("192.0.2.1"), *stranger = come("192.0.2.2");
    kit_run(&a->reports.auth_ok);
    for (int hours = 0; hours < 1000; hours++) {
        kit.now += 3600 * 1000;
        reception_keep_known(&kit.srv);
    }
    assert_true(reception_knows(&kit.srv, (struct sockaddr *)&from));
    assert_int_equal(inet_pton(AF_INET, "192.0.2.2", &from.sin_addr), 1);
    assert_false(reception_knows(&kit.srv, (struct sockaddr *)&from));
    over(stranger, END_SHUTDOWN);
    over(a, END_PEER);
}

/* Who finds no place to wait has no line: its source's penalty has one. */
static void who_is_turned_away_has_no_line(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    quietly();
    over(a, END_PUT_OFF);
    KIT_LINES("");
}

static void what_is_to_be_kept_is_told(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    changes = news = 0;
    kit_run(&a->reports.auth_ok);
    assert_true(changes == 1 && news == 1);
    reception_keep_known(&kit.srv);
    assert_true(changes == 2 && news == 1);
    over(a, END_PEER);
    assert_true(changes == 3 && news == 1);
}

/* What is kept on the disk has a key of its own. */
static void what_is_not_kept_has_another_key(void **state)
{
    (void)state;
    assert_memory_not_equal(kit.srv.known.key, kit.srv.homes.key, KEYED_HASH_KEY_BYTES);
    assert_memory_not_equal(kit.srv.known.key, kit.srv.verdicts.penalties.key,
                            KEYED_HASH_KEY_BYTES);
}

static void at_the_end_no_timer_is_open(void **state)
{
    (void)state;
    quietly();
    reception_fini(&kit.srv);
    KIT_DID(
        "timer-close timer-close kept timer-close "); /* verdicts_due, strangers_sum, keys_due */
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
    assert_int_equal(kit.srv.known.next_source, 0);
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

/* ---- verdicts ---- */

static void says_line(struct agent *a, const char *id)
{
    (void)snprintf(a->line_id, sizeof a->line_id, "%s", id);
    kit_run(&a->reports.line);
}

static void fails(const char *ip)
{
    struct agent *a = come(ip);
    says_line(a, "");
    kit_run(&a->reports.auth_failed);
    over(a, END_AUTH);
}

static void penalise(const char *ip)
{
    for (int i = 0; i < PENALTY_FAILURES; i++)
        fails(ip);
    assert_int_equal(kit_count("event=penalty "), 1);
    kit.now += 2000; /* before TLS the next one passes */
    quietly();
}

static bool is_refused(const char *ip)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET, ip, &from.sin_addr), 1);
    bool may = reception_may_pass(&kit.srv, (struct sockaddr *)&from);
    if (!may)
        reception_gone(&kit.srv, GATE_REFUSED, (struct sockaddr *)&from);
    return !may;
}

static void a_line_of_a_free_source_is_judged_at_once(void **state)
{
    struct agent *a = come("203.0.113.9");
    (void)state;
    quietly();
    says_line(a, "nas");
    KIT_DID("a>judge ");
    kit_run(&a->reports.auth_failed);
    KIT_LINES("event=auth_failed src=203.0.113.9 authentication of 203.0.113.9:4711 failed: "
              "wrong secret\n");
    over(a, END_AUTH);
}

/* A right proof of a key that is not taken, however often: its source is not penalised, and the line has other
   words than those that a firewall acts on. */
static void who_is_barred_has_guessed_nothing(void **state)
{
    static const struct {
        enum credentials_cause cause;
        const char *why;
    } cases[] = {{CREDENTIALS_DISABLED, "client nas is disabled"},
                 {CREDENTIALS_EXPIRED, "the rights of client nas have expired"},
                 {CREDENTIALS_OLD, "the key of client nas was replaced"},
                 {CREDENTIALS_SOURCE, "client nas may not come from there"}};
    (void)state;
    for (int i = 0; i < 3 * PENALTY_FAILURES; i++) {
        char line[256];
        struct agent *a = come("203.0.113.9");
        quietly();
        says_line(a, "nas");
        KIT_DID("a>judge ");
        a->barred = cases[i % 4].cause;
        (void)snprintf(a->who.key, sizeof a->who.key, "nas");
        kit_run(&a->reports.auth_failed);
        if (i < 4) {
            (void)snprintf(line, sizeof line,
                           "event=key_off src=203.0.113.9 203.0.113.9:4711 is not let in: %s\n",
                           cases[i].why);
            KIT_LINES(line);
        }
        over(a, END_AUTH);
    }
    assert_int_equal(kit_count("event=penalty ") + kit_count("event=auth_failed "), 0);
    assert_false(is_refused("203.0.113.9"));
    fails("203.0.113.9");
    assert_int_equal(kit_count("event=penalty "), 0); /* the first */
}

static void a_penalised_source_waits(void **state)
{
    struct agent *many[10];
    (void)state;
    struct agent *home = come("203.0.113.9"); /* it has a session: no connection is refused */
    kit_run(&home->reports.auth_ok);
    penalise("203.0.113.9");
    next_letter = 'w';
    for (int i = 0; i < 10; i++) {
        many[i] = come("203.0.113.9");
        quietly();
        says_line(many[i], "");
        KIT_DID(i < VERDICTS_WAIT_SOURCE ? "" : "w>turn_away ");
    }
    assert_int_equal(kit.srv.known_places.count, 2); /* who waits has a place of its own */
    kit.now += PENALTY_DEBT_MS;
    timer_ring(&kit.srv.verdicts_due);
    assert_non_null(strstr(kit.did, "w>judge "));
    for (int i = 0; i < 10; i++)
        over(many[i], END_SHUTDOWN);
    over(home, END_PEER);
}

/* So many are compared at once as may fail; what becomes of one decides about the next. */
static void who_is_held_is_told_when_another_is_over(void **state)
{
    struct agent *many[PENALTY_FAILURES + 2];
    (void)state;
    for (int i = 0; i < PENALTY_FAILURES + 2; i++) {
        many[i] = come("203.0.113.9");
        quietly();
        says_line(many[i], "");
        KIT_DID(i < PENALTY_FAILURES ? "a>judge " : "");
    }
    kit_run(&many[0]->reports.auth_ok);
    KIT_DID("a>judge ");
    over(many[1], END_LOCAL);
    assert_non_null(strstr(kit.did, "a>judge "));
    over(many[0], END_PEER);
    for (int i = 2; i < PENALTY_FAILURES + 2; i++)
        over(many[i], END_SHUTDOWN);
}

/* Its network's penalty does not touch a source with a client of ours. */
static void a_home_in_a_penalised_network_does_not_wait(void **state)
{
    char ip[40];
    (void)state;
    struct agent *home = come6("2001:db8:0:1::1"), *a;
    kit_run(&home->reports.auth_ok);
    for (int i = 0; i < PENALTY_NET56_FAILURES; i++) {
        (void)snprintf(ip, sizeof ip, "2001:db8:0:%x::1", 2 + i / PENALTY_FAILURES);
        a = come6(ip);
        says_line(a, "");
        kit_run(&a->reports.auth_failed);
        over(a, END_AUTH);
    }
    kit.now += 2000;
    a = come6("2001:db8:0:99::1");
    quietly();
    says_line(a, "");
    KIT_DID(""); /* it waits */
    over(a, END_SHUTDOWN);
    a = come6("2001:db8:0:1::2");
    quietly();
    says_line(a, "");
    KIT_DID("a>judge ");
    over(a, END_SHUTDOWN);
    over(home, END_PEER);
}

/* Who waits has left the strangers' places: it is in the account of descriptors on its own. */
static void where_descriptors_are_few_fewer_wait(void **state)
{
    struct agent *many[4];
    (void)state;
    verdicts_fini(&kit.srv.verdicts);
    keys_fini(&kit.srv);
    timers_forget();
    assert_true(account_of_server(&kit.srv.account, 160, 1));
    assert_int_equal(reception_init(&kit.srv), 0);
    struct agent *home = come("203.0.113.9");
    kit_run(&home->reports.auth_ok);
    penalise("203.0.113.9");
    for (unsigned i = 0; i < 4; i++) {
        many[i] = come("203.0.113.9");
        quietly();
        says_line(many[i], "");
        KIT_DID(i < kit.srv.account.waiting / 2 ? "" : "a>turn_away ");
    }
    for (unsigned i = 0; i < 4; i++)
        over(many[i], END_SHUTDOWN);
    over(home, END_PEER);
}

static void who_leaves_before_his_verdict_has_failed(void **state)
{
    (void)state;
    for (int i = 0; i < PENALTY_FAILURES; i++) {
        assert_int_equal(kit_count("event=penalty "), 0);
        struct agent *a = come("203.0.113.9");
        says_line(a, "");
        over(a, END_PEER);
    }
    assert_int_equal(kit_count("event=penalty "), 1);
    assert_int_equal(kit_count("event=auth_failed "), 0); /* nobody has looked at it */
}

/* No whole line, a session that is not here, somebody else's fault. */
static void what_is_no_failure(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * PENALTY_FAILURES; i++) {
        over(come("203.0.113.9"), END_PEER);
        struct agent *a = come("203.0.113.9");
        a->handover_error = HELLO_ERR_UNKNOWN;
        over(a, END_MOVED);
        a = come("203.0.113.9");
        says_line(a, "");
        over(a, END_LOCAL);
        a = come("203.0.113.9");
        says_line(a, "");
        over(a, END_DEADLINE); /* ours: whoever waits is told before */
    }
    assert_int_equal(kit_count("event=penalty "), 0);
    quietly();
}

static void before_tls_a_stranger_of_a_penalised_source_is_refused(void **state)
{
    (void)state;
    penalise("203.0.113.9");
    assert_false(is_refused("203.0.113.9")); /* one a second, about */
    quietly();
    assert_true(is_refused("203.0.113.9"));
    KIT_LINES(""); /* the penalty has one */
    assert_false(is_refused("203.0.113.10"));
    kit.now += VERDICTS_PASS_MAX_MS;
    assert_false(is_refused("203.0.113.9"));
}

/* Who was there in the last day, or has a session, for however long. */
static void a_source_with_clients_of_ours_is_never_refused(void **state)
{
    (void)state;
    struct agent *session = come("192.0.2.1");
    kit_run(&session->reports.auth_ok);
    kit.now += 2 * (mtime_ms)KNOWN_MS;
    struct agent *a = come("192.0.2.2"); /* it has roamed */
    a->handover_error = HELLO_OK;
    over(a, END_MOVED);
    kit.now += 2 * (mtime_ms)KNOWN_MS;
    penalise("192.0.2.2");
    *kit.lines = '\0';
    for (int i = 0; i < 10; i++)
        assert_false(is_refused("192.0.2.2"));
    over(session, END_PEER);
    for (int i = 0; i < 10; i++)
        assert_false(is_refused("192.0.2.2"));
    kit.now += KNOWN_MS;
    penalise("192.0.2.2");
    assert_false(is_refused("192.0.2.2"));
    assert_true(is_refused("192.0.2.2"));
    quietly();
}

enum { MANY = KNOWN_SOURCES + 10 };

static const char *source_of(int n)
{
    static char ip[32];
    (void)snprintf(ip, sizeof ip, "10.0.%d.%d", n / 256, n % 256);
    return ip;
}

/* More sources with a session than are remembered as known: the first is refused no more than the
   last. */
static void no_home_is_refused_for_there_are_many(void **state)
{
    static struct agent *many[MANY];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        many[i] = come(source_of(i));
        kit_run(&many[i]->reports.auth_ok);
        admission_remove(many[i]->main.places, &many[i]->main.admission); /* it asks */
        kit_forget(many[i]);
        quietly();
    }
    kit.now += STRANGERS_MINUTE_MS; /* lines may be written again */
    assert_int_equal(map_count(&kit.srv.homes.sources), MANY);
    penalise(source_of(0));
    for (int i = 0; i < 10; i++)
        assert_false(is_refused(source_of(0)));
    penalise(source_of(MANY));
    assert_false(is_refused(source_of(MANY)));
    assert_true(is_refused(source_of(MANY)));
    for (int i = 0; i < MANY; i++) {
        kit_watch(many[i], 'm');
        over(many[i], END_PEER);
        quietly();
    }
}

/* For two seconds; then who says nothing goes for another. A place that gets free is told of at once. */
static void known_ones_wait_while_all_places_are_in_the_midst(void **state)
{
    struct server *srv = &kit.srv;
    struct agent *first = come("203.0.113.9"), *next, *last;
    (void)state;
    kit_run(&first->reports.auth_ok);
    srv->known_places.max = srv->known_places.source_max = 1;
    assert_int_equal(reception_room_at(srv, "203.0.113.9"), 0);
    next = come("203.0.113.9");
    quietly();
    assert_ptr_equal(next->main.places, &srv->known_places);
    assert_int_equal(reception_room_at(srv, "203.0.113.9"), kit.now + 2000);
    looks = 0;
    reception_leave_place(next); /* nobody waits at a gate that there is not */
    assert_int_equal(looks, 0);
    assert_int_equal(reception_room_at(srv, "203.0.113.9"), 0);
    last = come("203.0.113.9");
    srv->gate = (struct gate *)srv;
    reception_leave_place(last);
    assert_int_equal(looks, 1);
    reception_leave_place(first); /* a stranger's is nobody's who is known */
    assert_int_equal(looks, 1);
    srv->gate = NULL;
    quietly();
    over(last, END_PEER);
    over(next, END_PEER);
    over(first, END_PEER);
    quietly();
}

static void a_known_id_has_its_turn_beside_guessers(void **state)
{
    (void)state;
    struct agent *nas = come("203.0.113.9"), *many[8], *again;
    (void)snprintf(nas->who.id, sizeof nas->who.id, "nas");
    kit_run(&nas->reports.auth_ok);
    penalise("203.0.113.9");
    for (int i = 0; i < 8; i++) {
        many[i] = come("203.0.113.9");
        says_line(many[i], "");
    }
    next_letter = 'n';
    again = come("203.0.113.9");
    quietly();
    says_line(again, "nas");
    KIT_DID("n>judge ");
    over(again, END_SHUTDOWN);
    for (int i = 0; i < 8; i++)
        over(many[i], END_SHUTDOWN);
    over(nas, END_PEER);
}

/* It asks for no verdict: whatever happens at its source. */
static void a_resume_does_not_wait(void **state)
{
    (void)state;
    struct agent *session = come("203.0.113.9"), *r;
    kit_run(&session->reports.auth_ok);
    penalise("203.0.113.9");
    next_letter = 'r';
    for (int i = 0; i < 50; i++) {
        r = come("203.0.113.9");
        quietly();
        kit_run(&r->reports.resume);
        KIT_DID("r>attach ");
        over(r, END_MOVED);
    }
    over(session, END_PEER);
}

/* ---- connections that resume ---- */

static void a_resume_is_sent_to_the_session(void **state)
{
    struct agent *a = come("192.0.2.1"), *b;
    (void)state;
    next_letter = 'b';
    b = come("198.51.100.7");
    quietly();
    kit_run(&b->reports.resume);
    KIT_DID("b>attach ");
    assert_ptr_equal(b->main.target, a);
    over(b, END_SHUTDOWN);
    over(a, END_SHUTDOWN);
}

static bool from_its_network(const void *rights, const struct address *from)
{
    assert_null(rights);
    return from->ip[0] == 192;
}

/* A key may come from some networks: a resume is held to that as an open is. */
static void a_resume_from_elsewhere_finds_nothing(void **state)
{
    struct agent *a = come("192.0.2.1"), *b;
    struct credentials *t = keys_new(&kit.srv, from_its_network, NULL);
    const struct {
        const char *from;
        struct agent *finds;
    } cases[] = {{"192.0.2.2", a}, {"198.51.100.7", NULL}};
    (void)state;
    assert_int_equal(credentials_add(t, &(struct credential){.name = "laptop"}), 0);
    assert_int_equal(keys_use(&kit.srv, t, NULL), 0);
    (void)snprintf(a->who.key, sizeof a->who.key, "%s", "laptop");
    next_letter = 'b';
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        b = come(cases[i].from);
        quietly();
        kit_run(&b->reports.resume);
        KIT_DID("b>attach ");
        assert_ptr_equal(b->main.target, cases[i].finds);
        over(b, END_SHUTDOWN);
        next_letter = 'b';
    }
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
        T(who_asks_for_nothing_keeps_his_place),
        T(the_end_of_a_stranger_is_a_line),
        T(what_a_stranger_says_is_escaped),
        T(a_source_that_has_proved_itself_is_known),
        T(what_a_person_has_to_mend_is_said_of_the_known),
        T(who_has_a_session_stays_known),
        T(who_is_turned_away_has_no_line),
        T(what_is_to_be_kept_is_told),
        T(what_is_not_kept_has_another_key),
        T(at_the_end_no_timer_is_open),
        T(an_unknown_session_proves_nothing),
        T(a_port_scan_fills_no_disk),
        T(a_line_of_a_free_source_is_judged_at_once),
        T(who_is_barred_has_guessed_nothing),
        T(a_penalised_source_waits),
        T(where_descriptors_are_few_fewer_wait),
        T(who_is_held_is_told_when_another_is_over),
        T(a_home_in_a_penalised_network_does_not_wait),
        T(who_leaves_before_his_verdict_has_failed),
        T(what_is_no_failure),
        T(before_tls_a_stranger_of_a_penalised_source_is_refused),
        T(a_source_with_clients_of_ours_is_never_refused),
        T(no_home_is_refused_for_there_are_many),
        T(known_ones_wait_while_all_places_are_in_the_midst),
        T(a_known_id_has_its_turn_beside_guessers),
        T(a_resume_does_not_wait),
        T(a_resume_is_sent_to_the_session),
        T(a_resume_from_elsewhere_finds_nothing),
        T(a_full_server_says_so_once_a_minute),
        T(workers_hear_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
