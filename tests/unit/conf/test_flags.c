/* SPDX-License-Identifier: MIT */
/* Our own types and rules on top of Go's grammar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "conf/flags.h"

static struct flags_error why;
static struct server_options opt;
static int rest;

/* Parses words, separated by blanks, for the server. */
static enum flags_outcome parse(const char *words)
{
    static char copy[16384];
    char *argv[64];
    int argc = 0;
    (void)snprintf(copy, sizeof copy, "%s", words);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    memset(&opt, 0, sizeof opt);
    flags_defaults(&server_mode, &opt);
    return flags_parse(&server_mode, argc, argv, &opt, &rest, &why);
}

static void tables_are_sorted_and_complete(void **state)
{
    (void)state;
    const struct mode *const modes[] = {&server_mode, &client_mode};
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        for (size_t i = 0; i < modes[m]->count; i++) {
            const struct option *o = &modes[m]->options[i];
            assert_true(strlen(o->help) > 10);
            assert_int_equal(o->type == OPTION_CHOICE, o->choices != NULL);
            assert_int_equal(o->type == OPTION_BOOL, o->value == NULL);
            if (i > 0)
                assert_true(strcmp(modes[m]->options[i - 1].name, o->name) < 0);
        }
    }
}

static void defaults_come_from_the_table(void **state)
{
    (void)state;
    assert_int_equal(parse(""), FLAGS_OK);
    assert_string_equal(opt.listen, "7000");
    assert_string_equal(opt.certs, "certs");
    assert_string_equal(opt.common.secret, "");
    assert_string_equal(opt.common.secret_file, "");
    assert_int_equal(opt.common.log_level, LOG_LEVEL_INFO);
    assert_false(opt.common.version);
    assert_int_equal(opt.allow_ports.count, 0);
}

static void levels_are_words_in_order(void **state)
{
    (void)state;
    static const char *const lines[] = {"-log-level error", "-log-level warn", "-log-level info",
                                        "-log-level=debug"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(parse(lines[i]), FLAGS_OK);
        assert_int_equal(opt.common.log_level, i);
    }
    static const char *const wrong[] = {"-log-level=", "-log-level err", "-log-level Error",
                                        "-log-level debugs"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(parse(wrong[i]), FLAGS_BAD);
    assert_string_equal(why.text, "invalid value \"debugs\" for flag -log-level: must be one of: "
                                  "error warn info debug");
}

static void bools_as_go_reads_them(void **state)
{
    (void)state;
    assert_int_equal(parse("-version"), FLAGS_OK);
    assert_true(opt.common.version);
    assert_int_equal(parse("--version=T"), FLAGS_OK);
    assert_true(opt.common.version);
    assert_int_equal(parse("-version=false"), FLAGS_OK);
    assert_false(opt.common.version);
    assert_int_equal(parse("-version false"), FLAGS_OK); /* takes no argument */
    assert_true(opt.common.version);
    assert_int_equal(rest, 1);
    assert_int_equal(parse("-version=yes"), FLAGS_BAD);
    assert_string_equal(why.text, "invalid boolean value \"yes\" for -version: parse error: "
                                  "write true or false");
}

static void what_may_have_been_meant(void **state)
{
    (void)state;
    assert_int_equal(parse("-lisen 7000"), FLAGS_BAD);
    assert_string_equal(why.text, "flag provided but not defined: -lisen: did you mean -listen?");
    assert_int_equal(parse("--secretfile=x"), FLAGS_BAD);
    assert_string_equal(why.text,
                        "flag provided but not defined: -secretfile: did you mean -secret-file?");
    assert_int_equal(parse("-nope"), FLAGS_BAD);
    assert_string_equal(why.text, "flag provided but not defined: -nope");
}

static void a_duration_has_a_unit(void **state)
{
    (void)state;
    assert_int_equal(parse("-drain 30"), FLAGS_BAD);
    assert_string_equal(why.text, "invalid value \"30\" for flag -drain: parse error: a duration "
                                  "has a unit: write 30s");
    assert_int_equal(parse("-drain 0"), FLAGS_OK);
    assert_int_equal(parse("-drain 30x"), FLAGS_BAD);
    assert_string_equal(why.text, "invalid value \"30x\" for flag -drain: must be a duration from "
                                  "0 to 10m, like 30s");
}

static void a_flag_that_is_repeated_is_named(void **state)
{
    (void)state;
    assert_int_equal(parse("-listen 1 -certs x -secret y"), FLAGS_OK);
    assert_null(why.repeated);
    assert_int_equal(parse("-listen 1 -certs x -certs y --listen=2"), FLAGS_OK);
    assert_string_equal(why.repeated, "certs");
    assert_string_equal(opt.listen, "2"); /* as with Go */
    assert_string_equal(opt.certs, "y");
}

static void port_lists_d27(void **state)
{
    (void)state;
    assert_int_equal(parse("-allow-ports 8000-8999,80"), FLAGS_OK);
    assert_true(ports_contain(&opt.allow_ports, 80));
    assert_true(ports_contain(&opt.allow_ports, 8000));
    assert_true(ports_contain(&opt.allow_ports, 8999));
    assert_false(ports_contain(&opt.allow_ports, 9000));
    assert_false(ports_contain(&opt.allow_ports, 0));
    assert_int_equal(parse("-allow-ports 80-70000"), FLAGS_BAD);
    assert_int_equal(parse("-allow-ports x"), FLAGS_BAD);
    assert_non_null(strstr(why.text, "-allow-ports"));
}

static void networks_of_balancers(void **state)
{
    (void)state;
    const struct address a = {ADDRESS_IPV4, 9, 0, {10, 1, 2, 3}};
    const struct address b = {ADDRESS_IPV4, 9, 0, {192, 0, 2, 1}};
    assert_int_equal(parse("-listen 1"), FLAGS_OK);
    assert_int_equal(opt.trusted_proxy.count, 0); /* nobody */
    assert_int_equal(parse("-trusted-proxy 10.0.0.0/8,::1"), FLAGS_OK);
    assert_true(cidrs_contain(&opt.trusted_proxy, &a));
    assert_false(cidrs_contain(&opt.trusted_proxy, &b));
    assert_int_equal(parse("-trusted-proxy 10.0.0.0/8 -trusted-proxy=192.0.2.1"), FLAGS_OK);
    assert_false(cidrs_contain(&opt.trusted_proxy, &a)); /* the last one, as with every flag */
    assert_true(cidrs_contain(&opt.trusted_proxy, &b));
    assert_int_equal(parse("-trusted-proxy 10.0.0.1/8"), FLAGS_BAD);
    assert_string_equal(why.text,
                        "invalid value \"10.0.0.1/8\" for flag -trusted-proxy: an address has bits "
                        "behind its prefix: if the network is meant, write 10.0.0.0/8");
    assert_int_equal(parse("-trusted-proxy ::1,2001:db8::9/33,x"), FLAGS_BAD);
    assert_non_null(strstr(why.text, " write 2001:db8::/33"));
    assert_int_equal(parse("-trusted-proxy ::ffff:10.9.0.1/104"), FLAGS_BAD);
    assert_non_null(strstr(why.text, " write 10.0.0.0/8"));
    assert_int_equal(parse("-trusted-proxy x,10.0.0.1/8"), FLAGS_BAD);
    assert_non_null(strstr(why.text, "must be up to 32 networks and addresses like 10.0.0.0/8,"));
    assert_int_equal(parse("-trusted-proxy="), FLAGS_BAD);
}

static void threads_have_bounds(void **state)
{
    (void)state;
    static const char *const wrong[] = {"-threads 0",  "-threads -1",  "-threads 65",
                                        "-threads x",  "-threads=",    "-threads 1000",
                                        "-threads 1s", "-threads 2.5", "-threads 4294967297"};
    assert_int_equal(parse("-listen 1"), FLAGS_OK);
    assert_int_equal(opt.common.threads, 0); /* not given */
    assert_int_equal(parse("-threads 1"), FLAGS_OK);
    assert_int_equal(opt.common.threads, 1);
    assert_int_equal(parse("-threads 2 --threads=64"), FLAGS_OK);
    assert_int_equal(opt.common.threads, 64);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(parse(wrong[i]), FLAGS_BAD);
        assert_non_null(strstr(why.text, "for flag -threads: must be a number from 1 to 64"));
        assert_int_equal(opt.common.threads, 0);
    }
}

static void memory_has_bounds(void **state)
{
    (void)state;
    static const char *const wrong[] = {"-memory 0", "-memory 15M", "-memory 2T",
                                        "-memory x", "-memory=",    "-memory 64"};
    assert_int_equal(parse(""), FLAGS_OK);
    assert_true(opt.common.memory == 0); /* not given */
    assert_int_equal(parse("-memory 16M"), FLAGS_OK);
    assert_true(opt.common.memory == 16 << 20);
    assert_int_equal(parse("-memory 1T"), FLAGS_OK);
    assert_true(opt.common.memory == INT64_C(1) << 40);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(parse(wrong[i]), FLAGS_BAD);
        assert_non_null(strstr(why.text, "for flag -memory: must be a size from 16M to 1T"));
    }
}

static void handshakes_are_one_or_two_rates(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "-handshakes 0",      "-handshakes 200,0", "-handshakes x",          "-handshakes=",
        "-handshakes 200,",   "-handshakes ,10",   "-handshakes -1",         "-handshakes 1,2,3",
        "-handshakes 100001", "-handshakes 1.5",   "-handshakes 99999999999"};
    assert_int_equal(parse(""), FLAGS_OK);
    assert_int_equal(opt.handshakes.all, 200);
    assert_int_equal(opt.handshakes.source, 10);
    assert_int_equal(parse("-handshakes 1,100000"), FLAGS_OK);
    assert_int_equal(opt.handshakes.all, 1);
    assert_int_equal(opt.handshakes.source, 100000);
    assert_int_equal(parse("-handshakes 100000"), FLAGS_OK);
    assert_int_equal(opt.handshakes.all, 100000);
    assert_int_equal(opt.handshakes.source, 10);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(parse(wrong[i]), FLAGS_BAD);
        assert_non_null(strstr(why.text,
                               "for flag -handshakes: must be one or two numbers from 1 to "
                               "100000, like 200,10"));
        assert_int_equal(opt.handshakes.all, 200); /* as it was */
    }
}

static void a_rate_is_so_many_a_second(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "-client-rate 0",   "-client-rate 0/s",  "-client-rate 5/m",     "-client-rate 5/",
        "-client-rate /s",  "-client-rate=",     "-client-rate -1",      "-client-rate 5/s/s",
        "-client-rate 1.5", "-client-rate 5,10", "-client-rate 100001/s"};
    assert_int_equal(parse(""), FLAGS_OK);
    assert_int_equal(opt.client_rate, 0);
    assert_int_equal(parse("-client-rate 1"), FLAGS_OK);
    assert_int_equal(opt.client_rate, 1);
    assert_int_equal(parse("-client-rate 100000/s"), FLAGS_OK);
    assert_int_equal(opt.client_rate, 100000);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(parse(wrong[i]), FLAGS_BAD);
        assert_non_null(strstr(why.text, "for flag -client-rate: must be so many a second, 1 to "
                                         "100000, like 50/s"));
        assert_int_equal(opt.client_rate, 0);
    }
}

static void the_resume_window_has_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        int64_t s; /* -1: not taken */
    } rows[] = {{"-listen 1", 60},
                {"-resume-window 0", 0},
                {"-resume-window 10m", 600},
                {"-resume-window 600s", 600},
                {"-resume-window 600.000000001s", -1},
                {"-resume-window 601s", -1},
                {"-resume-window -1ns", -1},
                {"-resume-window 60x", -1},
                {"-resume-window=", -1},
                {"-resume-window 2562047h", -1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum flags_outcome r = parse(rows[i].words);
        assert_int_equal(r, rows[i].s < 0 ? FLAGS_BAD : FLAGS_OK);
        if (r == FLAGS_BAD)
            assert_non_null(strstr(why.text, "-resume-window: must be a duration from 0 to 10m"));
        else
            assert_true(opt.common.resume_window_ns == rows[i].s * 1000000000);
    }
}

static void the_drain_has_bounds(void **state)
{
    (void)state;
    assert_int_equal(parse("-listen 1"), FLAGS_OK);
    assert_true(opt.common.drain_ns == 30 * INT64_C(1000000000));
    assert_int_equal(parse("-drain 1.5s"), FLAGS_OK);
    assert_true(opt.common.drain_ns == 1500 * INT64_C(1000000));
    assert_int_equal(parse("-drain 0"), FLAGS_OK);
    assert_int_equal(opt.common.drain_ns, 0);
    assert_int_equal(parse("-drain 10m"), FLAGS_OK);
    assert_int_equal(parse("-drain 10m0.1s"), FLAGS_BAD);
    assert_non_null(strstr(why.text, "-drain: must be a duration from 0 to 10m"));
    assert_int_equal(parse("-drain -1s"), FLAGS_BAD);
}

static void the_old_protocol_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(parse("-listen 1"), FLAGS_OK);
    assert_int_equal(opt.common.legacy, LEGACY_ALLOW);
    assert_int_equal(parse("-legacy never"), FLAGS_OK);
    assert_int_equal(opt.common.legacy, LEGACY_NEVER);
    assert_int_equal(parse("-legacy never -legacy=allow"), FLAGS_OK);
    assert_int_equal(opt.common.legacy, LEGACY_ALLOW);
    assert_int_equal(parse("-legacy Never"), FLAGS_BAD);
}

static void the_secret_leaves_the_command_line_d13(void **state)
{
    (void)state;
    char one[] = "-secret", two[] = "hunter2", three[] = "--secret=swordfish";
    char *argv[] = {one, two, three};
    memset(&opt, 0, sizeof opt);
    flags_defaults(&server_mode, &opt);
    assert_int_equal(flags_parse(&server_mode, 3, argv, &opt, &rest, &why), FLAGS_OK);
    assert_string_equal(opt.common.secret, "swordfish");
    static const char zeros[sizeof two];
    assert_memory_equal(two, zeros, sizeof two);
    assert_string_equal(three, "--secret=");
    assert_memory_equal(three + 9, zeros, 7);
}

static void a_secret_that_no_line_can_carry_d12(void **state)
{
    (void)state;
    static char line[OPTION_SECRET_MAX + 32] = "-secret ";
    memset(line + 8, 'x', OPTION_SECRET_MAX);
    assert_int_equal(parse(line), FLAGS_OK);
    assert_int_equal(strlen(opt.common.secret), OPTION_SECRET_MAX);
    line[8 + OPTION_SECRET_MAX] = 'x';
    assert_int_equal(parse(line), FLAGS_BAD);
    assert_string_equal(why.text, "invalid value for flag -secret: longer than 4095 bytes");
}

static void usage_lists_every_row(void **state)
{
    (void)state;
    char text[8192], small[10];
    size_t n = flags_usage(&client_mode, text, sizeof text);
    assert_int_equal(n, strlen(text));
    for (size_t i = 0; i < client_mode.count; i++) {
        char head[64];
        (void)snprintf(head, sizeof head, "  -%s", client_mode.options[i].name);
        assert_non_null(strstr(text, head));
    }
    assert_non_null(strstr(text, "  -remote-port int\n"));
    assert_non_null(strstr(text, "(default 1m0s)"));
    assert_non_null(strstr(text, "(default \"127.0.0.1:80\")"));
    assert_int_equal(flags_usage(&client_mode, small, sizeof small), n);
    assert_int_equal(strlen(small), sizeof small - 1);
}

/* Those without which nothing works first, then the alphabet; each once. */
static void usage_begins_with_what_is_needed(void **state)
{
    (void)state;
    const struct option *rows[OPTIONS_MAX];
    mode_rows(&client_mode, rows);
    assert_string_equal(rows[0]->name, "server");
    assert_string_equal(rows[1]->name, "secret");
    assert_string_equal(rows[2]->name, "secret-file");
    for (size_t i = 4; i < client_mode.count; i++)
        assert_true(strcmp(rows[i - 1]->name, rows[i]->name) < 0);
    mode_rows(&join_mode, rows);
    assert_string_equal(rows[0]->name, "join-file");
    assert_string_equal(rows[1]->name, "ca");
    const struct mode plain = {.name = "plain",
                               .options = client_mode.options,
                               .count = client_mode.count,
                               .required = ""};
    mode_rows(&plain, rows);
    assert_ptr_equal(rows[0], &client_mode.options[0]);
    assert_ptr_equal(rows[plain.count - 1], &client_mode.options[plain.count - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_sorted_and_complete),
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(levels_are_words_in_order),
        cmocka_unit_test(bools_as_go_reads_them),
        cmocka_unit_test(what_may_have_been_meant),
        cmocka_unit_test(a_duration_has_a_unit),
        cmocka_unit_test(a_flag_that_is_repeated_is_named),
        cmocka_unit_test(port_lists_d27),
        cmocka_unit_test(networks_of_balancers),
        cmocka_unit_test(threads_have_bounds),
        cmocka_unit_test(memory_has_bounds),
        cmocka_unit_test(handshakes_are_one_or_two_rates),
        cmocka_unit_test(a_rate_is_so_many_a_second),
        cmocka_unit_test(the_resume_window_has_bounds),
        cmocka_unit_test(the_drain_has_bounds),
        cmocka_unit_test(the_old_protocol_is_allowed),
        cmocka_unit_test(the_secret_leaves_the_command_line_d13),
        cmocka_unit_test(a_secret_that_no_line_can_carry_d12),
        cmocka_unit_test(usage_lists_every_row),
        cmocka_unit_test(usage_begins_with_what_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
