/* SPDX-License-Identifier: MIT */
/* net/transport without a network: see stub.h. */
#include "stub.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/address.h"
#include "base/err.h"

static struct transport *all;

struct transport *stub_newest(void)
{
    return all;
}

void stub_free_all(void)
{
    while (all) {
        struct transport *t = all;
        all = t->next;
        free(t);
    }
}

void stub_turn(struct loop *loop)
{
    for (int i = 0; i < 4; i++) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
        for (struct transport *t = all; t; t = t->next) {
            bool later = t->wants_read && !t->closed && !t->released;
            t->wants_read = false;
            if (later)
                t->ev->on_readable(t->ctx);
        }
    }
}

void stub_ready(struct transport *t, bool is_v2)
{
    t->is_v2 = is_v2;
    t->ev->on_ready(t->ctx);
    stub_turn(t->loop);
}

void stub_feed(struct transport *t, const void *p, size_t n)
{
    if (t->in_at == t->in_len)
        t->in_at = t->in_len = 0;
    if (n > STUB_BUF - t->in_len)
        abort();
    memcpy(t->in + t->in_len, p, n);
    t->in_len += n;
    if (!t->closed && !t->released)
        t->ev->on_readable(t->ctx);
    stub_turn(t->loop);
}

void stub_fail(struct transport *t, int err)
{
    t->error = err;
    if (!t->closed)
        t->ev->on_readable(t->ctx);
    stub_turn(t->loop);
}

static bool carry(struct transport *from, struct transport *to)
{
    size_t n = from->out_len;
    if (n == 0)
        return false;
    from->out_len = 0;
    static uint8_t copy[STUB_BUF];
    memcpy(copy, from->out, n);
    stub_feed(to, copy, n);
    return true;
}

void stub_join(struct transport *a, struct transport *b)
{
    bool moved = true;
    for (int i = 0; i < 1000 && moved; i++) {
        stub_turn(a->loop);
        moved = carry(a, b);
        moved |= carry(b, a);
    }
}

/* ---- net/transport.h ---- */

int transport_new(struct loop *loop, int fd, SSL_CTX *ctx, bool is_server,
                  const struct transport_events *ev, void *ev_ctx, struct transport **ret)
{
    (void)ctx;
    struct transport *t = calloc(1, sizeof *t);
    if (!t)
        abort();
    if (fd >= 0)
        (void)close(fd);
    t->loop = loop;
    t->is_server = is_server;
    t->ev = ev;
    t->ctx = ev_ctx;
    t->record_max = TRANSPORT_RECORD_MAX;
    t->next = all;
    all = t;
    *ret = t;
    return 0;
}

void transport_trust(struct transport *t)
{
    t->trusted = true;
}

ssize_t transport_read(struct transport *t, void *buf, size_t n, struct errmsg *why)
{
    size_t here = t->in_len - t->in_at;
    if (here == 0)
        return t->error ? errmsg_set(why, t->error, "%s", "stub") : ERR_AGAIN;
    n = n < here ? n : here;
    memcpy(buf, t->in + t->in_at, n);
    t->in_at += n;
    return (ssize_t)n;
}

void transport_idle(struct transport *t)
{
    (void)t;
}

void transport_read_later(struct transport *t)
{
    t->read_later++;
    t->wants_read = true;
}

ssize_t transport_write(struct transport *t, const void *p, size_t n)
{
    if (t->closed || t->full)
        return t->full ? 0 : ERR_BADSTATE;
    if (n > STUB_BUF - t->out_len)
        n = STUB_BUF - t->out_len;
    if (n > t->longest) {
        t->longest = n;
        t->longest_record_max = t->record_max;
    }
    memcpy(t->out + t->out_len, p, n);
    t->out_len += n;
    return (ssize_t)n;
}

void transport_flush(struct transport *t)
{
    (void)t;
}

struct transport_queue transport_queue(const struct transport *t)
{
    return t->queue;
}

void transport_set_unsent_max(struct transport *t, size_t bytes)
{
    (void)t;
    (void)bytes;
}

void transport_set_record_max(struct transport *t, size_t bytes)
{
    t->record_max = bytes;
}

void transport_tell_sent(struct transport *t)
{
    (void)t;
}

bool transport_writable(const struct transport *t)
{
    return !t->full;
}

bool transport_speaks(const struct transport *t, const char *alpn)
{
    return t->is_v2 && strcmp(alpn, "gotunnel/2") == 0;
}

int transport_export(const struct transport *t, const char *label, uint8_t *ret, size_t n)
{
    (void)label;
    memset(ret, 7, n);
    return t->no_export ? ERR_TLS : 0;
}

int transport_ca_key(const struct transport *t, uint8_t ret[TRANSPORT_CA_BYTES])
{
    memset(ret, 9, TRANSPORT_CA_BYTES);
    return t->no_export ? ERR_TLS : 0;
}

void transport_user_timeout(struct transport *t, int ms)
{
    (void)t;
    (void)ms;
}

bool transport_route_changed(const struct transport *t)
{
    return t->route_changed;
}

void transport_set_owner(struct transport *t, const struct transport_events *ev, void *ev_ctx)
{
    t->ev = ev;
    t->ctx = ev_ctx;
}

void transport_release(struct transport *t)
{
    t->released = true;
}

int transport_adopt(struct transport *t, struct loop *loop, const struct transport_events *ev,
                    void *ev_ctx)
{
    t->released = false;
    t->loop = loop;
    transport_set_owner(t, ev, ev_ctx);
    return 0;
}

void transport_set_peer(struct transport *t, const struct address *peer)
{
    t->named = *peer;
    sock_address_name(t->name, peer);
}

const char *transport_peer(const struct transport *t)
{
    if (t->named.family != ADDRESS_NONE)
        return t->name;
    return t->is_server ? "192.0.2.7:50122" : "203.0.113.5:7000";
}

const struct address *transport_peer_address(const struct transport *t)
{
    static const struct address at = {ADDRESS_IPV4, 7000, 0, {203, 0, 113, 5}};
    (void)t;
    return &at;
}

const char *transport_describe(const struct transport *t)
{
    (void)t;
    return "TLSv1.3 stub";
}

void transport_close(struct transport *t)
{
    if (t)
        t->closed = true;
}
