/* SPDX-License-Identifier: MIT */
/*
 * The tunnel's bytes. OpenSSL does not see the socket: sealed records gather in memory and leave
 * with one send, and it reads ahead with large receives.
 */
#include "bench/limit.h"

#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { RECEIVES_A_TURN = 4 };

/* ---- buffers ---- */

static void make_room(struct limit_buffer *b, size_t n)
{
    if (b->len + n <= b->room)
        return;
    if (b->off) {
        memmove(b->data, b->data + b->off, b->len - b->off);
        b->len -= b->off;
        b->off = 0;
    }
    while (b->len + n > b->room)
        b->room *= 2;
    b->data = realloc(b->data, b->room);
    if (!b->data)
        limit_die("malloc");
}

/* ---- what OpenSSL calls ---- */

static int write_records(BIO *bio, const char *data, int n)
{
    struct limit *l = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    make_room(&l->records, (size_t)n);
    memcpy(l->records.data + l->records.len, data, (size_t)n);
    l->records.len += (size_t)n;
    return n;
}

/* Does not ask the kernel again when the last answer was short: then it is empty. */
static int read_records(BIO *bio, char *data, int n)
{
    struct limit *l = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (l->drained && !l->hung_up) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t r = recv(l->tunnel, data, (size_t)n, 0);
    if (r < n)
        l->drained = true;
    if (r < 0 && errno == EAGAIN)
        BIO_set_retry_read(bio);
    return (int)r;
}

static long control(BIO *bio, int command, long n, void *p)
{
    (void)bio;
    (void)n;
    (void)p;
    return command == BIO_CTRL_FLUSH;
}

static BIO *new_bio(struct limit *l)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "limit");
    if (!m || !BIO_meth_set_write(m, write_records) || !BIO_meth_set_read(m, read_records) ||
        !BIO_meth_set_ctrl(m, control))
        limit_die("BIO");
    BIO *bio = BIO_new(m);
    if (!bio)
        limit_die("BIO");
    BIO_set_data(bio, l);
    BIO_set_init(bio, 1);
    return bio;
}

void limit_tls(struct limit *l, SSL_CTX *ctx)
{
    l->frames.room = LIMIT_SLOTS * LIMIT_RECORD + 65536;
    l->records.room = LIMIT_QUEUE + l->frames.room + 65536;
    l->frames.data = malloc(l->frames.room);
    l->records.data = malloc(l->records.room);
    l->input = malloc(LIMIT_INPUT);
    l->ssl = SSL_new(ctx);
    if (!l->frames.data || !l->records.data || !l->input || !l->ssl)
        limit_die("malloc");
    BIO *bio = new_bio(l);
    SSL_set_bio(l->ssl, bio, bio);
    if (l->server)
        SSL_set_accept_state(l->ssl);
    else
        SSL_set_connect_state(l->ssl);
}

/* ---- out ---- */

size_t limit_backlog(const struct limit *l)
{
    return l->frames.len - l->frames.off + l->records.len - l->records.off;
}

static void seal(struct limit *l)
{
    struct limit_buffer *f = &l->frames;
    while (f->off < f->len) {
        size_t n = f->len - f->off;
        int r = SSL_write(l->ssl, f->data + f->off, n < LIMIT_RECORD ? (int)n : LIMIT_RECORD);
        if (r <= 0)
            limit_die("SSL_write"); /* memory takes everything */
        f->off += (size_t)r;
    }
    f->off = f->len = 0;
}

void limit_flush(struct limit *l)
{
    struct limit_buffer *r = &l->records;
    seal(l);
    while (l->writable && r->off < r->len) {
        ssize_t n = send(l->tunnel, r->data + r->off, r->len - r->off, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN)
                limit_die("send");
            l->writable = false;
            break;
        }
        if ((size_t)n < r->len - r->off)
            l->writable = false;
        r->off += (size_t)n;
    }
    if (r->off == r->len)
        r->off = r->len = 0;
}

uint8_t *limit_stage(struct limit *l, size_t n)
{
    if (l->frames.len + n > l->frames.room)
        seal(l);
    make_room(&l->frames, n);
    return l->frames.data + l->frames.len;
}

/* ---- in ---- */

static void fill(struct limit *l)
{
    while (l->input_len < LIMIT_INPUT) {
        int r = SSL_read(l->ssl, l->input + l->input_len, (int)(LIMIT_INPUT - l->input_len));
        if (r <= 0) {
            if (SSL_get_error(l->ssl, r) != SSL_ERROR_WANT_READ)
                exit(0); /* the other side has gone */
            l->readable = false;
            return;
        }
        l->input_len += (size_t)r;
    }
}

void limit_receive(struct limit *l)
{
    for (int i = 0; i < RECEIVES_A_TURN && l->readable; i++) {
        fill(l);
        limit_parse(l);
    }
}
