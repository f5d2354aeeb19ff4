/* SPDX-License-Identifier: MIT */
/* Version 3: what was sent stays until it is acknowledged, and is sent again after a resume. */
#include "kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static struct smux_session *new_session(bool is_client)
{
    struct smux_config cfg = smux_config_default(is_client, SMUX_VERSION_RESUMABLE);
    struct smux_session *s;
    assert_int_equal(smux_session_new(&cfg, 1000, &s), 0);
    return s;
}

/* Up to `most` bytes from a to b. What they told, in order, as letters; data is counted. */
static const char *carry(struct smux_session *a, struct smux_session *b, size_t most, size_t *data)
{
    static char text[256];
    size_t n, len = 0;
    const uint8_t *p = smux_session_output(a, &n);
    n = n < most ? n : most;
    struct smux_input in = {p, n};
    struct smux_event ev;
    int r;
    while ((r = smux_session_feed(b, &in, 2000, &ev)) > 0) {
        assert_true(len + 1 < sizeof text);
        if (ev.type == SMUX_EV_DATA)
            *data += ev.len;
        else
            text[len++] = "ODFRCG"[ev.type];
    }
    assert_int_equal(r, 0);
    text[len] = '\0';
    smux_session_sent(a, n);
    return text;
}

static void write_all(struct smux_stream *st, size_t n)
{
    while (n > 0) {
        uint8_t *p;
        size_t room;
        assert_int_equal(smux_stream_reserve(st, &p, &room), 0);
        room = room < n ? room : n;
        memset(p, 'x', room);
        smux_stream_commit(st, room);
        n -= room;
    }
}

static void what_a_cut_swallowed_comes_again(void **state)
{
    (void)state;
    struct smux_session *a = new_session(false), *b = new_session(true);
    struct smux_stream *st;
    size_t data = 0, n;
    assert_int_equal(smux_stream_open(a, NULL, &st), 0);
    write_all(st, 1000);
    smux_stream_finish(st, 1000);
    assert_string_equal(carry(a, b, 300, &data), "O");
    assert_in_range(data, 100, 300);
    (void)smux_session_output(a, &n);
    smux_session_sent(a, n); /* lost */
    assert_int_equal(smux_session_held(a), 16 + 8 + 8 + 1000 + 8);

    smux_session_detach(a);
    smux_session_detach(b);
    assert_false(smux_session_has_output(a));
    assert_int_equal(smux_session_deadline(a), MTIME_NEVER);
    uint64_t at = smux_session_received(b);
    assert_int_equal(at, 300);
    assert_int_equal(smux_session_resume(b, smux_session_received(a), 3000), 0);
    assert_int_equal(smux_session_resume(a, at, 3000), 0);
    assert_string_equal(carry(a, b, SIZE_MAX, &data), "F");
    assert_int_equal(data, 1000);
    smux_session_free(a);
    smux_session_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_cut_swallowed_comes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
