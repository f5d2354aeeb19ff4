/* SPDX-License-Identifier: MIT */
/* One client at its worker: the messages of the main thread, what its opening and its session tell,
 * in any order, and what comes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit.h"
#include "proto/hash.h"

/* ---- stubs ---- */

void worker_full(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("full");
}

void worker_agent_gone(struct worker *w)
{
    assert_ptr_equal(w, &kit.worker);
    kit_did("gone");
}

/* ---- the way to a session ---- */

static struct agent *come(char letter)
{
    struct agent *a = kit_agent(letter, "192.0.2.1:4711");
    agent_init(a);
    kit_run(&a->orders.begin);
    return a;
}

/* The opening tells that the client asks for a session. */
static void ask_session(struct agent *a, const char *id)
{
    static struct hello_request open;
    static const uint8_t sid[HELLO_SID_BYTES] = {7};
    struct opening_ask asked = {.is_v2 = true, .sid = sid, .open = &open};
    open = (struct hello_request){.take = true};
    (void)strncpy(open.id, id, sizeof open.id - 1);
    a->work.opening->cfg.ops->on_asked(a, &asked);
}

/* ... on the legacy wire for a port. */
static void ask(struct agent *a, int64_t port)
{
    struct opening_ask asked = {.port = port};
    a->work.opening->cfg.ops->on_authenticated(a);
    a->work.opening->cfg.ops->on_asked(a, &asked);
}

static struct agent *serve(void)
{
    struct agent *a = come('a');
    ask(a, 8080);
    kit_run(&a->orders.open_port);
    kit_run(&a->orders.accept);
    assert_ptr_equal(a->work.session, &kit.session);
    *kit.did = *kit.lines = '\0';
    return a;
}

/* The session is over: told by the loop. */
static void over(struct agent *a, enum end_reason reason)
{
    a->work.session->ops->on_closed(a, reason, &(struct errmsg){""});
}

/* The main thread has forgotten it. */
static void forget(struct agent *a)
{
    kit_run(&a->orders.forgotten);
    kit_forget(a);
}

static void tell(struct agent *a, struct life_action what)
{
    what.kind = LIFE_TELL;
    a->work.session->ops->on_tell(a, &what, &(struct errmsg){""});
}

/* Its tunnels are opened in the session, which needs nothing but its id. */
static void a_client_proves_itself_and_asks(void **state)
{
    struct agent *a = come('a');
    (void)state;
    ask_session(a, "nas");
    KIT_DID("a>auth_ok a>asked ");
    assert_string_equal(a->name, "192.0.2.1:4711 nas");
    assert_string_equal(a->who.id, "nas");
    assert_int_equal(a->claim.wanted, CLAIM_NO_PORT);
    assert_true(a->who.take);
    assert_int_equal(a->sid[0], 7);
    KIT_LINES("client 192.0.2.1:4711 nas passed PSK authentication\n");
    kit_run(&a->orders.accept);
    KIT_DID("accepted-portless name:192.0.2.1:4711 nas services ");
    assert_ptr_equal(a->work.session, &kit.session);
    over(a, END_PEER);
    KIT_DID("a>ended ");
    assert_int_equal(kit_count("listen"), 0);
    forget(a);
}

static void without_memory_for_its_tunnels_the_session_ends(void **state)
{
    struct agent *a = come('a');
    (void)state;
    kit.services_err = ERR_NOMEM;
    ask_session(a, "nas");
    *kit.did = '\0';
    kit_run(&a->orders.accept);
    KIT_DID("accepted-portless name:192.0.2.1:4711 nas services session-close:local ");
    over(a, END_LOCAL);
    forget(a);
}

/* ---- what a session's life may put into the log ---- */

static void cut_and_resume(struct agent *a)
{
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_DETACHED, .ms = 60000}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED, .ms = 100}});
}

static void a_client_that_cuts_in_a_loop_fills_no_disk(void **state)
{
    struct agent *a = serve();
    (void)state;
    for (int i = 0; i < 1000; i++)
        cut_and_resume(a);
    assert_int_equal(kit_count(""), LOG_BUDGET_BURST);
    assert_int_equal(kit_count("the connection broke"), LOG_BUDGET_BURST / 2); /* the first ones */
    *kit.lines = '\0';
    kit.now += LOG_BUDGET_EVERY_MS;
    cut_and_resume(a);
    KIT_LINES("[192.0.2.1:4711] 1940 more lines were left out\n"
              "[192.0.2.1:4711] the connection broke: the connection was closed by the other "
              "side; its users wait for up to 60 seconds\n");
    over(a, END_PEER);
    KIT_LINES("[192.0.2.1:4711] 1 more line was left out\n"
              "[192.0.2.1:4711] session ended: the connection was closed by the other side\n"
              "[192.0.2.1:4711] the smux session is closed, closing the public listener "
              "[::]:8080\n");
    forget(a);
}

static void open_and_end(void)
{
    struct agent *a = come('a');
    ask(a, 8080);
    kit_run(&a->orders.open_port);
    kit_run(&a->orders.accept);
    over(a, END_PEER);
    forget(a);
    *kit.did = '\0';
    kit.openings_count = 0;
}

/* Nor one that opens sessions and ends them; one a second has its lines, and says what had none. */
static void a_client_that_opens_in_a_loop_fills_no_disk(void **state)
{
    enum { LINES = 7, ENDS = 2 };
    (void)state;
    for (int i = 0; i < 500; i++)
        open_and_end();
    assert_int_equal(kit_count(""), LOG_BUDGET_BURST * (LINES + ENDS));
    *kit.lines = '\0';
    kit.now += LOG_BUDGET_EVERY_MS;
    open_and_end();
    open_and_end();
    assert_int_equal(kit_count(""), LINES + ENDS + 1);
    assert_int_equal(kit_count("[192.0.2.1:4711] 440 more sessions of its source have no"), 1);
    *kit.lines = '\0';
    struct agent *a = come('a'); /* one without lines */
    ask(a, 8080);
    kit_run(&a->orders.open_port);
    kit_run(&a->orders.accept);
    KIT_LINES("");
    over(a, END_PEER);
    KIT_LINES("");
    forget(a);
}

/* One that authenticates with a key, or without one. */
static struct agent *come_with(const char *peer, const char *key)
{
    static struct hello_request open;
    static const uint8_t sid[HELLO_SID_BYTES] = {7};
    struct opening_ask asked = {.is_v2 = true, .sid = sid, .open = &open};
    struct agent *a = kit_agent('a', peer);
    (void)snprintf(a->source, sizeof a->source, "%.*s", (int)strcspn(peer, ":"), peer);
    agent_init(a);
    kit_run(&a->orders.begin);
    open = (struct hello_request){.id = "nas"};
    (void)strncpy(open.key, key, sizeof open.key - 1);
    a->work.opening->cfg.ops->on_asked(a, &asked);
    kit_run(&a->orders.accept);
    *kit.did = *kit.lines = '\0';
    kit.openings_count = 0;
    return a;
}

/* So many lines of cuts it has, if it cuts again and again. */
static unsigned cut_for_long(struct agent *a)
{
    for (int i = 0; i < 2 * LOG_BUDGET_BURST; i++)
        cut_and_resume(a);
    unsigned n = kit_count("");
    over(a, END_PEER);
    forget(a);
    *kit.did = *kit.lines = '\0';
    return n;
}

/* Nor one that begins anew whenever the lines of its session are used up. */
static void all_sessions_of_a_key_have_one_budget(void **state)
{
    (void)state;
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4711", "nas")), LOG_BUDGET_BURST);
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4712", "nas")), 0);
    assert_int_equal(cut_for_long(come_with("192.0.2.2:4711", "nas")), 0); /* from elsewhere, too */
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4711", "laptop")), LOG_BUDGET_BURST);
    kit.now += LOG_BUDGET_EVERY_MS;
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4713", "nas")), 1);
}

static void all_sessions_of_a_source_have_one_budget(void **state)
{
    (void)state;
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4711", "")), LOG_BUDGET_BURST);
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4712", "")), 0);
    assert_int_equal(cut_for_long(come_with("192.0.2.2:4711", "")), LOG_BUDGET_BURST);
    assert_int_equal(cut_for_long(come_with("192.0.2.1:4713", "nas")), LOG_BUDGET_BURST);
}

/* What a session says once is said, however much was left out before it. */
static void what_is_said_once_needs_no_room(void **state)
{
    struct agent *a = serve();
    (void)state;
    for (int i = 0; i < 100; i++)
        cut_and_resume(a);
    *kit.lines = '\0';
    a->work.session->streams = 2;
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_MTU}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_IDLE_CUT, .ms = 3000}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_DRAINING, .ms = 29001}});
    tell(a, (struct life_action){.tell = {.what = LIFE_TELL_CUT}});
    KIT_LINES("[192.0.2.1:4711] small packets pass, large ones do not: MTU?\n"
              "[192.0.2.1:4711] something on the way cuts connections that are idle for 3 "
              "seconds\n"
              "[192.0.2.1:4711] stops: 2 connections may finish, for up to 30 s\n"
              "[192.0.2.1:4711] the time to finish is over: 2 connections were cut\n");
    over(a, END_PEER);
    forget(a);
}

/* What is said again goes to the debug log, and costs nothing here. */
static void repeats_cost_nothing(void **state)
{
    struct agent *a = serve();
    (void)state;
    for (int i = 0; i < 1000; i++)
        tell(a, (struct life_action){.tell = {.what = LIFE_TELL_RESUMED, .again = true}});
    KIT_LINES("");
    cut_and_resume(a);
    assert_int_equal(kit_count(""), 2);
    over(a, END_PEER);
    forget(a);
}

static void users_who_are_not_served_fill_no_disk(void **state)
{
    struct agent *a = serve();
    (void)state;
    kit.stream_err = ERR_LIMIT;
    for (int i = 0; i < 1000; i++)
        kit.listener.ev->on_accept(kit.listener.ctx, 50, NULL);
    assert_int_equal(kit_count("cannot open a new stream"), LOG_BUDGET_BURST);
    *kit.lines = '\0';
    cut_and_resume(a); /* they take no room from the session's own lines */
    assert_int_equal(kit_count(""), 2);
    over(a, END_PEER);
    assert_int_equal(kit_count("940 more lines were left out"), 1);
    forget(a);
}

/* ---- proof and claim ---- */

static void a_port_of_the_legacy_wire(void **state)
{
    struct agent *a = come('a');
    (void)state;
    ask(a, 8080);
    KIT_DID("a>auth_ok a>asked ");
    assert_int_equal(a->claim.wanted, 8080);
    kit_run(&a->orders.open_port);
    KIT_DID("listen:8080 a>opened ");
    assert_int_equal(a->work.opened_port, 8080);
    assert_true(kit.listener.paused);
    kit_run(&a->orders.accept);
    KIT_DID("accepted name:192.0.2.1:4711 ");
    assert_false(kit.listener.paused);
    assert_true(a->work.session->client == hash_text(a->source));
    over(a, END_PEER);
    KIT_DID("unlisten a>ended ");
    forget(a);
    KIT_DID("gone ");
    assert_true(list_empty(&kit.worker.agents));
}

static void a_line_is_judged_when_it_is_told(void **state)
{
    struct agent *a = come('a');
    (void)state;
    a->work.opening->cfg.ops->on_line(a, "nas");
    KIT_DID("a>line ");
    assert_string_equal(a->line_id, "nas");
    kit_run(&a->orders.judge);
    KIT_DID("judged ");
    const struct opening_barred barred = {"nas", CREDENTIALS_DISABLED};
    a->work.opening->cfg.ops->on_auth_failed(a, NULL);
    KIT_DID("a>auth_failed ");
    assert_int_equal(a->barred, CREDENTIALS_RIGHT);
    a->work.opening->cfg.ops->on_auth_failed(a, &barred);
    KIT_DID("a>auth_failed ");
    assert_int_equal(a->barred, CREDENTIALS_DISABLED);
    assert_string_equal(a->who.key, "nas");
    a->work.opening->cfg.ops->on_failed(a, END_AUTH, NULL, &(struct errmsg){""});
    KIT_DID("a>ended ");
    assert_int_equal(a->work.reason, END_AUTH);
    KIT_LINES("");             /* the main thread has written of it */
    kit_run(&a->orders.judge); /* too late */
    kit_run(&a->orders.turn_away);
    KIT_DID("");
    forget(a);
}

/* What is refused here needs no registry; the word says why. */
static void a_port_that_may_not_be_had(void **state)
{
    static const struct {
        int64_t port;
        const char *did;
    } cases[] = {
        {-1, "a>auth_ok refused::range "},  {65536, "a>auth_ok refused::range "},
        {7999, "a>auth_ok refused::perm "}, {8999, "a>auth_ok a>asked "},
        {0, "a>auth_ok refused::perm "},
    };
    (void)state;
    kit.opt.allow_ports = (struct ports){.ranges = {{8000, 8999}}, .count = 1};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent *a = come('a');
        ask(a, cases[i].port);
        KIT_DID(cases[i].did);
        agent_close(a);
        forget(a);
        *kit.did = '\0';
    }
}

static void a_port_that_cannot_be_had(void **state)
{
    static const struct {
        int err;
        const char *word;
    } cases[] = {
        {ERR_PERM, "perm"}, {ERR_INUSE, "inuse"}, {ERR_LIMIT, "io"},
        {ERR_NOMEM, "io"},  {ERR_IO, "io"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent *a = come('a');
        char expected[80];
        ask(a, 80);
        *kit.did = '\0';
        kit.listen_err = cases[i].err;
        a->work.opened_port = 1; /* not what an earlier one has left */
        kit_run(&a->orders.open_port);
        (void)snprintf(expected, sizeof expected, "listen:80 refused::%s a>opened ", cases[i].word);
        KIT_DID(expected);
        assert_int_equal(a->work.opened_port, 0);
        if (cases[i].err == ERR_PERM) /* it says what to do */
            assert_non_null(strstr(kit.lines,
                                   " :80: the server has no permission to open it: ports "
                                   "below 1024 need CAP_NET_BIND_SERVICE there"));
        agent_close(a);
        forget(a);
        *kit.did = '\0';
    }
}

/* The legacy wire: proof and claim are two messages, and there is no id. */
static void an_original_asks(void **state)
{
    struct agent *a = come('a');
    struct opening_ask asked = {.port = 8080};
    (void)state;
    a->work.opening->cfg.ops->on_authenticated(a);
    KIT_DID("a>auth_ok ");
    a->work.opening->cfg.ops->on_asked(a, &asked);
    KIT_DID("a>asked ");
    assert_string_equal(a->name, "192.0.2.1:4711");
    assert_string_equal(a->who.id, "");
    assert_false(a->is_v2);
    *kit.lines = '\0';
    asked.err = ERR_PROTO;
    a->work.opening->cfg.ops->on_asked(a, &asked);
    KIT_DID("refused::proto ");
    assert_int_equal(kit_count("the control message is not understood"), 1);
    agent_close(a);
    forget(a);
}

/* ---- in odd orders ---- */

/* Its place is taken while it is still asked for: there is no session to end; the refusal follows. */
static void an_eviction_before_the_refusal(void **state)
{
    struct agent *a = come('a');
    (void)state;
    ask_session(a, "nas");
    *kit.did = '\0';
    kit_run(&a->orders.evict);
    KIT_DID("");
    a->main.refusal.answer = (struct hello_answer){.error = HELLO_ERR_TAKEN};
    kit_run(&a->orders.refuse);
    KIT_DID("refused:taken: ");
    a->work.opening->cfg.ops->on_failed(a, END_REFUSED, NULL, &(struct errmsg){""});
    KIT_DID("a>ended ");
    assert_int_equal(kit_count("session ended"), 0); /* it has its line */
    forget(a);
}

static void a_refusal_after_the_eviction_of_a_session(void **state)
{
    struct agent *a = serve();
    (void)state;
    kit_run(&a->orders.evict);
    KIT_DID("session-close:replaced ");
    kit_run(&a->orders.refuse);
    KIT_DID("unlisten "); /* there is no opening to be told */
    over(a, END_REPLACED);
    KIT_DID("a>ended ");
    kit_run(&a->orders.evict);
    KIT_DID("");
    forget(a);
}

/* What the main thread said before it heard of the end: nothing is answered, and it may be
   forgotten right behind. */
static void after_ended_nothing_is_said(void **state)
{
    struct agent *a = come('a');
    (void)state;
    ask(a, 8080);
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    *kit.did = '\0';
    kit_run(&a->orders.open_port);
    kit_run(&a->orders.accept);
    kit_run(&a->orders.refuse);
    kit_run(&a->orders.evict);
    kit_run(&a->orders.expire);
    kit_run(&a->orders.drop);
    kit_run(&a->orders.judge);
    kit_run(&a->orders.turn_away);
    agent_stop(a, 1000);
    agent_close(a);
    agent_tell(a);
    KIT_DID("");
    assert_int_equal(kit_count("status"), 0);
    forget(a);
    KIT_DID("gone ");
}

/* ---- a port that is allowed no more ---- */

static const struct ports others = {.ranges = {{8000, 8079}}, .count = 1};

static void a_reload_closes_a_port_that_is_not_allowed_any_more(void **state)
{
    struct agent *a = serve();
    (void)state;
    *kit.did = '\0';
    kit.opt.allow_ports = (struct ports){.ranges = {{8080, 8080}}, .count = 1};
    agent_look_at_port(a);
    KIT_DID("");
    kit.opt.allow_ports = others;
    agent_look_at_port(a);
    KIT_DID("session-stop:30000 "); /* what runs may finish */
    assert_int_equal(kit_count("is no longer allowed"), 1);
    struct agent *b = come('b'); /* has no port to lose */
    agent_look_at_port(b);
    KIT_DID("");
    agent_close(a);
    agent_close(b);
    *kit.did = '\0';
    over(a, END_SHUTDOWN);
    forget(a);
    forget(b);
}

/* Between the question and the port, and between the port and the answer. */
static void a_reload_while_a_port_is_opened(void **state)
{
    struct agent *a = come('a'), *b = come('b');
    (void)state;
    ask(a, 8080);
    ask(b, 8080);
    kit_run(&b->orders.open_port);
    *kit.did = '\0';
    kit.opt.allow_ports = others;
    kit_run(&a->orders.open_port);
    KIT_DID("refused::perm a>opened ");
    assert_int_equal(a->work.opened_port, 0);
    kit_run(&b->orders.accept);
    assert_non_null(strstr(kit.did, "session-stop:30000 "));
    agent_close(a);
    agent_close(b);
    over(b, END_SHUTDOWN);
    forget(a);
    forget(b);
}

static void an_accept_that_breaks_ends_once(void **state)
{
    struct agent *a = come('a');
    (void)state;
    ask(a, 8080);
    kit_run(&a->orders.open_port);
    *kit.did = '\0';
    kit.accept_breaks = true;
    kit_run(&a->orders.accept);
    KIT_DID("accepted ");
    assert_null(a->work.session);
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){""});
    KIT_DID("unlisten a>ended ");
    forget(a);
}

static void a_client_that_cannot_begin_has_ended(void **state)
{
    (void)state;
    kit.opening_err = ERR_NOMEM;
    struct agent *a = come('a');
    KIT_DID("a>ended ");
    assert_int_equal(a->work.reason, END_LOCAL);
    KIT_LINES("");
    forget(a);
}

static void who_is_dropped_has_not_asked(void **state)
{
    struct agent *a = come('a'), *b = come('b'), *c = come('c');
    (void)state;
    kit_run(&a->orders.drop);
    KIT_DID("opening-close a>ended ");
    assert_int_equal(a->work.reason, END_LOCAL);
    assert_non_null(strstr(a->work.why.text, "too many connections"));
    ask(b, 8080);
    *kit.did = '\0';
    kit_run(&b->orders.drop); /* it was on its way */
    KIT_DID("");
    c->work.opening->cfg.ops->on_authenticated(
        c); /* the legacy wire: the question follows, or not */
    *kit.did = *kit.lines = '\0';
    kit_run(&c->orders.drop);
    KIT_DID("opening-close c>ended ");
    assert_int_equal(kit_count("too many connections that have asked for nothing yet"), 1);
    forget(c);
    forget(a);
    agent_close(b);
    forget(b);
}

/* ---- the port of a session that is away ---- */

static void who_drains_has_no_port(void **state)
{
    struct agent *a = serve();
    (void)state;
    a->work.session->ops->on_close_ports(a); /* GOAWAY */
    KIT_DID("unlisten a>released ");
    over(a, END_DRAINED);
    assert_int_equal(kit_count("closing the public listener"), 0); /* nor at the end */
    forget(a);
}

/* ---- waiting ---- */

static void what_waits_is_counted(void **state)
{
    struct agent *a = serve();
    (void)state;
    kit.session.streams = 3;
    a->work.session->ops->on_waiting(a, true, 0); /* it waits, and holds nothing */
    KIT_DID("a>waits ");
    assert_int_equal(atomic_load(&a->work.waiting_bytes), 1);
    assert_int_equal(atomic_load(&a->work.waiting_streams), 3);
    a->work.session->ops->on_waiting(a, true, 5000);
    assert_int_equal(atomic_load(&a->work.waiting_bytes), 5001);
    a->work.session->ops->on_waiting(a, false, 0);
    assert_int_equal(atomic_load(&a->work.waiting_bytes), 0);
    over(a, END_PEER);
    forget(a);
}

static void who_is_back_does_not_expire(void **state)
{
    struct agent *a = serve();
    (void)state;
    kit_run(&a->orders.expire);
    KIT_DID("");
    kit.session.state = LIFE_DETACHED;
    kit_run(&a->orders.expire);
    KIT_DID("session-close:expired ");
    assert_string_equal(kit.session.why.text, "too much waits for clients that are away");
    over(a, END_EXPIRED);
    forget(a);
}

static void users_hear_of_it(void **state)
{
    struct agent *a = serve();
    (void)state;
    a->work.session->ops->on_users(a, SESSION_USERS_HOLD);
    assert_true(kit.listener.paused);
    a->work.session->ops->on_users(a, SESSION_USERS_ADMIT);
    assert_false(kit.listener.paused);
    over(a, END_PEER);
    forget(a);
}

static void a_new_port_of_a_full_server_waits(void **state)
{
    (void)state;
    quota_init(&kit.srv.connections, 1);
    quota_take(&kit.srv.connections);
    struct agent *a = come('a');
    ask(a, 8080);
    kit_run(&a->orders.open_port);
    *kit.did = '\0';
    kit_run(&a->orders.accept);
    KIT_DID("accepted name:192.0.2.1:4711 full ");
    over(a, END_PEER);
    forget(a);
}

/* ---- connections that resume ---- */

static struct agent *resume(char letter)
{
    struct agent *a = come(letter);
    a->work.opening->cfg.ops->on_resume(a, &(struct handover){.epoch = 1});
    return a;
}

static void a_connection_is_given_to_its_session(void **state)
{
    struct agent *t = serve();
    struct agent *b = resume('b');
    (void)state;
    KIT_DID("b>resume ");
    agent_close(b); /* it is on its way: this worker says no more of it */
    agent_stop(b, 1000);
    KIT_DID("");
    b->main.target = t;
    kit.resume_error = HELLO_ERR_STALE;
    kit_run(&b->orders.attach);
    KIT_DID("session-resume b>ended ");
    assert_int_equal(b->handover_error, HELLO_ERR_STALE);
    assert_int_equal(b->work.reason, END_MOVED);
    forget(b);
    over(t, END_PEER);
    forget(t);
}

static void a_session_that_is_over_is_unknown(void **state)
{
    struct agent *t = serve();
    struct agent *b = resume('b'), *c = resume('c');
    (void)state;
    over(t, END_PEER); /* while the connection was on its way */
    *kit.did = '\0';
    b->main.target = t;
    kit_run(&b->orders.attach);
    KIT_DID("resume-refused:unknown b>ended ");
    assert_int_equal(b->handover_error, HELLO_ERR_UNKNOWN);
    kit_run(&c->orders.attach); /* and where there never was one */
    KIT_DID("resume-refused:unknown c>ended ");
    assert_int_equal(c->handover_error, HELLO_ERR_UNKNOWN);
    forget(t);
    forget(b);
    forget(c);
}

/* ---- the end ---- */

static void a_stop_drains_sessions_and_turns_the_others_away(void **state)
{
    struct agent *a = serve();
    struct agent *b = come('b');
    (void)state;
    agent_stop(a, 5000);
    KIT_DID("session-stop:5000 ");
    agent_stop(b, 5000);
    KIT_DID("opening-close b>ended ");
    assert_int_equal(b->work.reason, END_SHUTDOWN);
    agent_close(a);
    KIT_DID("session-close:shutdown ");
    over(a, END_SHUTDOWN);
    forget(a);
    forget(b);
}

static void who_has_proved_himself_has_a_line_at_the_end(void **state)
{
    struct agent *a = come('a');
    (void)state;
    ask(a, 8080);
    *kit.lines = '\0';
    a->work.opening->cfg.ops->on_failed(a, END_PEER, NULL, &(struct errmsg){.text = "reset \x1b"});
    KIT_LINES("[192.0.2.1:4711] session ended: reset \\x1b\n");
    forget(a);
}

/* ---- status ---- */

static void status_says_where_a_session_stands(void **state)
{
    static const struct {
        enum life_state state;
        enum life_service service;
        const char *words;
    } cases[] = {
        {LIFE_UP, LIFE_SERVING, "up"},
        {LIFE_SUSPECTED, LIFE_SERVING, "does not answer"},
        {LIFE_DETACHED, LIFE_SERVING, "waits for its client to come back"},
        {LIFE_UP, LIFE_DRAINING, "lets its connections finish"},
    };
    (void)state;
    struct agent *b = come('b');
    agent_tell(b);
    KIT_LINES(""); /* a stranger is no session */
    ask(b, 8080);
    *kit.lines = '\0';
    agent_tell(b);
    assert_int_equal(kit_count("client 192.0.2.1:4711, id -: opening, 0 connections"), 1);
    agent_close(b);
    forget(b);
    struct agent *a = serve();
    kit.session.streams = 2;
    kit.session.received = 5000000000;
    kit.session.sent = 7;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[120];
        kit.session.state = cases[i].state;
        kit.session.service = cases[i].service;
        agent_tell(a);
        (void)snprintf(expected, sizeof expected, "id -: %s, 2 connections, ", cases[i].words);
        assert_int_equal(kit_count(expected), 1);
        assert_int_equal(kit_count("[::]:8080, 5000000000 B received, 7 B sent"), 1);
        *kit.lines = '\0';
    }
    over(a, END_PEER);
    forget(a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, kit_setup)
    const struct CMUnitTest tests[] = {
        T(a_client_that_cuts_in_a_loop_fills_no_disk),
        T(a_client_that_opens_in_a_loop_fills_no_disk),
        T(all_sessions_of_a_key_have_one_budget),
        T(all_sessions_of_a_source_have_one_budget),
        T(what_is_said_once_needs_no_room),
        T(repeats_cost_nothing),
        T(users_who_are_not_served_fill_no_disk),
        T(a_client_proves_itself_and_asks),
        T(without_memory_for_its_tunnels_the_session_ends),
        T(a_port_of_the_legacy_wire),
        T(a_line_is_judged_when_it_is_told),
        T(a_port_that_may_not_be_had),
        T(a_port_that_cannot_be_had),
        T(an_original_asks),
        T(an_eviction_before_the_refusal),
        T(a_refusal_after_the_eviction_of_a_session),
        T(after_ended_nothing_is_said),
        T(an_accept_that_breaks_ends_once),
        T(a_reload_closes_a_port_that_is_not_allowed_any_more),
        T(a_reload_while_a_port_is_opened),
        T(a_client_that_cannot_begin_has_ended),
        T(who_is_dropped_has_not_asked),
        T(who_drains_has_no_port),
        T(what_waits_is_counted),
        T(who_is_back_does_not_expire),
        T(users_hear_of_it),
        T(a_new_port_of_a_full_server_waits),
        T(a_connection_is_given_to_its_session),
        T(a_session_that_is_over_is_unknown),
        T(a_stop_drains_sessions_and_turns_the_others_away),
        T(who_has_proved_himself_has_a_line_at_the_end),
        T(status_says_where_a_session_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
