/* SPDX-License-Identifier: MIT */
/*
 * Target: all that a hostile server can make of a client's link after TLS: the opening of either
 * wire, the session that comes of it, and its attempts to resume over other connections. The input
 * is a script: the server says anything, also what is right, ends, stands still, or is another one
 * the next time; time passes; services are dialled or not. After each step:
 *
 *   - on gotunnel/2 the secret is never sent; to a server that is not welcome nothing is;
 *   - only who has proved that it knows the secret gets a session, and only who has proved that it
 *     has the session is switched to;
 *   - an opening has one outcome, in time; a session ends once; both cost what they may.
 *
 * In the end the server is silent for ever, or all is closed; then nothing is left.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz/link.h"
#include "fuzz/virtual.h"
#include "proto/control.h"
#include "proto/smux/session.h"
#include "tunnel/internal.h"
#include "tunnel/opening.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CONNS = 8,
    STEPS_MAX = 400,
    HANDSHAKE_MS = 10000,
    OPENING_MS = HANDSHAKE_MS + OPENING_TURN_MS + OPENING_ANSWER_MS,
    WINDOW_MS = 60000,
    SOME_SOCKET = 1 << 20, /* the stub closes what it is given: nobody's */
};

/* What went over a connection to the server. */
struct conn {
    struct transport *tp;
    char line[HELLO_MAX]; /* the first one that the client said, without LF */
    size_t len;
    bool proved; /* the server has answered it with a right proof */
};

/* A connection to the service that is not made yet. */
struct service {
    struct relay_pending pending;
    struct relay *relay; /* NULL: none */
};

static struct client_end {
    struct link_end link;
    struct opening *opening;
    struct session *session;
    struct transport *tp; /* of the opening, then in use */
    struct conn conns[CONNS];
    unsigned count; /* of conns */
    struct service services[LINK_USERS];
    mtime_ms since;
    bool is_v2, legacy_refused, distrusts;
    unsigned outcomes, accepted, closed;
    bool wants_dial, dials_fail;
} end;

/* ---- what the server hears ---- */

static struct conn *conn_of(const struct transport *t)
{
    for (unsigned i = 0; i < end.count; i++)
        if (end.conns[i].tp == t)
            return &end.conns[i];
    abort();
}

static void add_conn(struct transport *t)
{
    struct conn *c = &end.conns[end.count++];
    *c = (struct conn){.tp = t};
}

static void on_output(const struct transport *t)
{
    struct conn *c = conn_of(t);
    assert(!end.distrusts && (t->is_v2 || !end.legacy_refused));
    if (t->is_v2)
        assert(!memmem(t->out, t->out_len, LINK_SECRET, strlen(LINK_SECRET)));
    const uint8_t *lf = memchr(t->out, '\n', t->out_len);
    if (c->len > 0 || !lf || lf - t->out >= HELLO_MAX)
        return;
    c->len = (size_t)(lf - t->out);
    memcpy(c->line, t->out, c->len);
}

/* ---- the owner ---- */

static void on_cancel(struct relay_pending *p)
{
    CONTAINER_OF(p, struct service, pending)->relay = NULL;
}

static void attach(struct service *v)
{
    struct relay *r = v->relay;
    int fd = link_user(&end.link);
    v->relay = NULL;
    if (fd < 0)
        relay_reset(r, SMUX_RST_BUSY);
    else
        relay_attach(r, fd);
}

static void on_stream(void *ctx, struct smux_stream *st, const struct smux_open *open)
{
    struct service *v = NULL;
    unsigned how = script_byte(&end.link.script);
    (void)ctx;
    (void)open;
    assert(end.session);
    for (size_t i = 0; i < LINK_USERS; i++)
        if (!end.services[i].relay)
            v = &end.services[i];
    if (!v || how % 4 == 3) {
        smux_stream_reset(st, SMUX_RST_CONNECT_REFUSED, loop_now(&end.link.loop));
        return;
    }
    v->relay = relay_new(&end.link.relays, end.session, st);
    if (!v->relay)
        abort();
    v->pending.on_cancel = on_cancel;
    relay_set_pending(v->relay, &v->pending);
    if (how % 4 == 0)
        attach(v);
}

static void on_dial(void *ctx, mtime_ms patience_ms, mtime_ms last_start, bool small_segments)
{
    (void)ctx, (void)last_start, (void)small_segments;
    assert(end.session && !end.wants_dial && patience_ms > 0);
    end.wants_dial = true;
}

static void on_dial_cancel(void *ctx)
{
    (void)ctx;
    end.wants_dial = false;
}

static void on_dial_hurry(void *ctx, mtime_ms at)
{
    (void)ctx, (void)at;
    assert(end.wants_dial);
}

static void on_fact(void *ctx)
{
    (void)ctx;
    assert(end.session);
}

static void on_tell(void *ctx, const struct life_action *a, const struct errmsg *why)
{
    (void)ctx, (void)why;
    assert(end.session && a->kind == LIFE_TELL);
}

static void on_closed(void *ctx, enum end_reason reason, const struct errmsg *why)
{
    (void)ctx, (void)reason, (void)why;
    end.closed++;
    assert(end.session && end.closed == 1);
    end.session = NULL;
    end.wants_dial = false;
}

static const char *on_server(void *ctx, bool is_v2, const uint8_t ca_key[TRANSPORT_CA_BYTES])
{
    (void)ctx, (void)ca_key;
    assert(end.opening && is_v2 == end.tp->is_v2);
    return end.distrusts ? "not this one" : NULL;
}

static void on_secure(void *ctx)
{
    (void)ctx;
    assert(end.opening && !end.distrusts);
}

static void on_open_sent(void *ctx, const uint8_t nonce[HELLO_NONCE_BYTES])
{
    (void)ctx, (void)nonce;
    assert(end.opening && end.tp->is_v2);
}

static bool on_line(void *ctx, struct hello_text line)
{
    (void)ctx;
    assert(end.session && end.is_v2 && line.n > 0 && line.n < HELLO_MAX && line.p[0] == '{');
    return true;
}

static void on_relay_over(void *ctx, uint32_t svc)
{
    (void)ctx, (void)svc;
}

static void on_accepted(void *ctx, struct session *s, const char *message)
{
    static const struct session_ops ops = {.on_stream = on_stream,
                                           .on_line = on_line,
                                           .on_relay_over = on_relay_over,
                                           .on_dial = on_dial,
                                           .on_dial_cancel = on_dial_cancel,
                                           .on_dial_hurry = on_dial_hurry,
                                           .on_address_failed = on_fact,
                                           .on_open_beside = on_fact,
                                           .on_tell = on_tell,
                                           .on_closed = on_closed};
    (void)ctx;
    end.outcomes++;
    assert(end.opening && end.outcomes == 1 && s);
    assert(end.is_v2 ? conn_of(end.tp)->proved : !end.legacy_refused && message);
    end.opening = NULL;
    end.session = s;
    session_set_owner(s, &ops, NULL);
}

static void on_failed(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                      const struct errmsg *why)
{
    (void)ctx, (void)refusal, (void)why;
    end.outcomes++;
    assert(end.opening && end.outcomes == 1 && reason != END_MOVED);
    end.opening = NULL;
}

static void begin(unsigned how)
{
    static const struct opening_ops ops = {.on_secure = on_secure,
                                           .on_server = on_server,
                                           .on_open_sent = on_open_sent,
                                           .on_accepted = on_accepted,
                                           .on_failed = on_failed};
    end.is_v2 = how & 2;
    end.distrusts = how % 64 == 60;
    end.legacy_refused = how & 128;
    end.dials_fail = how & 8;
    struct opening_config cfg = {.loop = &end.link.loop,
                                 .relays = &end.link.relays,
                                 .secret = LINK_SECRET,
                                 .id = "laptop",
                                 .port = 8080,
                                 .window_ms = how & 4 ? 0 : WINDOW_MS,
                                 .handshake_ms = HANDSHAKE_MS,
                                 .legacy_refused = end.legacy_refused,
                                 .ops = &ops};
    end.since = loop_now(&end.link.loop);
    if (opening_new(&cfg, -1, &end.opening) < 0)
        abort();
    end.tp = stub_newest();
    add_conn(end.tp);
    if (how % 64 != 56)
        stub_ready(end.tp, end.is_v2);
    link_turn(&end.link);
}

/* ---- the server ---- */

static void answer_open(struct conn *c, unsigned how)
{
    struct script *in = &end.link.script;
    struct hello_keys keys;
    char line[HELLO_MAX];
    static const uint32_t windows[] = {60000, 0, 1000, 3600000};
    struct hello_answer a = {.window_ms = windows[how / 8 % 4],
                             .caps = {how % 64 != 61, {HELLO_CAP_SERVICES}}};
    bool is_right = how % 8 != 7;
    (void)script_word(in); /* once a port: the corpora have it */
    memset(a.sid, script_byte(in), sizeof a.sid);
    if (how % 8 == 4)
        a = (struct hello_answer){.error = HELLO_ERR_DRAINING};
    if (how % 8 == 5)
        a = (struct hello_answer){.error = HELLO_ERR_TAKEN, .by = "192.0.2.1"};
    if (how % 8 == 6)
        a = (struct hello_answer){.error = how & 8 ? HELLO_ERR_AUTH : HELLO_ERR_BUSY};
    const char *secret = is_right ? LINK_SECRET : "another-one-of-16-bytes";
    if (hello_keys_init(&keys, secret, strlen(secret), link_exporter) < 0)
        abort();
    int n = how % 8 == 6
                ? (int)hello_refusal_write(line, &a)
                : hello_answer_write(line, &a, (struct hello_text){c->line, c->len}, &keys);
    if (n < 0)
        abort();
    c->proved = c->proved || is_right;
    peer_says(c->tp, line, (size_t)n);
}

/* What a server says that has the session: it was asked by c's line. */
static void answer_resume(struct conn *c, unsigned how)
{
    struct script *in = &end.link.script;
    char line[HELLO_MAX];
    uint8_t key[HELLO_MAC_BYTES] = {1};
    struct hello_request asked;
    struct hello_text text = {c->line, c->len};
    struct session *s = end.session;
    if (!s || hello_request_get(text, &asked) < 0 || asked.op != HELLO_RESUME)
        return;
    uint64_t first = smux_session_acked(s->mux), all = first + smux_session_held(s->mux);
    unsigned part = script_byte(in);
    struct hello_answer a = {.epoch = asked.epoch + (how % 16 == 15),
                             .rx = how & 16 ? first + part : all - part};
    bool is_right = how % 8 != 7;
    if (how % 8 == 5)
        a = (struct hello_answer){.error = how & 8 ? HELLO_ERR_DRAINING : HELLO_ERR_STALE};
    if (how % 8 == 6)
        a = (struct hello_answer){.error = how & 8 ? HELLO_ERR_UNKNOWN : HELLO_ERR_DRAINING};
    if (is_right)
        memcpy(key, s->cfg.resume_key, sizeof key);
    int n = how % 8 == 6 ? (int)hello_refusal_write(line, &a)
                         : hello_resumed_write(line, &a, text, key, link_exporter);
    if (n < 0)
        abort();
    c->proved = c->proved || is_right;
    peer_says(c->tp, line, (size_t)n);
}

static void say_legacy(struct conn *c, unsigned how)
{
    static const char *const lines[] = {"OK\n", " OK\r\n", "ERROR: Invalid Secret\n", "OK"};
    const char *line = lines[how % ARRAY_LEN(lines)];
    peer_says(c->tp, line, strlen(line));
}

static void say_control(struct conn *c, unsigned how)
{
    char text[CONTROL_ANSWER_BUF];
    size_t n = control_response_put(text, sizeof text, how & 1, "listening on [::]:8080");
    peer_puts(c->tp, SMUX_WIRE_LEGACY, SMUX_PSH, 3, text, how % 8 == 6 ? n / 2 : n);
    if (how % 8 > 5)
        peer_puts(c->tp, SMUX_WIRE_LEGACY, SMUX_FIN, 3, NULL, 0);
}

static void speak(struct conn *c, unsigned what)
{
    static void (*const say[])(struct conn * c, unsigned how) = {
        [1] = answer_open, [2] = answer_resume, [3] = say_legacy, [4] = say_control};
    if (end.opening && (end.distrusts || c->len == 0))
        peer_acts(&end.link, c->tp); /* nothing was asked */
    else if (what < ARRAY_LEN(say) && say[what])
        say[what](c, script_byte(&end.link.script));
    else
        peer_does(&end.link, c->tp, what);
}

/* A dial is over: with a connection to a server, of which TLS may come to stand, or an error. */
static void dialled(unsigned how)
{
    static const struct errmsg why = {"by the script"};
    struct transport *before = stub_newest();
    if (!end.session || !end.wants_dial)
        return;
    end.wants_dial = false;
    bool is_there = how & 1 && end.count < CONNS;
    session_dialled(end.session, is_there ? SOME_SOCKET : ERR_REFUSED, how, &why);
    struct transport *t = stub_newest();
    if (t == before)
        return;
    add_conn(t);
    if (how % 8 != 7)
        stub_ready(t, how % 16 != 13);
}

/* ---- the run ---- */

static void order(unsigned how)
{
    if (end.session && how % 8 < 4)
        session_network_changed(end.session, how & 1);
    else if (end.session && how % 8 < 6)
        session_stop(end.session, how / 8 * 100);
    else if (end.session && how % 8 == 6)
        session_close(end.session, END_SHUTDOWN, NULL);
    if (end.opening && how % 8 == 7) {
        opening_close(end.opening);
        end.opening = NULL;
        end.outcomes++;
    }
}

static void serve(unsigned how)
{
    struct service *v = &end.services[how / 2 % LINK_USERS];
    if (!v->relay)
        return;
    if (how & 1)
        attach(v);
    else
        relay_reset(v->relay, SMUX_RST_CONNECT_REFUSED);
}

static void step(unsigned what)
{
    struct script *in = &end.link.script;
    struct conn *c = &end.conns[end.count - 1 - what / 16 % end.count]; /* 0: the newest */
    switch (what % 16) {
    case 8:
    case 9:
    case 10:
        link_pass(&end.link, what % 16 - 8);
        break;
    case 11:
    case 12:
        dialled(script_byte(in));
        break;
    case 13:
        link_user_acts(&end.link);
        break;
    case 14:
        order(script_byte(in));
        break;
    case 15:
        serve(what / 16);
        break;
    default:
        if (c->tp->ev)
            speak(c, what % 16);
        break;
    }
    link_turn(&end.link);
}

static void check(void)
{
    size_t bound = LINK_STRANGER_BYTES * end.count;
    mtime_ms now = loop_now(&end.link.loop);
    assert((end.opening != NULL) == (end.outcomes == 0));
    assert(!end.opening || now - end.since <= OPENING_MS);
    if (end.session && end.session->tp && end.session->tp != end.tp) {
        assert(conn_of(end.session->tp)->proved);
        end.tp = end.session->tp;
    }
    if (end.outcomes)
        bound += LINK_SESSION_BYTES;
    assert(link_heap(&end.link) <= bound);
}

static bool is_over(void)
{
    return !end.opening && !end.session && end.link.relays.count == 0;
}

/* Dials fail, or nobody hears of them; services do not answer. */
static void on_silence(void)
{
    if (end.dials_fail)
        dialled(0);
    for (size_t i = 0; i < LINK_USERS; i++)
        serve((unsigned)(2 * i));
    check();
}

static void close_all(void)
{
    if (end.session)
        session_close(end.session, END_SHUTDOWN, NULL);
    opening_close(end.opening);
    end.opening = NULL;
    link_turn(&end.link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    memset(&end, 0, sizeof end);
    link_begin(&end.link, data + 1, size - 1);
    end.link.on_output = on_output;
    begin(data[0]);
    for (int i = 0; i < STEPS_MAX && end.link.script.n > 0; i++) {
        step(script_byte(&end.link.script));
        check();
    }
    if (data[0] & 1)
        link_silence(&end.link, is_over, on_silence);
    close_all();
    link_finish(&end.link);
    return 0;
}
