/* SPDX-License-Identifier: MIT */
/* The recorded command lines of the original: outcome, error text and every parsed value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "conf/flags.h"

enum { MAX_ARGS = 32 };

/* An argument list whose strings may be overwritten. */
struct args {
    int argc;
    char *argv[MAX_ARGS];
};

static struct args args_of(const json_t *list)
{
    struct args a = {0};
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        assert_true(a.argc < MAX_ARGS);
        if (i > 0) {
            a.argv[a.argc] = strdup(json_string_value(v));
            assert_non_null(a.argv[a.argc++]);
        }
    }
    return a;
}

static void args_free(struct args *a)
{
    for (int i = 0; i < a->argc; i++)
        free(a->argv[i]);
}

/* What the recorder printed for a command line that was accepted. */
static void print_rest(char *out, size_t room, const struct args *a, int rest)
{
    size_t n = strlen(out);
    n += (size_t)snprintf(out + n, room - n, " rest=[");
    for (int i = rest; i < a->argc; i++)
        n += (size_t)snprintf(out + n, room - n, "%s\"%s\"", i > rest ? " " : "", a->argv[i]);
    (void)snprintf(out + n, room - n, "]\n");
}

static void print_server(char *out, size_t room, const struct server_options *o)
{
    (void)snprintf(out, room, "PARSED secret=\"%s\" listen=\"%s\"", o->common.secret, o->listen);
}

static void print_client(char *out, size_t room, const struct client_options *o)
{
    (void)snprintf(out, room,
                   "PARSED secret=\"%s\" server=\"%s\" ca=\"%s\" target=\"%s\" port=%lld max=%lld",
                   o->common.secret, o->server, o->ca, o->local_target, (long long)o->remote_port,
                   (long long)o->max_retry_ns);
}

/* Flags that are ours alone: recorded as unknown. */
static bool is_ours(const char *error)
{
    return strcmp(error, "flag provided but not defined: -version") == 0;
}

static void check(const json_t *line, const char *mode)
{
    union {
        struct server_options server;
        struct client_options client;
    } opt;
    struct args a = args_of(json_object_get(line, "argv"));
    struct flags_error why = {.text = ""};
    const struct mode *m = strcmp(mode, "server") == 0 ? &server_mode : &client_mode;
    const char *err = json_string_value(json_object_get(line, "stderr"));
    const char *out = json_string_value(json_object_get(line, "stdout"));
    char first[1024], parsed[8192];
    int rest;

    memset(&opt, 0, sizeof opt);
    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(err, "\n"), err);
    flags_defaults(m, &opt);
    enum flags_outcome r = flags_parse(m, a.argc, a.argv, &opt, &rest, &why);
    switch (json_integer_value(json_object_get(line, "exit"))) {
    case 2:
        if (!is_ours(first)) {
            assert_int_equal(r, FLAGS_BAD);
            assert_int_equal(strncmp(why.text, first, strlen(first)), 0); /* and what to write */
        }
        break;
    case 1: /* parsed, but something required is missing */
        assert_int_equal(r, FLAGS_OK);
        assert_true(!*opt.server.common.secret || (m == &client_mode && !*opt.client.server));
        break;
    default:
        if (strncmp(out, "PARSED", 6) != 0) {
            assert_int_equal(r, FLAGS_HELP);
            break;
        }
        assert_int_equal(r, FLAGS_OK);
        if (m == &server_mode)
            print_server(parsed, sizeof parsed, &opt.server);
        else
            print_client(parsed, sizeof parsed, &opt.client);
        print_rest(parsed, sizeof parsed, &a, rest);
        assert_string_equal(parsed, out);
    }
    args_free(&a);
}

static void all_recorded_command_lines(void **state)
{
    (void)state;
    char path[4096];
    json_error_t error;
    const char *root = getenv("GOTUNNEL_VECTORS");
    assert_non_null(root);
    (void)snprintf(path, sizeof path, "%s/cli/flags.json", root);
    json_t *all = json_load_file(path, 0, &error);
    assert_non_null(all);
    size_t i, count = 0;
    json_t *line;
    json_array_foreach(all, i, line)
    {
        const char *mode = json_string_value(json_array_get(json_object_get(line, "argv"), 0));
        if (mode && (strcmp(mode, "server") == 0 || strcmp(mode, "client") == 0)) {
            check(line, mode);
            count++;
        }
    }
    assert_int_equal(json_array_size(all), 130);
    assert_int_equal(count, 123);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_recorded_command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
