/* SPDX-License-Identifier: MIT */
/*
 * Relay: one stream, one socket, two directions that end one by one.
 *
 *   up (socket to stream):   READING --eof--> finished             PAUSED while there is no credit
 *   down (stream to socket): WRITING --FIN, all written--> shut    buffered while the socket is
 * full
 *
 * A relay that outlives its link (everything of the stream has been received, the socket has not
 * taken it all yet) goes on without it and discards what the socket says.
 */
#include "tunnel/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/backlog.h"
#include "base/log.h"
#include "base/quota.h"
#include "net/dialer.h"
#include "net/sock.h"
#include "tunnel/internal.h"

enum relay_flags {
    RL_ATTACHED = 1u << 0, /* it has, or had, a socket */
    RL_PAUSED = 1u << 1,   /* no credit: the socket is not read */
    RL_EOF = 1u << 2,      /* the socket has said all */
    RL_FIN_IN = 1u << 3,   /* the stream has said all */
    RL_SHUT = 1u << 4,     /* ... and the socket was told */
    RL_DISCARD = 1u << 5,  /* nobody wants what the socket says */
    RL_UNREAD = 1u << 6,   /* the socket may have something to say */
    RL_HANGUP = 1u << 7,   /* ... and its end for sure: a short read does not mean drained */
    RL_BROKEN = 1u << 8,   /* writing failed; what was received before is still to be read */
    RL_DEAD = 1u << 9,
};

struct relay {
    struct stream_owner owner;
    struct relays *rs;
    struct link *link;       /* NULL: orphan */
    struct smux_stream *st;  /* NULL: closed */
    struct list of_link;     /* in link->relays */
    struct list readable;    /* in link->readable, or rs->discarding */
    struct list half_closed; /* in rs->half_closed, or rs->dead */
    mtime_ms cut_at;         /* while half closed */
    void (*on_cut)(void *maker);
    void *maker;
    struct backlog late; /* what the socket would not take; the window bounds it */
    struct poller_source socket;
    unsigned flags; /* enum relay_flags */
};

static void relay_check_end(struct relay *r);
static void touch(struct relay *r);

/* ---- life ---- */

struct relay *relay_of(struct list *n)
{
    return LIST_ENTRY(n, struct relay, readable);
}

struct relay *relay_of_link_node(struct list *n)
{
    return LIST_ENTRY(n, struct relay, of_link);
}

static void reap(struct loop_job *job)
{
    struct relays *rs = CONTAINER_OF(job, struct relays, reaper);
    for (struct list *n; (n = list_first(&rs->dead));) {
        struct relay *r = LIST_ENTRY(n, struct relay, half_closed);
        list_del(n);
        free(r);
    }
    if (rs->made_room) {
        rs->made_room = false;
        if (rs->on_room)
            rs->on_room(rs->ctx);
    }
    if (rs->count == 0 && rs->on_empty)
        rs->on_empty(rs->ctx);
}

/* Takes the relay out of everything; its memory goes at the end of the turn. The socket is closed
   by now or never existed. */
static void relay_die(struct relay *r)
{
    struct relays *rs = r->rs;
    r->flags |= RL_DEAD;
    if (r->link && r->link->gather_to == r)
        r->link->gather_to = NULL;
    list_del(&r->of_link);
    list_del(&r->readable);
    list_move(&rs->dead, &r->half_closed);
    backlog_clear(&r->late);
    rs->count--;
    if (quota_give(rs->quota))
        rs->made_room = true;
    loop_defer(rs->loop, &rs->reaper);
}

static void close_socket(struct relay *r, bool reset)
{
    if (!(r->flags & RL_ATTACHED)) {
        if (r->on_cut)
            r->on_cut(r->maker);
        r->on_cut = NULL;
        return;
    }
    int fd = r->socket.fd;
    poller_forget(r->rs->loop, &r->socket);
    if (fd < 0)
        return;               /* attaching failed */
    sock_abortive(fd, reset); /* until here it was: our death must not look like an end */
    (void)close(fd);          /* nothing can be done about a failing close */
}

void relay_reset(struct relay *r, enum smux_reset_code code)
{
    if (r->flags & RL_DEAD)
        return;
    if (r->st) {
        smux_stream_reset(r->st, code, loop_now(r->rs->loop));
        r->st = NULL;
        link_wake(r->link);
    }
    close_socket(r, true);
    relay_die(r);
}

/* ---- half-closed relays have a time limit ---- */

static void on_timer(uv_timer_t *t);

static void arm(struct relays *rs, mtime_ms at)
{
    mtime_ms now = loop_now(rs->loop);
    if (at >= rs->timer_at)
        return;
    rs->timer_at = at;
    uv_timer_start(&rs->timer, on_timer, at > now ? (uint64_t)(at - now) : 0, 0);
}

/* Cuts those whose time has come. */
static void cut_silent(struct relays *rs, const struct list *l)
{
    for (struct list *n; (n = list_first(l));) {
        struct relay *r = LIST_ENTRY(n, struct relay, half_closed);
        if (r->cut_at > loop_now(rs->loop)) {
            arm(rs, r->cut_at);
            return;
        }
        if (r->link && link_is_detached(r->link))
            touch(r); /* nothing can move: its time begins again */
        else
            relay_reset(r, SMUX_RST_IDLE_TIMEOUT);
    }
}

static void on_timer(uv_timer_t *t)
{
    struct relays *rs = t->data;
    rs->timer_at = MTIME_NEVER;
    for (size_t i = 0; i < ARRAY_LEN(rs->half_closed); i++)
        cut_silent(rs, &rs->half_closed[i]);
}

/* Something moved, or one direction has just ended. */
static void touch(struct relay *r)
{
    struct relays *rs = r->rs;
    if (!(r->flags & (RL_EOF | RL_FIN_IN)) || r->flags & RL_DEAD)
        return;
    bool exact = r->link && link_is_exact(r->link);
    r->cut_at = loop_now(rs->loop) + (exact ? RELAY_HALF_CLOSED_EXACT_MS : RELAY_HALF_CLOSED_MS);
    list_move(&rs->half_closed[exact], &r->half_closed);
    arm(rs, r->cut_at);
}

/* ---- up: socket to stream ---- */

static void on_socket_eof(struct relay *r)
{
    r->flags |= RL_EOF;
    list_del(&r->readable);
    if (r->st) {
        smux_stream_finish(r->st, loop_now(r->rs->loop));
        link_wake(r->link);
    }
    touch(r);
    relay_check_end(r);
}

/* The result of a recv that brought nothing. */
static void on_recv_nothing(struct relay *r, ssize_t n, int errnum)
{
    if (r->flags & RL_BROKEN)
        relay_reset(
            r,
            SMUX_RST_PEER_RESET); /* after a failed write even an end of file is not a clean one */
    else if (n == 0)
        on_socket_eof(r);
    else if (errnum == EAGAIN || errnum == EINTR)
        r->flags &= ~RL_UNREAD;
    else
        relay_reset(r, SMUX_RST_PEER_RESET);
}

/* Reads and forgets a share, so that the other side of the socket can come to its end. */
static void discard(struct relay *r)
{
    uint8_t scratch[16384];
    for (int i = 0; i < RELAY_TURN_BYTES / (int)sizeof scratch; i++) {
        ssize_t n = recv(r->socket.fd, scratch, sizeof scratch, 0);
        if (n <= 0) {
            on_recv_nothing(r, n, errno);
            return;
        }
    }
}

/* The socket has something to say, as far as is known: has it read at the end of the turn. */
static void serve(struct relay *r)
{
    struct relays *rs = r->rs;
    if (!(r->flags & RL_UNREAD) || r->flags & (RL_EOF | RL_DEAD))
        return;
    if (r->flags & RL_DISCARD || !r->st) {
        list_move(&rs->discarding, &r->readable);
        loop_defer(rs->loop, &rs->discarder);
    } else if (!(r->flags & RL_PAUSED)) {
        if (list_empty(&r->readable))
            list_push(&r->link->readable, &r->readable);
        link_wake(r->link);
    }
}

static void discard_all(struct loop_job *job)
{
    struct relays *rs = CONTAINER_OF(job, struct relays, discarder);
    struct list round;
    list_init(&round);
    list_splice(&round, &rs->discarding);
    for (struct list *n; (n = list_first(&round));) {
        struct relay *r = relay_of(n);
        list_del(n);
        discard(r);
        serve(r);
    }
}

/* There is no credit, now or for good. */
static void on_no_credit(struct relay *r)
{
    if (smux_stream_peer_gone(r->st)) {
        r->flags |= RL_DISCARD;
        r->flags &= ~RL_PAUSED;
        serve(r);
    } else {
        r->flags |= RL_PAUSED;
    }
}

enum relay_progress relay_read(struct relay *r)
{
    size_t left = RELAY_TURN_BYTES;
    while (left > 0) {
        uint8_t *p;
        size_t room;
        int err = smux_stream_reserve(r->st, &p, &room);
        if (err == ERR_LIMIT)
            return RELAY_FULL;
        if (err < 0) {
            on_no_credit(r);
            return RELAY_IDLE;
        }
        ssize_t n = recv(r->socket.fd, p, room, 0);
        if (n <= 0) {
            on_recv_nothing(r, n, errno);
            return RELAY_IDLE;
        }
        smux_stream_commit(r->st, (size_t)n);
        touch(r);
        if ((size_t)n < room && !(r->flags & RL_HANGUP)) {
            r->flags &= ~RL_UNREAD; /* drained; if more has come meanwhile, an event follows */
            return RELAY_IDLE;
        }
        left = (size_t)n < left ? left - (size_t)n : 0;
    }
    return RELAY_MORE;
}

static void on_credit(struct stream_owner *o)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    r->flags &= ~RL_PAUSED;
    serve(r);
}

/* ---- down: stream to socket ---- */

static void consumed(struct relay *r, size_t n)
{
    touch(r);
    if (!r->st)
        return;
    smux_stream_consumed(r->st, n, loop_now(r->rs->loop));
    link_wake(r->link);
}

/* Writes pieces to the socket. Bytes taken, 0 if it takes none now, negative if it is broken. */
static ssize_t send_pieces(struct relay *r, struct iovec *iov, int n)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    ssize_t sent = n == 1 ? send(r->socket.fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                          : sendmsg(r->socket.fd, &m, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    return sent;
}

/* The socket takes no more. What it said before is still read and passed on; then comes the reset.
 */
static void on_write_failed(struct relay *r)
{
    r->flags |= RL_BROKEN;
    if (r->st)
        smux_stream_consumed(r->st, r->late.len, loop_now(r->rs->loop));
    backlog_clear(&r->late);
    if (r->flags & RL_EOF || !r->st) {
        relay_reset(r, SMUX_RST_PEER_RESET);
        return;
    }
    r->flags |= RL_UNREAD;
    serve(r);
}

/* Data for a socket that takes no more. */
static void drop(struct relay *r, const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        consumed(r, iov[i].iov_len);
}

static void write_or_keep(struct relay *r, struct iovec *iov, int n)
{
    size_t sent = 0;
    if (r->flags & RL_BROKEN) {
        drop(r, iov, n);
        return;
    }
    if (r->late.len == 0 && r->flags & RL_ATTACHED) {
        ssize_t done = send_pieces(r, iov, n);
        if (done < 0) {
            drop(r, iov, n);
            on_write_failed(r);
            return;
        }
        sent = (size_t)done;
        if (sent > 0)
            consumed(r, sent);
    }
    for (int i = 0; i < n; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skip;
        if (skip < iov[i].iov_len &&
            backlog_put(&r->late, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip) < 0) {
            relay_reset(r, SMUX_RST_PEER_RESET);
            return;
        }
    }
}

void relay_flush_gathered(struct link *l)
{
    struct relay *r = l->gather_to;
    int n = l->gather_n;
    l->gather_to = NULL;
    l->gather_n = 0;
    if (r)
        write_or_keep(r, l->gather, n);
}

static void on_data(struct stream_owner *o, const uint8_t *p, size_t n)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    struct link *l = r->link;
    if (l->gather_to != r || l->gather_n == LINK_GATHER_MAX)
        relay_flush_gathered(l);
    if (r->flags & RL_DEAD)
        return;
    l->gather_to = r;
    l->gather[l->gather_n++] = (struct iovec){(uint8_t *)(uintptr_t)p, n};
}

static void on_writable(struct relay *r)
{
    struct iovec pieces[2]; /* both at once: edges are told only after a send that took less */
    ssize_t n = send_pieces(r, pieces, backlog_pieces(&r->late, pieces));
    if (n < 0) {
        on_write_failed(r);
        return;
    }
    backlog_drop(&r->late, (size_t)n);
    consumed(r, (size_t)n);
    relay_check_end(r);
}

static void on_fin(struct stream_owner *o)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    relay_flush_gathered(r->link);
    if (r->flags & RL_DEAD)
        return;
    r->flags |= RL_FIN_IN;
    touch(r);
    relay_check_end(r);
    if (!(r->flags & RL_DEAD) && r->flags & RL_PAUSED && r->st)
        on_no_credit(r); /* this peer may never give any more */
}

static const char *reset_text(uint32_t code)
{
    static const char *const text[] = {
        [SMUX_RST_PEER_RESET] = "by its other end",
        [SMUX_RST_CONNECT_REFUSED] = "the service refused the connection",
        [SMUX_RST_CONNECT_TIMEOUT] = "the service did not answer",
        [SMUX_RST_BUSY] = "the other side is busy",
        [SMUX_RST_IDLE_TIMEOUT] = "nothing moved for too long",
        [SMUX_RST_STALLED] = "its reader stood still",
        [SMUX_RST_SHUTDOWN] = "the other side stops",
    };
    return code < ARRAY_LEN(text) && text[code] ? text[code] : "for a reason not known here";
}

static void on_reset(struct stream_owner *o, uint32_t code)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    if (code != SMUX_RST_UNSPECIFIED && log_enabled(LOG_LEVEL_DEBUG))
        log_debug("[%s] stream %u was reset: %s", link_peer(r->link), smux_stream_id(r->st),
                  reset_text(code));
    if (r->link->gather_to == r)
        relay_flush_gathered(r->link);
    relay_reset(r, SMUX_RST_PEER_RESET);
}

/* ---- ends ---- */

/* Tells the socket of the stream's end once everything is written; closes when both directions are
 * done. */
static void relay_check_end(struct relay *r)
{
    if (r->flags & RL_DEAD || !(r->flags & RL_ATTACHED))
        return;
    if (r->flags & RL_FIN_IN && r->late.len == 0 && !(r->flags & RL_SHUT)) {
        r->flags |= RL_SHUT;
        /* Fails only if the peer has gone: the read side tells. */
        (void)shutdown(r->socket.fd, SHUT_WR);
    }
    if (!(r->flags & RL_SHUT) || !(r->flags & RL_EOF))
        return;
    if (r->st) {
        smux_stream_close(r->st, loop_now(r->rs->loop));
        r->st = NULL;
        link_wake(r->link);
    }
    close_socket(r, false);
    relay_die(r);
}

void relay_orphan(struct relay *r)
{
    bool whole = r->flags & RL_FIN_IN && r->flags & RL_ATTACHED;
    if (r->st) {
        if (!whole)
            smux_stream_reset(r->st, SMUX_RST_SHUTDOWN, loop_now(r->rs->loop));
        r->st = NULL; /* of a whole one the session takes care */
    }
    if (!whole) {
        relay_reset(r, SMUX_RST_PEER_RESET);
        return;
    }
    list_del(&r->of_link);
    list_del(&r->readable);
    r->link = NULL;
    r->flags |= RL_DISCARD | RL_UNREAD;
    touch(r);
    serve(r);
}

/* ---- the socket ---- */

static void on_ready(struct poller_source *src, unsigned events)
{
    struct relay *r = CONTAINER_OF(src, struct relay, socket);
    if (events & POLLER_OUT && r->late.len > 0)
        on_writable(r);
    if (r->flags & RL_DEAD || !(events & POLLER_IN))
        return;
    r->flags |= RL_UNREAD | (events & POLLER_HUP ? RL_HANGUP : 0);
    if (events & POLLER_ERROR && r->flags & RL_EOF)
        relay_reset(r, SMUX_RST_PEER_RESET); /* there is nothing more to read */
    else
        serve(r);
}

/* It has a socket, if err is 0. */
static void attached(struct relay *r, int err)
{
    r->on_cut = NULL;
    r->flags |= RL_ATTACHED;
    if (err < 0)
        relay_reset(r, SMUX_RST_PEER_RESET);
    else if (r->late.len > 0)
        on_writable(r);
    relay_check_end(r);
}

void relay_attach(struct relay *r, int fd)
{
    int err = poller_add(r->rs->loop, &r->socket, fd);
    if (err < 0)
        (void)close(fd);
    attached(r, err);
}

void relay_attach_dialled(struct relay *r, struct dial_result *dialled)
{
    attached(r, dial_take_source(dialled, &r->socket));
}

struct relay *relay_new(struct relays *rs, struct link *link, struct smux_stream *st)
{
    static const struct stream_owner_ops ops = {on_data, on_fin, on_reset, on_credit};
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->owner.ops = &ops;
    r->rs = rs;
    r->link = link;
    r->st = st;
    r->socket = (struct poller_source){on_ready, -1};
    list_init(&r->of_link);
    list_init(&r->readable);
    list_init(&r->half_closed);
    list_push(&link->relays, &r->of_link);
    smux_stream_set_user(st, &r->owner);
    rs->count++;
    quota_take(rs->quota);
    return r;
}

void relay_set_maker(struct relay *r, void (*on_cut)(void *maker), void *maker)
{
    r->on_cut = on_cut;
    r->maker = maker;
}

int relays_init(struct relays *rs, struct loop *loop, struct quota *quota)
{
    memset(rs, 0, sizeof *rs);
    rs->scratch = malloc(RELAYS_SCRATCH_BYTES);
    if (!rs->scratch)
        return ERR_NOMEM;
    rs->loop = loop;
    rs->quota = quota;
    rs->windows.max = RELAYS_WINDOW_BYTES;
    rs->replay.max = RELAYS_REPLAY_BYTES;
    list_init(&rs->half_closed[0]);
    list_init(&rs->half_closed[1]);
    rs->timer_at = MTIME_NEVER;
    list_init(&rs->dead);
    list_init(&rs->discarding);
    loop_job_init(&rs->reaper, reap);
    loop_job_init(&rs->discarder, discard_all);
    uv_timer_init(&loop->uv, &rs->timer);
    rs->timer.data = rs;
    return 0;
}

void relays_cut_orphans(struct relays *rs)
{
    for (size_t i = 0; i < ARRAY_LEN(rs->half_closed); i++)
        for (struct list *n; (n = list_first(&rs->half_closed[i]));)
            relay_reset(LIST_ENTRY(n, struct relay, half_closed), SMUX_RST_SHUTDOWN);
}

void relays_fini(struct relays *rs)
{
    reap(&rs->reaper);
    loop_cancel(&rs->reaper);
    loop_cancel(&rs->discarder);
    uv_close((uv_handle_t *)&rs->timer, NULL);
    free(rs->scratch);
}
