/* SPDX-License-Identifier: MIT */
/*
 * Target: all that a peer can make of a server's link after TLS, from its first byte on: openings of
 * both wires (opening_*.c), the session that comes of one (session*.c) with the mux and its relays,
 * and resumes. The input is a script: connections come, say anything, also what is right, end or
 * stand still; time passes; users come and go; and the owner answers (see `the owner`), at once or
 * later. After each step:
 *
 *   - who has not sent a right proof is not authenticated, nor resumes a session;
 *   - an opening has one verdict and one outcome, and is over when its time is, also if its owner
 *     never answers; a session ends once;
 *   - strangers cost little, and a session not more than its bounds.
 *
 * In the end nobody says anything any more, or all is closed; then nothing is left.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "fuzz/link.h"
#include "fuzz/virtual.h"
#include "proto/control.h"
#include "proto/ed25519.h"
#include "proto/smux/session.h"
#include "tunnel/internal.h"
#include "tunnel/opening.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CONNS = 6,
    STEPS_MAX = 400,
    /* From a connection to its end: if it has said no whole line; if it waits for its verdict; if it has
       proved itself: the control message and the owner's answer have their time besides. */
    STRANGER_MS = OPENING_AUTH_MS,
    WAITING_MS = OPENING_AUTH_MS + OPENING_TURN_MS,
    OPENING_MS = WAITING_MS + 2 * OPENING_ANSWER_MS,
    WINDOW_MS = 60000,
};

/* A connection, and the session that came of it. */
struct conn {
    struct transport *tp; /* NULL: there is none in this place */
    struct opening *opening;
    struct session *session;
    mtime_ms since;
    bool secure;  /* TLS stands: before that nothing can be said */
    bool proved;  /* a right proof was sent */
    bool resumes; /* a resume with the right proof was sent */
    unsigned lines, verdicts, asked, outcomes, closed;
    bool to_answer, to_judge, to_hand_over; /* what the owner owes */
    struct handover handover;
};

static struct server_end {
    struct link_end link;
    struct conn conns[CONNS];
    unsigned count; /* of conns */
} end;

/* laptop has a key of its own. Made before anything is measured, and used once: what libcrypto keeps
   from its first call on is nobody's memory. */
static struct credentials *keys;
static struct client_secret own;

static void make_keys(void)
{
    static const uint8_t t[CLIENT_KEY_T_BYTES] = {1};
    static const struct credentials_config cfg = {.nobody = {2}};
    struct credential c = {.name = "laptop"};
    uint8_t sig[HELLO_SIG_BYTES];
    keys = credentials_new(&cfg);
    if (!keys || client_secret_init(&own, t) < 0 || client_key_init(&c.key, &own) < 0 ||
        credentials_add(keys, &c) < 0 || ed25519_sign(sig, own.seed, "", 0) < 0 ||
        !ed25519_verify(c.key.public_key, "", 0, sig))
        abort();
}

/* ---- the owner: what it answers is here and nowhere else ---- */

static void on_closed(void *ctx, enum end_reason reason, const struct errmsg *why)
{
    struct conn *c = ctx;
    (void)reason, (void)why;
    c->closed++;
    assert(c->session && c->closed == 1);
    c->session = NULL;
}

static void on_users(void *ctx, enum session_users what)
{
    (void)what;
    assert(((struct conn *)ctx)->session);
}

static void on_close_ports(void *ctx)
{
    assert(((struct conn *)ctx)->session);
}

static void on_waiting(void *ctx, bool waits, uint64_t bytes)
{
    assert(((struct conn *)ctx)->session && (waits || bytes == 0));
}

static void on_tell(void *ctx, const struct life_action *a, const struct errmsg *why)
{
    (void)why;
    assert(((struct conn *)ctx)->session && a->kind == LIFE_TELL);
}

static bool on_session_line(void *ctx, struct hello_text line)
{
    assert(((struct conn *)ctx)->session && line.n > 0 && line.n < HELLO_MAX && line.p[0] == '{');
    return true;
}

static void on_relay_over(void *ctx, uint32_t svc)
{
    (void)ctx, (void)svc;
}

static void accept_it(struct conn *c)
{
    static const struct session_ops ops = {.on_line = on_session_line,
                                           .on_relay_over = on_relay_over,
                                           .on_users = on_users,
                                           .on_close_ports = on_close_ports,
                                           .on_waiting = on_waiting,
                                           .on_tell = on_tell,
                                           .on_closed = on_closed};
    struct session *s;
    opening_accept(c->opening, "[::]:8080", &s);
    if (!s)
        return; /* on_failed follows */
    c->outcomes++;
    c->opening = NULL;
    c->session = s;
    session_set_owner(s, &ops, c);
}

static void refuse_it(struct conn *c, unsigned how)
{
    static const struct opening_refusal why[] = {
        {.answer = {.error = HELLO_ERR_BUSY}, .err = ERR_IO},
        {.answer = {.error = HELLO_ERR_TAKEN, .by = "192.0.2.1:4711"}, .err = ERR_INUSE},
        {.answer = {.error = HELLO_ERR_TAKEN}, .err = ERR_PERM, .port = 80},
        {.answer = {.error = HELLO_ERR_DRAINING}, .err = ERR_PROTO},
    };
    opening_refuse(c->opening, &why[how % ARRAY_LEN(why)]);
}

/* To the session that has this number, if there is one. */
static void hand_over(struct conn *c)
{
    struct session *s = NULL;
    for (unsigned i = 0; i < end.count; i++)
        if (end.conns[i].session &&
            memcmp(session_sid(end.conns[i].session), c->handover.sid, HELLO_SID_BYTES) == 0)
            s = end.conns[i].session;
    c->to_hand_over = false;
    if (!s) {
        handover_refuse(&end.link.loop, &c->handover, HELLO_ERR_UNKNOWN, NULL);
    } else if (session_resume(s, &c->handover) == HELLO_OK) {
        assert(c->resumes);
        c->tp->wants_read = true; /* what came meanwhile is told after adopting */
    }
    assert(!c->handover.line && !c->handover.tp);
}

/* The owner does what it owes to a connection. */
static void answer(struct conn *c, unsigned how)
{
    if (c->to_hand_over) {
        hand_over(c);
    } else if (c->to_judge && c->opening) {
        c->to_judge = false;
        if (how % 8 == 7)
            opening_turn_away(c->opening);
        else
            opening_judge(c->opening, keys, 1);
    } else if (c->to_answer && c->opening) {
        c->to_answer = false;
        if (how % 8 < 5)
            accept_it(c);
        else
            refuse_it(c, how / 8);
    }
}

/* Half of all answers come at once. */
static void ask_owner(struct conn *c)
{
    unsigned how = script_byte(&end.link.script);
    if (how & 1)
        answer(c, how / 2);
}

static void on_asked(void *ctx, const struct opening_ask *ask)
{
    struct conn *c = ctx;
    c->asked++;
    c->verdicts += ask->is_v2;
    assert(c->opening && c->proved && c->asked == 1 && c->verdicts == 1);
    assert(ask->is_v2 == c->tp->is_v2);
    assert(!ask->is_v2 || hello_id_is_valid(ask->open->id));
    c->to_answer = true;
    ask_owner(c);
}

static void on_authenticated(void *ctx)
{
    struct conn *c = ctx;
    c->verdicts++;
    assert(c->opening && c->proved && !c->tp->is_v2 && c->verdicts == 1);
}

static void on_line(void *ctx, const char *id)
{
    struct conn *c = ctx;
    c->lines++;
    assert(c->opening && c->lines == 1 && c->verdicts == 0 && c->asked == 0);
    assert(!*id || hello_id_is_valid(id));
    c->to_judge = true;
    ask_owner(c);
}

static void on_auth_failed(void *ctx, const struct opening_barred *barred)
{
    struct conn *c = ctx;
    (void)barred;
    c->verdicts++;
    assert(c->opening && c->lines == 1 && c->verdicts == 1 && c->asked == 0);
}

static void on_resume(void *ctx, const struct handover *h)
{
    struct conn *c = ctx;
    c->outcomes++;
    assert(c->opening && c->verdicts == 0 && c->outcomes == 1 && h->tp == c->tp);
    c->opening = NULL;
    c->handover = *h;
    c->to_hand_over = true;
}

static void on_failed(void *ctx, enum end_reason reason, const struct hello_answer *refusal,
                      const struct errmsg *why)
{
    struct conn *c = ctx;
    (void)reason, (void)refusal, (void)why;
    c->outcomes++;
    assert(c->opening && c->outcomes == 1);
    c->opening = NULL;
}

static void connect_one(unsigned how)
{
    static const struct opening_ops ops = {.on_asked = on_asked,
                                           .on_authenticated = on_authenticated,
                                           .on_line = on_line,
                                           .on_auth_failed = on_auth_failed,
                                           .on_resume = on_resume,
                                           .on_failed = on_failed};
    if (end.count == CONNS)
        return;
    struct conn *c = &end.conns[end.count++];
    struct opening_config cfg = {.loop = &end.link.loop,
                                 .relays = &end.link.relays,
                                 .is_server = true,
                                 .secret = LINK_SECRET,
                                 .legacy_refused = how % 16 == 15,
                                 .window_ms = how & 16 ? 0 : WINDOW_MS,
                                 .ops = &ops,
                                 .ctx = c};
    *c = (struct conn){.since = loop_now(&end.link.loop)};
    if (opening_new(&cfg, -1, &c->opening) < 0)
        abort();
    c->tp = stub_newest();
    c->tp->no_export = how % 64 == 63;
    c->secure = how % 32 != 31;
    if (c->secure)
        stub_ready(c->tp, how & 1);
}

/* ---- the peer ---- */

/* What it says with the right keys, and with wrong ones. */
static void say_open(struct conn *c, unsigned how)
{
    struct hello_keys proof;
    char line[HELLO_MAX];
    struct hello_request q = {.op = HELLO_OPEN,
                              .id = "laptop",
                              .caps = {how % 64 != 62, {HELLO_CAP_SERVICES}},
                              .window_ms = how & 4 ? 1000 : 60000,
                              .take = how & 8,
                              .mine = {.count = (uint8_t)(how / 16 % 9)}};
    (void)script_word(&end.link.script); /* once a port: the corpora have it */
    const char *secret = how & 1 ? LINK_SECRET : "another-one-of-16-bytes";
    struct hello_signer signer = {own.seed, link_exporter};
    bool has_key = how / 16 >= 9;
    memcpy(q.key, "laptop", has_key ? sizeof "laptop" : 0);
    int n = has_key && how & 1 ? hello_keys_init(&proof, own.a, sizeof own.a, link_exporter)
                               : hello_keys_init(&proof, secret, strlen(secret), link_exporter);
    if (n == 0)
        n = hello_open_write(line, &q, &proof, has_key ? &signer : NULL);
    if (n < 0)
        abort();
    c->proved = c->proved || how & 1;
    peer_says(c->tp, line, (size_t)n);
}

/* For the session of another connection, or for none. */
static void say_resume(struct conn *c, unsigned how)
{
    char line[HELLO_MAX];
    uint8_t key[HELLO_MAC_BYTES] = {1};
    struct session *s = end.conns[how / 4 % end.count].session;
    struct hello_request q = {.op = HELLO_RESUME,
                              .epoch = script_byte(&end.link.script),
                              .rx = script_byte(&end.link.script)};
    if (s) {
        memcpy(q.sid, session_sid(s), sizeof q.sid);
        uint64_t first = smux_session_acked(s->mux), all = first + smux_session_held(s->mux);
        q.rx = how & 2 ? first + q.rx : all - q.rx;
    }
    if (s && how & 1)
        memcpy(key, s->cfg.resume_key, sizeof key);
    int n = hello_resume_write(line, &q, key, link_exporter);
    if (n < 0)
        abort();
    c->resumes = c->resumes || (s && how & 1);
    peer_says(c->tp, line, (size_t)n);
}

static void say_secret(struct conn *c, unsigned how)
{
    static const char *const lines[] = {LINK_SECRET "\n", " " LINK_SECRET "\r\n", LINK_SECRET "x\n",
                                        "GET / HTTP/1.1\r\n"};
    const char *line = lines[how % ARRAY_LEN(lines)];
    c->proved = c->proved || how % ARRAY_LEN(lines) < 2;
    peer_says(c->tp, line, strlen(line));
}

/* The control message of the legacy wire, on the stream that a client opens first. */
static void say_control(struct conn *c, unsigned how)
{
    char text[CONTROL_REQUEST_BUF];
    size_t n = control_request_put(text, how * 300);
    peer_puts(c->tp, SMUX_WIRE_LEGACY, SMUX_SYN, 3, NULL, 0);
    peer_puts(c->tp, SMUX_WIRE_LEGACY, SMUX_PSH, 3, text, how % 8 == 7 ? n / 2 : n);
    if (how % 8 > 5)
        peer_puts(c->tp, SMUX_WIRE_LEGACY, SMUX_FIN, 3, NULL, 0);
}

static void speak(struct conn *c, unsigned what)
{
    static void (*const say[])(struct conn * c, unsigned how) = {
        [1] = say_open, [2] = say_resume, [3] = say_secret, [4] = say_control};
    if (!c->secure)
        peer_acts(&end.link, c->tp);
    else if (what < ARRAY_LEN(say) && say[what])
        say[what](c, script_byte(&end.link.script));
    else
        peer_does(&end.link, c->tp, what);
}

/* ---- users, and orders of the owner ---- */

static void user_comes(struct session *s)
{
    struct smux_stream *st;
    int fd = link_user(&end.link);
    if (fd < 0)
        return;
    struct relay *r = NULL;
    struct smux_open open = {.service = session_has_services(s)};
    if (session_open_stream(s, &open, &st) == 0 && !(r = relay_new(&end.link.relays, s, st)))
        abort();
    if (r) {
        relay_set_source(r, (uint64_t)fd);
        relay_bound_unsent(r);
        relay_attach(r, fd);
    } else {
        sock_close_reset(fd);
    }
}

static void order(struct conn *c, unsigned how)
{
    if (c->session && how % 4 == 0)
        session_close(c->session, how & 4 ? END_REPLACED : END_EXPIRED, NULL);
    else if (c->session && how % 4 == 1)
        session_stop(c->session, how / 4 * 100);
    else if (c->session && how % 4 == 2)
        (void)session_may_lose_port(c->session);
    if (c->opening && how % 8 == 3) {
        opening_close(c->opening);
        c->opening = NULL;
        c->outcomes++;
    }
}

/* ---- the run ---- */

static void check(void)
{
    size_t bound = 0;
    mtime_ms now = loop_now(&end.link.loop);
    for (unsigned i = 0; i < end.count; i++) {
        struct conn *c = &end.conns[i];
        bool is_known = c->verdicts > 0 && c->proved;
        assert((c->opening != NULL) == (c->outcomes == 0));
        mtime_ms most = is_known ? OPENING_MS : c->lines > 0 ? WAITING_MS : STRANGER_MS;
        assert(!c->opening || now - c->since <= most);
        bound += is_known ? LINK_SESSION_BYTES : LINK_STRANGER_BYTES;
    }
    assert(link_heap(&end.link) <= bound);
}

static void step(unsigned what)
{
    struct script *in = &end.link.script;
    if (end.count == 0 || what == 0) {
        connect_one(script_byte(in));
        return;
    }
    struct conn *c = &end.conns[what / 16 % end.count];
    switch (what % 16) {
    case 8:
    case 9:
    case 10:
        link_pass(&end.link, what % 16 - 8);
        break;
    case 11:
        answer(c, script_byte(in));
        break;
    case 12:
        if (c->session)
            user_comes(c->session);
        break;
    case 13:
        link_user_acts(&end.link);
        break;
    case 14:
        order(c, script_byte(in));
        break;
    case 15:
        connect_one(what / 16);
        break;
    default:
        speak(c, what % 16);
        break;
    }
    link_turn(&end.link);
}

static bool is_over(void)
{
    for (unsigned i = 0; i < end.count; i++)
        if (end.conns[i].opening || end.conns[i].session)
            return false;
    return end.link.relays.count == 0;
}

static void close_all(void)
{
    for (unsigned i = 0; i < end.count; i++) {
        struct conn *c = &end.conns[i];
        if (c->to_hand_over)
            hand_over(c);
        if (c->session)
            session_close(c->session, END_SHUTDOWN, NULL);
        opening_close(c->opening);
        c->opening = NULL;
    }
    link_turn(&end.link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    memset(&end, 0, sizeof end);
    if (!keys)
        make_keys();
    link_begin(&end.link, data + 1, size - 1);
    for (int i = 0; i < STEPS_MAX && end.link.script.n > 0; i++) {
        step(script_byte(&end.link.script));
        check();
    }
    if (data[0] & 1)
        link_silence(&end.link, is_over, check); /* nor does the owner answer */
    close_all();
    link_finish(&end.link);
    return 0;
}
