/* SPDX-License-Identifier: MIT */
/* The transport against peers that are slow, gone, dishonest, or no TLS peers at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ends.h"
#include "net/sock.h"

/* ---- no TLS at all ---- */

/* A server's connection whose other side sends bytes and then maybe closes. fd: its end, or -1. */
static int say(struct end *s, struct kit *k, const void *bytes, size_t n)
{
    int fd[2];
    kit_tcp_pair(fd);
    end_open(s, k, fd[1], true);
    if (n > 0)
        assert_int_equal(send(fd[0], bytes, n, MSG_NOSIGNAL), n);
    return fd[0];
}

static void what_is_not_tls_is_cut_off(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        int err;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, ERR_TLS},      /* at a server the gate stands before */
        {"\x15\x03\x01\x00\x02\x02\x00", 7, ERR_TLS}, /* an alert */
        {"\x16\x02\xff\xff\xff\xff\xff\xff\xff", 9, ERR_TLS},
        {"\x16\x03\x01\x00\x05\x02\x00\x00\x00\x00", 10, ERR_TLS}, /* no ClientHello */
        {"\x16\x03\x01\xff\xff\x01", 6, ERR_TLS},                  /* a record of 65535 bytes */
    };
    struct kit *k = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct end s = {0};
        int fd = say(&s, k, rows[i].bytes, rows[i].n);
        KIT_UNTIL(k, s.errors);
        assert_int_equal(s.err, rows[i].err);
        assert_true(*s.why.text);
        assert_int_equal(s.ready, 0);
        kit_pass(k, 5);
        assert_int_equal(s.errors, 1);
        end_close(&s);
        (void)close(fd);
    }
}

static void silence_and_ends_before_the_first_byte(void **state)
{
    struct kit *k = *state;
    struct end s = {0};
    int fd = say(&s, k, "", 0);
    kit_pass(k, 20);
    assert_int_equal(s.errors + s.readable + s.ready, 0);
    (void)close(fd);
    KIT_UNTIL(k, s.errors);
    assert_int_equal(s.err, ERR_EOF);
    end_close(&s);

    struct end r = {0};
    sock_close_reset(say(&r, k, "", 0));
    KIT_UNTIL(k, r.errors);
    assert_int_equal(r.err, ERR_RESET);
    end_close(&r);

    struct end half = {0}; /* half a hello, then nothing more */
    fd = say(&half, k, "\x16\x03\x01\x02\x00\x01\x00", 7);
    kit_pass(k, 20);
    assert_int_equal(half.errors, 0);
    (void)close(fd);
    KIT_UNTIL(k, half.errors);
    assert_int_equal(half.err, ERR_EOF);
    end_close(&half);
}

/* For the client: a web server, and one that hangs up. */
static void a_server_that_is_none(void **state)
{
    struct kit *k = *state;
    struct end c = {0}, d = {0};
    int fd[2];
    kit_tcp_pair(fd);
    end_open(&c, k, fd[0], false);
    assert_int_equal(send(fd[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
    (void)close(fd[1]); /* with the hello unread: a reset */
    KIT_UNTIL(k, c.errors);
    assert_int_equal(c.err, ERR_TLS);
    assert_non_null(strstr(c.why.text, "does not speak TLS"));
    end_close(&c);

    kit_tcp_pair(fd);
    sock_close_reset(fd[1]);
    end_open(&d, k, fd[0], false); /* its first flight already meets the reset: told later */
    KIT_UNTIL(k, d.errors);
    assert_int_equal(d.err, ERR_RESET);
    end_close(&d);
}

/* ---- pieces ---- */

/* A peer whose bytes pass through our hands. */
struct hand {
    SSL *ssl;
    BIO *in, *out;
    int fd;
    int version;
};

static void hand_open(struct hand *h, int fd, struct peer *p, bool is_server, int version)
{
    peer_open(p, fd, is_server, version);
    h->ssl = p->ssl;
    h->fd = fd;
    h->in = BIO_new(BIO_s_mem());
    h->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(h->in, -1);
    SSL_set_bio(h->ssl, h->in, h->out);
}

static void hand_receive(struct hand *h)
{
    char buf[16384];
    ssize_t n;
    while ((n = recv(h->fd, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        assert_int_equal(BIO_write(h->in, buf, (int)n), n);
}

/* Sends at most n bytes of what the peer wants to send. Bytes. */
static int hand_send(struct hand *h, size_t n)
{
    char buf[65536];
    int m = BIO_read(h->out, buf, (int)(n < sizeof buf ? n : sizeof buf));
    if (m > 0)
        assert_int_equal(send(h->fd, buf, (size_t)m, MSG_NOSIGNAL), m);
    return m > 0 ? m : 0;
}

static void one_byte_at_a_time(void **state)
{
    struct kit *k = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct end s = {0};
        struct peer *p = malloc(sizeof *p);
        struct hand h;
        int fd[2];
        kit_tcp_pair(fd);
        hand_open(&h, fd[0], p, false, version);
        end_open(&s, k, fd[1], true);
        k->began = kit_clock();
        while (!s.ready || p->done != 1) {
            hand_receive(&h);
            if (p->done == 0)
                peer_step(p);
            (void)hand_send(&h, 1);
            kit_turn(k);
        }
        peer_write(p, "secret\n", 7);
        while (s.in_len < 7) {
            (void)hand_send(&h, 1);
            kit_turn(k);
        }
        assert_true(end_is(&s, "secret\n", 7));
        peer_close(p);
        free(p);
        end_close(&s);
    }
}

/* ---- records ---- */

/* An old peer reads its line with one read of one record: nothing else may be in it. */
static void d8_each_write_is_a_record_of_its_own(void **state)
{
    struct kit *k = *state;
    uint8_t *bytes = pattern(40000, 8);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct end s = {0};
        struct peer *p = malloc(sizeof *p);
        end_and_peer(&s, p, k, false, version);
        assert_int_equal(transport_write(s.t, "OK\n", 3), 3);
        assert_int_equal(transport_write(s.t, "hello", 5), 5);
        assert_int_equal(transport_write(s.t, bytes, 40000), 40000);
        assert_int_equal(transport_write(s.t, "", 0), 0);
        transport_flush(s.t);
        KIT_UNTIL(k, (peer_step(p), p->in_len == 40008));
        static const size_t sizes[] = {3, 5, 16384, 16384, 7232};
        assert_int_equal(p->reads, ARRAY_LEN(sizes));
        assert_memory_equal(p->sizes, sizes, sizeof sizes);
        assert_memory_equal(p->in, "OK\nhello", 8);
        assert_memory_equal(p->in + 8, bytes, 40000);
        peer_close(p);
        free(p);
        end_close(&s);
    }
    free(bytes);
}

/* ---- ends ---- */

static void ends_of_all_kinds(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 4; i++) {
        struct end s = {0};
        struct peer *p = malloc(sizeof *p);
        end_and_peer(&s, p, k, false, 0);
        peer_write(p, "last words", 10);
        if (i == 0)
            (void)SSL_shutdown(p->ssl);
        if (i == 2) /* in the middle of a record */
            assert_int_equal(send(p->fd, "\x17\x03\x03\x00\x40half", 9, 0), 9);
        if (i == 3)
            peer_reset(p);
        else
            peer_close(p);
        KIT_UNTIL(k, s.err);
        assert_int_equal(s.err, i == 3 ? ERR_RESET : ERR_EOF);
        assert_true(end_is(&s, "last words", 10));
        kit_pass(k, 5);
        assert_int_equal(s.errors, 0);
        free(p);
        end_close(&s);
    }
}

/* D2, 1.2: the server has refused and closed with our bytes unread, so our next send fails with
   EPIPE or ECONNRESET: the line that says why is still to be read. */
static void d2_a_failed_send_does_not_hide_what_was_said(void **state)
{
    struct kit *k = *state;
    for (int sends = 1; sends <= 3; sends++) {
        struct end c = {0};
        struct peer *p = malloc(sizeof *p);
        end_and_peer(&c, p, k, true, 0);
        assert_int_equal(transport_write(c.t, "wrong\n", 6), 6);
        transport_flush(c.t);
        peer_write(p, "ERROR: Invalid Secret\n", 22);
        peer_close(p);
        for (int i = 0; i < sends; i++) { /* before the loop has seen anything */
            (void)!transport_write(c.t, "more", 4);
            transport_flush(c.t);
        }
        assert_int_equal(c.errors + c.err, 0);
        KIT_UNTIL(k, c.err);
        assert_true(end_is(&c, "ERROR: Invalid Secret\n", 22));
        assert_int_equal(c.err, ERR_RESET);
        kit_pass(k, 5);
        assert_int_equal(c.errors, 0);
        end_close(&c);
        free(p);
    }
}

/* The same while the owner reads little by little, and with more than one buffer. */
static void a_failed_send_and_much_to_read(void **state)
{
    struct kit *k = *state;
    uint8_t *bytes = pattern(200000, 9);
    struct end c = {.budget = 3000};
    struct peer *p = malloc(sizeof *p);
    int big = 1 << 20;
    end_and_peer(&c, p, k, true, 0);
    transport_trust(c.t);
    (void)setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &big, sizeof big);
    assert_int_equal(transport_write(c.t, "unread", 6), 6);
    transport_flush(c.t);
    for (size_t n = 0; n < 200000; n += 10000)
        peer_write(p, bytes + n, 10000);
    int queued = 1;
    KIT_UNTIL(k, (ioctl(p->fd, TIOCOUTQ, &queued), queued == 0) || c.in_len == 200000);
    peer_close(p);
    (void)!transport_write(c.t, "more", 4);
    transport_flush(c.t);
    KIT_UNTIL(k, c.err);
    assert_true(end_is(&c, bytes, 200000));
    end_close(&c);
    free(p);
    free(bytes);
}

/* Our close with unread input: the peer sees an end of file, not a reset. */
static void d2_our_close_is_no_reset(void **state)
{
    struct kit *k = *state;
    struct end s = {0};
    struct peer *p = malloc(sizeof *p);
    static char flood[20000];
    char byte;
    end_and_peer(&s, p, k, false, 0);
    s.deaf = true;
    peer_write(p, flood, sizeof flood);
    assert_int_equal(transport_write(s.t, "bye", 3), 3);
    end_close(&s);
    KIT_UNTIL(k, (peer_step(p), p->eof));
    assert_int_equal(p->in_len, 3);
    assert_int_equal(SSL_get_shutdown(p->ssl), SSL_RECEIVED_SHUTDOWN);
    assert_int_equal(recv(p->fd, &byte, 1, 0), 0);
    peer_close(p);
    free(p);
}

/* ---- limits ---- */

static void d12_a_stranger_may_send_so_much(void **state)
{
    struct kit *k = *state;
    static char flood[16384];
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct end s = {0};
        struct peer *p = malloc(sizeof *p);
        end_and_peer(&s, p, k, false, version);
        for (int i = 0; i < 3; i++)
            peer_write(p, flood, sizeof flood);
        KIT_UNTIL(k, s.err);
        assert_int_equal(s.err, ERR_LIMIT);
        assert_in_range(s.in_len, 16384, TRANSPORT_PREAUTH_MAX);
        peer_close(p);
        free(p);
        end_close(&s);

        struct end friend = {0};
        p = malloc(sizeof *p);
        end_and_peer(&friend, p, k, false, version);
        transport_trust(friend.t);
        for (int i = 0; i < 30; i++) {
            peer_write(p, flood, sizeof flood);
            KIT_UNTIL(k, friend.in_len == (size_t)(i + 1) * sizeof flood);
        }
        peer_close(p);
        free(p);
        end_close(&friend);
    }
}

/* A ClientHello of 100 KB, which libssl alone would take. */
static void d12_a_hello_of_100_kb(void **state)
{
    struct kit *k = *state;
    struct end s = {0};
    int fd = say(&s, k, "\x16\x03\x01\x40\x00\x01\x01\x86\xa0\x03\x03", 11);
    static const char record[5] = "\x16\x03\x01\x40\x00";
    static char zeros[16384];
    (void)send(fd, zeros, 16384 - 6, MSG_NOSIGNAL);
    for (int i = 0; i < 5; i++) {
        (void)send(fd, record, sizeof record, MSG_NOSIGNAL);
        (void)send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
    }
    KIT_UNTIL(k, s.errors);
    assert_int_equal(s.err, ERR_LIMIT);
    end_close(&s);
    (void)close(fd);
}

/* What has come and was not taken from the kernel. */
static int unread(int fd)
{
    int n = 0;
    assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
    return n;
}

/* A stranger's records are taken one by one, into a buffer for one; a friend's all at once. */
static void large_receives_are_for_friends(void **state)
{
    enum { RECORD = 1000 };
    static const char record[RECORD];
    struct kit *k = *state;
    char byte;
    for (int friend = 0; friend < 2; friend ++) {
        struct end s = {0};
        struct peer *p = malloc(sizeof *p);
        int fd[2];
        kit_tcp_pair(fd);
        peer_open(p, fd[0], false, 0);
        end_open(&s, k, fd[1], true);
        KIT_UNTIL(k, (peer_step(p), s.ready && p->done == 1));
        if (friend)
            transport_trust(s.t);
        peer_write(p, "a", 1);
        KIT_UNTIL(k, s.in_len == 1); /* and read to the end: buffers grow where there is nothing */
        s.deaf = true;
        int readable = s.readable;
        peer_write(p, record, RECORD);
        peer_write(p, record, RECORD);
        KIT_UNTIL(k, unread(fd[1]) > 2 * RECORD && s.readable > readable);
        assert_int_equal(transport_read(s.t, &byte, 1, NULL), 1);
        if (friend)
            assert_int_equal(unread(fd[1]), 0);
        else
            assert_in_range(unread(fd[1]), RECORD, RECORD + 100);
        peer_close(p);
        free(p);
        end_close(&s);
    }
}

/* A stranger's record, and a header, stays in the kernel until all of it is there: libssl would hold
   a buffer of 16 KiB for a part of it. What is longer than what may still come is not waited for. */
static void a_part_of_a_record_stays_in_the_kernel(void **state)
{
    struct kit *k = *state;
    static char text[9000];
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct end s = {0};
        struct peer *p = malloc(sizeof *p);
        struct hand h;
        int fd[2];
        kit_tcp_pair(fd);
        hand_open(&h, fd[0], p, false, version);
        end_open(&s, k, fd[1], true);
        KIT_UNTIL(k, (hand_receive(&h), peer_step(p), (void)hand_send(&h, 65536),
                      s.ready && p->done == 1 && BIO_pending(h.out) == 0));
        static const size_t parts[] = {3, 4, 2000, 6000};
        peer_write(p, text, sizeof text);
        size_t sent = 0;
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            sent += (size_t)hand_send(&h, parts[i]);
            kit_pass(k, 5);
            assert_int_equal(unread(fd[1]), sent);
        }
        (void)hand_send(&h, 65536);
        KIT_UNTIL(k, s.in_len == sizeof text);
        assert_int_equal(unread(fd[1]), 0);
        assert_int_equal(send(fd[0], "\x17\x03\x03\x40\x00", 5, 0), 5);
        kit_pass(k, 5);
        assert_int_equal(s.err, 0); /* 16 KiB would still be within the bound */
        peer_close(p);
        free(p);
        end_close(&s);

        struct end much = {0};
        p = malloc(sizeof *p);
        end_and_peer(&much, p, k, false, version);
        for (int i = 0; i < 2; i++) {
            peer_write(p, text, sizeof text);
            KIT_UNTIL(k, much.in_len == (size_t)(i + 1) * sizeof text);
        }
        assert_int_equal(send(p->fd, "\x17\x03\x03\x40\x00", 5, 0), 5);
        KIT_UNTIL(k, much.err);
        assert_int_equal(much.err, ERR_LIMIT);
        peer_close(p);
        free(p);
        end_close(&much);
    }
}

/* Records that bring no data are read on and on by libssl: one call takes no more than the large
   buffer holds, then others have their turn, and the rest comes later by itself. */
static void one_call_reads_only_so_much(void **state)
{
    enum { CALL_MAX = (128 << 10) + (16 << 10) };
    struct kit *k = *state;
    struct end s = {.deaf = true};
    struct peer *p = malloc(sizeof *p);
    struct hand h;
    int fd[2], queued = 0;
    char byte;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
    hand_open(&h, fd[0], p, false, TLS1_3_VERSION);
    end_open(&s, k, fd[1], true);
    KIT_UNTIL(k, (hand_receive(&h), peer_step(p), (void)hand_send(&h, 65536),
                  s.ready && p->done == 1 && BIO_pending(h.out) == 0));
    transport_trust(s.t);
    kit_pass(k, 5);
    assert_int_equal(transport_read(s.t, &byte, 1, NULL), ERR_AGAIN);
    while (queued < CALL_MAX + (32 << 10)) {
        while (BIO_pending(h.out) < 16384) {
            assert_int_equal(SSL_key_update(h.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
            assert_int_equal(SSL_do_handshake(h.ssl), 1);
        }
        queued += hand_send(&h, 16384);
    }
    int readable = s.readable;
    KIT_UNTIL(k, s.readable > readable);
    assert_int_equal(transport_read(s.t, &byte, 1, NULL), ERR_AGAIN);
    assert_in_range(queued - unread(fd[1]), 64 << 10, CALL_MAX);
    s.deaf = false;
    KIT_UNTIL(k, unread(fd[1]) == 0);
    peer_write(p, "data", 4);
    while (BIO_pending(h.out) > 0)
        (void)hand_send(&h, 65536);
    KIT_UNTIL(k, s.in_len == 4);
    assert_int_equal(s.errors, 0);
    peer_close(p);
    free(p);
    end_close(&s);
}

static size_t heap(void)
{
    return mallinfo2().uordblks;
}

/* D30: what strangers cost who say nothing (at a server the gate keeps them), half a hello, or all but
   the secret. */
static void d30_strangers_cost_little(void **state)
{
    enum { COUNT = 50 };
    /* libssl takes 50 KB for its three buffers as soon as it is asked; then they are given back. */
    static const size_t limit[] = {16384, 80000, 30000};
    struct kit *k = *state;
    for (int phase = 0; phase < 3; phase++) {
        static struct end s[COUNT];
        static struct peer *p[COUNT];
        int fd[COUNT];
        memset(s, 0, sizeof s);
        for (int i = 0; i < COUNT; i++)
            p[i] = phase == 2 ? malloc(sizeof *p[i]) : NULL;
        size_t peers = 0;
        size_t before = heap();
        for (int i = 0; i < COUNT; i++) {
            if (phase < 2) {
                fd[i] = say(&s[i], k, "\x16\x03\x01\x02\x00\x01\x00", phase ? 7 : 0);
                continue;
            }
            int pair[2];
            size_t b = heap();
            kit_tcp_pair(pair);
            peer_open(p[i], pair[0], false, 0);
            s[i].deaf = true; /* reads into memory of its own */
            peers += heap() - b;
            end_open(&s[i], k, pair[1], true);
            KIT_UNTIL(k, ({
                          size_t h = heap();
                          peer_step(p[i]);
                          peers += heap() - h;
                          s[i].ready &&p[i]->done == 1;
                      }));
        }
        kit_pass(k, 20);
        size_t each = (heap() - before - peers) / COUNT;
        for (int i = 0; i < COUNT; i++) {
            end_close(&s[i]);
            if (phase < 2)
                (void)close(fd[i]);
            else
                peer_close(p[i]);
            free(p[i]);
        }
        if (before > 0) /* 0: a sanitizer's allocator does not tell */
            print_message("phase %d: %zu bytes each\n", phase, each);
        if (before > 0)
            assert_in_range(each, 0, limit[phase]);
    }
}

/* Requests that libssl answers by itself, from a peer that does not read: bounded. */
static void key_updates_for_ever(void **state)
{
    struct kit *k = *state;
    struct end s = {0};
    struct peer *p = malloc(sizeof *p);
    int small = 4096;
    end_and_peer(&s, p, k, false, TLS1_3_VERSION);
    transport_trust(s.t);
    (void)setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    k->began = kit_clock();
    size_t most = 0;
    for (int i = 0; !s.err && i < 400000; i++) {
        ERR_clear_error();
        (void)SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED);
        (void)SSL_do_handshake(p->ssl);
        if (i % 50 == 0) {
            kit_turn(k);
            k->began = kit_clock();
        }
        size_t n = s.t ? transport_queue(s.t).waiting : 0;
        most = n > most ? n : most;
    }
    KIT_UNTIL(k, s.err);
    assert_in_range(most, 0, 3 * TRANSPORT_BACKLOG_MAX + (256 << 10)); /* and the kernel's */
    assert_int_equal(s.err, ERR_LIMIT);
    peer_close(p);
    free(p);
    end_close(&s);
}

/* An honest one changes nothing, in either direction. */
static void a_key_update_between_data(void **state)
{
    struct kit *k = *state;
    struct end s = {0};
    struct peer *p = malloc(sizeof *p);
    end_and_peer(&s, p, k, false, TLS1_3_VERSION);
    peer_write(p, "before ", 7);
    assert_int_equal(SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    peer_write(p, "after", 5);
    KIT_UNTIL(k, s.in_len == 12);
    assert_true(end_is(&s, "before after", 12));
    assert_int_equal(transport_write(s.t, "OK\n", 3), 3);
    transport_flush(s.t);
    KIT_UNTIL(k, (peer_step(p), p->in_len == 3));
    assert_memory_equal(p->in, "OK\n", 3);
    peer_close(p);
    free(p);
    end_close(&s);
}

/* ---- keying material ---- */

/* TLS 1.2 without the extended master secret (RFC 7627): a man in the middle can have two
   connections with the same master secret, so what is exported proves nothing. */
static void nothing_is_exported_without_extended_master_secret(void **state)
{
    struct kit *k = *state;
    for (int i = 0; i < 4; i++) {
        bool without = i & 1, is_server = i & 2;
        static const char label[] = "EXPORTER-test";
        uint8_t ours[32] = {0}, theirs[32];
        struct end e = {0};
        struct peer *p = malloc(sizeof *p);
        int fd[2];
        kit_tcp_pair(fd);
        peer_open(p, fd[0], is_server, TLS1_2_VERSION);
        if (without)
            SSL_set_options(p->ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET);
        end_open(&e, k, fd[1], !is_server);
        KIT_UNTIL(k, (peer_step(p), e.ready && p->done == 1));
        int err = transport_export(e.t, label, ours, sizeof ours);
        assert_int_equal(err, without ? ERR_TLS : 0);
        assert_int_equal(SSL_export_keying_material(p->ssl, theirs, sizeof theirs, label,
                                                    sizeof label - 1, NULL, 0, 0),
                         1);
        if (!without)
            assert_memory_equal(ours, theirs, sizeof ours);
        peer_close(p);
        free(p);
        end_close(&e);
    }
}

/* ---- secrets ---- */

enum { WORD = 200, MASK = 0x5a, HEAD = 64 /* where malloc() may keep its lists */ };

/* How often the word (but for its head), given masked so that this itself is no copy, stands on
   the heap, also in what was freed; -1 where there is none to look at. */
static int copies_on_heap(const uint8_t masked[WORD])
{
    char line[256];
    int found = -1;
    FILE *f = fopen("/proc/self/maps", "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        unsigned long from, to;
        if (!strstr(line, "[heap]") || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        found = 0;
        for (const volatile uint8_t *p = (const uint8_t *)from; p + WORD <= (uint8_t *)to; p++) {
            int i = HEAD;
            while (i < WORD && (p[i] ^ MASK) == masked[i])
                i++;
            found += i == WORD;
        }
    }
    (void)fclose(f);
    return found;
}

/* The secret of the legacy wire comes as plaintext: no copy stays in a buffer of libssl. */
static void what_a_stranger_says_is_wiped(void **state)
{
    struct kit *k = *state;
    struct end s = {0};
    struct peer *p = malloc(sizeof *p);
    uint8_t masked[WORD], *word = malloc(WORD);
    for (int i = 0; i < WORD; i++)
        masked[i] = (uint8_t)(i * 37 + 11);
    end_and_peer(&s, p, k, false, 0);
    for (int i = 0; i < WORD; i++)
        word[i] = masked[i] ^ MASK;
    peer_write(p, word, WORD);
    OPENSSL_cleanse(word, WORD);
    KIT_UNTIL(k, s.in_len == WORD);
    if (copies_on_heap(masked) >= 1) { /* the test's own; a sanitizer's heap is elsewhere */
        OPENSSL_cleanse(s.in, WORD);
        assert_int_equal(copies_on_heap(masked), 0);
        transport_trust(s.t);
        kit_pass(k, 5);
        assert_int_equal(copies_on_heap(masked), 0);
    }
    peer_close(p);
    free(p);
    free(word);
    end_close(&s);
}

/* ---- tickets ---- */

static SSL_TICKET_RETURN ticket_status(SSL *ssl, SSL_SESSION *s, const unsigned char *name,
                                       size_t n, SSL_TICKET_STATUS status, void *arg)
{
    (void)ssl, (void)s, (void)name, (void)n, (void)status, (void)arg;
    return SSL_TICKET_RETURN_IGNORE;
}

/* A ticket larger than the peer's records. */
static int ticket_data(SSL *ssl, void *arg)
{
    static const char filling[900];
    (void)arg;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), filling, sizeof filling);
}

/* A server's ticket of which half has come: until the rest is there libssl cannot write. The
   client's data waits, and nothing fails. */
static void half_a_ticket_delays_a_write(void **state)
{
    struct kit *k = *state;
    struct end c = {0};
    struct peer *p = malloc(sizeof *p);
    struct hand h;
    int fd[2];
    kit_tcp_pair(fd);
    hand_open(&h, fd[0], p, true, TLS1_3_VERSION);
    SSL_CTX *ctx = SSL_get_SSL_CTX(h.ssl);
    assert_int_equal(SSL_CTX_set_session_ticket_cb(ctx, ticket_data, ticket_status, NULL), 1);
    assert_int_equal(SSL_set_num_tickets(h.ssl, 0), 1);
    assert_int_equal(SSL_set_max_send_fragment(h.ssl, 512), 1);
    end_open(&c, k, fd[1], false);
    KIT_UNTIL(k, (hand_receive(&h), peer_step(p), (void)hand_send(&h, 65536), c.ready && p->done));
    assert_int_equal(SSL_new_session_ticket(h.ssl), 1);
    (void)SSL_do_handshake(h.ssl);
    assert_true(BIO_pending(h.out) > 600);
    (void)hand_send(&h, 600); /* the first record and a bit */
    kit_pass(k, 20);
    assert_false(transport_writable(c.t));
    assert_int_equal(transport_write(c.t, "secret\n", 7), 0);
    assert_int_equal(c.writable, 0);
    c.out = (const uint8_t *)"secret\n";
    c.out_len = 7;
    (void)hand_send(&h, 65536);
    KIT_UNTIL(k, c.writable == 1);
    KIT_UNTIL(k, (hand_receive(&h), peer_step(p), p->in_len == 7));
    assert_int_equal(c.errors, 0);
    peer_close(p);
    free(p);
    end_close(&c);
}

/* The tickets of an old server come with its first data, which is not lost between them. */
static void tickets_before_the_answer(void **state)
{
    struct kit *k = *state;
    struct end c = {.out = (const uint8_t *)"secret\n", .out_len = 7};
    struct peer *p = malloc(sizeof *p);
    end_and_peer(&c, p, k, true, TLS1_3_VERSION);
    KIT_UNTIL(k, (peer_step(p), p->in_len == 7));
    peer_write(p, "OK\n", 3);
    KIT_UNTIL(k, c.in_len == 3);
    assert_int_equal(c.errors, 0);
    peer_close(p);
    free(p);
    end_close(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_tls_is_cut_off),
        TEST(silence_and_ends_before_the_first_byte),
        TEST(a_server_that_is_none),
        TEST(one_byte_at_a_time),
        TEST(d8_each_write_is_a_record_of_its_own),
        TEST(ends_of_all_kinds),
        TEST(d2_a_failed_send_does_not_hide_what_was_said),
        TEST(a_failed_send_and_much_to_read),
        TEST(d2_our_close_is_no_reset),
        TEST(d12_a_stranger_may_send_so_much),
        TEST(d12_a_hello_of_100_kb),
        TEST(large_receives_are_for_friends),
        TEST(a_part_of_a_record_stays_in_the_kernel),
        TEST(one_call_reads_only_so_much),
        TEST(d30_strangers_cost_little),
        TEST(key_updates_for_ever),
        TEST(a_key_update_between_data),
        TEST(nothing_is_exported_without_extended_master_secret),
        TEST(what_a_stranger_says_is_wiped),
        TEST(half_a_ticket_delays_a_write),
        TEST(tickets_before_the_answer),
    };
    return cmocka_run_group_tests(tests, ends_setup, ends_teardown);
}
