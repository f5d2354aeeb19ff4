/* SPDX-License-Identifier: MIT */
/* Small helpers around sockets and addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/address.h"
#include "base/attr.h"

/* Room for "[" IPv6 "%scope]:65535" and NUL. */
enum { SOCK_NAME_MAX = 80 };

/* "1.2.3.4:80", "[::1]:80" or "[fe80::1%eth0]:80"; IPv4-mapped IPv6 addresses as IPv4; "?" for what
   is neither. Returns out. */
const char *sock_name(char out[SOCK_NAME_MAX], const struct sockaddr *sa);
const char *sock_address_name(char out[SOCK_NAME_MAX], const struct address *a);

/* The same without port and brackets: "1.2.3.4", "::1" or "fe80::1%eth0". Returns out. */
const char *sock_host(char out[SOCK_NAME_MAX], const struct sockaddr *sa);

/* The address in sa; ADDRESS_NONE for what is neither IPv4 nor IPv6. */
struct address sock_address(const struct sockaddr *sa);

/* The other end of the connected socket fd, and this one. ADDRESS_NONE: it has none (any more). */
struct address sock_peer_address(int fd);
struct address sock_own_address(int fd);

/* Fills sa for bind() and connect(); the length, 0 for ADDRESS_NONE. */
socklen_t sock_sockaddr(struct sockaddr_storage *sa, const struct address *a);

/* host in digits, "1.2.3.4", "::1", "fe80::1%eth0", "fe80::1%2", into *ret. False: it is a name, or
   there is no such interface (yet). Asks no resolver. */
bool sock_numeric(const char *host, int port, struct address *ret);

/* A key for "the same source": the IPv4 address, or the first 64 bits of an IPv6 one (a host owns
   its /64), as text without port in out. Returns out. */
const char *sock_source(char out[SOCK_NAME_MAX], const struct sockaddr *sa);

/* True for 127.0.0.0/8 and ::1 in digits, and for "localhost". */
bool sock_is_loopback(const char *host);

/* TCP_NODELAY; errors are ignored on purpose (a hint). */
void sock_nodelay(int fd);

/* No segments with more payload than this, in either direction. Before connect(); a hint. */
void sock_max_segment(int fd, int bytes);

/* TCP keepalive 60 s idle, 10 s x 6 for users' sockets: a vanished user is noticed in about 2
   minutes instead of the kernel's 2 hours. */
void sock_keepalive(int fd);

/* True if a new connection to the peer of the connected socket fd would not leave from the address
   that fd has: the network has changed under it. Sends nothing. */
bool sock_route_changed(int fd);

/* on: however fd is closed, also by the death of this process, its peer gets RST and never a clean
   end. Off before a close that is meant as one. Inherited from a listening socket. */
void sock_abortive(int fd, bool on);

/* Bytes written to fd that the kernel has not sent; what is in flight does not count. 0 if it does
   not know. */
size_t sock_unsent(int fd);

/* Bytes that lie in fd's receive buffer; 0 if it is not known. */
size_t sock_unread(int fd);

/* No more than about so many bytes are taken before some have been sent (TCP_NOTSENT_LOWAT); errors
   are ignored on purpose (a hint). */
void sock_unsent_max(int fd, size_t bytes);

/* The kernel makes the send buffer of a connection smaller when it is short of memory for TCP, to less
   than a segment, and does not give it back while much is in use. This gives it `bytes` again if it
   has less, and leaves it to the kernel to make it larger. Nothing if its size was set (SO_SNDBUF), or
   where the kernel cannot do both (before Linux 5.14). A hint. */
void sock_send_buffer_least(int fd, int bytes);

/* True if fd takes bytes now; if not, an edge follows as soon as it does. */
bool sock_is_writable(int fd);

/* Whether the peer has reset it, with nothing left to read. Bytes that lie there are not taken. */
bool sock_is_dead(int fd);

/* Whether the peer has ended its direction, or all: also while bytes lie there that it sent before. */
bool sock_has_left(int fd);

/* fd is readable, to whoever waits for it, when so many bytes are there, or the end (SO_RCVLOWAT);
   1 is what it was. If they are there already an edge follows. Reading itself does not mind. A
   hint: errors are ignored on purpose. */
void sock_wake_at(int fd, size_t bytes);

/* Drops up to n bytes that the peer of a TCP connection has sent, without copying them (tcp(7)). */
void sock_discard(int fd, size_t n);

/* Closes so that the peer gets RST: a cut stream must not look complete. */
void sock_close_reset(int fd);

/* The TCP port of a service like "http", or ERR_NOTFOUND. Reads files: start-up only. */
int sock_service_port(const char *name) MUST_USE;

/* The pending socket error as ERR_*, 0 if none. */
int sock_error(int fd);
