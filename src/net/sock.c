/* SPDX-License-Identifier: MIT */
/* Socket options and names of addresses. */
#include "net/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

/* The IPv4 address inside an IPv4-mapped one, or NULL. */
static const struct in_addr *mapped(const struct sockaddr_in6 *in6)
{
    return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)
               ? (const struct in_addr *)(const void *)&in6->sin6_addr.s6_addr[12]
               : NULL;
}

const char *sock_name(char out[SOCK_NAME_MAX], const struct sockaddr *sa)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        (void)snprintf(out, SOCK_NAME_MAX, "%s:%u", text, (unsigned)ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        const struct in_addr *v4 = mapped(in6);
        if (v4)
            inet_ntop(AF_INET, v4, text, sizeof text);
        else
            inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        (void)snprintf(out, SOCK_NAME_MAX, v4 ? "%s:%u" : "[%s]:%u", text,
                       (unsigned)ntohs(in6->sin6_port));
    } else {
        (void)snprintf(out, SOCK_NAME_MAX, "?");
    }
    return out;
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

void sock_keepalive(int fd)
{
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    char x[SOCK_NAME_MAX], y[SOCK_NAME_MAX];
    struct sockaddr_storage p = *a, q = *b;
    /* The ports differ; in both families they are at the same place (RFC 3493, 3.3). */
    ((struct sockaddr_in *)(void *)&p)->sin_port = 0;
    ((struct sockaddr_in *)(void *)&q)->sin_port = 0;
    return strcmp(sock_name(x, (struct sockaddr *)&p), sock_name(y, (struct sockaddr *)&q)) == 0;
}

bool sock_route_changed(int fd)
{
    struct sockaddr_storage peer, now, then;
    socklen_t peer_len = sizeof peer, now_len = sizeof now, then_len = sizeof then;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0 ||
        getsockname(fd, (struct sockaddr *)&then, &then_len) < 0)
        return true; /* it has none any more */
    int probe = socket(peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool changed = connect(probe, (struct sockaddr *)&peer, peer_len) < 0 ||
                   getsockname(probe, (struct sockaddr *)&now, &now_len) < 0 ||
                   !same_address(&now, &then);
    (void)close(probe);
    return changed;
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
