/* SPDX-License-Identifier: MIT */
#include "net/sock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "kit.h"

struct row {
    const char *ip; /* IPv6 if it has a colon */
    const char *name, *source;
};

static struct sockaddr_storage address(const char *ip, int port)
{
    struct sockaddr_storage sa;
    struct sockaddr_in *in = (struct sockaddr_in *)&sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
    memset(&sa, 0, sizeof sa);
    if (strchr(ip, ':')) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        assert_int_equal(inet_pton(AF_INET6, ip, &in6->sin6_addr), 1);
    } else {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        assert_int_equal(inet_pton(AF_INET, ip, &in->sin_addr), 1);
    }
    return sa;
}

static void names(void **state)
{
    static const struct row rows[] = {
        {"1.2.3.4", "1.2.3.4:65535", "1.2.3.4"},
        {"0.0.0.0", "0.0.0.0:65535", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255:65535", "255.255.255.255"},
        {"::", "[::]:65535", "::"},
        {"::1", "[::1]:65535", "::"},
        {"2001:db8::1", "[2001:db8::1]:65535", "2001:db8::"},
        /* a host owns its /64: all of it is one source */
        {"2001:db8:1:2:3:4:5:6", "[2001:db8:1:2:3:4:5:6]:65535", "2001:db8:1:2::"},
        {"2001:db8:1:2:ffff:ffff:ffff:ffff", "[2001:db8:1:2:ffff:ffff:ffff:ffff]:65535",
         "2001:db8:1:2::"},
        {"2001:db8:1:3:3:4:5:6", "[2001:db8:1:3:3:4:5:6]:65535", "2001:db8:1:3::"},
        /* IPv4 on a dual-stack socket, and two that only look like it */
        {"::ffff:1.2.3.4", "1.2.3.4:65535", "1.2.3.4"},
        {"::1.2.3.4", "[::1.2.3.4]:65535", "::"},
        {"::fffe:1.2.3.4", "[::fffe:102:304]:65535", "::"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[SOCK_NAME_MAX];
        struct sockaddr_storage sa = address(rows[i].ip, 65535);
        assert_string_equal(sock_name(out, (struct sockaddr *)&sa), rows[i].name);
        assert_string_equal(sock_source(out, (struct sockaddr *)&sa), rows[i].source);
        char host[SOCK_NAME_MAX]; /* the name without port and brackets */
        (void)snprintf(host, sizeof host, "%s", rows[i].name + (*rows[i].name == '['));
        *strrchr(host, ':') = '\0';
        host[strcspn(host, "]")] = '\0';
        assert_string_equal(sock_host(out, (struct sockaddr *)&sa), host);
    }
}

static void other_families_have_no_name(void **state)
{
    (void)state;
    char out[SOCK_NAME_MAX];
    struct sockaddr sa = {.sa_family = AF_UNIX};
    assert_string_equal(sock_name(out, &sa), "?");
    assert_string_equal(sock_source(out, &sa), "?");
    assert_string_equal(sock_host(out, &sa), "?");
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void options(void **state)
{
    (void)state;
    int fd[2];
    kit_tcp_pair(fd);
    sock_nodelay(fd[0]);
    sock_keepalive(fd[0]);
    assert_int_equal(option(fd[0], IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(option(fd[0], SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option(fd[0], IPPROTO_TCP, TCP_KEEPIDLE), 60);
    assert_int_equal(option(fd[0], IPPROTO_TCP, TCP_KEEPINTVL), 10);
    assert_int_equal(option(fd[0], IPPROTO_TCP, TCP_KEEPCNT), 6);
    (void)close(fd[0]);
    (void)close(fd[1]);
    sock_nodelay(fd[0]); /* a hint: not even a closed descriptor is an error */
}

static void loopback_is_known_by_name_and_number(void **state)
{
    (void)state;
    static const char *const own[] = {"127.0.0.1", "127.9.8.7", "::1", "localhost"};
    static const char *const other[] = {"126.0.0.1", "128.0.0.1", "::2", "10.0.0.1", "nas", ""};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        assert_true(sock_is_loopback(own[i]));
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_false(sock_is_loopback(other[i]));
}

static void close_reset_is_a_reset(void **state)
{
    (void)state;
    int fd[2];
    char byte;
    kit_tcp_pair(fd);
    assert_int_equal(sock_error(fd[1]), 0);
    sock_close_reset(fd[0]);
    assert_int_equal(sock_error(fd[1]), ERR_RESET);
    assert_int_equal(sock_error(fd[1]), 0); /* asking takes it */
    (void)close(fd[1]);

    kit_tcp_pair(fd);
    sock_close_reset(fd[0]);
    assert_int_equal(recv(fd[1], &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    (void)close(fd[1]);
    assert_int_equal(sock_error(fd[1]), ERR_IO); /* EBADF */
}

/* As much as was asked for is dropped, the rest stays; nothing there is no trouble. */
static void what_is_discarded_is_gone(void **state)
{
    (void)state;
    int fd[2];
    char buf[8] = "";
    kit_tcp_pair(fd);
    sock_discard(fd[1], 4);
    assert_int_equal(write(fd[0], "unreadxyz", 9), 9);
    sock_discard(fd[1], 6);
    assert_int_equal(recv(fd[1], buf, sizeof buf, 0), 3);
    assert_string_equal(buf, "xyz");
    (void)close(fd[0]);
    (void)close(fd[1]);
    sock_discard(fd[1], 1); /* not even a descriptor */
}

static void services(void **state)
{
    (void)state;
    assert_int_equal(sock_service_port("no such service"), ERR_NOTFOUND);
    if (access("/etc/services", R_OK) < 0)
        skip();
    assert_int_equal(sock_service_port("http"), 80);
    assert_int_equal(sock_service_port("https"), 443);
}

/* Through a sockaddr and back, and as text. */
static void numeric_addresses(void **state)
{
    static const struct {
        const char *host;
        enum address_family family;
        uint32_t scope;
        const char *name; /* NULL: not numeric */
    } rows[] = {
        {"1.2.3.4", ADDRESS_IPV4, 0, "1.2.3.4:7000"},
        {"::1", ADDRESS_IPV6, 0, "[::1]:7000"},
        {"::ffff:1.2.3.4", ADDRESS_IPV4, 0, "1.2.3.4:7000"},
        {"fe80::1", ADDRESS_IPV6, 0, "[fe80::1]:7000"},
        {"fe80::1%lo", ADDRESS_IPV6, 1, "[fe80::1%lo]:7000"},
        {"fe80::1%1", ADDRESS_IPV6, 1, "[fe80::1%lo]:7000"},
        {"fe80::1%4000000000", ADDRESS_IPV6, 4000000000u, "[fe80::1%4000000000]:7000"},
        {"fe80::1%4294967297", 0, 0, NULL}, /* it does not fit */
        {"fe80::1%0", 0, 0, NULL},
        {"fe80::1%", 0, 0, NULL},
        {"fe80::1%-1", 0, 0, NULL},
        {"fe80::1% 1", 0, 0, NULL},
        {"fe80::1%1x", 0, 0, NULL},
        {"fe80::1%no-such-interface", 0, 0, NULL},
        {"1.2.3.4%lo", 0, 0, NULL},
        {"1.2.3", 0, 0, NULL},
        {"1.2.3.4.5", 0, 0, NULL},
        {"01.2.3.4", 0, 0, NULL},
        {"", 0, 0, NULL},
        {"%lo", 0, 0, NULL},
        {"localhost", 0, 0, NULL},
        {"[::1]", 0, 0, NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", 0, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[SOCK_NAME_MAX];
        struct sockaddr_storage sa;
        struct address a = {.family = ADDRESS_NONE}, b;
        assert_int_equal(sock_numeric(rows[i].host, 7000, &a), rows[i].name != NULL);
        assert_int_equal(a.family, rows[i].family);
        if (!rows[i].name)
            continue;
        assert_int_equal(a.scope, rows[i].scope);
        assert_string_equal(sock_address_name(out, &a), rows[i].name);
        assert_true(sock_sockaddr(&sa, &a) > 0);
        assert_string_equal(sock_name(out, (struct sockaddr *)&sa), rows[i].name);
        b = sock_address((struct sockaddr *)&sa);
        assert_true(address_equal(&a, &b));
    }
}

static void no_address(void **state)
{
    char out[SOCK_NAME_MAX];
    struct sockaddr_storage sa = {.ss_family = AF_UNIX};
    struct address a = sock_address((struct sockaddr *)&sa);
    (void)state;
    assert_int_equal(a.family, ADDRESS_NONE);
    assert_string_equal(sock_address_name(out, &a), "?");
    assert_int_equal(sock_sockaddr(&sa, &a), 0);
    a = sock_peer_address(-1);
    assert_int_equal(a.family, ADDRESS_NONE);
    a = sock_own_address(-1);
    assert_int_equal(a.family, ADDRESS_NONE);
}

static void both_ends_of_a_connection(void **state)
{
    int fd[2];
    (void)state;
    kit_tcp_pair(fd);
    struct address own = sock_own_address(fd[0]), peer = sock_peer_address(fd[1]);
    assert_int_equal(own.family, ADDRESS_IPV4);
    assert_true(own.port > 0);
    assert_true(address_equal(&own, &peer));
    (void)close(fd[0]);
    (void)close(fd[1]);
}

/* Bytes that the kernel keeps, those in flight included. */
static int kept(int fd)
{
    int n = -1;
    assert_int_equal(ioctl(fd, SIOCOUTQ, &n), 0);
    return n;
}

/* A peer that is slow to acknowledge (TCP_QUICKACK off: some 40 ms) is as a long path: what has been
   sent is in flight, and nothing waits. What its window holds back does wait. */
static void what_is_in_flight_is_not_unsent(void **state)
{
    (void)state;
    static const char bytes[4096];
    int fd[2], small = 4096, before = 0, after = 0;
    size_t unsent = 0;
    kit_tcp_pair(fd);
    (void)setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sock_nodelay(fd[0]);
    for (int tries = 0; tries < 100 && (before == 0 || after == 0); tries++) {
        int off = 0;
        char c;
        assert_int_equal(setsockopt(fd[1], IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off), 0);
        assert_int_equal(send(fd[0], "x", 1, 0), 1);
        before = kept(fd[0]);
        unsent = sock_unsent(fd[0]);
        after = kept(fd[0]); /* it was in flight all the while, unless we were kept waiting */
        assert_int_equal(recv(fd[1], &c, 1, 0), 1);
    }
    assert_true(before > 0 && after > 0);
    assert_int_equal(unsent, 0);
    while (send(fd[0], bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
    assert_in_range(sock_unsent(fd[0]), 1, kept(fd[0]));
    (void)close(fd[0]);
    (void)close(fd[1]);
    assert_int_equal(sock_unsent(fd[0]), 0); /* it is not known */
}

static void close_both(const int fd[2])
{
    (void)close(fd[0]);
    (void)close(fd[1]);
}

/* As the kernel does it when it is short of memory: the buffer is small, and not anybody's wish. */
static void a_send_buffer_is_made_large_again(void **state)
{
    (void)state;
    enum { LOCKS = 72, NONE = 0, LEAST = 128 << 10 };
    int fd[2], none = NONE, small = 1;
    socklen_t len = sizeof none;
    kit_tcp_pair(fd);
    if (getsockopt(fd[0], SOL_SOCKET, LOCKS, &none, &len) < 0) {
        int before = option(fd[0], SOL_SOCKET, SO_SNDBUF);
        sock_send_buffer_least(fd[0], 2 * before);
        assert_int_equal(option(fd[0], SOL_SOCKET, SO_SNDBUF), before);
        close_both(fd);
        return;
    }
    assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    assert_int_equal(setsockopt(fd[0], SOL_SOCKET, LOCKS, &none, sizeof none), 0);
    assert_in_range(option(fd[0], SOL_SOCKET, SO_SNDBUF), 1, LEAST - 1);
    sock_send_buffer_least(fd[0], LEAST);
    assert_int_equal(option(fd[0], SOL_SOCKET, SO_SNDBUF), LEAST);
    assert_int_equal(option(fd[0], SOL_SOCKET, LOCKS), NONE); /* the kernel may make it larger */
    sock_send_buffer_least(fd[0], LEAST / 2);
    assert_int_equal(option(fd[0], SOL_SOCKET, SO_SNDBUF), LEAST);
    assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    sock_send_buffer_least(fd[0], LEAST); /* now it is somebody's wish */
    assert_in_range(option(fd[0], SOL_SOCKET, SO_SNDBUF), 1, LEAST - 1);
    close_both(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_flight_is_not_unsent),
        cmocka_unit_test(a_send_buffer_is_made_large_again),
        cmocka_unit_test(names),
        cmocka_unit_test(other_families_have_no_name),
        cmocka_unit_test(numeric_addresses),
        cmocka_unit_test(no_address),
        cmocka_unit_test(both_ends_of_a_connection),
        cmocka_unit_test(options),
        cmocka_unit_test(close_reset_is_a_reset),
        cmocka_unit_test(what_is_discarded_is_gone),
        cmocka_unit_test(services),
        cmocka_unit_test(loopback_is_known_by_name_and_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
