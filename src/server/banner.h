/* SPDX-License-Identifier: MIT */
/* What a person is shown when the server is ready. */
#pragma once

struct server;

/* Writes text, which is from malloc(), to stdout, wipes it and frees it; by a thread of its own, which may be stuck when
   the program ends. */
void banner_put(char *text);

/* Banner on stdout: address, CA certificate, the command for the client. Does not wait for it. */
void banner_print(const struct server *srv);
