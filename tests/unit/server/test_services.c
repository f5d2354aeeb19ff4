/* SPDX-License-Identifier: MIT */
/* The services of a session at its worker: lines of the client, orders of the main thread, users and
 * the time, in any order, and what comes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/rights.h"
#include "kit.h"
#include "timers.h"

/* ---- stubs ---- */

static struct service *made[1100]; /* by key */

void owners_init_service(struct service *v)
{
    assert_true(v->key < ARRAY_LEN(made));
    made[v->key] = v;
    kit_watch_service(v);
}

void worker_full(struct worker *w)
{
    (void)w;
    kit_did("full");
}

void worker_agent_gone(struct worker *w)
{
    (void)w;
}

/* ---- the bench ---- */

static struct agent *a;

/* A client whose session has services. */
static int setup(void **state)
{
    static const uint8_t sid[HELLO_SID_BYTES] = {7};
    struct hello_request open = {.take = true, .id = "nas"};
    struct opening_ask asked = {.is_v2 = true, .sid = sid, .open = &open};
    (void)kit_setup(state);
    memset(made, 0, sizeof made);
    a = kit_agent('a', "192.0.2.1:4711");
    agent_init(a);
    kit_run(&a->orders.begin);
    a->work.opening->cfg.ops->on_asked(a, &asked);
    kit_run(&a->orders.accept);
    assert_ptr_equal(a->work.session, &kit.session);
    *kit.did = *kit.lines = '\0';
    return 0;
}

/* The session is over: told by the loop. */
static void over(void)
{
    kit.session.ops->on_closed(a, END_PEER, &(struct errmsg){""});
}

/* The main thread has heard of the end of the service, and answers. */
static void forget(uint32_t key)
{
    assert_true(made[key]->over);
    kit_run(&made[key]->orders.forgotten);
    made[key] = NULL;
}

static int teardown(void **state)
{
    (void)state;
    if (!a->work.over)
        over();
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        if (made[i])
            forget((uint32_t)i);
    kit_run(&a->orders.forgotten);
    kit_forget(a);
    timers_turn();
    return 0;
}

/* A line of the client's. */
static bool line(const char *text)
{
    return kit.session.ops->on_line(a, (struct hello_text){text, strlen(text)});
}

static bool open_as(uint32_t svc, const char *kind, const char *bind, int port)
{
    char text[HELLO_MAX];
    (void)snprintf(text, sizeof text,
                   "{\"op\":\"open\",\"svc\":%u,\"name\":\"web\",\"kind\":\"%s\",\"port\":%d,"
                   "\"bind\":\"%s\",\"ready\":true}",
                   svc, kind, port, bind);
    return line(text);
}

static bool open_line(uint32_t svc, int port)
{
    return open_as(svc, "tcp", "", port);
}

static const uint32_t until_they_end = UINT32_MAX;

static bool close_line(uint32_t svc, uint32_t drain_ms)
{
    char text[HELLO_MAX];
    (void)snprintf(text, sizeof text, "{\"op\":\"close\",\"svc\":%u,\"drain_ms\":%u}", svc,
                   drain_ms);
    return line(text);
}

/* The key of a service that listens. */
static uint32_t open_service(uint32_t svc)
{
    uint32_t key = a->work.services->last_key + 1;
    assert_true(open_line(svc, 8080));
    kit_run(&made[key]->orders.open_port);
    *kit.did = *kit.lines = '\0';
    return key;
}

/* A user comes to the port of the service. */
static void user(uint32_t key, int fd)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    struct listener *l = made[key]->endpoint.listener;
    l->ev->on_accept(l->ctx, fd, (struct sockaddr *)&from);
}

/* One of its connections is over. */
static void user_gone(uint32_t key)
{
    kit.session.ops->on_relay_over(a, key);
}

/* ---- open ---- */

#define OPENED(svc)                                                                                \
    "say:{\"op\":\"opened\",\"svc\":" #svc ",\"address\":\"[::]:8080\",\"port\":8080} "

static void an_open_becomes_a_port(void **state)
{
    (void)state;
    assert_true(open_line(1, 8080));
    KIT_DID("s1>asked ");
    assert_int_equal(made[1]->claim.wanted, 8080);
    assert_true(made[1]->claim.is_tunnel);
    KIT_LINES("");
    kit_run(&made[1]->orders.open_port);
    KIT_DID("listen:8080 s1>opened " OPENED(1));
    assert_int_equal(made[1]->opened_port, 8080);
    KIT_LINES("[192.0.2.1:4711 nas] tunnel 'web': listening on [::]:8080, ready to forward\n");
    user(1, 50);
    KIT_DID("stream relay-of:1 relay:50 ");
    assert_int_equal(kit.opened.service, 1);
    assert_int_equal(made[1]->streams, 1);
    user_gone(1);
    assert_int_equal(made[1]->streams, 0);
    KIT_DID("");
}

/* The client hears where he comes from and which address he has reached; never one alone. */
static void a_stream_says_who_its_user_is(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    uint32_t key = open_service(1);
    user(key, fd);
    assert_int_equal(kit.opened.visitor.port, 4711);
    assert_int_equal(kit.opened.local.family, ADDRESS_IPV4);
    (void)close(fd);
    user(key, fd); /* it has none any more */
    assert_int_equal(kit.opened.service, 1);
    assert_int_equal(kit.opened.visitor.family, ADDRESS_NONE);
    user_gone(key);
    user_gone(key);
}

/* What they are called at each end is not the same: a number is used again, a key is not. */
static void a_number_comes_again_and_a_key_does_not(void **state)
{
    (void)state;
    uint32_t key = open_service(9);
    user(key, 50);
    assert_int_equal(kit.opened.service, 9);
    (void)close_line(9, 0);
    user_gone(key);
    KIT_DID("stream relay-of:1 relay:50 unlisten s1>released cut:1 "
            "say:{\"op\":\"closed\",\"svc\":9} s1>gone ");
    uint32_t next = open_service(9);
    assert_int_not_equal(key, next);
    user(next, 51);
    KIT_DID("stream relay-of:2 relay:51 ");
    user_gone(key); /* of nobody any more */
    assert_int_equal(made[next]->streams, 1);
    user_gone(next);
}

/* ---- refused ---- */

static void what_may_not_be_had_is_asked_of_nobody(void **state)
{
    static const struct {
        const char *kind, *bind;
        int port;
        const char *error;
    } cases[] = {
        {"quic", "", 8080, "kind"},
        {"tcp", "127.0.0.1", 8080, "right"},
        {"tcp", "", 99, "right"},
        {"tcp", "", 0, "right"},
    };
    (void)state;
    assert_int_equal(ports_parse("8000-8999", &kit.opt.allow_ports), 0);
    for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[120];
        assert_true(open_as(1, cases[i].kind, cases[i].bind, cases[i].port));
        (void)snprintf(expected, sizeof expected,
                       "say:{\"op\":\"refused\",\"svc\":1,\"error\":\"%s\"} s%u>gone ",
                       cases[i].error, i + 1);
        KIT_DID(expected);
        forget(i + 1);
    }
    assert_int_equal(kit_count("[192.0.2.1:4711 nas] tunnel 'web' is refused: public port 99: "),
                     1);
    assert_int_equal(kit_count("is refused: public port 8080: the server has no tunnels of this"),
                     1);             /* by the table itself */
    assert_true(open_line(1, 8080)); /* as if nothing had been */
    KIT_DID("s5>asked ");
}

static void a_port_that_cannot_be_had(void **state)
{
    static const struct {
        int err;
        const char *word;
    } cases[] = {{ERR_INUSE, "EADDRINUSE"},
                 {ERR_PERM, "EACCES"},
                 {ERR_LIMIT, "EMFILE"},
                 {ERR_NOMEM, "ENOMEM"},
                 {ERR_IO, "EIO"}};
    (void)state;
    for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[200];
        (void)open_line(1, 80);
        kit.listen_err = cases[i].err;
        *kit.did = '\0';
        kit_run(&made[i + 1]->orders.open_port);
        (void)snprintf(
            expected, sizeof expected,
            "listen:80 s%u>opened s%u>released "
            "say:{\"op\":\"refused\",\"svc\":1,\"error\":\"port\",\"errno\":\"%s\"} s%u>gone ",
            i + 1, i + 1, cases[i].word, i + 1);
        KIT_DID(expected);
        assert_int_equal(made[i + 1]->opened_port, 0);
        assert_int_equal(kit_count("tunnel 'web' is refused: public port 80: "), 1);
        *kit.lines = '\0';
    }
}

static void a_port_that_another_client_has(void **state)
{
    (void)state;
    (void)open_line(1, 8080);
    made[1]->why = (struct service_why){.error = SERVICE_ERR_TAKEN, .by = "192.0.2.7:50000"};
    *kit.did = '\0';
    kit_run(&made[1]->orders.refuse);
    KIT_DID("say:{\"op\":\"refused\",\"svc\":1,\"error\":\"taken\",\"by\":\"192.0.2.7:50000\"} "
            "s1>gone ");
    KIT_LINES("[192.0.2.1:4711 nas] tunnel 'web' is refused: public port 8080: it is in use by the "
              "client at 192.0.2.7:50000\n");
}

/* A reload has come while the open waited for somebody else's port. */
static void a_port_that_is_not_allowed_any_more_is_not_opened(void **state)
{
    (void)state;
    (void)open_line(1, 8080);
    *kit.did = '\0';
    assert_int_equal(ports_parse("99", &kit.opt.allow_ports), 0);
    services_look_at_ports(a);
    KIT_DID("");
    kit_run(&made[1]->orders.open_port);
    KIT_DID("say:{\"op\":\"refused\",\"svc\":1,\"error\":\"right\",\"errno\":\"EPERM\"} s1>gone ");
    assert_int_equal(kit_count("tunnel 'web' is refused: public port 8080: "), 1);
}

static void free_rights(void *rights)
{
    rights_free(rights);
}

/* The client is `shop`, which has a key; its file says so from now on. */
static void let_shop(const char *ports, int tunnels)
{
    const struct credentials_config cfg = {.rights_free = free_rights};
    struct credentials *t = credentials_new(&cfg);
    struct client_entry entry;
    client_entry_init(&entry);
    assert_int_equal(ports_parse(ports, &entry.ports), 0);
    entry.tunnels = tunnels;
    const struct credential shop = {.name = "shop", .rights = rights_new(&entry)};
    assert_int_equal(credentials_add(t, &shop), 0);
    (void)snprintf(a->who.key, sizeof a->who.key, "shop");
    credentials_unref(a->worker->keys);
    a->worker->keys = t;
    agent_use_rights(a);
}

static void forget_shop(void)
{
    credentials_unref(a->worker->keys);
    a->worker->keys = NULL;
}

/* The client's rights have shrunk meanwhile. */
static void a_port_without_a_right_any_more_is_not_opened(void **state)
{
    (void)state;
    (void)open_line(1, 8080);
    *kit.did = '\0';
    let_shop("99", 0);
    KIT_DID("");
    kit_run(&made[1]->orders.open_port);
    KIT_DID("say:{\"op\":\"refused\",\"svc\":1,\"error\":\"right\",\"errno\":\"ERIGHT\"} s1>gone ");
    forget_shop();
}

/* The same of one that listens; the others go on. */
static void a_port_without_a_right_any_more_is_closed(void **state)
{
    (void)state;
    (void)open_service(1);
    let_shop("1-9000", 0);
    KIT_DID("");
    let_shop("99", 0);
    KIT_DID("unlisten s1>released "
            "say:{\"op\":\"closed\",\"svc\":1,\"error\":\"right\",\"errno\":\"ERIGHT\"} s1>gone ");
    assert_int_equal(kit_count("tunnel 'web' is ended: public port 8080: "), 1);
    forget_shop();
}

/* More of them than others have, as its file says: in a session that is there, too. */
static void a_right_to_more_tunnels_counts_for_who_is_there(void **state)
{
    uint32_t n = 1;
    (void)state;
    let_shop("8080", LEASES_MAX + 2);
    for (; n <= LEASES_MAX + 2; n++) {
        *kit.did = '\0';
        (void)open_line(n, 8080);
        assert_null(strstr(kit.did, "refused"));
    }
    *kit.did = '\0';
    (void)open_line(n, 8080);
    assert_non_null(strstr(kit.did, "\"error\":\"limit\""));
    forget_shop();
}

/* The same of one that listens: it is closed, and said so at both ends. */
static void a_port_that_is_not_allowed_any_more_is_closed(void **state)
{
    (void)state;
    (void)open_service(1);
    (void)open_line(2, 99);
    *kit.did = *kit.lines = '\0';
    assert_int_equal(ports_parse("99", &kit.opt.allow_ports), 0);
    agent_look_at_port(a);
    assert_non_null(strstr(kit.did, "unlisten "));
    assert_non_null(strstr(kit.did, "{\"op\":\"closed\",\"svc\":1,\"error\":\"right\""));
    assert_null(strstr(kit.did, "\"svc\":2"));
    assert_int_equal(kit_count("tunnel 'web' is ended: public port 8080: not in the server's"), 1);
}

/* What others may know of it goes by its client's key. */
static void a_claim_is_of_its_session_s_key(void **state)
{
    (void)state;
    (void)snprintf(a->who.key, sizeof a->who.key, "laptop");
    (void)open_line(1, 8080);
    assert_string_equal(made[1]->claim.who->key, "laptop");
    assert_true(made[1]->claim.is_tunnel);
}

/* ---- close ---- */

static void a_close_without_users_is_at_once(void **state)
{
    (void)state;
    uint32_t key = open_service(1);
    assert_true(close_line(1, until_they_end));
    KIT_DID("unlisten s1>released say:{\"op\":\"closed\",\"svc\":1} s1>gone ");
    KIT_LINES("[192.0.2.1:4711 nas] tunnel 'web': closing the public listener [::]:8080\n");
    forget(key);
    assert_true(close_line(1, until_they_end)); /* it has crossed the answer */
    KIT_DID("");
}

static void a_close_gives_users_their_time(void **state)
{
    (void)state;
    uint32_t key = open_service(1);
    user(key, 50);
    user(key, 51);
    *kit.did = '\0';
    assert_true(close_line(1, 5000));
    KIT_DID("unlisten s1>released ");
    assert_int_equal(timer_due(&a->work.services->timer), kit.now + 5000);
    user_gone(key);
    KIT_DID("");
    kit.now += 5000;
    timer_ring(&a->work.services->timer);
    assert_int_equal(kit_count(""), 1);
    assert_non_null(strstr(kit.did, "cut:1 "));
    *kit.did = '\0';
    user_gone(key);
    KIT_DID("say:{\"op\":\"closed\",\"svc\":1} s1>gone ");
    assert_int_equal(timer_due(&a->work.services->timer), MTIME_NEVER);
}

/* Asked again, it can only be sooner. */
static void a_second_close_is_sooner(void **state)
{
    (void)state;
    uint32_t key = open_service(1);
    user(key, 50);
    assert_true(close_line(1, until_they_end));
    assert_int_equal(timer_due(&a->work.services->timer), MTIME_NEVER);
    assert_true(close_line(1, 5000));
    assert_true(close_line(1, 9000));
    assert_int_equal(timer_due(&a->work.services->timer), kit.now + 5000);
    user_gone(key);
    assert_int_equal(timer_due(&a->work.services->timer), MTIME_NEVER);
}

/* Its order to open the port is under way. */
static void a_close_before_it_is_open(void **state)
{
    (void)state;
    (void)open_line(1, 8080);
    *kit.did = '\0';
    assert_true(close_line(1, until_they_end));
    KIT_DID("s1>released say:{\"op\":\"closed\",\"svc\":1} s1>gone ");
    kit_run(&made[1]->orders.open_port);
    KIT_DID("");
    kit_run(&made[1]->orders.yield);
    kit_run(&made[1]->orders.refuse);
    KIT_DID("");
    KIT_LINES("");
    assert_false(made[1]->yields);
}

/* ---- yield ---- */

static void a_port_goes_to_another_while_its_client_is_away(void **state)
{
    (void)state;
    uint32_t key = open_service(1);
    user(key, 50);
    *kit.did = '\0';
    kit_run(&made[key]->orders.yield);
    KIT_DID("s1>yielded "); /* its client is there */
    assert_false(made[key]->yields);
    kit.may_lose_port = true;
    kit_run(&made[key]->orders.yield);
    assert_true(made[key]->yields);
    KIT_DID("unlisten s1>yielded s1>released "
            "say:{\"op\":\"closed\",\"svc\":1,\"error\":\"taken\"} ");
    assert_int_equal(kit_count("closing the public listener"), 1);
    user_gone(key); /* who is there may stay */
    KIT_DID("s1>gone ");
}

/* The main thread tells of it, if it hears before it is gone; and the port is free then. */
static void a_port_without_users_goes_as_well(void **state)
{
    (void)state;
    kit.may_lose_port = true;
    uint32_t key = open_service(1);
    kit_run(&made[key]->orders.yield);
    KIT_DID("unlisten s1>yielded s1>released "
            "say:{\"op\":\"closed\",\"svc\":1,\"error\":\"taken\"} s1>gone ");
}

static void what_is_not_open_yields_nothing(void **state)
{
    (void)state;
    kit.may_lose_port = true;
    (void)open_line(1, 8080);
    *kit.did = '\0';
    kit_run(&made[1]->orders.yield);
    KIT_DID("s1>yielded ");
    assert_false(made[1]->yields);
}

/* ---- the end of the session ---- */

/* Whatever is under way comes after gone: nothing is touched, and the memory is there until the main
   thread has forgotten it. */
static void late_orders(uint32_t key)
{
    made[key]->why = (struct service_why){.error = SERVICE_ERR_TAKEN};
    kit_run(&made[key]->orders.open_port);
    kit_run(&made[key]->orders.refuse);
    kit_run(&made[key]->orders.yield);
    KIT_DID("");
    forget(key);
}

static void the_end_of_the_session_is_that_of_each(void **state)
{
    (void)state;
    uint32_t open = open_service(1);
    user(open, 50);
    uint32_t drains = open_service(2);
    user(drains, 51);
    (void)close_line(2, until_they_end);
    (void)open_line(3, 8081); /* asked */
    (void)open_line(4, 8082); /* refused, and not forgotten */
    made[4]->why = (struct service_why){.error = SERVICE_ERR_LIMIT};
    kit_run(&made[4]->orders.refuse);
    *kit.did = *kit.lines = '\0';
    over();
    KIT_DID("unlisten s1>gone s2>gone s3>gone timer-close a>ended ");
    assert_int_equal(kit_count("closing the public listener"), 1); /* of the one that listens */
    assert_null(a->work.services);
    user_gone(open); /* who finishes without it */
    for (uint32_t key = 1; key <= 4; key++)
        late_orders(key);
}

static void a_session_without_any_ends(void **state)
{
    (void)state;
    over();
    KIT_DID("timer-close a>ended ");
}

/* ---- lines ---- */

static void a_bad_line_ends_the_session(void **state)
{
    static const char *const bad[] = {"{\"op\":\"close\",\"svc\":1}", "{\"op\":\"open\",\"svc\":1}",
                                      "{\"svc\":1}", "{"};
    (void)state;
    assert_false(open_line(0, 8080));
    assert_false(open_line(1, 65536));
    KIT_DID("session-close:protocol session-close:protocol ");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(line(bad[i]));
        KIT_DID("session-close:protocol ");
        assert_true(list_empty(&a->work.services->all));
    }
}

static void a_number_that_is_in_use_ends_the_session(void **state)
{
    (void)state;
    (void)open_service(1);
    assert_false(open_line(1, 8081));
    KIT_DID("session-close:protocol ");
    made[2] = NULL; /* it was never told of */
    over();
    KIT_DID("unlisten s1>gone timer-close a>ended ");
}

/* Of a later version's client, or of the server's half. */
static void an_unknown_line_does_not(void **state)
{
    (void)state;
    assert_true(line("{\"op\":\"rename\",\"svc\":1}"));
    assert_true(line("{\"op\":\"opened\",\"svc\":1,\"address\":\"x\",\"port\":1}"));
    KIT_DID("useless useless "); /* too many end it, which is the session's to count */
    assert_true(line("{\"op\":\"change\",\"svc\":1,\"ready\":false}")); /* of nobody */
    KIT_DID("");
}

static void a_word_that_cannot_be_said_ends_the_session(void **state)
{
    (void)state;
    uint32_t key = open_service(1);
    kit.say_err = ERR_NOMEM;
    (void)close_line(1, until_they_end);
    KIT_DID("unlisten s1>released say:{\"op\":\"closed\",\"svc\":1} session-close:local s1>gone ");
    forget(key);
}

/* ---- how many ---- */

static void opens_that_come_too_fast_are_read_later(void **state)
{
    uint32_t n = 1;
    (void)state;
    while (open_line(n, 8080))
        n++;
    assert_int_equal(n, LEASES_OPENS_A_SECOND);
    *kit.did = '\0';
    mtime_ms due = timer_due(&a->work.services->timer);
    assert_in_range(due, kit.now + 1, kit.now + 1000 / LEASES_OPENS_A_SECOND);
    kit.now = due;
    timer_ring(&a->work.services->timer);
    KIT_DID("read-lines ");
    assert_false(open_line(n + 1, 8080)); /* one, and the next one later */
    kit.now += 1000;
    timer_ring(&a->work.services->timer);
    assert_true(open_line(n + 2, 8080));
}

/* The loop serves sockets first, and then its clocks. */
static void what_comes_when_their_time_is_there_does_not_stop_the_reading(void **state)
{
    uint32_t n = 2;
    (void)state;
    uint32_t key = open_service(1);
    user(key, 50);
    while (open_line(n, 8080))
        n++;
    kit.now = timer_due(&a->work.services->timer);
    user_gone(key);
    assert_int_equal(timer_due(&a->work.services->timer), kit.now);
    *kit.did = '\0';
    timer_ring(&a->work.services->timer);
    KIT_DID("read-lines ");
    user(key, 50);
    user_gone(key);
    assert_int_equal(timer_due(&a->work.services->timer), MTIME_NEVER);
}

/* Another clock rings meanwhile: that is no credit. */
static void a_drain_reads_no_line_before_its_time(void **state)
{
    uint32_t n = 2;
    (void)state;
    uint32_t key = open_service(1);
    user(key, 50);
    (void)close_line(1, 1);
    while (open_line(n, 8080))
        n++;
    *kit.did = '\0';
    assert_int_equal(timer_due(&a->work.services->timer), ++kit.now);
    timer_ring(&a->work.services->timer);
    KIT_DID("cut:1 ");
    kit.now = timer_due(&a->work.services->timer);
    timer_ring(&a->work.services->timer);
    KIT_DID("read-lines ");
    user_gone(key);
}

static void a_session_has_so_many(void **state)
{
    uint32_t n = 1;
    (void)state;
    for (; n <= LEASES_MAX; n++) {
        *kit.did = '\0';
        (void)open_line(n, 8080);
        assert_null(strstr(kit.did, "refused"));
    }
    *kit.did = '\0';
    (void)open_line(n, 8080);
    KIT_DID("say:{\"op\":\"refused\",\"svc\":65,\"error\":\"limit\"} s65>gone ");
    assert_int_equal(kit_count("is refused: public port 8080: the server has no room for more"), 1);
    assert_int_equal(kit_count(""), 1);
}

/* A right to more raises it, as far as that goes; one to fewer is the main thread's to hold. */
static void a_right_to_more_raises_it(void **state)
{
    static const struct {
        int right;
        uint32_t max;
    } rows[] = {
        {0, LEASES_MAX}, {1, LEASES_MAX}, {LEASES_MAX + 1, LEASES_MAX + 1}, {1000000, LEASES_MOST}};
    uint32_t n = 1;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        services_allow(a, rows[i].right);
        for (; n <= rows[i].max; n++) {
            *kit.did = '\0';
            (void)open_line(n, 8080);
            assert_null(strstr(kit.did, "refused"));
        }
        *kit.did = '\0';
        (void)open_line(5000 + (uint32_t)i, 8080);
        assert_non_null(strstr(kit.did, "\"error\":\"limit\""));
    }
    services_allow(a, 2); /* what is there stays */
    assert_null(strstr(kit.did, "unlisten"));
    *kit.did = '\0';
    (void)open_line(6000, 8080);
    assert_non_null(strstr(kit.did, "\"error\":\"limit\""));
}

static void a_client_that_opens_in_a_loop_fills_no_disk(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= LOG_BUDGET_BURST; n++) {
        (void)open_line(1, 8080);
        if (n % 2)
            made[n]->why = (struct service_why){.error = SERVICE_ERR_TAKEN};
        kit_run(n % 2 ? &made[n]->orders.refuse : &made[n]->orders.open_port);
        (void)close_line(1, until_they_end);
    }
    assert_int_equal(kit_count(""), LOG_BUDGET_BURST);
    *kit.lines = '\0';
    kit.now += LOG_BUDGET_EVERY_MS;
    (void)open_service(1);
    (void)close_line(1, until_they_end);
    KIT_LINES("");
    kit.now += LOG_BUDGET_EVERY_MS;
    (void)open_line(1, 8080);
    kit_run(&made[LOG_BUDGET_BURST + 2]->orders.open_port);
    assert_int_equal(kit_count("left out"), 1);
    assert_int_equal(kit_count("listening on"), 1);
}

/* Nor does one whose session has no lines: agent.c. */
static void a_quiet_session_has_quiet_services(void **state)
{
    (void)state;
    a->work.is_quiet = true;
    (void)open_line(1, 8080);
    kit_run(&made[1]->orders.open_port);
    (void)close_line(1, until_they_end);
    KIT_LINES("");
}

/* ---- the session drains ---- */

static void a_session_that_drains_has_no_ports(void **state)
{
    (void)state;
    uint32_t busy = open_service(1);
    user(busy, 50);
    (void)open_line(2, 8081); /* asked */
    *kit.did = '\0';
    kit.session.service = LIFE_DRAINING;
    kit.session.ops->on_close_ports(a);
    KIT_DID("unlisten s1>released say:{\"op\":\"closed\",\"svc\":1,\"error\":\"shutdown\"} "
            "s2>released say:{\"op\":\"refused\",\"svc\":2,\"error\":\"shutdown\"} s2>gone "
            "a>released ");
    kit_run(&made[2]->orders.open_port); /* has crossed that */
    KIT_DID("");
    assert_int_equal(timer_due(&a->work.services->timer), MTIME_NEVER); /* the session cuts them */
    user_gone(busy);
    KIT_DID("s1>gone ");
}

/* Its port would take users whom nobody serves. */
static void an_open_while_it_drains_is_refused(void **state)
{
    (void)state;
    kit.session.service = LIFE_DRAINING;
    kit.session.ops->on_close_ports(a);
    KIT_DID("a>released ");
    assert_true(open_line(1, 8080));
    KIT_DID("say:{\"op\":\"refused\",\"svc\":1,\"error\":\"shutdown\"} s1>gone ");
}

/* ---- status ---- */

static void status_has_a_line_for_each(void **state)
{
    (void)state;
    uint32_t key = open_service(1);
    user(key, 50);
    agent_tell(a); /* the only one stands in the line of the session, too */
    assert_int_equal(kit_count("[::]:8080"), 2);
    *kit.lines = '\0';
    (void)open_line(2, 8081);
    agent_tell(a);
    assert_int_equal(kit_count("[::]:8080"), 1);
    assert_int_equal(
        kit_count("[192.0.2.1:4711 nas] tunnel 'web': listens on [::]:8080, 1 connection"), 1);
    assert_int_equal(kit_count("tunnel 'web': listens on -, 0 connections"), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_open_becomes_a_port),
        T(a_stream_says_who_its_user_is),
        T(a_number_comes_again_and_a_key_does_not),
        T(what_may_not_be_had_is_asked_of_nobody),
        T(a_port_that_cannot_be_had),
        T(a_port_that_another_client_has),
        T(a_port_that_is_not_allowed_any_more_is_not_opened),
        T(a_port_without_a_right_any_more_is_not_opened),
        T(a_port_without_a_right_any_more_is_closed),
        T(a_right_to_more_tunnels_counts_for_who_is_there),
        T(a_port_that_is_not_allowed_any_more_is_closed),
        T(a_claim_is_of_its_session_s_key),
        T(a_close_without_users_is_at_once),
        T(a_close_gives_users_their_time),
        T(a_second_close_is_sooner),
        T(a_close_before_it_is_open),
        T(a_port_goes_to_another_while_its_client_is_away),
        T(a_port_without_users_goes_as_well),
        T(what_is_not_open_yields_nothing),
        T(the_end_of_the_session_is_that_of_each),
        T(a_session_without_any_ends),
        T(a_bad_line_ends_the_session),
        T(a_number_that_is_in_use_ends_the_session),
        T(an_unknown_line_does_not),
        T(a_word_that_cannot_be_said_ends_the_session),
        T(opens_that_come_too_fast_are_read_later),
        T(what_comes_when_their_time_is_there_does_not_stop_the_reading),
        T(a_drain_reads_no_line_before_its_time),
        T(a_session_has_so_many),
        T(a_right_to_more_raises_it),
        T(a_client_that_opens_in_a_loop_fills_no_disk),
        T(a_quiet_session_has_quiet_services),
        T(a_session_that_drains_has_no_ports),
        T(an_open_while_it_drains_is_refused),
        T(status_has_a_line_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
