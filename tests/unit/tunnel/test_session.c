/* SPDX-License-Identifier: MIT */
/* tunnel/session and candidate: what life decides is carried out on the connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>

#include "kit.h"
#include "proto/smux/frame.h"
#include "proto/smux/session.h"
#include "tunnel/internal.h"

static int setup(void **state)
{
    static struct kit k;
    kit_init(&k);
    *state = &k;
    return 0;
}

static int teardown(void **state)
{
    kit_fini(*state);
    return 0;
}

static unsigned proofs_tried;

/* Counts; the linker has put it in the place of the real one. */
bool __real_hello_resume_verify(struct hello_text resume, const uint8_t key[32],
                                const uint8_t exporter[HELLO_EXPORTER_BYTES]);
bool __wrap_hello_resume_verify(struct hello_text resume, const uint8_t key[32],
                                const uint8_t exporter[HELLO_EXPORTER_BYTES]);
bool __wrap_hello_resume_verify(struct hello_text resume, const uint8_t key[32],
                                const uint8_t exporter[HELLO_EXPORTER_BYTES])
{
    proofs_tried++;
    return __real_hello_resume_verify(resume, key, exporter);
}

/* Puts n bytes of text on a stream. */
static void say(struct smux_stream *st, const char *text)
{
    uint8_t *p;
    size_t room, n = strlen(text);
    assert_int_equal(smux_stream_reserve(st, &p, &room), 0);
    assert_true(room >= n);
    memcpy(p, text, n);
    smux_stream_commit(st, n);
}

/* The client's dial has brought a connection; everything up to the resume line has happened. */
static struct transport *asked(struct kit *k, struct transport **ret_server)
{
    struct transport *c;
    session_dialled(k->client.session, dup(0), 1, NULL);
    c = stub_newest();
    kit_open(k, &k->server, NULL);
    *ret_server = k->server.tp;
    stub_ready(*ret_server, true);
    stub_ready(c, true);
    return c;
}

/* The server has the line and hands it to the session. */
static enum hello_error resume(struct kit *k, struct transport *c, struct transport *s)
{
    stub_join(c, s);
    assert_int_equal(k->server.resumes, 1);
    k->server.resumes = 0;
    return session_resume(k->server.session, &k->server.handover);
}

static void a_cut_session_goes_on(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    struct transport *old_c = k->client.tp, *old_s = k->server.tp, *s;
    struct kit_stream u = kit_stream(k);
    say(u.st, "on its way when it broke"); /* waits in the ring */
    stub_fail(old_c, ERR_RESET);
    stub_fail(old_s, ERR_RESET);
    assert_int_equal(k->client.dials, 1);
    assert_true(old_c->closed && old_s->closed);
    assert_int_equal(session_state(k->client.session), LIFE_DETACHED);
    assert_int_equal(k->server.users, SESSION_USERS_HOLD);
    assert_true(k->server.waiting);
    struct transport *c = asked(k, &s);
    assert_int_equal(resume(k, c, s), HELLO_OK);
    stub_join(c, s);
    assert_int_equal(session_state(k->client.session), LIFE_UP);
    assert_int_equal(session_state(k->server.session), LIFE_UP);
    assert_int_equal(k->server.users, SESSION_USERS_ADMIT);
    assert_false(k->server.waiting);
    assert_int_equal(k->client.tell.tell.what, LIFE_TELL_RESUMED);
    assert_int_equal(k->client.closed + k->server.closed, 0);
    assert_int_equal(session_streams(k->client.session), 1);
    uint64_t came = strlen("on its way when it broke"); /* once */
    assert_int_equal(session_received(k->client.session), came);
    assert_int_equal(k->client.relays.received, came);
    relay_reset(u.user, SMUX_RST_PEER_RESET);
    stub_join(c, s);
    assert_int_equal(session_streams(k->client.session), 0);
}

/* What it held when it lost its connection is all that it holds while it waits: whatever users do,
   nothing is staged without a connection. */
static void what_a_waiting_session_holds_does_not_grow(void **state)
{
    struct kit *k = *state;
    uint8_t *p;
    size_t room;
    kit_session(k, true);
    struct kit_stream u = kit_stream(k), ends = kit_stream(k);
    say(u.st, "on its way when it broke");
    stub_fail(k->server.tp, ERR_RESET);
    uint64_t held = session_held(k->server.session);
    assert_true(held > strlen("on its way when it broke"));
    assert_int_equal(k->server.waiting_bytes, held);
    assert_int_equal(smux_stream_reserve(u.st, &p, &room), ERR_LIMIT);
    relay_reset(ends.user, SMUX_RST_PEER_RESET);
    for (int i = 0; i < 100; i++) {
        struct smux_stream *st;
        assert_int_equal(
            session_open_stream(k->server.session, &(struct smux_open){.service = 1}, &st), 0);
        smux_stream_finish(st, loop_now(&k->loop));
        assert_non_null(relay_new(&k->server.relays, k->server.session, st));
    }
    stub_turn(&k->loop);
    assert_int_equal(session_held(k->server.session), held);
    assert_int_equal(k->server.waits, 1); /* and so there is nothing to be told again */
    assert_int_equal(session_streams(k->server.session), 101);
}

/* The first user makes it one with connections, which is not the first to go, though he brings only
   the header of a frame; the next one changes nothing. */
static void a_first_user_of_who_waits_is_told(void **state)
{
    struct kit *k = *state;
    struct smux_stream *st;
    kit_session(k, true);
    stub_fail(k->server.tp, ERR_RESET);
    stub_turn(&k->loop);
    assert_true(k->server.waiting);
    unsigned calls = k->server.waits;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            session_open_stream(k->server.session, &(struct smux_open){.service = 1}, &st), 0);
        assert_non_null(relay_new(&k->server.relays, k->server.session, st));
        stub_turn(&k->loop);
        assert_int_equal(k->server.waits, calls + 1);
        assert_int_equal(session_streams(k->server.session), i + 1);
    }
    assert_true(k->server.waiting);
}

/* Of a connection that is not known yet records are short: of a replay as well. */
static void records_are_as_long_as_the_link_is_fast(void **state)
{
    static char bulk[9000]; /* enough for a look at the link */
    struct kit *k = *state;
    struct transport *s;
    kit_session(k, true);
    struct transport *old = k->server.tp;
    struct kit_stream u = kit_stream(k);
    memset(bulk, 'b', sizeof bulk - 1);
    assert_int_equal(old->record_max, STAGE_RECORD_SLOW);
    old->queue.sent = STAGE_PROOF;
    say(u.st, bulk);
    session_wake(k->server.session);
    kit_join(k);
    assert_int_equal(old->longest_record_max, STAGE_RECORD_SLOW);
    assert_int_equal(old->record_max, STAGE_RECORD_FAST);
    say(u.st, bulk);
    session_wake(k->server.session);
    stub_turn(&k->loop); /* sent, and lost */
    stub_fail(k->client.tp, ERR_RESET);
    stub_fail(old, ERR_RESET);
    struct transport *c = asked(k, &s);
    s->queue.sent = STAGE_PROOF / 2; /* of another connection */
    assert_int_equal(resume(k, c, s), HELLO_OK);
    kit_join(k);
    stub_join(c, s);
    assert_in_range(s->longest, sizeof bulk, STUB_BUF);
    assert_int_equal(s->longest_record_max, STAGE_RECORD_SLOW);
    assert_int_equal(s->record_max, STAGE_RECORD_SLOW);
}

/* The last bytes of a turn may fill what may be staged: they are sent at its end, and users who have
   more are read on, without a word from the other end. */
static void users_are_read_on_when_a_turn_is_full(void **state)
{
    static char bulk[200 << 10]; /* more than the shares of a turn, less than a window */
    struct kit *k = *state;
    int fd[2], room = 1 << 20;
    kit_session(k, true);
    struct kit_stream u = kit_stream(k);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    (void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    assert_int_equal(send(fd[1], bulk, sizeof bulk, 0), sizeof bulk);
    relay_attach(u.user, fd[0]);
    for (int i = 0; i < 100; i++)
        stub_turn(&k->loop);
    assert_true(k->server.tp->out_len > sizeof bulk);
    (void)close(fd[1]);
}

/* Nor is one known that lies where an older one did. */
static void a_connection_in_the_same_place_is_another(void **state)
{
    struct kit *k = *state;
    struct transport *s;
    kit_session(k, true);
    struct kit_stream u = kit_stream(k);
    say(u.st, "x");
    session_wake(k->server.session);
    kit_join(k);
    assert_ptr_equal(k->server.session->stage_of, k->server.tp);
    stub_fail(k->server.tp, ERR_RESET);
    assert_null(k->server.session->stage_of);
    stub_fail(k->client.tp, ERR_RESET);
    struct transport *c = asked(k, &s);
    assert_int_equal(resume(k, c, s), HELLO_OK);
    stub_join(c, s);
    assert_ptr_equal(k->server.session->stage_of, s);
}

/* Who waits without connections is the first to go when too much waits: so that is told as it
   changes, not only when the session begins to wait. */
static void a_waiting_session_tells_when_its_users_have_gone(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    struct kit_stream u = kit_stream(k);
    stub_fail(k->server.tp, ERR_RESET);
    assert_true(k->server.waiting);
    stub_turn(&k->loop);
    unsigned calls = k->server.waits;
    relay_reset(u.user, SMUX_RST_PEER_RESET);
    stub_turn(&k->loop);
    assert_int_equal(k->server.waits, calls + 1);
    assert_true(k->server.waiting);
    assert_int_equal(session_streams(k->server.session), 0);
    assert_int_equal(k->server.waiting_bytes, session_held(k->server.session));
    session_wake(k->server.session);
    stub_turn(&k->loop);
    assert_int_equal(k->server.waits, calls + 1); /* nothing has changed */
}

/* The old connection is read again when an attempt beside it comes to nothing: it may be good. */
static void a_failed_attempt_unfreezes_the_connection(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    struct transport *old = k->client.tp, *s;
    old->route_changed = true;
    session_network_changed(k->client.session, false);
    assert_int_equal(k->client.dials, 1);
    struct transport *c = asked(k, &s);
    unsigned before = old->read_later;
    stub_fail(c, ERR_RESET);
    assert_true(c->closed);
    assert_int_equal(old->read_later, before + 1);
    assert_false(old->closed);
}

/* What came on the old connection while the resume was asked for is not read before the answer. */
static void a_frozen_connection_is_not_read(void **state)
{
    struct kit *k = *state;
    struct smux_stream *st;
    kit_session(k, true);
    struct transport *old_c = k->client.tp, *old_s = k->server.tp, *s;
    old_c->route_changed = true;
    session_network_changed(k->client.session, false);
    struct transport *c = asked(k, &s);
    (void)c;
    assert_int_equal(session_open_stream(k->server.session, &(struct smux_open){.service = 1}, &st),
                     0);
    assert_non_null(relay_new(&k->server.relays, k->server.session, st));
    stub_join(old_c, old_s);
    assert_null(k->client.stream);
    assert_true(old_c->in_at < old_c->in_len);
    stub_fail(c, ERR_RESET); /* it is good after all */
    assert_non_null(k->client.stream);
    assert_non_null(relay_new(&k->client.relays, k->client.session, k->client.stream));
}

/* Secured, it spares the old connection for half a second. Nothing else happens meanwhile that would
   have the session look at life: the clock must know. */
static void a_secured_attempt_sets_the_clock(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    struct session *client = k->client.session;
    k->client.tp->route_changed = true;
    session_network_changed(client, false);
    session_dialled(client, dup(0), 1, NULL);
    stub_turn(&k->loop);
    struct transport *c = stub_newest();
    client->life.doubted_until = 0; /* as if silence alone had made the suspicion */
    c->is_v2 = true;
    c->ev->on_ready(c->ctx);
    assert_int_equal(client->life.attempt, LIFE_ATTEMPT_SECURING);
    client->life.doubted_until = loop_now(&k->loop) + LIFE_DOUBT_MS; /* the half second is over */
    stub_turn(&k->loop);
    assert_int_equal(client->life.attempt, LIFE_ATTEMPT_ASKED);
    stub_fail(c, ERR_RESET);
}

/* What is read may bring the moment to ask. From there on nothing more is, or it would come twice:
   the server goes on behind what it was told. */
static void who_has_asked_while_reading_stops_reading(void **state)
{
    struct kit *k = *state;
    enum { FRAMES = RELAYS_SCRATCH_BYTES / SMUX_FRAME_BYTES + 1 };
    static uint8_t bulk[FRAMES * SMUX_FRAME_BYTES];
    kit_session(k, true);
    struct session *client = k->client.session;
    struct kit_stream u = kit_stream(k);
    for (uint8_t *p = bulk; p < bulk + sizeof bulk; p += SMUX_FRAME_BYTES)
        smux_header_put(p, SMUX_WIRE_GOTUNNEL2, SMUX_PSH, SMUX_FRAME_PAYLOAD, smux_stream_id(u.st));
    struct transport *old_c = k->client.tp;
    old_c->route_changed = true;
    session_network_changed(client, false);
    session_dialled(client, dup(0), 1, NULL);
    stub_turn(&k->loop);
    struct transport *c = stub_newest();
    client->life.doubted_until = 0; /* secured without a doubt, it spares the old one for a while */
    c->is_v2 = true;
    c->ev->on_ready(c->ctx);
    assert_int_equal(client->life.attempt, LIFE_ATTEMPT_SECURING);
    client->life.doubted_until = loop_now(&k->loop) + LIFE_DOUBT_MS; /* no longer */
    stub_feed(old_c, bulk, sizeof bulk);
    assert_int_equal(client->life.attempt, LIFE_ATTEMPT_ASKED);
    assert_int_equal(old_c->in_at, RELAYS_SCRATCH_BYTES);
    stub_fail(c, ERR_RESET); /* it is good after all */
    assert_int_equal(old_c->in_at, old_c->in_len);
    relay_reset(u.service, SMUX_RST_PEER_RESET);
    relay_reset(u.user, SMUX_RST_PEER_RESET);
}

static void a_wrong_proof_touches_nothing(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    struct transport *old_s = k->server.tp, *s;
    stub_fail(k->client.tp, ERR_RESET);
    struct transport *c = asked(k, &s);
    stub_join(c, s);
    assert_int_equal(k->server.resumes, 1);
    char *line = k->server.handover.line;
    line[strlen(line) - 3] ^= 1;
    assert_int_equal(session_resume(k->server.session, &k->server.handover), HELLO_ERR_UNKNOWN);
    assert_int_equal(session_state(k->server.session), LIFE_UP);
    assert_false(old_s->closed);
    assert_true(s->closed);
}

static void an_old_epoch_is_stale(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    struct transport *spare = k->client.tp;
    stub_fail(k->client.tp, ERR_RESET);
    struct transport *s, *c = asked(k, &s);
    stub_join(c, s);
    struct handover late = k->server.handover;
    late.line = strdup(late.line);
    k->server.resumes = 0;
    assert_int_equal(session_resume(k->server.session, &k->server.handover), HELLO_OK);
    late.tp = spare;
    assert_int_equal(session_resume(k->server.session, &late), HELLO_ERR_STALE);
    assert_false(s->closed);
    assert_null(late.line);
}

/* Unknown at the first server asked: without connections there is nothing to save. */
static void an_unknown_session_is_given_up(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    stub_fail(k->client.tp, ERR_RESET);
    struct transport *s, *c = asked(k, &s);
    stub_join(c, s);
    handover_refuse(&k->loop, &k->server.handover, HELLO_ERR_UNKNOWN, NULL);
    stub_join(c, s);
    assert_int_equal(k->client.closed, 1);
    assert_int_equal(k->client.reason, END_UNKNOWN);
}

/* One proof is computed whether there is such a session, was one, or the proof is wrong: who guesses at
   sessions learns nothing from the time. */
static void an_unknown_session_takes_as_long_as_a_wrong_proof(void **state)
{
    struct kit *k = *state;
    enum { NONE, WRONG, OVER, CASES };
    for (int i = 0; i < CASES; i++) {
        kit_fini(k);
        kit_init(k);
        kit_session(k, true);
        stub_fail(k->client.tp, ERR_RESET);
        struct transport *s, *c = asked(k, &s);
        stub_join(c, s);
        struct handover *h = &k->server.handover;
        h->line[strlen(h->line) - 3] ^= 1; /* a digit of the proof */
        if (i == OVER)
            session_close(k->server.session, END_SHUTDOWN, NULL);
        proofs_tried = 0;
        if (i == NONE)
            handover_refuse(&k->loop, h, HELLO_ERR_UNKNOWN, NULL);
        else
            assert_int_equal(session_resume(k->server.session, h), HELLO_ERR_UNKNOWN);
        assert_int_equal(proofs_tried, 1);
    }
}

/* Without proof anybody may have said so: the client asks again. */
static void an_unproved_draining_ends_nothing(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    stub_fail(k->client.tp, ERR_RESET);
    struct transport *s, *c = asked(k, &s);
    stub_join(c, s);
    handover_refuse(&k->loop, &k->server.handover, HELLO_ERR_DRAINING, NULL);
    stub_join(c, s);
    assert_int_equal(k->client.closed, 0);
    assert_true(c->closed);
}

/* An original has taken the place of a server of ours: it cannot have the session. */
static void an_original_knows_no_session(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    stub_fail(k->client.tp, ERR_RESET);
    session_dialled(k->client.session, dup(0), 1, NULL);
    stub_ready(stub_newest(), false);
    stub_turn(&k->loop);
    assert_int_equal(k->client.closed, 1);
    assert_int_equal(k->client.reason, END_UNKNOWN);
    assert_int_equal(k->client.addresses_failed, 1);
}

/* A server that has the session, and cannot take it now, is asked again, not another one. */
static void only_who_cannot_help_is_put_behind(void **state)
{
    static const struct {
        enum hello_error error;
        unsigned failed;
    } cases[] = {
        {HELLO_ERR_BUSY, 0}, {HELLO_ERR_STALE, 0}, {HELLO_ERR_UNKNOWN, 1}, {HELLO_ERR_DRAINING, 1}};
    struct kit *k = *state;
    for (unsigned i = 0; i < 4; i++) {
        kit_fini(k);
        kit_init(k);
        kit_session(k, true);
        (void)kit_stream(k); /* something to save */
        stub_fail(k->client.tp, ERR_RESET);
        struct transport *s, *c = asked(k, &s);
        stub_join(c, s);
        handover_refuse(&k->loop, &k->server.handover, cases[i].error,
                        cases[i].error == HELLO_ERR_UNKNOWN ? NULL
                                                            : k->server.session->cfg.resume_key);
        stub_join(c, s);
        assert_int_equal(k->client.closed, 0);
        assert_int_equal(k->client.addresses_failed, cases[i].failed);
    }
}

/* The server says by the connection in use that it stops: the attempt is only not wanted. */
static void an_attempt_not_wanted_blames_nobody(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    (void)kit_stream(k);
    k->client.tp->route_changed = true;
    session_network_changed(k->client.session, false);
    session_dialled(k->client.session, dup(0), 1, NULL);
    struct transport *c = stub_newest();
    session_stop(k->server.session, 5000);
    kit_join(k);
    assert_true(c->closed);
    assert_int_equal(session_state(k->client.session), LIFE_UP);
    assert_int_equal(k->client.addresses_failed, 0);
}

static void a_legacy_session_ends_with_its_connection(void **state)
{
    struct kit *k = *state;
    kit_session(k, false);
    stub_fail(k->client.tp, ERR_EOF);
    assert_int_equal(k->client.closed, 1);
    assert_int_equal(k->client.reason, END_PEER);
    assert_int_equal(k->client.dials, 0);
    stub_fail(k->server.tp, ERR_RESET);
    assert_int_equal(k->server.closed, 1);
}

/* Its ports are free at once, and the client opens its next session beside it at once. */
static void a_stopping_server_lets_go(void **state)
{
    struct kit *k = *state;
    struct smux_stream *st;
    kit_session(k, true);
    struct kit_stream u = kit_stream(k);
    session_stop(k->server.session, 5000);
    assert_int_equal(k->server.yields, 1);
    kit_join(k);
    assert_int_equal(k->client.beside, 1);
    assert_int_equal(session_service(k->client.session), LIFE_DRAINING);
    assert_int_equal(session_open_stream(k->server.session, &(struct smux_open){.service = 1}, &st),
                     ERR_BADSTATE);
    assert_int_equal(k->client.closed + k->server.closed, 0);
    relay_reset(u.user, SMUX_RST_PEER_RESET); /* the last connection is over */
    kit_join(k);
    while (k->client.closed + k->server.closed < 2) {
        uv_run(&k->loop.uv, UV_RUN_ONCE);
        kit_join(k);
    }
    assert_int_equal(k->client.beside, 1);
}

static void a_stopping_client_frees_its_port(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    (void)kit_stream(k);
    session_stop(k->client.session, 5000);
    kit_join(k);
    assert_int_equal(k->server.yields, 1);
    assert_int_equal(k->server.closed, 0);
    assert_int_equal(session_service(k->server.session), LIFE_DRAINING);
}

static void until_both_are_over(struct kit *k)
{
    while (k->client.closed + k->server.closed < 2) {
        kit_join(k);
        uv_run(&k->loop.uv, UV_RUN_ONCE);
    }
}

static void assert_cut(const struct kit_end *e)
{
    assert_int_equal(e->reason, END_DRAINED);
    assert_string_equal(e->why.text, "");
    assert_int_equal(e->tell.tell.what, LIFE_TELL_CUT);
    assert_int_equal(e->tell_streams, 2);
}

/* Whoever stops, and whosever clock is the first: both ends know that the time was over, and how
   many were cut by that. */
static void who_is_cut_by_the_end_of_a_drain_is_told(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 8; i++) {
        struct kit_end *stops = i & 1 ? &k->client : &k->server;
        struct kit_end *other = i & 1 ? &k->server : &k->client;
        if (i > 0) {
            kit_fini(k);
            kit_init(k);
        }
        kit_session(k, true);
        (void)kit_stream(k);
        (void)kit_stream(k);
        session_stop(stops->session, i / 2 == 0 ? 20 : 900);
        kit_join(k);
        if (i / 2 == 1) /* its program's clock */
            session_close(stops->session, END_SHUTDOWN, NULL);
        else if (i / 2 == 2) /* the other end's */
            session_close(other->session, END_SHUTDOWN, NULL);
        else if (i / 2 == 3) { /* in the dark: the connection is gone */
            session_close(stops->session, END_SHUTDOWN, NULL);
            uv_run(&k->loop.uv, UV_RUN_ONCE);
            if (other->session && stops == &k->server)
                stub_fail(other->tp, ERR_RESET);
        }
        until_both_are_over(k);
        assert_cut(stops);
        assert_cut(other);
    }
}

/* A second signal, or somebody who is killed, is not the end of the time. */
static void an_end_before_the_time_is_none_of_a_drain(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    (void)kit_stream(k);
    session_stop(k->server.session, 60000);
    kit_join(k);
    session_close(k->server.session, END_SHUTDOWN, NULL);
    until_both_are_over(k);
    assert_int_equal(k->server.reason, END_SHUTDOWN);
    assert_int_equal(k->client.reason, END_PEER);
    assert_int_not_equal(k->server.tell.tell.what, LIFE_TELL_CUT);
    assert_int_not_equal(k->client.tell.tell.what, LIFE_TELL_CUT);
}

static void an_idle_stop_is_at_once(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    session_stop(k->client.session, 5000);
    while (k->client.closed == 0 || k->server.closed == 0) {
        kit_join(k);
        uv_run(&k->loop.uv, UV_RUN_ONCE);
    }
    assert_int_equal(k->client.reason, END_SHUTDOWN);
}

static void a_replaced_session_is_told(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    session_close(k->server.session, END_REPLACED, NULL);
    kit_join(k);
    assert_int_equal(k->client.reason, END_REPLACED);
    assert_int_equal(k->client.closed, 1);
}

/* Whether its client is there or away, and however many users it has: all are gone, and the owner knows it, when the
   turn ends in which it was said. */
static void who_is_revoked_ends_within_the_turn(void **state)
{
    enum { USERS = 100 };
    for (int away = 0; away < 2; away++) {
        struct kit *k = *state;
        int fd[USERS][2];
        char byte;
        if (away) {
            kit_fini(k);
            kit_init(k);
        }
        kit_session(k, true);
        for (int i = 0; i < USERS; i++) {
            struct kit_stream u = kit_stream(k);
            assert_int_equal(
                socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd[i]), 0);
            relay_attach(u.user, fd[i][0]);
        }
        kit_join(k);
        if (away)
            stub_fail(k->server.tp, ERR_RESET);
        for (int i = 0; i < USERS; i++)
            assert_true(recv(fd[i][1], &byte, 1, 0) < 0 && errno == EAGAIN);
        session_close(k->server.session, END_REVOKED, NULL);
        assert_int_equal(k->server.closed, 0);
        (void)uv_run(&k->loop.uv, UV_RUN_NOWAIT); /* one */
        assert_int_equal(k->server.closed, 1);
        assert_int_equal(k->server.reason, END_REVOKED);
        for (int i = 0; i < USERS; i++) {
            assert_false(recv(fd[i][1], &byte, 1, 0) < 0 && errno == EAGAIN);
            (void)close(fd[i][1]);
        }
    }
}

/* What an end has written since its peer read no more has a GOAWAY in it. */
static bool says_goaway(struct kit *k, const struct transport *peer)
{
    static const uint8_t goaway[] = {3, SMUX_GOAWAY, SMUX_WORD_BYTES, 0, 0, 0, 0, 0};
    kit_join(k);
    return memmem(peer->in + peer->in_at, peer->in_len - peer->in_at, goaway, sizeof goaway);
}

/* The end that hears why has nothing to say of it: it took nobody's place, and blames nobody. */
static void who_is_sent_away_does_not_answer(void **state)
{
    static const struct {
        enum end_reason said, heard;
    } cases[] = {
        {END_REPLACED, END_REPLACED},
        {END_PROTOCOL, END_BLAMED},
        {END_EXPIRED, END_EXPIRED},
        {END_SHUTDOWN, END_PEER},
    };
    struct kit *k = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        kit_session(k, true);
        session_close(k->server.session, cases[i].said, NULL);
        assert_false(says_goaway(k, k->server.tp));
        assert_int_equal(k->client.closed, 1);
        assert_int_equal(k->client.reason, cases[i].heard);
        kit_fini(k);
        kit_init(k);
    }
}

/* ... and the one who wants the end says it. */
static void who_ends_it_says_so(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    stub_fail(k->server.tp, ERR_RESET); /* it reads no more */
    session_close(k->client.session, END_SHUTDOWN, NULL);
    assert_true(says_goaway(k, k->server.tp));
}

/* A dial that comes back after the session has ended belongs to nobody. */
static void a_late_dial_harms_nothing(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    stub_fail(k->client.tp, ERR_RESET);
    session_close(k->client.session, END_SHUTDOWN, NULL);
    session_dialled(k->client.session, ERR_REFUSED, 0, NULL);
    stub_turn(&k->loop);
    assert_int_equal(k->client.closed, 1);
}

/* A dial that was refused makes life do nothing but wait: the clock has to be set for it. */
static void a_refused_dial_is_made_again(void **state)
{
    struct kit *k = *state;
    kit_session(k, true);
    stub_fail(k->client.tp, ERR_RESET);
    stub_turn(&k->loop);
    assert_int_equal(k->client.dials, 1);
    while (uv_backend_timeout(&k->loop.uv) <= 2 * LIFE_RETRY_FIRST_MS)
        uv_run(&k->loop.uv, UV_RUN_ONCE); /* nothing else is due soon */
    session_dialled(k->client.session, ERR_REFUSED, 0, NULL);
    stub_turn(&k->loop);
    assert_in_range(uv_backend_timeout(&k->loop.uv), 0, 2 * LIFE_RETRY_FIRST_MS);
    while (k->client.dials == 1)
        uv_run(&k->loop.uv, UV_RUN_ONCE);
    assert_int_equal(k->client.dials, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_cut_session_goes_on),
        T(records_are_as_long_as_the_link_is_fast),
        T(users_are_read_on_when_a_turn_is_full),
        T(a_connection_in_the_same_place_is_another),
        T(what_a_waiting_session_holds_does_not_grow),
        T(a_first_user_of_who_waits_is_told),
        T(a_waiting_session_tells_when_its_users_have_gone),
        T(a_failed_attempt_unfreezes_the_connection),
        T(a_frozen_connection_is_not_read),
        T(a_secured_attempt_sets_the_clock),
        T(who_has_asked_while_reading_stops_reading),
        T(a_wrong_proof_touches_nothing),
        T(an_old_epoch_is_stale),
        T(an_unknown_session_is_given_up),
        T(an_unknown_session_takes_as_long_as_a_wrong_proof),
        T(an_unproved_draining_ends_nothing),
        T(an_original_knows_no_session),
        T(only_who_cannot_help_is_put_behind),
        T(an_attempt_not_wanted_blames_nobody),
        T(a_legacy_session_ends_with_its_connection),
        T(a_stopping_server_lets_go),
        T(a_stopping_client_frees_its_port),
        T(who_is_cut_by_the_end_of_a_drain_is_told),
        T(an_end_before_the_time_is_none_of_a_drain),
        T(an_idle_stop_is_at_once),
        T(a_replaced_session_is_told),
        T(who_is_revoked_ends_within_the_turn),
        T(who_is_sent_away_does_not_answer),
        T(who_ends_it_says_so),
        T(a_late_dial_harms_nothing),
        T(a_refused_dial_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
