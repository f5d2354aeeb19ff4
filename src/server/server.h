/* SPDX-License-Identifier: MIT */
/* The server program: takes tunnels from clients and opens the public ports they ask for. */
#pragma once

#include <stdbool.h>

struct snapshot;

/*
 * Who is told of the start, and has a part in it: `gotunnel up`. All are called on the main thread, in this order,
 * and once at most; the next one only if the last was well.
 */
struct server_guide {
    /* The certificates are there; fingerprint is that of the CA, and dies with the call. */
    void (*on_identity)(void *ctx, const char *fingerprint, bool is_new);

    /* The server listens at address, on port, and has neither read its clients yet nor given up any right to write. 0, or an
       error that has been said: the start fails. */
    int (*on_listening)(void *ctx, const char *address, int port);

    /* Clients are served; in place of the banner. */
    void (*on_ready)(void *ctx);
};

/* Runs until a signal ends it. An exit status (app/cli.h). References to options are taken
   where they are needed. guide NULL: nobody; it outlives the call. */
int server_main(struct snapshot *options, const struct server_guide *guide, void *ctx);
