/* SPDX-License-Identifier: MIT */
/*
 * The opening of gotunnel/2: one line each way, then the session's frames. The client's line opens
 * a session or goes on with one; each side proves that it knows the secret, the server second, and
 * neither ever sends it (proto/hello.h). The secret is the one that all share, or of one client.
 */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/i18n.h"
#include "base/log.h"
#include "base/secure.h"
#include "tunnel/opening_internal.h"
#include "tunnel/refusal.h"

/* What this end can do, by its name. */
static const struct hello_caps our_caps = {.count = 1, .names = {HELLO_CAP_SERVICES}};

struct hello_part {
    struct hello_reader reader;
    struct hello_request request; /* that went, or came */
    char *said;                   /* client: the line that went, without LF */
    uint8_t exporter[HELLO_EXPORTER_BYTES];
    uint8_t sid[HELLO_SID_BYTES];                /* server: of the session that may come of it */
    uint8_t public_key[CLIENT_KEY_PUBLIC_BYTES]; /* server: of the client's own key */
    struct hello_keys keys;
};

static void hello_fini(struct opening *o)
{
    struct hello_part *p = o->part;
    secure_zero(&p->keys, sizeof p->keys);
    secure_zero(p->exporter, sizeof p->exporter);
    free(p->said);
    free(p);
    o->part = NULL;
}

/* False: it has failed. */
static bool hello_begin(struct opening *o)
{
    struct hello_part *p = calloc(1, sizeof *p);
    if (!p) {
        opening_fail(o, END_LOCAL, NULL);
        return false;
    }
    o->part = p;
    hello_reader_init(&p->reader);
    if (transport_export(o->tp, HELLO_EXPORTER_LABEL, p->exporter, sizeof p->exporter) < 0) {
        opening_fail(o, END_TLS, NULL);
        return false;
    }
    return true;
}

/* The line is whole: 0, and *p, *n are what follows it. Otherwise it goes on, or has failed. */
static int hello_line(struct opening *o, const uint8_t **p, size_t *n)
{
    struct hello_part *part = o->part;
    size_t used = 0;
    int r = hello_reader_feed(&part->reader, *p, *n, &used);
    *p += used;
    *n -= used;
    if (r < 0 && r != ERR_AGAIN)
        opening_fail(o, END_PROTOCOL, NULL);
    return r;
}

/* Both ends agreed: the connection carries the session that a opens. Its window is never longer
   than this end wishes, whatever the other one says. */
static struct session *hello_become(struct opening *o, const struct hello_answer *a)
{
    struct hello_part *p = o->part;
    struct session_config cfg = opening_session_config(o, true);
    if (cfg.window_ms > a->window_ms)
        cfg.window_ms = a->window_ms;
    cfg.has_services = true;
    memcpy(cfg.sid, a->sid, sizeof cfg.sid);
    memcpy(cfg.nonce, p->request.nonce, sizeof cfg.nonce);
    int err = hello_resume_key(cfg.resume_key, &p->keys, a->sid, p->request.nonce, a->nonce);
    struct session *s = NULL;
    if (err < 0)
        opening_fail(o, END_LOCAL, NULL);
    else
        s = opening_become(o, &cfg, NULL);
    secure_zero(cfg.resume_key, sizeof cfg.resume_key);
    return s;
}

/* ---- client ---- */

/* The keys of this connection. < 0: there are none. */
static int client_keys(struct opening *o)
{
    struct hello_part *p = o->part;
    const struct hello_credential *own = o->cfg.credential;
    if (own)
        return hello_keys_init(&p->keys, own->secret.a, sizeof own->secret.a, p->exporter);
    return hello_keys_init(&p->keys, o->cfg.secret, strlen(o->cfg.secret), p->exporter);
}

/* Writes the open: its length, or < 0. */
static int write_open(struct opening *o, char line[HELLO_MAX])
{
    struct hello_part *p = o->part;
    const struct hello_credential *own = o->cfg.credential;
    if (!own)
        return hello_open_write(line, &p->request, &p->keys, NULL);
    memcpy(p->request.key, own->name, sizeof p->request.key);
    struct hello_signer signer = {own->secret.seed, p->exporter};
    return hello_open_write(line, &p->request, &p->keys, &signer);
}

static void send_open(struct opening *o)
{
    struct hello_part *p = o->part;
    char line[HELLO_MAX];
    struct hello_request *open = &p->request;
    *open = (struct hello_request){.op = HELLO_OPEN,
                                   .window_ms = o->cfg.window_ms,
                                   .caps = our_caps,
                                   .take = o->cfg.take,
                                   .mine = o->cfg.mine};
    (void)strncpy(open->id, o->cfg.id, sizeof open->id - 1);
    int n = RAND_bytes(open->nonce, sizeof open->nonce) == 1 ? write_open(o, line) : ERR_IO;
    p->said = n < 0 ? NULL : strndup(line, (size_t)n - 1);
    if (!p->said) {
        opening_fail(o, END_LOCAL, NULL);
        return;
    }
    o->cfg.ops->on_open_sent(o->cfg.ctx, open->nonce);
    (void)opening_say(o, line, (size_t)n);
}

static void hello_client_begin(struct opening *o)
{
    o->state = OPENING_ASKED;
    if (!hello_begin(o))
        return;
    if (client_keys(o) < 0) {
        opening_fail(o, END_TLS, NULL);
        return;
    }
    o->cfg.ops->on_secure(o->cfg.ctx);
    if (o->state != OPENING_ASKED)
        return;
    send_open(o);
    if (o->state == OPENING_ASKED)
        opening_set_deadline(o, loop_now(o->cfg.loop) + OPENING_TURN_MS);
}

/* Without proof a refusal can delay us, and no more. */
static enum end_reason reason_of_refusal(enum hello_error e)
{
    switch (e) {
    case HELLO_ERR_AUTH:
        return END_AUTH;
    case HELLO_ERR_MESSAGE:
        return END_PROTOCOL;
    case HELLO_ERR_TAKEN:
        return END_REFUSED;
    case HELLO_ERR_UNKNOWN:
    case HELLO_ERR_STALE:
    case HELLO_ERR_RANGE:
    case HELLO_ERR_BUSY:
    case HELLO_ERR_DRAINING:
    case HELLO_OK:
    case HELLO_ERRORS:
        break;
    }
    return END_PUT_OFF;
}

static void hello_refused(struct opening *o, const struct hello_answer *a)
{
    struct hello_part *p = o->part;
    struct errmsg why;
    o->refusal = *a;
    o->has_refusal = true;
    refusal_text(&why, a, &p->request);
    opening_fail(o, reason_of_refusal(a->error), &why);
}

static void hello_client_input(struct opening *o, const uint8_t *p, size_t n)
{
    struct hello_part *part = o->part;
    struct hello_answer a;
    if (hello_line(o, &p, &n) != 0)
        return;
    struct hello_text line = hello_reader_line(&part->reader);
    struct hello_text open = {part->said, strlen(part->said)};
    if (hello_answer_get(line, HELLO_OPEN, &a) < 0) {
        opening_fail(o, END_PROTOCOL, NULL);
        return;
    }
    if (a.has_mac && !hello_answer_verify(line, open, &part->keys)) {
        opening_fail(o, END_UNPROVEN, NULL);
        return;
    }
    if (a.error != HELLO_OK) {
        hello_refused(o, &a);
        return;
    }
    if (!hello_caps_have(&a.caps, HELLO_CAP_SERVICES)) {
        opening_fail(o, END_PROTOCOL, NULL); /* no tunnel could be opened in it */
        return;
    }
    struct session *s = hello_become(o, &a);
    if (!s)
        return;
    o->cfg.ops->on_accepted(o->cfg.ctx, s, NULL);
    opening_done(o);
    session_feed(s, p, n);
    session_read_later(s);
}

/* ---- server ---- */

static void hello_server_begin(struct opening *o)
{
    o->state = OPENING_LISTENING;
    if (hello_begin(o))
        opening_set_deadline(o, loop_now(o->cfg.loop) + OPENING_LINE_MS);
}

static void hand_over(struct opening *o)
{
    struct hello_part *p = o->part;
    struct handover *h = &o->handover;
    struct hello_text line = hello_reader_line(&p->reader);
    h->line = strndup(line.p, line.n);
    if (!h->line) {
        opening_fail(o, END_LOCAL, NULL);
        return;
    }
    h->epoch = p->request.epoch;
    h->rx = p->request.rx;
    memcpy(h->sid, p->request.sid, sizeof h->sid);
    memcpy(h->exporter, p->exporter, sizeof h->exporter);
    opening_done(o);
}

/* No tunnel could be opened in its session. Nothing is compared for that. */
static void refuse_without_services(struct opening *o)
{
    const struct hello_answer a = {.error = HELLO_ERR_MESSAGE};
    char line[HELLO_MAX];
    struct errmsg why;
    (void)errmsg_set(&why, ERR_PROTO, "%s", _("an open that can have no tunnels"));
    if (opening_say(o, line, hello_refusal_write(line, &a)))
        opening_fail(o, END_PROTOCOL, &why);
}

static void hello_server_input(struct opening *o, const uint8_t *p, size_t n)
{
    struct hello_part *part = o->part;
    if (o->state != OPENING_LISTENING || hello_line(o, &p, &n) != 0)
        return;
    struct hello_text line = hello_reader_line(&part->reader);
    if (hello_request_get(line, &part->request) < 0 || n > 0) {
        opening_fail(o, END_PROTOCOL, NULL); /* nothing may follow before the answer */
        return;
    }
    if (part->request.op == HELLO_RESUME)
        hand_over(o);
    else if (!hello_caps_have(&part->request.caps, HELLO_CAP_SERVICES))
        refuse_without_services(o);
    else
        opening_ask_verdict(o, part->request.id);
}

/* The shared secret; where there is none, it takes as long to say no. */
static bool is_of_secret(struct opening *o)
{
    struct hello_part *p = o->part;
    int err = hello_keys_init(&p->keys, o->cfg.secret, strlen(o->cfg.secret), p->exporter);
    bool is_right = hello_open_verify(hello_reader_line(&p->reader), &p->keys);
    return is_right && err == 0 && o->has_secret;
}

/* A client's own key: RIGHT, or why it is not. */
static enum credentials_cause judge_key(struct opening *o, const struct credentials *keys,
                                        int64_t now_s)
{
    struct hello_part *p = o->part;
    struct credentials_verdict v;
    struct credentials_question q = {.request = &p->request,
                                     .line = hello_reader_line(&p->reader),
                                     .exporter = p->exporter,
                                     .from = &o->cfg.peer,
                                     .now_s = now_s};
    if (!keys)
        return CREDENTIALS_UNKNOWN;
    credentials_judge(keys, &q, &v);
    p->keys = v.keys;
    memcpy(p->public_key, v.public_key, sizeof p->public_key);
    secure_zero(&v.keys, sizeof v.keys);
    if (v.cause != CREDENTIALS_RIGHT)
        log_debug("[%s] no proof of client '%s': %s", o->peer, p->request.key,
                  credentials_cause_word(v.cause));
    return v.cause;
}

static bool is_right(struct opening *o, const struct credentials *keys, int64_t now_s,
                     struct opening_barred *ret)
{
    struct hello_part *p = o->part;
    *ret = (struct opening_barred){.name = p->request.key, .cause = CREDENTIALS_WRONG};
    if (!*p->request.key)
        return is_of_secret(o);
    ret->cause = judge_key(o, keys, now_s);
    return ret->cause == CREDENTIALS_RIGHT;
}

static void hello_judge(struct opening *o, const struct credentials *keys, int64_t now_s)
{
    struct hello_part *part = o->part;
    struct opening_barred barred;
    if (!is_right(o, keys, now_s, &barred)) {
        opening_reject(o, credentials_is_guess(barred.cause) ? NULL : &barred);
    } else if (RAND_bytes(part->sid, sizeof part->sid) != 1) {
        opening_fail(o, END_LOCAL, NULL);
    } else {
        o->state = OPENING_JUDGED;
        opening_set_deadline(o, loop_now(o->cfg.loop) + OPENING_ANSWER_MS); /* by the registry */
        struct opening_ask ask = {.is_v2 = true,
                                  .sid = part->sid,
                                  .open = &part->request,
                                  .public_key = *part->request.key ? part->public_key : NULL};
        o->cfg.ops->on_asked(o->cfg.ctx, &ask);
    }
}

/* With proof. False: it has failed. */
static bool say_answer(struct opening *o, const struct hello_answer *a)
{
    struct hello_part *p = o->part;
    char line[HELLO_MAX];
    int n = hello_answer_write(line, a, hello_reader_line(&p->reader), &p->keys);
    if (n < 0) {
        opening_fail(o, END_LOCAL, NULL);
        return false;
    }
    return opening_say(o, line, (size_t)n);
}

static void hello_accept(struct opening *o, const char *address, struct session **ret)
{
    (void)address; /* nothing listens yet */
    struct hello_part *p = o->part;
    struct hello_answer a = {.error = HELLO_OK};
    a.window_ms = p->request.window_ms < o->cfg.window_ms ? p->request.window_ms : o->cfg.window_ms;
    hello_caps_common(&a.caps, &p->request.caps, &our_caps);
    memcpy(a.sid, p->sid, sizeof a.sid);
    if (RAND_bytes(a.nonce, sizeof a.nonce) != 1) {
        opening_fail(o, END_LOCAL, NULL);
        return;
    }
    if (!say_answer(o, &a))
        return;
    *ret = hello_become(o, &a);
    if (*ret)
        opening_done(o);
}

static void hello_refuse(struct opening *o, const struct opening_refusal *why)
{
    if (say_answer(o, &why->answer))
        opening_fail(o, END_REFUSED, NULL);
}

static void hello_reject(struct opening *o)
{
    const struct hello_answer a = {.error = HELLO_ERR_AUTH};
    char line[HELLO_MAX];
    if (opening_say(o, line, hello_refusal_write(line, &a)))
        opening_fail(o, END_AUTH, NULL);
}

/* Whether its proof is right is not known. */
static void hello_turn_away(struct opening *o)
{
    const struct hello_answer a = {.error = HELLO_ERR_BUSY};
    char line[HELLO_MAX];
    if (opening_say(o, line, hello_refusal_write(line, &a)))
        opening_fail(o, END_PUT_OFF, NULL);
}

/* The transport is still nobody's: it is only told, and closed. */
void handover_refuse(struct loop *loop, struct handover *h, enum hello_error error,
                     const uint8_t *resume_key)
{
    static const struct transport_events deaf = {NULL, NULL, NULL, NULL};
    static const uint8_t no_key[HELLO_MAC_BYTES];
    const struct hello_answer a = {.error = error};
    char line[HELLO_MAX];
    struct hello_text text = {h->line, strlen(h->line)};
    int n;
    if (resume_key) {
        n = hello_resumed_write(line, &a, text, resume_key, h->exporter);
    } else {
        if (!h->is_tried) /* as long as a wrong proof takes, and no longer */
            (void)hello_resume_verify(text, no_key, h->exporter);
        n = (int)hello_refusal_write(line, &a);
    }
    if (n > 0 && transport_adopt(h->tp, loop, &deaf, NULL) == 0 &&
        transport_write(h->tp, line, (size_t)n) > 0)
        transport_flush(h->tp);
    transport_close(h->tp);
    free(h->line);
    h->tp = NULL;
    h->line = NULL;
}

const struct opening_wire opening_hello_client = {
    .begin = hello_client_begin, .input = hello_client_input, .fini = hello_fini};

const struct opening_wire opening_hello_server = {.begin = hello_server_begin,
                                                  .input = hello_server_input,
                                                  .judge = hello_judge,
                                                  .turn_away = hello_turn_away,
                                                  .accept = hello_accept,
                                                  .refuse = hello_refuse,
                                                  .reject = hello_reject,
                                                  .fini = hello_fini};
