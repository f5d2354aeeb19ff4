/* SPDX-License-Identifier: MIT */
/*
 * One relay between a real socket and a real session, whose peer is another session in the test's
 * hands. The session is a stub: bytes of the two sessions are carried by pump().
 */
#include "proto/session/waiting.h"
#include "tunnel/relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../net/kit.h"
#include "base/memory.h"
#include "base/quota.h"
#include "net/sock.h"
#include "net/tcp_memory.h"
#include "tunnel/internal.h"
#include "tunnel/relay_internal.h"

static struct rig {
    struct kit *k;
    struct quota quota;
    struct relays rs;
    struct session session;
    bool detached;
    struct relay *r;
    struct smux_session *peer;
    struct smux_stream *there; /* of the relay, at the peer */
    size_t got_n;              /* bytes that have come there */
    size_t wrong;              /* ... of those that are not what counting() puts there */
    bool fin, reset;
    uint32_t reset_code;
    int user;    /* the other end of the relay's socket */
    int cancels; /* of the dial */
    int given_back;
    int woken; /* the session */
} rig;

/* ---- the stub ---- */

void memory_give_back(void)
{
    rig.given_back++;
}

void session_wake(struct session *s)
{
    (void)s;
    rig.woken++;
}

bool session_is_v2(const struct session *s)
{
    (void)s;
    return true;
}

bool session_is_detached(const struct session *s)
{
    (void)s;
    return rig.detached;
}

const char *session_name(const struct session *s)
{
    (void)s;
    return "peer";
}

static void dispatch(const struct smux_event *ev)
{
    struct stream_owner *o = ev->user;
    if (ev->type == SMUX_EV_DATA)
        o->ops->on_data(o, ev->data, ev->len);
    else if (ev->type == SMUX_EV_FIN)
        o->ops->on_fin(o);
    else if (ev->type == SMUX_EV_RESET)
        o->ops->on_reset(o, ev->code);
    else if (ev->type == SMUX_EV_CREDIT)
        o->ops->on_credit(o);
}

/* What stands at a place where all of it is told apart. */
static uint8_t counting(size_t place)
{
    return (uint8_t)(place % 251);
}

static void at_peer(const struct smux_event *ev)
{
    for (size_t i = 0; ev->type == SMUX_EV_DATA && i < ev->len; i++)
        rig.wrong += ev->data[i] != counting(rig.got_n + i);
    if (ev->type == SMUX_EV_OPENED)
        rig.there = ev->stream;
    if (ev->type == SMUX_EV_DATA)
        rig.got_n += ev->len;
    rig.fin = rig.fin || ev->type == SMUX_EV_FIN;
    if (ev->type == SMUX_EV_RESET) {
        rig.reset = true;
        rig.reset_code = ev->code;
        if (ev->stream == rig.there)
            rig.there = NULL;
        smux_stream_close(ev->stream, 0);
    }
}

static void carry(struct smux_session *from, struct smux_session *to,
                  void (*event)(const struct smux_event *ev))
{
    size_t n;
    const uint8_t *p;
    while ((p = smux_session_output(from, &n)), n > 0) {
        struct smux_input in = {p, n};
        struct smux_event ev;
        int r;
        while ((r = smux_session_feed(to, &in, loop_now(&rig.k->loop), &ev)) > 0)
            event(&ev);
        assert_int_equal(r, 0);
        smux_session_sent(from, n);
    }
    relay_flush_gathered(&rig.session);
}

/* One turn: the sockets' events, the readers, and what the sessions say. */
static void pump(void)
{
    struct turn_node *reader;
    kit_turn(rig.k);
    for (int i = 0; i < 100 && !rig.detached && (reader = turn_next(&rig.session.readers)); i++)
        if (relay_read(reader) == RELAY_FULL)
            carry(rig.session.mux, rig.peer, at_peer);
    if (rig.detached)
        return;
    carry(rig.session.mux, rig.peer, at_peer);
    carry(rig.peer, rig.session.mux, dispatch);
}

#define PUMP_UNTIL(cond)                                                                           \
    do {                                                                                           \
        rig.k->began = kit_clock();                                                                \
        while (!(cond))                                                                            \
            pump();                                                                                \
    } while (0)

static void pump_for(int ms)
{
    mtime_ms until = kit_clock() + ms;
    rig.k->began = kit_clock();
    while (kit_clock() < until)
        pump();
}

/* ---- set-up ---- */

static int setup(void **state)
{
    memset(&rig, 0, sizeof rig);
    if (kit_setup(state) < 0)
        return -1;
    rig.k = *state;
    quota_init(&rig.quota, 100);
    assert_int_equal(relays_init(&rig.rs, &rig.k->loop, &rig.quota), 0);
    rig.session.cfg.loop = &rig.k->loop;
    list_init(&rig.session.relays);
    turn_init(&rig.session.readers);
    struct smux_config ours = smux_config_default(false, SMUX_WIRE_GOTUNNEL2);
    struct smux_config theirs = smux_config_default(true, SMUX_WIRE_GOTUNNEL2);
    assert_int_equal(smux_session_new(&ours, loop_now(&rig.k->loop), &rig.session.mux), 0);
    assert_int_equal(smux_session_new(&theirs, loop_now(&rig.k->loop), &rig.peer), 0);
    struct smux_stream *st;
    assert_int_equal(smux_stream_open(rig.session.mux, NULL, &st), 0);
    rig.r = relay_new(&rig.rs, &rig.session, st);
    rig.user = -1;
    PUMP_UNTIL(rig.there);
    return 0;
}

static int teardown(void **state)
{
    relays_cut_orphans(&rig.rs);
    for (struct list *n; (n = list_first(&rig.session.relays));)
        relay_reset(relay_of_session_node(n), SMUX_RST_SHUTDOWN);
    relays_fini(&rig.rs);
    (void)uv_run(&rig.k->loop.uv, UV_RUN_NOWAIT);
    smux_session_free(rig.session.mux);
    smux_session_free(rig.peer);
    if (rig.user >= 0)
        (void)close(rig.user);
    return kit_teardown(state);
}

static void attach(void)
{
    int fd[2];
    kit_tcp_pair(fd);
    sock_abortive(fd[0], true);
    rig.user = fd[1];
    relay_attach(rig.r, fd[0]);
}

static bool is_gone(void)
{
    return rig.rs.count == 0;
}

/* Sends from the user until the relay takes no more. Bytes. */
static size_t fill(void)
{
    static const uint8_t block[65536];
    size_t sum = 0;
    for (mtime_ms quiet = kit_clock(); kit_clock() - quiet < 200;) {
        ssize_t n = send(rig.user, block, sizeof block, MSG_NOSIGNAL);
        if (n > 0) {
            sum += (size_t)n;
            quiet = kit_clock();
        }
        rig.k->began = kit_clock();
        pump();
    }
    assert_int_equal(rig.got_n, SMUX_START_WINDOW); /* and the rest is not read */
    assert_int_equal(rig.session.sent, rig.got_n);
    assert_int_equal(rig.rs.sent, rig.got_n);
    assert_true(sum > SMUX_START_WINDOW);
    return sum;
}

static void peer_sends(const void *p, size_t n)
{
    uint8_t *to;
    size_t room;
    assert_int_equal(smux_stream_reserve(rig.there, &to, &room), 0);
    assert_true(n <= room);
    memcpy(to, p, n);
    smux_stream_commit(rig.there, n);
}

static void user_resets(void)
{
    sock_close_reset(rig.user);
    rig.user = -1;
}

static void user_gets(const char *text)
{
    char buf[64];
    size_t n = strlen(text), have = 0;
    rig.k->began = kit_clock();
    while (have < n) {
        ssize_t got = recv(rig.user, buf + have, sizeof buf - have, 0);
        if (got > 0)
            have += (size_t)got;
        else
            pump();
    }
    assert_int_equal(have, n);
    assert_memory_equal(buf, text, n);
}

/* ---- ends ---- */

static void each_direction_ends_by_itself(void **state)
{
    (void)state;
    attach();
    assert_int_equal(send(rig.user, "up", 2, 0), 2);
    (void)shutdown(rig.user, SHUT_WR);
    PUMP_UNTIL(rig.fin);
    assert_int_equal(rig.got_n, 2);
    peer_sends("down", 4);
    smux_stream_finish(rig.there, 0);
    user_gets("down");
    PUMP_UNTIL(is_gone());
    char byte;
    assert_int_equal(recv(rig.user, &byte, 1, 0), 0); /* an end, not a reset */
    assert_false(rig.reset);
}

/* It is read in more than a frame at once; never more than is left of its share. */
static void bulk_arrives_in_order_and_share_by_share(void **state)
{
    (void)state;
    enum { BYTES = 200000 }; /* the peer gives credit for more */
    static uint8_t block[BYTES];
    size_t sent = 0, before;
    bool was_bulk = false;
    attach();
    for (size_t i = 0; i < BYTES; i++)
        block[i] = counting(i);
    rig.k->began = kit_clock();
    while (rig.got_n < BYTES) {
        ssize_t n = send(rig.user, block + sent, BYTES - sent, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        kit_turn(rig.k);
        struct turn_node *reader = turn_next(&rig.session.readers);
        if (reader && turn_frames_left(reader) == TURN_SHARE / TURN_LEAST)
            turn_spend(&rig.session.readers, reader, TURN_LEAST); /* while less was staged */
        size_t left = reader ? turn_frames_left(reader) * TURN_LEAST : 0;
        before = rig.session.sent;
        if (reader)
            (void)relay_read(reader);
        assert_in_range(rig.session.sent - before, 0, left);
        was_bulk = was_bulk || rig.r->is_bulk;
        carry(rig.session.mux, rig.peer, at_peer);
    }
    assert_int_equal(rig.got_n, BYTES);
    assert_int_equal(rig.wrong, 0);
    assert_true(was_bulk);
}

static void a_reset_is_noticed_without_credit(void **state)
{
    (void)state;
    attach();
    (void)fill();
    user_resets();
    PUMP_UNTIL(is_gone());
    PUMP_UNTIL(rig.reset);
    assert_int_equal(rig.reset_code, SMUX_RST_PEER_RESET);
    assert_false(rig.fin);
}

static void a_reset_is_noticed_while_late_data_waits(void **state)
{
    (void)state;
    static const uint8_t block[SMUX_FRAME_PAYLOAD];
    attach();
    int small = 1;
    (void)setsockopt(rig.user, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    (void)fill();
    uint8_t *to;
    size_t room;
    while (smux_stream_reserve(rig.there, &to, &room) == 0) {
        smux_stream_commit(rig.there, room < sizeof block ? room : sizeof block);
        pump();
    }
    user_resets();
    PUMP_UNTIL(is_gone());
}

static void a_reset_is_noticed_while_detached(void **state)
{
    (void)state;
    attach();
    assert_int_equal(send(rig.user, "x", 1, 0), 1);
    PUMP_UNTIL(rig.got_n == 1);
    rig.detached = true;
    smux_session_detach(rig.session.mux);
    assert_int_equal(send(rig.user, "y", 1, 0), 1);
    pump_for(20);
    user_resets();
    PUMP_UNTIL(is_gone());
}

static void what_was_said_before_a_reset_arrives_with_credit(void **state)
{
    (void)state;
    rig.rs.cut_after[RELAY_CUT_FAILED] = 10000;
    attach();
    (void)fill();
    user_resets();
    pump_for(50);
    assert_false(rig.reset);
    size_t before = rig.got_n;
    smux_stream_consumed(rig.there, rig.got_n, 0);
    PUMP_UNTIL(rig.reset);
    assert_true(rig.got_n > before);
    assert_false(rig.fin);
}

static void an_end_of_file_without_credit_is_no_reset(void **state)
{
    (void)state;
    attach();
    size_t sent = fill();
    (void)shutdown(rig.user, SHUT_WR);
    pump_for(2 * RELAY_LAST_WORDS_MS);
    assert_false(is_gone());
    for (size_t consumed = 0; rig.got_n < sent;) {
        smux_stream_consumed(rig.there, rig.got_n - consumed, 0);
        consumed = rig.got_n;
        rig.k->began = kit_clock();
        pump();
    }
    PUMP_UNTIL(rig.fin);
    assert_false(rig.reset);
}

static void silence_of_a_half_closed_one_is_cut(void **state)
{
    (void)state;
    rig.rs.cut_after[RELAY_CUT_HALF_CLOSED_V2] = 50;
    attach();
    pump_for(100);
    assert_false(is_gone()); /* both directions are open */
    (void)shutdown(rig.user, SHUT_WR);
    PUMP_UNTIL(rig.reset);
    assert_int_equal(rig.reset_code, SMUX_RST_IDLE_TIMEOUT);
    assert_true(is_gone());
}

static void silence_while_detached_does_not_count(void **state)
{
    (void)state;
    rig.rs.cut_after[RELAY_CUT_HALF_CLOSED_V2] = 50;
    attach();
    (void)shutdown(rig.user, SHUT_WR);
    PUMP_UNTIL(rig.fin);
    rig.detached = true;
    pump_for(200);
    assert_false(is_gone());
    rig.detached = false;
    PUMP_UNTIL(is_gone());
}

static void what_came_whole_is_delivered_without_a_session(void **state)
{
    (void)state;
    attach();
    peer_sends("rest", 4);
    smux_stream_finish(rig.there, 0);
    pump();
    relay_orphan(rig.r);
    user_gets("rest");
    assert_int_equal(send(rig.user, "nobody wants this", 17, MSG_NOSIGNAL), 17);
    (void)shutdown(rig.user, SHUT_WR);
    PUMP_UNTIL(is_gone());
    char byte;
    assert_int_equal(recv(rig.user, &byte, 1, 0), 0);
}

/* Its descriptor is there until it ends, so it counts until then where its session had it count. */
static void who_goes_on_without_a_session_counts_on(void **state)
{
    struct quota q;
    (void)state;
    attach();
    quota_init(&q, UINT32_MAX);
    rig.r->session->counted_at = &q;
    quota_take(&q);
    smux_stream_finish(rig.there, 0);
    pump();
    relay_orphan(rig.r);
    assert_int_equal(quota_used(&q), 1);
    (void)shutdown(rig.user, SHUT_WR);
    PUMP_UNTIL(is_gone());
    assert_int_equal(quota_used(&q), 0);
}

static void on_cancel(struct relay_pending *m)
{
    (void)m;
    rig.cancels++;
}

static void a_dial_is_called_off_once(void **state)
{
    (void)state;
    struct relay_pending dial = {on_cancel};
    relay_set_pending(rig.r, &dial);
    smux_stream_reset(rig.there, SMUX_RST_PEER_RESET, 0);
    rig.there = NULL;
    PUMP_UNTIL(is_gone());
    assert_int_equal(rig.cancels, 1);
}

/* ---- bytes that go first ---- */

static void a_prefix_goes_first(void **state)
{
    (void)state;
    assert_int_equal(relay_prefix(rig.r, "PROXY ", 6), 0);
    assert_int_equal(relay_prefix(rig.r, "x\r\n", 3), 0);
    peer_sends("hello", 5);
    pump();
    attach();
    user_gets("PROXY x\r\nhello");
    peer_sends("again", 5);
    user_gets("again");
}

static void a_prefix_goes_out_alone(void **state)
{
    (void)state;
    assert_int_equal(relay_prefix(rig.r, "first", 5), 0);
    attach();
    user_gets("first");
}

/* The session checks that no more is consumed than came. */
static void a_prefix_is_no_credit(void **state)
{
    (void)state;
    assert_int_equal(relay_prefix(rig.r, "header", 6), 0);
    peer_sends("abc", 3);
    pump();
    int fd[2];
    kit_tcp_pair(fd);
    (void)shutdown(fd[0], SHUT_WR); /* writing fails: what is late is dropped */
    rig.user = fd[1];
    relay_attach(rig.r, fd[0]);
    PUMP_UNTIL(is_gone());
}

static void a_prefix_comes_in_time_or_not_at_all(void **state)
{
    (void)state;
    static const uint8_t much[65536];
    assert_int_equal(relay_prefix(rig.r, much, sizeof much), ERR_RANGE);
    assert_int_equal(relay_prefix(rig.r, "a", 1), 0);
    assert_int_equal(relay_prefix(rig.r, much, sizeof much - 1), ERR_RANGE);
    assert_int_equal(relay_prefix(rig.r, "", 0), 0);
    peer_sends("data", 4);
    pump();
    assert_int_equal(relay_prefix(rig.r, "b", 1), ERR_BADSTATE);
    attach();
    assert_int_equal(relay_prefix(rig.r, "c", 1), ERR_BADSTATE);
    user_gets("adata");
}

/* ---- too much waits ---- */

static struct relay *another(uint64_t source)
{
    struct smux_stream *st;
    assert_int_equal(smux_stream_open(rig.session.mux, NULL, &st), 0);
    struct relay *r = relay_new(&rig.rs, &rig.session, st);
    relay_set_source(r, source);
    return r;
}

static void holds(struct relay *r, size_t n)
{
    static const uint8_t block[32768];
    assert_int_equal(relay_prefix(r, block, n), 0);
}

static bool is_there(const struct relay *r)
{
    list_foreach (n, &rig.session.relays)
        if (relay_of_session_node(n) == r)
            return true;
    return false;
}

/* Once, however many leave in a turn; and again only for another crowd. */
static void memory_goes_back_when_most_of_a_crowd_has_gone(void **state)
{
    (void)state;
    enum { MANY = 160, EACH = 32768 };
    struct relay *r[MANY];
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < MANY; i++) {
            r[i] = another((uint64_t)i + 1);
            holds(r[i], EACH);
        }
        for (int i = 0; i < MANY * 3 / 4 - 1; i++)
            relay_late_clear(r[i]);
        kit_turn(rig.k);
        assert_int_equal(rig.given_back, round - 1);
        for (int i = 0; i < MANY; i++)
            relay_reset(r[i], SMUX_RST_SHUTDOWN);
        kit_turn(rig.k);
        assert_int_equal(rig.given_back, round);
    }
    for (int i = 0; i < 100; i++) {
        r[i] = another(1);
        holds(r[i], EACH);
    }
    for (int i = 0; i < 100; i++)
        relay_late_clear(r[i]);
    kit_turn(rig.k);
    assert_int_equal(rig.given_back, 2); /* 3 MB are no crowd */
}

/* Sources of their own, but of one client. */
static void a_client_leaves_some_to_others(void **state)
{
    (void)state;
    struct relay *r[8] = {rig.r};
    rig.session.client = 7;
    waiting_limit(rig.rs.late, 8 * RELAYS_LATE_FLOOR);
    for (uint64_t i = 0; i < 8; i++) {
        r[i] = i == 0 ? rig.r : another(i + 1);
        relay_set_source(r[i], i + 1);
    }
    for (int i = 0; i < 7; i++)
        holds(r[i], 100);
    pump_for(1);
    assert_int_equal(rig.rs.count, 8);
    holds(r[7], 100);
    PUMP_UNTIL(rig.rs.count == 7);
}

static void who_holds_most_loses_what_stood_longest(void **state)
{
    (void)state;
    struct relay *a = rig.r, *b = another(2), *c = another(2), *d = another(2);
    rig.rs.late->max = 3 * RELAYS_LATE_FLOOR;
    relay_set_source(a, 1);
    holds(a, 100);
    holds(b, 100);
    holds(c, 100);
    pump_for(1);
    assert_int_equal(rig.rs.count, 4);
    holds(d, 100);
    PUMP_UNTIL(rig.rs.count == 3);
    assert_false(is_there(b));
    assert_true(is_there(a) && is_there(c) && is_there(d));
    PUMP_UNTIL(rig.reset);
    assert_int_equal(rig.reset_code, SMUX_RST_STALLED);
    holds(a, 20000); /* now this source holds more */
    PUMP_UNTIL(rig.rs.count == 2);
    assert_false(is_there(a));
    rig.rs.late->max = 0; /* the last one stays */
    holds(c, 1);
    PUMP_UNTIL(rig.rs.count == 1);
    pump_for(1);
    assert_true(is_there(d));
}

static void what_was_taken_counts_no_more(void **state)
{
    (void)state;
    struct relay *b = another(2);
    rig.rs.late->max = 20000;
    relay_set_source(rig.r, 1);
    holds(rig.r, 10000);
    attach(); /* the socket takes it */
    holds(b, 10000);
    pump_for(1);
    assert_int_equal(rig.rs.count, 2);
    assert_true(rig.rs.late->bytes <= 16384);
}

/* ---- what the kernel holds for a user ---- */

static int unsent_max_of(const struct relay *r)
{
    int n = -1;
    socklen_t len = sizeof n;
    assert_int_equal(getsockopt(r->socket.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &n, &len), 0);
    return n;
}

/* The socket is bounded as those of a public port are. The user's receive buffer stays as large as
   it is to begin with. */
static void attach_bounded(void)
{
    int fd[2], buffer = 65536;
    kit_tcp_pair(fd);
    rig.user = fd[1];
    (void)setsockopt(rig.user, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    sock_unsent_max(fd[0], UNSENT_FIRST);
    relay_bound_unsent(rig.r);
    relay_attach(rig.r, fd[0]);
}

/* A turn in which the peer says what it may. Bytes. */
static size_t peer_says_more(void)
{
    size_t room = 0;
    uint8_t *to;
    if (smux_stream_reserve(rig.there, &to, &room) == 0)
        smux_stream_commit(rig.there, room);
    else
        room = 0;
    pump();
    return room;
}

/* The peer says as much as the window lets it. Bytes. */
static size_t peer_fills(void)
{
    size_t sum = 0, n;
    int idle = 0; /* turns: a machine that stands still makes none */
    for (mtime_ms quiet = kit_clock(); idle < 20 || kit_clock() - quiet < 200; sum += n) {
        n = peer_says_more();
        idle = n > 0 ? 0 : idle + 1;
        if (n > 0)
            quiet = kit_clock();
    }
    return sum;
}

static void for_a_user_who_reads_nothing_the_kernel_holds_little(void **state)
{
    (void)state;
    attach_bounded();
    size_t n = peer_fills(), kept = sock_unsent(rig.r->socket.fd);
    assert_true(n > 200000);
    assert_in_range(kept, 1, UNSENT_FIRST + 65536); /* to the end of a segment */
    assert_int_equal(unsent_max_of(rig.r), UNSENT_FIRST);
    assert_int_equal(rig.rs.unsent.used, 0);
    assert_true(list_empty(&rig.rs.unsent_by)); /* has nothing to give back */
}

static void what_it_may_hold_counts_with_what_waits(void **state)
{
    (void)state;
    struct relay *a = rig.r, *b = another(2);
    relay_bound_unsent(b);
    holds(a, 20000);
    uint64_t alone = rig.rs.late->bytes;
    holds(b, 20000);
    assert_int_equal(rig.rs.late->bytes, 2 * alone + UNSENT_FIRST);
}

static void it_holds_more_for_one_who_reads(void **state)
{
    (void)state;
    static uint8_t heap[1 << 20];
    attach_bounded();
    while (rig.r->unsent < UNSENT_MOST / UNSENT_FIRST / 2) { /* then the kernel takes all */
        unsigned before = rig.r->unsent;
        (void)peer_fills();
        uint64_t counted = rig.rs.late->bytes;
        rig.k->began = kit_clock();
        while (rig.r->unsent == before) {
            (void)recv(rig.user, heap, sizeof heap, 0);
            pump();
        }
        uint64_t own = (uint64_t)rig.r->unsent * UNSENT_FIRST;
        assert_int_equal(unsent_max_of(rig.r), own);
        assert_int_equal(rig.rs.unsent.used, own - UNSENT_FIRST);
        assert_true(rig.r->late || before > 1); /* then the kernel has taken all */
        if (rig.r->late)
            assert_int_equal(rig.rs.late->bytes, counted + own / 2);
    }
    relay_reset(rig.r, SMUX_RST_SHUTDOWN);
    assert_int_equal(rig.rs.unsent.used, 0);
}

static void a_socket_that_is_not_bounded_stays_so(void **state)
{
    (void)state;
    int before;
    static uint8_t heap[1 << 20];
    attach();
    before = unsent_max_of(rig.r);
    for (int i = 0; i < 3; i++) {
        (void)peer_fills();
        (void)recv(rig.user, heap, sizeof heap, 0);
    }
    assert_int_equal(unsent_max_of(rig.r), before);
    assert_int_equal(rig.rs.unsent.used, 0);
    assert_true(list_empty(&rig.rs.unsent_by));
}

/* ---- and who gives it back ---- */

/* Another user takes the place of the rig's, who stays as he is. His socket, to be closed. */
static int the_next_user(void)
{
    int before = rig.user;
    rig.there = NULL;
    rig.r = another(1);
    PUMP_UNTIL(rig.there);
    attach_bounded();
    return before;
}

/* The peer says all it may, and he reads until nothing waits for him any more. */
static void reads_all(void)
{
    static uint8_t heap[1 << 20];
    (void)peer_fills();
    rig.k->began = kit_clock();
    while (rig.r->late || sock_unsent(rig.r->socket.fd) > 0) {
        (void)recv(rig.user, heap, sizeof heap, 0);
        pump();
    }
}

/* A fast reader who has all there is, and nothing before him any more. */
static struct relay *who_has_it_all(void)
{
    attach_bounded();
    reads_all();
    assert_true(rig.r->unsent > 1);
    rig.rs.unsent.max = rig.rs.unsent.used;
    return rig.r;
}

static void who_is_idle_gives_it_back_to_who_reads(void **state)
{
    (void)state;
    struct relay *idle = who_has_it_all();
    int user = the_next_user();
    idle->cut_at = 0;
    reads_all();
    assert_int_equal(idle->unsent, 1);
    assert_int_equal(unsent_max_of(idle), UNSENT_FIRST);
    assert_true(rig.r->unsent > 1);
    assert_int_equal(rig.rs.unsent.used, (rig.r->unsent - 1) * UNSENT_FIRST);
    assert_ptr_equal(list_first(&rig.rs.unsent_by), &rig.r->cut); /* nothing is left to give */
    relay_reset(idle, SMUX_RST_SHUTDOWN);
    relay_reset(rig.r, SMUX_RST_SHUTDOWN);
    assert_int_equal(rig.rs.unsent.used, 0);
    (void)close(user);
}

static void on_nothing(struct poller_source *src, unsigned events)
{
    (void)src;
    (void)events;
}

/* Nothing comes of what the kernel still tells of his socket: that there is room in it, a machine which is
   short of memory for TCP says late, when he has read all; and then he is served. */
static void is_left_alone(struct relay *r)
{
    r->socket.on_ready = on_nothing;
}

static void who_was_just_served_keeps_it(void **state)
{
    (void)state;
    struct relay *busy = who_has_it_all();
    uint64_t used = rig.rs.unsent.used;
    busy->cut_at = 0;
    peer_sends("x", 1);
    PUMP_UNTIL(busy->cut_at > 0);
    is_left_alone(busy);
    assert_in_range(busy->cut_at, loop_now(&rig.k->loop) + 1,
                    loop_now(&rig.k->loop) + RELAYS_UNSENT_IDLE_MS);
    int user = the_next_user();
    busy->cut_at = MTIME_NEVER; /* however slow the machine is */
    reads_all();
    assert_int_equal(rig.r->unsent, 1);
    assert_int_equal(rig.rs.unsent.used, used);
    (void)close(user);
}

static void the_longest_idle_is_asked_first(void **state)
{
    (void)state;
    struct relay *a = who_has_it_all();
    rig.rs.unsent.max = RELAYS_LATE_BYTES / RELAYS_UNSENT_PART;
    int user = the_next_user();
    a->cut_at = 0;
    reads_all();
    struct relay *b = rig.r;
    assert_true(a->unsent > 1 && b->unsent > 1); /* nobody has to give while there is enough */
    assert_ptr_equal(list_first(&rig.rs.unsent_by), &a->cut);
    relay_pool_touch(a);
    assert_ptr_equal(list_first(&rig.rs.unsent_by), &b->cut);
    (void)close(user);
}

/* He who has it all is asked, and a newcomer would like it. */
static void keeps_it_when_asked(struct relay *r)
{
    uint64_t used = rig.rs.unsent.used;
    is_left_alone(r);
    int user = the_next_user();
    r->cut_at = 0;
    reads_all();
    assert_int_equal(rig.r->unsent, 1);
    assert_int_equal(rig.rs.unsent.used, used);
    assert_true(r->cut_at > 0); /* he is asked again, later */
    (void)close(user);
}

/* What he has is in use. */
static void who_stands_still_keeps_it(void **state)
{
    (void)state;
    struct relay *r = who_has_it_all();
    (void)peer_fills();
    relay_late_clear(r); /* all that is left is in the kernel */
    assert_true(sock_unsent(r->socket.fd) > UNSENT_FIRST);
    keeps_it_when_asked(r);
}

static void who_has_something_late_keeps_it(void **state)
{
    (void)state;
    struct relay *r = who_has_it_all();
    is_left_alone(r);
    assert_int_equal(relay_late_put(r, "x", 1), 0);
    keeps_it_when_asked(r);
}

/* He has a limit of his own. */
static void who_is_half_closed_is_not_asked(void **state)
{
    (void)state;
    struct relay *r = who_has_it_all();
    assert_false(list_empty(&rig.rs.unsent_by));
    (void)shutdown(rig.user, SHUT_WR);
    PUMP_UNTIL(rig.fin);
    peer_sends("x", 1);
    pump();
    assert_true(list_empty(&rig.rs.unsent_by));
    assert_ptr_equal(list_first(&rig.rs.cuts[RELAY_CUT_HALF_CLOSED_V2]), &r->cut);
    assert_true(r->unsent > 1);
}

static void the_line_about_them_comes_once_a_minute(void **state)
{
    (void)state;
    rig.rs.late->max = RELAYS_LATE_FLOOR;
    holds(rig.r, 1);
    holds(another(1), 1);
    PUMP_UNTIL(rig.rs.count == 1);
    assert_int_equal(rig.rs.shed, 0); /* said at once */
    holds(another(1), 1);
    PUMP_UNTIL(rig.rs.count == 1);
    assert_int_equal(rig.rs.shed, 1); /* later */
    assert_in_range(rig.rs.shed_told_at, loop_now(&rig.k->loop) + RELAYS_SHED_LINE_MS - 5000,
                    loop_now(&rig.k->loop) + RELAYS_SHED_LINE_MS);
    rig.rs.shed_told_at = 0;
    rig.rs.timer_at = MTIME_NEVER;
    holds(another(1), 1);
    PUMP_UNTIL(rig.rs.shed == 0);
}

/* ---- the kernel is short of memory for TCP ---- */

enum { CROWD = RELAYS_SHORT_KEPT + 4 };

static struct crowd {
    struct relay *r[CROWD];
    int user[CROWD];
    struct tcp_memory kernel;
    char file[32];
} crowd;

static void the_kernel_is(bool short_of_memory)
{
    FILE *f = fopen(crowd.file, "w");
    assert_non_null(f);
    assert_true(fprintf(f, "protocol  size sockets  memory press\nTCPv6 1 1 1 %s\nTCP 1 1 1 %s \n",
                        short_of_memory ? "no" : "yes", short_of_memory ? "yes" : "no") > 0);
    assert_int_equal(fclose(f), 0);
}

/* Each has so many bytes unread, and waits for its turn. */
static void a_crowd_comes(size_t unread)
{
    static const uint8_t block[RELAYS_SHORT_UNREAD];
    memset(&crowd, 0, sizeof crowd);
    (void)snprintf(crowd.file, sizeof crowd.file, "/tmp/relay.XXXXXX");
    int fd = mkstemp(crowd.file);
    assert_true(fd >= 0);
    (void)close(fd);
    the_kernel_is(false);
    tcp_memory_open(&crowd.kernel, crowd.file);
    relays_memory(&rig.rs, RELAYS_LATE_BYTES, &crowd.kernel);
    for (int i = 0; i < CROWD; i++) {
        int pair[2];
        kit_tcp_pair(pair);
        crowd.user[i] = pair[1];
        crowd.r[i] = another(1);
        relay_attach(crowd.r[i], pair[0]);
        assert_int_equal(send(pair[1], block, unread, 0), unread);
        rig.k->began = kit_clock();
        while (sock_unread(pair[0]) < unread || list_empty(&crowd.r[i]->reader.node))
            kit_turn(rig.k);
    }
    carry(rig.session.mux, rig.peer, at_peer); /* their beginnings */
}

/* Their peers give no credit. */
static void it_stands_still(void)
{
    for (int i = 0; i < CROWD; i++) {
        turn_idle(&crowd.r[i]->reader);
        relay_up_no_credit(crowd.r[i]);
    }
}

static void the_kernel_is_asked(void)
{
    rig.rs.short_look_at = 0;
    relay_short_look(&rig.rs, &rig.session.readers);
}

static void the_crowd_leaves(void)
{
    for (int i = 0; i < CROWD; i++)
        (void)close(crowd.user[i]);
    tcp_memory_close(&crowd.kernel);
    (void)unlink(crowd.file);
}

static void who_stands_still_for_longest_ends_when_the_kernel_is_short(void **state)
{
    (void)state;
    a_crowd_comes(RELAYS_SHORT_UNREAD);
    it_stands_still();
    the_kernel_is_asked();
    assert_int_equal(rig.rs.count, CROWD + 1);
    the_kernel_is(true);
    relay_short_look(&rig.rs, &rig.session.readers); /* it was asked just now */
    assert_int_equal(rig.rs.count, CROWD + 1);
    the_kernel_is_asked();
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(is_there(crowd.r[i]), i >= CROWD - RELAYS_SHORT_KEPT);
    assert_true(is_there(rig.r)); /* nothing is unread there */
    assert_int_equal(rig.rs.short_cut, 0);
    assert_true(rig.rs.short_told_at > loop_now(&rig.k->loop)); /* in a line */
    PUMP_UNTIL(rig.reset);
    assert_int_equal(rig.reset_code, SMUX_RST_STALLED);
    the_kernel_is_asked();
    assert_int_equal(rig.rs.count, RELAYS_SHORT_KEPT + 1);
    the_crowd_leaves();
}

static void then_who_would_be_read_last(void **state)
{
    (void)state;
    a_crowd_comes(RELAYS_SHORT_UNREAD);
    the_kernel_is(true);
    the_kernel_is_asked();
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(is_there(crowd.r[i]), i < RELAYS_SHORT_KEPT);
    PUMP_UNTIL(rig.reset);
    assert_int_equal(rig.reset_code, SMUX_RST_BUSY);
    the_crowd_leaves();
}

static void who_has_little_unread_stays(void **state)
{
    (void)state;
    a_crowd_comes(RELAYS_SHORT_UNREAD - 1);
    it_stands_still();
    the_kernel_is(true);
    the_kernel_is_asked();
    assert_int_equal(rig.rs.count, CROWD + 1);
    the_crowd_leaves();
}

static void who_gets_credit_stands_still_no_more(void **state)
{
    (void)state;
    a_crowd_comes(RELAYS_SHORT_UNREAD);
    it_stands_still();
    assert_null(turn_next(&rig.session.readers));
    crowd.r[0]->owner.ops->on_credit(&crowd.r[0]->owner);
    assert_ptr_equal(turn_next(&rig.session.readers), &crowd.r[0]->reader);
    assert_ptr_equal(list_first(&rig.rs.paused), &crowd.r[1]->reader.node);
    the_kernel_is(true);
    the_kernel_is_asked();
    assert_true(is_there(crowd.r[0]) && !is_there(crowd.r[4]));
    the_crowd_leaves();
}

/* Bytes that come for one who stands still are a reason to ask: nothing else may move. */
static void what_comes_for_them_is_a_reason_to_ask(void **state)
{
    (void)state;
    a_crowd_comes(RELAYS_SHORT_UNREAD);
    it_stands_still();
    kit_pass(rig.k, 5);
    rig.woken = 0;
    rig.rs.short_look_at = MTIME_NEVER;
    assert_int_equal(send(crowd.user[0], "x", 1, 0), 1);
    kit_pass(rig.k, 20);
    assert_int_equal(rig.woken, 0);
    rig.rs.short_look_at = 0;
    assert_int_equal(send(crowd.user[0], "x", 1, 0), 1);
    rig.k->began = kit_clock();
    while (rig.woken == 0)
        kit_turn(rig.k);
    the_crowd_leaves();
}

static void half_of_the_memory_is_for_windows(void **state)
{
    (void)state;
    relays_memory(&rig.rs, 64 << 20, NULL);
    assert_true(rig.rs.late->max == 64 << 20);
    assert_true(rig.rs.windows.max == 32 << 20 && rig.rs.replay.max == 32 << 20);
    assert_true(rig.rs.unsent.max == 8 << 20);
    relays_memory(&rig.rs, UINT64_C(1) << 40, NULL);
    assert_true(rig.rs.windows.max == RELAYS_WINDOW_BYTES);
    assert_true(rig.rs.replay.max == RELAYS_REPLAY_BYTES);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_direction_ends_by_itself),
        TEST(bulk_arrives_in_order_and_share_by_share),
        TEST(a_reset_is_noticed_without_credit),
        TEST(a_reset_is_noticed_while_late_data_waits),
        TEST(a_reset_is_noticed_while_detached),
        TEST(what_was_said_before_a_reset_arrives_with_credit),
        TEST(an_end_of_file_without_credit_is_no_reset),
        TEST(silence_of_a_half_closed_one_is_cut),
        TEST(silence_while_detached_does_not_count),
        TEST(what_came_whole_is_delivered_without_a_session),
        TEST(who_goes_on_without_a_session_counts_on),
        TEST(a_dial_is_called_off_once),
        TEST(a_prefix_goes_first),
        TEST(a_prefix_goes_out_alone),
        TEST(a_prefix_is_no_credit),
        TEST(a_prefix_comes_in_time_or_not_at_all),
        TEST(memory_goes_back_when_most_of_a_crowd_has_gone),
        TEST(a_client_leaves_some_to_others),
        TEST(who_holds_most_loses_what_stood_longest),
        TEST(what_was_taken_counts_no_more),
        TEST(for_a_user_who_reads_nothing_the_kernel_holds_little),
        TEST(what_it_may_hold_counts_with_what_waits),
        TEST(it_holds_more_for_one_who_reads),
        TEST(a_socket_that_is_not_bounded_stays_so),
        TEST(who_is_idle_gives_it_back_to_who_reads),
        TEST(who_was_just_served_keeps_it),
        TEST(the_longest_idle_is_asked_first),
        TEST(who_stands_still_keeps_it),
        TEST(who_has_something_late_keeps_it),
        TEST(who_is_half_closed_is_not_asked),
        TEST(the_line_about_them_comes_once_a_minute),
        TEST(who_stands_still_for_longest_ends_when_the_kernel_is_short),
        TEST(then_who_would_be_read_last),
        TEST(who_has_little_unread_stays),
        TEST(who_gets_credit_stands_still_no_more),
        TEST(what_comes_for_them_is_a_reason_to_ask),
        TEST(half_of_the_memory_is_for_windows),
    };
    return cmocka_run_group_tests_name("tunnel/relay", tests, NULL, NULL);
}
