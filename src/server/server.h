/* SPDX-License-Identifier: MIT */
/* The server program: takes tunnels from clients and opens the public ports they ask for. */
#pragma once

struct server_options;

/* Runs until a signal ends it. An exit status (app/cli.h). opt must outlive the call. */
int server_main(const struct server_options *opt);
