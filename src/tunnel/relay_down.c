/* SPDX-License-Identifier: MIT */
/*
 * Stream to socket: payload is written from where it was received, with one call for many pieces;
 * what the socket does not take is copied and waits.
 */
#include <errno.h>
#include <sys/socket.h>

#include "net/sock.h"
#include "tunnel/relay_internal.h"

enum {
    IDLE_ASKED = 4, /* users, each time one wants more: work of a turn stays small */
};

/* So many bytes, from the head of what is late if there is any, have been passed on or dropped. */
static void down_consumed(struct relay *r, size_t n)
{
    size_t ours = r->prefix < n ? r->prefix : n;
    r->prefix = (uint16_t)(r->prefix - ours);
    n -= ours;
    relay_pool_touch(r);
    if (!r->st || n == 0)
        return;
    smux_stream_consumed(r->st, n, loop_now(r->rs->loop));
    session_wake(r->session);
}

/* Writes pieces to the socket. Bytes taken, 0 if it takes none now, negative if it is broken. */
static ssize_t down_send(struct relay *r, struct iovec *iov, int n)
{
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    ssize_t sent = n == 1 ? send(r->socket.fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                          : sendmsg(r->socket.fd, &m, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (r->has_visit)
        r->visit->sent += (uint64_t)sent;
    return sent;
}

/* The socket takes no more. What it said before is still read and passed on; then comes the reset.
 */
static void down_failed(struct relay *r)
{
    relay_set_down(r, DOWN_BROKEN);
    down_consumed(r, relay_late_bytes(r));
    relay_late_clear(r);
    relay_socket_failed(r);
}

/* Data for a socket that takes no more. */
static void down_drop(struct relay *r, const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++)
        down_consumed(r, iov[i].iov_len);
}

static void down_write_or_keep(struct relay *r, struct iovec *iov, int n)
{
    size_t sent = 0;
    if (r->down == DOWN_BROKEN) {
        down_drop(r, iov, n);
        return;
    }
    if (!r->late && relay_has_socket(r)) {
        ssize_t done = down_send(r, iov, n);
        if (done < 0) {
            down_drop(r, iov, n);
            down_failed(r);
            return;
        }
        sent = (size_t)done;
        if (sent > 0)
            down_consumed(r, sent);
    }
    for (int i = 0; i < n; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        sent -= skip;
        if (skip < iov[i].iov_len &&
            relay_late_put(r, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip) < 0) {
            relay_reset(r, SMUX_RST_PEER_RESET);
            return;
        }
    }
}

int relay_prefix(struct relay *r, const void *p, size_t n)
{
    if (relay_has_socket(r) || relay_late_bytes(r) > r->prefix)
        return ERR_BADSTATE;
    if (n > (size_t)UINT16_MAX - r->prefix)
        return ERR_RANGE;
    int err = relay_late_put(r, p, n);
    if (err == 0)
        r->prefix = (uint16_t)(r->prefix + n);
    return err;
}

void relay_flush_gathered(struct session *s)
{
    struct relay *r = s->gather_to;
    int n = s->gather_n;
    s->gather_to = NULL;
    s->gather_n = 0;
    if (r)
        down_write_or_keep(r, s->gather, n);
}

/* Server: a connection whose target says something has come to it; the client knows better. */
static inline void down_count(struct relay *r, size_t n)
{
    r->tally->received += n;
    if (r->is_heard)
        return;
    r->is_heard = true;
    if (r->session->cfg.is_server)
        tally_good(r->tally);
}

void relay_down_data(struct stream_owner *o, const uint8_t *p, size_t n)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    struct session *s = r->session;
    if (s->gather_to != r || s->gather_n == SESSION_GATHER_MAX)
        relay_flush_gathered(s);
    if (relay_has_ended(r))
        return;
    if (r->tally)
        down_count(r, n);
    s->gather_to = r;
    s->gather[s->gather_n++] = (struct iovec){(uint8_t *)(uintptr_t)p, n};
}

/* Nothing waits for the reader, with us or in the kernel: he has again what everybody has. Else he
   keeps it, and is asked later. */
static void down_give_back(struct relay *r)
{
    if (r->late || sock_unsent(r->socket.fd) > UNSENT_FIRST) {
        relay_pool_touch(r);
        return;
    }
    unsent_gone(&r->rs->unsent, r->unsent * UNSENT_FIRST);
    r->unsent = 1;
    sock_unsent_max(r->socket.fd, UNSENT_FIRST);
    list_del(&r->cut);
}

/* Some of those who are idle give back what others want. */
static void down_reclaim(struct relays *rs)
{
    for (int i = 0; i < IDLE_ASKED && unsent_is_scarce(&rs->unsent); i++) {
        struct list *n = list_first(&rs->unsent_by);
        struct relay *r = n ? LIST_ENTRY(n, struct relay, cut) : NULL;
        if (!r || r->cut_at > loop_now(rs->loop))
            return;
        down_give_back(r);
    }
}

/* The reader has taken some of what filled his socket. */
static void down_allow_more(struct relay *r)
{
    uint32_t own = r->unsent * UNSENT_FIRST;
    if (own == 0 || own == UNSENT_MOST)
        return;
    down_reclaim(r->rs);
    uint32_t more = unsent_more(&r->rs->unsent, own);
    if (more == own)
        return;
    r->unsent = (uint8_t)(more / UNSENT_FIRST);
    sock_unsent_max(r->socket.fd, more);
    relay_late_count(r);
}

void relay_down_writable(struct relay *r)
{
    down_allow_more(r);
    struct iovec pieces[2]; /* both at once: edges are told only after a send that took less */
    ssize_t n = down_send(r, pieces, relay_late_pieces(r, pieces));
    if (n < 0) {
        down_failed(r);
        return;
    }
    relay_late_drop(r, (size_t)n);
    down_consumed(r, (size_t)n);
    relay_check_end(r);
}

void relay_down_fin(struct stream_owner *o)
{
    struct relay *r = CONTAINER_OF(o, struct relay, owner);
    relay_flush_gathered(r->session);
    if (relay_has_ended(r))
        return;
    if (r->down == DOWN_NO_SOCKET)
        relay_set_down(r, DOWN_NO_SOCKET_FIN);
    else if (r->down == DOWN_WRITING)
        relay_set_down(r, DOWN_FIN);
    relay_pool_touch(r);
    relay_check_end(r);
    if (r->up == UP_PAUSED)
        relay_up_no_credit(r); /* this peer may never give any more */
}
