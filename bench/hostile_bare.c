/* SPDX-License-Identifier: MIT */
/*
 * A program that does nothing but accept and close, in the place of the tunnel: what the traffic
 * alone takes of the machine.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/hostile.h"

static int listen_anywhere(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        hostile_die("socket");
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, SOMAXCONN) ||
        getsockname(fd, (struct sockaddr *)&at, &n))
        hostile_die("listen");
    *port = ntohs(at.sin_port);
    return fd;
}

int hostile_bare(const struct hostile_options *o)
{
    int port, listener = listen_anywhere(&port);
    struct pollfd p[2] = {{.fd = listener, .events = POLLIN},
                          {.fd = STDIN_FILENO, .events = POLLIN}};
    (void)o;
    printf("{\"port\":%d}\n", port);
    fflush(stdout);
    while (poll(p, 2, -1) > 0 && !p[1].revents) {
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
            close(fd);
    }
    close(listener);
    return 0;
}
