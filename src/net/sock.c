/* SPDX-License-Identifier: MIT */
/* Socket options and names of addresses. */
#include "net/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"

/* The IPv4 address inside an IPv4-mapped one, or NULL. */
static const struct in_addr *mapped(const struct sockaddr_in6 *in6)
{
    return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)
               ? (const struct in_addr *)(const void *)&in6->sin6_addr.s6_addr[12]
               : NULL;
}

struct address sock_address(const struct sockaddr *sa)
{
    struct address a = {.family = ADDRESS_NONE};
    const struct in_addr *v4 = NULL;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        a.port = ntohs(in->sin_port);
        v4 = &in->sin_addr;
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        a.family = ADDRESS_IPV6;
        a.port = ntohs(in6->sin6_port);
        v4 = mapped(in6);
        if (!v4) {
            a.scope = in6->sin6_scope_id;
            memcpy(a.ip, &in6->sin6_addr, sizeof a.ip);
        }
    }
    if (v4) {
        a.family = ADDRESS_IPV4;
        memcpy(a.ip, v4, sizeof *v4);
    }
    return a;
}

socklen_t sock_sockaddr(struct sockaddr_storage *sa, const struct address *a)
{
    memset(sa, 0, sizeof *sa);
    if (a->family == ADDRESS_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)sa;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, sizeof in->sin_addr);
        return sizeof *in;
    }
    if (a->family == ADDRESS_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)sa;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->ip, sizeof in6->sin6_addr);
        return sizeof *in6;
    }
    return 0;
}

/* The index of an interface, by name or in digits; 0: there is none. */
static uint32_t scope_of(const char *text)
{
    uint32_t n = if_nametoindex(text);
    if (n > 0 || *text < '0' || *text > '9')
        return n;
    char *end;
    unsigned long index = strtoul(text, &end, 10);
    return *end == '\0' && index <= UINT32_MAX ? (uint32_t)index : 0;
}

bool sock_numeric(const char *host, int port, struct address *ret)
{
    char ip[INET6_ADDRSTRLEN];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        *ret = sock_address((struct sockaddr *)&in);
        return true;
    }
    size_t n = strcspn(host, "%");
    if (n >= sizeof ip)
        return false;
    memcpy(ip, host, n);
    ip[n] = '\0';
    if (inet_pton(AF_INET6, ip, &in6.sin6_addr) != 1)
        return false;
    if (host[n] == '%' && (in6.sin6_scope_id = scope_of(host + n + 1)) == 0)
        return false;
    *ret = sock_address((struct sockaddr *)&in6);
    return true;
}

enum { HOST_BYTES = INET6_ADDRSTRLEN + IF_NAMESIZE }; /* "IPv6%interface" and NUL */

/* Without a port; "?" for ADDRESS_NONE. */
static void host_name(char out[HOST_BYTES], const struct address *a)
{
    char ip[INET6_ADDRSTRLEN] = "?", interface[IF_NAMESIZE];
    if (a->family == ADDRESS_IPV4)
        inet_ntop(AF_INET, a->ip, ip, sizeof ip);
    else if (a->family == ADDRESS_IPV6)
        inet_ntop(AF_INET6, a->ip, ip, sizeof ip);
    if (a->scope == 0)
        (void)snprintf(out, HOST_BYTES, "%s", ip);
    else if (if_indextoname(a->scope, interface))
        (void)snprintf(out, HOST_BYTES, "%s%%%s", ip, interface);
    else
        (void)snprintf(out, HOST_BYTES, "%s%%%u", ip, (unsigned)a->scope);
}

const char *sock_address_name(char out[SOCK_NAME_MAX], const struct address *a)
{
    char host[HOST_BYTES];
    host_name(host, a);
    if (a->family == ADDRESS_IPV4)
        (void)snprintf(out, SOCK_NAME_MAX, "%s:%u", host, (unsigned)a->port);
    else if (a->family == ADDRESS_IPV6)
        (void)snprintf(out, SOCK_NAME_MAX, "[%s]:%u", host, (unsigned)a->port);
    else
        (void)snprintf(out, SOCK_NAME_MAX, "?");
    return out;
}

const char *sock_name(char out[SOCK_NAME_MAX], const struct sockaddr *sa)
{
    struct address a = sock_address(sa);
    return sock_address_name(out, &a);
}

const char *sock_host(char out[SOCK_NAME_MAX], const struct sockaddr *sa)
{
    char host[HOST_BYTES];
    struct address a = sock_address(sa);
    host_name(host, &a);
    (void)snprintf(out, SOCK_NAME_MAX, "%s", host);
    return out;
}

struct address sock_peer_address(int fd)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof sa;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        sa.ss_family = AF_UNSPEC;
    return sock_address((struct sockaddr *)&sa);
}

struct address sock_own_address(int fd)
{
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        sa.ss_family = AF_UNSPEC;
    return sock_address((struct sockaddr *)&sa);
}

const char *sock_source(char out[SOCK_NAME_MAX], const struct sockaddr *sa)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, text,
                  sizeof text);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        const struct in_addr *v4 = mapped(in6);
        struct in6_addr net = in6->sin6_addr;
        memset(&net.s6_addr[8], 0, 8);
        if (v4)
            inet_ntop(AF_INET, v4, text, sizeof text);
        else
            inet_ntop(AF_INET6, &net, text, sizeof text);
    }
    (void)snprintf(out, SOCK_NAME_MAX, "%s", text);
    return out;
}

bool sock_is_loopback(const char *host)
{
    struct in_addr in;
    struct in6_addr in6;
    if (inet_pton(AF_INET, host, &in) == 1)
        return ntohl(in.s_addr) >> 24 == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, host, &in6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&in6);
    return strcmp(host, "localhost") == 0;
}

static void set_int(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value); /* all of these are hints */
}

void sock_nodelay(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void sock_max_segment(int fd, int bytes)
{
    set_int(fd, IPPROTO_TCP, TCP_MAXSEG, bytes);
}

void sock_keepalive(int fd)
{
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

bool sock_route_changed(int fd)
{
    struct sockaddr_storage sa;
    struct address peer = sock_peer_address(fd), then = sock_own_address(fd);
    if (peer.family == ADDRESS_NONE || then.family == ADDRESS_NONE)
        return true; /* it has none any more */
    socklen_t len = sock_sockaddr(&sa, &peer);
    int probe = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool changed = connect(probe, (struct sockaddr *)&sa, len) < 0;
    if (!changed) {
        struct address now = sock_own_address(probe);
        changed = !address_same_host(&now, &then);
    }
    (void)close(probe);
    return changed;
}

size_t sock_unsent(int fd)
{
    int n = 0; /* SIOCOUTQ would count what is in flight as well */
    return ioctl(fd, SIOCOUTQNSD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

size_t sock_unread(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCINQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

void sock_unsent_max(int fd, size_t bytes)
{
    set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)bytes);
}

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72 /* <asm-generic/socket.h> and <linux/socket.h> of Linux 5.14 */
#endif
#ifndef SOCK_SNDBUF_LOCK
#define SOCK_SNDBUF_LOCK 1
#endif

void sock_send_buffer_least(int fd, int bytes)
{
    int has, locks;
    socklen_t len = sizeof has;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &has, &len) < 0 || has >= bytes)
        return;
    len = sizeof locks;
    if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &len) < 0 || locks & SOCK_SNDBUF_LOCK)
        return; /* it could not be undone; or somebody wants it so */
    set_int(fd, SOL_SOCKET, SO_SNDBUF, bytes / 2); /* it sets twice as much, socket(7) */
    set_int(fd, SOL_SOCKET, SO_BUF_LOCK, locks);
}

bool sock_is_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

bool sock_is_dead(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno != EAGAIN && errno != EINTR;
}

bool sock_has_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

void sock_wake_at(int fd, size_t bytes)
{
    int n = bytes < INT_MAX ? (int)bytes : INT_MAX;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n);
}

void sock_discard(int fd, size_t n)
{
    (void)!recv(fd, NULL, n, MSG_TRUNC | MSG_DONTWAIT); /* there may be none, or no connection */
}

void sock_abortive(int fd, bool on)
{
    struct linger hard = {.l_onoff = on, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void sock_close_reset(int fd)
{
    sock_abortive(fd, true);
    (void)close(fd);
}

int sock_service_port(const char *name)
{
    const struct servent *s = getservbyname(name, "tcp");
    return s ? ntohs((uint16_t)s->s_port) : ERR_NOTFOUND;
}

int sock_error(int fd)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        errnum = errno;
    return errnum ? err_from_errno(errnum) : 0;
}
