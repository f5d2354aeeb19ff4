/* SPDX-License-Identifier: MIT */
/*
 * The opening of the legacy wire (docs/protocol.md 1.2, 3): one line each way with the secret and
 * its answer; then the mux, whose first stream carries one JSON request and one JSON answer.
 *
 * An old peer reads its line with one read of at most one TLS record and drops what else that read
 * brought, so each line goes out as a record of its own; ours may be followed by anything.
 */
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/i18n.h"
#include "base/secure.h"
#include "proto/auth.h"
#include "proto/control.h"
#include "proto/hello.h"
#include "tunnel/opening_internal.h"
#include "tunnel/refusal.h"
#include "tunnel/relay.h"

struct legacy_part {
    struct auth_line line;
    struct smux_session *mux;
    struct stream_owner owner; /* of the control stream */
    struct opening *opening;
    struct smux_stream *control;
    struct control_reader reader;
    uint32_t extra_streams;
    uint8_t *early; /* server: what came behind the line before its verdict; NULL: nothing */
    size_t early_n;
    /* client: the answer, once it is there */
    bool answered;
    struct control_response response;
};

static void legacy_fini(struct opening *o)
{
    struct legacy_part *p = o->part;
    auth_line_wipe(&p->line);
    control_reader_fini(&p->reader);
    smux_session_free(p->mux);
    free(p->early);
    free(p);
    o->part = NULL;
}

/* What a server with -legacy never answers. An old client shows what follows its ERROR to its user;
   one of ours knows it. */
static const char gotunnel2_only[] = "ERROR: this server speaks gotunnel/2 only (-legacy never)\n";

/* A client's secret is not even read. */
static void refuse_legacy(struct opening *o)
{
    struct errmsg why = {""};
    if (o->cfg.credential)
        errmsg_set(&why, 0, "%s",
                   _("this server speaks only the legacy wire, on which no client has a key of its "
                     "own"));
    if (!o->cfg.is_server || opening_say(o, gotunnel2_only, sizeof gotunnel2_only - 1))
        opening_fail(o, END_LEGACY, &why);
}

/* False: it has failed. */
static bool legacy_begin(struct opening *o)
{
    if (o->cfg.legacy_refused) {
        refuse_legacy(o);
        return false;
    }
    struct legacy_part *p = calloc(1, sizeof *p);
    if (!p) {
        opening_fail(o, END_LOCAL, NULL);
        return false;
    }
    o->part = p;
    p->opening = o;
    auth_line_init(&p->line);
    control_reader_init(&p->reader);
    mtime_ms patience = o->cfg.is_server ? OPENING_LINE_MS : OPENING_TURN_MS;
    opening_set_deadline(o, loop_now(o->cfg.loop) + patience);
    return true;
}

/* Takes the other side's line out of in, and when it is whole gives it to on_line. False: it is not,
   or it never can be, and the opening has failed. */
static bool legacy_line(struct opening *o, struct smux_input *in, void (*on_line)(struct opening *))
{
    struct legacy_part *p = o->part;
    size_t used = 0;
    int r = auth_line_feed(&p->line, in->p, in->n, &used);
    in->p += used;
    in->n -= used;
    if (r == ERR_AGAIN)
        return false;
    if (r < 0)
        opening_fail(o, END_PROTOCOL, NULL);
    else
        on_line(o);
    auth_line_wipe(&p->line);
    return r >= 0;
}

/* ---- the mux and its control stream ---- */

static void legacy_send(struct opening *o)
{
    struct legacy_part *p = o->part;
    while (o->tp && p->mux) {
        size_t n;
        const uint8_t *out = smux_session_output(p->mux, &n);
        ssize_t taken = n > 0 ? transport_write(o->tp, out, n) : 0;
        if (taken <= 0)
            break; /* an error comes through on_error */
        smux_session_sent(p->mux, (size_t)taken);
        transport_flush(o->tp);
    }
}

/* The secret was right: the mux begins. False: it has failed. */
static bool legacy_begin_mux(struct opening *o)
{
    struct legacy_part *p = o->part;
    struct smux_config cfg = smux_config_default(!o->cfg.is_server, SMUX_WIRE_LEGACY);
    cfg.budget = &o->cfg.relays->windows;
    cfg.replay = &o->cfg.relays->replay;
    if (smux_session_new(&cfg, loop_now(o->cfg.loop), &p->mux) < 0) {
        opening_fail(o, END_LOCAL, NULL);
        return false;
    }
    transport_trust(o->tp);
    o->state = OPENING_CONTROL;
    opening_set_deadline(o, loop_now(o->cfg.loop) + OPENING_ANSWER_MS);
    return true;
}

/* Puts text on the control stream. A fresh stream has credit and room for it; more is a broken
   peer. */
static bool control_say(struct opening *o, const char *text, size_t n)
{
    struct legacy_part *p = o->part;
    while (n > 0) {
        uint8_t *to;
        size_t room;
        if (smux_stream_reserve(p->control, &to, &room) < 0)
            return false;
        size_t part = n < room ? n : room;
        memcpy(to, text, part);
        smux_stream_commit(p->control, part);
        text += part;
        n -= part;
    }
    return true;
}

static void control_end(struct legacy_part *p, mtime_ms now)
{
    if (p->control)
        smux_stream_close(p->control, now);
    p->control = NULL;
}

/* The message is whole (0), or can never be (< 0): one that was cut short gets the answer of any
   other that is not understood. */
static void control_done(struct opening *o, int err)
{
    struct legacy_part *p = o->part;
    struct control_request req = {0};
    if (o->state != OPENING_CONTROL)
        return;
    if (!o->cfg.is_server) {
        p->answered = true;
        if (err >= 0)
            err = control_response_get(&p->reader, &p->response);
        if (err < 0) {
            struct errmsg why;
            errmsg_set(&why, ERR_PROTO, "%s", _("the server's answer is not understood"));
            opening_fail(o, END_REFUSED, &why);
        }
        return;
    }
    if (err >= 0)
        err = control_request_get(&p->reader, &req);
    o->state = OPENING_JUDGED;
    opening_set_deadline(o, loop_now(o->cfg.loop) + OPENING_ANSWER_MS); /* by the registry */
    struct opening_ask ask = {.port = err < 0 ? 0 : req.remote_port, .err = err < 0 ? err : 0};
    o->cfg.ops->on_asked(o->cfg.ctx, &ask);
}

static struct legacy_part *part_of_owner(struct stream_owner *owner)
{
    return CONTAINER_OF(owner, struct legacy_part, owner);
}

static void control_on_data(struct stream_owner *owner, const uint8_t *data, size_t n)
{
    struct legacy_part *p = part_of_owner(owner);
    struct opening *o = p->opening;
    size_t used;
    smux_stream_consumed(p->control, n, loop_now(o->cfg.loop));
    if (o->state != OPENING_CONTROL || p->answered)
        return;
    int err = control_reader_feed(&p->reader, data, n, &used);
    if (err != ERR_AGAIN)
        control_done(o, err);
}

static void control_on_fin(struct stream_owner *owner)
{
    struct legacy_part *p = part_of_owner(owner);
    if (!p->answered)
        control_done(p->opening, ERR_PROTO);
}

static void control_on_reset(struct stream_owner *owner, uint32_t code)
{
    struct legacy_part *p = part_of_owner(owner);
    (void)code;
    control_on_fin(owner);
    control_end(p, loop_now(p->opening->cfg.loop));
}

static void control_on_credit(struct stream_owner *owner)
{
    (void)owner; /* the few bytes said here never wait for credit */
}

static void control_own(struct legacy_part *p, struct smux_stream *st)
{
    static const struct stream_owner_ops ops = {control_on_data, control_on_fin, control_on_reset,
                                                control_on_credit};
    p->owner.ops = &ops;
    p->control = st;
    smux_stream_set_user(st, &p->owner);
}

/* Before the answer a stream means nothing, but the client's first one. A few are closed; many are
   an attack. */
static void legacy_opened(struct opening *o, struct smux_stream *st)
{
    struct legacy_part *p = o->part;
    if (o->cfg.is_server && o->state == OPENING_CONTROL && !p->control) {
        control_own(p, st);
        return;
    }
    smux_stream_close(st, loop_now(o->cfg.loop));
    if (++p->extra_streams > OPENING_EXTRA_STREAMS)
        opening_fail(o, END_PROTOCOL, NULL);
}

/* Feeds the mux until it is told to stop; returns what is left for the session. */
static struct smux_input legacy_feed(struct opening *o, struct smux_input in)
{
    struct legacy_part *part = o->part;
    struct smux_event ev;
    int r = 0;
    while (o->state != OPENING_OVER && !(part->answered && !o->cfg.is_server) &&
           (r = smux_session_feed(part->mux, &in, loop_now(o->cfg.loop), &ev)) > 0) {
        if (ev.type == SMUX_EV_OPENED)
            legacy_opened(o, ev.stream);
        else
            stream_event(&ev);
    }
    if (r < 0)
        opening_fail(o, end_reason_of_error(r, false), NULL);
    legacy_send(o);
    return in;
}

/* The mux and the connection become a session. */
static struct session *legacy_become(struct opening *o)
{
    struct legacy_part *p = o->part;
    struct session_config cfg = opening_session_config(o, false);
    control_end(p, loop_now(o->cfg.loop));
    struct smux_session *mux = p->mux;
    p->mux = NULL;
    return opening_become(o, &cfg, mux);
}

/* ---- client ---- */

static void legacy_client_begin(struct opening *o)
{
    char line[AUTH_LINE_MAX + 1];
    o->state = OPENING_ASKED;
    if (!legacy_begin(o))
        return;
    size_t n = strlen(o->cfg.secret);
    o->cfg.ops->on_secure(o->cfg.ctx);
    if (o->state != OPENING_ASKED)
        return;
    if (n > AUTH_LINE_MAX - 1) {
        opening_fail(o, END_LOCAL, NULL);
        return;
    }
    memcpy(line, o->cfg.secret, n);
    line[n] = '\n';
    (void)opening_say(o, line, n + 1);
    secure_zero(line, sizeof line);
}

static void ask_for_port(struct opening *o)
{
    struct legacy_part *p = o->part;
    struct smux_stream *st;
    char text[CONTROL_REQUEST_BUF];
    size_t n = control_request_put(text, o->cfg.port);
    if (smux_stream_open(p->mux, NULL, &st) < 0) {
        opening_fail(o, END_LOCAL, NULL);
        return;
    }
    control_own(p, st);
    if (!control_say(o, text, n))
        opening_fail(o, END_LOCAL, NULL);
}

/* The server refuses this wire, whatever the secret. */
static void fail_gotunnel2_only(struct opening *o)
{
    struct errmsg why;
    if (hello_secret_is_long_enough(o->cfg.secret))
        errmsg_set(&why, 0, "%s", _("this server takes gotunnel/2 only (-legacy never)"));
    else
        errmsg_set(
            &why, 0,
            _("this server takes gotunnel/2 only (-legacy never), which a secret of less than "
              "%d bytes cannot speak: take a longer one at both ends ('gotunnel genkey' "
              "makes one)"),
            HELLO_SECRET_MIN);
    opening_fail(o, END_LEGACY, &why);
}

static bool is_gotunnel2_only(const struct auth_line *l)
{
    size_t n = sizeof gotunnel2_only - 2; /* without LF and NUL */
    return auth_line_len(l) == n && memcmp(auth_line_text(l), gotunnel2_only, n) == 0;
}

static void on_secret_answer(struct opening *o)
{
    struct legacy_part *p = o->part;
    if (is_gotunnel2_only(&p->line)) {
        fail_gotunnel2_only(o);
        return;
    }
    if (!auth_line_is_ok(&p->line)) {
        struct errmsg why;
        char text[ESCAPE_BUF];
        escape_text(text, auth_line_text(&p->line), auth_line_len(&p->line));
        refusal_old_secret(&why, text);
        opening_fail(o, END_AUTH, &why);
        return;
    }
    if (o->cfg.ops->on_authenticated)
        o->cfg.ops->on_authenticated(o->cfg.ctx);
    if (o->state == OPENING_ASKED && legacy_begin_mux(o))
        ask_for_port(o);
}

/* The answer to the control message is there: a session, or the server's no. */
static void on_port_answer(struct opening *o, struct smux_input rest)
{
    struct legacy_part *p = o->part;
    if (!p->response.ok) {
        struct errmsg why;
        refusal_old_text(&why, p->response.message, o->cfg.port);
        opening_fail(o, END_REFUSED, &why);
        return;
    }
    struct session *s = legacy_become(o);
    if (!s)
        return;
    o->cfg.ops->on_accepted(o->cfg.ctx, s, p->response.message);
    opening_done(o);
    session_feed(s, rest.p, rest.n);
    session_read_later(s);
}

static void legacy_client_input(struct opening *o, const uint8_t *p, size_t n)
{
    struct legacy_part *part = o->part;
    struct smux_input in = {p, n};
    if (o->state == OPENING_ASKED && !legacy_line(o, &in, on_secret_answer))
        return;
    if (o->state != OPENING_CONTROL)
        return;
    struct smux_input rest = legacy_feed(o, in);
    if (o->state == OPENING_CONTROL && part->answered)
        on_port_answer(o, rest);
}

/* ---- server ---- */

static void legacy_server_begin(struct opening *o)
{
    o->state = OPENING_LISTENING;
    (void)legacy_begin(o);
}

/* A scanner, or a person with a browser: no guess, and no answer. */
static void refuse_http(struct opening *o)
{
    struct errmsg why;
    errmsg_set(&why, ERR_PROTO, "%s", _("an HTTP request"));
    opening_fail(o, END_PROTOCOL, &why);
}

/* Could such a request be the secret? Then it is a guess. */
static bool is_http_secret(const char *secret)
{
    struct auth_line l;
    size_t used;
    auth_line_init(&l);
    int r = auth_line_feed(&l, (const uint8_t *)secret, strlen(secret), &used);
    if (r == ERR_AGAIN)
        r = auth_line_feed(&l, (const uint8_t *)"\n", 1, &used);
    bool is_http = r == 0 && auth_line_is_http(&l);
    auth_line_wipe(&l);
    return is_http;
}

/* Nothing that follows the line is looked at before its verdict. */
static void keep_early(struct opening *o, const struct smux_input *in)
{
    struct legacy_part *p = o->part;
    if (in->n == 0)
        return;
    if (in->n > OPENING_EARLY_BYTES - p->early_n) {
        opening_fail(o, END_PROTOCOL, NULL);
        return;
    }
    uint8_t *more = realloc(p->early, p->early_n + in->n);
    if (!more) {
        opening_fail(o, END_LOCAL, NULL);
        return;
    }
    memcpy(more + p->early_n, in->p, in->n);
    p->early = more;
    p->early_n += in->n;
}

static void on_secret(struct opening *o, const struct smux_input *rest)
{
    struct legacy_part *p = o->part;
    if (auth_line_is_http(&p->line) && !is_http_secret(o->cfg.secret)) {
        refuse_http(o);
        return;
    }
    keep_early(o, rest);
    if (o->state == OPENING_LISTENING)
        opening_ask_verdict(o, "");
}

static void begin_control(struct opening *o)
{
    static const char ok[] = "OK\n";
    struct legacy_part *p = o->part;
    if (o->cfg.ops->on_authenticated)
        o->cfg.ops->on_authenticated(o->cfg.ctx);
    if (opening_say(o, ok, sizeof ok - 1) && legacy_begin_mux(o) && p->early_n > 0)
        (void)legacy_feed(o, (struct smux_input){p->early, p->early_n});
    free(p->early);
    p->early = NULL;
    p->early_n = 0;
}

static void legacy_judge(struct opening *o, const struct credentials *keys, int64_t now_s)
{
    (void)keys; /* this wire has the shared secret only */
    (void)now_s;
    struct legacy_part *p = o->part;
    bool is_right = auth_line_matches(&p->line, o->cfg.secret);
    auth_line_wipe(&p->line);
    if (is_right && o->has_secret)
        begin_control(o);
    else
        opening_reject(o, NULL);
}

static void legacy_turn_away(struct opening *o)
{
    opening_fail(o, END_PUT_OFF, NULL); /* this wire has no word for it */
}

static void legacy_server_line(struct opening *o, struct smux_input in)
{
    struct legacy_part *p = o->part;
    size_t used = 0;
    int r = auth_line_feed(&p->line, in.p, in.n, &used);
    if (r == ERR_AGAIN)
        return;
    if (r == 0)
        on_secret(o, &(struct smux_input){in.p + used, in.n - used});
    else
        opening_fail(o, END_PROTOCOL, NULL);
}

static void legacy_server_input(struct opening *o, const uint8_t *p, size_t n)
{
    struct smux_input in = {p, n};
    if (o->state == OPENING_LISTENING)
        legacy_server_line(o, in);
    else if (o->state == OPENING_WAITING)
        keep_early(o, &in);
    else if (o->state == OPENING_CONTROL || o->state == OPENING_JUDGED)
        (void)legacy_feed(o, in);
}

static bool control_answer(struct opening *o, bool ok, const char *message)
{
    struct legacy_part *p = o->part;
    char text[CONTROL_ANSWER_BUF];
    size_t n = control_response_put(text, sizeof text, ok, message);
    if (!p->control || !control_say(o, text, n)) {
        opening_fail(o, END_PROTOCOL, NULL);
        return false;
    }
    return true;
}

static void legacy_accept(struct opening *o, const char *address, struct session **ret)
{
    char message[CONTROL_MESSAGE_BUF];
    control_success_message(message, address);
    if (!control_answer(o, true, message))
        return;
    *ret = legacy_become(o);
    if (*ret)
        opening_done(o);
}

static void legacy_refuse(struct opening *o, const struct opening_refusal *why)
{
    char message[CONTROL_MESSAGE_BUF];
    const char *text = message;
    enum control_failure failure = why->err == ERR_RANGE   ? CONTROL_INVALID_PORT
                                   : why->err == ERR_PERM  ? CONTROL_PERMISSION_DENIED
                                   : why->err == ERR_INUSE ? CONTROL_ADDRESS_IN_USE
                                                           : CONTROL_OTHER_FAILURE;
    if (why->err == ERR_PROTO)
        text = control_invalid_message();
    else
        control_failure_message(message, why->port, failure);
    if (!control_answer(o, false, text))
        return;
    struct legacy_part *p = o->part;
    control_end(p, loop_now(o->cfg.loop));
    legacy_send(o);
    opening_fail(o, END_REFUSED, NULL);
}

static void legacy_reject(struct opening *o)
{
    static const char no[] = "ERROR: Invalid Secret\n";
    if (opening_say(o, no, sizeof no - 1))
        opening_fail(o, END_AUTH, NULL);
}

const struct opening_wire opening_legacy_client = {
    .begin = legacy_client_begin, .input = legacy_client_input, .fini = legacy_fini};

const struct opening_wire opening_legacy_server = {.begin = legacy_server_begin,
                                                   .input = legacy_server_input,
                                                   .judge = legacy_judge,
                                                   .turn_away = legacy_turn_away,
                                                   .accept = legacy_accept,
                                                   .refuse = legacy_refuse,
                                                   .reject = legacy_reject,
                                                   .fini = legacy_fini};
