/* SPDX-License-Identifier: MIT */
/* What the tests of net/ share: a loop with a watchdog, and sockets on loopback. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "net/loop.h"

enum { KIT_LIMIT_MS = 20000 }; /* after that a test has failed; nothing waits so long */

/* Handles that loop_init() opens for itself. */
enum { LOOP_OWN_HANDLES = 3 };

struct kit {
    struct loop loop;
    mtime_ms began;
};

/* cmocka set-up and tear-down: *state is a struct kit. The tear-down fails if a handle leaked. */
int kit_setup(void **state);
int kit_teardown(void **state);

/* One turn without sleeping, or with a short nap where nothing happened; fails the test when the
   time is up. */
void kit_turn(struct kit *k);

/* Runs the loop until cond is true. */
#define KIT_UNTIL(k, cond)                                                                         \
    do {                                                                                           \
        (k)->began = kit_clock();                                                                  \
        while (!(cond))                                                                            \
            kit_turn(k);                                                                           \
    } while (0)

/* Runs the loop for some time: only to show that something does not happen. */
void kit_pass(struct kit *k, int ms);

mtime_ms kit_clock(void);

/* Closes a handle that lies on the stack: libuv has forgotten it when this returns. */
void kit_close(struct kit *k, uv_handle_t *h);

/* Calls loop_run() for ms at the most and returns how many turns the loop took. */
unsigned kit_run_counting(struct kit *k, int ms);

/* A listening socket on 127.0.0.1 with the given backlog; its port in *ret_port. */
int kit_listen(int backlog, int *ret_port);

/* Two ends of one TCP connection, non-blocking. */
void kit_tcp_pair(int fd[2]);

/* A blocking connection to 127.0.0.1:port. The descriptor, or -errno. */
int kit_connect(int port);

/*
 * Runs fn, on the same loop, in a process of its own: for what changes the process: limits, user,
 * network. Inside, KIT_CHECK() instead of assertions. KIT_CHILD_SKIP: this machine does not allow
 * it; the test is skipped.
 */
void kit_child(struct kit *k, int (*fn)(void *arg), void *arg);
enum { KIT_CHILD_SKIP = 77 };

#define KIT_CHECK(cond)                                                                            \
    do {                                                                                           \
        if (!(cond))                                                                               \
            return kit_complain(__FILE__, __LINE__, #cond);                                        \
    } while (0)
int kit_complain(const char *file, int line, const char *cond);

/* In a child: an empty network of its own with nothing but loopback. False where not allowed. */
bool kit_own_network(void);

/* In a child: another text in place of /etc/hosts. False where not allowed. */
bool kit_own_hosts(const char *text);

/* False if it cannot be written. */
bool kit_write_file(const char *path, const char *text);
