/* SPDX-License-Identifier: MIT */
/* Lists of tunnels, compared by name: all diffs of a file of six against a model. */
#include "conf/tunnels_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

enum { FILE_TUNNELS = 6, FATE_BITS = 3 };

/* What happens to a tunnel of the file: FATE_BITS bits of the number of a diff. */
enum fate { STAYS, ABSENT, TARGET, PLACE, BOTH, COMES, GOES, MOVES };

static const char *const names[FILE_TUNNELS] = {"a", "ssh", "web", "8080", "any-5", "z"};

static bool was_there(enum fate f)
{
    return f != ABSENT && f != COMES;
}

static bool is_there(enum fate f)
{
    return f != ABSENT && f != GOES;
}

static void put(struct tunnels *ts, int i, bool has_new_port, bool has_new_target)
{
    int32_t port = has_new_port ? 9000 + i : i; /* 0: the server chooses */
    assert_int_equal(tunnels_add(ts, names[i], port, has_new_target ? "b:2" : "a:1"), 0);
}

static struct tunnels was, is;
static struct tunnel_edit edits[FILE_TUNNELS];
static bool stays[FILE_TUNNELS];

static enum fate fate_of(unsigned diff, int i)
{
    return diff >> FATE_BITS * i & ((1u << FATE_BITS) - 1);
}

/* The file before and after; who moves stands at its end afterwards. */
static void write_both(unsigned diff)
{
    was.count = is.count = 0;
    for (int i = 0; i < FILE_TUNNELS; i++)
        if (was_there(fate_of(diff, i)))
            put(&was, i, false, false);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < FILE_TUNNELS; i++) {
            enum fate f = fate_of(diff, i);
            if (is_there(f) && (f == MOVES) == (pass == 1))
                put(&is, i, f == PLACE || f == BOTH, f == TARGET || f == BOTH);
        }
    }
}

static const struct tunnel_edit *edit_of(const char *name)
{
    for (uint32_t i = 0; i < is.count; i++)
        if (strcmp(is.at[i].name, name) == 0)
            return &edits[i];
    return NULL;
}

static bool has_name(const char *name)
{
    for (uint32_t i = 0; i < was.count; i++)
        if (strcmp(was.at[i].name, name) == 0)
            return stays[i];
    return false;
}

static void every_diff_of_six(void **state)
{
    static const enum tunnel_change changes[] = {
        [STAYS] = TUNNEL_SAME,  [MOVES] = TUNNEL_SAME, [TARGET] = TUNNEL_TARGET,
        [PLACE] = TUNNEL_PLACE, [BOTH] = TUNNEL_PLACE, [COMES] = TUNNEL_NEW,
    };
    (void)state;
    for (unsigned diff = 0; diff < 1u << FATE_BITS * FILE_TUNNELS; diff++) {
        struct tunnels_diff d, model = {0};
        write_both(diff);
        tunnels_diff(&was, &is, edits, stays, &d);
        for (int i = 0; i < FILE_TUNNELS; i++) {
            enum fate f = fate_of(diff, i);
            const struct tunnel_edit *e = edit_of(names[i]);
            assert_true((e != NULL) == is_there(f));
            assert_true(has_name(names[i]) == (was_there(f) && is_there(f)));
            model.closed += f == GOES;
            model.fresh += f == COMES;
            model.changed += f == TARGET || f == PLACE || f == BOTH;
            model.same += f == STAYS || f == MOVES;
            if (!e)
                continue;
            assert_int_equal(e->change, changes[f]);
            assert_true(e->has_new_target == (f == TARGET || f == BOTH));
            if (f == COMES)
                assert_int_equal(e->was, TUNNEL_NOWHERE);
            else
                assert_string_equal(was.at[e->was].name, names[i]);
        }
        assert_memory_equal(&d, &model, sizeof d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_diff_of_six),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tunnels_fini(&was);
    tunnels_fini(&is);
    return failed;
}
