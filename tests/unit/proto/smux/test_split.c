/* SPDX-License-Identifier: MIT */
/* Any split of the input gives the same events. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Every kind of frame, every state of the parser. */
static void build(struct wire *w)
{
    wire_plain(w, SMUX_SYN, 2);
    wire_psh(w, 2, 5);
    wire_psh(w, 2, 0);
    wire_plain(w, SMUX_NOP, 0);
    wire_plain(w, SMUX_SYN, 4);
    wire_upd(w, 2, 0, 65536);
    wire_psh(w, 4, 40);
    wire_psh(w, 998, 30); /* unknown */
    wire_psh(w, 2, 3);
    wire_plain(w, SMUX_FIN, 2);
    wire_psh(w, 2, 9); /* after the end */
    wire_upd(w, 4, 0, SMUX_RESET_WINDOW);
    wire_psh(w, 4, 11);
    wire_plain(w, SMUX_SYN, 6);
    wire_plain(w, SMUX_FIN, 6);
    wire_header(w, 2, 7, 0, 0); /* no such command */
}

static struct kit *run(const struct wire *w, size_t first, size_t step)
{
    struct kit *k = kit_new(true, NULL);
    size_t at = 0;
    k->eager = true;
    for (size_t n = first; at < w->n && k->code == 0; at += n, n = step) {
        n = w->n - at < n ? w->n - at : n;
        (void)kit_feed(k, w->p + at, n);
        kit_check(k->s);
    }
    return k;
}

static void assert_same(const struct kit *a, const struct kit *b)
{
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct kit_event *x = &a->events[i], *y = &b->events[i];
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->sid, y->sid);
        assert_int_equal(x->err, y->err);
        assert_int_equal(x->len, y->len);
        assert_int_equal(x->hash, y->hash);
    }
}

static void every_split_point_and_every_step(void **state)
{
    (void)state;
    struct kit *maker = kit_new(true, NULL);
    build(&maker->in);
    struct kit *whole = run(&maker->in, maker->in.n, 1);
    assert_string_equal(kit_text(whole), "OPENED:2 DATA:2:5 OPENED:4 DATA:4:40 DATA:2:3 FIN:2 "
                                         "RESET:4:connection reset OPENED:6 FIN:6 !protocol error");
    for (size_t cut = 1; cut < maker->in.n; cut++) {
        struct kit *k = run(&maker->in, cut, maker->in.n);
        assert_same(k, whole);
        kit_free(k);
        k = run(&maker->in, cut, cut);
        assert_same(k, whole);
        kit_free(k);
    }
    kit_free(whole);
    kit_free(maker);
}

static void a_truncated_input_only_waits(void **state)
{
    (void)state;
    struct kit *maker = kit_new(true, NULL);
    build(&maker->in);
    for (size_t n = 0; n < maker->in.n - 7; n++) {
        struct wire part = {maker->in.p, n, n, 0};
        struct kit *k = run(&part, n, 1);
        assert_int_equal(k->code, 0);
        kit_free(k);
    }
    kit_free(maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_point_and_every_step),
        cmocka_unit_test(a_truncated_input_only_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
