/* SPDX-License-Identifier: MIT */
/* The server's certificates, on the main thread. */
#pragma once

#include "base/attr.h"

struct server;

/* Reads or makes them, into srv->identity, and srv->tls from them. 0, or an error that has been logged. */
int certs_load(struct server *srv) MUST_USE;

/* Renews what is due, into srv->identity and srv->tls. Costs little when nothing is. */
void certs_keep(struct server *srv);
