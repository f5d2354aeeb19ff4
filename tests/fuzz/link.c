/* SPDX-License-Identifier: MIT */
/* One end of a link, and a far side that can say anything: see link.h. */
#include "link.h"

#include <assert.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/session/waiting.h"
#include "virtual.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
size_t __sanitizer_get_current_allocated_bytes(void); /* gcc has no header for it */
#define HEAP_USED() __sanitizer_get_current_allocated_bytes()
#else
#define HEAP_USED() mallinfo2().uordblks
#endif

const uint8_t link_exporter[HELLO_EXPORTER_BYTES] = {
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};

/* ---- what would differ from run to run ---- */

static uint8_t random_byte;

int RAND_bytes(unsigned char *buf, int n)
{
    memset(buf, ++random_byte, (size_t)n);
    return 1;
}

/* ---- the input ---- */

uint8_t script_byte(struct script *s)
{
    if (s->n == 0)
        return 0;
    s->n--;
    return *s->p++;
}

unsigned script_word(struct script *s)
{
    unsigned high = script_byte(s);
    return high << 8 | script_byte(s);
}

const uint8_t *script_bytes(struct script *s, size_t *ret_n)
{
    size_t n = script_byte(s);
    const uint8_t *p = s->p;
    *ret_n = n < s->n ? n : s->n;
    s->p += *ret_n;
    s->n -= *ret_n;
    return p;
}

/* ---- this end ---- */

static unsigned count_transports(void)
{
    unsigned n = 0;
    for (const struct transport *t = stub_newest(); t; t = t->next)
        n++;
    return n;
}

size_t link_heap(const struct link_end *e)
{
    size_t now = HEAP_USED(), buffers = count_transports() * sizeof(struct transport);
    return now > e->heap + buffers ? now - e->heap - buffers : 0;
}

/* What libraries keep from their first call on is no leak, and nobody's memory. */
static void warm_up(void)
{
    struct hello_keys keys;
    struct hello_request q = {.op = HELLO_OPEN, .id = "warm"};
    char line[HELLO_MAX];
    json_object_seed(1);
    log_set_level(LOG_LEVEL_ASKED);
    int n = hello_keys_init(&keys, LINK_SECRET, strlen(LINK_SECRET), link_exporter);
    if (n == 0)
        n = hello_open_write(line, &q, &keys, NULL);
    if (n < 0 || !hello_open_verify((struct hello_text){line, (size_t)n - 1}, &keys))
        abort();
}

void link_begin(struct link_end *e, const uint8_t *data, size_t size)
{
    static bool is_warm;
    if (!is_warm)
        warm_up();
    is_warm = true;
    random_byte = 0;
    *e = (struct link_end){.script = {data, size}};
    for (size_t i = 0; i < LINK_USERS; i++)
        e->users[i] = -1;
    quota_init(&e->quota, 100);
    if (loop_init(&e->loop) < 0 || relays_init(&e->relays, &e->loop, &e->quota) < 0)
        abort();
    relays_memory(&e->relays, LINK_MEMORY, NULL);
    e->heap = HEAP_USED();
}

void link_finish(struct link_end *e)
{
    relays_cut_orphans(&e->relays);
    link_turn(e);
    assert(e->relays.count == 0 && quota_used(&e->quota) == 0);
    assert(e->relays.late->bytes == 0);
    for (size_t i = 0; i < LINK_USERS; i++)
        if (e->users[i] >= 0)
            (void)close(e->users[i]); /* nothing is lost with it */
    for (const struct transport *t = stub_newest(); t; t = t->next)
        assert(t->closed && !t->released);
    relays_fini(&e->relays);
    loop_fini(&e->loop);
    assert(virtual_handles() == 0);
    stub_free_all();
}

/* What the far side takes is gone. */
static void drain(const struct link_end *e)
{
    for (struct transport *t = stub_newest(); t; t = t->next) {
        if (t->full)
            continue;
        if (t->out_len > 0 && e->on_output)
            e->on_output(t);
        t->out_len = 0;
    }
}

void link_turn(struct link_end *e)
{
    stub_turn(&e->loop);
    drain(e);
    /* One connection may keep more: it is never the only one that is cut. */
    const struct waiting *late = e->relays.late;
    assert(!waiting_exceeds(late) || late->count <= 1);
}

void link_pass(struct link_end *e, unsigned how)
{
    mtime_ms now = loop_now(&e->loop), due = virtual_deadline();
    mtime_ms ms = script_byte(&e->script);
    if (how == 0 && due != MTIME_NEVER)
        ms = due > now ? due - now : 0;
    else if (how == 1)
        ms *= 100;
    virtual_pass(ms);
    link_turn(e);
}

void link_silence(struct link_end *e, bool (*is_over)(void), void (*each)(void))
{
    mtime_ms now = loop_now(&e->loop), last = now + LINK_SILENCE_MS, due;
    for (; !is_over() && (due = virtual_deadline()) != MTIME_NEVER; now = loop_now(&e->loop)) {
        virtual_pass(due > now ? due - now : 0);
        link_turn(e);
        each();
        assert(loop_now(&e->loop) < last);
    }
    assert(is_over());
}

/* ---- users ---- */

int link_user(struct link_end *e)
{
    int pair[2];
    size_t i = 0;
    while (i < LINK_USERS && e->users[i] >= 0)
        i++;
    if (i == LINK_USERS ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return ERR_LIMIT;
    e->users[i] = pair[0];
    return pair[1];
}

void link_user_acts(struct link_end *e)
{
    static uint8_t bytes[64 << 10];
    int *fd = &e->users[script_byte(&e->script) % LINK_USERS];
    unsigned what = script_byte(&e->script);
    size_t n = what / 4 * 1000;
    if (*fd < 0)
        return;
    switch (what % 4) {
    case 0:
        (void)send(*fd, bytes, n, MSG_NOSIGNAL); /* as much as goes */
        break;
    case 1:
        (void)recv(*fd, bytes, n + 1, 0);
        break;
    case 2:
        (void)shutdown(*fd, SHUT_WR);
        break;
    default:
        (void)close(*fd); /* with bytes unread: as a reset */
        *fd = -1;
        break;
    }
    link_turn(e);
}

/* ---- the far side ---- */

bool peer_is_there(const struct transport *t)
{
    return t && !t->closed && !t->error;
}

void peer_says(struct transport *t, const void *p, size_t n)
{
    if (peer_is_there(t) && n <= STUB_BUF - t->in_len)
        stub_feed(t, p, n);
}

void peer_puts(struct transport *t, uint8_t version, enum smux_cmd cmd, uint32_t sid, const void *p,
               size_t n)
{
    static uint8_t frame[SMUX_HEADER_BYTES + UINT16_MAX];
    smux_header_put(frame, version, cmd, (uint16_t)n, sid);
    if (n > 0)
        memcpy(frame + SMUX_HEADER_BYTES, p, n);
    peer_says(t, frame, SMUX_HEADER_BYTES + n);
}

void peer_frame(struct link_end *e, struct transport *t)
{
    static const uint8_t lens[] = {0, 0, 0, 0, 8, 4, 8, 8, 8, 8};
    static const uint8_t zeros[UINT16_MAX];
    struct script *s = &e->script;
    unsigned what = script_byte(s);
    enum smux_cmd cmd = (enum smux_cmd)(what % 10);
    bool of_session = cmd == SMUX_NOP || cmd >= SMUX_ACK;
    uint32_t sid = of_session ? 0 : 1 + what / 10;
    uint8_t payload[SMUX_FIXED_BYTES] = {0};
    if (cmd == SMUX_SYN && t->is_v2) { /* whose sessions have services: a stream of the first one */
        static const uint8_t open[] = {1, 0, 0, 0, 0, 0, 0, 0};
        peer_puts(t, 3, SMUX_OPEN, sid, open, sizeof open);
        return;
    }
    if (cmd == SMUX_PSH) {
        peer_puts(t, t->is_v2 ? 3 : 2, cmd, sid, zeros, script_word(s));
        return;
    }
    for (size_t i = 0; i < lens[cmd]; i++)
        payload[i] = i < 4 ? script_byte(s) : 0; /* small counts, most often */
    peer_puts(t, t->is_v2 ? 3 : 2, cmd, sid, payload, lens[cmd]);
}

void peer_acts(struct link_end *e, struct transport *t)
{
    static const int errors[] = {ERR_EOF, ERR_RESET, ERR_TLS, ERR_LIMIT, ERR_TIMEOUT};
    static const struct errmsg why = {"by the script"};
    unsigned what = script_byte(&e->script), arg = what / 4;
    if (!peer_is_there(t) || t->released)
        return;
    switch (what % 4) {
    case 0:
        stub_fail(t, errors[arg % ARRAY_LEN(errors)]);
        break;
    case 1:
        t->error = errors[arg % ARRAY_LEN(errors)];
        t->ev->on_error(t->ctx, t->error, &why);
        break;
    case 2:
        t->full = !t->full;
        t->queue.waiting = t->full ? arg * 4096u : 0;
        if (!t->full)
            t->ev->on_writable(t->ctx);
        break;
    default:
        t->queue.sent += arg * 1000u;
        t->route_changed = arg & 1;
        break;
    }
    link_turn(e);
}

void peer_does(struct link_end *e, struct transport *t, unsigned what)
{
    if (what == 5) {
        peer_frame(e, t);
    } else if (what == 0) {
        size_t n;
        const uint8_t *p = script_bytes(&e->script, &n);
        peer_says(t, p, n);
    } else {
        peer_acts(e, t);
    }
}
