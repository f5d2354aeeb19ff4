/* SPDX-License-Identifier: MIT */
/*
 * Where something is on the network: an IP address and a TCP port, as data. It knows no system
 * header, so that cores without I/O can reason about addresses; net/sock.h turns it into a
 * sockaddr, and into text for people. Nothing parses that text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum address_family {
    ADDRESS_NONE, /* not known */
    ADDRESS_IPV4,
    ADDRESS_IPV6,
};

enum { ADDRESS_HOST_BUF = 46 }; /* the longest host as text, with its NUL */

/* {0} is ADDRESS_NONE. IPv4-mapped IPv6 addresses are never in it: they are IPv4 there. */
struct address {
    enum address_family family;
    uint16_t port;
    uint32_t scope; /* IPv6: index of the interface a link-local address is meant on, or 0 */
    uint8_t ip[16]; /* network order; IPv4 has the first 4, the rest is 0 */
};

/* The same host, scope and port; the same host and scope. ADDRESS_NONE equals nothing. */
bool address_equal(const struct address *a, const struct address *b);
bool address_same_host(const struct address *a, const struct address *b);

/* Reads n bytes of text, an IP address in digits without port, brackets or scope, into *ret, whose
   port is 0 then. False: it is none; *ret is not written. */
bool address_from_text(struct address *ret, const char *text, size_t n);

/* Its host in digits, without brackets and scope; of ADDRESS_NONE "-". Returns out. */
const char *address_host_text(char out[ADDRESS_HOST_BUF], const struct address *a);

/* The address whose bytes are these: 4 in network order, or 16, which may be an IPv4-mapped one. */
struct address address_ipv4(const uint8_t ip[4], uint16_t port);
struct address address_ipv6(const uint8_t ip[16], uint16_t port);
