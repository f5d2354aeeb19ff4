/* SPDX-License-Identifier: MIT */
/* The client program: keeps one tunnel to the server alive and joins its streams to the local
   service. */
#pragma once

struct snapshot;

/* Runs until a signal ends it. An exit status (app/cli.h). References to options are taken
   where they are needed. */
int client_main(struct snapshot *options);
