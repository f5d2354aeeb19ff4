/* SPDX-License-Identifier: MIT */
/*
 * The main thread's side of clients (reception.c, registry.c): messages in, messages out, on one
 * loop. A stub stands for the workers: it notes what their agents are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/ssl.h>

#include "conf/rights.h"
#include "proto/hash.h"
#include "server/internal.h"
#include "tunnel/refusal.h"
#include "unit/lines.h"

enum { WORKERS = 2, AGENTS = 24, SERVICES = 32 };

static struct {
    struct server srv;
    struct server_options opt;
    struct worker workers[WORKERS];
    char heard[1024]; /* what agents were told: "a:begin b:drop " */
    char *lines;      /* the log: lines_seen */
    struct agent *agents[AGENTS];
    unsigned agents_count, gone;
    struct service *services[SERVICES]; /* by key */
    uint32_t services_count;
} rig;

/* ---- stubs ---- */

void keeper_begin(struct server *srv)
{
    (void)srv;
}

void keeper_changed(struct server *srv, bool is_new)
{
    (void)srv;
    (void)is_new;
}

void keeper_end(struct server *srv)
{
    (void)srv;
}

void server_session_gone(struct server *srv)
{
    assert_ptr_equal(srv, &rig.srv);
    rig.gone++;
}

static char letter_of(const struct agent *a)
{
    for (unsigned i = 0; i < rig.agents_count; i++)
        if (rig.agents[i] == a)
            return (char)('a' + i);
    return '?';
}

static void heard(const struct agent *a, const char *what)
{
    size_t n = strlen(rig.heard);
    (void)snprintf(rig.heard + n, sizeof rig.heard - n, "%c:%s ", letter_of(a), what);
}

#define HEARS(name)                                                                                \
    static void on_##name(struct message *m)                                                       \
    {                                                                                              \
        heard(CONTAINER_OF(m, struct agent, orders.name), #name);                                  \
    }
HEARS(drop)
HEARS(judge)
HEARS(turn_away)
HEARS(open_port)
HEARS(accept)
HEARS(refuse)
HEARS(evict)
HEARS(revoke)
HEARS(expire)
HEARS(attach)

static void on_begin(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.begin);
    SSL_CTX_free(a->work.tls);
    (void)close(a->work.fd);
}

static void on_forgotten(struct message *m)
{
    struct agent *a = CONTAINER_OF(m, struct agent, orders.forgotten);
    rig.agents[letter_of(a) - 'a'] = NULL;
    free(a);
}

void agent_init(struct agent *a)
{
    rig.agents[rig.agents_count++] = a;
    message_init(&a->orders.begin, on_begin);
    message_init(&a->orders.drop, on_drop);
    message_init(&a->orders.judge, on_judge);
    message_init(&a->orders.turn_away, on_turn_away);
    message_init(&a->orders.open_port, on_open_port);
    message_init(&a->orders.accept, on_accept);
    message_init(&a->orders.refuse, on_refuse);
    message_init(&a->orders.evict, on_evict);
    message_init(&a->orders.revoke, on_revoke);
    message_init(&a->orders.expire, on_expire);
    message_init(&a->orders.attach, on_attach);
    message_init(&a->orders.forgotten, on_forgotten);
}

#define SERVICE_HEARS(name)                                                                        \
    static void on_service_##name(struct message *m)                                               \
    {                                                                                              \
        service_heard(CONTAINER_OF(m, struct service, orders.name), #name);                        \
    }

static void service_heard(const struct service *v, const char *what)
{
    size_t n = strlen(rig.heard);
    (void)snprintf(rig.heard + n, sizeof rig.heard - n, "%c%u:%s ", letter_of(v->agent), v->key,
                   what);
}

SERVICE_HEARS(open_port)
SERVICE_HEARS(refuse)
SERVICE_HEARS(yield)

static void on_service_forgotten(struct message *m)
{
    struct service *v = CONTAINER_OF(m, struct service, orders.forgotten);
    service_heard(v, "forgotten");
    rig.services[v->key] = NULL;
    free(v);
}

/* ---- the rig ---- */

static int setup(void **state)
{
    struct server *srv = &rig.srv;
    (void)state;
    memset(&rig, 0, sizeof rig);
    rig.lines = lines_seen;
    *rig.lines = '\0';
    srv->opt = &rig.opt;
    assert_int_equal(loop_init(&srv->loop), 0);
    assert_int_equal(mailbox_init(&srv->in, &srv->loop), 0);
    list_init(&srv->agents);
    owners_init(srv);
    assert_true(account_of_server(&srv->account, 1 << 20, 1));
    srv->account.sessions_max = srv->account.places_max = 4;
    quota_init(&srv->connections, account_users(&srv->account, 0));
    assert_int_equal(reception_init(srv), 0);
    srv->tls = SSL_CTX_new(TLS_method());
    srv->workers = rig.workers;
    srv->workers_count = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *w = &rig.workers[i];
        *w = (struct worker){.srv = srv, .index = i, .loop = &srv->loop};
        list_init(&w->agents);
        assert_int_equal(mailbox_init(&w->in, &srv->loop), 0);
    }
    return 0;
}

static void run(void)
{
    for (int i = 0; i < 6; i++)
        uv_run(&rig.srv.loop.uv, UV_RUN_NOWAIT);
}

/* Since the last look, this was told. */
static void expect_heard(const char *text)
{
    run();
    assert_string_equal(rig.heard, text);
    *rig.heard = '\0';
}

static struct agent *come(const char *ip)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET, ip, &from.sin_addr), 1);
    reception_accept(&rig.srv, dup(0), (struct sockaddr *)&from, 0);
    run();
    return rig.agents[rig.agents_count - 1];
}

static void say(struct message *m)
{
    mailbox_post(&rig.srv.in, m);
    run();
}

static void end(struct agent *a, enum end_reason reason)
{
    a->work.reason = reason;
    say(&a->reports.ended);
}

/* It has proved itself and asks for a session, or without an id (the legacy wire) for a port; nonce and sid are made
   of its number. */
static void ask(struct agent *a, const char *id, int port, bool take)
{
    say(&a->reports.auth_ok);
    (void)snprintf(a->who.id, sizeof a->who.id, "%s", id);
    memset(a->who.nonce, letter_of(a), sizeof a->who.nonce);
    memset(a->sid, letter_of(a), sizeof a->sid);
    a->claim.wanted = *id ? CLAIM_NO_PORT : port;
    a->who.take = take;
    a->is_v2 = *id;
    say(&a->reports.asked);
}

static void serve(struct agent *a, const char *id, int port)
{
    ask(a, id, port, true);
    a->work.opened_port = port;
    if (!*id)
        say(&a->reports.opened);
    *rig.heard = '\0';
}

/* A session whose tunnels are opened in it. */
static struct agent *serve_services(const char *ip, const char *id)
{
    struct agent *a = come(ip);
    ask(a, id, CLAIM_NO_PORT, true);
    assert_non_null(strstr(rig.heard, ":accept "));
    *rig.heard = '\0';
    return a;
}

/* One of them, which has asked for nothing yet. */
static struct service *tunnel_new(struct agent *a, int port)
{
    struct service *v = calloc(1, sizeof *v);
    assert_non_null(v);
    assert_true(rig.services_count < SERVICES);
    v->key = rig.services_count++;
    rig.services[v->key] = v;
    v->agent = a;
    v->claim.who = &a->who;
    v->claim.is_tunnel = true;
    v->claim.wanted = port;
    owners_init_service(v);
    message_init(&v->orders.open_port, on_service_open_port);
    message_init(&v->orders.refuse, on_service_refuse);
    message_init(&v->orders.yield, on_service_yield);
    message_init(&v->orders.forgotten, on_service_forgotten);
    return v;
}

static struct service *tunnel(struct agent *a, int port)
{
    struct service *v = tunnel_new(a, port);
    say(&v->reports.asked);
    return v;
}

static struct service *open_tunnel(struct agent *a, int port)
{
    struct service *v = tunnel(a, port);
    v->opened_port = port;
    say(&v->reports.opened);
    assert_non_null(strstr(rig.heard, ":open_port "));
    *rig.heard = '\0';
    return v;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rig.services_count; i++)
        if (rig.services[i])
            say(&rig.services[i]->reports.gone);
    assert_int_equal(rig.srv.tunnels, 0);
    for (unsigned i = 0; i < rig.agents_count; i++)
        if (rig.agents[i])
            end(rig.agents[i], END_SHUTDOWN);
    assert_true(list_empty(&rig.srv.agents));
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(rig.workers[i].sessions + rig.workers[i].trusted, 0);
        mailbox_close(&rig.workers[i].in);
        credentials_unref(rig.workers[i].next_keys); /* it takes none here */
    }
    mailbox_close(&rig.srv.in);
    reception_fini(&rig.srv);
    owners_fini(&rig.srv);
    loop_run(&rig.srv.loop);
    loop_fini(&rig.srv.loop);
    for (unsigned i = 0; i < WORKERS; i++)
        mailbox_fini(&rig.workers[i].in);
    mailbox_fini(&rig.srv.in);
    verdicts_fini(&rig.srv.verdicts);
    SSL_CTX_free(rig.srv.tls);
    return 0;
}

/* ---- ids and ports ---- */

static void a_free_port_is_opened_and_granted(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    ask(a, "", 8080, true);
    expect_heard("a:open_port ");
    a->work.opened_port = 8080;
    say(&a->reports.opened);
    expect_heard("a:accept ");
}

/* Until it asks it has one of the places of those who have not. */
static void who_asks_gives_his_place_back(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    say(&a->reports.auth_ok);
    assert_int_equal(rig.srv.admission.count, 1);
    say(&a->reports.asked);
    assert_int_equal(rig.srv.admission.count, 0);
}

static void a_copy_hears_who_has_the_id(void **state)
{
    (void)state;
    serve(come("192.0.2.1"), "nas", 8080);
    struct agent *b = come("192.0.2.2");
    ask(b, "nas", 9090, false);
    expect_heard("b:refuse ");
    assert_int_equal(b->main.refusal.answer.error, HELLO_ERR_TAKEN);
    assert_string_equal(b->main.refusal.answer.by, "192.0.2.1:4711");
}

static void a_new_process_takes_its_place(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b;
    serve(a, "nas", 8080);
    b = come("192.0.2.2");
    ask(b, "nas", 8080, true);
    expect_heard("a:evict ");
    end(a, END_REPLACED);
    expect_heard("b:accept ");
}

/* One source takes no more than its part, however often it asks; others and its own successor get
   in; what has ended counts no more. */
static void one_source_leaves_room_for_others(void **state)
{
    (void)state;
    struct agent *first = come("192.0.2.1"), *more;
    serve(first, "a", 1001);
    serve(come("192.0.2.1"), "b", 1002);
    serve(come("192.0.2.1"), "", 1003); /* the legacy wire */
    for (int i = 0; i < 2; i++) {
        more = come("192.0.2.1");
        *rig.heard = '\0';
        ask(more, i ? "d" : "", 1004, true);
        expect_heard(i ? "e:refuse " : "d:refuse ");
        assert_int_equal(more->main.refusal.answer.error, HELLO_ERR_BUSY);
    }
    assert_non_null(strstr(rig.lines, "one more session"));
    assert_null(strstr(strstr(rig.lines, "one more session") + 1, "one more session"));
    more = come("192.0.2.1"); /* a new process of a client that is there */
    *rig.heard = '\0';
    ask(more, "a", 1001, true);
    expect_heard("a:evict ");
    end(first, END_REPLACED);
    expect_heard("f:accept ");
    more = come("192.0.2.2");
    *rig.heard = '\0';
    ask(more, "e", 1005, true);
    expect_heard("g:accept ");
    more = come("192.0.2.3"); /* all together have no more */
    *rig.heard = '\0';
    ask(more, "f", 1006, true);
    expect_heard("h:refuse ");
    end(rig.agents[6], END_PEER);
    *rig.heard = '\0';
    say(&more->reports.asked);
    expect_heard("h:accept ");
}

/* One that drains stays beside the next one of its id, so it counts like any other. */
static void what_drains_counts_for_its_source(void **state)
{
    (void)state;
    struct agent *more;
    for (int i = 0; i < 3; i++) {
        more = come("192.0.2.1");
        serve(more, "a", 1001);
        say(&more->reports.released);
    }
    more = come("192.0.2.1");
    ask(more, "a", 1001, true);
    expect_heard("d:refuse ");
    assert_int_equal(more->main.refusal.answer.error, HELLO_ERR_BUSY);
    end(rig.agents[0], END_DRAINED);
    say(&more->reports.asked);
    expect_heard("d:accept ");
}

/* Users who finish without their session are in the crowd of its source; an empty one is the next's. */
static void who_finishes_without_a_session_is_in_the_crowd(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b = come("192.0.2.2"), *c = come("192.0.2.3");
    serve(a, "a", 1001);
    struct crowd *crowd = a->main.crowd;
    quota_take(&crowd->users);
    end(a, END_PEER);
    serve(b, "b", 1002);
    assert_ptr_not_equal(b->main.crowd, crowd);
    a = come("192.0.2.1");
    serve(a, "a", 1001);
    assert_ptr_equal(a->main.crowd, crowd);
    end(a, END_PEER);
    (void)quota_give(&crowd->users);
    serve(c, "c", 1003);
    assert_ptr_equal(c->main.crowd, crowd);
    assert_string_equal(c->main.crowd->source, "192.0.2.3");
}

/* Each of another source: who comes, opens a tunnel or resumes is not compared with all of them. */
static void nobody_is_looked_for_among_all(void **state)
{
    (void)state;
    enum { MANY = 20 };
    char ip[INET_ADDRSTRLEN], id[8];
    uint8_t sid[HELLO_SID_BYTES];
    assert_true(account_of_server(&rig.srv.account, 4096, 1));
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(ip, sizeof ip, "198.51.100.%d", i);
        (void)snprintf(id, sizeof id, "m%d", i);
        (void)open_tunnel(serve_services(ip, id), 7000 + i);
    }
    rig.srv.looks = rig.srv.registry.looks = 0;
    struct agent *a = serve_services("192.0.2.1", "nas");
    struct service *first = open_tunnel(a, 8080), *second = open_tunnel(a, 8081);
    memset(sid, letter_of(a), sizeof sid);
    assert_ptr_equal(owners_find(&rig.srv, sid), a);
    say(&first->reports.gone);
    say(&second->reports.gone);
    end(a, END_PEER);
    assert_null(owners_find(&rig.srv, sid));
    assert_true(rig.srv.looks + rig.srv.registry.looks < MANY / 2);
}

/* Descriptors are one account: what sessions take users cannot have, nor sessions what users have. */
static void sessions_and_users_share_descriptors(void **state)
{
    (void)state;
    struct server *srv = &rig.srv;
    char id[8];
    assert_true(account_of_server(&srv->account, 64, 1)); /* 3 sessions for sure, 11 of a source */
    quota_init(&srv->connections, account_users(&srv->account, 0));
    assert_int_equal(quota_max(&srv->connections), 31);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        serve(come("192.0.2.1"), id, 1000 + i);
    }
    assert_int_equal(quota_max(&srv->connections), account_users(&srv->account, 5));
    assert_int_equal(quota_max(&srv->connections), 37 - 5 * 2 - 2);
    while (!quota_is_full(&srv->connections))
        quota_take(&srv->connections);
    struct agent *more = come("192.0.2.1");
    ask(more, "more", 1010, true);
    assert_int_equal(more->main.refusal.answer.error, HELLO_ERR_BUSY);
    assert_int_equal(quota_max(&srv->connections), 25); /* as before */
    end(more, END_REFUSED);
    serve(come("192.0.2.2"), "other", 1011); /* the last place is for a source that has none */
    assert_int_equal(quota_max(&srv->connections), 23);
    for (unsigned i = 0; i < 5; i++)
        end(rig.agents[i], END_PEER);
    assert_int_equal(quota_max(&srv->connections), 31);
}

static void a_port_of_the_legacy_wire_is_kept(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b;
    serve(a, "", 8080);
    b = come("192.0.2.2");
    ask(b, "", 8080, true);
    expect_heard("b:refuse ");
    assert_int_equal(b->main.refusal.answer.error, HELLO_OK);
    assert_int_equal(b->main.refusal.port, 8080);
    assert_int_equal(b->main.refusal.err, ERR_INUSE);
    assert_string_equal(b->main.refused_by, "192.0.2.1:4711"); /* the log's */
}

/* A client of another key is told that the port is taken, and not by whom. */
static void who_has_a_port_is_for_the_same_key_to_know(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b = come("192.0.2.2"), *c = come("192.0.2.3");
    struct credentials *t = keys_new(&rig.srv, NULL, NULL);
    assert_int_equal(credentials_add(t, &(struct credential){.name = "lap"}), 0);
    assert_int_equal(keys_use(&rig.srv, t, NULL), 0);
    serve(a, "nas", 0);
    struct service *has = open_tunnel(a, 8080), *of_key, *of_secret;
    (void)snprintf(b->who.key, sizeof b->who.key, "lap");
    serve(b, "lap", 0);
    serve(c, "nas.2", 0);
    of_key = tunnel_new(b, 8080);
    say(&of_key->reports.asked);
    say(&has->reports.yielded);
    of_secret = tunnel(c, 8080);
    say(&has->reports.yielded);
    expect_heard("a0:yield b1:refuse a0:yield c2:refuse ");
    assert_string_equal(of_key->why.by, "");
    assert_string_equal(of_secret->why.by, "192.0.2.1:4711");
}

static void free_rights(void *rights)
{
    rights_free(rights);
}

/* The client `lap` has a key, and what its file says of ports, tunnels and sessions; 0: nothing. */
static void let_lap(const char *ports, int tunnels, int sessions)
{
    const struct credentials_config cfg = {.rights_free = free_rights};
    struct credentials *t = credentials_new(&cfg);
    struct client_entry entry;
    client_entry_init(&entry);
    assert_int_equal(ports_parse(ports, &entry.ports), 0);
    entry.tunnels = tunnels;
    entry.sessions = sessions;
    assert_int_equal(
        credentials_add(t, &(struct credential){.name = "lap", .rights = rights_new(&entry)}), 0);
    assert_int_equal(keys_use(&rig.srv, t, NULL), 0);
}

static struct agent *come_as_lap(const char *ip, const char *id)
{
    struct agent *a = come(ip);
    (void)snprintf(a->who.key, sizeof a->who.key, "lap");
    ask(a, id, CLAIM_NO_PORT, false);
    return a;
}

static void a_key_has_the_ports_of_its_file(void **state)
{
    (void)state;
    let_lap("8080-8081", 0, 0);
    struct agent *a = come_as_lap("192.0.2.1", "lap");
    *rig.heard = '\0';
    (void)open_tunnel(a, 8081);
    struct service *no = tunnel(a, 8082);
    expect_heard("a1:refuse ");
    assert_int_equal(no->why.error, SERVICE_ERR_RIGHT);
    assert_string_equal(no->why.errno_word, REFUSAL_RIGHT);
}

/* In each of its sessions; one that is refused takes no place. */
static void a_key_has_so_many_tunnels(void **state)
{
    (void)state;
    let_lap("1-65535", 2, 0);
    struct agent *a = come_as_lap("192.0.2.1", "lap"), *b = come_as_lap("192.0.2.1", "lap.2");
    *rig.heard = '\0';
    (void)open_tunnel(a, 8080);
    struct service *second = open_tunnel(a, 8081);
    for (unsigned i = 0; i < 2; i++) {
        struct service *no = tunnel(a, 8082);
        assert_int_equal(no->why.error, SERVICE_ERR_LIMIT);
        say(&no->reports.gone);
    }
    expect_heard("a2:refuse a2:forgotten a3:refuse a3:forgotten ");
    (void)open_tunnel(b, 8090);
    say(&second->reports.released);
    (void)open_tunnel(a, 8082);
}

/* Of whatever ids; one that comes again with its own takes the place of the former. */
static void a_key_has_so_many_sessions(void **state)
{
    (void)state;
    let_lap("8080", 0, 1);
    struct agent *a = come_as_lap("192.0.2.1", "lap");
    *rig.heard = '\0';
    struct agent *b = come_as_lap("192.0.2.2", "lap.2");
    expect_heard("b:refuse ");
    assert_int_equal(b->main.refusal.answer.error, HELLO_ERR_BUSY);
    end(a, END_PEER);
    *rig.heard = '\0';
    (void)come_as_lap("192.0.2.2", "lap.2");
    assert_non_null(strstr(rig.heard, ":accept "));
    assert_int_equal(rig.srv.sessions, 1);
}

/* Its key was good when it was judged, and is not when it asks: it ends, and nothing is opened. */
static void who_is_revoked_while_he_is_judged_gets_nothing(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    (void)snprintf(a->who.key, sizeof a->who.key, "lap"); /* in no table */
    ask(a, "lap", 8080, true);
    expect_heard("a:revoke ");
    assert_int_equal(rig.srv.sessions, 0);
}

/* The worker ends the session while it is asked: there is no answer, but the end. */
static void who_dies_while_asked_gives_way(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv"),
                 *c = serve_services("192.0.2.3", "pi");
    struct service *has = open_tunnel(a, 8080), *wants = tunnel(b, 8080);
    expect_heard("a0:yield ");
    say(&has->reports.gone);
    expect_heard("a0:forgotten b1:open_port ");
    say(&wants->reports.gone); /* and the one who opens may die as well */
    expect_heard("b1:forgotten ");
    (void)tunnel(c, 8080);
    expect_heard("c2:open_port ");
}

static void what_drains_is_in_nobodys_way(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b;
    serve(a, "nas", 8080);
    say(&a->reports.released);
    b = come("192.0.2.2");
    ask(b, "nas", 8080, false);
    expect_heard("b:accept ");
}

/* ---- services ---- */

static void a_service_has_a_port_of_its_own(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas");
    struct service *v = tunnel(a, 8080);
    expect_heard("a0:open_port ");
    v->opened_port = 8080;
    say(&v->reports.opened);
    expect_heard("");
    assert_int_equal(v->claim.state, CLAIM_SERVING);
    (void)tunnel(a, 8081);
    expect_heard("a1:open_port ");
    say(&v->reports.gone);
    expect_heard("a0:forgotten ");
    (void)tunnel(a, 8080);
    expect_heard("a2:open_port ");
}

/* A new session of the client has nothing to do with the ports of the older one's tunnels. */
static void a_service_is_nobodys_namesake(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv");
    (void)open_tunnel(a, 8080);
    (void)open_tunnel(b, 8081);
    expect_heard("");
    assert_int_equal(a->claim.state, CLAIM_SERVING);
}

static void a_service_hears_who_has_its_port(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv");
    struct service *has = open_tunnel(a, 8080), *wants = tunnel(b, 8080);
    expect_heard("a0:yield ");
    has->yields = false;
    say(&has->reports.yielded);
    expect_heard("b1:refuse ");
    assert_int_equal(wants->why.error, SERVICE_ERR_TAKEN);
    assert_string_equal(wants->why.by, "192.0.2.1:4711");
    assert_null(strstr(rig.lines, "goes to"));
}

static void a_port_goes_to_the_other_client(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv");
    (void)snprintf(a->name, sizeof a->name, "%s", "nas-name");
    (void)snprintf(b->name, sizeof b->name, "%s", "tv-name");
    struct service *has = open_tunnel(a, 8080);
    (void)tunnel(b, 8080);
    expect_heard("a0:yield ");
    has->yields = true;
    say(&has->reports.yielded);
    expect_heard("b1:open_port ");
    assert_non_null(strstr(rig.lines, "[nas-name] public port 8080 goes to tv-name: "));
    say(&has->reports.released); /* once more, and harmless */
    say(&has->reports.gone);
    expect_heard("a0:forgotten ");
}

/* Who has asked for it ends before the answer. */
static void a_port_goes_to_nobody(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv");
    struct service *has = open_tunnel(a, 8080), *wants = tunnel(b, 8080);
    expect_heard("a0:yield ");
    say(&wants->reports.gone);
    has->yields = true;
    say(&has->reports.yielded);
    expect_heard("b1:forgotten ");
    assert_non_null(strstr(rig.lines, " public port 8080 goes to -: "));
}

/* Who gets which is not mixed up: two of its ports are asked for at once. */
static void each_port_goes_to_who_wants_it(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv"),
                 *c = serve_services("192.0.2.3", "pc");
    (void)snprintf(b->name, sizeof b->name, "%s", "tv-name");
    (void)snprintf(c->name, sizeof c->name, "%s", "pc-name");
    struct service *first = open_tunnel(a, 8080), *second = open_tunnel(a, 8081);
    (void)tunnel(b, 8080);
    (void)tunnel(c, 8081);
    expect_heard("a0:yield a1:yield ");
    first->yields = second->yields = true;
    say(&first->reports.yielded);
    say(&second->reports.yielded);
    assert_non_null(strstr(rig.lines, "public port 8080 goes to tv-name: "));
    assert_non_null(strstr(rig.lines, "public port 8081 goes to pc-name: "));
}

/* Its session is over, or it is closed, while it is asked: that is the answer. */
static void a_service_that_goes_gives_its_port_back(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv");
    struct service *has = open_tunnel(a, 8080);
    (void)tunnel(b, 8080);
    expect_heard("a0:yield ");
    say(&has->reports.gone);
    assert_non_null(strstr(rig.heard, "b1:open_port ")); /* two workers: in any order */
    assert_non_null(strstr(rig.heard, "a0:forgotten "));
    *rig.heard = '\0';
    has = open_tunnel(a, 9090);
    (void)tunnel(b, 9090);
    expect_heard("a2:yield ");
    say(&has->reports.released); /* it drains */
    expect_heard("b3:open_port ");
    has = tunnel(a, 9091); /* of one that could not be had */
    (void)tunnel(b, 9091);
    expect_heard("a4:open_port ");
    has->opened_port = 0;
    say(&has->reports.opened);
    expect_heard("b5:open_port ");
}

/* As many as the account has for a source, and no more: its own count like those of others, two as a
   session, but the first of each session. */
static void tunnels_of_a_source_leave_room_for_others(void **state)
{
    (void)state; /* 4 sessions, 3 of a source */
    struct agent *a = serve_services("192.0.2.1", "nas"), *b;
    for (int i = 0; i < 5; i++)
        (void)open_tunnel(a, 8080 + i);
    assert_int_equal(rig.srv.tunnels, 4);
    assert_int_equal(a->main.tunnels, 5);
    struct service *more = tunnel(a, 8090);
    expect_heard("a5:refuse ");
    assert_int_equal(more->why.error, SERVICE_ERR_LIMIT);
    say(&more->reports.gone);
    expect_heard("a5:forgotten ");
    assert_int_equal(rig.srv.tunnels, 4);
    b = come("192.0.2.1"); /* nor has it room for a session */
    ask(b, "tv", CLAIM_NO_PORT, true);
    expect_heard("b:refuse ");
    assert_int_equal(b->main.refusal.answer.error, HELLO_ERR_BUSY);
    b = serve_services("192.0.2.2", "tv"); /* another has */
    (void)open_tunnel(b, 8091);
    assert_int_equal(rig.srv.tunnels, 4);
    more = tunnel(b, 8092); /* all together have no more */
    expect_heard("c7:refuse ");
    say(&more->reports.gone);
    for (int i = 0; i < 2; i++)
        say(&rig.services[i]->reports.gone);
    *rig.heard = '\0';
    (void)tunnel(b, 8092);
    expect_heard("c8:open_port ");
    assert_int_equal(rig.srv.tunnels, 3);
}

static void tunnels_of_others_are_none_of_a_source(void **state)
{
    (void)state;
    rig.srv.account.sessions_max = rig.srv.account.places_max = 8; /* 6 of a source */
    struct agent *a = serve_services("192.0.2.1", "nas"), *b = serve_services("192.0.2.2", "tv");
    for (int i = 0; i < 11; i++)
        (void)open_tunnel(a, 8080 + i);
    (void)open_tunnel(b, 9090);
    (void)open_tunnel(b, 9091);
}

/* Its users' connections may run on for long: they have descriptors in the account of users. */
static void who_drains_does_not_count(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas");
    struct service *v = open_tunnel(a, 8080);
    (void)open_tunnel(a, 8081);
    say(&v->reports.released);
    assert_int_equal(a->main.tunnels, 1);
    assert_int_equal(rig.srv.tunnels, 0);
    say(&v->reports.gone); /* once */
    expect_heard("a0:forgotten ");
    assert_int_equal(a->main.tunnels, 1);
}

/* It was refused before anybody was asked. */
static void who_has_not_asked_does_not_count(void **state)
{
    (void)state;
    struct agent *a = serve_services("192.0.2.1", "nas");
    (void)open_tunnel(a, 8080);
    (void)open_tunnel(a, 8081);
    struct service *v = tunnel_new(a, 8082);
    say(&v->reports.gone);
    expect_heard("a2:forgotten ");
    assert_int_equal(a->main.tunnels, 2);
    assert_int_equal(rig.srv.tunnels, 1);
}

/* Descriptors are one account: what they take users cannot have. */
static void tunnels_and_users_share_descriptors(void **state)
{
    (void)state;
    struct server *srv = &rig.srv;
    assert_true(account_of_server(&srv->account, 64, 1));
    struct agent *a = serve_services("192.0.2.1", "nas");
    for (int i = 0; i < 5; i++)
        (void)open_tunnel(a, 8080 + i);
    assert_int_equal(quota_max(&srv->connections), account_users(&srv->account, 3));
    while (!quota_is_full(&srv->connections))
        quota_take(&srv->connections);
    (void)tunnel(a, 8090);
    expect_heard("a5:refuse ");
    while (quota_used(&srv->connections) > 0)
        (void)quota_give(&srv->connections);
    for (unsigned i = 0; i < rig.services_count; i++)
        say(&rig.services[i]->reports.gone);
    *rig.heard = '\0';
    assert_int_equal(quota_max(&srv->connections), account_users(&srv->account, 1));
    for (int i = 0; i < 6; i++) { /* the first one of a session has its room since that began */
        char id[16];
        (void)snprintf(id, sizeof id, "%d", i);
        a = serve_services("192.0.2.2", id);
    }
    while (!quota_is_full(&srv->connections))
        quota_take(&srv->connections);
    (void)tunnel(a, 8090);
    expect_heard("g6:open_port ");
    (void)tunnel(a, 8091);
    expect_heard("g7:refuse ");
}

/* One port is of a client on the legacy wire. */
static void ports_of_both_kinds_are_one_space(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b;
    serve(a, "", 8080);
    b = serve_services("192.0.2.2", "tv");
    (void)tunnel(b, 8080);
    expect_heard("b0:refuse ");
    assert_string_equal(rig.services[0]->why.by, "192.0.2.1:4711");
}

/* ---- what waits ---- */

static void wait_with(struct agent *a, uint64_t bytes, uint32_t streams)
{
    atomic_store(&a->work.waiting_streams, streams);
    atomic_store(&a->work.waiting_bytes, bytes + 1);
    say(&a->reports.waits);
}

static void too_much_waits(void **state)
{
    (void)state;
    rig.srv.waiting.max = 100000;
    struct agent *a = come("192.0.2.1"), *b = come("192.0.2.1"), *c = come("192.0.2.2");
    serve(a, "nas", 8080);
    serve(b, "web", 8081);
    serve(c, "ssh", 8082);
    wait_with(a, 40000, 1);
    wait_with(b, 20000, 0);
    expect_heard("");
    wait_with(c, 50000, 1); /* the first source holds most: its session without connections */
    expect_heard("b:expire ");
    atomic_store(&a->work.waiting_bytes, 0); /* it is back */
    say(&a->reports.waits);
    wait_with(b, 45000, 0);
    expect_heard("");
}

/* It counts as it grows, to the byte, whatever its connections do meanwhile. */
static void what_waits_grows(void **state)
{
    (void)state;
    rig.srv.waiting.max = 100000;
    struct agent *a = come("192.0.2.1"), *b = come("192.0.2.2");
    serve(a, "nas", 8080);
    serve(b, "web", 8081);
    wait_with(a, 40000, 1);
    wait_with(b, 50000, 1);
    wait_with(a, 50000, 100);
    expect_heard("");
    wait_with(a, 50001, 1000);
    expect_heard("a:expire ");
}

/* ---- connections that resume ---- */

static struct agent *resume(const char *ip, uint8_t sid)
{
    struct agent *a = come(ip);
    memset(a->handover.sid, sid, sizeof a->handover.sid);
    say(&a->reports.resume);
    return a;
}

static void a_resume_goes_to_the_session(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b;
    serve(a, "nas", 8080);
    b = resume("198.51.100.7", 'a');
    expect_heard("b:attach ");
    assert_ptr_equal(b->main.target, a);
    b->handover_error = HELLO_OK;
    end(b, END_MOVED);
    /* who resumes has proved himself: an attempt he gives up is no failed authentication */
    assert_int_equal(rig.srv.known.next_source, 2);
    *rig.lines = '\0';
    end(come("198.51.100.7"), END_PEER);
    assert_null(strstr(rig.lines, "authentication of"));
    end(come("203.0.113.9"), END_PEER);
    assert_non_null(strstr(rig.lines, "event=left src=203.0.113.9 "));
}

static void an_unknown_session_is_no_guess(void **state)
{
    (void)state;
    struct agent *a = resume("198.51.100.7", 'x');
    expect_heard("a:attach ");
    assert_null(a->main.target);
    a->handover_error = HELLO_ERR_UNKNOWN;
    *rig.lines = '\0';
    end(a, END_MOVED);
    assert_string_equal(rig.lines, "event=unknown src=198.51.100.7 198.51.100.7:4711 wants to "
                                   "resume a session that is not here\n");
    assert_int_equal(rig.srv.known.next_source, 0); /* nor a proof */
}

/* ---- who comes ---- */

static void clients_are_spread(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b = come("192.0.2.2"), *c = come("192.0.2.3");
    assert_ptr_equal(a->worker, &rig.workers[0]);
    assert_ptr_equal(b->worker, &rig.workers[1]);
    say(&a->reports.auth_ok);
    say(&c->reports.auth_ok); /* as many at both, but those of the second may not stay */
    end(c, END_SHUTDOWN);
    assert_ptr_equal(come("192.0.2.4")->worker, &rig.workers[1]);
    assert_int_equal(rig.gone, 1);
}

static void fails(struct agent *a)
{
    say(&a->reports.line);
    say(&a->reports.auth_failed);
}

static void the_fifth_wrong_secret_makes_others_wait(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1"), *b = come("203.0.113.9");
    for (int i = 0; i < 5; i++)
        fails(a);
    expect_heard("a:judge a:judge a:judge a:judge a:judge ");
    say(&a->reports.line);
    expect_heard("");
    say(&b->reports.line); /* whoever else comes is not punished for it */
    expect_heard("b:judge ");
    assert_non_null(strstr(rig.lines, "authentication of 192.0.2.1:4711 failed: wrong secret"));
}

/* For a day after a proof, and from the last one on. */
static void who_proved_himself_has_a_place_of_his_own(void **state)
{
    (void)state;
    struct server *srv = &rig.srv;
    struct agent *a = come("192.0.2.1"), *again;
    assert_ptr_equal(a->main.places, &srv->admission);
    say(&a->reports.auth_ok);
    say(&a->reports.asked);
    again = come("192.0.2.1");
    assert_ptr_equal(again->main.places, &srv->known_places);
    assert_int_equal(srv->known_places.count, 1);
    assert_int_equal(srv->admission.count, 0);
    assert_ptr_equal(come("192.0.2.2")->main.places, &srv->admission);
    assert_int_equal(srv->admission.max + srv->known_places.max, ADMISSION_MAX);

    struct known_entry *k = &srv->known.sources[0];
    assert_in_range(k->before - loop_now(&srv->loop), KNOWN_MS - 20000, KNOWN_MS);
    k->before = loop_now(&srv->loop); /* a day later */
    assert_ptr_equal(come("192.0.2.1")->main.places, &srv->admission);
    say(&again->reports.auth_ok); /* the same entry */
    say(&again->reports.asked);
    assert_int_equal(srv->known.next_source, 1);
    assert_int_equal(srv->known_places.count, 0);
    assert_ptr_equal(come("192.0.2.1")->main.places, &srv->known_places);
    *rig.heard = '\0';
}

/* ---- lines about strangers ---- */

static void expect_line(const char *text)
{
    assert_string_equal(rig.lines, text);
    *rig.lines = '\0';
}

static void how_an_opening_ended_has_its_word(void **state)
{
    static const struct {
        enum end_reason reason;
        const char *begins;
    } cases[] = {
        {END_TLS, "event=tls_failed src=192.0.2.1 TLS with 192.0.2.1:4711 failed: "},
        {END_CERT, "event=tls_failed src=192.0.2.1 "},
        {END_PROTOCOL, "event=secret_not src=192.0.2.1 authentication of 192.0.2.1:4711 failed: "},
        {END_DEADLINE, "event=timeout src=192.0.2.1 192.0.2.1:4711 took too long"},
        {END_LOCAL, "event=limit src=192.0.2.1 192.0.2.1:4711 was dropped"},
        {END_LEGACY, "event=legacy src=192.0.2.1 192.0.2.1:4711 speaks only"},
        {END_PEER, "event=left src=192.0.2.1 192.0.2.1:4711 left"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent *a = come("192.0.2.1");
        expect_line("event=connected src=192.0.2.1 new TLS connection from 192.0.2.1:4711, PSK "
                    "authentication follows...\n");
        end(a, cases[i].reason);
        assert_ptr_equal(strstr(rig.lines, cases[i].begins), rig.lines);
        *rig.lines = '\0';
    }
    *rig.heard = '\0';
}

static void before_tls_they_have_words_too(void **state)
{
    (void)state;
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &from.sin6_addr), 1);
    const struct sockaddr *sa = (struct sockaddr *)&from;
    reception_gone(&rig.srv, GATE_NOT_TLS, sa);
    expect_line("event=tls_not src=2001:db8::7 [2001:db8::7]:4711 does not speak TLS\n");
    reception_gone(&rig.srv, GATE_LATE, sa);
    expect_line("event=timeout src=2001:db8::7 [2001:db8::7]:4711 took too long to "
                "authenticate\n");
    reception_gone(&rig.srv, GATE_CROWDED, sa);
    expect_line("event=limit src=2001:db8::7 [2001:db8::7]:4711 was dropped: too many connections "
                "that have not authenticated\n");
    reception_gone(&rig.srv, GATE_LEFT, sa);
    expect_line("");
}

/* It is named where it is the one to blame, and nowhere else: its connections may be anybody's. */
static void nobody_bans_a_balancer(void **state)
{
    (void)state;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    const struct sockaddr *sa = (struct sockaddr *)&from;
    assert_int_equal(inet_pton(AF_INET, "10.0.0.7", &from.sin_addr), 1);
    assert_int_equal(cidrs_parse("10.0.0.0/8", &rig.opt.trusted_proxy), 0);
    assert_true(reception_is_proxy(&rig.srv, sa));
    reception_not_proxied(&rig.srv, PROXY_GATE_NOT, sa);
    expect_line("event=proxy_not src=10.0.0.7 10.0.0.7:4711 is in -trusted-proxy, its connection "
                "was closed: it does not begin with a PROXY header\n");
    reception_not_proxied(&rig.srv, PROXY_GATE_BROKEN, sa);
    expect_line("event=proxy_not src=10.0.0.7 10.0.0.7:4711 is in -trusted-proxy, its connection "
                "was closed: its PROXY header is broken\n");
    reception_not_proxied(&rig.srv, PROXY_GATE_LATE, sa);
    expect_line("event=proxy_not src=10.0.0.7 10.0.0.7:4711 is in -trusted-proxy, its connection "
                "was closed: its PROXY header did not come in time\n");
    reception_not_proxied(&rig.srv, PROXY_GATE_CROWDED, sa);
    expect_line("event=proxy_not src=10.0.0.7 10.0.0.7:4711 is in -trusted-proxy, its connection "
                "was closed: too many wait for their PROXY header\n");
    reception_not_proxied(&rig.srv, PROXY_GATE_LEFT, sa);
    expect_line("");
    reception_gone(&rig.srv, GATE_NOT_TLS, sa);
    expect_line("event=tls_not src=- 10.0.0.7:4711 does not speak TLS\n");
    struct agent *a = come("10.0.0.7");
    expect_line("event=connected src=- new TLS connection from 10.0.0.7:4711, PSK authentication "
                "follows...\n");
    assert_string_equal(a->source, "10.0.0.7"); /* it counts as itself */
    end(a, END_DEADLINE);
    expect_line("event=timeout src=- 10.0.0.7:4711 took too long to authenticate\n");
    end(come("11.0.0.7"), END_DEADLINE);
    assert_non_null(strstr(rig.lines, "event=timeout src=11.0.0.7 11.0.0.7:4711 "));
    *rig.lines = *rig.heard = '\0';
}

/* They have a share of strangers' lines, no more. */
static void a_balancer_does_not_fill_the_log(void **state)
{
    (void)state;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
    assert_int_equal(inet_pton(AF_INET, "10.0.0.7", &from.sin_addr), 1);
    for (int i = 0; i < 50; i++)
        reception_not_proxied(&rig.srv, PROXY_GATE_NOT, (struct sockaddr *)&from);
    unsigned lines = 0;
    for (const char *p = rig.lines; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, STRANGERS_SOURCE);
    *rig.lines = '\0';
}

static void a_penalty_is_told_once(void **state)
{
    (void)state;
    struct agent *a = come("192.0.2.1");
    for (int i = 0; i < 4; i++)
        fails(a);
    *rig.lines = '\0';
    fails(a);
    expect_line("event=auth_failed src=192.0.2.1 authentication of 192.0.2.1:4711 failed: wrong "
                "secret\n"
                "event=penalty src=192.0.2.1 too many failed attempts from 192.0.2.1:4711: its "
                "next ones are rationed\n");
    say(&a->reports.line);
    end(a, END_PEER);
    assert_null(strstr(rig.lines, "event=penalty"));
    *rig.lines = *rig.heard = '\0';
}

/* Of many sources together sixty a minute; the rest is summed up, at the end at the latest. */
static void many_sources_share_one_budget(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(4711)};
        from.sin_addr.s_addr = htonl(0xc6336400u + (uint32_t)i);
        reception_gone(&rig.srv, i < 80 ? GATE_NOT_TLS : GATE_LATE, (struct sockaddr *)&from);
    }
    unsigned lines = 0;
    for (const char *p = rig.lines; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, STRANGERS_LINES);
    assert_true(uv_is_active((uv_handle_t *)&rig.srv.strangers_sum));
    assert_in_range(uv_timer_get_due_in(&rig.srv.strangers_sum), 1, STRANGERS_MINUTE_MS);
    *rig.lines = '\0';
    uv_timer_start(&rig.srv.strangers_sum, rig.srv.strangers_sum.timer_cb, 0, 0);
    run();
    expect_line("event=left_out src=- 140 lines about connections that have not authenticated "
                "were left out: tls_not=20 timeout=120\n");
    assert_false(uv_is_active((uv_handle_t *)&rig.srv.strangers_sum));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_free_port_is_opened_and_granted),
        T(who_asks_gives_his_place_back),
        T(a_copy_hears_who_has_the_id),
        T(a_new_process_takes_its_place),
        T(one_source_leaves_room_for_others),
        T(what_drains_counts_for_its_source),
        T(who_finishes_without_a_session_is_in_the_crowd),
        T(nobody_is_looked_for_among_all),
        T(sessions_and_users_share_descriptors),
        T(a_port_of_the_legacy_wire_is_kept),
        T(who_has_a_port_is_for_the_same_key_to_know),
        T(a_key_has_the_ports_of_its_file),
        T(a_key_has_so_many_tunnels),
        T(a_key_has_so_many_sessions),
        T(who_is_revoked_while_he_is_judged_gets_nothing),
        T(who_dies_while_asked_gives_way),
        T(what_drains_is_in_nobodys_way),
        T(a_service_has_a_port_of_its_own),
        T(a_service_is_nobodys_namesake),
        T(a_service_hears_who_has_its_port),
        T(a_port_goes_to_the_other_client),
        T(a_port_goes_to_nobody),
        T(each_port_goes_to_who_wants_it),
        T(a_service_that_goes_gives_its_port_back),
        T(tunnels_of_a_source_leave_room_for_others),
        T(tunnels_of_others_are_none_of_a_source),
        T(who_has_not_asked_does_not_count),
        T(who_drains_does_not_count),
        T(tunnels_and_users_share_descriptors),
        T(ports_of_both_kinds_are_one_space),
        T(too_much_waits),
        T(what_waits_grows),
        T(a_resume_goes_to_the_session),
        T(an_unknown_session_is_no_guess),
        T(clients_are_spread),
        T(the_fifth_wrong_secret_makes_others_wait),
        T(who_proved_himself_has_a_place_of_his_own),
        T(how_an_opening_ended_has_its_word),
        T(before_tls_they_have_words_too),
        T(nobody_bans_a_balancer),
        T(a_balancer_does_not_fill_the_log),
        T(a_penalty_is_told_once),
        T(many_sources_share_one_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
