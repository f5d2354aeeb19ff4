/* SPDX-License-Identifier: MIT */
/* Small helpers around sockets and addresses. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/attr.h"

/* Room for "[" IPv6 "%scope]:65535" and NUL. */
enum { SOCK_NAME_MAX = 80 };

/* "1.2.3.4:80" or "[::1]:80"; IPv4-mapped IPv6 addresses as IPv4. Returns out. */
const char *sock_name(char out[SOCK_NAME_MAX], const struct sockaddr *sa);

/* A key for "the same source": the IPv4 address, or the first 64 bits of an IPv6 one (a host owns
   its /64), as text without port in out. Returns out. */
const char *sock_source(char out[SOCK_NAME_MAX], const struct sockaddr *sa);

/* True for 127.0.0.0/8 and ::1 in digits, and for "localhost". */
bool sock_is_loopback(const char *host);

/* TCP_NODELAY; errors are ignored on purpose (a hint). */
void sock_nodelay(int fd);

/* TCP keepalive 60 s idle, 10 s x 6 for users' sockets: a vanished user is noticed in about 2
   minutes instead of the kernel's 2 hours. */
void sock_keepalive(int fd);

/* True if a new connection to the peer of the connected socket fd would not leave from the address
   that fd has: the network has changed under it. Sends nothing. */
bool sock_route_changed(int fd);

/* on: however fd is closed, also by the death of this process, its peer gets RST and never a clean
   end. Off before a close that is meant as one. Inherited from a listening socket. */
void sock_abortive(int fd, bool on);

/* Drops up to n bytes that the peer of a TCP connection has sent, without copying them (tcp(7)). */
void sock_discard(int fd, size_t n);

/* Closes so that the peer gets RST: a cut stream must not look complete. */
void sock_close_reset(int fd);

/* The TCP port of a service like "http", or ERR_NOTFOUND. Reads files: start-up only. */
int sock_service_port(const char *name) MUST_USE;

/* The pending socket error as ERR_*, 0 if none. */
int sock_error(int fd);
