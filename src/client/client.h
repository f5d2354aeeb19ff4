/* SPDX-License-Identifier: MIT */
/* The client program: keeps one tunnel to the server alive and joins its streams to the local
   service. */
#pragma once

struct client_options;

/* Runs until a signal ends it. An exit status (app/cli.h). opt must outlive the call. */
int client_main(const struct client_options *opt);
