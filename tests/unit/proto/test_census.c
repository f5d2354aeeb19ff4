/* SPDX-License-Identifier: MIT */
/* proto/census, proto/census_json, proto/tally, proto/histogram: what is counted comes out as it went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/census_json.h"
#include "proto/tally.h"

static struct census *sample(void)
{
    struct census *c = census_new();
    struct census_part *p = census_part_new(), *silent = census_part_new();
    struct census_client *k = census_client_new(p);
    struct census_tunnel *t = census_tunnel_new(k);
    char name[] = "lap\"top";
    c->process.mode = "server";
    c->process.connections = 7;
    c->process.is_stopping = true;
    census_count(&c->process.auth_failures, "auth_failed", 3);
    k->name = census_text(p, name);
    memset(name, 'x', sizeof name - 1); /* it was copied */
    k->state = CENSUS_WAITING;
    k->state_ms = 12000;
    k->broke = "silent";
    k->broke_ms = 0;
    t->state = CENSUS_TARGET_REFUSES;
    t->in = UINT64_C(1) << 40;
    t->error = "refused";
    p->refused[CENSUS_NO_ROOM] = 2;
    p->gaps.counts[HISTOGRAM_STEPS] = 1;
    p->gaps.sum_ms = 70000;
    silent->worker.is_silent = true;
    census_add(c, p);
    census_add(c, silent);
    return c;
}

static void a_line_says_what_was_counted(void **state)
{
    (void)state;
    struct census *c = sample(), *r = census_new();
    size_t n;
    char *line = census_process_json(c, &n);
    assert_non_null(line);
    assert_int_equal(strlen(line), n);
    assert_int_equal(census_process_read(r, line, n), 0);
    assert_string_equal(r->process.mode, "server");
    assert_int_equal(r->process.connections, 7);
    assert_true(r->process.is_stopping);
    assert_int_equal(r->process.auth_failures.n, 1);
    assert_int_equal(r->process.auth_failures.counts[0], 3);
    assert_int_equal(r->process.refused.n, CENSUS_REFUSALS);
    assert_string_equal(r->process.refused.words[CENSUS_NO_ROOM], "no-room");
    assert_int_equal(r->process.refused.counts[CENSUS_NO_ROOM], 2);
    assert_int_equal(r->process.gaps.counts[HISTOGRAM_STEPS], 1);
    assert_int_equal(r->process.gaps.sum_ms, 70000);
    assert_int_equal(r->parts_count, 2);
    const struct census_part *p = census_next_part(r, NULL);
    assert_false(p->worker.is_silent);
    p = census_next_part(r, p);
    assert_true(p->worker.is_silent);
    assert_null(census_next_part(r, p));
    free(line);
    census_unref(c);
    census_unref(r);
}

static void a_client_with_its_tunnels(void **state)
{
    (void)state;
    struct census *c = sample();
    struct census_part *to = census_part_new();
    const struct census_part *p = census_next_part(c, NULL);
    struct census_client *k;
    size_t n;
    char *line = census_client_json(census_next_client(p, NULL), &n);
    assert_non_null(line);
    assert_non_null(strstr(line, "\"proof_ms\":null"));
    assert_non_null(strstr(line, "\"state\":\"waiting\""));
    assert_int_equal(census_client_read(to, line, n, &k), 0);
    assert_string_equal(k->name, "lap\"top");
    assert_int_equal(k->state, CENSUS_WAITING);
    assert_int_equal(k->state_ms, 12000);
    assert_int_equal(k->proof_ms, -1);
    assert_int_equal(k->broke_ms, 0);
    assert_string_equal(k->id, "");
    assert_int_equal(k->tunnels_count, 1);
    const struct census_tunnel *t = census_next_tunnel(k, NULL);
    assert_int_equal(t->state, CENSUS_TARGET_REFUSES);
    assert_true(t->in == UINT64_C(1) << 40);
    assert_string_equal(t->error, "refused");
    assert_int_equal(t->error_ms, -1);
    assert_null(census_next_tunnel(k, t));
    free(line);
    census_part_free(to);
    census_unref(c);
}

/* What is no line of ours is none, whatever it is; what a later version adds is passed over. */
static void other_lines(void **state)
{
    (void)state;
    static const char *const none[] = {
        "", "{", "[]", "{}", "{\"kind\":\"process\"}", "{\"kind\":1}", "null"};
    struct census_part *p = census_part_new();
    struct census_client *k;
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(census_client_read(p, none[i], strlen(none[i]), &k), ERR_PROTO);
    static const char later[] =
        "{\"kind\":\"client\",\"more\":[1],\"state\":\"asleep\",\"name\":7,\"resumes\":\"x\","
        "\"tunnels\":[{\"name\":\"a\",\"state\":\"up\"},3]}";
    assert_int_equal(census_client_read(p, later, sizeof later - 1, &k), 0);
    assert_int_equal(k->state, CENSUS_SUSPECT); /* it is not known to be up */
    assert_string_equal(k->name, "");
    assert_int_equal(k->resumes, 0);
    assert_int_equal(k->tunnels_count, 2);
    assert_int_equal(census_next_tunnel(k, NULL)->state, CENSUS_UP);
    census_part_free(p);
    census_part_free(NULL);
}

static void every_state_has_its_word(void **state)
{
    (void)state;
    for (enum census_state s = 0; s < CENSUS_STATES; s++)
        assert_int_equal(census_state_find(census_state_word(s)), s);
    assert_int_equal(census_state_find("up "), CENSUS_STATES);
    assert_int_equal(census_tunnel_state(CENSUS_UP, CENSUS_PORT_REFUSED), CENSUS_PORT_REFUSED);
    assert_int_equal(census_tunnel_state(CENSUS_WAITING, CENSUS_UP), CENSUS_WAITING);
}

static void long_text_and_much_of_it(void **state)
{
    (void)state;
    struct census_part *p = census_part_new();
    char text[40000];
    const char *kept[200];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (unsigned i = 0; i < ARRAY_LEN(kept); i++) {
        text[0] = (char)('a' + i % 20);
        kept[i] = census_text(p, i % 3 == 0 ? text : text + sizeof text - 100);
    }
    for (unsigned i = 0; i < ARRAY_LEN(kept); i += 3) {
        assert_int_equal(strlen(kept[i]), sizeof text - 1);
        assert_int_equal(kept[i][0], 'a' + (int)i % 20);
    }
    census_part_free(p);
}

/* ---- what is counted ---- */

static void a_tally_outlives_its_tunnel(void **state)
{
    (void)state;
    struct tally *t = tally_new(9);
    assert_int_equal(tally_running(t), 0);
    assert_ptr_equal(tally_take(t), t);
    (void)tally_take(t);
    assert_int_equal(tally_running(t), 2);
    tally_give(t);
    assert_int_equal(tally_running(t), 1);
    assert_int_equal(t->all, 2);
    tally_give(t); /* the owner's */
    assert_int_equal(t->key, 9);
    tally_give(t); /* frees: the sanitizer knows */
    tally_give(NULL);
}

static void what_is_the_target_s_fault(void **state)
{
    (void)state;
    struct tally *t = tally_new(0);
    tally_bad(t, TALLY_BUSY, 5);
    assert_false(t->is_bad);
    assert_int_equal(t->failed, 1);
    tally_bad(t, TALLY_REFUSED, 6);
    assert_true(t->is_bad);
    tally_bad(t, TALLY_NO_SERVICE, 7);
    assert_true(t->is_bad); /* of the target one knows what one knew */
    tally_good(t);
    assert_false(t->is_bad);
    assert_int_equal(t->error, TALLY_NO_SERVICE);
    assert_int_equal(t->failed_at, 7);
    for (enum tally_error e = TALLY_REFUSED; e < TALLY_ERRORS; e++)
        assert_true(strlen(tally_word(e)) > 0);
    tally_give(t);
}

static void steps_include_their_ends(void **state)
{
    (void)state;
    struct histogram h = {0}, all = {0};
    static const mtime_ms times[] = {0, 50, 51, 60000, 60001, -3};
    for (unsigned i = 0; i < ARRAY_LEN(times); i++)
        histogram_add(&h, times[i]);
    assert_int_equal(h.counts[0], 3);
    assert_int_equal(h.counts[1], 1);
    assert_int_equal(h.counts[HISTOGRAM_STEPS - 1], 1);
    assert_int_equal(h.counts[HISTOGRAM_STEPS], 1);
    assert_int_equal(h.sum_ms, 120102);
    histogram_merge(&all, &h);
    histogram_merge(&all, &h);
    assert_int_equal(all.counts[0], 6);
    assert_int_equal(all.sum_ms, 240204);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_what_was_counted),
        cmocka_unit_test(a_client_with_its_tunnels),
        cmocka_unit_test(other_lines),
        cmocka_unit_test(every_state_has_its_word),
        cmocka_unit_test(long_text_and_much_of_it),
        cmocka_unit_test(a_tally_outlives_its_tunnel),
        cmocka_unit_test(what_is_the_target_s_fault),
        cmocka_unit_test(steps_include_their_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
