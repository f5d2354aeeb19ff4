/* SPDX-License-Identifier: MIT */
/*
 * The cage: what a running program can never need is taken from it before the first connection, so
 * that whoever takes the program over has little of the machine.
 *
 *   user          started as root: the owner of the state directory is who we become. If that is
 *                 root too, uid 0 stays. No capability is left but CAP_NET_BIND_SERVICE, and that
 *                 only where public ports are opened
 *   no_new_privs  no program gives back what was taken
 *   landlock      by the kernel's ABI: files (1), truncation (3), TCP ports (4), devices (5),
 *                 signals and abstract sockets (6)
 *   seccomp       system calls, by a list of what is allowed. Another one fails with EPERM and is in
 *                 the kernel's log; what only an intruder asks for (execve, ptrace, bpf ...) kills
 *
 * What stays possible, while it runs: to work in the state directory; where names are resolved, to
 * read what the resolver reads, also when it is replaced, and to ask name servers, by TCP too; to
 * read what a reload reads; to remove the control socket; to open public ports, to dial the ports that are
 * known, or any where a file may name others. Memory cannot be made executable, so what
 * the resolver may load is loaded before.
 *
 * Nobody says so to the kernel on behalf of threads that are there already (landlock before ABI 8):
 * there must be one thread only. The log is held until then (base/log.h).
 */
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "conf/destination.h"
#include "conf/options.h"

enum { SANDBOX_DIALS_MAX = TUNNELS_MAX * DESTINATIONS_MAX + 1 }; /* a client's, and its server's */
enum { SANDBOX_READS_MAX = 4 };

struct sandbox_config {
    int choice;                   /* enum sandbox_choice */
    const char *state;            /* directory that stays usable; NULL: none */
    bool resolves;                /* names are looked up while it runs */
    bool listens;                 /* ports are opened while it runs: */
    const struct ports *bind;     /* those; none in it: any. Unused without listens */
    int dials[SANDBOX_DIALS_MAX]; /* TCP ports that are connected to */
    unsigned dials_count;
    bool dials_any; /* and whatever port a file may name later */
    bool
        dials_unix; /* unix sockets are connected to: any that has a path and whose mode allows it */
    bool pairs;     /* pairs of sockets are made, which lead to nobody else */
    /* Files that are read again, in whatever version lies in their folders. NULL: no more. */
    const char
        *lists; /* a folder whose files a reload reads, however they are called; NULL: none */
    const char *reads[SANDBOX_READS_MAX];
    const char *control; /* a socket that is removed at the end. NULL: none */
};

/*
 * Before the first loop is made that is there when the cage is entered, by enum sandbox_choice: libuv, since 1.45, opens
 * an io_uring for it where the kernel lets it, and aborts when the cage refuses its use. From now on the kernel lets nobody of
 * us. Sets no_new_privs. Without seccomp, or with SANDBOX_OFF, nothing happens.
 */
void sandbox_begin(int choice);

/*
 * Enters the cage, says so in one line, and releases the log. 0, or negative and logged: ERR_PERM
 * where a layer is missing with SANDBOX_REQUIRE, or the owner of the state cannot be become. Then
 * the program must end: it may be in the cage in part.
 */
int sandbox_enter(const struct sandbox_config *cfg) MUST_USE;
