/* SPDX-License-Identifier: MIT */
/*
 * The hello of gotunnel/2: one line each way, then the session's frames. The client's line opens a
 * session or resumes one; each side proves that it knows the secret, the server second, and
 * neither ever sends it (proto/hello.h).
 */
#include <openssl/rand.h>
#include <string.h>

#include "base/i18n.h"
#include "base/secure.h"
#include "tunnel/internal.h"

/* ---- client ---- */

static bool send_open(struct link *l)
{
    char line[HELLO_MAX];
    struct hello_request *open = &l->request;
    *open = (struct hello_request){
        .op = HELLO_OPEN, .port = l->cfg.remote_port, .window_ms = (uint32_t)l->cfg.window_ms};
    (void)strncpy(open->id, l->cfg.id, sizeof open->id - 1);
    if (RAND_bytes(open->nonce, sizeof open->nonce) != 1 || hello_open_sign(open, &l->keys) < 0) {
        link_close(l, LINK_END_LOCAL, NULL);
        return false;
    }
    return link_say(l, line, hello_request_put(line, open));
}

static void refused(struct link *l, const struct hello_answer *a)
{
    struct errmsg why;
    enum link_reason reason = LINK_END_REFUSED;
    if (a->error == HELLO_ERR_AUTH)
        reason = LINK_END_AUTH;
    else if (a->error == HELLO_ERR_MESSAGE)
        reason = LINK_END_PROTOCOL;
    errmsg_set(&why, ERR_REFUSED, "%s", *a->message ? a->message : link_reason_text(reason));
    link_close(l, reason, &why);
}

/* The server's answer to an open has been received. */
static void on_answer(struct link *l)
{
    struct hello_answer a;
    if (hello_answer_get(hello_reader_text(&l->hello), hello_reader_len(&l->hello), &a) < 0) {
        link_close(l, LINK_END_PROTOCOL, NULL);
        return;
    }
    if (a.error != HELLO_OK) {
        refused(l, &a); /* no proof is needed: whoever can cut the connection can refuse */
        return;
    }
    if (!hello_answer_verify(&a, &l->request, &l->keys)) {
        struct errmsg why;
        errmsg_set(&why, ERR_AUTH, "%s", _("the server does not know the secret"));
        link_close(l, LINK_END_AUTH, &why);
        return;
    }
    l->cfg.ops->on_authenticated(l->cfg.ctx);
    if (l->state != LINK_HELLO || !link_begin_session(l))
        return;
    if (!resume_begin(l, &a))
        return;
    char message[CONTROL_MESSAGE_BUF];
    control_success_message(message, a.address); /* what an old server would have sent */
    link_set_deadline(l, MTIME_NEVER);
    l->cfg.ops->on_up(l->cfg.ctx, message);
}

/* ---- server ---- */

static void on_request(struct link *l, size_t rest)
{
    struct hello_request *q = &l->request;
    int err = hello_request_get(hello_reader_text(&l->hello), hello_reader_len(&l->hello), q);
    if (err < 0 || rest > 0) {
        link_close(l, LINK_END_PROTOCOL, NULL); /* nothing may follow before the answer */
        return;
    }
    link_set_deadline(l, l->auth_deadline);
    if (q->op == HELLO_RESUME)
        l->cfg.ops->on_resume(l->cfg.ctx, q);
    else if (!hello_open_verify(q, &l->keys))
        l->cfg.ops->on_auth_failed(l->cfg.ctx);
    else if (RAND_bytes(l->resume.sid, sizeof l->resume.sid) != 1)
        link_close(l, LINK_END_LOCAL, NULL);
    else
        l->cfg.ops->on_open(l->cfg.ctx, q);
}

static bool say_answer(struct link *l, const struct hello_answer *a)
{
    char line[HELLO_MAX];
    return link_say(l, line, hello_answer_put(line, a));
}

void hello_send_rejection(struct link *l)
{
    const struct hello_answer a = {.error = HELLO_ERR_AUTH, .message = "wrong secret"};
    if (say_answer(l, &a))
        link_close(l, LINK_END_AUTH, NULL);
}

static void refuse(struct link *l, const char *message)
{
    struct hello_answer a = {.error = HELLO_ERR_PORT};
    struct errmsg why;
    (void)strncpy(a.message, message, sizeof a.message - 1);
    errmsg_set(&why, ERR_REFUSED, "%s", message);
    if (hello_answer_sign(&a, &l->request, &l->keys) < 0)
        link_close(l, LINK_END_LOCAL, NULL);
    else if (say_answer(l, &a))
        link_close(l, LINK_END_REFUSED, &why);
}

void link_open_answer(struct link *l, bool ok, const char *address, int port, const char *message)
{
    mtime_ms window = l->cfg.window_ms;
    struct hello_answer a = {.error = HELLO_OK, .port = port};
    if (l->state != LINK_HELLO || l->mux)
        return;
    if (!ok) {
        refuse(l, message);
        return;
    }
    if (l->request.window_ms < window)
        window = l->request.window_ms;
    a.window_ms = (uint32_t)window;
    (void)strncpy(a.address, address, sizeof a.address - 1);
    memcpy(a.sid, l->resume.sid, sizeof a.sid);
    if (RAND_bytes(a.nonce, sizeof a.nonce) != 1 ||
        hello_answer_sign(&a, &l->request, &l->keys) < 0) {
        link_close(l, LINK_END_LOCAL, NULL);
        return;
    }
    if (say_answer(l, &a) && link_begin_session(l) && resume_begin(l, &a))
        link_set_deadline(l, MTIME_NEVER);
}

/* ---- both ---- */

void hello_begin(struct link *l)
{
    mtime_ms at = loop_now(l->cfg.loop) + LINK_SECRET_MS;
    hello_reader_init(&l->hello);
    if (transport_export(l->tp, HELLO_EXPORTER_LABEL, l->exporter, sizeof l->exporter) < 0 ||
        hello_keys_init(&l->keys, l->cfg.secret, l->exporter) < 0) {
        link_close(l, LINK_END_TLS, NULL);
        return;
    }
    if (l->cfg.is_server) {
        link_set_deadline(l, at < l->auth_deadline ? at : l->auth_deadline);
        return;
    }
    l->cfg.ops->on_secure(l->cfg.ctx);
    if (l->state == LINK_HELLO && send_open(l))
        link_set_deadline(l, loop_now(l->cfg.loop) + LINK_CONTROL_MS);
}

void hello_input(struct link *l, const uint8_t **p, size_t *n)
{
    size_t used = 0;
    if (l->reject_at) { /* a rejection is pending: input is dropped */
        *n = 0;
        return;
    }
    int r = hello_reader_feed(&l->hello, *p, *n, &used);
    *p += used;
    *n -= used;
    if (r == ERR_AGAIN)
        return;
    if (r < 0)
        link_close(l, LINK_END_PROTOCOL, NULL);
    else if (l->cfg.is_server)
        on_request(l, *n);
    else
        on_answer(l);
}
