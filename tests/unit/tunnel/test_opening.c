/* SPDX-License-Identifier: MIT */
/* tunnel/opening*: both wires from TLS to a session, a refusal or a failure, without a network. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"
#include "tunnel/opening_internal.h"

static int setup(void **state)
{
    static struct kit k;
    kit_init(&k);
    *state = &k;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

/* ---- gotunnel/2 ---- */

static void an_open_becomes_a_session_at_both_ends(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    assert_string_equal(k->server.open.id, "laptop");
    assert_true(hello_caps_have(&k->server.open.caps, HELLO_CAP_SERVICES));
    assert_memory_equal(k->server.open.nonce, k->client.nonce, HELLO_NONCE_BYTES);
    assert_string_equal(k->client.message, "");
    assert_memory_equal(session_sid(k->client.session), session_sid(k->server.session),
                        HELLO_SID_BYTES);
    assert_memory_equal(session_nonce(k->server.session), k->client.nonce, HELLO_NONCE_BYTES);
    assert_true(session_is_v2(k->client.session) && session_is_v2(k->server.session));
    assert_true(k->client.tp->trusted && k->server.tp->trusted);
    assert_int_equal(k->client.failed + k->server.failed, 0);
}

/* What the heap has given out. Sanitizers have a heap of their own, of which it knows nothing. */
static size_t heap_used(void)
{
    return mallinfo2().uordblks;
}

/* Of lines, proofs and parsers nothing is kept once a connection has become a session: all that a
   session has is less than the room of one line. */
static void a_session_keeps_nothing_of_its_opening(void **state)
{
    struct kit *k = *state;
    for (int is_v2 = 0; is_v2 <= 1; is_v2++) {
        kit_begin(k, is_v2);
        size_t openings = heap_used();
        kit_join(k);
        kit_accept(k);
        kit_join(k);
        stub_turn(&k->loop);
        size_t sessions = heap_used();
        session_close(k->server.session, END_SHUTDOWN, NULL);
        session_close(k->client.session, END_SHUTDOWN, NULL);
        k->server.session = k->client.session = NULL;
        for (int i = 0; i < 3; i++)
            stub_turn(&k->loop);
        size_t transports = heap_used(); /* the stub keeps them */
        if (openings == 0)
            skip();
        assert_true(openings - transports > 2 * HELLO_MAX); /* it would be seen */
        assert_in_range(sessions - transports, 2, 2 * HELLO_MAX);
    }
}

static void take_and_mine_are_said(void **state)
{
    struct kit *k = *state;
    struct opening_config cfg = {.take = true, .mine = {.count = 2, .nonces = {{1}, {2}}}};
    kit_open(k, &k->client, &cfg);
    kit_open(k, &k->server, NULL);
    stub_ready(k->server.tp, true);
    stub_ready(k->client.tp, true);
    kit_join(k);
    assert_true(k->server.open.take);
    assert_int_equal(k->server.open.mine.count, 2);
    assert_int_equal(k->server.open.mine.nonces[1][0], 2);
}

/* The shorter window counts: a server cannot make a client wait longer than that wished to. */
static void a_server_s_window_is_no_longer_than_its_client_s(void **state)
{
    struct kit *k = *state;
    uint8_t exporter[HELLO_EXPORTER_BYTES];
    struct hello_answer a = {.window_ms = UINT32_MAX, .caps = {1, {HELLO_CAP_SERVICES}}};
    struct hello_keys keys;
    char line[HELLO_MAX];
    kit_open(k, &k->client, NULL);
    stub_ready(k->client.tp, true);
    struct transport *t = k->client.tp;
    struct hello_text open = {(const char *)t->out, t->out_len - 1};
    assert_int_equal(transport_export(t, HELLO_EXPORTER_LABEL, exporter, sizeof exporter), 0);
    assert_int_equal(hello_keys_init(&keys, KIT_SECRET, strlen(KIT_SECRET), exporter), 0);
    int n = hello_answer_write(line, &a, open, &keys);
    assert_true(n > 0);
    stub_feed(t, line, (size_t)n);
    assert_int_equal(k->client.accepted, 1);
    assert_int_equal(session_window_ms(k->client.session), 60000);
}

/* A balancer is in front of the server: its address is nowhere. */
static void who_is_behind_a_balancer_is_the_peer(void **state)
{
    struct kit *k = *state;
    struct opening_config cfg = {.peer = {ADDRESS_IPV4, 4444, 0, {203, 0, 113, 9}}};
    kit_open(k, &k->client, NULL);
    kit_open(k, &k->server, &cfg);
    stub_ready(k->server.tp, true);
    stub_ready(k->client.tp, true);
    kit_join(k);
    kit_accept(k);
    assert_string_equal(session_peer(k->server.session), "203.0.113.9:4444");
}

/* Two ends with different secrets whose server keeps the verdict to itself. */
static void begin_waiting(struct kit *k, const char *secret, bool is_v2)
{
    struct opening_config cfg = {.secret = secret};
    k->server.keeps_waiting = true;
    kit_open(k, &k->client, &cfg);
    kit_open(k, &k->server, NULL);
    stub_ready(k->server.tp, is_v2);
    stub_ready(k->client.tp, is_v2);
    kit_join(k);
}

/* Until the owner says so nothing is compared, and nothing is answered: right and wrong look alike. */
static void nothing_is_compared_before_its_turn(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 4; i++) {
        bool is_v2 = i % 2, is_right = i / 2;
        kit_fini(k);
        kit_init(k);
        begin_waiting(k, is_right ? KIT_SECRET : "another-secret-of-16-bytes", is_v2);
        assert_int_equal(k->server.lines, 1);
        assert_string_equal(k->server.line_id, is_v2 ? "laptop" : "");
        assert_int_equal(k->server.auth_failed + k->server.authenticated + k->server.asked, 0);
        assert_int_equal(k->server.tp->out_len, 0);
        opening_judge(k->server.opening, NULL, 0);
        kit_join(k);
        assert_int_equal(k->server.auth_failed, !is_right);
        assert_int_equal(k->server.asked, is_right);
        if (!is_right)
            continue;
        opening_judge(k->server.opening, NULL, 0); /* it has had its verdict */
        opening_turn_away(k->server.opening);
        kit_join(k);
        assert_int_equal(k->server.asked, 1);
        assert_int_equal(k->server.failed, 0);
    }
}

/* However long the line took: who waits has a time of its own, and it is not without end. */
static void who_waits_has_its_own_time(void **state)
{
    struct kit *k = *state;
    for (int is_v2 = 0; is_v2 <= 1; is_v2++) {
        kit_fini(k);
        kit_init(k);
        begin_waiting(k, KIT_SECRET, is_v2);
        mtime_ms left = k->server.opening->deadline - loop_now(&k->loop);
        assert_in_range(left, OPENING_TURN_MS - 5000, OPENING_TURN_MS);
        assert_true(uv_is_active((uv_handle_t *)&k->server.opening->timer));
    }
}

static void nothing_counts_after_a_wrong_proof(void **state)
{
    struct kit *k = *state;
    begin_waiting(k, "another-secret-of-16-bytes", true);
    stub_feed(k->server.tp, "{}\n", 3);
    assert_int_equal(k->server.failed, 0); /* a faster no would tell right from wrong */
    opening_judge(k->server.opening, NULL, 0);
    kit_join(k);
    assert_int_equal(k->server.reason, END_AUTH);
    assert_int_equal(k->client.reason, END_AUTH);
    assert_int_equal(k->server.asked, 0);
    assert_int_equal(k->server.auth_failed, 1);
}

/* Right or wrong: nobody has looked. */
static void who_is_turned_away_learns_nothing(void **state)
{
    struct kit *k = *state;
    for (int is_right = 0; is_right <= 1; is_right++) {
        kit_fini(k);
        kit_init(k);
        begin_waiting(k, is_right ? KIT_SECRET : "another-secret-of-16-bytes", true);
        opening_turn_away(k->server.opening);
        kit_join(k);
        assert_int_equal(k->client.reason, END_PUT_OFF);
        assert_int_equal(k->client.refusal.error, HELLO_ERR_BUSY);
        assert_int_equal(k->server.reason, END_PUT_OFF);
        assert_int_equal(k->server.auth_failed + k->server.asked, 0);
        begin_waiting(k, is_right ? KIT_SECRET : "wrong", false);
        opening_turn_away(k->server.opening);
        stub_turn(&k->loop);
        assert_int_equal(k->server.tp->out_len, 0);
        assert_int_equal(k->server.reason, END_PUT_OFF);
        assert_int_equal(k->server.auth_failed + k->server.authenticated, 0);
    }
}

/* What comes behind a line is kept, within a bound. */
static void an_early_flood_ends_it(void **state)
{
    static const char flood[OPENING_EARLY_BYTES + 1];
    struct kit *k = *state;
    k->server.keeps_waiting = true;
    kit_open(k, &k->server, NULL);
    stub_ready(k->server.tp, false);
    stub_feed(k->server.tp, KIT_SECRET "\n", sizeof KIT_SECRET);
    stub_feed(k->server.tp, flood, OPENING_EARLY_BYTES);
    assert_int_equal(k->server.failed, 0);
    stub_feed(k->server.tp, flood, 1);
    assert_int_equal(k->server.failed, 1);
    assert_int_equal(k->server.reason, END_PROTOCOL);
    assert_int_equal(k->server.authenticated, 0);
}

static void who_leaves_while_it_waits_is_told_of(void **state)
{
    struct kit *k = *state;
    begin_waiting(k, KIT_SECRET, true);
    stub_fail(k->server.tp, ERR_RESET);
    assert_int_equal(k->server.failed, 1);
    assert_int_equal(k->server.auth_failed + k->server.asked, 0);
}

/* Others of the loop have their turn: an opening reads a bounded part of a flood at a time. */
static void a_flood_is_read_in_parts(void **state)
{
    struct kit *k = *state;
    static char flood[STUB_BUF - 4096];
    begin_waiting(k, "another-secret-of-16-bytes", true);
    stub_feed(k->server.tp, flood, sizeof flood);
    assert_true(k->server.tp->read_later > 0); /* not all of it in the turn in which it came */
    kit_join(k);
    assert_int_equal(k->server.tp->in_at, k->server.tp->in_len);
}

static void a_refusal_says_why(void **state)
{
    struct kit *k = *state;
    kit_begin(k, true);
    kit_join(k);
    struct opening_refusal no = {.answer = {.error = HELLO_ERR_TAKEN, .by = "192.0.2.9:1"}};
    opening_refuse(k->server.opening, &no);
    kit_join(k);
    assert_int_equal(k->server.reason, END_REFUSED);
    assert_int_equal(k->client.reason, END_REFUSED);
    assert_true(k->client.has_refusal);
    assert_int_equal(k->client.refusal.error, HELLO_ERR_TAKEN);
    assert_string_equal(k->client.refusal.by, "192.0.2.9:1");
    assert_non_null(strstr(k->client.why.text, "192.0.2.9:1"));
}

static void a_server_that_stops_puts_off(void **state)
{
    struct kit *k = *state;
    kit_begin(k, true);
    kit_join(k);
    opening_refuse(k->server.opening,
                   &(struct opening_refusal){.answer = {.error = HELLO_ERR_DRAINING}});
    kit_join(k);
    assert_int_equal(k->client.reason, END_PUT_OFF);
}

static void what_follows_an_open_ends_it(void **state)
{
    struct kit *k = *state;
    kit_begin(k, true);
    stub_turn(&k->loop);
    memcpy(k->client.tp->out + k->client.tp->out_len, "x", 1);
    k->client.tp->out_len++;
    kit_join(k);
    assert_int_equal(k->server.reason, END_PROTOCOL);
    assert_int_equal(k->server.asked, 0);
}

static void without_keying_material_there_is_no_session(void **state)
{
    struct kit *k = *state;
    kit_open(k, &k->server, NULL);
    k->server.tp->no_export = true;
    stub_ready(k->server.tp, true);
    assert_int_equal(k->server.reason, END_TLS);
}

static void an_opening_that_is_closed_tells_nothing(void **state)
{
    struct kit *k = *state;
    kit_begin(k, true);
    kit_join(k);
    opening_close(k->server.opening);
    k->server.opening = NULL;
    stub_turn(&k->loop);
    assert_true(k->server.tp->closed);
    assert_int_equal(k->server.failed, 0);
}

static void a_broken_connection_is_told_once(void **state)
{
    struct kit *k = *state;
    kit_begin(k, true);
    kit_join(k);
    stub_fail(k->server.tp, ERR_RESET);
    assert_int_equal(k->server.failed, 1);
    assert_int_equal(k->server.reason, END_PEER);
}

/* ---- the legacy wire ---- */

static void the_legacy_wire_becomes_a_session_too(void **state)
{
    struct kit *k = *state;
    kit_session(k, false);
    assert_int_equal(k->server.authenticated, 1);
    assert_int_equal(k->client.authenticated, 1);
    assert_int_equal(k->server.port, 8080);
    assert_non_null(strstr(k->client.message, ":8080"));
    assert_false(session_is_v2(k->client.session));
}

static void a_wrong_secret_is_told(void **state)
{
    struct kit *k = *state;
    begin_waiting(k, "wrong", false);
    stub_feed(k->server.tp, KIT_SECRET "\n", sizeof KIT_SECRET);
    opening_judge(k->server.opening, NULL, 0);
    kit_join(k);
    assert_int_equal(k->server.auth_failed, 1);
    assert_int_equal(k->server.authenticated, 0); /* one guess a connection */
    assert_int_equal(k->server.reason, END_AUTH);
    assert_int_equal(k->client.reason, END_AUTH);
    assert_non_null(strstr(k->client.why.text, "Invalid Secret"));
}

/* It is no word about the secret, which was not looked at; the advice is the client's own. */
static void a_server_that_forbids_the_wire_is_understood(void **state)
{
    static const struct {
        const char *secret;
        bool is_called_short;
    } cases[] = {{KIT_SECRET, false}, {"short", true}};
    struct kit *k = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct opening_config server = {.legacy_refused = true};
        struct opening_config client = {.secret = cases[i].secret};
        kit_open(k, &k->server, &server);
        kit_open(k, &k->client, &client);
        stub_ready(k->server.tp, false);
        stub_ready(k->client.tp, false);
        kit_join(k);
        stub_turn(&k->loop);
        assert_int_equal(k->server.reason, END_LEGACY);
        assert_int_equal(k->client.reason, END_LEGACY);
        assert_non_null(strstr(k->client.why.text, "takes gotunnel/2 only (-legacy never)"));
        assert_null(strstr(k->client.why.text, "ERROR"));
        assert_int_equal(strstr(k->client.why.text, "less than 16 bytes") != NULL,
                         cases[i].is_called_short);
    }
}

/* The server's end of a connection that says text, of n bytes, in two pieces. */
static void say_in_two(struct kit *k, const char *text, size_t n, size_t cut)
{
    kit_open(k, &k->server, NULL);
    stub_ready(k->server.tp, false);
    stub_feed(k->server.tp, text, cut);
    stub_feed(k->server.tp, text + cut, n - cut);
}

static void one_line_is_one_guess(void **state)
{
    static const char text[] = "wrong\n" KIT_SECRET "\nwrong\n" KIT_SECRET "\n";
    struct kit *k = *state;
    for (unsigned cut = 0; cut < sizeof text; cut++) {
        k->server.keeps_waiting = cut % 2;
        say_in_two(k, text, sizeof text - 1, cut);
        if (k->server.keeps_waiting)
            opening_judge(k->server.opening, NULL, 0);
        assert_int_equal(k->server.auth_failed, cut + 1); /* every one is counted, once */
        stub_turn(&k->loop);
        assert_int_equal(k->server.failed, cut + 1);
        assert_int_equal(k->server.reason, END_AUTH);
        assert_string_equal((char *)k->server.tp->out, "ERROR: Invalid Secret\n");
    }
    assert_int_equal(k->server.auth_failed, sizeof text);
    assert_int_equal(k->server.authenticated, 0);
}

/* It is not answered; a secret that looks like one is a secret. */
static void an_http_request_is_no_guess(void **state)
{
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct kit *k = *state;
    for (size_t cut = 0; cut < sizeof get; cut++) {
        say_in_two(k, get, sizeof get - 1, cut);
        assert_int_equal(k->server.failed, cut + 1);
        assert_int_equal(k->server.reason, END_PROTOCOL);
        assert_string_equal(k->server.why.text, "an HTTP request");
        assert_int_equal(k->server.tp->out_len, 0);
    }
    assert_int_equal(k->server.auth_failed, 0);
    struct opening_config cfg = {.secret = "GET / HTTP/1.1"};
    kit_open(k, &k->server, &cfg);
    stub_ready(k->server.tp, false);
    stub_feed(k->server.tp, get, sizeof get - 1);
    assert_int_equal(k->server.authenticated, 1);
    kit_open(k, &k->server, &cfg);
    stub_ready(k->server.tp, false);
    stub_feed(k->server.tp, "GET /a HTTP/1.1\n", 16);
    assert_int_equal(k->server.auth_failed, 1); /* then another one is a guess */
}

static void what_follows_the_right_line_is_the_session_s(void **state)
{
    static const char text[] = KIT_SECRET "\n"
                                          "\x02\x00\x00\x00\x03\x00\x00\x00"
                                          "\x02\x02\x15\x00\x03\x00\x00\x00"
                                          "{\"remote_port\": 8080}\n";
    struct kit *k = *state;
    for (unsigned cut = 0; cut < sizeof text; cut++) {
        k->server.keeps_waiting = cut % 2;
        say_in_two(k, text, sizeof text - 1, cut);
        if (k->server.keeps_waiting)
            opening_judge(k->server.opening, NULL, 0);
        assert_int_equal(k->server.authenticated, cut + 1);
        assert_int_equal(k->server.asked, cut + 1);
        assert_int_equal(k->server.port, 8080);
        assert_memory_equal(k->server.tp->out, "OK\n", 3);
        opening_close(k->server.opening);
        k->server.opening = NULL;
    }
    assert_int_equal(k->server.auth_failed, 0);
}

static void legacy_never_is_never(void **state)
{
    struct kit *k = *state;
    struct opening_config cfg = {.legacy_refused = true};
    kit_open(k, &k->client, &cfg);
    stub_ready(k->client.tp, false);
    assert_int_equal(k->client.reason, END_LEGACY);
    assert_int_equal(k->client.tp->out_len, 0); /* not a byte of the secret */
    kit_open(k, &k->server, &cfg);
    stub_ready(k->server.tp, false);
    assert_int_equal(k->server.reason, END_LEGACY);
}

static const char *distrust(bool is_v2, const uint8_t *ca_key)
{
    return !is_v2 && ca_key[0] == 9 ? "a sentence" : NULL;
}

/* Who it is, and what it speaks, is asked before a byte of the secret goes out. */
static void a_server_that_its_client_does_not_want(void **state)
{
    struct kit *k = *state;
    struct opening_config cfg = {0};
    k->client.distrust = distrust;
    kit_open(k, &k->client, &cfg);
    stub_ready(k->client.tp, false);
    assert_int_equal(k->client.reason, END_LEGACY);
    assert_string_equal(k->client.why.text, "a sentence");
    assert_int_equal(k->client.secure, 0);
    assert_int_equal(k->client.tp->out_len, 0);
    kit_open(k, &k->client, &cfg);
    stub_ready(k->client.tp, true);
    assert_int_equal(k->client.secure, 1);
    assert_true(k->client.tp->out_len > 0);
}

static void an_old_client_hears_why_it_has_no_port(void **state)
{
    static const struct {
        int err;
        const char *part;
    } cases[] = {{ERR_INUSE, "8080"}, {ERR_PERM, "8080"}, {ERR_RANGE, "8080"}, {ERR_IO, "8080"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kit *k = *state;
        kit_begin(k, false);
        kit_join(k);
        struct opening_refusal no = {.err = cases[i].err, .port = 8080};
        opening_refuse(k->server.opening, &no);
        kit_join(k);
        assert_int_equal(k->client.reason, END_REFUSED);
        assert_non_null(strstr(k->client.why.text, cases[i].part));
    }
}

static void a_session_follows_in_the_same_bytes(void **state)
{
    struct kit *k = *state;
    kit_begin(k, true);
    kit_join(k);
    kit_accept(k);
    stub_turn(&k->loop); /* its first frames go with the answer */
    struct smux_stream *st;
    assert_int_equal(session_open_stream(k->server.session, &(struct smux_open){.service = 1}, &st),
                     0);
    assert_non_null(relay_new(&k->server.relays, k->server.session, st));
    kit_join(k);
    assert_non_null(k->client.session);
    assert_non_null(k->client.stream);
    assert_non_null(relay_new(&k->client.relays, k->client.session, k->client.stream));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_open_becomes_a_session_at_both_ends),
        T(a_session_keeps_nothing_of_its_opening),
        T(take_and_mine_are_said),
        T(a_server_s_window_is_no_longer_than_its_client_s),
        T(who_is_behind_a_balancer_is_the_peer),
        T(nothing_is_compared_before_its_turn),
        T(who_waits_has_its_own_time),
        T(nothing_counts_after_a_wrong_proof),
        T(who_is_turned_away_learns_nothing),
        T(an_early_flood_ends_it),
        T(who_leaves_while_it_waits_is_told_of),
        T(a_flood_is_read_in_parts),
        T(a_refusal_says_why),
        T(a_server_that_stops_puts_off),
        T(what_follows_an_open_ends_it),
        T(without_keying_material_there_is_no_session),
        T(an_opening_that_is_closed_tells_nothing),
        T(a_broken_connection_is_told_once),
        T(the_legacy_wire_becomes_a_session_too),
        T(a_wrong_secret_is_told),
        T(a_server_that_forbids_the_wire_is_understood),
        T(one_line_is_one_guess),
        T(an_http_request_is_no_guess),
        T(what_follows_the_right_line_is_the_session_s),
        T(legacy_never_is_never),
        T(a_server_that_its_client_does_not_want),
        T(an_old_client_hears_why_it_has_no_port),
        T(a_session_follows_in_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
