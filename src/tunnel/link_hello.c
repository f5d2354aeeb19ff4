/* SPDX-License-Identifier: MIT */
/*
 * The hello of gotunnel/2: one line each way, then the session's frames. The client's line opens a
 * session or resumes one; each side proves that it knows the secret, the server second, and
 * neither ever sends it (proto/hello.h).
 */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/secure.h"
#include "tunnel/internal.h"
#include "tunnel/refusal.h"

/* What this end can do beyond docs/protocol.md: nothing has a name yet. */
static const struct hello_caps our_caps;

/* ---- client ---- */

bool hello_keep(struct link *l, const char *line, size_t n)
{
    free(l->said);
    l->said = strndup(line, n);
    return l->said;
}

struct hello_text hello_kept(const struct link *l)
{
    return (struct hello_text){l->said, strlen(l->said)};
}

static bool send_open(struct link *l)
{
    char line[HELLO_MAX];
    struct hello_request *open = &l->request;
    *open = (struct hello_request){.op = HELLO_OPEN,
                                   .port = l->cfg.remote_port,
                                   .window_ms = (uint32_t)l->cfg.window_ms,
                                   .caps = our_caps,
                                   .take = true};
    (void)strncpy(open->id, l->cfg.id, sizeof open->id - 1);
    int n = RAND_bytes(open->nonce, sizeof open->nonce) == 1
                ? hello_open_write(line, open, &l->keys)
                : ERR_IO;
    if (n < 0 || !hello_keep(l, line, (size_t)n - 1)) {
        link_close(l, LINK_END_LOCAL, NULL);
        return false;
    }
    return link_say(l, line, (size_t)n);
}

/* Without proof a refusal can delay us, and no more. */
static enum link_reason reason_of_refusal(enum hello_error e)
{
    switch (e) {
    case HELLO_ERR_AUTH:
        return LINK_END_AUTH;
    case HELLO_ERR_MESSAGE:
        return LINK_END_PROTOCOL;
    case HELLO_ERR_PORT:
    case HELLO_ERR_TAKEN:
        return LINK_END_REFUSED;
    case HELLO_ERR_UNKNOWN:
    case HELLO_ERR_STALE:
    case HELLO_ERR_RANGE:
    case HELLO_ERR_BUSY:
    case HELLO_ERR_DRAINING:
    case HELLO_OK:
    case HELLO_ERRORS:
        break;
    }
    return LINK_END_PUT_OFF;
}

/* The server's answer to an open has been received. */
static void on_answer(struct link *l)
{
    struct hello_answer a;
    struct hello_text line = hello_reader_line(&l->hello);
    if (hello_answer_get(line, HELLO_OPEN, &a) < 0) {
        link_close(l, LINK_END_PROTOCOL, NULL);
        return;
    }
    if (a.has_mac && !hello_answer_verify(line, hello_kept(l), &l->keys)) {
        link_close(l, LINK_END_UNPROVEN, NULL);
        return;
    }
    if (a.error != HELLO_OK) {
        struct errmsg why;
        refusal_text(&why, &a, &l->request);
        link_close(l, reason_of_refusal(a.error), &why);
        return;
    }
    l->cfg.ops->on_authenticated(l->cfg.ctx);
    if (l->state != LINK_HELLO || !link_begin_session(l))
        return;
    if (!resume_begin(l, &a))
        return;
    link_set_deadline(l, MTIME_NEVER);
    l->cfg.ops->on_up(l->cfg.ctx, a.address, NULL);
}

/* ---- server ---- */

static void on_request(struct link *l, size_t rest)
{
    struct hello_request *q = &l->request;
    struct hello_text line = hello_reader_line(&l->hello);
    if (hello_request_get(line, q) < 0 || rest > 0) {
        link_close(l, LINK_END_PROTOCOL, NULL); /* nothing may follow before the answer */
        return;
    }
    link_set_deadline(l, l->auth_deadline);
    if (q->op == HELLO_RESUME)
        l->cfg.ops->on_resume(l->cfg.ctx, q);
    else if (!hello_open_verify(line, &l->keys))
        l->cfg.ops->on_auth_failed(l->cfg.ctx);
    else if (RAND_bytes(l->resume.sid, sizeof l->resume.sid) != 1)
        link_close(l, LINK_END_LOCAL, NULL);
    else
        l->cfg.ops->on_open(l->cfg.ctx, q);
}

void hello_send_rejection(struct link *l)
{
    const struct hello_answer a = {.error = HELLO_ERR_AUTH};
    char line[HELLO_MAX];
    if (link_say(l, line, hello_refusal_write(line, &a)))
        link_close(l, LINK_END_AUTH, NULL);
}

/* With proof. False: link closed. */
static bool say_answer(struct link *l, const struct hello_answer *a)
{
    char line[HELLO_MAX];
    int n = hello_answer_write(line, a, hello_reader_line(&l->hello), &l->keys);
    if (n >= 0)
        return link_say(l, line, (size_t)n);
    link_close(l, LINK_END_LOCAL, NULL);
    return false;
}

void link_open_refuse(struct link *l, const struct hello_answer *refusal)
{
    if (l->state == LINK_HELLO && !l->mux && say_answer(l, refusal))
        link_close(l, LINK_END_REFUSED, NULL);
}

void link_open_grant(struct link *l, const char *address, int port)
{
    mtime_ms window = l->cfg.window_ms;
    struct hello_answer a = {.error = HELLO_OK, .port = port};
    if (l->state != LINK_HELLO || l->mux)
        return;
    if (l->request.window_ms < window)
        window = l->request.window_ms;
    a.window_ms = (uint32_t)window;
    (void)strncpy(a.address, address, sizeof a.address - 1);
    hello_caps_common(&a.caps, &l->request.caps, &our_caps);
    memcpy(a.sid, l->resume.sid, sizeof a.sid);
    if (RAND_bytes(a.nonce, sizeof a.nonce) != 1) {
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
