/* SPDX-License-Identifier: MIT */
/* Files of clients that a person has written: what a change leaves as it is, and what it does not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/client_edit.h"

static struct client_entry from, to;
static struct client_edit_obstacle obstacle;
static char *made;

static int teardown(void **state)
{
    (void)state;
    free(made);
    made = NULL;
    return 0;
}

static int take_any(const char *key, struct errmsg *why)
{
    (void)key, (void)why;
    return 0;
}

/* Both are what the file says. */
static void begin(const char *file)
{
    static struct config_errors errors;
    memset(&errors, 0, sizeof errors);
    assert_int_equal(client_entry_read(&from, file, strlen(file), take_any, &errors), 0);
    to = from;
}

static int edit(const char *file)
{
    size_t n = 0;
    (void)teardown(NULL);
    int err = client_edit(file, strlen(file), &from, &to, &made, &n, &obstacle);
    if (err == 0)
        assert_int_equal(strlen(made), n);
    return err;
}

static const char persons[] = "# Ann's laptop; ask her before you change it\n"
                              "key:   gk1_a      # from the 3rd of May\n"
                              "\n"
                              "ports: 80,90\t# \xe7\xbd\x91\xe7\xab\x99\n"
                              "from: [10.0.0.0/8, \"::1\"] # home\n"
                              "rate: '50/s'\n"
                              "  # the end\n";

static void nothing_changes(void **state)
{
    (void)state;
    begin(persons);
    assert_int_equal(edit(persons), 0);
    assert_string_equal(made, persons);
}

static void a_value_changes_in_its_place(void **state)
{
    (void)state;
    begin(persons);
    strcpy(to.key, "gk1_b");
    assert_int_equal(ports_parse("443", &to.ports), 0);
    assert_int_equal(cidrs_parse("192.0.2.0/24,2001:db8::1", &to.from), 0);
    to.rate = 7;
    assert_int_equal(edit(persons), 0);
    assert_string_equal(made, "# Ann's laptop; ask her before you change it\n"
                              "key:   gk1_b      # from the 3rd of May\n"
                              "\n"
                              "ports: 443\t# \xe7\xbd\x91\xe7\xab\x99\n"
                              "from: \"192.0.2.0/24,2001:db8::1\" # home\n"
                              "rate: 7/s\n"
                              "  # the end\n");
}

static void what_goes_takes_its_line_with_it(void **state)
{
    (void)state;
    begin(persons);
    to.ports.count = to.from.count = 0;
    to.rate = CLIENT_ENTRY_DEFAULT;
    assert_int_equal(edit(persons), 0);
    assert_string_equal(made, "# Ann's laptop; ask her before you change it\n"
                              "key:   gk1_a      # from the 3rd of May\n"
                              "\n"
                              "  # the end\n");
}

static void what_is_new_comes_at_the_end(void **state)
{
    (void)state;
    static const char file[] = "key: gk1_a\r\nports: 80";
    begin(file);
    strcpy(to.key, "gk1_b");
    to.disabled = true;
    to.tunnels = 3;
    to.expires = 0;
    to.old_count = 1;
    strcpy(to.old[0].text, "gk1_c");
    to.old[0].until = 1;
    assert_int_equal(edit(file), 0);
    assert_string_equal(made, "key: gk1_b\r\nports: 80\n"
                              "tunnels: 3\n"
                              "expires: 1970-01-01T00:00:00Z\n"
                              "disabled: true\n"
                              "keys-old: [{key: gk1_c, until: 1970-01-01T00:00:01Z}]\n");
    /* And again, and away. */
    begin(made);
    to.old[0].until = 2;
    to.disabled = false;
    char *again = strdup(made);
    assert_int_equal(edit(again), 0);
    free(again);
    assert_string_equal(made, "key: gk1_b\r\nports: 80\n"
                              "tunnels: 3\n"
                              "expires: 1970-01-01T00:00:00Z\n"
                              "keys-old: [{key: gk1_c, until: 1970-01-01T00:00:02Z}]\n");
}

/* Said with the key and its line; nothing comes of it. */
static void what_a_person_has_to_change(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        unsigned line;
    } rows[] = {
        {"{\"key\": \"gk1_a\", \"ports\": \"80\"}\n", 1},
        {"key: gk1_a\nports:\n  - 80\n  - 81\n", 2},
        {"key: gk1_a\nports: [80,\n  81]\nrate: 1/s\n", 2},
        {"key: gk1_a\nports:\n  80\n", 2},
        {"key: gk1_a\nports: >-\n  80\n", 2},
        {"key: gk1_a\nports: \"80,\\\n  81\"\n", 2},
        {"  key: gk1_a\n  ports: 80\n", 2},
        {"key: gk1_a\n...\n", 0},
        {"{key: gk1_a}\n", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(rows[i].file);
        print_message("%s", rows[i].file);
        assert_int_equal(ports_parse("443", &to.ports), 0);
        to.tunnels = 9; /* the first obstacle is said */
        assert_int_equal(edit(rows[i].file), ERR_BADSTATE);
        assert_string_equal(obstacle.key, "ports");
        assert_int_equal(obstacle.line, rows[i].line);
        assert_null(made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_changes, teardown),
        cmocka_unit_test_teardown(a_value_changes_in_its_place, teardown),
        cmocka_unit_test_teardown(what_goes_takes_its_line_with_it, teardown),
        cmocka_unit_test_teardown(what_is_new_comes_at_the_end, teardown),
        cmocka_unit_test_teardown(what_a_person_has_to_change, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
