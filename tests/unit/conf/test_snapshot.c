/* SPDX-License-Identifier: MIT */
/* Options that are counted and change no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/flags.h"
#include "conf/snapshot.h"

static unsigned wiped;  /* secrets of snapshots */
static int strdup_left; /* calls until one fails; -1: none does */

void __real_secure_free(void *p, size_t n);
void __wrap_secure_free(void *p, size_t n);
char *__wrap_strdup(const char *s);

/* Which wipes. */
void __wrap_secure_free(void *p, size_t n)
{
    wiped += n > OPTION_SECRET_MAX;
    __real_secure_free(p, n);
}

char *__wrap_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    if (strdup_left == 0)
        return NULL;
    strdup_left -= strdup_left > 0;
    char *copy = malloc(n);
    return copy ? memcpy(copy, s, n) : NULL;
}

static int setup(void **state)
{
    (void)state;
    wiped = 0;
    strdup_left = -1;
    return 0;
}

static const struct mode *const modes[] = {&server_mode, &client_mode};

/* A command line with every option of m that is a string, in one piece of memory. */
struct line {
    char text[4096];
    char *argv[32];
    int argc;
};

static void line_of(struct line *l, const struct mode *m)
{
    char *at = l->text;
    l->argc = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->options[i].type != OPTION_STRING)
            continue;
        l->argv[l->argc++] = at;
        at += sprintf(at, "-%s=value-of-%s", m->options[i].name, m->options[i].name) + 1;
    }
    l->argv[l->argc++] = at;
    (void)sprintf(at, "-secret=hunter2");
}

static const char *string_of(const struct snapshot *s, const struct option *o)
{
    return *(const char *const *)((const char *)snapshot_common(s) + o->at);
}

static struct snapshot *read_line(const struct mode *m, struct line *l)
{
    struct flags_error why;
    int rest;
    line_of(l, m);
    struct snapshot *s = snapshot_new(m);
    assert_non_null(s);
    assert_int_equal(flags_parse(m, l->argc, l->argv, snapshot_draft(s), &rest, &why), FLAGS_OK);
    return s;
}

static void nothing_points_into_the_command_line(void **state)
{
    static struct line l;
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(modes); k++) {
        const struct mode *m = modes[k];
        struct snapshot *s = read_line(m, &l);
        assert_int_equal(snapshot_seal(s), 0);
        memset(l.text, 'x', sizeof l.text);
        assert_string_equal(snapshot_common(s)->secret, "hunter2");
        unsigned strings = 0;
        for (size_t i = 0; i < m->count; i++) {
            char expected[64];
            if (m->options[i].type != OPTION_STRING)
                continue;
            const char *is = string_of(s, &m->options[i]);
            (void)snprintf(expected, sizeof expected, "value-of-%s", m->options[i].name);
            assert_false(is >= l.text && is < l.text + sizeof l.text);
            assert_string_equal(is, expected);
            strings++;
        }
        assert_int_equal(strings, l.argc - 1);
        assert_true(strings >= 4);
        snapshot_unref(s);
    }
}

static void defaults_are_there_without_a_command_line(void **state)
{
    (void)state;
    struct snapshot *s = snapshot_new(&client_mode);
    assert_int_equal(snapshot_seal(s), 0);
    assert_string_equal(snapshot_client(s)->local_target, "127.0.0.1:80");
    assert_int_equal(snapshot_client(s)->remote_port, 8080);
    assert_ptr_equal(snapshot_common(s), &snapshot_client(s)->common);
    snapshot_unref(s);
    s = snapshot_new(&server_mode);
    assert_int_equal(snapshot_seal(s), 0);
    assert_string_equal(snapshot_server(s)->listen, "7000");
    assert_ptr_equal(snapshot_common(s), &snapshot_server(s)->common);
    snapshot_unref(s);
}

/* The last owner's call frees it: the sanitizer sees what is not freed, or freed too early. */
static void the_last_owner_wipes_and_frees(void **state)
{
    static struct line l;
    (void)state;
    struct snapshot *first = read_line(&client_mode, &l);
    assert_int_equal(snapshot_seal(first), 0);
    assert_ptr_equal(snapshot_ref(first), first);
    assert_ptr_equal(snapshot_ref(first), first);

    /* A later one takes its place; who has the first keeps it. */
    struct snapshot *second = read_line(&client_mode, &l);
    assert_int_equal(snapshot_seal(second), 0);
    snapshot_unref(first);
    snapshot_unref(first);
    assert_int_equal(wiped, 0);
    assert_string_equal(snapshot_client(first)->server, "value-of-server");
    assert_string_equal(snapshot_common(first)->secret, "hunter2");
    snapshot_unref(first);
    assert_int_equal(wiped, 1);
    assert_string_equal(snapshot_client(second)->server, "value-of-server");
    snapshot_unref(second);
    assert_int_equal(wiped, 2);
    snapshot_unref(NULL);
}

/* For a reload: what a file has said meanwhile is not in it. */
static void the_command_line_is_kept_for_later(void **state)
{
    static struct line l;
    (void)state;
    struct snapshot *s = read_line(&client_mode, &l);
    assert_null(snapshot_again(s)); /* nothing was kept yet */
    assert_int_equal(snapshot_keep(s), 0);
    struct client_options *draft = snapshot_draft(s);
    draft->server = "of-the-file";
    draft->remote_port = 9;
    (void)snprintf(draft->common.secret, sizeof draft->common.secret, "of-the-file");
    assert_int_equal(snapshot_seal(s), 0);
    memset(l.text, 'x', sizeof l.text);
    assert_ptr_equal(snapshot_mode(s), &client_mode);

    struct snapshot *again = snapshot_again(s);
    struct snapshot *third = snapshot_again(again);
    assert_int_equal(snapshot_seal(again), 0);
    assert_string_equal(snapshot_client(s)->server, "of-the-file");
    snapshot_unref(s);
    assert_int_equal(wiped, 1);
    assert_string_equal(snapshot_client(again)->server, "value-of-server");
    assert_int_equal(snapshot_client(again)->remote_port, 8080);
    assert_string_equal(snapshot_common(again)->secret, "hunter2");
    snapshot_unref(again);
    assert_int_equal(wiped, 2);
    assert_int_equal(snapshot_seal(third), 0);
    assert_string_equal(snapshot_client(third)->server, "value-of-server");
    snapshot_unref(third);
    assert_int_equal(wiped, 4); /* with what was kept */
}

static void a_draft_can_be_dropped(void **state)
{
    static struct line l;
    (void)state;
    snapshot_unref(read_line(&server_mode, &l));
    assert_int_equal(wiped, 1);
}

static void without_memory_nothing_is_kept(void **state)
{
    static struct line l;
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(modes); k++) {
        int fails = 0;
        for (int n = 0;; n++) {
            strdup_left = n;
            struct snapshot *s = read_line(modes[k], &l);
            int err = snapshot_seal(s);
            snapshot_unref(s);
            if (err == 0)
                break;
            assert_int_equal(err, ERR_NOMEM);
            fails++;
        }
        assert_int_equal(fails, l.argc - 1); /* each string's copy, once */
        strdup_left = 0;
        struct snapshot *s = read_line(modes[k], &l);
        assert_int_equal(snapshot_keep(s), ERR_NOMEM);
        assert_null(snapshot_again(s));
        snapshot_unref(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_points_into_the_command_line, setup),
        cmocka_unit_test_setup(defaults_are_there_without_a_command_line, setup),
        cmocka_unit_test_setup(the_last_owner_wipes_and_frees, setup),
        cmocka_unit_test_setup(the_command_line_is_kept_for_later, setup),
        cmocka_unit_test_setup(a_draft_can_be_dropped, setup),
        cmocka_unit_test_setup(without_memory_nothing_is_kept, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
