/* SPDX-License-Identifier: MIT */
/* Addresses as data. */
#include "base/address.h"

#include <arpa/inet.h>
#include <string.h>

bool address_same_host(const struct address *a, const struct address *b)
{
    return a->family != ADDRESS_NONE && a->family == b->family && a->scope == b->scope &&
           memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return address_same_host(a, b) && a->port == b->port;
}

struct address address_ipv4(const uint8_t ip[4], uint16_t port)
{
    struct address a = {.family = ADDRESS_IPV4, .port = port};
    memcpy(a.ip, ip, 4);
    return a;
}

struct address address_ipv6(const uint8_t ip[16], uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address a = {.family = ADDRESS_IPV6, .port = port};
    if (memcmp(ip, mapped, sizeof mapped) == 0)
        return address_ipv4(ip + sizeof mapped, port);
    memcpy(a.ip, ip, sizeof a.ip);
    return a;
}

const char *address_host_text(char out[ADDRESS_HOST_BUF], const struct address *a)
{
    _Static_assert(ADDRESS_HOST_BUF == INET6_ADDRSTRLEN, "any address has room");
    int family = a->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
    if (a->family == ADDRESS_NONE || !inet_ntop(family, a->ip, out, ADDRESS_HOST_BUF))
        memcpy(out, "-", 2);
    return out;
}

bool address_from_text(struct address *ret, const char *text, size_t n)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t ip[16];
    if (n >= sizeof copy || memchr(text, '\0', n))
        return false;
    memcpy(copy, text, n);
    copy[n] = '\0';
    if (inet_pton(AF_INET, copy, ip) == 1)
        *ret = address_ipv4(ip, 0);
    else if (inet_pton(AF_INET6, copy, ip) == 1)
        *ret = address_ipv6(ip, 0);
    else
        return false;
    return true;
}
