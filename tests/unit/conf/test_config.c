/* SPDX-License-Identifier: MIT */
/* Files against the table: what is taken, what the command line keeps, what is wrong and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/client_tunnels.h"
#include "conf/config.h"
#include "conf/flags.h"

static union {
    struct server_options server;
    struct client_options client;
} opt;
static struct config *config;
static char told[1 << 14];

/* Everything but "bad" is good. */
static int check_address(const char *text, struct errmsg *why)
{
    return strcmp(text, "bad") == 0 ? errmsg_set(why, ERR_INVAL, "it is bad") : 0;
}

static int check_target(const char *text, struct errmsg *why)
{
    unsigned commas = 0;
    for (const char *p = text; *p; p++)
        commas += *p == ',';
    return commas > 2 ? errmsg_set(why, ERR_INVAL, "it is a list of more than 3")
                      : check_address(text, why);
}

static const struct config_check checks[] = {
    {"server", check_address}, {"listen", check_address}, {"local-target", check_target}};

static int teardown(void **state)
{
    (void)state;
    config_free(config);
    config = NULL;
    return 0;
}

/* Reads file for m behind the flags of words; told has the errors, one a line. */
static int read_file(const struct mode *m, const char *words, const char *file)
{
    char line[512], *argv[32];
    struct flags_error error;
    int argc = 0, rest;
    bool more = false;
    size_t len = 0;
    (void)teardown(NULL);
    (void)snprintf(line, sizeof line, "%s", words);
    for (char *p = strtok(line, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    memset(&opt, 0, sizeof opt);
    flags_defaults(m, &opt);
    assert_int_equal(flags_parse(m, argc, argv, &opt, &rest, &error), FLAGS_OK);
    config = config_new(m, "/etc/g/", checks, ARRAY_LEN(checks));
    assert_non_null(config);
    int err = config_read(config, file, strlen(file), &opt);
    told[0] = '\0';
    const struct config_error *e;
    for (size_t i = 0; (e = config_error(config, i, &more)); i++)
        len += (size_t)snprintf(told + len, sizeof told - len, "%u:%u: %s\n", e->at.line,
                                e->at.column, e->text);
    (void)snprintf(told + len, sizeof told - len, "%s", more ? "more\n" : "");
    return err;
}

static void a_client_s_file(void **state)
{
    (void)state;
    struct yaml_place at;
    assert_int_equal(read_file(&client_mode, "",
                               "server: vps.example.com:7000\n"
                               "secret-file: secret\n"
                               "ca: /srv/ca.crt\n"
                               "id: laptop\n"
                               "legacy: never\n"
                               "max-retry-interval: 90s\n"
                               "memory: 64M\n"
                               "resume-window: 0\n"
                               "log-level: debug\n"
                               "tunnels:\n"
                               "  - {name: ssh, port: 0x16, target: \"[::1]:22\"}\n"),
                     0);
    assert_string_equal(told, "");
    assert_string_equal(opt.client.server, "vps.example.com:7000");
    assert_string_equal(opt.client.common.secret_file, "/etc/g/secret");
    assert_string_equal(opt.client.ca, "/srv/ca.crt");
    assert_string_equal(opt.client.id, "laptop");
    assert_int_equal(opt.client.common.legacy, LEGACY_NEVER);
    assert_true(opt.client.max_retry_ns == 90 * INT64_C(1000000000));
    assert_true(opt.client.common.memory == 64 << 20);
    assert_int_equal(opt.client.common.resume_window_ns, 0);
    assert_true(opt.client.common.drain_ns == 30 * INT64_C(1000000000)); /* as in the table */
    assert_int_equal(opt.client.common.log_level, 3);
    assert_int_equal(opt.client.remote_port, 22);
    assert_string_equal(opt.client.local_target, "[::1]:22");
    assert_string_equal(config_tunnel(config), "ssh");
    assert_string_equal(opt.client.sole_name, "ssh");
    assert_false(config_has_secret(config, &at));
    assert_false(opt.client.common.secret_in_config);
}

/* A list is the text that the flag would have. */
static void a_target_of_several(void **state)
{
    (void)state;
    assert_int_equal(read_file(&client_mode, "",
                               "tunnels:\n  - {port: 1, target: [a:1]}\n"
                               "  - port: 2\n    target:\n      - b:1\n      - unix:/run/b\n"
                               "  - {target: 'c:1,d:1', port: 3}\n"),
                     0);
    assert_string_equal(told, "");
    assert_int_equal(opt.client.tunnels.count, 3);
    assert_string_equal(opt.client.tunnels.at[0].target, "a:1");
    assert_string_equal(opt.client.tunnels.at[1].target, "b:1,unix:/run/b");
    assert_string_equal(opt.client.tunnels.at[2].target, "c:1,d:1");
}

/* One tunnel, or several: the same to whoever asks for all. */
static void tunnels_of_a_client(void **state)
{
    (void)state;
    struct tunnel_option room;
    struct tunnels ts;
    assert_int_equal(
        read_file(&client_mode, "", "tunnels: [{name: web, port: 80, target: 'a:1'}]\n"), 0);
    assert_true(client_has_sole(&opt.client));
    ts = client_tunnels(&opt.client, &room);
    assert_int_equal(ts.count, 1);
    assert_ptr_equal(ts.at, &room);
    assert_string_equal(room.name, "web");
    assert_int_equal(room.port, 80);
    assert_string_equal(room.target, "a:1");
    /* without a name: by its port, also where a flag says that */
    assert_int_equal(
        read_file(&client_mode, "-remote-port 81", "tunnels: [{port: 80, target: 'a:1'}]\n"), 0);
    assert_string_equal(opt.client.sole_name, "");
    ts = client_tunnels(&opt.client, &room);
    assert_string_equal(ts.at[0].name, "81");
    opt.client.remote_port = 0;
    ts = client_tunnels(&opt.client, &room);
    assert_string_equal(ts.at[0].name, "any-1");
    assert_int_equal(
        read_file(&client_mode, "",
                  "tunnels: [{name: web, port: 80, target: 'a:1'}, {port: 81, target: 'a:1'}]\n"),
        0);
    assert_false(client_has_sole(&opt.client));
    assert_string_equal(opt.client.sole_name, "");
    ts = client_tunnels(&opt.client, &room);
    assert_int_equal(ts.count, 2);
    assert_ptr_equal(ts.at, opt.client.tunnels.at);
}

static void a_server_s_file(void **state)
{
    (void)state;
    struct yaml_place at;
    assert_int_equal(read_file(&server_mode, "",
                               "{\"listen\": \":7000\", \"certs\": \"certs\",\n"
                               " \"secret\": \"s3cr3t\", \"allow-ports\": \"8000-8999,80\",\n"
                               " \"handshakes\": 50, \"trusted-proxy\": \"10.0.0.0/8\"}"),
                     0);
    assert_string_equal(opt.server.listen, ":7000");
    assert_string_equal(opt.server.certs, "/etc/g/certs");
    assert_string_equal(opt.server.common.secret, "s3cr3t");
    assert_true(opt.server.common.secret_in_config);
    assert_true(config_has_secret(config, &at));
    assert_int_equal(at.line, 2);
    assert_true(ports_contain(&opt.server.allow_ports, 8500));
    assert_int_equal(opt.server.handshakes.all, 50);
    assert_int_equal(opt.server.handshakes.source, 10);
    assert_int_equal(opt.server.trusted_proxy.count, 1);
    assert_string_equal(config_tunnel(config), "");
}

static void the_command_line_wins(void **state)
{
    (void)state;
    static const char file[] = "server: file:1\nlog-level: debug\ndrain: 1s\n"
                               "tunnels: [{port: 1, target: file:2}]\n";
    assert_int_equal(
        read_file(&client_mode, "-server flag:1 -log-level info -remote-port 8080", file), 0);
    assert_string_equal(opt.client.server, "flag:1");
    assert_int_equal(opt.client.common.log_level, 2); /* although it is the default */
    assert_true(opt.client.common.drain_ns == 1000000000);
    assert_int_equal(opt.client.remote_port, 8080);
    assert_string_equal(opt.client.local_target, "file:2");
    /* What is wrong in the file is wrong all the same. */
    assert_int_equal(read_file(&client_mode, "-log-level info", "log-level: loud\n"), ERR_INVAL);
    assert_int_equal(opt.client.common.log_level, 2);
}

static void a_secret_of_either_kind_stands_for_both(void **state)
{
    (void)state;
    static const char *const files[] = {"secret: of-the-file\n", "secret-file: of-the-file\n"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        assert_int_equal(read_file(&server_mode, "-secret flag", files[i]), 0);
        assert_string_equal(opt.server.common.secret, "flag");
        assert_string_equal(opt.server.common.secret_file, "");
        assert_int_equal(read_file(&server_mode, "-secret-file flag", files[i]), 0);
        assert_string_equal(opt.server.common.secret, "");
        assert_string_equal(opt.server.common.secret_file, "flag");
        assert_false(opt.server.common.secret_in_config);
    }
    assert_int_equal(read_file(&server_mode, "", "secret-file: '-'\n"), 0);
    assert_string_equal(opt.server.common.secret_file, "-"); /* the standard input */
    assert_int_equal(read_file(&server_mode, "", "secret: a\nsecret-file: b\n"), ERR_INVAL);
    assert_string_equal(told,
                        "2:1: 'secret-file' beside 'secret': the secret comes from one place\n");
}

static void a_join_string_stands_for_secret_and_ca(void **state)
{
    (void)state;
    assert_int_equal(read_file(&client_mode, "-join-file flag", "secret-file: s\nca: c\n"), 0);
    assert_string_equal(opt.client.common.secret_file, "");
    assert_string_equal(opt.client.ca, "ca.crt");
    assert_string_equal(opt.client.join_file, "flag");
    assert_int_equal(read_file(&client_mode, "-join gt1_", "join-file: f\n"), 0);
    assert_string_equal(opt.client.join_file, "");
    assert_int_equal(read_file(&client_mode, "-secret-file flag", "join-file: f\n"), 0);
    assert_string_equal(opt.client.join_file, "");
    assert_int_equal(read_file(&client_mode, "", "join-file: f\nserver: h:1\n"), 0);
    assert_string_equal(opt.client.join_file, "/etc/g/f");
    assert_int_equal(read_file(&client_mode, "", "join-file: '-'\n"), 0);
    assert_string_equal(opt.client.join_file, "-");
    assert_int_equal(read_file(&client_mode, "", "ca: c\njoin-file: f\nsecret: s\n"), ERR_INVAL);
    assert_string_equal(told,
                        "1:1: 'ca' beside 'join-file': the join string says which CA\n"
                        "3:1: 'secret' beside 'join-file': the secret comes from one place\n");
}

/* A value of several parts may be a list of them, one entry or more to a part. */
static void a_list_is_what_its_commas_are(void **state)
{
    (void)state;
    struct ports ports;
    struct cidrs cidrs;
    assert_int_equal(ports_parse("0,80,8000-8999", &ports), 0);
    assert_int_equal(cidrs_parse("10.0.0.0/8,2001:db8::1,192.0.2.1", &cidrs), 0);
    assert_int_equal(read_file(&server_mode, "",
                               "allow-ports:\n  - 8500-8999\n  - 80\n  - '8000-8499,0'\n"
                               "trusted-proxy: [10.0.0.0/8, '2001:db8::1', 192.0.2.1]\n"),
                     0);
    assert_int_equal(opt.server.allow_ports.count, ports.count);
    assert_memory_equal(opt.server.allow_ports.ranges, ports.ranges,
                        ports.count * sizeof *ports.ranges);
    assert_int_equal(opt.server.trusted_proxy.count, cidrs.count);
    for (unsigned i = 0; i < cidrs.count; i++)
        assert_true(cidrs_contain(&opt.server.trusted_proxy, &cidrs.list[i].net));
    assert_int_equal(read_file(&server_mode, "-allow-ports 22", "allow-ports: [80, 81]\n"), 0);
    assert_true(ports_contain(&opt.server.allow_ports, 22));
    assert_false(ports_contain(&opt.server.allow_ports, 80));
}

/* The first part replaces the default, the others are added; each is judged where it stands. */
static void entries_of_a_list_are_judged_one_by_one(void **state)
{
    (void)state;
    static const struct {
        const char *file, *told;
    } rows[] = {
        {"allow-ports: []\n", "1:14: 'allow-ports' has no entry\n"},
        {"allow-ports: []\nlisten: bad\n",
         "1:14: 'allow-ports' has no entry\n2:9: listen: it is bad\n"},
        {"allow-ports: [80, x, 81]\n",
         "1:19: allow-ports: invalid value \"x\": must be ports and ranges like 8000-8999,80\n"},
        {"allow-ports: [80, [81, 82], {a: b}, ~, 90-80]\n",
         "1:19: 'allow-ports' takes one value\n1:29: 'allow-ports' takes one value\n"
         "1:37: allow-ports: invalid value \"~\": must be ports and ranges like 8000-8999,80\n"
         "1:40: allow-ports: invalid value \"90-80\": must be ports and ranges like "
         "8000-8999,80\n"},
        {"allow-ports: [*a]\n", "1:15: anchors, aliases, tags and << are not allowed\n"},
        {"allow-ports: {a: b}\n", "1:14: 'allow-ports' takes one value\n"},
        {"listen: [1, 2]\n", "1:9: 'listen' takes one value\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(read_file(&server_mode, "", rows[i].file), ERR_INVAL);
        assert_string_equal(told, rows[i].told);
    }
}

/* As many as between commas. */
static void a_list_has_a_bound(void **state)
{
    (void)state;
    char file[1024] = "trusted-proxy: [", wanted[64];
    for (int i = 1; i <= CIDRS_MAX; i++)
        (void)snprintf(file + strlen(file), sizeof file - strlen(file), "10.0.0.%d,\n ", i);
    size_t len = strlen(file);
    (void)snprintf(file + len, sizeof file - len, "]\n");
    assert_int_equal(read_file(&server_mode, "", file), 0);
    assert_int_equal(opt.server.trusted_proxy.count, CIDRS_MAX);
    (void)snprintf(file + len, sizeof file - len, "10.0.1.1]\n");
    assert_int_equal(read_file(&server_mode, "", file), ERR_INVAL);
    (void)snprintf(wanted, sizeof wanted, "%d:2: trusted-proxy: invalid value \"10.0.1.1\"",
                   CIDRS_MAX + 1);
    assert_int_equal(strncmp(told, wanted, strlen(wanted)), 0);
}

/* Both tables, row by row: no option is forgotten, and none has two places. */
static void every_row_is_a_key(void **state)
{
    (void)state;
    const struct mode *const modes[] = {&server_mode, &client_mode};
    char file[256];
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        assert_true(modes[m]->count <= OPTIONS_MAX);
        for (size_t i = 0; i < modes[m]->count; i++) {
            const struct option *o = &modes[m]->options[i];
            const char *key, *value = o->choices || !*o->def ? "7" : o->def;
            enum option_place place = option_place(o, &key);
            bool is_known = strcmp(o->name, "version") != 0 && strcmp(o->name, "config") != 0 &&
                            strcmp(o->name, "once") != 0 && strcmp(o->name, "forward") != 0 &&
                            strcmp(o->name, "join") != 0 && strcmp(o->name, "wait") != 0;
            assert_int_equal(place != OPTION_NOWHERE, is_known);
            (void)snprintf(file, sizeof file,
                           place == OPTION_TUNNEL ? "tunnels: [{\"%s\": \"%s\"}]\n"
                                                  : "{\"%s\": \"%s\"}\n",
                           key, value);
            (void)!read_file(modes[m], "", file);
            assert_int_equal(strstr(told, "is no key here") == NULL,
                             is_known || strcmp(key, "tunnels") == 0); /* a list */
        }
    }
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const struct mode *mode;
        const char *file, *told;
    } rows[] = {
        {&client_mode, "servr: h:1\n", "1:1: 'servr' is no key here; 'server'?\n"},
        {&client_mode, "tunnel: []\n", "1:1: 'tunnel' is no key here; 'tunnels'?\n"},
        {&client_mode, "xyzzy: {a: [b, {c: d}]}\n", "1:1: 'xyzzy' is no key here\n"},
        {&client_mode, "version: 1\n", "1:1: 'version' is no key here\n"},
        {&client_mode, "\"a\\e\": 1\n", "1:1: 'a\\x1b' is no key here\n"},
        {&client_mode, "listen: 7000\n",
         "1:1: 'listen' is a key of 'gotunnel server', and this is for 'gotunnel client'\n"},
        {&server_mode, "tunnels: []\n",
         "1:1: 'tunnels' is a key of 'gotunnel client', and this is for 'gotunnel server'\n"},
        {&client_mode, "port: 1\nremote-port: 2\n",
         "1:1: 'port' is no key here: write it as 'port' in an entry of 'tunnels'\n"
         "2:1: 'remote-port' is no key here: write it as 'port' in an entry of 'tunnels'\n"},
        {&client_mode, "server: [a, b]\nid: {a: b}\nca:\nmemory: \"\\0\"\n",
         "1:9: 'server' takes one value\n2:5: 'id' takes one value\n3:4: 'ca' has no value\n"
         "4:9: 'memory' has a zero byte in its value\n"},
        {&client_mode, "server: bad\n", "1:9: server: it is bad\n"},
        {&server_mode, "threads: 0\nlegacy: no\ndrain: 30\nlisten: bad\n",
         "1:10: threads: invalid value \"0\": must be a number from 1 to 64\n"
         "2:9: legacy: invalid value \"no\": must be one of: allow never\n"
         "3:8: drain: invalid value \"30\": parse error: a duration has a unit: write 30s\n"
         "4:9: listen: it is bad\n"},
        {&client_mode, "max-retry-interval: 30\ntunnels:\n  - port: 1e3\n    target: a:1\n",
         "1:21: max-retry-interval: invalid value \"30\": parse error: a duration has a unit: "
         "write 30s\n"
         "3:11: port: invalid value \"1e3\": parse error: must be a whole number\n"},
        {&client_mode, "tunnels:\n", "1:9: 'tunnels' is a list: each entry begins with '- '\n"},
        {&client_mode, "tunnels: {port: 1}\n",
         "1:10: 'tunnels' is a list: each entry begins with '- '\n"},
        {&client_mode, "tunnels: []\n", "1:10: 'tunnels' has no entry\n"},
        {&client_mode, "tunnels: [22]\n",
         "1:11: an entry of 'tunnels' has the keys port and target\n"},
        {&client_mode, "tunnels: [[{port: 1}]]\n",
         "1:11: an entry of 'tunnels' has the keys port and target\n"},
        {&client_mode, "tunnels:\n  - name: a b\n    prot: 1\n    local-target: b:1\n    id: x\n",
         "2:5: the tunnel has no 'target'\n2:5: the tunnel has no 'port'\n"
         "2:11: the name of a tunnel is 1 to 64 of A-Z a-z 0-9 . _ -\n"
         "3:5: 'prot' is no key here; 'port'?\n"
         "4:5: 'local-target' is no key here: write it as 'target' in an entry of 'tunnels'\n"
         "5:5: 'id' is no key of a tunnel: write it at the left edge\n"},
        {&client_mode,
         "tunnels:\n  - {port: 1, target: a:1}\n  - {port: 2, tarjet: b:1}\n  - {port: 3}\n",
         "3:5: the tunnel has no 'target'\n3:15: 'tarjet' is no key here; 'target'?\n"
         "4:5: the tunnel has no 'target'\n"},
        {&client_mode,
         "tunnels:\n  - {name: a, port: 1, target: a:1}\n  - {name: a, port: 2, target: b:1}\n"
         "  - {port: 3, target: c:1}\n  - {name: c, port: 3, target: d:1}\n"
         "  - {name: 9, port: 0, target: a:1}\n  - {port: 9, target: a:1}\n"
         "  - {name: d, port: 0, target: a:1}\n",
         "3:6: tunnel 'a' is there already, in line 2\n"
         "5:5: another tunnel has the same public port: '3', in line 4\n"
         "7:5: another tunnel has this name already\n"},
        {&client_mode, "tunnels:\n  - {port: 1, target: []}\n", "2:23: 'target' has no entry\n"},
        {&client_mode,
         "tunnels:\n  - port: 1\n    target: [bad, a:1, [b:1], {c: d}, '', bad]\n"
         "  - {port: [1], target: {a: b}}\n",
         "3:14: target: it is bad\n3:24: 'target' takes one value\n3:31: 'target' takes one value\n"
         "3:43: target: it is bad\n4:12: 'port' takes one value\n4:25: 'target' takes one value\n"},
        {&client_mode, "tunnels:\n  - {port: 1, target: [a:1, a:2, a:3, a:4]}\n",
         "2:39: target: it is a list of more than 3\n"},
        {&client_mode, "server: h:1\nserver: h:2\n", "2:1: 'server' is there already, in line 1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int err = read_file(rows[i].mode, "", rows[i].file);
        assert_string_equal(told, rows[i].told);
        assert_int_equal(err, ERR_INVAL);
    }
}

static void a_long_secret_is_not_shown(void **state)
{
    (void)state;
    static char file[OPTION_SECRET_MAX + 32] = "secret: ";
    memset(file + 8, 'x', OPTION_SECRET_MAX);
    assert_int_equal(read_file(&server_mode, "", file), 0);
    assert_int_equal(strlen(opt.server.common.secret), OPTION_SECRET_MAX);
    file[8 + OPTION_SECRET_MAX] = 'x';
    assert_int_equal(read_file(&server_mode, "", file), ERR_INVAL);
    assert_string_equal(told, "1:9: secret: longer than 4095 bytes\n");
}

/* Twenty, and those that come first in the file: also where one is found last. */
static void errors_have_a_bound_and_an_order(void **state)
{
    (void)state;
    static const char first[] = "1:11: the tunnel has no 'target'\n2:1: 'qqqqq00'";
    char file[1024] = "tunnels: [{port: 1}]\n";
    for (int n = CONFIG_ERRORS_MAX - 1; n <= CONFIG_ERRORS_MAX; n++) {
        size_t len = strlen("tunnels: [{port: 1}]\n");
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(file + len, sizeof file - len, "qqqqq%02d: x\n", i);
        assert_int_equal(read_file(&client_mode, "", file), ERR_INVAL);
        assert_int_equal(strncmp(told, first, strlen(first)), 0);
        assert_non_null(strstr(told, "20:1: 'qqqqq18'"));
        assert_null(strstr(told, "21:1:"));
        assert_int_equal(strstr(told, "more\n") != NULL, n == CONFIG_ERRORS_MAX);
    }
}

/* The last place is the one of what ends the reading. */
static void what_ends_the_reading_is_said(void **state)
{
    (void)state;
    char file[1024];
    size_t len = 0;
    for (int i = 0; i < CONFIG_ERRORS_MAX + 5; i++)
        len += (size_t)snprintf(file + len, sizeof file - len, "qqqqq%02d: x\n", i);
    (void)snprintf(file + len, sizeof file - len, "id: [\n");
    assert_int_equal(read_file(&client_mode, "", file), ERR_INVAL);
    assert_non_null(strstr(told, "19:1: 'qqqqq18'"));
    assert_non_null(strstr(told, "27:1: this is not YAML"));
    assert_null(strstr(told, "20:1:"));
    assert_non_null(strstr(told, "more\n"));
}

static void whose_file_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const struct mode *mode;
    } rows[] = {{"server: h:1\n", &client_mode},
                {"secret-file: s\ntunnels: []\n", &client_mode},
                {"listen: 1\n", &server_mode},
                {"log-level: info\nca: c\nlisten: 1\n", &client_mode}, /* the first decides */
                {"secret-file: s\n", &server_mode},
                {"serve: h:1\nid: x\n", &client_mode},
                {"a: {server: h}\n", &server_mode},
                {"", &server_mode},
                {"server: h:1\nid: [\n", &client_mode}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_ptr_equal(config_mode(rows[i].file, strlen(rows[i].file)), rows[i].mode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_client_s_file, teardown),
        cmocka_unit_test_teardown(a_target_of_several, teardown),
        cmocka_unit_test_teardown(tunnels_of_a_client, teardown),
        cmocka_unit_test_teardown(a_server_s_file, teardown),
        cmocka_unit_test_teardown(the_command_line_wins, teardown),
        cmocka_unit_test_teardown(a_secret_of_either_kind_stands_for_both, teardown),
        cmocka_unit_test_teardown(a_join_string_stands_for_secret_and_ca, teardown),
        cmocka_unit_test_teardown(a_list_is_what_its_commas_are, teardown),
        cmocka_unit_test_teardown(entries_of_a_list_are_judged_one_by_one, teardown),
        cmocka_unit_test_teardown(a_list_has_a_bound, teardown),
        cmocka_unit_test_teardown(every_row_is_a_key, teardown),
        cmocka_unit_test_teardown(what_is_wrong_is_said_with_its_place, teardown),
        cmocka_unit_test_teardown(a_long_secret_is_not_shown, teardown),
        cmocka_unit_test_teardown(errors_have_a_bound_and_an_order, teardown),
        cmocka_unit_test_teardown(what_ends_the_reading_is_said, teardown),
        cmocka_unit_test(whose_file_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
