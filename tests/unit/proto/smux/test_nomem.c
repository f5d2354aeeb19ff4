/* SPDX-License-Identifier: MIT */
/* The n-th allocation fails, for every n of a whole life: no crash, no leak, one clear error. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"

struct meter {
    struct alloc alloc;
    unsigned calls, fail_at, live;
};

static void *get(const struct alloc *a, size_t n)
{
    struct meter *m = a->ctx;
    if (++m->calls == m->fail_at)
        return NULL;
    m->live++;
    return malloc(n);
}

static void put(const struct alloc *a, void *p)
{
    struct meter *m = a->ctx;
    m->live -= p != NULL;
    free(p);
}

static int open_one(struct smux_session *s, struct smux_stream **ret)
{
    struct smux_open open = kit_an_open(true);
    return smux_stream_open_service(s, &open, NULL, ret); /* without services: a SYN */
}

/* Opens, receives and closes streams of both sides; stops at the first error. */
static int live(struct smux_session *s, struct wire *w)
{
    struct smux_event ev;
    struct smux_input in = {w->p, w->n};
    int r;
    for (int i = 0; i < 20; i++) {
        struct smux_stream *st;
        r = open_one(s, &st);
        if (r < 0)
            return r;
        if (i % 2)
            smux_stream_close(st, 1000);
    }
    while ((r = smux_session_feed(s, &in, 1000, &ev)) > 0) {
        if (ev.type == SMUX_EV_FIN)
            smux_stream_close(ev.stream, 1000);
    }
    size_t n;
    (void)smux_session_output(s, &n);
    smux_session_sent(s, n);
    return r;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    struct kit *maker = kit_new(false, NULL);
    for (uint32_t sid = 3; sid < 60; sid += 2) {
        wire_plain(&maker->in, SMUX_SYN, sid);
        wire_psh(&maker->in, sid, 100);
        wire_plain(&maker->in, SMUX_FIN, sid);
    }
    unsigned calls = 0;
    for (unsigned n = 0; n == 0 || n <= calls; n++) {
        struct meter m = {.fail_at = n};
        m.alloc = (struct alloc){get, put, &m};
        struct smux_config cfg = smux_config_default(false, SMUX_WIRE_LEGACY);
        cfg.alloc = &m.alloc;
        struct smux_session *s = NULL;
        int r = smux_session_new(&cfg, 1000, &s);
        if (r == 0) {
            r = live(s, &maker->in);
            kit_check(s);
        }
        /* A table that cannot grow is slower, not an error; all else is. */
        assert_true(r == 0 || (r == ERR_NOMEM && n > 0));
        if (n == 0)
            calls = m.calls;
        smux_session_free(s);
        assert_int_equal(m.live, 0);
    }
    assert_true(calls > 49);
    kit_free(maker);
}

/* gotunnel/2, across a cut. */
static int live_resumed(struct smux_session *s, struct wire *w)
{
    int r = live(s, w);
    if (r < 0)
        return r;
    smux_session_detach(s);
    r = smux_session_resume(s, 0, 2000);
    return r < 0 ? r : live(s, w);
}

static void fail_each_of_version_3(unsigned caps, unsigned at_least)
{
    struct kit *maker = kit_new_v2(true);
    struct smux_open open = kit_an_open(true);
    for (uint32_t sid = 2; sid < 60; sid += 2) {
        if (caps)
            wire_open(&maker->in, sid, &open);
        else
            wire_plain(&maker->in, SMUX_SYN, sid);
        wire_psh(&maker->in, sid, 40000);
        wire_plain(&maker->in, SMUX_FIN, sid);
    }
    unsigned calls = 0;
    for (unsigned n = 0; n == 0 || n <= calls; n++) {
        struct meter m = {.fail_at = n};
        m.alloc = (struct alloc){get, put, &m};
        struct smux_config cfg = smux_config_default(true, SMUX_WIRE_GOTUNNEL2);
        cfg.caps = caps;
        cfg.alloc = &m.alloc;
        struct smux_session *s = NULL;
        int r = smux_session_new(&cfg, 1000, &s);
        if (r == 0) {
            r = live_resumed(s, &maker->in);
            kit_check(s);
        }
        assert_true(r == 0 || (r == ERR_NOMEM && n > 0));
        if (n == 0)
            calls = m.calls;
        smux_session_free(s);
        assert_int_equal(m.live, 0);
    }
    assert_true(calls > at_least);
    kit_free(maker);
}

static void every_allocation_of_version_3_fails_once(void **state)
{
    (void)state;
    fail_each_of_version_3(0, 80);
    fail_each_of_version_3(SMUX_CAP_SERVICES | SMUX_CAP_READY, 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(every_allocation_of_version_3_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
