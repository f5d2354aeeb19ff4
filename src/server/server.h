/* SPDX-License-Identifier: MIT */
/* The server program: takes tunnels from clients and opens the public ports they ask for. */
#pragma once

struct snapshot;

/* Runs until a signal ends it. An exit status (app/cli.h). References to options are taken
   where they are needed. */
int server_main(struct snapshot *options);
