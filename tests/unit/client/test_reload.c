/* SPDX-License-Identifier: MIT */
/* A reload between one tunnel and several: what is asked for, what closes, and what lines call it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "conf/diff.h"
#include "conf/flags.h"
#include "lines_of_services.h"
#include "unit/lines.h"

#define SOLE    "-remote-port 8080 -local-target 127.0.0.1:8000"
#define ANOTHER "-remote-port 9090 -local-target 127.0.0.1:8000"
#define THREE                                                                                      \
    "-forward 8080=127.0.0.1:8000 -forward ssh=2222=127.0.0.1:22 -forward db=0=127.0.0.1:5432"
static struct snapshot *options_of(const char *words, const char *sole_name)
{
    char copy[512] = "-server 192.0.2.1:7000 -secret " STUB_SECRET " ";
    char *argv[32];
    int argc = 0, rest;
    struct flags_error why;
    struct snapshot *s = snapshot_new(&client_mode);
    assert_non_null(s);
    (void)strncat(copy, words, sizeof copy - strlen(copy) - 1);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    struct client_options *draft = snapshot_draft(s);
    assert_int_equal(flags_parse(&client_mode, argc, argv, draft, &rest, &why), FLAGS_OK);
    (void)snprintf(draft->sole_name, sizeof draft->sole_name, "%s", sole_name);
    assert_int_equal(snapshot_seal(s), 0);
    return s;
}

/* What app/reload.c does with a file that says so now. */
static struct tunnels_diff reload_to(const char *words, const char *sole_name)
{
    struct client *c = stub.client;
    struct errmsg why;
    struct reload_result told = {.errors_count = 0};
    struct snapshot *is = options_of(words, sole_name), *was = snapshot_ref(c->options);
    struct reload_plan plan = {.was = was, .is = is, .told = &told};
    plan.diff.live = options_bit(&client_mode, "forward");
    assert_int_equal(tunnels_reload_prepare(c, &plan, &why), 0);
    snapshot_unref(c->options);
    c->options = snapshot_ref(is);
    c->opt = snapshot_client(is);
    assert_false(tunnels_reload_apply(c, &plan));
    stub_turn();
    snapshot_unref(was);
    snapshot_unref(is);
    assert_true(told.has_tunnels);
    return told.tunnels;
}

static void expect_diff(struct tunnels_diff d, uint32_t fresh, uint32_t changed, uint32_t closed,
                        uint32_t same)
{
    assert_int_equal(d.fresh, fresh);
    assert_int_equal(d.changed, changed);
    assert_int_equal(d.closed, closed);
    assert_int_equal(d.same, same);
}

static struct session *up(void)
{
    struct session *s = stub_up(1);
    *stub.said = '\0';
    (void)stub_lines("");
    return s;
}

static void there_and_back(void)
{
    struct session *s = up();
    expect_diff(reload_to(THREE, ""), 2, 0, 0, 1);
    expect_said(OPEN(2, "ssh", 2222) OPEN(3, "db", 0)); /* the first stays as it is */
    assert_null(tunnels_sole(stub.client));
    assert_non_null(strstr(stub.status, "tunnels open: 1 of 3: up")); /* the manager hears of it */
    assert_true(stub_line(s, OPENED(2, 2222)));
    assert_true(stub_line(s, OPENED(3, 4711)));
    assert_int_equal(lines_count("the server listens on"), 0);
    assert_int_equal(stub_lines("tunnel 'ssh': tcp://192.0.2.1:2222 -> 127.0.0.1:22"), 1);
    assert_int_equal(tunnels_open(stub.client), 3);

    expect_diff(reload_to(SOLE, ""), 0, 0, 2, 1);
    expect_said(CLOSE(2, 30000) CLOSE(3, 30000));
    const struct tunnel *t = tunnels_sole(stub.client);
    assert_non_null(t);
    assert_int_equal(t->wish.svc, 1);
    assert_string_equal(tunnel_shown_name(t), "");
    assert_int_equal(tunnels_open(stub.client), 1);
}

static void to_another_and_back(void)
{
    struct session *s = up();
    expect_diff(reload_to(THREE, ""), 2, 0, 0, 1);
    expect_said(OPEN(2, "ssh", 2222) OPEN(3, "db", 0));
    assert_true(stub_line(s, OPENED(2, 2222)));
    assert_true(stub_line(s, OPENED(3, 4711)));
    /* the one that is left is not the one that was there */
    expect_diff(reload_to("-remote-port 2222 -local-target 127.0.0.1:23", "ssh"), 0, 1, 2, 0);
    expect_said(CLOSE(1, 30000) CLOSE(3, 30000));
    const struct tunnel *t = tunnels_sole(stub.client);
    assert_int_equal(t->wish.svc, 2);
    assert_string_equal(t->service->name, "127.0.0.1:23");
}

static void from_one_to_several_and_back(void **state)
{
    (void)state;
    RUN(SOLE, there_and_back);
    RUN(SOLE, to_another_and_back);
}

static void target(void)
{
    (void)up();
    expect_diff(reload_to("-remote-port 8080 -local-target 127.0.0.1:81", ""), 0, 1, 0, 0);
    expect_said(""); /* the server has nothing to do with it */
    assert_string_equal(tunnels_sole(stub.client)->service->name, "127.0.0.1:81");
}

static void port(void)
{
    struct session *s = up();
    expect_diff(reload_to(ANOTHER, ""), 0, 1, 0, 0);
    expect_said(OPEN(2, "9090", 9090)); /* the new one first */
    assert_int_equal(tunnel_port(tunnels_sole(stub.client)), 8080);
    assert_int_equal(tunnels_open(stub.client), 1);
    assert_true(stub_line(s, OPENED(2, 9090)));
    expect_said(CLOSE(1, 30000));
    assert_int_equal(lines_count("tunnel '"), 0);
    assert_int_equal(stub_lines("the server listens on [::]:9090"), 1);
    assert_int_equal(tunnel_port(tunnels_sole(stub.client)), 9090);
}

/* The old one serves: the lines say so, and the service manager is not told that nobody is served. */
static void port_refused(void)
{
    struct session *s = up();
    (void)reload_to(ANOTHER, "web");
    expect_said(OPEN(2, "web", 9090));
    assert_true(stub_line(s, REFUSED(2, "taken")));
    assert_int_equal(lines_count("tunnel 'web' is refused: public port 9090: it is in use"), 1);
    assert_int_equal(stub_lines("tunnel 'web' stays open at 192.0.2.1:8080 until then"), 1);
    assert_string_equal(stub.client->trouble.text, "");
    expect_said("");
    assert_int_equal(tunnel_port(tunnels_sole(stub.client)), 8080);
    expect_diff(reload_to(SOLE, "web"), 0, 1, 0, 0); /* taken back */
    expect_said("");
    assert_int_equal(tunnel_port(tunnels_sole(stub.client)), 8080);
}

/* Another name alone is the same tunnel, which is called so from then on. */
static void name(void)
{
    struct session *s = up();
    expect_diff(reload_to(SOLE, "web"), 0, 0, 0, 1);
    expect_said("");
    stub_over(s, END_PEER);
    stub_wait();
    s = stub_up(2);
    expect_said(OPEN(2, "web", 8080));
    expect_diff(reload_to("-forward web=8080=127.0.0.1:8000 -forward a=1=a:1", ""), 1, 0, 0, 1);
    expect_said(OPEN(3, "a", 1));
}

static void changes_of_the_only_tunnel(void **state)
{
    (void)state;
    RUN(SOLE, target);
    RUN(SOLE, port);
    RUN(SOLE, port_refused);
    RUN(SOLE, name);
}

static void old_server(void)
{
    stub.is_old_server = true;
    struct session *s = up();
    struct smux_stream st = {.is_reset = false};
    (void)reload_to(THREE, "");
    assert_int_equal(stub_lines("tunnel 'ssh'"), 1); /* is not served */
    (void)reload_to(ANOTHER, "");
    (void)reload_to("-remote-port 9090 -local-target 127.0.0.1:81", "");
    expect_said("");
    stub_stream_for(s, &st, 0); /* at the port that it has */
    assert_int_equal(stub_dial()->cfg.port, 81);
    stub_over(s, END_PEER);
    stub_wait();
    stub_connected(stub_dial(), 1);
    assert_int_equal(stub_opening()->cfg.port, 9090);
}

static void towards_an_old_server_a_port_counts_for_the_next_session(void **state)
{
    (void)state;
    RUN(SOLE, old_server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_one_to_several_and_back),
        cmocka_unit_test(changes_of_the_only_tunnel),
        cmocka_unit_test(towards_an_old_server_a_port_counts_for_the_next_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
