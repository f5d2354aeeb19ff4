/* SPDX-License-Identifier: MIT */
/*
 * The BIO under each SSL. Writing appends records to memory, so that many go to the kernel with one
 * send; reading goes straight from the socket into OpenSSL's buffer.
 */
#include "net/transport_bio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "net/sock.h"
#include "net/transport.h"

enum {
    /* The backlog and what one SSL_write can add: a full record and its overhead. */
    OUT_CAP = TRANSPORT_BACKLOG_MAX + (20 << 10),
    OUT_CAP_LIMITED = 4 << 10, /* a handshake needs 1 KiB, and most strangers less */
    /* libssl answers key updates and refuses renegotiation by itself: a peer that asks for ever and
       does not read must not fill our memory. */
    OUT_MAX = TRANSPORT_BACKLOG_MAX + (64 << 10),
    RECORD_HEADER = 5,                   /* type, version, length (RFC 8446, 5.1) */
    RECORD_BODY_MAX = (16 << 10) + 2048, /* RFC 5246, 6.2.3 */
};

/* Room for n more bytes. 0, or an errno. */
static int make_room(struct wire *w, size_t n)
{
    size_t cap = w->limited ? OUT_CAP_LIMITED : OUT_CAP;
    if (w->off > 0)
        memmove(w->out, w->out + w->off, w->len);
    w->off = 0;
    while (cap < w->len + n)
        cap *= 2;
    if (cap <= w->cap)
        return 0;
    uint8_t *out = realloc(w->out, cap);
    if (!out)
        return ENOMEM;
    w->out = out;
    w->cap = cap;
    return 0;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct wire *w = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if (w->len + (size_t)n > OUT_MAX) {
        w->over_output = true;
        return -1;
    }
    if (w->off + w->len + (size_t)n > w->cap && (w->errnum = make_room(w, (size_t)n)) != 0)
        return -1;
    memcpy(w->out + w->off + w->len, p, (size_t)n);
    w->len += (size_t)n;
    return n;
}

/* ---- input ---- */

/* An event comes when so many bytes are there. */
static void wake_at(struct wire *w, size_t bytes)
{
    if (w->wake_at != bytes)
        sock_wake_at(w->fd, bytes);
    w->wake_at = bytes;
}

void wire_trust(struct wire *w)
{
    w->limited = false;
    if (w->wake_at > 0)
        wake_at(w, 1);
}

/* The length of the record that begins with these n bytes, as far as they say; 0: it is none that
   libssl would wait for. */
static size_t length_of_record(const uint8_t h[RECORD_HEADER], size_t n)
{
    if (n == 0 || h[0] < 20 || h[0] > 23 || (n > 1 && h[1] != 3))
        return 0;
    if (n < RECORD_HEADER)
        return RECORD_HEADER;
    size_t body = (size_t)h[3] << 8 | h[4];
    return body <= RECORD_BODY_MAX ? RECORD_HEADER + body : 0;
}

/* While limited: whether libssl gets what there is. Not while only a part of a record is there
   (drained), nor if it is longer than what may come (over_budget), nor after a failure (errnum). */
static bool may_receive(struct wire *w)
{
    uint8_t head[RECORD_HEADER];
    int there = 0;
    if (w->record > 0 || w->hangup)
        return true;
    ssize_t n = recv(w->fd, head, sizeof head, MSG_PEEK);
    if (n < 0) { /* an error is told once */
        w->drained = errno == EAGAIN || errno == EINTR;
        w->errnum = w->drained ? 0 : errno;
        return false;
    }
    size_t need = length_of_record(head, (size_t)n);
    w->over_budget = need > w->budget;
    if (need > 0 && !w->over_budget &&
        (ioctl(w->fd, FIONREAD, &there) < 0 || (size_t)there < need)) {
        wake_at(w, need);
        w->drained = true;
        return false;
    }
    if (w->wake_at > 1)
        wake_at(w, 1);
    w->record = need;
    return !w->over_budget;
}

static int bio_read(BIO *b, char *p, int n)
{
    struct wire *w = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (n <= 0)
        return 0;
    if (w->drained || w->allowance == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t want = (size_t)n;
    if (w->limited) {
        if (!may_receive(w)) {
            if (w->drained)
                BIO_set_retry_read(b);
            return -1;
        }
        if (w->record > 0 && want > w->record)
            want = w->record;
        if (want > w->budget)
            want = w->budget;
    }
    if (want == 0) {
        w->over_budget = true;
        return -1;
    }
    ssize_t r = recv(w->fd, p, want, 0);
    if (r < 0) {
        w->drained = errno == EAGAIN || errno == EINTR;
        if (w->drained)
            BIO_set_retry_read(b);
        else
            w->errnum = errno;
        return -1;
    }
    w->eof = r == 0;
    w->drained = r > 0 && (size_t)r < want && !w->hangup;
    w->allowance -= (size_t)r < w->allowance ? (size_t)r : w->allowance;
    if (w->limited) {
        w->budget -= (uint32_t)r;
        w->record -= (size_t)r < w->record ? (size_t)r : w->record;
    }
    return (int)r;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH; /* the transport flushes; all else is not supported */
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gotunnel wire");
    if (!method)
        return;
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_ctrl);
    BIO_meth_set_create(method, bio_create);
}

BIO *wire_bio_new(struct wire *w)
{
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, make_method);
    BIO *b = method ? BIO_new(method) : NULL;
    if (b)
        BIO_set_data(b, w);
    return b;
}

int64_t wire_send(struct wire *w)
{
    int64_t total = 0;
    while (w->len > 0) {
        ssize_t n = send(w->fd, w->out + w->off, w->len, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN)
                break;
            return err_from_errno(errno);
        }
        w->off += (size_t)n;
        w->len -= (size_t)n;
        total += n;
    }
    if (w->len == 0)
        w->off = 0;
    return total;
}

void wire_discard(struct wire *w)
{
    w->off = w->len = 0;
}

void wire_trim(struct wire *w)
{
    if (w->len > 0)
        return;
    free(w->out);
    w->out = NULL;
    w->off = w->cap = 0;
}
