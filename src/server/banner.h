/* SPDX-License-Identifier: MIT */
/* What `gotunnel server` prints when it is ready. */
#pragma once

struct server;

/* Banner on stdout: address, CA certificate, the command for the client. Does not wait for it. */
void banner_print(const struct server *srv);
