/* SPDX-License-Identifier: MIT */
/* Files of clients: what is taken, what is wrong and where, and the text that comes of an entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/client_entry.h"
#include "conf/flags.h"

static struct client_entry entry;
static char told[1 << 14];

/* Keys here are "gk1_" and anything. */
static int check_key(const char *key, struct errmsg *why)
{
    return strncmp(key, "gk1_", 4) == 0 ? 0 : errmsg_set(why, ERR_INVAL, "it is none");
}

/* told has the errors, one a line. */
static int read_file(const char *file)
{
    static struct config_errors errors;
    const struct config_error *e;
    bool more;
    size_t len = 0;
    memset(&errors, 0, sizeof errors);
    int err = client_entry_read(&entry, file, strlen(file), check_key, &errors);
    told[0] = '\0';
    for (size_t i = 0; (e = config_errors_get(&errors, i, &more)); i++)
        len += (size_t)snprintf(told + len, sizeof told - len, "%u:%u: %s\n", e->at.line,
                                e->at.column, e->text);
    (void)snprintf(told + len, sizeof told - len, "%s", more ? "more\n" : "");
    return err;
}

static const char whole[] = "key: gk1_a\n"
                            "ports: 2222,20000-20100\n"
                            "tunnels: 16\n"
                            "connections: 1000000\n"
                            "rate: 50/s\n"
                            "sessions: 1\n"
                            "from: \"203.0.113.0/24,2001:db8::1\"\n"
                            "expires: 2027-01-31T00:00:00Z\n"
                            "disabled: true\n"
                            "keys-old: [{key: gk1_b, until: 2026-12-24T00:00:00Z}, "
                            "{key: gk1_c, until: 2026-12-25T00:00:00Z}]\n";

static void a_whole_file(void **state)
{
    (void)state;
    char text[CLIENT_ENTRY_TEXT_MAX];
    assert_int_equal(read_file(whole), 0);
    assert_string_equal(told, "");
    assert_string_equal(entry.key, "gk1_a");
    assert_true(ports_contain(&entry.ports, 20050));
    assert_int_equal(entry.tunnels, 16);
    assert_int_equal(entry.connections, 1000000);
    assert_int_equal(entry.rate, 50);
    assert_int_equal(entry.sessions, 1);
    assert_int_equal(entry.from.count, 2);
    assert_true(entry.expires == 1801353600);
    assert_true(entry.disabled);
    assert_int_equal(entry.old_count, 2);
    assert_string_equal(entry.old[0].text, "gk1_b");
    assert_true(entry.old[0].until == 1798070400);
    assert_string_equal(entry.old[1].text, "gk1_c");
    assert_int_equal(client_entry_text(text, &entry), strlen(whole));
    assert_string_equal(text, whole);
}

static void a_key_alone(void **state)
{
    (void)state;
    char text[CLIENT_ENTRY_TEXT_MAX];
    assert_int_equal(read_file("{\"key\": \"gk1_a\", \"disabled\": false}"), 0);
    assert_int_equal(entry.ports.count, 0);
    assert_int_equal(entry.from.count, 0);
    assert_int_equal(entry.tunnels, CLIENT_ENTRY_DEFAULT);
    assert_int_equal(entry.rate, CLIENT_ENTRY_DEFAULT);
    assert_true(entry.expires == CLIENT_ENTRY_FOREVER);
    assert_false(entry.disabled);
    assert_int_equal(entry.old_count, 0);
    (void)client_entry_text(text, &entry);
    assert_string_equal(text, "key: gk1_a\n");
}

static void lists(void **state)
{
    (void)state;
    char text[CLIENT_ENTRY_TEXT_MAX];
    assert_int_equal(read_file("from: [203.0.113.0/24, 10.0.0.0/8]\n"
                               "ports:\n  - 80\n  - 8000-8999\n"
                               "keys-old:\n  - key: gk1_b\n    until: 2026-12-24T00:00:00Z\n"
                               "key: gk1_a\n"),
                     0);
    (void)client_entry_text(text, &entry);
    assert_string_equal(text, "key: gk1_a\nports: 80,8000-8999\n"
                              "from: \"203.0.113.0/24,10.0.0.0/8\"\n"
                              "keys-old: [{key: gk1_b, until: 2026-12-24T00:00:00Z}]\n");
}

/* As with -client-rate. */
static void a_rate_needs_no_unit(void **state)
{
    (void)state;
    assert_int_equal(read_file("key: gk1_a\nrate: 50\n"), 0);
    assert_int_equal(entry.rate, 50);
}

/* The longest values have room, and what is written is read again as it was. */
static void the_fullest_file(void **state)
{
    (void)state;
    static char file[CLIENT_ENTRY_TEXT_MAX], text[CLIENT_ENTRY_TEXT_MAX];
    struct client_entry e;
    client_entry_init(&e);
    memset(e.key, 'k', CLIENT_ENTRY_KEY_MAX);
    memcpy(e.key, "gk1_", 4);
    e.ports.count = PORTS_MAX_RANGES;
    for (int i = 0; i < PORTS_MAX_RANGES; i++)
        e.ports.ranges[i] =
            (struct ports_range){(uint16_t)(60000 + 3 * i), (uint16_t)(60001 + 3 * i)};
    for (unsigned i = 0; i < CIDRS_MAX; i++) {
        uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, 0x11, 0x11, 0x11, 0x11,
                          0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, (uint8_t)(i * 2)};
        e.from.list[e.from.count++] = (struct cidr){.net = address_ipv6(ip, 0), .bits = 127};
    }
    e.tunnels = e.connections = e.sessions = OPTION_LIMIT_MAX;
    e.rate = OPTION_RATE_MAX;
    e.expires = INT64_C(253402300799);
    e.disabled = true;
    e.old_count = CLIENT_ENTRY_OLD_MAX;
    for (int i = 0; i < CLIENT_ENTRY_OLD_MAX; i++) {
        memcpy(e.old[i].text, e.key, sizeof e.key);
        e.old[i].until = i;
    }
    size_t n = client_entry_text(file, &e);
    assert_true(n < sizeof file && n == strlen(file));
    assert_int_equal(read_file(file), 0);
    assert_int_equal(client_entry_text(text, &entry), n);
    assert_string_equal(text, file);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *file, *told;
    } rows[] = {
        {"ports: 80\n", "1:1: the client has no 'key'\n"},
        {"ports: x\nexpires: never\n",
         "1:1: the client has no 'key'\n"
         "1:8: ports: invalid value \"x\": must be ports and ranges like 8000-8999,80\n"
         "2:10: expires: invalid value \"never\": must be a moment in UTC, like "
         "2027-01-31T00:00:00Z\n"},
        {"key: abc\n", "1:6: key: it is none\n"},
        {"key:\n", "1:5: 'key' has no value\n"},
        {"key: [gk1_a]\n", "1:6: 'key' takes one value\n"},
        {"key: gk1_a\nport: 80\nform: 10.0.0.1\nxyzzy: {a: [b]}\n",
         "2:1: 'port' is no key here; 'ports'?\n3:1: 'form' is no key here; 'from'?\n"
         "4:1: 'xyzzy' is no key here\n"},
        {"key: gk1_a\ntunnels: 0\nconnections: 1000001\nsessions: 0x10\nrate: 50/m\n",
         "2:10: tunnels: invalid value \"0\": must be a number from 1 to 1000000\n"
         "3:14: connections: invalid value \"1000001\": must be a number from 1 to 1000000\n"
         "4:11: sessions: invalid value \"0x10\": must be a number from 1 to 1000000\n"
         "5:7: rate: invalid value \"50/m\": must be so many a second, 1 to 100000, like "
         "50/s\n"},
        {"key: gk1_a\nrate: 0/s\ndisabled: no\nfrom: [10.0.0.1/8]\n",
         "2:7: rate: invalid value \"0/s\": must be so many a second, 1 to 100000, like "
         "50/s\n"
         "3:11: disabled: invalid value \"no\": parse error: write true or false\n"
         "4:8: from: invalid value \"10.0.0.1/8\": an address has bits behind its prefix: if the "
         "network is meant, write 10.0.0.0/8\n"},
        {"key: gk1_a\nfrom: []\nkeys-old: []\n",
         "2:7: 'from' has no entry\n3:11: 'keys-old' has no entry\n"},
        {"key: gk1_a\nkeys-old: gk1_b\n",
         "2:11: 'keys-old' is a list: each entry begins with '- '\n"},
        {"key: gk1_a\nkeys-old: [gk1_b, {key: gk1_c}, {until: 2027-01-01T00:00:00Z}]\n",
         "2:12: an entry of 'keys-old' has the keys key and until\n"
         "2:19: the former key has no 'until'\n2:33: the former key has no 'key'\n"},
        {"key: gk1_a\nkeys-old:\n  - key: x\n    until: soon\n    untill: 1\n",
         "3:10: key: it is none\n"
         "4:12: until: invalid value \"soon\": must be a moment in UTC, like "
         "2027-01-31T00:00:00Z\n5:5: 'untill' is no key here; 'until'?\n"},
        {"key: gk1_a\nkeys-old: [{key: [a], until: {a: b}}, [[1]], {a: 1}]\n",
         "2:18: 'key' takes one value\n2:30: 'until' takes one value\n"
         "2:39: an entry of 'keys-old' has the keys key and until\n"
         "2:46: the former key has no 'key'\n2:47: 'a' is no key here\n"},
        {"key: gk1_a\nkeys-old: [{a: 1}, {a: 1}, {a: 1}, {a: 1}, {a: 1}]\n",
         "2:12: the former key has no 'key'\n2:13: 'a' is no key here\n"
         "2:20: the former key has no 'key'\n2:21: 'a' is no key here\n"
         "2:28: the former key has no 'key'\n2:29: 'a' is no key here\n"
         "2:36: the former key has no 'key'\n2:37: 'a' is no key here\n"
         "2:44: 'keys-old' has more than 4 entries\n"},
        {"key: gk1_a\nkey: gk1_b\n", "2:1: 'key' is there already, in line 1\n"},
        {"key: gk1_a\nports: 80: 81\n", "2:10: this is not YAML (mapping values are not allowed in "
                                        "this context)\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int err = read_file(rows[i].file);
        assert_string_equal(told, rows[i].told);
        assert_int_equal(err, ERR_INVAL);
    }
}

static void a_long_key(void **state)
{
    (void)state;
    char file[CLIENT_ENTRY_KEY_MAX + 16] = "key: gk1_";
    memset(file + 9, 'a', CLIENT_ENTRY_KEY_MAX - 4);
    assert_int_equal(read_file(file), 0);
    assert_int_equal(strlen(entry.key), CLIENT_ENTRY_KEY_MAX);
    strcat(file, "a");
    assert_int_equal(read_file(file), ERR_INVAL);
    assert_string_equal(told, "1:6: key: longer than 127 bytes\n");
}

/* The flags of `gotunnel clients` are the rows. */
static void flags_and_file_say_the_same(void **state)
{
    (void)state;
    static const char *const names[] = {"ports",    "tunnels", "connections", "rate",
                                        "sessions", "from",    "expires",     "disabled"};
    assert_int_equal(client_entry_mode.count, ARRAY_LEN(names));
    for (size_t i = 1; i < client_entry_mode.count; i++)
        assert_true(
            strcmp(client_entry_mode.options[i - 1].name, client_entry_mode.options[i].name) < 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool is_row = false, is_field = false;
        const char *field;
        for (size_t k = 0; k < client_entry_mode.count; k++)
            is_row |= strcmp(client_entry_mode.options[k].name, names[i]) == 0;
        for (size_t k = 0; (field = client_entry_field(k)); k++)
            is_field |= strcmp(field, names[i]) == 0;
        assert_true(is_row && is_field);
    }
}

static void names(void **state)
{
    (void)state;
    struct errmsg why;
    char name[CLIENT_ENTRY_NAME_MAX + 2] = "";
    static const char *const good[] = {"a", "_", "Laptop-2.b", "0", "node", "nodes.a", "a.revoked"};
    static const char *const bad[] = {"",   ".a",       "-a",    "a b",   "a/b",
                                      "..", "\xc3\xa4", "node.", "node.1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(client_entry_check_name(good[i], &why), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(client_entry_check_name(bad[i], &why), ERR_INVAL);
    memset(name, 'n', CLIENT_ENTRY_NAME_MAX);
    assert_int_equal(client_entry_check_name(name, &why), 0);
    name[CLIENT_ENTRY_NAME_MAX] = 'n';
    assert_int_equal(client_entry_check_name(name, &why), ERR_INVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file),
        cmocka_unit_test(a_key_alone),
        cmocka_unit_test(lists),
        cmocka_unit_test(a_rate_needs_no_unit),
        cmocka_unit_test(the_fullest_file),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(a_long_key),
        cmocka_unit_test(flags_and_file_say_the_same),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
