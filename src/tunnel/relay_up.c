/* SPDX-License-Identifier: MIT */
/*
 * Socket to stream: what a socket says is received straight into the session's outgoing ring, a
 * share in each turn, as long as the peer gives credit.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "tunnel/relay_internal.h"

enum { READ_FRAMES = TURN_SHARE / SMUX_FRAME_PAYLOAD }; /* at most with one system call */

static void up_eof(struct relay *r)
{
    relay_set_up(r, UP_EOF);
    turn_idle(&r->reader);
    if (r->st) {
        smux_stream_finish(r->st, loop_now(r->rs->loop));
        session_wake(r->session);
    }
    relay_pool_touch(r);
    relay_check_end(r);
}

/* The result of a recv that brought nothing. */
static void up_nothing(struct relay *r, ssize_t n, int errnum)
{
    if (r->failed) /* then even an end of file is not a clean one */
        relay_reset(r, SMUX_RST_PEER_RESET);
    else if (n == 0)
        up_eof(r);
    else if (errnum != EAGAIN && errnum != EINTR)
        relay_reset(r, SMUX_RST_PEER_RESET);
}

/* Reads and forgets a share, so that the other side of the socket can come to its end. */
static void up_discard(struct relay *r)
{
    uint8_t scratch[16384];
    for (int i = 0; i < TURN_SHARE / (int)sizeof scratch; i++) {
        ssize_t n = recv(r->socket.fd, scratch, sizeof scratch, 0);
        if (n <= 0) {
            up_nothing(r, n, errno);
            return;
        }
    }
    relay_up_wake(r);
}

void relay_up_discard_all(struct loop_job *job)
{
    struct relays *rs = CONTAINER_OF(job, struct relays, discarder);
    struct list round;
    list_init(&round);
    list_splice(&round, &rs->discarding);
    for (struct list *n; (n = list_first(&round));) {
        list_del(n);
        up_discard(LIST_ENTRY(n, struct relay, reader.node));
    }
}

void relay_up_wake(struct relay *r)
{
    struct relays *rs = r->rs;
    if (r->up == UP_DROPPING) {
        list_move(&rs->discarding, &r->reader.node);
        loop_defer(rs->loop, &rs->discarder);
    } else if (r->up == UP_READING) {
        turn_ready(&r->session->readers, &r->reader);
        session_wake(r->session);
    } else if (r->up == UP_PAUSED && relay_short_is_due(rs)) {
        session_wake(r->session); /* it has been sent more */
    }
}

void relay_up_no_credit(struct relay *r)
{
    bool gone = smux_stream_peer_gone(r->st);
    if (gone || r->up == UP_READING)
        relay_set_up(r, gone ? UP_DROPPING : UP_PAUSED);
    if (r->up == UP_PAUSED && list_empty(&r->reader.node))
        list_push(&r->rs->paused, &r->reader.node);
    relay_up_wake(r);
}

void relay_up_credit(struct stream_owner *o)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    if (r->up == UP_PAUSED) {
        turn_idle(&r->reader);
        relay_set_up(r, UP_READING);
    }
    relay_up_wake(r);
}

/* How much is read at once: of a socket that always has more, many frames. */
static size_t up_most(const struct relay *r)
{
    size_t frames = turn_frames_left(&r->reader);
    if (!r->is_bulk)
        return SMUX_FRAME_PAYLOAD;
    return (frames < READ_FRAMES ? frames : READ_FRAMES) * SMUX_FRAME_PAYLOAD;
}

/* Into the room that smux_stream_reserve_frames() gave. */
static ssize_t up_receive(struct relay *r, uint8_t *p, size_t room)
{
    struct iovec pieces[READ_FRAMES];
    int n = 0;
    if (room <= SMUX_FRAME_PAYLOAD)
        return recv(r->socket.fd, p, room, 0);
    for (; room > 0; n++) {
        size_t part = room < SMUX_FRAME_PAYLOAD ? room : SMUX_FRAME_PAYLOAD;
        pieces[n] = (struct iovec){p + (size_t)n * SMUX_FRAME_BYTES, part};
        room -= part;
    }
    return readv(r->socket.fd, pieces, n);
}

enum relay_progress relay_read(struct turn_node *reader)
{
    struct relay *r = CONTAINER_OF(reader, struct relay, reader);
    while (turn_has_share(reader)) {
        uint8_t *p;
        size_t room;
        int err = smux_stream_reserve_frames(r->st, up_most(r), &p, &room);
        if (err == ERR_LIMIT)
            return RELAY_FULL;
        if (err < 0) {
            turn_idle(reader);
            relay_up_no_credit(r);
            return RELAY_IDLE;
        }
        ssize_t n = up_receive(r, p, room);
        r->is_bulk = n == (ssize_t)room;
        if (n <= 0) {
            turn_idle(reader);
            up_nothing(r, n, errno);
            return RELAY_IDLE;
        }
        smux_stream_commit(r->st, (size_t)n);
        r->session->sent += (uint64_t)n;
        r->rs->sent += (uint64_t)n;
        if (r->tally)
            r->tally->sent += (uint64_t)n;
        if (r->has_visit)
            r->visit->received += (uint64_t)n;
        relay_pool_touch(r);
        bool drained = (size_t)n < room && !r->hangup && !r->failed;
        if (drained)
            turn_idle(reader); /* if more has come meanwhile, an event follows */
        turn_spend(&r->session->readers, reader, (size_t)n);
        if (drained)
            return RELAY_IDLE;
    }
    return RELAY_MORE;
}
