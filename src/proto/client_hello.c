/* SPDX-License-Identifier: MIT */
/* A ClientHello, as far as it must be known to wait for its end. */
#include "proto/client_hello.h"

#include <stdbool.h>

enum {
    RECORD_HEADER = 5, /* type, version, length */
    RECORD_HANDSHAKE = 22,
    TLS_MAJOR = 3,      /* SSL 3.0 to TLS 1.3 */
    MESSAGE_HEADER = 4, /* type, length */
    HEAD_BYTES = 5,     /* of the message: its header, and the major version */
    MESSAGE_HELLO = 1,
    MESSAGE_MIN = 4 + 41, /* version, random, no session, a cipher suite, a compression method */
};

static const struct client_hello_look is_not = {CLIENT_HELLO_NOT, 0};

/* The handshake message, as far as the records before and this one have it. */
struct message {
    uint8_t head[HEAD_BYTES];
    size_t len;   /* of its bytes are there */
    size_t total; /* 0: not known yet */
};

static struct client_hello_look more(size_t need)
{
    return (struct client_hello_look){CLIENT_HELLO_MORE, need};
}

/* The n bytes of a record's header that are there. */
static bool header_is_plausible(const uint8_t *p, size_t n)
{
    return p[0] == RECORD_HANDSHAKE && (n < 2 || p[1] == TLS_MAJOR);
}

/* The n bytes of a message's head that are there; all of them say how long it is. */
static bool head_is_plausible(struct message *m, size_t n)
{
    const uint8_t *h = m->head;
    if (n >= MESSAGE_HEADER) {
        m->total = MESSAGE_HEADER + ((size_t)h[1] << 16 | (size_t)h[2] << 8 | h[3]);
        if (m->total < MESSAGE_MIN || m->total > CLIENT_HELLO_MAX)
            return false;
    }
    return (n < 1 || h[0] == MESSAGE_HELLO) && (n < HEAD_BYTES || h[4] == TLS_MAJOR);
}

/* Takes the n bytes that are there of a record's `whole` ones. A record goes no further than the
   message: nothing may follow a hello before it is answered. */
static bool take(struct message *m, const uint8_t *p, size_t n, size_t whole)
{
    for (size_t i = 0; i < n && m->len + i < HEAD_BYTES; i++)
        m->head[m->len + i] = p[i];
    if (!head_is_plausible(m, m->len + n))
        return false;
    m->len += n;
    return m->total == 0 || m->len - n + whole <= m->total;
}

struct client_hello_look client_hello_look(const uint8_t *p, size_t n)
{
    struct message m = {.total = 0};
    size_t at = 0; /* where the record begins */
    for (int i = 0; i < CLIENT_HELLO_RECORDS; i++) {
        size_t here = n - at;
        if (here > 0 && !header_is_plausible(p + at, here))
            return is_not;
        if (here < RECORD_HEADER)
            return at + RECORD_HEADER < CLIENT_HELLO_MAX ? more(at + RECORD_HEADER) : is_not;

        size_t whole = (size_t)p[at + 3] << 8 | p[at + 4];
        if (whole == 0 || whole > CLIENT_HELLO_MAX - RECORD_HEADER - at)
            return is_not;
        here -= RECORD_HEADER;
        if (!take(&m, p + at + RECORD_HEADER, here < whole ? here : whole, whole))
            return is_not;
        at += RECORD_HEADER + whole;
        if (here < whole)
            return more(at);
        if (m.len == m.total)
            return (struct client_hello_look){CLIENT_HELLO_WHOLE, 0};
    }
    return is_not;
}
