/* SPDX-License-Identifier: MIT */
/*
 * Relay: one stream, one socket, two directions that end one by one. Here is its life: the states
 * of the two directions (relay_internal.h says what they mean), how it begins, and how it ends.
 *
 * A relay that outlives its session (everything of the stream has been received, the socket has not
 * taken it all yet) goes on without it and discards what the socket says.
 */
#include "tunnel/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/quota.h"
#include "net/dialer.h"
#include "net/sock.h"
#include "tunnel/relay_internal.h"

/* ---- states ---- */

#define MAY(state) (1u << (state))

/* What may follow each state. */
static const unsigned up_next[] = {
    [UP_NO_SOCKET] = MAY(UP_READING) | MAY(UP_ENDED),
    [UP_READING] = MAY(UP_PAUSED) | MAY(UP_DROPPING) | MAY(UP_EOF) | MAY(UP_ENDED),
    [UP_PAUSED] = MAY(UP_READING) | MAY(UP_DROPPING) | MAY(UP_ENDED),
    [UP_DROPPING] = MAY(UP_EOF) | MAY(UP_ENDED),
    [UP_EOF] = MAY(UP_ENDED),
    [UP_ENDED] = 0,
};

static const unsigned down_next[] = {
    [DOWN_NO_SOCKET] = MAY(DOWN_NO_SOCKET_FIN) | MAY(DOWN_WRITING) | MAY(DOWN_ENDED),
    [DOWN_NO_SOCKET_FIN] = MAY(DOWN_FIN) | MAY(DOWN_ENDED),
    [DOWN_WRITING] = MAY(DOWN_FIN) | MAY(DOWN_BROKEN) | MAY(DOWN_ENDED),
    [DOWN_FIN] = MAY(DOWN_SHUT) | MAY(DOWN_BROKEN) | MAY(DOWN_ENDED),
    [DOWN_SHUT] = MAY(DOWN_ENDED),
    [DOWN_BROKEN] = MAY(DOWN_ENDED),
    [DOWN_ENDED] = 0,
};

/* For the debug log. */
static const char *const up_word[] = {
    [UP_NO_SOCKET] = "no socket", [UP_READING] = "reading", [UP_PAUSED] = "paused",
    [UP_DROPPING] = "dropping",   [UP_EOF] = "at EOF",      [UP_ENDED] = "ended",
};

static const char *const down_word[] = {
    [DOWN_NO_SOCKET] = "no socket", [DOWN_NO_SOCKET_FIN] = "no socket, at EOF",
    [DOWN_WRITING] = "writing",     [DOWN_FIN] = "writing the rest",
    [DOWN_SHUT] = "shut",           [DOWN_BROKEN] = "broken",
    [DOWN_ENDED] = "ended",
};

void relay_set_up(struct relay *r, enum relay_up to)
{
    assert(up_next[r->up] & MAY(to));
    r->up = (uint8_t)to;
}

void relay_set_down(struct relay *r, enum relay_down to)
{
    assert(down_next[r->down] & MAY(to));
    r->down = (uint8_t)to;
}

/* ---- ends ---- */

static void relay_leave_session(struct relay *r)
{
    if (!r->session)
        return;
    if (r->session->gather_to == r)
        r->session->gather_to = NULL;
    list_del(&r->of_session);
    r->session->relay_count--;
    session_wake(r->session); /* it may have waited for that */
    if (r->tally && r->tally->key != 0)
        r->session->ops->on_relay_over(r->session->ctx, r->tally->key);
    r->counted_at = r->session->counted_at;
    r->session = NULL;
}

static void relay_close_socket(struct relay *r, bool reset)
{
    if (!relay_has_socket(r)) {
        if (r->pending)
            r->pending->on_cancel(r->pending);
        r->pending = NULL;
        return;
    }
    int fd = r->socket.fd;
    poller_forget(r->rs->loop, &r->socket);
    if (fd < 0)
        return;               /* attaching failed */
    sock_abortive(fd, reset); /* until here it was: our death must not look like an end */
    (void)close(fd);          /* nothing can be done about a failing close */
}

static void relay_end_visit(struct relay *r)
{
    if (!r->has_visit)
        return;
    struct user_visit *v = r->visit;
    r->has_visit = false;
    r->source = v->source;
    visit_over(v, &r->rs->visits, loop_now(r->rs->loop));
}

/* Closes the socket, or calls off its making, and takes the relay out of everything. */
static void relay_end(struct relay *r, bool reset)
{
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_debug("[%s] connection %s; up: %s, down: %s, %u bytes late",
                  r->session ? session_name(r->session) : "-", reset ? "reset" : "closed",
                  up_word[r->up], down_word[r->down], (unsigned)relay_late_bytes(r));
    relay_close_socket(r, reset);
    relay_set_up(r, UP_ENDED);
    relay_set_down(r, DOWN_ENDED);
    relay_visit_ends(r, VISIT_CLOSED);
    relay_end_visit(r);
    relay_leave_session(r);
    if (r->counted_at)
        (void)quota_give(r->counted_at); /* whoever counts there asks */
    turn_idle(&r->reader);
    relay_late_clear(r);
    tally_give(r->tally);
    r->tally = NULL;
    if (r->unsent > 0)
        unsent_gone(&r->rs->unsent, r->unsent * UNSENT_FIRST);
    relay_pool_bury(r);
}

/* What a reset by us means to whoever reads of it; the other side's are told from ours before. */
static enum visit_end visit_end_of(enum smux_reset_code code)
{
    switch (code) {
    case SMUX_RST_IDLE_TIMEOUT:
        return VISIT_HALF_CLOSED;
    case SMUX_RST_STALLED:
    case SMUX_RST_BUSY: /* memory is short */
        return VISIT_STALLED;
    case SMUX_RST_SHUTDOWN:
        return VISIT_SHUTDOWN;
    default:
        return VISIT_USER_RESET;
    }
}

static enum visit_end visit_end_there(uint32_t code)
{
    switch (code) {
    case SMUX_RST_CONNECT_REFUSED:
        return VISIT_TARGET_REFUSED;
    case SMUX_RST_CONNECT_TIMEOUT:
        return VISIT_TARGET_SILENT;
    case SMUX_RST_BUSY:
        return VISIT_BUSY;
    case SMUX_RST_IDLE_TIMEOUT:
        return VISIT_HALF_CLOSED;
    case SMUX_RST_STALLED:
        return VISIT_STALLED;
    case SMUX_RST_SHUTDOWN:
        return VISIT_SHUTDOWN;
    default:
        return VISIT_CLIENT_RESET;
    }
}

void relay_reset(struct relay *r, enum smux_reset_code code)
{
    if (relay_has_ended(r))
        return;
    relay_visit_ends(r, visit_end_of(code));
    if (r->st) {
        smux_stream_reset(r->st, code, loop_now(r->rs->loop));
        r->st = NULL;
        session_wake(r->session);
    }
    relay_end(r, true);
}

void relay_check_end(struct relay *r)
{
    if (r->down == DOWN_FIN && !r->late) {
        relay_set_down(r, DOWN_SHUT);
        /* Fails only if the peer has gone: the read side tells. */
        (void)shutdown(r->socket.fd, SHUT_WR);
    }
    if (r->down != DOWN_SHUT || r->up != UP_EOF)
        return;
    if (r->st) {
        smux_stream_close(r->st, loop_now(r->rs->loop));
        r->st = NULL;
        session_wake(r->session);
    }
    relay_end(r, false);
}

void relay_orphan(struct relay *r)
{
    bool whole = r->down == DOWN_FIN || r->down == DOWN_SHUT;
    if (r->st) {
        if (!whole)
            smux_stream_reset(r->st, SMUX_RST_SHUTDOWN, loop_now(r->rs->loop));
        r->st = NULL; /* of a whole one the session takes care */
    }
    if (!whole) {
        relay_visit_ends(r, VISIT_SESSION_OVER);
        relay_reset(r, SMUX_RST_PEER_RESET);
        return;
    }
    relay_leave_session(r);
    turn_idle(&r->reader);
    if (r->up == UP_READING || r->up == UP_PAUSED)
        relay_set_up(r, UP_DROPPING);
    relay_pool_touch(r);
    relay_up_wake(r);
}

static const char *relay_reset_text(uint32_t code)
{
    static const char *const text[] = {
        [SMUX_RST_PEER_RESET] = "by its other end",
        [SMUX_RST_CONNECT_REFUSED] = "the service refused the connection",
        [SMUX_RST_CONNECT_TIMEOUT] = "the service did not answer",
        [SMUX_RST_BUSY] = "the other side is busy",
        [SMUX_RST_IDLE_TIMEOUT] = "nothing moved for too long",
        [SMUX_RST_STALLED] = "its reader stood still",
        [SMUX_RST_SHUTDOWN] = "the other side stops",
        [SMUX_RST_NO_SERVICE] = "the other side has no such service",
    };
    return code < ARRAY_LEN(text) && text[code] ? text[code] : "for a reason not known here";
}

/* Server: what the client says of a connection that never said anything. A target that was reached may
   reset, too, and a user who leaves is none of its business. */
static void relay_count_reset(struct relay *r, uint32_t code)
{
    static const enum tally_error errors[] = {
        [SMUX_RST_UNSPECIFIED] = TALLY_UNREACHABLE, [SMUX_RST_CONNECT_REFUSED] = TALLY_REFUSED,
        [SMUX_RST_CONNECT_TIMEOUT] = TALLY_TIMEOUT, [SMUX_RST_BUSY] = TALLY_BUSY,
        [SMUX_RST_NO_SERVICE] = TALLY_NO_SERVICE,
    };
    enum tally_error error = code < ARRAY_LEN(errors) ? errors[code] : TALLY_OK;
    if (r->tally && !r->is_heard && error != TALLY_OK)
        tally_bad(r->tally, error, loop_now(r->rs->loop));
}

static void relay_on_reset(struct stream_owner *o, uint32_t code)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    if (r->session->cfg.is_server && r->session->cfg.is_v2)
        relay_count_reset(r, code);
    if (code != SMUX_RST_UNSPECIFIED && log_enabled(LOG_LEVEL_DEBUG))
        log_debug("[%s] stream %u was reset: %s", session_name(r->session), smux_stream_id(r->st),
                  relay_reset_text(code));
    if (code == SMUX_RST_IDLE_TIMEOUT)
        relay_pool_log_cut(r, false);
    relay_visit_ends(r, visit_end_there(code));
    if (r->session->gather_to == r)
        relay_flush_gathered(r->session);
    relay_reset(r, SMUX_RST_PEER_RESET);
}

/* ---- the socket ---- */

/* While the relay is paused nobody would read the socket, and learn of it: so it is remembered. */
void relay_socket_failed(struct relay *r)
{
    if (r->failed)
        return;
    r->failed = true;
    if (r->up == UP_READING || r->up == UP_PAUSED) {
        relay_pool_failed(r);
        relay_up_wake(r);
    } else {
        relay_reset(r, SMUX_RST_PEER_RESET); /* nothing to read, or nobody who wants it */
    }
}

static void relay_on_ready(struct poller_source *src, unsigned events)
{
    struct relay *r = CONTAINER_OF(src, struct relay, socket);
    if (events & POLLER_OUT && r->late)
        relay_down_writable(r);
    if (relay_has_ended(r) || !(events & POLLER_IN))
        return;
    r->hangup = r->hangup || events & POLLER_HUP;
    if (events & POLLER_ERROR && sock_error(src->fd) < 0)
        relay_socket_failed(r);
    else
        relay_up_wake(r);
}

/* It has a socket, if err is 0. */
static void relay_attached(struct relay *r, int err)
{
    r->pending = NULL;
    relay_set_up(r, UP_READING);
    relay_set_down(r, r->down == DOWN_NO_SOCKET_FIN ? DOWN_FIN : DOWN_WRITING);
    if (err < 0)
        relay_reset(r, SMUX_RST_PEER_RESET);
    else if (r->late)
        relay_down_writable(r);
    relay_check_end(r);
}

void relay_attach(struct relay *r, int fd)
{
    int err = poller_add(r->rs->loop, &r->socket, fd);
    if (err < 0)
        (void)close(fd);
    relay_attached(r, err);
}

void relay_attach_dialled(struct relay *r, struct dial_result *dialled)
{
    relay_attached(r, dial_take_source(dialled, &r->socket));
}

/* ---- the beginning ---- */

struct relay *relay_of_session_node(struct list *n)
{
    return LIST_ENTRY(n, struct relay, of_session);
}

struct relay *relay_new(struct relays *rs, struct session *session, struct smux_stream *st)
{
    static const struct stream_owner_ops ops = {relay_down_data, relay_down_fin, relay_on_reset,
                                                relay_up_credit};
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->owner.ops = &ops;
    r->rs = rs;
    r->session = session;
    r->st = st;
    r->socket = (struct poller_source){relay_on_ready, -1};
    list_init(&r->of_session);
    turn_node_init(&r->reader);
    list_init(&r->cut);
    list_push(&session->relays, &r->of_session);
    session->relay_count++;
    if (session->counted_at)
        quota_take(session->counted_at);
    smux_stream_set_user(st, &r->owner);
    rs->count++;
    quota_take(rs->quota);
    return r;
}

void relay_count_at(struct relay *r, struct tally *t)
{
    r->tally = tally_take(t);
}

void relays_cut_service(struct session *s, uint32_t svc, enum smux_reset_code code)
{
    struct list cut;
    list_init(&cut);
    for (struct list *n = s->relays.next, *next; n != &s->relays; n = next) {
        next = n->next;
        const struct tally *t = relay_of_session_node(n)->tally;
        if (t && t->key == svc)
            list_move(&cut, n);
    }
    for (struct list *n; (n = list_first(&cut));) { /* the owner may cut others meanwhile */
        list_move(&s->relays, n);
        relay_reset(relay_of_session_node(n), code);
    }
}

void relay_set_visit(struct relay *r, struct user_visit *v)
{
    if (!v)
        return;
    v->source = r->source;
    r->visit = v;
    r->has_visit = true;
}

void relay_set_source(struct relay *r, uint64_t source)
{
    r->source = source;
}

void relay_bound_unsent(struct relay *r)
{
    r->unsent = 1;
}

void relay_set_pending(struct relay *r, struct relay_pending *m)
{
    r->pending = m;
}
