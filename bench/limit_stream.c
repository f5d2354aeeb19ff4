/* SPDX-License-Identifier: MIT */
/*
 * Frames, streams and local sockets. Local data is received straight into the staged frames, behind
 * the header; data from the tunnel goes to the socket from where it was opened, all pieces of one
 * stream together. Only what the socket does not take is copied.
 */
#include "bench/limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const uint32_t GONE = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

/* Payload of one stream that lies in the input. */
struct gather {
    struct limit_stream *stream;
    int n;
    struct iovec piece[LIMIT_GATHER];
};

/* ---- frames out ---- */

/* smux is little-endian, and so are the machines this is measured on. */
static void put_header(uint8_t *p, enum limit_command command, uint32_t len, uint32_t id)
{
    p[0] = 2;
    p[1] = (uint8_t)command;
    p[2] = (uint8_t)len;
    p[3] = (uint8_t)(len >> 8);
    memcpy(p + 4, &id, 4);
}

static void say(struct limit *l, enum limit_command command, uint32_t id)
{
    put_header(limit_stage(l, LIMIT_HEADER), command, 0, id);
    l->frames.len += LIMIT_HEADER;
}

/* n more bytes have reached the local socket. */
static void consumed(struct limit *l, struct limit_stream *s, uint32_t n)
{
    s->used += n;
    if (s->used - s->used_told < LIMIT_UPDATE || s->fin_in)
        return;
    const uint32_t window = LIMIT_WINDOW;
    uint8_t *p = limit_stage(l, LIMIT_HEADER + 8);
    put_header(p, LIMIT_UPD, 8, s->id);
    memcpy(p + LIMIT_HEADER, &s->used, 4);
    memcpy(p + LIMIT_HEADER + 4, &window, 4);
    l->frames.len += LIMIT_HEADER + 8;
    s->used_told = s->used;
}

/* ---- the life of a stream ---- */

/* Where a pointer to the stream stands, or would stand. */
static struct limit_stream **place(struct limit *l, uint32_t id)
{
    struct limit_stream **p = &l->buckets[(id >> 1) % LIMIT_BUCKETS];
    while (*p && (*p)->id != id)
        p = &(*p)->next;
    return p;
}

static struct limit_stream *add(struct limit *l, int fd, uint32_t id)
{
    struct limit_stream *s = calloc(1, sizeof *s), **p = place(l, id);
    int one = 1;
    if (!s)
        limit_die("malloc");
    s->fd = fd;
    s->id = id;
    s->peer_window = LIMIT_WINDOW;
    s->slots = 1;
    s->writable = true;
    s->next = *p;
    *p = s;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        epoll_ctl(l->poller, EPOLL_CTL_ADD, fd, &e))
        limit_die("epoll_ctl");
    return s;
}

static void queue(struct limit *l, struct limit_stream *s)
{
    if (s->queued || s->dead)
        return;
    s->queued = true;
    s->ready = NULL;
    *l->ready_tail = s;
    l->ready_tail = &s->ready;
}

static void bury(struct limit *l, struct limit_stream *s)
{
    if (s->dead)
        return;
    *place(l, s->id) = s->next;
    close(s->fd);
    free(s->kept);
    s->kept = NULL;
    s->dead = true;
    if (l->current == s)
        l->current = NULL;
    s->next = l->graveyard;
    l->graveyard = s;
}

void limit_reap(struct limit *l)
{
    struct limit_stream **p = &l->graveyard;
    while (*p) {
        struct limit_stream *s = *p;
        if (s->queued) {
            p = &s->next;
        } else {
            *p = s->next;
            free(s);
        }
    }
}

static void maybe_end(struct limit *l, struct limit_stream *s)
{
    if (s->fin_in && !s->kept_len && !s->shut) {
        s->shut = true;
        if (!s->connecting)
            shutdown(s->fd, SHUT_WR);
    }
    if (s->fin_in && s->fin_out && !s->kept_len)
        bury(l, s);
}

static void finish(struct limit *l, struct limit_stream *s)
{
    if (s->fin_out)
        return;
    s->fin_out = true;
    say(l, LIMIT_FIN, s->id);
}

static void give_up(struct limit *l, struct limit_stream *s)
{
    finish(l, s);
    bury(l, s);
}

void limit_open(struct limit *l, int fd)
{
    struct limit_stream *s = add(l, fd, l->next_id += 2);
    say(l, LIMIT_SYN, s->id);
    s->readable = true;
    queue(l, s);
}

static void opened_by_peer(struct limit *l, uint32_t id)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)l->local_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        limit_die("socket");
    bool waits = connect(fd, (struct sockaddr *)&a, sizeof a) < 0;
    if (waits && errno != EINPROGRESS) {
        close(fd);
        say(l, LIMIT_FIN, id);
        return;
    }
    struct limit_stream *s = add(l, fd, id);
    s->connecting = waits;
    s->writable = !waits;
}

/* ---- from the tunnel to local sockets ---- */

static void keep(struct limit_stream *s, const uint8_t *data, size_t n)
{
    if (s->kept_off + s->kept_len + n > s->kept_room) {
        if (s->kept_off)
            memmove(s->kept, s->kept + s->kept_off, s->kept_len);
        s->kept_off = 0;
        if (!s->kept_room)
            s->kept_room = 4096;
        while (s->kept_len + n > s->kept_room)
            s->kept_room *= 2;
        s->kept = realloc(s->kept, s->kept_room);
        if (!s->kept)
            limit_die("malloc");
    }
    memcpy(s->kept + s->kept_off + s->kept_len, data, n);
    s->kept_len += (uint32_t)n;
}

static void drain(struct limit *l, struct limit_stream *s)
{
    while (s->kept_len && s->writable && !s->connecting) {
        ssize_t n = send(s->fd, s->kept + s->kept_off, s->kept_len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            give_up(l, s);
            return;
        }
        if (n < (ssize_t)s->kept_len)
            s->writable = false;
        if (n < 0)
            break;
        s->kept_off += (uint32_t)n;
        s->kept_len -= (uint32_t)n;
        consumed(l, s, (uint32_t)n);
    }
    if (!s->kept_len) {
        free(s->kept);
        s->kept = NULL;
        s->kept_room = s->kept_off = 0;
    }
    maybe_end(l, s);
}

static ssize_t write_pieces(struct gather *g)
{
    struct msghdr m = {.msg_iov = g->piece, .msg_iovlen = (size_t)g->n};
    if (g->n == 1)
        return send(g->stream->fd, g->piece[0].iov_base, g->piece[0].iov_len, MSG_NOSIGNAL);
    return sendmsg(g->stream->fd, &m, MSG_NOSIGNAL);
}

/* Keeps what is left of the pieces after n bytes. */
static void keep_rest(struct gather *g, size_t n)
{
    int i = 0;
    for (; i < g->n && n >= g->piece[i].iov_len; i++)
        n -= g->piece[i].iov_len;
    if (i < g->n)
        g->stream->writable = false;
    for (; i < g->n; i++, n = 0)
        keep(g->stream, (uint8_t *)g->piece[i].iov_base + n, g->piece[i].iov_len - n);
}

static void deliver(struct limit *l, struct gather *g)
{
    struct limit_stream *s = g->stream;
    if (s && !s->dead) {
        ssize_t n = 0;
        if (!s->kept_len && s->writable && !s->connecting) {
            n = write_pieces(g);
            if (n < 0 && errno != EAGAIN) {
                give_up(l, s);
                n = 0;
            }
        }
        if (n > 0)
            consumed(l, s, (uint32_t)n);
        if (!s->dead)
            keep_rest(g, n > 0 ? (size_t)n : 0);
    }
    g->stream = NULL;
    g->n = 0;
}

static size_t take_payload(struct limit *l, struct gather *g, uint8_t *p, size_t n)
{
    if (n > l->current_left)
        n = l->current_left;
    l->current_left -= (uint32_t)n;
    if (!l->current || l->current->dead)
        return n;
    if (g->stream != l->current || g->n == LIMIT_GATHER)
        deliver(l, g);
    if (!l->current)
        return n;
    g->stream = l->current;
    g->piece[g->n++] = (struct iovec){p, n};
    return n;
}

static void take_update(struct limit *l, uint32_t id, const uint8_t *p)
{
    struct limit_stream *s = *place(l, id);
    if (!s)
        return;
    memcpy(&s->peer_used, p, 4);
    memcpy(&s->peer_window, p + 4, 4);
    if (!s->blocked)
        return;
    s->blocked = false;
    if (s->readable)
        queue(l, s);
}

static void take_fin(struct limit *l, struct gather *g, uint32_t id)
{
    struct limit_stream *s = *place(l, id);
    if (!s)
        return;
    if (g->stream == s)
        deliver(l, g);
    if (s->dead)
        return;
    s->fin_in = true;
    maybe_end(l, s);
}

/* One frame header, and all of the frame unless it has payload. Bytes, 0 if not all is there. */
static size_t take_frame(struct limit *l, struct gather *g, const uint8_t *p, size_t n)
{
    uint32_t len = p[2] | (uint32_t)p[3] << 8, id;
    memcpy(&id, p + 4, 4);
    if (p[0] != 2)
        limit_die("bad frame");
    if (p[1] == LIMIT_UPD) {
        if (n < LIMIT_HEADER + 8)
            return 0;
        take_update(l, id, p + LIMIT_HEADER);
        return LIMIT_HEADER + 8;
    }
    if (p[1] == LIMIT_PSH) {
        l->current = *place(l, id);
        l->current_left = len;
    } else if (p[1] == LIMIT_SYN) {
        opened_by_peer(l, id);
    } else if (p[1] == LIMIT_FIN) {
        take_fin(l, g, id);
    }
    return LIMIT_HEADER;
}

void limit_parse(struct limit *l)
{
    struct gather g;
    uint8_t *p = l->input, *end = l->input + l->input_len;
    g.stream = NULL;
    g.n = 0;
    while (p < end) {
        size_t n = 0, left = (size_t)(end - p);
        if (l->current_left)
            n = take_payload(l, &g, p, left);
        else if (left >= LIMIT_HEADER)
            n = take_frame(l, &g, p, left);
        if (!n)
            break;
        p += n;
    }
    deliver(l, &g);
    l->input_len = (size_t)(end - p);
    memmove(l->input, p, l->input_len);
}

/* ---- from local sockets to the tunnel ---- */

/* Receives up to `want` bytes into the staged frames, each behind the place of its header. */
static ssize_t receive(struct limit *l, struct limit_stream *s, size_t want)
{
    struct iovec v[LIMIT_SLOTS];
    size_t slots = (want + LIMIT_FRAME - 1) / LIMIT_FRAME, left = want;
    uint8_t *base = limit_stage(l, slots * LIMIT_RECORD);
    for (size_t i = 0; i < slots; i++) {
        size_t n = left < LIMIT_FRAME ? left : LIMIT_FRAME;
        v[i] = (struct iovec){base + i * LIMIT_RECORD + LIMIT_HEADER, n};
        left -= n;
    }
    return slots == 1 ? recv(s->fd, v[0].iov_base, v[0].iov_len, 0) : readv(s->fd, v, (int)slots);
}

/* n bytes lie behind the places of their headers: make frames of them. */
static void commit(struct limit *l, struct limit_stream *s, size_t n)
{
    s->sent += (uint32_t)n;
    while (n) {
        size_t piece = n < LIMIT_FRAME ? n : LIMIT_FRAME;
        put_header(l->frames.data + l->frames.len, LIMIT_PSH, (uint32_t)piece, s->id);
        l->frames.len += LIMIT_HEADER + piece;
        n -= piece;
    }
}

/* False when there is nothing more to read for now. */
static bool read_some(struct limit *l, struct limit_stream *s, size_t *turn)
{
    int32_t allowed = (int32_t)(s->peer_window - (s->sent - s->peer_used));
    if (allowed <= 0) {
        s->blocked = true;
        return false;
    }
    size_t want = s->slots * (size_t)LIMIT_FRAME;
    if (want > (size_t)allowed)
        want = (size_t)allowed;
    ssize_t n = receive(l, s, want);
    if (n <= 0) {
        s->readable = false;
        if (n < 0 && errno != EAGAIN)
            give_up(l, s);
        if (n == 0) {
            finish(l, s);
            maybe_end(l, s);
        }
        return false;
    }
    if ((size_t)n == want)
        s->slots = s->slots * 2 < LIMIT_SLOTS ? (uint8_t)(s->slots * 2) : LIMIT_SLOTS;
    else if (!s->hung_up)
        s->readable = false;
    if (n < LIMIT_FRAME)
        s->slots = 1;
    *turn -= (size_t)n < *turn ? (size_t)n : *turn;
    commit(l, s, (size_t)n);
    return true;
}

static void read_stream(struct limit *l, struct limit_stream *s)
{
    size_t turn = LIMIT_TURN;
    while (s->readable && !s->dead && turn) {
        if (!read_some(l, s, &turn))
            break;
        if (l->frames.len - l->frames.off < LIMIT_QUEUE)
            continue;
        limit_flush(l);
        if (limit_backlog(l) >= LIMIT_QUEUE || !l->writable)
            break;
    }
    if (s->readable && !s->dead && !s->blocked)
        queue(l, s);
}

/* Streams that become readable again during the round wait for the next one. */
void limit_run_ready(struct limit *l)
{
    struct limit_stream *last = l->ready_head;
    while (last && last->ready)
        last = last->ready;
    while (l->ready_head && limit_backlog(l) < LIMIT_QUEUE) {
        struct limit_stream *s = l->ready_head;
        l->ready_head = s->ready;
        if (!s->ready)
            l->ready_tail = &l->ready_head;
        s->queued = false;
        if (!s->dead && s->readable && !s->blocked)
            read_stream(l, s);
        if (s == last)
            break;
    }
}

/* ---- events ---- */

static bool connected(struct limit *l, struct limit_stream *s)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error) {
        give_up(l, s);
        return false;
    }
    s->connecting = false;
    if (s->shut && !s->kept_len)
        shutdown(s->fd, SHUT_WR);
    return true;
}

void limit_stream_event(struct limit *l, struct limit_stream *s, uint32_t events)
{
    if (s->dead)
        return;
    if (s->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && !connected(l, s))
        return;
    if (events & GONE)
        s->hung_up = true;
    if (events & (EPOLLIN | GONE)) {
        s->readable = true;
        if (!s->blocked)
            queue(l, s);
    }
    if (events & EPOLLOUT) {
        s->writable = true;
        if (s->kept_len)
            drain(l, s);
        else if (s->fin_in)
            maybe_end(l, s);
    }
}
