/* SPDX-License-Identifier: MIT */
/* One uplink: its states, each way out of each, what it asks for and what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/cli.h"
#include "stub.h"

enum { TCP_MS = 20 }; /* what the stub's connections take */

static struct uplink *current(void)
{
    return stub.client->current;
}

/* From nothing to LIVE, with users. */
static struct session *live(unsigned streams)
{
    struct session *s = stub_up(1);
    s->streams = streams;
    assert_int_equal(current()->state, UPLINK_LIVE);
    (void)stub_lines("");
    return s;
}

static void expect_gone(void)
{
    assert_null(current());
    assert_true(list_empty(&stub.client->uplinks));
    assert_int_equal(stub_dials() + stub_openings() + stub_sessions(), 0);
}

#define RUN(words, script) assert_int_equal(stub_run(words, script), EXIT_STATUS_OK)

/* ---- states ---- */

static void whole_life(void)
{
    const struct client *c = stub.client;
    struct dial *d = stub_dial();
    assert_int_equal(current()->state, UPLINK_DIALLING);
    assert_int_equal(stub_dials(), 1);
    assert_string_equal(d->host, "192.0.2.1");
    assert_int_equal(d->cfg.port, 7000);
    assert_int_equal(d->cfg.patience_ms, CONNECT_MS);
    assert_true(d->cfg.renew && d->cfg.memory == &c->paths && d->cfg.n_extra == 0);

    stub_connected(d, 3);
    struct opening *o = stub_opening();
    assert_int_equal(current()->state, UPLINK_OPENING);
    assert_int_equal(current()->at.ip[3], 3);
    assert_string_equal(o->cfg.secret, STUB_SECRET);
    assert_string_equal(o->cfg.id, "laptop");
    assert_int_equal(o->cfg.port, 9000);
    assert_int_equal(o->cfg.window_ms, 20000);
    assert_true(o->cfg.legacy_refused && !o->cfg.is_server);
    assert_true(o->cfg.take && o->cfg.mine.count == 0);

    stub_asks(o, 1);
    assert_int_equal(current()->state, UPLINK_OPENING);
    struct session *s = stub_accepted(o);
    assert_int_equal(current()->state, UPLINK_LIVE);
    assert_null(current()->opening);
    assert_ptr_equal(current()->session, s);
    assert_int_equal(c->paths.good.ip[3], 3);
    assert_int_equal(stub_lines("the tunnel is up"), 1);

    stub_over(s, END_PEER);
    expect_gone();
    assert_true(stub.armed);
}

static void an_uplink_dials_opens_serves_and_ends(void **state)
{
    (void)state;
    RUN("-remote-port 9000 -resume-window 20s -drain 5s -legacy never", whole_life);
}

static void dial_fails(void)
{
    stub_dial_failed(stub_dial(), ERR_REFUSED);
    expect_gone();
    assert_int_equal(stub_lines("cannot connect to the server: connection refused"), 1);
    stub_wait();
    assert_int_equal(current()->state, UPLINK_DIALLING);
}

static void dial_cannot_begin(void)
{
    stub_dial_failed(stub_dial(), ERR_REFUSED);
    stub.dial_err = ERR_NOMEM;
    stub_wait();
    expect_gone();
    stub.dial_err = 0;
    stub_wait();
    assert_int_equal(current()->state, UPLINK_DIALLING);
}

static void network_changes_while_dialling(void)
{
    stub_network_changed(false);
    assert_int_equal(stub_dial()->hurried, 1);
    assert_int_equal(stub_dial()->hurried_at, stub.now);
    stub_connected(stub_dial(), 1);
    stub_network_changed(true); /* nothing to hurry */
    stub_asks(stub_opening(), 1);
    struct session *s = stub_accepted(stub_opening());
    stub_network_changed(true);
    assert_int_equal(s->network_changes, 1);
}

static void ways_out_of_dialling(void **state)
{
    (void)state;
    RUN("", dial_fails);
    RUN("", dial_cannot_begin);
    RUN("", network_changes_while_dialling);
}

static void opening_cannot_begin(void)
{
    stub.opening_err = ERR_NOMEM;
    stub_connected(stub_dial(), 1);
    expect_gone();
    assert_int_equal(stub_lines("out of memory or descriptors on this machine"), 1);
    assert_true(stub.armed);
}

/* What is said names the step that was not done. */
static void opening_breaks_at_each_step(void)
{
    stub_connected(stub_dial(), 1);
    stub_failed(stub_opening(), END_TLS, NULL);
    expect_gone();
    assert_int_equal(stub_lines("TLS connection failed: the TLS handshake failed"), 1);

    stub_wait();
    stub_connected(stub_dial(), 1);
    struct opening *o = stub_opening();
    o->cfg.ops->on_secure(o->cfg.ctx);
    stub_failed(o, END_DEADLINE, NULL);
    expect_gone();
    assert_int_equal(stub_lines("authentication failed: the other side took too long"), 1);

    stub_wait();
    stub_connected(stub_dial(), 1);
    o = stub_opening();
    o->cfg.ops->on_secure(o->cfg.ctx);
    o->cfg.ops->on_authenticated(o->cfg.ctx);
    stub_failed(o, END_PEER, NULL);
    expect_gone();
    assert_int_equal(stub_lines("asking for the port failed: the connection was closed"), 1);
}

static void opening_is_refused(void)
{
    static const struct {
        enum end_reason reason;
        const char *text;
    } rows[] = {
        {END_AUTH, "authentication failed, the server answered: the secret was rejected"},
        {END_REFUSED, "the server refused to forward the port: the port was refused"},
        {END_CERT, "TLS connection failed: the certificate was not accepted"},
        {END_REPLACED, "if both are wanted, give each its own -id"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        stub_connected(stub_dial(), 1);
        stub_failed(stub_opening(), rows[i].reason, NULL);
        expect_gone();
        assert_int_equal(stub_lines(rows[i].text), 1);
        stub_wait();
    }
}

static void reached_and_over(enum end_reason reason)
{
    stub_connected(stub_dial(), 1);
    struct opening *o = stub_opening();
    o->cfg.ops->on_secure(o->cfg.ctx);
    stub_failed(o, reason, NULL);
    expect_gone();
}

/* What the service manager shows begins so. */
static void expect_trouble(const char *text)
{
    if (strncmp(stub.client->trouble.text, text, strlen(text)) != 0)
        fail_msg("%s", stub.client->trouble.text);
}

/* A wrong secret is said once and then once an hour, and not asked for often, though a server that
   has had enough puts us off on any of its ways. The service manager shows it all the time. */
static void the_secret_is_wrong(void)
{
    static const enum end_reason put_off[] = {END_PUT_OFF, END_PEER, END_TLS, END_DEADLINE};
    reached_and_over(END_AUTH);
    assert_int_equal(stub_lines("the secret is not the server's"), 1);
    mtime_ms began = stub.now;
    stub_wait();
    for (unsigned i = 0; stub.now - began < 3000000; i++) {
        reached_and_over(i % 5 < ARRAY_LEN(put_off) ? put_off[i % 5] : END_AUTH);
        assert_int_equal(stub_lines(""), 0);
        assert_in_range(stub.wait, i < 3 ? 5000 : 30000, 60000);
        expect_trouble("the server refuses (");
        assert_non_null(strstr(stub.client->trouble.text, "the secret was rejected"));
        stub_wait();
    }
    while (stub.now - began <= 3600000) {
        reached_and_over(END_PUT_OFF);
        stub_wait();
    }
    assert_int_equal(stub_lines(""), 0);
    reached_and_over(END_AUTH);
    assert_int_equal(stub_lines("the server answered: the secret was rejected"), 1);
}

/* It is away: who comes back may be another. All is said again, and it is soon asked again. */
static void a_wrong_secret_is_forgotten(void)
{
    for (unsigned i = 0; i < 3; i++) {
        reached_and_over(END_AUTH);
        stub_wait();
    }
    (void)stub_lines("");
    expect_trouble("the server refuses (");
    stub_dial_failed(stub_dial(), ERR_NOMEM);
    expect_trouble("no tunnel: ");
    assert_int_equal(stub_lines("retrying in"), 1);
    assert_in_range(stub.wait, 100, 200);
    stub_wait();
    assert_int_equal(stub_lines("connecting to server"), 1);
    reached_and_over(END_AUTH);
    assert_int_equal(stub_lines("the secret is not the server's"), 1);
    stub_wait();
    reached_and_over(END_AUTH);
    stub_wait();
    (void)stub_lines("");
    (void)live(0);
    assert_int_equal(stub.client->rejections, 0);
    assert_string_equal(stub.client->trouble.text, "");
}

static void a_wrong_secret(void **state)
{
    (void)state;
    RUN("", the_secret_is_wrong);
    RUN("", a_wrong_secret_is_forgotten);
}

static void ways_out_of_opening(void **state)
{
    (void)state;
    RUN("", opening_cannot_begin);
    RUN("", opening_breaks_at_each_step);
    RUN("", opening_is_refused);
}

static unsigned says_it_waits(void)
{
    return stub_lines("the server has not answered yet");
}

/* A line once an open is out for seconds; neither after its end, nor for one that is over. */
static void the_answer_is_late(void)
{
    stub_connected(stub_dial(), 1);
    assert_int_equal(stub.answer_wait, 0);
    stub_asks(stub_opening(), 1);
    assert_int_equal(stub.answer_wait, 5000);
    stub_answer_late();
    assert_int_equal(says_it_waits(), 1);
    assert_int_equal(stub.answer_wait, 0);
    stub_failed(stub_opening(), END_PUT_OFF, NULL);
    stub_wait();

    stub_connected(stub_dial(), 1); /* each attempt has its own */
    stub_asks(stub_opening(), 2);
    assert_int_equal(stub.answer_wait, 5000);
    stub_failed(stub_opening(), END_AUTH, NULL);
    assert_int_equal(stub.answer_wait, 0);
    stub_wait();

    stub_connected(stub_dial(), 1); /* hardly a word after a rejection */
    stub_asks(stub_opening(), 3);
    (void)stub_lines("");
    stub_answer_late();
    assert_int_equal(says_it_waits(), 0);
    struct session *s = stub_accepted(stub_opening());
    assert_int_equal(stub.answer_wait, 0);

    s->state = LIFE_DETACHED; /* the end of another session is no answer */
    stub_beside(s);
    stub_wait();
    stub_connected(stub_dial(), 1);
    stub_asks(stub_opening(), 4);
    stub_over(s, END_EXPIRED);
    assert_int_equal(stub.answer_wait, 5000);
    s = stub_accepted(stub_opening());
    assert_int_equal(stub.answer_wait, 0);
}

/* It is over with the program. */
static void no_answer_before_the_end(void)
{
    stub_connected(stub_dial(), 1);
    stub_asks(stub_opening(), 1);
    stub_sigterm();
    stub_turn();
    assert_int_equal(stub.answer_wait, 0);
}

static void a_server_that_lets_wait_is_named(void **state)
{
    (void)state;
    RUN("", the_answer_is_late);
    RUN("", no_answer_before_the_end);
}

/* An address whose server did not answer is tried later; one that said no did answer. */
static void addresses(void)
{
    const struct path_memory *paths = &stub.client->paths;
    const struct hello_answer taken = {.error = HELLO_ERR_TAKEN}, busy = {.error = HELLO_ERR_BUSY};
    stub_connected(stub_dial(), 4);
    stub_failed(stub_opening(), END_AUTH, NULL);
    stub_wait();
    stub_connected(stub_dial(), 4);
    stub_failed(stub_opening(), END_REFUSED, NULL); /* an old server */
    stub_wait();
    stub_connected(stub_dial(), 4);
    stub_failed(stub_opening(), END_REFUSED, &busy);
    assert_int_equal(paths->nfailed, 0);
    assert_int_equal(paths->good.family, ADDRESS_NONE);

    stub_wait();
    stub_connected(stub_dial(), 4);
    stub_failed(stub_opening(), END_TLS, NULL);
    assert_int_equal(paths->nfailed, 1);
    assert_int_equal(paths->failed[0].address.ip[3], 4);
    stub_wait();
    stub_connected(stub_dial(), 5);
    stub_failed(stub_opening(), END_REFUSED, &taken); /* there is our own session */
    assert_int_equal(paths->good.ip[3], 5);
}

/* A session is opened beside one that is asked for, and the server has that: it hears of it. */
static void held(void)
{
    const struct hello_answer taken = {.error = HELLO_ERR_TAKEN}, busy = {.error = HELLO_ERR_BUSY};
    struct session *s = stub_up(1);
    s->state = LIFE_DETACHED;
    s->streams = 1;
    stub_beside(s);
    stub_wait();
    stub_connected(stub_dial(), 4);
    stub_failed(stub_opening(), END_REFUSED, &busy);
    assert_int_equal(s->taken, 0);
    stub_wait();
    stub_connected(stub_dial(), 5);
    stub_failed(stub_opening(), END_REFUSED, &taken);
    assert_int_equal(s->taken, 1);
}

static void a_session_that_the_server_has_is_asked_for(void **state)
{
    (void)state;
    RUN("", held);
}

static void an_address_that_answered_is_no_bad_one(void **state)
{
    (void)state;
    RUN("", addresses);
}

static void tls_failures(void)
{
    static const mtime_ms patience[] = {2000, 4000, 8000, 10000, 10000};
    for (size_t i = 0; i < ARRAY_LEN(patience); i++) {
        stub_connected(stub_dial(), 1);
        mtime_ms all = patience[i] + 4 * TCP_MS;
        assert_int_equal(stub_opening()->cfg.handshake_ms, all < TLS_MOST_MS ? all : TLS_MOST_MS);
        stub_failed(stub_opening(), END_TLS, NULL);
        stub_wait();
    }
    stub_over(stub_up(1), END_PEER);
    stub_wait();
    stub_connected(stub_dial(), 1);
    assert_int_equal(stub_opening()->cfg.handshake_ms, 2000 + 4 * TCP_MS);
}

static void a_slow_handshake_gets_longer_each_time(void **state)
{
    (void)state;
    RUN("", tls_failures);
}

static void status_in_each_state(void)
{
    stub_sigusr1();
    assert_int_equal(stub_lines("status: server 192.0.2.1:7000, id laptop: connecting, 0"), 1);
    stub_connected(stub_dial(), 1);
    stub_sigusr1();
    assert_int_equal(stub_lines("id laptop: opening, 0"), 1);
    stub_asks(stub_opening(), 1);
    struct session *s = stub_accepted(stub_opening());
    s->streams = 2;
    stub_sigusr1();
    assert_int_equal(stub_lines("id laptop: up, 2"), 1);
    s->state = LIFE_SUSPECTED;
    stub_sigusr1();
    assert_int_equal(stub_lines("id laptop: does not answer, 2"), 1);
    s->state = LIFE_DETACHED;
    stub_sigusr1();
    assert_int_equal(stub_lines("id laptop: broken, to be resumed, 2"), 1);
    s->state = LIFE_UP;
    s->service = LIFE_DRAINING;
    stub_sigusr1();
    assert_int_equal(stub_lines("id laptop: lets its connections finish, 2"), 1);
    stub_over(s, END_DRAINED);
    (void)stub_lines("");
    stub_sigusr1();
    assert_int_equal(stub_lines("id laptop: waits before it connects again, 0"), 1);
}

static void a_person_who_asks_hears_the_state(void **state)
{
    (void)state;
    RUN("", status_in_each_state);
}

/* ---- dials of a session ---- */

static void redials(void)
{
    struct session *s = live(1);
    s->rtt_us = 30000;
    s->ops->on_dial(s->ctx, 3000, MTIME_NEVER, false);
    struct dial *d = stub_dial();
    assert_int_equal(d->cfg.patience_ms, 3000);
    assert_int_equal(d->cfg.last_start, 0);
    assert_int_equal(d->cfg.rtt_ms, 30);
    assert_true(d->cfg.renew && !d->cfg.small_mss);
    assert_int_equal(d->cfg.n_extra, 1); /* where it is, whatever the name says */
    assert_true(address_equal(&d->extra, &s->at));
    s->ops->on_dial_hurry(s->ctx, stub.now + 5);
    assert_int_equal(d->hurried_at, stub.now + 5);

    s->ops->on_dial(s->ctx, 4000, 77, true); /* the later one counts */
    assert_true(d->cancelled);
    d = stub_dial();
    assert_int_equal(d->cfg.last_start, 77);
    assert_true(d->cfg.small_mss);
    assert_int_equal(stub_dials(), 1);

    stub_dial_failed(d, ERR_TIMEOUT);
    assert_int_equal(s->dials_answered, 1);
    assert_int_equal(s->answer, ERR_TIMEOUT);
    assert_string_equal(s->why.text, "timed out");
    s->ops->on_dial_hurry(s->ctx, 0); /* harmless without one */

    s->ops->on_dial(s->ctx, 4000, MTIME_NEVER, false);
    stub_connected(stub_dial(), 6);
    assert_int_equal(s->answer, 106);
    s->ops->on_address_failed(s->ctx);
    assert_int_equal(stub.client->paths.failed[0].address.ip[3], 6);
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED}});
    assert_int_equal(stub.client->paths.good.ip[3], 6);

    s->ops->on_dial(s->ctx, 4000, MTIME_NEVER, false);
    s->ops->on_dial_cancel(s->ctx);
    assert_int_equal(stub_dials(), 0);
    s->ops->on_dial_cancel(s->ctx); /* harmless without one */

    stub.dial_err = ERR_NOMEM;
    s->ops->on_dial(s->ctx, 4000, MTIME_NEVER, false);
    assert_int_equal(s->answer, ERR_NOMEM);
    assert_int_equal(s->dials_answered, 3);
}

/* The one that brought a crash: the dial must not come back to a session that is over. */
static void over_while_dialling(void)
{
    struct session *s = live(1);
    s->ops->on_dial(s->ctx, 3000, MTIME_NEVER, false);
    struct dial *d = stub_dial();
    stub_over(s, END_EXPIRED);
    assert_true(d->cancelled);
    expect_gone();
}

static void a_session_that_wants_a_connection_dials(void **state)
{
    (void)state;
    RUN("", redials);
    RUN("", over_while_dialling);
}

/* ---- what is told ---- */

static void attempt_tells(struct session *s, enum life_answer a)
{
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_ATTEMPT, .answer = a}});
}

static void dial_tells(struct session *s, const char *text)
{
    (void)snprintf(stub.text, sizeof stub.text, "%s", text);
    s->ops->on_dial(s->ctx, 3000, MTIME_NEVER, false);
    struct dial *d = stub_dial();
    d->cfg.note(d->ctx, &(struct dial_result){.err = ERR_IO});
    stub_dial_failed(d, ERR_IO);
}

static void reasons_of_a_gap(void)
{
    static const char told[] = "the session is not resumed yet: ";
    struct session *s = live(1);
    for (int i = 0; i < 3; i++) {
        dial_tells(s, "refused");
        attempt_tells(s, LIFE_ANSWER_BUSY);
        dial_tells(s, "no route");
    }
    assert_int_equal(stub_lines(told), 3); /* each once, by whatever way it comes */
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED}});
    dial_tells(s, "refused");
    assert_int_equal(stub_lines("not resumed yet: refused"), 1); /* the next gap */
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_RECOVERED}});
    dial_tells(s, "refused");
    assert_int_equal(stub_lines("not resumed yet: refused"), 1);
}

static void reasons_without_end(void)
{
    struct session *s = live(1);
    for (int i = 0; i < 3 * UPLINK_REASONS_MAX; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "reason %d", i);
        dial_tells(s, text);
    }
    assert_int_equal(stub_lines("not resumed yet: reason "), UPLINK_REASONS_MAX);
}

static void reasons_nobody_waits_for(void)
{
    struct session *s = live(0);
    dial_tells(s, "refused");
    assert_int_equal(stub_lines("refused"), 0);
    s->streams = 1;
    dial_tells(s, "refused");
    assert_int_equal(stub_lines("not resumed yet: refused"), 1);
    s->window_ms = 0; /* it will not be resumed */
    dial_tells(s, "no route");
    assert_int_equal(stub_lines("no other connection to the server yet: no route"), 1);
}

static void a_reason_is_told_once_a_gap(void **state)
{
    (void)state;
    RUN("", reasons_of_a_gap);
    RUN("", reasons_without_end);
    RUN("", reasons_nobody_waits_for);
}

static void answers(void)
{
    static const struct {
        enum life_answer answer;
        const char *text;
    } rows[] = {
        {LIFE_ANSWER_UNKNOWN, "does not know the session"},
        {LIFE_ANSWER_DRAINING, "is stopping"},
        {LIFE_ANSWER_BUSY, "has no room now"},
        {LIFE_ANSWER_STALE, "has seen a newer attempt"},
        {LIFE_ANSWER_RANGE, "does not keep what was missed"},
        {LIFE_ANSWER_FAILED, "no answer in time"},
    };
    struct session *s = live(1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        attempt_tells(s, rows[i].answer);
        assert_int_equal(stub_lines(rows[i].text), 1);
    }
}

static void lines(void)
{
    static const struct {
        struct life_action a;
        const char *text;
    } rows[] = {
        {{.tell = {.what = LIFE_TELL_SUSPECTED}}, "the network has changed"},
        {{.tell = {.what = LIFE_TELL_SUSPECTED, .ms = 3100}}, "not answered for 3.1 seconds"},
        {{.tell = {.what = LIFE_TELL_DETACHED, .loss = LIFE_LOSS_SILENT, .ms = 60000}},
         "broke: nothing was heard from the other side for too long; 2 connections wait for up to "
         "60"},
        {{.tell = {.what = LIFE_TELL_DETACHED, .loss = LIFE_LOSS_FIN, .ms = 60000}},
         "broke: the connection was closed by the other side; 2 connections"},
        {{.tell = {.what = LIFE_TELL_RESUMED, .ms = 6700}}, "goes on after 6.7 seconds, with 2"},
        {{.tell = {.what = LIFE_TELL_MTU}}, "MTU?"},
        {{.tell = {.what = LIFE_TELL_IDLE_CUT, .ms = 30000}}, "idle for 30 seconds"},
        {{.tell = {.what = LIFE_TELL_DRAINING, .ms = 1}},
         "2 connections may finish, for up to 1 s"},
        {{.tell = {.what = LIFE_TELL_CUT}}, "the time to finish is over: 2 connections were cut"},
    };
    struct session *s = live(2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        stub_tell(s, rows[i].a);
        assert_int_equal(stub_lines(rows[i].text), 1);
    }
    struct life_action a = rows[2].a; /* the same again: for the debug log */
    a.tell.again = true;
    stub_tell(s, a);
    assert_int_equal(stub_lines("broke"), 0);
}

/* Scripts look for these words, however many there are. */
static void a_line_of_one(void)
{
    struct session *s = live(1);
    stub_tell(s, (struct life_action){.tell = {.what = LIFE_TELL_DETACHED, .ms = 60000}});
    assert_int_equal(stub_lines("1 connection will wait for up to 60 s"), 1);
}

static void what_a_session_tells_is_a_line(void **state)
{
    (void)state;
    RUN("", answers);
    RUN("", lines);
    RUN("", a_line_of_one);
}

/* ---- who it is ---- */

static struct opening *next_open(void)
{
    stub_wait();
    stub_connected(stub_dial(), 1);
    return stub_opening();
}

static void names(const struct opening *o, const char *nonces)
{
    assert_int_equal(o->cfg.mine.count, strlen(nonces));
    for (size_t i = 0; i < strlen(nonces); i++)
        assert_int_equal(o->cfg.mine.nonces[i][0], nonces[i] - '0');
}

static void mine(void)
{
    const struct hello_answer busy = {.error = HELLO_ERR_BUSY};
    stub_over(stub_up(1), END_PEER); /* a cut: it may be there still */
    struct opening *o = next_open();
    assert_false(o->cfg.take); /* a new process takes, once */
    names(o, "1");
    stub_asks(o, 2);
    stub_failed(o, END_REFUSED, &busy); /* there is no such session */
    o = next_open();
    names(o, "1");
    stub_asks(o, 3);
    stub_failed(o, END_PEER, NULL); /* an answer may have been on its way */
    o = next_open();
    names(o, "31");
    stub_asks(o, 4);
    stub_over(stub_accepted(o), END_REPLACED); /* its server said so */
    o = next_open();
    names(o, "31");
    stub_asks(o, 5);
    stub_over(stub_accepted(o), END_DRAINED);
    names(next_open(), "31");
}

/* One that is still asked for must not be ended by the open beside it. */
static void mine_but_resuming(void)
{
    struct session *s = stub_up(1);
    s->state = LIFE_DETACHED;
    stub_beside(s);
    struct opening *o = next_open();
    names(o, "");
    stub_asks(o, 2);
    (void)stub_accepted(o);
    stub_over(s, END_EXPIRED);
    stub_over(stub_session(), END_PEER);
    names(next_open(), "21");
}

static void an_open_names_those_that_may_be_there(void **state)
{
    (void)state;
    RUN("", mine);
    RUN("", mine_but_resuming);
}

/* ---- users ---- */

static void users(void)
{
    struct session *s = live(0);
    struct smux_stream first = {false}, late = {false};
    stub_stream(s, &first);
    assert_int_equal(stub.client->relays.count, 1);
    assert_int_equal(stub_dial()->cfg.port, 80); /* the service's */
    s->streams = 1;
    stub_sigterm();
    stub_stream(s, &late);
    assert_true(late.is_reset && late.code == SMUX_RST_SHUTDOWN);
    assert_false(first.is_reset);
    assert_int_equal(stub.client->relays.count, 1);
}

static void new_users_are_served_until_it_stops(void **state)
{
    (void)state;
    RUN("", users);
}

/* ---- options ---- */

static void other_options(void)
{
    struct client *c = stub.client;
    struct session *s = live(0);
    struct snapshot *first = c->options, *second = snapshot_new(&client_mode);
    struct client_options *draft = snapshot_draft(second);
    draft->server = "192.0.2.9:7000";
    draft->remote_port = 9999;
    assert_int_equal(snapshot_seal(second), 0);
    c->options = second;
    c->opt = snapshot_client(second);
    snapshot_unref(first);
    stub_sigusr1();
    assert_int_equal(stub_lines("status: server 192.0.2.1:7000"), 1);
    s->state = LIFE_DETACHED;
    stub_beside(s);
    stub_wait();
    stub_connected(stub_dial(), 1);
    assert_int_equal(stub_opening()->cfg.port, 9999);
    stub_over(s, END_EXPIRED);
    stub_sigusr1();
    assert_int_equal(stub_lines("status: server 192.0.2.9:7000"), 1);
}

static void an_uplink_keeps_the_options_it_began_with(void **state)
{
    (void)state;
    RUN("", other_options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_uplink_dials_opens_serves_and_ends),
        cmocka_unit_test(ways_out_of_dialling),
        cmocka_unit_test(ways_out_of_opening),
        cmocka_unit_test(a_wrong_secret),
        cmocka_unit_test(a_server_that_lets_wait_is_named),
        cmocka_unit_test(an_address_that_answered_is_no_bad_one),
        cmocka_unit_test(a_session_that_the_server_has_is_asked_for),
        cmocka_unit_test(a_slow_handshake_gets_longer_each_time),
        cmocka_unit_test(a_person_who_asks_hears_the_state),
        cmocka_unit_test(a_session_that_wants_a_connection_dials),
        cmocka_unit_test(a_reason_is_told_once_a_gap),
        cmocka_unit_test(what_a_session_tells_is_a_line),
        cmocka_unit_test(an_open_names_those_that_may_be_there),
        cmocka_unit_test(new_users_are_served_until_it_stops),
        cmocka_unit_test(an_uplink_keeps_the_options_it_began_with),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stub_reset();
    return failed;
}
