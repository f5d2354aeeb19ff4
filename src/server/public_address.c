/* SPDX-License-Identifier: MIT */
/* Addresses of interfaces, and the networks that are not the internet's (IANA's registries). */
#include "server/public_address.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "base/attr.h"
#include "conf/cidr.h"

/* IPv6: the internet is 2000::/3; what of it is not is in the list. */
static const char not_public[] =
    "0.0.0.0/8,10.0.0.0/8,100.64.0.0/10,127.0.0.0/8,169.254.0.0/16,172.16.0.0/12,"
    "192.0.0.0/24,192.0.2.0/24,192.168.0.0/16,198.18.0.0/15,198.51.100.0/24,"
    "203.0.113.0/24,224.0.0.0/3,"
    "2001::/23,2001:db8::/32,2002::/16,3fff::/20";

bool public_address_is(const struct address *a)
{
    struct cidrs list;
    if (a->family == ADDRESS_NONE || cidrs_parse(not_public, &list) < 0)
        return false;
    bool is_internet = a->family == ADDRESS_IPV4 || (a->ip[0] & 0xe0) == 0x20;
    return is_internet && !cidrs_contain(&list, a);
}

static struct address address_of(const struct sockaddr *sa)
{
    const struct address none = {.family = ADDRESS_NONE};
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    if (sa && sa->sa_family == AF_INET) {
        memcpy(&in, sa, sizeof in);
        return address_ipv4((const uint8_t *)&in.sin_addr, 0);
    }
    if (sa && sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof in6);
        return address_ipv6(in6.sin6_addr.s6_addr, 0);
    }
    return none;
}

bool public_address_find(struct address *ret)
{
    static const enum address_family order[] = {ADDRESS_IPV4, ADDRESS_IPV6};
    struct ifaddrs *all;
    bool is_found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (const struct ifaddrs *one = all; one && !is_found; one = one->ifa_next) {
            struct address a = address_of(one->ifa_addr);
            is_found = a.family == order[i] && public_address_is(&a);
            if (is_found)
                *ret = a;
        }
    freeifaddrs(all);
    return is_found;
}
