/* SPDX-License-Identifier: MIT */
/*
 * A transport that wanders between the loops of two threads while bytes flow in both directions:
 * none is lost, doubled or out of order, wherever it was released. Nothing here has a lock or an
 * atomic of its own, so ThreadSanitizer sees what the hand-over itself guarantees.
 */
#include "net/transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "ends.h"
#include "net/mailbox.h"

enum {
    BYTES = 3 << 20,
    STAY_BYTES = 40000, /* received at one place, before the next */
    EVENT_BYTES = 9000, /* in one event: some bytes wait inside libssl when it is released */
    MOVES_MIN = 40,
};

struct place {
    struct loop *loop;
    struct mailbox in;
    struct message close;
};

/* Whose it is: the thread of places[at]; the test's before it begins and after it is over. */
struct wanderer {
    struct transport *t;
    struct place *places[2];
    int at;
    int moves;
    const uint8_t *out;
    size_t out_done;
    uint8_t *in;
    size_t in_len, leave_at;
    int err;
    struct loop_job leave;
    struct message arrive; /* to the next place */
    struct message over;   /* to the first, which is the test's */
    bool *is_over;         /* the test's thread's alone */
};

static bool is_complete(const struct wanderer *w)
{
    return w->err || (w->in_len == BYTES && w->out_done == BYTES);
}

/* From a job: no call of the transport is under way. Nothing of w is touched after the post. */
static void on_leave(struct loop_job *job)
{
    struct wanderer *w = CONTAINER_OF(job, struct wanderer, leave);
    bool complete = is_complete(w);
    transport_release(w->t);
    w->at = complete ? 0 : !w->at;
    w->moves++;
    mailbox_post(&w->places[w->at]->in, complete ? &w->over : &w->arrive);
}

static void maybe_leave(struct wanderer *w)
{
    if (w->in_len >= w->leave_at || is_complete(w))
        loop_defer(w->places[w->at]->loop, &w->leave);
}

static void pump(struct wanderer *w)
{
    while (w->out_done < BYTES) {
        ssize_t n = transport_write(w->t, w->out + w->out_done, BYTES - w->out_done);
        if (n <= 0)
            break;
        w->out_done += (size_t)n;
        transport_flush(w->t);
    }
    maybe_leave(w);
}

static void on_readable(void *ctx)
{
    struct wanderer *w = ctx;
    for (size_t left = EVENT_BYTES; left > 0;) {
        size_t room = BYTES - w->in_len, most = room < left ? room : left;
        uint8_t more;
        ssize_t n = transport_read(w->t, most ? w->in + w->in_len : &more, most ? most : 1, NULL);
        if (n == ERR_AGAIN) {
            maybe_leave(w);
            return;
        }
        if (n <= 0 || most == 0) {
            w->err = n <= 0 ? (int)n : ERR_PROTO; /* more than was sent */
            maybe_leave(w);
            return;
        }
        w->in_len += (size_t)n;
        left -= (size_t)n;
    }
    transport_read_later(w->t);
    maybe_leave(w);
}

static void on_writable(void *ctx)
{
    pump(ctx);
}

static void on_ready(void *ctx)
{
    pump(ctx);
}

static void on_error(void *ctx, int err, const struct errmsg *why)
{
    struct wanderer *w = ctx;
    (void)why;
    w->err = err;
    maybe_leave(w);
}

static const struct transport_events events = {on_ready, on_readable, on_writable, on_error};

static void on_arrive(struct message *m)
{
    struct wanderer *w = CONTAINER_OF(m, struct wanderer, arrive);
    w->leave_at = w->in_len + STAY_BYTES;
    int err = transport_adopt(w->t, w->places[w->at]->loop, &events, w);
    if (err < 0)
        on_error(w, err, NULL);
}

static void on_over(struct message *m)
{
    *CONTAINER_OF(m, struct wanderer, over)->is_over = true;
}

/* ---- the other thread ---- */

static void run_place(void *arg)
{
    struct place *p = arg;
    loop_run(p->loop);
}

static void on_close(struct message *m)
{
    mailbox_close(&CONTAINER_OF(m, struct place, close)->in);
}

static void place_init(struct place *p, struct loop *loop)
{
    p->loop = loop;
    assert_int_equal(mailbox_init(&p->in, loop), 0);
    message_init(&p->close, on_close);
}

static void it_moves_and_keeps_every_byte(void **state)
{
    struct kit *k = *state;
    struct loop far;
    struct place places[2];
    uv_thread_t thread;
    uint8_t *up = pattern(BYTES, 1), *down = pattern(BYTES, 2);
    struct end c = {.out = up, .out_len = BYTES};
    bool is_over = false;
    int fd[2], small = 32768;
    assert_int_equal(loop_init(&far), 0);
    place_init(&places[0], &k->loop);
    place_init(&places[1], &far);
    assert_int_equal(uv_thread_create(&thread, run_place, &places[1]), 0);

    struct wanderer w = {.places = {&places[0], &places[1]}, .out = down, .is_over = &is_over};
    w.in = malloc(BYTES);
    assert_non_null(w.in);
    w.leave_at = STAY_BYTES;
    loop_job_init(&w.leave, on_leave);
    message_init(&w.arrive, on_arrive);
    message_init(&w.over, on_over);
    kit_tcp_pair(fd);
    for (int i = 0; i < 2; i++) /* output, too, is on its way when it leaves */
        (void)setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    end_open(&c, k, fd[0], false);
    assert_int_equal(transport_new(&k->loop, fd[1], ends_ctx(true), true, &events, &w, &w.t), 0);
    transport_trust(c.t);
    transport_trust(w.t);
    KIT_UNTIL(k, is_over);

    assert_int_equal(w.err, 0);
    assert_int_equal(w.in_len, BYTES);
    assert_memory_equal(w.in, up, BYTES);
    assert_true(w.moves >= MOVES_MIN);

    struct end last = {.k = k, .t = w.t}; /* what is sealed goes out for the next owner, too */
    assert_int_equal(transport_adopt(w.t, &k->loop, &end_events, &last), 0);
    KIT_UNTIL(k, c.in_len == BYTES);
    assert_true(end_is(&c, down, BYTES));
    assert_int_equal(c.errors, 0);
    end_close(&last);
    KIT_UNTIL(k, c.err == ERR_EOF);
    end_close(&c);
    mailbox_post(&places[1].in, &places[1].close);
    assert_int_equal(uv_thread_join(&thread), 0);
    mailbox_close(&places[0].in);
    loop_run(&k->loop);
    mailbox_fini(&places[0].in);
    mailbox_fini(&places[1].in);
    loop_fini(&far);
    free(w.in);
    free(up);
    free(down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_moves_and_keeps_every_byte, kit_setup, kit_teardown),
    };
    return cmocka_run_group_tests(tests, ends_setup, ends_teardown);
}
