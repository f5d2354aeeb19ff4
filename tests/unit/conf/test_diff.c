/* SPDX-License-Identifier: MIT */
/* Two sets of options: which rows differ, of what class, and that a row's value goes over whole. */
#include "conf/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "conf/flags.h"
#include "conf/value.h"

union options {
    struct common_options common;
    struct server_options server;
    struct client_options client;
};

static const struct mode *const modes[] = {&server_mode, &client_mode};

/* Two values of a row, both other than its default. */
static const char *const *values_of(const struct option *o)
{
    static const char *const of[][2] = {
        [OPTION_STRING] = {"one", "two"},
        [OPTION_SECRET] = {"hunter2", "hunter3"},
        [OPTION_INT] = {"7", "8"},
        [OPTION_DURATION] = {"7s", "8s"},
        [OPTION_PORTS] = {"80,90", "80,91"},
        [OPTION_CIDRS] = {"10.0.0.0/8,192.0.2.1", "10.0.0.0/8,192.0.2.2"},
        [OPTION_THREADS] = {"7", "8"},
        [OPTION_WINDOW] = {"7s", "8s"},
        [OPTION_RATES] = {"7,8", "7,9"},
        [OPTION_MEMORY] = {"17M", "18M"},
        [OPTION_RATE] = {"7", "8"},
        [OPTION_TUNNELS] = {"7=a:1", "7=a:2"},
        [OPTION_BOOL] = {"true", "false"},
    };
    static const char *const choices[] = {"never", "allow"}, *levels[] = {"warn", "error"},
                             *cages[] = {"require", "off"}, *forms[] = {"json", "journal"};
    if (o->type == OPTION_CHOICE && o->choices[0] == 't')
        return forms;
    if (o->type == OPTION_CHOICE)
        return strcmp(o->name, "legacy") == 0 ? choices : o->choices[0] == 'e' ? levels : cages;
    return of[o->type];
}

static void set(const struct option *o, const char *text, union options *opt)
{
    assert_int_equal(value_set(o, text, opt), 0);
}

/* The reader of the table, and whoever adds a row, is asked: when does another value count? */
static void every_row_has_a_class(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(modes); k++) {
        for (size_t i = 0; i < modes[k]->count; i++) {
            const struct option *o = &modes[k]->options[i];
            const char *key;
            if (o->reload == RELOAD_UNSET)
                fail_msg("the row '%s' has no class of reload", o->name);
            /* what a file cannot say is fixed, and nothing else is */
            bool is_in_file = option_place(o, &key) != OPTION_NOWHERE || o->type == OPTION_TUNNELS;
            assert_int_equal(o->reload == RELOAD_FIXED, !is_in_file);
        }
    }
}

static void each_row_differs_alone(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(modes); k++) {
        const struct mode *m = modes[k];
        for (size_t i = 0; i < m->count; i++) {
            const struct option *o = &m->options[i];
            const char *const *values = values_of(o);
            union options was, is;
            memset(&is, 0, sizeof is);
            memset(&was, 0, sizeof was);
            flags_defaults(m, &was);
            flags_defaults(m, &is);
            struct options_diff none = options_diff(m, &was, &is);
            assert_int_equal(none.live | none.restart, 0);
            set(o, values[0], &is);
            struct options_diff d = options_diff(m, &was, &is);
            uint32_t bit = UINT32_C(1) << i;
            assert_int_equal(d.live, o->reload == RELOAD_LIVE ? bit : 0);
            assert_int_equal(d.restart, o->reload == RELOAD_RESTART ? bit : 0);
            if (o->type == OPTION_BOOL)
                continue;
            /* the last part of a value counts as its first does */
            set(o, values[1], &was);
            assert_int_equal(options_diff(m, &was, &is).live, d.live);
            assert_int_equal(options_diff(m, &was, &is).restart, d.restart);
            options_copy(m, bit, &is, &was);
            d = options_diff(m, &was, &is);
            assert_int_equal(d.live | d.restart, 0);
            if (o->type == OPTION_TUNNELS)
                tunnels_fini((struct tunnels *)((char *)&is + o->at)); /* the other is a view */
        }
    }
}

/* A shorter list, and a shorter secret, leave the rest of the old one behind their ends. */
static void what_is_behind_an_end_does_not_count(void **state)
{
    static struct server_options was, is;
    (void)state;
    flags_defaults(&server_mode, &was);
    flags_defaults(&server_mode, &is);
    is.allow_ports.ranges[0].first = 7;
    is.trusted_proxy.list[0].bits = 7;
    (void)snprintf(is.common.secret + 1, 8, "rest");
    struct options_diff d = options_diff(&server_mode, &was, &is);
    assert_int_equal(d.live | d.restart, 0);
}

static void rows_are_copied_and_no_others(void **state)
{
    static struct client_options from, to;
    uint32_t rows = 0;
    (void)state;
    flags_defaults(&client_mode, &from);
    flags_defaults(&client_mode, &to);
    from.id = "other";
    from.remote_port = 1;
    from.max_retry_ns = 7;
    for (size_t i = 0; i < client_mode.count; i++)
        if (strcmp(client_mode.options[i].name, "id") == 0)
            rows |= UINT32_C(1) << i;
    assert_true(options_have(&client_mode, rows, "id"));
    assert_false(options_have(&client_mode, rows, "remote-port"));
    assert_false(options_have(&client_mode, rows, "no-such-row"));
    options_copy(&client_mode, rows, &from, &to);
    assert_ptr_equal(to.id, from.id);
    assert_int_equal(to.remote_port, 8080);
    assert_true(to.max_retry_ns != 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_class),
        cmocka_unit_test(each_row_differs_alone),
        cmocka_unit_test(what_is_behind_an_end_does_not_count),
        cmocka_unit_test(rows_are_copied_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
