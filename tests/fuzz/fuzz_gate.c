/* SPDX-License-Identifier: MIT */
/*
 * Target: net/gate with proto/admission and proto/client_hello, over sockets that are a table here, in
 * virtual time. The input is a script: connections of a few sources come, with a hello in one or many
 * records, a spoiled one, or any bytes; the bytes come in pieces; peers leave, or stand still. As the
 * kernel does, an event follows when as many bytes are there as SO_RCVLOWAT says, or the end.
 *
 *   - each connection passes or is closed, once: passes with a whole hello, at the turn that has
 *     brought it, unread; is closed as no TLS if it is none, in time, or for the reason that is told;
 *   - no more wait than may, in all and of one source; nobody for longer than the patience;
 *   - a connection is looked at a bounded number of times, however its bytes come.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "fuzz/virtual.h"
#include "net/gate.h"
#include "net/sock.h"
#include "proto/client_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SOCKETS = 96,
    FIRST = 1 << 20, /* their descriptors: nobody else's */
    BYTES = CLIENT_HELLO_MAX + 64,
    SOURCES = 7,
    PATIENCE_MS = 10000,
};

enum place { NOWHERE, AT_GATE, PASSED, CLOSED };

struct socket {
    enum place place;
    uint8_t bytes[BYTES]; /* all that the peer will ever say */
    size_t there;         /* so much of it has come */
    size_t low;           /* SO_RCVLOWAT */
    bool over, failed;    /* the peer has left, or the connection broke */
    bool event;           /* is to be told */
    struct poller_source *source;
    struct sockaddr_in peer;
    mtime_ms since;
    unsigned looks, spurious;
};

enum {
    AT_ONCE = 100000
}; /* a second: nobody waits for a turn, which is proto/handshakes' matter */

static struct {
    struct loop loop;
    struct gate *gate;
    struct socket sockets[SOCKETS];
    unsigned count, max;
    struct socket *closed; /* by the last close() */
    struct socket *entering;
    const uint8_t *p;
    size_t n;
} rig;

static uint8_t next_byte(void)
{
    if (rig.n == 0)
        return 0;
    rig.n--;
    return *rig.p++;
}

static struct socket *socket_of(int fd)
{
    return fd >= FIRST && fd < FIRST + SOCKETS ? &rig.sockets[fd - FIRST] : NULL;
}

/* One of ours, which waits: nothing else may be touched. */
static struct socket *waiting_socket(int fd)
{
    struct socket *s = socket_of(fd);
    if (!s || s->place != AT_GATE)
        abort();
    return s;
}

/* ---- in place of the kernel, and of net/poller ---- */

ssize_t __real_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
    struct socket *s = socket_of(fd);
    if (!s)
        return __real_recv(fd, buf, n, flags);
    assert(s->place == AT_GATE && flags == (MSG_PEEK | MSG_DONTWAIT));
    s->looks++;
    errno = s->failed ? ECONNRESET : EAGAIN;
    if (s->there == 0)
        return s->over && !s->failed ? 0 : -1;
    n = n < s->there ? n : s->there;
    memcpy(buf, s->bytes, n);
    return (ssize_t)n;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    struct socket *s = socket_of(fd);
    if (!s)
        return __real_close(fd);
    assert(s->place == AT_GATE && !s->source);
    s->place = CLOSED;
    rig.closed = s;
    return 0;
}

static bool is_readable(const struct socket *s)
{
    return s->over || s->failed || s->there >= s->low;
}

bool __wrap_sock_has_left(int fd);
bool __wrap_sock_has_left(int fd)
{
    const struct socket *s = waiting_socket(fd);
    return s->over || s->failed;
}

void __wrap_sock_wake_at(int fd, size_t bytes);
void __wrap_sock_wake_at(int fd, size_t bytes)
{
    struct socket *s = waiting_socket(fd);
    assert(bytes > 0);
    s->low = bytes;
    s->event = s->event || is_readable(s);
}

int __wrap_poller_add(struct loop *l, struct poller_source *src, int fd);
int __wrap_poller_add(struct loop *l, struct poller_source *src, int fd)
{
    struct socket *s = waiting_socket(fd);
    (void)l;
    assert(!s->source);
    s->source = src;
    s->event = is_readable(s);
    src->fd = fd;
    return 0;
}

static void forget(struct poller_source *src)
{
    struct socket *s = waiting_socket(src->fd);
    assert(s->source == src);
    s->source = NULL;
    src->fd = -1;
}

void __wrap_poller_forget(struct loop *l, struct poller_source *src);
void __wrap_poller_forget(struct loop *l, struct poller_source *src)
{
    (void)l;
    forget(src);
}

void __wrap_poller_remove(struct loop *l, struct poller_source *src);
void __wrap_poller_remove(struct loop *l, struct poller_source *src)
{
    (void)l;
    forget(src);
}

/* ---- the owner ---- */

static enum client_hello_verdict verdict_of(const struct socket *s)
{
    return client_hello_look(s->bytes, s->there).verdict;
}

static unsigned count_waiting(const struct socket *of_source)
{
    unsigned n = 0;
    for (unsigned i = 0; i < rig.count; i++) {
        const struct socket *s = &rig.sockets[i];
        n += s->place == AT_GATE && s != rig.entering &&
             (!of_source || s->peer.sin_addr.s_addr == of_source->peer.sin_addr.s_addr);
    }
    return n;
}

static void on_pass(void *ctx, int fd, const struct sockaddr *peer, mtime_ms waited_ms)
{
    struct socket *s = waiting_socket(fd);
    assert(ctx == &rig && !s->source);
    assert(verdict_of(s) == CLIENT_HELLO_WHOLE && s->low == 1 && !s->over && !s->failed);
    assert(memcmp(peer, &s->peer, sizeof s->peer) == 0);
    assert(waited_ms == loop_now(&rig.loop) - s->since && waited_ms <= PATIENCE_MS);
    s->place = PASSED;
}

static void on_end(void *ctx, enum gate_end why, const struct sockaddr *peer)
{
    const struct socket *s = rig.closed;
    rig.closed = NULL;
    assert(ctx == &rig && s && memcmp(peer, &s->peer, sizeof s->peer) == 0);
    switch (why) {
    case GATE_NOT_TLS:
        assert(verdict_of(s) == CLIENT_HELLO_NOT);
        break;
    case GATE_LATE:
        assert(loop_now(&rig.loop) - s->since >= PATIENCE_MS);
        break;
    case GATE_CROWDED:
        assert(2 * (count_waiting(NULL) + 1) >= rig.max || count_waiting(s) + 1 >= rig.max / 4);
        break;
    case GATE_LEFT:
        assert((s->over || s->failed) && verdict_of(s) != CLIENT_HELLO_NOT);
        break;
    case GATE_REFUSED:
        abort(); /* nobody asks */
    }
}

/* ---- the peers ---- */

/* A hello of `len` bytes of message, in records of `part`. */
static void put_hello(uint8_t *to, size_t len, size_t part)
{
    size_t at = 0, room = BYTES;
    uint8_t head[] = {1, 0, (uint8_t)(len >> 8), (uint8_t)len, 3, 3};
    while (at < len + 4 && room > 5) {
        size_t n = len + 4 - at < part ? len + 4 - at : part;
        n = n < room - 5 ? n : room - 5;
        memcpy(to, (uint8_t[]){22, 3, 1, (uint8_t)(n >> 8), (uint8_t)n}, 5);
        for (size_t i = 0; i < n; i++)
            to[5 + i] = at + i < sizeof head ? head[at + i] : 7;
        to += 5 + n;
        room -= 5 + n;
        at += n;
    }
}

static void fill(struct socket *s, unsigned kind)
{
    size_t part = kind & 4 ? 1 + next_byte() * 8u : 16384;
    if (kind % 4 == 3) {
        for (size_t i = 0, n = next_byte(); i < n; i++)
            s->bytes[i] = next_byte();
        return;
    }
    put_hello(s->bytes, 40 + next_byte() * 33u, part);
    if (kind % 4 == 2)
        s->bytes[next_byte()] ^= next_byte();
}

static void more(struct socket *s, size_t n)
{
    size_t left = BYTES - s->there;
    if (s->over || s->failed)
        return;
    s->there += n < left ? n : left;
    s->event = s->event || is_readable(s);
}

static void come(unsigned how)
{
    if (rig.count == SOCKETS)
        return;
    struct socket *s = &rig.sockets[rig.count++];
    memset(s, 0, sizeof *s);
    s->place = AT_GATE;
    s->low = 1;
    s->since = loop_now(&rig.loop);
    s->peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(4711)};
    s->peer.sin_addr.s_addr = htonl(0xc0000200u | how / 8 % SOURCES);
    fill(s, how % 8);
    more(s, next_byte() * 40u);
    s->over = how >= 240;
    rig.entering = s;
    gate_enter(rig.gate, FIRST + (int)(s - rig.sockets), (struct sockaddr *)&s->peer);
    rig.entering = NULL;
}

static void leave(struct socket *s, unsigned how)
{
    s->over = how & 1;
    s->failed = !s->over;
    s->event = true;
}

static void turn(void)
{
    uv_run(&rig.loop.uv, UV_RUN_NOWAIT); /* timers come first */
    for (unsigned i = 0; i < rig.count; i++) {
        struct socket *s = &rig.sockets[i];
        while (s->source && s->event) {
            unsigned events = POLLER_OUT | (is_readable(s) ? POLLER_IN : 0);
            s->event = false;
            if (s->over || s->failed)
                events |= POLLER_HUP;
            s->source->on_ready(s->source, events);
        }
    }
    uv_run(&rig.loop.uv, UV_RUN_NOWAIT);
}

/* ---- the run ---- */

static void check(void)
{
    assert(gate_waiting(rig.gate) == count_waiting(NULL));
    assert(gate_waiting(rig.gate) <= rig.max);
    for (unsigned i = 0; i < rig.count; i++) {
        const struct socket *s = &rig.sockets[i];
        assert(s->looks <= 2 + 2 * CLIENT_HELLO_RECORDS + s->spurious);
        if (s->place != AT_GATE)
            continue;
        assert(count_waiting(s) <= rig.max / 4);
        assert(loop_now(&rig.loop) - s->since < PATIENCE_MS);
        assert(!s->over && !s->failed && verdict_of(s) != CLIENT_HELLO_WHOLE);
    }
}

static void step(unsigned what)
{
    struct socket *s = &rig.sockets[next_byte() % (rig.count ? rig.count : 1)];
    unsigned arg = next_byte();
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        come(arg);
        break;
    case 3:
        more(s, arg);
        break;
    case 4:
        more(s, arg * 64u);
        break;
    case 5:
        leave(s, arg);
        break;
    case 6:
        virtual_pass(arg * 50);
        break;
    default:
        s->event = true; /* an edge that says nothing new */
        s->spurious++;
        break;
    }
    turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct gate_events events = {on_pass, on_end, NULL, NULL, NULL};
    rig.p = data;
    rig.n = size;
    rig.count = 0;
    struct gate_config cfg = {next_byte() % 64, PATIENCE_MS, AT_ONCE, AT_ONCE};
    rig.max = cfg.max < GATE_MIN ? GATE_MIN : cfg.max;
    if (loop_init(&rig.loop) < 0 || gate_open(&rig.loop, &cfg, &events, &rig, &rig.gate) < 0)
        abort();
    while (rig.n > 0) {
        step(next_byte());
        check();
    }
    gate_close(rig.gate);
    loop_fini(&rig.loop);
    assert(virtual_handles() == 0);
    for (unsigned i = 0; i < rig.count; i++)
        assert(rig.sockets[i].place == PASSED || rig.sockets[i].place == CLOSED);
    return 0;
}
