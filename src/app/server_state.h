/* SPDX-License-Identifier: MIT */
/* The folder of a server's certs and clients, for commands that are not told of each. */
#pragma once

#include <linux/limits.h> /* app/ has a limits.h of its own */
#include <stdbool.h>

/*
 * given, unless it is ""; else the working directory, if the server's certs or clients are in it; else
 * /var/lib/gotunnel for root, and gotunnel in XDG_STATE_HOME, or in ~/.local/state, for others. It need not be there.
 * For root it is that of our
 * unit, /var/lib/gotunnel-server, if there are certs in it and none in the other. Whoever makes what is missing (makes) takes the working directory only if the CA is there: other programs have
 * folders of these names, and never that of the unit. False: nothing names one, or its name is too long.
 */
bool server_state_find(const char *given, bool makes, char ret[PATH_MAX]);
