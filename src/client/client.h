/* SPDX-License-Identifier: MIT */
/* The client program: keeps one tunnel to the server alive and joins its streams to the local
   service. */
#pragma once

struct client_watch;
struct snapshot;

/* Runs until a signal ends it. An exit status (app/cli.h). References to options are taken
   where they are needed. */
int client_main(struct snapshot *options);

/* The same for who wants to see it come up (client/watch.h); NULL: nobody. */
int client_main_watched(struct snapshot *options, const struct client_watch *watch, void *ctx);
