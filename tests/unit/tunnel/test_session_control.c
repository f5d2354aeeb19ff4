/* SPDX-License-Identifier: MIT */
/* The control stream of a session, and its services' relays: lines go both ways, in order and once,
 * and what waits is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"
#include "proto/smux/session.h"
#include "proto/tally.h"
#include "tunnel/internal.h"

static int setup(void **state)
{
    static struct kit k;
    kit_init(&k);
    kit_services(&k);
    *state = &k;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

static void say(struct session *s, const char *text)
{
    assert_int_equal(session_say(s, text, strlen(text)), 0);
}

/* Says line number i, of n bytes. */
static void say_long(struct session *s, unsigned i, size_t n)
{
    char line[HELLO_MAX + 2];
    int at = snprintf(line, sizeof line, "{\"i\":%u,\"s\":\"", i);
    memset(line + at, 'x', n - (size_t)at);
    memcpy(line + n - 3, "\"}\n", 4);
    say(s, line);
}

#define SAID(e, text)                                                                              \
    do {                                                                                           \
        assert_string_equal((e).said, text);                                                       \
        *(e).said = '\0';                                                                          \
    } while (0)

/* ---- lines ---- */

static void lines_go_both_ways(void **state)
{
    struct kit *k = *state;
    say(k->client.session, "{\"a\":1}\n{\"a\":2}\n");
    say(k->server.session, "{\"b\":1}\n");
    say(k->client.session, "{\"a\":");
    kit_join(k);
    SAID(k->server, "{\"a\":1}\n{\"a\":2}\n");
    SAID(k->client, "{\"b\":1}\n");
    say(k->client.session, "3}\n");
    kit_join(k);
    SAID(k->server, "{\"a\":3}\n");
}

static void they_come_in_any_pieces(void **state)
{
    struct kit *k = *state;
    for (size_t piece = 1; piece <= 20; piece++) {
        struct transport *from = k->client.tp;
        say(k->client.session, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        stub_turn(&k->loop);
        assert_true(from->out_len > 24);
        for (size_t at = 0; at < from->out_len; at += piece)
            stub_feed(k->server.tp, from->out + at,
                      piece < from->out_len - at ? piece : from->out_len - at);
        from->out_len = 0;
        SAID(k->server, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
        kit_join(k);
    }
}

/* What is answered from inside goes as well, before the next line of others. */
static void answer(struct kit_end *e)
{
    say(e->session, "{\"ok\":true}\n");
}

static void an_answer_may_come_from_inside(void **state)
{
    struct kit *k = *state;
    k->server.on_said = answer;
    say(k->client.session, "{\"a\":1}\n{\"a\":2}\n");
    kit_join(k);
    SAID(k->client, "{\"ok\":true}\n{\"ok\":true}\n");
}

static void a_wrong_line_ends_the_session(void **state)
{
    static const char *const wrong[] = {"\n", "hello\n", "{\"a\":\"\001\"}\n"};
    struct kit *k = *state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        say(k->client.session, "{\"a\":1}\n");
        say(k->client.session, wrong[i]);
        say(k->client.session, "{\"a\":2}\n");
        kit_join(k);
        SAID(k->server, "{\"a\":1}\n");
        assert_int_equal(k->server.closed, 1);
        assert_int_equal(k->server.reason, END_PROTOCOL);
        assert_int_equal(k->client.reason, END_BLAMED);
        kit_fini(k);
        kit_init(k);
        kit_services(k);
    }
}

static void a_line_is_so_long(void **state)
{
    struct kit *k = *state;
    say_long(k->client.session, 1, HELLO_MAX);
    kit_join(k);
    assert_int_equal(k->server.said_count, 1);
    assert_int_equal(k->server.closed, 0);
    say_long(k->client.session, 2, HELLO_MAX + 1);
    kit_join(k);
    assert_int_equal(k->server.said_count, 1);
    assert_int_equal(k->server.reason, END_PROTOCOL);
}

/* Of a later version a few may come; many are an attack. */
static void useless(struct kit_end *e)
{
    session_line_is_useless(e->session);
}

static void too_many_useless_lines_end_the_session(void **state)
{
    struct kit *k = *state;
    k->server.on_said = useless;
    for (int i = 0; i < 10; i++)
        say(k->client.session, "{\"a\":1}\n");
    kit_join(k);
    assert_int_equal(k->server.closed, 0);
    for (int i = 0; i < 10100; i++)
        say(k->client.session, "{\"a\":1}\n");
    kit_join(k);
    assert_int_equal(k->server.reason, END_PROTOCOL);
    assert_int_equal(k->server.said_count, 10001); /* 10,000 in ten seconds */
}

/* Nobody reads it any more, and nobody minds. */
static void a_word_after_the_end_is_lost(void **state)
{
    struct kit *k = *state;
    session_close(k->client.session, END_SHUTDOWN, NULL);
    say(k->client.session, "{\"a\":1}\n");
    session_read_lines(k->client.session);
    kit_join(k);
    assert_int_equal(k->server.said_count, 0);
}

static void a_session_without_services_has_none(void **state)
{
    struct kit *k = *state;
    kit_fini(k);
    kit_init(k);
    kit_session(k, false); /* the legacy wire */
    say(k->client.session, "{\"a\":1}\n");
    session_read_lines(k->client.session);
    kit_join(k);
    assert_false(session_has_services(k->client.session));
    assert_int_equal(k->server.said_count, 0);
    assert_int_equal(k->server.closed, 0);
}

/* ---- later ---- */

enum { LINES = 400, LINE = 1000 }; /* more than a window, and what may wait for one */

static uint64_t came(const struct kit_end *e)
{
    return smux_session_received(e->session->mux);
}

/* Its owner wants none now: the peer may send a window, and no more. */
static void a_line_that_waits_has_no_credit(void **state)
{
    struct kit *k = *state;
    k->server.wants_later = true;
    for (unsigned i = 0; i < LINES; i++)
        say_long(k->client.session, i, LINE);
    uint64_t before = came(&k->server);
    kit_join(k);
    assert_int_equal(k->server.said_count, 1);
    assert_in_range(came(&k->server) - before, SMUX_START_WINDOW - LINE,
                    SMUX_START_WINDOW + SMUX_START_WINDOW / 8);
    assert_int_not_equal(uv_backend_timeout(&k->loop.uv), 0); /* the other end rests */
    session_read_lines(k->server.session);
    kit_join(k);
    assert_int_equal(k->server.said_count, 2); /* one more */
    k->server.wants_later = false;
    session_read_lines(k->server.session);
    kit_join(k);
    assert_int_equal(k->server.said_count, LINES);
    assert_non_null(strstr(k->server.said, "{\"i\":399,"));
    assert_int_equal(k->server.closed, 0);
}

/* It may say so from inside: then it wants the next one at once. */
static void read_on(struct kit_end *e)
{
    session_read_lines(e->session);
}

static void the_owner_may_go_on_from_inside(void **state)
{
    struct kit *k = *state;
    k->server.on_said = read_on;
    say(k->client.session, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    kit_join(k);
    SAID(k->server, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    k->server.on_said = NULL; /* the same of lines that have waited */
    k->server.wants_later = true;
    say(k->client.session, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    kit_join(k);
    SAID(k->server, "{\"a\":1}\n");
    k->server.on_said = read_on;
    k->server.wants_later = false;
    session_read_lines(k->server.session);
    SAID(k->server, "{\"a\":2}\n{\"a\":3}\n");
}

/* Who asks and does not listen: his lines are not read while so much of ours waits for him. */
static void answer_long(struct kit_end *e)
{
    say_long(e->session, e->said_count, LINE);
}

static void who_does_not_listen_is_not_heard(void **state)
{
    enum { TAKEN = (SMUX_START_WINDOW + SESSION_SAY_MAX) / LINE };
    struct kit *k = *state;
    k->server.on_said = answer_long;
    k->client.wants_later = true;
    for (unsigned i = 0; i < 1000; i++)
        say(k->client.session, "{\"a\":1}\n");
    kit_join(k);
    assert_in_range(k->server.said_count, TAKEN - 2, TAKEN + 2);
    k->client.wants_later = false;
    session_read_lines(k->client.session);
    kit_join(k);
    assert_int_equal(k->server.said_count, 1000);
    assert_int_equal(k->client.said_count, 1000);
}

/* ---- cuts ---- */

static void a_cut_loses_no_line_and_doubles_none(void **state)
{
    struct kit *k = *state;
    say(k->client.session, "{\"a\":1}\n");
    stub_turn(&k->loop); /* it goes, and is lost */
    kit_cut(k);
    say(k->client.session, "{\"a\":2}\n{\"a\":"); /* nothing carries it */
    say(k->server.session, "{\"b\":1}\n");
    stub_turn(&k->loop);
    kit_resume(k);
    say(k->client.session, "3}\n");
    kit_join(k);
    SAID(k->server, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    SAID(k->client, "{\"b\":1}\n");
}

static void what_waits_here_is_read_while_nothing_carries(void **state)
{
    struct kit *k = *state;
    k->server.wants_later = true;
    say(k->client.session, "{\"a\":1}\n{\"a\":2}\n");
    kit_join(k);
    kit_cut(k);
    session_read_lines(k->server.session);
    SAID(k->server, "{\"a\":1}\n{\"a\":2}\n");
    k->server.wants_later = false;
    kit_resume(k);
    say(k->client.session, "{\"a\":3}\n");
    kit_join(k);
    session_read_lines(k->server.session);
    SAID(k->server, "{\"a\":3}\n");
}

/* What is counted is what users have said. */
static void lines_are_no_traffic(void **state)
{
    struct kit *k = *state;
    say(k->client.session, "{\"a\":1}\n");
    say(k->server.session, "{\"b\":1}\n");
    kit_join(k);
    SAID(k->server, "{\"a\":1}\n");
    assert_int_equal(session_received(k->client.session), 0);
    assert_int_equal(session_received(k->server.session), 0);
    assert_int_equal(session_sent(k->client.session), 0);
    assert_int_equal(k->server.relays.received, 0);
}

/* ---- ports ---- */

static void who_is_away_for_long_may_lose_a_port(void **state)
{
    struct kit *k = *state;
    struct session *s = k->server.session;
    assert_false(session_may_lose_port(s));
    kit_cut(k);
    assert_false(session_may_lose_port(s));
    s->life.broke_at -= LIFE_PORT_FREE_MS;
    assert_true(session_may_lose_port(s));
    assert_int_equal(session_service(s), LIFE_SERVING); /* a question, no more */
    kit_resume(k);
    assert_false(session_may_lose_port(s));
    session_close(s, END_SHUTDOWN, NULL);
    assert_true(session_may_lose_port(s));
}

/* ---- relays of services ---- */

/* A user of a service: with a relay at each end. */
static struct relay *user(struct kit *k, uint32_t svc, uint32_t key)
{
    struct smux_stream *st;
    const struct smux_open open = {.service = svc};
    k->client.stream = NULL;
    assert_int_equal(session_open_stream(k->server.session, &open, &st), 0);
    struct relay *r = relay_new(&k->server.relays, k->server.session, st);
    struct tally *t = tally_new(key);
    assert_non_null(t);
    relay_count_at(r, t);
    tally_give(t); /* the relay has it */
    kit_join(k);
    assert_non_null(k->client.stream);
    assert_int_equal(k->client.svc, svc);
    assert_non_null(relay_new(&k->client.relays, k->client.session, k->client.stream));
    return r;
}

static uint32_t over_last;
static void note_over(struct kit_end *e, uint32_t svc)
{
    (void)e;
    over_last = svc;
}

static void the_owner_hears_of_each_that_is_over(void **state)
{
    struct kit *k = *state;
    k->server.on_over = note_over;
    struct relay *a = user(k, 7, 70), *b = user(k, 8, 80);
    relay_reset(b, SMUX_RST_PEER_RESET);
    assert_int_equal(over_last, 80);
    relay_reset(a, SMUX_RST_PEER_RESET);
    assert_int_equal(over_last, 70);
    assert_int_equal(k->server.relays_over, 2);
    struct relay *none = user(k, 9, 0); /* of no service */
    relay_reset(none, SMUX_RST_PEER_RESET);
    assert_int_equal(k->server.relays_over, 2);
    (void)user(k, 7, 71); /* the end of the session is theirs */
    session_close(k->server.session, END_SHUTDOWN, NULL);
    kit_join(k);
    assert_int_equal(k->server.relays_over, 3);
}

static void those_of_one_are_cut(void **state)
{
    struct kit *k = *state;
    for (uint32_t i = 0; i < 9; i++)
        (void)user(k, 1 + i % 3, 10 + i % 3);
    relays_cut_service(k->server.session, 11, SMUX_RST_SHUTDOWN);
    assert_int_equal(session_streams(k->server.session), 6);
    kit_join(k);
    assert_int_equal(session_streams(k->client.session), 6);
    relays_cut_service(k->server.session, 11, SMUX_RST_SHUTDOWN);
    relays_cut_service(k->server.session, 99, SMUX_RST_SHUTDOWN);
    assert_int_equal(k->server.relays_over, 3);
}

/* The end of one may bring about a cut of others, before this one is done. */
static void cut_next(struct kit_end *e, uint32_t svc)
{
    if (svc == 10)
        relays_cut_service(e->session, 11, SMUX_RST_SHUTDOWN);
}

static void a_cut_may_come_from_inside_another(void **state)
{
    struct kit *k = *state;
    k->server.on_over = cut_next;
    for (uint32_t i = 0; i < 6; i++)
        (void)user(k, 1, 10 + i % 3);
    relays_cut_service(k->server.session, 10, SMUX_RST_SHUTDOWN);
    assert_int_equal(k->server.relays_over, 4);
    assert_int_equal(session_streams(k->server.session), 2);
    relays_cut_service(k->server.session, 12, SMUX_RST_SHUTDOWN);
    assert_int_equal(session_streams(k->server.session), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lines_go_both_ways),
        T(they_come_in_any_pieces),
        T(an_answer_may_come_from_inside),
        T(a_wrong_line_ends_the_session),
        T(a_line_is_so_long),
        T(too_many_useless_lines_end_the_session),
        T(a_word_after_the_end_is_lost),
        T(a_session_without_services_has_none),
        T(a_line_that_waits_has_no_credit),
        T(the_owner_may_go_on_from_inside),
        T(who_does_not_listen_is_not_heard),
        T(a_cut_loses_no_line_and_doubles_none),
        T(what_waits_here_is_read_while_nothing_carries),
        T(lines_are_no_traffic),
        T(who_is_away_for_long_may_lose_a_port),
        T(the_owner_hears_of_each_that_is_over),
        T(those_of_one_are_cut),
        T(a_cut_may_come_from_inside_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
